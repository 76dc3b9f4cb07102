/* A list of named counters. They stay plain fields of their owners, who increase them for nothing
 * more than an addition; the list only knows where they are. */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <base/cursor.h>
#include <base/list.h>

struct metric {
	struct list link;      /* the list's */
	const char *name;      /* "net_frames_received_total"; static */
	const uint64_t *value; /* borrowed for as long as the list lives */
};

struct metrics {
	struct list list;
};

API_BEGIN

void metrics_init(struct metrics *m);
/* `metric` is the caller's and stays in the list for ever. */
void metrics_add(struct metrics *m, struct metric *metric, const char *name, const uint64_t *value);
/* "name value\n" for each, oldest first: the text format that Prometheus reads. */
void metrics_write(const struct metrics *m, struct writer *w);

API_END

#endif
