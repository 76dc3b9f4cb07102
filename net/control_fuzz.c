/* The control plane under an attacker on the link: neighbour and router discovery, multicast
 * listener discovery, ARP and DHCP, with state. The input is a list of commands: messages that are
 * well-formed up to a point and speak of addresses that the engine has or asks for, answers to its
 * own questions, API calls, time. What was lent must be back in the end; what routers say must stay
 * within its bounds at every step. */
#include <net/net.h>

#include <base/assert.h>
#include <base/bytes.h>
#include <base/cursor.h>
#include <stdlib.h>
#include <string.h>
#include "checksum.h"
#include "ip6.h"
#include "support/fuzz_frames.h"

#define MS UINT64_C(1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct net *net;
	uint64_t now_ns;
	struct fuzz_frames frames;
	uint32_t xid; /* of the engine's last DHCP message */
	uint32_t arp_target;
	struct net_address asked; /* by its last solicitation */
};


static void input(struct fuzz *z, const uint8_t *bytes, size_t len)
{
	fuzz_frame_input(&z->frames, z->net, z->now_ns, bytes, len, FUZZ_AT_END);
}

static void look(struct fuzz *z, const struct frame_tx *f)
{
	const uint8_t *e = f->header + FRAME_TX_HEADROOM;
	ASSERT(f->header_len >= 42);
	if (load_be16(e + 12) == ETHERTYPE_ARP)
		z->arp_target = load_be32(e + 38);
	else if (load_be16(e + 12) == ETHERTYPE_IP6 && e[20] == 58 && e[54] == 135)
		memcpy(&z->asked, e + 62, 16);
	else if (load_be16(e + 12) == ETHERTYPE_IP4 && e[23] == 17 && f->payload_len > 240)
		z->xid = load_be32(f->segment[0].ptr + 4);
}

static void output(struct fuzz *z)
{
	struct frame_tx *f;
	while ((f = net_output(z->net))) {
		look(z, f);
		f->done(f->owner, f);
	}
}

/* An address that means something to the engine. */
static struct net_address address(struct fuzz *z, uint8_t which)
{
	static const struct net_address fixed[] = {{{0xfe, 0x80, [15] = 1}}, {{0xfe, 0x80, [15] = 2}},
		{{0x20, 1, 0xd, 0xb8, [15] = 9}}, {{0xff, 2, [15] = 1}}, {{0}}, {{0xff, 2, [15] = 0xfb}}};
	struct net_ipv6 now;
	net_ipv6(z->net, &now);
	if (which & 64)
		return z->asked;
	struct net_address a = fixed[(which & 15) % ARRAY_LEN(fixed)];
	if (which & 16 && now.count)
		a = now.address[which % now.count].address;
	return which & 32 ? ip6_solicited_node(&a) : a;
}

static void icmp_say(struct fuzz *z, uint8_t from, uint8_t to, bool group, uint8_t *icmp, uint32_t len)
{
	uint8_t f[600];
	struct net_address source = address(z, from), destination = address(z, to);
	uint32_t at = group ? 62 : 54;
	memcpy(f, own_mac, 6);
	if (net_address_is_multicast(&destination))
		ip6_group_mac(&destination, f);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, ETHERTYPE_IP6);
	store_be32(f + 14, 0x60000000);
	store_be16(f + 18, (uint16_t)(at - 54 + len));
	f[20] = group ? 0 : 58;
	f[21] = group ? 1 : 255;
	memcpy(f + 22, &source, 16);
	memcpy(f + 38, &destination, 16);
	memcpy(f + 54, "\x3a\0\5\2\0\0\1\0", 8);
	memcpy(f + at, icmp, len);
	store_le16(f + at + 2, 0);
	uint64_t sum = checksum_sum(slice_of(f + 22, 32)) + (58 << 8) + __builtin_bswap16((uint16_t)len)
		+ checksum_sum(slice_of(f + at, len));
	store_le16(f + at + 2, (uint16_t)~checksum_fold(sum));
	input(z, f, at + len);
}

static void copy(struct reader *r, uint8_t *out, size_t max)
{
	size_t n = read_u8(r);
	n = n < max ? n : max;
	for (size_t i = 0; i < n; i++)
		out[i] = read_u8(r);
}

