/* Who waits for whom: the writer's slot and the pool of connections are served first come, first served; no
 * write fails because of another one; and whoever has gone waits no longer. */
#include "support/check.h"

#define DISK_LEN (32u << 20)

static const struct sql_migration schema[] = {
	{1, "log", "CREATE TABLE log (id INTEGER PRIMARY KEY, who INTEGER NOT NULL);"
		   "CREATE TABLE counter (n INTEGER NOT NULL); INSERT INTO counter VALUES (0);"},
};

static struct world *new_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	w->sql_config.connections = 8;
	return w;
}

#define WORLD_TEST(name)                                                                           \
	static void name##_run(struct world *w);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		in_world(new_world(), name##_run);                                                 \
	}                                                                                          \
	static void name##_run(struct world *w)

static void write_who(struct sql_conn *conn, int64_t who)
{
	ok(sql_exec(conn, "INSERT INTO log (who) VALUES (?)", SQL_ARGS(sql_int(who))), conn);
}

/* Fibers that have begun, and the order in which they were served. */
static struct line {
	uint32_t begun, served;
	uint32_t order[16];
} line;

static void write_in_turn(struct world *w)
{
	uint32_t me = line.begun++;
	struct sql_conn *conn = acquire(w);
	write_who(conn, me);
	line.order[line.served++] = me;
	sql_release(conn);
}

static void begin_in_turn(struct world *w)
{
	uint32_t me = line.begun++;
	struct sql_conn *conn = acquire(w);
	ok(sql_begin(conn, SQL_WRITE), conn);
	line.order[line.served++] = me;
	write_who(conn, me);
	fiber_yield(&w->loop);
	ok(sql_commit(conn), conn);
	sql_release(conn);
}

static void wait_until(struct world *w, const uint32_t *counter, uint32_t count)
{
	while (*counter < count)
		fiber_yield(&w->loop);
}

static void assert_served_in_order(uint32_t count)
{
	assert_int_equal(line.served, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(line.order[i], i);
}

WORLD_TEST(writers_are_served_in_the_order_in_which_they_came)
{
	line = (struct line){0};
	struct sql_conn *conn = acquire(w);
	ok(sql_begin(conn, SQL_WRITE), conn);
	for (uint32_t i = 0; i < 6; i++) {
		world_spawn(w, i % 2 ? begin_in_turn : write_in_turn);
		wait_until(w, &line.begun, i + 1);
	}
	ok(sql_commit(conn), conn);
	/* This one has held the slot until now, and comes after all that wait for it. */
	write_who(conn, 99);
	assert_served_in_order(6);
	assert_int_equal(number(conn, "SELECT id FROM log WHERE who = 99"), 7);
	sql_release(conn);
}

static void hold_a_connection(struct world *w)
{
	uint32_t me = line.begun++;
	struct sql_conn *conn = acquire(w);
	line.order[line.served++] = me;
	fiber_yield(&w->loop);
	sql_release(conn);
}

WORLD_TEST(connections_are_given_in_the_order_in_which_they_were_asked_for)
{
	line = (struct line){0};
	struct sql_conn *conn[8];
	for (int i = 0; i < 8; i++)
		conn[i] = acquire(w);
	for (uint32_t i = 0; i < 6; i++) {
		world_spawn(w, hold_a_connection);
		wait_until(w, &line.begun, i + 1);
	}
	/* Who gives one back and asks again has to queue. */
	sql_release(conn[0]);
	conn[0] = acquire(w);
	assert_served_in_order(6);
	for (int i = 0; i < 8; i++)
		sql_release(conn[i]);
}

/* A write that is a transaction of its own, begun while another on the same connection is in progress. */
WORLD_TEST(a_write_within_a_write_keeps_the_slot)
{
	line = (struct line){0};
	struct sql_conn *conn = acquire(w), *other = acquire(w);
	struct sql_query outer;
	ok(sql_query_begin(conn, &outer, "INSERT INTO log (who) VALUES (1), (2), (3) RETURNING id", SQL_NO_ARGS),
		conn);
	assert_true(sql_query_next(&outer));
	write_who(conn, 4);
	/* SQLite still holds the store's transaction for the outer one. */
	sql_set_deadline(other, w->now_ns + 10000000);
	assert_err(sql_exec(other, "INSERT INTO log (who) VALUES (5)", SQL_NO_ARGS), TIMEOUT);
	sql_set_deadline(other, TIMER_NEVER);
	world_spawn(w, write_in_turn);
	for (int i = 0; i < 20; i++)
		fiber_yield(&w->loop);
	assert_int_equal(line.served, 0);
	while (sql_query_next(&outer))
		;
	ok(sql_query_end(&outer), conn);
	write_who(other, 6);
	assert_int_equal(line.served, 1);
	assert_int_equal(number(other, "SELECT count(*) FROM log"), 6);
	/* And when the outer one ends first. */
	struct sql_query first, second;
	ok(sql_query_begin(conn, &first, "INSERT INTO log (who) VALUES (7), (8) RETURNING id", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&first));
	ok(sql_query_begin(conn, &second, "INSERT INTO log (who) VALUES (9), (10) RETURNING id", SQL_NO_ARGS),
		conn);
	assert_true(sql_query_next(&second));
	ok(sql_query_end(&first), conn);
	sql_set_deadline(other, w->now_ns + 10000000);
	assert_err(sql_exec(other, "INSERT INTO log (who) VALUES (5)", SQL_NO_ARGS), TIMEOUT);
	sql_set_deadline(other, TIMER_NEVER);
	ok(sql_query_end(&second), conn);
	write_who(other, 11);
	assert_int_equal(number(other, "SELECT count(*) FROM log"), 11);
	sql_release(conn);
	sql_release(other);
}

/* A SQL_READ transaction that writes after all is a writer from then on: others wait for it. */
WORLD_TEST(a_read_transaction_that_writes_makes_others_wait)
{
	line = (struct line){0};
	struct sql_conn *conn = acquire(w);
	struct sql_stats s;
	ok(sql_begin(conn, SQL_READ), conn);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 0);
	write_who(conn, 1);
	world_spawn(w, write_in_turn);
	world_spawn(w, begin_in_turn);
	wait_until(w, &line.begun, 2);
	for (int i = 0; i < 20; i++)
		fiber_yield(&w->loop);
	assert_int_equal(line.served, 0);
	ok(sql_commit(conn), conn);
	write_who(conn, 2);
	assert_served_in_order(2);
	sql_stats(w->sql, &s);
	assert_int_equal(s.busy, 0);
	sql_release(conn);
}

