/* The multipart decoder over arbitrary bytes. The first line is the Content-Type, if it can be one. Oracles: however
 * the rest is cut, the outcome is the same; all is consumed; there is no more content than input. */
#include <http/multipart.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOG_MAX 20000
struct log {
	size_t len, content;
	uint8_t text[LOG_MAX];
	enum http_multipart_event end;
	uint16_t status;
};

static void note(struct log *log, struct slice s)
{
	ASSERT(s.len <= LOG_MAX - log->len);
	if (s.len)
		memcpy(log->text + log->len, s.ptr, s.len);
	log->len += s.len;
}

static void note_event(struct log *log, const struct http_multipart *m, enum http_multipart_event e, struct slice data)
{
	if (e == HTTP_MULTIPART_DATA) {
		log->content += data.len;
		note(log, data);
	}
	if (e == HTTP_MULTIPART_PART) {
		note(log, SLICE("\1"));
		note(log, m->name);
		note(log, SLICE("\2"));
		note(log, m->filename);
		note(log, SLICE("\3"));
		note(log, m->type);
	}
	if (e == HTTP_MULTIPART_PART_END)
		note(log, SLICE("\4"));
}

/* In pieces of `step` bytes, each in memory of its own. */
static void play(struct slice type, struct slice body, size_t step, struct log *log)
{
	struct http_multipart m;
	log->len = log->content = 0;
	ASSERT(http_multipart_init(&m, type, 20));
	for (size_t at = 0; at <= body.len; at += step) {
		struct slice part = slice_sub(body, at, step), data;
		uint8_t *copy = malloc(part.len + 1);
		ASSERT(copy);
		if (part.len)
			memcpy(copy, part.ptr, part.len);
		size_t from = 0, used;
		do {
			log->end = http_multipart_decode(&m, slice_of(copy + from, part.len - from), &used, &data);
			ASSERT(used <= part.len - from);
			from += used;
			note_event(log, &m, log->end, data);
		} while (log->end != HTTP_MULTIPART_MORE && log->end < HTTP_MULTIPART_END);
		ASSERT(log->end == HTTP_MULTIPART_FAILED || from == part.len);
		free(copy);
	}
	log->status = m.status;
	ASSERT((log->status != 0) == (log->end == HTTP_MULTIPART_FAILED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct log whole, cut;
	struct http_multipart m;
	struct slice input = slice_of(data, size), type = slice_sub(input, 0, slice_index(input, '\n'));
	struct slice body = slice_sub(input, type.len + 1, input.len);
	if (size > 4096)
		return 0;
	if (!http_multipart_init(&m, type, 20)) {
		type = SLICE("multipart/form-data; boundary=b");
		body = input;
	}
	play(type, body, body.len + 1, &whole);
	ASSERT(whole.content <= body.len);
	for (size_t step = 1; step < 12; step += step < 4 ? 1 : 3) {
		play(type, body, step, &cut);
		ASSERT(cut.end == whole.end && cut.status == whole.status && cut.len == whole.len);
		ASSERT(memcmp(cut.text, whole.text, cut.len) == 0);
	}
	return 0;
}
