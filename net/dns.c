/* The resolver of net/dns.h: who waits for what, which server is asked next, when to give up.
 *
 * A lookup is one name and one type being asked for; queries for the same join it.
 *
 *   ASKING --answer--> finished (kept in the cache)
 *      |  ^----------- nothing for 1 s, 2 s, 4 s; a server that cannot say: the next server
 *      |  ^----------- an alias without what it stands for: asked anew for that
 *      +--cut off--> BY TCP --answer--> finished
 *      |                |--connection lost, or nothing for 5 s: the next server
 *      +----------------+--ROUNDS rounds over all servers--> failed
 *
 * Each question has a random id, comes from a random port of its own, and has letters of random case; its
 * answer must come from where it was sent and repeat all of that (RFC 5452). A lookup whose datagram still
 * waits to leave stays until it has left.
 *
 * Bounded: lookups, waiters (in the callers' memory), aliases followed, servers asked, cache. */
#include <net/dns.h>

#include "dns_cache.h"
#include "dns_message.h"
#include "engine.h"
#include "ip6.h"

#define PORT 53
#define ROUNDS 3
#define ALIASES_MAX 8
#define FIRST_TIMEOUT_NS NS_PER_S
#define TCP_TIMEOUT_NS (5 * NS_PER_S)
#define TCP_MESSAGE_MAX 4096

struct lookup {
	struct list link; /* of dns.lookups, until it is finished */
	struct dns *dns;
	struct dns_name name;  /* as it was asked for */
	struct dns_name asked; /* where its aliases have led to */
	uint16_t type;
	bool edns, finished;
	uint8_t aliases;
	uint32_t attempts, refusals;
	uint32_t ttl_s; /* of the aliases so far */
	uint32_t first, server_index;
	struct net_endpoint server;
	struct list waits; /* dns_wait.link */
	struct timer timer;

	uint8_t query[DNS_QUERY_MAX];
	size_t query_len;
	struct udp_socket socket;
	bool bound;
	struct udp_datagram datagram;
	bool sending, send_again; /* again: as soon as the last one has left */

	struct tcp_handler handler;
	struct tcp_conn *tcp; /* NULL: none */
	struct tcp_send send;
	struct slice send_segment[2];
	uint8_t send_length[2];
	bool tcp_sending;
	uint8_t message[2 + TCP_MESSAGE_MAX];
	size_t message_len;
};

struct dns {
	struct dns_config config;
	struct pool pool;
	struct list lookups;
	struct dns_cache cache;
	uint32_t first_server; /* the one that answered last */
	struct dns_counters counters;
};

static void attempt(struct lookup *l);
static void question_left(struct lookup *l);

/* --- Queries ---------------------------------------------------------------------------------- */

/* RFC 6724 would compare pairs of addresses. Here: who has an IPv6 address that reaches the first one uses it. */
static bool prefers_ip6(const struct dns *dns, const struct dns_query *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		if (!net_address_is_v4(&q->address[i]))
			return ip6_source(dns->config.net, &q->address[i]) != NULL;
	return false;
}

static void query_add(struct dns_query *q, const struct net_address *address, uint32_t count)
{
	if (count)
		memcpy(q->address + q->count, address, count * sizeof *address);
	q->count += count;
}

/* Those of the family that we have an address of our own for come first. */
static void query_sort(struct dns_query *q, bool ip6_first)
{
	uint32_t next = 0;
	for (uint32_t i = 0; i < q->count; i++) {
		struct net_address a = q->address[i];
		if (net_address_is_v4(&a) == ip6_first)
			continue;
		memmove(q->address + next + 1, q->address + next, (i - next) * sizeof a);
		q->address[next++] = a;
	}
}

static void query_part_done(struct dns *dns, struct dns_query *q, err e, const struct net_address *address,
	uint32_t count)
{
	query_add(q, address, count);
	/* That another server might know says more than that there is none. */
	if (failed(e) && (!failed(q->trouble) || q->trouble.code == ERR_NOT_FOUND))
		q->trouble = e;
	if (--q->waiting)
		return;
	query_sort(q, prefers_ip6(dns, q));
	q->result = q->count ? OK : q->trouble;
	q->done(q);
}

