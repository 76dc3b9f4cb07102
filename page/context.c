#include "context.h"

#include <string.h>

#define NAME_UNKNOWN (CONTEXT_NAME_MAX + 1)

static uint8_t lower(uint8_t b)
{
	return b >= 'A' && b <= 'Z' ? (uint8_t)(b | 0x20) : b;
}

static bool is_letter(uint8_t b)
{
	return lower(b) >= 'a' && lower(b) <= 'z';
}

static bool is_space(uint8_t b)
{
	return b == ' ' || b == '\t' || b == '\n' || b == '\r' || b == '\f';
}

static void name_add(struct html_context *h, uint8_t b)
{
	if (h->name_len < CONTEXT_NAME_MAX)
		h->name[h->name_len++] = lower(b);
	else
		h->name_len = NAME_UNKNOWN;
}

static bool name_is(const struct html_context *h, const char *name)
{
	size_t len = strlen(name);
	return h->name_len == len && memcmp(h->name, name, len) == 0;
}

static bool name_among(const struct html_context *h, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (name_is(h, names[i]))
			return true;
	return false;
}

static void enter(struct html_context *h, enum context_state state)
{
	h->state = (uint8_t)state;
	h->history = 0;
}

static enum context_element element_of(const struct html_context *h)
{
	if (name_is(h, "script"))
		return ELEMENT_SCRIPT;
	if (name_is(h, "style"))
		return ELEMENT_STYLE;
	if (name_is(h, "textarea"))
		return ELEMENT_TEXTAREA;
	if (name_is(h, "title"))
		return ELEMENT_TITLE;
	return ELEMENT_OTHER;
}

static enum context_attribute attribute_of(const struct html_context *h)
{
	static const char *const url[] = {"href", "src", "action", "formaction", "poster", "cite",
		"data", "manifest", "background", "longdesc", "xlink:href", "ping", "icon"};
	if (h->name_len == NAME_UNKNOWN)
		/* Names that long are aria-, data- and the like; unless they begin with "on". */
		return h->name[0] == 'o' && h->name[1] == 'n' ? ATTRIBUTE_SCRIPT
		       : h->name[0] == 0		      ? ATTRIBUTE_UNKNOWN
							      : ATTRIBUTE_PLAIN;
	if (h->name_len >= 2 && h->name[0] == 'o' && h->name[1] == 'n')
		return ATTRIBUTE_SCRIPT;
	if (name_is(h, "style"))
		return ATTRIBUTE_STYLE;
	if (name_is(h, "srcdoc"))
		return ATTRIBUTE_MARKUP;
	if (name_is(h, "srcset") || name_is(h, "imagesrcset"))
		return ATTRIBUTE_URL_LIST;
	return name_among(h, url, ARRAY_LEN(url)) ? ATTRIBUTE_URL : ATTRIBUTE_PLAIN;
}

/* The name depends on data. */
static void name_forget(struct html_context *h)
{
	h->name_len = NAME_UNKNOWN;
	h->name[0] = 0;
}

static void end_tag(struct html_context *h)
{
	bool raw = !h->closing && h->element != ELEMENT_OTHER;
	enter(h, raw ? CONTEXT_RAW : CONTEXT_TEXT);
	h->name_len = 0;
}

static void in_tag(struct html_context *h, uint8_t b)
{
	if (b == '>') {
		end_tag(h);
	} else if (!is_space(b) && b != '/') {
		enter(h, CONTEXT_ATTRIBUTE);
		h->name_len = 0;
		name_add(h, b);
	} else {
		enter(h, CONTEXT_TAG);
	}
}

static void in_tag_open(struct html_context *h, uint8_t b)
{
	if (is_letter(b)) {
		enter(h, CONTEXT_TAG_NAME);
		h->name_len = 0;
		name_add(h, b);
	} else if (b == '/' && !h->closing) {
		h->closing = true;
	} else if (b == '!' || b == '?') {
		enter(h, CONTEXT_DECLARATION);
		h->history = b == '?' ? 2 : 0; /* a comment needs "<!" */
	} else {
		enter(h, b == '<' ? CONTEXT_TAG_OPEN : CONTEXT_TEXT);
		h->closing = false;
	}
}

static void end_tag_name(struct html_context *h)
{
	h->element = (uint8_t)element_of(h);
}

static void begin_value(struct html_context *h, enum context_state state, uint8_t quote)
{
	enter(h, state);
	h->quote = quote;
	h->url = URL_START;
	h->name_len = 0;
}

