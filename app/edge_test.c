/* Who a client is behind proxies, how many connections it may have, and the limits of routes. The clients' address is
 * 10.0.0.1; /client tells whom the server takes its client for. */
#include <app/ingot.h>

#include "support/world.h"

#include <stdio.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define GET_CLIENT "GET /client HTTP/1.1\r\nHost: t\r\n\r\n"
#define V1(address_) "PROXY TCP4 " address_ " 10.0.0.2 5000 80\r\n"
#define V1_IP6(address_) "PROXY TCP6 " address_ " fd00::2 5000 80\r\n"

static const struct app_proxy from_clients = {&app_service_proxy_protocol, APP_PREFIXES("192.0.2.0/24", "10.0.0.0/24")};
static const struct app_proxy from_others = {&app_service_proxy_protocol, APP_PREFIXES("10.0.1.0/24", "fd00::/8")};
static const struct app_proxy behind_clients = {&app_service_behind_proxy_forwarded, APP_PREFIXES("10.0.0.0/24", "fd00::/8")};
static const struct app_proxy behind_clients_x = {&app_service_behind_proxy_x_forwarded, APP_PREFIXES("10.0.0.0/24")};
static const struct app_proxy behind_others = {&app_service_behind_proxy_forwarded, APP_PREFIXES("10.0.1.0/24")};
static const struct app_proxy behind_nobody = {&app_service_behind_proxy_forwarded, APP_PREFIXES()};

static struct world *start(struct world_options o)
{
	o.seed = 16;
	o.connections_max = 48;
	return world_new(o);
}

static struct server_stats stats(struct world *w)
{
	return server_stats(w->server);
}

static bool is_reset(void *client)
{
	return ((struct client *)client)->reset;
}

static void assert_client(struct client *c, const char *want)
{
	assert_text(client_answer(c).body, want);
}

/* --- The PROXY protocol ----------------------------------------------------------------------- */

static void a_header_says_whose_connection_it_is(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients});
	struct client *c = client_new(w);
	client_text(c, V1("203.0.113.7") GET_CLIENT);
	assert_client(c, "203.0.113.7 http");
	client_text(c, GET_CLIENT GET_CLIENT); /* of each of its requests */
	assert_client(c, "203.0.113.7 http");
	assert_client(c, "203.0.113.7 http");
	c = client_new(w);
	client_text(c, V1_IP6("2001:db8::7") GET_CLIENT);
	assert_client(c, "2001:db8::7 http");
	c = client_new(w);
	client_send(c, SLICE(SIGNATURE "\x21\x11\0\x14" "\xcb\0\x71\x8\xa\0\0\2\x13\x88\0\x50" "\x20\0\5\1\0\0\0\0" GET_CLIENT));
	assert_client(c, "203.0.113.8 https");
	c = client_new(w);
	client_text(c, "PROXY UNKNOWN\r\n" GET_CLIENT);
	assert_client(c, "10.0.0.1 http");
	c = client_new(w);
	client_send(c, SLICE(SIGNATURE "\x20\0\0\0" GET_CLIENT));
	assert_client(c, "10.0.0.1 http");
	assert_int_equal(stats(w).refused_proxy, 0);
	world_end(w);
}

static void a_header_may_be_cut_anywhere(void **state)
{
	(void)state;
	static const struct slice whole[] = {SLICE_INIT(V1("203.0.113.7") GET_CLIENT),
		SLICE_INIT(SIGNATURE "\x21\x11\0\xc" "\xcb\0\x71\x7\xa\0\0\2\x13\x88\0\x50" GET_CLIENT)};
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients});
	for (size_t k = 0; k < ARRAY_LEN(whole); k++)
		for (size_t cut = 1; cut < whole[k].len; cut++) {
			struct client *c = client_new(w);
			client_segment(c, slice_sub(whole[k], 0, cut));
			client_segment(c, slice_sub(whole[k], cut, whole[k].len));
			assert_client(c, "203.0.113.7 http");
			client_close(c);
			world_until(w, client_is_closed, c);
		}
	struct client *c = client_new(w);
	for (size_t i = 0; i < whole[1].len; i++)
		client_segment(c, slice_sub(whole[1], i, 1));
	assert_client(c, "203.0.113.7 http");
	world_end(w);
}

