/* Starts the C library without a process: the context, then musl's own view of its only thread. */
#include "private.h"

#include <string.h>

static struct libc *context;

struct libc *libc_context(void)
{
	return context;
}

/* Between musl and us, in both directions; musl declares these in headers that it does not install. */
API_BEGIN
void __init_tls(size_t *auxiliary);
int __set_thread_area(void *thread);
API_END

/* Called back by __init_tls. */
int __set_thread_area(void *thread)
{
	context->config.set_thread_pointer(thread);
	return 0;
}

err libc_init(const struct libc_config *config)
{
	/* What a kernel would say about the process; without program headers there is no thread-local data, which
	 * the image has none of. */
	size_t auxiliary[64] = {0};
	if (config->heap_len % HEAP_PAGE || (uintptr_t)config->heap % HEAP_PAGE)
		return ERR(INVALID);
	if (config->heap_len < LIBC_HEAP_MIN)
		return ERR(NO_MEMORY);
	context = (struct libc *)(void *)config->heap;
	memset(context, 0, sizeof *context);
	context->config = *config;
	context->out[0].level = LOG_INFO;
	context->out[1].level = LOG_WARN;
	size_t own_len = (sizeof *context + HEAP_PAGE - 1) / HEAP_PAGE * HEAP_PAGE;
	heap_init(&context->heap, config->heap + own_len, config->heap_len - own_len);
	__init_tls(auxiliary);
	return OK;
}

void libc_stats(struct libc_stats *out)
{
	const struct heap *h = &context->heap;
	*out = (struct libc_stats){.heap_len = h->count * HEAP_PAGE, .heap_used = h->used * HEAP_PAGE,
		.heap_used_max = h->used_max * HEAP_PAGE, .heap_failures = h->failures};
}