/* --- Lookups ---------------------------------------------------------------------------------- */

static void tcp_stop(struct lookup *l)
{
	if (l->tcp)
		tcp_release(l->tcp);
	l->tcp = NULL;
}

static void socket_stop(struct lookup *l)
{
	if (l->bound)
		udp_unbind(&l->socket);
	l->bound = false;
}

static void lookup_free_if_idle(struct lookup *l)
{
	if (l->finished && !l->sending && !l->tcp_sending)
		pool_put(&l->dns->pool, l);
}

static void lookup_finish(struct lookup *l, err e, const struct dns_answer *a)
{
	struct dns *dns = l->dns;
	struct net *net = dns->config.net;
	list_remove(&l->link); /* nobody joins it any more */
	timer_cancel(&net->timers, &l->timer);
	socket_stop(l);
	if (a && a->ttl_s)
		dns_cache_put(&dns->cache, &l->name, l->type, a, net->now_ns);
	for (struct list *link; (link = list_pop_front(&l->waits));) {
		struct dns_wait *w = CONTAINER_OF(link, struct dns_wait, link);
		struct dns_query *q = w->query;
		w->query = NULL;
		query_part_done(dns, q, e, a ? a->address : NULL, a ? a->count : 0);
	}
	tcp_stop(l);
	l->finished = true;
	lookup_free_if_idle(l);
}

static uint32_t servers(const struct dns *dns, struct net_endpoint out[DNS_SERVERS_MAX])
{
	const struct dns_config *c = &dns->config;
	uint32_t n = 0;
	for (uint32_t i = 0; i < c->server_count; i++)
		out[n++] = c->server[i];
	if (c->server_count)
		return n;
	const struct net_ipv4 ip4 = net_ipv4(c->net);
	struct net_ipv6 ip6;
	net_ipv6(c->net, &ip6);
	for (uint32_t i = 0; i < ARRAY_LEN(ip4.dns); i++)
		if (ip4.dns[i])
			out[n++] = (struct net_endpoint){net_address_v4(ip4.dns[i]), PORT};
	for (uint32_t i = 0; i < ip6.dns_count && n < DNS_SERVERS_MAX; i++)
		out[n++] = (struct net_endpoint){ip6.dns[i], PORT};
	return n;
}

static void again_later(struct lookup *l, uint64_t ns)
{
	struct net *net = l->dns->config.net;
	timer_arm(&net->timers, &l->timer, net->now_ns + ns);
}

/* This server cannot say. When none can, that is the answer. */
static void refused(struct lookup *l)
{
	struct net_endpoint server[DNS_SERVERS_MAX];
	if (++l->refusals >= servers(l->dns, server))
		lookup_finish(l, ERR(IO), NULL);
	else
		attempt(l);
}

static void alias_follow(struct lookup *l, const struct dns_answer *a)
{
	if (++l->aliases > ALIASES_MAX) {
		lookup_finish(l, ERR(IO), NULL);
		return;
	}
	l->asked = a->alias;
	l->ttl_s = a->ttl_s < l->ttl_s ? a->ttl_s : l->ttl_s;
	l->attempts = l->refusals = 0;
	attempt(l);
}

/* An answer from the server that was asked, over UDP or TCP. The last thing that is done with the lookup: it may
 * be gone afterwards. */
static void answered(struct lookup *l, struct dns_answer *a)
{
	struct dns *dns = l->dns;
	dns->counters.answers++;
	if (l->edns && (a->rcode == DNS_RCODE_FORMAT || a->rcode == DNS_RCODE_NOT_IMPLEMENTED)) {
		l->edns = false; /* an old server: the same once more without */
		l->attempts--;
		attempt(l);
	} else if (a->rcode != DNS_RCODE_OK && a->rcode != DNS_RCODE_NO_NAME) {
		refused(l);
	} else {
		dns->first_server = l->server_index;
		if (a->has_alias) {
			alias_follow(l, a);
			return;
		}
		a->ttl_s = a->ttl_s < l->ttl_s ? a->ttl_s : l->ttl_s;
		lookup_finish(l, a->count ? OK : ERR(NOT_FOUND), a);
	}
}

