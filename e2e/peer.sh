#!/bin/sh
# A Linux peer, both directions, over a link that loses, reorders, repeats, corrupts and delays packets.
#
#	e2e/peer.sh                                   sizes for a minute and a half in all
#	SOAK=1 e2e/peer.sh                            100 MiB each, every row with every variant
#	ROWS='5 % loss' SEED=7 e2e/peer.sh            rows whose name matches, and the wire's seed
#
# At one end the TCP engine as a process (e2e/support/stream.c, with and without the sanitizers), or a whole guest
# in QEMU; at the other end Linux (e2e/support/client.c, curl). Whatever the link does, what arrives is what
# was sent, byte for byte. docs/testing-the-network.md says how to repeat one row by hand.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. e2e/link.sh
SOAK=${SOAK:-0} SEED=${SEED:-7} ROWS=${ROWS:-.}
MIB=1048576
FILE=$WORK/file.bin
stream='' stream_log='' stream_words='' stream_is='' LINK_GUEST_MTU=1500

programs() {
	flock build/lock make -s -j2 build/e2e/wire build/e2e/client build/e2e/stream build/e2e/stream-fast >"$WORK/make.log" 2>&1 && return
	tail -n 15 "$WORK/make.log" | sed 's/^/#   /'
	bad "the programs of peer.sh are built"
	exit 1
}
file_make() { # file_make MIB; $FILE_SIZE
	FILE_SIZE=$(($1 * MIB))
	[ "$(stat -c %s "$FILE" 2>/dev/null)" = "$FILE_SIZE" ] || build/e2e/client --make "$FILE_SIZE" >"$FILE"
}

# --- The engine as a process --------------------------------------------------------------------
# stream_start stream|stream-fast [WORDS of stream]: the one that runs stays if it is the same.
stream_start() {
	[ -z "$stream" ] || [ "$stream_is" != "$* $LINK_GUEST_MTU" ] || ! kill -0 "$stream" 2>/dev/null || return 0
	stream_stop
	stream_is="$* $LINK_GUEST_MTU" stream_words=$* stream_log=$WORK/stream.log
	stream_program=$1
	shift
	: >"$stream_log"
	ip netns exec "$ns" "build/e2e/$stream_program" --tap tap0 --address "$guest_address/24" --gateway 10.77.0.1 \
		--address6 "$guest_address6/64" --gateway6 fd77::1 --both "$BOTH" --file "$FILE" --window 1000000 "$@" >"$stream_log" 2>&1 &
	stream=$!
	peer_i=0
	until grep -q '^stream: up' "$stream_log"; do
		peer_i=$((peer_i + 1))
		if [ $peer_i -gt 1200 ] || ! kill -0 "$stream" 2>/dev/null; then
			sed 's/^/#   /' "$stream_log" | tail -n 5
			bad "stream $stream_words starts"
			return 1
		fi
		sleep 0.05
	done
}
stream_stop() {
	[ -n "$stream" ] || return 0
	kill "$stream" 2>/dev/null
	wait "$stream"
	stream_status=$?
	stream=''
	[ $stream_status = 0 ] || bad "stream $stream_words ends in order (status $stream_status)"
	peer_complaints=$(complaints "$stream_log")
	[ -z "$peer_complaints" ] || { echo "$peer_complaints" | sed 's/^/#   /'; bad "stream $stream_words has not complained"; }
}
teardown() { [ -z "$stream" ] || kill "$stream" 2>/dev/null; }