/* A URL whose static part names a scheme that runs code is code. */
static void in_url(struct html_context *h, uint8_t b)
{
	static const char *const code[] = {"javascript", "vbscript", "data"};
	if (h->url == URL_REST || (h->url == URL_START && is_space(b)))
		return;
	h->url = URL_SCHEME;
	if (b == ':') {
		if (name_among(h, code, ARRAY_LEN(code)))
			h->attribute = ATTRIBUTE_SCRIPT;
		h->url = URL_REST;
	} else if (b == '/' || b == '?' || b == '#') {
		h->url = URL_REST;
	} else {
		name_add(h, b);
	}
}

static void in_value(struct html_context *h, uint8_t b)
{
	if (h->state == CONTEXT_VALUE_QUOTED && b == h->quote)
		enter(h, CONTEXT_TAG);
	else if (h->state == CONTEXT_VALUE_PLAIN && (is_space(b) || b == '>'))
		in_tag(h, b);
	else if (h->attribute == ATTRIBUTE_URL)
		in_url(h, b);
}

static void in_attribute(struct html_context *h, uint8_t b)
{
	if (b == '=') {
		h->attribute = (uint8_t)attribute_of(h);
		enter(h, CONTEXT_VALUE_BEFORE);
	} else if (is_space(b)) {
		enter(h, CONTEXT_ATTRIBUTE_AFTER);
	} else if (b == '>' || b == '/' || h->state == CONTEXT_ATTRIBUTE_AFTER) {
		in_tag(h, b);
	} else {
		name_add(h, b);
	}
}

static void in_value_before(struct html_context *h, uint8_t b)
{
	if (b == '"' || b == '\'') {
		begin_value(h, CONTEXT_VALUE_QUOTED, b);
	} else if (b == '>') {
		end_tag(h);
	} else if (!is_space(b)) {
		begin_value(h, CONTEXT_VALUE_PLAIN, 0);
		in_value(h, b);
	}
}

/* <!-- is a comment, any other <! ends at the next >. `history` counts: dashes at its start. */
static void in_declaration(struct html_context *h, uint8_t b)
{
	if (b == '-' && h->history < 2) {
		if (++h->history == 2) {
			enter(h, CONTEXT_COMMENT);
			h->history = 2; /* "<!-->" is a whole comment */
		}
	} else if (b == '>') {
		enter(h, CONTEXT_TEXT);
	} else {
		h->history = 2;
	}
}

/* "-->" and "--!>" end it. `history` is the number of dashes just seen, at most 2; 3 after "--!".
 */
static void in_comment(struct html_context *h, uint8_t b)
{
	if (b == '>' && h->history >= 2)
		enter(h, CONTEXT_TEXT);
	else if (b == '!' && h->history == 2)
		h->history = 3;
	else if (b != '-')
		h->history = 0;
	else
		h->history = h->history == 0 ? 1 : 2;
}

static const char *element_name(const struct html_context *h)
{
	static const char *const name[] = {"", "script", "style", "textarea", "title"};
	return name[h->element];
}

/* Whether b completes "</name" of the element that raw text stands in. The progress is in name_len,
 * which raw text has no other use for. */
static bool ends_element(struct html_context *h, uint8_t b)
{
	const char *name = element_name(h);
	size_t len = strlen(name), n = h->name_len;
	uint8_t expected = n == 0 ? '<' : n == 1 ? '/' : n < len + 2 ? (uint8_t)name[n - 2] : 0;
	if (n == len + 2 && (is_space(b) || b == '>' || b == '/'))
		return true;
	h->name_len = expected && lower(b) == expected ? (uint8_t)(n + 1) : b == '<';
	return false;
}

/* A "/" that begins no comment divides or begins a regular expression, in which quotes open no
 * string. Which of them only a parser of JavaScript knows; so until the line's end, where both have
 * ended, no value is accepted. What may go on over the line's end (template literals, comments, a
 * continued line) makes that last until the script's end. */
static void in_script_line(struct html_context *h, uint8_t b, uint8_t before)
{
	if (b == '`' || (before == '/' && b == '*') || (before == '\\' && b == '\n'))
		enter(h, CONTEXT_SCRIPT_UNKNOWN);
	else if (b == '\n')
		enter(h, CONTEXT_RAW);
}

static void in_script_string(struct html_context *h, uint8_t b, uint8_t before)
{
	if (before == '\\')
		h->history = 0;
	else if (b == h->quote || (b == '\n' && h->quote != '`'))
		enter(h, CONTEXT_RAW);
	else if (h->quote == '`' && before == '$' && b == '{')
		enter(h, CONTEXT_SCRIPT_UNKNOWN); /* code within a string within code */
}

