/* The end of a machine that must not go on: what happened, where, how it came there, which build.
 *
 * All output goes to the serial port, synchronously. A panic within a panic says so and stops at
 * once. */
#include "machine.h"

#include <base/assert.h>
#include <base/cursor.h>
#include <machine/stack_protector.h>

#include <stdarg.h>

#include "x86_64/image.h"

#define FRAMES_MAX 48u
#define BUILD_ID_HEADER 16u /* of an ELF note named "GNU" */

uintptr_t __stack_chk_guard; /* drawn by boot.S */

static unsigned depth; /* panics begun: per-CPU state */
static struct platform *program; /* whose panic_hook is called */

void panic_start(struct platform *p)
{
	program = p;
}

static void line_write(const char *fmt, va_list args)
{
	char buffer[256];
	struct writer w = writer_of(buffer, sizeof buffer - 1);
	write_format(&w, fmt, args);
	*w.pos++ = '\n';
	serial_write(writer_slice(&w));
}

void panic_line(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	line_write(fmt, args);
	va_end(args);
}

void panic_begin(void)
{
	if (depth++ == 0)
		return;
	if (depth == 2)
		serial_write(SLICE("\ningot: another fault while reporting the first; stopping\n"));
	power_fail();
}

static void address_line(unsigned index, uint64_t address)
{
	const char *name;
	uint64_t offset;
	/* A return address may be the first one behind its function: look at the call itself. */
	if (symbols_find(index ? address - 1 : address, &name, &offset))
		panic_line("  #%u 0x%lx %s+0x%lx", index, (unsigned long)address, name,
			(unsigned long)(index ? offset + 1 : offset));
	else
		panic_line("  #%u 0x%lx", index, (unsigned long)address);
}

static bool is_text(uint64_t address)
{
	return address >= (uintptr_t)image_text_start && address < (uintptr_t)image_text_end;
}

/* Follows frame pointers as long as each lies above the last, in mapped memory, and returns into
 * text: a damaged stack ends the list, and cannot hurt. */
void panic_backtrace(uint64_t rip, uint64_t frame_pointer, uint64_t stack_pointer)
{
	unsigned i = 0;
	panic_line("backtrace:");
	address_line(i++, rip);
	/* After a call of something that is no code, the call is only on the stack. */
	if (!is_text(rip) && stack_pointer % 8 == 0 && paging_is_readable(stack_pointer, 8)) {
		uint64_t caller = *(const uint64_t *)(uintptr_t)stack_pointer;
		if (is_text(caller))
			address_line(i++, caller);
	}
	for (; i < FRAMES_MAX; i++) {
		if (frame_pointer % 8 != 0 || !paging_is_readable(frame_pointer, 16))
			return;
		const uint64_t *frame = (const uint64_t *)(uintptr_t)frame_pointer;
		if (!is_text(frame[1]))
			return;
		address_line(i, frame[1]);
		if (frame[0] <= frame_pointer)
			return;
		frame_pointer = frame[0];
	}
}

static void build_id_line(void)
{
	uintptr_t start = (uintptr_t)image_build_id_start, end = (uintptr_t)image_build_id_end;
	char buffer[64];
	struct writer w = writer_of(buffer, sizeof buffer);
	for (uintptr_t at = start + BUILD_ID_HEADER; at < end && writer_left(&w) >= 2; at++)
		write_hex(&w, *(const uint8_t *)at, 2);
	if (writer_len(&w) == 0)
		write_bytes(&w, SLICE("none"));
	panic_line("build %.*s", SLICE_ARG(writer_slice(&w)));
}

void panic_end(void)
{
	if (program && program->panic_hook)
		program->panic_hook(program);
	build_id_line();
	power_fail();
}

static _Noreturn void stop_here(uint64_t rip, const void *frame)
{
	panic_backtrace(rip, (uintptr_t)frame, 0);
	panic_end();
}

void machine_panic(const char *fmt, ...)
{
	va_list args;
	panic_begin();
	serial_write(SLICE("\ningot stopped: "));
	va_start(args, fmt);
	line_write(fmt, args);
	va_end(args);
	stop_here((uintptr_t)__builtin_return_address(0), *(void **)__builtin_frame_address(0));
}

void assert_fail(const char *what, const char *file, int line)
{
	panic_begin();
	panic_line("\ningot stopped: assertion failed: %s (%s:%d)", what, file, line);
	stop_here((uintptr_t)__builtin_return_address(0), *(void **)__builtin_frame_address(0));
}

void __stack_chk_fail(void)
{
	panic_begin();
	panic_line("\ningot stopped: a function overran its buffer on the stack (canary destroyed)");
	stop_here((uintptr_t)__builtin_return_address(0), *(void **)__builtin_frame_address(0));
}
