#!/bin/sh
# Static files as clients ask for them: codings, ranges, conditions, fingerprinted names; and 50 MB that nobody copies,
# in a guest that has hardly more memory than its image.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

app=$WORK/files
made=$app/static
rm -rf "$app"
mkdir -p "$made/css" "$made/docs" "$made/.well-known/.git" "$app/pages"
cat examples/hello/app.c - >"$app/app.c" <<'C'
#include "static.h"

/* asset_path("not/this.css") */
static void sheet(struct request *req)
{
	reply_redirect(req, asset_path("/css/site" ".css"));
}

APP_ROUTES(GET("/", home), GET("/hello", hello), GET("/sheet", sheet))
C
sed -i '0,/^APP_ROUTES/{/^APP_ROUTES/d}' "$app/app.c"
echo 'Contact: mailto:us@example.org' >"$made/.well-known/security.txt"
echo secret >"$made/.well-known/.git/config"
echo '<!doctype html><title>{{status}}</title><p>{{path}}</p>' >"$app/pages/error.html"
cat >"$app/pages/home.html" <<'PAGE'
<!doctype html>
<title>{{name}}</title>
<link rel="stylesheet" href="{{asset css/site.css}}">
PAGE
cat page/*.c >"$made/book.txt"
cp "$made/book.txt" "$made/plain.txt"
echo 'plain.txt plain # as it is' >"$made/.assets"
printf 'a { background: url(../mark.svg) }\n' >"$made/css/site.css"
cp examples/guestbook/static/quill.svg "$made/mark.svg"
echo '<!doctype html><title>Docs</title>' >"$made/docs/index.html"
printf 'caf\351\n' >"$made/latin.txt"
# 50 MB in which each 16 bytes say where they stand.
big=50000000
[ -f "$WORK/big.bin" ] ||
	awk -v n=$((big / 16)) 'BEGIN { for (i = 0; i < n; i++) printf "%015d\n", i }' >"$WORK/big.bin"
ln "$WORK/big.bin" "$made/big.bin"

# --- The build ---
build() { ./ingot build "$app" >"$WORK/build.log" 2>&1; }
build || { tail "$WORK/build.log"; bad "the files build"; exit 1; }
image=$app/.ingot/files.elf
cp "$image" "$WORK/first.elf"
rm -rf "$app/.ingot"
build
check "the same files make the same image, byte for byte" cmp "$image" "$WORK/first.elf"
rm -f "$WORK/first.elf"
sed 's/css.site/css\/sight/' "$app/pages/home.html" >"$app/pages/other.html"
build
says "a file that is not there is an error, with its place" \
	'^pages/other.html:3:30: error: there is no file static/css/sight.css' "$WORK/build.log"
rm "$app/pages/other.html"
cp "$app/app.c" "$WORK/app.c"
sed -i 's/"\/css.site"/"\/css\/sight"/' "$app/app.c"
build
says "... nor one that a handler names" \
	'^app.c:[0-9]*:33: error: there is no file static/css/sight.css; did you mean "css/site.css"?$' "$WORK/build.log"
sed -i 's/asset_path("[^)]*)/asset_path(request_param(req, "x"))/' "$app/app.c"
build
says "... which stands there in quotes" '^app.c:[0-9]*:22: error: asset_path takes a name in quotes' "$WORK/build.log"
cp "$WORK/app.c" "$app/app.c"

echo "b { background: url(../mark.svg) }" >>"$made/css/site.css"
build
expect "what was made of the file before its change is forgotten" 1 sh -c "ls $app/.ingot/assets | grep -c css"

sed -i 's/Docs/DOCS/' "$made/docs/index.html" # as long as before
build
check "a file that changes, changes in the image" grep -aq '<title>DOCS</title>' "$image"

# --- As a guest: 50 MB of image, and some 6 MB more ---
free_port
diagnose=$port
boot "$app" --memory 58M --diagnose "$diagnose" || { tail "$log"; bad "it boots in 58 MiB"; exit 1; }
ok "50 MB of files boot in 58 MiB"
copied() { curl -fsS -m 60 "http://127.0.0.1:$diagnose/counters" | sed -n "s/^http_bytes_copied //p"; }
get() { curl -sS --max-time 120 "$@"; }
field() { # field NAME CURL-ARGUMENTS...
	field_name=$1
	shift
	get -D - -o /dev/null "$@" | tr -d '\r' | sed -n "s/^$field_name: //Ip"
}
status_of() { get -o /dev/null -w '%{http_code}' "$@"; }

before=$(copied)
get "$url/big.bin" | cmp - "$WORK/big.bin" && ok "50 MB arrive as they are" || bad "50 MB arrive as they are"
spent=$(($(copied) - before))
[ "$spent" -gt 0 ] && [ "$spent" -lt 200 ] && ok "... and the processor copied $spent bytes, of the head" ||
	bad "... and the processor copied $spent bytes, of the head"
get -C 49999000 "$url/big.bin" >"$WORK/tail"
check "a download goes on where it ended" sh -c "tail -c 1000 $WORK/big.bin | cmp - $WORK/tail"
before=$(copied)
get -r 0-9999999,16000000-16000015,-5000000 "$url/big.bin" >"$WORK/parts"
spent=$(($(copied) - before))
expect "three ranges are three parts" 3 grep -ac "^Content-Range: bytes " "$WORK/parts"
check "... with the bytes in between" grep -aq "^000000001000000$" "$WORK/parts"
[ "$spent" -lt 1000 ] && ok "... and the processor copied $spent bytes, of the heads" ||
	bad "... and the processor copied $spent bytes, of the heads"
many=$(awk 'BEGIN { printf "0-"; for (i = 0; i < 500; i++) printf ",%d-", i }')
expect "hundreds of ranges are answered with the whole, once" "200 $big" \
	get -o /dev/null -w '%{http_code} %{size_download}' -r "$many" "$url/big.bin"
etag=$(field ETag "$url/big.bin" -r 0-0)
expect "If-Range that holds: a part" 206 status_of -r 0-9 -H "If-Range: $etag" "$url/big.bin"
expect "If-Range that does not: the whole" 200 status_of -r 0-9 -H 'If-Range: "old"' "$url/book.txt"
expect "If-Range with a date that cannot be compared: the whole" 200 status_of -r 0-9 \
	-H 'If-Range: Sun, 06 Nov 1994 08:49:37 GMT' "$url/book.txt"
expect "readers of large documents are told that they may" bytes field Accept-Ranges "$url/big.bin"
expect "beyond the end" "416 bytes */$big" \
	echo "$(status_of -r $big- "$url/big.bin") $(field Content-Range -r $big- "$url/big.bin")"

