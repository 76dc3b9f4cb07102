#!/bin/sh
# The order of the house: what each module may see of the others, and that breaking a rule is noticed.
# The build enforces most of this by itself; here each rule is broken on purpose, in a scratch folder.
set -u
cd "$(dirname "$0")/.." || exit 2
OUT=build/e2e/house
rm -rf "$OUT"
mkdir -p "$OUT"
failed=0
ok() { echo "ok - $1"; }
bad() { failed=1; echo "not ok - $1"; }
var() { make -s "print-$1"; }
CC=$(var CC)
FLAGS=$(var guest.flags)
MODULES=$(var MODULES)

row() { # the include paths of a module
	echo "-I$1/include"
	for m in $(var "uses.$1"); do echo "-I$m/include"; done
}
compiles() { # compiles MODULE SOURCE
	# shellcheck disable=SC2046,SC2086
	$CC $FLAGS $(row "$1") -c "$2" -o "$OUT/probe.o" 2>"$OUT/errors"
}

# 1. Every public header compiles alone, with its own module's row.
if make -s self-contained >"$OUT/headers.log" 2>&1; then
	ok "each public header compiles alone"
else
	tail -n 5 "$OUT/headers.log"
	bad "each public header compiles alone"
fi

# 2. Every source includes only what its row allows: the build has no other paths, so a relative path
# or a foreign quoted name is what is left to look for.
# (A subfolder of a module may look up to its own module.)
for m in $MODULES; do
	grep -nE '#include "[a-z]+/include/|#include "(\.\./)+[a-z]+/' $(find "$m" -name '*.[chS]')
	grep -nE '#include "\.\./' $(find "$m" -maxdepth 1 -name '*.[chS]')
	grep -nE '#include "\.\./\.\./' $(find "$m" -mindepth 2 -maxdepth 2 -name '*.[chS]')
done >"$OUT/paths" 2>/dev/null
if [ -s "$OUT/paths" ]; then
	cat "$OUT/paths"
	bad "no include goes around the table"
else
	ok "no include goes around the table"
fi

# 3. A forbidden include does not compile.
echo '#include <machine/stack_protector.h>
int probe; ' >"$OUT/forbidden.c"
if compiles http "$OUT/forbidden.c"; then
	bad "http cannot include machine"
elif grep -q 'machine/stack_protector.h' "$OUT/errors"; then
	ok "http cannot include machine"
else
	cat "$OUT/errors"
	bad "http cannot include machine"
fi

# 4. Only API can be linked to: for each module, a name that is no API and one that is.
make -s guest >"$OUT/guest.log" 2>&1 || { tail -n 5 "$OUT/guest.log"; bad "the guest modules build"; }
probe() { # probe NAME: a program that calls it links
	printf 'extern int %s(void);\nint probe_start(void);\nint probe_start(void) { return %s(); }\n' "$1" "$1" >"$OUT/extern.c"
	compiles base "$OUT/extern.c" &&
		ld -r -o "$OUT/extern.o" "$OUT/probe.o" "$2" 2>"$OUT/errors" &&
		! nm -u "$OUT/extern.o" | grep -q " U $1\$"
}
for m in base net http page store sql core app; do
	part=build/guest/$m.o
	public=$(nm --defined-only -g "$part" | awk '$2 == "T" { print $3; exit }')
	private=$(nm --defined-only "$part.all" | awk '$2 == "T" { print $3 }' |
		while read -r s; do nm --defined-only -g "$part" | grep -q " $s\$" || { echo "$s"; break; }; done)
	[ -n "$public" ] && probe "$public" "$part" && ok "the API of $m can be linked ($public)" ||
		bad "the API of $m can be linked ($public)"
	[ -n "$private" ] || continue
	if probe "$private" "$part"; then
		bad "an extern does not reach into $m ($private)"
	else
		ok "an extern does not reach into $m ($private)"
	fi
done

# 5. What is visible of a module is what its public headers declare, besides what a third party's
# headers ask us to define.
third_party='sqlite3_os_init sqlite3_os_end __set_thread_area strcspn memcpy memmove memcmp'
for m in $(var guest.modules); do
	part=build/guest/$m.o
	[ -f "$part" ] || continue
	stray=$(nm --defined-only -g "$part" | awk '$2 ~ /[TDRBV]/ { print $3 }' | while read -r s; do
		echo "$third_party" | tr ' ' '\n' | grep -qx -- "$s" ||
			grep -rsqw -- "$s" "$m/include" base/include platform/include || echo "$s"; done)
	case "$m:$stray" in
	*:) ok "$m shows nothing that its headers do not declare" ;;
	machine:pvh_entry) ok "$m shows nothing that its headers do not declare, but its entry" ;;
	*)
		echo "# $stray"
		bad "$m shows nothing that its headers do not declare"
		;;
	esac