static void who_is_no_proxy_is_not_served(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.proxy_protocol = &from_others});
	struct client *c = client_new(w);
	client_text(c, V1("203.0.113.7") GET_CLIENT);
	world_until(w, is_reset, c);
	assert_int_equal(stats(w).refused_proxy, 1);
	assert_int_equal(stats(w).connections, 0);
	world_end(w);
}

static void without_a_header_nobody_is_served(void **state)
{
	(void)state;
	static const char *const wrong[] = {GET_CLIENT, "PROXY TCP4 203.0.113.7 10.0.0.2 5000\r\n" GET_CLIENT,
		"PROXY TCP5 x\r\n", "\r\n\r\n" GET_CLIENT};
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients});
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct client *c = client_new(w);
		client_text(c, wrong[i]);
		world_until(w, is_reset, c);
		assert_int_equal(stats(w).refused_proxy, i + 1);
	}
	assert_int_equal(stats(w).connections, 0);
	assert_int_equal(stats(w).requests, 0);
	world_end(w);
}

/* ... who only looks whether somebody is there is no reason to complain. */
static void who_leaves_before_its_header_is_forgotten(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients});
	struct client *a = client_new(w), *b = client_new(w), *c = client_new(w);
	client_text(a, "PROXY TCP4");
	world_pass(w, MS);
	client_close(a);
	client_close(b);
	client_reset(c);
	world_pass(w, SECOND);
	assert_true(a->closed && b->closed);
	assert_int_equal(stats(w).refused_proxy, 0);
	assert_int_equal(net_usage(w->station[SERVER].net).connections, 0);
	world_end(w);
}

static void a_header_has_its_time(void **state)
{
	(void)state;
	static const struct app_limits limits = {.apply = app_limits_apply, .head_s = 4};
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients, .limits = &limits});
	struct client *silent = client_new(w), *slow = client_new(w), *good = client_new(w);
	world_pass(w, SECOND);
	client_text(slow, "PROXY TCP4 203");
	client_text(good, V1("203.0.113.7") GET_CLIENT);
	assert_client(good, "203.0.113.7 http");
	world_pass(w, 2500 * MS);
	assert_false(silent->reset || slow->reset);
	client_text(slow, ".0.113.9");
	world_pass(w, SECOND);
	assert_true(silent->reset && slow->reset);
	assert_int_equal(stats(w).refused_proxy, 2);
	client_text(good, GET_CLIENT); /* and no longer than that */
	assert_client(good, "203.0.113.7 http");
	world_end(w);
}

static void as_many_wait_with_their_headers_as_there_are_exchanges(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients, .exchanges = 3});
	struct client *c[5];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], "PROXY ");
		world_pass(w, 10 * MS);
		assert_int_equal(c[i]->reset, i >= 3);
	}
	client_text(c[1], "UNKNOWN\r\n" GET_CLIENT);
	assert_client(c[1], "10.0.0.1 http");
	struct client *next = client_new(w);
	client_text(next, V1("203.0.113.7") GET_CLIENT);
	assert_client(next, "203.0.113.7 http");
	world_end(w);
}

static void a_drain_does_not_wait_for_headers(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients});
	struct client *c = client_new(w), *idle = client_new(w);
	client_text(c, "PROXY TCP4 203");
	client_text(idle, V1("203.0.113.7") GET_CLIENT);
	assert_client(idle, "203.0.113.7 http");
	server_drain(w->server);
	client_text(c, ".0.113.7 10.0.0.2 5000 80\r\n" GET_CLIENT);
	world_until(w, is_reset, c);
	world_pass(w, SECOND);
	assert_true(idle->peer_closed);
	client_close(idle);
	world_pass(w, SECOND);
	assert_true(server_is_drained(w->server));
	world_end(w);
}

/* --- Header fields ---------------------------------------------------------------------------- */

static void fields_are(struct client *c, const char *fields, const char *want)
{
	assert_text(client_ask(c, "GET", "/client", fields, "").body, want);
}