# --- One transfer -------------------------------------------------------------------------------
# What helps to understand a failure.
explain() {
	sed 's/^/#   /' "$WORK/client.out" | tail -n 5
	link_print | sed 's/^/#   /'
	if [ -n "$stream" ]; then
		kill -USR1 "$stream" && sleep 0.2
		tail -n 12 "$stream_log" | sed 's/^/#   /'
	else
		inside curl -sS -m 5 "http://$guest_address:9000/counters" 2>&1 | awk '$2 != 0' | tr '\n' ' ' | sed 's/^/#   /'
		echo
		tail -n 4 "$log" | sed 's/^/#   /'
	fi
	echo "#   again: SOAK=$SOAK SEED=$SEED ROWS='$row' e2e/peer.sh"
}
# transfer WHAT BYTES WANTED CLIENT-WORDS...: WANTED is what the client has to print ("" for anything).
transfer() {
	what=$1 bytes=$2 wanted=$3
	shift 3
	start=$(date +%s%N)
	peer timeout "$LIMIT" build/e2e/client "$@" >"$WORK/client.out" 2>&1
	client_status=$?
	took=$((($(date +%s%N) - start) / 1000000))
	name="$row: $what${stream_words:+ ($stream_words)}"
	if [ $client_status = 0 ] && { [ -z "$wanted" ] || grep -qx -e "$wanted" "$WORK/client.out"; }; then
		ok "$name, $(speed "$bytes" "$took")"
		return 0
	fi
	[ $client_status != 124 ] || echo "#   not finished in $LIMIT s" >>"$WORK/client.out"
	bad "$name"
	explain
	return 1
}
speed() { # speed BYTES MS
	awk -v b="$1" -v ms="$2" 'BEGIN {
		if (b >= 1000) printf "%d KiB in %.2f s, %.2f Mbit/s", b / 1024, ms / 1000, b * 8 / 1000 / (ms + 0.001)
		else printf "%d ms", ms }'
}
down() { transfer "download over $family" "$1" "" --line "$1" --recv "$1" "$address" 19 "$FILE"; }
up() { transfer "upload over $family" "$1" "ok $1" --send "$1" "$address" 9 "$FILE"; }
over() { # over IPv4|IPv6
	family=$1 address=$guest_address from=$peer_address
	[ "$1" = IPv4 ] || address=$guest_address6 from=$peer_address6
}

# --- Rows ---------------------------------------------------------------------------------------
# begin ROW MTU WORDS of wire...: sets the link; false: not this row.
begin() {
	row=$1 mtu=$2
	shift 2
	echo "$row" | grep -qe "$ROWS" || return 1
	LINK_GUEST_MTU=1500
	[ "$mtu" -le 1500 ] || LINK_GUEST_MTU=$mtu
	link_mtu "$mtu" && link_set "$@" --seed "$SEED" && return
	bad "$row: the link can be set to $*"
	return 1
}
# row ROW MTU KIB WORDS...: as much down and up, with one variant of the engine after the other.
ways='down up' turn=0
row() {
	kib=$3 row_mtu=$2
	begin "$1" "$2" $(shift 3; echo "$@") || return 0
	[ "$SOAK" = 0 ] || kib=$SOAK_KIB
	next_turn
	for variant in $variants; do
		stream_start $(echo "$variant" | tr _ ' ') || continue
		for row_family in $row_families; do
			over "$row_family"
			for way in $ways; do $way $((kib * 1024)); done
		done
		[ "$row" != corruption ] || corruption_seen
	done
	[ "$SOAK" = 0 ] || link_print | sed 's/^/# /'
}
# In the short form each row has one variant (a new process begins with a second of duplicate address
# detection) and one family; those about the MTU have both.
next_turn() {
	turn=$((turn + 1))
	variants='stream-fast stream_--plain' row_families=$families
	[ "$row_mtu" -ge 1280 ] || row_families=IPv4
	if [ "$SOAK" = 1 ]; then
		case $row in clean | "loss 1 %" | reordering* | corruption | *MTU*)
			variants='stream-fast stream-fast_--plain stream stream_--plain' ;;
		esac
		return
	fi
	variants=stream
	[ $turn -le 8 ] || variants=stream_--plain
	[ $turn -le 15 ] || variants=stream-fast
	case $row in *MTU*) return ;; esac
	row_families=IPv4
	[ $((turn % 2)) = 0 ] || row_families=IPv6
}
# Both ends believe the marks, so the queue never overflows.
marks_seen() {
	[ "$row" = "10 Mbit/s with marks" ] || return 0
	for way in ab ba; do
		check "$row: packets were marked ($way)" test "$(link_count $way marked)" -gt 0
		expect "$row: none was dropped ($way)" 0 link_count $way "queue full"
	done
}
corruption_seen() {
	kill -USR1 "$stream" && sleep 0.2
	wrong=$(sed -n 's/.* tcp_in_errs \([0-9]*\).*/\1/p' "$stream_log" | tail -n 1)
	check "corruption: the engine has dropped ${wrong:-no} segments for their checksum" test "${wrong:-0}" -gt 0
}

