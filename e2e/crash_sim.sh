#!/bin/sh
# The simulated disk (`ingot sim store`, and SQLite on it, `ingot sim sql`: SQL seeds): power cuts at each event and
# in every combination for small workloads
# (BOUND outcomes of one cut), at random for SEEDS seeds from FIRST on; the Nth operation and the Nth allocation
# fail, for every N (in SQLite's transactions up to EACH, then at random); each block rots. SANITIZED seeds of each kind run under the sanitizers; the same seed gives
# the same run, in each build; and what is broken on purpose is noticed.
# The long form: SEEDS=20000 FIRST=$(date +%s) SANITIZED=300 BOUND=100000 SMALL=21 NTH=60 SQL=500 EACH=3000 e2e/crash_sim.sh
set -u
cd "$(dirname "$0")/.." || exit 2
SEEDS=${SEEDS:-110}
FIRST=${FIRST:-1}
SANITIZED=${SANITIZED:-6}
BOUND=${BOUND:-1400}
SMALL=${SMALL:-21}
NTH=${NTH:-6}
SQL=${SQL:-8}
EACH=${EACH:-200}
OUT=build/e2e/crash_sim
mkdir -p "$OUT"
failed=0
ok() { echo "ok - $1"; }
bad() { failed=1; echo "not ok - $1"; }

make -s sim-programs || { bad "the simulators build"; exit 1; }
FAST=build/fast/store_sim
SLOW=build/host/store_sim

run() { # run NAME PROGRAM OPTIONS...
	name=$1
	shift
	if "$@" >"$OUT/log" 2>&1; then
		ok "$name: $(tail -n 1 "$OUT/log")"
	else
		grep -v '^$' "$OUT/log" | sed 's/^/# /'
		bad "$name"
	fi
}
run "small workloads survive a power cut at every event, in every combination" \
	$FAST --kind small --seeds "$SMALL" --bound "$BOUND"
run "random lives survive power cuts, full volumes, growth, errors and lies" $FAST --seed "$FIRST" --seeds "$SEEDS"
run "any operation of the device may fail" $FAST --kind errors --seeds "$NTH"
run "any allocation of the store may fail" $FAST --kind memory --seeds "$NTH"
run "a checkpoint that finds no room is given up, and all goes on" $FAST --kind space --seeds $((NTH * 2))
run "any block may rot" $FAST --kind rot --seeds "$NTH"
run "SQLite on it is what another SQLite is, after any power cut" build/fast/sql_sim --seed "$FIRST" --seeds "$SQL"
run "any allocation of SQLite, and of the store for it, may fail" \
	build/fast/sql_sim --kind memory --seed "$FIRST" --seeds "$SQL" --each "$EACH"
run "SQLite on it, sanitized" build/host/sql_sim --seed "$FIRST" --seeds $(((SQL + 3) / 4)) --steps 12
run "SQLite with failing allocations, sanitized" build/host/sql_sim --kind memory --seed "$FIRST" --steps 2 \
	--seeds $(((SQL + 7) / 8)) --each $((EACH / 2))
run "small workloads, sanitized" $SLOW --kind small --seeds 21 --bound $((BOUND / 40))
run "random lives, sanitized" $SLOW --seed "$FIRST" --seeds $((SANITIZED * 2))
run "failing operations, sanitized" $SLOW --kind errors --seeds $(((SANITIZED + 2) / 3))
run "failing allocations, sanitized" $SLOW --kind memory --seeds $(((SANITIZED + 5) / 6))
run "rot, sanitized" $SLOW --kind rot --seeds "$SANITIZED"

hashes() { $1 --seed "$FIRST" --seeds 5 -v | grep -o 'trace hash [0-9a-f]*'; }
hashes $FAST >"$OUT/first"
hashes $SLOW >"$OUT/second"
# Compilers order the parts of an expression as they like: no draw may depend on it.
CLANG=$(make -s CC=clang print-BUILD)/fast/store_sim
if make -s CC=clang "$CLANG" && hashes "$CLANG" >"$OUT/third" && [ "$(sort -u "$OUT/first" | wc -l)" = 5 ] &&
	cmp -s "$OUT/first" "$OUT/second" && cmp -s "$OUT/first" "$OUT/third"; then
	ok "a seed gives the same run in each build"
else
	bad "a seed gives the same run in each build"
fi

# Each sabotage is noticed by some seed.
# noticed WHAT LAST STEP COMMAND...: with one of the seeds up to LAST.
noticed() {
	noticed_what=$1 last=$2 step=$3 seed=1
	shift 3
	while [ $seed -le "$last" ] && "$@" --seed $seed >/dev/null 2>&1; do
		seed=$((seed + step))
	done
	if [ $seed -le "$last" ]; then
		ok "$noticed_what"
	else
		bad "$noticed_what"
	fi
}
for how in flush reuse checksum snapshot slot both stale readers leak nodes truncate reserve twice order grow \
	parts leftover share forget undead; do
	noticed "sabotage is noticed: $how" 40 4 $FAST --seeds 4 --sabotage $how
done
for how in swallow keep leak; do
	noticed "sabotage below SQLite is noticed: $how" 12 1 build/fast/sql_sim --kind memory --each 50 --sabotage $how
done
exit $failed
