/* The part of the tests' application that answers in JSON, and what stands beside it; each route is one behaviour. */
#ifndef APP_SUPPORT_SITE_JSON_H
#define APP_SUPPORT_SITE_JSON_H

#include "world.h"

void json_site_values(struct request *req);
void json_site_strings(struct request *req);
void json_site_reals(struct request *req);
void json_site_longs(struct request *req);
void json_site_count(struct request *req);
void json_site_deep(struct request *req);
void json_site_mistake(struct request *req);
void json_site_late(struct request *req);
void json_site_tagged(struct request *req);
void json_site_page(struct request *req);
void json_site_rows(struct request *req);
void json_site_row(struct request *req);
void json_site_many(struct request *req);
void json_site_broken_rows(struct request *req);

/* What /json/reals writes. */
extern const double json_site_real[];
extern const size_t json_site_real_count;

#define SITE_JSON_ROUTES                                                                           \
	GET("/json/values", json_site_values), GET("/json/strings", json_site_strings),            \
	GET("/json/reals", json_site_reals), GET("/json/longs", json_site_longs),                  \
	GET("/json/count", json_site_count), GET("/json/deep", json_site_deep),                    \
	GET("/json/mistake", json_site_mistake), GET("/json/late", json_site_late),                \
	GET("/json/tagged", json_site_tagged), POST("/json/tagged", json_site_tagged),             \
	GET("/json/page", json_site_page), GET("/json/rows", json_site_rows),                      \
	GET("/json/row", json_site_row), GET("/json/many", json_site_many),                        \
	GET("/json/broken-rows", json_site_broken_rows),

#endif
