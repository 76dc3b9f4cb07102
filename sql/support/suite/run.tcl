# Runs files of SQLite's own test suite, each in a process of its own, and judges what they print.
#
#   tclsh run.tcl PROGRAM SOURCES WORK EXCLUSIONS [-part I/N] [-set veryquick] [-quick] [-all] [PATTERN...]
#
# -part: the I-th (from 0) of N parts, for several processes at once. -quick: without the slow files. -all:
# excluded files too, to see whether they would pass now. Prints "ok - FILE" or "not ok - FILE" for each file,
# with the suite's own words on what fails, and at the end totals. The exclusions' head says what their lines mean.

set work_limit_s 300 ;# for one file, on a slow machine

lassign $argv program sources work exclusions
set program [file normalize $program]
set sources [file normalize $sources]
array set option {-part 0/1 -set veryquick -quick 0 -all 0}
set patterns {}
for {set i 4} {$i < $argc} {incr i} {
	set a [lindex $argv $i]
	switch -glob -- $a {
		-all - -quick { set option($a) 1 }
		-* { set option($a) [lindex $argv [incr i]] }
		default { lappend patterns $a }
	}
}

# --- What is excluded -------------------------------------------------------------------------------
#   why(KEY) text; file_key(FILE) key; cases(FILE) {pattern key ...}; environment(FILE) {NAME=VALUE ...}
proc read_exclusions {path} {
	global why file_key cases environment slow
	set f [open $path]
	set number 0
	while {[gets $f line] >= 0} {
		incr number
		set line [string trim $line]
		if {$line eq "" || [string index $line 0] eq "#"} continue
		set words [regexp -all -inline {\S+} $line]
		switch -- [lindex $words 0] {
			reason { set why([lindex $words 1]) [join [lrange $words 2 end]] }
			file { set file_key([lindex $words 1]) [lindex $words 2] }
			case { lappend cases([lindex $words 1]) [lindex $words 2] [lindex $words 3] }
			slow { set slow([lindex $words 1]) 1 }
			with { lappend environment([lindex $words 1]) [lindex $words 2] }
			default { error "$path:$number: what is '$line'?" }
		}
	}
	close $f
	set keys [dict values [array get file_key]]
	foreach {file list} [array get cases] { lappend keys {*}[dict values $list] }
	foreach key $keys { if {![info exists why($key)]} { error "$path: there is no reason $key" } }
}

