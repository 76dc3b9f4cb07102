# What the scripts of e2e/ share. Source it from the repository's root:
#
#	. e2e/lib.sh
#	boot examples/hello --machine q35     # in the background; sets $url, $guest (its pid), $log
#	check "it answers" curl -fsS "$url/"
#	stop                                  # the power button; $status is how it ended
#
# Everything that was started is ended when the script ends.
set -u
export LC_ALL=C
WORK=${WORK_DIR:-build/e2e/$(basename "$0" .sh)}
mkdir -p "$WORK"
# Two runs of one script would write to the same files: the second one waits.
exec 8>"$WORK/lock"
flock 8
failed=0
guest='' url='' log='' status=0
PORT_BASE=${PORT_BASE:-$((20000 + $$ % 20000))}

# One build at a time: other scripts run meanwhile.
make() { flock build/lock env make "$@"; }

ok() { echo "ok - $1"; }
bad() {
	failed=1
	echo "not ok - $1"
}
skip() { echo "ok - $1 # skip $2"; }
# check NAME COMMAND...: the command's output is shown only when it fails.
check() {
	check_name=$1
	shift
	if "$@" >"$WORK/check.out" 2>&1; then
		ok "$check_name"
	else
		sed 's/^/#   /' "$WORK/check.out" | tail -n 15
		bad "$check_name"
	fi
}
# expect NAME VALUE COMMAND...: the command prints just VALUE.
expect() {
	expect_name=$1 expect_value=$2
	shift 2
	got=$("$@" 2>&1)
	if [ "$got" = "$expect_value" ]; then
		ok "$expect_name"
	else
		echo "# expected: $expect_value"
		echo "# got:      $got" | head -n 5
		bad "$expect_name"
	fi
}
# says NAME PATTERN FILE
says() {
	if grep -q -e "$2" "$3"; then
		ok "$1"
	else
		tail -n 8 "$3" | sed 's/^/#   /'
		bad "$1"
	fi
}

free_port() {
	while :; do
		PORT_BASE=$((PORT_BASE + 1))
		ss -Hltn "sport = :$PORT_BASE" 2>/dev/null | grep -q . || break
	done
	port=$PORT_BASE
}

# boot DIR [OPTION...]: false when it does not come up.
boot() {
	free_port
	url=http://127.0.0.1:$port
	log=$WORK/guest.$port.log
	: >"$log" # else the last one's words would be taken for this one's
	./ingot run "$1" --accel tcg --port "$port" $(shift; echo "$@") >"$log" 2>&1 &
	guest=$!
	boot_wait
}

# await PATTERN FILE: until a line of it says so; at most a minute, and whoever calls finds out what is missing.
await() {
	await_i=0
	until grep -q -e "$1" "$2" 2>/dev/null || [ $await_i -gt 1200 ]; do
		sleep 0.05
		await_i=$((await_i + 1))
	done
}

boot_wait() {
	i=0
	while [ $i -lt 3000 ]; do
		grep -q '^listening on ' "$log" && return 0
		kill -0 "$guest" 2>/dev/null || return 1
		sleep 0.05
		i=$((i + 1))
	done
	return 1
}

# stop: the power button, and waits; $status is the exit status.
stop() {
	[ -n "$guest" ] || return 0
	kill -TERM "$guest" 2>/dev/null
	wait "$guest"
	status=$?
	guest=''
}

# cut: the power is cut: QEMU is killed with no warning.
cut() {
	[ -n "$guest" ] || return 0
	qemu=$(pgrep -P "$guest" -f qemu-system)
	kill -KILL ${qemu:-$guest}
	wait "$guest" 2>/dev/null
	status=$?
	guest=''
}

