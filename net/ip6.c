/* IPv6 (RFC 8200): validation of what comes in, headers of what goes out.
 *
 * Extension headers are walked in the first buffer only, and only so far: EXTENSIONS_MAX headers,
 * OPTIONS_MAX options in one that are not padding, PADDING_MAX bytes of padding in a row (RFC 8504, 5.3). We
 * send none. Routing headers with segments left are refused (RFC 5095 for type 0; we are no router for the
 * others). A fragment header that speaks of a whole packet is skipped (RFC 6946). What we send is never
 * fragmented. */
#include "ip6.h"

#include "checksum.h"

#define EXTENSIONS_MAX 8
#define OPTIONS_MAX 8
#define PADDING_MAX 7

#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_NONE 59
#define NEXT_DESTINATION 60

#define OPTION_PAD_1 0
#define OPTION_PAD_N 1
#define OPTION_ROUTER_ALERT 5

uint64_t ip6_pseudo_sum(const struct net_address *source, const struct net_address *destination,
	uint8_t protocol)
{
	return checksum_sum(slice_of(source->octet, 16)) + checksum_sum(slice_of(destination->octet, 16))
		+ ((uint32_t)protocol << 8);
}

uint32_t ip6_flow_label(const struct net *net, const struct net_address *source,
	const struct net_address *destination, uint16_t source_port, uint16_t destination_port)
{
	uint8_t bytes[36];
	memcpy(bytes, source->octet, 16);
	memcpy(bytes + 16, destination->octet, 16);
	store_be16(bytes + 32, source_port);
	store_be16(bytes + 34, destination_port);
	return (uint32_t)hash_sip13(net->flow_key, slice_of(bytes, sizeof bytes)) & 0xfffff;
}

/* --- In -------------------------------------------------------------------------------------- */

/* Fills in `p` as far as the fixed header tells; false: the packet is to be dropped, and was counted. */
static bool ip6_parse(struct net *net, struct frame_rx *frame, struct ip_packet *p)
{
	const uint8_t *h = frame->data + ETHERNET_HEADER;
	uint32_t have = frame->len - ETHERNET_HEADER;
	net->counters.ip6_in_receives++;
	if (UNLIKELY(have < IP6_HEADER || h[0] >> 4 != 6)) {
		net->counters.ip6_in_hdr_errors++;
		return false;
	}
	p->frame = frame;
	p->family = 6;
	p->header = h;
	p->header_len = IP6_HEADER;
	p->protocol = h[6];
	p->ecn = h[1] >> 4 & 3;
	p->total = load_be16(h + 4);
	uint32_t first = have - IP6_HEADER, whole = first;
	p->payload = slice_of(h + IP6_HEADER, first < p->total ? first : p->total);
	for (const struct frame_rx *f = frame->frag; UNLIKELY(f != NULL); f = f->frag)
		whole += f->len;
	if (UNLIKELY(whole < p->total)) {
		net->counters.ip6_in_truncated++;
		return false;
	}
	return true;
}

/* Who defends an address that we, too, take for ours says so with it as its source (RFC 4862, 5.4.4). */
static bool is_claim_of_ours(const struct ip_packet *p, const struct net_address *destination)
{
	return p->protocol == IP_PROTO_ICMP6 && p->header[7] == 255 && net_address_is_multicast(destination)
		&& p->payload.len && p->payload.ptr[0] == ICMP6_NEIGHBOR_ADVERTISEMENT;
}

/* Never on a wire (RFC 4291, 2.5.2, 2.5.3, 2.7; RFC 4038, 4.2), or not as a source. */
static bool addresses_are_sane(const struct net *net, struct ip_packet *p)
{
	struct net_address source = ip_packet_source(p), destination = ip_packet_destination(p);
	if (net_address_is_multicast(&source) || net_address_is_loopback(&source)
		|| net_address_is_v4(&source)
		|| (ip6_is_own(net, &source) && !is_claim_of_ours(p, &destination)))
		return false;
	if (LIKELY(ip6_is_own(net, &destination)))
		return !net_address_is_unspecified(&source);
	if (destination.octet[0] != 0xff || (destination.octet[1] & 15) < 2
		|| !ip6_is_joined(net, &destination))
		return false;
	p->broadcast = true;
	return true;
}

/* Takes the next header off the payload. */
static void header_skip(struct ip_packet *p, uint32_t len)
{
	p->protocol = p->payload.ptr[0];
	p->header_len += len;
	p->total -= len;
	p->payload = slice_of(p->payload.ptr + len, p->payload.len - len);
}

