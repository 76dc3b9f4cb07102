#!/bin/sh
# Attacks from the network, by Debian's tools and by e2e/support/intruder.c, while somebody else is served: a
# client on a connection of its own (and now and then on a new one) gets each answer, whole, within
# LIMIT_MS (20000), in the midst of each attack and after it. The guest's pools are back at their start at the end.
#
#	e2e/attack.sh                  each attack for ATTACK_SECONDS (1)
#	ATTACK_SECONDS=60 e2e/attack.sh
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
ATTACK_SECONDS=${ATTACK_SECONDS:-1}
LIMIT_MS=${LIMIT_MS:-20000}
FRAMES=200
RATE=${RATE:-u100} # hping3's: one packet each 100 us

network || { skip "attacks from the network" "$network_why"; exit 0; }
for tool in hping3 atk6-flood_solicitate6; do
	command -v $tool >/dev/null 2>&1 && continue
	skip "attacks from the network" "$tool is not installed (packages hping3 and thc-ipv6)"
	exit 0
done
flock build/lock make -s build/e2e/intruder >"$WORK/make.log" 2>&1 || { cat "$WORK/make.log"; bad "the intruder builds"; exit 1; }

# The application: hello, and half a MiB that takes a while to send.
app=$WORK/app
rm -rf "$app"
mkdir -p "$app"
cp -r examples/hello/. "$app"
rm -rf "$app/.ingot"
head -c 524288 /dev/urandom >"$app/static/large.bin"
boot_tap "$app" --diagnose 9000 --memory 32M ||
	{ tail -n 15 "$log"; bad "the application boots"; exit 1; }
look() { inside curl -fsS -m 5 "http://$guest_address:9000/counters"; }
counter() { look | sed -n "s/^$1 //p"; }
in_use() { look | sed -n '/^\(half_open\|tx_frames\|rx_frames\)_in_use/p'; }
inside ping -c 1 -W 2 "$guest_address" >/dev/null 2>&1
# Of those who answer on the link, the one that is not us. Our own address is being checked for a second yet.
guest6='' i=0
own6=$(ip -n "$ns" -6 addr show dev tap0 scope link 2>/dev/null | sed -n 's/.*inet6 \([^/]*\).*/\1/p')
while [ -n "$own6" ] && [ -z "$guest6" ] && [ $i -lt 5 ]; do
	guest6=$(inside ping -6 -c 2 -W 2 -I tap0 ff02::1 2>/dev/null |
		sed -n 's/.*from \(fe80::[0-9a-f:]*\)%tap0.*/\1/p' | grep -vx "$own6" | head -n 1)
	i=$((i + 1))
done

# attack NAME COMMAND...: the command is ended after ATTACK_SECONDS. It must have been one: FRAMES (200) reached
# the guest besides those of the client.
attack() {
	attack_name=$1
	shift
	frames_before=$(counter if_in_frames)
	inside build/e2e/intruder client "$guest_address" /static.html $((ATTACK_SECONDS + 1)) "$LIMIT_MS" >"$WORK/client" 2>&1 &
	client=$!
	sleep 0.3
	if [ "$1" = bursts ]; then
		"$@" >"$WORK/attack" 2>&1
	else
		inside timeout -s INT -k 1 "$ATTACK_SECONDS" "$@" >"$WORK/attack" 2>&1
	fi
	if wait $client; then
		ok "$attack_name: others are served ($(tail -n 1 "$WORK/client"))"
		# (Of the client's own requests each is three or four frames at most.)
		arrived=$(($(counter if_in_frames) - frames_before))
		[ "$FRAMES" = 0 ] || [ "$arrived" -ge $((FRAMES + 4 * $(sed -n 's/ requests,.*//p' "$WORK/client"))) ] || {
			tail -n 3 "$WORK/attack" | sed 's/^/#   /'
			bad "$attack_name: it is one: only $arrived frames came"
		}
	else
		sed 's/^/# /' "$WORK/client"
		tail -n 3 "$WORK/attack" | sed 's/^/#   /'
		bad "$attack_name: others are served"
	fi
	kill -0 "$guest" 2>/dev/null || { tail -n 20 "$log"; bad "after $attack_name it lives"; exit 1; }
	expect "$attack_name: the log has no panic" "" complaints "$log"
}

