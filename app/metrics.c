/* What happens in the machine, in Prometheus' text exposition format 0.0.4 (METRICS in ingot.h; docs/operations.md).
 *
 * 1. For each route there is a row of counters of a fixed size, made at the start: two more are for files and for what no
 *    route fits. An answer costs a few additions to its row (metrics_answered); the rest is work of who asks.
 * 2. A duration counts from the request's first byte, also while its connection waits for an exchange, until the
 *    answer's last byte has been handed to TCP: what the network and the client take after that is not in it.
 * 3. The text is streamed, and its handler may park between any two lines. What belongs together (a row) is copied
 *    first, so a histogram agrees with itself. */
#include <app/ingot.h>

#include <app/database.h>
#include <base/cursor.h>

#include "server.h"

#include <string.h>

enum { ROWS_BESIDES = 2, CLASSES = 5, LINE_MAX = 512, COUNTERS_MAX = 4096 };

/* Upper bounds of the buckets; the last one has none. */
static const struct {
	uint64_t ns;
	char seconds[8];
} bound[] = {
	{100000, "0.0001"}, {250000, "0.00025"}, {500000, "0.0005"}, {1000000, "0.001"}, {2500000, "0.0025"},
	{5000000, "0.005"}, {10000000, "0.01"}, {25000000, "0.025"}, {50000000, "0.05"}, {100000000, "0.1"},
	{250000000, "0.25"}, {500000000, "0.5"}, {1000000000, "1"}, {2500000000, "2.5"}, {5000000000, "5"},
	{10000000000, "10"},
};
#define BUCKETS (ARRAY_LEN(bound) + 1)

struct row {
	uint64_t bucket[BUCKETS]; /* answers; not cumulative */
	uint64_t duration_ns, bytes_body, bytes_copied;
	uint64_t class[CLASSES];  /* answers, by the status' first digit */
};

struct http_metrics {
	struct observer observer;
	struct server *server;
	struct row row[]; /* of the routes, then of files, then of the rest */
};

static size_t metrics_memory_size(const struct server_config *config)
{
	return sizeof(struct http_metrics) + (*config->manifest->route_count + ROWS_BESIDES) * sizeof(struct row);
}

static struct row *row_of(struct http_metrics *m, const struct request *req)
{
	switch ((enum request_target)req->target) {
	case TARGET_ROUTE: return &m->row[req->match.index];
	case TARGET_FILE: return &m->row[m->server->route_count];
	case TARGET_NONE: break;
	}
	return &m->row[m->server->route_count + 1];
}

static void metrics_answered(struct observer *o, const struct exchange *x, uint16_t status)
{
	struct http_metrics *m = CONTAINER_OF(o, struct http_metrics, observer);
	struct row *row = row_of(m, &x->request);
	uint64_t ns = exchange_duration_ns(x);
	size_t i = 0;
	while (i < ARRAY_LEN(bound) && ns > bound[i].ns)
		i++;
	row->bucket[i]++;
	row->duration_ns += ns;
	row->bytes_body += x->request.bytes_body;
	row->bytes_copied += x->request.bytes_copied;
	row->class[status < 500 ? status / 100 - 1 : CLASSES - 1]++;
}

static err metrics_start(struct server *s, void *memory)
{
	struct http_metrics *m = memory;
	if (s->metrics)
		return OK; /* a second such route */
	memset(m, 0, metrics_memory_size(&s->config));
	m->server = s;
	m->observer = (struct observer){.next = s->observers, .answered = metrics_answered};
	s->observers = &m->observer;
	s->metrics = m;
	return OK;
}

const struct app_service app_service_metrics = {.memory_size = metrics_memory_size, .start = metrics_start};

/* --- The text --------------------------------------------------------------------------------- */

struct text {
	struct request *req;
	struct http_metrics *metrics;
	struct writer line;
	uint8_t bytes[LINE_MAX];
};

static struct writer *line_begin(struct text *t)
{
	t->line = writer_of(t->bytes, sizeof t->bytes);
	return &t->line;
}

