/* For tests: the conformance vectors, http/vectors/TOPIC. A file has any number of them:
 *
 *	# A comment.
 *	name: cl_te
 *	section: 9112 6.3
 *	> POST /echo HTTP/1.1
 *	> Host: h
 *	> Content-Length: 5
 *	> Transfer-Encoding: chunked
 *	>
 *	> 0\r\n\r\n\
 *	= 400
 *
 * Each line after "> " is sent, and CRLF behind it unless it ends with a backslash. Escapes: \r \n \t
 * \0 \s (a blank), \" \\ \xNN, and \{N*TEXT}: TEXT, N times.
 *
 * Each "=" line is what the HTTP machine makes of the next request, and is compared as it stands:
 *
 *	= GET /a/b?q=1                a request; the path is decoded and normalised
 *	= GET /a?(61)                 a query of more than 60 bytes
 *	= GET /a host=h               the authority, where the vector wants to say it (first)
 *	= POST /echo body="hello"     its body, or, of more than 60 bytes, body=61
 *	= POST /echo continue         it waits for 100 Continue
 *	= GET /a close                the connection ends after its answer
 *	= 400                         a head that is refused: the connection ends
 *	= POST /echo 400              a body that is
 *	= POST /echo more, = more     the input ends in the middle of a body, of a head
 *
 * "resource: etag="x" modified=DATE size=10 now=DATE" (all may be left out; "none": there is nothing)
 * says what is at each path. Then the line ends with what preconditions and ranges make of it:
 * "-> 304", "-> 412", "-> 200", "-> 206 0-4", "-> 206 0-4 7-9", "-> 416".
 *
 * "<" lines are what the server of app/support/site.c answers (app/vectors_test.c); those left out have
 * a status that follows from the "=" line, or any:
 *
 *	< 200                         the next answer; below it:
 *	<   ETag: "x"                 this field with this value; * is any value that is not empty
 *	<   !Vary                     no such field
 *	<   "hello"                   the whole body, with escapes; * is any but none
 *
 * (The machine is always asked for the whole body; a server that answers without it says so there, with
 * "Connection: close" where the connection ends.) */
#ifndef HTTP_SUPPORT_VECTOR_H
#define HTTP_SUPPORT_VECTOR_H

#include <base/slice.h>

#define VECTOR_LINES_MAX 24

struct vector {
	char name[128];                         /* "smuggling/te_and_length" */
	char *section, *resource;               /* NULL: none */
	struct slice stream;                    /* what the client sends */
	char *expected[VECTOR_LINES_MAX];       /* behind "= " */
	size_t expected_count;
	char *answer[VECTOR_LINES_MAX];         /* behind "< " */
	size_t answer_count;
	size_t line;                            /* in its file */
};

struct vectors {
	struct vector *vector;
	size_t count;
};

/* All of them, in the order of the files' names. Ends the program with a message when a file is malformed. */
struct vectors vectors_load(void);
void vectors_free(struct vectors *v);

/* The last line of what is expected: the connection ends; or the input does, too early. */
bool vector_closes(const struct vector *v);
bool vector_is_cut(const struct vector *v);
/* A status at the end of the line, in a refusal: 0, none. */
int vector_refusal(const char *expected);
/* Whether the line is a request that reached whoever answers it. */
bool vector_is_request(const char *expected);

/* Undoes escapes, in place; the new length. False: malformed. `end` of `to` is where room ends. */
bool vector_unescape(const char *from, size_t len, uint8_t *to, size_t capacity, size_t *written);
/* Appends bytes to the string `to`, of `capacity` in all, with escapes. */
void vector_escape(char *to, size_t capacity, struct slice bytes);

#endif