/* What to do with an option that nobody knows is in its top bits (4.2). False: the packet is discarded. */
static bool option_unknown(struct net *net, const struct ip_packet *p, uint32_t at, uint8_t type, bool *kept)
{
	if (type >> 6 == 0)
		return true;
	net->counters.ip6_in_options_discards++;
	if (type >> 6 != 1)
		*kept = icmp6_parameter_problem(net, p, ICMP6_PROBLEM_OPTION, at, type >> 6 == 2);
	return false;
}

/* The options of a header of `len` bytes at the front of the payload. */
static bool options_pass(struct net *net, struct ip_packet *p, uint32_t len, bool *kept)
{
	const uint8_t *b = p->payload.ptr;
	uint32_t options = 0, padding = 0;
	for (uint32_t at = 2, size; at < len; at += size) {
		size = b[at] == OPTION_PAD_1 ? 1 : at + 1 < len ? 2u + b[at + 1] : UINT32_MAX;
		if (size > len - at) {
			net->counters.ip6_in_hdr_errors++;
			return false;
		}
		bool pad = b[at] == OPTION_PAD_1 || b[at] == OPTION_PAD_N;
		padding = pad ? padding + size : 0;
		options += !pad;
		if (padding > PADDING_MAX || options > OPTIONS_MAX) {
			net->counters.ip6_in_options_discards++;
			return false;
		}
		if (b[at] == OPTION_ROUTER_ALERT && size == 4)
			p->router_alert = true;
		else if (!pad && !option_unknown(net, p, p->header_len + at, b[at], kept))
			return false;
	}
	return true;
}

static bool routing_pass(struct net *net, const struct ip_packet *p, bool *kept)
{
	if (p->payload.ptr[3] == 0) /* it has arrived */
		return true;
	net->counters.ip6_in_hdr_errors++;
	*kept = icmp6_parameter_problem(net, p, ICMP6_PROBLEM_FIELD, p->header_len + 2, false);
	return false;
}

/* The fragment header at the front of the payload. True: it is off, and the packet is whole; false: the fragment
 * was taken (then *kept), or is malformed. */
static bool fragment_pass(struct net *net, struct ip_packet *p, bool *kept)
{
	uint16_t field = load_be16(p->payload.ptr + 2);
	uint32_t id = load_be32(p->payload.ptr + 4), offset = field & 0xfff8;
	p->fragment_header = true;
	if ((field & 0xfff9) == 0) {
		header_skip(p, 8);
		return true;
	}
	uint32_t len = p->total - 8;
	if ((field & 1) && len % 8) { /* 4.5: the length is at fault */
		net->counters.ip6_in_hdr_errors++;
		*kept = icmp6_parameter_problem(net, p, ICMP6_PROBLEM_FIELD, 4, false);
		return false;
	}
	if (offset + len > 65535) {
		net->counters.ip6_in_hdr_errors++;
		*kept = icmp6_parameter_problem(net, p, ICMP6_PROBLEM_FIELD, p->header_len + 2, false);
		return false;
	}
	struct ip_packet whole = *p;
	header_skip(&whole, 8);
	*kept = !ip_reassemble(net, &whole, id, offset, field & 1);
	if (*kept)
		return false;
	*p = whole;
	return true;
}

/* What is at the front of the payload, at `type`'s place in `at`; false: it is the end of the chain, or of the
 * packet (then *done). */
static bool extension_pass(struct net *net, struct ip_packet *p, uint32_t count, bool *done, bool *kept)
{
	uint8_t type = p->protocol;
	/* Hop-by-hop options come first or not at all (4.1). */
	bool known = (type == NEXT_HOP_BY_HOP && count == 0) || type == NEXT_ROUTING || type == NEXT_FRAGMENT
		|| type == NEXT_DESTINATION;
	if (LIKELY(!known))
		return false;
	*done = true;
	uint32_t len = 8;
	if (p->payload.len >= 2 && type != NEXT_FRAGMENT)
		len += p->payload.ptr[1] * 8u;
	if (count == EXTENSIONS_MAX || p->payload.len < len) {
		net->counters.ip6_in_hdr_errors++;
		return false;
	}
	bool pass = type == NEXT_FRAGMENT ? fragment_pass(net, p, kept)
		: type == NEXT_ROUTING ? routing_pass(net, p, kept) : options_pass(net, p, len, kept);
	if (!pass)
		return false;
	if (type != NEXT_FRAGMENT)
		header_skip(p, len);
	*done = false;
	return true;
}

