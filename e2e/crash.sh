#!/bin/sh
# QEMU is killed right after answers, again and again, with a load running; nothing that was answered
# may be missing, and the volume must be whole.
#
#   e2e/crash.sh           ROUNDS (50) power cuts over microvm, some on q35
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
ROUNDS=${ROUNDS:-50}
volume=$WORK/crash.volume
list=$WORK/acknowledged
rm -f "$volume" "$list"
touch "$list"
make -s build/host/volume_check >"$WORK/make.log" 2>&1 || { tail -n 10 "$WORK/make.log"; bad "volume_check builds"; exit 1; }

lost=0 rounds=0
while [ $rounds -lt "$ROUNDS" ]; do
	machine=microvm
	[ $((rounds % 10)) = 9 ] && machine=q35
	if ! boot examples/guestbook --machine $machine --data "$volume"; then
		tail -n 15 "$log" | sed 's/^/#   /'
		bad "it boots after $rounds power cuts"
		exit 1
	fi
	before=$(wc -l <"$list")
	node e2e/crash.mjs "$url" "$list" 8 2>"$WORK/load.err" &
	load=$!
	# Until some were acknowledged in this round, then at once.
	i=0
	while [ "$(wc -l <"$list")" -lt $((before + 10 + rounds % 7)) ] && [ $i -lt 6000 ] && kill -0 $load 2>/dev/null; do
		sleep 0.02
		i=$((i + 1))
	done
	cut
	wait $load
	[ $? = 3 ] && { cat "$WORK/load.err"; bad "each entry is accepted"; }
	[ "$(wc -l <"$list")" -gt "$before" ] || bad "entries were acknowledged in round $rounds"
	result=$(build/host/volume_check "$volume" 2>&1 | tail -n 1)
	case $result in
	ok\ *) ;;
	*)
		echo "# $result"
		bad "the volume is whole after power cut $((rounds + 1))"
		lost=1
		break
		;;
	esac
	rounds=$((rounds + 1))
done
[ $lost = 0 ] && ok "the volume is whole (checksums, map, integrity_check) after each of $rounds power cuts"

boot examples/guestbook --data "$volume" || bad "it boots after the last power cut"
node e2e/entries.mjs "$url" | sort >"$WORK/present"
sort "$list" >"$WORK/acknowledged.sorted"
missing=$(comm -23 "$WORK/acknowledged.sorted" "$WORK/present" | wc -l)
echo "# $(wc -l <"$list") entries acknowledged, $(wc -l <"$WORK/present") present, $missing missing"
expect "every acknowledged entry is there" 0 echo "$missing"
expect "no entry is there twice" "" uniq -d "$WORK/present"
stop
expect "it ends in order" 0 echo $status
exit $failed
