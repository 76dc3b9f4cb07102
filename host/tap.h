/* A TAP interface as network device. */
#ifndef HOST_TAP_H
#define HOST_TAP_H

#include <base/cursor.h>
#include <base/err.h>
#include <platform/net.h>

struct tap {
	struct net_device device;
	int fd;
	struct list empty;       /* buffers given, oldest first */
	struct list queued;      /* frames sent and not written yet */
	struct list written;     /* and those whose `done` is due */
	uint32_t empty_count, queued_count;
	uint32_t published;      /* how many of `queued` were kicked */
};

MUST_USE err tap_open(struct tap *t, const char *name, struct writer *why);
void tap_close(struct tap *t);
/* The poll(2) events for which there is something to do. */
short tap_events(const struct tap *t);
/* Whether poll has something to do at once. */
bool tap_has_work(const struct tap *t);

#endif