static void a_trusted_proxy_names_its_client(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients});
	struct client *c = client_new(w);
	fields_are(c, "", "10.0.0.1 http");
	fields_are(c, "Forwarded: for=203.0.113.7\r\n", "203.0.113.7 http");
	fields_are(c, "Forwarded: for=203.0.113.7;proto=https\r\n", "203.0.113.7 https");
	fields_are(c, "Forwarded: for=\"[2001:db8::7]:5000\";proto=HTTPS;by=10.0.0.1\r\n", "2001:db8::7 https");
	/* The other kind is what its client has sent. */
	fields_are(c, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n", "10.0.0.1 http");
	fields_are(c, "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=203.0.113.7\r\n", "203.0.113.7 http");
	world_end(w);
}

static void of_a_chain_the_last_one_that_is_not_trusted_is_the_client(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients});
	struct client *c = client_new(w);
	fields_are(c, "Forwarded: for=6.6.6.6;proto=https, for=203.0.113.7\r\n", "203.0.113.7 http");
	fields_are(c, "Forwarded: for=6.6.6.6, for=203.0.113.7;proto=https, for=10.0.0.9, for=\"[fd00::9]\"\r\n", "203.0.113.7 https");
	fields_are(c, "Forwarded: for=10.0.0.7;proto=https\r\nForwarded: for=10.0.0.8;proto=http\r\n", "10.0.0.7 https");
	world_end(w);
}

static void beyond_what_is_hidden_or_malformed_nothing_is_believed(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients});
	struct client *c = client_new(w);
	fields_are(c, "Forwarded: for=203.0.113.7, for=unknown;proto=https\r\n", "10.0.0.1 https");
	fields_are(c, "Forwarded: for=203.0.113.7, for=_hidden, for=10.0.0.9\r\n", "10.0.0.9 http");
	fields_are(c, "Forwarded: for=203.0.113.7, proto=https\r\n", "10.0.0.1 https");
	fields_are(c, "Forwarded: for=\", for=203.0.113.7;proto=https\r\n", "10.0.0.1 http");
	fields_are(c, "Forwarded: for=300.0.113.7\r\n", "10.0.0.1 http");
	world_end(w);
}

static void who_is_not_trusted_names_nobody(void **state)
{
	(void)state;
	const struct app_proxy *const none[] = {&behind_others, &behind_nobody, NULL};
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct world *w = start((struct world_options){.behind_proxy = none[i]});
		fields_are(client_new(w), "Forwarded: for=6.6.6.6;proto=https\r\nX-Forwarded-For: 6.6.6.6\r\n", "10.0.0.1 http");
		assert_int_equal(world_logged(w, "no proxy is named, so none is believed"), i == 1);
		world_end(w);
	}
}

static void the_older_fields_are_asked_for_by_name(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients_x});
	struct client *c = client_new(w);
	fields_are(c, "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n", "203.0.113.7 https");
	fields_are(c, "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.9\r\nX-Forwarded-Proto: http, https, http\r\n", "203.0.113.7 https");
	fields_are(c, "X-Forwarded-Proto: https\r\n", "10.0.0.1 https");
	fields_are(c, "Forwarded: for=6.6.6.6;proto=https\r\n", "10.0.0.1 http");
	world_end(w);
}

static void a_proxy_behind_another_one_is_known_by_both(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients, .proxy_protocol = &from_clients});
	struct client *c = client_new(w);
	client_text(c, V1("10.0.0.77") "GET /client HTTP/1.1\r\nHost: t\r\nForwarded: for=203.0.113.7;proto=https\r\n\r\n");
	assert_client(c, "203.0.113.7 https");
	c = client_new(w);
	client_text(c, V1("203.0.113.8") "GET /client HTTP/1.1\r\nHost: t\r\nForwarded: for=6.6.6.6;proto=https\r\n\r\n");
	assert_client(c, "203.0.113.8 http");
	world_end(w);
}

