/* The part of the tests' application that streams; each route is one behaviour. */
#ifndef APP_SUPPORT_SITE_STREAM_H
#define APP_SUPPORT_SITE_STREAM_H

#include "world.h"

void stream_lines(struct request *req);
void stream_length(struct request *req);
void stream_endless(struct request *req);
void stream_gate(struct request *req);
void stream_status(struct request *req);
void stream_late_header(struct request *req);
void stream_bad_header(struct request *req);
void stream_twice(struct request *req);
void stream_no_begin(struct request *req);
void stream_cut(struct request *req);
void stream_pages(struct request *req);
void stream_rows(struct request *req);
void stream_after_write(struct request *req);
void stream_sql_error(struct request *req);
void upload_sum(struct request *req);
void upload_ignored(struct request *req);
void upload_start(struct request *req);
void upload_echo(struct request *req);
void upload_late(struct request *req);
void upload_form(struct request *req);
void upload_store(struct request *req);
void upload_in_transaction(struct request *req);
void upload_last_id(struct request *req);
void events_some(struct request *req);
void events_changes(struct request *req);
void parts_show(struct request *req);
void parts_of_this_site(struct request *req);
void sql_many(struct request *req);
void sql_touch(struct request *req);

#define UPLOAD_MAX (4u << 20)
#define BODY_SMALL 100u

#define SITE_STREAM_ROUTES                                                                         \
	GET("/stream/lines", stream_lines), POST("/stream/lines", stream_lines),                   \
	GET("/stream/length", stream_length), GET("/stream/endless", stream_endless),              \
	GET("/stream/gate", stream_gate), GET("/stream/status", stream_status),                    \
	GET("/stream/late-header", stream_late_header),                                            \
	GET("/stream/bad-header", stream_bad_header), GET("/stream/twice", stream_twice),          \
	GET("/stream/no-begin", stream_no_begin), GET("/stream/cut", stream_cut),                  \
	GET("/stream/pages", stream_pages), GET("/stream/rows", stream_rows),                      \
	POST("/stream/after-write", stream_after_write), GET("/stream/sql-error", stream_sql_error), \
	PUT("/upload", upload_sum, BODY_STREAMED(UPLOAD_MAX)),                                     \
	PUT("/upload/ignored", upload_ignored, BODY_STREAMED(UPLOAD_MAX)),                         \
	PUT("/upload/start", upload_start, BODY_STREAMED(UPLOAD_MAX)),                             \
	PUT("/upload/echo", upload_echo, BODY_STREAMED(UPLOAD_MAX)),                               \
	PUT("/upload/late", upload_late, BODY_STREAMED(UPLOAD_MAX)),                               \
	PUT("/upload/gathered", upload_sum), PUT("/upload/small", upload_sum, BODY_MAX(BODY_SMALL)), \
	POST("/upload/form", upload_form, BODY_STREAMED(UPLOAD_MAX)),                              \
	PUT("/upload/store", upload_store, BODY_STREAMED(UPLOAD_MAX)),                             \
	PUT("/upload/transaction", upload_in_transaction, BODY_STREAMED(UPLOAD_MAX)),              \
	PUT("/upload/last-id", upload_last_id, BODY_STREAMED(UPLOAD_MAX)),                         \
	POST("/parts", parts_show, BODY_STREAMED(UPLOAD_MAX)), POST("/parts/gathered", parts_show), \
	POST("/parts/site", parts_of_this_site, BODY_STREAMED(UPLOAD_MAX)),                        \
	GET("/events", events_some), GET("/events/changes", events_changes),                       \
	GET("/sql/many", sql_many), POST("/sql/touch", sql_touch),

#endif
