#!/bin/sh
# What comes from the network and from the disk may be anything: the machine answers it with a clear
# error or not at all, loses nothing, lives on, and then still ends in order.
#
#	e2e/hostile.sh            against a guest in QEMU
#	e2e/hostile.sh --host     against the process under the sanitizers: quicker, and sees more
#
# CONNECTIONS (100000) are opened and dropped, within at most CONNECTION_SECONDS (45).
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
CONNECTIONS=${CONNECTIONS:-100000}
CONNECTION_SECONDS=${CONNECTION_SECONDS:-45}
SEED=${SEED:-1}
kind=guest
[ "${1-}" != --host ] || kind=process

network || { skip "the network may send anything" "$network_why"; exit 0; }
make -s build/e2e/frames build/e2e/connections >"$WORK/make.log" 2>&1 || { cat "$WORK/make.log"; bad "the tools build"; exit 1; }
[ $kind = guest ] || build_program examples/guestbook

# open_volume VOLUME
open_volume() {
	if [ $kind = guest ]; then
		boot_tap examples/guestbook --data "$1"
	else
		boot_program --data "$1"
	fi
}
answers() { [ "$(inside curl -sS -m 20 -o /dev/null -w '%{http_code}' "$url/")" = 200 ]; }
entries() { inside node e2e/entries.mjs "$url" | sort; }
# unharmed BY-WHAT: it runs, answers, has said nothing of a panic, and has all entries.
unharmed() {
	check "after $1 it answers" answers
	expect "after $1 its log has no panic" "" complaints "$log"
	entries >"$WORK/entries.now"
	check "after $1 the entries are there" cmp "$WORK/entries" "$WORK/entries.now"
	kill -0 "$guest" 2>/dev/null || { bad "after $1 it lives"; exit 1; }
}
# frames KIND COUNT
frames() {
	inside ping -c 1 -W 2 "$guest_address" >/dev/null 2>&1
	mac=$(ip -n "$ns" neigh show "$guest_address" | sed -n 's/.*lladdr \([^ ]*\).*/\1/p')
	inside build/e2e/frames "$1" tap0 "${mac:-52:54:00:12:34:56}" "$guest_address" "$2" "$SEED"
}

volume=$WORK/hostile.$kind.volume
rm -f "$volume"
open_volume "$volume" || { bad "the guestbook boots"; exit 1; }
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sign "$url" "Visitor $n" "$(printf '%0900d' $n)" >"$WORK/signed"; done
entries >"$WORK/entries"
expect "twelve entries are signed" 12 grep -c . "$WORK/entries"

inside node e2e/hostile.mjs "$guest_address" >"$WORK/requests" 2>&1 || failed=1
cat "$WORK/requests"
unharmed "bad requests"

ip netns exec "$ns" node e2e/slow.mjs "$guest_address" 200 6 >"$WORK/slow" 2>&1 &
slow=$!
sleep 1
served=0
for n in 1 2 3 4 5 6 7 8; do
	answers && served=$((served + 1))
	sleep 0.2
done
expect "a client is served while 200 others dribble" 8 echo $served
wait $slow || { cat "$WORK/slow"; bad "200 slow clients are connected"; }
unharmed "slow clients"

# Ports for all of them; those that the client closed first wait out their time.
inside sysctl -qw net.ipv4.ip_local_port_range='1024 65535' net.ipv4.tcp_tw_reuse=1
inside build/e2e/connections "$guest_address" "$CONNECTIONS" "$CONNECTION_SECONDS" >"$WORK/connections"
sed 's/^/# /' "$WORK/connections"
dropped=$(sed 's/ .*//' "$WORK/connections")
check "thousands of connections are opened and dropped" test "$dropped" -ge 5000
unharmed "$dropped connections, opened and dropped"

check "5,000 connection requests from nowhere are sent" frames syn 5000
unharmed "a flood of connection requests"
check "a connection sends 300 bytes that must be kept" frames hold 300
unharmed "bytes that must be kept"
check "20,000 garbage frames are sent" frames garbage 20000
unharmed "garbage frames"

stop
expect "after all of it, it ends in order" 0 echo $status

# --- The disk -----------------------------------------------------------------------------------
# A flipped byte: either it is said and refused, or what is served is right. `wrong` collects what is not.
FLIPS=${FLIPS:-$([ $kind = guest ] && echo 4 || echo 24)}
wrong='' served=0 refused=0 part=0
flip=0
while [ $flip -lt "$FLIPS" ]; do
	where=$(node e2e/flip.mjs "$volume" "$WORK/flipped.volume" $flip "$FLIPS")
	if open_volume "$WORK/flipped.volume" >"$WORK/open.out" 2>&1; then
		if inside node e2e/entries.mjs "$url" 2>/dev/null | sort >"$WORK/entries.now" && cmp -s "$WORK/entries" "$WORK/entries.now"; then
			served=$((served + 1))
		else
			part=$((part + 1))
			[ -z "$(comm -13 "$WORK/entries" "$WORK/entries.now")" ] || wrong="$wrong invented@$where"
			grep -q 'checksum\|corrupt\|damaged\|rot\|error' "$log" || wrong="$wrong silent@$where"
		fi
		stop
		[ "$status" -le 1 ] || wrong="$wrong status-$status@$where"
	else
		wait "$guest" 2>/dev/null
		status=$?
		guest=''
		refused=$((refused + 1))
		[ $status = 1 ] || wrong="$wrong status-$status@$where"
		grep -q 'ingot: ' "$log" || wrong="$wrong unsaid@$where"
	fi
	[ -z "$(complaints "$log")" ] || wrong="$wrong panic@$where"
	flip=$((flip + 1))
done
echo "# of $FLIPS volumes with a flipped byte $served made no difference, $part served a part and said so, $refused were refused"
expect "a flipped byte is never served as data, and never a panic" "" echo "${wrong# }"

for bad_volume in random short; do
	if [ $bad_volume = random ]; then
		head -c 4194304 /dev/urandom >"$WORK/$bad_volume.volume"
	else
		head -c $(($(stat -c %s "$volume") / 2 / 4096 * 4096)) "$volume" >"$WORK/$bad_volume.volume"
	fi
	cp --sparse=always "$WORK/$bad_volume.volume" "$WORK/copy.volume"
	if open_volume "$WORK/$bad_volume.volume" >/dev/null 2>&1; then
		stop
		bad "a $bad_volume volume is refused"
	else
		wait "$guest" 2>/dev/null
		expect "a $bad_volume volume is refused with status 1" 1 echo $?
		guest=''
		says "a $bad_volume volume is refused in words" "ingot: .*volume" "$log"
		sed -n 's/^\(ingot: .*\)/# \1/p' "$log"
	fi
	check "a $bad_volume volume is left as it was" cmp "$WORK/$bad_volume.volume" "$WORK/copy.volume"
done
rm -f "$WORK"/*.volume
exit $failed