done

# 6. Pure modules need nothing of the outside but memory functions, assertions and their row's API.
allowed='memcpy memmove memset memcmp memchr strlen assert_fail __stack_chk_fail __stack_chk_guard'
for m in $(var PURE); do
	part=build/guest/$m.o
	[ -f "$part" ] || continue
	api=$(for u in $(var "uses.$m"); do [ -f "build/guest/$u.o" ] && nm --defined-only -g "build/guest/$u.o" | awk '{ print $3 }'; done)
	stray=$(nm -u "$part" | awk '{ print $2 }' | while read -r s; do
		echo "$allowed $api" | tr ' ' '\n' | grep -qx -- "$s" || echo "$s"; done)
	if [ -z "$stray" ]; then
		ok "$m is pure"
	else
		echo "# it needs: $(echo $stray)"
		bad "$m is pure"
	fi
done

# 7. No mutable globals outside boot/, the machine, and libc's one pointer. SQLite's registration of
# the VFS is its own business.
for m in base abi core net store http page app; do
	part=build/guest/$m.o
	[ -f "$part" ] || continue
	state=$(nm --defined-only "$part" | awk '$2 ~ /[dDbBC]/ { print $3 }')
	if [ -z "$state" ]; then
		ok "$m has no mutable globals"
	else
		echo "# $state"
		bad "$m has no mutable globals"
	fi
done

# 8. clang takes what gcc takes.
if make -s CC=clang $(make -s CC=clang print-guest.parts) >"$OUT/clang.log" 2>&1; then
	ok "clang compiles the guest modules without a warning"
else
	tail -n 10 "$OUT/clang.log"
	bad "clang compiles the guest modules without a warning"
fi

# 9. `#if` only in machine/ (and include guards).
if grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|elif)\b' $(for m in $MODULES; do [ "$m" = machine ] || find "$m" -name '*.[ch]'; done) >"$OUT/ifs"; then
	sed 's/^/# /' "$OUT/ifs"
	bad "no #if outside machine/"
else
	ok "no #if outside machine/"
fi

# 10. compile_commands.json names every source of the guest.
if make -s compile_commands.json && for m in net http page; do grep -q "\"$m/" compile_commands.json || exit 1; done; then
	ok "compile_commands.json is made"
else
	bad "compile_commands.json is made"
fi

# 11. docs/tcp-conformance.md names each script of net/scripts, and none that there is not. (The runner's own test aside.)
(cd net/scripts && find . -name '*.pkt' ! -path './sabotage/*') | sed 's|^\./||; s|\.pkt$||' | sort >"$OUT/scripts"
grep -o '`[a-z0-9_]*/[a-z0-9_]*`' docs/tcp-conformance.md | tr -d '`' | sort -u >"$OUT/scripts-named"
if [ -s "$OUT/scripts" ] && diff "$OUT/scripts" "$OUT/scripts-named" >"$OUT/scripts.diff"; then
	ok "docs/tcp-conformance.md names each script of net/scripts, and no other"
else
	sed -n 's/^</# not named:/p; s/^>/# there is none:/p' "$OUT/scripts.diff"
	bad "docs/tcp-conformance.md names each script of net/scripts, and no other"
fi

# 12. Each call of the header that applications include has an example in its comments, which app/examples_test.c
# compiles and runs. (DB_* and *_values: what its macros are made of. app_*: what its rows refer to.)
awk '/^(#define )?[A-Za-z].*\(/ && !/^#define DB_/ && !/^[ \t]/' app/include/app/ingot.h |
	grep -oE '^#define [A-Z_]+\(|\b[a-z_]+\(' | sed 's/#define //; s/($//' | sort -u |
	grep -vxE 'APP_ROUTE|PRINTF_LIKE|app_(body_limited|body_streamed|metrics)|.*_values|db_value_(int|real|slice|self|cstr)|run' >"$OUT/calls"
awk -f app/support/examples.awk app/include/app/ingot.h >"$OUT/examples"
while read -r call; do grep -qE "\b$call\(" "$OUT/examples" || echo "$call"; done <"$OUT/calls" >"$OUT/calls-without"
if [ "$(wc -l <"$OUT/calls")" -gt 60 ] && [ ! -s "$OUT/calls-without" ]; then
	ok "each call of <ingot.h> has an example ($(wc -l <"$OUT/calls") calls)"
else
	sed 's/^/# without: /' "$OUT/calls-without"
	bad "each call of <ingot.h> has an example"
fi
exit $failed
