#!/bin/sh
# Ingot beside Linux 6.1 with nginx, on the same emulated machine, in turns. Prints a table; status 1 when
# a gate fails.
#
#	bench/compare.sh clean       requests a second over a clean link; ours at least 1.5 times the rival's
#	bench/compare.sh lossy       100 MiB over 40 ms and 1 % loss; ours at least as fast
#	bench/compare.sh cost        guest instructions for a request, ours and the rival's; for information
#
# RUNS=5 of each, and the median counts.
# clean: SECONDS_EACH=3, RIVAL_SENDFILE=on|off, PIN=yes|no: guest and client each keep to a processor.
# lossy: LINK (the words of e2e/support/wire.c, each way), MIB=100, AT_ONCE=2 downloads at the same time, each
# over a link of its own.
# README.md in this folder says what is set how.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh
WORK=${WORK_DIR:-build/bench/compare}
COUNTERS=$WORK/counters
mkdir -p "$WORK"
. bench/rivals/lib.sh

RUNS=${RUNS:-5}
SECONDS_EACH=${SECONDS_EACH:-3}
MIB=${MIB:-100}
LINK=${LINK:-delay=20ms,loss=1}
AT_ONCE=${AT_ONCE:-2}

# value FILE: the median of its lines.
value() { median <"$1"; }
# row WHAT FILE-OF-OURS FILE-OF-THE-RIVAL UNIT: sets $quotient, ours over the rival's.
row() {
	quotient=$(ratio "$(value "$2")" "$(value "$3")")
	printf '# %-34s %10s %10s  x %-6s %s\n' "$1" "$(value "$2")" "$(value "$3")" "$quotient" "$4"
	printf '#   ours: %s\n#   rival: %s\n' "$(tr '\n' ' ' <"$2")" "$(tr '\n' ' ' <"$3")"
}

prepare() { # prepare NAME FILE...: what both serve
	tools
	rivals_build "$@" || { bad "both guests are built"; exit 1; }
	rivals_versions
	qemu-system-x86_64 --version | sed 's/^/# /; q'
}

# --- A clean link ---
# wrk_side SIDE FILE CONNECTIONS: requests a second, appended to $WORK/SIDE.FILE.CONNECTIONS.
wrk_side() {
	inside $on_client wrk -t1 -c "$3" -d "${SECONDS_EACH}s" --timeout 10s "$url/$2" >"$WORK/wrk.out" 2>&1
	grep 'Socket errors\|Non-2xx\|unable' "$WORK/wrk.out" | sed "s/^/$1 $2: /" >>"$WORK/errors"
	sed -n 's/^Requests\/sec: *\([0-9]*\).*/\1/p' "$WORK/wrk.out" >>"$WORK/$1.$2.$3"
}
clean() {
	site_file small.bin 612
	site_file 100k.bin 102400
	site_file 1m.bin 1048576
	prepare clean small.bin 100k.bin 1m.bin
	network || { skip "ours beside Linux, clean link" "$network_why"; return; }
	rm -f "$WORK"/ours.*.bin.* "$WORK"/rival.*.bin.*
	: >"$WORK/errors"
	for run in $(seq "$RUNS"); do
		for side in ours rival; do
			boot_side $side 256M
			wrk_side $side small.bin 1 # warms up: TCG has translated what comes next
			for file in small 100k 1m; do wrk_side $side $file.bin 16; done
			[ "$run" -gt 1 ] || sed -n 's/^rival: /# /p' "$log"
			cut 2>/dev/null
		done
	done
	echo "#                                          ours      rival"
	row "612 bytes, 16 connections" "$WORK/ours.small.bin.16" "$WORK/rival.small.bin.16" "requests/s"
	small=$quotient
	row "100 KiB, 16 connections" "$WORK/ours.100k.bin.16" "$WORK/rival.100k.bin.16" "requests/s"
	gate "100 KiB over a clean link, over nginx with sendfile $RIVAL_SENDFILE" "$quotient" 1.5
	row "1 MiB, 16 connections" "$WORK/ours.1m.bin.16" "$WORK/rival.1m.bin.16" "requests/s"
	gate "1 MiB over a clean link, over nginx with sendfile $RIVAL_SENDFILE" "$quotient" 1.5
	expect "no socket error and no answer but 2xx" "" cat "$WORK/errors"
}

