#include <core/trace.h>

#include <base/assert.h>
#include <base/cursor.h>

#define LINE_MAX 160

void trace_init(struct trace *t, struct trace_event *ring, uint32_t size)
{
	ASSERT(size > 0 && (size & (size - 1)) == 0);
	*t = (struct trace){.ring = ring, .mask = size - 1};
}

static void write_event(struct writer *w, const struct trace_event *e)
{
	uint64_t us = e->time_ns / 1000, seconds = us / 1000000;
	for (uint64_t v = 1000; v > 1 && seconds < v; v /= 10)
		write_u8(w, ' ');
	write_dec(w, seconds);
	write_u8(w, '.');
	write_dec_padded(w, us % 1000000, 6);
	write_u8(w, ' ');
	write_bytes(w, slice_sub(slice_from_cstr(e->what), 0, 80));
	const uint64_t words[] = {e->a, e->b};
	for (unsigned i = 0; i < 2; i++) {
		write_bytes(w, SLICE(" 0x"));
		unsigned digits = 1;
		while (digits < 16 && words[i] >> (4 * digits))
			digits++;
		write_hex(w, words[i], digits);
	}
	write_u8(w, '\n');
}

void trace_write(const struct trace *t, uint32_t max, void (*line)(void *cookie, struct slice),
	void *cookie)
{
	uint64_t kept = t->count <= t->mask ? t->count : t->mask + 1;
	uint64_t n = kept < max ? kept : max;
	for (uint64_t i = t->count - n; i < t->count; i++) {
		uint8_t buffer[LINE_MAX];
		struct writer w = writer_of(buffer, sizeof buffer);
		write_event(&w, &t->ring[i & t->mask]);
		line(cookie, writer_slice(&w));
	}
}
