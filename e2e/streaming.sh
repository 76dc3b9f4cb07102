#!/bin/sh
# Files, answers without an end, and events that flow through a guest of 16 MiB, which could not hold them; and clients
# that stop, dribble, or leave. SOAK=1: a gigabyte.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
MIB=${SOAK:+1024}
MIB=${MIB:-24}

teardown() {
	for pid in $clients; do kill -KILL "$pid" 2>/dev/null; done
	rm -f "$WORK/large" "$WORK/file" "$WORK/volume"
	rm -rf "$WORK/profile" 2>/dev/null # (what the browser has left may still be writing)
}
clients=''
background() { # background COMMAND...: ended by clients_end
	"$@" &
	clients="$clients $!"
}
clients_end() {
	for pid in $clients; do kill -KILL "$pid" && wait "$pid"; done 2>/dev/null
	clients=''
}
get() { curl -sS --max-time 120 "$@"; }
status_of() { get -o "$WORK/answer" -w '%{http_code}' "$@"; }
# until_state PATTERN: whether the guest comes to say so.
until_state() {
	state_i=0
	until get "$url/state" | grep -q "$1" || [ $state_i -gt 300 ]; do
		sleep 0.1
		state_i=$((state_i + 1))
	done
	get "$url/state" | grep "$1"
}

head -c $((MIB << 20)) /dev/urandom >"$WORK/large"
head -c 20000000 "$WORK/large" >"$WORK/file"
rm -f "$WORK/volume"
boot e2e/support/flow --memory 16M --data "$WORK/volume" --data-size 128M || {
	tail -n 10 "$log"
	bad "it boots with 16 MiB"
	exit 1
}

# Larger than the machine.
expect "a body of $MIB MiB passes through 16 MiB" "$((MIB << 20))" sh -c "curl -sS --max-time 1000 -T $WORK/large $url/sum | cut -d' ' -f1"
expect "... and one in chunks, as it is made" 5000000 sh -c \
	"head -c 5000000 $WORK/large | curl -sS --max-time 120 -H 'Transfer-Encoding: chunked' -T - $url/sum | cut -d' ' -f1"
expect "a file of 20 MB is stored" 201 status_of -T "$WORK/file" "$url/file/large"
check "... and comes back, byte for byte" sh -c "curl -sS --max-time 120 $url/file/large | cmp - $WORK/file"
expect "a form with two files, one of $MIB MiB, is taken apart" "a title 2 $(((MIB << 20) + 20000000))" \
	curl -sS --max-time 1000 -X PUT -F 'title=a title' -F "one=@$WORK/large" -F "two=@$WORK/file;type=image/png" "$url/form"
expect "an answer without an end goes on" $((MIB << 20)) sh -c \
	"curl -sS --max-time 1000 $url/endless 2>/dev/null | head -c $((MIB << 20)) | wc -c"
expect "its handler ends when the client leaves" "events 0 flows 0" until_state "flows 0"

# Limits, and refusals that spare the client the body.
head -c 1001 "$WORK/large" >"$WORK/1001"
expect "a body over its route's limit is 413" 413 status_of -T "$WORK/1001" "$url/small"
expect "one that says that it is too large is 413 at once" 413 sh -c \
	"curl -sS -o /dev/null -w '%{http_code}' --max-time 60 -H 'Expect:' -H 'Content-Length: 9999999999' -T $WORK/1001 $url/sum"
expect "who waits for the word does not send what is refused" "403 0" sh -c \
	"curl -sS -o /dev/null -w '%{http_code} %{size_upload}' --max-time 60 --expect100-timeout 60 -T $WORK/file $url/ignored"
expect "an answer that breaks is no whole one" 18 sh -c "curl -sS --max-time 60 $url/broken >$WORK/broken 2>/dev/null; s=\$?
	[ \$s = 56 ] && s=18; echo \$s"
says "... but what was sent came" "so far, " "$WORK/broken"

