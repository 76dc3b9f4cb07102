/* ICMPv6 (RFC 4443): answers echo requests, says what is wrong with packets, hears what routers and peers say
 * about ours, and hands neighbour discovery and group membership on. Echo replies and errors are
 * rate-limited. An error quotes the packet from the buffer in which it came, and holds it until it has left. */
#include "ip6.h"

#include "checksum.h"

#define DEST_UNREACHABLE 1
#define PACKET_TOO_BIG 2
#define TIME_EXCEEDED 3
#define PARAMETER_PROBLEM 4
#define ECHO_REQUEST 128
#define ECHO_REPLY 129
#define MLD_QUERY 130
#define MLD_DONE 132
#define ROUTER_SOLICITATION 133
#define REDIRECT 137
#define MLD_REPORT_2 143
#define PORT_UNREACHABLE 4
#define UNKNOWN_NEXT_HEADER 1
#define REASSEMBLY_EXCEEDED 1
#define ICMP_HEADER 8
#define EXTENSIONS_MAX 8
/* An error is never larger than what passes everywhere (2.4 c). */
#define QUOTE_MAX (IP6_MTU_MIN - IP6_HEADER - ICMP_HEADER)

#define ECHO_INTERVAL_NS NS_PER_MS /* 1,000 a second, 200 at once */
#define ECHO_BURST 200
#define ERROR_INTERVAL_NS (10 * NS_PER_MS) /* 100 a second, 20 at once */
#define ERROR_BURST 20

/* --- Out ------------------------------------------------------------------------------------- */

/* The header is written but for the checksum, the payload is in place; from an address of ours to whom `p` is
 * from. Takes the buffer of `p`. */
static void answer(struct net *net, struct net_frame *f, const struct ip_packet *p,
	const struct net_address *source)
{
	struct net_address to = ip_packet_source(p);
	uint8_t *h = ip6_transport(f);
	uint16_t len = (uint16_t)(ICMP_HEADER + f->tx.payload_len);
	store_le16(h + 2, 0);
	uint64_t sum = ip6_pseudo_sum(source, &to, IP_PROTO_ICMP6) + __builtin_bswap16(len)
		+ checksum_sum(slice_of(h, ICMP_HEADER))
		+ checksum_sum_slices(f->tx.segment, f->tx.segment_count);
	store_le16(h + 2, (uint16_t)~checksum_fold(sum));
	f->tx.header_len = ETHERNET_HEADER + IP6_HEADER + ICMP_HEADER;
	/* What is sent of it lies in its first buffer, and only that one is held. */
	frame_rx_put(p->frame->frag);
	p->frame->frag = NULL;
	f->rx = p->frame;
	net->rx_frames_held++;
	ip6_send(net, f, source, &to, IP_PROTO_ICMP6, net->ip6.hop_limit);
}

/* A frame for an answer, if there may be one now, and where it comes from: the address that was asked, or
 * for a group the best one. */
static struct net_frame *answer_begin(struct net *net, const struct ip_packet *p, struct rate_limit *limit,
	uint64_t interval_ns, uint32_t burst, struct net_address *source)
{
	struct net_address to = ip_packet_source(p);
	*source = ip_packet_destination(p);
	if (net_address_is_unspecified(&to)
		|| (!ip6_is_own(net, source) && !ip_source(net, &to, source)))
		return NULL;
	if (!rate_limit_pass(limit, net->now_ns, interval_ns, burst)
		|| net->rx_frames_held >= net->rx_frames_max) {
		net->counters.icmp6_out_rate_limited++;
		return NULL;
	}
	return frame_get(net);
}

/* The payload is sent from where it was received. */
static bool echo_reply(struct net *net, const struct ip_packet *p)
{
	struct net_address source;
	net->counters.icmp6_in_echos++;
	if (p->total != p->payload.len || p->total + IP6_HEADER > ip6_link_mtu(net))
		return false;
	struct net_frame *f = answer_begin(net, p, &net->echo_limit, ECHO_INTERVAL_NS, ECHO_BURST, &source);
	if (!f)
		return false;
	uint8_t *h = ip6_transport(f);
	memcpy(h, p->payload.ptr, ICMP_HEADER);
	h[0] = ECHO_REPLY;
	h[1] = 0;
	f->tx.segment[0] = slice_sub(p->payload, ICMP_HEADER, SIZE_MAX);
	f->tx.payload_len = (uint32_t)f->tx.segment[0].len;
	f->tx.segment_count = f->tx.payload_len > 0;
	net->counters.icmp6_out_echo_replies++;
	answer(net, f, p, &source);
	return true;
}

/* Whether the packet is itself an ICMPv6 error, or a redirect: no error answers those (2.4 e). What cannot be
 * told for sure counts as one. */
static bool is_error_itself(const struct ip_packet *p)
{
	struct slice packet = slice_of(p->header, p->header_len + p->payload.len);
	uint32_t at = IP6_HEADER;
	uint8_t next = p->header[6];
	for (uint32_t i = 0; i < EXTENSIONS_MAX && ip6_extension_skip(packet, &at, &next); i++)
		;
	if (next != IP_PROTO_ICMP6)
		return false;
	return at >= packet.len || packet.ptr[at] < 128 || packet.ptr[at] == REDIRECT;
}

