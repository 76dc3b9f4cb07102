/* virtio-mmio windows on the kernel command line, as Linux defines them and Firecracker and QEMU
 * write them: virtio_mmio.device=SIZE@ADDRESS:IRQ[:ID], SIZE with a suffix K or M. */
#include "machine.h"

#include <base/cursor.h>

static bool digit_of(uint8_t c, uint32_t base, uint32_t *out)
{
	uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0')
		     : (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a') + 10
							  : 99;
	*out = d;
	return d < base;
}

/* Decimal or 0x..., with at least one digit. */
static uint64_t number(struct reader *r)
{
	uint32_t base = 10, d;
	uint64_t v = 0;
	if (reader_left(r) > 2 && r->pos[0] == '0' && r->pos[1] == 'x') {
		base = 16;
		read_bytes(r, 2);
	}
	if (!reader_left(r) || !digit_of(*r->pos, base, &d))
		r->failed = true;
	while (!r->failed && reader_left(r) && digit_of(*r->pos, base, &d)) {
		if (v > (UINT64_MAX - d) / base)
			r->failed = true;
		v = v * base + d;
		read_u8(r);
	}
	return v;
}

static void expect(struct reader *r, uint8_t c)
{
	if (read_u8(r) != c)
		r->failed = true;
}

static void window_add(struct machine *m, struct slice word)
{
	struct reader r = reader_of(word);
	uint64_t len = number(&r);
	uint8_t suffix = reader_left(&r) ? *r.pos | 32 : 0;
	if (suffix == 'k' || suffix == 'm') {
		len <<= suffix == 'k' ? 10 : 20;
		read_u8(&r);
	}
	expect(&r, '@');
	uint64_t phys = number(&r);
	expect(&r, ':');
	uint64_t gsi = number(&r);
	if (r.failed || len < 0x100 || len > 1u << 20 || gsi > 1023)
		machine_log(m, "ingot: cannot read virtio_mmio.device=%.*s", SLICE_ARG(word));
	else
		virtio_mmio_add(m, (struct virtio_mmio_window){
			phys, (uint32_t)len, (uint32_t)gsi, false});
}

void virtio_mmio_add(struct machine *m, struct virtio_mmio_window window)
{
	for (uint32_t i = 0; i < m->virtio_mmio_count; i++)
		if (m->virtio_mmio[i].phys == window.phys)
			return;
	if (window.len >= 0x100 && m->virtio_mmio_count < MACHINE_VIRTIO_MMIO_MAX)
		m->virtio_mmio[m->virtio_mmio_count++] = window;
}

void command_line_scan(struct machine *m)
{
	struct slice rest = m->platform.command_line, key = SLICE("virtio_mmio.device=");
	while (rest.len) {
		size_t end = slice_index(rest, ' ');
		struct slice word = slice_sub(rest, 0, end);
		if (slice_starts_with(word, key))
			window_add(m, slice_sub(word, key.len, word.len));
		rest = slice_sub(rest, end + 1, rest.len);
	}
}
