/* A connection, for as long as TCP has it. It is small; what a request needs is an exchange (exchange.c), from
 * a pool of its own.
 *
 *    accepted           first bytes, an exchange is free
 *       |           +------------------------------------------+
 *       v           |                                          v
 *     IDLE ---------+--none is free--> QUEUED --one is free--> BUSY
 *     | |  ^                            | ^                    | |
 *     | |  +-------- answered, nothing more to read -----------+ |
 *     | |                               | +-- answered, others --+
 *     | |                               |     wait, more to read |
 *     | +--idle for too long, drain, peer's close--> ENDING <----+ last response, or an error
 *     |                                 |              |
 *     +--room is needed-----------------+--------------+--> gone (connection_end)
 *                          waited for too long, TCP_CLOSED
 *
 * 1. A connection that is not BUSY has no exchange, and none of the engine's buffers unless it is QUEUED.
 * 2. `queued` is served first come, first served, also after a connection's own previous request: who
 *    pipelines without end does not shut out the others.
 * 3. `idle` and `queued` are in the order of since_ns, so one timer for all looks at their first ones only,
 *    and neither costs a timer for each connection.
 * 4. What is queued has its bytes in the engine; when these are many, the window closes.
 * 5. A client (an IPv4 address, a /64 of IPv6) has per_address_max connections at most, in all states. They are counted
 *    under a keyed hash: two clients that share a counter share their limit, and nobody knows who that is.
 * 6. `ending` is in that order too. TCP alone would let a peer that never closes, or never opens its window for our
 *    FIN, keep its connection for ever, if only it says a word now and then. */
#include "server.h"

#include <string.h>
#include <base/assert.h>

#define SLOW_NS UINT64_C(500000000) /* without a word: may be ended when there is no room for others */
#define LOOK_NS (SLOW_NS / 10)      /* for a slow exchange, while others wait for it */
#define ENDING_NS UINT64_C(30000000000) /* for the peer's FIN after ours */
enum { ENDED_IN_A_ROUND = 256 };    /* others get their turn in between */

static uint64_t now_of(const struct server *s)
{
	return s->config.loop->now_ns;
}

static struct connection *first_of(const struct list *l)
{
	return list_is_empty(l) ? NULL : LIST_ENTRY(l->next, struct connection, link);
}

/* --- Time ------------------------------------------------------------------------------------- */

static void patience_until(struct server *s, uint64_t at)
{
	if (!s->patience.armed || s->patience.at_ns > at)
		timer_arm(&s->config.loop->timers, &s->patience, at);
}

/* Looks at those who are there for longest. */
static void patience_ends(struct timer *t)
{
	struct server *s = CONTAINER_OF(t, struct server, patience);
	uint64_t now = now_of(s);
	struct connection *c;
	uint32_t left = ENDED_IN_A_ROUND;
	for (; left && (c = first_of(&s->queued)) && c->since_ns + s->limits.head_ns <= now; left--) {
		connection_refuse(c);
	}
	for (; left && (c = first_of(&s->idle)) && c->since_ns + s->limits.idle_ns <= now; left--)
		connection_close(c);
	for (; left && (c = first_of(&s->ending)) && c->since_ns + ENDING_NS <= now; left--)
		connection_end(c);
	if (!list_is_empty(&s->queued))
		patience_until(s, now + LOOK_NS);
	if ((c = first_of(&s->ending)))
		patience_until(s, left ? c->since_ns + ENDING_NS : now);
	if ((c = first_of(&s->idle)))
		patience_until(s, left ? c->since_ns + s->limits.idle_ns : now);
}

