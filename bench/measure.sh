#!/bin/sh
# Measures the examples as guests of QEMU (TCG) on a network of their own, and prints a table.
#
#	bench/measure.sh                 the table
#	bench/measure.sh --check         against bench/budgets: a line for each, status 1 when one is exceeded
#	bench/measure.sh --update        writes what is measured to bench/budgets
# More: --memory (the least memory that serves; slow), --speed (requests a second, for information)
#
# README.md in this folder says what the rows mean.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh

mode=table memory=0 speed=0
for word; do
	case $word in
	--check | --update) mode=${word#--} ;;
	--memory) memory=1 ;;
	--speed) speed=1 ;;
	*) echo "measure.sh: there is no option '$word'" >&2; exit 2 ;;
	esac
done

results=$WORK/results
BUDGETS=bench/budgets
: >"$results"
: >"$WORK/errors"

# row NAME VALUE WHAT: WHAT says what it is, and the unit.
row() {
	echo "$1 $2" >>"$results"
	[ $mode != table ] || printf '%-28s %10s  %s\n' "$1" "$2" "$3"
}

start() { # start DIR [OPTION...]: boots with counters, or ends everything
	boot_counted "$@" && settle && return
	cut
	sed 's/^/#   /' "$log" | tail -n 8
	bad "$1 boots"
	exit 1
}

image() { # image NAME: its size, and in the table its parts
	row "image.$1" "$(stat -c %s "$(image_of "$APPS/$1")")" "bytes of the image"
	[ $mode != table ] || sed -n 's/^  / #   /p' "$WORK/build.$1.log"
}

# boot NAME [OPTION...]: instructions and milliseconds until it listens, the median of five.
boot_rows() {
	name=$1
	shift
	: >"$WORK/boots"
	for i in 1 2 3 4 5; do
		rm -f "$WORK/boot.volume"
		start "$APPS/$name" "$@"
		listening=$(sed -n 's/ listening on .*//p' "$log" | head -n 1)
		echo "$(($(counter instructions) - $(counter entry_instructions)))" \
			"$(((listening - $(counter entry_ns)) / 1000000))" >>"$WORK/boots"
		cut
	done
	row "boot.$name" "$(awk '{ print $1 }' "$WORK/boots" | median)" \
		"instructions from the image's first until it listens (without the firmware's)"
	[ $mode != table ] || echo " #   that took $(awk '{ print $2 }' "$WORK/boots" | median) ms of wall clock, with the plugin"
}

speed() { # speed NAME PATH: for information, it depends on the machine
	[ $speed = 1 ] || return 0
	inside wrk -t 1 -c 64 -d 3s "$url$2" >"$WORK/wrk.out"
	echo " #   $1: $(sed -n 's/^Requests.sec: *//p' "$WORK/wrk.out") requests a second (64 connections, with the plugin)"
}

idle() { # idle NAME: instructions a second, over 5 seconds
	idle_before=$(counter instructions)
	sleep 5
	row "idle.$1" "$((($(counter instructions) - idle_before) / 5))" "instructions a second, nobody asks"
}

hello() {
	start "$APPS/hello" --memory 64M
	idle hello
	load -n 2000 -c 64 "$url/static.html" >/dev/null
	row hello.static-612.1 "$(per_request instructions 4000 -c 1 "$url/static.html")" \
		"instructions for a GET of 612 static bytes, 1 connection"
	row hello.static-612.64 "$(per_request instructions 20000 -c 64 "$url/static.html")" \
		"... 64 connections"
	row hello.static-612.close "$(per_connection 5000 -c 64 "$url/static.html")" \
		"... with connect and close, 64 at a time"
	row hello.text.64 "$(per_request instructions 10000 -c 64 "$url/hello")" \
		"instructions for 13 bytes from a handler, 64 connections"
	row hello.page.64 "$(per_request instructions 10000 -c 64 "$url/?name=Ada")" \
		"instructions for a page with one variable, 64 connections"
	speed "static, 612 bytes" /static.html
	stop
}

