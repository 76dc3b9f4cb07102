#include <base/cursor.h>

#include <stdarg.h>

void write_dec_padded(struct writer *w, uint64_t v, unsigned width)
{
	uint8_t digits[20];
	unsigned n = 0;
	do {
		digits[n++] = (uint8_t)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n < width && n < sizeof digits)
		digits[n++] = '0';
	while (n)
		write_u8(w, digits[--n]);
}

void write_dec(struct writer *w, uint64_t v)
{
	write_dec_padded(w, v, 1);
}

void write_hex(struct writer *w, uint64_t v, unsigned digits)
{
	while (digits--)
		write_u8(w, (uint8_t) "0123456789abcdef"[v >> (4 * digits) & 15]);
}

static void write_hex_short(struct writer *w, uint64_t v)
{
	unsigned digits = 1;
	while (digits < 16 && v >> (4 * digits))
		digits++;
	write_hex(w, v, digits);
}

static void write_signed(struct writer *w, int64_t v)
{
	if (v < 0)
		write_u8(w, '-');
	write_dec(w, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

COLD void write_format(struct writer *w, const char *fmt, va_list args)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			write_u8(w, (uint8_t)*fmt);
			continue;
		}
		bool wide = *++fmt == 'l';
		if (wide)
			fmt++;
		switch (*fmt) {
		case 's': write_bytes(w, slice_from_cstr(va_arg(args, const char *))); break;
		case '.': { /* "%.*s" */
			if (fmt[1] != '*' || fmt[2] != 's') { /* a precision: what comes is no length, and no pointer */
				w->failed = true;
				return;
			}
			int len = va_arg(args, int);
			write_bytes(w, slice_of(va_arg(args, const char *), len > 0 ? (size_t)len : 0));
			fmt += 2;
			break;
		}
		case 'c': write_u8(w, (uint8_t)va_arg(args, int)); break;
		case 'p': write_hex(w, (uintptr_t)va_arg(args, void *), 16); break;
		case 'u': write_dec(w, wide ? va_arg(args, uint64_t) : va_arg(args, unsigned)); break;
		case 'd': write_signed(w, wide ? va_arg(args, int64_t) : va_arg(args, int)); break;
		case 'x':
			write_hex_short(w, wide ? va_arg(args, uint64_t) : va_arg(args, unsigned));
			break;
		case '%': write_u8(w, '%'); break;
		default: w->failed = true; return;
		}
	}
}
