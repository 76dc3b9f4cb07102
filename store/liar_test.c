/* A disk that lies: some writes are lost, some land elsewhere, all are reported as done. No promise of
 * durability can hold then. What must hold is that a page which is served is the right one: the one of the
 * snapshot's generation. Everything else is ERR_CORRUPT, or a volume that is refused.
 *
 * (There is no test in which the Nth allocation fails: the store allocates nothing, all of its memory
 * comes with store_open. What runs out are its pools, which other tests do.) */
#include "support/rig.h"

#include <base/assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PAGES 90u
#define GENERATIONS 300u
#define READERS 3u

struct liar {
	struct rig rig;
	struct store_object *object;
	uint64_t id[GENERATIONS][PAGES]; /* 0: zero, or behind the end */
	uint32_t pages[GENERATIONS];
	uint64_t newest, next_id, random;
};

static uint64_t right, corrupt, refused, gone_back, lies; /* over all runs */

static uint32_t below(struct liar *l, uint32_t bound)
{
	return (uint32_t)(sim_random(&l->random) % bound);
}

/* Right, or known to be wrong. */
static void judge(struct liar *l, uint64_t generation, uint32_t page_no, err e, const uint8_t *page)
{
	if (failed(e)) {
		assert_int_equal(e.code, ERR_CORRUPT);
		corrupt++;
		return;
	}
	assert_int_equal(rig_identify(page, page_no), l->id[generation][page_no]);
	right++;
}

static void read_some(struct liar *l, struct store_snapshot *s, uint32_t step)
{
	assert_int_equal(store_snapshot_pages(s), l->pages[s->generation]);
	for (uint32_t p = 0; p < store_snapshot_pages(s); p += step) {
		struct store_page *page;
		err e = store_page_get(s, p, &page);
		judge(l, s->generation, p, e, failed(e) ? NULL : store_page_data(page));
		if (!failed(e))
			store_page_put(page);
	}
}

static err change(struct liar *l, struct store_txn *t, uint64_t next)
{
	uint8_t page[STORE_PAGE_SIZE];
	uint32_t p = below(l, PAGES);
	if (below(l, 40) == 0) {
		TRY(store_txn_truncate(t, p));
		memset(&l->id[next][p], 0, (PAGES - p) * sizeof l->id[next][p]);
		l->pages[next] = p;
		return OK;
	}
	rig_fill(page, p, ++l->next_id);
	TRY(store_txn_write(t, p, page));
	l->id[next][p] = l->next_id;
	if (p >= l->pages[next])
		l->pages[next] = p + 1;
	p = below(l, PAGES);
	if (p < l->pages[next])
		judge(l, next, p, store_txn_read(t, p, page), page);
	return OK;
}

static err transaction(struct liar *l)
{
	struct store_txn *t;
	uint64_t next = l->newest + 1, generation;
	assert_true(next < GENERATIONS);
	TRY(store_txn_begin(l->object, &t));
	memcpy(l->id[next], l->id[l->newest], sizeof l->id[next]);
	l->pages[next] = l->pages[l->newest];
	err e = OK;
	for (uint32_t n = below(l, 12) + 1; n > 0 && !failed(e); n--)
		e = change(l, t, next);
	if (failed(e)) {
		store_txn_abort(t);
		return e;
	}
	TRY(store_txn_commit(t, &generation));
	l->newest = generation;
	return OK;
}

/* Until something is noticed that ends writing, or it has been enough. */
static void work(void *argument)
{
	struct liar *l = argument;
	struct store_snapshot s[READERS];
	bool open[READERS] = {false};
	err e = store_object_open(l->rig.store, "main", true, &l->object);
	for (uint32_t step = 0; step < 60 && !failed(e); step++) {
		e = transaction(l);
		uint32_t i = below(l, READERS);
		if (open[i]) {
			read_some(l, &s[i], 1 + below(l, 4));
			store_snapshot_end(&s[i]);
		} else {
			store_snapshot_begin(l->object, &s[i]);
		}
		open[i] = !open[i];
		if (!failed(e) && below(l, 3) == 0)
			e = store_wait_durable(l->rig.store, l->newest);
		if (!failed(e) && below(l, 12) == 0)
			e = store_checkpoint(l->rig.store);
	}
	if (failed(e))
		assert_true(e.code == ERR_CORRUPT || e.code == ERR_IO);
	for (uint32_t i = 0; i < READERS; i++)
		if (open[i]) {
			read_some(l, &s[i], 1);
			store_snapshot_end(&s[i]);
		}
}

static void look(void *argument)
{
	struct liar *l = argument;
	struct store_snapshot s;
	if (failed(store_object_open(l->rig.store, "main", false, &l->object))) {
		assert_int_equal(l->rig.info.generation, 0);
		return;
	}
	uint64_t before = corrupt, damaged = 0;
	store_snapshot_begin(l->object, &s);
	read_some(l, &s, 1);
	store_snapshot_end(&s);
	err e = store_check(l->rig.store, &damaged);
	assert_int_equal(failed(e), damaged != 0);
	assert_int_equal(corrupt > before, damaged != 0);
}

/* What the truth looks like after so many lies: an earlier generation perhaps, but that one. */
static bool open_again(struct liar *l)
{
	l->rig.disk.lose_one_in = l->rig.disk.misdirect_one_in = 0;
	rig_crash(&l->rig);
	err e = rig_open(&l->rig);
	if (failed(e)) {
		assert_true(e.code == ERR_CORRUPT || e.code == ERR_FOREIGN);
		refused++;
		return false;
	}
	assert_true(l->rig.info.generation <= l->newest);
	gone_back += l->rig.info.generation < l->newest;
	l->newest = l->rig.info.generation;
	rig_run(&l->rig, look, l);
	return true;
}

static void live_with_lies(uint64_t seed)
{
	struct liar *l = calloc(1, sizeof *l);
	rig_init(&l->rig, 400 * 4096, seed % 2 ? 512 : 4096, seed, 4);
	l->rig.config.cache_pages = 32;
	l->random = seed;
	l->next_id = seed << 32;
	err e = rig_open(&l->rig);
	assert_int_equal(e.code, ERR_OK);
	rig_run(&l->rig, work, l);
	uint32_t odds = 10u << seed % 4;
	l->rig.disk.lose_one_in = seed % 3 != 1 ? odds : 0;
	l->rig.disk.misdirect_one_in = seed % 3 != 2 ? odds : 0;
	rig_run(&l->rig, work, l);
	lies += l->rig.disk.lost + l->rig.disk.misdirected;
	/* And a life with an honest disk on what is left. */
	if (open_again(l)) {
		rig_run(&l->rig, work, l);
		(void)open_again(l);
	}
	rig_crash(&l->rig);
	rig_free(&l->rig);
	free(l);
}

static void lost_and_misdirected_writes_are_noticed_and_never_served(void **state)
{
	(void)state;
	const char *runs = getenv("LIAR_RUNS");
	uint64_t last = runs ? strtoull(runs, NULL, 10) : 120;
	for (uint64_t seed = 1; seed <= last; seed++)
		live_with_lies(seed);
	printf("# %lu lies: %lu pages right, %lu corrupt; %lu volumes had gone back, %lu were refused\n",
		(unsigned long)lies, (unsigned long)right, (unsigned long)corrupt,
		(unsigned long)gone_back, (unsigned long)refused);
	assert_true(lies > last && right > 100 * last && corrupt > last);
	assert_true(refused < last / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_and_misdirected_writes_are_noticed_and_never_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
