#!/bin/sh
# Many idle connections to a guest with 256 MiB: each one answers still, a newcomer is served at once, and neither
# a packet, nor a request, nor the idle machine costs more because of them. All is given back in the end.
#
#	e2e/idle.sh                  50,000
#	COUNT=60000 ROUNDS=20 e2e/idle.sh
#
# Instructions come from bench/'s plugin: whatever else this machine is doing, they are the guest's. They know
# nothing of caches, so this shows that no work grows with the number of connections, not that memory is free.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh
WORK=build/e2e/idle
COUNTERS=$WORK/counters
COUNT=${COUNT:-50000}
ROUNDS=${ROUNDS:-2} # of opening all, asking all, closing all
AT_ONCE=8           # requests at a time while counting
BYTES=8             # of a request's head, each in a packet of its own
SOURCES='10.77.0.11 10.77.0.12 10.77.0.13 10.77.0.14' # an address alone has 64,000 ports

network || { skip "$COUNT idle connections" "$network_why"; exit 0; }
tools
make -s build/e2e/hold >"$WORK/make.log" 2>&1 || { cat "$WORK/make.log"; bad "the tool builds"; exit 1; }
./ingot build examples/hello >"$WORK/build.log" 2>&1 || { cat "$WORK/build.log"; bad "hello builds"; exit 1; }
for source in $SOURCES; do ip -n "$ns" addr add "$source/24" dev tap0; done
inside sysctl -qw net.ipv4.ip_local_port_range='1024 65535' net.ipv4.tcp_tw_reuse=1

# They are idle for longer than the server's own limit if this machine is slow.
boot_counted examples/hello --memory 256M --diagnose 9000 \
	--append "ip=$guest_address/24,10.77.0.1 keep-alive=900 debug" || { tail -n 15 "$log"; bad "hello boots"; exit 1; }

# look NAME: one of the guest's counters.
look() { inside curl -fs -m 20 "http://$guest_address:9000/counters" 2>&1 | sed -n "s/^$1 //p"; }

# --- The clients: some processes, since one may not have as many files ---
files=$(ulimit -Hn)
[ "$files" != unlimited ] && [ "$files" -lt 100000 ] || files=100000
workers=$((COUNT / (files - 100) + 1))
each=$(((COUNT + workers - 1) / workers))
COUNT=$((each * workers))
w=1
while [ $w -le $workers ]; do
	rm -f "$WORK/in.$w" "$WORK/out.$w"
	mkfifo "$WORK/in.$w" "$WORK/out.$w"
	inside build/e2e/hold "$guest_address" /static.html $SOURCES <"$WORK/in.$w" >"$WORK/out.$w" 2>"$WORK/hold.$w" &
	sleep 1000000 >"$WORK/in.$w" 8>&- & # keeps it open between commands
	keepers="${keepers-} $!"
	w=$((w + 1))
done
teardown() { for pid in ${keepers-}; do kill "$pid" 2>/dev/null; done; }
# tell N COMMAND...: the first N workers, one after the other; their answers are in $WORK/answers.
tell() {
	tell_n=$1
	shift
	: >"$WORK/answers"
	w=1
	while [ $w -le "$tell_n" ]; do
		echo "$*" >"$WORK/in.$w"
		head -n 1 <"$WORK/out.$w" >>"$WORK/answers"
		w=$((w + 1))
	done
}
# sum: of the first numbers of the answers; failures: of those before "failed".
sum() { awk '{ n += $1 } END { print n + 0 }' "$WORK/answers"; }
failures() { awk '{ n += $3 } END { print n + 0 }' "$WORK/answers"; }
# asked N-WORKERS COMMAND...: prints the guest's instructions for it.
asked() {
	settle
	asked_before=$(counter instructions)
	tell "$@"
	settle
	echo $(($(counter instructions) - asked_before))
}
# cost WORKERS EACH: instructions for a request, and for a packet that is just a byte of one.
cost() {
	cost_n=$(($1 * $2))
	whole=$(asked "$1" ask "$2" $AT_ONCE)
	[ "$(sum)" = $cost_n ] || echo "$(sum) of $cost_n answered" >>"$WORK/unanswered"
	pieces=$(asked "$1" dribble "$2" $AT_ONCE $BYTES)
	[ "$(sum)" = $cost_n ] || echo "$(sum) of $cost_n answered in pieces" >>"$WORK/unanswered"
	echo $((whole / cost_n)) $(((pieces - whole) / (cost_n * BYTES)))
}
least() { sort -n | head -n 1; }
idle() {
	for idle_i in 1 2 3; do
		idle_before=$(counter instructions)
		sleep 2
		echo $((($(counter instructions) - idle_before) / 2))
	done | least
}
# What else this machine does changes how many packets one wake-up of the guest takes in, and so can only add:
# of several measurements the least counts. lowest FILE: of each column.
lowest() { awk 'NR == 1 || $1 < a { a = $1 } NR == 1 || $2 < b { b = $2 } END { print a, b }' "$1"; }
figures() {
	read -r few_request few_packet <<-END
		$(lowest "$WORK/few")
	END
	read -r some_request some_packet <<-END
		$(lowest "$WORK/some")
	END
	read -r many_request many_packet <<-END
		$(lowest "$WORK/many")
	END
}
# no_more OLD NEW: within 5 %.
no_more() { [ "$2" -le $(($1 + $1 / 20)) ]; }
all_alike() { no_more "$few_packet" "$many_packet" && no_more "$some_request" "$many_request"; }
newcomer() { inside curl -fsS -m 60 -o /dev/null -w '%{time_total}\n' "$url/hello"; }

