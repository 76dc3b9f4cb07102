/* UDP (RFC 768). Few sockets are expected (DHCP, DNS): they stand in a list. */
#include <net/udp.h>

#include "checksum.h"
#include "engine.h"

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

static bool checksum_is_good(const struct ip4_packet *p, uint32_t len)
{
	if (load_le16(p->payload.ptr + 6) == 0 || p->frame->checksum != FRAME_CHECKSUM_NONE)
		return true;
	struct slice datagram = slice_sub(p->payload, 0, len);
	uint64_t sum = ip4_pseudo_sum(p->source, p->destination, IP_PROTO_UDP)
		+ __builtin_bswap16((uint16_t)len) + checksum_sum(datagram);
	return checksum_fold(sum) == 0xffff;
}

void udp_input(struct net *net, const struct ip4_packet *p)
{
	const uint8_t *h = p->payload.ptr;
	/* Datagrams in more than one buffer do not occur below the MTU. */
	if (p->payload.len < UDP_HEADER || p->payload.len != p->total)
		goto bad;
	uint32_t len = load_be16(h + 4);
	if (len < UDP_HEADER || len > p->payload.len || !checksum_is_good(p, len))
		goto bad;
	struct udp_socket *s = socket_find(net, load_be16(h + 2));
	if (!s) {
		net->counters.udp_no_ports++;
		icmp4_port_unreachable(net, p);
		return;
	}
	net->counters.udp_in_datagrams++;
	struct net_endpoint from = {net_address_v4(p->source), load_be16(h)};
	s->receive(s, &from, slice_of(h + UDP_HEADER, len - UDP_HEADER));
	return;
bad:
	net->counters.udp_in_errors++;
}

static void udp_header(struct net_frame *f, uint32_t source, uint32_t destination, uint16_t from,
	uint16_t to)
{
	uint8_t *h = ip4_transport(f);
	uint16_t len = (uint16_t)(UDP_HEADER + f->tx.payload_len);
	store_be16(h, from);
	store_be16(h + 2, to);
	store_be16(h + 4, len);
	store_le16(h + 6, 0);
	uint64_t sum = ip4_pseudo_sum(source, destination, IP_PROTO_UDP) + __builtin_bswap16(len)
		+ checksum_sum(slice_of(h, UDP_HEADER))
		+ checksum_sum_slices(f->tx.segment, f->tx.segment_count);
	uint16_t check = (uint16_t)~checksum_fold(sum);
	store_le16(h + 6, check ? check : 0xffff);
}

err udp_send(struct udp_socket *s, const struct net_endpoint *to, struct udp_datagram *d)
{
	struct net *net = s->net;
	uint32_t hop, len = 0;
	if (!net_address_is_v4(&to->address))
		return ERR(INVALID);
	uint32_t ip = net_address_to_v4(&to->address);
	if (net->ipv4.state == NET_IPV4_NONE && ip != IP4_BROADCAST)
		return ERR(INVALID);
	if (ip != IP4_BROADCAST && !ip4_route(net, ip, &hop))
		return ERR(NOT_FOUND);
	ASSERT(d->count <= UDP_SEGMENTS_MAX);
	for (uint32_t i = 0; i < d->count; i++) {
		if (d->segment[i].len > net->mtu)
			return ERR(TOO_LARGE);
		len += (uint32_t)d->segment[i].len;
	}
	if (len + UDP_HEADER + IP4_HEADER > net->mtu)
		return ERR(TOO_LARGE);
	struct net_frame *f = frame_get(net);
	if (!f)
		return ERR(NO_MEMORY);
	uint32_t source = net->ipv4.state == NET_IPV4_NONE ? 0 : net->ipv4.address;
	memcpy(f->tx.segment, d->segment, d->count * sizeof d->segment[0]);
	f->tx.segment_count = (uint16_t)d->count;
	f->tx.payload_len = len;
	f->tx.header_len = ETHERNET_HEADER + IP4_HEADER + UDP_HEADER;
	f->datagram = d;
	udp_header(f, source, ip, s->port, to->port);
	net->counters.udp_out_datagrams++;
	ip4_send(net, f, source, ip, IP_PROTO_UDP);
	return OK;
}
