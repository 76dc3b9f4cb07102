/* Ingot: what an application includes.
 *
 * Example: a page at /
 *
 *	#include <ingot.h>
 *	#include "pages.h"                          // made by the build from pages/
 *
 *	static void home(struct request *req)
 *	{
 *		struct page_value *data = page_data(req);
 *		page_set_text(data, "greeting", SLICE("Hello"));
 *		reply_page(req, 200, PAGE(home), data);
 *	}
 *
 *	APP_ROUTES(GET("/", home))
 *
 * An application is a folder: its C files here, templates in pages/, files to serve as they are in
 * static/ (docs/assets.md), the database's schema in migrations/ (NNN-name.sql), and queries that become functions in
 * queries/ (docs/sql.md). What it does not use is not in its image.
 *
 * A handler is straight-line code: it may wait for the database, and other requests go on meanwhile.
 * Memory comes from the request's arena and is freed with it, so nothing leaks; slices and pointers
 * that these functions return live until the request's end unless stated otherwise. No call here can
 * crash on what a client sends. When something fails (the database, memory), the request is answered
 * with an error page whatever the handler goes on to do, the reason is logged, and further calls do
 * nothing: a handler need not check each one.
 *
 * A call that a handler should not have made (a second answer, a status of 1000, a name that is NULL, a header field
 * after the body has begun) fails the request as well: the log says which route did it and what to do instead, and the
 * client gets a 500.
 *
 * What follows "Example" is compiled and run by the tests as it stands. */
#ifndef APP_INGOT_H
#define APP_INGOT_H

#include <base/arena.h>
#include <base/slice.h>
#include <page/template.h>
#include <page/value.h>
#include <app/json.h> /* answers in JSON */

API_BEGIN

struct request;
struct server;

/* --- Routes -----------------------------------------------------------------------------------
 * A pattern is a path; "{name}" matches one part of it, "{name...}" the rest. Files below static/
 * are served before routes are looked at. HEAD is answered from GET, OPTIONS and wrong methods by
 * Ingot. */
struct app_route {
	const char *method, *pattern;
	void (*handler)(struct request *);
	const struct app_body *body; /* NULL: as a whole, up to 64 KiB */
	const struct app_service *service; /* Ingot's, for whoever operates the machine; NULL: none */
	const struct app_limits *limits; /* NULL: those of APP_LIMITS, or of Ingot */
};

/* How a route takes its requests' bodies. */
struct app_body {
	uint64_t bytes_max; /* a longer one is refused with 413 */
	bool (*begin)(struct request *, uint64_t bytes_max); /* Ingot's */
};

extern const struct app_route app_routes[];
extern const size_t app_route_count;

/* Example: the routes of all examples here
 *
 *	APP_ROUTES(
 *		GET("/", home), GET("/book/{id}", show_book), POST("/echo", echo, BODY_MAX(2000)), GET("/who", who),
 *		PUT("/file/{name}", put_file, BODY_STREAMED(1 << 30)),
 *		GET("/sign", show_form), POST("/sign", take_form), POST("/upload", take_upload, BODY_STREAMED(1 << 30)),
 *		GET("/cover", show_cover), GET("/theme", show_theme), POST("/theme/{name}", set_theme), DELETE("/theme", forget_theme),
 *		GET("/books.csv", send_csv), GET("/zeros", send_zeros), GET("/cards", send_cards),
 *		GET("/news", send_news), GET("/clock", send_time),
 *		GET("/feed", send_feed), GET("/books.json", send_books), GET("/facts.json", send_facts),
 *		GET("/books", list_books), GET("/columns", show_columns), POST("/books", add_book), PATCH("/book/{id}", change_price),
 *		POST("/order", order), POST("/swap", swap), POST("/draft", draft),
 *		GET("/report", report, LIMITS(.handle_s = 120)), POST("/scan/{id}", scan),
 *		HEALTH("/healthz"), READY("/readyz"), METRICS("/metrics"))
 *	APP_ACCESS_LOG(combined)
 *	APP_LIMITS(.head_s = 5, .handle_s = 10)
 *	APP_BEHIND_PROXY(x_forwarded, "10.0.0.0/8", "fd00::/8")
 *	APP_PROXY_PROTOCOL("10.0.0.7")
 */

#define APP_ROUTE(method_, pattern_, handler_, ...)                                                \
	{.method = method_, .pattern = pattern_, .handler = handler_, __VA_ARGS__}
#define GET(...) APP_ROUTE("GET", __VA_ARGS__, )
#define POST(...) APP_ROUTE("POST", __VA_ARGS__, )
#define PUT(...) APP_ROUTE("PUT", __VA_ARGS__, )
#define PATCH(...) APP_ROUTE("PATCH", __VA_ARGS__, )
#define DELETE(...) APP_ROUTE("DELETE", __VA_ARGS__, )

/* The application's routes, once, in one of its files. */
#define APP_ROUTES(...)                                                                            \
	const struct app_route app_routes[] = {__VA_ARGS__};                                       \
	const size_t app_route_count = sizeof app_routes / sizeof app_routes[0];

/* A route's last argument may say how it takes bodies. Without one, they come as a whole, before the handler runs, and
 * over 64 KiB they are refused with 413. BODY_MAX: the same, with a smaller limit.
 *	POST("/note", write_note, BODY_MAX(2000))
 * BODY_STREAMED: the handler runs at once and reads with request_read() or the part_ calls; up to `bytes_max_`.
 *	PUT("/file/{name}", put_file, BODY_STREAMED(1 << 30)) */
#define BODY_MAX(bytes_max_)                                                                       \
	.body = &(const struct app_body){                                                          \
		(bytes_max_) + 0 * sizeof(struct {                                                 \
			_Static_assert((bytes_max_) <= 65536,                                      \
				"BODY_MAX is 65536 at most; longer ones are BODY_STREAMED");       \
			char none;                                                                 \
		}),                                                                                \
		app_body_limited}
#define BODY_STREAMED(bytes_max_) .body = &(const struct app_body){(bytes_max_), app_body_streamed}
bool app_body_limited(struct request *req, uint64_t bytes_max);
bool app_body_streamed(struct request *req, uint64_t bytes_max);

