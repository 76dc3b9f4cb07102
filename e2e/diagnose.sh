#!/bin/sh
# A look into a running guest: counters, a packet capture and snapshots, by the port that --diagnose switches on.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

for example in hello guestbook; do
	./ingot build examples/$example >/dev/null || { bad "$example builds"; exit 1; }
done
free_port
diagnose=$port
look=http://127.0.0.1:$diagnose
# counter NAME
counter() { curl -fsS -m 60 "$look/counters" | sed -n "s/^$1 //p"; }
at_least() { [ "${1:-0}" -ge "$2" ]; }

boot examples/hello --diagnose "$diagnose" || { tail "$log"; bad "hello boots"; exit 1; }
check "counters are shown" at_least "$(counter tcp_in_segs)" 1
before=$(counter tcp_passive_opens)
for n in 1 2 3; do curl -fsS -m 60 -o /dev/null "$url/"; done
expect "three connections and that of the question count four" 4 echo $(($(counter tcp_passive_opens) - before))
expect "what is not there is said" 404 curl -s -m 60 -o /dev/null -w '%{http_code}' "$look/nothing"
expect "and what is not done" 405 curl -s -m 60 -o /dev/null -w '%{http_code}' -d x "$look/counters"

capture=$WORK/capture.pcap
timeout 300 curl -sN "$look/capture?snap=65535" >"$capture" &
reader=$!
i=0
until [ "$(stat -c %s "$capture")" -ge 24 ] || [ $i -gt 1200 ]; do sleep 0.05; i=$((i + 1)); done
expect "a second reader is told to wait" 503 curl -s -m 60 -o /dev/null -w '%{http_code}' "$look/capture"
curl -fsS -m 60 "$url/static.html" >"$WORK/page"
i=0
until grep -qaF "$(tail -n 1 "$WORK/page")" "$capture" || [ $i -gt 1200 ]; do sleep 0.05; i=$((i + 1)); done
kill $reader
wait $reader 2>/dev/null
expect "the capture is a pcap of Ethernet frames" "4d3cb2a1 01000000" \
	sh -c "od -An -tx1 -N24 $capture | tr -d ' \n' | sed 's/^\(.\{8\}\).*\(.\{8\}\)\$/\1 \2/'"
check "it shows the request" grep -qa 'GET /static.html HTTP/1.1' "$capture"
check "and the answer, to its last line" grep -qaF "$(tail -n 1 "$WORK/page")" "$capture"
expect "but not itself" 0 grep -ca 'GET /capture' "$capture"
i=0
until grep -q 'capture ends' "$log" || [ $i -gt 1200 ]; do sleep 0.05; i=$((i + 1)); done
check "another reader can come then" sh -c "timeout 10 curl -sN $look/capture | head -c 4 | od -An -tx1 | grep -q '4d 3c b2 a1'"
stop
expect "the guest ends in order" 0 echo $status

rm -f "$WORK/volume"
status_of() { curl -s -m 60 -o /dev/null -w '%{http_code}' "$@"; }
boot examples/guestbook --data "$WORK/volume" --diagnose "$diagnose" || { tail "$log"; bad "guestbook boots"; exit 1; }
expect "a snapshot of the running database is made" 201 status_of -X PUT "$look/snapshots/monday"
expect "an entry is signed after it" 303 sign "$url" Ada "after monday"
expect "snapshots are listed" "monday main" sh -c "curl -fsS -m 60 $look/snapshots | awk '{print \$1, \$2}'"
cut
boot examples/guestbook --data "$WORK/volume" --diagnose "$diagnose" || bad "guestbook boots again"
expect "it is there after a power cut" "monday main" \
	sh -c "curl -fsS -m 60 $look/snapshots | awk '{print \$1, \$2}'"
expect "and can be deleted" 200 status_of -X DELETE "$look/snapshots/monday"
expect "once" 404 status_of -X DELETE "$look/snapshots/monday"
expect "counters are shown as well" 200 status_of "$look/counters"
stop

boot examples/hello || { bad "hello boots again"; exit 1; }
expect "without --diagnose there is no such port" 000 curl -s -m 60 -o /dev/null -w '%{http_code}' "$look/counters"
stop
check "a port that is none is refused" sh -c "./ingot run examples/hello --diagnose 70000 2>&1 | grep -q 'from 1 to 65535'"
exit $failed
