/* Virtual time: whoever is due next acts; then what must always hold is checked. */
#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include "support/check.h"

void run_fail(struct run *r, const char *fmt, ...)
{
	va_list args;
	printf("seed %lu failed at %.6f s: ", (unsigned long)r->options.seed,
		(double)(r->network.now_ns - START_NS) / 1e9);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	for (uint32_t i = 0; i < r->hosts; i++) {
		if (r->host[i].net) {
			printf("# host %u, its clock at %.6f s\n", i, (double)host_clock(&r->host[i]) / 1e9);
			net_check_dump(r->host[i].net, stdout);
		}
	}
	if (r->options.pcap)
		fflush(r->options.pcap);
	fflush(stdout);
	_Exit(1);
}

void run_note(struct run *r, const char *fmt, ...)
{
	va_list args;
	printf("%12.6f ", (double)(r->network.now_ns - START_NS) / 1e9);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

/* --- Draws ----------------------------------------------------------------------------------- */

uint64_t draw(struct run *r)
{
	return sim_random(&r->rng);
}

uint32_t draw_below(struct run *r, uint32_t bound)
{
	return (uint32_t)(draw(r) % bound);
}

bool draw_chance(struct run *r, uint32_t percent)
{
	return draw_below(r, 100) < percent;
}

uint64_t draw_between(struct run *r, uint64_t low, uint64_t high)
{
	return low + draw(r) % (high - low + 1);
}

/* --- What the network tells ------------------------------------------------------------------ */

static void saw(void *cookie, enum sim_fate fate, const struct sim_frame *f)
{
	struct run *r = cookie;
	if (r->options.pcap && (fate == SIM_SENT || fate == SIM_ANSWERED))
		sim_pcap_frame(r->options.pcap, r->network.now_ns, f);
	wire_see(r->wire, fate, f);
}

static void attention(void *cookie, struct sim_port *p)
{
	struct run *r = cookie;
	r->host[p->index].attention = true;
}

/* --- Time ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_time(const struct run *r)
{
	uint64_t next = sim_network_next(&r->network);
	for (uint32_t i = 0; i < r->hosts; i++)
		next = earlier(next, host_next(&r->host[i]));
	if (!r->recovering)
		next = earlier(earlier(next, attacks_next(r)), earlier(faults_next(r), datagrams_next(r)));
	for (uint32_t i = 0; i < r->flows; i++)
		if (!r->flow[i].started)
			next = earlier(next, r->flow[i].start_ns);
	return next;
}

static void act(struct run *r)
{
	uint64_t now = r->network.now_ns;
	if (!r->recovering) {
		faults_act(r);
		datagrams_act(r);
		attacks_act(r);
	}
	for (uint32_t i = 0; i < r->flows; i++) {
		struct flow *f = &r->flow[i];
		if (!f->started && now >= f->start_ns && host_runs(&r->host[f->client]))
			flow_start(f);
		else if (!f->started && now >= f->start_ns)
			f->start_ns = r->host[f->client].paused_until_ns;
	}
	for (uint32_t i = 0; i < r->hosts; i++)
		if (host_runs(&r->host[i]) && host_next(&r->host[i]) <= now)
			host_poll(&r->host[i]);
}

static void until(struct run *r, uint64_t end_ns, bool (*enough)(const struct run *))
{
	while (!enough || !enough(r)) {
		uint64_t next = next_time(r), now = r->network.now_ns;
		if (next > end_ns)
			break;
		sim_network_advance(&r->network, next > now ? next : now);
		act(r);
		if (r->options.sabotage && !r->sabotaged)
			sabotage_act(r);
		r->verdict->now_ns = r->network.now_ns;
		r->verdict->hash = r->network.hash;
	}
	if ((!enough || !enough(r)) && end_ns > r->network.now_ns)
		sim_network_advance(&r->network, end_ns);
}

/* --- The end --------------------------------------------------------------------------------- */

static bool all_over(const struct run *r)
{
	for (uint32_t i = 0; i < r->flows; i++)
		if (!flow_is_over(&r->flow[i]))
			return false;
	return true;
}

static void pools_check(struct run *r, struct host *h)
{
	struct net_usage u = net_usage(h->net);
	if (u.connections || u.syns || u.time_waits || u.tx_frames || u.rx_frames)
		run_fail(r, "host %u has not given back all: %u connections, %u half-open, %u TIME_WAIT,"
			" %u frames out, %u in", h->index, u.connections, u.syns, u.time_waits, u.tx_frames,
			u.rx_frames);
	if (sim_port_rx_held(h->port) || h->port->tx_used || h->refused)
		run_fail(r, "host %u: %u buffers not back, %u frames at the card", h->index,
			sim_port_rx_held(h->port), h->port->tx_used);
	/* Routers are asked for as long as none answers (RFC 7559). */
	if (u.timers > (h->config.ip6 != NET_IP6_OFF))
		run_fail(r, "host %u: %u timers are armed, and nothing is to be done", h->index, u.timers);
	if (!list_is_empty(&h->letters))
		run_fail(r, "host %u: a datagram is not done", h->index);
}

static void stuck_check(struct run *r)
{
	for (uint32_t i = 0; i < r->flows; i++)
		if (!flow_is_over(&r->flow[i]))
			run_fail(r, "connection %u is stuck: %.0f s without a fault, and not at its end", i,
				(double)RECOVERY_NS / 1e9);
}

static void run_all(struct run *r)
{
	until(r, r->faults_end_ns, NULL);
	r->recovering = true;
	faults_end(r);
	act(r);
	until(r, r->faults_end_ns + RECOVERY_NS, all_over);
	stuck_check(r);
	until(r, r->network.now_ns + SILENCE_NS, NULL);
	for (uint32_t i = 0; i < r->flows; i++)
		flow_judge(&r->flow[i]);
	r->quiet = true;
	until(r, r->network.now_ns + QUIET_NS, NULL);
	for (uint32_t i = 0; i < r->hosts; i++)
		pools_check(r, &r->host[i]);
}

static void counters_add(const struct host *h, volatile struct verdict *verdict)
{
	struct net_counter c;
	for (uint32_t i = 0; i < COUNTERS_MAX && net_counter_at(h->net, i, &c); i++)
		verdict->counter[i] += c.value;
}

void run_seed(struct run *r, const struct options *options, volatile struct verdict *verdict)
{
	memset(r, 0, sizeof *r);
	r->verdict = verdict;
	r->options = *options;
	/* Twice, so that neighbouring seeds do not share what they draw. */
	uint64_t seed = options->seed;
	r->rng = sim_random(&seed);
	r->rng = sim_random(&r->rng);
	sim_network_init(&r->network, draw(r), START_NS);
	r->network.tap = saw;
	r->network.attention = attention;
	r->network.cookie = r;
	r->wire = wire_new(r);
	plan_draw(r);
	for (uint32_t i = 0; i < r->hosts; i++)
		host_start(&r->host[i]);
	run_all(r);
	verdict->hash = r->network.hash;
	verdict->frames = r->network.frames;
	verdict->bytes = r->bytes;
	verdict->flows = r->flows;
	verdict->completed = r->completed;
	verdict->excused = r->excused;
	for (uint32_t i = 0; i < r->hosts; i++)
		counters_add(&r->host[i], verdict);
	verdict->finished = true;
	sim_network_free(&r->network);
	for (uint32_t i = 0; i < r->hosts; i++)
		host_stop(&r->host[i]);
	wire_free(r->wire);
}