/* How long something may take, in seconds; what is 0 or left out is as in brackets. A route's last argument, for its own
 * requests, from the end of their heads on:
 *	GET("/report", report, LIMITS(.handle_s = 120))
 * and beside APP_ROUTES, for all others and for what comes before a route is known:
 *	APP_LIMITS(.head_s = 5, .idle_s = 20, .handle_s = 5) */
struct app_limits {
	bool (*apply)(struct server *, struct request *, const struct app_limits *); /* Ingot's */
	uint32_t head_s;  /* from the first byte of a request to the end of its head; APP_LIMITS only [10] */
	uint32_t idle_s;  /* between requests; APP_LIMITS only, and `keep-alive=` at the boot comes first [75] */
	uint32_t per_address; /* connections of one client: an IPv4 address, a /64 of IPv6; one more is reset. Trusted
	                         proxies have no limit. APP_LIMITS only [a quarter of all, 64 at least] */
	uint32_t body_s;  /* what a body may take beyond its share at body_bytes_per_s [10] */
	uint32_t body_bytes_per_s; /* the least rate of a body [1024] */
	/* From the request's end until its answer begins [30]. A statement that runs then ends, and the answer is 503; so
	 * is that of who still waits for a fiber at twice the time. A handler that has not begun to answer by then, since it
	 * waits for something else, loses its connection. For handlers that stream, the time of a statement, from their
	 * last wait for their client on. C that computes without a pause is not interrupted. */
	uint32_t handle_s;
	uint32_t write_s; /* without any progress of a client that takes its answer [30] */
};
#define LIMITS(...) .limits = &(const struct app_limits){.apply = app_limits_apply, __VA_ARGS__}
#define APP_LIMITS(...) const struct app_limits app_limits = {.apply = app_limits_apply, __VA_ARGS__};
bool app_limits_apply(struct server *server, struct request *req, const struct app_limits *limits);
extern const struct app_limits app_limits;

/* Behind a proxy, beside APP_ROUTES, if the client is to be known: what it says is believed when it comes from these
 * addresses ("10.0.0.0/8", "fd00::/8", "10.1.2.3"), or from those of the word "proxies=10.0.0.0/8,fd00::/8" at the boot,
 * which takes their place.
 *	APP_BEHIND_PROXY(forwarded, "10.0.0.0/8")    it writes Forwarded fields (RFC 7239), or
 *	APP_BEHIND_PROXY(x_forwarded, "10.0.0.0/8")  X-Forwarded-For and X-Forwarded-Proto
 * The kind that is not named is not looked at: a proxy passes it on as its client has sent it. Both fields of the other
 * kind have to be written, or removed, by the proxy. Of a chain of proxies, the client is the last address, from the
 * right, that is not trusted.
 *	APP_PROXY_PROTOCOL("10.0.0.0/8")             it begins each connection with a PROXY header, version 1 or 2
 * Then nobody else is served: a connection from another address, or without such a header, is reset. Both may be given. */
