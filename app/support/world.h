/* A server and its clients in virtual time: one loop, two TCP/IP engines on a wire in memory, a
 * simulated disk, and the application of site.c. All that happens follows from the seed.
 *
 * The wire holds each frame for a while before `done` and checks then that its payload is as it was:
 * whoever lets go of a response's memory too early is caught. world_end checks that everything was
 * given back. Failures end the test (cmocka). */
#ifndef APP_SUPPORT_WORLD_H
#define APP_SUPPORT_WORLD_H

#include <app/database.h>
#include <page/asset_build.h>
#include <page/compile.h>
#include <sim/disk.h>
#include <sim/platform.h>

#include "../server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define WORLD_PORT 80

enum { SERVER, CLIENT };

/* Another application than site.c's; its pages are beside those of that one, and it has no files. */
struct world_site {
	const struct app_route *routes;
	const size_t *route_count;
	const struct app_database *database;
	const char *const (*pages)[2]; /* name, source */
	size_t page_count;
};

/* What a test wants different; 0 takes the default in brackets. */
struct world_options {
	uint32_t connections_max; /* [32] */
	uint32_t exchanges;       /* [32] */
	uint32_t blocks;          /* [64] */
	uint32_t fibers;          /* for requests [6] */
	uint64_t seed;
	bool database;
	bool unoperated; /* nobody can ask for snapshots */
	uint32_t disk_kib; /* [16 MiB] */
	const struct app_service *access_log; /* NULL: none */
	const struct app_proxy *behind_proxy, *proxy_protocol;
	const struct app_limits *limits;
	const char *command_line; /* [none] */
	uint32_t per_address_max;
	bool may_not_start; /* then world->server is NULL */
	const struct world_site *site; /* NULL: site.c's */
};

struct station {
	struct net *net;
	void *memory;
	struct random random;
	struct list at_device; /* frames on their way out */
	uint32_t buffers_out;
};

struct client {
	struct list link;
	struct world *w;
	struct tcp_conn *tcp;
	bool connected, peer_closed, closed, reset;
	bool stalled; /* reads only what client_read says */
	uint8_t *in;
	size_t in_len, in_capacity, taken; /* received; given out by client_answer */
	uint32_t sends;
};

struct world {
	struct sim_platform sim; /* first */
	struct log log;
	struct loop loop;
	void *loop_memory;
	struct random random;
	struct sim_source source;
	struct loop_client wire;
	struct station station[2];
	struct list packets; /* on the wire, by time of arrival */
	struct list clients;
	uint64_t until_ns, rng;
	/* Faults. */
	uint64_t delay_ns;
	uint32_t loss; /* of 10,000 frames */

	struct sim_disk disk;
	uint8_t *database_memory;
	size_t database_memory_len;
	struct database *database;
	uint64_t tick_ns; /* by which the clock moves at each look, so that a long query takes time */
	bool unoperated;
	bool database_broken; /* closing it fails, and should */

	/* The application. */
	struct arena arena;
	struct pool arena_blocks;
	void *arena_memory;
	struct page_compiler pages;
	struct page_assets assets;
	struct page_asset_table asset_table;
	struct app_manifest manifest;
	const struct app_service *access_log;
	const struct app_proxy *behind_proxy, *proxy_protocol;
	uint8_t *big; /* the content of /big.bin */
	struct fiber_queue gate; /* of handlers that wait */
	uint32_t at_gate;
	uint32_t calls, ends; /* of handlers that count */
	int64_t touches;
	uint64_t bytes_read;  /* by handlers that read their body piece by piece */

	struct server *server;
	void *server_memory;
	struct net_usage usage_before;
	uint32_t fibers_before;
	char *lines; /* the log so far */
	size_t lines_len, lines_capacity;
};

#define BIG_LEN 200000u

struct world *world_new(struct world_options options);
/* Lets all clients go, checks that everything came back to the server's pools, and frees. */
void world_end(struct world *w);
/* Lets virtual time pass. */
void world_pass(struct world *w, uint64_t ns);
/* Runs until `done(argument)`; fails the test after five virtual minutes. */
void world_until(struct world *w, bool (*done)(void *), void *argument);
/* Runs a function on a fiber to its end. */
void world_on_fiber(struct world *w, void (*run)(void *), void *argument);
uint32_t world_below(struct world *w, uint32_t bound);
bool world_logged(struct world *w, const char *text);
struct world *world_of(struct request *req);

struct client *client_new(struct world *w);
void client_send(struct client *c, struct slice bytes);
void client_text(struct client *c, const char *text);
/* Sends, and lets it arrive. */
void client_segment(struct client *c, struct slice bytes);
void client_close(struct client *c);  /* FIN */
void client_reset(struct client *c);  /* RST */
void client_free(struct client *c);   /* RST unless closed */
void client_read(struct client *c, size_t most);
/* What was received and not yet taken. */
struct slice client_unread(const struct client *c);
bool client_is_closed(void *client); /* for world_until */

/* A response, checked to be well-formed. The slices live until the client's next input. */
struct answer {
	int status;
	struct slice head, body;
};

/* Takes the next response when it is complete; false: not yet. `to_head`: it answers a HEAD. */
bool client_has_answer(struct client *c, bool to_head, struct answer *out);
/* Waits for it. */
struct answer client_answer(struct client *c);
struct answer client_answer_to_head(struct client *c);
/* Sends a request with `fields` ("Name: value\r\n" each) and `body`, and waits for the response. */
struct answer client_ask(struct client *c, const char *method, const char *target, const char *fields,
	const char *body);
struct answer client_get(struct client *c, const char *target);
struct slice answer_field(const struct answer *a, const char *name);
bool slice_has(struct slice s, const char *text);

#define assert_text(slice_, text_)                                                                 \
	do {                                                                                       \
		struct slice s_ = slice_from_cstr(text_), is_ = (slice_);                          \
		assert_int_equal(is_.len, s_.len);                                                 \
		assert_memory_equal(is_.ptr, s_.ptr, s_.len);                                      \
	} while (0)
#define assert_has(slice_, text_) assert_true(slice_has(slice_, text_))

/* site.c: routes, templates and assets; the manifest is the world's. */
void site_make(struct world *w, bool database, const struct world_site *site);

#endif
