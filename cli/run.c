/* `ingot run`: build, boot in QEMU, be the power button.
 *
 *   building -> starting -> listening -(signal)-> stopping -> ended
 *
 * QEMU's monitor and the guest's serial port hang on socket pairs, the guest's log on a pipe. Signals arrive through a
 * signalfd, so one poll loop sees everything. QEMU ends with us, however we end, and holds the
 * volume's lock as long as it lives. */
#include "cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	START_DEADLINE_S = 60,
	GUEST_PORT = 80,
	MONITOR_FD = 3, /* in QEMU */
	SERIAL_FD = 4,
	PRESS_APART_MS = 300, /* two signals in a shorter time are one press: a terminal and a wrapper */
};

/* What the guest logs when it accepts connections; then its address and port follow. */
#define READY_MARK "http: listening on "

struct run_options {
	const char *dir, *memory, *data, *data_size, *machine, *accel, *net, *qemu, *append;
	int port, diagnose; /* 0: no diagnosis */
	bool quiet;
};

struct run {
	struct run_options options;
	struct app_folder app;
	const char *image, *accel;
	int volume; /* locked; -1: none */
	int monitor, serial, console, signals;
	pid_t qemu;
	bool listening;
	unsigned presses; /* of the power button */
	int64_t pressed_ms;
	char line[1024];  /* of the console, so far */
	size_t line_len;
};

static int port_parse(const char *option, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);
	if (end == text || *end || n < 1 || n > 65535)
		die("%s takes a number from 1 to 65535, not '%s'", option, text);
	return (int)n;
}

static struct run_options parse_options(int argc, char **argv)
{
	struct run_options o = {.dir = ".", .memory = "64M", .data_size = "1G", .machine = "microvm",
		.accel = "auto", .net = "user", .port = 8080};
	static const struct option known[] = {{"port", 1, 0, 'p'}, {"memory", 1, 0, 'm'},
		{"data", 1, 0, 'd'}, {"data-size", 1, 0, 's'}, {"machine", 1, 0, 'M'},
		{"accel", 1, 0, 'a'}, {"net", 1, 0, 'n'}, {"qemu", 1, 0, 'q'}, {"append", 1, 0, 'A'},
		{"diagnose", 1, 0, 'D'}, {"quiet", 0, 0, 'Q'},
		{0, 0, 0, 0}};
	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (c) {
		case 'p': o.port = port_parse("--port", optarg); break;
		case 'm': o.memory = optarg; break;
		case 'd': o.data = optarg; break;
		case 's': o.data_size = optarg; break;
		case 'M': o.machine = optarg; break;
		case 'a': o.accel = optarg; break;
		case 'n': o.net = optarg; break;
		case 'q': o.qemu = optarg; break;
		case 'A': o.append = optarg; break;
		case 'D': o.diagnose = port_parse("--diagnose", optarg); break;
		case 'Q': o.quiet = true; break;
		default: die("try: ingot help run");
		}
	}
	if (optind < argc)
		o.dir = argv[optind++];
	if (optind < argc)
		die("one application at a time; what is '%s'? Try: ingot help run", argv[optind]);
	if (strcmp(o.machine, "microvm") && strcmp(o.machine, "q35") && strcmp(o.machine, "pc"))
		die("--machine is microvm, q35 or pc, not '%s'", o.machine);
	if (strcmp(o.net, "user") && (strncmp(o.net, "tap:", 4) || !o.net[4]))
		die("--net is user or tap:IFNAME, not '%s'", o.net);
	return o;
}

/* "64M" and the like, in bytes. */
static uint64_t size_parse(const char *option, const char *text)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	static const char units[] = "KMGT";
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (errno || end == text || n == 0 || (*end && (!unit || end[1])) || n > UINT64_MAX >> shift)
		die("%s takes a size like 64M or 2G, not '%s'", option, text);
	return n << shift;
}

static void check_port(int port)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&at, sizeof at) != 0)
		die("cannot listen on port %d: %s; choose another one with --port", port,
			errno == EADDRINUSE ? "something else listens there" : strerror(errno));
	close(s);
}

/* Opens the volume, made when missing, and locks it for this run. */
static int volume_open(struct run_options *o, const struct app_folder *app)
{
	if (!o->data) {
		make_directories(app->out);
		o->data = format("%s/data.volume", app->out);
	}
	int fd = open(o->data, O_RDWR | O_CREAT, 0666);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		die("cannot open the volume %s: %s", o->data, strerror(errno));
	/* `ingot db info` has the first lock for a moment when it looks who holds it; the second one is respected by an
	 * emulator that somebody has started by hand. */
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int tries = 10;
	while (flock(fd, LOCK_EX | LOCK_NB) != 0 && --tries)
		usleep(20000);
	if (!tries || (fcntl(fd, F_OFD_SETLK, &all) != 0 && errno != ENOLCK))
		die("the volume %s is in use by another run, or by `ingot db`; stop that first, or name "
		    "another volume with --data", o->data);
	if (S_ISREG(st.st_mode) && st.st_size == 0) {
		uint64_t size = size_parse("--data-size", o->data_size) & ~(uint64_t)4095;
		if (ftruncate(fd, (off_t)size) != 0)
			die("cannot make the volume %s: %s", o->data, strerror(errno));
	}
	return fd;
}

