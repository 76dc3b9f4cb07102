/* The access log (APP_ACCESS_LOG in ingot.h; docs/operations.md): a line for each answer, to the platform's log.
 *
 *   answered --room--> ring --the log's device takes it--> gone
 *       \--none--> left out, and counted; said when the ring is empty again
 *
 * 1. Nothing here waits. A line is made at once, since the request's head goes away, and put into a ring; the device is
 *    offered lines at the end of each round of the loop, as many as it takes.
 * 2. A line is ASCII without control bytes, whatever a client has sent, and what a client has sent cannot end the string
 *    in which it stands: so nobody forges a line, a member, or an escape sequence of a terminal. What is long is cut.
 * 3. Durations are those of metrics.c. */
#include <app/ingot.h>

#include <base/cursor.h>
#include <http/date.h>
#include <http/form.h>

#include "server.h"

#include <string.h>

enum {
	RING_SIZE = 64 << 10,
	LINE_MAX = 3072, /* the sum of what follows, and some */
	TARGET_MAX = 1024,
	FIELD_MAX = 512,
	ROUTE_MAX = 128,
	LONGEST_ESCAPE = 12, /* a character beyond 16 bits, in JSON */
	LINES_IN_A_ROUND = 64,
};
#define RETRY_NS UINT64_C(5000000) /* the device does not say when it has room again */

struct access_log {
	struct observer observer;
	struct loop_client client;
	struct timer retry;
	struct server *server;
	void (*line_write)(struct writer *w, const struct exchange *x, uint16_t status);
	uint32_t from, used; /* of the ring: lines, each behind its length in two bytes */
	uint64_t dropped_told;
	uint8_t ring[RING_SIZE];
};

/* --- Text that a client has sent -------------------------------------------------------------- */

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* True when a further character may not fit; then the text ends there. */
static bool text_ends(struct writer *w, const uint8_t *start, size_t max)
{
	if ((size_t)(w->pos - start) + LONGEST_ESCAPE <= max)
		return false;
	write_bytes(w, SLICE("..."));
	return true;
}

static void combined_text(struct writer *w, struct slice s, size_t max)
{
	const uint8_t *start = w->pos;
	if (!s.len)
		write_u8(w, '-');
	for (size_t i = 0; i < s.len && !text_ends(w, start, max); i++) {
		if (is_plain(s.ptr[i])) {
			write_u8(w, s.ptr[i]);
		} else {
			write_bytes(w, SLICE("\\x"));
			write_hex(w, s.ptr[i], 2);
		}
	}
}

/* The next character of valid UTF-8. */
static uint32_t character_next(struct slice s, size_t *at)
{
	uint8_t c = s.ptr[(*at)++];
	uint32_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	uint32_t character = more ? c & (0x3fu >> more) : c;
	while (more-- && *at < s.len)
		character = character << 6 | (s.ptr[(*at)++] & 0x3f);
	return character;
}

static void json_unit(struct writer *w, uint32_t unit)
{
	write_bytes(w, SLICE("\\u"));
	write_hex(w, unit, 4);
}

/* A string. Bytes that are no UTF-8 are taken for Latin-1. */
static void json_text(struct writer *w, struct slice s, size_t max)
{
	const uint8_t *start = w->pos;
	bool is_utf8 = http_utf8_is_valid(s);
	write_u8(w, '"');
	for (size_t i = 0; i < s.len && !text_ends(w, start, max);) {
		uint32_t c = is_utf8 ? character_next(s, &i) : s.ptr[i++];
		if (c < 0x80 && is_plain((uint8_t)c)) {
			write_u8(w, (uint8_t)c);
		} else if (c == '"' || c == '\\') {
			write_u8(w, '\\');
			write_u8(w, (uint8_t)c);
		} else if (c < 0x10000) {
			json_unit(w, c);
		} else {
			json_unit(w, 0xd800 + ((c - 0x10000) >> 10));
			json_unit(w, 0xdc00 + ((c - 0x10000) & 0x3ff));
		}
	}
	write_u8(w, '"');
}

/* --- Lines ------------------------------------------------------------------------------------ */

/* NULL: there was none that could be understood, or it is no longer there. */
static const struct http_request *head_of(const struct exchange *x)
{
	return x->head_known && !x->request.head_lost ? &x->http.request : NULL;
}

static struct slice field(const struct http_request *head, enum http_known which)
{
	return head && head->known[which] ? head->header[head->known[which] - 1].value : (struct slice){NULL, 0};
}

static void peer_write(struct writer *w, const struct exchange *x)
{
	if (!x->tcp) {
		write_u8(w, '-');
		return;
	}
	struct client_view client = exchange_client(x);
	net_address_write(w, &client.address);
}

