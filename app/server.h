/* The server's parts, as they see each other: private to app/.
 *
 *   server.c     hands connections the engine's events
 *   connection.c a connection for as long as TCP has it: idle, waiting for an exchange, at work
 *   exchange.c   what a request needs while it is at work: input -> request -> response
 *   handler.c    routes, and the fibers on which handlers run
 *   request.c  what a handler asks;  reply.c  what it answers;  form.c  forms and CSRF
 *   stream.c   answers that are made piece by piece;  event.c  server-sent events on top of that
 *   json.c     answers in JSON (json_real.c, json_rows.c);  etag.c  answers that a client has already
 *   upload.c   bodies that are read piece by piece;  part.c  multipart forms on top of that
 *   misuse.c   calls that an application should not have made;  error_page.c  its pages for errors
 *   health.c, metrics.c, access_log.c  for who operates the machine
 *   proxy.c, proxy_protocol.c  who the client is, behind a proxy;  limits.c  deadlines of routes
 *   asset.c    static files (asset_coding.c, asset_directory.c, asset_ranges.c);  database.c  SQL
 *
 * What streams is reached through pointers only (exchange->stream, app_route.body): an application that does
 * not stream has none of it in its image.
 */
#ifndef APP_SERVER_PRIVATE_H
#define APP_SERVER_PRIVATE_H

#include <app/server.h>
#include <http/conditional.h>
#include <http/conn.h>
#include <http/form.h>
#include <http/response.h>
#include <http/route.h>
#include <page/render.h>
#include <base/hash.h>

/* Each exchange's own memory for a request; most need no more. */
#define REQUEST_MEMORY 1024
#define REQUEST_BLOCKS_MAX 64
#define REQUEST_FIELDS_MAX 64 /* of a form or a query */
#define HEAD_BYTES_MAX 8192

struct exchange;
struct request_hold;

/* Who is told of each answer when its last byte has been handed to TCP, or when it has turned out that there will be
 * none. Then the request's memory, its head and its response are still there; x->tcp may be NULL. */
struct observer {
	struct observer *next;
	void (*answered)(struct observer *, const struct exchange *x, uint16_t status);
};
/* The status of a request whose client has left before its answer. */
#define STATUS_CLIENT_GONE 499

/* What Ingot offers to whoever operates the machine, in the routes of applications that want it. */
struct app_service {
	size_t (*memory_size)(const struct server_config *config); /* NULL: it has none, and no start */
	err (*start)(struct server *s, void *memory); /* the server does not start without it; logs why */
	void (*answer)(struct request *req); /* at once, without a fiber; NULL: the route's handler does it */
};

/* What a request was for. */
enum request_target {
	TARGET_NONE, /* nothing, or that is not known */
	TARGET_FILE,
	TARGET_ROUTE, /* request.match.index */
};

enum reply_kind {
	REPLY_NONE,
	REPLY_BYTES,
	REPLY_PAGE,
	REPLY_ASSET,
	REPLY_ERROR,
	REPLY_STREAM,
};

/* A header field that a handler added. */
struct reply_field {
	struct reply_field *next;
	struct slice name, value;
};

struct request {
	struct exchange *exchange;
	struct slice body;
	struct http_form query, form;
	bool query_parsed, form_open;
	bool body_left; /* to the handler, which reads it piece by piece */
	uint8_t target; /* enum request_target */
	bool page_is_error;  /* the answer is an error, and its page is in `page` */
	struct form_parts *parts; /* part.c's */
	const char *fields_closed; /* why a header field comes too late, as a sentence's end; NULL: it does not */

	enum reply_kind reply;
	uint16_t status;
	struct slice type_fields; /* whole header lines, static or in the arena */
	struct slice bytes;       /* REPLY_BYTES, and the sentence of REPLY_ERROR */
	/* From here on request_init clears only what it names. */
	struct page_output page;
	struct http_match match;
	struct reply_field *fields;
	bool broken; /* something failed that the handler need not know of: the status stands */
	bool head_lost; /* the request's head is not there any more: its memory was needed */
	uint64_t bytes_copied; /* for this response, besides what its head counts */
	uint64_t bytes_body;   /* that were sent as its body */

	const struct request_hold *hold; /* set by database.c where SQL is used; else NULL */
	void *database; /* database.c's */
};