: >"$WORK/unanswered"
bytes=$(look idle_connection_bytes)
sed -n 's/.*boot: \([0-9]* connections of.*\)/# \1/p' "$log"
check "an idle connection has at most 1 KiB in TCP and HTTP ($bytes bytes)" test "${bytes:-9999}" -le 1024

for f in few some many; do : >"$WORK/$f"; done
tell 1 open 10
for n in 1 2 3; do cost 1 4000 >>"$WORK/few"; done
tell $workers open $((5000 / workers))
for n in 1 2; do cost $workers $((5000 / workers)) >>"$WORK/some"; done

round=1
while [ $round -le "$ROUNDS" ]; do
	tell $workers open $each
	expect "round $round: $COUNT connections are established, none fails" "$COUNT 0" echo "$(sum) $(failures)"
	if [ $round = 1 ]; then
		check "they hold no exchange while they are idle" test "$(look http_exchanges_in_use)" = 0
		expect "and no received buffer" 0 look rx_frames_in_use
		idle >"$WORK/idle"
		check "the machine is idle with them: $(cat "$WORK/idle") instructions a second" \
			test "$(cat "$WORK/idle")" -le 50000
		for n in 1 2 3 4 5 6; do
			cost $workers $each >>"$WORK/many"
			figures
			all_alike && break
		done
		echo "# instructions with 10, 5,000 and $COUNT connections: $few_packet, $some_packet and $many_packet for a packet;" \
			"$few_request, $some_request and $many_request for a request"
		check "a small packet costs no more with $COUNT connections than with 10, within 5 %" \
			no_more "$few_packet" "$many_packet"
		# (With ten, each has its next request before its timers run out.)
		check "a request on a connection that was idle costs no more with $COUNT than with 5,000, within 5 %" \
			no_more "$some_request" "$many_request"
	fi
	for n in 1 2 3 4 5 6; do newcomer; sleep 0.2; done >"$WORK/newcomers" 2>&1 &
	newcomers=$!
	tell $workers ask $each 500
	expect "round $round: each of them answers, 500 at a time" "$COUNT 0" echo "$(sum) $(failures)"
	wait $newcomers
	expect "round $round: six newcomers are served meanwhile" 6 grep -c '^[0-9.]*$' "$WORK/newcomers"
	newcomer >>"$WORK/newcomers"
	expect "round $round: and one afterwards" 7 grep -c '^[0-9.]*$' "$WORK/newcomers"
	echo "# the slowest of them took $(sort -n "$WORK/newcomers" | tail -n 1) s"
	tell $workers close
	expect "round $round: none of them had been closed by the guest" 0 sum
	i=0
	until [ "$(look connections_in_use)" = 1 ] || [ $i -gt 240 ]; do sleep 0.5; i=$((i + 1)); done
	expect "round $round: all is given back" "1 0 0 0 0" echo \
		$(for name in connections_in_use http_connections_in_use http_exchanges_in_use rx_frames_in_use http_connections_queued; do look $name; done)
	round=$((round + 1))
done
expect "every request was answered while counting" "" cat "$WORK/unanswered"
expect "nobody was shed" 0 look http_shed
expect "the guest has not complained" "" complaints "$log"
stop
expect "it ends in order" 0 echo $status
exit $failed
