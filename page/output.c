/* The segment list of a page: chunks in the output's arena. */
#include <page/render.h>

void page_output_init(struct page_output *out, struct arena *arena)
{
	*out = (struct page_output){.arena = arena};
}

static bool add_chunk(struct page_output *out)
{
	struct page_chunk *c = arena_alloc(out->arena, sizeof *c);
	if (!c)
		return false;
	c->next = NULL;
	c->count = 0;
	if (out->last)
		out->last->next = c;
	else
		out->first = c;
	out->last = c;
	return true;
}

bool page_output_add(struct page_output *out, struct slice bytes)
{
	if (bytes.len == 0)
		return true;
	struct page_chunk *c = out->last;
	if (c) {
		/* What follows directly in memory makes the last segment longer: static text around
		 * a tag that showed nothing is one run again. */
		struct slice *end = &c->segment[c->count - 1];
		if (end->ptr + end->len == bytes.ptr) {
			end->len += bytes.len;
			out->byte_count += bytes.len;
			return true;
		}
	}
	if (out->segment_count >= PAGE_SEGMENTS_MAX)
		return false;
	if (!c || c->count == PAGE_CHUNK_SEGMENTS) {
		if (!add_chunk(out))
			return false;
		c = out->last;
	}
	c->segment[c->count++] = bytes;
	out->segment_count++;
	out->byte_count += bytes.len;
	return true;
}

uint32_t page_output_segments(
	const struct page_output *out, struct slice *segment, uint32_t capacity)
{
	uint32_t n = 0;
	for (const struct page_chunk *c = out->first; c; c = c->next)
		for (uint32_t i = 0; i < c->count && n < capacity; i++)
			segment[n++] = c->segment[i];
	return out->segment_count;
}