/* A line that would not fit is left out: there is none, but for patterns of hundreds of bytes. */
static void line_end(struct text *t)
{
	write_u8(&t->line, '\n');
	if (!t->line.failed)
		reply_write(t->req, writer_slice(&t->line));
}

static void words(struct text *t, const char *a, const char *b, const char *c)
{
	struct writer *w = line_begin(t);
	const char *const part[] = {a, b, " ", c};
	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		write_bytes(w, slice_from_cstr(part[i]));
	line_end(t);
}

static void family(struct text *t, const char *name, const char *type, const char *help)
{
	if (help)
		words(t, "# HELP ", name, help);
	words(t, "# TYPE ", name, type);
}

static void label_write(struct writer *w, const char *name, struct slice value)
{
	write_bytes(w, slice_from_cstr(name));
	write_bytes(w, SLICE("=\""));
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.ptr[i];
		if (c == '\\' || c == '"' || c == '\n')
			write_u8(w, '\\');
		write_u8(w, c == '\n' ? 'n' : c);
	}
	write_u8(w, '"');
}

static void seconds_write(struct writer *w, uint64_t ns)
{
	write_dec(w, ns / 1000000000);
	write_u8(w, '.');
	write_dec_padded(w, ns % 1000000000, 9);
}

static void value_line(struct text *t, const char *name, uint64_t value)
{
	struct writer *w = line_begin(t);
	write_bytes(w, slice_from_cstr(name));
	write_u8(w, ' ');
	write_dec(w, value);
	line_end(t);
}

static void gauge(struct text *t, const char *name, uint64_t value, const char *help)
{
	family(t, name, "gauge", help);
	value_line(t, name, value);
}

static void counter(struct text *t, const char *name, uint64_t value, const char *help)
{
	family(t, name, "counter", help);
	value_line(t, name, value);
}

/* --- By route --------------------------------------------------------------------------------- */

/* `name` and the labels of row i, without the closing brace. */
static struct writer *row_line(struct text *t, const char *name, const char *suffix, uint32_t i)
{
	const struct server *s = t->metrics->server;
	struct writer *w = line_begin(t);
	write_bytes(w, slice_from_cstr(name));
	write_bytes(w, slice_from_cstr(suffix));
	write_u8(w, '{');
	if (i < s->route_count) {
		label_write(w, "method", http_method_name(s->routes[i].method));
		write_u8(w, ',');
		label_write(w, "route", s->routes[i].pattern);
	} else {
		label_write(w, "route", i == s->route_count ? SLICE("files") : SLICE("none"));
	}
	return w;
}

static void row_value(struct text *t, const char *name, const char *suffix, uint32_t i, uint64_t value)
{
	struct writer *w = row_line(t, name, suffix, i);
	write_bytes(w, SLICE("} "));
	write_dec(w, value);
	line_end(t);
}

static uint64_t answers_of(const struct row *row)
{
	uint64_t n = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		n += row->bucket[i];
	return n;
}

static void histogram(struct text *t, const char *name, uint32_t i)
{
	const struct row row = t->metrics->row[i];
	uint64_t below = 0;
	struct writer *w;
	for (size_t k = 0; k < BUCKETS; k++) {
		below += row.bucket[k];
		w = row_line(t, name, "_bucket", i);
		write_u8(w, ',');
		label_write(w, "le", k < ARRAY_LEN(bound) ? slice_from_cstr(bound[k].seconds) : SLICE("+Inf"));
		write_bytes(w, SLICE("} "));
		write_dec(w, below);
		line_end(t);
	}
	w = row_line(t, name, "_sum", i);
	write_bytes(w, SLICE("} "));
	seconds_write(w, row.duration_ns);
	line_end(t);
	row_value(t, name, "_count", i, below);
}

static void classes(struct text *t, const char *name, uint32_t i)
{
	for (size_t k = 1; k < CLASSES; k++) { /* 1xx is no answer */
		uint64_t value = t->metrics->row[i].class[k];
		struct writer *w = row_line(t, name, "", i);
		uint8_t class[] = {(uint8_t)('1' + k), 'x', 'x'};
		write_u8(w, ',');
		label_write(w, "code", slice_of(class, sizeof class));
		write_bytes(w, SLICE("} "));
		write_dec(w, value);
		line_end(t);
	}
}

