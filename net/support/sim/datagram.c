/* UDP echo between hosts, pings, and a router that advertises a prefix: small traffic beside the
 * connections. Datagrams may be lost; what comes back must be what was sent, and each is done exactly
 * once. A ping is put into a card in another host's name, as engines have none; its answer is judged in
 * wire.c. */
#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>

#define ECHO_PORT 7
#define DATAGRAM_MAX 500
#define INTERVAL_NS (400 * MS)

struct letter {
	struct udp_datagram datagram;
	struct list link; /* host.letters */
	struct host *host;
	uint8_t bytes[DATAGRAM_MAX];
};

static void letter_done(struct udp_datagram *d)
{
	struct letter *l = d->cookie;
	list_remove(&l->link);
	memset(l->bytes, 0xee, sizeof l->bytes);
	free(l);
}

static void letter_send(struct host *h, struct udp_socket *from, const struct net_endpoint *to,
	struct slice content)
{
	struct letter *l = calloc(1, sizeof *l);
	ASSERT(l && content.len <= DATAGRAM_MAX);
	l->host = h;
	memcpy(l->bytes, content.ptr, content.len);
	size_t cut = content.len / 3;
	l->datagram = (struct udp_datagram){.count = 2, .done = letter_done, .cookie = l};
	l->datagram.segment[0] = slice_of(l->bytes, content.len - cut);
	l->datagram.segment[1] = slice_of(l->bytes + content.len - cut, cut);
	list_push_back(&h->letters, &l->link);
	/* It may be done before that returns. */
	err e = udp_send(from, to, &l->datagram);
	if (failed(e)) {
		list_remove(&l->link);
		free(l);
		return;
	}
	h->attention = true;
}

static void echo_receive(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	letter_send(s->cookie, s, from, payload);
}

/* The first eight bytes are the key of the rest. */
static void client_receive(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	struct host *h = s->cookie;
	(void)from;
	size_t rest = payload.len < 8 ? 0 : payload.len - 8;
	if (payload.len < 8 || stream_compare(load_le64(payload.ptr), 0, payload.ptr + 8, rest) != rest)
		run_fail(h->run, "host %u: a datagram has come back changed", h->index);
	if (++h->datagrams_back > 16 * h->datagrams_sent)
		run_fail(h->run, "host %u: more datagrams come back than were sent", h->index);
}

void datagrams_forget(struct host *h)
{
	struct list *e;
	while ((e = list_pop_front(&h->letters)))
		free(LIST_ENTRY(e, struct letter, link));
}

void datagram_host_start(struct host *h)
{
	list_init(&h->letters);
	h->echo = (struct udp_socket){.port = ECHO_PORT, .receive = echo_receive, .cookie = h};
	h->client = (struct udp_socket){.receive = client_receive, .cookie = h};
	err e = udp_bind(h->net, &h->echo);
	ASSERT(!failed(e));
	e = udp_bind(h->net, &h->client);
	ASSERT(!failed(e));
}

static void datagram_send(struct run *r)
{
	uint8_t bytes[DATAGRAM_MAX];
	struct host *h = &r->host[draw_below(r, r->hosts)];
	struct host *to = &r->host[(h->index + 1 + draw_below(r, r->hosts - 1)) % r->hosts];
	/* Now and then nobody listens, or nobody is there. */
	struct net_endpoint end = {.port = draw_chance(r, 10) ? 9 : ECHO_PORT};
	bool ip6 = draw_chance(r, 50);
	if (!host_address(to, ip6, 0, &end.address) || (ip6 && !h->config.ip6))
		end.address = net_address_v4(draw_chance(r, 10) ? 0x0a000063 : to->ip);
	uint32_t len = 8 + draw_below(r, DATAGRAM_MAX - 8);
	uint64_t key = draw(r);
	store_le64(bytes, key);
	for (uint32_t i = 8; i < len; i++)
		bytes[i] = stream_byte(key, i - 8);
	if (!host_runs(h))
		return;
	net_advance(h->net, host_clock(h));
	h->datagrams_sent++;
	letter_send(h, &h->client, &end, slice_of(bytes, len));
}

