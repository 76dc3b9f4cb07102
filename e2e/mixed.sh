#!/bin/sh
# A shop whose database is four times as large as the guest's memory: read, searched and changed by many clients at once,
# kept in snapshots while it runs, and cut off from its power. After each cut all that was acknowledged must be there, and
# everything must add up: to the guest, to `ingot db check`, and to Debian's sqlite3.
#
#	e2e/mixed.sh                          a life on microvm, one on q35
#	MINUTES=120 e2e/mixed.sh              rounds of everything for so long, with the power cut at any moment: offline
#	                                      snapshots and restores, a full volume, statements larger than memory. SEED=N
#	                                      repeats what is random in it
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
MEMORY_MIB=16
MINUTES=${MINUTES:-0}
SEED=${SEED:-$(date +%s)}
app=$WORK/shop volume=$WORK/shop.volume list=$WORK/acknowledged old=$WORK/old.sqlite out=$WORK/out.sqlite
load='' diagnose='' kills=0 lives=0 larges=0 undone=0 missing=0 rounds=0 dice=$SEED
command -v sqlite3 >/dev/null || { bad "Debian's sqlite3 is there"; exit 1; }
teardown() { [ -z "$load" ] || kill "$load" 2>/dev/null; }
# random N: sets $random to 0 .. N-1
random() {
	dice=$(((dice * 1103515245 + 12345) & 2147483647))
	random=$((dice / 65536 % $1))
}
# In what follows, "not ok" ends the script: what comes after it would only repeat it.
give_up() {
	bad "$1"
	exit 1
}

# --- The database, from elsewhere ---
build() {
	find "$WORK" -mindepth 1 -maxdepth 1 ! -name lock ! -name shop -exec rm -rf {} +
	mkdir -p "$app"
	(cd e2e/support/shop && find . -type f ! -path '*/.ingot/*') | while read -r f; do
		mkdir -p "$app/$(dirname "$f")"
		cmp -s "e2e/support/shop/$f" "$app/$f" || cp "e2e/support/shop/$f" "$app/$f"
	done
	: >"$WORK/figures"
	./ingot build "$app" >"$WORK/build.log" 2>&1 && return
	tail -n 15 "$WORK/build.log" | sed 's/^/#   /'
	give_up "the application builds"
}
import() {
	rm -f "$volume" "$old"
	: >"$list"
	sqlite3 "$old" 'PRAGMA auto_vacuum = INCREMENTAL' ".read $app/migrations/001-shop.sql" ".read e2e/support/shop_fill.sql" \
		>"$WORK/fill.log" 2>&1
	[ "$(stat -c %s "$old")" -ge $((4 * MEMORY_MIB << 20)) ] || give_up "the database is four times the memory"
	./ingot db import "$volume" "$old" --size "$1" --migrated 1 >"$WORK/import.log" 2>&1 && return
	sed 's/^/#   /' "$WORK/import.log"
	give_up "a database of four times the guest's memory is imported"
}

