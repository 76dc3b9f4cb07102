#!/bin/sh
# SQL that is checked while an application is built: what is wrong is said with file, line, column and the place, all of
# it at once; what is right becomes functions that do what they say, in a guest; migrations, from build to build.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
APP=$WORK/app

# A folder with one table, to be spoilt.
fresh() {
	rm -rf "$APP"
	mkdir -p "$APP/migrations" "$APP/queries"
	cat >"$APP/migrations/001-entries.sql" <<-'END'
		CREATE TABLE entry (
			id INTEGER PRIMARY KEY,
			name TEXT NOT NULL,
			message TEXT NOT NULL
		) STRICT;
		CREATE TABLE visit (at INTEGER NOT NULL, loose NUMERIC);
	END
	printf '#include <ingot.h>\nAPP_ROUTES(GET("/", 0))\n' >"$APP/app.c"
}
file() { cat >"$APP/$1"; }
# wrong NAME: the build fails, and says just what stands on the standard input.
wrong() {
	cat >"$WORK/wanted"
	./ingot build "$APP" >"$WORK/said" 2>&1
	wrong_status=$?
	if [ $wrong_status = 1 ] && diff "$WORK/wanted" "$WORK/said" >"$WORK/diff"; then
		ok "$1"
	else
		sed 's/^/#   /' "$WORK/diff"
		bad "$1 (status $wrong_status)"
	fi
	fresh
}
# query TEXT...: queries/q.sql with a line for each word.
query() { printf '%s\n' "$@" >"$APP/queries/q.sql"; }
fresh

# --- Queries in files ---------------------------------------------------------------------------
query '-- name: a :many' 'SELECT id,' '	mesage FROM entry;'
wrong "a misspelt column is said, with its place and what was meant" <<'END'
queries/q.sql:3:2: error: no such column: mesage; did you mean "message"?
  	mesage FROM entry;
  	^~~~~~
ingot: 1 error in the SQL
END
query '-- name: a :many' 'SELECT e.mesage FROM entry e;' '-- name: b :exec' 'INSERT INTO entry (name, mesage) VALUES (:n, :m);' \
	'-- name: c :exec' "UPDATE entry SET mesage = '' WHERE id = :id;"
wrong "... also behind an alias, in INSERT and in UPDATE; all errors are said" <<'END'
queries/q.sql:2:10: error: no such column: e.mesage; did you mean "message"?
  SELECT e.mesage FROM entry e;
           ^~~~~~
queries/q.sql:4:26: error: table entry has no column named mesage; did you mean "message"?
  INSERT INTO entry (name, mesage) VALUES (:n, :m);
                           ^~~~~~
queries/q.sql:6:18: error: no such column: mesage; did you mean "message"?
  UPDATE entry SET mesage = '' WHERE id = :id;
                   ^~~~~~
ingot: 3 errors in the SQL
END
query '-- name: a :many' 'SELECT id FROM' ' entrys;' '-- name: b :one' 'SELECT coun(*) AS n FROM entry;'
wrong "a misspelt table, a misspelt function" <<'END'
queries/q.sql:3:2: error: no such table: entrys; did you mean "entry"?
   entrys;
   ^~~~~~
queries/q.sql:5:8: error: no such function: coun; did you mean "count"?
  SELECT coun(*) AS n FROM entry;
         ^~~~
ingot: 2 errors in the SQL
END
query '-- name: a :many' 'SELECT id FORM entry;' '-- name: b :many' 'SELECT id FROM entry WHERE' '-- name: c :exec' \
	"INSERT INTO entry (name) VALUES ('x, :y);"
