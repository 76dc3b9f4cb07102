/* Renders a template with its data to a list of segments. Static text is referenced where it stands
 * in the image, text values where the caller has them; the CPU copies only numbers and text that
 * needs escaping, and counts what it copied. */
#ifndef PAGE_RENDER_H
#define PAGE_RENDER_H

#include <base/arena.h>
#include <base/err.h>
#include <page/template.h>
#include <page/value.h>

/* How deep sections, partials and blocks may nest while rendering; more is ERR_TOO_LARGE, so that a
 * template that includes itself ends with its data or with an error. */
#define PAGE_DEPTH_MAX 100
/* Segments and operations of one page: what loops within loops can come to is bounded. */
#define PAGE_SEGMENTS_MAX 1000000u
#define PAGE_STEPS_MAX 20000000u
#define PAGE_CHUNK_SEGMENTS 30

struct page_chunk {
	struct page_chunk *next;
	uint32_t count;
	struct slice segment[PAGE_CHUNK_SEGMENTS]; /* none is empty */
};

/* The segments and what the counters say live until the arena is reset. Several templates may be
 * rendered into one output, one after the other. */
struct page_output {
	struct arena *arena;
	struct page_chunk *first, *last;
	uint32_t segment_count;
	uint64_t byte_count;   /* the length of the page */
	uint64_t bytes_copied; /* of these, copied by the CPU */
};

API_BEGIN

/* `arena` (borrowed) takes the segment list and the copied bytes. */
void page_output_init(struct page_output *out, struct arena *arena);
/* Renders `template` with `root` (made by page_object; may have any type).
 * ERR_NO_MEMORY: the output's arena, or the one that holds the values, is used up.
 * ERR_TOO_LARGE: one of the limits above. After an error `out` holds a part of a page. */
MUST_USE err page_render(const struct page_template *template, const struct page_value *root,
	struct page_output *out);
/* Copies the segments into an array of `capacity` in the page's order; the number that there are,
 * which may be larger than capacity. */
uint32_t page_output_segments(
	const struct page_output *out, struct slice *segment, uint32_t capacity);
/* Adds bytes that are referenced, not copied (borrowed as text values are); false when the arena is
 * used up or the page has too many segments. */
MUST_USE bool page_output_add(struct page_output *out, struct slice bytes);

API_END

#endif
