/* The platform on a Linux process: a TAP interface, a file, this machine's clock. For development,
 * tests and sanitizers. Any number may exist at once, but the power button is the process's:
 * signals arrive at whichever looks first. */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <base/cursor.h>
#include <base/err.h>
#include <platform/platform.h>

struct host;

#define HOST_MEMORY_DEFAULT ((size_t)64 << 20)
#define HOST_DATA_SIZE_DEFAULT ((uint64_t)64 << 20)

struct host_options {
	const char *tap;          /* a TAP interface, made when missing (needs root); NULL: none */
	const char *data;         /* a file as block device, made (sparse) when missing; or NULL */
	uint64_t data_size;       /* bytes, for a file that is missing or empty; 0: the default */
	bool data_must_exist;     /* a missing or empty file is refused */
	/* The device is read-only, and the file not locked: whoever has it open for writing goes on. */
	bool data_read_only;
	bool keep_signals;        /* there is no power button: signals do what they do to every process */
	size_t memory_len;        /* bytes; 0: the default */
	const char *command_line; /* NULL: empty */
};

API_BEGIN

/* Opens everything. SIGTERM and SIGINT become the power button; after the first they act as always,
 * so the second ends the process. `options` and its strings are borrowed for the host's life. On
 * failure `why` holds one line for people, without a newline.
 * ERR_BUSY: another process has the file or the interface; ERR_IO, ERR_NO_MEMORY, ERR_INVALID. */
MUST_USE err host_create(
	const struct host_options *options, struct writer *why, struct host **host);
/* Closes and frees everything; the platform expires. */
void host_destroy(struct host *host);
struct platform *host_platform(struct host *host);

/* Parses a size: digits and an optional K, M or G; false on anything else and on overflow. */
bool host_parse_size(struct slice text, uint64_t *bytes);

API_END

#endif
