#!/bin/sh
# The page store and SQLite on it beside Linux 6.1 with ext4 and the same SQLite, on the same emulated machine with
# the same disk settings (no cache of the host's). Prints a table; status 1 when a gate fails.
#
#	bench/store.sh inserts     durable single-row insertions a second: one writer (in the guest, as the rival; and
#	                           over HTTP), and 64 over HTTP
#	bench/store.sh speedtest   SQLite's speedtest1, each sub-test
#	bench/store.sh readers     what ten readers wait while one writes, and while nobody does
#	bench/store.sh             all of it
#
# RUNS=3 of each in turns, and the median counts. COUNT=6000 insertions. SIZE=50: speedtest1's. READS=20000.
# ICOUNT=1: time is counted in instructions, which repeats, but says nothing of how long the disk takes.
#
# The rival inserts in its own process, with no server around it. Where ours are requests over TCP that favours it.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh
WORK=${WORK_DIR:-build/bench/store}
COUNTERS=$WORK/counters
mkdir -p "$WORK"
. bench/rivals/lib.sh

RUNS=${RUNS:-3}
COUNT=${COUNT:-6000}
SIZE=${SIZE:-50}
ICOUNT=${ICOUNT-} READS=${READS:-20000} PACE_MS=${PACE_MS:-0}
MEMORY=256M
app=$WORK/app programs=$WORK/programs
sqlite=$(make -s print-SQLITE_DIR)
sqlite_source=$(make -s print-SQLITE_SRC)

