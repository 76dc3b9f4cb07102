/* The bare machine, as its parts see each other: private to this module.
 *
 * Rules for whoever writes a driver here:
 * 1. Memory is mapped one to one: a pointer's value is the address that a device uses. It is still
 *    a type of its own (struct dma_addr), so that the two are never confused.
 * 2. Interrupts are enabled only while the processor is halted in machine_idle. A handler never
 *    runs concurrently with C code; all it does is to end the halt and to mark its vector. So a
 *    driver polls: it looks at its rings in `poll`, acknowledges its device there, and uses no
 *    locks.
 * 3. An interrupt that came while C code ran stays pending in the local APIC and ends the next halt
 *    at once: there is no lost wake-up, as long as a driver lets its device interrupt whenever its
 *    rings have something that `poll` has not yet returned.
 * 4. What a device or a table says is checked before it is used; a device that lies is left alone
 *    with a line on the console.
 * 5. Devices are found once, before platform_main; there is no hot plug. Memory for rings comes
 *    from machine_alloc_pages then, and is never freed. */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <platform/platform.h>

#include "x86_64/cpu.h"

#define PAGE_SIZE 4096u
#define MACHINE_VIRTIO_MMIO_MAX 32
#define MACHINE_IOAPIC_MAX 4
#define MACHINE_OVERRIDES_MAX 24
#define MACHINE_COMMAND_LINE_MAX 1024
#define MACHINE_VECTOR_NONE 0

/* An address as a device sees it. */
struct dma_addr {
	uint64_t value;
};

static inline struct dma_addr dma_addr_of(const volatile void *p)
{
	return (struct dma_addr){(uint64_t)(uintptr_t)p};
}

/* A virtio-mmio register window: from the DSDT (LNRO0005) or the command line. */
struct virtio_mmio_window {
	uint64_t phys;
	uint32_t len; /* bytes */
	uint32_t gsi; /* global system interrupt, edge-triggered unless `level` */
	bool level;
};

/* Memory-mapped PCI configuration space of segment 0 (MCFG); `len` 0: there is none, use ports
 * 0xcf8/0xcfc if a host bridge answers there. The configuration page of a function is at
 * phys + ((bus - bus_first) << 20 | device << 15 | function << 12). */
struct pci_ecam {
	uint64_t phys, len;
	uint8_t bus_first, bus_last;
};

struct ioapic {
	volatile uint32_t *registers;
	uint32_t gsi_base, pin_count;
};

/* A generic address of a register, as ACPI gives it. */
struct acpi_register {
	uint64_t address;
	bool is_io; /* a port; else memory. address 0: absent */
};

struct acpi_override { /* ISA interrupts that are wired differently */
	uint8_t isa_irq;
	uint32_t gsi;
	bool level, active_low;
};

/* What the tables say, checked; zero where they say nothing. */
struct acpi {
	bool present, reduced_hardware;
	uint64_t lapic_phys;
	uint32_t ioapic_count;
	struct {
		uint64_t phys;
		uint32_t gsi_base;
	} ioapic[MACHINE_IOAPIC_MAX];
	uint32_t override_count;
	struct acpi_override override[MACHINE_OVERRIDES_MAX];
	struct pci_ecam ecam;
	uint16_t sci_irq;
	uint16_t pm1a_event, pm1b_event, pm1a_control, pm1b_control; /* ports */
	uint8_t pm1_event_len;
	uint16_t pm_timer; /* port */
	bool pm_timer_32bit;
	uint16_t smi_command;
	uint8_t acpi_enable;
	struct acpi_register sleep_control, reset;
	uint8_t reset_value;
	bool has_s5;
	uint8_t s5_a, s5_b; /* SLP_TYP of soft off */
	uint8_t century;    /* CMOS index of the century, 0: none */
	struct { /* the generic event device, which has the power button where there is no PM1 */
		uint64_t phys; /* 0: absent */
		uint32_t gsi;
		bool level;
	} ged;
};

struct clock {
	uint64_t tsc_base;  /* the counter at start */
	uint64_t tsc_hz;
	uint64_t multiplier; /* ns = ticks * multiplier >> 32 */
	uint64_t last_ns;    /* time never runs backwards */
	int64_t wall_base_ns; /* wall clock at start; 0: the machine has none */
	const char *source;  /* "CPUID", "PIT", ... */
};

struct machine {
	struct platform platform; /* first: a platform pointer is a machine pointer */
	struct acpi acpi;
	struct clock clock;
	struct virtio_mmio_window virtio_mmio[MACHINE_VIRTIO_MMIO_MAX];
	uint32_t virtio_mmio_count;
	struct ioapic ioapic[MACHINE_IOAPIC_MAX];
	uint32_t ioapic_count;
	uint64_t rsdp_phys;
	uint8_t vector_next;
	uint8_t power_vector;
	bool power_pressed;
	uint64_t power_check_ns; /* when to look at the button next */
	volatile bool pending[256]; /* by vector: it interrupted since machine_interrupt_take */
	/* Registered by drivers; NULL when there is none. */
	void *log_cookie, *entropy_cookie;
	bool (*log_device)(void *cookie, struct slice line, size_t spare); /* bytes to be left free */
	size_t (*entropy_device)(void *cookie, void *out, size_t len);
	uint64_t log_dropped;
	uint64_t entropy_pool[4]; /* timing jitter gathered during the boot */
	uint8_t *memory_pos, *memory_end; /* free memory that is not yet taken */
	uint8_t *table_pos, *table_end;   /* pages set aside for page tables */
	bool memory_used_before, memory_finished;
	bool tlb_grown;
	char command_line[MACHINE_COMMAND_LINE_MAX];
};

