#include "link6.h"

#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>
#include "../checksum.h"

struct net_address link6_address(const char *text)
{
	struct net_address a;
	bool ok = net_address_parse(slice_from_cstr(text), &a);
	ASSERT(ok);
	return a;
}

static bool record(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	struct link6 *l = w->cookie;
	ASSERT(from == 1);
	if (load_be16(b + 12) != 0x86dd || len < 54)
		return false;
	uint32_t at = 54;
	bool alert = b[20] == 0;
	if (alert) {
		ASSERT(b[55] == 0 && load_be16(b + 56) == 0x0502 && b[54] == 58);
		at += 8;
	} else if (b[20] != 58) {
		return false;
	}
	ASSERT(load_be16(b + 18) == len - 54 && len - at <= sizeof l->log[0].icmp && l->count < LINK6_LOG_MAX);
	uint64_t sum = checksum_sum(slice_of(b + 22, 32)) + (58 << 8) + __builtin_bswap16((uint16_t)(len - at))
		+ checksum_sum(slice_of(b + at, len - at));
	ASSERT(checksum_fold(sum) == 0xffff);
	struct link6_message *m = &l->log[l->count++];
	*m = (struct link6_message){.at_ns = w->now_ns, .hop_limit = b[21], .router_alert = alert, .len = len - at};
	memcpy(m->to_mac, b, 6);
	memcpy(&m->source, b + 22, 16);
	memcpy(&m->destination, b + 38, 16);
	memcpy(m->icmp, b + at, len - at);
	if (l->heard)
		l->heard(l, m);
	return false;
}

struct net_config link6_config(struct link6 *l, uint64_t seed)
{
	memset(l, 0, sizeof *l);
	world_init(&l->w, seed);
	l->w.filter = record;
	l->w.cookie = l;
	struct net_config c = world_config(&l->w, 1);
	c.ip6 = NET_IP6_AUTO;
	memcpy(c.ip6_secret, "a secret of thirty-two bytes....", 32);
	return c;
}

void link6_start(struct link6 *l, const struct net_config *config)
{
	world_start(&l->w, 1, config);
	l->net = l->w.station[1].net;
}

void link6_run(struct link6 *l, uint64_t ns)
{
	world_run(&l->w, l->w.now_ns + ns, NULL);
	net_advance(l->net, l->w.now_ns); /* also when nothing was due */
}

void link6_stop(struct link6 *l)
{
	link6_run(l, UINT64_C(20000000000));
	ASSERT(net_usage(l->net).tx_frames == 0 && l->w.station[1].buffers_out == 0);
	world_deinit(&l->w);
}

void link6_say(struct link6 *l, const char *source, const char *destination, uint8_t hop_limit, bool alert,
	const uint8_t *icmp, uint32_t len)
{
	static const uint8_t head[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd};
	static const uint8_t alert_option[8] = {58, 0, 5, 2, 0, 0, 1, 0};
	struct net_address from = link6_address(source), to = link6_address(destination);
	uint8_t f[1600];
	uint32_t at = alert ? 62 : 54;
	ASSERT(at + len <= sizeof f);
	memcpy(f, head, sizeof head);
	if (to.octet[0] == 0xff) {
		f[0] = f[1] = 0x33;
		memcpy(f + 2, to.octet + 12, 4);
	}
	store_be32(f + 14, 0x60000000);
	store_be16(f + 18, (uint16_t)(at - 54 + len));
	f[20] = alert ? 0 : 58;
	f[21] = hop_limit;
	memcpy(f + 22, &from, 16);
	memcpy(f + 38, &to, 16);
	memcpy(f + 54, alert_option, alert ? sizeof alert_option : 0);
	memcpy(f + at, icmp, len);
	store_le16(f + at + 2, 0);
	uint64_t sum = checksum_sum(slice_of(f + 22, 32)) + (58 << 8) + __builtin_bswap16((uint16_t)len)
		+ checksum_sum(slice_of(f + at, len));
	store_le16(f + at + 2, (uint16_t)~checksum_fold(sum));
	world_inject(&l->w, 1, f, at + len);
}

uint32_t link6_neighbor(uint8_t *out, uint8_t type, uint8_t flags, const struct net_address *target,
	uint8_t option, const uint8_t value[6])
{
	memset(out, 0, 32);
	out[0] = type;
	out[4] = flags;
	memcpy(out + 8, target, 16);
	if (!option)
		return 24;
	out[24] = option;
	out[25] = 1;
	memcpy(out + 26, value, 6);
	return 32;
}

uint32_t link6_heard(const struct link6 *l, uint8_t type, uint32_t from)
{
	uint32_t n = 0;
	for (uint32_t i = from; i < l->count; i++)
		n += l->log[i].icmp[0] == type;
	return n;
}

const struct link6_message *link6_last(const struct link6 *l, uint8_t type)
{
	for (uint32_t i = l->count; i-- > 0;)
		if (l->log[i].icmp[0] == type)
			return &l->log[i];
	return NULL;
}

bool link6_own(struct link6 *l, enum net_ipv6_origin origin, uint32_t index, struct net_ipv6_address *out)
{
	struct net_ipv6 now;
	net_ipv6(l->net, &now);
	for (uint32_t i = 0; i < now.count; i++) {
		if (now.address[i].origin == origin && index-- == 0) {
			*out = now.address[i];
			return true;
		}
	}
	return false;
}

/* --- Router advertisements --------------------------------------------------------------------- */

void link6_ra(struct link6_advertisement *ra, uint16_t lifetime_s)
{
	memset(ra, 0, sizeof *ra);
	ra->bytes[0] = 134;
	ra->bytes[4] = 64;
	store_be16(ra->bytes + 6, lifetime_s);
	ra->len = 16;
}

void link6_ra_mac(struct link6_advertisement *ra)
{
	static const uint8_t option[8] = {1, 1, 2, 0, 0, 0, 0, 1};
	memcpy(ra->bytes + ra->len, option, 8);
	ra->len += 8;
}

void link6_ra_prefix(struct link6_advertisement *ra, const char *prefix, uint8_t len, uint8_t flags,
	uint32_t valid_s, uint32_t preferred_s)
{
	uint8_t *p = ra->bytes + ra->len;
	struct net_address a = link6_address(prefix);
	p[0] = 3;
	p[1] = 4;
	p[2] = len;
	p[3] = flags;
	store_be32(p + 4, valid_s);
	store_be32(p + 8, preferred_s);
	memcpy(p + 16, &a, 16);
	ra->len += 32;
}

void link6_ra_mtu(struct link6_advertisement *ra, uint32_t mtu)
{
	uint8_t *p = ra->bytes + ra->len;
	p[0] = 5;
	p[1] = 1;
	store_be32(p + 4, mtu);
	ra->len += 8;
}

void link6_ra_dns(struct link6_advertisement *ra, const char *server, uint32_t lifetime_s)
{
	uint8_t *p = ra->bytes + ra->len;
	struct net_address a = link6_address(server);
	p[0] = 25;
	p[1] = 3;
	store_be32(p + 4, lifetime_s);
	memcpy(p + 8, &a, 16);
	ra->len += 24;
}

void link6_ra_say(struct link6 *l, struct link6_advertisement *ra)
{
	link6_say(l, "fe80::1", "ff02::1", 255, false, ra->bytes, ra->len);
}