/* --- Over TCP (RFC 7766): the same question, each message after its length --------------------- */

static void tcp_sent(struct tcp_send *send, bool delivered)
{
	(void)delivered;
	struct lookup *l = CONTAINER_OF(send, struct lookup, send);
	l->tcp_sending = false;
	question_left(l);
}

/* Takes what has come; false: the message is not whole yet. */
static bool tcp_message_read(struct lookup *l)
{
	struct slice part;
	for (;;) {
		size_t want = 2;
		if (l->message_len >= 2)
			want += load_be16(l->message);
		if (l->message_len == want && want > 2)
			return true;
		if (want > sizeof l->message || !tcp_peek(l->tcp, &part))
			return false;
		part = slice_sub(part, 0, want - l->message_len);
		memcpy(l->message + l->message_len, part.ptr, part.len);
		l->message_len += part.len;
		tcp_consume(l->tcp, part.len);
	}
}

static bool tcp_message_is_hopeless(const struct lookup *l)
{
	return l->message_len >= 2
		&& (load_be16(l->message) == 0 || load_be16(l->message) > TCP_MESSAGE_MAX);
}

static void tcp_event(struct tcp_handler *h, struct tcp_conn *conn, uint32_t events)
{
	struct lookup *l = CONTAINER_OF(h, struct lookup, handler);
	struct dns_answer a;
	ASSERT(l->tcp == conn); /* whose end is ours: tcp_stop */
	if (tcp_message_read(l)) {
		struct slice message = slice_of(l->message + 2, l->message_len - 2);
		if (dns_answer_read(message, slice_of(l->query, l->query_len), &a) && !a.truncated) {
			answered(l, &a);
			return;
		}
		l->dns->counters.rejected++;
		refused(l);
	} else if (tcp_message_is_hopeless(l) || (events & (TCP_PEER_CLOSED | TCP_CLOSED))) {
		refused(l);
	}
}

static void tcp_start(struct lookup *l)
{
	struct dns *dns = l->dns;
	dns->counters.tcp_fallbacks++;
	socket_stop(l);
	if (l->tcp_sending || failed(tcp_connect(&l->tcp, dns->config.net, &l->server))) {
		l->tcp = NULL;
		refused(l);
		return;
	}
	l->handler.event = tcp_event;
	tcp_set_handler(l->tcp, &l->handler);
	store_be16(l->send_length, (uint16_t)l->query_len);
	l->send_segment[0] = slice_of(l->send_length, 2);
	l->send_segment[1] = slice_of(l->query, l->query_len);
	l->send = (struct tcp_send){.segments = l->send_segment, .count = 2, .done = tcp_sent};
	l->message_len = 0;
	l->tcp_sending = !failed(tcp_send(l->tcp, &l->send));
	again_later(l, TCP_TIMEOUT_NS);
}

/* --- Over UDP --------------------------------------------------------------------------------- */

static void udp_received(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	struct lookup *l = CONTAINER_OF(s, struct lookup, socket);
	struct dns *dns = l->dns;
	struct dns_answer a;
	if (from->port != l->server.port || !net_address_equal(&from->address, &l->server.address)
		|| !dns_answer_read(payload, slice_of(l->query, l->query_len), &a)) {
		dns->counters.rejected++; /* and the answer may still come */
		return;
	}
	if (a.truncated)
		tcp_start(l);
	else
		answered(l, &a);
}

static void datagram_left(struct udp_datagram *d);

