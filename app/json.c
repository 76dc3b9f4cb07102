/* Answers in JSON: bytes of values go straight to where TCP takes them from.
 *
 *   KEPT --JSON_WHOLE_MAX bytes--> STREAMING
 *
 * KEPT: pieces in the request's memory, which are the segments of the answer. STREAMING: reply_write. Either way each
 * byte of a value is copied once (those that had been kept before a stream began: twice). */
#include <app/json.h>
#include <app/ingot.h>

#include "json.h"

#include <string.h>

#define PIECE_LEN 4000 /* two fit in a block */
#define PIECES_MAX (JSON_WHOLE_MAX / PIECE_LEN)
#define LONG_MIN_ROUNDED (INT64_C(1) << 53)

static bool is_over(const struct json *json)
{
	return json->unwanted || json->req->broken;
}

/* --- Bytes ------------------------------------------------------------------------------------ */

/* What has been kept is what the answer begins with. */
static void stream_begin(struct json *json)
{
	struct request *req = json->req;
	reply_header(req, "Cache-Control", SLICE("no-cache"));
	json->streams = true;
	json->unwanted = !reply_begin(req, json->status, "application/json");
	for (struct page_chunk *chunk = req->page.first; chunk; chunk = chunk->next)
		for (uint32_t i = 0; i < chunk->count && !json->unwanted; i++)
			json->unwanted = !reply_write(req, chunk->segment[i]);
}

static bool piece_close(struct json *json)
{
	size_t len = (size_t)(json->at - json->piece);
	json->req->bytes_copied += len;
	if (page_output_add(&json->req->page, slice_of(json->piece, len)))
		return true;
	request_fail(json->req, 503);
	return false;
}

/* Makes room for more. */
static void piece_next(struct json *json)
{
	if (json->piece && !piece_close(json))
		return;
	if (json->pieces == PIECES_MAX) {
		stream_begin(json);
		return;
	}
	json->piece = json->at = arena_alloc(&json->req->exchange->arena, PIECE_LEN);
	json->end = json->piece ? json->piece + PIECE_LEN : NULL;
	json->pieces++;
	if (!json->piece)
		request_fail(json->req, 503);
}

static void put(struct json *json, struct slice bytes)
{
	while (bytes.len && !json->streams && !json->req->broken) {
		struct slice part = slice_sub(bytes, 0, (size_t)(json->end - json->at));
		if (!part.len) {
			piece_next(json);
			continue;
		}
		memcpy(json->at, part.ptr, part.len);
		json->at += part.len;
		bytes = slice_sub(bytes, part.len, bytes.len);
	}
	if (json->streams && bytes.len && !is_over(json))
		json->unwanted = !reply_write(json->req, bytes);
}

/* --- Strings ---------------------------------------------------------------------------------- */

/* The length of the character at the text's start, or of what stands there instead of one: as much as could have become
 * one (Unicode 15, section 3.9, best practice for U+FFFD). */
