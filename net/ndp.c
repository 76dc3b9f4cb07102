/* The packets of neighbour discovery. */
#include "ip6.h"

#include "checksum.h"

enum {
	ROUTER_SOLICITATION = 133,
	ROUTER_ADVERTISEMENT = 134,
	NEIGHBOR_SOLICITATION = 135,
	NEIGHBOR_ADVERTISEMENT = 136,
	REDIRECT = 137,
};

bool ndp_message_send(struct net *net, const uint8_t mac[6], const struct net_address *source,
	const struct net_address *destination, uint8_t *icmp, uint32_t len, bool router_alert)
{
	static const uint8_t alert[8] = {IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0}; /* and padding */
	struct net_frame *f = frame_get(net);
	ASSERT(len <= NDP_MESSAGE_MAX);
	if (!f)
		return false;
	uint8_t *e = f->tx.header + FRAME_TX_HEADROOM, *h = e + ETHERNET_HEADER, *body = h + IP6_HEADER;
	uint32_t before = router_alert ? sizeof alert : 0;
	memcpy(e, mac, 6);
	memcpy(e + 6, net->mac, 6);
	store_be16(e + 12, ETHERTYPE_IP6);
	store_be32(h, 0x60000000);
	store_be16(h + 4, (uint16_t)(before + len));
	h[6] = router_alert ? 0 : IP_PROTO_ICMP6;
	h[7] = router_alert ? 1 : 255;
	memcpy(h + 8, source, sizeof *source);
	memcpy(h + 24, destination, sizeof *destination);
	store_le16(icmp + 2, 0);
	uint64_t sum = checksum_sum(slice_of(h + 8, 32)) + (IP_PROTO_ICMP6 << 8)
		+ __builtin_bswap16((uint16_t)len) + checksum_sum(slice_of(icmp, len));
	store_le16(icmp + 2, (uint16_t)~checksum_fold(sum));
	memcpy(body, alert, before);
	memcpy(body + before, icmp, len);
	f->tx.header_len = (uint16_t)(ETHERNET_HEADER + IP6_HEADER + before + len);
	net->counters.ip_out_requests++;
	list_push_back(&net->out, &f->tx.link);
	return true;
}

void ndp_solicit(struct net *net, const struct net_address *target, const uint8_t *to_mac)
{
	const struct net_address *source = ip6_source(net, target);
	struct net_address group = ip6_solicited_node(target);
	uint8_t m[32] = {NEIGHBOR_SOLICITATION}, mac[6];
	if (!source)
		return;
	memcpy(m + 8, target, 16);
	m[24] = 1;
	m[25] = 1;
	memcpy(m + 26, net->mac, 6);
	ip6_group_mac(&group, mac);
	ndp_message_send(net, to_mac ? to_mac : mac, source, to_mac ? target : &group, m, sizeof m, false);
}