wrong "a syntax error, a statement that ends too soon, a string that does not end" <<'END'
queries/q.sql:6:34: error: this is not closed
  INSERT INTO entry (name) VALUES ('x, :y);
                                   ^
queries/q.sql:2:16: error: near "entry": syntax error
  SELECT id FORM entry;
                 ^~~~~
queries/q.sql:4:22: error: incomplete input
  SELECT id FROM entry WHERE
                       ^~~~~
ingot: 3 errors in the SQL
END
query '-- name: a :exec' 'DELETE FROM visit; DELETE FROM entry;' '-- name: b :many' '' '-- name: c :exec' 'BEGIN;'
wrong "two statements, none, and one that is not for handlers" <<'END'
queries/q.sql:2:20: error: a second statement; each needs a line `-- name: NAME :one, :many, :exec, :execrows or :execlastid`
  DELETE FROM visit; DELETE FROM entry;
                     ^~~~~~
queries/q.sql:3:10: error: there is no statement below it
  -- name: b :many
           ^
queries/q.sql:6:1: error: BEGIN: transactions are begun and ended by Ingot (all migrations are one; in a handler: db_begin)
  BEGIN;
  ^~~~~
ingot: 3 errors in the SQL
END
query '-- name: a :many' 'SELECT id FROM entry;' '-- name: int :many' 'SELECT 1 AS x;' '-- name: b' 'SELECT 1 AS x;' \
	'-- name: c :some' 'SELECT 1 AS x;' '-- name: a :one' 'SELECT 1 AS x;'
printf 'SELECT 1;\n-- name: a :exec\nDELETE FROM visit\n' >"$APP/queries/r.sql"
wrong "names that C cannot have or that are taken, unknown forms, SQL without a name" <<'END'
queries/q.sql:3:10: error: "int" cannot be a C function's name
  -- name: int :many
           ^~~
queries/q.sql:5:10: error: what does it give? The line is `-- name: NAME :one, :many, :exec, :execrows or :execlastid`
  -- name: b
           ^
queries/q.sql:7:12: error: a query is :one, :many, :exec, :execrows or :execlastid
  -- name: c :some
             ^~~~~
queries/r.sql:1:1: error: a query begins with a line `-- name: NAME :one, :many, :exec, :execrows or :execlastid`
  SELECT 1;
  ^~~~~~
queries/q.sql:9:10: error: there is a query "a" already: queries/q.sql:1
  -- name: a :one
           ^
queries/r.sql:2:10: error: there is a query "a" already: queries/q.sql:1
  -- name: a :exec
           ^
ingot: 6 errors in the SQL
END
query '-- name: a :exec' 'SELECT id FROM entry;' '-- name: b :one' 'DELETE FROM entry;' '-- name: c :many' \
	'SELECT id, count(*), id FROM entry;' '-- name: d :many' 'SELECT loose FROM visit;' '-- name: e :many' \
	"SELECT json_extract(name, '\$') AS j FROM entry;"
wrong "a form that does not fit, columns without a name or a type" <<'END'
queries/q.sql:1:10: error: a gives rows, so it is :one or :many
  -- name: a :exec
           ^
queries/q.sql:3:10: error: b gives no rows, so it is :exec
  -- name: b :one
           ^
queries/q.sql:6:12: error: "count(*)" cannot be a name in C; name the column with AS
  SELECT id, count(*), id FROM entry;
             ^~~~~~~~
queries/q.sql:6:22: error: two columns are called "id"; rename one with AS
  SELECT id, count(*), id FROM entry;
                       ^~
queries/q.sql:8:8: error: "loose" is declared NUMERIC, which may hold text or numbers; say above the statement what it is: `-- column loose text` (or int, real, blob)
  SELECT loose FROM visit;
         ^~~~~
queries/q.sql:10:8: error: what type "j" has cannot be told; say it above the statement: `-- column j text` (or int, real, blob, with ? if it may be NULL)
  SELECT json_extract(name, '$') AS j FROM entry;
         ^~~~~~~~~~~~~~~~~~~~~~~
ingot: 6 errors in the SQL
END
query '-- name: a :many' 'SELECT id FROM entry WHERE name = ? AND id = ?2;' '-- name: b :one' 'SELECT :x AS x;' '-- name: c :many' \
	'SELECT id FROM entry WHERE id = :x OR name = :x;' '-- name: d :exec' '-- param :nam text' '-- param :id integer' \
	'-- param id' '-- column id int' 'UPDATE entry SET name = :name WHERE id = :id;'
wrong "parameters without a name or a type, with two; annotations that are wrong" <<'END'
queries/q.sql:9:14: error: there is no type "integer"; it is int, real, text or blob, with ? if it may be NULL
  -- param :id integer
               ^~~~~~~
queries/q.sql:10:10: error: this should be `-- param :NAME TYPE`, where TYPE is int, real, text or blob, with ? if it may be NULL
  -- param id
           ^~
queries/q.sql:2:35: error: a query's parameters have names: write :name instead of ?
  SELECT id FROM entry WHERE name = ? AND id = ?2;
                                    ^
queries/q.sql:2:46: error: a query's parameters have names: write :name instead of ?2
  SELECT id FROM entry WHERE name = ? AND id = ?2;
                                               ^~
queries/q.sql:4:8: error: what type :x has cannot be told from where it stands; say it above the statement: `-- param :x text` (or int, real, blob)
  SELECT :x AS x;
         ^~
queries/q.sql:4:8: error: what type "x" has cannot be told; say it above the statement: `-- column x text` (or int, real, blob, with ? if it may be NULL)
  SELECT :x AS x;
         ^~
queries/q.sql:6:46: error: :x is text here, but int in line 6; give it a type: `-- param :x int`
  SELECT id FROM entry WHERE id = :x OR name = :x;
                                               ^~
queries/q.sql:8:10: error: the query has no parameter "nam"; did you mean "name"?
  -- param :nam text
           ^~~~
queries/q.sql:11:11: error: the query has no column "id"
  -- column id int
            ^~
ingot: 9 errors in the SQL
END
file app.c <<'END'
#include <ingot.h>
#include "queries.h"
static void h(struct request *req) { call_it(req, 7, SLICE("x")); }
APP_ROUTES(GET("/", h))
END
query '-- name: call_it :exec' 'UPDATE entry SET name = :name WHERE id = :id;'
./ingot build "$APP" >"$WORK/said" 2>&1
says "a value of the wrong type is an error of the compiler" "app.c:3:51: error: incompatible type for argument 2 of .call_it" "$WORK/said"
fresh

# --- SQL in C -----------------------------------------------------------------------------------
file app.c <<'END'
#include <ingot.h>
/* db_run(req, "SELECT nothing"); "a string */
// db_run(req, "SELECT nothing") \
   db_run(req, "SELECT nothing")
#define RUN(text) db_run(req, "SELECT nothing" text)
#define TABLE "entry"
#if 0
it's not C: db_run(req, "SELECT nothing");
#if 1
#endif
#endif
static const char *sql = "SELECT nothing";
static void h(struct request *req)
{
	char quote = '"', other = '\'';
	db_run(req, "DELETE FROM " /* all */
		"entry WHERE \"name\" = 'a\tb' AND mes\
sage = ? AND mesage = ?", "x", (quote, other));
	db_run(req, "DELETE FROM entry WHERE id = ?");
	db_query(req, "SELECT id FROM entry WHERE id IN (?, ?)", request_query_int(req, "a", 1, 2, 3));
	db_rows_into(req, NULL, "rows", ("SELECT id"
		" FROM entrie"));
	db_try(req, "DELETE FROM visit; DELETE FROM entry");
	db_run(req, sql);
	db_run(req, other ? "SELECT nothing" : sql);
	db_run(req, "SELECT id FROM " TABLE);
	db_run_values(req, u8"SELECT \"näme\" FROM entry", 0, NULL);
}
APP_ROUTES(GET("/", h))
END
wrong "SQL in C is checked where it stands: splices, escapes, adjacent literals; the number of values" <<'END'
app.c:18:14: error: no such column: mesage; did you mean "message"?
  sage = ? AND mesage = ?", "x", (quote, other));
               ^~~~~~
app.c:19:2: error: the statement has 1 parameter, and there are 0 values
  	db_run(req, "DELETE FROM entry WHERE id = ?");
  	^~~~~~
app.c:20:2: error: the statement has 2 parameters, and there is 1 value for it
  	db_query(req, "SELECT id FROM entry WHERE id IN (?, ?)", request_query_int(req, "a", 1, 2, 3));
  	^~~~~~~~
app.c:22:10: error: no such table: entrie; did you mean "entry"?
  		" FROM entrie"));
  		       ^~~~~~
