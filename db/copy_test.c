/* A copy of a volume that another process is writing to as fast as it can, in so little room that blocks are reused at
 * once: it is one generation, whole. */
#include "copy.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <base/api.h>

#define PAGES 200u
#define CHANGES 20u
#define SIZE (2u << 20) /* room for two and a half times the pages */
#define SECONDS_MAX 15

/* The program never frees what it allocates (tool.h). */
API_BEGIN
const char *__asan_default_options(void);
API_END
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Which page commit number `n` changes as its `i`th. Page 0 is always changed. */
static uint32_t page_of(uint64_t n, uint32_t i)
{
	uint64_t x = (n * CHANGES + i + 1) * 0x9e3779b97f4a7c15u;
	return i ? (uint32_t)((x ^ x >> 31) % PAGES) : 0;
}

static void fill(uint8_t *page, uint32_t page_no, uint64_t n)
{
	memset(page, (int)(page_no + n), STORE_PAGE_SIZE);
	memcpy(page, &n, sizeof n);
	memcpy(page + 8, &page_no, sizeof page_no);
}

static void write_all(struct session *s, uint64_t n)
{
	uint8_t page[STORE_PAGE_SIZE];
	struct store_txn *t;
	uint64_t generation;
	uint32_t count = n ? CHANGES : PAGES;
	if (failed(store_txn_begin(s->object, &t)))
		_exit(91);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t p = n ? page_of(n, i) : i;
		fill(page, p, n);
		if (failed(store_txn_write(t, p, page)))
			_exit(92);
	}
	if (failed(store_txn_commit(t, &generation)) || failed(store_wait_durable(s->store, generation)))
		_exit(93);
}

static int be_writer(struct session *s, void *ready)
{
	if (failed(store_object_open(s->store, "main", true, &s->object)))
		_exit(90);
	for (uint64_t n = 0;; n++) {
		write_all(s, n);
		if (n % 3 == 0 && failed(store_checkpoint(s->store)))
			_exit(94);
		if (n == 0 && write(*(int *)ready, "r", 1) != 1)
			_exit(95);
	}
}

static pid_t start_writer(const char *path)
{
	int ends[2];
	char c;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct session s = {.place = {.path = path}, .mode = SESSION_WRITE, .size = SIZE};
		alarm(2 * SECONDS_MAX); /* whatever becomes of the test */
		_exit(session_run(&s, be_writer, &ends[1]));
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &c, 1), 1);
	close(ends[0]);
	return child;
}

static int copy(struct session *s, void *job)
{
	return copy_database(s, job).pages == PAGES ? 0 : 1;
}

enum { COPIED, REFUSED, BEGUN_ANEW }; /* a child's status; 1 is that of a message that ends the program */

/* In a process of its own: a writer that is faster than the copy, as on a busy machine it may be, ends it with words. */
static int copy_once(const char *path, struct copy_job *job)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		struct session s = {.place = {.path = path, .exists = true}, .mode = SESSION_READ};
		if (session_run(&s, copy, job))
			_exit(96);
		_exit(s.reopened ? BEGUN_ANEW : COPIED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What each page must hold after the commit that page 0 names. */
static void expect_whole(int fd)
{
	static uint64_t last[PAGES];
	uint8_t page[STORE_PAGE_SIZE], expected[STORE_PAGE_SIZE];
	uint64_t newest;
	assert_int_equal(pread(fd, &newest, sizeof newest, 0), sizeof newest);
	memset(last, 0, sizeof last);
	for (uint64_t n = 1; n <= newest; n++)
		for (uint32_t i = 0; i < CHANGES; i++)
			last[page_of(n, i)] = n;
	for (uint32_t p = 0; p < PAGES; p++) {
		assert_int_equal(pread(fd, page, sizeof page, (off_t)p * STORE_PAGE_SIZE), sizeof page);
		fill(expected, p, last[p]);
		assert_memory_equal(page, expected, sizeof page);
	}
}

static void a_copy_beside_a_writer_is_one_generation(void **state)
{
	(void)state;
	char path[] = "/tmp/copy_test.XXXXXX", to[] = "/tmp/copy_test.XXXXXX";
	int volume = mkstemp(path), fd = mkstemp(to);
	struct copy_job job = {.path = to, .what = "copying", .fd = fd};
	uint32_t refused = 0, reopened = 0;
	assert_true(volume >= 0 && fd >= 0);
	close(volume);
	pid_t writer = start_writer(path);
	time_t until = time(NULL) + SECONDS_MAX;
	uint32_t tries = 0;
	for (; (tries < 10 || reopened < 2) && time(NULL) < until; tries++) {
		int result = copy_once(path, &job);
		assert_true(result == COPIED || result == BEGUN_ANEW || result == REFUSED);
		if (result != REFUSED)
			expect_whole(fd);
		refused += result == REFUSED;
		reopened += result == BEGUN_ANEW;
	}
	int status;
	assert_int_equal(waitpid(writer, &status, WNOHANG), 0); /* it is still at it */
	/* Wherever it is stopped, there is a whole generation. */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(kill(writer, SIGSTOP), 0);
		assert_int_equal(waitpid(writer, &status, WUNTRACED), writer);
		assert_int_not_equal(copy_once(path, &job), REFUSED);
		expect_whole(fd);
		assert_int_equal(kill(writer, SIGCONT), 0);
		usleep(5000);
	}
	kill(writer, SIGKILL);
	waitpid(writer, &status, 0);
	close(fd);
	unlink(path);
	unlink(to);
	print_message("# %u copies beside the writer: %u begun anew, %u refused\n", tries, reopened, refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_beside_a_writer_is_one_generation),
	};
	return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
