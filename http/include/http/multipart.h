/* multipart/form-data, as browsers and programs send it: RFC 7578, RFC 2046 section 5.1, and for names and file names
 * the HTML Living Standard. Decoded in place and in pieces: what comes out is a view into what went in.
 *
 *   START --delimiter--> HEAD --empty line--> CONTENT --delimiter--> HEAD ...
 *     (what is before the first delimiter, and behind the last, is ignored)    \--with "--" behind it--> END
 *
 * As the parser of heads it refuses rather than repairs, and whatever way the input is split, the outcome is the
 * same. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <base/slice.h>

/* Bytes of the header fields of one part: more is refused. */
#define HTTP_MULTIPART_HEAD_MAX 1024
#define HTTP_MULTIPART_BOUNDARY_MAX 70

enum http_multipart_event {
	HTTP_MULTIPART_MORE,   /* everything was consumed, and gave nothing */
	HTTP_MULTIPART_PART,   /* a part begins: name, filename and type say which */
	HTTP_MULTIPART_DATA,   /* *data has at least 1 byte of its content */
	HTTP_MULTIPART_PART_END,
	HTTP_MULTIPART_END,    /* after the last part; what follows is ignored */
	HTTP_MULTIPART_FAILED, /* refuse with `status`; sticky */
};

struct http_multipart {
	/* Of the current part; views into this structure, until the next one begins. Any bytes may occur in them but
	 * NUL: they are data. A file name is never a path to be used as such. */
	struct slice name;
	struct slice filename; /* ptr NULL: the part is no file */
	struct slice type;     /* "text/plain" when none is given */
	uint32_t parts;        /* that have begun */
	uint16_t status;       /* with HTTP_MULTIPART_FAILED: 400 or 413 */
	/* The machine's own. */
	uint8_t phase;
	uint8_t matched;       /* bytes of the delimiter that were the last of the input */
	uint32_t parts_max, head_len;
	uint8_t delimiter_len;
	uint8_t delimiter[4 + HTTP_MULTIPART_BOUNDARY_MAX]; /* with the line end and the dashes before it */
	uint8_t head[HTTP_MULTIPART_HEAD_MAX];
};

API_BEGIN

/* `content_type` is the field's value. False: it is no multipart/form-data, or its boundary is none. More than
 * `parts_max` parts are refused with 413. */
bool http_multipart_init(struct http_multipart *m, struct slice content_type, uint32_t parts_max);

/* Decodes from `input`. *consumed (0 to input.len) and *data are always written; *data is empty unless
 * HTTP_MULTIPART_DATA, and then a view into input, or into *m until the next call. Call again with what was not
 * consumed, until HTTP_MULTIPART_MORE. A body that ends before HTTP_MULTIPART_END is no whole form. */
enum http_multipart_event http_multipart_decode(
	struct http_multipart *m, struct slice input, size_t *consumed, struct slice *data);

API_END

#endif
