#include <host/host.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#define MS 1000000ull
#define DATA_SIZE 65536u

struct bed {
	char path[64];
	char why[256];
	struct host *host;
	struct platform *platform;
};

static err create(struct bed *b, const struct host_options *o, struct host **host)
{
	memset(b->why, 0, sizeof b->why);
	struct writer why = writer_of(b->why, sizeof b->why - 1);
	return host_create(o, &why, host);
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof *b);
	if (!b)
		return -1;
	strcpy(b->path, "/tmp/host_test.XXXXXX");
	int fd = mkstemp(b->path);
	if (fd < 0)
		return -1;
	close(fd);
	struct host_options o = {
		.data = b->path,
		.data_size = DATA_SIZE,
		.memory_len = 1 << 20,
		.command_line = "a=b",
	};
	if (failed(create(b, &o, &b->host)))
		return -1;
	b->platform = host_platform(b->host);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;
	host_destroy(b->host);
	unlink(b->path);
	free(b);
	return 0;
}

static void count_done(struct block_request *r)
{
	++*(int *)r->cookie;
}

static err do_request(
	struct block_device *d, enum block_op op, uint64_t sector, void *buf, uint32_t sectors)
{
	int done = 0;
	struct block_request r = {
		.op = op,
		.sector = sector,
		.sector_count = sectors,
		.done = count_done,
		.cookie = &done,
	};
	if (buf) { /* in two pieces, when there is more than one sector */
		uint32_t first = sectors / 2 * 512, all = sectors * 512;
		if (first)
			r.buffer[r.buffer_count++] = (struct block_buffer){buf, first};
		r.buffer[r.buffer_count++] =
			(struct block_buffer){(uint8_t *)buf + first, all - first};
	}
	assert_true(d->submit(d, &r));
	assert_int_equal(done, 0);
	assert_int_equal(d->poll(d), 0); /* without a kick nothing happens */
	d->kick(d);
	assert_int_equal(done, 0);
	assert_int_equal(d->poll(d), 1);
	assert_int_equal(done, 1);
	return r.result;
}

static void what_is_written_is_read_and_is_in_the_file(void **state)
{
	struct bed *b = *state;
	struct block_device *d = b->platform->block[0];
	uint8_t out[1536], in[1536] = {0};
	assert_int_equal(d->sector_count, DATA_SIZE / 512);
	for (size_t i = 0; i < sizeof out; i++)
		out[i] = (uint8_t)(i * 7);
	assert_false(failed(do_request(d, BLOCK_WRITE, 5, out, 3)));
	assert_false(failed(do_request(d, BLOCK_FLUSH, 0, NULL, 0)));
	assert_false(failed(do_request(d, BLOCK_READ, 5, in, 3)));
	assert_memory_equal(in, out, sizeof out);
	assert_false(failed(do_request(d, BLOCK_READ, 6, in, 1)));
	assert_memory_equal(in, out + 512, 512);
	assert_false(failed(do_request(d, BLOCK_DISCARD, 0, NULL, 128)));
	struct stat st;
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_size, DATA_SIZE);
}

static void requests_outside_of_the_device_or_malformed_are_refused(void **state)
{
	struct bed *b = *state;
	struct block_device *d = b->platform->block[0];
	uint8_t buf[1024];
	assert_int_equal(do_request(d, BLOCK_READ, d->sector_count, buf, 1).code, ERR_INVALID);
	assert_int_equal(do_request(d, BLOCK_WRITE, d->sector_count - 1, buf, 2).code, ERR_INVALID);
	assert_int_equal(do_request(d, BLOCK_WRITE, UINT64_MAX, buf, 2).code, ERR_INVALID);
	assert_int_equal(do_request(d, BLOCK_DISCARD, 1, NULL, UINT32_MAX).code, ERR_INVALID);
	assert_int_equal(do_request(d, BLOCK_READ, 0, NULL, 1).code, ERR_INVALID);
	assert_int_equal(do_request(d, BLOCK_WRITE, d->sector_count - 2, buf, 2).code, ERR_OK);
}

static void a_full_queue_says_so_and_takes_more_after_completions(void **state)
{
	struct bed *b = *state;
	struct block_device *d = b->platform->block[0];
	static struct block_request r[1000];
	int done = 0;
	uint32_t n = 0;
	for (; n < ARRAY_LEN(r); n++) {
		r[n] = (struct block_request){
			.op = BLOCK_FLUSH, .done = count_done, .cookie = &done};
		if (!d->submit(d, &r[n]))
			break;
	}
	assert_in_range(n, 2, 999);
	d->kick(d);
	assert_int_equal(d->poll(d), n);
	assert_int_equal(done, (int)n);
	assert_true(d->submit(d, &r[0]));
	d->kick(d);
	assert_int_equal(d->poll(d), 1);
}