WORLD_TEST(a_stale_transaction_does_not_hold_the_slot)
{
	struct sql_conn *reader = acquire(w), *writer = acquire(w);
	ok(sql_begin(reader, SQL_READ), reader);
	assert_int_equal(number(reader, "SELECT n FROM counter"), 0);
	write_who(writer, 1);
	assert_err(sql_exec(reader, "UPDATE counter SET n = 1", SQL_NO_ARGS), STALE);
	sql_set_deadline(writer, w->now_ns + 10000000);
	write_who(writer, 2);
	sql_rollback(reader);
	sql_release(reader);
	sql_release(writer);
}

WORLD_TEST(who_times_out_in_the_queue_does_not_stop_it)
{
	line = (struct line){0};
	struct sql_conn *conn = acquire(w), *late = acquire(w);
	ok(sql_begin(conn, SQL_WRITE), conn);
	world_spawn(w, write_in_turn);
	wait_until(w, &line.begun, 1);
	sql_set_deadline(late, w->now_ns + 1000000);
	assert_err(sql_exec(late, "INSERT INTO log (who) VALUES (5)", SQL_NO_ARGS), TIMEOUT);
	assert_string_equal(sql_error(late), "the deadline passed while others were writing");
	world_spawn(w, write_in_turn);
	wait_until(w, &line.begun, 2);
	ok(sql_commit(conn), conn);
	write_who(conn, 3);
	assert_served_in_order(2);
	sql_release(conn);
	sql_release(late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_are_served_in_the_order_in_which_they_came),
		cmocka_unit_test(connections_are_given_in_the_order_in_which_they_were_asked_for),
		cmocka_unit_test(a_write_within_a_write_keeps_the_slot),
		cmocka_unit_test(a_read_transaction_that_writes_makes_others_wait),
		cmocka_unit_test(a_stale_transaction_does_not_hold_the_slot),
		cmocka_unit_test(who_times_out_in_the_queue_does_not_stop_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