/* What an answer waits for. */
struct request_hold {
	/* The handler has returned: true when the response has to wait, and request_release will be called then. */
	bool (*finish)(struct request *);
	/* It goes on, and a part of its answer is to leave: parks until what that may say is durable. False: it
	 * never will be, and the request has failed. */
	bool (*settle)(struct request *);
	/* It is about to wait for its client: gives back what it does not need meanwhile. True: it keeps something, */
	bool (*park)(struct request *);
	/* It has waited for its client: what it does next has its time from now on. */
	void (*renew)(struct request *);
	/* for which others wait. */
	bool (*is_awaited)(struct request *);
};

struct stream_kind;

/* What a handler does with its client piece by piece, while it runs: see stream.c and upload.c, of which each has
 * one at the start of its own structure, in the request's memory. */
struct stream {
	const struct stream_kind *kind;
	bool waits;             /* its handler, for the client */
	uint64_t wait_begun_ns; /* that wait */
	uint64_t waited_ns;     /* before, since the client got on */
	uint64_t marked;        /* bytes that had passed then */
};

struct stream_kind {
	/* The loop has news for the handler, which may be parked: bytes, the connection's end (then tcp is NULL), a
	 * drain. True: it reads, and answers what HTTP refuses. */
	bool (*event)(struct exchange *);
	/* Handling has ended, in place of exchange_respond; also when the connection has ended before. */
	void (*finish)(struct exchange *);
};

enum connection_state {
	CONNECTION_IDLE,   /* in server->idle */
	CONNECTION_QUEUED, /* in server->queued: bytes of a request are there, and no exchange is free */
	CONNECTION_BUSY,   /* has an exchange */
	CONNECTION_ENDING, /* we have closed it, in server->ending; TCP_CLOSED will follow */
};

/* Who is at the other end, as far as it is known and believed. */
struct client_view {
	struct net_address address;
	bool is_https;
};

/* What a proxy has said before a connection's first byte. */
struct proxied {
	struct net_address client;
	bool has_client, is_encrypted;
};

/* All that the server keeps of a connection on which nobody asks for anything. */
struct connection {
	struct list link;
	struct server *server;
	struct tcp_conn *tcp;
	struct exchange *exchange; /* NULL unless BUSY */
	uint64_t since_ns;  /* IDLE, ENDING: when that began. QUEUED: when the first byte was seen */
	uint32_t requests;  /* answered */
	uint32_t counted;   /* in server->addresses[] of that number; 0: nowhere */
	uint8_t state;      /* enum connection_state */
	bool peer_closed;
};

/* Members are as they were left while the exchange lies in the pool: all that takes it relies on. */
struct exchange {
	void *pool_link;               /* the pool's */
	struct connection *connection; /* NULL, as is tcp: it has ended, or there is none */
	struct tcp_conn *tcp;
	struct server *server;
	struct list link; /* of server->waiting */
	struct http_conn http;
	struct arena arena;
	struct timer deadline;
	struct request request;
	struct stream *stream;  /* of the handler that runs; NULL: it does not stream, or none runs */
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
	bool peer_closed_told;
	bool responding;    /* the sends are on their way */
	bool waiting;       /* for a fiber, or for memory */
	bool in_flight;     /* counted in server->in_flight */
	_Alignas(16) uint8_t memory[REQUEST_MEMORY];
};

/* What is sent where there is no exchange to make an answer. */
struct refusal {
	struct tcp_send send;
	struct slice text;
	struct server *server;
};

