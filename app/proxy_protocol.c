/* The gate, for applications behind proxies that begin each connection with a PROXY header (APP_PROXY_PROTOCOL in
 * ingot.h): between TCP and the server, which sees a connection when it is known whose it is.
 *
 *   accepted --from a trusted address, a place is free--> VISITOR --header whole--> connection_open, and its first bytes
 *      |                                                  |  |  |
 *      |                         malformed, or too late --+  |  +-- closed: gone
 *      +--> RST, counted <-----------------------------------+
 *
 * 1. A visitor has nothing of the server's: a place here, of which there are as many as exchanges, and head_ns of time.
 * 2. What is behind the header stays with TCP.
 * 3. `visitors` is in the order of since_ns, so one timer serves all. */
#include <app/ingot.h>

#include <net/proxy.h>

#include "server.h"

#include <string.h>

struct gate {
	struct tcp_handler handler; /* of connections that have just been accepted */
	struct server *server;
	struct pool places;
	struct list visitors;
	struct timer patience;
	struct trust *trust;
};

struct visitor {
	struct tcp_handler handler;
	struct gate *gate;
	struct list link;
	struct tcp_conn *tcp;
	uint64_t since_ns;
	struct net_proxy header;
};

static struct visitor *first_of(const struct gate *g)
{
	return list_is_empty(&g->visitors) ? NULL : LIST_ENTRY(g->visitors.next, struct visitor, link);
}

static uint64_t deadline_of(const struct visitor *v)
{
	return v->since_ns + v->gate->server->limits.head_ns;
}

static void leave(struct visitor *v)
{
	list_remove(&v->link);
	pool_put(&v->gate->places, v);
}

static void refuse(struct gate *g, struct tcp_conn *tcp)
{
	g->server->stats.refused_proxy++;
	tcp_release(tcp);
}

/* On to the server. */
static void admit(struct visitor *v, uint32_t events)
{
	struct server *s = v->gate->server;
	struct tcp_conn *tcp = v->tcp;
	struct proxied known = {.client = v->header.client.address, .has_client = v->header.has_client,
		.is_encrypted = v->header.is_encrypted};
	leave(v);
	tcp_set_handler(tcp, NULL);
	struct connection *c = connection_open(s, tcp, known.has_client ? &known.client : NULL);
	if (!c) {
		tcp_release(tcp);
		return;
	}
	s->proxied[pool_index(&s->connections, c)] = known;
	connection_event(c, events);
}

static void visitor_event(struct tcp_handler *handler, struct tcp_conn *tcp, uint32_t events)
{
	struct visitor *v = CONTAINER_OF(handler, struct visitor, handler);
	struct gate *g = v->gate;
	enum net_proxy_result result = NET_PROXY_MORE;
	for (struct slice bytes; !(events & TCP_CLOSED) && result == NET_PROXY_MORE && tcp_peek(tcp, &bytes);) {
		size_t used;
		result = net_proxy_input(&v->header, bytes, &used);
		tcp_consume(tcp, used);
	}
	if (result == NET_PROXY_DONE) {
		admit(v, events);
	} else if (result == NET_PROXY_FAILED) {
		leave(v);
		refuse(g, tcp);
	} else if (events & (TCP_CLOSED | TCP_PEER_CLOSED)) { /* it was only to see whether somebody is there */
		leave(v);
		tcp_release(tcp);
	}
}

static void patience_until(struct gate *g, uint64_t at)
{
	if (!g->patience.armed || g->patience.at_ns > at)
		timer_arm(&g->server->config.loop->timers, &g->patience, at);
}

static void patience_ends(struct timer *t)
{
	struct gate *g = CONTAINER_OF(t, struct gate, patience);
	struct visitor *v;
	while ((v = first_of(g)) && deadline_of(v) <= g->server->config.loop->now_ns) {
		struct tcp_conn *tcp = v->tcp;
		leave(v);
		refuse(g, tcp);
	}
	if (v)
		patience_until(g, deadline_of(v));
}

static void accepted(struct tcp_handler *handler, struct tcp_conn *tcp, uint32_t events)
{
	struct gate *g = CONTAINER_OF(handler, struct gate, handler);
	struct net_address peer = tcp_peer(tcp).address;
	struct visitor *v = trust_has(g->trust, &peer) ? pool_get(&g->places) : NULL;
	if (!v) {
		refuse(g, tcp);
		return;
	}
	*v = (struct visitor){.handler = {visitor_event}, .gate = g, .tcp = tcp,
		.since_ns = g->server->config.loop->now_ns};
	net_proxy_init(&v->header);
	list_push_back(&g->visitors, &v->link);
	patience_until(g, deadline_of(v));
	tcp_set_handler(tcp, &v->handler);
	visitor_event(&v->handler, tcp, events);
}

/* --- The service ------------------------------------------------------------------------------ */

static size_t round_up(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static const char *const *prefixes_of(const struct server_config *config)
{
	return (*config->manifest->proxy_protocol)->prefixes;
}

static size_t trust_size(const struct server_config *config)
{
	return round_up(sizeof(struct trust) + trust_count(config, prefixes_of(config)) * sizeof(struct net_prefix));
}

static size_t gate_memory_size(const struct server_config *config)
{
	return round_up(sizeof(struct gate)) + trust_size(config) +
		pool_memory_size(sizeof(struct visitor), config->exchanges) + config->connections_max * sizeof(struct proxied);
}

static err gate_start(struct server *s, void *memory)
{
	struct gate *g = memory;
	uint8_t *at = (uint8_t *)memory + round_up(sizeof *g);
	*g = (struct gate){.handler = {accepted}, .server = s, .trust = (struct trust *)(void *)at};
	at += trust_size(&s->config);
	TRY(trust_read(g->trust, &s->config, prefixes_of(&s->config)));
	if (!g->trust->count) {
		log_write(s->config.log, LOG_ERROR, "http", "APP_PROXY_PROTOCOL names no proxy, so nobody could be served: "
			"give it prefixes, or proxies=10.0.0.0/8 at the boot");
		return ERR(INVALID);
	}
	pool_init(&g->places, at, sizeof(struct visitor), s->config.exchanges);
	at += pool_memory_size(sizeof(struct visitor), s->config.exchanges);
	list_init(&g->visitors);
	timer_init(&g->patience, patience_ends);
	s->proxied = (struct proxied *)(void *)at;
	s->gate = &g->handler;
	return OK;
}

const struct app_service app_service_proxy_protocol = {.memory_size = gate_memory_size, .start = gate_start};
