#!/bin/sh
# Where a guest's instructions go: the functions that execute most of them under a load.
#
#	bench/profile.sh DIR [OPTION...] [-- LOAD-OPTION...]
#	bench/profile.sh examples/hello -- -n 20000 -c 64 /static.html
#	bench/profile.sh examples/guestbook --top 40 -- -n 500 -c 64 /
#	bench/profile.sh examples/hello --idle 2      # nothing but the passing of 2 seconds
#	bench/profile.sh examples/guestbook --boot    # until it listens
#	bench/profile.sh examples/guestbook --sign -- -n 300 -c 1 /sign    # signatures, with a session's cookie
#
# Options: --top N (25 rows), --per N (divide by N instead of by the requests), --blocks (basic blocks, with
# their addresses, instead of functions), --parts (modules and libraries instead of functions).
# A path stands for the guest's address. The table: instructions per request, share, function.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
. bench/lib.sh

[ $# -ge 1 ] || { sed -n '2,/^cd/ { /^#/ s/^#//p }' "$0"; exit 2; }
dir=$1 top=25 per='' idle='' boot='' by=function signs=''
shift
while [ $# -gt 0 ]; do
	case $1 in
	--top) top=$2; shift ;;
	--per) per=$2; shift ;;
	--idle) idle=$2; shift ;;
	--boot) boot=1 per=1 ;;
	--sign) signs=1 ;;
	--blocks) by=block ;;
	--parts) by=part ;;
	--) shift; break ;;
	*) echo "profile.sh: there is no option '$1'" >&2; exit 2 ;;
	esac
	shift
done

# The last word is a path; the rest is for load.
run_load() {
	words=''
	for word; do
		case $word in
		/*) words="$words $url$word" ;;
		*) words="$words $word" ;;
		esac
	done
	set --
	[ -z "$signs" ] ||
		set -- -H "Cookie: $cookie" -d "csrf=$token&name=Ada+Lovelace&message=A+note+of+some+length"
	# shellcheck disable=SC2086 # the list is words
	load "$@" $words
}

# The blocks' counts: "address instructions executions" for each block used.
snapshot() {
	od -An -v -tx8 -w24 "$WORK/profile" | awk '$2 !~ /^0*$/ { print $1, $2, $3 }' >"$1"
}

tools
network || { echo "profile.sh: $network_why" >&2; exit 1; }
./ingot build "$dir" >"$WORK/build.log" 2>&1 || { cat "$WORK/build.log"; exit 1; }
PLUGIN_OPTIONS=",profile=$WORK/profile"
rm -f "$WORK/profile.volume"
set -- "$@"
volume=''
[ ! -d "$dir/migrations" ] || volume="--data $WORK/profile.volume"
# shellcheck disable=SC2086 # the list is words
boot_counted "$dir" $volume || { cat "$log"; exit 1; }
settle
if [ -n "$boot" ]; then
	: >"$WORK/profile.before"
else
	[ ! -d "$dir/migrations" ] ||
		for i in 1 2 3 4 5 6 7 8 9 10; do sign "$url" "Visitor $i" "Entry $i" >/dev/null; done
	[ -z "$signs" ] || session "$url"
	[ -n "$idle" ] || run_load "$@" >/dev/null # warms up: translation, caches
	settle
	snapshot "$WORK/profile.before"
	if [ -n "$idle" ]; then
		sleep "$idle"
		per=${per:-$idle}
	else
		run_load "$@" >"$WORK/load.out"
		settle
		per=${per:-$(sed -n 's/^requests //p' "$WORK/load.out")}
	fi
fi
snapshot "$WORK/profile.after"
cut

# The names of what is where: of functions, or of the objects that the linker put together.
if [ $by = part ]; then
	awk '/^\.text/ { text = 1 } /^\.rodata/ { text = 0 }
		text && NF >= 3 && $(NF - 2) ~ /^0x/ && $NF ~ /\.[oa]\)?/ && $NF !~ /^0x/ {
			n = split($NF, path, "/")
			sub(/\(.*/, "", path[n])
			print substr($(NF - 2), 3), "t", path[n]
		}' "$(image_of "$dir").map" | sort >"$WORK/profile.symbols"
else
	nm -n --defined-only "$(image_of "$dir").debug" | grep -i ' [tw] ' >"$WORK/profile.symbols"
fi
awk -v per="$per" -v by=$by '
	# Without strtonum, which not every awk has.
	function hex(text,  i, n) {
		for (i = 1; i <= length(text); i++)
			n = n * 16 + index("0123456789abcdef", tolower(substr(text, i, 1))) - 1
		return n
	}
	function function_at(address,  low, high, middle) {
		low = 0
		high = symbols
		while (high - low > 1) {
			middle = int((low + high) / 2)
			if (starts[middle] <= address) low = middle
			else high = middle
		}
		return symbols && starts[low] <= address ? names[low] : "(firmware)"
	}
	FILENAME ~ /symbols$/ { starts[symbols + 0] = hex($1); names[symbols++] = $3; next }
	FILENAME ~ /before$/ { before[$1, $2] = $3; next }
	{
		if (($1, $2) in before && before[$1, $2] == $3) next
		count = (hex($3) - (($1, $2) in before ? hex(before[$1, $2]) : 0)) * hex($2) / per
		total += count
		name = function_at(hex($1))
		if (by == "block") name = sprintf("%s %d x %.3f %s", substr($1, 9), hex($2), count / hex($2), name)
		sum[name] += count
	}
	END {
		printf "%.1f 100.00 all\n", total
		for (name in sum) printf "%.1f %.2f %s\n", sum[name], 100 * sum[name] / total, name
	}' "$WORK/profile.symbols" "$WORK/profile.before" "$WORK/profile.after" |
	sort -k1,1rn | head -n $((top + 1)) |
	awk '{ share = $2; count = $1; $1 = $2 = ""; printf "%12.1f %6.2f %% %s\n", count, share, $0 }'
