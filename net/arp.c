/* ARP (RFC 826) for the neighbour cache; announcement and defence of our address (RFC 5227).
 *
 * An unsolicited ARP never makes a neighbour, unless it asks for us. */
#include "engine.h"

#define ARP_SIZE 28
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ANNOUNCEMENTS 2
#define ANNOUNCE_INTERVAL_NS (2 * NS_PER_S)
#define DEFEND_INTERVAL_NS (10 * NS_PER_S)

static const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void arp_send(struct net *net, uint16_t op, const uint8_t to_mac[6], uint32_t target_ip,
	const uint8_t target_mac[6])
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
	store_be32(p + 14, net->ipv4.address);
	memcpy(p + 18, target_mac, 6);
	store_be32(p + 24, target_ip);
	f->tx.header_len = ETHERNET_HEADER + ARP_SIZE;
	if (op == ARP_REQUEST)
		net->counters.arp_out_requests++;
	else
		net->counters.arp_out_replies++;
	list_push_back(&net->out, &f->tx.link);
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

void arp_init(struct net *net)
{
	timer_init(&net->announce_timer, announce_timer);
}

/* Another station claims our address: say once in a while that it is ours (RFC 5227, 2.4 b). */
static void conflict(struct net *net)
{
	static const uint8_t unknown[6];
	net->counters.arp_conflicts++;
	if (net->defended_ns && net->now_ns - net->defended_ns < DEFEND_INTERVAL_NS)
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
