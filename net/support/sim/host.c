/* An engine with its card, and the loop that net/net.h describes. The engine is called only when a frame
 * has come, a frame was given back, its deadline has passed, or its application acts: if it forgets to ask
 * for time, it gets none. */
#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include "support/check.h"

#define IDLE_POLLS_MAX 1000

bool host_runs(const struct host *h)
{
	return h->net && h->run->network.now_ns >= h->paused_until_ns;
}

uint64_t host_clock(const struct host *h)
{
	return h->run->network.now_ns + (uint64_t)h->clock_offset_ns;
}

bool host_address(const struct host *h, bool ip6, uint32_t n, struct net_address *out)
{
	struct net_ipv6 all;
	*out = net_address_v4(h->ip);
	if (!ip6 || !h->net)
		return !ip6 && n == 0;
	net_ipv6(h->net, &all);
	/* That of the link is the first, and so comes last. */
	for (uint32_t i = all.count; i-- > 0;) {
		*out = all.address[i].address;
		if (all.address[i].state == NET_IPV6_PREFERRED && n-- == 0)
			return true;
	}
	return false;
}

void host_start(struct host *h)
{
	struct run *r = h->run;
	random_init(&h->random);
	random_mix(&h->random, slice_of(h->random_seed, sizeof h->random_seed));
	h->config.random = &h->random;
	h->config.now_ns = host_clock(h);
	h->started_ns = r->network.now_ns;
	size_t size = (net_memory_size(&h->config) + 63) & ~(size_t)63;
	h->memory = aligned_alloc(64, size);
	ASSERT(h->memory);
	memset(h->memory, 0xaa, size);
	err e = net_init(&h->net, &h->config, h->memory);
	if (failed(e))
		run_fail(r, "net_init: %s", err_text(e));
	for (uint16_t i = 0; i < LISTENERS; i++) {
		e = tcp_listen(h->net, PORT_FIRST + i, i && !h->patient ? 4 : 0);
		ASSERT(!failed(e));
	}
	datagram_host_start(h);
	h->attention = true;
}

void host_stop(struct host *h)
{
	free(h->memory);
	h->memory = NULL;
	h->net = NULL;
}

void host_restart(struct host *h)
{
	ends_forget(h);
	datagrams_forget(h);
	wire_forget(h->run->wire, h->index);
	sim_port_reset(h->port);
	host_stop(h);
	h->incarnation++;
	h->refused = NULL;
	/* Its clock begins anew. */
	h->clock_offset_ns = (int64_t)(SECOND + draw_below(h->run, 1000000)) - (int64_t)h->run->network.now_ns;
	host_start(h);
}

uint64_t host_next(const struct host *h)
{
	uint64_t now = h->run->network.now_ns;
	if (!h->net)
		return UINT64_MAX;
	if (now < h->paused_until_ns)
		return h->paused_until_ns;
	if (h->attention)
		return now;
	uint64_t next = net_next_deadline(h->net);
	if (next != TIMER_NEVER)
		next = (int64_t)next - h->clock_offset_ns < (int64_t)now ? now
			: next - (uint64_t)h->clock_offset_ns;
	/* What cannot be sent makes the deadline "now"; the card's `done` is what to wait for. */
	if (h->refused && next < now + MS)
		next = now + MS;
	if (now < h->step_until_ns && now + h->step_ns < next)
		next = now + h->step_ns;
	uint64_t act = ends_next(h->run, h);
	return act < next ? act : next;
}

static uint32_t receive(struct host *h)
{
	struct frame_rx *f;
	uint32_t n = 0;
	while (n < h->input_max && (f = sim_port_receive(h->port))) {
		net_input(h->net, f, host_clock(h));
		n++;
	}
	return n;
}

static void events(struct host *h)
{
	struct tcp_conn *c;
	uint32_t events;
	while ((c = net_event_next(h->net, &events)))
		end_event(h, c, events);
}

/* The number of frames that the card has taken. */
static uint32_t transmit(struct host *h)
{
	uint32_t n = 0;
	for (;;) {
		struct frame_tx *f = h->refused ? h->refused : net_output(h->net);
		h->refused = NULL;
		if (!f)
			return n;
		if (!sim_port_send(h->port, f)) {
			h->refused = f;
			return n;
		}
		n++;
	}
}

/* An engine that asks for time again and again and does nothing with it would keep the guest awake. */
static void spin_check(struct host *h, bool progress)
{
	uint64_t now = h->run->network.now_ns;
	if (progress || h->polled_ns != now)
		h->polls = 0;
	h->polled_ns = now;
	if (++h->polls > IDLE_POLLS_MAX)
		run_fail(h->run, "host %u spins: its deadline has passed, and it does nothing", h->index);
}

void host_poll(struct host *h)
{
	struct run *r = h->run;
	char text[200];
	h->attention = false;
	uint32_t in = receive(h);
	if (h->input_max != UINT32_MAX && in == h->input_max)
		h->attention = true;
	net_advance(h->net, host_clock(h));
	uint32_t out = 0;
	if (h->input_max != UINT32_MAX) /* another order than the usual one is allowed too */
		out += transmit(h);
	events(h);
	ends_serve(h);
	events(h);
	out += transmit(h);
	spin_check(h, in || out);
	r->steps++;
	const char *wrong = net_check(h->net, text, sizeof text);
	if (wrong)
		run_fail(r, "host %u: it does not hold that %s", h->index, wrong);
}
