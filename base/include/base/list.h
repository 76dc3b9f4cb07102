/* Intrusive doubly linked list with a sentinel; an element is in at most one list for each link. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <base/api.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *e)
{
	e->next = at;
	e->prev = at->prev;
	at->prev->next = e;
	at->prev = e;
}

static inline void list_push_back(struct list *l, struct list *e)
{
	list_insert_before(l, e);
}

static inline void list_push_front(struct list *l, struct list *e)
{
	list_insert_before(l->next, e);
}

/* Leaves the element linked to itself: removing it again is harmless. */
static inline void list_remove(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

/* NULL when empty. */
static inline struct list *list_pop_front(struct list *l)
{
	struct list *e = l->next;
	if (e == l)
		return NULL;
	list_remove(e);
	return e;
}

#define LIST_ENTRY(e, T, member) CONTAINER_OF(e, T, member)
/* `e` may be removed within the loop. */
#define LIST_FOR_EACH(e, l)                                                                        \
	for (struct list *e = (l)->next, *e##_next = e->next; e != (l);                            \
		e = e##_next, e##_next = e->next)

#endif