static size_t character_len(struct slice text, bool *valid)
{
	uint8_t first = text.ptr[0], low = 0x80, high = 0xbf;
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	*valid = first < 0x80 || (first >= 0xc2 && first <= 0xf4);
	if (!*valid)
		return 1;
	if (first == 0xe0 || first == 0xf0)
		low = first == 0xe0 ? 0xa0 : 0x90; /* else it has a shorter form */
	if (first == 0xed || first == 0xf4)
		high = first == 0xed ? 0x9f : 0x8f; /* surrogates, and what is beyond U+10FFFF */
	for (size_t i = 1; i < len; i++) {
		*valid = i < text.len && text.ptr[i] >= low && text.ptr[i] <= high;
		if (!*valid)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_escaped(struct json *json, uint8_t c)
{
	static const char names[] = "btn_fr"; /* U+0008 to U+000D */
	uint8_t text[] = {'\\', 'u', '0', '0', '0', '0'};
	bool is_short = c >= 8 && c <= 13 && c != 11;
	if (c < 0x20 && !is_short) {
		text[4] = (uint8_t)('0' + (c >> 4));
		text[5] = (uint8_t)"0123456789abcdef"[c & 15];
		put(json, slice_of(text, sizeof text));
		return;
	}
	text[1] = is_short ? (uint8_t)names[c - 8] : c;
	put(json, slice_of(text, 2));
}

/* Whole runs of what stands for itself are copied at once. */
static void put_string(struct json *json, struct slice text)
{
	size_t from = 0, at = 0;
	put(json, SLICE("\""));
	while (at < text.len) {
		bool valid = true;
		if (is_plain(text.ptr[at])) {
			at++;
			continue;
		}
		size_t len = character_len(slice_sub(text, at, text.len), &valid);
		if (len == 1 || !valid) {
			put(json, slice_sub(text, from, at - from));
			if (valid)
				put_escaped(json, text.ptr[at]);
			else
				put(json, SLICE("\xef\xbf\xbd"));
			from = at + len;
		}
		at += len;
	}
	put(json, slice_sub(text, from, at - from));
	put(json, SLICE("\""));
}

/* --- Structure -------------------------------------------------------------------------------- */

static uint64_t level_bit(const struct json *json)
{
	return UINT64_C(1) << json->depth;
}

bool json_member(struct json *json, struct slice key)
{
	if (is_over(json))
		return false;
	bool in_object = json->depth && !(json->is_array & level_bit(json)), first = !(json->has_items & level_bit(json));
	if (in_object != (key.ptr != NULL)) {
		request_misuse(json->req, in_object ? "json: a member of an object needs a name"
						    : "json: only members of objects have names, here it is NULL");
		return false;
	}
	if (!json->depth && !first) {
		request_misuse(json->req, "json: a second value: an answer is one, put an object or an array around them");
		return false;
	}
	json->has_items |= level_bit(json);
	if (!first)
		put(json, SLICE(","));
	if (in_object) {
		put_string(json, key);
		put(json, SLICE(":"));
	}
	return true;
}

static bool member(struct json *json, const char *key)
{
	return json_member(json, key ? slice_from_cstr(key) : (struct slice){NULL, 0});
}

static void level_open(struct json *json, const char *key, bool is_array)
{
	if (!member(json, key))
		return;
	if (json->depth == JSON_DEPTH_MAX) {
		request_misuse(json->req, "json: more than %u objects and arrays in one another", (unsigned)JSON_DEPTH_MAX);
		return;
	}
	json->depth++;
	json->has_items &= ~level_bit(json);
	json->is_array = is_array ? json->is_array | level_bit(json) : json->is_array & ~level_bit(json);
	put(json, is_array ? SLICE("[") : SLICE("{"));
}

void json_object(struct json *json, const char *key)
{
	level_open(json, key, false);
}

void json_array(struct json *json, const char *key)
{
	level_open(json, key, true);
}

void json_close(struct json *json)
{
	if (is_over(json))
		return;
	if (!json->depth) {
		request_misuse(json->req, "json_close, and nothing is open");
		return;
	}
	put(json, json->is_array & level_bit(json) ? SLICE("]") : SLICE("}"));
	json->depth--;
}

void json_begin(struct json *json, struct request *req, int status)
{
	*json = (struct json){.req = req, .status = (uint16_t)(status < 0 || status > 599 ? 0 : status)};
	if (!req->broken && req->reply == REPLY_NONE)
		page_output_init(&req->page, &req->exchange->arena);
	else
		json->unwanted = true; /* json_end says that it is a second answer */
}

bool json_end(struct json *json)
{
	struct request *req = json->req;
	if (!is_over(json) && (json->depth || !(json->has_items & 1)))
		request_misuse(json->req, json->depth ? "json_end: an object or an array is not closed"
						      : "json_end: an answer without a value");
	if (json->streams || req->broken)
		return !is_over(json);
	return (json->unwanted || piece_close(json)) && reply_pieces(req, json->status,
		SLICE("Content-Type: application/json\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"));
}

/* --- Values ----------------------------------------------------------------------------------- */

void json_put_text(struct json *json, struct slice text)
{
	put_string(json, text);
}

void json_put_int(struct json *json, int64_t value)
{
	uint8_t text[24];
	struct writer w = writer_of(text, sizeof text);
	bool quoted = json->long_as_text && (value > LONG_MIN_ROUNDED || value < -LONG_MIN_ROUNDED);
	if (quoted)
		write_u8(&w, '"');
	if (value < 0)
		write_u8(&w, '-');
	write_dec(&w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
	if (quoted)
		write_u8(&w, '"');
	put(json, writer_slice(&w));
}

void json_put_real(struct json *json, double value)
{
	uint8_t text[JSON_REAL_MAX];
	struct writer w = writer_of(text, sizeof text);
	json_real_write(&w, value);
	put(json, writer_slice(&w));
}

void json_put_null(struct json *json)
{
	put(json, SLICE("null"));
}

/* RFC 4648 section 4. */
void json_put_base64(struct json *json, struct slice bytes)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	put(json, SLICE("\""));
	for (size_t at = 0; at < bytes.len; at += 3) {
		uint8_t text[4];
		size_t left = bytes.len - at;
		uint32_t three = (uint32_t)bytes.ptr[at] << 16 | (left > 1 ? (uint32_t)bytes.ptr[at + 1] << 8 : 0) |
			(left > 2 ? bytes.ptr[at + 2] : 0);
		for (unsigned i = 0; i < 4; i++)
			text[i] = i <= left ? (uint8_t)digit[three >> (18 - 6 * i) & 63] : '=';
		put(json, slice_of(text, 4));
	}
	put(json, SLICE("\""));
}

void json_text(struct json *json, const char *key, struct slice text)
{
	if (member(json, key))
		json_put_text(json, text);
}

void json_int(struct json *json, const char *key, int64_t value)
{
	if (member(json, key))
		json_put_int(json, value);
}

void json_real(struct json *json, const char *key, double value)
{
	if (member(json, key))
		json_put_real(json, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	if (member(json, key))
		put(json, value ? SLICE("true") : SLICE("false"));
}

void json_null(struct json *json, const char *key)
{
	if (member(json, key))
		json_put_null(json);
}

void json_base64(struct json *json, const char *key, struct slice bytes)
{
	if (member(json, key))
		json_put_base64(json, bytes);
}