/* --- For drivers --- */

/* A driver's place in the boot: each probe is called once, in no particular order, with interrupts
 * off, and registers what it finds. */
struct machine_driver {
	const char *name;
	void (*probe)(struct machine *);
};

#define MACHINE_DRIVER(ident, driver_name, probe_function)                                         \
	static const struct machine_driver machine_driver_##ident                                  \
		__attribute__((used, section(".ingot.drivers"), aligned(8))) = {                   \
			driver_name, probe_function}

/* Maps `len` bytes of device registers at `phys` (any alignment), uncached and not executable. NULL
 * when it overlaps memory, or when the address is beyond what the processor can map. */
volatile void *machine_map_mmio(struct machine *m, uint64_t phys, uint64_t len);
/* `count` zeroed, contiguous pages for rings and buffers, usable for DMA; NULL when memory runs
 * out. Only before platform_main (asserted). */
void *machine_alloc_pages(struct machine *m, size_t count);
/* A free interrupt vector, MACHINE_VECTOR_NONE when all are in use. */
uint8_t machine_vector_allocate(struct machine *m);
/* Delivers a global system interrupt on a vector: false when no I/O APIC has it. Active high. */
bool machine_irq_route(struct machine *m, uint32_t gsi, uint8_t vector, bool level);
/* What an MSI or MSI-X entry must hold to deliver `vector` to this processor. */
uint64_t machine_msi_address(const struct machine *m);
uint32_t machine_msi_data(uint8_t vector);
/* True when the vector has interrupted since the last call. Interrupts are seen in machine_idle
 * only; a driver that polls its rings anyway does not need this. */
bool machine_interrupt_take(struct machine *m, uint8_t vector);

/* Registration. False when there are PLATFORM_DEVICES_MAX already (or one, for the last two). */
bool machine_add_net(struct machine *m, struct net_device *device);
bool machine_add_block(struct machine *m, struct block_device *device);
/* Logs go there: the whole line is taken, or false and nothing is. Never blocks. */
bool machine_add_console(struct machine *m, bool (*write)(void *cookie, struct slice line, size_t spare),
	void *cookie);
/* Up to len bytes of entropy, at once or after a bounded wait; the number given. */
bool machine_add_entropy(struct machine *m, size_t (*read)(void *cookie, void *out, size_t len),
	void *cookie);
/* A boot or error line on the serial console; a newline is added. Formats as write_format does, at
 * most 256 bytes. */
void machine_log(struct machine *m, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Nanoseconds since start; for a driver's bounded waits. */
uint64_t machine_now_ns(struct machine *m);

/* --- Among the parts of the machine itself (see each file's head) --- */

enum page_access {
	PAGE_READ_ONLY,  /* cached, not executable */
	PAGE_READ_WRITE, /* cached, not executable */
	PAGE_DEVICE,     /* uncached, writable, not executable */
};

/* paging.c */
void paging_start(struct machine *m);
bool paging_map(struct machine *m, uint64_t phys, uint64_t len, enum page_access access);
void paging_null_page(bool readable);
bool paging_is_readable(uint64_t address, size_t len);
bool paging_is_guard(uint64_t address);
void paging_guard(struct platform *p, void *at, size_t len);
/* For QEMU's emulator: see there. Once, when all is mapped. */
void paging_grow_tlb(struct machine *m);

/* memory.c */
struct hvm_start_info;
void memory_start(struct machine *m, const struct hvm_start_info *info);
void memory_finish(struct machine *m);
void *memory_table_page(struct machine *m);

/* acpi.c, aml.c */
void acpi_start(struct machine *m);
void aml_scan(struct machine *m, struct slice aml);
void virtio_mmio_add(struct machine *m, struct virtio_mmio_window window);
void command_line_scan(struct machine *m);

/* x86_64/: interrupts.c, clock.c, rtc.c, serial.c, power.c, traps.c */
void traps_start(void);
void interrupts_start(struct machine *m);
void interrupts_timer_calibrated(struct machine *m, uint64_t lapic_hz);
uint32_t interrupts_timer_ticks(void);
bool machine_irq_route_polarity(struct machine *m, uint32_t gsi, uint8_t vector, bool level,
	bool active_low);
void interrupt_arrived(uint64_t vector);
void machine_idle(struct platform *p, uint64_t until_ns);
void clock_begin(struct machine *m);
void clock_finish(struct machine *m);
uint64_t clock_tsc_at(const struct clock *c, uint64_t at_ns);
int64_t rtc_read_ns(const struct acpi *acpi);
void serial_start(void);
void serial_write(struct slice text);
void power_start(struct machine *m);
bool power_button(struct platform *p);
void power_off(struct platform *p, enum platform_exit status) __attribute__((noreturn));
_Noreturn void power_fail(void);

/* entropy.c */
void entropy_jitter(struct machine *m);
size_t entropy_read(struct platform *p, void *out, size_t len);

/* symbols.c: the function that contains `address`; false when unknown. */
bool symbols_find(uint64_t address, const char **name, uint64_t *offset);

/* panic.c: says what happened, where, and stops the machine with failure. Nothing here allocates,
 * or trusts what it reports about. */
_Noreturn void machine_panic(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* For a panic that comes from an exception: begin, lines, backtrace, end. */
/* Whose panic_hook a panic calls; before this, none. */
void panic_start(struct platform *program);
void panic_begin(void);
void panic_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
void panic_backtrace(uint64_t rip, uint64_t frame_pointer, uint64_t stack_pointer);
_Noreturn void panic_end(void);

#endif
