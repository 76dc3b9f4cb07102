/* The router: method and path to a row of a constant table.
 *
 * A pattern is a path whose segments are literal, "{name}" (one segment, not empty) or, last only,
 * "{name...}" (the rest, may be empty, may hold slashes). "/entry/{id}", "/files/{path...}". When
 * more than one row fits, the one that is literal in an earlier segment wins, then "{name}" before
 * "{name...}"; the order of the table does not matter. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <base/arena.h>
#include <base/err.h>
#include <http/parse.h>

#define HTTP_PARAMS_MAX 8
#define HTTP_PATTERN_SEGMENTS_MAX 16

struct http_route {
	enum http_method method;
	struct slice pattern;
};

struct http_param {
	struct slice name;  /* view into the pattern */
	struct slice value; /* view into the path */
};

enum http_route_result {
	HTTP_ROUTE_FOUND,
	HTTP_ROUTE_NOT_FOUND, /* no pattern fits: 404 */
	HTTP_ROUTE_METHOD,    /* patterns fit, the method does not: 405 with Allow */
	HTTP_ROUTE_OPTIONS,   /* OPTIONS that no row handles: 204 with Allow */
};

struct http_match {
	uint32_t index; /* of the row, when FOUND */
	uint32_t allow; /* bit 1 << method for each that the path allows, when METHOD or OPTIONS */
	uint32_t param_count;
	struct http_param param[HTTP_PARAMS_MAX];
};

API_BEGIN

/* Whether every pattern is well-formed and no two rows are alike; to be asked once, at start. On
 * failure *row is the first bad one. */
MUST_USE err http_routes_check(const struct http_route *routes, uint32_t count, uint32_t *row);

/* `path` as in struct http_request. HEAD falls to GET. "*" with OPTIONS gives the methods of all
 * rows. The table must have passed http_routes_check. `m` is written in every case. */
enum http_route_result http_route_find(const struct http_route *routes, uint32_t count,
	enum http_method method, struct slice path, struct http_match *m);

/* The parameter's value; ptr is NULL when the pattern has none of that name. */
struct slice http_match_param(const struct http_match *m, struct slice name);

/* "GET, HEAD, OPTIONS", for Allow; empty when the arena is full. */
struct slice http_allow_list(uint32_t allow, struct arena *arena);

API_END

#endif
