/* What e2e/differential.sh asks, beside files: the routes of app/support/site.c that http/vectors name. */
#include <ingot.h>

static void text(struct request *req)
{
	reply_text(req, 200, SLICE("plain & simple"));
}

static void echo(struct request *req)
{
	reply_bytes(req, 200, "application/octet-stream", request_body(req));
}

APP_ROUTES(GET("/text", text), GET("/page", text), POST("/echo", echo), PUT("/echo", echo))
