/* C identifiers from the names of templates and assets. */
#include <base/slice.h>

#include "symbol.h"

uint8_t symbol_byte(uint8_t b)
{
	bool letter = (b | 0x20) >= 'a' && (b | 0x20) <= 'z';
	return letter || (b >= '0' && b <= '9') ? b : '_';
}

bool symbols_clash(struct slice a, struct slice b)
{
	if (a.len != b.len || slice_eq(a, b))
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (symbol_byte(a.ptr[i]) != symbol_byte(b.ptr[i]))
			return false;
	return true;
}
