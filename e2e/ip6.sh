#!/bin/sh
# A guest over IPv6, with a Linux kernel at the other end of a TAP interface, by its configured address and its
# link-local one; and the sanitized process. (Addresses by router advertisement take a router: see net/ for those.)
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

network || { skip "a guest over IPv6" "$network_why"; exit 0; }
ip -n "$ns" -6 addr add fd77::1/64 dev tap0 nodad || { skip "a guest over IPv6" "this kernel has no IPv6"; exit 0; }
address6=fd77::2
guest_words="ip6=$address6/64,fd77::1"

app=$WORK/ip6
rm -rf "$app"
cp -r examples/hello "$app"
rm -rf "$app/.ingot" # what was built of the original is not of this
head -c 3000000 /dev/urandom >"$app/static/blob.bin"

rx_packets() { inside cat /sys/class/net/tap0/statistics/rx_packets; }
fetch() { inside curl -g -fsS --max-time 60 "$@"; }

# Duplicate address detection takes a second; then a ping gets an answer.
answers() { inside ping -6 -c 1 -W 1 "$1" >/dev/null 2>&1; }
wait_for() {
	i=0
	until answers "$1"; do
		i=$((i + 1))
		[ $i -lt 30 ] || return 1
	done
}

# look NAME: what both kinds of guest can do.
look() {
	check "$1 answers a ping to its address" wait_for $address6
	check "... and one to all nodes of the link" sh -c "ip netns exec $ns ping -6 -c 1 -W 2 ff02::1%tap0 >/dev/null"
	expect "... a request to its address" "Hello, world!" fetch -6 "http://[$address6]/hello"
	expect "... and to its IPv4 address" "Hello, world!" fetch -4 "$url/hello"
	link_local=$(inside ping -6 -c 5 -i 0.3 -W 2 ff02::1%tap0 | sed -n 's/.*from \(fe80[^%]*\)%tap0.*/\1/p' |
		grep -vFx "$(ip -n "$ns" -6 addr show dev tap0 | sed -n 's/.*inet6 \(fe80[^/]*\).*/\1/p')" | head -n 1)
	expect "... and to its link-local address" "Hello, world!" fetch "http://[${link_local:-none}%25tap0]/hello"
	before=$(rx_packets)
	fetch -6 "http://[$address6]/blob.bin" >"$WORK/ip6.blob"
	packets=$(($(rx_packets) - before))
	check "... a body of 3 MB, byte for byte" cmp "$WORK/ip6.blob" "$app/static/blob.bin"
	check "... in frames of many segments ($packets frames)" [ "$packets" -lt 1000 ]
	expect "a closed port refuses at once" 7 sh -c "ip netns exec $ns curl -g -s --max-time 5 'http://[$address6]:81/'; echo \$?"
	expect "eight at once, each whole" 8 sh -c "for i in 1 2 3 4 5 6 7 8; do ip netns exec $ns \
		curl -g -fsS --max-time 60 'http://[$address6]/blob.bin' | cmp - '$app/static/blob.bin' && echo same & done | grep -c same"
}

if boot_tap "$app"; then
	look "a guest"
	check "the log tells the address" grep -q "$address6" "$log"
	stop
	expect "the power button ends it with status 0" 0 echo $status
else
	tail -n 10 "$log" | sed 's/^/#   /'
	bad "a guest boots with an IPv6 address"
fi

build_program "$app"
if boot_program; then
	look "a process"
	stop
	complaints "$log" | sed 's/^/#   /'
	check "the sanitizers have nothing to say" sh -c "! grep -q 'Sanitizer\|runtime error' '$log'"
fi
