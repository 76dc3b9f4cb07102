/* DHCP client (RFC 2131, options RFC 2132).
 *
 *   INIT -> SELECTING -offer-> REQUESTING -ack-> BOUND -T1-> RENEWING -T2-> REBINDING -expiry-> INIT
 *               ^                  |nak, no answer  ^            |ack           |ack         |
 *               +------------------+                +------------+--------------+            |
 *               +---------------------------- nak in any later state ------------------------+
 *   BOUND -link up-> REBOOTING -ack-> BOUND
 *
 * Messages are repeated after 4, 8, 16, 32, 64 s, each give or take one (4.1); while renewing, after
 * half of the time that is left, at least a minute. When a lease expires the address is taken away. */
#include "engine.h"

#define CLIENT_PORT 68
#define SERVER_PORT 67
#define BOOTP_SIZE 236
#define MAGIC 0x63825363u

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, DECLINE = 4, ACK = 5, NAK = 6 };

enum {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_HOST_NAME = 12,
	OPT_REQUESTED_IP = 50,
	OPT_LEASE = 51,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_PARAMETERS = 55,
	OPT_MAX_SIZE = 57,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_CLIENT_ID = 61,
	OPT_END = 255,
};

struct offer {
	uint8_t type;
	uint32_t address, mask, router, dns[2], server, lease_s, t1_s, t2_s;
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

/* The message fits: 240 bytes and at most 3 + 9 + 6 + 6 + 4 + 6 + 65 + 1 of options. */
static size_t message_build(struct dhcp *d, uint8_t *m, uint8_t type)
{
	struct net *net = net_of(d);
	static const uint8_t parameters[] = {OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_LEASE, OPT_T1, OPT_T2};
	static const uint8_t size_max[] = {DHCP_MESSAGE_MAX >> 8, DHCP_MESSAGE_MAX & 0xff};
	uint8_t *p = m + BOOTP_SIZE + 4, id[7] = {1};
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
	if (d->state == DHCP_REQUESTING || d->state == DHCP_REBOOTING)
		put_option_ip(&p, OPT_REQUESTED_IP, d->offered);
	if (d->state == DHCP_REQUESTING)
		put_option_ip(&p, OPT_SERVER, d->server);
	put_option(&p, OPT_MAX_SIZE, size_max, 2);
	put_option(&p, OPT_PARAMETERS, parameters, sizeof parameters);
	if (net->host_name_len)
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
	struct dhcp_message *m = &d->message[d->message[0].sending];
	if (m->sending) /* neither has even left the device: the timer comes again */
		return;
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
}

static void lose_address(struct dhcp *d)
{
	struct net *net = net_of(d);
	struct net_ipv4 none = {.state = NET_IPV4_NONE};
	if (net->ipv4.state != NET_IPV4_NONE)
		ip4_configure(net, &none);
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
	case DHCP_BOUND:
	case DHCP_RENEWING:
	case DHCP_REBINDING:
		lease_timer(d);
		break;
	}
}

static void parse_option(struct offer *o, uint8_t code, struct slice v)
{
	if (code == OPT_TYPE && v.len == 1)
		o->type = v.ptr[0];
	else if (code == OPT_DNS && v.len >= 8)
		o->dns[1] = load_be32(v.ptr + 4);
	if (v.len < 4)
		return;
	uint32_t word = load_be32(v.ptr);
	switch (code) {
	case OPT_MASK: o->mask = word; break;
	case OPT_ROUTER: o->router = word; break;
	case OPT_DNS: o->dns[0] = word; break;
	case OPT_SERVER: o->server = word; break;
	case OPT_LEASE: o->lease_s = word; break;
	case OPT_T1: o->t1_s = word; break;
	case OPT_T2: o->t2_s = word; break;
	default: break;
	}
}

/* False when it is no answer to us. Options that do not end well are read as far as they go. */
static bool parse(struct dhcp *d, struct slice m, struct offer *o)
{
	const uint8_t *p = m.ptr;
	if (m.len < BOOTP_SIZE + 4 || p[0] != 2 || load_be32(p + 4) != d->xid
		|| load_be32(p + BOOTP_SIZE) != MAGIC || memcmp(p + 28, net_of(d)->mac, 6) != 0)
		return false;
	*o = (struct offer){.address = load_be32(p + 16)};
	for (size_t at = BOOTP_SIZE + 4; at < m.len && p[at] != OPT_END;) {
		if (p[at] == OPT_PAD) {
			at++;
			continue;
		}
		if (m.len - at < 2 || m.len - at - 2 < p[at + 1])
			break;
		parse_option(o, p[at], slice_of(p + at + 2, p[at + 1]));
		at += 2u + p[at + 1];
	}
	return true;
}

static bool offer_is_usable(const struct offer *o)
{
	uint32_t top = o->address >> 24, wild = ~o->mask;
	bool mask_is_prefix = (wild & (wild + 1)) == 0;
	return top != 0 && top != 127 && top < 224 && mask_is_prefix && o->lease_s > 0;
}

static void bind(struct dhcp *d, const struct offer *o)
{
	struct net *net = net_of(d);
	uint64_t lease = o->lease_s * NS_PER_S, t1 = o->t1_s * NS_PER_S, t2 = o->t2_s * NS_PER_S;
	if (o->lease_s == UINT32_MAX) /* for ever: a century will do */
		lease = UINT64_C(100) * 365 * 86400 * NS_PER_S;
	if (!t2 || t2 >= lease)
		t2 = lease / 8 * 7;
	if (!t1 || t1 >= t2)
		t1 = lease / 2 < t2 ? lease / 2 : t2 / 2;
	d->t1_ns = d->started_ns + t1;
	d->t2_ns = d->started_ns + t2;
	d->expiry_ns = d->started_ns + lease;
	d->state = DHCP_BOUND;
	d->offered = o->address;
	if (o->server)
		d->server = o->server;
	net->counters.dhcp_acks++;
	struct net_ipv4 ipv4 = {NET_IPV4_BOUND, o->address, o->mask, o->router,
		{o->dns[0], o->dns[1]}, o->lease_s, 0};
	ip4_configure(net, &ipv4);
	dhcp_wait(d, d->t1_ns > net->now_ns ? d->t1_ns - net->now_ns : 0);
}

static void dhcp_receive(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	struct dhcp *d = CONTAINER_OF(s, struct dhcp, socket);
	struct net *net = net_of(d);
	struct offer o;
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
		request(d);
	} else if (o.type == ACK && asked && offer_is_usable(&o)) {
		bind(d, &o);
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