static void in_script_code(struct html_context *h, uint8_t b, uint8_t before)
{
	if (before == '/' && b == '*') {
		enter(h, CONTEXT_SCRIPT_BLOCK_COMMENT);
	} else if (before == '/' && b == '/') {
		enter(h, CONTEXT_SCRIPT_LINE_COMMENT);
	} else if (before == '/') {
		enter(h, CONTEXT_SCRIPT_DIVISION);
		in_script_line(h, b, 0);
	} else if (before == '<' && b == '!') {
		enter(h,
			CONTEXT_SCRIPT_UNKNOWN); /* <!--: the HTML parser's escaped script states */
	} else if (b == '"' || b == '\'' || b == '`') {
		enter(h, CONTEXT_SCRIPT_STRING);
		h->quote = b;
	}
}

/* `history` is the byte before, or 0. */
static void in_script(struct html_context *h, uint8_t b)
{
	uint8_t before = h->history;
	h->history = b;
	if (h->state == CONTEXT_RAW)
		in_script_code(h, b, before);
	else if (h->state == CONTEXT_SCRIPT_STRING)
		in_script_string(h, b, before);
	else if (h->state == CONTEXT_SCRIPT_DIVISION)
		in_script_line(h, b, before);
	else if (h->state == CONTEXT_SCRIPT_LINE_COMMENT && (b == '\n' || b == '\r'))
		enter(h, CONTEXT_RAW);
	else if (h->state == CONTEXT_SCRIPT_BLOCK_COMMENT && b == '/' && before == '*')
		enter(h, CONTEXT_RAW);
}

static void in_raw(struct html_context *h, uint8_t b)
{
	if (ends_element(h, b)) {
		h->closing = true;
		in_tag(h, b);
		return;
	}
	if (h->element == ELEMENT_SCRIPT)
		in_script(h, b);
}

static void advance(struct html_context *h, uint8_t b)
{
	switch ((enum context_state)h->state) {
	case CONTEXT_TEXT:
		if (b == '<') {
			enter(h, CONTEXT_TAG_OPEN);
			h->closing = false;
		}
		return;
	case CONTEXT_TAG_OPEN:
		in_tag_open(h, b);
		return;
	case CONTEXT_TAG_NAME:
		if (is_space(b) || b == '/' || b == '>') {
			end_tag_name(h);
			in_tag(h, b);
		} else {
			name_add(h, b);
		}
		return;
	case CONTEXT_TAG:
		in_tag(h, b);
		return;
	case CONTEXT_ATTRIBUTE:
	case CONTEXT_ATTRIBUTE_AFTER:
		in_attribute(h, b);
		return;
	case CONTEXT_VALUE_BEFORE:
		in_value_before(h, b);
		return;
	case CONTEXT_VALUE_QUOTED:
	case CONTEXT_VALUE_PLAIN:
		in_value(h, b);
		return;
	case CONTEXT_DECLARATION:
		in_declaration(h, b);
		return;
	case CONTEXT_COMMENT:
		in_comment(h, b);
		return;
	case CONTEXT_RAW:
	case CONTEXT_SCRIPT_STRING:
	case CONTEXT_SCRIPT_LINE_COMMENT:
	case CONTEXT_SCRIPT_BLOCK_COMMENT:
	case CONTEXT_SCRIPT_DIVISION:
	case CONTEXT_SCRIPT_UNKNOWN:
		in_raw(h, b);
		return;
	}
}

void context_text(struct html_context *h, struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		advance(h, text.ptr[i]);
}

static bool refuse(const char **why, const char *reason)
{
	*why = reason;
	return false;
}

static enum page_escape url_variable(struct html_context *h)
{
	bool start = h->url == URL_START;
	h->url = URL_REST;
	return start ? PAGE_ESCAPE_LINK : PAGE_ESCAPE_URL;
}

