#!/bin/sh
# `ingot db`: on files, and once beside a running guest. Debian's sqlite3 is the independent reader and writer.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
refused() { # refused NAME PATTERN COMMAND...: ends with status 1 and says it
	refused_name=$1 pattern=$2
	shift 2
	timeout 60 "$@" >"$WORK/refused.out" 2>&1 </dev/null
	refused_status=$?
	if [ $refused_status != 1 ]; then
		bad "$refused_name (status $refused_status)"
	else
		says "$refused_name" "$pattern" "$WORK/refused.out"
	fi
}
command -v sqlite3 >/dev/null || { bad "Debian's sqlite3 is there"; exit 1; }

app=$WORK/book
find "$WORK" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
mkdir -p "$app"
cp -r examples/guestbook/. "$app"
rm -rf "$app/.ingot"
make -s build/desk/ingot-db >"$WORK/make.log" 2>&1 || { tail -n 5 "$WORK/make.log"; bad "the program behind it builds"; exit 1; }
old=$WORK/old.sqlite

# --- Import ---
# pages N, encoding: a database as somebody else's guestbook has left it, with a table more.
make_old() {
	rm -f "$old"*
	sqlite3 "$old" "PRAGMA page_size=$1; PRAGMA encoding='$2'; PRAGMA user_version=77; PRAGMA application_id=5;" \
		".read $app/migrations/001-entries.sql" \
		"INSERT INTO entry (name, message, signed_at) VALUES ('Ada', 'from the old one: ü', 1)" \
		"CREATE TABLE extra (id INTEGER PRIMARY KEY, t TEXT, e REFERENCES entry)" "CREATE INDEX extra_t ON extra (t)" \
		"WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
			INSERT INTO extra SELECT i, printf('%0*d', i % 5000, i), 1 FROM n" \
		"CREATE VIRTUAL TABLE ft USING fts5(x); INSERT INTO ft VALUES ('some words')" >/dev/null
}
# the content, by Debian's sqlite3
content() { sqlite3 "$1" ".dump --preserve-rowids" | sort; }
refused "what is missing is said" "there is no .*nothing.sqlite" ./ingot db import "$app" "$WORK/nothing.sqlite"
head -c 20000 /dev/urandom >"$WORK/junk"
refused "what is no database is said" "file is not a database" ./ingot db import "$app" "$WORK/junk"
refused "a folder that is no application is said" "no application's folder" ./ingot db import "$WORK" "$WORK/junk"
refused "an application without a database is said" "has no database yet" ./ingot db info "$app"
check "... and none was made" test ! -e "$app/.ingot/data.volume"
for kind in "1024 UTF-8" "4096 UTF-16le" "65536 UTF-8" "4096 UTF-8"; do
	make_old ${kind% *} ${kind#* }
	sum=$(md5sum <"$old")
	check "a database with pages of $kind is imported" ./ingot db import "$app" "$old" --force
	expect "... its file is not touched" "$sum" sh -c "md5sum <'$old'"
	./ingot db export "$app" "$WORK/out.sqlite" --force >/dev/null 2>"$WORK/export.err" || bad "... it is exported"
	expect "... what is exported passes integrity_check" ok sqlite3 "$WORK/out.sqlite" 'PRAGMA integrity_check'
	expect "... it has pages of 4096 bytes, UTF-8, no write-ahead log, and knows its migration" "4096 UTF-8 delete 1 5" \
		sh -c "sqlite3 $WORK/out.sqlite 'PRAGMA page_size; PRAGMA encoding; PRAGMA journal_mode; PRAGMA user_version; PRAGMA application_id' | tr '\n' ' ' | sed 's/ \$//'"
	content "$old" >"$WORK/old.dump"
	content "$WORK/out.sqlite" >"$WORK/out.dump"
	check "... and the same content" cmp "$WORK/old.dump" "$WORK/out.dump"
done
check "pages are exported as they are, but for the schema's version" \
	sh -c "[ \$(cmp -l $old $WORK/out.sqlite | wc -l) -le 1 ]"
refused "existing content is not replaced by itself" "with --force it is replaced" ./ingot db import "$app" "$old"
refused "an existing file neither" "is there already" ./ingot db export "$app" "$WORK/out.sqlite"
refused "a disk that is full is said" "cannot write .*out2.sqlite" \
	sh -c "trap '' XFSZ; ulimit -f 1000; exec ./ingot db export $app $WORK/out2.sqlite"
check "... and nothing is left of it" sh -c "! ls $WORK/out2.sqlite* 2>/dev/null"
# A database that is being written to, with most of its content in its write-ahead log.
rm -f "$WORK"/wal.sqlite*
{
	echo "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (x); INSERT INTO t VALUES (1);"
	echo "BEGIN; INSERT INTO t VALUES (2); COMMIT;"
	echo ".shell ./ingot db import $WORK/wal.volume $WORK/wal.sqlite --size 1M >$WORK/wal.out 2>&1"
} | sqlite3 "$WORK/wal.sqlite" >/dev/null
expect "what stands in a write-ahead log is imported, while another program has it open" 3 \
	./ingot db shell "$WORK/wal.volume" 'SELECT sum(x) FROM t'
refused "a volume that is too small for it is said" "too small" ./ingot db import "$WORK/wal.volume" "$old" --force
expect "... and what was there is there" 3 ./ingot db shell "$WORK/wal.volume" 'SELECT sum(x) FROM t'
refused "a volume is not made smaller" "cannot be made smaller" ./ingot db resize "$WORK/wal.volume" 512K
check "it is made larger" ./ingot db resize "$WORK/wal.volume" 64M
check "... and takes it then" ./ingot db import "$WORK/wal.volume" "$old" --force
refused "what is no volume is not made larger" "needs at least 256" ./ingot db resize "$WORK/junk" 1M
expect "... and is as it was" 20000 stat -c %s "$WORK/junk"
truncate -s 62M "$WORK/wal.volume"
refused "a volume of which the end has been cut off is not opened" "Give it its size back" ./ingot db info "$WORK/wal.volume"
refused "... nor with too little" "Give it its size back" ./ingot db resize "$WORK/wal.volume" 63M
says "... but with its size" "had been cut off; .* ingot db check" \
	"$(./ingot db resize "$WORK/wal.volume" 64M >"$WORK/resize.out" 2>&1; echo "$WORK/resize.out")"
expect "... and what was there is there" 2000 ./ingot db shell "$WORK/wal.volume" 'SELECT count(*) FROM extra'

# --- The shell ---
expect "SQL as a word" 2000 ./ingot db shell "$app" 'SELECT count(*) FROM extra'
expect "SQL on standard input" "3|x" sh -c "echo \"SELECT 1 + 2, 'x';\" | ./ingot db shell $app"
expect "the shell's options and dot commands" '[{"a":1}]' ./ingot db shell "$app" -json 'SELECT 1 AS a'
expect "a statement that fails ends with a status" 1 sh -c "./ingot db shell $app 'SELECT nothing' 2>/dev/null; echo \$?"
refused "... also in the midst of a transaction, which is undone" "no such table" ./ingot db shell "$app" 'BEGIN' 'DELETE FROM extra' 'SELECT * FROM no_such'
expect "... " 2000 ./ingot db shell "$app" 'SELECT count(*) FROM extra'
printf 'a,1\nb,2\n' >"$WORK/some.csv"
check "import, attach, read and backup of ordinary files" ./ingot db shell "$app" \
	"CREATE TABLE csv (x, y)" ".import --csv $WORK/some.csv csv" "ATTACH '$WORK/out.sqlite' AS o" \
	"CREATE TABLE main.copied AS SELECT * FROM o.extra" "DETACH o" ".backup $WORK/backup.sqlite"
expect "... it is all there" "3|2000" sqlite3 "$WORK/backup.sqlite" 'SELECT (SELECT sum(y) FROM csv), (SELECT count(*) FROM copied)'
# A file copied over it page by page: only what an image can open.
check "the shell's restore" ./ingot db shell "$app" ".restore $WORK/backup.sqlite"
expect "... has what the file has" "3|2000" ./ingot db shell "$app" 'SELECT (SELECT sum(y) FROM csv), (SELECT count(*) FROM copied)'
for unfit in "journal_mode = WAL" "page_size = 1024" "page_size = 65536" "encoding = 'UTF-16le'"; do
	rm -f "$WORK"/unfit.sqlite*
	sqlite3 "$WORK/unfit.sqlite" "PRAGMA $unfit" "CREATE TABLE q (x)" "INSERT INTO q VALUES ('x')" >/dev/null
	says "... of a file with $unfit is refused, and says what to do" "ingot db import FILE.sqlite --force" \
		"$(./ingot db shell "$app" ".restore $WORK/unfit.sqlite" >"$WORK/unfit.out" 2>&1; echo "$WORK/unfit.out")"
	expect "... and changes nothing" "3|2000" ./ingot db shell "$app" 'SELECT (SELECT sum(y) FROM csv), (SELECT count(*) FROM copied)'
done
expect "the journal mode stays" memory ./ingot db shell "$app" 'PRAGMA journal_mode = WAL'
# Killed after the prompt of a commit has come back.
mkfifo "$WORK/in"
./ingot db shell "$app" <"$WORK/in" >"$WORK/shell.out" 2>&1 &
pid=$!
exec 7>"$WORK/in"
echo "CREATE TABLE late (x); INSERT INTO late VALUES (7); SELECT 'done'; BEGIN; INSERT INTO late VALUES (8); SELECT 'open';" >&7
i=0
until grep -q open "$WORK/shell.out" || [ $i = 600 ]; do sleep 0.05; i=$((i + 1)); done
check "what the shell has open is refused to others, by name" sh -c \
	"! ./ingot db resize $app 2G >$WORK/held.out 2>&1; grep -q 'in use by ingot.*process $pid' $WORK/held.out"
kill -KILL $pid
exec 7>&-
wait $pid 2>/dev/null
expect "a commit is durable when the prompt comes back, an open transaction is not" 7 ./ingot db shell "$app" 'SELECT sum(x) FROM late'
check "nothing is damaged" ./ingot db check "$app"

# --- Snapshots ---
check "a snapshot is made" ./ingot db snapshot "$app" before
check "what it keeps may go" ./ingot db shell "$app" 'DELETE FROM extra' 'VACUUM'
check "a second one" ./ingot db snapshot "$app" after
expect "both are listed" "before after " sh -c "./ingot db snapshots $app | awk 'NR > 1 && !/^without/ { print \$1 }' | tr '\n' ' '"
# ("before" has the deleted rows, which "after" and the database do not.)
expect "... with what only each of them holds" "true true" sh -c "./ingot db snapshots $app --json |
	python3 -c 'import json, sys; a = {s[\"name\"]: s[\"pages_alone\"] for s in json.load(sys.stdin)}
print(str(a[\"before\"] > 500).lower(), str(a[\"after\"] == 0).lower())'"
says "... and what all do" "^without any of them .* more would be free" "$(./ingot db snapshots "$app" >"$WORK/snapshots.out"; echo "$WORK/snapshots.out")"
refused "a name that is taken is said" "one of that name already" ./ingot db snapshot "$app" before
check "one is exported" ./ingot db export "$app" "$WORK/before.sqlite" --snapshot before
expect "... and has what was there" "2000 ok" sh -c "echo \$(sqlite3 $WORK/before.sqlite 'SELECT count(*) FROM extra; PRAGMA integrity_check')"
check "one is restored" ./ingot db restore "$app" before
expect "... and it is there again" 2000 ./ingot db shell "$app" 'SELECT count(*) FROM extra'
check "one is deleted" ./ingot db snapshot "$app" after --delete
refused "what is not there is said" "no snapshot of that name" ./ingot db restore "$app" after
check "the volume with what is left is well" ./ingot db check "$app"
# Killed at any moment, an import has happened or has not.
whole=0
for delay in 0.03 0.06 0.09 0.12 0.15 0.2; do
	make -s build/desk/ingot-db
	build/desk/ingot-db import "$app" "$old" --force >"$WORK/killed.out" 2>&1 &
	pid=$!
	sleep $delay
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	case $(./ingot db shell "$app" 'SELECT count(*) FROM extra' "SELECT count(*) FROM sqlite_schema WHERE name IN ('csv', 'late')" | tr '\n' ' ') in
	"2000 0 " | "2000 2 ") ./ingot db check "$app" >"$WORK/killed.check" 2>&1 && whole=$((whole + 1)) ;;
	esac
	./ingot db restore "$app" before >"$WORK/killed.out" 2>&1
done
expect "an import that is killed leaves what was there, or what is new" 6 echo $whole

# --- Beside a running guest: import and run are all that it takes ---
make_old 4096 UTF-8
rm -rf "$app/.ingot/data.volume"
(cd "$app" && "$OLDPWD/ingot" db import "$OLDPWD/$old") >"$WORK/import.out" 2>&1 || bad "the database is imported in the application's folder"
boot "$app" || { tail -n 10 "$log"; bad "the imported database is served"; }
check "the imported database is served" sh -c "curl -fsS $url/ | grep -q 'from the old one'"
expect "an entry is signed" 303 sign "$url" "Grace" "while it runs"
refused "a running machine's volume is not written to" "in use by ingot run .*stop that first" ./ingot db import "$app" "$old" --force
refused "... nor resized" "in use by ingot run" ./ingot db resize "$app" 3G
refused "... nor kept as a snapshot; who asks is told what to do" "curl -X PUT .*/snapshots/now" ./ingot db snapshot "$app" now
check "... but its snapshots are listed" ./ingot db snapshots "$app"
expect "the shell has a copy of it" "Grace" sh -c "./ingot db shell $app 'SELECT name FROM entry ORDER BY id DESC LIMIT 1' 2>/dev/null"
check "... for reading" sh -c "! ./ingot db shell $app 'DELETE FROM entry' 2>&1"
says "info tells who has it" "^in use by *ingot run" "$(./ingot db info "$app" >"$WORK/info.out" 2>&1; echo "$WORK/info.out")"
# Writers go on while it is exported and checked.
(while :; do sign "$url" "Writer" "again and again" >/dev/null 2>&1; done) &
writers=$!
exported=0
for i in 1 2 3; do
	./ingot db export "$app" "$WORK/live.sqlite" --force >"$WORK/live.out" 2>&1 &&
		[ "$(sqlite3 "$WORK/live.sqlite" 'PRAGMA integrity_check')" = ok ] && exported=$((exported + 1))
	./ingot db check "$app" >"$WORK/check.$i" 2>&1 || { cat "$WORK/check.$i"; bad "a running machine's volume is checked"; }
done
kill $writers
wait $writers 2>/dev/null
expect "what is exported while it is written to is whole" 3 echo $exported
check "... and has what was signed before" sh -c "sqlite3 $WORK/live.sqlite \"SELECT 1 FROM entry WHERE name = 'Grace'\" | grep -q 1"
cut
./ingot db info "$app" --json >"$WORK/info.json"
says "after a power cut info says so" '"held":false.*"records_to_replay":[1-9]' "$WORK/info.json"
check "... and all is well" ./ingot db check "$app"

# --- An emulator that somebody has started by hand ---
qemu-system-x86_64 -M q35 -S -m 16M -nodefaults -display none -device virtio-blk-pci,drive=d \
	-drive "file=$WORK/wal.volume,if=none,id=d,format=raw" >"$WORK/qemu.out" 2>&1 &
guest=$!
i=0
until ./ingot db info "$WORK/wal.volume" | grep -q 'in use by *qemu' || [ $i = 100 ]; do sleep 0.1; i=$((i + 1)); done
refused "QEMU's own lock is respected" "in use by qemu" ./ingot db import "$WORK/wal.volume" "$old" --force
kill $guest
wait $guest 2>/dev/null
guest=''

# --- Damage ---
volume=$WORK/rot.volume
check "a volume of its own is made" ./ingot db import "$volume" "$old" --size 64M
# flip TEXT: a bit of the first block that has it.
flip() {
	at=$(grep -abo -m 1 -e "$1" "$volume" | sed 's/:.*//; q')
	printf 'X' | dd of="$volume" bs=1 seek="$at" conv=notrunc 2>/dev/null
}
flip "from the old one"
refused "a damaged row is found, with its table" "page [0-9]* of the database (block [0-9]*) is damaged: part of table entry" ./ingot db check "$volume"
check "... which --quick does not look at" ./ingot db check "$volume" --quick
refused "... and it is not exported" "is damaged on the volume; .* was not written" ./ingot db export "$volume" "$WORK/rotten.sqlite"
check "... not even in part" sh -c "! ls $WORK/rotten.sqlite* 2>/dev/null"
check "... what is not damaged is there" ./ingot db shell "$volume" 'SELECT count(*) FROM extra'
flip "00000001234"
refused "the rest of a long row is found too, or the index" "of \(table extra\|index extra_t\)" ./ingot db check "$volume"

refused "what is left is salvaged" "pages could not be had" ./ingot db export "$volume" "$WORK/salvaged.sqlite" --salvage
./ingot db shell "$WORK/salvaged.sqlite" .recover 2>"$WORK/recover.err" | sqlite3 "$WORK/rescued.sqlite" 2>>"$WORK/recover.err"
check "... and most rows are rescued from it" sh -c "[ \$(sqlite3 $WORK/rescued.sqlite 'SELECT count(*) FROM extra') -ge 1900 ]"

volume=$WORK/kept.volume
check "a volume of its own is made" ./ingot db import "$volume" "$old" --size 64M
check "... with a snapshot" ./ingot db snapshot "$volume" first
check "... of what is no longer in the database" ./ingot db shell "$volume" "DELETE FROM extra; DELETE FROM entry"
flip "from the old one"
refused "what only a snapshot keeps is damaged: forgetting that is enough" "database is whole.*ingot db snapshot .* first --delete" \
	./ingot db check "$volume"
check "... so it is forgotten" ./ingot db snapshot "$volume" first --delete
check "... and nothing is damaged" ./ingot db check "$volume"

# --- What was once safe ---
volume=$WORK/lost.volume
check "a volume of its own is made" ./ingot db import "$volume" "$old" --size 64M
rm -f "$WORK/in"
mkfifo "$WORK/in"
./ingot db shell "$volume" <"$WORK/in" >"$WORK/shell.out" 2>&1 &
pid=$!
exec 7>"$WORK/in"
for i in 1 2 3 4 5 6; do echo "UPDATE entry SET signed_at = $i; SELECT 'done $i';" >&7; done
i=0
until grep -q 'done 6' "$WORK/shell.out" || [ $i = 600 ]; do sleep 0.05; i=$((i + 1)); done
kill -KILL $pid
exec 7>&-
wait $pid 2>/dev/null
cp "$volume" "$WORK/sound.volume"
# Flips a bit in the header of the third newest record.
node -e 'const fs = require("fs"), f = fs.openSync(process.argv[1], "r+"), found = [], b = Buffer.alloc(4096);
for (let at = 0; fs.readSync(f, b, 0, 4096, at) == 4096; at += 4096)
	if (b.toString("latin1", 0, 8) == "NOTRECRD") found.push({at, n: b.readBigUInt64LE(32)});
found.sort((x, y) => Number(x.n - y.n));
fs.readSync(f, b, 0, 1, found[found.length - 3].at + 100);
b[0] ^= 1;
fs.writeSync(f, b, 0, 1, found[found.length - 3].at + 100);' "$volume"
expect "the volume before has all" 6 ./ingot db shell "$WORK/sound.volume" 'SELECT signed_at FROM entry'
check "... and there is nothing to repair" sh -c "./ingot db repair $WORK/sound.volume | grep -q 'nothing to repair'"
refused "a volume that has lost what was safe is refused" "repair" ./ingot db info "$volume"
refused "repair shows the loss" "generations [0-9]* to [0-9]* .* cannot be read" ./ingot db repair "$volume"
refused "... and changes nothing" "generations [0-9]* to [0-9]* .* cannot be read" ./ingot db repair "$volume"
check "the loss is accepted" ./ingot db repair "$volume" --accept-loss
expect "... and it goes on with what is left" 3 ./ingot db shell "$volume" 'SELECT signed_at FROM entry'
check "... which is well" ./ingot db check "$volume"

# --- What there is twice ---
for block in 0 8; do
	printf 'damage' | dd of="$volume" bs=1 seek=$((block * 4096 + 200)) conv=notrunc 2>/dev/null
	refused "a damaged superblock in block $block is found" "superblock in block $block is damaged" ./ingot db check "$volume"
	check "... and made anew" ./ingot db repair "$volume"
	check "... and all is well" ./ingot db check "$volume"
done

# --- What is none ---
truncate -s 1M "$WORK/blank" "$WORK/foreign"
head -c 100000 /dev/urandom | dd of="$WORK/foreign" conv=notrunc 2>/dev/null
sum=$(md5sum <"$WORK/foreign")
for command in info check shell; do
	refused "a foreign file is refused by $command" "not an Ingot volume" ./ingot db $command "$WORK/foreign"
done
refused "... by resize" "not an Ingot volume" ./ingot db resize "$WORK/foreign" 2M
refused "... by export" "not an Ingot volume" ./ingot db export "$WORK/foreign" "$WORK/none.sqlite"
refused "... and by import" "not an Ingot volume" ./ingot db import "$WORK/foreign" "$old" --force
expect "... and never touched" "$sum" sh -c "md5sum <$WORK/foreign"
refused "an ordinary database is no volume, and what to do is said" "ingot db import" ./ingot db check "$old"
refused "a blank file is said" "blank" ./ingot db check "$WORK/blank"
refused "a command that there is not is said" "there is no" ./ingot db frobnicate
refused "a folder that there is not is said" "there is no" ./ingot db info nowhere
exit $failed
