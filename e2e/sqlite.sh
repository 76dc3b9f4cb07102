#!/bin/sh
# SQLite's own tests on our page store, on the host: its Tcl suite (veryquick), its fuzz corpus, its speed test.
# docs/sqlite-suite.md says how and what is left out.
#
#	SUITE=all          the slow files too
#	SUITE=NAME...      only these test files (patterns)
set -u
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

SUITE=${SUITE-}
sources=$(make -s print-SQLITE_SRC)
programs=$(make -s print-SUITE)
if ! make -s -j2 sqlite-suite sqlite-speedtest >"$WORK/build.log" 2>&1; then
	tail -n 15 "$WORK/build.log" | sed 's/^/#   /'
	bad "SQLite's test programs build"
	exit 1
fi
ok "SQLite's test programs build"

# The tests must not run as root, and so not in a folder that only root may enter. In memory if possible.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" ingot-suite.XXXXXX)
chmod 755 "$scratch"
teardown() { rm -rf "$scratch"; }
cp "$programs/testfixture" "$scratch/testfixture"
cp -r "$sources/test" "$sources/ext" "$scratch/" # some tests look at the sources beside them
mkdir "$scratch/src" && cp "$sources"/src/*.h "$scratch/src/"

# part I/N OPTION...: one of several processes.
part() {
	tclsh sql/support/suite/run.tcl "$scratch/testfixture" "$scratch" "$scratch/work.${1%/*}" \
		sql/support/suite/exclusions -part "$@" >"$WORK/part.${1%/*}.log" 2>&1
}
parts() {
	part 0/2 "$@" &
	first=$!
	part 1/2 "$@"
	second=$?
	wait $first || failed=1
	[ $second = 0 ] || failed=1
	cat "$WORK/part.0.log" "$WORK/part.1.log"
}
case $SUITE in
'') parts -quick ;;
all) parts ;;
*) parts $SUITE ;;
esac

# The corpus: databases and statements that once made SQLite, or its tests, fail.
corpus() { # corpus N...: some of its files
	for n; do
		"$programs/fuzzcheck" --timeout 300000 "$sources/test/fuzzdata$n.db" >"$WORK/fuzz.$n.log" 2>&1 ||
			echo "fuzzcheck: ended with status $?" >>"$WORK/fuzz.$n.log"
	done
}
corpus_judge() { # corpus_judge N
	if grep -q '^fuzzcheck: 0 errors out of [1-9]' "$WORK/fuzz.$1.log" && ! grep -q '^fuzzcheck: ended' "$WORK/fuzz.$1.log"; then
		ok "fuzzdata$1.db: $(sed -n 's/^fuzzcheck: 0 errors out of \([0-9]* tests\).*/\1/p; s/^store:/;/p' "$WORK/fuzz.$1.log" |
			tr -d '\n')"
	else
		tail -n 15 "$WORK/fuzz.$1.log" | sed 's/^/#   /'
		bad "fuzzdata$1.db"
	fi
}
if [ -z "$SUITE" ] || [ "$SUITE" = all ]; then
	rm -f "$WORK"/fuzz.*.log
	corpus 2 3 5 8 & # about half of the work
	corpus 1 4 6 7
	wait $!
	for n in 1 2 3 4 5 6 7 8; do corpus_judge $n; done
fi

# The speed test, small: that it goes through, and what it costs beside the host's file system.
if [ -z "$SUITE" ] || [ "$SUITE" = all ]; then
	speed() { (cd "$scratch" && rm -f speed.db* && "$OLDPWD/$programs/speedtest1" --size 5 "$@" speed.db) >"$WORK/speed.log" 2>&1; }
	check "speedtest1 runs on the store" speed
	ours=$(sed -n 's/.*TOTAL[. ]*\([0-9.]*s\).*/\1/p' "$WORK/speed.log")
	SUITE_OFF=1 speed
	echo "# speedtest1 --size 5: $ours on the store in memory, $(sed -n 's/.*TOTAL[. ]*\([0-9.]*s\).*/\1/p' "$WORK/speed.log") on files in memory"
fi
exit $failed
