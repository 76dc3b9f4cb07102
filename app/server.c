/* Accepts connections, hands them the engine's events, and gives waiting requests their fibers. */
#include <app/server.h>

#include "server.h"

#include <string.h>
#include <base/assert.h>

#define NS_PER_S INT64_C(1000000000)

enum { BODIES_MIN = 2, BLOCKS_PER_BODY = 16 };

static uint32_t body_count(const struct server_config *config)
{
	uint32_t n = config->blocks / BLOCKS_PER_BODY;
	return n < BODIES_MIN ? BODIES_MIN : n;
}

static size_t round_up(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static size_t routes_size(const struct server_config *config)
{
	return round_up(*config->manifest->route_count * sizeof(struct http_route));
}

enum { SERVICES_BESIDES = 3 };

/* The routes' services, then those that stand beside the routes; NULL: none. */
static const struct app_service *service_at(const struct app_manifest *m, size_t i)
{
	if (i < *m->route_count)
		return m->routes[i].service;
	if (i == *m->route_count)
		return m->access_log ? *m->access_log : NULL;
	const struct app_proxy *const *proxy = i == *m->route_count + 1 ? m->behind_proxy : m->proxy_protocol;
	return proxy ? (*proxy)->service : NULL;
}

/* Their memory, and their start when there is a server. */
static err services_each(const struct server_config *config, struct server *s, uint8_t *memory, size_t *size)
{
	const struct app_manifest *m = config->manifest;
	*size = 0;
	for (size_t i = 0; i < *m->route_count + SERVICES_BESIDES; i++) {
		const struct app_service *service = service_at(m, i);
		if (!service || !service->memory_size)
			continue;
		if (s)
			TRY(service->start(s, memory + *size));
		*size += round_up(service->memory_size(config));
	}
	return OK;
}

static size_t addresses_size(const struct server_config *config)
{
	return round_up(((size_t)config->connections_max + 1) * sizeof(uint32_t));
}

static uint32_t refusal_count(const struct server_config *config)
{
	return config->exchanges / 4 + 8;
}

size_t server_memory_size(const struct server_config *config)
{
	size_t services;
	if (failed(services_each(config, NULL, NULL, &services)))
		return SIZE_MAX; /* only starts fail */
	return round_up(sizeof(struct server)) + routes_size(config) + addresses_size(config) + services
		+ pool_memory_size(sizeof(struct refusal), refusal_count(config))
		+ pool_memory_size(sizeof(struct connection), config->connections_max)
		+ pool_memory_size(sizeof(struct exchange), config->exchanges)
		+ pool_memory_size(SERVER_BLOCK_SIZE, config->blocks)
		+ pool_memory_size(SERVER_BODY_MAX, body_count(config));
}

size_t server_connection_size(void)
{
	return pool_memory_size(sizeof(struct connection), 1);
}

static uint8_t *pool_place(struct pool *p, uint8_t *memory, size_t item_size, uint32_t count)
{
	pool_init(p, memory, item_size, count);
	return memory + pool_memory_size(item_size, count);
}

static bool method_find(const char *name, enum http_method *out)
{
	for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++) {
		if (!slice_eq(http_method_name((enum http_method)m), slice_from_cstr(name)))
			continue;
		*out = (enum http_method)m;
		return true;
	}
	return false;
}

static err routes_set(struct server *s)
{
	const struct app_manifest *m = s->config.manifest;
	uint32_t bad = 0;
	s->route_count = (uint32_t)*m->route_count;
	for (uint32_t i = 0; i < s->route_count; i++) {
		s->routes[i].pattern = slice_from_cstr(m->routes[i].pattern);
		if (!method_find(m->routes[i].method, &s->routes[i].method)) {
			log_write(s->config.log, LOG_ERROR, "http", "route %s: there is no method %s",
				m->routes[i].pattern, m->routes[i].method);
			return ERR(INVALID);
		}
	}
	err e = http_routes_check(s->routes, s->route_count, &bad);
	if (failed(e))
		log_write(s->config.log, LOG_ERROR, "http",
			"route %s %s is malformed, or occurs twice",
			m->routes[bad].method, m->routes[bad].pattern);
	return e;
}

/* --- What connections seldom need, small here ------------------------------------------------- */

static void refusal_done(struct tcp_send *send, bool delivered)
{
	struct refusal *r = CONTAINER_OF(send, struct refusal, send);
	(void)delivered;
	pool_put(&r->server->refusals, r);
}