/* A port of its own for each question. When it cannot be sent it is as if it was lost. */
static void question_send(struct lookup *l)
{
	struct dns *dns = l->dns;
	uint8_t cases[DNS_NAME_MAX / 8 + 1];
	l->send_again = l->sending || l->tcp_sending; /* not under the device's hands */
	if (l->send_again)
		return;
	random_bytes(dns->config.random, cases, sizeof cases);
	l->query_len = dns_query_write(l->query, (uint16_t)random_u64(dns->config.random), &l->asked,
		l->type, l->edns, cases);
	l->socket = (struct udp_socket){.receive = udp_received};
	if (failed(udp_bind(dns->config.net, &l->socket)))
		return;
	l->bound = true;
	l->datagram = (struct udp_datagram){.segment = {slice_of(l->query, l->query_len)}, .count = 1,
		.done = datagram_left};
	l->sending = true;
	if (failed(udp_send(&l->socket, &l->server, &l->datagram)))
		l->sending = false;
	dns->counters.sent += l->sending;
}

/* One of the two ways, and perhaps by both. */
static void question_left(struct lookup *l)
{
	if (l->send_again && !l->sending && !l->finished && !l->tcp)
		question_send(l);
	lookup_free_if_idle(l);
}

static void datagram_left(struct udp_datagram *d)
{
	struct lookup *l = CONTAINER_OF(d, struct lookup, datagram);
	l->sending = false;
	question_left(l);
}

/* The next question to the next server, or the end. */
static void attempt(struct lookup *l)
{
	struct dns *dns = l->dns;
	struct net_endpoint server[DNS_SERVERS_MAX];
	uint32_t count = servers(dns, server);
	socket_stop(l);
	tcp_stop(l);
	if (!count || l->attempts >= ROUNDS * count) {
		dns->counters.timeouts++;
		lookup_finish(l, count ? ERR(TIMEOUT) : ERR(CLOSED), NULL);
		return;
	}
	l->server_index = (l->first + l->attempts) % count;
	l->server = server[l->server_index];
	uint32_t round = l->attempts++ / count;
	dns->counters.retries += l->attempts > 1;
	question_send(l);
	again_later(l, FIRST_TIMEOUT_NS << round);
}

static void lookup_timer(struct timer *t)
{
	struct lookup *l = CONTAINER_OF(t, struct lookup, timer);
	attempt(l);
}

static struct lookup *lookup_find(struct dns *dns, const struct dns_name *name, uint16_t type)
{
	LIST_FOR_EACH(e, &dns->lookups) {
		struct lookup *l = LIST_ENTRY(e, struct lookup, link);
		if (l->type == type && dns_name_equal(&l->name, name))
			return l;
	}
	return NULL;
}

/* NULL: too many are at work. */
static struct lookup *lookup_new(struct dns *dns, const struct dns_name *name, uint16_t type)
{
	struct lookup *l = pool_get(&dns->pool);
	if (!l) {
		dns->counters.lookup_failures++;
		return NULL;
	}
	memset(l, 0, offsetof(struct lookup, message));
	l->dns = dns;
	l->name = l->asked = *name;
	l->type = type;
	l->edns = true;
	l->ttl_s = UINT32_MAX;
	l->first = dns->first_server;
	list_init(&l->waits);
	timer_init(&l->timer, lookup_timer);
	list_push_back(&dns->lookups, &l->link);
	return l;
}

/* --- The API ---------------------------------------------------------------------------------- */

static void ask(struct dns *dns, struct dns_query *q, struct dns_wait *w, const struct dns_name *name,
	uint16_t type)
{
	const struct dns_cache_entry *known =
		dns_cache_get(&dns->cache, name, type, dns->config.net->now_ns);
	if (known) {
		dns->counters.cache_hits++;
		query_part_done(dns, q, known->count ? OK : ERR(NOT_FOUND), known->address, known->count);
		return;
	}
	dns->counters.cache_misses++;
	struct lookup *l = lookup_find(dns, name, type);
	bool new = !l;
	if (l)
		dns->counters.joined++;
	else if (!(l = lookup_new(dns, name, type))) {
		query_part_done(dns, q, ERR(NO_MEMORY), NULL, 0);
		return;
	}
	w->query = q;
	list_push_back(&l->waits, &w->link);
	if (new)
		attempt(l);
}

