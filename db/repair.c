/* `ingot db repair`: a volume that is refused because generations which had been safe on it cannot be read any more (the
 * loss is shown first; accepting it is a second command), and one of which something is damaged that can be made anew: the
 * space map, a copy of the superblock. */
#include "commands.h"
#include "tool.h"
#include "words.h"

struct repair {
	bool accept, refused, mendable;
	uint64_t lost_from, lost_to;
};

/* As the store refuses it, if it does. */
static int look(struct session *s, void *argument)
{
	struct repair *r = argument;
	r->refused = s->store == NULL;
	r->lost_from = s->info.lost_from;
	r->lost_to = s->info.lost_to;
	if (r->refused && !r->lost_from)
		die("%s: %s. This is nothing that could be repaired", s->place.path,
			s->said[0] ? s->said : err_text(s->opened));
	if (r->refused)
		return 0;
	struct store_check_job job = {.map_only = true, .space = true};
	struct store_check_result found;
	(void)store_check_all(s->store, &job, &found).code;
	r->mendable = found.slot_damaged[0] || found.slot_damaged[1] || found.space_damaged;
	if (found.damaged)
		die("%s: %lu pages cannot be found, since the page map is damaged: nothing that could be repaired. Save what "
		    "is left: ingot db export --salvage", s->place.path, (unsigned long)found.damaged);
	return 0;
}

static int mend(struct session *s, void *argument)
{
	(void)argument;
	if (store_state(s->store) != STORE_OPEN)
		die("%s: %s", s->place.path, store_reason(s->store));
	printf("%s: the superblock's copies and the space map have been made anew. Now: ingot db check\n", s->place.path);
	return 0;
}

/* With the loss accepted; in READ mode only in memory. */
static int tell(struct session *s, void *argument)
{
	const struct repair *r = argument;
	printf("%s: generations %lu to %lu (at least) were safe on this volume and cannot be read any more.\n"
	       "What is left: generation %lu, a database of %s.\n", s->place.path, (unsigned long)r->lost_from,
		(unsigned long)r->lost_to, (unsigned long)(r->lost_from - 1),
		size_text((uint64_t)s->object_pages * STORE_PAGE_SIZE));
	if (s->mode == SESSION_WRITE)
		printf("The volume goes on from there, as generation %lu. Now: ingot db check\n",
			(unsigned long)s->info.generation);
	else
		printf("If there is no better copy: ingot db repair --accept-loss goes on with that (and loses the rest "
		       "for good).\n");
	return s->mode == SESSION_WRITE ? 0 : 1;
}

int command_repair(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--accept-loss"}, {0}};
	struct words w = words_take(argc, argv, options, "repair [WHERE] [--accept-loss]", 0, 0);
	struct repair r = {.accept = options[0].given};
	struct session s = {.place = place_find(w.where), .mode = SESSION_READ, .may_break = true, .keep_said = true};
	session_run(&s, look, &r);
	if (r.mendable) {
		struct session anew = {.place = s.place, .mode = SESSION_WRITE, .must_exist = true, .rebuild_space = true,
			.keep_said = true};
		return session_run(&anew, mend, &r);
	}
	if (!r.refused) {
		printf("%s: nothing to repair; `ingot db check` looks at all of it\n", s.place.path);
		return 0;
	}
	struct session again = {.place = s.place, .mode = r.accept ? SESSION_WRITE : SESSION_READ,
		.must_exist = true, .accept_loss = true, .keep_said = true};
	return session_run(&again, tell, &r);
}