# --- A network of its own -----------------------------------------------------------------------
# A namespace with a TAP interface: the guest at one end, the clients inside. In a script's order:
#
#	network || { skip "..." "$network_why"; exit 0; }
#	boot_tap examples/hello --memory 16M
#	inside curl "$url/"
#
# The guest has $guest_address, the clients have 10.77.0.1; $guest_words are further words of its command line.
ns='' network_why='' guest_address=10.77.0.2 guest_words=''
network() {
	ns=ingot-$$
	{ ip netns add "$ns" && ip -n "$ns" link set lo up &&
		ip -n "$ns" tuntap add dev tap0 mode tap &&
		ip -n "$ns" addr add 10.77.0.1/24 dev tap0 &&
		ip -n "$ns" link set tap0 up; } >"$WORK/network.out" 2>&1 && return 0
	network_why="no network namespace with a TAP interface: $(tail -n 1 "$WORK/network.out")"
	network_remove
	return 1
}
network_remove() {
	[ -n "$ns" ] || return 0
	for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
	ip netns del "$ns" 2>/dev/null
	ns=''
}
inside() { ip netns exec "$ns" "$@"; }

# boot_tap DIR [OPTION...]: as boot, on that network.
boot_tap() {
	url=http://$guest_address
	log=$WORK/guest.$(basename "$1").log
	: >"$log" # else the last one's words would be taken for this one's
	ip netns exec "$ns" ./ingot run "$1" --accel tcg --net tap:tap0 --append "ip=$guest_address/24,10.77.0.1 $guest_words" \
		$(shift; echo "$@") >"$log" 2>&1 &
	guest=$!
	boot_wait
}

# The same application as a process under the sanitizers, on that network.
# build_program DIR: sets $program. Ends the script when it cannot.
build_program() {
	program=build/host/program/$(basename "$1")
	./ingot build "$1" >"$WORK/build.log" 2>&1 &&
		flock build/lock make -s -j2 "$program" APP="${1%/}" >>"$WORK/build.log" 2>&1 && return 0
	tail -n 15 "$WORK/build.log" | sed 's/^/#   /'
	bad "$1 builds as a process"
	exit 1
}
# boot_program [OPTION...]: as boot_tap; $guest is the process itself.
boot_program() {
	url=http://$guest_address
	log=$WORK/$(basename "$program").log
	: >"$log" # else the last one's words would be taken for this one's
	ip netns exec "$ns" "$program" --tap tap0 --cmdline "ip=$guest_address/24,10.77.0.1 $guest_words" "$@" >"$log" 2>&1 &
	guest=$!
	i=0
	until grep -q 'http: listening on' "$log"; do
		i=$((i + 1))
		if [ $i -gt 2400 ] || ! kill -0 "$guest" 2>/dev/null; then
			tail -n 15 "$log" | sed 's/^/#   /'
			bad "$(basename "$program") starts as a process"
			return 1
		fi
		sleep 0.05
	done
}
# complaints LOG: what must not be in it.
complaints() { grep -A 12 -i 'Sanitizer\|runtime error\|assertion failed\|ingot stopped\|panic' "$1" | head -n 25; }

cleanup() {
	[ -z "$guest" ] || cut
	if command -v link_down >/dev/null 2>&1; then link_down; else network_remove; fi
	command -v teardown >/dev/null 2>&1 && teardown
	return 0
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# client COMMAND...: where the guest can be reached.
client() { if [ -n "$ns" ]; then inside "$@"; else "$@"; fi; }

# Signs a guestbook as a browser does: fetches the page, keeps the cookie, sends the token.
# sign URL NAME MESSAGE: the status of the answer (303 when signed).
sign() {
	jar=$WORK/cookies.$$
	rm -f "$jar"
	token=$(client curl -fsS --max-time 60 -c "$jar" "$1/" | sed -n 's/.*name="csrf" value="\([0-9a-f]*\)".*/\1/p' | head -n 1)
	client curl -sS --max-time 60 -o "$WORK/sign.out" -w '%{http_code}' -b "$jar" --data-urlencode "csrf=$token" \
		--data-urlencode "name=$2" --data-urlencode "message=$3" "$1/sign"
}
