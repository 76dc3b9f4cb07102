#include <host/host.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <base/assert.h>
#include "file.h"
#include "tap.h"

#define SECOND_NS 1000000000ull
#define PAGE 4096u

struct host {
	struct platform platform; /* first: the platform's calls get the host by it */
	struct tap tap;
	struct file file;
	bool has_tap, has_file, tap_gone; /* gone: the interface was deleted under us */
	int signals; /* signalfd; -1 after the first */
	bool pressed;
	uint64_t start_ns;
	uint64_t log_dropped;
};

static struct host *host_of(struct platform *p)
{
	return (struct host *)(void *)p;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static uint64_t now(struct platform *p)
{
	return clock_ns(CLOCK_MONOTONIC) - host_of(p)->start_ns;
}

static int64_t wall(struct platform *p)
{
	(void)p;
	return (int64_t)clock_ns(CLOCK_REALTIME);
}

static size_t entropy(struct platform *p, void *out, size_t len)
{
	(void)p;
	ssize_t n = getrandom(out, len, 0);
	return n < 0 ? 0 : (size_t)n;
}

static void write_all(int fd, struct slice text)
{
	while (text.len) {
		ssize_t n = write(fd, text.ptr, text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text = slice_of(text.ptr + n, text.len - (size_t)n);
	}
}

/* A pipe that is ready takes at least a page, so a line never blocks. */
static bool offer_log(struct platform *p, struct slice line)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	(void)p;
	if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
		return false;
	write_all(STDOUT_FILENO, line);
	return true;
}

static void write_log(struct platform *p, struct slice line)
{
	host_of(p)->log_dropped += !offer_log(p, line);
}

static void write_console(struct platform *p, struct slice text)
{
	(void)p;
	write_all(STDERR_FILENO, text);
}

static sigset_t button_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

static bool power_button(struct platform *p)
{
	struct host *h = host_of(p);
	struct signalfd_siginfo info;
	if (!h->pressed && read(h->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		h->pressed = true;
		close(h->signals);
		h->signals = -1;
		/* From now on a signal does what it does to every process. */
		sigset_t set = button_signals();
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	return h->pressed;
}

static bool has_work(const struct host *h)
{
	return (h->has_file && file_has_work(&h->file)) || (h->has_tap && tap_has_work(&h->tap));
}

static void idle(struct platform *p, uint64_t until_ns)
{
	struct host *h = host_of(p);
	uint64_t now_ns = now(p);
	if (has_work(h) || until_ns <= now_ns)
		return;
	uint64_t left = until_ns - now_ns;
	struct timespec wait = {(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};
	struct pollfd fds[2] = {{.fd = h->signals, .events = POLLIN}, {.fd = -1}};
	if (h->has_tap && !h->tap_gone)
		fds[1] = (struct pollfd){.fd = h->tap.fd, .events = tap_events(&h->tap)};
	int ready = ppoll(fds, 2, until_ns == UINT64_MAX ? NULL : &wait, NULL);
	if (ready > 0 && (fds[1].revents & POLLERR)) {
		h->tap_gone = true; /* else every wait would end at once */
		write_console(p, SLICE("host: the network interface is gone\n"));
	}
}

static void guard(struct platform *p, void *at, size_t len)
{
	(void)p;
	int e = mprotect(at, len, PROT_NONE);
	ASSERT(e == 0);
}

static void close_and_free(struct host *h)
{
	if (h->has_tap)
		tap_close(&h->tap);
	if (h->has_file)
		file_close(&h->file);
	if (h->signals >= 0)
		close(h->signals);
	free(h);
}

/* The attribute is part of the pointer's type; _Noreturn would not be. */
static __attribute__((noreturn)) void power_off(struct platform *p, enum platform_exit code)
{
	/* The running stack may lie in the memory, which therefore goes with the process. */
	close_and_free(host_of(p));
	exit(code == PLATFORM_EXIT_OK ? EXIT_SUCCESS : (int)code);
}

static err take_signals(struct host *h)
{
	sigset_t set = button_signals();
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return ERR(IO);
	h->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return h->signals < 0 ? ERR(IO) : OK;
}

static err take_memory(struct host *h, size_t len, struct writer *why)
{
	len = (len ? len : HOST_MEMORY_DEFAULT) & ~(size_t)(PAGE - 1);
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) { /* also when less than a page was asked for */
		write_bytes(why, SLICE("cannot get the memory asked for"));
		return ERR(NO_MEMORY);
	}
	h->platform.memory = memory;
	h->platform.memory_len = h->platform.memory_total = len;
	return OK;
}

static err open_devices(struct host *h, const struct host_options *o, struct writer *why)
{
	struct platform *p = &h->platform;
	if (o->tap) {
		TRY(tap_open(&h->tap, o->tap, why));
		h->has_tap = true;
		p->net[p->net_count++] = &h->tap.device;
	}
	if (o->data) {
		struct file_options file = {.must_exist = o->data_must_exist, .read_only = o->data_read_only,
			.size = o->data_size ? o->data_size : HOST_DATA_SIZE_DEFAULT};
		if (file.must_exist)
			file.size = 0;
		TRY(file_open(&h->file, o->data, &file, why));
		h->has_file = true;
		p->block[p->block_count++] = &h->file.device;
	}
	return OK;
}

err host_create(const struct host_options *o, struct writer *why, struct host **host)
{
	struct host *h = calloc(1, sizeof *h);
	if (!h) {
		write_bytes(why, SLICE("out of memory"));
		return ERR(NO_MEMORY);
	}
	h->platform = (struct platform){
		.now_ns = now, .wall_ns = wall, .entropy = entropy, .log_write = write_log,
		.log_offer = offer_log,
		.console_write = write_console, .idle = idle, .power_button = power_button,
		.power_off = power_off, .guard = guard, .kind = "host",
		.command_line = slice_from_cstr(o->command_line ? o->command_line : ""),
	};
	h->signals = -1;
	h->start_ns = clock_ns(CLOCK_MONOTONIC);
	err e = take_memory(h, o->memory_len, why);
	if (!failed(e))
		e = open_devices(h, o, why);
	if (!failed(e) && !o->keep_signals)
		e = take_signals(h);
	if (failed(e)) {
		host_destroy(h);
		return e;
	}
	*host = h;
	return OK;
}

void host_destroy(struct host *h)
{
	if (h->platform.memory)
		munmap(h->platform.memory, h->platform.memory_len);
	close_and_free(h);
}

struct platform *host_platform(struct host *h)
{
	return &h->platform;
}

static unsigned shift_of(uint8_t suffix)
{
	switch (suffix) {
	case 'K': return 10;
	case 'M': return 20;
	case 'G': return 30;
	default: return 0;
	}
}

bool host_parse_size(struct slice text, uint64_t *bytes)
{
	unsigned shift = text.len ? shift_of(text.ptr[text.len - 1]) : 0;
	uint64_t n;
	struct slice digits = slice_sub(text, 0, text.len - (shift != 0));
	if (!slice_to_u64(digits, &n) || n > UINT64_MAX >> shift)
		return false;
	*bytes = n << shift;
	return true;
}
