# A network with a faulty link in it. Source it after e2e/lib.sh:
#
#	link_up || { skip "..." "$network_why"; exit 0; }
#	link_set --ab delay=20ms,loss=1 --ba delay=20ms --seed 7   # the words of e2e/support/wire.c; all others are off
#	boot_tap examples/hello                                    # the guest, on this side of the link
#	peer curl "$url/"                                          # a Linux client, on the other side
#	link_print                                                 # what the link did since link_set
#	link_down
#
#	guest -- tap0 [namespace $ns: a router] link0 -- wire -- link0 [namespace $peer: clients]
#
#	          10.77.0.2    10.77.0.1    10.78.0.1              10.78.0.2
#	          fd77::2      fd77::1      fd78::1                fd78::2
#
# The guest's interface has all offloads. The router's kernel cuts what the guest sends into packets of the
# MTU with whole checksums, because the wire's interfaces have none, and nothing is put together again on the
# way: the clients' kernel and the guest see each packet as the wire let it through.
peer='' wire='' wire_log='' link_marks=0
peer_address=10.78.0.2 peer_address6=fd78::2 guest_address6=fd77::2

# link_up [MTU]: the interfaces' MTU, 576 to 9000; LINK_GUEST_MTU: another one between guest and router.
link_up() {
	network || return 1
	peer=$ns-peer wire_log=$WORK/wire.log
	link_build || { network_why="the wire does not build: $(tail -n 1 "$WORK/wire.build")"; link_down; return 1; }
	{ ip netns add "$peer" && ip -n "$peer" link set lo up && link_interfaces && link_mtu "${1:-1500}" &&
		link_sysctls && link_wire; } >"$WORK/link.out" 2>&1 && return 0
	network_why="no link between two namespaces: $(tail -n 1 "$WORK/link.out")"
	link_down
	return 1
}
link_build() { flock build/lock make -s build/e2e/wire >"$WORK/wire.build" 2>&1; }
link_interfaces() {
	for link_end in "$ns" "$peer"; do
		ip -n "$link_end" tuntap add dev link0 mode tap &&
			# What the wire has not read yet waits; only the wire loses packets.
			ip -n "$link_end" link set link0 txqueuelen 20000 || return 1
	done
	ip -n "$ns" link set tap0 txqueuelen 20000
	ip -n "$ns" addr add 10.78.0.1/24 dev link0 && ip -n "$peer" addr add 10.78.0.2/24 dev link0 &&
		ip -n "$ns" -6 addr add fd77::1/64 dev tap0 nodad && ip -n "$ns" -6 addr add fd78::1/64 dev link0 nodad &&
		ip -n "$peer" -6 addr add fd78::2/64 dev link0 nodad &&
		ip -n "$ns" link set link0 up && ip -n "$peer" link set link0 up &&
		link_routes
}
# CUBIC by the route, since a namespace may not choose what the machine does not allow by default.
link_routes() {
	ip -n "$peer" route replace default via 10.78.0.1 congctl cubic && {
		! ip -n "$peer" -6 addr show dev link0 | grep -q fd78 ||
			ip -n "$peer" -6 route replace default via fd78::1 congctl cubic
	}
}
# link_mtu MTU: of the link's interfaces, and of the guest's wire unless LINK_GUEST_MTU says otherwise.
link_mtu() {
	ip -n "$ns" link set link0 mtu "$1" && ip -n "$peer" link set link0 mtu "$1" &&
		ip -n "$ns" link set tap0 mtu "${LINK_GUEST_MTU:-$1}" || return 1
	# An MTU below 1280 takes IPv6 away; above it, it has to come back.
	[ "$1" -lt 1280 ] || {
		ip -n "$ns" -6 addr replace fd78::1/64 dev link0 nodad && ip -n "$peer" -6 addr replace fd78::2/64 dev link0 nodad &&
			ip -n "$ns" -6 addr replace fd77::1/64 dev tap0 nodad && link_routes
	}
	ip -n "$ns" route flush cache && ip -n "$peer" route flush cache
}
# The clients are a usual Linux of today, with windows that are no limit at these delays.
link_sysctls() {
	ip netns exec "$ns" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 &&
		ip netns exec "$peer" sysctl -qw net.ipv4.tcp_no_metrics_save=1 \
			net.ipv4.tcp_rmem="4096 131072 33554432" net.ipv4.tcp_wmem="4096 65536 33554432" \
			net.ipv4.tcp_mtu_probing=1
}
link_wire() {
	rm -f "$WORK/wire.control"
	mkfifo "$WORK/wire.control" || return 1
	: >"$wire_log"
	build/e2e/wire --a "$ns/link0" --b "$peer/link0" --control "$WORK/wire.control" >"$wire_log" 2>&1 &
	wire=$!
	link_i=0
	until grep -q '^wire: up' "$wire_log"; do
		link_i=$((link_i + 1))
		if [ $link_i -gt 100 ] || ! kill -0 "$wire" 2>/dev/null; then
			tail -n 1 "$wire_log"
			return 1
		fi
		sleep 0.02
	done
	link_drops_before=$(($(link_drops "$ns") + $(link_drops "$peer"))) # there was no wire
}

# Sends lines to the wire, and waits until it has read them. False: it does not understand them.
link_say() {
	link_marks=$((link_marks + 1))
	{ cat; echo "done $link_marks"; } >"$WORK/wire.say"
	link_said=$(wc -l <"$wire_log")
	cat "$WORK/wire.say" >"$WORK/wire.control"
	link_i=0
	until grep -qx "wire: done $link_marks" "$wire_log"; do
		link_i=$((link_i + 1))
		[ $link_i -lt 200 ] && kill -0 "$wire" 2>/dev/null || return 1
		sleep 0.01
	done
	! tail -n +$((link_said + 1)) "$wire_log" | grep -v '^wire: done\|^wire [ab]'
}
# link_set [WORDS of wire]: from now on this and nothing else; the counters start again.
link_set() {
	{
		echo both none
		while [ $# -gt 1 ]; do
			echo "${1#--} $2"
			shift 2
		done
		echo reset
	} | link_say
}
link_print() {
	link_from=$(($(wc -l <"$wire_log") + 1))
	echo print | link_say
	tail -n +$link_from "$wire_log" | grep '^wire [ab]'
	link_dropped=$(($(link_drops "$ns") + $(link_drops "$peer") - link_drops_before))
	[ $link_dropped = 0 ] || echo "wire was too slow: $link_dropped packets were lost in front of it since link_up"
}
link_drops() { ip netns exec "$1" cat /sys/class/net/link0/statistics/tx_dropped; }
# link_count ab|ba NAME: one of the printed counters ("lost", "queue full", ...).
link_count() { link_print | sed -n "s/^wire $1: .*[ ;,(]$2 \([0-9]*\).*/\1/p;"; }

peer() { ip netns exec "$peer" "$@"; }

link_down() {
	[ -z "$wire" ] || { kill "$wire" 2>/dev/null; wait "$wire" 2>/dev/null; wire=''; }
	if [ -n "$peer" ]; then
		for pid in $(ip netns pids "$peer" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
		ip netns del "$peer" 2>/dev/null
		peer=''
	fi
	network_remove
}
