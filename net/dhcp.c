/* DHCP client (RFC 2131, options RFC 2132, routes RFC 3442), and what is used while no server
 * answers (RFC 3927).
 *
 *   INIT -> SELECTING -offer-> REQUESTING -ack-> CHECKING -free-> BOUND -T1-> RENEWING -T2-> REBINDING -expiry-> INIT
 *    ^          ^                  |nak, no answer |                ^            |ack           |ack         |
 *    |          +------------------+               |taken: DECLINE  +------------+--------------+            |
 *    +---- 10 s -----------------------------------+---------------------- nak in any later state -----------+
 *   BOUND -link up-> REBOOTING -ack-> BOUND
 *
 * Messages are repeated after 4, 8, 16, 32, 64 s, each give or take one (4.1); while renewing,
 * after half of the time that is left, at least a minute. T1 and T2 come up to a twentieth sooner
 * than told, so that machines that started together do not renew together (4.4.5). When a lease
 * expires the address is taken away.
 *
 * An offered address is probed while it is being requested (see arp.c for how long). The third
 * question without an answer, after some 12 s, makes us take a link-local address beside asking on:
 * the same one each time, made from the card's address, if nobody has it. It goes when a server
 * answers.
 *
 * Of classless routes only the default one is used: there is one gateway. */
#include "engine.h"

#define CLIENT_PORT 68
#define SERVER_PORT 67
#define BOOTP_SIZE 236
#define MAGIC 0x63825363u
#define SNAME_AT 44
#define SNAME_SIZE 64
#define FILE_AT 108
#define FILE_SIZE 128

#define PROBES 2
#define PROBE_INTERVAL_NS (40 * NS_PER_MS)
#define DECLINE_WAIT_NS (10 * NS_PER_S) /* RFC 2131, 3.1, 5 */
#define DOUBT_NS (10 * NS_PER_S) /* after binding, a conflict means that we are the newcomer */

#define LINK_LOCAL_TRIES 3
#define LINK_LOCAL_MASK 0xffff0000u
#define LINK_PROBES 3
#define LINK_PROBE_INTERVAL_NS (1500 * NS_PER_MS) /* RFC 3927, 9: 1 to 2 s */
#define LINK_CONFLICTS_MAX 10

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, DECLINE = 4, ACK = 5, NAK = 6 };

enum {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_HOST_NAME = 12,
	OPT_MTU = 26,
	OPT_REQUESTED_IP = 50,
	OPT_LEASE = 51,
	OPT_OVERLOAD = 52,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_PARAMETERS = 55,
	OPT_MAX_SIZE = 57,
	OPT_CLASSLESS_ROUTES = 121,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_CLIENT_ID = 61,
	OPT_END = 255,
};

static struct net *net_of(struct dhcp *d)
{
	return d->net;
}

static void put_option(uint8_t **p, uint8_t code, const void *value, size_t len)
{
	(*p)[0] = code;
	(*p)[1] = (uint8_t)len;
	memcpy(*p + 2, value, len);
	*p += 2 + len;
}

static void put_option_ip(uint8_t **p, uint8_t code, uint32_t ip)
{
	uint8_t value[4];
	store_be32(value, ip);
	put_option(p, code, value, 4);
}

