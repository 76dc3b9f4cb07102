/* Addresses as text: RFC 4291, 2.2, in any form; out as RFC 5952 wants it. */
#include <net/address.h>

#include <base/cursor.h>

/* Decimal, 0 to 255, no leading zeros (some read those as octal). */
static bool ip4_part(struct reader *r, uint8_t *out)
{
	uint32_t value = 0, digits = 0;
	while (reader_left(r) && *r->pos >= '0' && *r->pos <= '9' && digits < 4) {
		value = value * 10 + (read_u8(r) - (uint32_t)'0');
		digits++;
	}
	*out = (uint8_t)value;
	return digits && value < 256 && digits == (value < 10 ? 1u : value < 100 ? 2u : 3u);
}

/* Four bytes, to the end of the text. */
static bool ip4_parse(struct slice text, uint8_t *out)
{
	struct reader r = reader_of(text);
	for (uint32_t i = 0; i < 4; i++) {
		if ((i && (!reader_left(&r) || read_u8(&r) != '.')) || !ip4_part(&r, out + i))
			return false;
	}
	return reader_left(&r) == 0;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One to four hexadecimal digits. */
static bool group_parse(struct slice text, uint16_t *out)
{
	if (text.len < 1 || text.len > 4)
		return false;
	*out = 0;
	for (size_t i = 0; i < text.len; i++) {
		int digit = hex_digit(text.ptr[i]);
		if (digit < 0)
			return false;
		*out = (uint16_t)(*out << 4 | digit);
	}
	return true;
}

/* Groups with colons between, the last two perhaps as IPv4, to the end of the text: at most `max` bytes. The
 * number of bytes, or -1. */
static int groups_parse(struct slice text, uint8_t *out, int max)
{
	int len = 0;
	while (text.len) {
		size_t colon = slice_index(text, ':');
		struct slice group = slice_sub(text, 0, colon);
		uint16_t value;
		if (colon == text.len && slice_index(group, '.') < group.len)
			return len + 4 <= max && ip4_parse(group, out + len) ? len + 4 : -1;
		if (len + 2 > max || !group_parse(group, &value))
			return -1;
		store_be16(out + len, value);
		len += 2;
		if (colon == text.len)
			break;
		text = slice_sub(text, colon + 1, SIZE_MAX);
		if (!text.len) /* a colon at the end */
			return -1;
	}
	return len;
}

/* Where "::" begins; text.len: nowhere. */
static size_t gap_find(struct slice text)
{
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i] == ':' && text.ptr[i + 1] == ':')
			return i;
	}
	return text.len;
}

bool net_address_parse(struct slice text, struct net_address *out)
{
	uint8_t tail[16];
	if (slice_index(text, ':') == text.len) {
		*out = net_address_v4(0);
		return ip4_parse(text, out->octet + 12);
	}
	size_t gap = gap_find(text);
	memset(out, 0, sizeof *out);
	if (gap == text.len)
		return groups_parse(text, out->octet, 16) == 16;
	/* At least one group is left out. In front of the gap no IPv4 part may stand. */
	struct slice head = slice_sub(text, 0, gap);
	int head_len = groups_parse(head, out->octet, 14);
	if (head_len < 0 || slice_index(head, '.') < head.len)
		return false;
	int tail_len = groups_parse(slice_sub(text, gap + 2, SIZE_MAX), tail, 14 - head_len);
	if (tail_len < 0)
		return false;
	memcpy(out->octet + 16 - tail_len, tail, (size_t)tail_len);
	return true;
}

static void decimal_write(struct writer *w, uint8_t value)
{
	if (value >= 100)
		write_u8(w, (uint8_t)('0' + value / 100));
	if (value >= 10)
		write_u8(w, (uint8_t)('0' + value / 10 % 10));
	write_u8(w, (uint8_t)('0' + value % 10));
}

static void group_write(struct writer *w, uint16_t value)
{
	static const char digits[] = "0123456789abcdef";
	int shift = 12;
	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		write_u8(w, (uint8_t)digits[value >> shift & 15]);
}

/* The longest run of zero groups, the first of those; two at least (RFC 5952, 4.2). */
static int zeros_find(const struct net_address *a, int *len)
{
	int best = 8;
	*len = 1;
	for (int i = 0, run = 0; i < 8; i++) {
		run = load_be16(a->octet + 2 * i) ? 0 : run + 1;
		if (run > *len) {
			*len = run;
			best = i + 1 - run;
		}
	}
	return best;
}

void net_address_write(struct writer *w, const struct net_address *a)
{
	int len, zeros = zeros_find(a, &len);
	if (net_address_is_v4(a)) {
		for (int i = 12; i < 16; i++) {
			if (i > 12)
				write_u8(w, '.');
			decimal_write(w, a->octet[i]);
		}
		return;
	}
	for (int i = 0; i < 8; i++) {
		if (i == zeros) {
			write_u8(w, ':');
			write_u8(w, ':');
			i += len - 1;
			continue;
		}
		if (i && i != zeros + len)
			write_u8(w, ':');
		group_write(w, load_be16(a->octet + 2 * i));
	}
}
