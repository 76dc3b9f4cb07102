/* Segments as bytes on the wire (Ethernet, IPv4 or IPv6, TCP or ICMP) and as text. What a script gets wrong on
 * purpose is made here too: checksums, header lengths, options. */
#include "script.h"

#include <base/bytes.h>
#include <stdlib.h>
#include <string.h>
#include "checksum.h"

#define ETHERNET 14
#define IP4 20
#define IP6 40
#define TCP 20

/* As world_config has them. */
const uint8_t script_peer_mac[6] = {2, 0, 0, 0, 0, 1}, script_engine_mac[6] = {2, 0, 0, 0, 0, 2};

/* In the order in which they are printed. */
static const struct {
	char letter;
	uint8_t flag;
} flag_letters[] = {{'F', FLAG_FIN}, {'S', FLAG_SYN}, {'R', FLAG_RST}, {'P', FLAG_PSH},
	{'U', FLAG_URG}, {'E', FLAG_ECE}, {'W', FLAG_CWR}, {'.', FLAG_ACK}};

uint8_t stream_byte(bool from_engine, uint32_t position)
{
	return (uint8_t)((position + 1) * 2654435761u >> (from_engine ? 24 : 16));
}

/* --- Writing --------------------------------------------------------------------------------- */

static uint32_t option_write(uint8_t *p, const struct segment_option *o)
{
	switch (o->kind) {
	case OPTION_EOL:
	case OPTION_NOP:
		p[0] = (uint8_t)o->kind;
		return 1;
	case OPTION_RAW:
		memcpy(p, o->raw, o->count);
		return o->count;
	case OPTION_MSS:
		p[1] = 4;
		store_be16(p + 2, (uint16_t)o->number[0]);
		break;
	case OPTION_WSCALE:
		p[1] = 3;
		p[2] = (uint8_t)o->number[0];
		break;
	default:
		p[1] = (uint8_t)(2 + 4 * o->count);
		for (uint32_t i = 0; i < o->count; i++)
			store_be32(p + 2 + 4 * i, o->number[i]);
	}
	p[0] = (uint8_t)o->kind;
	return p[1];
}

/* The sum of the pseudo-header: of both addresses, protocol and length. */
static uint64_t pseudo_sum(const struct segment_path *path, uint8_t protocol, uint32_t len)
{
	uint32_t skip = net_address_is_v4(&path->source) ? 12 : 0;
	uint8_t rest[8] = {0};
	store_be32(rest, len);
	rest[7] = protocol;
	return checksum_sum(slice_of(rest, 8))
		+ checksum_sum(slice_of(path->source.octet + skip, 16 - skip))
		+ checksum_sum(slice_of(path->destination.octet + skip, 16 - skip));
}

/* Padded with zeros to whole words. */
static uint32_t options_write(uint8_t *p, const struct segment *s)
{
	uint8_t room[SEGMENT_OPTIONS_MAX * 40] = {0};
	uint32_t at = 0;
	for (uint32_t i = 0; i < s->option_count; i++)
		at += option_write(room + at, &s->option[i]);
	at = (at + 3) & ~3u;
	at = at < 40 ? at : 40;
	memcpy(p, room, at);
	return at;
}

static uint32_t tcp_write(uint8_t *t, const struct segment *s, const struct segment_path *path,
	uint32_t position)
{
	memset(t, 0, TCP);
	uint32_t header = TCP + options_write(t + TCP, s);
	store_be16(t, path->source_port);
	store_be16(t + 2, path->destination_port);
	store_be32(t + 4, s->seq);
	store_be32(t + 8, s->ack);
	t[12] = (uint8_t)((s->data_offset ? s->data_offset : header / 4) << 4);
	t[13] = (uint8_t)s->flags;
	store_be16(t + 14, (uint16_t)s->window);
	store_be16(t + 18, (uint16_t)s->urgent);
	for (uint32_t i = 0; i < s->len; i++)
		t[header + i] = stream_byte(false, position + i) ^ (s->junk ? 0xff : 0);
	uint64_t sum = pseudo_sum(path, 6, header + s->len) + checksum_sum(slice_of(t, header + s->len));
	store_le16(t + 16, (uint16_t)(~checksum_fold(sum) ^ (s->bad_sum ? 0x5555 : 0)));
	return header + s->len;
}