# RTTs, losses and rates as on real paths. Losses and delays are of each direction, but for the 20 %, which
# would be 36 % of the round trips.
matrix() {
	SOAK_KIB=102400
	row "clean" 1500 16384 --both none
	row "RTT 1 ms" 1500 8192 --both delay=500us
	row "RTT 40 ms" 1500 4096 --both delay=20ms
	row "RTT 200 ms" 1500 512 --both delay=100ms
	row "loss 0.1 %" 1500 4096 --both delay=5ms,loss=0.1
	row "loss 1 %" 1500 1024 --both delay=5ms,loss=1
	row "loss 1 % in bursts" 1500 1024 --both delay=5ms,loss=1,burst=5
	SOAK_KIB=20480 # Linux takes minutes for a MiB
	row "loss 5 %" 1500 384 --both delay=1ms,loss=5
	SOAK_KIB=2048
	ways=down
	row "loss 20 %" 1500 64 --ab delay=500us,loss=20 --ba delay=500us
	ways=up
	row "loss 20 %" 1500 64 --ab delay=500us --ba delay=500us,loss=20
	ways='down up'
	SOAK_KIB=102400
	row "reordering 25 %" 1500 1024 --both delay=5ms,reorder=25
	row "jitter out of order" 1500 1024 --both delay=5ms,jitter=2ms,unordered
	row "duplication" 1500 8192 --both delay=500us,duplicate=10
	row "corruption" 1500 2048 --both delay=500us,corrupt=1
	row "10 Mbit/s" 1500 1024 --both rate=10M,queue=64k,delay=5ms
	row "100 Mbit/s with a small queue" 1500 4096 --both rate=100M,queue=32k,delay=5ms
	peer sysctl -qw net.ipv4.tcp_ecn=1 # Linux asks for it
	row "10 Mbit/s with marks" 1500 1024 --both rate=10M,queue=256k,ecn=20k,delay=5ms && marks_seen
	peer sysctl -qw net.ipv4.tcp_ecn=2
	row "flaps" 1500 2048 --both delay=5ms,rate=20M,queue=64k,flap=200ms/1s
	row "MTU 576" 576 4096 --both delay=500us
	row "MTU 1280" 1280 8192 --both delay=500us
	row "MTU 9000" 9000 16384 --both delay=500us
	row "path MTU 1280" 1500 4096 --both delay=500us,mtu=1280
	row "path MTU 1280, a black hole" 1500 512 --both delay=500us,mtu=1280,black-hole
}

# What connections do besides carrying bytes.
manners() {
	begin "manners" 1500 --both delay=20ms,loss=0.1 || return 0
	for variant in stream stream_--plain; do
		stream_start $(echo "$variant" | tr _ ' ') || continue
		for row_family in $families; do
			[ "$SOAK" = 1 ] || [ "$variant:$row_family" = stream:IPv4 ] || [ "$variant:$row_family" = stream_--plain:IPv6 ] || continue
			over "$row_family"
			manners_of_each
		done
		manners_at_the_end
	done
}
manners_of_each() {
	n=$((256 * 1024))
	transfer "echo over $family" $n "" --send $n --recv $n "$address" 7 "$FILE"
	transfer "both directions at once over $family" "$BOTH" "ok $BOTH" --send "$BOTH" --recv "$BOTH" "$address" 21 "$FILE"
	transfer "urgent data stays in its place over $family" $n "ok $n" --oob --send $n "$address" 9 "$FILE"
	transfer "the engine's reader sleeps over $family" $((3 * MIB)) "ok $((3 * MIB))" --send $((3 * MIB)) "$address" 20 "$FILE"
	transfer "Linux's reader sleeps over $family" $MIB "" --line $MIB --recv $MIB --pause 1500 --buffer 20000 "$address" 19 "$FILE"
	transfer "the engine closes first, and takes what comes later, over $family" $n "" --send $n --recv 1000 "$address" 23 "$FILE"
	transfer "both close at once over $family" 1000 "" --wait 25 --recv 1000 "$address" 23 "$FILE"
	transfer "Linux resets while it sends over $family" $n "reset" --send $n --reset "$address" 9 "$FILE"
	transfer "Linux resets while it receives over $family" $n "reset" --line $n --recv $n --reset "$address" 19 "$FILE"
	transfer "the engine resets over $family" $n "reset by the peer" --send $n --want-reset "$address" 24 "$FILE"
	active "the engine connects and sends over $family" put --recv
	active "the engine connects and receives over $family" get --send
}
# active WHAT put|get --recv|--send: a Linux listener, and the engine connects to it.
active() {
	peer timeout 60 build/e2e/client --listen "$3" $n "$from" 5001 "$FILE" >"$WORK/listener.out" 2>&1 &
	listener=$!
	peer_i=0
	until grep -q listening "$WORK/listener.out" || [ $peer_i -gt 3000 ]; do sleep 0.02; peer_i=$((peer_i + 1)); done
	expected="ok $n"
	[ "$2" = get ] || expected="ok 0"
	transfer "$1" $n "$expected" --line "$2 $from 5001 $n" "$address" 25 "$FILE"
	wait $listener || { sed 's/^/#   /' "$WORK/listener.out"; bad "manners: $1: the listener got all"; }
}
manners_at_the_end() {
	sleep 0.3
	kill -USR1 "$stream" && sleep 0.2
	says "manners: zero windows were probed (${variant})" 'tcp_zero_window_probes [1-9]' "$stream_log"
	says "manners: two closed at the same time (${variant})" '^closing' "$stream_log"
	says "manners: resets were noticed (${variant})" '^port 9: reset after' "$stream_log"
	expect "manners: all is given back (${variant})" "in use: connections 0, half-open 0, tx frames 0, rx frames 0" \
		sh -c "grep '^in use' $stream_log | tail -n 1"
}