# What a request costs the device: in a run of its own, the plugin looks at each access to memory.
notifications() {
	PLUGIN_OPTIONS=,io=on
	start "$APPS/hello" --memory 64M
	PLUGIN_OPTIONS=
	row hello.notifications.64 "$(SCALE=1000 per_request notifications 4000 -c 64 "$url/static.html")" \
		"notifications of devices for 1,000 GETs of 612 static bytes, 64 connections"
	stop
}

# A megabyte that no coding makes smaller, and the instructions for a million bytes of it.
large() {
	mkdir -p "$APPS/large/static"
	cp examples/hello/app.c "$APPS/large/"
	cp -r examples/hello/pages "$APPS/large/"
	[ -f "$APPS/large/static/large.bin" ] || head -c 1048576 /dev/urandom >"$APPS/large/static/large.bin"
	build large
	start "$APPS/large" --memory 64M
	SCALE=0.95367431640625 # of 1,048,576 bytes
	row large.megabyte.1 "$(per_request instructions 60 -c 1 "$url/large.bin")" \
		"instructions for 1,000,000 bytes of a 1 MiB asset, 1 connection"
	row large.megabyte.16 "$(per_request instructions 120 -c 16 "$url/large.bin")" "... 16 connections"
	unset SCALE
	stop
}