static uint32_t ip4_write(uint8_t *h, const struct segment *s, const struct segment_path *path,
	uint8_t protocol, uint32_t len)
{
	uint32_t header = IP4 + s->ip_options_len;
	memset(h, 0, IP4);
	h[0] = (uint8_t)(0x40 | header / 4);
	h[1] = s->ecn > 0 ? (uint8_t)s->ecn : 0;
	store_be16(h + 2, (uint16_t)(header + len));
	store_be16(h + 4, path->id);
	h[8] = s->ttl > 0 ? (uint8_t)s->ttl : 64;
	h[9] = protocol;
	memcpy(h + 12, path->source.octet + 12, 4);
	memcpy(h + 16, path->destination.octet + 12, 4);
	memcpy(h + IP4, s->ip_options, s->ip_options_len);
	uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(slice_of(h, header)));
	store_le16(h + 10, sum ^ (s->bad_ip_sum ? 0x5555 : 0));
	return header;
}

static uint32_t ip6_write(uint8_t *h, const struct segment *s, const struct segment_path *path,
	uint8_t protocol, uint32_t len)
{
	store_be32(h, 0x60000000u | (s->ecn > 0 ? (uint32_t)s->ecn << 20 : 0));
	store_be16(h + 4, (uint16_t)len);
	h[6] = protocol;
	h[7] = s->ttl > 0 ? (uint8_t)s->ttl : 64;
	memcpy(h + 8, path->source.octet, 16);
	memcpy(h + 24, path->destination.octet, 16);
	return IP6;
}

/* Quotes the IP header and 8 bytes of a segment that the engine sent from s->seq on. */
static uint32_t icmp_write(uint8_t *t, const struct segment *s, const struct segment_path *path)
{
	struct segment_path back = {.source = path->destination, .destination = path->source};
	const struct segment plain = {.ecn = 0};
	bool ip4 = net_address_is_v4(&path->source);
	memset(t, 0, 8);
	t[0] = (uint8_t)s->icmp_type;
	t[1] = (uint8_t)s->icmp_code;
	store_be32(t + 4, s->icmp_mtu);
	uint8_t *q = t + 8;
	q += ip4 ? ip4_write(q, &plain, &back, 6, 1000) : ip6_write(q, &plain, &back, 6, 1000);
	store_be16(q, path->destination_port);
	store_be16(q + 2, path->source_port);
	store_be32(q + 4, s->seq);
	uint32_t len = (uint32_t)(q + 8 - t);
	uint64_t sum = checksum_sum(slice_of(t, len)) + (ip4 ? 0 : pseudo_sum(path, 58, len));
	store_le16(t + 2, (uint16_t)~checksum_fold(sum));
	return len;
}

uint32_t segment_write(uint8_t *out, const struct segment *s, const struct segment_path *path,
	uint32_t position)
{
	uint8_t body[SCRIPT_FRAME_MAX], *h = out + ETHERNET;
	bool ip4 = net_address_is_v4(&path->source);
	memcpy(out, script_engine_mac, 6);
	if (s->broadcast)
		memset(out, 0xff, 6);
	memcpy(out + 6, script_peer_mac, 6);
	store_be16(out + 12, ip4 ? 0x0800 : 0x86dd);
	uint32_t len = s->icmp ? icmp_write(body, s, path) : tcp_write(body, s, path, position);
	uint8_t protocol = !s->icmp ? 6 : ip4 ? 1 : 58;
	uint32_t header = ip4 ? ip4_write(h, s, path, protocol, len)
		: ip6_write(h, s, path, protocol, len);
	memcpy(h + header, body, len);
	return ETHERNET + header + len;
}

