/* UDP (RFC 768). Few sockets are expected (DHCP, DNS): they stand in a list. */
#include <net/udp.h>

#include "checksum.h"
#include "ip6.h"

#define UDP_HEADER 8
#define EPHEMERAL_FIRST 49152
#define EPHEMERAL_COUNT 16384

static struct udp_socket *socket_find(struct net *net, uint16_t port)
{
	LIST_FOR_EACH(e, &net->udp_sockets) {
		struct udp_socket *s = LIST_ENTRY(e, struct udp_socket, link);
		if (s->port == port)
			return s;
	}
	return NULL;
}

err udp_bind(struct net *net, struct udp_socket *s)
{
	for (uint32_t i = 0; !s->port && i < 64; i++) {
		uint16_t port = (uint16_t)(EPHEMERAL_FIRST + random_below(net->random, EPHEMERAL_COUNT));
		if (!socket_find(net, port))
			s->port = port;
	}
	if (!s->port || socket_find(net, s->port))
		return ERR(BUSY);
	s->net = net;
	list_push_back(&net->udp_sockets, &s->link);
	return OK;
}

void udp_unbind(struct udp_socket *s)
{
	list_remove(&s->link);
}

/* None is allowed with IPv4 only (RFC 8200, 8.1). */
static bool checksum_is_good(const struct ip_packet *p, struct slice datagram)
{
	if (load_le16(datagram.ptr + 6) == 0)
		return p->family == 4;
	if (p->frame->checksum != FRAME_CHECKSUM_NONE)
		return true;
	uint64_t sum = ip_packet_pseudo_sum(p, (uint32_t)datagram.len) + checksum_sum(datagram);
	return checksum_fold(sum) == 0xffff;
}

static bool port_unreachable(struct net *net, const struct ip_packet *p)
{
	net->counters.udp_no_ports++;
	if (p->family == 6)
		return icmp6_port_unreachable(net, p);
	icmp4_port_unreachable(net, p);
	return false;
}

bool udp_input(struct net *net, const struct ip_packet *p)
{
	struct slice datagram = p->payload;
	if (UNLIKELY(datagram.len != p->total)) /* long, or it came in fragments */
		datagram = ip_payload_gather(net, p);
	const uint8_t *h = datagram.ptr;
	if (datagram.len < UDP_HEADER)
		goto bad;
	uint32_t len = load_be16(h + 4);
	datagram = slice_sub(datagram, 0, len);
	if (len < UDP_HEADER || datagram.len < len || !checksum_is_good(p, datagram))
		goto bad;
	struct udp_socket *s = socket_find(net, load_be16(h + 2));
	if (!s)
		return port_unreachable(net, p);
	net->counters.udp_in_datagrams++;
	struct net_endpoint from = {ip_packet_source(p), load_be16(h)};
	s->receive(s, &from, slice_of(h + UDP_HEADER, len - UDP_HEADER));
	return false;
bad:
	net->counters.udp_in_errors++;
	return false;
}

/* `h`: where it goes. `pseudo`: the sum of the pseudo-header without the length. */
static void udp_header(struct net_frame *f, uint8_t *h, uint64_t pseudo, uint16_t from, uint16_t to)
{
	uint16_t len = (uint16_t)(UDP_HEADER + f->tx.payload_len);
	store_be16(h, from);
	store_be16(h + 2, to);
	store_be16(h + 4, len);
	store_le16(h + 6, 0);
	uint64_t sum = pseudo + __builtin_bswap16(len) + checksum_sum(slice_of(h, UDP_HEADER))
		+ checksum_sum_slices(f->tx.segment, f->tx.segment_count);
	uint16_t check = (uint16_t)~checksum_fold(sum);
	store_le16(h + 6, check ? check : 0xffff);
	f->tx.header_len = (uint16_t)(h + UDP_HEADER - (f->tx.header + FRAME_TX_HEADROOM));
}

static err source_find(struct net *net, const struct net_address *to, struct net_address *source)
{
	struct net_address hop;
	if (net_address_is_v4(to)) {
		uint32_t ip = net_address_to_v4(to);
		/* A link-local address is none for DHCP, which alone broadcasts. */
		bool none = net->ipv4.state == NET_IPV4_NONE || net->ipv4.state == NET_IPV4_LINK_LOCAL;
		*source = net_address_v4(none ? 0 : net->ipv4.address);
		if (ip == IP4_BROADCAST)
			return OK;
		if (net->ipv4.state == NET_IPV4_NONE)
			return ERR(INVALID);
	} else if (!ip_source(net, to, source)) {
		return ERR(INVALID);
	} else if (net_address_is_multicast(to)) {
		return OK;
	}
	return ip_route(net, to, &hop) ? OK : ERR(NOT_FOUND);
}

/* The payload's length; UINT32_MAX: more than `max`. */
static uint32_t payload_len(const struct udp_datagram *d, uint32_t max)
{
	uint32_t len = 0;
	for (uint32_t i = 0; i < d->count; i++) {
		if (d->segment[i].len > max - len)
			return UINT32_MAX;
		len += (uint32_t)d->segment[i].len;
	}
	return len;
}

err udp_send(struct udp_socket *s, const struct net_endpoint *to, struct udp_datagram *d)
{
	struct net *net = s->net;
	struct net_address source;
	bool ip6 = !net_address_is_v4(&to->address);
	ASSERT(d->count <= UDP_SEGMENTS_MAX);
	TRY(source_find(net, &to->address, &source));
	uint32_t header = (ip6 ? IP6_HEADER : IP4_HEADER) + UDP_HEADER;
	uint32_t len = payload_len(d, ip_mtu(net, ip6) - header);
	if (len == UINT32_MAX)
		return ERR(TOO_LARGE);
	struct net_frame *f = frame_get(net);
	if (!f)
		return ERR(NO_MEMORY);
	memcpy(f->tx.segment, d->segment, d->count * sizeof d->segment[0]);
	f->tx.segment_count = (uint16_t)d->count;
	f->tx.payload_len = len;
	f->datagram = d;
	net->counters.udp_out_datagrams++;
	if (ip6) {
		udp_header(f, ip6_transport(f), ip6_pseudo_sum(&source, &to->address, IP_PROTO_UDP), s->port,
			to->port);
		ip6_send(net, f, &source, &to->address, IP_PROTO_UDP, net->ip6.hop_limit);
		return OK;
	}
	uint32_t from_ip = net_address_to_v4(&source), to_ip = net_address_to_v4(&to->address);
	udp_header(f, ip4_transport(f), ip4_pseudo_sum(from_ip, to_ip, IP_PROTO_UDP), s->port, to->port);
	ip4_send(net, f, from_ip, to_ip, IP_PROTO_UDP);
	return OK;
}