static bool quoted_variable(struct html_context *h, enum page_escape *how, const char **why)
{
	*how = PAGE_ESCAPE_ATTRIBUTE;
	switch ((enum context_attribute)h->attribute) {
	case ATTRIBUTE_PLAIN:
		return true;
	case ATTRIBUTE_URL:
		*how = url_variable(h);
		if (*how == PAGE_ESCAPE_LINK && h->element == ELEMENT_SCRIPT)
			return refuse(why,
				"it would choose the program; begin the URL with a fixed path");
		return true;
	case ATTRIBUTE_URL_LIST:
		return refuse(why, "a list of URLs has no escaping; write the list out, with "
				   "{{value}} in src");
	case ATTRIBUTE_SCRIPT:
		return refuse(why,
			"it would run as a program; put it into a data- attribute and read that");
	case ATTRIBUTE_STYLE:
		return refuse(
			why, "CSS has no escaping that fits all values; choose a class instead");
	case ATTRIBUTE_MARKUP:
		return refuse(why, "it would be parsed as a document of its own");
	case ATTRIBUTE_UNKNOWN:
		return refuse(why, "the attribute's name depends on a section");
	}
	return refuse(why, "unknown attribute");
}

static bool raw_variable(struct html_context *h, enum page_escape *how, const char **why)
{
	if (h->element == ELEMENT_SCRIPT) {
		*how = PAGE_ESCAPE_JSON;
		if (h->history == '/') {
			enter(h, CONTEXT_SCRIPT_DIVISION);
			return refuse(why, "the \"/\" may begin a regular expression");
		}
		h->history = '"';
		return true;
	}
	if (h->element == ELEMENT_STYLE)
		return refuse(
			why, "CSS has no escaping that fits all values; choose a class instead");
	*how = PAGE_ESCAPE_ATTRIBUTE; /* title, textarea: text without tags */
	return true;
}

bool context_variable(struct html_context *h, enum page_escape *how, const char **why)
{
	switch ((enum context_state)h->state) {
	case CONTEXT_TEXT:
		*how = PAGE_ESCAPE_HTML;
		return true;
	case CONTEXT_VALUE_QUOTED:
		return quoted_variable(h, how, why);
	case CONTEXT_RAW:
		h->name_len = 0;
		return raw_variable(h, how, why);
	case CONTEXT_TAG_OPEN:
	case CONTEXT_TAG_NAME:
		return refuse(why, "it would choose the element; write the tag out");
	case CONTEXT_TAG:
	case CONTEXT_ATTRIBUTE:
	case CONTEXT_ATTRIBUTE_AFTER:
		name_forget(h);
		enter(h, CONTEXT_ATTRIBUTE);
		return refuse(why, "it would name attributes; use a section around the attribute");
	case CONTEXT_VALUE_BEFORE:
		begin_value(h, CONTEXT_VALUE_PLAIN, 0);
		return refuse(why, "put the attribute's value into quotes");
	case CONTEXT_VALUE_PLAIN:
		return refuse(why, "put the attribute's value into quotes");
	case CONTEXT_DECLARATION:
	case CONTEXT_COMMENT:
		return refuse(
			why, "a value could end it; use a template comment, {{! }}, for notes");
	case CONTEXT_SCRIPT_STRING:
		return refuse(
			why, "write the value without quotes: it becomes a literal with its own");
	case CONTEXT_SCRIPT_LINE_COMMENT:
	case CONTEXT_SCRIPT_BLOCK_COMMENT:
		return refuse(why, "a value could end the comment");
	case CONTEXT_SCRIPT_DIVISION:
		return refuse(
			why, "the \"/\" may begin a regular expression; use a line of its own");
	case CONTEXT_SCRIPT_UNKNOWN:
		return refuse(why, "use a <script> of its own for the value");
	}
	return refuse(why, "unknown place");
}

bool context_allows_insertion(const struct html_context *h)
{
	if (h->state == CONTEXT_VALUE_QUOTED)
		return h->attribute == ATTRIBUTE_PLAIN;
	if (h->state == CONTEXT_RAW)
		return h->element == ELEMENT_TITLE || h->element == ELEMENT_TEXTAREA;
	return h->state == CONTEXT_TEXT;
}

static bool is_in_tag(const struct html_context *h)
{
	return h->state == CONTEXT_TAG_NAME || h->state == CONTEXT_TAG ||
	       h->state == CONTEXT_ATTRIBUTE || h->state == CONTEXT_ATTRIBUTE_AFTER;
}

/* <option{{#on}} selected{{/on}}>: fine, as long as what follows is not taken for a part of the
 * attribute's name by one branch only; so the name is unknown until it ends. */
static bool join_in_tag(struct html_context *h, const struct html_context *other)
{
	if (h->state == CONTEXT_TAG_NAME)
		return other->state == CONTEXT_TAG_NAME && h->name_len == other->name_len;
	struct html_context before = *other;
	if (before.state == CONTEXT_TAG_NAME)
		end_tag_name(&before);
	if (before.element != h->element || before.closing != h->closing)
		return false;
	if (h->state == CONTEXT_ATTRIBUTE || before.state != h->state) {
		enter(h, CONTEXT_ATTRIBUTE);
		name_forget(h);
	}
	return true;
}

