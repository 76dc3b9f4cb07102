/* strcspn, beside the host's own. This module is part of guest builds only, so the file is compiled here, under
 * another name. */
#include <string.h>

static size_t (*const expected)(const char *, const char *) = strcspn;
size_t span_strcspn(const char *s, const char *reject);
#define strcspn span_strcspn
#include "span.c"
#undef strcspn

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>

#define PAGE 4096

/* A page behind which nothing can be read. */
static char *last_page(void)
{
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	assert_int_equal(mprotect(at + PAGE, PAGE, PROT_NONE), 0);
	return at;
}

static void it_finds_what_the_host_finds(void **state)
{
	(void)state;
	static const char *const rejects[] = {"", "x", "xX", "\xff", "\x80\x01", "xyz", "\xff\x80 0"};
	static const char letters[] = "aXx\x80\xff\x01yz0 \x7f";
	char *end = last_page() + PAGE;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand() % 40;
		char *s = end - len - 1; /* the NUL is the page's last byte */
		for (size_t i = 0; i < len; i++)
			s[i] = rand() % 4 ? 'a' : letters[(size_t)rand() % (sizeof letters - 1)];
		s[len] = '\0';
		for (size_t r = 0; r < sizeof rejects / sizeof rejects[0]; r++)
			assert_int_equal(span_strcspn(s, rejects[r]), expected(s, rejects[r]));
	}
	munmap(end - PAGE, 2 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(it_finds_what_the_host_finds)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