# blockstat NAME: a counter of the disk, from QEMU's monitor.
blockstat() {
	echo 'info blockstats' >"$WORK/monitor.in"
	sed -n '/flush_operations=/ { p; q }' <"$WORK/monitor.out" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# signing CONNECTIONS N: instructions for each, and flushes and bytes of the disk for 1,000.
signing() {
	flushes=$(blockstat flush_operations) bytes=$(blockstat wr_bytes)
	: >"$WORK/signs"
	for i in 1 2 3; do
		echo "$(grown instructions load -n "$2" -c "$1" -H "Cookie: $cookie" \
			-d "csrf=$token&name=Ada+Lovelace&message=A+note+of+some+length" "$url/sign") $2" |
			awk '{ printf "%.0f\n", $1 / $2 }' >>"$WORK/signs"
	done
	row "guestbook.sign.$1" "$(median <"$WORK/signs")" "instructions to sign, durably, $1 at a time"
	row "guestbook.flushes.$1" "$((($(blockstat flush_operations) - flushes) * 1000 / (3 * $2)))" \
		"flushes for 1,000 signatures, $1 at a time"
	row "guestbook.bytes.$1" "$((($(blockstat wr_bytes) - bytes) / (3 * $2)))" \
		"bytes written to the disk for a signature, $1 at a time"
}

guestbook() {
	rm -f "$WORK/boot.volume" "$WORK/monitor.in" "$WORK/monitor.out"
	mkfifo "$WORK/monitor.in" "$WORK/monitor.out"
	QEMU_WORDS="-chardev pipe,id=hmp,path=$WORK/monitor -mon chardev=hmp,mode=readline"
	start "$APPS/guestbook" --memory 64M --data "$WORK/boot.volume"
	QEMU_WORDS=
	idle guestbook
	for i in 1 2 3 4 5 6 7 8 9 10; do sign "$url" "Visitor $i" "Entry number $i" >/dev/null; done
	load -n 200 -c 64 "$url/" >/dev/null
	row guestbook.page.1 "$(per_request instructions 300 -c 1 "$url/")" \
		"instructions for the page with 10 entries, 1 connection"
	row guestbook.page.64 "$(per_request instructions 1000 -c 64 "$url/")" "... 64 connections"
	speed "the page with 10 entries" /
	session "$url"
	signing 1 100
	signing 64 1000
	stop
}

# least NAME FROM TO [OPTION...]: the least memory, in steps of 256 KiB, with which it answers.
least() {
	name=$1 low=$2 high=$3
	shift 3
	while [ $((high - low)) -gt 256 ]; do
		middle=$(((low + high) / 512 * 256))
		rm -f "$WORK/boot.volume"
		if boot_with '' "$APPS/$name" --memory "${middle}K" "$@" &&
			inside curl -fsS -o /dev/null --max-time 30 "$url/"; then
			high=$middle
		else
			low=$middle
		fi
		cut 2>/dev/null
	done
	row "memory.$name" "$high" "KiB of memory, the least with which it answers"
}

build() { # build NAME: in $APPS
	./ingot build "$APPS/$1" >"$WORK/build.$1.log" 2>&1 && return
	cat "$WORK/build.$1.log"
	bad "$1 is built"
	exit 1
}

# --- Against the budgets ---
# A line of bench/budgets: NAME VALUE TOLERANCE, in per cent, or `max`: a ceiling for what varies from run
# to run. What is lower than the budget by more than the tolerance is said too: the budget should follow.
check_budgets() {
	awk '
		FNR == 1 { file++ }
		/^#/ || NF == 0 { next }
		file == 1 { budget[$1] = $2; tolerance[$1] = $3; next }
		!($1 in budget) { printf "not ok - %s %s (has no budget; run bench/measure.sh --update)\n", $1, $2; next }
		{
			slack = budget[$1] * tolerance[$1] / 100
			words = tolerance[$1] == "max" ? "at most " budget[$1] : "budget " budget[$1] " +" tolerance[$1] " %"
			if (tolerance[$1] != "max" && $2 < budget[$1] - slack) words = words "; better: lower it"
			printf "%s - %s %s (%s)\n", ($2 > budget[$1] + slack ? "not ok" : "ok"), $1, $2, words
			seen[$1] = 1
		}
		END {
			for (name in budget)
				if (!(name in seen) && name !~ /^memory/)
					printf "not ok - %s was not measured\n", name
		}' $BUDGETS "$results"
}

# Values change; ceilings, comments and tolerances stay; what is new comes at the end.
update_budgets() {
	awk '
		FNR == 1 { file++ }
		file == 1 { value[$1] = $2; order[++count] = $1; next }
		/^#/ || NF == 0 { print; next }
		{
			seen[$1] = 1
			printf "%-28s %10s %4s\n", $1, ($1 in value && $3 != "max" ? value[$1] : $2), $3
		}
		END {
			for (i = 1; i <= count; i++)
				if (!(order[i] in seen))
					printf "%-28s %10s %4s\n", order[i], value[order[i]], 2
		}' "$results" $BUDGETS >"$WORK/budgets" && cp "$WORK/budgets" $BUDGETS
}

# --- What is measured ---
tools
network || { skip "measuring" "$network_why"; exit 0; }
APPS=$WORK/apps # copies: whoever builds or runs the examples meanwhile is not in the way
for name in hello guestbook; do
	mkdir -p "$APPS/$name"
	(cd "examples/$name" && tar -cf - --exclude .ingot .) | tar -xf - -C "$APPS/$name"
	build $name
	image $name
done
measure() {
	boot_rows hello --memory 64M
	boot_rows guestbook --memory 64M --data "$WORK/boot.volume"
	hello
	notifications
	large
	guestbook
}
# What else this machine does changes how many requests one wake-up of the guest serves, and so can only
# add: of several measurements the least counts. One is enough when it is within the budgets.
least_of_each() {
	awk '!($1 in least) { order[++n] = $1; least[$1] = $2 } $2 < least[$1] { least[$1] = $2 }
		END { for (i = 1; i <= n; i++) print order[i], least[order[i]] }' "$results" >"$WORK/least" &&
		cp "$WORK/least" "$results"
}
measure
if [ $mode = check ]; then
	for again in 1 2; do
		check_budgets | grep -q '^not ok' || break
		echo "# over a budget: measuring once more"
		measure
		least_of_each
	done
fi
if [ $memory = 1 ]; then
	least hello 1024 16384
	least guestbook 1024 32768 --data "$WORK/boot.volume"
fi

[ ! -s "$WORK/errors" ] || { sed 's/^/# /' "$WORK/errors"; bad "every request is answered well"; }
case $mode in
check) check_budgets | tee "$WORK/check.out"; ! grep -q '^not ok' "$WORK/check.out" || failed=1 ;;
update) update_budgets ;;
esac
exit $failed