app.c:23:34: error: a second statement; a call runs one (several are a transaction: db_begin)
  	db_try(req, "DELETE FROM visit; DELETE FROM entry");
  	                                ^~~~~~
app.c:27:31: error: no such column: "näme" - should this be a string literal in single-quotes?; did you mean "name"?
  	db_run_values(req, u8"SELECT \"näme\" FROM entry", 0, NULL);
  	                             ^~~~~~~~
ingot: 6 errors in the SQL
END

# --- Migrations that are wrong ------------------------------------------------------------------
file migrations/2-more.sql <<'END'
-- The second one.
CREATE TABLE more (n INTEGER NOT NULL) STRICT;
INSERT INTO more VALUES (1), ('two');
INSERT INTO moer VALUES (1);
UPDATE entry SET
	nam = 'x';
END
wrong "a migration's errors have their places" <<'END'
migrations/2-more.sql:3:1: error: cannot store TEXT value in INTEGER column more.n
  INSERT INTO more VALUES (1), ('two');
  ^~~~~~
migrations/2-more.sql:4:13: error: no such table: moer; did you mean "more"?
  INSERT INTO moer VALUES (1);
              ^~~~
migrations/2-more.sql:6:2: error: no such column: nam; did you mean "name"?
  	nam = 'x';
  	^~~
