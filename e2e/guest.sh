#!/bin/sh
# The examples as guests on each machine type, used with curl; and how `ingot run` starts and ends.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

status_of() { curl -s --max-time 60 -o /dev/null -w '%{http_code}' "$@"; }

for machine in ${MACHINES:-microvm q35 pc}; do
	if ! boot examples/hello --machine $machine --memory 8M; then
		tail -n 10 "$log"
		bad "hello boots on $machine with 8 MiB"
		continue
	fi
	ok "hello boots on $machine with 8 MiB"
	expect "hello answers on $machine" "Hello, world!" curl -fsS "$url/hello"
	check "its stylesheet is the file, byte for byte, on $machine" \
		sh -c "curl -fsS $url/style.css | cmp - examples/hello/static/style.css"
	stop
	expect "the power button ends it with status 0 on $machine" 0 echo $status

	rm -f "$WORK/$machine.volume"
	if ! boot examples/guestbook --machine $machine --memory 16M --data "$WORK/$machine.volume"; then
		tail -n 10 "$log"
		bad "guestbook boots on $machine with 16 MiB"
		continue
	fi
	ok "guestbook boots on $machine with 16 MiB"
	expect "an entry is signed on $machine" 303 sign "$url" "Ada <b>Lovelace</b>" "Note \"G\" & more"
	cut
	boot examples/guestbook --machine $machine --memory 16M --data "$WORK/$machine.volume" ||
		bad "guestbook boots again on $machine after the power was cut"
	check "the entry is there after the power was cut on $machine, escaped" \
		sh -c "curl -fsS $url/ | grep -q 'Ada &lt;b&gt;Lovelace&lt;/b&gt;'"
	stop
	expect "guestbook ends with status 0 on $machine" 0 echo $status
done

# What a client may ask.
rm -f "$WORK/plain.volume"
boot examples/guestbook --data "$WORK/plain.volume" || bad "guestbook boots"
expect "HEAD has no body: the connection goes on after it" "1 0 " \
	curl -sS --max-time 60 -I -o /dev/null -o /dev/null -w '%{num_connects} ' "$url/" "$url/guestbook.css"
expect "an unknown path is 404" 404 status_of "$url/nothing"
expect "a wrong method is 405" 405 status_of -X DELETE "$url/"
check "... with Allow" sh -c "curl -sS -X DELETE -D - -o /dev/null $url/ | grep -qi '^allow: .*GET'"
expect "OPTIONS is answered" 204 status_of -X OPTIONS "$url/"
etag=$(curl -sS -D - -o /dev/null "$url/guestbook.css" | sed -n 's/^[Ee][Tt]ag: \(.*\)\r$/\1/p')
expect "an asset that the client has is 304" 304 status_of -H "If-None-Match: $etag" "$url/guestbook.css"
expect "a part of an asset is 206" 206 status_of -r 10-19 "$url/guestbook.css"
expect "... and just that part" "$(dd if=examples/guestbook/static/guestbook.css bs=1 skip=10 count=10 2>/dev/null)" \
	curl -fsS -r 10-19 "$url/guestbook.css"
expect "a form without a token is refused" 403 status_of -d 'name=a&message=b' "$url/sign"
expect "a form from another site is refused" 403 status_of -H 'Origin: http://evil.example' -d 'name=a&message=b' "$url/sign"
expect "a form without a name says so" 422 sign "$url" "" "hello"
expect "a name of 61 characters is refused" 422 sign "$url" "$(printf '%061d' 0)" "hello"
expect "a body that is no form is 415" 415 status_of -H 'Content-Type: application/json' -d '{}' "$url/sign"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sign "$url" "Visitor $i" "Entry number $i" >/dev/null; done
expect "a page shows ten entries" 10 sh -c "curl -fsS $url/ | grep -c '<article'"
older=$(curl -fsS "$url/" | sed -n 's/.*href="\(\/?before=[0-9]*\)".*/\1/p')
expect "the rest is on the next page" 2 sh -c "curl -fsS '$url$older' | grep -c '<article'"
expect "many requests on one connection" 50 sh -c "curl -fsS $(for i in 1 2 3 4 5 6 7 8 9 10; do printf '%s ' "$url/quill.svg" "$url/" "$url/guestbook.js" "$url/" "$url/guestbook.css"; done) -w '%{num_connects}\n' -o /dev/null $(for i in $(seq 49); do printf '%s ' '-o /dev/null'; done) | grep -c ."

stop
# A second press cuts the power: here while a request that never ends keeps the first one waiting.
boot examples/hello || bad "hello boots"
# (Its first bytes travel with a request before it: when that is answered, the guest has them.)
node -e 'const s = require("net").connect(+process.argv[1], "127.0.0.1");
	s.write("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n");
	s.on("error", () => 0); s.once("data", () => console.log("answered")); setTimeout(() => process.exit(), 100000)' \
	"$port" >"$WORK/slow.out" &
slow=$!
await answered "$WORK/slow.out"
kill -TERM "$guest"
await '^ingot: stopping' "$log"
sleep 1 # what comes at once is taken for the same press
kill -TERM "$guest"
wait "$guest"
expect "a second press of the power button cuts the power" 130 echo $?
guest=''
kill $slow 2>/dev/null
boot examples/guestbook --data "$WORK/plain.volume" || bad "guestbook boots"

# The command's own errors.
refused() { # refused NAME PATTERN COMMAND...: ends with an error and one clear line
	refused_name=$1 pattern=$2
	shift 2
	if timeout 120 "$@" >"$WORK/refused.out" 2>&1; then
		bad "$refused_name (it ended well)"
	else
		says "$refused_name" "$pattern" "$WORK/refused.out"
	fi
}
refused "a port in use is said" "ingot: cannot listen on port $port" ./ingot run examples/hello --port "$port"
refused "a volume in use is said" "ingot: the volume .* is in use" ./ingot run examples/guestbook --port 0$((port + 1000)) --data "$WORK/plain.volume"
stop
refused "a folder that is no application is said" "is not an application" ./ingot run docs
refused "an unknown command is said" "there is no command" ./ingot frobnicate
mkdir -p "$WORK/broken/pages"
cp examples/hello/app.c "$WORK/broken/"
printf '<p>{{#open}}\n' >"$WORK/broken/pages/home.html"
refused "a broken template is said, with file, line and column" "pages/home.html:1:4: error" ./ingot build "$WORK/broken"
cp examples/hello/pages/home.html "$WORK/broken/pages/"
printf 'int x = ;\n' >"$WORK/broken/app.c"
refused "broken C is said" "does not compile" ./ingot build "$WORK/broken"
head -c 1048576 /dev/urandom >"$WORK/foreign.volume"
cp "$WORK/foreign.volume" "$WORK/foreign.copy"
refused "a foreign volume is refused" "not an Ingot volume" ./ingot run examples/guestbook --accel tcg --port $((port + 1)) --data "$WORK/foreign.volume"
check "... and left untouched" cmp "$WORK/foreign.volume" "$WORK/foreign.copy"
rm -f "$WORK/small.volume"
refused "a volume that is too small is said" "a volume needs at least" ./ingot run examples/guestbook --accel tcg --port $((port + 2)) --data "$WORK/small.volume" --data-size 64K
refused "too little memory is said, with what is needed" "needs at least [0-9]* KiB" ./ingot run examples/guestbook --accel tcg --port $((port + 3)) --memory 4M --data "$WORK/plain.volume"
exit $failed