# --- A life ---
# begin MACHINE
begin() {
	free_port
	diagnose=$port
	lives=$((lives + 1))
	large_beside=''
	boot "$app" --machine "$1" --memory ${MEMORY_MIB}M --data "$volume" --diagnose "$diagnose" && return
	tail -n 15 "$log" | sed 's/^/#   /'
	give_up "it boots on $1, after $kills power cuts"
}
counter() { curl -fsS --max-time 60 "http://127.0.0.1:$diagnose/counters" | sed -n "s/^$1 //p"; }
# snapshot METHOD NAME: prints the status.
snapshot() { curl -sS --max-time 120 -o "$WORK/snapshot.out" -w '%{http_code}' -X "$1" "http://127.0.0.1:$diagnose/snapshots/$2"; }
# load REQUESTS: clients, in the background; 0: until they are told to stop.
load_begin() {
	random 100000
	node e2e/mixed.mjs load "$url" "$list" 8 "$1" "$random" >"$WORK/load.out" 2>"$WORK/load.err" &
	load=$!
}
# acknowledged N: until so many more have been acknowledged than $before.
acknowledged() {
	i=0
	while [ "$(wc -l <"$list")" -lt $((before + $1)) ]; do
		kill -0 "$load" 2>/dev/null || load_end 0 # too early
		i=$((i + 1))
		[ $i -lt 12000 ] || give_up "changes are acknowledged"
		sleep 0.02
	done
}
# load_end STATUS: 0: all was answered as it should be; 4: or the power went.
load_end() {
	wait "$load"
	load_status=$?
	load=''
	tail -n 1 "$WORK/load.out" >>"$WORK/figures"
	case $load_status in
	0 | "$1") return ;;
	esac
	cp "$log" "$WORK/failed.log"
	sed 's/^/#   /' "$WORK/load.err"
	tail -n 5 "$log" | sed 's/^/#   /'
	give_up "each answer is right"
}
# asks WHAT ...: other clients, to their end.
asks() {
	node e2e/mixed.mjs "$1" "$url" >"$WORK/asks.out" 2>"$WORK/asks.err"
	asks_status=$?
	tail -n 1 "$WORK/asks.out" >>"$WORK/figures"
	[ $asks_status = 0 ] && return
	sed 's/^/#   /' "$WORK/asks.err"
	give_up "$2"
}
# large NAME: a statement that changes more than fits into memory. Beside others it may find SQLite's share of 16 MiB taken, and
# is tried again. Where the emulated processor needs more than the 30 s that a request has, it is undone, which is right
# as well.
large() {
	larges=$((larges + 1))
	large_beside=1
	for i in 1 2 3 4 5 6 7 8 9 10; do
		status=$(node e2e/mixed.mjs ask "$url" "$list" "/large/$1" "$1-$larges" 2>"$WORK/large.err")
		[ "$status" != 200 ] || return
		[ "$status" = 503 ] || break
		sleep 1 # (the log comes another way than the answer)
	done
	undone=$((undone + 1))
	[ "$status" = 503 ] && grep -q 'the deadline' "$log" && return
	tail -n 5 "$log" | sed 's/^/#   /'
	give_up "'$1' is done: $status"
}
# What must not be in a log or in the counters at a life's end, however it ends.
life_check() {
	for name in store_read_only store_corrupt_pages store_io_errors; do
		[ "$(counter $name)" = 0 ] || give_up "$name is 0, after $lives lives"
	done
	[ "$(counter store_page_evictions)" -gt 0 ] || give_up "pages were evicted: the database does not fit into memory"
	echo "store bytes read $(counter store_bytes_read), store bytes written $(counter store_bytes_written)" >>"$WORK/figures"
}
power_cut() {
	cut
	kills=$((kills + 1))
	[ -z "$load" ] || load_end 4
	log_check
}
log_check() {
	complaint=$(complaints "$log")$(grep 'does not match\|read-only' "$log" | head -n 3)
	[ -n "$large_beside" ] || complaint=$complaint$(grep 'out of memory' "$log" | head -n 3)
	[ -z "$complaint" ] || give_up "the guest has not complained, of memory or else: $complaint"
}

# --- From outside ---
# adds_up NAME [EXPORT-OPTION...]: what is exported is whole, adds up, and has what $acknowledged_list says.
acknowledged_list=$list
adds_up() {
	adds_up_name=$1
	shift
	if ! ./ingot db export "$volume" "$out" --force "$@" >"$WORK/export.log" 2>&1; then
		sed 's/^/#   /' "$WORK/export.log"
		give_up "$adds_up_name: it is exported"
	fi
	{
		sqlite3 "$out" 'PRAGMA integrity_check' 'PRAGMA foreign_key_check' | grep -v '^ok$'
		sqlite3 "$out" ".read e2e/support/shop_check.sql"
	} >"$WORK/wrong" 2>&1
	[ ! -s "$WORK/wrong" ] || { head -n 10 "$WORK/wrong" | sed 's/^/#   /'; give_up "$adds_up_name: everything adds up"; }
	sqlite3 "$out" 'SELECT token FROM done ORDER BY token' >"$WORK/present"
	sort "$acknowledged_list" >"$WORK/acknowledged.sorted"
	comm -23 "$WORK/acknowledged.sorted" "$WORK/present" >"$WORK/missing"
	missing=$((missing + $(wc -l <"$WORK/missing")))
	[ ! -s "$WORK/missing" ] || { head -n 5 "$WORK/missing" | sed 's/^/#   /'; give_up "$adds_up_name: all that was acknowledged is there"; }
}
# whole NAME: the volume is, and its newest state adds up.
whole() {
	if ! ./ingot db check "$volume" >"$WORK/check.log" 2>&1; then
		tail -n 10 "$WORK/check.log" | sed 's/^/#   /'
		give_up "$1: the volume is whole"
	fi
	adds_up "$1"
}
figure() { sed -n "s/.*\<$1 \([0-9]*\).*/\1/p" "$WORK/figures" | awk '{ n += $1 } END { printf "%.0f", n }'; }
figures() {
	echo "# $(figure requests) requests ($(figure refused) asked again), $(figure acknowledged) changes acknowledged," \
		"$missing missing, $(figure full) refused for want of space, $lives lives, $kills power cuts," \
		"$larges large changes ($undone undone at their deadline)," \
		"$(($(figure bytes) / 1024)) KiB of answers, $(($(figure 'store bytes read') >> 20)) MiB read from the disk," \
		"$(($(figure 'store bytes written') >> 20)) MiB written"
}