static void seconds_write(struct writer *w, uint64_t ns)
{
	write_dec(w, ns / 1000000000);
	write_u8(w, '.');
	write_dec_padded(w, ns / 1000 % 1000000, 6);
}

static int64_t wall_ms(const struct exchange *x)
{
	struct platform *p = x->server->config.loop->platform;
	int64_t ns = p->wall_ns(p);
	return ns > 0 ? ns / 1000000 : 0;
}

/* "Tue, 24 Nov 2026 02:48:11 GMT", and from where its parts stand. */
enum { DAY_AT = 5, MONTH_AT = 8, YEAR_AT = 12, TIME_AT = 17 };

static void part_write(struct writer *w, const uint8_t *date, size_t at, size_t len)
{
	write_bytes(w, slice_of(date + at, len));
}

static void combined_time(struct writer *w, int64_t ms)
{
	uint8_t date[HTTP_DATE_LEN];
	http_date_format(ms / 1000, date);
	part_write(w, date, DAY_AT, 2);
	write_u8(w, '/');
	part_write(w, date, MONTH_AT, 3);
	write_u8(w, '/');
	part_write(w, date, YEAR_AT, 4);
	write_u8(w, ':');
	part_write(w, date, TIME_AT, 8);
	write_bytes(w, SLICE(" +0000"));
}

static void json_time(struct writer *w, int64_t ms)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint8_t date[HTTP_DATE_LEN];
	unsigned month = 0;
	http_date_format(ms / 1000, date);
	while (month < 11 && memcmp(months + 3 * month, date + MONTH_AT, 3) != 0)
		month++;
	part_write(w, date, YEAR_AT, 4);
	write_u8(w, '-');
	write_dec_padded(w, month + 1, 2);
	write_u8(w, '-');
	part_write(w, date, DAY_AT, 2);
	write_u8(w, 'T');
	part_write(w, date, TIME_AT, 8);
	write_u8(w, '.');
	write_dec_padded(w, (uint64_t)ms % 1000, 3);
	write_u8(w, 'Z');
}

/* Apache's combined format, and the seconds that it took. */
static void combined_write(struct writer *w, const struct exchange *x, uint16_t status)
{
	const struct http_request *head = head_of(x);
	peer_write(w, x);
	write_bytes(w, SLICE(" - - ["));
	combined_time(w, wall_ms(x));
	write_bytes(w, SLICE("] \""));
	if (head) {
		combined_text(w, head->method_name, FIELD_MAX);
		write_u8(w, ' ');
		combined_text(w, head->target, TARGET_MAX);
		write_bytes(w, head->version_minor ? SLICE(" HTTP/1.1") : SLICE(" HTTP/1.0"));
	} else {
		write_u8(w, '-');
	}
	write_bytes(w, SLICE("\" "));
	write_dec(w, status);
	write_u8(w, ' ');
	write_dec(w, x->request.bytes_body);
	write_bytes(w, SLICE(" \""));
	combined_text(w, field(head, HTTP_REFERER), FIELD_MAX);
	write_bytes(w, SLICE("\" \""));
	combined_text(w, field(head, HTTP_USER_AGENT), FIELD_MAX);
	write_bytes(w, SLICE("\" "));
	seconds_write(w, exchange_duration_ns(x));
}

static void json_member(struct writer *w, const char *name, struct slice value, size_t max)
{
	write_bytes(w, SLICE(",\""));
	write_bytes(w, slice_from_cstr(name));
	write_bytes(w, SLICE("\":"));
	json_text(w, value, max);
}

static void json_write(struct writer *w, const struct exchange *x, uint16_t status)
{
	const struct http_request *head = head_of(x);
	const struct request *req = &x->request;
	write_bytes(w, SLICE("{\"time\":\""));
	json_time(w, wall_ms(x));
	write_bytes(w, SLICE("\",\"peer\":\""));
	peer_write(w, x);
	write_u8(w, '"');
	if (head) {
		json_member(w, "method", head->method_name, FIELD_MAX);
		json_member(w, "target", head->target, TARGET_MAX);
		json_member(w, "version", head->version_minor ? SLICE("HTTP/1.1") : SLICE("HTTP/1.0"), FIELD_MAX);
	}
	if (req->target == TARGET_ROUTE)
		json_member(w, "route", x->server->routes[req->match.index].pattern, ROUTE_MAX);
	write_bytes(w, SLICE(",\"status\":"));
	write_dec(w, status);
	write_bytes(w, SLICE(",\"bytes\":"));
	write_dec(w, req->bytes_body);
	write_bytes(w, SLICE(",\"seconds\":"));
	seconds_write(w, exchange_duration_ns(x));
	if (field(head, HTTP_REFERER).len)
		json_member(w, "referer", field(head, HTTP_REFERER), FIELD_MAX);
	if (field(head, HTTP_USER_AGENT).len)
		json_member(w, "agent", field(head, HTTP_USER_AGENT), FIELD_MAX);
	write_u8(w, '}');
}

