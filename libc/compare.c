/* memcmp. The linker takes this one rather than musl's, which compares byte by byte: names in tables are
 * compared for every request, and SQLite compares keys. */
#include <string.h>

#include <base/api.h>
#include <base/bytes.h>

API_BEGIN

int memcmp(const void *a, const void *b, size_t len)
{
	return bytes_compare(a, b, len);
}

API_END