/* The message fits: 240 bytes and at most 3 + 9 + 6 + 6 + 4 + 10 + 65 + 1 of options. */
static size_t message_build(struct dhcp *d, uint8_t *m, uint8_t type)
{
	struct net *net = net_of(d);
	static const uint8_t parameters[] = {OPT_CLASSLESS_ROUTES, OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_MTU,
		OPT_LEASE, OPT_T1, OPT_T2};
	static const uint8_t size_max[] = {DHCP_MESSAGE_MAX >> 8, DHCP_MESSAGE_MAX & 0xff};
	uint8_t *p = m + BOOTP_SIZE + 4, id[7] = {1};
	bool declines = type == DECLINE;
	bool has_address = d->state == DHCP_RENEWING || d->state == DHCP_REBINDING;
	memset(m, 0, DHCP_MESSAGE_MAX);
	m[0] = 1;
	m[1] = 1;
	m[2] = 6;
	store_be32(m + 4, d->xid);
	store_be16(m + 8, (uint16_t)((net->now_ns - d->started_ns) / NS_PER_S));
	/* Until we have an address, answers must be broadcast. */
	store_be16(m + 10, has_address ? 0 : 0x8000);
	if (has_address)
		store_be32(m + 12, net->ipv4.address);
	memcpy(m + 28, net->mac, 6);
	store_be32(m + BOOTP_SIZE, MAGIC);
	memcpy(id + 1, net->mac, 6);
	put_option(&p, OPT_TYPE, &type, 1);
	put_option(&p, OPT_CLIENT_ID, id, sizeof id);
	if (d->state == DHCP_REQUESTING || d->state == DHCP_REBOOTING || declines)
		put_option_ip(&p, OPT_REQUESTED_IP, d->offered);
	if (d->state == DHCP_REQUESTING || declines)
		put_option_ip(&p, OPT_SERVER, d->server);
	if (!declines) { /* RFC 2131, table 5: not with that */
		put_option(&p, OPT_MAX_SIZE, size_max, 2);
		put_option(&p, OPT_PARAMETERS, parameters, sizeof parameters);
	}
	if (net->host_name_len && !declines)
		put_option(&p, OPT_HOST_NAME, net->host_name, net->host_name_len);
	*p++ = OPT_END;
	size_t len = (size_t)(p - m);
	return len < 300 ? 300 : len; /* BOOTP relays want that much */
}

static void datagram_done(struct udp_datagram *u)
{
	*(bool *)u->cookie = false;
}

static void dhcp_send(struct dhcp *d, uint8_t type)
{
	struct net *net = net_of(d);
	uint32_t i = 0;
	while (i < DHCP_MESSAGES && d->message[i].sending)
		i++;
	if (i == DHCP_MESSAGES) /* none has even left the device: the timer comes again */
		return;
	struct dhcp_message *m = &d->message[i];
	size_t len = message_build(d, m->bytes, type);
	bool unicast = d->state == DHCP_RENEWING;
	struct net_endpoint to = {net_address_v4(unicast ? d->server : IP4_BROADCAST), SERVER_PORT};
	m->datagram = (struct udp_datagram){.segment = {slice_of(m->bytes, len)}, .count = 1,
		.done = datagram_done, .cookie = &m->sending};
	m->sending = true;
	if (failed(udp_send(&d->socket, &to, &m->datagram)))
		m->sending = false;
	if (type == DISCOVER)
		net->counters.dhcp_discovers++;
	else if (type == DECLINE)
		net->counters.dhcp_declines++;
	else
		net->counters.dhcp_requests++;
}

static void dhcp_wait(struct dhcp *d, uint64_t ns)
{
	struct net *net = net_of(d);
	timer_arm(&net->timers, &d->timer, net->now_ns + ns);
}

static uint64_t backoff_ns(struct dhcp *d)
{
	uint64_t s = UINT64_C(4) << (d->tries < 4 ? d->tries : 4);
	uint32_t spread = random_below(net_of(d)->random, 2000);
	return (s - 1) * NS_PER_S + spread * NS_PER_MS;
}

/* RFC 3927, 2.1: from 169.254.1.0 to 169.254.254.255, the same after each start. */
static uint32_t link_local_address(const struct dhcp *d)
{
	static const struct hash_key key = {3927, 0};
	uint8_t input[7];
	memcpy(input, d->net->mac, 6);
	input[6] = d->link_conflicts;
	return 0xa9fe0100u + (uint32_t)(hash_sip13(key, slice_of(input, sizeof input)) % (254 * 256));
}

static void link_local_begin(struct dhcp *d)
{
	struct net *net = net_of(d);
	if (net->ipv4.state == NET_IPV4_NONE && !net->probe.address && d->link_conflicts < LINK_CONFLICTS_MAX)
		arp_probe(net, link_local_address(d), LINK_PROBES, LINK_PROBE_INTERVAL_NS);
}

static void discover(struct dhcp *d)
{
	struct net *net = net_of(d);
	if (d->state != DHCP_SELECTING) {
		d->state = DHCP_SELECTING;
		d->tries = 0;
		d->xid = (uint32_t)random_u64(net->random);
		d->started_ns = net->now_ns;
	}
	dhcp_send(d, DISCOVER);
	dhcp_wait(d, backoff_ns(d));
	d->tries++;
	if (d->tries >= LINK_LOCAL_TRIES)
		link_local_begin(d);
}