/* Also when its head is that of nobody. */
static void the_access_log_has_the_client(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients, .proxy_protocol = &from_clients,
		.access_log = &app_service_access_log_combined});
	struct client *c = client_new(w);
	client_text(c, V1("10.0.0.77") "GET /text HTTP/1.1\r\nHost: t\r\nForwarded: for=203.0.113.7\r\n\r\n");
	assert_int_equal(client_answer(c).status, 200);
	c = client_new(w);
	client_text(c, V1("203.0.113.9") "GET /text HTTP/1.1\nHost");
	assert_int_equal(client_answer(c).status, 400);
	world_pass(w, 100 * MS);
	assert_true(world_logged(w, "203.0.113.7 - - [01/Jan/2026:"));
	assert_true(world_logged(w, "203.0.113.9 - - [01/Jan/2026:"));
	assert_false(world_logged(w, "10.0.0.1 - - ["));
	world_end(w);
}

/* --- Who is trusted --------------------------------------------------------------------------- */

static void the_boot_takes_the_place_of_what_the_application_names(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_others,
		.command_line = "debug proxies=fd00::/8,10.0.0.1 keep-alive=3"});
	fields_are(client_new(w), "Forwarded: for=203.0.113.7\r\n", "203.0.113.7 http");
	world_end(w);
	w = start((struct world_options){.behind_proxy = &behind_clients, .command_line = "proxies=10.0.1.0/24"});
	fields_are(client_new(w), "Forwarded: for=203.0.113.7\r\n", "10.0.0.1 http");
	world_end(w);
	w = start((struct world_options){.proxy_protocol = &from_others, .command_line = "proxies=10.0.0.0/8"});
	struct client *c = client_new(w);
	client_text(c, V1("203.0.113.7") GET_CLIENT);
	assert_client(c, "203.0.113.7 http");
	world_end(w);
}

static void what_is_no_prefix_stops_the_start(void **state)
{
	(void)state;
	const struct app_proxy bad = {&app_service_behind_proxy_forwarded, APP_PREFIXES("10.0.0.0/8", "10.0.0.1/8")};
	const struct app_proxy nobody = {&app_service_proxy_protocol, APP_PREFIXES()};
	struct world *w = start((struct world_options){.behind_proxy = &bad, .may_not_start = true});
	assert_true(world_logged(w, "'10.0.0.1/8' (of the proxies that the application names) is no prefix"));
	world_end(w);
	w = start((struct world_options){.proxy_protocol = &from_clients, .command_line = "proxies=10.0.0.0/8,", .may_not_start = true});
	assert_true(world_logged(w, "'' (of the proxies on the command line) is no prefix"));
	world_end(w);
	w = start((struct world_options){.proxy_protocol = &nobody, .may_not_start = true});
	assert_true(world_logged(w, "APP_PROXY_PROTOCOL names no proxy"));
	world_end(w);
}

/* --- Connections of one address --------------------------------------------------------------- */

static bool is_connected(void *client)
{
	const struct client *c = client;
	return c->connected || c->reset;
}

static void a_client_has_so_many_connections_and_no_more(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.per_address_max = 3});
	struct client *c[5];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		world_until(w, is_connected, c[i]);
		world_pass(w, MS);
		assert_int_equal(c[i]->reset, i >= 3);
	}
	assert_int_equal(stats(w).refused_address, 2);
	assert_int_equal(stats(w).connections_open, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(client_get(c[i], "/text").status, 200); /* nothing happens to those that are there */
	client_close(c[1]);
	world_until(w, client_is_closed, c[1]);
	struct client *next = client_new(w);
	assert_int_equal(client_get(next, "/text").status, 200);
	assert_int_equal(stats(w).refused_address, 2);
	world_end(w);
}

static bool is_served(struct world *w, const char *header)
{
	struct client *c = client_new(w);
	client_text(c, header);
	client_text(c, GET_CLIENT);
	world_pass(w, 50 * MS);
	return !c->reset;
}

static void behind_a_proxy_its_clients_are_counted(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.proxy_protocol = &from_clients, .per_address_max = 2});
	for (int i = 0; i < 3; i++) {
		assert_int_equal(is_served(w, V1("203.0.113.7")), i < 2);
		assert_int_equal(is_served(w, V1("203.0.113.8")), i < 2);
		assert_true(is_served(w, "PROXY UNKNOWN\r\n")); /* the proxy's own have no limit */
	}
	assert_true(is_served(w, V1_IP6("2001:db8:0:1::1")) && is_served(w, V1_IP6("2001:db8:0:1:ffff::2")));
	assert_false(is_served(w, V1_IP6("2001:db8:0:1::3")));
	assert_true(is_served(w, V1_IP6("2001:db8:0:2::3")));
	assert_int_equal(stats(w).refused_address, 3);
	world_end(w);
}

