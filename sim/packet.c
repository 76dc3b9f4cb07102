#include <sim/packet.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <base/bytes.h>

#define TYPE_IP4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_IP6 0x86dd
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMP4 1
#define PROTOCOL_ICMP6 58
#define PROTOCOL_HOP_BY_HOP 0

uint32_t sim_sum(uint32_t sum, struct slice s)
{
	uint64_t wide = sum;
	for (size_t i = 0; i + 1 < s.len; i += 2)
		wide += load_be16(s.ptr + i);
	if (s.len & 1)
		wide += (uint32_t)s.ptr[s.len - 1] << 8;
	while (wide >> 32)
		wide = (wide & 0xffffffff) + (wide >> 32);
	return (uint32_t)wide;
}

uint16_t sim_sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint32_t sim_sum_pseudo(const struct sim_packet *p)
{
	size_t skip = p->v6 ? 0 : 12;
	uint32_t sum = sim_sum(0, slice_of(p->source + skip, 16 - skip));
	sum = sim_sum(sum, slice_of(p->destination + skip, 16 - skip));
	return sum + p->protocol + (uint32_t)p->transport.len;
}

/* --- Taking apart ---------------------------------------------------------------------------- */

static void mapped(uint8_t out[16], const uint8_t *v4)
{
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, v4, 4);
}

static const char *option(struct sim_packet *p, const uint8_t *o, uint8_t len)
{
	bool syn = p->flags & SIM_SYN;
	switch (o[0]) {
	case 2:
		p->mss = load_be16(o + 2);
		return len == 4 && syn ? NULL : "MSS option";
	case 3:
		p->scale = (int8_t)o[2];
		return len == 3 && syn && o[2] <= 14 ? NULL : "window scale option";
	case 4:
		p->sack_ok = true;
		return len == 2 && syn ? NULL : "SACK permitted option";
	case 5:
		for (uint32_t i = 2; i + 8 <= len && p->sack_count < SIM_SACK_MAX; i += 8, p->sack_count++) {
			p->sack[p->sack_count][0] = load_be32(o + i);
			p->sack[p->sack_count][1] = load_be32(o + i + 4);
		}
		return len > 2 && (len - 2) % 8 == 0 && !syn ? NULL : "SACK option";
	case 8:
		p->has_ts = true;
		p->ts_value = load_be32(o + 2);
		p->ts_echo = load_be32(o + 6);
		return len == 10 ? NULL : "timestamp option";
	default:
		return NULL;
	}
}

static const char *options(struct sim_packet *p, struct slice o)
{
	for (size_t i = 0; i < o.len && o.ptr[i] != 0;) {
		if (o.ptr[i] == 1) {
			i++;
			continue;
		}
		if (o.len - i < 2 || o.ptr[i + 1] < 2 || o.ptr[i + 1] > o.len - i)
			return "option length";
		/* Those that are read have up to 10 bytes: look no further than the option. */
		uint8_t copy[40] = {0};
		memcpy(copy, o.ptr + i, o.ptr[i + 1]);
		const char *wrong = option(p, copy, o.ptr[i + 1]);
		if (wrong)
			return wrong;
		i += o.ptr[i + 1];
	}
	return NULL;
}

static const char *transport_sum(const struct sim_packet *p, bool pseudo)
{
	uint32_t sum = sim_sum(pseudo ? sim_sum_pseudo(p) : 0, p->transport);
	return sim_sum_fold(sum) == 0xffff ? NULL : "checksum";
}

static const char *tcp(struct sim_packet *p)
{
	const uint8_t *t = p->transport.ptr;
	p->kind = SIM_TCP;
	p->scale = -1;
	if (p->transport.len < 20)
		return "short TCP header";
	size_t header = (t[12] >> 4) * 4u;
	p->source_port = load_be16(t);
	p->destination_port = load_be16(t + 2);
	p->seq = load_be32(t + 4);
	p->ack = load_be32(t + 8);
	p->flags = t[13];
	p->window = load_be16(t + 14);
	if (header < 20 || header > p->transport.len)
		return "TCP data offset";
	p->payload = slice_sub(p->transport, header, SIZE_MAX);
	const char *wrong = transport_sum(p, true);
	return wrong ? wrong : options(p, slice_sub(p->transport, 20, header - 20));
}