static void lose_address(struct dhcp *d)
{
	struct net *net = net_of(d);
	struct net_ipv4 none = {.state = NET_IPV4_NONE};
	arp_probe_end(net);
	if (net->ipv4.state != NET_IPV4_NONE)
		ip4_configure(net, &none);
	net->ip4_mtu = net->mtu;
	d->state = DHCP_INIT;
}

static void request(struct dhcp *d)
{
	if (d->tries >= 4) { /* nobody answers: ask for another offer */
		if (d->state == DHCP_REBOOTING) { /* keep the lease that we have (RFC 2131, 3.2) */
			d->state = DHCP_BOUND;
			dhcp_wait(d, d->t1_ns > net_of(d)->now_ns ? d->t1_ns - net_of(d)->now_ns : 0);
			return;
		}
		d->state = DHCP_INIT;
		discover(d);
		return;
	}
	dhcp_send(d, REQUEST);
	dhcp_wait(d, backoff_ns(d));
	d->tries++;
}

static void renew(struct dhcp *d, enum dhcp_state state, uint64_t until_ns)
{
	struct net *net = net_of(d);
	if (d->state != state) {
		d->state = state;
		d->started_ns = net->now_ns;
		d->xid = (uint32_t)random_u64(net->random);
	}
	dhcp_send(d, REQUEST);
	uint64_t left = until_ns - net->now_ns, half = left / 2;
	uint64_t wait = half > 60 * NS_PER_S ? half : 60 * NS_PER_S;
	dhcp_wait(d, wait < left ? wait : left);
}

static void lease_timer(struct dhcp *d)
{
	struct net *net = net_of(d);
	if (net->now_ns >= d->expiry_ns) {
		net->counters.dhcp_expiries++;
		lose_address(d);
		discover(d);
	} else if (net->now_ns >= d->t2_ns) {
		renew(d, DHCP_REBINDING, d->expiry_ns);
	} else if (net->now_ns >= d->t1_ns) {
		renew(d, DHCP_RENEWING, d->t2_ns);
	} else {
		dhcp_wait(d, d->t1_ns - net->now_ns);
	}
}

static void dhcp_timer(struct timer *t)
{
	struct dhcp *d = CONTAINER_OF(t, struct dhcp, timer);
	switch (d->state) {
	case DHCP_OFF:
		break;
	case DHCP_INIT:
	case DHCP_SELECTING:
		discover(d);
		break;
	case DHCP_REQUESTING:
	case DHCP_REBOOTING:
		request(d);
		break;
	case DHCP_CHECKING: /* dhcp_probed comes */
		break;
	case DHCP_BOUND:
	case DHCP_RENEWING:
	case DHCP_REBINDING:
		lease_timer(d);
		break;
	}
}

/* RFC 3442: prefix length, as many bytes of the prefix as that needs, router. */
static void parse_routes(struct dhcp_offer *o, struct slice v)
{
	o->classless = true;
	o->router = 0;
	for (size_t at = 0; at < v.len;) {
		uint8_t len = v.ptr[at];
		size_t bytes = (len + 7u) / 8;
		if (len > 32 || v.len - at - 1 < bytes + 4)
			return;
		if (len == 0 && !o->router)
			o->router = load_be32(v.ptr + at + 1);
		at += 1 + bytes + 4;
	}
}

static void parse_word(struct dhcp_offer *o, uint8_t code, uint32_t word)
{
	switch (code) {
	case OPT_MASK: o->mask = word; break;
	case OPT_ROUTER: o->router = o->classless ? o->router : word; break;
	case OPT_DNS: o->dns[0] = word; break;
	case OPT_SERVER: o->server = word; break;
	case OPT_LEASE: o->lease_s = word; break;
	case OPT_T1: o->t1_s = word; break;
	case OPT_T2: o->t2_s = word; break;
	default: break;
	}
}

static void parse_option(struct dhcp_offer *o, uint8_t code, struct slice v)
{
	if (code == OPT_TYPE && v.len == 1)
		o->type = v.ptr[0];
	else if (code == OPT_OVERLOAD && v.len == 1)
		o->overload = v.ptr[0];
	else if (code == OPT_MTU && v.len == 2)
		o->mtu = load_be16(v.ptr);
	else if (code == OPT_CLASSLESS_ROUTES)
		parse_routes(o, v);
	else if (code == OPT_DNS && v.len >= 8)
		o->dns[1] = load_be32(v.ptr + 4);
	if (v.len >= 4)
		parse_word(o, code, load_be32(v.ptr));
}