struct app_proxy {
	const struct app_service *service; /* Ingot's */
	const char *const *prefixes;       /* up to a NULL */
};
#define APP_PREFIXES(...) (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) 0}
#define APP_BEHIND_PROXY(fields_, ...)                                                             \
	const struct app_proxy *const app_behind_proxy = &(const struct app_proxy){                \
		&app_service_behind_proxy_##fields_, APP_PREFIXES(__VA_ARGS__)};
#define APP_PROXY_PROTOCOL(...)                                                                    \
	const struct app_proxy *const app_proxy_protocol =                                         \
		&(const struct app_proxy){&app_service_proxy_protocol, APP_PREFIXES(__VA_ARGS__)};
extern const struct app_service app_service_behind_proxy_forwarded, app_service_behind_proxy_x_forwarded;
extern const struct app_service app_service_proxy_protocol;
extern const struct app_proxy *const app_behind_proxy, *const app_proxy_protocol;

/* For whoever operates the machine (docs/operations.md); rows of APP_ROUTES as any other:
 *	APP_ROUTES(GET("/", home), HEALTH("/healthz"), READY("/readyz"), METRICS("/metrics"))
 * HEALTH: 200 as long as the machine's loop runs; needs no fiber and no memory beyond a request's. READY: the same, but
 * 503 while the machine is about to stop, or its database is not there to be written to. METRICS: counters, pool levels
 * and a histogram of durations for each route, in the text format of Prometheus. Anybody who reaches the path can read
 * them: give it a name that is not guessed, or refuse it in front of the machine. */
#define HEALTH(pattern_) APP_ROUTE("GET", pattern_, 0, .service = &app_service_health)
#define READY(pattern_) APP_ROUTE("GET", pattern_, 0, .service = &app_service_ready)
#define METRICS(pattern_) APP_ROUTE("GET", pattern_, app_metrics, .service = &app_service_metrics)
extern const struct app_service app_service_health, app_service_ready, app_service_metrics;
void app_metrics(struct request *req);

/* A line in the machine's log for each answer, beside APP_ROUTES: APP_ACCESS_LOG(combined) or APP_ACCESS_LOG(json). No
 * request waits for it: when the log's device is slower than the requests, lines are left out, and counted. */
#define APP_ACCESS_LOG(format_) const struct app_service *const app_access_log = &app_service_access_log_##format_;
extern const struct app_service app_service_access_log_combined, app_service_access_log_json;
extern const struct app_service *const app_access_log;

/* --- What was asked for -----------------------------------------------------------------------
 * A value that is not there is empty (len 0). All of it lives until the request's end.
 *
 * Example: what there is to know about GET /book/7?copies=2
 *
 *	static void show_book(struct request *req)
 *	{
 *		struct slice id = request_param(req, "id"), coupon = request_query(req, "coupon");
 *		struct slice language = request_header(req, "Accept-Language"), theme = request_cookie(req, "theme");
 *		int64_t copies = request_query_int(req, "copies", 1, 100, 1);
 *		struct slice text = arena_format(request_arena(req), "%.*s: %ld of %.*s; %.*s; %.*s; %.*s; year %ld\n",
 *			SLICE_ARG(request_path(req)), (long)copies, SLICE_ARG(id), SLICE_ARG(coupon), SLICE_ARG(language),
 *			SLICE_ARG(theme), (long)(1970 + request_time(req) / 31556952));
 *		if (!request_failed(req))
 *			reply_text(req, 200, text);
 *	}
 *
 *	static void echo(struct request *req)
 *	{
 *		reply_bytes(req, 200, "application/octet-stream", request_body(req));
 *	}
 *
 *	static void who(struct request *req)
 *	{
 *		if (!request_is_https(req))
 *			reply_redirect(req, "https://example.com/who");
 *		else
 *			reply_text(req, 200, request_client(req));
 *	}
 */
struct slice request_path(struct request *req); /* decoded and normalised, "/entry/7" */
/* From the route's pattern, decoded. One that no pattern of the handler has is a misuse. */
struct slice request_param(struct request *req, const char *name);
/* "?page=2": the first of that name, decoded; empty also when it is not UTF-8. More than 64 fields are a 400. */
struct slice request_query(struct request *req, const char *name);
/* Any case; the first of that name, as it came: a value may hold any byte but control characters. */
struct slice request_header(struct request *req, const char *name);
/* The first cookie of just that name, without quotes around it; empty also when it is not UTF-8. It says what the client
 * says: nothing that it holds is proved. */
struct slice request_cookie(struct request *req, const char *name);
/* As it came, gathered: up to 64 KiB. In a route that is BODY_STREAMED it is a misuse. */
struct slice request_body(struct request *req);
/* A query value as a number, `otherwise` when it is absent, malformed or outside min..max. */
int64_t request_query_int(
	struct request *req, const char *name, int64_t min, int64_t max, int64_t otherwise);
int64_t request_time(struct request *req); /* seconds since 1970, UTC */
/* The client's address, "192.0.2.1" or "2001:db8::1": of who has connected, or behind a proxy that is trusted, of whom that
 * names (APP_BEHIND_PROXY, APP_PROXY_PROTOCOL); where it hides its client, its own. Empty when the client has gone. A
 * copy, which lives until the request's end. */
struct slice request_client(struct request *req);
/* True when such a proxy says that its client speaks TLS with it. Ingot itself does not. */
bool request_is_https(struct request *req);
/* Memory until the request's end: half a MiB in all, about 8 KiB in one piece. arena_alloc gives NULL when there is none. */
struct arena *request_arena(struct request *req);

/* True after a failure: the request is answered with an error page, whatever follows. */
bool request_failed(const struct request *req);

/* --- Bodies piece by piece --------------------------------------------------------------------
 * Example: a route that is BODY_STREAMED
 *
 *	static void put_file(struct request *req)
 *	{
 *		uint8_t piece[8192];
 *		size_t n = request_read(req, piece, 4); // waits for the first bytes: some of them
 *		bool pdf = slice_eq(slice_of(piece, n), SLICE("%PDF"));
 *		do
 *			db_run(req, "INSERT INTO piece (file, bytes) VALUES (?, ?)", request_param(req, "name"),
 *				db_value_blob(slice_of(piece, n)));
 *		while ((n = request_read_full(req, piece, sizeof piece)));
 *		reply_text(req, 201, pdf ? SLICE("stored a PDF\n") : SLICE("stored\n"));
 *	}
 *
 * What is not asked for is not received: a client is as fast as its handler, and an upload takes no memory but the
 * handler's own (its stack has 24 KiB, with a database 80). The client has to keep up a rate of 1 KiB/s. One that asks first (Expect: 100-continue) is told to
 * go on at the first read, so a handler that answers without reading saves it the body.
 * When the body breaks off (the client goes, is too slow, sends more than the limit), the request fails: 0 comes, and
 * later calls, a commit among them, do nothing. What was committed before stays; mark it as incomplete until the end.
 * Who reads a body in a transaction makes all others that want to write wait for its client: it has 30 s in all, and is
 * cut off when nothing comes for half a second while others wait. Between statements a wait takes nothing of the
 * database's.
 * After reply_begin nothing more can be read. */

/* Up to `len` bytes of the body to `out`; waits for at least one. 0: its end, or a failure. */
size_t request_read(struct request *req, void *out, size_t len);
/* The same, but fewer than `len` come at the body's end only. */
size_t request_read_full(struct request *req, void *out, size_t len);

/* --- Forms ------------------------------------------------------------------------------------
 * Every form that posts carries {{{csrf}}} inside its <form>, and the page that shows it takes that
 * from form_protect(); form_open() then refuses what another site sends in a visitor's name.
 *
 * Example: a form, shown and taken; the page has <form method="post">{{{csrf}}}<input name="name"><input name="copies">...
 *
 *	static void show_form(struct request *req)
 *	{
 *		struct page_value *data = page_data(req);
 *		form_protect(req, data);
 *		reply_page(req, 200, PAGE(sign), data);
 *	}
 *
 *	static void take_form(struct request *req)
 *	{
 *		if (!form_open(req))
 *			return; // it has answered
 *		struct slice name = form_text(req, "name");
 *		int64_t copies = form_int(req, "copies", 1, 100, 0);
 *		if (!name.len || text_length(name) > 80 || !copies)
 *			reply_error(req, 422, "Please write a name of at most 80 letters, and how many (1 to 100).");
 *		else
 *			reply_redirect(req, "/sign");
 *	}
 */

/* Sets "csrf" in `data` to the hidden field, and the cookie that goes with it. */
void form_protect(struct request *req, struct page_value *data);
/* True when the body is a well-formed form of this site. Otherwise the request has been answered
 * (400, 403 or 415) and the handler should return; what it calls if it does not, does nothing. */
bool form_open(struct request *req);
/* A field's text, without blanks around it; empty when absent. After form_open(), else it is a misuse. Always valid
 * UTF-8, without control characters except newline and tab. Lives until the request's end. */
struct slice form_text(struct request *req, const char *name);
/* A field as a number, as request_query_int. */
int64_t form_int(struct request *req, const char *name, int64_t min, int64_t max, int64_t otherwise);

/* A form with files (enctype="multipart/form-data") comes as parts, one for each field, in the form's order. In a route
 * that is BODY_STREAMED, a file may be of any size.
 *
 * Example: a file with a title
 *
 *	static void take_upload(struct request *req)
 *	{
 *		struct form_part part;
 *		struct slice title = SLICE("");
 *		uint8_t piece[4096];
 *		size_t n, len = 0;
 *		if (!form_open_parts(req))
 *			return;
 *		while (part_next(req, &part)) {
 *			if (part.is_file)
 *				while ((n = part_read(req, piece, sizeof piece)))
 *					len += n; // or written somewhere
 *			else if (slice_eq(part.name, SLICE("title")))
 *				title = part_text(req, 200);
 *		}
 *		app_log(req, "an upload: %.*s, %u bytes", SLICE_ARG(title), (unsigned)len);
 *		reply_redirect(req, "/");
 *	}
 *
 * At most 64 parts, of whose header fields 1 KiB each; more is refused with 413, what is malformed with 400. A form that
 * breaks off fails the request as any body does. */
struct form_part {
	struct slice name;
	struct slice filename; /* as the client says: to be shown, never to be used as a path. May be empty */
	struct slice type;     /* what the client takes it for */
	bool is_file;          /* an empty one without a name: no file was chosen */
};

/* True when the body is a multipart form of this site; {{{csrf}}} must stand before the other fields. Otherwise the
 * request has been answered (400, 403 or 415) and the handler should return. */
bool form_open_parts(struct request *req);
/* The next part; what was not read of the one before is skipped. Its slices live until the next call, and are valid
 * UTF-8. False after the last one, and after a failure. Without form_open_parts() before, it is any program's form:
 * do so only where a request proves by other means who sends it. */
bool part_next(struct request *req, struct form_part *part);
/* The next `len` bytes of the part's content; fewer at its end, 0 then, and after a failure. */
size_t part_read(struct request *req, void *out, size_t len);
/* All of it as form_text() gives a field's, in the request's memory; over `len_max` bytes (at most 8000) are refused
 * with 413. */
struct slice part_text(struct request *req, size_t len_max);
/* The number of characters (code points) of a text, for length checks. */
size_t text_length(struct slice text);

/* The template pages/NAME.html; "blog/entry" is PAGE(blog_entry). */
#define PAGE(name) (&page_template_##name)

/* --- Answers ----------------------------------------------------------------------------------
 * One for each request; a second one is a misuse. A status is 200 to 599. What a reply_ call is given by slice or
 * pointer is not copied: it lives as long as the request, or longer, as what the calls here give does.
 *
 * Example: bytes with header fields of their own
 *
 *	static void show_cover(struct request *req)
 *	{
 *		static const uint8_t pixel[] = {'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0, 0, 0, ';'};
 *		if (request_query_int(req, "id", 1, 9, 1) > 1) {
 *			reply_error(req, 404, "There is no such cover.");
 *			return;
 *		}
 *		reply_header(req, "Link", slice_from_cstr(asset_path("style.css")));
 *		reply_header(req, "Cache-Control", SLICE("max-age=3600"));
 *		reply_bytes(req, 200, "image/gif", slice_of(pixel, sizeof pixel));
 *	}
 *
 * Example: a feed from pages/feed.mustache, that is sent to nobody twice
 *
 *	static void send_feed(struct request *req)
 *	{
 *		struct page_value *data = page_data(req);
 *		db_rows_into(req, data, "books", "SELECT id, title FROM book ORDER BY id DESC LIMIT 20");
 *		reply_page_as(req, 200, "application/atom+xml", PAGE(feed), data);
 *		reply_etag(req);
 *	}
 */
/* An object for a page's values, in the request's arena. What is put into it (page/value.h) is not copied. */
struct page_value *page_data(struct request *req);
void reply_page(struct request *req, int status, const struct page_template *page,
	const struct page_value *data);
/* The same for a template that is no HTML page, "application/atom+xml" say. Its values are escaped as in HTML, which is
 * right for XML, too. */
void reply_page_as(struct request *req, int status, const char *content_type,
	const struct page_template *page, const struct page_value *data);
/* "text/plain; charset=utf-8". */
void reply_text(struct request *req, int status, struct slice text);
/* The type may be NULL: the answer says none. */
void reply_bytes(struct request *req, int status, const char *content_type, struct slice bytes);
/* 303 See Other: after a form that did something, so that a reload does not do it again. */
void reply_redirect(struct request *req, const char *location);
/* The error page for a status of 400 to 599, with a sentence for people (may be NULL).
 * An application brings its own as templates: pages/404.html for that status, pages/error.html for those that have none.
 * They get {{status}}, {{reason}} ("Not Found"), {{path}} and {{sentence}}, and answer what Ingot refuses by itself as
 * well (404, 405, 413, 500, 503, ...), but not requests that could not be understood. When one cannot be shown, the
 * built-in page is. With such a page, a client that asks for JSON (Accept: application/json, and no HTML) gets
 * {"type":"about:blank","title":REASON,"status":STATUS,"detail":SENTENCE} as application/problem+json. */
void reply_error(struct request *req, int status, const char *sentence);
/* After an answer of status 200 to GET (and HEAD) that was given as a whole: adds a strong ETag made of its bytes. A client
 * that says it has just these (If-None-Match) is answered with 304 and no body; If-Match with another tag, with 412. Costs
 * a look at each byte, and spares sending them. */
void reply_etag(struct request *req);
/* A header field besides those that Ingot writes itself (Date, Connection, Content-Length, Transfer-Encoding); before
 * or after the reply_ call, but before the first reply_write. At most 16 KiB of them. A control character in it fails
 * the request: nobody can split a response. */
void reply_header(struct request *req, const char *name, struct slice value);

/* asset_path("css/site.css"), of "static.h" that the build makes: the path of static/css/site.css with the content's
 * fingerprint, as {{asset css/site.css}} in a page (docs/assets.md); const char *, static. A name that there is not is
 * an error of the build, and so is one that is no literal. */

/* --- Cookies ----------------------------------------------------------------------------------
 * Whatever is not said is as safe as it can be: the cookie goes to this host alone, with requests that come from its own
 * pages or by a link, and scripts do not see it.
 *
 * Example: a choice that is kept for a year
 *
 *	static void show_theme(struct request *req)
 *	{
 *		struct slice theme = request_cookie(req, "theme");
 *		reply_text(req, 200, theme.len ? theme : SLICE("light"));
 *	}
 *
 *	static void set_theme(struct request *req)
 *	{
 *		bool dark = slice_eq(request_param(req, "name"), SLICE("dark"));
 *		reply_cookie(req, "theme", dark ? SLICE("dark") : SLICE("light"),
 *			&(struct cookie_options){.max_age_s = 365 * 86400, .for_scripts = true});
 *		reply_redirect(req, "/theme");
 *	}
 *
 *	static void forget_theme(struct request *req)
 *	{
 *		reply_cookie_delete(req, "theme", NULL);
 *		reply_redirect(req, "/theme");
 *	}
 */
enum cookie_same_site {
	COOKIE_LAX,      /* also when somebody follows a link from another site */
	COOKIE_STRICT,   /* from pages of this site only */
	COOKIE_ANY_SITE, /* takes `secure` */
};

struct cookie_options {
	const char *path;   /* and below; NULL: "/" */
	const char *domain; /* it and its subdomains; NULL: this host only */
	int64_t max_age_s;  /* how long it is kept, of which browsers take 400 days; 0: until the browser is closed */
	int64_t expires_s;  /* the same as a time since 1970; 0: none */
	enum cookie_same_site same_site;
	bool secure;        /* over TLS only */
	bool for_scripts;   /* scripts see it: without HttpOnly */
};

/* Sets a cookie. The name is a token (letters, digits, - and _ are good); the value visible ASCII without blanks,
 * quotes, commas, semicolons and backslashes; together at most 4096 bytes, and copied. What a browser would refuse is a
 * misuse: these, a "__Host-" or "__Secure-" name without what it takes, COOKIE_ANY_SITE without `secure`.
 * `options` may be NULL. Before or after the reply_ call. */
void reply_cookie(struct request *req, const char *name, struct slice value, const struct cookie_options *options);
/* Has the browser forget it: path and domain (and for those names, `secure`) are as when it was set. */
void reply_cookie_delete(struct request *req, const char *name, const struct cookie_options *options);

/* --- Answers piece by piece -------------------------------------------------------------------
 * For what is long, has no end, or should be seen while it is made.
 *
 * Example: all rows, however many; a length that is known; page after page
 *
 *	static void send_csv(struct request *req)
 *	{
 *		if (!reply_begin(req, 200, "text/csv"))
 *			return;
 *		struct db_rows *rows = db_query(req, "SELECT id, title FROM book ORDER BY id");
 *		while (db_next(rows) && reply_writef(req, "%ld,%.*s\n", (long)db_int(rows, 0), SLICE_ARG(db_text(rows, 1))))
 *			;
 *	}
 *
 *	static void send_zeros(struct request *req)
 *	{
 *		static const uint8_t piece[1000];
 *		if (!reply_begin_length(req, 200, "application/octet-stream", 100 * sizeof piece))
 *			return;
 *		for (int i = 0; i < 100 && reply_write(req, slice_of(piece, sizeof piece)); i++)
 *			;
 *	}
 *
 *	static void send_cards(struct request *req)
 *	{
 *		uint8_t memory[2048];
 *		struct arena arena;
 *		arena_init(&arena, memory, sizeof memory, NULL, 0);
 *		if (!reply_begin(req, 200, "text/html; charset=utf-8") || !reply_write(req, SLICE("<!doctype html>")) ||
 *			!reply_flush(req)) // the client sees that it has begun
 *			return;
 *		for (int64_t i = 1; i <= request_query_int(req, "n", 1, 1000, 3); i++) {
 *			struct page_value *data = page_object(&arena);
 *			page_set_int(data, "number", i);
 *			reply_write_page(req, PAGE(card), data);
 *			if (i == 500)
 *				reply_cut(req); // something is wrong here
 *			arena_reset(&arena);
 *		}
 *	}
 *
 * What is written is copied, and sent when some 8 KiB have come together or at reply_flush. A call waits while the
 * client is slower than the handler, so an answer of any length takes some 64 KiB of memory (up to 264 KiB in a large
 * machine); others go on meanwhile. A client that takes nothing for 30 s is cut off, or for half a second while others
 * wait for the fiber or for what the request holds of the database. The answer ends when the handler returns.
 * Each piece waits until all that the request has read and committed is durable: what a client sees is so. What is
 * not committed yet should not be told.
 * After a failure (of the database, say) the client gets an error page if nothing has been sent; else its connection
 * is cut before the end, so that it does not take what it has for the whole.
 * A statement that runs while pieces are taken is not subject to the 30 s that others have, unless it stands in a
 * transaction. As many handlers may stream at a time as leave a quarter of the fibers to others. One more takes the place
 * of a client that does not get on, or is answered with 503. */

/* Begins an answer: status 200 to 599; the type may be NULL. Header fields are given before the first reply_write.
 * HTTP/1.1 clients get it in chunks, older ones until the connection's end. False when there can be none: the request
 * has failed. */
bool reply_begin(struct request *req, int status, const char *content_type);
/* The same for just `len` bytes. One more, or fewer at the end, cut the connection. */
bool reply_begin_length(struct request *req, int status, const char *content_type, uint64_t len);
/* Any number of bytes. False when nobody wants more (the client has gone; it asked for the head only; the request
 * has failed): the handler may return. May wait. */
bool reply_write(struct request *req, struct slice bytes);
/* As app_log formats; at most 1024 bytes. */
bool reply_writef(struct request *req, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A piece that a template makes, escaped as always. `data` may lie anywhere: a loop over many rows does best with an
 * arena of its own, in a buffer on the stack, which it resets for each. */
bool reply_write_page(
	struct request *req, const struct page_template *page, const struct page_value *data);
/* Sends what has been written up to now, at once. */
bool reply_flush(struct request *req);
/* The answer cannot be completed: the client is told so, by an error page or a cut connection. */
void reply_cut(struct request *req);

/* --- Server-sent events -----------------------------------------------------------------------
 * For a page's EventSource, which connects again by itself and says what it has seen last.
 *
 * Example: each new book, as it is added; and the time, once a second
 *
 *	static void send_news(struct request *req)
 *	{
 *		int64_t last = event_last_id(req);
 *		if (!event_begin(req))
 *			return;
 *		do {
 *			struct db_rows *rows = db_query(req, "SELECT id, title FROM book WHERE id > ? ORDER BY id", last);
 *			while (db_next(rows)) {
 *				last = db_int(rows, 0);
 *				event_send(req, &(struct app_event){.id = last, .data = db_text(rows, 1)});
 *			}
 *		} while (event_wait_change(req));
 *	}
 *
 *	static void send_time(struct request *req)
 *	{
 *		char text[24];
 *		if (!event_begin(req))
 *			return;
 *		do {
 *			struct writer w = writer_of(text, sizeof text);
 *			write_dec(&w, (uint64_t)request_time(req));
 *			event_send(req, &(struct app_event){.type = "time", .data = writer_slice(&w)});
 *		} while (event_wait(req, 1000));
 *	}
 *
 * Each such client takes a fiber for as long as it stays, and no connection of the database while it waits. */
struct app_event {
	int64_t id;       /* 0: none; not below */
	const char *type; /* NULL: "message". Without line ends */
	struct slice data; /* text; it may have several lines */
	uint32_t retry_ms; /* how long the client waits before it connects again; 0: as it likes */
};

/* The id of the last event that the client has seen, which it says when it comes again; 0: none. */
int64_t event_last_id(struct request *req);
/* Begins a stream of events, and has its head sent. False as reply_begin, and for HEAD. */
bool event_begin(struct request *req);
/* Sends one. False when the client has gone, or after a failure. May wait. */
bool event_send(struct request *req, const struct app_event *event);
/* Waits so long. A comment is sent every 15 s, so that a client that has gone without a word is noticed. False when
 * it has gone (or has closed its side), and when the machine is about to stop: the handler should return. */
bool event_wait(struct request *req, uint32_t ms);
/* Waits until something, whatever it is, has been committed that the queries so far have not seen. Gives the
 * database back meanwhile, with what was open. False also when it fails. */
bool event_wait_change(struct request *req);

/* Writes to the log as this application's, at level info; at most 400 bytes. Formats are those of write_format (base/cursor.h):
 * %d %u %x, with l before them for 64 bits, %c %s %.*s %p %%; no widths, and no floating point. What does not fit, or has another
 * format, is cut before that, and a line says so. */
void app_log(struct request *req, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* --- The database -----------------------------------------------------------------------------
 * Real SQLite. What stands in queries/ is called by its name, with typed arguments and rows; what
 * stands here as a literal is checked by the build as well (docs/sql.md). `?` stands for a value; values are never pasted into SQL. A change is on stable
 * storage before the answer leaves, together with those of all requests that were waiting.
 * In an application without migrations/ each of these calls is a misuse.
 *
 * Example: rows, on a page, one by one, and of any query
 *
 *	static void list_books(struct request *req)
 *	{
 *		struct page_value *data = page_data(req);
 *		size_t n = db_rows_into(req, data, "books", "SELECT id, title, price FROM book ORDER BY title LIMIT 50");
 *		page_set_int(data, "count", (int64_t)n);
 *		reply_page(req, 200, PAGE(books), data);
 *	}
 *
 *	static void show_columns(struct request *req)
 *	{
 *		struct db_rows *rows = db_query(req, "SELECT title, price, cover FROM book WHERE price > ? LIMIT 1", 0.5);
 *		if (db_next(rows))
 *			reply_text(req, 200, arena_format(request_arena(req), "%u columns, %.*s: %.*s, %ld cents, %u bytes%s\n",
 *				db_column_count(rows), SLICE_ARG(db_column_name(rows, 0)), SLICE_ARG(db_text(rows, 0)),
 *				(long)(db_real(rows, 1) * 100), (unsigned)db_blob(rows, 2).len, db_is_null(rows, 2) ? " (none)" : ""));
 *		else
 *			reply_error(req, 404, "There is no book that costs something.");
 *		db_end(rows); // would end by itself
 *	}
 *
 * Example: changes; a constraint that may stand against one; what was changed
 *
 *	static void add_book(struct request *req)
 *	{
 *		struct slice title = request_query(req, "title");
 *		if (!db_try(req, "INSERT INTO book (title, price, cover) VALUES (?, ?, ?)", title, 9.5, db_null()))
 *			reply_error(req, 409, "There is a book of that title.");
 *		else
 *			reply_text(req, 201, arena_format(request_arena(req), "book %ld\n", (long)db_last_id(req)));
 *	}
 *
 *	static void change_price(struct request *req)
 *	{
 *		db_run(req, "UPDATE book SET price = ? / 100.0 WHERE id = ?", request_query_int(req, "cents", 0, 99999, 950),
 *			request_param(req, "id"));
 *		if (db_changes(req))
 *			reply_redirect(req, "/books");
 *		else
 *			reply_error(req, 404, NULL);
 *	}
 *
 * Example: several statements as one change
 *
 *	static void order(struct request *req)
 *	{
 *		db_begin(req);
 *		db_run(req, "UPDATE book SET price = price + 1");
 *		if (db_changes(req) < 1)
 *			db_rollback(req);
 *		else if (db_commit(req) && db_wait_durable(req))
 *			app_log(req, "the dearer books are safe"); // and may be told elsewhere
 *		reply_redirect(req, "/books");
 *	}
 *
 *	static bool swap_prices(struct request *req, void *context)
 *	{
 *		bool *done = context;
 *		*done = db_run(req, "UPDATE book SET price = (SELECT sum(price) FROM book WHERE id < 3) - price WHERE id < 3");
 *		return *done;
 *	}
 *
 *	static void swap(struct request *req)
 *	{
 *		bool done = false, optimistic = request_query(req, "wait").len == 0;
 *		if (optimistic ? db_transaction_optimistic(req, swap_prices, &done) : db_transaction(req, swap_prices, &done))
 *			reply_redirect(req, "/books");
 *	}
 *
 *	static void draft(struct request *req)
 *	{
 *		db_begin(req);
 *		db_run(req, "INSERT INTO book (title, price) VALUES ('A draft', 1.0)");
 *		db_savepoint(req);
 *		db_run(req, "UPDATE book SET price = 0.0");
 *		db_savepoint_undo(req); // only the prices
 *		db_savepoint(req);
 *		db_run(req, "UPDATE book SET price = price * 2 WHERE title = 'A draft'");
 *		db_savepoint_release(req);
 *		db_commit(req);
 *		reply_redirect(req, "/books");
 *	}
 *
 *	static void report(struct request *req)
 *	{
 *		int64_t books = 0, dear = 0;
 *		db_begin_read(req); // both see the same books
 *		struct db_rows *rows = db_query(req, "SELECT count(*) FROM book");
 *		books = db_next(rows) ? db_int(rows, 0) : 0;
 *		rows = db_query(req, "SELECT count(*) FROM book WHERE price > ?", 5);
 *		dear = db_next(rows) ? db_int(rows, 0) : 0;
 *		reply_text(req, 200, arena_format(request_arena(req), "%ld of %ld\n", (long)dear, (long)books));
 *	}
 *
 * Example: a blob in pieces
 *
 *	static void scan(struct request *req)
 *	{
 *		int64_t id = 0;
 *		uint8_t first[4] = {0};
 *		struct db_rows *rows = db_query(req, "SELECT id FROM book WHERE id = ?", request_param(req, "id"));
 *		if (db_next(rows))
 *			id = db_int(rows, 0);
 *		db_end(rows);
 *		db_run(req, "UPDATE book SET cover = ? WHERE id = ?", db_zeros(100000), id);
 *		struct db_blob *cover = db_blob_open_to_write(req, "book", "cover", id);
 *		if (!cover) {
 *			reply_error(req, 404, NULL);
 *			return;
 *		}
 *		for (size_t at = 0; at < db_blob_len(cover); at += 4)
 *			db_blob_write(cover, at, SLICE("scan"));
 *		db_blob_close(cover);
 *		cover = db_blob_open(req, "book", "cover", id);
 *		db_blob_read(cover, 99996, first, sizeof first);
 *		db_blob_close(cover);
 *		reply_text(req, 200, arena_copy(request_arena(req), slice_of(first, sizeof first)));
 *	}
 */
struct db_value {
	enum { DB_NULL, DB_INT, DB_REAL, DB_TEXT, DB_BLOB, DB_ZEROS } type;
	union {
		int64_t integer;
		double real;
		struct slice bytes;
	};
};

struct db_rows; /* a running query */

/* db_rows *db_query(req, "SELECT a FROM t WHERE b = ?", b); values may be integers, doubles, C
 * strings (NULL is SQL's NULL), slices (as text), db_value_blob(), db_null() and db_zeros(); at most sixteen.
 * The result ends by itself with the request, or at db_end(). NULL after a failure, which all that takes rows accepts:
 * there are none then. */
#define db_query(req, sql, ...) db_query_values(req, sql, DB_VALUES(__VA_ARGS__))
struct db_rows *db_query_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values);
/* Moves to the next row, the first one at first; false after the last. */
bool db_next(struct db_rows *rows);
/* Columns count from 0; one that the rows have not is a misuse. A value of another type is converted as SQLite does, and
 * NULL is 0 or empty. Text and blobs live until the next db_next: arena_copy() what is to be shown later. */
int64_t db_int(struct db_rows *rows, unsigned column);
double db_real(struct db_rows *rows, unsigned column);
struct slice db_text(struct db_rows *rows, unsigned column);
struct slice db_blob(struct db_rows *rows, unsigned column); /* of a BLOB */
bool db_is_null(struct db_rows *rows, unsigned column);
unsigned db_type(struct db_rows *rows, unsigned column); /* DB_NULL, DB_INT, DB_REAL, DB_TEXT or DB_BLOB */
unsigned db_column_count(struct db_rows *rows);
struct slice db_column_name(struct db_rows *rows, unsigned column); /* until the query's end */
void db_end(struct db_rows *rows);

/* Runs a statement that gives no rows; true when it was carried out. Otherwise the request has failed. */
#define db_run(req, sql, ...) db_run_values(req, sql, DB_VALUES(__VA_ARGS__))
bool db_run_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values);

/* The same, for a statement that a constraint (UNIQUE, CHECK, ...) may stand against: false then, and
 * the request goes on. */
#define db_try(req, sql, ...) db_try_values(req, sql, DB_VALUES(__VA_ARGS__))
bool db_try_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values);

