/* ARP (RFC 826) for the neighbour cache; probing for, announcement and defence of our address (RFC
 * 5227).
 *
 * An unsolicited ARP never makes a neighbour, unless it asks for us.
 *
 * A configured address is used and announced at once: whoever wrote it down knows, and a server's
 * start should not wait. One by DHCP is probed first, but for a tenth of a second, not for RFC
 * 5227's seven seconds, and beside the exchange with the server: who is alive answers within a
 * millisecond or so, and what answers later is still heard (dhcp_conflict). A link-local one is
 * probed for as long as RFC 3927 says: nobody waits for it. An address in use is defended, as often
 * as it is attacked but not more than each 10 s (2.4 c). */
#include "engine.h"

#define ARP_SIZE 28
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ANNOUNCEMENTS 2
#define ANNOUNCE_INTERVAL_NS (2 * NS_PER_S)
#define DEFEND_INTERVAL_NS (10 * NS_PER_S)

static const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void arp_send_from(struct net *net, uint16_t op, const uint8_t to_mac[6], uint32_t own_ip,
	uint32_t target_ip, const uint8_t target_mac[6])
{
	struct net_frame *f = frame_get(net);
	if (!f)
		return;
	uint8_t *p = f->tx.header + FRAME_TX_HEADROOM;
	memcpy(p, to_mac, 6);
	memcpy(p + 6, net->mac, 6);
	store_be16(p + 12, ETHERTYPE_ARP);
	p += ETHERNET_HEADER;
	store_be16(p, 1);
	store_be16(p + 2, ETHERTYPE_IP4);
	p[4] = 6;
	p[5] = 4;
	store_be16(p + 6, op);
	memcpy(p + 8, net->mac, 6);
	store_be32(p + 14, own_ip);
	memcpy(p + 18, target_mac, 6);
	store_be32(p + 24, target_ip);
	f->tx.header_len = ETHERNET_HEADER + ARP_SIZE;
	if (op == ARP_REQUEST)
		net->counters.arp_out_requests++;
	else
		net->counters.arp_out_replies++;
	list_push_back(&net->out, &f->tx.link);
}

static void arp_send(struct net *net, uint16_t op, const uint8_t to_mac[6], uint32_t target_ip,
	const uint8_t target_mac[6])
{
	arp_send_from(net, op, to_mac, net->ipv4.address, target_ip, target_mac);
}

void arp_solicit(struct net *net, uint32_t ip, const uint8_t *to_mac)
{
	static const uint8_t unknown[6];
	arp_send(net, ARP_REQUEST, to_mac ? to_mac : broadcast_mac, ip, unknown);
}

static void announce_timer(struct timer *t)
{
	struct net *net = CONTAINER_OF(t, struct net, announce_timer);
	static const uint8_t unknown[6];
	if (net->ipv4.state == NET_IPV4_NONE || !net->announcements)
		return;
	arp_send(net, ARP_REQUEST, broadcast_mac, net->ipv4.address, unknown);
	if (--net->announcements)
		timer_arm(&net->timers, t, net->now_ns + ANNOUNCE_INTERVAL_NS);
}

void arp_announce(struct net *net)
{
	net->announcements = ANNOUNCEMENTS;
	announce_timer(&net->announce_timer);
}

/* --- Probes ------------------------------------------------------------------------------------ */

static void probe_timer(struct timer *t)
{
	struct net *net = CONTAINER_OF(t, struct net, probe.timer);
	static const uint8_t unknown[6];
	if (!net->probe.left) {
		net->probe.address = 0;
		dhcp_probed(net, false);
		return;
	}
	net->probe.left--;
	arp_send_from(net, ARP_REQUEST, broadcast_mac, 0, net->probe.address, unknown);
	timer_arm(&net->timers, t, net->now_ns + net->probe.interval_ns);
}

void arp_probe(struct net *net, uint32_t ip, uint32_t count, uint64_t interval_ns)
{
	net->probe.address = ip;
	net->probe.left = count;
	net->probe.interval_ns = interval_ns;
	probe_timer(&net->probe.timer);
}

void arp_probe_end(struct net *net)
{
	net->probe.address = 0;
	timer_cancel(&net->timers, &net->probe.timer);
}

/* Somebody uses the address that we probe for, or probes for it too. */
static bool probe_is_answered(const struct net *net, uint32_t sender, uint32_t target, uint16_t op)
{
	uint32_t ip = net->probe.address;
	return ip && (sender == ip || (!sender && target == ip && op == ARP_REQUEST));
}

void arp_init(struct net *net)
{
	timer_init(&net->probe.timer, probe_timer);
	timer_init(&net->announce_timer, announce_timer);
}

/* Another station claims our address: say once in a while that it is ours (RFC 5227, 2.4 b). */
static void conflict(struct net *net)
{
	static const uint8_t unknown[6];
	net->counters.arp_conflicts++;
	bool again = net->defended_ns && net->now_ns - net->defended_ns < DEFEND_INTERVAL_NS;
	if (dhcp_conflict(net, again) || again)
		return;
	net->defended_ns = net->now_ns;
	arp_send(net, ARP_REQUEST, broadcast_mac, net->ipv4.address, unknown);
}

static bool arp_is_valid(const struct net *net, struct slice packet)
{
	const uint8_t *p = packet.ptr;
	if (packet.len < ARP_SIZE || load_be16(p) != 1 || load_be16(p + 2) != ETHERTYPE_IP4)
		return false;
	return p[4] == 6 && p[5] == 4 && !(p[8] & 1) && memcmp(p + 8, net->mac, 6) != 0;
}

void arp_input(struct net *net, struct slice packet)
{
	if (!arp_is_valid(net, packet)) {
		net->counters.arp_in_errors++;
		return;
	}
	const uint8_t *sender_mac = packet.ptr + 8;
	uint16_t op = load_be16(packet.ptr + 6);
	uint32_t sender = load_be32(packet.ptr + 14), target = load_be32(packet.ptr + 24);
	if (op == ARP_REQUEST)
		net->counters.arp_in_requests++;
	else
		net->counters.arp_in_replies++;
	if (UNLIKELY(probe_is_answered(net, sender, target, op))) {
		net->counters.arp_conflicts++;
		arp_probe_end(net);
		dhcp_probed(net, true);
		return;
	}
	if (net->ipv4.state == NET_IPV4_NONE)
		return;
	if (sender == net->ipv4.address) {
		conflict(net);
		return;
	}
	uint32_t hop;
	if (!sender || !ip4_route(net, sender, &hop) || hop != sender)
		return;
	bool asks_us = op == ARP_REQUEST && target == net->ipv4.address;
	struct net_address address = net_address_v4(sender);
	struct neighbor *n = asks_us ? neighbor_asks_us(net, &address) : neighbor_find(net, &address);
	if (n)
		neighbor_learned(net, n, sender_mac);
	if (asks_us)
		arp_send(net, ARP_REPLY, sender_mac, sender, sender_mac);
}