static void routes_write(struct text *t)
{
	uint32_t count = t->metrics->server->route_count + ROWS_BESIDES;
	const char *duration = "http_request_duration_seconds", *responses = "http_responses_total",
		*body = "http_response_body_bytes", *copied = "http_response_copied_bytes";
	family(t, duration, "histogram",
		"From the first byte of a request until the last byte of its answer has been handed to TCP.");
	for (uint32_t i = 0; i < count; i++)
		histogram(t, duration, i);
	family(t, responses, "counter", "Answers by their status, 4xx with those whose client left before.");
	for (uint32_t i = 0; i < count; i++)
		classes(t, responses, i);
	family(t, body, "summary", "Bytes of the body of an answer.");
	for (uint32_t i = 0; i < count; i++) {
		const struct row row = t->metrics->row[i];
		row_value(t, body, "_sum", i, row.bytes_body);
		row_value(t, body, "_count", i, answers_of(&row));
	}
	family(t, copied, "summary", "Bytes of an answer that the processor has copied; all others are sent from where they lie.");
	for (uint32_t i = 0; i < count; i++) {
		const struct row row = t->metrics->row[i];
		row_value(t, copied, "_sum", i, row.bytes_copied);
		row_value(t, copied, "_count", i, answers_of(&row));
	}
}

/* --- The machine ------------------------------------------------------------------------------ */

static void server_write(struct text *t)
{
	const struct server *s = t->metrics->server;
	struct server_stats stats = server_stats(s);
	struct platform *p = s->config.loop->platform;
	int64_t started_ns = p->wall_ns(p) - (int64_t)p->now_ns(p);
	gauge(t, "process_start_time_seconds", started_ns > 0 ? (uint64_t)started_ns / 1000000000 : 0,
		"When the machine was started, since 1970.");
	gauge(t, "http_connections_open", stats.connections_open, NULL);
	gauge(t, "http_connections_queued", stats.connections_queued, "Connections whose request waits for memory.");
	gauge(t, "http_requests_waiting", stats.requests_waiting, "Requests that wait for a fiber, or for memory.");
	gauge(t, "http_requests_handled", s->handlers, "Requests whose handler runs, or whose answer waits for the disk.");
	counter(t, "http_connections_total", stats.connections, NULL);
	counter(t, "http_requests_total", stats.requests, "Requests whose head was understood.");
	counter(t, "http_exchange_waits_total", stats.exchange_waits, "Requests that found no memory and had to wait.");
	counter(t, "http_access_log_dropped_total", stats.access_log_dropped, "Lines of the access log that were left out.");
	counter(t, "http_shed_total", stats.shed, "Requests that were refused or ended for want of room.");
	counter(t, "http_refused_address_total", stats.refused_address, "Connections of a client that had as many as it may.");
	counter(t, "http_refused_proxy_total", stats.refused_proxy,
		"Connections that did not come from a trusted proxy, or began without a PROXY header.");
}

struct level {
	const char *name;
	struct pool pool; /* as it was a moment ago */
};

static void level_line(struct text *t, const char *name, const struct level *l, uint64_t value)
{
	struct writer *w = line_begin(t);
	write_bytes(w, slice_from_cstr(name));
	write_u8(w, '{');
	label_write(w, "pool", slice_from_cstr(l->name));
	write_bytes(w, SLICE("} "));
	write_dec(w, value);
	line_end(t);
}

static void pools_write(struct text *t)
{
	const struct server *s = t->metrics->server;
	const struct level level[] = {{"connections", s->connections}, {"requests", s->exchanges}, {"blocks", s->blocks},
		{"bodies", s->bodies}, {"fibers", s->config.loop->fibers}};
	family(t, "pool_items_used", "gauge", "Items of a pool that are in use.");
	for (size_t i = 0; i < ARRAY_LEN(level); i++)
		level_line(t, "pool_items_used", &level[i], level[i].pool.used);
	family(t, "pool_items_used_max", "gauge", "The most that were in use at a time.");
	for (size_t i = 0; i < ARRAY_LEN(level); i++)
		level_line(t, "pool_items_used_max", &level[i], level[i].pool.used_max);
	family(t, "pool_items", "gauge", "Items that a pool has.");
	for (size_t i = 0; i < ARRAY_LEN(level); i++)
		level_line(t, "pool_items", &level[i], level[i].pool.capacity);
	family(t, "pool_failures_total", "counter", "How often a pool was found empty.");
	for (size_t i = 0; i < ARRAY_LEN(level); i++)
		level_line(t, "pool_failures_total", &level[i], level[i].pool.failures);
}

