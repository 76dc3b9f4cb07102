/* What a boot is. boot.S has made the page tables, the stack and the canary; this finds out about
 * the machine, part by part, fills in struct platform, and hands over to the program. */
#include "machine.h"

#include <base/assert.h>
#include <base/cursor.h>

#include <stdarg.h>

#define LOG_SPARE (8u << 10) /* of the log device: what is offered leaves it to messages */

struct hvm_start_info;
_Noreturn void machine_start(const struct hvm_start_info *info);

extern const struct machine_driver image_drivers_start[], image_drivers_end[];

static struct machine the_machine; /* per machine, like the hardware; passed from here on */

static struct machine *machine_of(struct platform *p)
{
	return (struct machine *)(void *)p;
}

static uint64_t platform_now_ns(struct platform *p)
{
	return machine_now_ns(machine_of(p));
}

static int64_t platform_wall_ns(struct platform *p)
{
	struct machine *m = machine_of(p);
	return m->clock.wall_base_ns + (int64_t)machine_now_ns(m);
}

static void platform_log_write(struct platform *p, struct slice line)
{
	struct machine *m = machine_of(p);
	if (!m->log_device)
		serial_write(line);
	else if (!m->log_device(m->log_cookie, line, 0))
		m->log_dropped++;
}

static bool platform_log_offer(struct platform *p, struct slice line)
{
	struct machine *m = machine_of(p);
	return m->log_device && m->log_device(m->log_cookie, line, LOG_SPARE);
}

static void platform_console_write(struct platform *p, struct slice text)
{
	(void)p;
	serial_write(text);
}

static void platform_set_thread_pointer(void *at)
{
	cpu_set_fs_base(at);
}

static void platform_fill(struct platform *p)
{
	p->now_ns = platform_now_ns;
	p->wall_ns = platform_wall_ns;
	p->entropy = entropy_read;
	p->log_write = platform_log_write;
	p->log_offer = platform_log_offer;
	p->console_write = platform_console_write;
	p->idle = machine_idle;
	p->power_button = power_button;
	p->power_off = power_off;
	p->guard = paging_guard;
	p->set_thread_pointer = platform_set_thread_pointer;
	p->kind = "machine";
}

static void drivers_probe(struct machine *m)
{
	for (const struct machine_driver *d = image_drivers_start; d < image_drivers_end; d++)
		d->probe(m);
}

void machine_start(const struct hvm_start_info *info)
{
	struct machine *m = &the_machine;
	m->clock.tsc_base = rdtsc();
	serial_start();
	traps_start();
	paging_start(m);
	platform_fill(&m->platform);
	panic_start(&m->platform);
	memory_start(m, info);
	acpi_start(m);
	command_line_scan(m);
	interrupts_start(m);
	clock_begin(m);
	power_start(m);
	entropy_jitter(m);
	drivers_probe(m);
	memory_finish(m);
	clock_finish(m);
	platform_main(&m->platform);
}

bool machine_add_net(struct machine *m, struct net_device *device)
{
	if (m->platform.net_count == PLATFORM_DEVICES_MAX)
		return false;
	m->platform.net[m->platform.net_count++] = device;
	return true;
}

bool machine_add_block(struct machine *m, struct block_device *device)
{
	if (m->platform.block_count == PLATFORM_DEVICES_MAX)
		return false;
	m->platform.block[m->platform.block_count++] = device;
	return true;
}

bool machine_add_console(struct machine *m, bool (*write)(void *cookie, struct slice line, size_t spare),
	void *cookie)
{
	if (m->log_device)
		return false;
	m->log_device = write;
	m->log_cookie = cookie;
	return true;
}

bool machine_add_entropy(struct machine *m, size_t (*read)(void *cookie, void *out, size_t len),
	void *cookie)
{
	if (m->entropy_device)
		return false;
	m->entropy_device = read;
	m->entropy_cookie = cookie;
	return true;
}

void machine_log(struct machine *m, const char *fmt, ...)
{
	char buffer[256];
	struct writer w = writer_of(buffer, sizeof buffer - 1);
	va_list args;
	(void)m;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	*w.pos++ = '\n';
	serial_write(writer_slice(&w));
}
