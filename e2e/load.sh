#!/bin/sh
# Load from 64 connections over TAP: no errors, and no decay from one run to the next.
#
#	e2e/load.sh                              5 runs of 2 s of each kind
#	RUNS=10 SECONDS_EACH=30 e2e/load.sh      the long form
#
# What gates: no error, and the guest's instructions for a request do not grow from run to run (by the plugin
# of bench/, whatever else this machine is doing). Requests per second are of this machine, this minute and an
# emulated processor: they are printed, and gate only in the long form (runs of 10 s or more), where the better
# of the last two must reach 70 % of the median.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh
WORK=build/e2e/load
RUNS=${RUNS:-5}
SECONDS_EACH=${SECONDS_EACH:-2}

network || { skip "load over TAP" "$network_why"; exit 0; }
# The guest on one processor, its clients on another one.
on_guest='' on_client=''
if [ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null 2>&1; then
	on_guest=0 on_client=1
fi
pin() {
	[ -z "$on_guest" ] || for thread in /proc/$(pgrep -P "$guest" -f qemu-system)/task/*; do
		taskset -p -c $on_guest "${thread##*/}" >/dev/null 2>&1
	done
}
# run WRK-OPTION...: appends to rates (requests/s), costs (instructions per request) and errors.
run() {
	settle
	before=$(counter instructions)
	inside ${on_client:+taskset -c $on_client} wrk -t1 -c64 -d "${SECONDS_EACH}s" --timeout 10s "$@" >"$WORK/wrk.out" 2>&1
	settle
	requests=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$WORK/wrk.out")
	grep 'Socket errors\|Non-2xx\|unable' "$WORK/wrk.out" >>"$WORK/errors"
	sed -n 's/^Requests\/sec: *\([0-9]*\).*/\1/p' "$WORK/wrk.out" >>"$WORK/rates"
	echo $((($(counter instructions) - before) / (${requests:-0} + 1))) >>"$WORK/costs"
}
median() { sort -n "$1" | sed -n "$(((RUNS + 1) / 2))p"; }
# steady NAME WRK-OPTION...
steady() {
	steady_name=$1
	shift
	for f in errors rates costs; do : >"$WORK/$f"; done
	for n in $(seq "$RUNS"); do run "$@"; done
	echo "# $steady_name: $(tr '\n' ' ' <"$WORK/rates")requests/s"
	echo "# $steady_name: $(tr '\n' ' ' <"$WORK/costs")instructions for a request"
	expect "$steady_name: no socket error and no answer but 2xx in $RUNS runs" "" cat "$WORK/errors"
	check "$steady_name: a request costs no more in the last run" \
		test "$(($(tail -n 1 "$WORK/costs") * 100))" -le "$(($(median "$WORK/costs") * 150))"
	[ "$SECONDS_EACH" -ge 10 ] || return 0
	last=$(tail -n 2 "$WORK/rates" | sort -n | tail -n 1)
	check "$steady_name: no decay" test "$((${last:-0} * 100))" -ge "$(($(median "$WORK/rates") * 70))"
}

tools
./ingot build examples/hello >/dev/null && ./ingot build examples/guestbook >/dev/null
boot_counted examples/hello || { tail -n 15 "$log"; bad "hello boots"; exit 1; }
pin
steady "a static page, kept alive" "$url/static.html"
steady "a static page, a connection each" -H 'Connection: close' "$url/static.html"
check "hello still answers" inside curl -fsS -m 60 -o /dev/null "$url/static.html"
expect "hello has not complained" "" complaints "$log"
stop
expect "hello ends in order" 0 echo $status

rm -f "$WORK/load.volume"
boot_counted examples/guestbook --data "$WORK/load.volume" || { tail -n 15 "$log"; bad "guestbook boots"; exit 1; }
pin
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sign "$url" "Visitor $n" "Entry number $n" >"$WORK/signed"; done
steady "the guestbook, kept alive" "$url/"
steady "the guestbook, a connection each" -H 'Connection: close' "$url/"
expect "the guestbook shows its ten entries still" 10 sh -c "ip netns exec $ns curl -fsS -m 60 $url/ | grep -c '<article'"
expect "guestbook has not complained" "" complaints "$log"
stop
expect "guestbook ends in order" 0 echo $status
sed -n 's/.*\(http: [0-9]* requests.*\)/# \1/p' "$log"
exit $failed
