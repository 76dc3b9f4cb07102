#!/bin/sh
# Links an image: link.sh OUTPUT OBJECT...
#
# Twice, the second time with the names of its functions for backtraces (symbols.sh). OUTPUT holds only
# what is loaded; OUTPUT.debug is the same with symbols and debugging information, OUTPUT.map says what
# was linked from where. All objects are given to the linker; it keeps what can be reached.
set -eu
here=$(dirname "$0")
output=$1
shift
CC=${CC:-gcc}

link() { # link OUTPUT [OPTION|OBJECT]...
	to=$1
	shift
	${LD:-ld} -nostdlib -static --gc-sections --build-id=sha1 -z noexecstack -z max-page-size=4096 \
		-T "$here/link.ld" -o "$to" "$@"
}

trap 'rm -f "$output.first" "$output.symbols.S" "$output.symbols.o"' EXIT
link "$output.first" "$@"
"$here/symbols.sh" "$output.first" >"$output.symbols.S"
$CC -c "$output.symbols.S" -o "$output.symbols.o"
link "$output.debug" "$@" "$output.symbols.o" -Map="$output.map"
"$here/symbols.sh" --check "$output.first" "$output.debug"
${OBJCOPY:-objcopy} --strip-all "$output.debug" "$output.new"
mv "$output.new" "$output"