static void add_machine(const struct run *r, struct strings *argv)
{
	bool micro = strcmp(r->options.machine, "microvm") == 0;
	strings_add(argv, "-M");
	strings_add(argv, micro ? "microvm,acpi=on,rtc=on,pit=off,pic=off,isa-serial=on"
				: r->options.machine);
	if (micro)
		strings_add_words(argv, "-global virtio-mmio.force-legacy=false");
	strings_add_words(argv, format("-accel %s -cpu %s -m %luK -smp 1", r->accel,
		strcmp(r->accel, "kvm") == 0 ? "host" : "max",
		size_parse("--memory", r->options.memory) >> 10));
}

static void add_devices(const struct run *r, struct strings *argv)
{
	const char *bus = strcmp(r->options.machine, "microvm") == 0 ? "device" : "pci";
	const char *options = strcmp(bus, "pci") == 0 ? ",disable-legacy=on" : "";
	strings_add(argv, "-netdev");
	int diagnose = r->options.diagnose;
	if (strcmp(r->options.net, "user") == 0)
		strings_add(argv, format("user,id=net0,hostfwd=tcp:127.0.0.1:%d-:%d%s", r->options.port,
			GUEST_PORT, diagnose ? format(",hostfwd=tcp:127.0.0.1:%d-:%d", diagnose, diagnose)
					     : ""));
	else
		strings_add(argv, format("tap,id=net0,ifname=%s,script=no,downscript=no",
			r->options.net + 4));
	strings_add_words(argv, format("-device virtio-net-%s,netdev=net0%s", bus, options));
	if (r->volume >= 0) {
		strings_add_words(argv, "-blockdev");
		strings_add(argv, format("driver=raw,node-name=data,discard=unmap,file.driver=file,"
			"file.locking=off,file.filename=%s", r->options.data));
		strings_add_words(argv, format("-device virtio-blk-%s,drive=data%s", bus, options));
	}
	strings_add_words(argv, format("-device virtio-rng-%s%s -device virtio-serial-%s%s"
		" -chardev stdio,id=log,signal=off -device virtconsole,chardev=log"
		" -chardev socket,id=serial,fd=%d -serial chardev:serial",
		bus, options, bus, options, SERIAL_FD));
}

static struct strings qemu_command(const struct run *r)
{
	struct strings argv = {0};
	strings_add_words(&argv, "qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot");
	add_machine(r, &argv);
	strings_add(&argv, "-kernel");
	strings_add(&argv, r->image);
	const char *append = r->options.append;
	if (r->options.diagnose)
		append = format("%s%sdiagnose=%d", append ? append : "", append ? " " : "",
			r->options.diagnose);
	if (append) {
		strings_add(&argv, "-append");
		strings_add(&argv, append);
	}
	add_devices(r, &argv);
	strings_add_words(&argv, format("-device isa-debug-exit,iobase=0x501,iosize=2"
		" -chardev socket,id=monitor,fd=%d -mon chardev=monitor,mode=control", MONITOR_FD));
	if (r->options.qemu)
		strings_add_words(&argv, r->options.qemu);
	return argv;
}

static _Noreturn void become_qemu(
	const struct strings *argv, int monitor, int serial, int console, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0); /* Ctrl-C is for us alone */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int moved[] = {fcntl(monitor, F_DUPFD_CLOEXEC, 10), fcntl(serial, F_DUPFD_CLOEXEC, 10)};
	dup2(null, STDIN_FILENO);
	dup2(console, STDOUT_FILENO);
	dup2(moved[0], MONITOR_FD);
	dup2(moved[1], SERIAL_FD);
	execvp(argv->item[0], argv->item);
	die("cannot start %s: %s", argv->item[0], strerror(errno));
}

