/* Composition: the one place that knows everything. platform_main is what machine/ and host/ call
 * when they are ready; it divides the memory, starts each part, and runs the loop until the power
 * button is pressed.
 *
 *   starting --all parts up--> running --power button--> draining --connections gone--> off
 *      | cannot: say why and stop
 *
 * `program` is the only mutable global outside of machine/: everything else hangs off it. */
#include <app/database.h>
#include <app/manifest.h>
#include <app/server.h>
#include <core/budget.h>
#include <libc/libc.h>
#include <platform/platform.h>

#include "diagnose.h"
#include "network.h"
#include "options.h"

#include <stdarg.h>

enum {
	HTTP_PORT = 80,
	STACK_SIZE = 80 << 10, /* SQLite needs up to 64 KiB */
	STACK_SIZE_PLAIN = 24 << 10,
	NS_PER_S = 1000000000,
	DRAIN_LIMIT_S = 10,
	DATABASE_UNIT = 64 << 10,
	LEAST_MEMORY = 4 << 20,
	CONNECTIONS_MIN = 64,
	CONNECTIONS_MAX = 1 << 20,
	PER_ADDRESS_MIN = 64, /* several people behind one address, with some connections each */
	TABLES_SIZE = 192,
	TRACE_EVENTS = 64, /* kept, and shown by a panic */
};

enum memory_part {
	PART_FIBERS,
	PART_BUFFERS,
	PART_NET,
	PART_SERVER,
	PART_HEAP,
	PART_DIAGNOSE,
	PART_DATABASE,
	PART_COUNT
};

static struct program {
	struct platform *platform;
	struct loop loop;
	struct log log;
	struct random random;
	struct trace trace;
	struct trace_event events[TRACE_EVENTS];
	struct options options;
	struct budget_item parts[PART_COUNT];
	struct pool buffers;
	struct net_config net_config;
	struct net *net;
	struct network network;
	struct server_config server_config;
	struct server *server;
	struct database *database;
	struct loop_client power;
	uint32_t fiber_count;
	struct timer drain_timer;
	uint64_t drain_until_ns; /* 0: not draining */
	bool closing;
} program;

static _Noreturn void PRINTF_LIKE(2, 3) stop_failed(struct program *p, const char *fmt, ...)
{
	uint8_t text[512];
	struct writer w = writer_of(text, sizeof text - 1);
	va_list args;
	va_start(args, fmt);
	write_bytes(&w, SLICE("ingot: "));
	write_format(&w, fmt, args);
	va_end(args);
	*w.pos++ = '\n';
	p->platform->console_write(p->platform, writer_slice(&w));
	p->platform->power_off(p->platform, PLATFORM_EXIT_FAILED);
}

static void random_start(struct program *p)
{
	uint8_t seed[64];
	random_init(&p->random);
	size_t n = p->platform->entropy(p->platform, seed, sizeof seed);
	random_mix(&p->random, slice_of(seed, n));
	if (!random_is_seeded(&p->random))
		stop_failed(p, "there is no source of randomness: give the machine a virtio-rng device, or "
			"a processor with RDRAND");
}

/* --- Memory ----------------------------------------------------------------------------------- */

static uint32_t clamp(size_t n, uint32_t min, uint32_t max)
{
	return n < min ? min : n > max ? max : (uint32_t)n;
}

/* Of what a machine has beyond the least that serves, a quarter is for connections. That is what an idle one
 * costs: its state in the engine and in the server, and its share of the hash tables and of the entries for
 * connections that are beginning or have ended (these and the slots are at most TABLES_SIZE for each). */
static uint32_t connection_count(size_t memory_len)
{
	size_t each = net_connection_size() + server_connection_size() + TABLES_SIZE;
	size_t more = memory_len > LEAST_MEMORY ? (memory_len - LEAST_MEMORY) / 4 : 0;
	return clamp(CONNECTIONS_MIN + more / each, CONNECTIONS_MIN, CONNECTIONS_MAX);
}

/* What holds requests and frames at work grows with the memory too, but far slower: most connections are idle,
 * and then hold none of it. */