struct server {
	struct server_config config;
	struct loop_client client;
	struct http_limits limits;
	struct http_date_cache dates;
	int64_t second;          /* see server_time */
	uint64_t second_ends_ns; /* by the loop's clock */
	struct pool connections, exchanges, blocks, bodies;
	struct pool refusals; /* sends that say "503" where there is no exchange to say it */
	uint32_t *addresses;  /* open connections by the hash of their client's address; the first one is not used */
	struct hash_key address_key;
	struct list idle;     /* connections; the one that is idle for longest comes first */
	struct list queued;   /* connections that wait for an exchange; oldest first */
	struct list ending;   /* connections that we have closed; oldest first */
	struct timer patience; /* no later than what is due first in these three */
	struct list waiting;  /* exchanges whose request waits for a fiber, or for memory; oldest first */
	uint32_t handlers;    /* requests whose handler runs, or whose response waits for the disk */
	uint32_t in_flight;   /* ... and those whose response is on its way */
	uint32_t streams;     /* handlers that stream; fewer than there are fibers */
	uint64_t next_stream_look_ns; /* for a slow one */
	struct http_route *routes;
	uint32_t route_count;
	struct observer *observers;   /* NULL: nobody wants to know */
	struct tcp_handler *gate;     /* has connections before they come here; NULL: none */
	struct proxied *proxied;      /* by the connection's number; NULL: no PROXY protocol */
	/* proxy.c's; NULL: no fields are believed. Corrects what is known of the client by the request's head; */
	void (*client_correct)(const struct exchange *x, struct client_view *client);
	/* whether an address is that of a proxy, which has many clients. */
	bool (*is_proxy)(const struct server *s, const struct net_address *address);
	struct trust *trust;
	struct http_metrics *metrics; /* metrics.c's; NULL: not wanted */
	uint64_t next_look_ns[2]; /* for a slow exchange; [1]: for one with blocks */
	bool draining;
	struct server_stats stats;
};

/* Its number, for the trace. */
static inline uint64_t connection_number(const struct server *s, const struct connection *c)
{
	return ((uintptr_t)c - (uintptr_t)s->connections.memory) / s->connections.item_size;
}

/* server.c */
void observers_tell(const struct exchange *x, uint16_t status);

static inline void exchange_answered(const struct exchange *x, uint16_t status)
{
	if (UNLIKELY(x->server->observers != NULL))
		observers_tell(x, status);
}

/* The client whose request that is. Its connection is there. */
static inline struct client_view exchange_client(const struct exchange *x)
{
	const struct server *s = x->server;
	struct client_view client = {.is_https = false};
	const struct proxied *p = s->proxied ? &s->proxied[pool_index(&s->connections, x->connection)] : NULL;
	if (p)
		client.is_https = p->is_encrypted;
	client.address = p && p->has_client ? p->client : tcp_peer(x->tcp).address;
	if (s->client_correct)
		s->client_correct(x, &client);
	return client;
}

/* connection.c */
void connections_init(struct server *s);
/* For an accepted one, of this client; NULL: of nobody who has a limit. NULL, and the caller has to release it: it has too
 * many, or there is none. */
struct connection *connection_open(struct server *s, struct tcp_conn *tcp, const struct net_address *client);
void connection_event(struct connection *c, uint32_t events);
/* Its exchange has been given back: there is no request at work any more. */
void connection_rest(struct connection *c);
/* There is no memory for its request: tells it to come again, and closes. (server.c) */
void connection_refuse(struct connection *c);
/* The number of its client's counter in server->addresses; 0: it is not counted. (server.c) */
uint32_t connection_address(const struct server *s, const struct net_address *client);
/* Nothing more is sent or wanted: the engine ends the connection by itself. */
void connection_close(struct connection *c);
/* The TCP connection is over, or is ended here without ceremony. */
void connection_end(struct connection *c);
/* Idle connections are closed; the requests of the others are their last. */
void connections_drain(struct server *s);
/* When all connections are in use, ends the one that has not got on for longest, if one is slow. */
void connections_make_room(struct server *s);
/* Gives exchanges that have become free to the connections that wait for them. */
void connections_start_queued(struct server *s);

/* exchange.c */
/* For a request whose first bytes are there. False: none is free. */
bool exchange_take(struct connection *c);
void exchange_event(struct exchange *x, uint32_t events);
/* Presents input as long as the HTTP machine makes something of it; ends with the connection idle, perhaps. */
void exchange_read(struct exchange *x);
void exchange_shutdown(struct exchange *x);
/* The TCP connection is no longer there: gives the exchange back, at once or when the last use of its memory
 * ends. */
void exchange_abandon(struct exchange *x);
/* The handler has returned, and its changes are durable. */
void exchange_respond(struct exchange *x);
void exchange_respond_error(struct exchange *x, uint16_t status);
/* Since the request's first byte. */
uint64_t exchange_duration_ns(const struct exchange *x);
/* Sends "100 Continue" if the client waits for that. */
void exchange_continue(struct exchange *x);
/* After the HTTP machine's deadline may have come nearer. */
void exchange_deadline_arm(struct exchange *x);
/* Gives the device its buffers back. */
void exchange_input_release(struct exchange *x);
/* Gives back what the request has taken beyond the exchange's own kilobyte. Its views into the head
 * expire, unless that lies in the device's buffer. */
