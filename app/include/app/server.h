/* The HTTP server as boot/ composes it: connections of the TCP/IP engine on one side, the
 * application's routes, pages and assets on the other. */
#ifndef APP_SERVER_H
#define APP_SERVER_H

#include <app/manifest.h>
#include <base/err.h>
#include <base/random.h>
#include <core/log.h>
#include <core/loop.h>
#include <net/net.h>

struct server;
struct database;

struct server_config {
	struct loop *loop;
	struct log *log;
	struct net *net;
	struct random *random;   /* seeded */
	struct database *database; /* NULL: the application has none */
	const struct app_manifest *manifest;
	uint16_t port;
	uint32_t connections_max; /* no more than the engine's */
	uint32_t exchanges;       /* requests at work at a time; connections with others wait */
	uint64_t idle_ns;         /* a connection without a request is kept so long; 0: SERVER_IDLE_NS */
	uint32_t blocks;          /* of SERVER_BLOCK_SIZE bytes, for requests that need more memory */
	uint32_t per_address_max; /* connections of one client: an IPv4 address, a /64 of IPv6; 0: as many as there are.
	                             APP_LIMITS comes first */
	struct slice command_line; /* of the boot: words for parts of the server that only some applications have */
};

/* Long enough for a proxy that keeps its connections for a minute. When room is needed for others, those that
 * are idle for longest go earlier. */
#define SERVER_IDLE_NS UINT64_C(75000000000)
/* A request has its exchange's own kilobyte first, then takes blocks. */
#define SERVER_BLOCK_SIZE 8448u
/* A body over this many bytes is refused with 413. */
#define SERVER_BODY_MAX (64u << 10)

struct server_stats {
	uint64_t connections, requests, responses, errors;
	uint64_t bytes_sent;    /* of responses */
	uint64_t bytes_copied;  /* of these, by the CPU */
	uint64_t shed;          /* answered with 503: out of memory */
	uint64_t refused_address; /* connections of a client that had per_address_max */
	uint64_t refused_proxy; /* connections that did not come from a proxy, or began without what it has to say */
	uint64_t access_log_dropped; /* lines that found no room */
	uint64_t exchange_waits; /* requests that found no exchange free */
	uint32_t connections_open;
	uint32_t connections_queued; /* of these, that wait for an exchange */
	uint32_t exchanges_open;     /* also those whose connection has ended and whose handler has not */
	uint32_t requests_waiting;   /* for a fiber, or for memory */
};

API_BEGIN

/* Bytes of memory, aligned to 16. */
size_t server_memory_size(const struct server_config *config);
/* Bytes of it for each idle connection. */
size_t server_connection_size(void);
/* Checks the routes, then listens. ERR_INVALID: a route is malformed or occurs twice (logged with its
 * pattern). The rest as tcp_listen. */
MUST_USE err server_start(const struct server_config *config, void *memory, struct server **out);
/* Takes no new connections, finishes the requests that have begun and closes the idle connections. */
void server_drain(struct server *server);
/* True once no connection is left. */
bool server_is_drained(const struct server *server);
/* True while no request is being handled or waits for its changes to be durable: nothing uses the
 * database. Connections may be left, of peers that do not answer any more. */
bool server_is_at_rest(const struct server *server);
struct server_stats server_stats(const struct server *server);

API_END

#endif