void icmp6_seal(uint8_t *icmp, uint32_t len, const struct segment_path *path)
{
	uint64_t sum = checksum_sum(slice_of(icmp, len)) + pseudo_sum(path, 58, len);
	store_le16(icmp + 2, (uint16_t)~checksum_fold(sum));
}

uint32_t packet_fragment(uint8_t *out, const uint8_t *frame, uint32_t len, uint32_t size, uint32_t index)
{
	uint32_t header = ETHERNET + IP4, at = index * size;
	if (header + at >= len)
		return 0;
	uint32_t n = len - header - at < size ? len - header - at : size;
	bool more = header + at + n < len;
	uint8_t *h = out + ETHERNET;
	memcpy(out, frame, header);
	memcpy(out + header, frame + header + at, n);
	store_be16(h + 2, (uint16_t)(IP4 + n));
	store_be16(h + 6, (uint16_t)(at / 8 | (more ? 0x2000 : 0)));
	store_le16(h + 10, 0);
	store_le16(h + 10, (uint16_t)~checksum_fold(checksum_ip4_header(h)));
	return header + n;
}

/* --- Reading --------------------------------------------------------------------------------- */

/* The option at `p`; its length, or 0 when it is malformed. */
static uint32_t option_read(const uint8_t *p, uint32_t left, struct segment_option *o)
{
	*o = (struct segment_option){.kind = p[0], .count = 1};
	if (p[0] == OPTION_EOL || p[0] == OPTION_NOP)
		return 1;
	if (left < 2 || p[1] < 2 || p[1] > left)
		return 0;
	uint32_t len = p[1];
	if (p[0] == OPTION_MSS && len == 4) {
		o->number[0] = load_be16(p + 2);
	} else if (p[0] == OPTION_WSCALE && len == 3) {
		o->number[0] = p[2];
	} else if (p[0] == OPTION_SACK_OK && len == 2) {
		o->count = 0;
	} else if ((p[0] == OPTION_TS && len == 10)
		|| (p[0] == OPTION_SACK && len % 8 == 2 && len > 2 && len <= 34)) {
		o->count = len / 4;
		for (uint32_t i = 0; i < o->count; i++)
			o->number[i] = load_be32(p + 2 + 4 * i);
	} else {
		o->kind = OPTION_RAW;
		o->count = len;
		memcpy(o->raw, p, len);
	}
	return len;
}

/* NOPs are left out. */
static script_complaint options_read(const uint8_t *p, uint32_t left, struct segment *s)
{
	s->has_options = true;
	while (left && *p != OPTION_EOL) {
		struct segment_option o;
		uint32_t len = option_read(p, left, &o);
		if (!len || s->option_count == SEGMENT_OPTIONS_MAX)
			return complain("its options are malformed");
		if (o.kind != OPTION_NOP)
			s->option[s->option_count++] = o;
		p += len;
		left -= len;
	}
	for (; left; left--, p++) {
		if (*p)
			return complain("its options are not padded with zeros");
	}
	return NULL;
}

static script_complaint tcp_read(const uint8_t *t, uint32_t len, struct segment *s, struct segment_path *path,
	const uint8_t **payload)
{
	uint32_t header = len < TCP ? 0 : (t[12] >> 4) * 4u;
	if (header < TCP || header > len)
		return complain("its TCP header is malformed");
	if (checksum_fold(pseudo_sum(path, 6, len) + checksum_sum(slice_of(t, len))) != 0xffff)
		return complain("its TCP checksum is wrong");
	if (t[12] & 15)
		return complain("it sets reserved bits");
	path->source_port = load_be16(t);
	path->destination_port = load_be16(t + 2);
	s->flags = t[13];
	s->seq = load_be32(t + 4);
	s->ack = load_be32(t + 8);
	s->window = load_be16(t + 14);
	s->urgent = load_be16(t + 18);
	s->has_ack = s->flags & FLAG_ACK;
	s->has_window = true;
	s->has_urgent = s->flags & FLAG_URG;
	s->len = len - header;
	*payload = t + header;
	return options_read(t + TCP, header - TCP, s);
}