# Clients that are slow, or stop.
for i in 1 2 3; do background curl -sS --limit-rate 20k -o /dev/null -T "$WORK/file" "$url/sum"; done
until_state "flows 3" >/dev/null
expect "slow uploads do not hold up others" 201 status_of -T "$WORK/1001" "$url/file/small"
clients_end
expect "an upload that breaks off ends" "events 0 flows 0" until_state "flows 0"
curl -sS --limit-rate 500k --max-time 1 -T "$WORK/file" "$url/file/half" >/dev/null 2>&1
expect "a file that did not come to its end is not there" 404 status_of "$url/file/half"
rm -f "$WORK/stalled"
mkfifo "$WORK/stalled"
exec 9<>"$WORK/stalled" # opened, and never read
for i in 1 2; do background curl -sS -o "$WORK/stalled" "$url/endless"; done
for i in 1 2 3 4; do background curl -sS -o "$WORK/stalled" "$url/file/large"; done # who holds the database by that
until_state "flows [12]" >/dev/null # (one may have been cut off already, for this question to be answered)
# Earlier than the 30 s after which they are cut off even if nobody waits.
expect "clients that do not read do not hold up others" "201 200 200" echo \
	"$(status_of --max-time 25 -T "$WORK/1001" "$url/file/small") $(status_of --max-time 25 "$url/file/small") $(status_of --max-time 25 "$url/state")"
check "... and large ones among them" sh -c "curl -sS --max-time 120 $url/file/large | cmp - $WORK/file"
clients_end
exec 9<&-

# Events.
for i in 1 2; do background curl -sSN -o "$WORK/events.$i" "$url/events"; done
until_state "events 2" >/dev/null
for i in 1 2; do await "^data: large" "$WORK/events.$i"; done
status_of -T "$WORK/1001" "$url/file/fresh" >/dev/null
for i in 1 2; do
	await "^data: fresh" "$WORK/events.$i"
	says "listener $i hears of a commit" "^data: fresh" "$WORK/events.$i"
done
clients_end
expect "listeners that have left are gone" "events 0 flows 0" until_state "events 0"

# A browser's forms, event streams, and what it makes of an answer that breaks.
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$browser" ]; then
	rm -rf "$WORK/profile"
	background "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-port=0 \
		--user-data-dir="$WORK/profile" "$url/" >"$WORK/browser.out" 2>&1
	await "app: " "$log"
	says "a browser uploads, listens, and notices what breaks" 'app: a "title" 1 3000000; 201; 500000; seen; broken; $' "$log"
	clients_end
else
	skip "a browser uploads, listens, and notices what breaks" "there is no chromium"
fi

# What the machine tells of itself.
expect "it is well" "ok ready" echo "$(get "$url/healthz") $(get "$url/readyz")"
get -D "$WORK/metrics.head" "$url/metrics" >"$WORK/metrics"
says "metrics are text for Prometheus" '^Content-Type: text/plain; version=0.0.4; charset=utf-8' "$WORK/metrics.head"
says "... with durations by route" '^http_request_duration_seconds_bucket{method="PUT",route="/sum",le="+Inf"} [1-9]' "$WORK/metrics"
says "... answers that were cut" '^http_responses_total{method="GET",route="/broken",code="5xx"} [1-9]' "$WORK/metrics"
says "... flushes" '^store_flushes_total [1-9]' "$WORK/metrics"
says "... and pool levels" '^pool_items_used{pool="fibers"} [1-9]' "$WORK/metrics"
get -A "$(printf 'an "agent\\ \302\233')" "$url/healthz?seen" >/dev/null
await '"target":"/healthz?seen"' "$log"
says "the access log has the request, and nothing that a terminal would obey" \
	'^{"time":.*"target":"/healthz?seen",.*"status":200,"bytes":3,"seconds":[0-9.]*,"agent":"an \\"agent\\\\ \\u009b"}' "$log"
check "... each line is JSON" sh -c "grep '^{' $log | node -e '
	const lines = require(\"fs\").readFileSync(0, \"utf8\").trim().split(\"\\n\").map(JSON.parse);
	process.exit(lines.length > 20 && lines.every((l) => l.status >= 200 && l.time > \"2020\") ? 0 : 1)'"

background curl -sSN -o "$WORK/events.3" "$url/events"
until_state "events 1" >/dev/null
stop
expect "the machine stops with a listener there" 0 echo $status
says "... whose answer has come to its end" "^data: fresh" "$WORK/events.3"
check "nothing was wrong" sh -c "! grep -i 'assertion\|panic\|ERROR' $log"
exit $failed