/* Of the request's last INSERT: the new row's id. Of its last change: the number of rows. */
int64_t db_last_id(struct request *req);
int64_t db_changes(struct request *req);

/* Runs a query and puts its rows into `data` as a list of objects whose names are the columns'
 * names, ready for {{#name}}. The number of rows. They are copied, so they are as many as a request's memory holds, some
 * thousand short ones; more is a 503 and a line in the log: use LIMIT, or reply_begin. */
#define db_rows_into(req, data, name, sql, ...)                                                    \
	db_rows_into_values(req, data, name, sql, DB_VALUES(__VA_ARGS__))
size_t db_rows_into_values(struct request *req, struct page_value *data, const char *name,
	const char *sql, size_t count, const struct db_value *values);

/* Several statements as one change: all of it happens or nothing. Not ended by db_commit(), it is
 * undone when the handler returns. db_begin waits until no other request is writing. */
bool db_begin(struct request *req);
bool db_commit(struct request *req);
void db_rollback(struct request *req); /* and closes what is open */
/* Several queries that see the same state, however much others write meanwhile; ended by db_commit or the handler's
 * end. */
bool db_begin_read(struct request *req);

/* Waits until all that this request has read and committed is safe on the volume. An answer does so by itself; this is for
 * an effect elsewhere that must not come before, or between two changes. False when it could not be made safe, or
 * within a transaction: the request fails. */
