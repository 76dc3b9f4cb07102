/* The server's parts, as they see each other: private to app/.
 *
 *   server.c   accepts connections and hands them their events
 *   exchange.c one connection: input -> request -> handler -> response -> next request
 *   request.c  what a handler asks;  reply.c  what it answers;  form.c  forms and CSRF
 *   asset.c    static files;  database.c  SQL
 */
#ifndef APP_SERVER_PRIVATE_H
#define APP_SERVER_PRIVATE_H

#include <app/server.h>
#include <http/conn.h>
#include <http/form.h>
#include <http/response.h>
#include <http/route.h>
#include <page/render.h>

/* Each connection's own memory for a request; most need no more. */
#define REQUEST_MEMORY 1024
#define REQUEST_BLOCKS_MAX 64
#define REQUEST_FIELDS_MAX 64 /* of a form or a query */
#define HEAD_BYTES_MAX 8192

struct connection;

enum reply_kind {
	REPLY_NONE,
	REPLY_BYTES,
	REPLY_PAGE,
	REPLY_ASSET,
	REPLY_ERROR,
};

/* A header field that a handler added. */
struct reply_field {
	struct reply_field *next;
	struct slice name, value;
};

struct request {
	struct connection *connection;
	struct http_match match;
	struct slice body;
	struct http_form query, form;
	bool query_parsed, form_open;

	enum reply_kind reply;
	uint16_t status;
	struct slice type_fields; /* whole header lines, static or in the arena */
	struct slice bytes;       /* REPLY_BYTES, and the sentence of REPLY_ERROR */
	struct page_output page;
	const struct page_asset *asset;
	struct reply_field *fields;
	bool broken; /* something failed that the handler need not know of: the status stands */
	uint64_t bytes_copied; /* for this response, besides what its head counts */

	/* Set by database.c, and only where SQL is used. Called when the handler has returned: true when
	 * the response has to wait, and request_release will be called then. */
	bool (*finish)(struct request *);
	void *database; /* database.c's */
};

struct connection {
	struct list open_link; /* of server->open */
	struct list link;      /* of server->waiting */
	struct server *server;
	struct tcp_conn *tcp;
	struct http_conn http;
	struct arena arena;
	struct timer deadline;
	struct request request;
	struct tcp_send *sends; /* of the current response */
	uint32_t sends_left;
	struct tcp_send send_head, send_continue;
	size_t unsent;      /* of the response, when its progress was last looked at */
	size_t held;        /* received bytes that http has taken, but that are not given back yet */
	uint8_t *head_buffer;
	uint8_t *body;      /* gathered so far: in the arena, or of server->bodies */
	size_t body_len, body_capacity;
	bool continue_busy; /* send_continue is the engine's */
	bool head_known;    /* http.request is that of the response to be made */
	bool in_use;        /* a request is being handled: its handler runs, or its response waits */
	bool peer_closed, peer_closed_told;
	bool gone;          /* the TCP connection has ended, and its handle was released */
	bool responding;    /* the sends are on their way */
	bool closing;       /* nothing more is sent or wanted */
	bool waiting;       /* for a fiber, or for memory */
	bool in_flight;     /* counted in server->in_flight */
	_Alignas(16) uint8_t memory[REQUEST_MEMORY];
};

struct server {
	struct server_config config;
	struct loop_client client;
	struct http_limits limits;
	struct http_date_cache dates;
	struct pool connections, blocks, bodies;
	struct list open;    /* connections */
	struct list waiting; /* connections whose request waits for a fiber, or for memory; oldest first */
	uint32_t handlers;   /* requests whose handler runs, or whose response waits for the disk */
	uint32_t in_flight;  /* ... and those whose response is on its way */
	struct http_route *routes;
	uint32_t route_count;
	uint64_t next_look_ns; /* for a slow connection, when all are in use */
	bool draining;
	struct server_stats stats;
};

/* exchange.c */
void connection_open(struct server *server, struct tcp_conn *tcp);
void connection_event(struct connection *c, uint32_t events);
void connection_shutdown(struct connection *c);
/* When all connections are in use, ends the one that has not got on for longest, if one is slow. */
void connections_make_room(struct server *server);
/* Gives requests that wait for a fiber, or for memory, to their handlers. */
void connections_start_waiting(struct server *server);
/* Gives back what the request has taken beyond the connection's own kilobyte. Its views into the head
 * expire, unless that lies in the device's buffer. */
void connection_memory_reset(struct connection *c);
/* The response of a request whose `finish` had returned true may leave; `ok` false: its changes could
 * not be made durable. */
void request_release(struct request *req, bool ok);

/* reply.c */
void request_init(struct request *req, struct connection *c);
/* Answers with the error page and marks the request as broken: what the handler says after is void. */
void request_fail(struct request *req, uint16_t status);
/* Builds the response that the request has come to into the connection's sends; when that fails, an error
 * page in the connection's own kilobyte, of which nothing else is used then. False: not even that. */
bool reply_build(struct request *req, bool keep_alive);

/* asset.c. A directory with an index, asked for without its final slash, gets a redirect: true then. */
bool asset_directory_reply(struct request *req);
/* What answers a GET of this asset: itself, a part of it, 304, 412 or 416. */
void asset_reply(struct request *req, const struct page_asset *asset);

/* Wall-clock seconds. */
int64_t server_time(struct server *server);

#endif