/* Branches of a script may end in different bytes; only a "/" or "<" before the next byte matters.
 */
static bool join_raw(struct html_context *h, const struct html_context *other)
{
	if (other->history == '/' || other->history == '<')
		h->history = other->history;
	return h->element == other->element;
}

bool context_join(struct html_context *h, const struct html_context *other)
{
	if (is_in_tag(h) && is_in_tag(other))
		return join_in_tag(h, other);
	if (h->state == CONTEXT_RAW && other->state == CONTEXT_SCRIPT_DIVISION)
		enter(h, CONTEXT_SCRIPT_DIVISION); /* the less that is known */
	if (h->state == CONTEXT_SCRIPT_DIVISION && other->state == CONTEXT_RAW)
		return true;
	if (h->state != other->state)
		return false;
	switch ((enum context_state)h->state) {
	case CONTEXT_VALUE_QUOTED:
	case CONTEXT_VALUE_PLAIN:
		if (h->quote != other->quote || h->attribute != other->attribute)
			return false;
		if (other->url < h->url) { /* the less that is known */
			h->url = other->url;
			h->name_len = other->name_len;
			memcpy(h->name, other->name, sizeof h->name);
		}
		return true;
	case CONTEXT_RAW:
		return join_raw(h, other);
	case CONTEXT_SCRIPT_STRING:
		return h->quote == other->quote && (h->history == '\\') == (other->history == '\\');
	case CONTEXT_TEXT:
	case CONTEXT_TAG_OPEN:
	case CONTEXT_TAG_NAME:
	case CONTEXT_TAG:
	case CONTEXT_ATTRIBUTE:
	case CONTEXT_ATTRIBUTE_AFTER:
	case CONTEXT_VALUE_BEFORE:
	case CONTEXT_DECLARATION:
	case CONTEXT_COMMENT:
	case CONTEXT_SCRIPT_LINE_COMMENT:
	case CONTEXT_SCRIPT_BLOCK_COMMENT:
	case CONTEXT_SCRIPT_DIVISION:
	case CONTEXT_SCRIPT_UNKNOWN:
		return true;
	}
	return false;
}

static const char *attribute_place(const struct html_context *h)
{
	switch ((enum context_attribute)h->attribute) {
	case ATTRIBUTE_SCRIPT:
		return "in an attribute that holds a program";
	case ATTRIBUTE_STYLE:
		return "in a style attribute";
	case ATTRIBUTE_URL_LIST:
		return "in an attribute that lists URLs";
	case ATTRIBUTE_URL:
		return "in an attribute that holds a URL";
	case ATTRIBUTE_MARKUP:
	case ATTRIBUTE_UNKNOWN:
	case ATTRIBUTE_PLAIN:
		break;
	}
	return "in a quoted attribute";
}

static const char *raw_place(const struct html_context *h)
{
	static const char *const place[] = {
		"in text", "in a <script>", "in a <style>", "in a <textarea>", "in a <title>"};
	return place[h->element];
}

const char *context_place(const struct html_context *h)
{
	switch ((enum context_state)h->state) {
	case CONTEXT_TEXT:
		return "in text";
	case CONTEXT_TAG_OPEN:
		return "after a \"<\"";
	case CONTEXT_TAG_NAME:
		return "in a tag's name";
	case CONTEXT_TAG:
	case CONTEXT_ATTRIBUTE:
	case CONTEXT_ATTRIBUTE_AFTER:
		return "within a tag";
	case CONTEXT_VALUE_BEFORE:
	case CONTEXT_VALUE_PLAIN:
		return "in an attribute without quotes";
	case CONTEXT_VALUE_QUOTED:
		return attribute_place(h);
	case CONTEXT_DECLARATION:
		return "in a <! declaration";
	case CONTEXT_COMMENT:
		return "in an HTML comment";
	case CONTEXT_RAW:
		return raw_place(h);
	case CONTEXT_SCRIPT_STRING:
		return "in a string of a <script>";
	case CONTEXT_SCRIPT_LINE_COMMENT:
	case CONTEXT_SCRIPT_BLOCK_COMMENT:
		return "in a comment of a <script>";
	case CONTEXT_SCRIPT_DIVISION:
		return "after a \"/\" on a line of a <script>";
	case CONTEXT_SCRIPT_UNKNOWN:
		return "in a <script>, after a template literal with ${} or a <!--";
	}
	return "here";
}