# --- Which files ------------------------------------------------------------------------------------
# The suite's own lists of files, without running anything.
proc suite_files {name} {
	global sources program
	set child [interp create]
	$child eval [list set ::testdir $sources/test]
	$child eval [list set ::argv0 x]
	$child eval [list set ::argv {}]
	$child eval {namespace eval ::trd {set tcltest 1}}
	$child eval [list source $sources/test/permutations.test]
	array set spec [$child eval [list set ::testspec($name)]]
	set files {}
	foreach f $spec(-files) {
		lappend files [expr {[string match */* $f] ? [file normalize $f] : "$sources/test/$f"}]
	}
	interp delete $child
	return [lsort -command {apply {{a b} {string compare [file tail $a] [file tail $b]}}} $files]
}

# --- One file ---------------------------------------------------------------------------------------
# The result: {tests N failures {name ...} output TEXT crashed BOOL skipped BOOL leaked BOOL}
proc run_file {path dir} {
	global program environment work_limit_s
	file delete -force $dir
	file mkdir $dir
	set old [pwd]
	set name [file tail $path]
	set env_words [expr {[info exists environment($name)] ? $environment($name) : {}}]
	if {$::unprivileged ne ""} { file attributes $dir -permissions 0777 }
	cd $dir
	set failed [catch {exec {*}$::unprivileged env {*}$env_words timeout -k 5 $work_limit_s $program $path -verbose=0 2>@1} output]
	cd $old
	file delete -force $dir
	set tests 0
	set errors -1
	regexp {(\d+) errors out of (\d+) tests} $output -> errors tests
	set failures {}
	if {[regexp -line {^!Failures on these tests: (.*)$} $output -> list]} { set failures $list }
	set silent [expr {!$failed && $output eq ""}] ;# the file has seen that it has nothing to do
	return [dict create tests $tests failures $failures output $output \
		crashed [expr {$errors < 0 && !$silent}] skipped $silent \
		leaked [regexp {Unfreed memory: (\d+) bytes} $output]]
}

# What the suite says of the cases named, shortened.
proc words_about {output names} {
	set lines {}
	foreach line [split $output \n] {
		foreach name $names {
			if {[string match "Error:*" $line] || [string match "*$name*" $line]} {
				lappend lines "#   [string range $line 0 300]"
				break
			}
		}
		if {[llength $lines] >= 12} break
	}
	return [join $lines \n]
}

proc judge {path} {
	global work file_key cases why total option excluded_by
	set name [file tail $path]
	if {[info exists file_key($name)] && !$option(-all)} {
		incr total(files_excluded)
		incr excluded_by($file_key($name),files)
		return
	}
	set started [clock milliseconds]
	set r [run_file $path $work/dir]
	set ms [expr {[clock milliseconds] - $started}]
	incr total(files)
	incr total(tests) [dict get $r tests]
	set log [open $work/times a]
	puts $log "$ms $name"
	close $log
	set unexpected {}
	set list [expr {[info exists cases($name)] ? $cases($name) : {}}]
	foreach f [dict get $r failures] {
		set excused ""
		foreach {pattern key} $list {
			if {[string match $pattern $f]} { set excused $key; set used($pattern) 1; break }
		}
		if {$excused eq ""} {
			lappend unexpected $f
		} else {
			incr total(cases_excluded)
			incr excluded_by($excused,cases)
		}
	}
	set complaints {}
	if {[dict get $r crashed]} {
		lappend complaints "it ended before its summary:"
		# (The last ten lines or so are the interpreter's own stack.)
		foreach line [lrange [split [dict get $r output] \n] end-30 end] {
			lappend complaints "  [string range $line 0 300]"
		}
	}
	if {[llength $unexpected]} {
		lappend complaints "[llength $unexpected] failed: [lrange $unexpected 0 40]"
	}
	if {[dict get $r leaked]} { lappend complaints "it leaks memory" }
	foreach {pattern key} $list {
		if {![info exists used($pattern)]} { lappend complaints "excluded, but passes: $pattern ($key)" }
	}
	if {[info exists file_key($name)]} {
		puts [expr {[llength $complaints] ? "ok - $name fails, as listed ($file_key($name))" : \
			"not ok - $name passes now: take it off the list"}]
		return
	}
	if {[llength $complaints]} {
		foreach c $complaints { puts "#   $c" }
		set about [words_about [dict get $r output] [lrange $unexpected 0 5]]
		if {$about ne ""} { puts $about }
		incr total(files_failed)
		puts "not ok - $name"
	} else {
		set note [expr {[dict get $r skipped] ? " # skip it does not apply to this build" : ""}]
		puts "ok - $name$note"
	}
	flush stdout
}

# Some tests want to be refused: not as root.
set unprivileged {}
if {[exec id -u] == 0} { set unprivileged {setpriv --reuid=65534 --regid=65534 --clear-groups} }

read_exclusions $exclusions
array set total {files 0 files_failed 0 files_excluded 0 tests 0 cases_excluded 0}
file mkdir $work
set work [file normalize $work]
file delete $work/times
lassign [split $option(-part) /] part parts
set i 0
foreach path [suite_files $option(-set)] {
	set wanted [expr {[llength $patterns] == 0}]
	foreach p $patterns { if {[string match $p [file tail $path]]} { set wanted 1 } }
	if {$option(-quick) && [info exists slow([file tail $path])]} { set wanted 0 }
	if {$wanted && $i % $parts == $part} { judge $path }
	incr i
}
puts "# $total(files) files, $total(tests) tests; $total(files_excluded) files and $total(cases_excluded) failing\
	tests are on the list"
foreach k [lsort [array names excluded_by]] {
	lassign [split $k ,] key unit
	puts "#   $excluded_by($k) $unit: $why($key)"
}
exit [expr {$total(files_failed) > 0}]