static void start(struct run *r)
{
	int monitor[2], serial[2], console[2];
	struct strings argv = qemu_command(r);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor) != 0
		|| socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial) != 0
		|| pipe2(console, O_CLOEXEC) != 0)
		die("cannot talk to QEMU: %s", strerror(errno));
	pid_t parent = getpid();
	r->qemu = fork();
	if (r->qemu < 0)
		die("cannot start QEMU: %s", strerror(errno));
	if (r->qemu == 0)
		become_qemu(&argv, monitor[1], serial[1], console[1], parent);
	close(monitor[1]);
	close(serial[1]);
	close(console[1]);
	r->monitor = monitor[0];
	r->serial = serial[0];
	r->console = console[0];
	dprintf(r->monitor, "{\"execute\":\"qmp_capabilities\"}\n");
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void press_power_button(struct run *r)
{
	int64_t now = now_ms();
	if (r->presses && now - r->pressed_ms < PRESS_APART_MS)
		return;
	r->pressed_ms = now;
	if (++r->presses == 1) {
		notice("stopping; once more cuts the power");
		dprintf(r->monitor, "{\"execute\":\"system_powerdown\"}\n");
	} else {
		notice("power cut");
		kill(r->qemu, SIGKILL);
	}
}

/* A complete line of the guest's log. */
static void take_line(struct run *r)
{
	r->line[r->line_len] = '\0';
	const char *ready = strstr(r->line, READY_MARK);
	bool user = strcmp(r->options.net, "user") == 0;
	/* What QEMU forwards goes to the guest's IPv4 address: an IPv6 one is not enough. */
	if (ready && !r->listening && !(user && ready[strlen(READY_MARK)] == '[')) {
		r->listening = true;
		if (user)
			printf("listening on http://localhost:%d\n", r->options.port);
		else
			printf("listening on http://%s\n", ready + strlen(READY_MARK));
	}
	if (!r->options.quiet)
		printf("%s\n", r->line);
	fflush(stdout);
	r->line_len = 0;
}

/* False at the end. */
static bool read_console(struct run *r)
{
	char bytes[4096];
	ssize_t n = read(r->console, bytes, sizeof bytes);
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n')
			take_line(r);
		else if (bytes[i] != '\r' && r->line_len < sizeof r->line - 1)
			r->line[r->line_len++] = bytes[i];
	}
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Takes what is there, and shows it on `to` (-1: nowhere). False at the end. */
static bool relay(int from, int to)
{
	char bytes[4096];
	ssize_t n = read(from, bytes, sizeof bytes);
	fflush(stdout);
	for (ssize_t done = 0, w; to >= 0 && done < n; done += w)
		if ((w = write(to, bytes + done, (size_t)(n - done))) <= 0)
			break;
	return n > 0;
}

/* Until QEMU has ended. */
static void watch(struct run *r)
{
	time_t deadline = time(NULL) + START_DEADLINE_S;
	enum { CONSOLE, MONITOR, SERIAL, SIGNALS, COUNT };
	struct pollfd fds[COUNT] = {[CONSOLE] = {r->console, POLLIN, 0}, [MONITOR] = {r->monitor, POLLIN, 0},
		[SERIAL] = {r->serial, POLLIN, 0}, [SIGNALS] = {r->signals, POLLIN, 0}};
	for (;;) {
		if (poll(fds, COUNT, 1000) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (fds[SIGNALS].revents & POLLIN) {
			struct signalfd_siginfo info;
			if (read(r->signals, &info, sizeof info) == sizeof info)
				press_power_button(r);
		}
		if (fds[MONITOR].revents && !relay(r->monitor, -1))
			fds[MONITOR].fd = -1;
		if (fds[SERIAL].revents && !relay(r->serial, STDERR_FILENO))
			fds[SERIAL].fd = -1;
		if (fds[CONSOLE].revents && !read_console(r))
			break;
		if (!r->listening && !r->presses && time(NULL) > deadline) {
			kill(r->qemu, SIGKILL);
			die("the guest did not answer within %d seconds", START_DEADLINE_S);
		}
	}
	while (fds[SERIAL].fd >= 0 && relay(r->serial, STDERR_FILENO))
		continue;
}

static int status_of(struct run *r)
{
	int status;
	while (waitpid(r->qemu, &status, 0) < 0 && errno == EINTR)
		continue;
	if (r->presses > 1)
		return 130;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		die("QEMU was killed by signal %d; what was acknowledged is safe on the volume",
			WTERMSIG(status));
	if (!r->listening)
		die("the guest did not start; its last words are above");
	die("the guest stopped with an error; its last words are above");
}

static int signals_open(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int command_run(int argc, char **argv)
{
	struct run r = {.options = parse_options(argc, argv), .volume = -1};
	r.app = app_folder_open(r.options.dir);
	if (strcmp(r.options.net, "user") == 0) {
		check_port(r.options.port);
		if (r.options.diagnose)
			check_port(r.options.diagnose);
	}
	if (r.app.migrations.count || r.options.data)
		r.volume = volume_open(&r.options, &r.app);
	r.image = app_build(&r.app, NULL, false);
	r.accel = accel_choose(r.options.accel);
	r.signals = signals_open();
	start(&r);
	watch(&r);
	return status_of(&r);
}
