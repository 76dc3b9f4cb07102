/* Starts the C library without a process: the context, then musl's own view of its only thread. */
#include "private.h"

#include <elf.h>
#include <string.h>

/* musl's own header, which marks what it shares only with itself. */
#define hidden
#include <libc.h>
#undef libc

static struct libc *context; /* the module's only mutable global */

struct libc *libc_context(void)
{
	return context;
}

/* Called back by __init_tls. */
API_BEGIN
int __set_thread_area(void *thread);
API_END

int __set_thread_area(void *thread)
{
	context->config.set_thread_pointer(thread);
	return 0;
}

/* What a kernel would have said about the process. malloc takes its secret from there. There are no program
 * headers in it: the image has no thread-local data. */
static err make_auxiliary(struct libc *libc)
{
	struct platform *platform = libc->config.platform;
	size_t len = sizeof libc->entropy, n = 0;
	while (n < len) {
		size_t got = platform->entropy(platform, libc->entropy + n, len - n);
		if (!got)
			return ERR(IO);
		n += got;
	}
	const size_t pairs[] = {AT_PAGESZ, HEAP_PAGE, AT_RANDOM, (size_t)libc->entropy, 0, 0};
	_Static_assert(sizeof pairs == sizeof libc->auxiliary, "one for each");
	memcpy(libc->auxiliary, pairs, sizeof pairs);
	return OK;
}

err libc_init(const struct libc_config *config)
{
	size_t indexed[64] = {0}; /* the auxiliary vector by type, as __init_tls wants it */
	if (config->heap_len % HEAP_PAGE || (uintptr_t)config->heap % HEAP_PAGE)
		return ERR(INVALID);
	if (config->heap_len < LIBC_HEAP_MIN)
		return ERR(NO_MEMORY);
	struct libc *own = (struct libc *)(void *)config->heap;
	memset(own, 0, sizeof *own);
	own->config = *config;
	own->out[0].level = LOG_INFO;
	own->out[1].level = LOG_WARN;
	TRY(make_auxiliary(own));
	size_t own_len = (sizeof *own + HEAP_PAGE - 1) / HEAP_PAGE * HEAP_PAGE;
	heap_init(&own->heap, config->heap + own_len, config->heap_len - own_len);
	context = own;
	__libc.auxv = own->auxiliary;
	__libc.page_size = HEAP_PAGE;
	__init_tls(indexed);
	return OK;
}

void libc_stats(struct libc_stats *out)
{
	const struct heap *h = &context->heap;
	*out = (struct libc_stats){.heap_len = h->count * HEAP_PAGE, .heap_used = h->used * HEAP_PAGE,
		.heap_used_max = h->used_max * HEAP_PAGE, .heap_failures = h->failures};
}
