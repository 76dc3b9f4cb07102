/* KVM or emulation? A /dev/kvm that opens is not yet a KVM that runs guests: nested and emulated
 * ones may need seconds for what should take milliseconds, or hang. So a tiny guest has to prove it:
 * a boot ROM that counts down from 2^26 and then reports through the debug-exit port. A real KVM is
 * done in well under 0.1 s. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PROBE_ROM_SIZE = 65536,
	PROBE_RESET_VECTOR = 0xfff0, /* in the ROM, which ends at 4 GiB */
	PROBE_EXIT_STATUS = 0x2a << 1 | 1,
	PROBE_DEADLINE_MS = 1500,
};

/* cli; mov ecx, 1 << 26; again: dec ecx; jnz again; mov dx, 0x501; mov al, 0x2a; out dx, al; hlt */
static const uint8_t probe_code[] = {0xfa, 0x66, 0xb9, 0, 0, 0, 4, 0x66, 0x49, 0x75, 0xfc, 0xba, 1, 5,
	0xb0, 0x2a, 0xee, 0xf4};
/* jmp to the ROM's first byte */
static const uint8_t probe_reset[] = {0xe9, 0x0d, 0x00};

static char *probe_rom_write(void)
{
	char *path = format("/tmp/ingot-probe-XXXXXX");
	int fd = mkstemp(path);
	uint8_t *rom = must_alloc(PROBE_ROM_SIZE);
	memcpy(rom, probe_code, sizeof probe_code);
	memcpy(rom + PROBE_RESET_VECTOR, probe_reset, sizeof probe_reset);
	if (fd < 0 || write(fd, rom, PROBE_ROM_SIZE) != PROBE_ROM_SIZE || close(fd) != 0)
		die("cannot write %s: %s", path, strerror(errno));
	return path;
}

static pid_t probe_start(const char *rom)
{
	pid_t child = fork();
	if (child != 0)
		return child;
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	execlp("qemu-system-x86_64", "qemu-system-x86_64", "-M", "microvm", "-accel", "kvm", "-cpu",
		"host", "-m", "2M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-bios", rom, "-device", "isa-debug-exit,iobase=0x501,iosize=1", (char *)NULL);
	_exit(127);
}

static bool kvm_proves_itself(void)
{
	char *rom = probe_rom_write();
	pid_t child = probe_start(rom);
	int status = 0;
	pid_t ended = 0;
	for (int ms = 0; child > 0 && ms < PROBE_DEADLINE_MS && ended == 0; ms += 5) {
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		ended = waitpid(child, &status, WNOHANG);
	}
	if (child > 0 && ended == 0) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	unlink(rom);
	return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == PROBE_EXIT_STATUS;
}

const char *accel_choose(const char *wanted)
{
	if (strcmp(wanted, "kvm") == 0 || strcmp(wanted, "tcg") == 0)
		return wanted;
	if (strcmp(wanted, "auto") != 0)
		die("--accel is auto, kvm or tcg, not '%s'", wanted);
	if (access("/dev/kvm", R_OK | W_OK) != 0) {
		notice("no /dev/kvm to use here: the guest is emulated (TCG), which is slower");
		return "tcg";
	}
	if (kvm_proves_itself())
		return "kvm";
	notice("/dev/kvm is there, but a test guest did not run in time: the guest is emulated (TCG)");
	return "tcg";
}