/* An address as text needs no server; "localhost" has none (RFC 6761, 6.3), and nor have we. */
static bool literal(struct dns_query *q)
{
	struct net_address a;
	struct slice host = q->name;
	if (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	if (slice_eq_nocase(host, SLICE("localhost")) || (slice_ends_with(host, SLICE(".localhost")))) {
		q->result = ERR(NOT_FOUND);
		return true;
	}
	if (!net_address_parse(q->name, &a))
		return false;
	bool fits = q->families & (net_address_is_v4(&a) ? DNS_IP4 : DNS_IP6);
	q->address[0] = a;
	q->count = fits;
	q->result = fits ? OK : ERR(NOT_FOUND);
	return true;
}

err dns_resolve(struct dns *dns, struct dns_query *q)
{
	struct dns_name name;
	uint32_t families = q->families & DNS_ANY;
	q->count = q->waiting = 0;
	q->trouble = OK;
	q->wait[0].query = q->wait[1].query = NULL;
	list_init(&q->wait[0].link);
	list_init(&q->wait[1].link);
	if (!families)
		return ERR(INVALID);
	dns->counters.queries++;
	if (literal(q)) {
		q->done(q);
		return OK;
	}
	if (!dns_name_parse(q->name, &name))
		return ERR(INVALID);
	q->waiting = families == DNS_ANY ? 2 : 1;
	bool both = q->waiting == 2;
	/* With the last part done the query may be gone. */
	if (families & DNS_IP6)
		ask(dns, q, &q->wait[0], &name, DNS_TYPE_AAAA);
	if (both || families == DNS_IP4)
		ask(dns, q, &q->wait[1], &name, DNS_TYPE_A);
	return OK;
}

void dns_cancel(struct dns_query *q)
{
	for (int i = 0; i < 2; i++) {
		list_remove(&q->wait[i].link);
		q->wait[i].query = NULL;
	}
	q->waiting = 0;
}

const struct dns_counters *dns_counters(const struct dns *dns)
{
	return &dns->counters;
}

static struct dns_config with_defaults(const struct dns_config *config)
{
	struct dns_config c = *config;
	c.lookups_max = c.lookups_max ? c.lookups_max : 16;
	c.cache_max = c.cache_max ? c.cache_max : 64;
	for (uint32_t i = 0; i < c.server_count && i < DNS_SERVERS_MAX; i++)
		if (!c.server[i].port)
			c.server[i].port = PORT;
	return c;
}

static size_t aligned(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

size_t dns_memory_size(const struct dns_config *config)
{
	struct dns_config c = with_defaults(config);
	return aligned(sizeof(struct dns)) + aligned(pool_memory_size(sizeof(struct lookup), c.lookups_max))
		+ c.cache_max * sizeof(struct dns_cache_entry);
}

err dns_init(struct dns **out, const struct dns_config *config, void *memory)
{
	struct dns *dns = memory;
	if (config->server_count > DNS_SERVERS_MAX)
		return ERR(INVALID);
	memset(dns, 0, sizeof *dns);
	dns->config = with_defaults(config);
	uint8_t *at = (uint8_t *)memory + aligned(sizeof *dns);
	pool_init(&dns->pool, at, sizeof(struct lookup), dns->config.lookups_max);
	at += aligned(pool_memory_size(sizeof(struct lookup), dns->config.lookups_max));
	dns->cache.entry = (struct dns_cache_entry *)(void *)at;
	dns->cache.count = dns->config.cache_max;
	memset(at, 0, dns->cache.count * sizeof dns->cache.entry[0]);
	dns->cache.key.k0 = random_u64(dns->config.random);
	dns->cache.key.k1 = random_u64(dns->config.random);
	list_init(&dns->lookups);
	*out = dns;
	return OK;
}
