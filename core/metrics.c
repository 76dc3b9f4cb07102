#include <core/metrics.h>

void metrics_init(struct metrics *m)
{
	list_init(&m->list);
}

void metrics_add(struct metrics *m, struct metric *metric, const char *name, const uint64_t *value)
{
	metric->name = name;
	metric->value = value;
	list_push_back(&m->list, &metric->link);
}

void metrics_write(const struct metrics *m, struct writer *w)
{
	for (const struct list *e = m->list.next; e != &m->list; e = e->next) {
		const struct metric *metric = LIST_ENTRY(e, struct metric, link);
		write_bytes(w, slice_from_cstr(metric->name));
		write_u8(w, ' ');
		write_dec(w, *metric->value);
		write_u8(w, '\n');
	}
}