bool db_wait_durable(struct request *req);

/* The same as a function: `run` does its work and returns true to have it committed, false to have it undone. True
 * when it was committed. Called within another, it is a savepoint: false undoes only what it did itself. The
 * optimistic one does not wait for other writers before it writes, which serves long ones that read much first;
 * when another has changed something meanwhile, `run` is called again, so it must do nothing that may not be done
 * twice (an answer counts once: give it after). */
bool db_transaction(
	struct request *req, bool (*run)(struct request *req, void *context), void *context);
bool db_transaction_optimistic(
	struct request *req, bool (*run)(struct request *req, void *context), void *context);

/* Points in a transaction, which nest: each is closed by keeping or by undoing what was done since. */
bool db_savepoint(struct request *req);
bool db_savepoint_release(struct request *req);
bool db_savepoint_undo(struct request *req);

/* A blob or text in pieces, of any size: `column` of the row with this id (rowid) of `table`. NULL when there is no
 * such row. It cannot grow: insert it as db_zeros(len), then write. Closed at the request's end at the latest;
 * outside of a transaction closing commits what was written. */
struct db_blob;
struct db_blob *db_blob_open(
	struct request *req, const char *table, const char *column, int64_t row);
struct db_blob *db_blob_open_to_write(
	struct request *req, const char *table, const char *column, int64_t row);
