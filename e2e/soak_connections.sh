#!/bin/sh
# A connection for each request, again and again: none fails, the last cost what the first did, and nothing stays.
#
#	e2e/soak_connections.sh                  20,000 one after the other, 20,000 by 64 at a time
#	COUNT=1000000 e2e/soak_connections.sh    the long form (`./ingot test soak`)
#
# The guest closes first, so it is the guest that has TIME_WAIT, of which it can remember fewer than there are
# connections in a minute. In the second and third run the clients have 4,000 ports only: each SYN comes from a port
# that the guest remembers (RFC 6191), in the third one without timestamps.
#
# What gates: each connection is established and answered, none is reset; the clients' SYNs are (almost) never sent
# twice; the guest's instructions for a connection do not grow from the first tenth of a run to the last; afterwards
# as many items of each pool are in use as before, at once, and of TIME_WAIT when its minute has passed (long form).
# Connections per second are printed, and gate only in the long form: they are of this machine and this minute.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh
WORK=build/e2e/soak_connections
COUNTERS=$WORK/counters
COUNT=${COUNT:-20000}
MEMORY=${MEMORY:-64M}
LONG=100000 # from here on rates gate, and the end of TIME_WAIT is awaited
DIAGNOSE=9000
TIME_WAIT_S=60

network || { skip "connections over TAP" "$network_why"; exit 0; }
on_client=''
if [ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null 2>&1; then
	on_client='taskset -c 1'
fi
pin() {
	[ -z "$on_client" ] || for thread in /proc/$(pgrep -P "$guest" -f qemu-system)/task/*; do
		taskset -p -c 0 "${thread##*/}" >/dev/null 2>&1
	done
}

# The guest's own counters, "NAME VALUE" lines.
guest_counters() { inside curl -fsS --max-time 60 "$url:$DIAGNOSE/counters"; }
guest_counter() { guest_counters | sed -n "s/^$1 //p"; }
# What is in use of each pool but TIME_WAIT, whose entries end by time. (One connection is the question itself.)
pools() { guest_counters | grep '_in_use ' | grep -v '^time_waits\|^timers'; }
time_waits_end() { # within TIME_WAIT_S and a little
	for i in $(seq $((TIME_WAIT_S / 5 + 2))); do
		[ "$(guest_counter time_waits_in_use)" -gt 16 ] || return 0 # those of the questions
		sleep 5
	done
	guest_counters | grep _in_use
	return 1
}
syn_retransmissions() {
	inside awk '$1 == "TcpExt:" && !n { n = split($0, name); next } $1 == "TcpExt:" {
		for (i = 1; i <= n; i++) if (name[i] == "TCPSynRetrans") print $i }' /proc/net/netstat
}

# tenths FIELD: the tenths' values, in a line. last_and_median FIELD: two numbers.
tenths() { awk -v field="$1" '$1 == "part" { printf "%s ", $field }' "$WORK/load.out"; }
last_and_median() {
	last=$(awk -v field="$1" '$1 == "part" { last = $field } END { print last + 0 }' "$WORK/load.out")
	middle=$(awk -v field="$1" '$1 == "part" { print $field }' "$WORK/load.out" | median)
	middle=${middle:-0}
}
# connections NAME COUNT AT-A-TIME
connections() {
	name=$1
	syns=$(syn_retransmissions)
	inside $on_client "$BENCH/load" -C -n "$2" -c "$3" -t 10 -k "$COUNTERS" "$url/static.html" >"$WORK/load.out" 2>&1
	syns=$(($(syn_retransmissions) - syns))
	echo "# $name: $(sed -n 's/^requests //p' "$WORK/load.out") in $(sed -n 's/^seconds //p' "$WORK/load.out") s," \
		"$(grep '^p\|^max' "$WORK/load.out" | grep -v part | tr '\n' ' ')$syns SYNs sent again"
	echo "# $name, by tenths: $(tenths 3)connections/s"
	echo "# $name, by tenths: $(tenths 4)instructions for each"
	echo "# $name, by tenths: $(tenths 6)us at the 99th percentile"
	expect "$name: $2 are established, answered and closed" "requests $2 errors 0 unconnected 0 resets 0" \
		sh -c "grep '^requests\|^errors\|^unconnected\|^resets\|^load:' '$WORK/load.out' | tr '\n' ' ' | sed 's/ $//'"
	check "$name: SYNs are answered at once ($syns sent again)" test "$syns" -le $(($2 / 100))
	last_and_median 4
	check "$name: the last tenth costs what the median does ($last, $middle instructions)" \
		test "$last" -gt 0 -a $((last * 100)) -le $((middle * 150))
	[ "$2" -ge $LONG ] || return 0
	last_and_median 3
	last=$(awk '$1 == "part" { print $3 }' "$WORK/load.out" | tail -n 2 | sort -n | tail -n 1) # the better of two
	check "$name: no decay ($last/s at the end, median $middle/s)" test $((last * 100)) -ge $((middle * 70))
}
nothing_left() { # nothing_left NAME
	settle
	expect "$1: the pools are as before" "$(cat "$WORK/pools.before")" pools
}

tools
./ingot build examples/hello >"$WORK/build.log" 2>&1
boot_counted examples/hello --memory "$MEMORY" --diagnose $DIAGNOSE || { tail -n 15 "$log"; bad "hello boots"; exit 1; }
pin
load -n 200 -C "$url/static.html" >"$WORK/load.out" # warms up
settle
pools >"$WORK/pools.before"
guest_counters >"$WORK/counters.before"

connections "one after the other" "$COUNT" 1
nothing_left "one after the other"
inside sysctl -qw net.ipv4.ip_local_port_range="20000 23999"
recycled=$(guest_counter tcp_time_wait_recycled)
connections "64 at a time, 4,000 ports" "$COUNT" 64
nothing_left "64 at a time"
inside sysctl -qw net.ipv4.tcp_timestamps=0
connections "64 at a time without timestamps" $((COUNT / 4)) 64
nothing_left "64 at a time without timestamps"
recycled=$(($(guest_counter tcp_time_wait_recycled) - recycled))
check "most SYNs came from a port in TIME_WAIT ($recycled of $((COUNT + COUNT / 4)))" test "$recycled" -gt $((COUNT / 4))
[ "$COUNT" -lt $LONG ] || check "no TIME_WAIT is left after its minute" time_waits_end

guest_counters >"$WORK/counters.after"
awk 'NR == FNR { before[$1] = $2; next } $2 != before[$1] && !/_in_use/ { printf "#   %s +%.0f\n", $1, $2 - before[$1] }' \
	"$WORK/counters.before" "$WORK/counters.after"
expect "hello has not complained" "" complaints "$log"
stopped=$(date +%s)
stop
expect "hello ends in order" 0 echo $status
# A connection that the server had forgotten would hold it until the limit of its patience, ten seconds.
check "hello has no connection left to wait for" test $(($(date +%s) - stopped)) -lt 10
exit $failed