static void plan_connections(struct program *p, size_t mib)
{
	const struct net_device *device = p->platform->net[0];
	uint32_t connections = connection_count(p->platform->memory_len);
	uint32_t exchanges = clamp(mib * 16, 32, 8192);
	uint32_t buffers = clamp(mib * 32, 128, 4096);
	p->net_config = (struct net_config){
		.mtu = device->mtu < 1500 ? device->mtu : 1500,
		.tx_checksum = device->tx_checksum,
		.tx_tso4 = device->tx_tso4,
		.tx_tso6 = device->tx_tso6,
		.tx_segments_max = device->tx_segments_max,
		.connections_max = connections,
		.syn_max = clamp(connections / 4, 24, 4096),
		.time_wait_max = connections,
		.tx_frames_max = clamp(mib * 16, 64, 1024),
		.rx_frames_max = buffers / 2,
		.receive_window = 64 << 10,
		.address = p->options.address,
		.mask = p->options.mask,
		.gateway = p->options.gateway,
		.ip6 = p->options.ip6,
		.ip6_address = p->options.ip6_address,
		.ip6_prefix_len = p->options.ip6_prefix_len,
		.ip6_gateway = p->options.ip6_gateway,
		.host_name = slice_from_cstr(app_manifest.name),
		.random = &p->random,
		.now_ns = p->platform->now_ns(p->platform),
		.memory_is_zero = true,
	};
	for (int i = 0; i < 6; i++)
		p->net_config.mac[i] = device->mac[i];
	network_secret(p->options.ip6_secret, p->net_config.host_name, device->mac, p->net_config.ip6_secret);
	p->server_config = (struct server_config){
		.loop = &p->loop,
		.log = &p->log,
		.random = &p->random,
		.manifest = &app_manifest,
		.port = HTTP_PORT,
		.connections_max = connections,
		.exchanges = exchanges,
		.idle_ns = (uint64_t)p->options.keep_alive_s * NS_PER_S,
		.blocks = clamp(mib * 4, 16, 4096),
		.per_address_max = clamp(connections / 4, PER_ADDRESS_MIN, CONNECTIONS_MAX),
		.command_line = p->platform->command_line,
	};
	p->parts[PART_NET] = (struct budget_item){.name = "tcp/ip",
		.item_size = net_memory_size(&p->net_config), .alignment = 64, .count_min = 1, .count_max = 1};
	p->parts[PART_SERVER] = (struct budget_item){.name = "http",
		.item_size = server_memory_size(&p->server_config), .count_min = 1, .count_max = 1};
	p->parts[PART_BUFFERS] = (struct budget_item){.name = "receive buffers", .pool = &p->buffers,
		.item_size = NETWORK_BUFFER_SIZE, .alignment = NETWORK_BUFFER_SIZE,
		.count_min = buffers, .count_max = buffers};
}

/* Only for whoever looks: a line costs more than much of the boot. */
static void connections_report(struct program *p)
{
	size_t net = net_connection_size(), server = server_connection_size();
	log_write(&p->log, LOG_DEBUG, "boot",
		"%u connections of %lu bytes each when idle (tcp %lu, http %lu), %u requests at a time",
		p->net_config.connections_max, (unsigned long)(net + server), (unsigned long)net,
		(unsigned long)server, p->server_config.exchanges);
}

static size_t stack_size(void)
{
	return app_manifest.database ? STACK_SIZE : STACK_SIZE_PLAIN;
}

static void plan_fibers(struct program *p, size_t mib)
{
	/* The store keeps two for itself, and who operates the machine has one. */
	uint32_t count = clamp(mib / 2, 4, 64);
	if (app_manifest.database)
		count += p->options.diagnose_port ? 3 : 2;
	p->parts[PART_FIBERS] = (struct budget_item){.name = "fibers",
		.item_size = loop_memory_size(count, stack_size()), .alignment = 4096, .count_min = 1,
		.count_max = 1};
	p->fiber_count = count;
}

