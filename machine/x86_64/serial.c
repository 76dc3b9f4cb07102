/* The first serial port (16550 at 0x3f8): boot lines and panics. Synchronous; usable at any time
 * after serial_start, from exception handlers too. */
#include "../machine.h"

#define PORT 0x3f8
#define LINE_STATUS (PORT + 5)
#define SCRATCH (PORT + 7)
#define TRANSMIT_EMPTY 0x20u
#define WAIT_MAX 100000u /* reads of the status; a byte takes 87 us at 115200 baud */

static bool present; /* per machine, like the port */

void serial_start(void)
{
	outb(SCRATCH, 0x5a);
	present = inb(SCRATCH) == 0x5a;
	if (!present)
		return;
	outb(PORT + 1, 0);    /* no interrupts */
	outb(PORT + 3, 0x80); /* divisor 1: 115200 baud */
	outb(PORT + 0, 1);
	outb(PORT + 1, 0);
	outb(PORT + 3, 0x03); /* 8 bits, no parity, 1 stop bit */
	outb(PORT + 2, 0x07); /* FIFOs on and empty */
	outb(PORT + 4, 0x03); /* ready */
}

static void serial_put(uint8_t c)
{
	for (unsigned i = 0; i < WAIT_MAX && !(inb(LINE_STATUS) & TRANSMIT_EMPTY); i++)
		cpu_relax();
	outb(PORT, c);
}

void serial_write(struct slice text)
{
	if (!present)
		return;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\n')
			serial_put('\r');
		serial_put(text.ptr[i]);
	}
}
