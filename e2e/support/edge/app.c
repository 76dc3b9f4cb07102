/* Tells its clients whom it takes them for. What it stands behind is written by e2e/edge.sh. */
#include <ingot.h>

static void client(struct request *req)
{
	struct slice address = request_client(req);
	reply_text(req, 200, arena_format(request_arena(req), "%.*s %s\n", SLICE_ARG(address),
		request_is_https(req) ? "https" : "http"));
}

static void take(struct request *req)
{
	reply_text(req, 200, SLICE("taken\n"));
}

APP_ROUTES(GET("/client", client), POST("/take", take), HEALTH("/healthz"), METRICS("/metrics"))
APP_ACCESS_LOG(combined)