/* Options that do not end well are read as far as they go. */
static void parse_options(struct dhcp_offer *o, struct slice m)
{
	const uint8_t *p = m.ptr;
	for (size_t at = 0; at < m.len && p[at] != OPT_END;) {
		if (p[at] == OPT_PAD) {
			at++;
			continue;
		}
		if (m.len - at < 2 || m.len - at - 2 < p[at + 1])
			return;
		parse_option(o, p[at], slice_of(p + at + 2, p[at + 1]));
		at += 2u + p[at + 1];
	}
}

/* False when it is no answer to us. */
static bool parse(struct dhcp *d, struct slice m, struct dhcp_offer *o)
{
	const uint8_t *p = m.ptr;
	if (m.len < BOOTP_SIZE + 4 || p[0] != 2 || load_be32(p + 4) != d->xid
		|| load_be32(p + BOOTP_SIZE) != MAGIC || memcmp(p + 28, net_of(d)->mac, 6) != 0)
		return false;
	*o = (struct dhcp_offer){.address = load_be32(p + 16)};
	parse_options(o, slice_sub(m, BOOTP_SIZE + 4, SIZE_MAX));
	if (o->overload & 1)
		parse_options(o, slice_of(p + FILE_AT, FILE_SIZE));
	if (o->overload & 2)
		parse_options(o, slice_of(p + SNAME_AT, SNAME_SIZE));
	return true;
}

/* A server that names no mask means that of the address's class (RFC 950, 2.1): not that all is on the link. */
static uint32_t class_mask(uint32_t address)
{
	return address >> 31 == 0 ? 0xff000000 : address >> 30 == 2 ? 0xffff0000 : 0xffffff00;
}

static bool offer_is_usable(const struct dhcp_offer *o)
{
	uint32_t top = o->address >> 24, wild = ~o->mask;
	bool mask_is_prefix = (wild & (wild + 1)) == 0;
	return top != 0 && top != 127 && top < 224 && mask_is_prefix && o->lease_s > 0;
}

static void bind(struct dhcp *d, const struct dhcp_offer *o)
{
	struct net *net = net_of(d);
	uint64_t lease = o->lease_s * NS_PER_S, t1 = o->t1_s * NS_PER_S, t2 = o->t2_s * NS_PER_S;
	if (o->lease_s == UINT32_MAX) /* for ever: a century will do */
		lease = UINT64_C(100) * 365 * 86400 * NS_PER_S;
	if (!t2 || t2 >= lease)
		t2 = lease / 8 * 7;
	if (!t1 || t1 >= t2)
		t1 = lease / 2 < t2 ? lease / 2 : t2 / 2;
	d->t1_ns = d->started_ns + t1 - t1 / 20000 * random_below(net->random, 1001);
	d->t2_ns = d->started_ns + t2 - (t2 - t1) / 20000 * random_below(net->random, 1001);
	d->expiry_ns = d->started_ns + lease;
	d->state = DHCP_BOUND;
	d->offered = o->address;
	if (o->server)
		d->server = o->server;
	if (net->ipv4.state != NET_IPV4_BOUND)
		d->bound_ns = net->now_ns;
	d->link_conflicts = 0;
	net->ip4_mtu = o->mtu >= 576 && o->mtu < net->mtu ? o->mtu : net->mtu;
	uint32_t mask = o->mask ? o->mask : class_mask(o->address);
	struct net_ipv4 ipv4 = {NET_IPV4_BOUND, o->address, mask, o->router,
		{o->dns[0], o->dns[1]}, o->lease_s, 0};
	ip4_configure(net, &ipv4);
	dhcp_wait(d, d->t1_ns > net->now_ns ? d->t1_ns - net->now_ns : 0);
}

/* Somebody else has what the server granted: tell it, and begin again when it may have thought about it. */
static void decline(struct dhcp *d)
{
	lose_address(d); /* it must not even be the source of this */
	dhcp_send(d, DECLINE);
	dhcp_wait(d, DECLINE_WAIT_NS);
}