void connections_init(struct server *s)
{
	list_init(&s->idle);
	list_init(&s->queued);
	list_init(&s->ending);
	timer_init(&s->patience, patience_ends);
	memset(s->addresses, 0, ((size_t)s->config.connections_max + 1) * sizeof *s->addresses);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void idle_begin(struct connection *c)
{
	struct server *s = c->server;
	c->state = CONNECTION_IDLE;
	c->since_ns = now_of(s);
	list_push_back(&s->idle, &c->link);
	patience_until(s, c->since_ns + s->limits.idle_ns);
}

static void queue_join(struct connection *c)
{
	struct server *s = c->server;
	c->state = CONNECTION_QUEUED;
	s->stats.exchange_waits++;
	s->stats.connections_queued++;
	list_push_back(&s->queued, &c->link);
	patience_until(s, now_of(s) + LOOK_NS);
}

static void list_leave(struct connection *c)
{
	c->server->stats.connections_queued -= c->state == CONNECTION_QUEUED;
	list_remove(&c->link);
}

struct connection *connection_open(struct server *s, struct tcp_conn *tcp, const struct net_address *client)
{
	uint32_t number = connection_address(s, client);
	if (number && s->addresses[number] >= s->config.per_address_max) {
		s->stats.refused_address++;
		return NULL;
	}
	struct connection *c = s->draining ? NULL : pool_get(&s->connections);
	if (!c)
		return NULL;
	*c = (struct connection){.server = s, .tcp = tcp, .counted = number};
	s->addresses[number]++;
	idle_begin(c);
	tcp_set_cookie(tcp, c);
	s->stats.connections++;
	return c;
}

void connection_end(struct connection *c)
{
	struct server *s = c->server;
	struct tcp_conn *tcp = c->tcp;
	list_leave(c);
	tcp_release(tcp); /* unfinished sends are done in there, or when the device is done with them */
	if (c->exchange)
		exchange_abandon(c->exchange);
	c->tcp = NULL;
	s->addresses[c->counted]--;
	pool_put(&s->connections, c);
}

void connection_close(struct connection *c)
{
	list_leave(c);
	c->state = CONNECTION_ENDING;
	c->since_ns = now_of(c->server);
	list_push_back(&c->server->ending, &c->link);
	patience_until(c->server, c->since_ns + ENDING_NS);
	tcp_close(c->tcp);
	tcp_discard_input(c->tcp);
	struct exchange *x = c->exchange;
	c->exchange = NULL;
	if (x)
		exchange_abandon(x);
}

/* Its bytes can be read: by an exchange, now or in its turn. */
static void request_begin(struct connection *c)
{
	struct server *s = c->server;
	c->since_ns = now_of(s);
	if (list_is_empty(&s->queued) && exchange_take(c)) {
		c->state = CONNECTION_BUSY;
		exchange_read(c->exchange);
	} else {
		queue_join(c);
	}
}

void connection_rest(struct connection *c)
{
	if (tcp_readable(c->tcp))
		request_begin(c);
	else if (c->peer_closed || c->server->draining)
		connection_close(c);
	else
		idle_begin(c);
}

void connection_event(struct connection *c, uint32_t events)
{
	if (events & TCP_CLOSED) {
		connection_end(c);
		return;
	}
	c->peer_closed |= (events & TCP_PEER_CLOSED) != 0;
	if (c->exchange) {
		exchange_event(c->exchange, events);
	} else if (c->state == CONNECTION_IDLE) {
		if (tcp_readable(c->tcp)) {
			list_remove(&c->link);
			request_begin(c);
		} else if (c->peer_closed) {
			connection_close(c);
		}
	}
}

/* --- All of them ------------------------------------------------------------------------------ */

void connections_start_queued(struct server *s)
{
	struct connection *c;
	while ((c = first_of(&s->queued))) {
		if (!exchange_take(c) && !(exchange_shed(s, false) && exchange_take(c)))
			return;
		list_leave(c);
		c->state = CONNECTION_BUSY;
		exchange_read(c->exchange);
	}
}

/* One connection is kept free, since the engine refuses the next client before it is seen here. One that we have
 * closed, or an idle one, loses nothing when it ends; else it has to be one that dribbles its request, or does
 * not read. */
void connections_make_room(struct server *s)
{
	if (s->connections.used < s->connections.capacity)
		return;
	struct connection *idle = first_of(&s->idle), *ending = first_of(&s->ending);
	if (ending && ending->since_ns + SLOW_NS <= now_of(s)) {
		connection_end(ending);
	} else if (idle && idle->since_ns + SLOW_NS <= now_of(s)) {
		s->stats.shed++;
		connection_end(idle);
	} else {
		exchange_shed(s, false);
	}
}

void connections_drain(struct server *s)
{
	for (struct connection *c; (c = first_of(&s->idle));)
		connection_close(c);
	for (uint32_t i = 0; i < s->exchanges.touched; i++)
		exchange_shutdown(pool_at(&s->exchanges, i));
}
