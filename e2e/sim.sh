#!/bin/sh
# The simulated network (`ingot sim net`): SEEDS seeds, from FIRST on, and SANITIZED of them under the
# sanitizers; the same seed gives the same packets, in both builds; and what is broken on purpose is noticed.
# The long form: SEEDS=5000 FIRST=$(date +%s) SANITIZED=500 e2e/sim.sh
set -u
cd "$(dirname "$0")/.." || exit 2
SEEDS=${SEEDS:-400}
FIRST=${FIRST:-1}
SANITIZED=${SANITIZED:-60}
OUT=build/e2e/sim
mkdir -p "$OUT"
failed=0
ok() { echo "ok - $1"; }
bad() { failed=1; echo "not ok - $1"; }

make -s sim-programs || { bad "the simulator builds"; exit 1; }
FAST=build/fast/net_sim
SLOW=build/host/net_sim

seeds() { # seeds NAME PROGRAM COUNT
	if $2 --seed "$FIRST" --seeds "$3" >"$OUT/log"; then
		ok "$1: $(tail -n 1 "$OUT/log")"
	else
		grep -v '^#' "$OUT/log" | sed 's/^/# /'
		bad "$1"
	fi
}
seeds "a network of stacks keeps its promises under faults" $FAST "$SEEDS"
seeds "the same under the sanitizers" $SLOW "$SANITIZED"

hashes() { $1 --seed "$FIRST" --seeds 5 -v | grep -o 'trace hash [0-9a-f]*'; }
hashes $FAST >"$OUT/first"
hashes $FAST >"$OUT/second"
hashes $SLOW >"$OUT/third"
# Compilers order the parts of an expression as they like: no draw may depend on it.
CLANG=$(make -s CC=clang print-BUILD)/fast/net_sim
if make -s CC=clang "$CLANG" && hashes "$CLANG" | cmp -s - "$OUT/first"; then
	ok "gcc's and clang's builds send the same packets"
else
	bad "gcc's and clang's builds send the same packets"
fi
if [ "$(sort -u "$OUT/first" | wc -l)" = 5 ] && cmp -s "$OUT/first" "$OUT/second" && cmp -s "$OUT/first" "$OUT/third"; then
	ok "a seed gives the same packets each time, in every build"
else
	bad "a seed gives the same packets each time, in every build"
fi

# Each sabotage is noticed by most seeds; a seed may have no connection that can be broken so.
for how in forge skip timer leak window ack memory buffer; do
	caught=$($FAST --seed 1 --seeds 16 --sabotage $how 2>&1 | grep -c '^replay: ')
	if [ "$caught" -ge 6 ]; then
		ok "sabotage is noticed: $how ($caught of 16)"
	else
		bad "sabotage is noticed: $how ($caught of 16)"
	fi
done
exit $failed