static void link_local_probed(struct dhcp *d, bool taken)
{
	struct net_ipv4 ipv4 = {.state = NET_IPV4_LINK_LOCAL, .address = link_local_address(d),
		.mask = LINK_LOCAL_MASK};
	if (taken) {
		d->link_conflicts++;
		link_local_begin(d);
	} else {
		ip4_configure(net_of(d), &ipv4);
	}
}

void dhcp_probed(struct net *net, bool taken)
{
	struct dhcp *d = &net->dhcp;
	if (d->state == DHCP_SELECTING) {
		link_local_probed(d, taken);
		return;
	}
	d->probe = taken ? PROBE_TAKEN : PROBE_FREE;
	if (d->state != DHCP_CHECKING)
		return;
	if (taken)
		decline(d);
	else
		bind(d, &d->grant);
}

bool dhcp_conflict(struct net *net, bool again)
{
	struct dhcp *d = &net->dhcp;
	if (net->ipv4.state == NET_IPV4_LINK_LOCAL && again) { /* RFC 3927, 2.5 */
		struct net_ipv4 none = {.state = NET_IPV4_NONE};
		d->link_conflicts++;
		ip4_configure(net, &none);
		link_local_begin(d);
		return true;
	}
	if (net->ipv4.state != NET_IPV4_BOUND || net->now_ns - d->bound_ns > DOUBT_NS)
		return false;
	decline(d);
	return true;
}

/* The server has granted an address: it is ours when nobody else has it. */
static void granted(struct dhcp *d, const struct dhcp_offer *o)
{
	struct net *net = net_of(d);
	net->counters.dhcp_acks++;
	bool ours = net->ipv4.state == NET_IPV4_BOUND && net->ipv4.address == o->address;
	if (!ours && o->address != d->offered) {
		d->offered = o->address;
		d->probe = PROBE_RUNNING;
		arp_probe(net, o->address, PROBES, PROBE_INTERVAL_NS);
	}
	d->grant = *o;
	if (ours || d->probe == PROBE_FREE) {
		bind(d, o);
		return;
	}
	d->state = DHCP_CHECKING;
	timer_cancel(&net->timers, &d->timer);
	if (d->probe == PROBE_TAKEN)
		decline(d);
}

static void dhcp_receive(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	struct dhcp *d = CONTAINER_OF(s, struct dhcp, socket);
	struct net *net = net_of(d);
	struct dhcp_offer o;
	if (from->port != SERVER_PORT || !parse(d, payload, &o))
		return;
	bool asked = d->state == DHCP_REQUESTING || d->state == DHCP_RENEWING
		|| d->state == DHCP_REBINDING || d->state == DHCP_REBOOTING;
	if (o.type == OFFER && d->state == DHCP_SELECTING && offer_is_usable(&o) && o.server) {
		d->state = DHCP_REQUESTING;
		d->offered = o.address;
		d->server = o.server;
		d->tries = 0;
		d->started_ns = net->now_ns;
		d->probe = PROBE_RUNNING;
		request(d);
		arp_probe(net, o.address, PROBES, PROBE_INTERVAL_NS);
	} else if (o.type == ACK && asked && offer_is_usable(&o)) {
		granted(d, &o);
	} else if (o.type == NAK && asked) {
		net->counters.dhcp_naks++;
		lose_address(d);
		dhcp_wait(d, NS_PER_S); /* a server that always refuses is not asked in a tight loop */
	}
}

void dhcp_init(struct net *net)
{
	net->dhcp.net = net;
	timer_init(&net->dhcp.timer, dhcp_timer);
	list_init(&net->dhcp.socket.link);
}

void dhcp_start(struct net *net)
{
	struct dhcp *d = &net->dhcp;
	d->socket.port = CLIENT_PORT;
	d->socket.receive = dhcp_receive;
	d->state = DHCP_INIT;
	err e = udp_bind(net, &d->socket);
	ASSERT(!failed(e)); /* nobody else can have bound a port yet */
	discover(d);
}

void dhcp_link_up(struct net *net)
{
	struct dhcp *d = &net->dhcp;
	if (d->state == DHCP_SELECTING || d->state == DHCP_INIT) {
		d->state = DHCP_INIT;
		discover(d);
	} else if (d->state == DHCP_BOUND) {
		d->state = DHCP_REBOOTING;
		d->tries = 0;
		d->xid = (uint32_t)random_u64(net->random);
		d->started_ns = net->now_ns;
		request(d);
	}
}