static void neighbor_message(struct fuzz *z, struct reader *r, uint8_t type)
{
	uint8_t m[40] = {type}, from = read_u8(r), to = read_u8(r);
	m[4] = read_u8(r);
	struct net_address target = address(z, read_u8(r));
	memcpy(m + 8, &target, 16);
	m[24] = read_u8(r) % 16;
	m[25] = 1;
	memcpy(m + 26, peer_mac, 6);
	m[31] = read_u8(r);
	icmp_say(z, from, to, false, m, 24 + 8 * (m[31] & 1));
}

/* Options: of a kind that is known, with values that are made up. */
static void router_message(struct fuzz *z, struct reader *r)
{
	static const uint8_t kinds[] = {1, 3, 5, 25}, units[] = {1, 4, 1, 3};
	uint8_t m[300] = {134}, from = read_u8(r) & 1, count = read_u8(r) % 6;
	uint32_t len = 16;
	copy(r, m + 4, 12);
	for (uint8_t i = 0; i < count; i++) {
		uint8_t kind = read_u8(r) % ARRAY_LEN(kinds), *o = m + len;
		copy(r, o + 2, 8u * units[kind] - 2);
		o[0] = kinds[kind];
		o[1] = units[kind];
		if (kinds[kind] == 3 && !(o[31] & 1)) {
			o[2] = 64;
			memcpy(o + 16, "\x20\1\xd\xb8", 4);
		}
		len += 8u * units[kind];
	}
	icmp_say(z, from, 3, false, m, len);
}

static void group_message(struct fuzz *z, struct reader *r)
{
	static const uint8_t types[] = {130, 131, 132, 143};
	uint8_t m[48] = {types[read_u8(r) % 4]}, from = read_u8(r), len = read_u8(r);
	m[4] = read_u8(r);
	m[5] = read_u8(r);
	struct net_address group = address(z, read_u8(r));
	memcpy(m + 8, &group, 16);
	icmp_say(z, from, 3, true, m, 8 + len % 40u);
}

static void arp(struct fuzz *z, struct reader *r)
{
	uint8_t f[42], what = read_u8(r);
	const struct net_ipv4 ip = net_ipv4(z->net);
	const uint32_t who[] = {0, ip.address, z->arp_target, 0x0a000009, 0xa9fe0101};
	memset(f, 0xff, 6);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, ETHERTYPE_ARP);
	store_be32(f + 14, 0x00010800);
	store_be32(f + 18, 0x06040000u | (1 + (what & 1)));
	memcpy(f + 22, peer_mac, 6);
	store_be32(f + 28, who[read_u8(r) % ARRAY_LEN(who)]);
	memcpy(f + 32, own_mac, 6);
	store_be32(f + 38, who[read_u8(r) % ARRAY_LEN(who)]);
	input(z, f, sizeof f);
}

static void dhcp(struct fuzz *z, struct reader *r)
{
	uint8_t f[560] = {0}, *m = f + 42, type = read_u8(r);
	static const uint8_t types[] = {2, 5, 6, 5};
	const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, types[type & 3], 54, 4, 10, 0, 0, 1, 1, 4, 255, 255,
		255, 0, 51, 4, 0, 0, read_u8(r), read_u8(r)};
	memset(f, 0xff, 6);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, ETHERTYPE_IP4);
	f[14] = 0x45;
	f[22] = 64;
	f[23] = 17;
	store_be32(f + 26, 0x0a000001);
	store_be32(f + 30, IP4_BROADCAST);
	store_be16(f + 34, 67);
	store_be16(f + 36, 68);
	m[0] = 2;
	store_be32(m + 4, z->xid);
	store_be32(m + 16, 0x0a000002 + (type >> 7));
	memcpy(m + 28, own_mac, 6);
	if (type & 16)
		copy(r, m + 44, 192);
	memcpy(m + 236, options, sizeof options);
	copy(r, m + 236 + sizeof options, 200);
	uint32_t len = 236 + sizeof options + 200;
	store_be16(f + 16, (uint16_t)(28 + len));
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	store_be16(f + 38, (uint16_t)(8 + len));
	input(z, f, 42 + len);
}