static void a_proxy_has_as_many_connections_as_there_are(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.behind_proxy = &behind_clients, .per_address_max = 2});
	for (int i = 0; i < 6; i++)
		assert_int_equal(client_get(client_new(w), "/text").status, 200);
	assert_int_equal(stats(w).refused_address, 0);
	world_end(w);
	w = start((struct world_options){.behind_proxy = &behind_others, .per_address_max = 2});
	assert_true(is_served(w, "") && is_served(w, "") && !is_served(w, ""));
	world_end(w);
}

static void what_is_refused_is_counted_among_the_metrics(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.per_address_max = 1});
	struct client *c = client_new(w);
	assert_int_equal(client_get(c, "/text").status, 200);
	assert_false(is_served(w, ""));
	struct answer a = client_get(c, "/metrics");
	assert_has(a.body, "\nhttp_refused_address_total 1\n");
	assert_has(a.body, "\nhttp_refused_proxy_total 0\n");
	world_end(w);
}

/* --- Limits ----------------------------------------------------------------------------------- */

/* How long it takes, in virtual seconds, until there is an answer, and that is 503. */
static uint64_t refused_after_s(struct world *w, const char *target)
{
	struct client *c = client_new(w);
	uint64_t from = w->sim.now_ns;
	char text[100];
	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", target);
	w->tick_ns = 10 * MS;
	client_text(c, text);
	assert_int_equal(client_answer(c).status, 503);
	w->tick_ns = 0;
	return (w->sim.now_ns - from) / SECOND;
}

static void a_route_gives_its_queries_their_time(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.database = true});
	uint64_t s = refused_after_s(w, "/limited/endless");
	assert_true(s >= 2 && s < 4);
	assert_true(world_logged(w, "the deadline has passed (in: WITH RECURSIVE"));
	s = refused_after_s(w, "/sql/endless");
	assert_true(s >= 30 && s < 33);
	s = refused_after_s(w, "/limited/long");
	assert_true(s >= 90 && s < 93);
	assert_int_equal(client_get(client_new(w), "/sql/count").status, 200);
	world_end(w);
}

static void the_application_gives_all_queries_their_time(void **state)
{
	(void)state;
	static const struct app_limits limits = {.apply = app_limits_apply, .handle_s = 5};
	struct world *w = start((struct world_options){.database = true, .limits = &limits});
	uint64_t s = refused_after_s(w, "/sql/endless");
	assert_true(s >= 5 && s < 7);
	s = refused_after_s(w, "/limited/endless");
	assert_true(s >= 2 && s < 4);
	world_end(w);
}

/* It answers as soon as it has a fiber, or is told at twice its time. */
static void who_waits_for_a_fiber_waits_as_long_as_its_route_says(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.fibers = 1});
	struct client *first = client_new(w), *c = client_new(w), *cut = client_new(w);
	client_text(first, "GET /wait?name=a HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, MS);
	client_text(c, "GET /limited/wait HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, 3500 * MS);
	assert_false(client_has_answer(c, false, &(struct answer){0}));
	world_pass(w, SECOND);
	assert_int_equal(client_answer(c).status, 503);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(first).body, "a");
	client_text(cut, "GET /limited/wait HTTP/1.1\r\nHost: t\r\n\r\n"); /* its handler does not answer */
	world_pass(w, 3500 * MS);
	assert_false(cut->closed);
	world_pass(w, SECOND);
	assert_true(cut->closed);
	fiber_queue_wake_all(&w->gate);
	assert_int_equal(client_get(client_new(w), "/text").status, 200);
	world_end(w);
}

#define POST_BODY "POST /limited/body HTTP/1.1\r\nHost: t\r\nContent-Length: 20\r\n\r\n"