# --- A whole guest ------------------------------------------------------------------------------
guest_make() { # guest_make MIB
	guest_app=$WORK/peerapp
	mkdir -p "$guest_app"
	sed "s/^#define BYTES.*/#define BYTES ($1 * 1048576)/" e2e/support/peer_app.c >"$guest_app/new"
	if cmp -s "$guest_app/new" "$guest_app/app.c"; then rm "$guest_app/new"; else mv "$guest_app/new" "$guest_app/app.c"; fi
	./ingot build "$guest_app" >"$WORK/build.log" 2>&1 && return
	tail -n 15 "$WORK/build.log" | sed 's/^/#   /'
	bad "the guest is built"
	return 1
}
# guest_start NAME QEMU-WORDS: with or without offloads.
guest_start() {
	guest_kind=$1
	log=$WORK/guest.peerapp.log
	: >"$log"
	ip netns exec "$ns" ./ingot run "$guest_app" --accel tcg --net tap:tap0 --memory "${GUEST_MEMORY:-128M}" \
		--append "ip=$guest_address/24,10.77.0.1 ip6=$guest_address6/64,fd77::1" --diagnose 9000 \
		--qemu "$2" >"$log" 2>&1 &
	guest=$!
	boot_wait && inside curl -sS -m 60 -o /dev/null "http://$guest_address/big?n=8" && guest_families && return
	tail -n 8 "$log" | sed 's/^/#   /'
	bad "the guest $guest_kind boots"
	return 1
}
# In the short form only the guest that uses all speaks both.
guest_families() {
	families='IPv4 IPv6'
	case $SOAK:$guest_kind in
	0:"without TSO") families=IPv4 ;;
	0:"without offloads") families=IPv6 ;;
	esac
	[ "$families" = IPv4 ] || inside ping -6 -c 3 -i 0.5 -w 5 "$guest_address6" >/dev/null 2>&1 && return
	bad "the guest $guest_kind has its IPv6 address"
}
guest_url() { if [ "$family" = IPv4 ]; then echo "http://$guest_address$1"; else echo "http://[$guest_address6]$1"; fi; }
# hashed WHAT BYTES WANTED COMMAND...: its output is WANTED.
hashed() {
	what=$1 bytes=$2 wanted=$3
	shift 3
	start=$(date +%s%N)
	got=$(peer timeout "$LIMIT" "$@" 2>"$WORK/client.out")
	took=$((($(date +%s%N) - start) / 1000000))
	name="$row: $what over $family (a guest $guest_kind)"
	if [ "$got" = "$wanted" ]; then
		ok "$name, $(speed "$bytes" "$took")"
	else
		echo "$got, not $wanted" >>"$WORK/client.out"
		bad "$name"
		explain
	fi
}
guest_down() {
	hashed "download" "$1" "$(head -c "$1" "$FILE" | sha256sum)" \
		sh -c "curl -sS --no-buffer '$(guest_url "/big?n=$1")' | sha256sum"
}
guest_up() { hashed "upload in POSTs" "$1" "all hashes are right" node e2e/post.mjs "$(guest_url /hash)" "$FILE" "$1"; }
# guest_row ROW MTU KIB-DOWN KIB-UP WORDS...
guest_row() {
	guest_kib=$3 guest_up_kib=$4 row_mtu=$2
	begin "$1" "$2" $(shift 4; echo "$@") || return 0
	[ "$SOAK" = 0 ] || { guest_kib=$SOAK_KIB guest_up_kib=$((SOAK_KIB / 10)); }
	row_families=$families
	[ "$row_mtu" -ge 1280 ] || row_families=IPv4
	for row_family in $row_families; do
		over "$row_family"
		guest_down $((guest_kib * 1024))
		[ "$guest_up_kib" = 0 ] || guest_up $((guest_up_kib * 1024))
	done
}
guest_matrix() {
	SOAK_KIB=102400
	guest_row "clean" 1500 8192 1024 --both none
	guest_row "RTT 40 ms" 1500 2048 512 --both delay=20ms
	guest_row "loss 1 %" 1500 512 256 --both delay=5ms,loss=1
	guest_row "reordering 25 %" 1500 512 256 --both delay=5ms,reorder=25
	guest_row "corruption" 1500 1024 512 --both delay=500us,corrupt=1
	[ "$SOAK" = 0 ] || {
		guest_row "RTT 1 ms" 1500 0 0 --both delay=500us
		guest_row "RTT 200 ms" 1500 0 0 --both delay=100ms
		guest_row "loss 0.1 %" 1500 0 0 --both delay=5ms,loss=0.1
		SOAK_KIB=20480
		guest_row "loss 5 %" 1500 0 0 --both delay=1ms,loss=5
		SOAK_KIB=2048
		guest_row "loss 20 %" 1500 0 0 --both delay=500us,loss=20
		SOAK_KIB=102400
		guest_row "duplication" 1500 0 0 --both delay=500us,duplicate=10
		guest_row "10 Mbit/s" 1500 0 0 --both rate=10M,queue=64k,delay=5ms
	}
	guest_row "100 Mbit/s with a small queue" 1500 1024 0 --both rate=100M,queue=32k,delay=5ms
	guest_row "MTU 576" 576 1024 256 --both delay=500us
	guest_row "MTU 9000" 9000 4096 0 --both delay=500us
	guest_row "path MTU 1280" 1500 1024 256 --both delay=500us,mtu=1280
}
# Whether the guest leaves the cutting of large bodies to its device, or does it itself.
guest_cuts() {
	begin "segmentation" 1500 --both none || return 0
	frames_before=$(inside cat /sys/class/net/tap0/statistics/rx_packets)
	over "${families##* }"
	guest_down $MIB
	frames=$(($(inside cat /sys/class/net/tap0/statistics/rx_packets) - frames_before))
	if [ "$guest_kind" = "with TSO" ]; then
		check "segmentation: a guest with TSO gives large frames to its device ($frames for 1 MiB)" test $frames -lt 300
	else
		check "segmentation: a guest $guest_kind cuts them itself ($frames for 1 MiB)" test $frames -gt 700
	fi
}
guests() {
	stream_stop
	stream_words=''
	guest_make "$([ "$SOAK" = 0 ] && echo 16 || echo 100)" || return
	[ "$SOAK" = 0 ] || GUEST_MEMORY=512M
	link_mtu 1500
	for guest_words in "with TSO|" "without TSO|host_tso4=off host_tso6=off" "without offloads|host_tso4=off host_tso6=off csum=off"; do
		qemu_words=''
		for word in ${guest_words#*|}; do qemu_words="$qemu_words -global virtio-net-device.$word"; done
		guest_start "${guest_words%%|*}" "$qemu_words" || continue
		guest_matrix
		guest_cuts
		expect "the guest $guest_kind has not complained" "" complaints "$log"
		stop
		expect "the guest $guest_kind ends in order" 0 echo "$status"
	done
}

programs
LIMIT=120 BOTH=$((2 * MIB))
if [ "$SOAK" = 0 ]; then file_make 16; else file_make 100 && LIMIT=3600 BOTH=$FILE_SIZE; fi
build/e2e/wire --self-test || failed=1
link_up || { skip "a Linux peer" "$network_why"; exit $failed; }
families='IPv4 IPv6'
[ "${ONLY-}" = guests ] || { matrix; manners; }
stream_stop
guests
exit $failed
