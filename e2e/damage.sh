#!/bin/sh
# What a disk can do to a site, from the device to the answer: rot, a volume that is full, flushes that take long or
# fail, writes that fail once or always. The disk is a server in node (e2e/disk.mjs).
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
app=$WORK/damageapp
mkdir -p "$app/migrations"
cmp -s e2e/support/damage_app.c "$app/app.c" || cp e2e/support/damage_app.c "$app/app.c"
schema='CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB);
CREATE INDEX entry_name ON entry (name);'
[ "$(cat "$app/migrations/001-entry.sql" 2>/dev/null)" = "$schema" ] || echo "$schema" >"$app/migrations/001-entry.sql"
if ! ./ingot build "$app" >"$WORK/build.log" 2>&1; then
	tail -n 15 "$WORK/build.log" | sed 's/^/#   /'
	bad "the application builds"
	exit 1
fi
free_port
timeout 300 node e2e/damage.mjs "$app/.ingot/damageapp.elf" "$WORK" $((port + 10))
exit $?