size_t db_blob_len(struct db_blob *blob);
bool db_blob_read(struct db_blob *blob, size_t offset, void *out, size_t len);
bool db_blob_write(struct db_blob *blob, size_t offset, struct slice bytes);
bool db_blob_close(struct db_blob *blob);

static inline struct db_value db_value_int(int64_t v)
{
	return (struct db_value){.type = DB_INT, .integer = v};
}

static inline struct db_value db_value_real(double v)
{
	return (struct db_value){.type = DB_REAL, .real = v};
}

static inline struct db_value db_value_slice(struct slice v)
{
	return (struct db_value){.type = DB_TEXT, .bytes = v};
}

static inline struct db_value db_value_self(struct db_value v)
{
	return v;
}

static inline struct db_value db_value_blob(struct slice v)
{
	return (struct db_value){.type = DB_BLOB, .bytes = v};
}

static inline struct db_value db_null(void)
{
	return (struct db_value){.type = DB_NULL};
}

/* A blob of so many zero bytes, at most 1 GB. */
static inline struct db_value db_zeros(uint32_t len)
{
	return (struct db_value){.type = DB_ZEROS, .integer = len};
}

static inline struct db_value db_value_cstr(const char *v)
{
	return v ? db_value_slice(slice_of(v, __builtin_strlen(v)))
		 : (struct db_value){.type = DB_NULL};
}

