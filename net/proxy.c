/* The PROXY protocol's header, a byte at a time: it is short, and comes once in a connection.
 *
 *   START --'P'--> LINE --CRLF--> DONE
 *     \--CR--> HEAD (16 bytes) --> ADDRESSES --> TLV_HEAD <--> TLV --nothing left--> DONE
 *                 \--LOCAL, UNSPEC: all that follows is skipped----------------------^
 *
 * 1. A byte that cannot be part of a header fails at once, and is not consumed.
 * 2. bytes[] has the line, or the head and the addresses of IP; what follows is looked at and forgotten.
 * 3. `left` counts down what the head has announced, so the header's end does not depend on its content. */
#include <net/proxy.h>

#include <string.h>
#include <base/assert.h>

enum phase { START, LINE, HEAD, ADDRESSES, TLV_HEAD, TLV, SKIP, DONE, FAILED };
enum { HEAD_LEN = 16, SIGNATURE_LEN = 12, TLV_HEAD_LEN = 3 };
enum command { COMMAND_LOCAL, COMMAND_PROXY };
enum family { FAMILY_NONE, FAMILY_IP4, FAMILY_IP6, FAMILY_UNIX, FAMILY_COUNT };
enum { IP4_LEN = 12, IP6_LEN = 36, UNIX_LEN = 216, STREAM = 1, TRANSPORT_COUNT = 3 };
enum { TLV_CRC32C = 3, CRC_LEN = 4, TLV_SSL = 0x20, SSL_LEN_MIN = 5, SSL_CLIENT = 1 };

static const uint8_t signature[SIGNATURE_LEN] = "\r\n\r\n\0\r\nQUIT\n";

void net_proxy_init(struct net_proxy *p)
{
	memset(p, 0, offsetof(struct net_proxy, bytes));
	p->crc = UINT32_MAX;
}

static uint8_t fail(struct net_proxy *p)
{
	p->has_client = false;
	return FAILED;
}

/* --- Version 1 -------------------------------------------------------------------------------- */

/* The next word, which a space ends, or the line's end. */
static struct slice word_take(struct slice *line)
{
	size_t space = slice_index(*line, ' ');
	struct slice word = slice_sub(*line, 0, space);
	*line = slice_sub(*line, space + 1, line->len);
	return word;
}

static bool port_parse(struct slice text, uint16_t *out)
{
	uint64_t port;
	if (text.len > 5 || (text.len > 1 && text.ptr[0] == '0') || !slice_to_u64(text, &port) || port > UINT16_MAX)
		return false;
	*out = (uint16_t)port;
	return true;
}

