/* The limits that an application gives, for all its requests or for those of a route (struct app_limits in ingot.h). */
#include <app/ingot.h>

#include "server.h"

#define SECOND_NS UINT64_C(1000000000)

static void seconds_set(uint64_t *ns, uint32_t s)
{
	if (s)
		*ns = s * SECOND_NS;
}

bool app_limits_apply(struct server *s, struct request *req, const struct app_limits *limits)
{
	struct http_limits *to = &s->limits;
	if (req) {
		to = ARENA_NEW(&req->exchange->arena, struct http_limits);
		if (!to)
			return false;
		*to = s->limits;
		req->exchange->http.limits = to; /* until exchange_memory_reset */
	} else {
		seconds_set(&to->head_ns, limits->head_s);
		seconds_set(&to->idle_ns, limits->idle_s);
		if (limits->per_address)
			s->config.per_address_max = limits->per_address;
	}
	seconds_set(&to->body_ns, limits->body_s);
	seconds_set(&to->handle_ns, limits->handle_s);
	if (limits->handle_s)
		to->handle_ns *= 2; /* what a statement may take is half of it (deadline_of in database.c) */
	seconds_set(&to->write_ns, limits->write_s);
	if (limits->body_bytes_per_s)
		to->body_bytes_per_s_min = limits->body_bytes_per_s;
	return true;
}