# --- Two lives ---
short() {
	import 256M
	ok "a database of four times the guest's memory is imported"
	begin microvm
	expect "a snapshot is made while it runs" 201 snapshot PUT first
	before=0
	load_begin 0
	acknowledged 40
	cp "$list" "$WORK/acknowledged.second"
	expect "... and another one, under load" 201 snapshot PUT second
	expect "... and the first one is dropped" 200 snapshot DELETE first
	before=$(wc -l <"$list")
	acknowledged 100
	life_check
	power_cut
	whole "after a power cut under load"
	ok "after a power cut under load the volume is whole, all is there, and everything adds up"
	acknowledged_list=$WORK/acknowledged.second
	adds_up "the snapshot" --snapshot second
	acknowledged_list=$list
	ok "the snapshot has what was acknowledged before it, and adds up"

	begin q35
	asks sweep "all that the guest reads adds up"
	ok "to the guest, on q35, it adds up as well"
	load_begin 400
	large touch
	large index
	large thin
	expect "the snapshot is dropped, under load" 200 snapshot DELETE second
	load_end 0
	asks sweep "all that the guest reads adds up"
	ok "statements that change more than its memory holds are done or undone as a whole, beside others"
	life_check
	stop
	log_check
	expect "it ends in order" 0 echo $status
	whole "after an end in order"
	ok "after an end in order the volume is whole, all is there, and everything adds up"
}

# --- Hours ---
# The power goes after some acknowledgements, and a moment more.
load_and_cut() {
	before=$(wc -l <"$list")
	load_begin 0
	random 400
	acknowledged "$random"
	[ $((random % 2)) = 0 ] || sleep "0.$random"
	[ $((random % 5)) != 0 ] || life_check
	power_cut
}
round_cut() {
	begin "$1"
	load_and_cut
}
# A snapshot made offline, changes, back to it.
round_restore() {
	./ingot db snapshot "$volume" kept >"$WORK/snapshot.log" 2>&1 || give_up "a snapshot is made: $(cat "$WORK/snapshot.log")"
	cp "$list" "$WORK/acknowledged.kept"
	begin "$1"
	load_and_cut
	whole "beside a snapshot"
	acknowledged_list=$WORK/acknowledged.kept
	adds_up "the snapshot" --snapshot kept
	acknowledged_list=$list
	./ingot db restore "$volume" kept >"$WORK/snapshot.log" 2>&1 || give_up "it is restored: $(cat "$WORK/snapshot.log")"
	cp "$WORK/acknowledged.kept" "$list"
	./ingot db snapshot "$volume" kept --delete >"$WORK/snapshot.log" 2>&1 ||
		give_up "the snapshot is deleted: $(cat "$WORK/snapshot.log")"
}
round_full() {
	begin "$1"
	asks fill "the volume is filled"
	load_begin 300
	asks sweep "reads go on when the volume is full"
	load_end 0
	if [ $((rounds % 2)) = 0 ]; then
		power_cut
		begin "$1"
	fi
	asks empty "what fills a volume is deleted"
	load_begin 300
	load_end 0
	life_check
	load_and_cut
}
round_large() {
	begin "$1"
	load_begin 0
	for name in touch index thin double unindex vacuum; do large $name; done
	asks sweep "beside large changes all adds up"
	life_check
	kill -TERM "$load"
	load_end 0
	log_check
	# One of them is cut off: while it runs, or its commit is written.
	random 6
	set -- touch index thin double unindex vacuum
	shift "$random"
	name=$1
	node e2e/mixed.mjs ask "$url" "$list" "/large/$name" "$name-$larges-cut" >"$WORK/large.out" 2>&1 &
	load=$!
	random 3000
	sleep "$((random / 1000)).$((random % 1000))"
	cut
	kills=$((kills + 1))
	wait "$load"
	load=''
	log_check
}
soak() {
	echo "# SEED=$SEED"
	until_s=$(($(date +%s) + MINUTES * 60))
	while [ "$(date +%s)" -lt $until_s ]; do
		[ $((rounds % 30)) != 0 ] || import 640M # (VACUUM keeps both the old and the new pages on scratch pages, which take half of what is free)
		machine=microvm
		random 2
		[ "$random" = 0 ] || machine=q35
		case $((rounds % 5)) in
		0 | 3) round_cut $machine ;;
		1) round_large $machine ;;
		2) round_restore $machine ;;
		4) round_full $machine ;;
		esac
		rounds=$((rounds + 1))
		whole "after round $rounds"
	done
	ok "after each of $rounds rounds the volume is whole, all is there, and everything adds up"
}

build
if [ "$MINUTES" -gt 0 ]; then soak; else short; fi
figures
exit $failed
