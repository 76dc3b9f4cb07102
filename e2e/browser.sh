#!/bin/sh
# The guestbook in a real browser, at the size of a phone and of a desktop: it is filled in, signed and
# read as a person would. Pictures of it go to build/e2e/browser/*.png.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

browser=''
for name in chromium chromium-browser google-chrome; do
	command -v $name >/dev/null 2>&1 && { browser=$name; break; }
done
[ -n "$browser" ] || { skip "the guestbook in a browser" "there is no chromium"; exit 0; }
rm -rf "$WORK/browser.volume" "$WORK/profile" "$WORK"/*.png
boot examples/guestbook --data "$WORK/browser.volume" || { tail -n 15 "$log"; bad "the guestbook boots"; exit 1; }
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13; do
	sign "$url" "Visitor $n" "This is entry number $n, with a few more words, so that a line is filled and the next one begun." >"$WORK/signed"
done
timeout 300 node e2e/browser.mjs "$browser" "$url" "$WORK" 2>"$WORK/browser.err" || {
	failed=1
	tail -n 5 "$WORK/browser.err" | sed 's/^/#   /'
}
rm -rf "$WORK/profile"
expect "the guest has not complained" "" complaints "$log"
stop
expect "the guest ends in order" 0 echo $status
exit $failed