API_END

/* The value of any supported C type. */
#define DB_VALUE(x)                                                                                \
	_Generic((x),                                                                              \
		struct db_value: db_value_self,                                                    \
		struct slice: db_value_slice,                                                      \
		char *: db_value_cstr,                                                             \
		const char *: db_value_cstr,                                                       \
		float: db_value_real,                                                              \
		double: db_value_real,                                                             \
		default: db_value_int)(x)

/* DB_VALUES(a, b) is `2, (struct db_value[]){...}`; up to sixteen values. */
#define DB_VALUES(...)                                                                             \
	DB_COUNT(__VA_ARGS__),                                                                     \
		(const struct db_value[])                                                          \
		{                                                                                  \
			DB_EACH(DB_COUNT(__VA_ARGS__), __VA_ARGS__)                                \
		}
#define DB_COUNT(...)                                                                              \
	DB_PICK(__VA_OPT__(__VA_ARGS__, ) 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define DB_PICK(...) DB_PICK_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
#define DB_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q, n, ...) n
#define DB_EACH(n, ...) DB_EACH_(n, __VA_ARGS__)
#define DB_EACH_(n, ...) DB_EACH_##n(__VA_ARGS__)
#define DB_EACH_0(...) {.type = DB_NULL}
#define DB_EACH_1(a) DB_VALUE(a)
#define DB_EACH_2(a, ...) DB_VALUE(a), DB_EACH_1(__VA_ARGS__)
#define DB_EACH_3(a, ...) DB_VALUE(a), DB_EACH_2(__VA_ARGS__)
#define DB_EACH_4(a, ...) DB_VALUE(a), DB_EACH_3(__VA_ARGS__)
#define DB_EACH_5(a, ...) DB_VALUE(a), DB_EACH_4(__VA_ARGS__)
#define DB_EACH_6(a, ...) DB_VALUE(a), DB_EACH_5(__VA_ARGS__)
#define DB_EACH_7(a, ...) DB_VALUE(a), DB_EACH_6(__VA_ARGS__)
#define DB_EACH_8(a, ...) DB_VALUE(a), DB_EACH_7(__VA_ARGS__)
#define DB_EACH_9(a, ...) DB_VALUE(a), DB_EACH_8(__VA_ARGS__)
#define DB_EACH_10(a, ...) DB_VALUE(a), DB_EACH_9(__VA_ARGS__)
#define DB_EACH_11(a, ...) DB_VALUE(a), DB_EACH_10(__VA_ARGS__)
#define DB_EACH_12(a, ...) DB_VALUE(a), DB_EACH_11(__VA_ARGS__)
#define DB_EACH_13(a, ...) DB_VALUE(a), DB_EACH_12(__VA_ARGS__)
#define DB_EACH_14(a, ...) DB_VALUE(a), DB_EACH_13(__VA_ARGS__)
#define DB_EACH_15(a, ...) DB_VALUE(a), DB_EACH_14(__VA_ARGS__)
#define DB_EACH_16(a, ...) DB_VALUE(a), DB_EACH_15(__VA_ARGS__)

#endif
