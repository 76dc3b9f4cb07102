/* ICMP for IPv4 (RFC 792, RFC 1122 3.2.2): answers echo requests, tells of closed UDP ports, and hears
 * what routers say about our packets. All that we send is rate-limited. */
#include "engine.h"

#include "checksum.h"

#define ECHO_REPLY 0
#define DEST_UNREACHABLE 3
#define ECHO_REQUEST 8
#define TIME_EXCEEDED 11
#define REASSEMBLY_EXCEEDED 1
#define PROTOCOL_UNREACHABLE 2
#define PORT_UNREACHABLE 3
#define FRAGMENTATION_NEEDED 4
#define ICMP_HEADER 8
#define QUOTE_MAX (IP4_HEADER + 8)

#define ECHO_INTERVAL_NS NS_PER_MS /* 1,000 a second, 200 at once */
#define ECHO_BURST 200
#define ERROR_INTERVAL_NS (10 * NS_PER_MS) /* 100 a second, 20 at once */
#define ERROR_BURST 20

/* The payload is sent from where it was received: the buffer is held until the frame has left. */
static bool echo_reply(struct net *net, const struct ip_packet *p)
{
	bool fits = p->total == p->payload.len && p->total + IP4_HEADER <= net->mtu;
	if (p->broadcast || !ip4_is_own(net, ip4_packet_destination(p)) || !fits)
		return false;
	if (!rate_limit_pass(&net->echo_limit, net->now_ns, ECHO_INTERVAL_NS, ECHO_BURST)
		|| net->rx_frames_held >= net->rx_frames_max) {
		net->counters.icmp_out_rate_limited++;
		return false;
	}
	struct net_frame *f = frame_get(net);
	if (!f)
		return false;
	uint8_t *h = ip4_transport(f);
	memcpy(h, p->payload.ptr, ICMP_HEADER);
	h[0] = ECHO_REPLY;
	/* Request and reply differ by 8 in one byte: so does the sum (RFC 1624). */
	uint64_t sum = (uint16_t)~load_le16(h + 2) + (uint64_t)(uint16_t)~(uint16_t)ECHO_REQUEST;
	store_le16(h + 2, (uint16_t)~checksum_fold(sum));
	f->tx.header_len = ETHERNET_HEADER + IP4_HEADER + ICMP_HEADER;
	f->tx.segment[0] = slice_sub(p->payload, ICMP_HEADER, SIZE_MAX);
	f->tx.payload_len = (uint32_t)f->tx.segment[0].len;
	f->tx.segment_count = f->tx.payload_len > 0;
	frame_rx_put(p->frame->frag); /* at most padding */
	p->frame->frag = NULL;
	f->rx = p->frame;
	net->rx_frames_held++;
	net->counters.icmp_out_echo_reps++;
	ip4_send(net, f, ip4_packet_destination(p), ip4_packet_source(p), IP_PROTO_ICMP);
	return true;
}

static void heard_error(struct net *net, struct slice icmp)
{
	struct slice quote = slice_sub(icmp, ICMP_HEADER, SIZE_MAX);
	const uint8_t *h = quote.ptr;
	if (quote.len < QUOTE_MAX || h[0] >> 4 != 4) {
		net->counters.icmp_in_errors++;
		return;
	}
	size_t header_len = (h[0] & 15u) * 4;
	if (header_len < IP4_HEADER || quote.len < header_len + 8 || h[9] != IP_PROTO_TCP)
		return;
	struct net_address source = net_address_v4(load_be32(h + 12));
	struct net_address destination = net_address_v4(load_be32(h + 16));
	enum ip_error what = IP_ERROR_SOFT;
	if (icmp.ptr[1] == PROTOCOL_UNREACHABLE || icmp.ptr[1] == PORT_UNREACHABLE)
		what = IP_ERROR_HARD;
	else if (icmp.ptr[1] == FRAGMENTATION_NEEDED)
		what = IP_ERROR_TOO_BIG;
	tcp_icmp_error(net, &source, &destination, h + header_len, what, load_be16(icmp.ptr + 6));
}

bool icmp4_input(struct net *net, const struct ip_packet *p)
{
	net->counters.icmp_in_msgs++;
	if (p->payload.len < ICMP_HEADER || checksum_fold(ip_payload_sum(p)) != 0xffff) {
		net->counters.icmp_in_errors++;
		return false;
	}
	switch (p->payload.ptr[0]) {
	case ECHO_REQUEST:
		net->counters.icmp_in_echos++;
		return echo_reply(net, p);
	case DEST_UNREACHABLE:
		if (!p->broadcast)
			heard_error(net, p->payload);
		return false;
	default:
		return false;
	}
}

/* Quotes the header and 8 bytes behind it. False: not sent. */
static bool error_send(struct net *net, const struct ip_packet *p, uint8_t type, uint8_t code)
{
	if (p->broadcast || p->payload.len < 8 || !ip4_is_own(net, ip4_packet_destination(p)))
		return false;
	if (!rate_limit_pass(&net->unreachable_limit, net->now_ns, ERROR_INTERVAL_NS, ERROR_BURST)) {
		net->counters.icmp_out_rate_limited++;
		return false;
	}
	size_t quote = p->header_len + 8;
	struct net_frame *f = frame_get(net);
	if (!f)
		return false;
	uint8_t *h = ip4_transport(f);
	memset(h, 0, ICMP_HEADER);
	h[0] = type;
	h[1] = code;
	/* At most 60 + 8 bytes of theirs: 110 in all, below FRAME_TX_HEADER_MAX. */
	memcpy(h + ICMP_HEADER, p->header, quote);
	uint64_t sum = checksum_sum(slice_of(h, ICMP_HEADER + quote));
	store_le16(h + 2, (uint16_t)~checksum_fold(sum));
	f->tx.header_len = (uint16_t)(ETHERNET_HEADER + IP4_HEADER + ICMP_HEADER + quote);
	ip4_send(net, f, ip4_packet_destination(p), ip4_packet_source(p), IP_PROTO_ICMP);
	return true;
}

void icmp4_port_unreachable(struct net *net, const struct ip_packet *p)
{
	net->counters.icmp_out_dest_unreachs += error_send(net, p, DEST_UNREACHABLE, PORT_UNREACHABLE);
}

void icmp4_reassembly_exceeded(struct net *net, const struct ip_packet *p)
{
	/* Never about an ICMP error (RFC 1122, 3.2.2). */
	bool error = p->protocol == IP_PROTO_ICMP && p->payload.len && p->payload.ptr[0] != ECHO_REQUEST
		&& p->payload.ptr[0] != ECHO_REPLY;
	if (!error)
		net->counters.icmp_out_time_exceeds += error_send(net, p, TIME_EXCEEDED, REASSEMBLY_EXCEEDED);
}