static void a_body_has_the_time_of_its_route(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.seed = 0});
	struct client *c = client_new(w);
	client_text(c, POST_BODY "0123456789");
	world_pass(w, 2000 * MS);
	assert_false(c->peer_closed); /* ten bytes at 100 a second are worth a tenth of one more */
	world_pass(w, 300 * MS);
	assert_int_equal(client_answer(c).status, 408);
	c = client_new(w);
	client_text(c, "POST /limited/body HTTP/1.1\r\nHost: t\r\nContent-Length: 101\r\n\r\n");
	assert_int_equal(client_answer(c).status, 413);
	/* The next request is of another route. */
	c = client_new(w);
	client_text(c, POST_BODY "01234567890123456789");
	assert_text(client_answer(c).body, "01234567890123456789");
	client_text(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 20\r\n\r\n");
	world_pass(w, 9 * SECOND);
	client_text(c, "01234567890123456789");
	assert_text(client_answer(c).body, "01234567890123456789");
	world_end(w);
}

static void an_answer_has_the_time_of_its_route(void **state)
{
	(void)state;
	struct world *w = start((struct world_options){.seed = 0});
	struct client *c = client_new(w), *other = client_new(w);
	c->stalled = other->stalled = true;
	client_text(c, "GET /limited/big HTTP/1.1\r\nHost: t\r\n\r\n");
	client_text(other, "GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, 2500 * MS);
	assert_int_equal(stats(w).connections_open, 2);
	world_pass(w, 4 * SECOND); /* (its window took a part, which was noticed then) */
	assert_int_equal(stats(w).connections_open, 1);
	assert_false(other->closed);
	world_end(w);
}

static void the_application_limits_what_comes_before_a_route(void **state)
{
	(void)state;
	static const struct app_limits limits = {.apply = app_limits_apply, .head_s = 2, .idle_s = 4};
	struct world *w = start((struct world_options){.limits = &limits});
	struct client *slow = client_new(w), *idle = client_new(w);
	client_text(slow, "GET /te");
	world_pass(w, 1900 * MS);
	assert_false(slow->peer_closed);
	world_pass(w, 200 * MS);
	assert_int_equal(client_answer(slow).status, 408);
	world_pass(w, 1700 * MS);
	assert_false(idle->peer_closed);
	world_pass(w, 400 * MS);
	assert_true(idle->peer_closed);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_says_whose_connection_it_is),
		cmocka_unit_test(a_header_may_be_cut_anywhere),
		cmocka_unit_test(who_is_no_proxy_is_not_served),
		cmocka_unit_test(without_a_header_nobody_is_served),
		cmocka_unit_test(who_leaves_before_its_header_is_forgotten),
		cmocka_unit_test(a_header_has_its_time),
		cmocka_unit_test(as_many_wait_with_their_headers_as_there_are_exchanges),
		cmocka_unit_test(a_drain_does_not_wait_for_headers),
		cmocka_unit_test(a_trusted_proxy_names_its_client),
		cmocka_unit_test(of_a_chain_the_last_one_that_is_not_trusted_is_the_client),
		cmocka_unit_test(beyond_what_is_hidden_or_malformed_nothing_is_believed),
		cmocka_unit_test(who_is_not_trusted_names_nobody),
		cmocka_unit_test(the_older_fields_are_asked_for_by_name),
		cmocka_unit_test(a_proxy_behind_another_one_is_known_by_both),
		cmocka_unit_test(the_access_log_has_the_client),
		cmocka_unit_test(the_boot_takes_the_place_of_what_the_application_names),
		cmocka_unit_test(what_is_no_prefix_stops_the_start),
		cmocka_unit_test(a_client_has_so_many_connections_and_no_more),
		cmocka_unit_test(behind_a_proxy_its_clients_are_counted),
		cmocka_unit_test(a_proxy_has_as_many_connections_as_there_are),
		cmocka_unit_test(what_is_refused_is_counted_among_the_metrics),
		cmocka_unit_test(a_route_gives_its_queries_their_time),
		cmocka_unit_test(the_application_gives_all_queries_their_time),
		cmocka_unit_test(who_waits_for_a_fiber_waits_as_long_as_its_route_says),
		cmocka_unit_test(a_body_has_the_time_of_its_route),
		cmocka_unit_test(an_answer_has_the_time_of_its_route),
		cmocka_unit_test(the_application_limits_what_comes_before_a_route),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