static void net_write(struct text *t)
{
	const struct net *net = t->metrics->server->config.net;
	struct net_usage usage = net_usage(net);
	struct net_counter c;
	gauge(t, "tcp_connections", usage.connections, NULL);
	gauge(t, "tcp_half_open", usage.syns, NULL);
	gauge(t, "tcp_time_waits", usage.time_waits, NULL);
	gauge(t, "net_tx_frames_used", usage.tx_frames, NULL);
	gauge(t, "net_rx_frames_used", usage.rx_frames, NULL);
	for (uint32_t i = 0; net_counter_at(net, i, &c); i++) {
		char name[64];
		struct writer w = writer_of(name, sizeof name - 1);
		write_bytes(&w, slice_from_cstr(c.name));
		write_bytes(&w, SLICE("_total"));
		*w.pos = 0;
		counter(t, name, c.value, NULL);
	}
}

/* What the database's counters are called here, where that is not their name with _total behind. */
static const struct {
	char from[26], to[26];
	bool is_gauge;
} renamed[] = {
	{"store_read_only", "store_read_only", true},
	{"store_generation", "store_generation", true},
	{"store_generation_durable", "store_generation_durable", true},
	{"store_bytes_read", "store_read_bytes_total", false},
	{"store_bytes_written", "store_written_bytes_total", false},
	{"store_blocks", "store_blocks", true},
	{"store_blocks_free", "store_blocks_free", true},
	{"store_blocks_waiting", "store_blocks_waiting", true},
	{"sql_memory_used", "sql_memory_used_bytes", true},
	{"sql_memory_max", "sql_memory_max_bytes", true},
};

static void database_line(struct text *t, struct slice name, uint64_t value)
{
	char buffer[64];
	struct writer w = writer_of(buffer, sizeof buffer - 1);
	bool is_gauge = false;
	for (size_t i = 0; i < ARRAY_LEN(renamed) && !writer_len(&w); i++)
		if (slice_eq(name, slice_from_cstr(renamed[i].from))) {
			write_bytes(&w, slice_from_cstr(renamed[i].to));
			is_gauge = renamed[i].is_gauge;
		}
	if (!writer_len(&w)) {
		write_bytes(&w, name);
		write_bytes(&w, SLICE("_total"));
	}
	*w.pos = 0;
	(is_gauge ? gauge : counter)(t, buffer, value, NULL);
}

static void database_write(struct text *t)
{
	const struct server_config *config = &t->metrics->server->config;
	uint8_t *buffer = config->database ? arena_alloc(request_arena(t->req), COUNTERS_MAX) : NULL;
	if (!buffer)
		return;
	struct writer w = writer_of(buffer, COUNTERS_MAX);
	config->manifest->database->engine->counters(config->database, &w);
	for (struct slice rest = writer_slice(&w); rest.len;) {
		size_t end = slice_index(rest, '\n');
		struct slice line = slice_sub(rest, 0, end);
		size_t space = slice_index(line, ' ');
		uint64_t value;
		rest = slice_sub(rest, end + 1, rest.len);
		if (slice_to_u64(slice_sub(line, space + 1, line.len), &value))
			database_line(t, slice_sub(line, 0, space), value);
	}
}

void app_metrics(struct request *req)
{
	struct text t = {.req = req, .metrics = req->exchange->server->metrics};
	reply_header(req, "Cache-Control", SLICE("no-store"));
	if (!reply_begin(req, 200, "text/plain; version=0.0.4; charset=utf-8"))
		return;
	routes_write(&t);
	server_write(&t);
	pools_write(&t);
	net_write(&t);
	database_write(&t);
}
