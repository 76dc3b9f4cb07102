/* Forms, and the token that tells this site's forms from another's.
 *
 * The token is 128 random bits in a cookie that scripts cannot read and that other sites' requests do
 * not carry (SameSite=Strict); the form carries it again in a hidden field. A request is this site's
 * when the two are the same and, where the browser says where a request comes from (Origin), that is
 * this host. Nothing is kept on the server, so a form survives a restart between its display and its
 * sending. */
#include <app/ingot.h>

#include "server.h"

#include <string.h>
#include <base/cursor.h>
#include <base/hash.h>
#include <http/cookie.h>

#define TOKEN_LEN 32 /* hexadecimal digits */
#define TOKEN_COOKIE "csrf"
#define PART_TEXT_MAX 8000u

static struct slice token_of_cookie(struct request *req)
{
	struct slice token = request_cookie(req, TOKEN_COOKIE);
	if (token.len != TOKEN_LEN)
		return (struct slice){NULL, 0};
	for (size_t i = 0; i < token.len; i++) {
		uint8_t c = token.ptr[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return (struct slice){NULL, 0};
	}
	return token;
}

static struct slice token_make(struct request *req)
{
	struct random *random = req->exchange->server->config.random;
	uint8_t text[TOKEN_LEN];
	struct writer w = writer_of(text, sizeof text);
	write_hex(&w, random_u64(random), 16);
	write_hex(&w, random_u64(random), 16);
	struct slice token = arena_copy(&req->exchange->arena, writer_slice(&w));
	struct http_cookie cookie = {.name = SLICE(TOKEN_COOKIE), .value = token, .path = SLICE("/"),
		.http_only = true, .same_site = HTTP_SAME_SITE_STRICT};
	struct slice field;
	err e = http_cookie_format(&cookie, &req->exchange->arena, &field);
	if (failed(e) || !token.len)
		request_fail(req, 503);
	else
		reply_header(req, "Set-Cookie", field);
	return token;
}

void form_protect(struct request *req, struct page_value *data)
{
	struct slice token = token_of_cookie(req);
	if (!token.len)
		token = token_make(req);
	page_set_html(data, "csrf", arena_format(&req->exchange->arena,
		"<input type=\"hidden\" name=\"" TOKEN_COOKIE "\" value=\"%.*s\">", SLICE_ARG(token)));
}

/* Whether the Origin field, if there is one, names the host that was asked. */
static bool origin_fits(struct request *req)
{
	struct slice origin = request_header(req, "Origin");
	struct slice host = req->exchange->http.request.host;
	if (!origin.len)
		return true;
	for (size_t i = 0; i + 3 <= origin.len; i++)
		if (memcmp(origin.ptr + i, "://", 3) == 0)
			return slice_eq_nocase(slice_sub(origin, i + 3, origin.len), host);
	return false;
}

static bool token_fits(struct request *req, struct slice field)
{
	struct slice cookie = token_of_cookie(req);
	return cookie.len == TOKEN_LEN && field.len == TOKEN_LEN
		&& hash_equal(cookie.ptr, field.ptr, TOKEN_LEN);
}

static bool is_form_type(struct request *req)
{
	struct slice type = request_header(req, "Content-Type");
	size_t end = slice_index(type, ';');
	return slice_eq_nocase(slice_trim(slice_sub(type, 0, end)),
		SLICE("application/x-www-form-urlencoded"));
}

/* Whether this site's page has sent it. */
static bool form_admit(struct request *req, struct slice token)
{
	req->form_open = origin_fits(req) && token_fits(req, token);
	if (!req->form_open)
		request_refuse(req, 403, "The form did not come from this site, or its page is too old. "
			"Please go back, reload the page and send it again.");
	return req->form_open;
}

bool form_open(struct request *req)
{
	if (req->broken || req->form_open)
		return req->form_open;
	if (req->body_left) {
		request_misuse(req, "form_open in a route that is BODY_STREAMED: there it is form_open_parts");
		return false;
	}
	if (!is_form_type(req)) {
		request_refuse(req, 415, "This address takes forms (application/x-www-form-urlencoded).");
		return false;
	}
	err e = http_form_parse(req->body, REQUEST_FIELDS_MAX, &req->exchange->arena, &req->form);
	if (failed(e)) {
		if (e.code == ERR_NO_MEMORY)
			request_fail(req, 503);
		else
			request_refuse(req, 400, "The form has too many fields.");
		return false;
	}
	return form_admit(req, http_form_get(&req->form, SLICE(TOKEN_COOKIE)));
}

bool form_open_parts(struct request *req)
{
	struct form_part part;
	uint8_t token[TOKEN_LEN + 1];
	if (req->broken || req->form_open)
		return req->form_open;
	size_t len = 0;
	if (part_next(req, &part) && slice_eq(part.name, SLICE(TOKEN_COOKIE)))
		len = part_read(req, token, sizeof token);
	if (req->broken)
		return false; /* it is no such form at all */
	return form_admit(req, slice_of(token, len));
}

/* The bytes of the control character (U+0000 to U+001F, U+007F to U+009F) at text.ptr[i]; 0: it is none,
 * or newline or tab. The text is valid UTF-8. */
static size_t control_len(struct slice text, size_t i)
{
	uint8_t c = text.ptr[i];
	if (c == 0xc2 && text.ptr[i + 1] < 0xa0)
		return 2;
	return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* Browsers send line ends as CRLF. */
static struct slice without_controls(struct request *req, struct slice text)
{
	size_t at = 0, len = 0;
	while (at < text.len && !control_len(text, at))
		at++;
	if (at == text.len)
		return text;
	uint8_t *clean = arena_alloc(&req->exchange->arena, text.len);
	if (!clean) {
		request_fail(req, 503);
		return (struct slice){NULL, 0};
	}
	for (at = 0; at < text.len;) {
		size_t control = control_len(text, at);
		if (!control)
			clean[len++] = text.ptr[at++];
		at += control;
	}
	return slice_of(clean, len);
}

static struct slice without_blanks_around(struct slice s)
{
	while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\n' || s.ptr[0] == '\t'))
		s = slice_sub(s, 1, s.len);
	while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static struct slice text_clean(struct request *req, struct slice text)
{
	if (!http_utf8_is_valid(text))
		return (struct slice){NULL, 0};
	return without_blanks_around(without_controls(req, text));
}

struct slice form_text(struct request *req, const char *name)
{
	struct slice text = request_name(req, "form_text", name);
	if (req->parts)
		request_misuse(req, "form_text of a form that comes in parts: use part_next and part_text");
	else if (!req->form_open && req->reply == REPLY_NONE)
		request_misuse(req, "form_text before form_open, which says whether the form is this site's");
	return text_clean(req, http_form_get(&req->form, text));
}

int64_t form_int(struct request *req, const char *name, int64_t min, int64_t max, int64_t otherwise)
{
	return request_int(req, form_text(req, name), min, max, otherwise);
}

struct slice part_text(struct request *req, size_t len_max)
{
	if (len_max > PART_TEXT_MAX)
		request_misuse(req, "part_text of more than %u bytes: read them with part_read", PART_TEXT_MAX);
	if (req->broken)
		return (struct slice){NULL, 0};
	uint8_t *text = arena_alloc(&req->exchange->arena, len_max + 1);
	size_t len = text ? part_read(req, text, len_max + 1) : 0;
	if (!text || len > len_max) {
		request_fail(req, text ? 413 : 503);
		return (struct slice){NULL, 0};
	}
	return text_clean(req, slice_of(text, len));
}

size_t text_length(struct slice text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.len; i++)
		n += (text.ptr[i] & 0xc0) != 0x80;
	return n;
}