/* --- The ring --------------------------------------------------------------------------------- */

static void ring_put(struct access_log *l, const uint8_t *bytes, uint32_t len)
{
	uint32_t at = (l->from + l->used) % RING_SIZE;
	uint32_t first = len < RING_SIZE - at ? len : RING_SIZE - at;
	memcpy(l->ring + at, bytes, first);
	memcpy(l->ring, bytes + first, len - first);
	l->used += len;
}

/* Without taking them. */
static void ring_look(const struct access_log *l, uint32_t skip, uint8_t *out, uint32_t len)
{
	uint32_t at = (l->from + skip) % RING_SIZE;
	uint32_t first = len < RING_SIZE - at ? len : RING_SIZE - at;
	memcpy(out, l->ring + at, first);
	memcpy(out + first, l->ring, len - first);
}

static void access_answered(struct observer *o, const struct exchange *x, uint16_t status)
{
	struct access_log *l = CONTAINER_OF(o, struct access_log, observer);
	uint8_t bytes[LINE_MAX], len[2];
	struct writer w = writer_of(bytes, sizeof bytes);
	l->line_write(&w, x, status);
	write_u8(&w, '\n');
	if (w.failed || l->used + sizeof len + writer_len(&w) > RING_SIZE) {
		l->server->stats.access_log_dropped++;
		return;
	}
	store_le16(len, (uint16_t)writer_len(&w));
	ring_put(l, len, sizeof len);
	ring_put(l, bytes, (uint32_t)writer_len(&w));
}

/* False: there is none, or the device takes none now. */
static bool line_offer(struct access_log *l)
{
	struct platform *p = l->server->config.loop->platform;
	uint8_t bytes[LINE_MAX], prefix[2];
	if (!l->used)
		return false;
	ring_look(l, 0, prefix, sizeof prefix);
	uint32_t len = load_le16(prefix);
	ring_look(l, sizeof prefix, bytes, len);
	if (!p->log_offer(p, slice_of(bytes, len)))
		return false;
	l->from = (l->from + (uint32_t)sizeof prefix + len) % RING_SIZE;
	l->used -= (uint32_t)sizeof prefix + len;
	return true;
}

static void access_flush(struct loop_client *client)
{
	struct access_log *l = CONTAINER_OF(client, struct access_log, client);
	struct server *s = l->server;
	uint32_t left = LINES_IN_A_ROUND;
	while (left && line_offer(l))
		left--;
	if (l->used && !l->retry.armed) {
		timer_arm(&s->config.loop->timers, &l->retry, s->config.loop->now_ns + (left ? RETRY_NS : 1));
	} else if (!l->used && s->stats.access_log_dropped != l->dropped_told) {
		log_write(s->config.log, LOG_WARN, "http", "%lu lines of the access log were left out: its device takes fewer",
			(unsigned long)(s->stats.access_log_dropped - l->dropped_told));
		l->dropped_told = s->stats.access_log_dropped;
	}
}

/* Only ends the loop's sleep. */
static void retry_now(struct timer *t)
{
	(void)t;
}

static size_t access_memory_size(const struct server_config *config)
{
	(void)config;
	return sizeof(struct access_log);
}

static struct access_log *access_start(struct server *s, void *memory)
{
	struct access_log *l = memory;
	struct platform *p = s->config.loop->platform;
	memset(l, 0, offsetof(struct access_log, ring));
	l->server = s;
	l->observer = (struct observer){.next = s->observers, .answered = access_answered};
	l->client.flush = access_flush;
	timer_init(&l->retry, retry_now);
	if (!p->log_offer(p, SLICE(""))) {
		log_write(s->config.log, LOG_ERROR, "http", "there is no access log: it needs a device of its own, since the "
			"serial port would hold up requests; give the machine a virtio-console (QEMU: -device virtconsole)");
		return l;
	}
	s->observers = &l->observer;
	loop_add(s->config.loop, &l->client);
	return l;
}

static err combined_start(struct server *s, void *memory)
{
	access_start(s, memory)->line_write = combined_write;
	return OK;
}

static err json_start(struct server *s, void *memory)
{
	access_start(s, memory)->line_write = json_write;
	return OK;
}

const struct app_service app_service_access_log_combined = {.memory_size = access_memory_size, .start = combined_start};
const struct app_service app_service_access_log_json = {.memory_size = access_memory_size, .start = json_start};