/* True: sent (or waiting for the neighbour), and the packet's buffer is kept. */
static bool error_send(struct net *net, const struct ip_packet *p, uint8_t type, uint8_t code,
	uint32_t word, bool even_multicast)
{
	struct net_address source;
	if ((p->broadcast && !even_multicast) || is_error_itself(p))
		return false;
	struct net_frame *f = answer_begin(net, p, &net->unreachable_limit, ERROR_INTERVAL_NS, ERROR_BURST,
		&source);
	if (!f)
		return false;
	uint8_t *h = ip6_transport(f);
	h[0] = type;
	h[1] = code;
	store_be32(h + 4, word);
	f->tx.segment[0] = slice_sub(slice_of(p->header, p->header_len + p->payload.len), 0, QUOTE_MAX);
	f->tx.payload_len = (uint32_t)f->tx.segment[0].len;
	f->tx.segment_count = 1;
	if (type == DEST_UNREACHABLE)
		net->counters.icmp6_out_dest_unreachs++;
	else if (type == TIME_EXCEEDED)
		net->counters.icmp6_out_time_exceeds++;
	else
		net->counters.icmp6_out_parm_problems++;
	answer(net, f, p, &source);
	return true;
}

bool icmp6_port_unreachable(struct net *net, const struct ip_packet *p)
{
	return error_send(net, p, DEST_UNREACHABLE, PORT_UNREACHABLE, 0, false);
}

bool icmp6_reassembly_exceeded(struct net *net, const struct ip_packet *p)
{
	return error_send(net, p, TIME_EXCEEDED, REASSEMBLY_EXCEEDED, 0, false);
}

bool icmp6_parameter_problem(struct net *net, const struct ip_packet *p, enum icmp6_problem code,
	uint32_t at, bool even_multicast)
{
	return error_send(net, p, PARAMETER_PROBLEM, (uint8_t)code, at, even_multicast);
}

/* --- In -------------------------------------------------------------------------------------- */

static enum ip_error error_kind(struct net *net, uint8_t type, uint8_t code)
{
	switch (type) {
	case DEST_UNREACHABLE:
		net->counters.icmp6_in_dest_unreachs++;
		return code == PORT_UNREACHABLE ? IP_ERROR_HARD : IP_ERROR_SOFT;
	case PACKET_TOO_BIG:
		net->counters.icmp6_in_pkt_too_bigs++;
		return IP_ERROR_TOO_BIG;
	case PARAMETER_PROBLEM:
		net->counters.icmp6_in_parm_problems++;
		return code == UNKNOWN_NEXT_HEADER ? IP_ERROR_HARD : IP_ERROR_SOFT;
	default:
		return IP_ERROR_SOFT;
	}
}

/* Of the packets that are quoted only TCP's matter, and those that we send have no extension headers. */
static void heard_error(struct net *net, struct slice icmp)
{
	struct slice quote = slice_sub(icmp, ICMP_HEADER, SIZE_MAX);
	enum ip_error what = error_kind(net, icmp.ptr[0], icmp.ptr[1]);
	if (quote.len < IP6_HEADER || quote.ptr[0] >> 4 != 6) {
		net->counters.icmp6_in_errors++;
		return;
	}
	if (quote.len < IP6_HEADER + 8 || quote.ptr[6] != IP_PROTO_TCP || what == IP_ERROR_SOFT)
		return;
	struct net_address source, destination;
	memcpy(source.octet, quote.ptr + 8, 16);
	memcpy(destination.octet, quote.ptr + 24, 16);
	if (net_address_is_v4(&source) || net_address_is_v4(&destination))
		return;
	tcp_icmp_error(net, &source, &destination, quote.ptr + IP6_HEADER, what, load_be32(icmp.ptr + 4));
}

static void neighbor_message(struct net *net, const struct ip_packet *p)
{
	struct net_address source = ip_packet_source(p), destination = ip_packet_destination(p);
	/* From this link for sure (RFC 4861, 6.1, 7.1), and not in pieces (RFC 6980). */
	if (p->header[7] != 255 || p->payload.ptr[1] != 0 || p->fragment_header)
		net->counters.ndp_in_errors++;
	else
		ndp_input(net, &source, &destination, p->payload);
}

static void group_message(struct net *net, const struct ip_packet *p)
{
	struct net_address source = ip_packet_source(p), destination = ip_packet_destination(p);
	if (p->header[7] != 1 || !p->router_alert) /* RFC 3810, 5.1.14 and 6.2 */
		net->counters.mld_in_errors++;
	else
		mld_input(net, &source, &destination, p->payload);
}

bool icmp6_input(struct net *net, const struct ip_packet *p)
{
	net->counters.icmp6_in_msgs++;
	if (p->payload.len < ICMP_HEADER
		|| checksum_fold(ip_packet_pseudo_sum(p, p->total) + ip_payload_sum(p)) != 0xffff) {
		net->counters.icmp6_in_errors++;
		return false;
	}
	uint8_t type = p->payload.ptr[0];
	bool whole = p->payload.len == p->total;
	if (type == ECHO_REQUEST)
		return echo_reply(net, p);
	if (type < 128) {
		if (!p->broadcast)
			heard_error(net, p->payload);
	} else if (type >= ROUTER_SOLICITATION && type <= REDIRECT && whole) {
		neighbor_message(net, p);
	} else if (((type >= MLD_QUERY && type <= MLD_DONE) || type == MLD_REPORT_2) && whole) {
		group_message(net, p);
	}
	return false;
}