static const char *udp(struct sim_packet *p)
{
	const uint8_t *t = p->transport.ptr;
	p->kind = SIM_UDP;
	if (p->transport.len < 8)
		return "short UDP header";
	p->source_port = load_be16(t);
	p->destination_port = load_be16(t + 2);
	p->payload = slice_sub(p->transport, 8, SIZE_MAX);
	if (load_be16(t + 4) != p->transport.len)
		return "UDP length";
	if (!load_be16(t + 6))
		return p->v6 ? "no UDP checksum" : NULL;
	return transport_sum(p, true);
}

static const char *transport(struct sim_packet *p)
{
	if (p->fragment)
		return NULL;
	switch (p->protocol) {
	case PROTOCOL_TCP:
		return tcp(p);
	case PROTOCOL_UDP:
		return udp(p);
	case PROTOCOL_ICMP4:
	case PROTOCOL_ICMP6:
		if ((p->protocol == PROTOCOL_ICMP6) != p->v6)
			return "ICMP of the other family";
		p->kind = p->v6 ? SIM_ICMP6 : SIM_ICMP4;
		return p->transport.len < 8 ? "short ICMP" : transport_sum(p, p->v6);
	default:
		return NULL;
	}
}

static const char *ip4(struct sim_packet *p, struct slice ip)
{
	const uint8_t *h = ip.ptr;
	if (ip.len < 20 || h[0] >> 4 != 4)
		return "IPv4 header";
	size_t header = (h[0] & 15u) * 4;
	p->ip_len = load_be16(h + 2);
	p->dont_fragment = h[6] & 0x40;
	p->fragment = load_be16(h + 6) & 0x3fff;
	p->hop_limit = h[8];
	p->protocol = h[9];
	mapped(p->source, h + 12);
	mapped(p->destination, h + 16);
	if (header < 20 || header > p->ip_len || p->ip_len > ip.len)
		return "IPv4 length";
	p->transport = slice_sub(ip, header, p->ip_len - header);
	if (sim_sum_fold(sim_sum(0, slice_sub(ip, 0, header))) != 0xffff)
		return "IPv4 header checksum";
	return transport(p);
}

static const char *ip6(struct sim_packet *p, struct slice ip)
{
	const uint8_t *h = ip.ptr;
	p->v6 = true;
	if (ip.len < 40 || h[0] >> 4 != 6)
		return "IPv6 header";
	p->ip_len = 40u + load_be16(h + 4);
	p->protocol = h[6];
	p->hop_limit = h[7];
	p->dont_fragment = true;
	memcpy(p->source, h + 8, 16);
	memcpy(p->destination, h + 24, 16);
	if (p->ip_len > ip.len)
		return "IPv6 length";
	p->transport = slice_sub(ip, 40, p->ip_len - 40);
	/* MLD stands behind a hop-by-hop header (RFC 3810, 5). */
	if (p->protocol == PROTOCOL_HOP_BY_HOP && p->transport.len >= 8) {
		p->protocol = p->transport.ptr[0];
		p->transport = slice_sub(p->transport, 8u + p->transport.ptr[1] * 8u, SIZE_MAX);
	}
	return transport(p);
}

const char *sim_packet_parse(struct sim_packet *p, struct slice frame)
{
	*p = (struct sim_packet){.scale = -1};
	if (frame.len < SIM_ETHERNET)
		return "short frame";
	struct slice rest = slice_sub(frame, SIM_ETHERNET, SIZE_MAX);
	switch (load_be16(frame.ptr + 12)) {
	case TYPE_IP4:
		return ip4(p, rest);
	case TYPE_IP6:
		return ip6(p, rest);
	case TYPE_ARP:
		p->kind = SIM_ARP;
		p->transport = rest;
		if (rest.len < 28)
			return "short ARP";
		mapped(p->source, rest.ptr + 14);
		mapped(p->destination, rest.ptr + 24);
		return NULL;
	default:
		return NULL;
	}
}

/* --- Mending --------------------------------------------------------------------------------- */

static uint32_t checksum_offset(const struct sim_packet *p)
{
	switch (p->kind) {
	case SIM_TCP: return 16;
	case SIM_UDP: return 6;
	case SIM_ICMP4:
	case SIM_ICMP6: return 2;
	case SIM_OTHER:
	case SIM_ARP: break;
	}
	return 0;
}