static void a_volume_opens_once_at_a_time(void **state)
{
	struct bed *b = *state;
	struct host_options o = {.data = b->path};
	struct host *second;
	assert_int_equal(create(b, &o, &second).code, ERR_BUSY);
	assert_non_null(strstr(b->why, b->path));
	assert_non_null(strstr(b->why, "in use by another process"));
	pid_t child = fork(); /* the same from another process, and it goes when that dies */
	if (child == 0)
		_exit((int)create(b, &o, &second).code);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), ERR_BUSY);
	host_destroy(b->host);
	assert_false(failed(create(b, &o, &b->host)));
	assert_int_equal(host_platform(b->host)->block[0]->sector_count, DATA_SIZE / 512);
}

static void a_reader_goes_beside_whoever_has_the_volume(void **state)
{
	struct bed *b = *state;
	uint8_t out[512], in[512] = {0};
	memset(out, 7, sizeof out);
	assert_false(failed(do_request(b->platform->block[0], BLOCK_WRITE, 3, out, 1)));
	struct host_options o = {.data = b->path, .data_read_only = true, .memory_len = 4096, .keep_signals = true};
	struct host *reader;
	assert_false(failed(create(b, &o, &reader)));
	struct block_device *d = host_platform(reader)->block[0];
	assert_true(d->read_only);
	assert_false(failed(do_request(d, BLOCK_READ, 3, in, 1)));
	assert_memory_equal(in, out, sizeof in);
	assert_true(failed(do_request(d, BLOCK_WRITE, 3, in, 1)));
	host_destroy(reader);
	/* ... and does not take its locks with it. */
	assert_int_equal(create(b, &(struct host_options){.data = b->path}, &reader).code, ERR_BUSY);
}

/* `ingot run` holds the lock of flock alone when it starts; an emulator of somebody else locks single bytes. */
static void either_lock_of_another_is_respected(void **state)
{
	struct bed *b = *state;
	struct host *second;
	host_destroy(b->host);
	int fd = open(b->path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(create(b, &(struct host_options){.data = b->path}, &second).code, ERR_BUSY);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	struct flock byte = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &byte), 0);
	assert_int_equal(create(b, &(struct host_options){.data = b->path}, &second).code, ERR_BUSY);
	close(fd);
	assert_false(failed(create(b, &(struct host_options){.data = b->path}, &b->host)));
}

static void a_volume_that_must_exist_is_not_made(void **state)
{
	struct bed *b = *state;
	struct host *h;
	char path[80];
	snprintf(path, sizeof path, "%s.none", b->path);
	struct host_options o = {.data = path, .data_must_exist = true};
	assert_true(failed(create(b, &o, &h)));
	assert_int_equal(access(path, F_OK), -1);
	FILE *f = fopen(path, "w");
	fclose(f);
	assert_true(failed(create(b, &o, &h))); /* empty: smaller than a sector */
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(path);
}

static void what_cannot_be_opened_is_explained(void **state)
{
	struct bed *b = *state;
	struct host *h;
	struct host_options directory = {.data = "/tmp"}, missing = {.data = "/nonexistent/x"};
	assert_true(failed(create(b, &directory, &h)));
	assert_non_null(strstr(b->why, "/tmp: "));
	assert_true(failed(create(b, &missing, &h)));
	assert_string_equal(b->why, "/nonexistent/x: No such file or directory");
	struct host_options long_name = {.tap = "a-name-that-is-too-long"};
	assert_int_equal(create(b, &long_name, &h).code, ERR_INVALID);
	struct host_options huge = {.memory_len = SIZE_MAX};
	assert_int_equal(create(b, &huge, &h).code, ERR_NO_MEMORY);
}

static void idle_returns_at_its_time_and_not_before(void **state)
{
	struct platform *p = ((struct bed *)*state)->platform;
	uint64_t start = p->now_ns(p), until = start + 30 * MS;
	p->idle(p, until);
	assert_true(p->now_ns(p) >= until);
	assert_true(p->now_ns(p) < until + 2000 * MS); /* a busy machine may be late */
	p->idle(p, until); /* past: at once */
	p->idle(p, 0);
}

static void idle_does_not_wait_while_the_block_device_has_work(void **state)
{
	struct platform *p = ((struct bed *)*state)->platform;
	struct block_device *d = p->block[0];
	int done = 0;
	struct block_request r = {.op = BLOCK_FLUSH, .done = count_done, .cookie = &done};
	assert_true(d->submit(d, &r));
	d->kick(d);
	p->idle(p, UINT64_MAX); /* would never end */
	assert_int_equal(d->poll(d), 1);
}

