/* The segment list of a page: chunks in the output's arena. */
#include <page/render.h>

#include <string.h>

enum { JOIN_RUN_LEN = 512 };

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

/* What follows directly in memory makes the last segment longer: static text around a tag that showed
 * nothing is one run again, and so are pieces that were joined. */
static bool extend(struct page_output *out, struct slice bytes)
{
	if (!out->last)
		return false;
	struct slice *end = &out->last->segment[out->last->count - 1];
	if (end->ptr + end->len != bytes.ptr)
		return false;
	end->len += bytes.len;
	out->byte_count += bytes.len;
	return true;
}

static bool add_segment(struct page_output *out, struct slice bytes)
{
	if (out->segment_count >= PAGE_SEGMENTS_MAX)
		return false;
	struct page_chunk *c = out->last;
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

/* Copies a small piece behind the one that was joined last. */
static bool join(struct page_output *out, struct slice bytes)
{
	if (UNLIKELY((size_t)(out->run_end - out->run) < bytes.len)) {
		size_t len = bytes.len < JOIN_RUN_LEN ? JOIN_RUN_LEN : bytes.len;
		uint8_t *run = arena_alloc(out->arena, len);
		if (!run)
			return false;
		out->run = run;
		out->run_end = run + len;
	}
	uint8_t *at = out->run;
	memcpy(at, bytes.ptr, bytes.len);
	out->run += bytes.len;
	out->bytes_copied += bytes.len;
	bytes.ptr = at;
	return extend(out, bytes) || add_segment(out, bytes);
}

bool page_output_add(struct page_output *out, struct slice bytes)
{
	if (bytes.len == 0)
		return true;
	if (bytes.len <= out->join_max)
		return join(out, bytes);
	return extend(out, bytes) || add_segment(out, bytes);
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
