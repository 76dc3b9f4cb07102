/* Whether the machine is alive, and whether it should be sent requests. Answered on the loop: neither waits for a fiber,
 * so that a machine with much to do is not taken for a dead one. */
#include <app/ingot.h>

#include <app/database.h>

#include "server.h"

static void health_reply(struct request *req, int status, struct slice text)
{
	reply_header(req, "Cache-Control", SLICE("no-store"));
	reply_text(req, status, text);
}

static void health_answer(struct request *req)
{
	health_reply(req, 200, SLICE("ok\n"));
}

static void ready_answer(struct request *req)
{
	const struct server *s = req->exchange->server;
	const struct app_database *database = s->config.manifest->database;
	if (s->draining)
		health_reply(req, 503, SLICE("the machine is about to stop\n"));
	else if (database && !s->config.database)
		health_reply(req, 503, SLICE("the database is not open\n"));
	else if (database && !database->engine->is_writable(s->config.database))
		health_reply(req, 503, SLICE("the database takes no changes: its device has failed, see the log\n"));
	else
		health_reply(req, 200, SLICE("ready\n"));
}

const struct app_service app_service_health = {.answer = health_answer};
const struct app_service app_service_ready = {.answer = ready_answer};