static void plan_database(struct program *p)
{
	const struct app_database *database = app_manifest.database;
	size_t min = database ? database->engine->memory_min(p->platform->block[0]) : 0;
	p->parts[PART_DATABASE] = (struct budget_item){.name = "database", .item_size = DATABASE_UNIT,
		.alignment = 4096, .count_min = (uint32_t)((min + DATABASE_UNIT - 1) / DATABASE_UNIT),
		.count_max = database ? 0 : 1, .takes_rest = true};
}

static void plan_diagnose(struct program *p)
{
	p->parts[PART_DIAGNOSE] = (struct budget_item){.name = "diagnosis",
		.item_size = diagnose_memory_size(), .count_min = p->options.diagnose_port != 0,
		.count_max = 1};
}

/* Plain C's malloc: nothing of ours uses it, an application may. */
static void plan_heap(struct program *p, size_t mib)
{
	uint32_t units = clamp(mib / 4, 4, 1024);
	p->parts[PART_HEAP] = (struct budget_item){.name = "heap", .item_size = 64 << 10,
		.alignment = 4096, .count_min = units, .count_max = units};
}

static void memory_divide(struct program *p)
{
	size_t mib = p->platform->memory_len >> 20;
	struct budget budget;
	plan_connections(p, mib);
	plan_fibers(p, mib);
	plan_heap(p, mib);
	plan_diagnose(p);
	plan_database(p);
	if (!failed(budget_divide(&budget, p->platform, p->parts, PART_COUNT)))
		return;
	uint8_t text[256];
	struct writer w = writer_of(text, sizeof text);
	budget_explain(&budget, &w);
	stop_failed(p, "%s %.*s", app_manifest.name, SLICE_ARG(writer_slice(&w)));
}

/* Only a guest has our libc/; on the host the name stands for nothing. */
extern __typeof__(libc_init) libc_init __attribute__((weak));

static void c_library_start(struct program *p)
{
	const struct budget_item *heap = &p->parts[PART_HEAP];
	struct libc_config config = {.platform = p->platform, .loop = &p->loop, .log = &p->log,
		.heap = heap->memory, .heap_len = heap->count * heap->item_size,
		.set_thread_pointer = p->platform->set_thread_pointer};
	if (libc_init && p->platform->set_thread_pointer && failed(libc_init(&config)))
		stop_failed(p, "the C library cannot start");
}

/* --- Parts ------------------------------------------------------------------------------------ */

static void options_start(struct program *p)
{
	struct slice bad;
	if (!options_parse(p->platform->command_line, &p->options, &bad))
		stop_failed(p, "the command line has '%.*s'; words are like ip=10.0.0.2/24,10.0.0.1, "
			"keep-alive=75, diagnose=9000, debug", SLICE_ARG(bad));
}

static void devices_check(struct program *p)
{
	if (p->platform->net_count == 0)
		stop_failed(p, "there is no network card: give the machine a virtio-net device");
	if (app_manifest.database && p->platform->block_count == 0)
		stop_failed(p, "%s keeps data, and there is no disk: give the machine a virtio-blk device",
			app_manifest.name);
}

static void network_up(struct program *p)
{
	err e = net_init(&p->net, &p->net_config, p->parts[PART_NET].memory);
	if (failed(e))
		stop_failed(p, "the network cannot start: %s", err_text(e));
	network_start(&p->network, &p->loop, &p->log, p->platform->net[0], p->net, &p->buffers);
	if (p->options.diagnose_port)
		diagnose_start(p->parts[PART_DIAGNOSE].memory, &p->loop, &p->log, p->net, &p->server,
			&p->database, p->options.diagnose_port, p->options.diagnose_any);
}

static void database_up(struct program *p)
{
	const struct app_database *database = app_manifest.database;
	const struct budget_item *part = &p->parts[PART_DATABASE];
	if (!database)
		return;
	struct database_config config = {.loop = &p->loop, .log = &p->log, .random = &p->random,
		.device = p->platform->block[0], .memory = part->memory,
		.memory_len = (size_t)part->count * DATABASE_UNIT,
		.operated = p->options.diagnose_port != 0};
	err e = database->engine->open(database, &config, &p->database);
	if (failed(e))
		stop_failed(p, "the volume on %s cannot be used: %s; the log says more",
			config.device->name, err_text(e));
}

