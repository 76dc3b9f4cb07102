/* Segments as bytes on the wire (Ethernet, IPv4, TCP or ICMP) and as text. What a script gets wrong on
 * purpose is made here too: checksums, header lengths, options. */
#include "script.h"

#include <base/bytes.h>
#include <stdlib.h>
#include <string.h>
#include "checksum.h"

#define ETHERNET 14
#define IP4 20
#define TCP 20

static const char flag_letter[] = "FSRP.UEW";

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
	uint8_t pseudo[12] = {0};
	store_be32(pseudo, path->source);
	store_be32(pseudo + 4, path->destination);
	pseudo[9] = 6;
	store_be16(pseudo + 10, (uint16_t)(header + s->len));
	uint64_t sum = checksum_sum(slice_of(pseudo, 12)) + checksum_sum(slice_of(t, header + s->len));
	store_le16(t + 16, (uint16_t)(~checksum_fold(sum) ^ (s->bad_sum ? 0x5555 : 0)));
	return header + s->len;
}

/* Quotes the IP header and 8 bytes of a segment that the engine sent from s->seq on. */
static uint32_t icmp_write(uint8_t *t, const struct segment *s, const struct segment_path *path)
{
	uint8_t *q = t + 8;
	memset(t, 0, 8 + IP4 + 8);
	t[0] = (uint8_t)s->icmp_type;
	t[1] = (uint8_t)s->icmp_code;
	store_be16(t + 6, (uint16_t)s->icmp_mtu);
	q[0] = 0x45;
	store_be16(q + 2, 1500);
	q[8] = 64;
	q[9] = 6;
	store_be32(q + 12, path->destination);
	store_be32(q + 16, path->source);
	store_le16(q + 10, (uint16_t)~checksum_fold(checksum_ip4_header(q)));
	store_be16(q + IP4, path->destination_port);
	store_be16(q + IP4 + 2, path->source_port);
	store_be32(q + IP4 + 4, s->seq);
	store_le16(t + 2, (uint16_t)~checksum_fold(checksum_sum(slice_of(t, 8 + IP4 + 8))));
	return 8 + IP4 + 8;
}

static void ip4_write(uint8_t *h, const struct segment *s, const struct segment_path *path,
	uint32_t header, uint32_t total)
{
	memset(h, 0, IP4);
	h[0] = (uint8_t)(0x40 | header / 4);
	h[1] = s->ecn > 0 ? (uint8_t)s->ecn : 0;
	store_be16(h + 2, (uint16_t)total);
	store_be16(h + 4, path->id);
	h[8] = s->ttl > 0 ? (uint8_t)s->ttl : 64;
	h[9] = s->icmp ? 1 : 6;
	store_be32(h + 12, path->source);
	store_be32(h + 16, path->destination);
	memcpy(h + IP4, s->ip_options, s->ip_options_len);
	uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(slice_of(h, header)));
	store_le16(h + 10, sum ^ (s->bad_ip_sum ? 0x5555 : 0));
}

uint32_t segment_write(uint8_t *out, const struct segment *s, const struct segment_path *path,
	uint32_t position)
{
	uint32_t header = IP4 + s->ip_options_len;
	uint8_t *h = out + ETHERNET, *t = h + header;
	memcpy(out, path->destination_mac, 6);
	if (s->broadcast)
		memset(out, 0xff, 6);
	memcpy(out + 6, path->source_mac, 6);
	store_be16(out + 12, 0x0800);
	uint32_t len = s->icmp ? icmp_write(t, s, path) : tcp_write(t, s, path, position);
	ip4_write(h, s, path, header, header + len);
	return ETHERNET + header + len;
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
	} else if ((p[0] == OPTION_TS && len == 10) || (p[0] == OPTION_SACK && len % 8 == 2 && len > 2 && len <= 34)) {
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

static script_complaint tcp_read(const uint8_t *h, const uint8_t *t, uint32_t len, struct segment *s,
	struct segment_path *path, const uint8_t **payload)
{
	uint32_t header = (t[12] >> 4) * 4u;
	if (len < TCP || header < TCP || header > len)
		return complain("its TCP header is malformed");
	uint64_t pseudo = checksum_sum(slice_of(h + 12, 8)) + (6 << 8) + __builtin_bswap16((uint16_t)len);
	if (checksum_fold(pseudo + checksum_sum(slice_of(t, len))) != 0xffff)
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

script_complaint segment_read(const uint8_t *bytes, uint32_t len, struct segment *s,
	struct segment_path *path, const uint8_t **payload)
{
	const uint8_t *h = bytes + ETHERNET;
	*s = (struct segment){0};
	if (len < ETHERNET + IP4 || h[0] != 0x45 || load_be16(h + 2) != len - ETHERNET)
		return complain("its IP header is malformed");
	if (checksum_fold(checksum_ip4_header(h)) != 0xffff)
		return complain("its IP checksum is wrong");
	s->ecn = h[1] & 3;
	s->ttl = h[8];
	path->source = load_be32(h + 12);
	path->destination = load_be32(h + 16);
	if (h[9] == 1 && len >= ETHERNET + IP4 + 8) {
		s->icmp = ICMP_ERROR;
		s->icmp_type = h[IP4];
		s->icmp_code = h[IP4 + 1];
		return NULL;
	}
	if (h[9] != 6)
		return complain("it is not TCP");
	return tcp_read(h, h + IP4, len - ETHERNET - IP4, s, path, payload);
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
	if (o->how[i] == NUMBER_ANY)
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
		fprintf(out, "icmp type %u code %u", s->icmp_type, s->icmp_code);
		return;
	}
	fputs(s->ecn > 0 ? ecn[s->ecn] : "", out);
	for (uint32_t i = 0; i < 8; i++) {
		if (s->flags >> i & 1)
			fputc(flag_letter[i], out);
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
