/* A QEMU plugin (TCG only) that counts what a guest executes:
 *
 *   -plugin insns.so,counters=FILE[,entry=ADDRESS][,profile=FILE][,io=on]
 *
 * The files are mapped, so whoever watches reads them at any time while the guest runs: the counters in
 * the order of struct counters, the profile as an array of struct block (unused ones are all zeros).
 * A block that is executed adds its instructions to a counter in line, which costs one addition; one
 * that is left early by an exception counts as executed whole. Counters are not atomic: one vCPU. */
#include <qemu-plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Each is a uint64_t; bench/lib.sh knows their order. */
struct counters {
	uint64_t instructions;
	uint64_t loaded_ns;          /* wall clock, since 1970: QEMU loaded the plugin */
	uint64_t entry_ns;           /* ... the image's first instruction, where `entry` says it is */
	uint64_t entry_instructions; /* the firmware's, until then */
	uint64_t io_reads;           /* of device registers in memory, with io=on, as what follows */
	uint64_t io_writes;
	uint64_t notifications; /* of virtio devices: writes to QueueNotify of microvm's */
};

struct block {
	uint64_t address;
	uint64_t instructions; /* in it */
	uint64_t executions;
};

enum { BLOCKS_SHIFT = 18, BLOCKS = 1 << BLOCKS_SHIFT };

#define VIRTIO_MMIO_FIRST 0xfeb00000u
#define VIRTIO_MMIO_LEN 0x200u
#define VIRTIO_MMIO_END (VIRTIO_MMIO_FIRST + 24 * VIRTIO_MMIO_LEN)
#define VIRTIO_MMIO_NOTIFY 0x50u

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static struct {
	struct counters *counters;
	struct block *profile; /* NULL: not asked for */
	uint64_t entry;
	bool io;
} plugin;

static uint64_t wall_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The place of a block: a block that is translated again continues to count where it did. */
static struct block *block_find(uint64_t address, uint64_t instructions)
{
	uint64_t at = (address * 0x9e3779b97f4a7c15) >> (64 - BLOCKS_SHIFT);
	for (size_t tried = 0; tried < BLOCKS; tried++) {
		struct block *b = &plugin.profile[(at + tried) % BLOCKS];
		if (b->instructions == 0)
			*b = (struct block){.address = address, .instructions = instructions};
		if (b->address == address && b->instructions == instructions)
			return b;
	}
	return NULL;
}

/* Those of microvm: its windows lie side by side at a fixed place. */
static bool is_notification(uint64_t at)
{
	return at >= VIRTIO_MMIO_FIRST && at < VIRTIO_MMIO_END
		&& (at - VIRTIO_MMIO_FIRST) % VIRTIO_MMIO_LEN == VIRTIO_MMIO_NOTIFY;
}

static void accessed(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *unused)
{
	(void)vcpu, (void)unused;
	const struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, address);
	if (!at || !qemu_plugin_hwaddr_is_io(at))
		return;
	if (!qemu_plugin_mem_is_store(info)) {
		plugin.counters->io_reads++;
		return;
	}
	plugin.counters->io_writes++;
	if (is_notification(qemu_plugin_hwaddr_phys_addr(at)))
		plugin.counters->notifications++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	struct counters *c = plugin.counters;
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t instructions = qemu_plugin_tb_n_insns(tb);
	if (address == plugin.entry && c->entry_ns == 0) {
		c->entry_ns = wall_ns();
		c->entry_instructions = c->instructions;
	}
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &c->instructions,
		instructions);
	struct block *b = plugin.profile ? block_find(address, instructions) : NULL;
	if (b)
		qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->executions, 1);
	for (size_t i = 0; plugin.io && i < instructions; i++)
		qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), accessed,
			QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
}

/* A file of LEN zeros, mapped; NULL: said why. */
static void *map_file(const char *path, size_t len)
{
	void *at = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd >= 0 && ftruncate(fd, (off_t)len) == 0)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		fprintf(stderr, "insns: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static bool option_take(const char *option)
{
	const char *value = strchr(option, '=');
	size_t name = value ? (size_t)(value++ - option) : 0;
	if (name == 8 && strncmp(option, "counters", name) == 0)
		return (plugin.counters = map_file(value, sizeof *plugin.counters)) != NULL;
	if (name == 7 && strncmp(option, "profile", name) == 0)
		return (plugin.profile = map_file(value, BLOCKS * sizeof *plugin.profile)) != NULL;
	if (name == 5 && strncmp(option, "entry", name) == 0)
		return (plugin.entry = strtoull(value, NULL, 0)) != 0;
	if (name == 2 && strncmp(option, "io", name) == 0)
		return qemu_plugin_bool_parse("io", value, &plugin.io);
	fprintf(stderr, "insns: there is no option '%s'\n", option);
	return false;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
	char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!option_take(argv[i]))
			return 1;
	if (!plugin.counters || !info->system_emulation || info->system.smp_vcpus != 1) {
		fprintf(stderr, "insns: needs counters=FILE, and a machine with one vCPU\n");
		return 1;
	}
	plugin.counters->loaded_ns = wall_ns();
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