ingot: 3 errors in the migrations; the queries are looked at when they are right
END
for statement in 'VACUUM' 'PRAGMA journal_mode = WAL' 'COMMIT' 'PRAGMA user_version = 7' "ATTACH 'x' AS y" 'PRAGMA foreign_keys = OFF'; do
	printf '%s;\n' "$statement" >"$APP/migrations/002-no.sql"
	./ingot build "$APP" >"$WORK/said" 2>&1
	says "$statement is refused in a migration" '^migrations/002-no.sql:1:1: error: ' "$WORK/said"
done
fresh
cp "$APP/migrations/001-entries.sql" "$APP/migrations/1-again.sql"
cp "$APP/migrations/001-entries.sql" "$APP/migrations/0004-late.sql"
cp "$APP/migrations/001-entries.sql" "$APP/migrations/entries2.sql"
wrong "gaps, doubles and wrong names are said" <<'END'
migrations/entries2.sql: error: a migration is called NUMBER-NAME.sql, like 001-entries.sql
migrations/1-again.sql: error: number 1 is taken by migrations/001-entries.sql; give one of them the next free number
migrations/0004-late.sql: error: there is no migration 2 before number 4; number them 1, 2, 3 without gaps
ingot: 3 errors in the migrations; the queries are looked at when they are right
END
rm -r "$APP/migrations"
query '-- name: a :one' 'SELECT 1 AS x;'
wrong "queries need a schema" <<'END'
ingot: queries/ needs migrations/: numbered files that make the tables, like migrations/001-entries.sql
END

