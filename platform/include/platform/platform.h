/* What a program runs on, in one table: the bare machine, a Linux process, or the simulator. It is
 * filled in before platform_main is called and stays valid for ever.
 *
 * Where a call can fail it says so; the others cannot. None of them may be called from an interrupt. */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include <base/err.h>
#include <base/slice.h>
#include <platform/block.h>
#include <platform/net.h>

#define PLATFORM_DEVICES_MAX 8

enum platform_exit {
	PLATFORM_EXIT_OK = 0,     /* an orderly power-off */
	PLATFORM_EXIT_FAILED = 1, /* could not start, or could not go on; the reason was printed */
};

struct platform {
	/* Monotonic time since start, and the wall clock (since 1970, UTC). Nanoseconds. */
	uint64_t (*now_ns)(struct platform *);
	int64_t (*wall_ns)(struct platform *);
	/* Up to len bytes of entropy from all sources there are; how many were given. */
	size_t (*entropy)(struct platform *, void *out, size_t len);
	/* Log output (virtio-console, standard error). Never blocks: what does not fit is dropped and
	 * counted; whole lines. */
	void (*log_write)(struct platform *, struct slice line);
	/* The same for what comes in great numbers: false, and nothing is taken, when the line would have to wait, or
	 * would leave no room for those of log_write; also when there is no such device (the serial port is none). */
	bool (*log_offer)(struct platform *, struct slice line);
	/* Boot and panic output (serial port, standard error). Slow, synchronous. */
	void (*console_write)(struct platform *, struct slice text);
	/* Waits until a device has something, the power button is pressed, or `until_ns` (monotonic,
	 * UINT64_MAX: no limit). May return early. */
	void (*idle)(struct platform *, uint64_t until_ns);
	/* True once the power button (ACPI, SIGTERM, SIGINT) has been pressed. */
	bool (*power_button)(struct platform *);
	/* Implementations carry the same attribute: _Noreturn is not part of a function's type. */
	void (*power_off)(struct platform *, enum platform_exit) __attribute__((noreturn));

	struct net_device *net[PLATFORM_DEVICES_MAX];
	uint32_t net_count;
	struct block_device *block[PLATFORM_DEVICES_MAX];
	uint32_t block_count;

	/* The free memory, zeroed, readable and writable, usable for DMA, aligned to 4096. */
	uint8_t *memory;
	size_t memory_len;
	size_t memory_total; /* what the machine has, for messages */
	/* Makes `len` bytes at `at` (both multiples of 4096) inaccessible: a guard under a stack. */
	void (*guard)(struct platform *, void *at, size_t len);
	/* Makes `at` the thread pointer, by which our C library finds its errno. NULL where the C library
	 * is the host's. */
	void (*set_thread_pointer)(void *at);
	/* Set by the program, NULL at first: prints by console_write what may help to understand a
	 * panic. Called in the middle of one, so it must trust nothing and take no memory. */
	void (*panic_hook)(struct platform *);
	struct slice command_line; /* may be empty */
	const char *kind;          /* "machine", "host", "sim" */
};

API_BEGIN
/* The program, implemented by boot/, called once by machine/ or host/ on a stack of at least 32 KiB. */
_Noreturn void platform_main(struct platform *);
API_END

#endif