void exchange_memory_reset(struct exchange *x);
/* Gives it back if nothing refers to it. */
void exchange_settle(struct exchange *x);
/* Ends the connection whose exchange (with blocks of memory, if that is asked for) has not got on for longest,
 * if one is slow. False: none is, or the last look that found none was a moment ago. */
bool exchange_shed(struct server *s, bool with_blocks);
/* Before a request is begun: what it needs should be there. */
void blocks_make_room(struct server *s);
static inline bool blocks_are_short(const struct server *s)
{
	return s->blocks.used >= s->blocks.capacity - s->blocks.capacity / 4;
}
static inline void blocks_reserve(struct server *s)
{
	if (UNLIKELY(blocks_are_short(s)))
		blocks_make_room(s);
}

/* proxy.c: prefixes of proxies that are believed, of the boot's word "proxies=" or of the application. */
struct trust {
	uint32_t count;
	struct net_prefix prefix[];
};
/* Their number, in either. */
uint32_t trust_count(const struct server_config *config, const char *const *prefixes);
/* ERR_INVALID: one is no prefix, or there is none (logged). */
MUST_USE err trust_read(struct trust *t, const struct server_config *config, const char *const *prefixes);
bool trust_has(const struct trust *t, const struct net_address *address);

/* handler.c */
/* What answers this request, once its head is there: at once, or by a handler that begins. True when a handler
 * will run after the body, which is to be gathered. */
bool request_route(struct exchange *x);
/* Starts the handler, or lets the request wait. */
void handler_begin(struct exchange *x);
/* The request waits no more, and will have no handler. */
void handler_forget(struct exchange *x);
/* Gives requests that wait for a fiber, or for memory, to their handlers. */
void handlers_start_waiting(struct server *s);
/* The response of a request whose `hold->finish` had returned true may leave; `ok` false: its changes could
 * not be made durable. */
void request_release(struct request *req, bool ok);

/* reply.c */
void request_init(struct request *req, struct exchange *x);
/* Answers with the error page and marks the request as broken: what the handler says after is void. */
void request_fail(struct request *req, uint16_t status);
/* misuse.c. Says in the log what the handler should not have done, and fails the request; nothing when it has failed
 * before. */
void request_misuse(struct request *req, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* request.c. A number in decimal digits; `otherwise` when it is none, or outside of min..max. */
int64_t request_int(struct request *req, struct slice text, int64_t min, int64_t max, int64_t otherwise);
/* Answers with an error that a handler cannot go on after, even if it does: what it calls then does nothing. */
void request_refuse(struct request *req, uint16_t status, const char *sentence);
/* A name that the handler gives; NULL is a misuse of `call`, and empty. */
struct slice request_name(struct request *req, const char *call, const char *name);
/* False when the request has failed, or been answered, or the status is none of `min` to 599: a misuse that is said. */
bool reply_is_due(struct request *req, int status, int min);
/* Why there is no head: no memory, or a field that is none. */
void reply_not_built(struct request *req, const struct http_response *r);
/* Builds the response that the request has come to into the exchange's sends; when that fails, an error
 * page in the exchange's own kilobyte, of which nothing else is used then. False: not even that. */
bool reply_build(struct request *req, bool keep_alive);

/* The answer is the segments that stand in req->page, with these header lines (static). False: there can be none. */
bool reply_pieces(struct request *req, int status, struct slice type_fields);

/* asset_directory.c. A directory with an index, asked for without its final slash, gets a redirect: true then. */
bool asset_directory_reply(struct request *req);
/* asset.c. What answers a GET of this asset: itself or a coding of it, parts of it, 304, 406, 412 or 416. */
void asset_reply(struct request *req, const struct page_asset *asset);
void asset_part_reply(struct request *req, const struct page_asset *asset, struct http_range range);
void asset_unsatisfiable_reply(struct request *req, const struct page_asset *asset);

/* Wall-clock seconds, in a round of the loop always the same. `dates` has the line for it then. */
void server_time_read(struct server *server);
static inline int64_t server_time(struct server *s)
{
	if (UNLIKELY(s->config.loop->now_ns >= s->second_ends_ns))
		server_time_read(s);
	return s->second;
}

#endif
