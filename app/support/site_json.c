#include "site_json.h"

#include <float.h>
#include <math.h>

void json_site_values(struct request *req)
{
	struct json json;
	json_begin(&json, req, 201);
	json_object(&json, NULL);
	json_text(&json, "text", SLICE("plain"));
	json_int(&json, "least", INT64_MIN);
	json_real(&json, "real", -0.25);
	json_bool(&json, "yes", true);
	json_bool(&json, "no", false);
	json_null(&json, "nothing");
	json_base64(&json, "bytes", request_query(req, "bytes"));
	json_array(&json, "list");
	json_int(&json, NULL, 1);
	json_object(&json, NULL);
	json_close(&json);
	json_array(&json, NULL);
	json_close(&json);
	json_close(&json);
	json_text(&json, "a \"key\"\n", SLICE(""));
	json_close(&json);
	reply_header(req, "X-Whole", json_end(&json) ? SLICE("yes") : SLICE("no"));
}

void json_site_strings(struct request *req)
{
	static const struct slice text[] = {SLICE_INIT("\0\x1f\b\t\n\v\f\r\"\\/\x7f<&'"), SLICE_INIT("aä漢🖋z"),
		SLICE_INIT("\x80|\xc3|\xe6\xbc|\xf0\x9f\x96|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xff"), SLICE_INIT("\xe2\x28\xa1"),
		SLICE_INIT("end\xf0\x9f")};
	struct json json;
	json_begin(&json, req, 200);
	json_array(&json, NULL);
	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		json_text(&json, NULL, text[i]);
	json_close(&json);
	json_end(&json);
}

const double json_site_real[] = {0, -0.0, 1, -1.5, 0.1, 0.3, 1.0 / 3, 123456.789, 1e20, 1e21, 123456789012345680000.0, 1e-6, 1e-7,
	4.35, 5e-324, DBL_MIN, DBL_MAX, 2.225073858507201e-308, 9007199254740993.0, 1e23, 2023347301156851.25, 0.00022935867309570313};
const size_t json_site_real_count = ARRAY_LEN(json_site_real);

void json_site_reals(struct request *req)
{
	struct json json;
	json_begin(&json, req, 200);
	json_array(&json, NULL);
	for (size_t i = 0; i < json_site_real_count; i++)
		json_real(&json, NULL, json_site_real[i]);
	json_real(&json, NULL, INFINITY);
	json_real(&json, NULL, NAN);
	json_close(&json);
	json_end(&json);
}

void json_site_longs(struct request *req)
{
	struct json json;
	json_begin(&json, req, 200);
	json.long_as_text = request_query_int(req, "text", 0, 1, 0);
	json_array(&json, NULL);
	json_int(&json, NULL, INT64_C(1) << 53);
	json_int(&json, NULL, (INT64_C(1) << 53) + 1);
	json_int(&json, NULL, -(INT64_C(1) << 53) - 1);
	json_int(&json, NULL, INT64_MAX);
	json_close(&json);
	json_end(&json);
}

/* An array of ?n= numbers; ?fail= of them, and then the request fails. */
void json_site_count(struct request *req)
{
	int64_t n = request_query_int(req, "n", 0, 10000000, 0), fail = request_query_int(req, "fail", 0, 10000000, INT64_MAX);
	struct json json;
	json_begin(&json, req, 200);
	json_array(&json, NULL);
	for (int64_t i = 0; i < n; i++) {
		if (i == fail)
			db_run(req, "SELECT 1"); /* without a database */
		json_int(&json, NULL, i);
	}
	json_close(&json);
	json_end(&json);
	reply_etag(req);
}

void json_site_deep(struct request *req)
{
	int64_t depth = request_query_int(req, "n", 0, 1000, 0);
	struct json json;
	json_begin(&json, req, 200);
	for (int64_t i = 0; i < depth; i++)
		i % 3 ? json_array(&json, i % 3 == 1 ? "list" : NULL) : json_object(&json, NULL);
	for (int64_t i = 0; i < depth; i++)
		json_close(&json);
	json_end(&json);
}

void json_site_mistake(struct request *req)
{
	int64_t kind = request_query_int(req, "n", 0, 9, 0);
	struct json json;
	json_begin(&json, req, kind == 7 ? 99 : 200);
	if (kind == 0)
		json_int(&json, "name", 1);
	if (kind != 1)
		json_object(&json, NULL);
	if (kind == 2)
		json_int(&json, NULL, 1);
	if (kind == 3)
		json_array(&json, "list"), json_int(&json, "name", 1), json_close(&json);
	if (kind == 4)
		json_array(&json, "not closed");
	if (kind != 1)
		json_close(&json);
	if (kind == 5)
		json_close(&json);
	if (kind == 6)
		json_text(&json, NULL, SLICE("a second value"));
	json_end(&json);
}

void json_site_late(struct request *req)
{
	struct json json;
	reply_text(req, 200, SLICE("first"));
	json_begin(&json, req, 200);
	json_int(&json, NULL, 1);
	json_end(&json);
}

void json_site_tagged(struct request *req)
{
	struct json json;
	json_begin(&json, req, (int)request_query_int(req, "status", 200, 599, 200));
	json_text(&json, NULL, request_query(req, "text"));
	json_end(&json);
	reply_etag(req);
}

void json_site_page(struct request *req)
{
	struct page_value *data = page_data(req);
	const struct page_template *page = page_compiled(&world_of(req)->pages, SLICE("show"));
	page_set_text(data, "text", request_query(req, "text"));
	if (request_query(req, "as").len)
		reply_page_as(req, 200, "application/x-test", page, data);
	else
		reply_page(req, 200, page, data);
	reply_etag(req);
}

void json_site_rows(struct request *req)
{
	struct json json;
	json_begin(&json, req, 200);
	json_object(&json, NULL);
	size_t n = json_rows(&json, "rows",
		"SELECT 7 AS number, 2.5 AS real, 'tex\"t' AS text, NULL AS none, x'00ff10' AS blob, '' AS \"a \"\"b\" "
		"UNION ALL SELECT ?, 1e300, ?, 0, x'', char(0)", INT64_MAX, request_query(req, "text"));
	json_rows(&json, "empty", "SELECT 1 AS one WHERE false");
	json_int(&json, "count", (int64_t)n);
	json_close(&json);
	json_end(&json);
}

void json_site_row(struct request *req)
{
	struct json json;
	json_begin(&json, req, 200);
	json_array(&json, NULL);
	json_bool(&json, NULL, json_row(&json, NULL, "SELECT 1 AS one, 2 AS two UNION ALL SELECT 3, 4"));
	json_bool(&json, NULL, json_row(&json, NULL, "SELECT 1 AS one WHERE false"));
	json_close(&json);
	json_end(&json);
}

void json_site_many(struct request *req)
{
	struct json json;
	json_begin(&json, req, 200);
	json_rows(&json, NULL, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
		"SELECT x AS id, 'name ' || x AS name FROM c LIMIT ?", request_query_int(req, "n", -1, 1000000, 0));
	json_end(&json);
}

/* The ?n=th row cannot be made. */
void json_site_broken_rows(struct request *req)
{
	struct json json;
	json_begin(&json, req, 200);
	json_rows(&json, NULL, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000) "
		"SELECT x AS id, iif(x = ?, json('no JSON'), x) AS value FROM c", request_query_int(req, "n", 0, 1000000, 0));
	json_end(&json);
}
