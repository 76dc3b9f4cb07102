/* The compiled form of a Mustache template: constant tables that stand in the image.
 *
 * A template is an array of operations that ends in PAGE_OP_RETURN. The page compiler makes them,
 * either in memory (page/compile.h) or as C source; an application only names them:
 * the template pages/blog/entry.mustache is the symbol page_template_blog_entry. */
#ifndef PAGE_TEMPLATE_H
#define PAGE_TEMPLATE_H

#include <base/slice.h>

enum page_op_kind {
	PAGE_OP_TEXT,	     /* a run of static text */
	PAGE_OP_VARIABLE,    /* the value at `path`, escaped as `escape` says */
	PAGE_OP_SECTION,     /* once for each item of the value at `path`; ends at `jump` */
	PAGE_OP_SECTION_END, /* `jump` is its section */
	PAGE_OP_INVERTED,    /* goes on at `jump` when the value at `path` is true */
	PAGE_OP_PARTIAL,     /* `partial`, or with a path the template that the value there names */
	PAGE_OP_PARENT,	     /* the same with overrides, the BLOCKs between here and `jump` */
	PAGE_OP_PARENT_END,
	PAGE_OP_BLOCK, /* `path[0]` is its name; its default content ends at `jump` */
	PAGE_OP_BLOCK_END,
	PAGE_OP_RETURN, /* the end of the template */
};

enum page_escape {
	/* {{{triple}}} and {{&name}}: as it is. */
	PAGE_ESCAPE_NONE,
	/* & < > " ' become character references; a PAGE_HTML value stays as it is. */
	PAGE_ESCAPE_HTML,
	/* The same within a quoted attribute, for PAGE_HTML values as well. */
	PAGE_ESCAPE_ATTRIBUTE,
	/* All but unreserved characters become %XX: a part of a URL's path or query. */
	PAGE_ESCAPE_URL,
	/* A whole URL at an attribute's start: a scheme other than http, https, mailto or tel makes
	 * it "#"; then as ATTRIBUTE. */
	PAGE_ESCAPE_LINK,
	/* A JSON literal that can stand in a script, with its quotes. */
	PAGE_ESCAPE_JSON,
};

struct page_op {
	uint8_t kind;	   /* enum page_op_kind */
	uint8_t escape;	   /* enum page_escape, of a VARIABLE */
	bool standalone;   /* PARTIAL, PARENT, BLOCK: the tag has its line to itself */
	uint8_t path_len;  /* names in `path`; 0 for a VARIABLE, SECTION or INVERTED is {{.}} */
	uint32_t jump;	   /* the index of the matching operation */
	/* TEXT: the bytes (may be none). PARTIAL, PARENT, BLOCK: the indentation of its lines. */
	struct slice text;
	union {
		const struct slice *path;	     /* a dotted name, split */
		const struct page_template *partial; /* when path_len is 0; NULL renders nothing */
	} to;
};

struct page_template_set {
	const struct page_template *const *template; /* sorted by name (slice_cmp) */
	uint32_t count;
};

struct page_template {
	const struct page_op *ops;
	uint32_t op_count; /* at least 1: the last one is PAGE_OP_RETURN */
	struct slice name; /* "blog/entry" */
	/* Where {{>*dynamic}} names are looked up; NULL in a template that uses none, so that only
	 * those which do hold on to all templates. */
	const struct page_template_set *set;
};

API_BEGIN
/* NULL when there is none of that name. */
const struct page_template *page_template_find(
	const struct page_template_set *set, struct slice name);
API_END

#endif