/* False: there is no IPv4 header that could be mended. */
static bool ip4_header_mend(uint8_t *h, uint32_t len)
{
	size_t header = len >= 20 ? (h[0] & 15u) * 4 : 0;
	if (header < 20 || header > len)
		return false;
	store_be16(h + 10, 0);
	store_be16(h + 10, (uint16_t)~sim_sum_fold(sim_sum(0, slice_of(h, header))));
	return true;
}

void sim_packet_mend(uint8_t *frame, uint32_t len)
{
	struct sim_packet p;
	if (len < SIM_ETHERNET + 20)
		return;
	/* First: what lies behind a broken header is not looked at. */
	if (load_be16(frame + 12) == TYPE_IP4 && !ip4_header_mend(frame + SIM_ETHERNET, len - SIM_ETHERNET))
		return;
	(void)sim_packet_parse(&p, slice_of(frame, len));
	uint32_t at = checksum_offset(&p);
	if (!at || p.transport.len < at + 2)
		return;
	uint8_t *field = frame + (p.transport.ptr - frame) + at;
	store_be16(field, 0);
	uint16_t sum = (uint16_t)~sim_sum_fold(
		sim_sum(p.kind == SIM_ICMP4 ? 0 : sim_sum_pseudo(&p), p.transport));
	store_be16(field, sum ? sum : 0xffff);
}

/* --- Text ------------------------------------------------------------------------------------ */

struct text {
	char *at;
	size_t left;
};

static void say(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct text *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(t->at, t->left, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	size_t len = (size_t)n < t->left ? (size_t)n : t->left - 1;
	t->at += len;
	t->left -= len;
}

static void say_address(struct text *t, const uint8_t a[16])
{
	if (load_be64(a) == 0 && load_be32(a + 8) == 0xffff)
		say(t, "%u.%u.%u.%u", a[12], a[13], a[14], a[15]);
	else
		for (int i = 0; i < 16; i += 2)
			say(t, "%s%x", i ? ":" : "", load_be16(a + i));
}

static void say_tcp(struct text *t, const struct sim_packet *p)
{
	static const char letter[] = "FSRP.UEC";
	char flags[9], *f = flags;
	for (int i = 0; i < 8; i++)
		if (p->flags >> i & 1)
			*f++ = letter[i];
	*f = 0;
	say(t, " [%s] seq %u", flags, p->seq);
	if (p->payload.len)
		say(t, "+%zu", p->payload.len);
	if (p->flags & SIM_ACK)
		say(t, " ack %u", p->ack);
	say(t, " win %u", p->window);
	if (p->mss)
		say(t, " mss %u", p->mss);
	if (p->scale >= 0)
		say(t, " ws %d", p->scale);
	if (p->sack_ok)
		say(t, " sackOK");
	if (p->has_ts)
		say(t, " ts %u/%u", p->ts_value, p->ts_echo);
	for (uint32_t i = 0; i < p->sack_count; i++)
		say(t, "%s%u-%u", i ? " " : " sack ", p->sack[i][0], p->sack[i][1]);
}

void sim_packet_text(const struct sim_packet *p, char *out, size_t size)
{
	static const char *const name[] = {"?", "ARP", "TCP", "UDP", "ICMP", "ICMP6"};
	struct text t = {out, size};
	out[0] = 0;
	say(&t, "%s ", name[p->kind]);
	say_address(&t, p->source);
	if (p->kind == SIM_TCP || p->kind == SIM_UDP)
		say(&t, ":%u", p->source_port);
	say(&t, " > ");
	say_address(&t, p->destination);
	if (p->kind == SIM_TCP || p->kind == SIM_UDP)
		say(&t, ":%u", p->destination_port);
	if (p->kind == SIM_TCP)
		say_tcp(&t, p);
	else if (p->kind == SIM_UDP)
		say(&t, " len %zu", p->payload.len);
	else if (p->kind == SIM_ARP && p->transport.len >= 8)
		say(&t, " %s", p->transport.ptr[7] == 1 ? "who-has" : "is-at");
	else if (p->transport.len >= 2)
		say(&t, " type %u code %u len %zu", p->transport.ptr[0], p->transport.ptr[1],
			p->transport.len);
}