/* The IP header: its length, or 0 when it is malformed. */
static uint32_t ip_read(const uint8_t *h, uint32_t len, struct segment *s, struct segment_path *path,
	uint8_t *protocol)
{
	if (len >= IP6 && h[0] >> 4 == 6 && load_be16(h + 4) == len - IP6) {
		s->ecn = h[1] >> 4 & 3;
		s->ttl = h[7];
		*protocol = h[6];
		memcpy(path->source.octet, h + 8, 16);
		memcpy(path->destination.octet, h + 24, 16);
		return IP6;
	}
	if (len < IP4 || h[0] != 0x45 || load_be16(h + 2) != len
		|| checksum_fold(checksum_ip4_header(h)) != 0xffff)
		return 0;
	s->ecn = h[1] & 3;
	s->ttl = h[8];
	*protocol = h[9];
	path->source = net_address_v4(load_be32(h + 12));
	path->destination = net_address_v4(load_be32(h + 16));
	return IP4;
}

script_complaint segment_read(const uint8_t *bytes, uint32_t len, struct segment *s,
	struct segment_path *path, const uint8_t **payload)
{
	uint8_t protocol;
	*s = (struct segment){0};
	uint32_t header = len < ETHERNET ? 0 : ip_read(bytes + ETHERNET, len - ETHERNET, s, path, &protocol);
	if (!header)
		return complain("its IP header is malformed");
	const uint8_t *t = bytes + ETHERNET + header;
	uint32_t left = len - ETHERNET - header;
	if ((protocol == 1 || protocol == 58) && left >= 8) {
		s->icmp = ICMP_ERROR;
		s->icmp_type = t[0];
		s->icmp_code = t[1];
		return NULL;
	}
	if (protocol != 6)
		return complain("it is not TCP");
	return tcp_read(t, left, s, path, payload);
}

/* --- Numbers --------------------------------------------------------------------------------- */

static void option_shift(struct segment_option *o, const struct segment_offsets *by)
{
	for (uint32_t i = 0; i < o->count; i++) {
		if (o->kind == OPTION_SACK)
			o->number[i] += by->other;
		else if (o->kind == OPTION_TS && o->how[i] == NUMBER_GIVEN)
			o->number[i] += i ? by->echo : by->value;
	}
}

void segment_shift(struct segment *s, const struct segment_offsets *by)
{
	s->seq += by->sender;
	if (s->has_ack)
		s->ack += by->other;
	for (uint32_t i = 0; i < s->option_count; i++)
		option_shift(&s->option[i], by);
}

const struct segment_option *segment_option_find(const struct segment *s, uint32_t kind)
{
	for (uint32_t i = 0; i < s->option_count; i++) {
		if (s->option[i].kind == kind)
			return &s->option[i];
	}
	return NULL;
}

/* --- Comparing ------------------------------------------------------------------------------- */

static bool number_matches(const struct segment_option *o, uint32_t i, uint32_t got, uint32_t slack)
{
	if (o->how[i] != NUMBER_GIVEN)
		return true;
	uint32_t apart = got - o->number[i];
	return apart <= slack || -apart <= slack;
}

static bool option_matches(const struct segment_option *o, const struct segment_option *got, uint32_t ts_slack)
{
	if (o->kind != got->kind || o->count != got->count)
		return false;
	if (o->kind == OPTION_RAW)
		return memcmp(o->raw, got->raw, o->count) == 0;
	for (uint32_t i = 0; i < o->count; i++) {
		if (!number_matches(o, i, got->number[i], o->kind == OPTION_TS && i == 0 ? ts_slack : 0))
			return false;
	}
	return true;
}