/* When too many are told so at a time, without a word. */
void connection_refuse(struct connection *c)
{
	struct server *s = c->server;
	struct refusal *r = pool_get(&s->refusals);
	s->stats.shed++;
	if (!r) {
		connection_end(c);
		return;
	}
	r->text = SLICE("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	r->send = (struct tcp_send){.segments = &r->text, .count = 1, .done = refusal_done};
	r->server = s;
	if (failed(tcp_send(c->tcp, &r->send)))
		pool_put(&s->refusals, r);
	connection_close(c);
}

uint32_t connection_address(const struct server *s, const struct net_address *client)
{
	if (!client || !s->config.per_address_max || (s->is_proxy && s->is_proxy(s, client)))
		return 0;
	bool is_ip4 = net_address_is_v4(client);
	uint64_t hash = hash_sip13(s->address_key, slice_of(client->octet + (is_ip4 ? 12 : 0), is_ip4 ? 4 : 8));
	return 1 + (uint32_t)((hash >> 32) * s->config.connections_max >> 32);
}

/* --- The loop --------------------------------------------------------------------------------- */

static bool server_poll(struct loop_client *client)
{
	struct server *s = CONTAINER_OF(client, struct server, client);
	uint32_t events;
	bool worked = false;
	for (struct tcp_conn *tcp; (tcp = net_event_next(s->config.net, &events)); worked = true) {
		if (events & TCP_ACCEPTED) {
			struct net_address peer = tcp_peer(tcp).address;
			(void)connection_open(s, tcp, &peer);
		}
		struct connection *c = tcp_cookie(tcp);
		if (c)
			connection_event(c, events);
		else
			tcp_release(tcp);
	}
	connections_make_room(s);
	connections_start_queued(s);
	handlers_start_waiting(s);
	return worked;
}

void observers_tell(const struct exchange *x, uint16_t status)
{
	for (struct observer *o = x->server->observers; o; o = o->next)
		o->answered(o, x, status);
}

static void limits_set(struct server *s)
{
	const struct app_limits *limits = s->config.manifest->limits;
	http_limits_default(&s->limits);
	s->limits.head_bytes_max = HEAD_BYTES_MAX;
	s->limits.body_bytes_max = SERVER_BODY_MAX;
	s->limits.idle_ns = SERVER_IDLE_NS;
	if (limits)
		(void)limits->apply(s, NULL, limits);
	if (s->config.idle_ns)
		s->limits.idle_ns = s->config.idle_ns;
}

err server_start(const struct server_config *config, void *memory, struct server **out)
{
	struct server *s = memory;
	uint8_t *at = (uint8_t *)memory + round_up(sizeof *s);
	size_t services;
	*s = (struct server){.config = *config, .client = {.poll = server_poll}};
	s->routes = (struct http_route *)(void *)at;
	at += routes_size(config);
	at = pool_place(&s->connections, at, sizeof(struct connection), config->connections_max);
	at = pool_place(&s->exchanges, at, sizeof(struct exchange), config->exchanges);
	at = pool_place(&s->blocks, at, SERVER_BLOCK_SIZE, config->blocks);
	at = pool_place(&s->bodies, at, SERVER_BODY_MAX, body_count(config));
	at = pool_place(&s->refusals, at, sizeof(struct refusal), refusal_count(config));
	s->addresses = (uint32_t *)(void *)at;
	if (!config->memory_is_zero)
		memset(at, 0, addresses_size(config));
	at += addresses_size(config);
	random_bytes(config->random, &s->address_key, sizeof s->address_key);
	connections_init(s);
	list_init(&s->waiting);
	limits_set(s);
	TRY(routes_set(s));
	TRY(services_each(config, s, at, &services));
	TRY(tcp_listen_for(config->net, config->port, config->connections_max, s->gate));
	loop_add(config->loop, &s->client);
	*out = s;
	return OK;
}

void server_drain(struct server *s)
{
	if (s->draining)
		return;
	s->draining = true;
	tcp_unlisten(s->config.net, s->config.port);
	connections_drain(s);
}

bool server_is_drained(const struct server *s)
{
	return s->connections.used == 0 && s->exchanges.used == 0;
}

bool server_is_at_rest(const struct server *s)
{
	for (uint32_t i = 0; i < s->exchanges.touched; i++)
		if (((const struct exchange *)pool_at(&s->exchanges, i))->in_use)
			return false;
	return true;
}

struct server_stats server_stats(const struct server *s)
{
	struct server_stats stats = s->stats;
	stats.connections_open = s->connections.used;
	stats.exchanges_open = s->exchanges.used;
	return stats;
}

COLD void server_time_read(struct server *s)
{
	struct platform *p = s->config.loop->platform;
	int64_t wall_ns = p->wall_ns(p), second = wall_ns / NS_PER_S;
	s->second = second;
	/* The loop's clock stands since the round began: so this comes a little too early, which does no harm. */
	s->second_ends_ns = s->config.loop->now_ns + (uint64_t)(NS_PER_S - wall_ns % NS_PER_S);
	(void)http_date_line(&s->dates, second);
}
