#include "counted.h"

#include <stdlib.h>
#include <string.h>

struct counted counted = {.left = -1, .bytes_max = SIZE_MAX};

static void *take(int len)
{
	if (counted.left == 0)
		counted.failed = true;
	if ((counted.left >= 0 && counted.left-- == 0) || counted.bytes + (size_t)len > counted.bytes_max)
		return NULL;
	size_t *p = malloc((size_t)len + 16);
	if (!p)
		abort();
	counted.bytes += (size_t)len;
	p[0] = (size_t)len;
	return (uint8_t *)p + 16;
}

static void give_back(void *p)
{
	counted.bytes -= *(size_t *)(void *)((uint8_t *)p - 16);
	free((uint8_t *)p - 16);
}

static int size_of(void *p)
{
	return p ? (int)*(size_t *)(void *)((uint8_t *)p - 16) : 0;
}

static void *resize(void *p, int len)
{
	void *to = take(len);
	if (!to)
		return NULL;
	int old = size_of(p);
	memcpy(to, p, (size_t)(old < len ? old : len));
	give_back(p);
	return to;
}

static int round_up(int len)
{
	return (len + 7) & ~7;
}

static int begin(void *cookie)
{
	(void)cookie;
	return SQLITE_OK;
}

static void end(void *cookie)
{
	(void)cookie;
}

const sqlite3_mem_methods counted_methods = {take, give_back, resize, size_of, round_up, begin, end, NULL};