/* --- Pings ----------------------------------------------------------------------------------- */

static void ping_send(struct run *r, const struct ping *p)
{
	uint8_t f[SIM_ETHERNET + 20 + 8 + 1300] = {0};
	const struct host *from = &r->host[p->from], *to = &r->host[p->to];
	uint8_t *h = f + SIM_ETHERNET, *icmp = h + 20;
	uint32_t len = SIM_ETHERNET + 28 + p->len;
	memcpy(f, to->config.mac, 6);
	memcpy(f + 6, from->config.mac, 6);
	store_be16(f + 12, 0x0800);
	h[0] = 0x45;
	store_be16(h + 2, (uint16_t)(28 + p->len));
	h[8] = 64;
	h[9] = 1;
	store_be32(h + 12, from->ip);
	store_be32(h + 16, to->ip);
	icmp[0] = 8;
	store_be16(icmp + 4, 7);
	for (uint32_t i = 0; i < p->len; i++)
		icmp[8 + i] = stream_byte(p->at_ns, i);
	sim_packet_mend(f, len);
	sim_network_inject(&r->network, to->port, slice_of(f, len));
}

/* --- A router -------------------------------------------------------------------------------- */

/* RFC 4861, 4.2 and 4.6.2: the prefix of the hosts with static addresses, on the link. Its lifetime as
 * a router is 0: there is nowhere to forward to. */
static void advertise(struct run *r, struct host *h)
{
	static const uint8_t head[] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xfe, 0x86, 0xdd};
	static const uint8_t prefix[] = {3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08, 0, 0, 0, 0,
		0xfd, 0, 0, 0, 0, 0, 0, 1};
	uint8_t f[SIM_ETHERNET + 40 + 16 + 32] = {0}, *ip = f + SIM_ETHERNET, *icmp = ip + 40;
	memcpy(f, head, sizeof head);
	ip[0] = 0x60;
	store_be16(ip + 4, 48);
	ip[6] = 58;
	ip[7] = 255;
	ip[8] = 0xfe;
	ip[9] = 0x80;
	ip[23] = 0xfe;
	ip[24] = 0xff;
	ip[25] = 2;
	ip[39] = 1;
	icmp[0] = 134;
	icmp[4] = 64;
	memcpy(icmp + 16, prefix, sizeof prefix);
	sim_packet_mend(f, sizeof f);
	sim_network_inject(&r->network, h->port, slice_of(f, sizeof f));
}

static void router_act(struct run *r)
{
	if (!r->router || r->network.now_ns < r->next_advertisement_ns)
		return;
	r->next_advertisement_ns = r->network.now_ns + draw_between(r, 1, 10) * SECOND;
	for (uint32_t i = 0; i < r->hosts; i++)
		advertise(r, &r->host[i]);
}

void datagrams_act(struct run *r)
{
	router_act(r);
	uint64_t now = r->network.now_ns;
	for (uint32_t i = 0; i < r->pings; i++) {
		if (r->ping[i].sent || now < r->ping[i].at_ns)
			continue;
		r->ping[i].sent = true;
		ping_send(r, &r->ping[i]);
	}
	if (now < r->next_datagram_ns || now >= r->work_end_ns)
		return;
	r->next_datagram_ns = now + draw_between(r, 1, 2 * INTERVAL_NS);
	datagram_send(r);
}

uint64_t datagrams_next(const struct run *r)
{
	uint64_t next = r->next_datagram_ns < r->work_end_ns ? r->next_datagram_ns : UINT64_MAX;
	if (r->router && r->next_advertisement_ns < next)
		next = r->next_advertisement_ns;
	for (uint32_t i = 0; i < r->pings; i++)
		if (!r->ping[i].sent && r->ping[i].at_ns < next)
			next = r->ping[i].at_ns;
	return next;
}