# --- By packet ---
attack "SYN flood from everywhere" hping3 -q -S -p 80 -i "$RATE" --rand-source "$guest_address"
attack "SYN flood from neighbours" hping3 -q -S -p 80 -i "$RATE" -a 10.77.0.99 "$guest_address"
attack "ACK storm" hping3 -q -A -p 80 -i "$RATE" --rand-source "$guest_address"
attack "flood of FINs, PSHs and URGs" hping3 -q -F -P -U -p 80 -i "$RATE" --rand-source "$guest_address"
attack "RST flood at the client's address" hping3 -q -R -p 80 -i "$RATE" -a 10.77.0.1 "$guest_address"
attack "flood of SYNs to closed ports" hping3 -q -S -p ++1000 -i "$RATE" -a 10.77.0.98 "$guest_address"
attack "flood of first fragments" hping3 -q -2 -p 53 -i "$RATE" -x -d 64 --rand-source "$guest_address"
attack "flood of middle fragments" hping3 -q -2 -p 53 -i "$RATE" -x -g 64 -d 64 --rand-source "$guest_address"
attack "flood of UDP" hping3 -q -2 -p ++1 -i "$RATE" --rand-source "$guest_address"
attack "ping flood" hping3 -q -1 -i "$RATE" -d 1000 "$guest_address"
attack "flood of forged ICMP errors" hping3 -q -1 -C 3 -K 4 -i "$RATE" --rand-source "$guest_address"
attack "packets from itself" hping3 -q -S -p 80 -s 80 -k -i "$RATE" -a "$guest_address" "$guest_address"
mac=$(ip -n "$ns" neigh show "$guest_address" | sed -n 's/.*lladdr \([^ ]*\).*/\1/p')
make -s build/e2e/frames >>"$WORK/make.log" 2>&1
attack "ARP flood" build/e2e/frames arp tap0 "$mac" "$guest_address" 20000 1

# --- IPv6, where the kernel has it ---
# bursts COMMAND...: these know no rate but the fastest, which would only measure this machine: they run for a
# fifth of the time.
flooders() { # flooders SIGNAL
	for pid in $(ip netns pids "$ns"); do
		case $(cat "/proc/$pid/comm" 2>/dev/null) in atk6-*) kill "-$1" "$pid" ;; esac
	done
}
bursts() {
	inside timeout -k 1 $((ATTACK_SECONDS + 1)) "$@" >"$WORK/burst" 2>&1 &
	flood=$!
	end=$(($(date +%s) + ATTACK_SECONDS + 1))
	while [ "$(date +%s)" -lt $end ] && kill -0 $flood 2>/dev/null; do
		sleep 0.02
		flooders STOP
		sleep 0.1
		flooders CONT
	done 2>/dev/null
	flooders KILL 2>/dev/null
	wait $flood 2>/dev/null
	return 0
}
if [ -n "$guest6" ]; then
	# In a burst the interface's own queue is full: others' packets are lost before they reach the guest, three SYNs
	# in a row at times. What counts is that they are served as soon as they come through.
	usual_limit=$LIMIT_MS LIMIT_MS=60000
	for kind in solicitate6 advertise6 router26 rs6 mld26 redir6 unreach6; do
		attack "flood_$kind" bursts atk6-flood_$kind tap0 "$guest6"
	done
	attack "SYN flood by IPv6, each from another neighbour" bursts atk6-thcsyn6 -r tap0 "$guest6" 80
	FRAMES=0 # few, but odd
	attack "fragment games" atk6-fragmentation6 tap0 "$guest6"
	attack "implementation games" atk6-implementation6 tap0 "$guest6"
	attack "forged Packet Too Big" atk6-toobig6 tap0 "$guest6" "$guest6" 68
	FRAMES=200 LIMIT_MS=$usual_limit
else
	skip "attacks by IPv6" "the namespace has no IPv6, or the guest does not answer"
fi

# --- By connection ---
intruder() { inside build/e2e/intruder "$@" >"$WORK/intruder" 2>&1 || { cat "$WORK/intruder"; return 1; }; }
check "forged segments that nearly fit do not end or change a connection" \
	intruder inject tap0 "$guest_address" /static.html $((12 * ATTACK_SECONDS)) 7
sed 's/^/# /' "$WORK/intruder"
attack "acknowledgements ahead of time" build/e2e/intruder ahead tap0 "$guest_address" /large.bin "$ATTACK_SECONDS" 3
FRAMES=50
attack "connections that never read" build/e2e/intruder hold "$guest_address" /large.bin 300 "$ATTACK_SECONDS"
attack "connections with tiny windows" build/e2e/intruder tiny "$guest_address" /large.bin 200 "$ATTACK_SECONDS"

# --- After all of it ---
i=0
while [ "$(in_use | awk '{n += $2} END {print n + 0}')" -gt 8 ] && [ $i -lt 100 ]; do sleep 0.3; i=$((i + 1)); done
in_use | sed 's/^/# /'
check "its pools are back" test "$(in_use | awk '{n += $2} END {print n + 0}')" -le 8
echo "# cookies: $(counter tcp_syn_cookies_sent) sent, $(counter tcp_syn_cookies_good) came back; challenges: $(counter tcp_challenge_acks)"
stop
expect "after all of it, it ends in order" 0 echo $status
exit $failed