# --- What is right ------------------------------------------------------------------------------
rm -rf "$APP"
cp -r e2e/support/library "$APP"
rm -rf "$APP/.ingot"
check "a library builds, without a warning" sh -c "./ingot build $APP 2>&1 | tee $WORK/build.log | grep -q 'application: queries' && ! grep -i warning $WORK/build.log"
rm -rf "$WORK/misspelt"
cp -r "$APP" "$WORK/misspelt"
printf '{{#books}}{{titel}}: {{price}}{{#note}}{{>line}}{{/note}}{{other}}{{what}}\n{{/books}}{{titel}}\n' >"$WORK/misspelt/pages/cheap.html"
printf '{{notes}}\n' >"$WORK/misspelt/pages/line.html"
./ingot build "$WORK/misspelt" 2>"$WORK/said" >/dev/null
cat >"$WORK/wanted" <<'END'
pages/cheap.html:1:13: warning: the rows of "books" have no column "titel"; did you mean "title"?
  {{#books}}{{titel}}: {{price}}{{#note}}{{>line}}{{/note}}{{other}}{{what}}
              ^~~~~
pages/line.html:1:3: warning: the rows of "books" have no column "notes"; did you mean "note"?
  {{notes}}
    ^~~~~
END
check "a page that misspells a column is warned of, also in a partial" diff "$WORK/wanted" "$WORK/said"
# Each rule by which types are found; expected.h was checked by hand.
TYPES=$WORK/types
rm -rf "$TYPES"
cp -r e2e/support/types "$TYPES"
./ingot build "$TYPES" >"$WORK/build.log" 2>&1
grep -vE '_next\(|_end\(|_into\(|^$' "$TYPES/.ingot/queries.h" | sed -n '/^#include/,$p' >"$WORK/types.h"
check "parameters and columns have the types that they should have" diff e2e/support/types/expected.h "$WORK/types.h"
flags=$(sed -n 's/^FLAGS //p' build/guest/toolchain | sed 's/-ftrack-macro-expansion=0//') # gcc's alone
for cc in gcc clang; do
	# shellcheck disable=SC2086 # the flags are words
	check "$cc takes the generated C with all warnings on" $cc $flags -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes -Wwrite-strings \
		-Werror "-I$TYPES/.ingot" -c "$TYPES/.ingot/queries.c" -o "$WORK/queries.o"
done
before=$(stat -c %Y.%y "$APP/.ingot/queries.h" "$APP/.ingot/-ingot-queries-c.o" "$APP/.ingot/app.elf")
check "a second build" ./ingot build "$APP"
expect "... makes nothing anew" "$before" stat -c %Y.%y "$APP/.ingot/queries.h" "$APP/.ingot/-ingot-queries-c.o" "$APP/.ingot/app.elf"

lines() { tr '\n' '|'; }
get() { curl -fsS --max-time 20 "$url/$1" | grep . | lines; }
volume=$WORK/library.volume
rm -f "$volume"
boot "$APP" --data "$volume" || { tail -n 15 "$log"; bad "the library boots"; exit 1; }
expect "rows are added, changed and counted; a constraint stands against one" \
	"jane: 1|anon: 2|emma: 1|persuasion: 2|renamed to a name that is taken: 0|renamed: 1|raised: 1|" get fill
expect "rows come back with their types, NULL as NULL" \
	"author: Anonymous|born, unknown: 0|books: 0|dearest, none: 0|author: Jane|born: 1775|books: 2|dearest: 950|title: Emma|by: Jane|note: with a note|cover: 3|cents: 950|no note: |no cover: 0|a third one: 0|a first cheap one: 1|after the end: 0|" get show
expect "rows go to a page" "Persuasion: 8.5|" get cheap
expect "RETURNING gives a row" "Persuasion|" get remove
expect "... once" "404" curl -s -o /dev/null -w '%{http_code}' "$url/remove"
stop

# --- Migrations, from one image to the next ------------------------------------------------------
fails() { # fails NAME PATTERN: the image does not come up
	if boot "$APP" --data "$volume"; then
		bad "$1"
		cut
	else
		says "$1" "$2" "$log"
		guest=''
	fi
}
printf 'CREATE UNIQUE INDEX one_book ON book (author);\n' >"$APP/migrations/0002_index.sql"
printf '%s\n' '-- Fails on the data.' 'ALTER TABLE author ADD COLUMN died INTEGER;' "INSERT INTO author (name) VALUES ('Jane');" >"$APP/migrations/0003_author.sql"
fails "a migration that fails on the data stops the boot, and says where" "migration 3 (0003_author.sql), line 3: UNIQUE constraint failed: author.name"
says "... and that nothing was applied" "no migration was applied: the volume is as it was" "$log"
printf 'ALTER TABLE author ADD COLUMN died INTEGER;\n' >"$APP/migrations/0003_author.sql"
boot "$APP" --data "$volume" || { tail -n 15 "$log"; bad "the migrated library boots"; exit 1; }
says "both are applied once they are right" "migration 3 (0003_author.sql): applied" "$log"
expect "what was there is there" \
	"author: Anonymous|born, unknown: 0|books: 0|dearest, none: 0|author: Jane|born: 1775|books: 1|dearest: 950|title: Emma|by: Jane|note: with a note|cover: 3|cents: 950|a third one: 0|a first cheap one: 1|after the end: 0|" get show
stop
rm "$APP/migrations/0003_author.sql"
fails "an older image is refused, with both numbers" "the volume's schema is number 3, and this image knows migrations up to 2"
printf 'ALTER TABLE author ADD COLUMN died TEXT;\n' >"$APP/migrations/0003_author.sql"
fails "a migration that has changed since is refused" "migration 3 (0003_author.sql) is not what was applied"
printf -- '-- A comment.\nALTER TABLE author\n\tADD COLUMN died INTEGER;\n' >"$APP/migrations/0003_author.sql"
boot "$APP" --data "$volume" && ok "comments may change" || { tail -n 5 "$log"; bad "comments may change"; }
stop
exit $failed
