/* Where in the HTML a tag of a template stands.
 *
 * A tracker follows the static text of one template with the states of an HTML tokenizer (HTML
 * Living Standard, 13.2.5), as far as they matter for escaping:
 *
 *   TEXT --"<"--> TAG_OPEN --letter--> TAG_NAME --space--> TAG --name--> ATTRIBUTE
 *    ^ ^                                                   ^ |                |
 *    | +---------------- ">" ------------------------------|-+               "="
 *    |                                                     |                  v
 *   COMMENT, DECLARATION                  VALUE_QUOTED, VALUE_PLAIN <-- VALUE_BEFORE
 *
 * After the start tag of script, style, textarea or title: RAW, until the end tag of the same name.
 * In a script, RAW is code, with states of its own for strings and comments.
 *
 * Branches must agree: a section leaves the state that it found, or what follows would stand in two
 * places at once. Partials are rendered where the tag stands and begin in TEXT, so they stand in
 * TEXT. */
#ifndef PAGE_CONTEXT_PRIVATE_H
#define PAGE_CONTEXT_PRIVATE_H

#include <page/template.h>

enum context_state {
	CONTEXT_TEXT,
	CONTEXT_TAG_OPEN, /* after < */
	CONTEXT_TAG_NAME,
	CONTEXT_TAG,		 /* between attributes */
	CONTEXT_ATTRIBUTE,	 /* in an attribute's name */
	CONTEXT_ATTRIBUTE_AFTER, /* after the name, before = */
	CONTEXT_VALUE_BEFORE,	 /* after = */
	CONTEXT_VALUE_QUOTED,
	CONTEXT_VALUE_PLAIN,
	CONTEXT_DECLARATION, /* <!doctype ...>, <?...> */
	CONTEXT_COMMENT,
	CONTEXT_RAW, /* text of an element that holds no tags */
	CONTEXT_SCRIPT_STRING,
	CONTEXT_SCRIPT_LINE_COMMENT,
	CONTEXT_SCRIPT_BLOCK_COMMENT,
	CONTEXT_SCRIPT_DIVISION, /* after a division, or in a regular expression */
	CONTEXT_SCRIPT_UNKNOWN,	 /* until the script's end */
};

enum context_element {
	ELEMENT_OTHER,
	ELEMENT_SCRIPT,
	ELEMENT_STYLE,
	ELEMENT_TEXTAREA,
	ELEMENT_TITLE
};
enum context_attribute {
	ATTRIBUTE_PLAIN,
	ATTRIBUTE_URL,
	ATTRIBUTE_URL_LIST, /* srcset */
	ATTRIBUTE_SCRIPT,
	ATTRIBUTE_STYLE,
	ATTRIBUTE_MARKUP,
	ATTRIBUTE_UNKNOWN, /* its name depends on data */
};
/* How far into a URL the attribute's value is. */
enum context_url {
	URL_START,  /* nothing yet: a value may be all of the URL */
	URL_SCHEME, /* static text that may become a scheme; in `name` */
	URL_REST,
};

#define CONTEXT_NAME_MAX 16

struct html_context {
	uint8_t state, element, attribute, url;
	bool closing;	 /* the tag began with </ */
	uint8_t quote;	 /* of a VALUE_QUOTED or SCRIPT_STRING */
	uint8_t history; /* the last bytes that decide: dashes of a comment, a backslash in a string
			  */
	uint8_t name_len;		/* CONTEXT_NAME_MAX + 1: longer, or it depends on data */
	uint8_t name[CONTEXT_NAME_MAX]; /* of the tag, attribute, URL scheme so far, in lower case
					 */
};

void context_text(struct html_context *h, struct slice text);
/* How a variable is to be escaped here; or false, with what is wrong in *why (a static string). The
 * variable itself then counts as text (a URL has begun). */
bool context_variable(struct html_context *h, enum page_escape *how, const char **why);
/* Whether a partial or block may stand here: what it contains is escaped as HTML text. */
bool context_allows_insertion(const struct html_context *h);
/* Two branches meet: `h` becomes what holds after either of them; false when no state does. */
bool context_join(struct html_context *h, const struct html_context *other);
/* A phrase for messages: "in a <script>"; static. */
const char *context_place(const struct html_context *h);

#endif