static void api(struct fuzz *z, uint8_t what)
{
	struct net_address a = address(z, what);
	switch (what & 3) {
	case 0: net_link_up(z->net); break;
	case 1: mld_leave(z->net, &a); break;
	case 2:
		if (ip6_is_neighbor(z->net, &a))
			neighbor_lookup(z->net, &a);
		break;
	default: {
		struct net_address hop;
		if (ip6_route(z->net, &a, &hop))
			ASSERT(ip6_is_neighbor(z->net, &hop) || net_address_is_link_local(&hop));
		break;
	}
	}
}

static void check(struct fuzz *z)
{
	const struct ip6 *s = &z->net->ip6;
	struct net_ipv6 now;
	net_ipv6(z->net, &now);
	ASSERT(now.count <= NET_IPV6_ADDRESSES_MAX && now.dns_count <= NET_IPV6_DNS_MAX);
	ASSERT(now.mtu >= IP6_MTU_MIN && now.mtu <= 1500 && s->hop_limit >= 32);
	ASSERT(s->retrans_ns >= 100 * MS && s->retrans_ns <= 10000 * MS && s->reachable_ns <= 5400000 * MS);
	for (uint32_t i = 0; i < now.count; i++) {
		const struct net_ipv6_address *a = &now.address[i];
		ASSERT(ip6_is_unicast(&a->address) && a->prefix_len == 64);
		bool used = a->state != NET_IPV6_TENTATIVE && a->state != NET_IPV6_DUPLICATE;
		ASSERT(ip6_is_own(z->net, &a->address) == used);
	}
	const struct net_ipv4 ip = net_ipv4(z->net);
	ASSERT((ip.state == NET_IPV4_NONE) == (ip.address == 0));
	ASSERT(net_usage(z->net).timers <= 64);
}

static void command(struct fuzz *z, struct reader *r)
{
	uint8_t what = read_u8(r);
	switch (what & 7) {
	case 0: neighbor_message(z, r, 135); break;
	case 1: neighbor_message(z, r, 136); break;
	case 2: router_message(z, r); break;
	case 3: group_message(z, r); break;
	case 4: arp(z, r); break;
	case 5: dhcp(z, r); break;
	case 6: z->now_ns += (uint64_t)read_u8(r) << (what >> 3 & 31); break;
	default: api(z, read_u8(r)); break;
	}
	if (what & 128)
		output(z);
	net_advance(z->net, z->now_ns);
	check(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 2048)
		return 0;
	struct random random;
	random_init(&random);
	random_mix(&random, SLICE("thirty-two bytes of no entropy!!"));
	struct fuzz *z = calloc(1, sizeof *z);
	z->now_ns = 1000 * MS;
	struct net_config c = {.mtu = 1500, .connections_max = 2, .syn_max = 2, .time_wait_max = 2,
		.tx_frames_max = 16, .rx_frames_max = FUZZ_BUFFERS - 8, .neighbors_max = 8, .receive_window = 20000,
		.address = data[0] & 1 ? 0x0a000002 : 0, .mask = 0xffffff00, .ip6 = NET_IP6_AUTO, .random = &random,
		.now_ns = z->now_ns};
	if (data[0] & 2) {
		c.ip6 = NET_IP6_STATIC;
		c.ip6_address = (struct net_address){{0x20, 1, 0xd, 0xb8, [15] = 5}};
		c.ip6_prefix_len = 64;
		c.ip6_gateway.octet[0] = data[0] & 4 ? 0xfe : 0;
		c.ip6_gateway.octet[1] = data[0] & 4 ? 0x80 : 0;
		c.ip6_gateway.octet[15] = data[0] & 4 ? 1 : 0;
	}
	memcpy(c.mac, own_mac, 6);
	void *memory = aligned_alloc(64, (net_memory_size(&c) + 63) & ~(size_t)63);
	err e = net_init(&z->net, &c, memory);
	ASSERT(!failed(e));
	struct reader r = reader_of(slice_of(data + 1, size - 1));
	while (!r.failed && reader_left(&r))
		command(z, &r);
	for (uint32_t i = 0; i < 200; i++) {
		output(z);
		z->now_ns += 500 * MS;
		net_advance(z->net, z->now_ns);
		check(z);
	}
	output(z);
	struct net_usage u = net_usage(z->net);
	ASSERT(u.tx_frames == 0 && u.rx_frames == 0 && z->frames.out == 0);
	free(memory);
	free(z);
	return 0;
}
