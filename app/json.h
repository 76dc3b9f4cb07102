/* What the parts of the JSON writer know of each other: json.c, json_real.c, and json_rows.c, which needs a database. */
#ifndef APP_JSON_PRIVATE_H
#define APP_JSON_PRIVATE_H

#include <app/json.h>
#include <base/cursor.h>

#include "server.h"

/* What stands before a value: a comma, the name (ptr NULL: none). False: there is to be no value. */
bool json_member(struct json *json, struct slice key);
/* A value, after json_member. */
void json_put_text(struct json *json, struct slice text);
void json_put_int(struct json *json, int64_t value);
void json_put_real(struct json *json, double value);
void json_put_base64(struct json *json, struct slice bytes);
void json_put_null(struct json *json);

/* The longest: "-1.2345678901234567e-308", and 21 digits with a point. */
#define JSON_REAL_MAX 32
/* The shortest digits that are read as this number again, in the form of ECMAScript's Number::toString; "null" for what
 * is no number. */
void json_real_write(struct writer *w, double value);

#endif