static void server_up(struct program *p)
{
	p->server_config.net = p->net;
	p->server_config.database = p->database;
	err e = server_start(&p->server_config, p->parts[PART_SERVER].memory, &p->server);
	if (failed(e))
		stop_failed(p, "the server cannot start: %s; the log says more", err_text(e));
	network_announce(&p->network, p->server_config.port);
}

/* On a fiber: opening the database waits for the disk. */
static void start(void *argument)
{
	struct program *p = argument;
	database_up(p);
	server_up(p);
}

/* --- Stopping --------------------------------------------------------------------------------- */

static void report(struct program *p)
{
	struct server_stats s = server_stats(p->server);
	log_write(&p->log, LOG_INFO, "http",
		"%lu requests on %lu connections; %lu bytes sent, %lu of them copied",
		s.requests, s.connections, s.bytes_sent, s.bytes_copied);
}

static void close_down(void *argument)
{
	struct program *p = argument;
	enum platform_exit status = PLATFORM_EXIT_OK;
	report(p);
	/* A request that is still at work holds a part of the database: then that is only made durable. */
	const struct app_database_engine *engine = p->database ? app_manifest.database->engine : NULL;
	if (engine && failed(server_is_at_rest(p->server) ? engine->close(p->database)
							  : engine->sync(p->database))) {
		log_write(&p->log, LOG_ERROR, "store", "not everything could be made durable");
		status = PLATFORM_EXIT_FAILED;
	}
	log_write(&p->log, LOG_INFO, "boot", "power off");
	p->platform->power_off(p->platform, status);
}

static void drain_begin(struct program *p)
{
	log_write(&p->log, LOG_INFO, "boot", "power button: finishing what has begun");
	server_drain(p->server);
	p->drain_until_ns = p->loop.now_ns + (uint64_t)DRAIN_LIMIT_S * NS_PER_S;
	timer_arm(&p->loop.timers, &p->drain_timer, p->drain_until_ns);
}

static bool power_poll(struct loop_client *client)
{
	struct program *p = CONTAINER_OF(client, struct program, power);
	if (!p->drain_until_ns) {
		if (!p->server || !p->platform->power_button(p->platform))
			return false;
		drain_begin(p);
	}
	if (p->closing || (!server_is_drained(p->server) && p->loop.now_ns < p->drain_until_ns))
		return false;
	p->closing = !failed(fiber_spawn(&p->loop, close_down, p));
	return true;
}

/* Only ends the loop's sleep. */
static void drain_limit_reached(struct timer *t)
{
	(void)t;
}

/* --- Panics ----------------------------------------------------------------------------------- */

static void event_line(void *cookie, struct slice line)
{
	struct platform *p = cookie;
	p->console_write(p, line);
}

static void panic_hook(struct platform *p)
{
	if (program.trace.count == 0)
		return;
	p->console_write(p, SLICE("last events:\n"));
	trace_write(&program.trace, TRACE_EVENTS / 4, event_line, p);
}

/* --- The boot --------------------------------------------------------------------------------- */

void platform_main(struct platform *platform)
{
	struct program *p = &program;
	p->platform = platform;
	options_start(p);
	log_init(&p->log, platform, p->options.debug ? LOG_DEBUG : LOG_INFO);
	devices_check(p);
	random_start(p);
	memory_divide(p);
	loop_init(&p->loop, platform, p->parts[PART_FIBERS].memory, p->fiber_count, stack_size());
	trace_init(&p->trace, p->events, TRACE_EVENTS);
	p->loop.trace = &p->trace;
	platform->panic_hook = panic_hook;
	c_library_start(p);
	network_up(p);
	connections_report(p);
	p->power.poll = power_poll;
	timer_init(&p->drain_timer, drain_limit_reached);
	loop_add(&p->loop, &p->power);
	if (failed(fiber_spawn(&p->loop, start, p)))
		stop_failed(p, "there is no fiber to start on");
	loop_run(&p->loop);
	platform->power_off(platform, PLATFORM_EXIT_OK);
}