# --- Codings ---
for coding in gzip br; do
	expect "$coding is sent to who asks for it" $coding field Content-Encoding -H "Accept-Encoding: $coding" "$url/book.txt"
done
check "curl --compressed gets the file" sh -c "curl -fsS --compressed $url/book.txt | cmp - $made/book.txt"
check "gzip is good gzip" sh -c "curl -fsS -H 'Accept-Encoding: gzip' $url/book.txt | gzip -dc | cmp - $made/book.txt"
plain=$(stat -c %s "$made/book.txt")
coded=$(field Content-Length -H 'Accept-Encoding: gzip, br' "$url/book.txt")
[ "$coded" -lt $((plain / 3)) ] && ok "$plain bytes become $coded" || bad "$plain bytes become $coded"
expect "no field: as it is, and it varies" "Accept-Encoding $plain" \
	echo "$(field Vary "$url/book.txt") $(field Content-Length "$url/book.txt")"
expect "what has no coding does not vary" "" field Vary -H 'Accept-Encoding: gzip' "$url/big.bin"
expect "nor what .assets says to leave alone" "" field Content-Encoding -H 'Accept-Encoding: gzip, br' "$url/plain.txt"
expect "all refused: 406" 406 status_of -H 'Accept-Encoding: zstd, *;q=0' "$url/book.txt"
tags=$(for coding in identity gzip br; do field ETag -H "Accept-Encoding: $coding" "$url/book.txt"; done | sort -u | wc -l)
expect "each coding has its own ETag" 3 echo "$tags"
etag=$(field ETag -H 'Accept-Encoding: gzip' "$url/book.txt")
expect "which a condition is compared with" "304 200" echo \
	"$(status_of -H 'Accept-Encoding: gzip' -H "If-None-Match: $etag" "$url/book.txt")" \
	"$(status_of -H "If-None-Match: $etag" "$url/book.txt")"
expect "files have no date: curl -z gets them" 200 status_of -z '2001-01-01' "$url/book.txt"
expect "If-Match with another tag" 412 status_of -H 'If-Match: "x"' "$url/book.txt"

# --- Names and types ---
sheet=$(get "$url/" | sed -n 's/.*href="\(.*\)".*/\1/p')
expect "a page names its style sheet by fingerprint" 1 expr "$sheet" : '/css/site\.[0-9a-f]\{12\}\.css$' '>' 0
expect "... which need never be asked for again" "public, max-age=31536000, immutable" field Cache-Control "$url$sheet"
mark=$(get "$url$sheet" | sed -n '1s/.*url(\(.*\)).*/\1/p')
expect "... nor what it names" "public, max-age=31536000, immutable" field Cache-Control "$url$mark"
check "... with the bytes of the file" sh -c "curl -fsS $url$mark | cmp - $made/mark.svg"
expect "the plain name goes on to work" no-cache field Cache-Control "$url/css/site.css"
check "... and is the file" sh -c "curl -fsS $url/css/site.css | cmp - $made/css/site.css"
expect "a folder is its index" "text/html; charset=utf-8" field Content-Type "$url/docs/"
expect "text that is not UTF-8 is not called so" text/plain field Content-Type "$url/latin.txt"
expect "what is hidden is not served" 404 status_of "$url/.assets"
expect "but what is well known is" "Contact: mailto:us@example.org" get "$url/.well-known/security.txt"
expect "... without what is hidden in it" 404 status_of "$url/.well-known/.git/config"
expect "a handler names the style sheet as the page does" "$sheet" field Location "$url/sheet"
expect "the application's page for errors is shown" "<!doctype html><title>404</title><p>/a&lt;b</p>" get "$url/a%3Cb"
stop
expect "it ends with status 0" 0 echo $status
[ $failed = 1 ] || rm -rf "$app" # 150 MB
exit $failed