/* An address of that family, as it is written. */
static bool address_take(struct slice *line, bool is_ip4, struct net_address *out)
{
	struct slice word = word_take(line);
	return (slice_index(word, ':') == word.len) == is_ip4 && net_address_parse(word, out);
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 443", exactly; or "UNKNOWN" with anything behind. */
static uint8_t line_take(struct net_proxy *p, struct slice line)
{
	struct slice kind = word_take(&line);
	if (slice_eq(kind, SLICE("UNKNOWN")))
		return DONE;
	bool is_ip4 = slice_eq(kind, SLICE("TCP4"));
	if ((!is_ip4 && !slice_eq(kind, SLICE("TCP6"))) || !address_take(&line, is_ip4, &p->client.address) ||
		!address_take(&line, is_ip4, &p->server.address) || !port_parse(word_take(&line), &p->client.port) ||
		!port_parse(line, &p->server.port))
		return fail(p);
	p->has_client = true;
	return DONE;
}

/* It has been stored as the last one. */
static uint8_t line_byte(struct net_proxy *p, uint8_t c)
{
	static const struct slice start = SLICE_INIT("PROXY ");
	if (p->len <= start.len)
		return c == start.ptr[p->len - 1] ? LINE : fail(p);
	if (p->len > start.len + 1 && p->bytes[p->len - 2] == '\r')
		return c == '\n' ? line_take(p, slice_of(p->bytes + start.len, p->len - start.len - 2)) : fail(p);
	return (c < ' ' && c != '\r') || c > '~' || p->len == NET_PROXY_LINE_MAX ? fail(p) : LINE;
}

/* --- Version 2 -------------------------------------------------------------------------------- */

static uint32_t crc32c_byte(uint32_t crc, uint8_t c)
{
	crc ^= c;
	for (int i = 0; i < 8; i++)
		crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	return crc;
}

static uint32_t addresses_len(const struct net_proxy *p)
{
	return p->family == FAMILY_IP4 ? IP4_LEN : p->family == FAMILY_IP6 ? IP6_LEN : UNIX_LEN;
}

/* All that was announced has come. */
static uint8_t finish(struct net_proxy *p)
{
	return p->has_crc && p->crc_sent != ~p->crc ? fail(p) : DONE;
}

/* What follows the sixteen bytes. */
static uint8_t head_take(struct net_proxy *p)
{
	uint8_t version = p->bytes[12] >> 4, family = p->bytes[13] >> 4, transport = p->bytes[13] & 15;
	p->command = p->bytes[12] & 15;
	p->left = load_be16(p->bytes + 14);
	if (version != 2 || p->command > COMMAND_PROXY || p->left > NET_PROXY_LEN_MAX - HEAD_LEN)
		return fail(p);
	p->family = family;
	if (p->command == COMMAND_LOCAL || p->bytes[13] == FAMILY_NONE)
		return p->left ? SKIP : finish(p);
	if (family == FAMILY_NONE || family >= FAMILY_COUNT || transport == 0 || transport >= TRANSPORT_COUNT ||
		p->left < addresses_len(p))
		return fail(p);
	p->has_client = family != FAMILY_UNIX && transport == STREAM;
	return ADDRESSES;
}

static uint8_t head_byte(struct net_proxy *p, uint8_t c)
{
	if (p->len <= SIGNATURE_LEN && c != signature[p->len - 1])
		return fail(p);
	return p->len < HEAD_LEN ? HEAD : head_take(p);
}

static void addresses_take(struct net_proxy *p)
{
	const uint8_t *at = p->bytes + HEAD_LEN;
	if (p->family == FAMILY_IP4) {
		p->client.address = net_address_v4(load_be32(at));
		p->server.address = net_address_v4(load_be32(at + 4));
	} else {
		memcpy(p->client.address.octet, at, 16);
		memcpy(p->server.address.octet, at + 16, 16);
	}
	at += addresses_len(p) - 4;
	p->client.port = load_be16(at);
	p->server.port = load_be16(at + 2);
}

/* At the end of the addresses, or of a field. */
static uint8_t next_tlv(struct net_proxy *p)
{
	p->tlv_at = 0;
	return p->left ? TLV_HEAD : finish(p);
}

static uint8_t address_byte(struct net_proxy *p)
{
	if (p->len < HEAD_LEN + addresses_len(p))
		return ADDRESSES;
	if (p->has_client)
		addresses_take(p);
	return next_tlv(p);
}

static uint8_t tlv_head_byte(struct net_proxy *p, uint8_t c)
{
	p->tlv_at++;
	if (p->tlv_at == 1)
		p->tlv = c;
	p->tlv_left = (uint16_t)(p->tlv_left << 8 | c); /* its last two bytes */
	if (p->tlv_at < TLV_HEAD_LEN)
		return p->left ? TLV_HEAD : fail(p);
	p->tlv_at = 0;
	if (p->tlv_left > p->left || (p->tlv == TLV_CRC32C && (p->has_crc || p->tlv_left != CRC_LEN)) ||
		(p->tlv == TLV_SSL && p->tlv_left < SSL_LEN_MIN))
		return fail(p);
	p->has_crc |= p->tlv == TLV_CRC32C;
	return p->tlv_left ? TLV : next_tlv(p);
}

static uint8_t tlv_byte(struct net_proxy *p, uint8_t c)
{
	if (p->tlv == TLV_CRC32C)
		p->crc_sent = p->crc_sent << 8 | c;
	if (p->tlv == TLV_SSL && p->tlv_at == 0)
		p->is_encrypted = c & SSL_CLIENT;
	p->tlv_at++;
	return --p->tlv_left ? TLV : next_tlv(p);
}

/* --- Either ----------------------------------------------------------------------------------- */

static uint8_t step(struct net_proxy *p, uint8_t c)
{
	if (p->phase == START)
		p->phase = c == 'P' ? LINE : HEAD;
	if (p->len < sizeof p->bytes)
		p->bytes[p->len] = c;
	p->len++;
	if (p->phase == LINE)
		return line_byte(p, c);
	bool in_crc = p->phase == TLV && p->tlv == TLV_CRC32C;
	p->crc = crc32c_byte(p->crc, in_crc ? 0 : c);
	if (p->phase == HEAD)
		return head_byte(p, c);
	p->left--;
	switch ((enum phase)p->phase) {
	case ADDRESSES: return address_byte(p);
	case TLV_HEAD: return tlv_head_byte(p, c);
	case TLV: return tlv_byte(p, c);
	case SKIP: return p->left ? SKIP : finish(p);
	case START:
	case LINE:
	case HEAD:
	case DONE:
	case FAILED: break;
	}
	UNREACHABLE();
}

enum net_proxy_result net_proxy_input(struct net_proxy *p, struct slice bytes, size_t *consumed)
{
	*consumed = 0;
	while (p->phase != DONE && p->phase != FAILED) {
		if (*consumed == bytes.len)
			return NET_PROXY_MORE;
		p->phase = step(p, bytes.ptr[*consumed]);
		*consumed += p->phase != FAILED;
	}
	return p->phase == DONE ? NET_PROXY_DONE : NET_PROXY_FAILED;
}
