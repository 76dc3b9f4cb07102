#!/bin/sh
# The examples as ordinary Linux processes under the address and undefined-behaviour sanitizers, over a
# TAP interface and a file: the same code as in a guest, but for the machine below it.
#
#   e2e/host.sh                the tests
#   e2e/host.sh --keep [DIR]   runs the application in DIR (examples/guestbook) and prints where it is
#                              reached; for a debugger, a browser, a profiler. Ctrl-C ends it.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

# Its end of the TAP interface is where a person's browser can go: no namespace.
keep() {
	[ "$(id -u)" = 0 ] || { echo "a TAP interface takes root: sudo $0 --keep" >&2; exit 1; }
	build_program "$1"
	ip tuntap add dev ingot0 mode tap 2>/dev/null
	ip addr replace 10.77.1.1/24 dev ingot0 && ip link set ingot0 up || exit 1
	echo "http://10.77.1.2  (data in $WORK/keep.volume; the process is $program)"
	exec "$program" --tap ingot0 --data "$WORK/keep.volume" --cmdline ip=10.77.1.2/24,10.77.1.1
}

# ended NAME: by SIGTERM, with status 0, and the sanitizers had nothing to say.
ended() {
	stop
	expect "$1 ends in order" 0 echo $status
	expect "$1 gives the sanitizers nothing to say" "" complaints "$log"
}
# flawless WRK-OPTION...: wrk has no line "Socket errors", none "Non-2xx", and 10,000 answers.
flawless() {
	inside wrk -t1 -c64 "$@" >"$WORK/wrk.out" 2>&1
	! grep -q 'Socket errors\|Non-2xx\|unable' "$WORK/wrk.out" || { cat "$WORK/wrk.out"; return 1; }
	[ "$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$WORK/wrk.out")" -ge 10000 ]
}
entry_count() { inside node e2e/entries.mjs "$url" | wc -l; }

[ "${1-}" != --keep ] || keep "${2-examples/guestbook}"
network || { skip "the examples as processes of this machine" "$network_why"; exit 0; }

build_program examples/hello
boot_program
expect "hello answers" "Hello, world!" inside curl -fsS -m 5 "$url/hello"
check "a static file is the file" sh -c "ip netns exec $ns curl -fsS -m 5 $url/static.html | cmp - examples/hello/static/static.html"
check "10,000 requests and more for a static file, on 64 connections, without an error" flawless -d 5s "$url/static.html"
ended hello

build_program examples/guestbook
rm -f "$WORK/guestbook.volume"
boot_program --data "$WORK/guestbook.volume"
expect "an entry is signed" 303 sign "$url" "Ada <b>Lovelace</b>" "A note, \"quoted\" & so on"
check "it is on the page, escaped" sh -c "ip netns exec $ns curl -fsS -m 5 $url/ | grep -q 'Ada &lt;b&gt;Lovelace&lt;/b&gt;'"
check "10,000 requests and more for a page from SQL, on 64 connections, without an error" flawless -d 5s "$url/"
# Just as large as a body may be; that the message is too long is for the form to say.
head -c 65380 /dev/zero | tr '\0' x >"$WORK/long"
expect "a body of nearly 64 KiB is taken" 422 sign "$url" "Long" "$(cat "$WORK/long")"
expect "a body over 64 KiB is refused" 413 inside curl -sS -m 10 -o /dev/null -w '%{http_code}' \
	--data-binary "message=$(cat "$WORK/long")$(cat "$WORK/long" | head -c 1000)" "$url/sign"
ended guestbook

boot_program --data "$WORK/guestbook.volume"
expect "the entry is there after SIGTERM and a new start" 1 entry_count
list=$WORK/acknowledged
: >"$list"
for round in 1 2 3 4 5; do
	ip netns exec "$ns" node e2e/crash.mjs "$url" "$list" 8 2>"$WORK/load.err" &
	load=$!
	i=0
	while [ "$(wc -l <"$list")" -lt $((round * 30)) ] && [ $i -lt 400 ] && kill -0 $load 2>/dev/null; do
		sleep 0.02
		i=$((i + 1))
	done
	cut
	kill -KILL $load # nobody is there to tell it that its connections are gone
	wait $load 2>/dev/null
	boot_program --data "$WORK/guestbook.volume"
done
inside node e2e/entries.mjs "$url" | sort >"$WORK/present"
sort "$list" >"$WORK/acknowledged.sorted"
echo "# $(wc -l <"$list") entries acknowledged, $(wc -l <"$WORK/present") present"
check "entries were acknowledged while it was killed five times" test "$(wc -l <"$list")" -ge 150
expect "every one of them is there" "" comm -23 "$WORK/acknowledged.sorted" "$WORK/present"
expect "none is there twice" "" uniq -d "$WORK/present"
ended "guestbook, killed five times,"
exit $failed