/* In any order, NOPs aside. */
static bool options_match(const struct segment *expected, const struct segment *got, uint32_t ts_slack)
{
	uint32_t matched = 0;
	for (uint32_t i = 0; i < expected->option_count; i++) {
		const struct segment_option *o = &expected->option[i];
		bool found = o->kind == OPTION_NOP || o->kind == OPTION_EOL;
		for (uint32_t k = 0; k < got->option_count && !found; k++) {
			found = option_matches(o, &got->option[k], ts_slack);
			matched += found;
		}
		if (!found)
			return false;
	}
	return expected->more_options || matched == got->option_count;
}

const char *segment_difference(const struct segment *e, const struct segment *g, uint32_t ts_slack)
{
	if (e->icmp != g->icmp)
		return "the protocol";
	if (e->icmp)
		return e->icmp_type == g->icmp_type && e->icmp_code == g->icmp_code ? NULL : "the message";
	if (e->flags != g->flags)
		return "the flags";
	if (e->seq != g->seq)
		return "the sequence number";
	if (e->len != g->len)
		return "the length";
	if (e->has_ack && e->ack != g->ack)
		return "the acknowledgement";
	if (e->has_window && e->window != g->window)
		return "the window";
	if (e->has_urgent && e->urgent != g->urgent)
		return "the urgent pointer";
	if (e->has_options && !options_match(e, g, ts_slack))
		return "the options";
	if (e->ecn >= 0 && e->ecn != g->ecn)
		return "the ECN bits";
	if (e->ttl >= 0 && e->ttl != g->ttl)
		return "the TTL";
	return NULL;
}

/* --- Text ------------------------------------------------------------------------------------ */

static void option_print(FILE *out, const struct segment_option *o)
{
	switch (o->kind) {
	case OPTION_EOL: fputs("eol", out); break;
	case OPTION_NOP: fputs("nop", out); break;
	case OPTION_MSS: fprintf(out, "mss %u", o->number[0]); break;
	case OPTION_WSCALE: fprintf(out, "wscale %u", o->number[0]); break;
	case OPTION_SACK_OK: fputs("sackOK", out); break;
	case OPTION_TS: fprintf(out, "TS val %u ecr %u", o->number[0], o->number[1]); break;
	case OPTION_SACK:
		fputs("sack", out);
		for (uint32_t i = 0; i + 1 < o->count; i += 2)
			fprintf(out, " %u:%u", o->number[i], o->number[i + 1]);
		break;
	default:
		fputs("raw ", out);
		for (uint32_t i = 0; i < o->count; i++)
			fprintf(out, "%02x", o->raw[i]);
	}
}

void segment_print(FILE *out, const struct segment *s)
{
	static const char *const ecn[] = {"", "[ect1] ", "[ect0] ", "[ce] "};
	if (s->icmp) {
		fprintf(out, "icmp %s (type %u code %u)", s->icmp_name ? s->icmp_name : "", s->icmp_type,
			s->icmp_code);
		return;
	}
	fputs(s->ecn > 0 ? ecn[s->ecn] : "", out);
	for (uint32_t i = 0; i < 8; i++) {
		if (s->flags & flag_letters[i].flag)
			fputc(flag_letters[i].letter, out);
	}
	if (!s->flags)
		fputc('-', out);
	fprintf(out, " %d:%d(%u)", (int32_t)s->seq, (int32_t)(s->seq + s->len), s->len);
	if (s->has_ack)
		fprintf(out, " ack %d", (int32_t)s->ack);
	fprintf(out, " win %u", s->window);
	if (s->has_urgent)
		fprintf(out, " urg %u", s->urgent);
	for (uint32_t i = 0; i < s->option_count; i++) {
		fputs(i ? "," : " <", out);
		option_print(out, &s->option[i]);
	}
	fputs(s->option_count ? ">" : "", out);
}
