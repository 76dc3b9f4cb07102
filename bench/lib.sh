# What the scripts of bench/ share, on top of e2e/lib.sh (results, the network namespace, clean-up).
# Source it from the repository's root, after e2e/lib.sh.
#
#	tools                                   # builds the plugin, the load and the command
#	boot_counted examples/hello --memory 8M # as boot_tap, with counters
#	before=$(counter instructions); load -n 100 "$url/"; after=$(counter instructions)
#	settle                                  # waits until the guest is idle
BENCH=build/bench
WORK=$BENCH
mkdir -p "$WORK"
COUNTERS=$WORK/counters
INGOT_HOME=$PWD
export INGOT_HOME

tools() {
	make -s bench-tools >"$WORK/make.log" 2>&1 || {
		tail -n 20 "$WORK/make.log"
		bad "the plugin and the load of bench/ are built"
		exit 1
	}
}

load() { inside "$BENCH/load" "$@"; }

# counter NAME: its value; the order is that of struct counters in plugin/insns.c.
counter() {
	od -An -v -tu8 -w56 "$COUNTERS" | awk -v name="$1" '
		BEGIN { split("instructions loaded_ns entry_ns entry_instructions io_reads io_writes notifications", n) }
		{ for (i in n) if (n[i] == name) print $i }'
}

# Two samples a little apart that are (almost) the same: what was begun is done.
settle() {
	settle_before=$(counter instructions)
	for settle_i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		sleep 0.05
		settle_after=$(counter instructions)
		[ $((settle_after - settle_before)) -gt 2000 ] || return 0
		settle_before=$settle_after
	done
}

# Each line with the wall clock before it, in nanoseconds since 1970.
stamp() {
	while IFS= read -r line; do
		echo "$(date +%s%N) $line"
	done
}

# boot_with QEMU-WORDS DIR [OPTION...]: in the namespace; sets $url, $log, $guest. False: did not come up.
boot_with() {
	words=$1 dir=$2
	shift 2
	url=http://$guest_address
	log=$WORK/$(basename "$dir").log
	rm -f "$WORK/lines" "$log"
	mkfifo "$WORK/lines"
	stamp <"$WORK/lines" >"$log" &
	ip netns exec "$ns" build/ingot run "$dir" --accel tcg --net tap:tap0 \
		--append "ip=$guest_address/24,10.77.0.1" --qemu "$words" "$@" >"$WORK/lines" 2>&1 &
	guest=$!
	i=0
	while [ $i -lt 7500 ]; do
		grep -q ' listening on ' "$log" 2>/dev/null && return 0
		kill -0 "$guest" 2>/dev/null || return 1
		sleep 0.02
		i=$((i + 1))
	done
	return 1
}

# boot_counted DIR [OPTION...]; PLUGIN_OPTIONS: more for the plugin; QEMU_WORDS: more for QEMU.
boot_counted() {
	rm -f "$COUNTERS"
	entry=$(readelf -h "$(image_of "$1")" | sed -n 's/.*Entry point address: *//p')
	boot_with "-plugin $BENCH/insns.so,counters=$COUNTERS,entry=$entry${PLUGIN_OPTIONS-} ${QEMU_WORDS-}" "$@"
}

image_of() { echo "$1/.ingot/$(basename "$1").elf"; }

# grown NAME COMMAND...: by how much a counter has grown when COMMAND is done and the guest is idle again.
# COMMAND's output is in $WORK/load.out.
grown() {
	grown_name=$1
	shift
	settle
	grown_before=$(counter "$grown_name")
	"$@" >"$WORK/load.out" 2>&1 || echo "$*: $(tr '\n' ' ' <"$WORK/load.out")" >>"$WORK/errors"
	settle
	echo $(($(counter "$grown_name") - grown_before))
}

# Instructions for one request, two ways. Both repeat three times and take the median.
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# per_request COUNTER N LOAD-OPTIONS...: with the connections' own cost taken out (two loads, the
# difference), times 1 (or SCALE).
per_request() {
	per_counter=$1 per_n=$2
	shift 2
	for per_i in 1 2 3; do
		few=$(grown "$per_counter" load -n 256 "$@")
		many=$(grown "$per_counter" load -n $((256 + per_n)) "$@")
		echo "$few $many $per_n" | awk -v scale="${SCALE-1}" '{ printf "%.0f\n", ($2 - $1) / $3 * scale }'
	done | tee "$WORK/repeated" | median
}

# per_connection N LOAD-OPTIONS...: all of it, divided.
per_connection() {
	per_n=$1
	shift
	for per_i in 1 2 3; do
		echo "$(grown instructions load -n "$per_n" -C "$@") $per_n" | awk '{ printf "%.0f\n", $1 / $2 }'
	done | tee "$WORK/repeated" | median
}

# Beside a rival. ratio A B: A/B with two digits; 0 when there is no B.
ratio() { echo "$1 $2" | awk '{ printf "%.2f\n", ($2 > 0 ? $1 / $2 : 0) }'; }
# gate NAME RATIO LEAST
gate() {
	if [ "$(echo "$2 $3" | awk '{ print ($1 >= $2) }')" = 1 ]; then
		ok "$1: $2 (at least $3)"
	else
		bad "$1: $2 (at least $3)"
	fi
}

# A visitor's session with the guestbook at URL: $cookie and $token.
session() {
	cookie=$(inside curl -sS -D - -o "$WORK/page.out" "$1/" | sed -n 's/^[Ss]et-[Cc]ookie: \([^;]*\).*/\1/p' | tr -d '\r')
	token=$(sed -n 's/.*name="csrf" value="\([0-9a-f]*\)".*/\1/p' "$WORK/page.out" | head -n 1)
}
