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
stream='' stream_log='' stream_words=''

programs() {
	flock build/lock make -s -j2 build/e2e/wire build/e2e/client build/e2e/stream build/e2e/stream-fast >"$WORK/make.log" 2>&1 && return
	tail -n 15 "$WORK/make.log" | sed 's/^/#   /'
	bad "the programs of peer.sh are built"
	exit 1
}
file_make() { # of random bytes; $FILE_SIZE
	FILE_SIZE=$((${1} * MIB))
	[ "$(stat -c %s "$FILE" 2>/dev/null)" = "$FILE_SIZE" ] || head -c "$FILE_SIZE" /dev/urandom >"$FILE"
}

# --- The engine as a process --------------------------------------------------------------------
# stream_start stream|stream-fast [WORDS of stream]
stream_start() {
	stream_stop
	stream_words=$* stream_log=$WORK/stream.log
	stream_program=$1
	shift
	: >"$stream_log"
	ip netns exec "$ns" "build/e2e/$stream_program" --tap tap0 --address "$guest_address/24" --gateway 10.77.0.1 \
		--file "$FILE" --window 1000000 "$@" >"$stream_log" 2>&1 &
	stream=$!
	peer_i=0
	until grep -q '^stream: up' "$stream_log"; do
		peer_i=$((peer_i + 1))
		if [ $peer_i -gt 200 ] || ! kill -0 "$stream" 2>/dev/null; then
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
	awk -v b="$1" -v ms="$2" 'BEGIN { if (b >= 1000) printf "%.2f MiB at %.1f Mbit/s", b / 1048576, b * 8 / 1000 / (ms + 0.001); else printf "%d ms", ms }'
}
down() { transfer "download" "$1" "" --line "$1" --recv "$1" "$address" 19 "$FILE"; }
up() { transfer "upload" "$1" "ok $1" --send "$1" "$address" 9 "$FILE"; }

# --- Rows ---------------------------------------------------------------------------------------
# begin ROW MTU WORDS of wire...: false: not this time.
begin() {
	row=$1 mtu=$2
	shift 2
	echo "$row" | grep -qe "$ROWS" || return 1
	LINK_GUEST_MTU=$([ "$mtu" -gt 1500 ] && echo "$mtu" || echo 1500)
	link_mtu "$mtu" && link_set "$@" --seed "$SEED" && return
	bad "$row: the link can be set to $*"
	return 1
}