# --- What runs on either side -------------------------------------------------------------------
# speedtest1 as a part of an application: not a program of its own, and none of our warnings.
build_ours() {
	mkdir -p "$app/migrations"
	cp bench/store/app/app.c "$app/"
	cp bench/store/app/migrations/* "$app/migrations/"
	mkdir -p "$app/pages"
	cp bench/store/app/pages/* "$app/pages/"
	cp "$sqlite/sqlite3.h" "$app/"
	{ echo '#pragma GCC system_header'; cat "$sqlite_source/test/speedtest1.c"; } >"$app/speedtest1.h"
	cat >"$app/speedtest1.c" <<-END
		#undef __linux__
		#define SQLITE_OMIT_DEPRECATED
		#define main speedtest1_main
		#include "speedtest1.h"
	END
	./ingot build "$app" >"$WORK/build.log" 2>&1
}
# SQLite as upstream recommends it for a program with one thread.
build_rival() {
	mkdir -p "$programs"
	[ -x "$programs/speedtest1" ] && [ "$programs/speedtest1" -nt "$sqlite/sqlite3.c" ] &&
		[ "$programs/inserts" -nt bench/store/inserts.c ] || {
		gcc -O2 -w -DSQLITE_THREADSAFE=0 -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_OMIT_LOAD_EXTENSION \
			-DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_STAT4 -DSQLITE_ENABLE_MATH_FUNCTIONS \
			-c "$sqlite/sqlite3.c" -o "$WORK/sqlite3.o" &&
			gcc -O2 -w -static -I"$sqlite" "$sqlite_source/test/speedtest1.c" "$WORK/sqlite3.o" -lm -o "$programs/speedtest1" &&
			gcc -O2 -static -I"$sqlite" bench/store/inserts.c "$WORK/sqlite3.o" -lm -o "$programs/inserts"
	}
	site_archive=$WORK/programs.cpio
	bench/rivals/build --files "$programs" "$site_archive" >"$WORK/rival.log" 2>&1 || { tail "$WORK/rival.log"; return 1; }
	cat "$LINUX/root.cpio" "$site_archive" >"$WORK/rival.initrd"
}

# --- One machine for both -----------------------------------------------------------------------
# machine DISK WORDS...: becomes QEMU.
machine() {
	disk=$1
	shift
	exec $on_guest ip netns exec "$ns" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-M microvm,acpi=on,rtc=on,pit=off,pic=off,isa-serial=on -global virtio-mmio.force-legacy=false \
		-accel tcg -cpu max -m $MEMORY -smp 1 ${ICOUNT:+-icount shift=1,sleep=on} -device virtio-rng-device \
		-drive "if=none,id=data,file=$disk,format=raw,cache=none,discard=unmap" -device virtio-blk-device,drive=data \
		-netdev tap,id=net0,ifname=tap0,script=no,downscript=no -device virtio-net-device,netdev=net0 "$@"
}
disk_make() { # disk_make FILE
	rm -f "$1"
	truncate -s 1G "$1"
}
# ours: boots the application on a fresh disk; sets $guest, $url, $log.
ours() {
	disk_make "$WORK/ours.disk"
	url=http://$guest_address log=$WORK/ours.log
	: >"$log"
	rm -f "$WORK/monitor.in" "$WORK/monitor.out"
	mkfifo "$WORK/monitor.in" "$WORK/monitor.out"
	machine "$WORK/ours.disk" -kernel "$app/.ingot/app.elf" -append "ip=$guest_address/24,10.77.0.1" \
		-device virtio-serial-device -chardev stdio,id=log -device virtconsole,chardev=log \
		-chardev "pipe,id=hmp,path=$WORK/monitor" -mon chardev=hmp,mode=readline >"$log" 2>&1 &
	guest=$!
	await 'http: listening on' "$log"
}
power_cut() {
	kill -KILL "$guest"
	wait "$guest" 2>/dev/null
	guest=''
}
tsc_khz() { [ -n "$ICOUNT" ] && echo 1000000 || "$BENCH/tsc_khz"; }
# rival PROGRAM:WORD...: runs it to its end on a fresh ext4; its output is in $log.
rival() {
	log=$WORK/rival.log
	for rival_try in 1 2 3 4 5; do
		disk_make "$WORK/rival.disk"
		mke2fs -q -F -t ext4 "$WORK/rival.disk"
		machine "$WORK/rival.disk" -kernel "$LINUX/vmlinux" -initrd "$WORK/rival.initrd" -serial stdio \
			-append "console=ttyS0 $RIVAL_TUNING tsc_early_khz=$(tsc_khz) rival.run=$1
				rival.address=$guest_address/24 rival.gateway=10.77.0.1" >"$log" 2>&1 &
		guest=$!
		wait "$guest"
		guest=''
		grep -q 'rival: ended with status 0' "$log" && return
	done
	tail "$log" | sed 's/^/#   /'
	bad "the rival runs $1"
	exit 1
}

# --- Insertions ---------------------------------------------------------------------------------
# flushes, written: of the guest's disk so far.
blockstat() {
	echo 'info blockstats' >"$WORK/monitor.in"
	sed -n '/flush_operations=/ { p; q; }' <"$WORK/monitor.out" | tr ' ' '\n' | sed -n "s/^$1=//p"
}
# posts CONNECTIONS COUNT: appends to $WORK/ours.CONNECTIONS requests a second, and flushes for 1,000 to ...flushes.
posts() {
	load -n 200 -c "$1" -d x=1 "$url/insert" >"$WORK/load.out" # warms up
	posts_flushes=$(blockstat flush_operations)
	inside $on_client "$BENCH/load" -n "$2" -c "$1" -d x=1 "$url/insert" >"$WORK/load.out" || bad "every insertion is answered"
	posts_flushes=$(($(blockstat flush_operations) - posts_flushes))
	awk '$1 == "requests" { n = $2 } $1 == "seconds" { printf "%.0f\n", n / $2 }' "$WORK/load.out" >>"$WORK/ours.$1"
	echo $((posts_flushes * 1000 / $2)) >>"$WORK/ours.$1.flushes"
}
rate_of() { tr -d '\r' <"$1" | sed -n 's/.*inserts .*: \([0-9]*\)\/s$/\1/p'; }
inserts() {
	rm -f "$WORK"/ours.[0-9]* "$WORK/ours.inside" "$WORK"/rival.wal "$WORK"/rival.delete
	for n in $(seq "$RUNS"); do
		ours
		inside curl -sS -m 3000 -X POST -d x=1 "$url/inserts?n=200" >"$WORK/curl.out" # warms up
		inside curl -sS -m 3000 -X POST -d x=1 "$url/inserts?n=$COUNT" >"$WORK/curl.out"
		await "inserts $COUNT " "$log"
		rate_of "$log" | tail -n 1 >>"$WORK/ours.inside"
		posts 1 "$COUNT"
		posts 64 $((COUNT * 10))
		power_cut
		for mode in wal delete; do
			rival "inserts:/data/db:$mode:$COUNT"
			rate_of "$log" >>"$WORK/rival.$mode"
		done
	done
	for f in ours.inside ours.1 ours.64 rival.wal rival.delete ours.1.flushes ours.64.flushes; do
		echo "# $f: $(tr '\n' ' ' <"$WORK/$f")"
	done
	wal=$(median <"$WORK/rival.wal")
	gate "one writer, over SQLite in WAL mode" "$(ratio "$(median <"$WORK/ours.inside")" "$wal")" 2
	echo "# one writer over HTTP, over SQLite in WAL mode without: $(ratio "$(median <"$WORK/ours.1")" "$wal")"
	gate "64 writers over HTTP, over SQLite in WAL mode" "$(ratio "$(median <"$WORK/ours.64")" "$wal")" 10
	expect "flushes for 1,000 commits of one writer" 1000 median <"$WORK/ours.1.flushes"
	check "at most 50 flushes for 1,000 commits of 64 writers ($(median <"$WORK/ours.64.flushes"))" \
		test "$(median <"$WORK/ours.64.flushes")" -le 50
}

# --- speedtest1 ---------------------------------------------------------------------------------
# parts FILE: "NUMBER SECONDS" for each sub-test and TOTAL, from speedtest1's output in it.
parts() {
	tr -d '\r' <"$1" | sed -n 's/.* \([0-9][0-9]*\) - .*[. ]\([0-9]*\.[0-9]*\)s$/\1 \2/p; s/.*TOTAL[. ]*\([0-9]*\.[0-9]*\)s$/TOTAL \1/p'
}
speedtest() {
	rm -f "$WORK"/speed.*
	for n in $(seq "$RUNS"); do
		ours
		inside curl -sS -m 3000 -X POST -d x=1 "$url/speedtest?size=$SIZE" >"$WORK/curl.out" 2>&1
		await ' TOTAL' "$log"
		power_cut
		parts "$log" >>"$WORK/speed.ours"
		rival "speedtest1:--size:$SIZE:--journal:wal:/data/db"
		parts "$log" >>"$WORK/speed.rival"
	done
	# Of each sub-test the least of the runs: what else the machine does only adds.
	awk '!($1 in t) || $2 < t[$1] { t[$1] = $2 } !(FILENAME $1 in seen) { seen[FILENAME $1] = 1; n[$1]++ }
		FNR == 1 { file++ }
		file == 1 { if (!($1 in a) || $2 < a[$1]) a[$1] = $2; if (!($1 in o)) { o[$1] = ++c; name[c] = $1 } }
		file == 2 { if (!($1 in b) || $2 < b[$1]) b[$1] = $2 }
		END { for (i = 1; i <= c; i++) { k = name[i]; printf "%s %.3f %.3f %.2f\n", k, a[k], b[k], (a[k] > 0.0005 ? b[k] / a[k] : 9.99) } }' \
		"$WORK/speed.ours" "$WORK/speed.rival" >"$WORK/speed.table"
	awk '{ printf "# speedtest1 %-6s ours %8s s  rival %8s s  x %s\n", $1, $2, $3, $4 }' "$WORK/speed.table"
	check "speedtest1 ran to its end on both sides" grep -q '^TOTAL' "$WORK/speed.table"
	gate "speedtest1, size $SIZE, in all" "$(sed -n 's/^TOTAL .* //p' "$WORK/speed.table")" 1
	# (Below ten milliseconds the clock decides.)
	slow=$(awk '$1 != "TOTAL" && $4 < 0.8 && $2 > 0.010 { printf "%s(%s) ", $1, $4 }' "$WORK/speed.table")
	expect "each sub-test has at least 0.8 of the rival's speed" "" echo "$slow"
}

# --- Readers ------------------------------------------------------------------------------------
# Ten readers that ask without a pause (or every PACE_MS each), while nobody writes and while one does without a pause,
# in turns. (A guest that idles between two requests answers as fast as its host wakes it, which says little of us.)
# reading: appends to $WORK/readers.$1 the 50th and the 99th percentile.
reading() {
	inside $on_client "$BENCH/load" -n "$READS" -c 10 -w "$PACE_MS" "$url/read" >"$WORK/read.out" || bad "every read is answered"
	awk '$1 == "p50_us" { a = $2 } $1 == "p99_us" { print a, $2 }' "$WORK/read.out" >>"$WORK/readers.$1"
}
readers() {
	rm -f "$WORK"/readers.*
	ours
	load -n 20000 -c 64 -d x=1 "$url/insert" >"$WORK/load.out"
	load -n 200 -c 10 "$url/read" >"$WORK/load.out"
	for n in $(seq $((RUNS * 3))); do
		reading alone
		inside $on_client "$BENCH/load" -n 10000000 -c 1 -d x=1 "$url/insert" >"$WORK/writer.out" 2>&1 &
		writer=$!
		reading writer
		kill $writer
		wait $writer 2>/dev/null
	done
	power_cut
	for f in alone writer; do echo "# readers, $f, p50 and p99 in us: $(tr '\n' ';' <"$WORK/readers.$f")"; done
	alone=$(awk '{ print $2 }' "$WORK/readers.alone" | median) with=$(awk '{ print $2 }' "$WORK/readers.writer" | median)
	gate "ten readers' 99th percentile alone ($alone us), over that beside a writer ($with us)" "$(ratio "$alone" "$with")" 0.9
}

tools
network || { skip "the store beside Linux" "$network_why"; exit 0; }
build_ours || { tail "$WORK/build.log"; bad "the application is built"; exit 1; }
build_rival || { bad "the rival is built"; exit 1; }
rivals_versions
for what in ${*:-inserts speedtest readers}; do $what; done
exit $failed
