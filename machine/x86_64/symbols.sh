#!/bin/sh
# Writes the assembler source of an image's symbol table (see machine/symbols.c).
#
#   symbols.sh IMAGE [NM] > symbols.S     from the first link; then link again with symbols.o
#   symbols.sh --check IMAGE1 IMAGE2      that no function moved between the two links
set -eu
functions() {
	"${NM:-nm}" -n --defined-only "$1" | awk '$2 ~ /^[tTwW]$/ && $3 !~ /^image_|^\./ { print $1, $3 }'
}
if [ "${1-}" = --check ]; then
	a=$(functions "$2") b=$(functions "$3")
	[ "$a" = "$b" ] || { echo "symbols.sh: functions of $3 are not where they were in $2" >&2; exit 1; }
	exit 0
fi
[ $# -ge 1 ] || { echo "usage: symbols.sh IMAGE [NM]" >&2; exit 2; }
NM=${2:-nm}
text=$("$NM" "$1" | awk '$3 == "image_text_start" { print $1 }')
functions "$1" | awk -v n=0 -v last= -v text="0x$text" '
	$1 == last { next } # another name for the same address
	{ last = $1; sub(/\.(constprop|isra|part|cold)\..*/, "", $2); address[n] = $1; name[n++] = $2 } # as the source has it
	END {
		print "\t.section .ingot.symbols, \"a\""
		print "\t.balign 8"
		print "\t.ascii \"INGS\"\n\t.long " n + 0
		for (i = 0; i < n; i++)
			print "\t.long 0x" address[i] " - " text
		for (i = 0; i < n; i++)
			print "\t.asciz \"" name[i] "\""
		print "\t.section .note.GNU-stack, \"\", @progbits"
	}'