/* Where in the packet stands the number of the header at the front of the payload. */
static uint32_t next_header_at(const struct ip_packet *p)
{
	uint32_t at = 6, behind = IP6_HEADER;
	uint8_t next = p->header[6];
	struct slice packet = slice_of(p->header, p->header_len);
	while (behind < p->header_len) {
		at = behind;
		if (!ip6_extension_skip(packet, &behind, &next))
			break;
	}
	return at;
}

bool ip6_extension_skip(struct slice packet, uint32_t *at, uint8_t *next)
{
	if (*next != NEXT_HOP_BY_HOP && *next != NEXT_ROUTING && *next != NEXT_FRAGMENT
		&& *next != NEXT_DESTINATION)
		return false;
	if (*at > packet.len || packet.len - *at < 8)
		return false;
	const uint8_t *b = packet.ptr + *at;
	uint32_t len = *next == NEXT_FRAGMENT ? 8 : 8 + b[1] * 8u;
	if (len > packet.len - *at)
		return false;
	*next = b[0];
	*at += len;
	return true;
}

static bool ip6_dispatch(struct net *net, const struct ip_packet *p)
{
	switch (p->protocol) {
	case IP_PROTO_TCP:
		return !p->broadcast && tcp_input(net, p);
	case IP_PROTO_UDP:
		return udp_input(net, p);
	case IP_PROTO_ICMP6:
		return icmp6_input(net, p);
	case NEXT_NONE:
		return false;
	default:
		net->counters.ip6_in_unknown_protos++;
		return icmp6_parameter_problem(net, p, ICMP6_PROBLEM_NEXT_HEADER, next_header_at(p), false);
	}
}

/* True: p->frame was kept. It need not be the one that came: the packet may be whole with it. */
static bool packet_input(struct net *net, struct ip_packet *p)
{
	bool done = false, kept = false;
	if (!ip6_parse(net, p->frame, p))
		return false;
	if (UNLIKELY(!addresses_are_sane(net, p))) {
		net->counters.ip6_in_addr_errors++;
		return false;
	}
	for (uint32_t count = 0; extension_pass(net, p, count, &done, &kept); count++)
		;
	if (UNLIKELY(done))
		return kept;
	/* Who has no address yet may only ask whether one is free, and say which groups it listens to. */
	if (UNLIKELY(p->protocol != IP_PROTO_ICMP6 && (load_le64(p->header + 8) | load_le64(p->header + 16)) == 0)) {
		net->counters.ip6_in_addr_errors++;
		return false;
	}
	return ip6_dispatch(net, p);
}

void ip6_input(struct net *net, struct frame_rx *frame, bool multicast)
{
	struct ip_packet p = {.frame = frame, .broadcast = multicast};
	if (!packet_input(net, &p))
		frame_rx_put(p.frame);
}

/* --- Out ------------------------------------------------------------------------------------- */

/* The frame holds the transport header behind the room for ours. */
static void header_write(struct net *net, struct net_frame *f, const struct net_address *source,
	const struct net_address *destination, uint8_t protocol, uint8_t hop_limit)
{
	uint8_t *e = f->tx.header + FRAME_TX_HEADROOM, *h = e + ETHERNET_HEADER, *t = h + IP6_HEADER;
	uint32_t label = 0;
	if (protocol == IP_PROTO_TCP || protocol == IP_PROTO_UDP)
		label = ip6_flow_label(net, source, destination, load_be16(t), load_be16(t + 2));
	memcpy(e + 6, net->mac, 6);
	store_be16(e + 12, ETHERTYPE_IP6);
	store_be32(h, UINT32_C(6) << 28 | label);
	uint32_t behind = f->tx.header_len - (uint32_t)(ETHERNET_HEADER + IP6_HEADER);
	store_be16(h + 4, (uint16_t)(behind + f->tx.payload_len));
	h[6] = protocol;
	h[7] = hop_limit;
	memcpy(h + 8, source->octet, 16);
	memcpy(h + 24, destination->octet, 16);
}

void ip6_send(struct net *net, struct net_frame *f, const struct net_address *source,
	const struct net_address *destination, uint8_t protocol, uint8_t hop_limit)
{
	struct net_address hop;
	net->counters.ip6_out_requests++;
	header_write(net, f, source, destination, protocol, hop_limit);
	if (net_address_is_multicast(destination)) {
		ip6_group_mac(destination, f->tx.header + FRAME_TX_HEADROOM);
		list_push_back(&net->out, &f->tx.link);
		return;
	}
	struct neighbor *n = ip_route(net, destination, &hop) ? neighbor_lookup(net, &hop) : NULL;
	if (!n) {
		net->counters.ip6_out_no_routes++;
		net_frame_put(net, f);
		return;
	}
	neighbor_send(net, n, f);
}