# --- A link with loss ---
# One download, in a process of its own: compare.sh lossy-run SIDE SEED; seconds, in $WORK/seconds.
lossy_run() {
	. e2e/link.sh
	app=$RIVALS/lossy site_archive=$RIVALS/lossy.cpio on_guest='' on_client=''
	link_up || { echo "$network_why"; exit 2; }
	boot_side "$1" "$((256 + 3 * MIB))M"
	link_set --ab "$LINK" --ba "$LINK" --seed "$2" || { echo "the wire does not understand: $LINK"; exit 2; }
	peer curl -sS -o "$WORK/body" -w '%{time_total} %{http_code} %{size_download}\n' --max-time 3000 \
		"$url/$MIB.bin" >"$WORK/curl.out" 2>&1
	link_print >"$WORK/link.counters"
	"counters_of_$1" >"$WORK/tcp.counters" 2>&1
	cmp "$WORK/body" "$SITE/$MIB.bin" >"$WORK/curl.bad" 2>&1 || cat "$WORK/curl.out" "$WORK/curl.bad"
	rm -f "$WORK/body"
	[ ! -s "$WORK/curl.bad" ] && sed -n 's/ 200 .*//p' "$WORK/curl.out" >"$WORK/seconds"
	if [ "$1" = ours ]; then stop; else cut 2>/dev/null; fi
	link_down
}
lossy() {
	site_file "$MIB.bin" $((MIB << 20))
	prepare lossy "$MIB.bin"
	make -s build/e2e/wire || { bad "the wire is built"; return; }
	network || { skip "ours beside Linux, lossy link" "$network_why"; return; }
	network_remove
	rm -rf "$WORK"/lossy.*
	: >"$WORK/errors"
	running=''
	for run in $(seq "$RUNS"); do
		for side in ours rival; do
			WORK_DIR=$WORK/lossy.$side.$run "$0" lossy-run $side "$run" >"$WORK/lossy.$side.$run.out" 2>&1 &
			running="$running $!"
			set -- $running
			[ $# -lt "$AT_ONCE" ] || { wait "$1"; shift; running=$*; }
		done
	done
	for pid in $running; do wait "$pid"; done
	for side in ours rival; do
		for run in $(seq "$RUNS"); do
			cat "$WORK/lossy.$side.$run/seconds" 2>/dev/null && continue
			sed "s/^/#   $side, seed $run: /" "$WORK/lossy.$side.$run.out" >>"$WORK/errors"
		done >"$WORK/lossy.$side"
	done
	[ ! -s "$WORK/errors" ] || { cat "$WORK/errors"; bad "every download is whole"; return; }
	ok "every download is whole"
	echo "# $MIB MiB, $LINK each way       ours      rival"
	row "seconds" "$WORK/lossy.ours" "$WORK/lossy.rival" "(less is better)"
	for run in $(seq "$RUNS"); do
		for side in ours rival; do
			counted=$WORK/lossy.$side.$run
			echo "#   $side, seed $run: $(sed -n 's/^wire ab: .*; \(lost [0-9]*\),.*/\1/p' "$counted/link.counters");" \
				"$(recovery_of $side "$counted/tcp.counters")"
		done
	done
	gate "a download over a lossy link, faster than Linux's" "$(ratio "$(value "$WORK/lossy.rival")" "$(value "$WORK/lossy.ours")")" 1
}

# --- Instructions ---
# cost_side SIDE FILE N [LOAD-OPTION...]: for a request, appended to $WORK/SIDE.cost.
cost_side() {
	cost_file=$2 cost_n=$3
	cost_side=$1
	shift 3
	case " $* " in
	*" -C "*) per_connection "$cost_n" "$@" "$url/$cost_file" ;;
	*) per_request instructions "$cost_n" "$@" "$url/$cost_file" ;;
	esac >>"$WORK/cost.$cost_side"
}
cost() {
	site_file small.bin 612
	site_file 100k.bin 102400
	site_file 1m.bin 1048576
	prepare clean small.bin 100k.bin 1m.bin
	network || { skip "instructions of ours and the rival" "$network_why"; return; }
	SIDE_PLUGIN=$BENCH/insns.so,counters=$COUNTERS
	rm -f "$WORK"/cost.*
	for side in ours rival; do
		boot_side $side 256M
		load -n 2000 -c 64 "$url/small.bin" >"$WORK/load.out"
		cost_side $side small.bin 10000 -c 1
		cost_side $side small.bin 10000 -c 64
		cost_side $side small.bin 5000 -c 64 -C
		cost_side $side 100k.bin 1000 -c 16
		cost_side $side 1m.bin 120 -c 16
		cut 2>/dev/null
	done
	echo "# instructions for a request               ours        rival"
	paste "$WORK/cost.ours" "$WORK/cost.rival" | awk '
		BEGIN { split("612 bytes, 1 connection:612 bytes, 64 connections:... with connect and close:100 KiB, 16 connections:1 MiB, 16 connections", name, ":") }
		{ printf "# %-34s %10d   %10d  x %.3f\n", name[NR], $1, $2, $1 / $2 }'
	check "every row was measured" test "$(cat "$WORK/cost.ours" "$WORK/cost.rival" | grep -c '^[1-9]')" = 10
}

case ${1-} in
clean | lossy | cost) "$1" ;;
lossy-run) lossy_run "$2" "$3" ;;
*) sed -n '2,/^cd/ { /^#/ s/^#//p }' "$0"; exit 2 ;;
esac
exit $failed
