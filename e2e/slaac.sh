#!/bin/sh
# e2e/slaac.sh: a guest on a link with a Linux router: it makes its address of the router's prefix, is found and answers
# over IPv6, has the same address after a restart, and does not take one that another machine has.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

PREFIX=2001:db8:77:0
router=''
teardown() { [ -z "$router" ] || kill "$router" 2>/dev/null; }
# The guest's address by advertisement, from its log; waits for it.
slaac() {
	i=0
	until grep -q "by router advertisement" "$log"; do
		i=$((i + 1))
		[ $i -le 400 ] && kill -0 "$guest" 2>/dev/null || return 1
		sleep 0.05
	done
	sed -n "s/.*address \($PREFIX:[0-9a-f:]*\)\/64 by router advertisement.*/\1/p" "$log" | head -n 1
}
# Waits for an address by advertisement that is not $address: sets $other.
second() {
	i=0 other=''
	while [ -z "$other" ] && [ $i -lt 200 ]; do
		i=$((i + 1))
		sleep 0.05
		other=$(sed -n "s/.*address \($PREFIX:[0-9a-f:]*\)\/64 by router advertisement.*/\1/p" "$log" |
			grep -v "^$address\$" | head -n 1)
	done
	grep -q "address $address is gone" "$log" && [ -n "$other" ]
}
get() { inside curl -6 -fsS -m 10 "http://[$1]/$2"; }

network || { skip "IPv6 on a link with a router" "$network_why"; exit 0; }
{ inside sysctl -qw net.ipv6.conf.tap0.accept_dad=0 && ip -n "$ns" -6 addr add "$PREFIX::1/64" dev tap0 nodad; } \
	>"$WORK/network.out" 2>&1 ||
	{ skip "IPv6 on a link with a router" "this kernel has no IPv6: $(tail -n 1 "$WORK/network.out")"; exit 0; }
make -s build/e2e/router6 >"$WORK/make.log" 2>&1 || { cat "$WORK/make.log"; bad "the router builds"; exit 1; }
inside build/e2e/router6 tap0 "$PREFIX::" 1800 "$PREFIX::53" &
router=$!

boot_tap examples/hello --memory 16M || { bad "hello starts"; exit 1; }
address=$(slaac)
check "the guest makes an address of the router's prefix" [ -n "$address" ]
check "it answers ping" inside ping -6 -c 3 -i 0.3 -W 5 "$address"
check "a packet that just fits the link comes back" inside ping -6 -c 2 -i 0.3 -W 5 -s 1452 -M do "$address"
expect "it answers over IPv6" "Hello, world!" get "$address" hello
expect "and over IPv4 beside it" "Hello, world!" inside curl -fsS -m 10 "$url/hello"
link_local=$(inside ping -6 -c 2 -W 5 -I tap0 ff02::1 2>/dev/null | sed -n 's/.*from \(fe80::[0-9a-f:]*\)%tap0.*/\1/p' |
	grep -v "$(ip -n "$ns" -6 addr show dev tap0 scope link | sed -n 's/.*inet6 \([^/]*\).*/\1/p')" | head -n 1)
check "its link-local address is found by asking all nodes" [ -n "$link_local" ]
check "and serves" get "$link_local%25tap0" hello
says "it knows its router" "IPv6 router fe80::" "$log"
stop
expect "it ends in order" 0 echo "$status"

boot_tap examples/hello --memory 16M || { bad "hello starts again"; exit 1; }
expect "its address is the same after a restart" "$address" slaac
stop

# The same address, but it is the router's own now.
ip -n "$ns" -6 addr add "$address/64" dev tap0 nodad
boot_tap examples/hello --memory 16M || { bad "hello starts beside a twin"; exit 1; }
check "a taken address is let go" second
expect "and the next one answers" "Hello, world!" get "$other" hello
stop
ip -n "$ns" -6 addr del "$address/64" dev tap0
kill "$router"; wait "$router" 2>/dev/null
router=''

exit $failed