static void it_has_clock_entropy_memory_and_command_line(void **state)
{
	struct platform *p = ((struct bed *)*state)->platform;
	uint8_t a[32] = {0}, b[32] = {0};
	assert_int_equal(p->entropy(p, a, sizeof a), sizeof a);
	assert_int_equal(p->entropy(p, b, sizeof b), sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_true(p->wall_ns(p) > 1700000000ll * 1000000000);
	assert_int_equal(p->memory_len, 1 << 20);
	assert_int_equal((uintptr_t)p->memory % 4096, 0);
	for (size_t i = 0; i < p->memory_len; i += 512)
		assert_int_equal(p->memory[i], 0);
	memset(p->memory, 1, p->memory_len);
	assert_true(slice_eq(p->command_line, SLICE("a=b")));
}

static void a_guard_cannot_be_touched(void **state)
{
	struct platform *p = ((struct bed *)*state)->platform;
	p->guard(p, p->memory + 8192, 4096);
	p->memory[8191] = p->memory[12288] = 1;
	pid_t child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile uint8_t *)(p->memory + 8192) = 1;
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void a_signal_presses_the_power_button(void **state)
{
	struct platform *p = ((struct bed *)*state)->platform;
	assert_false(p->power_button(p));
	raise(SIGTERM);
	p->idle(p, UINT64_MAX); /* the button ends it */
	assert_true(p->power_button(p));
	assert_true(p->power_button(p));
}

/* A program that obeys the button, or one that only notices it. */
static void be_a_program(const struct host_options *o, bool obedient, int ready)
{
	struct bed b;
	struct host *h;
	if (failed(create(&b, o, &h)))
		_exit(99);
	struct platform *p = host_platform(h);
	if (write(ready, "r", 1) != 1)
		_exit(98);
	for (;;) {
		p->idle(p, p->now_ns(p) + 1000 * MS);
		if (p->power_button(p)) {
			if (obedient)
				p->power_off(p, PLATFORM_EXIT_OK);
			if (write(ready, "b", 1) != 1)
				_exit(97);
		}
	}
}

static pid_t start_program(bool obedient, int *from)
{
	int pipes[2];
	char c;
	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	if (child == 0) {
		struct host_options o = {.memory_len = 65536};
		be_a_program(&o, obedient, pipes[1]);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(c, 'r');
	*from = pipes[0];
	return child;
}

static void the_first_signal_lets_it_end_in_order(void **state)
{
	(void)state;
	int from, status = 0;
	pid_t child = start_program(true, &from);
	kill(child, SIGINT);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(from);
}

static void power_off_here(unsigned low, unsigned high)
{
	struct platform *p = (struct platform *)((uintptr_t)high << 32 | low);
	p->power_off(p, PLATFORM_EXIT_FAILED);
}

static void it_powers_off_from_a_stack_in_its_own_memory(void **state)
{
	struct platform *p = ((struct bed *)*state)->platform;
	pid_t child = fork();
	if (child == 0) {
		ucontext_t self, fiber;
		getcontext(&fiber);
		fiber.uc_stack.ss_sp = p->memory;
		fiber.uc_stack.ss_size = p->memory_len;
		fiber.uc_link = NULL;
		makecontext(&fiber, (void (*)(void))(uintptr_t)power_off_here, 2,
			(unsigned)(uintptr_t)p, (unsigned)((uintptr_t)p >> 32));
		swapcontext(&self, &fiber);
		_exit(99);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PLATFORM_EXIT_FAILED);
}

static void the_second_signal_ends_it_at_once(void **state)
{
	(void)state;
	int from, status = 0;
	char c;
	pid_t child = start_program(false, &from);
	kill(child, SIGTERM);
	assert_int_equal(read(from, &c, 1), 1); /* it has noticed, and goes on */
	assert_int_equal(c, 'b');
	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	close(from);
}

static void sizes_have_a_suffix_and_do_not_overflow(void **state)
{
	(void)state;
	uint64_t n = 0;
	assert_true(host_parse_size(SLICE("64M"), &n) && n == 64u << 20);
	assert_true(host_parse_size(SLICE("4096"), &n) && n == 4096);
	assert_true(host_parse_size(SLICE("2G"), &n) && n == 2ull << 30);
	assert_false(host_parse_size(SLICE(""), &n));
	assert_false(host_parse_size(SLICE("M"), &n));
	assert_false(host_parse_size(SLICE("1T"), &n));
	assert_false(host_parse_size(SLICE("-1"), &n));
	assert_false(host_parse_size(SLICE("18446744073709551615K"), &n));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read_and_is_in_the_file),
		TEST(requests_outside_of_the_device_or_malformed_are_refused),
		TEST(a_full_queue_says_so_and_takes_more_after_completions),
		TEST(a_volume_opens_once_at_a_time),
		TEST(a_reader_goes_beside_whoever_has_the_volume),
		TEST(either_lock_of_another_is_respected),
		TEST(a_volume_that_must_exist_is_not_made),
		TEST(what_cannot_be_opened_is_explained),
		TEST(idle_returns_at_its_time_and_not_before),
		TEST(idle_does_not_wait_while_the_block_device_has_work),
		TEST(it_has_clock_entropy_memory_and_command_line),
		TEST(a_guard_cannot_be_touched),
		TEST(a_signal_presses_the_power_button),
		TEST(it_powers_off_from_a_stack_in_its_own_memory),
		cmocka_unit_test(the_first_signal_lets_it_end_in_order),
		cmocka_unit_test(the_second_signal_ends_it_at_once),
		cmocka_unit_test(sizes_have_a_suffix_and_do_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
