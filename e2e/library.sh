#!/bin/sh
# examples/library in a guest: its pages, paging, search for whatever a visitor may type, JSON, ETags, the feed, and a
# browser that searches and opens a book. Pictures of it go to build/e2e/library/*.png.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

rm -rf "$WORK/library.volume" "$WORK/profile" "$WORK"/*.png
boot examples/library --memory 16M --data "$WORK/library.volume" || { tail -n 15 "$log"; bad "the library boots with 16 MiB"; exit 1; }
ok "the library boots with 16 MiB"

books=$(sed -n '/^INSERT INTO book /,/;$/p' examples/library/migrations/002-catalogue.sql | grep -c "^	('")
timeout 200 node e2e/library.mjs "$url" "$books" 2>"$WORK/library.err" || {
	failed=1
	tail -n 5 "$WORK/library.err" | sed 's/^/#   /'
}

# --- The feed (RFC 4287) ------------------------------------------------------------------------
curl -fsS --max-time 60 -D "$WORK/feed.head" "$url/feed.atom" >"$WORK/feed.atom"
says "the feed has its type" '^Content-Type: application/atom+xml' "$WORK/feed.head"
if command -v xmllint >/dev/null 2>&1; then
	check "the feed is well-formed XML" xmllint --noout "$WORK/feed.atom"
	expect "it is one of Atom" http://www.w3.org/2005/Atom xmllint --xpath 'string(namespace-uri(/*))' "$WORK/feed.atom"
	sed 's| xmlns="http://www.w3.org/2005/Atom"||' "$WORK/feed.atom" >"$WORK/feed.xml" # so that XPath needs no prefixes
	feed() { expect "$1" "$2" xmllint --xpath "$3" "$WORK/feed.xml"; }
	feed "it has its id, title and date once" "1 1 1" 'concat(count(/feed/id), " ", count(/feed/title), " ", count(/feed/updated))'
	feed "it has twenty entries" 20 'count(/feed/entry)'
	feed "each with one id, title and date, and an author" 20 \
		'count(/feed/entry[count(id) = 1 and count(title) = 1 and count(updated) = 1 and author/name != ""])'
	feed "ids are tag: URIs" 21 'count(//id[starts-with(., "tag:library.example,2026:")])'
	feed "and no two are the same" 0 'count(//id[. = following::id])'
	feed "dates are those of RFC 3339" 21 'count(//updated[translate(., "0123456789", "dddddddddd") = "dddd-dd-ddTdd:dd:ddZ"])'
	feed "the feed names itself" "$url/feed.atom" 'string(/feed/link[@rel="self"]/@href)'
	feed "each entry leads to its book, with a whole address" 20 \
		"count(/feed/entry/link[@rel='alternate' and starts-with(@href, '$url/book/')])"
else
	skip "the feed is well-formed XML" "there is no xmllint"
fi

# --- A browser ----------------------------------------------------------------------------------
browser=''
for name in chromium chromium-browser google-chrome; do
	command -v $name >/dev/null 2>&1 && { browser=$name; break; }
done
if [ -n "$browser" ]; then
	timeout 300 node e2e/browser.mjs "$browser" "$url" "$WORK" library 2>"$WORK/browser.err" || {
		failed=1
		tail -n 5 "$WORK/browser.err" | sed 's/^/#   /'
	}
	rm -rf "$WORK/profile"
else
	skip "the library in a browser" "there is no chromium"
fi
expect "the guest has not complained" "" complaints "$log"
expect "and logged no error" "" grep -E ' (error|warn) ' "$log"
stop
expect "the guest ends in order" 0 echo $status
exit $failed
