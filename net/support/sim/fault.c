/* The planned faults. A link's state is always its own plus that of all faults at work on it, so that
 * faults may overlap. */
#include "run.h"



const char *fault_text(enum fault_kind kind)
{
	static const char *const text[] = {"loss", "duplication", "congestion marks", "reordering", "corruption", "delay",
		"rate", "link down", "MTU, told", "MTU, black hole", "receive buffers withheld",
		"frames held at the card", "pause", "clock jump", "small steps", "restart"};
	return text[kind];
}

static uint32_t at_least(uint32_t a, uint64_t b)
{
	return a > b ? a : (uint32_t)b;
}

static void path_apply(struct sim_path *p, const struct fault *f)
{
	switch (f->kind) {
	case FAULT_LOSS: p->loss = at_least(p->loss, f->amount); break;
	case FAULT_DUPLICATE: p->duplicate = at_least(p->duplicate, f->amount); break;
	case FAULT_MARK: p->mark = at_least(p->mark, f->amount); break;
	case FAULT_CORRUPT: p->corrupt = at_least(p->corrupt, f->amount); break;
	case FAULT_REORDER:
		p->reorder = at_least(p->reorder, f->amount);
		p->jitter_ns += 3 * MS;
		break;
	case FAULT_DELAY: p->delay_ns += f->amount; break;
	case FAULT_RATE:
		p->bytes_per_s = f->amount;
		p->queue_max = 30000;
		break;
	case FAULT_FLAP: p->down = true; break;
	case FAULT_MTU:
	case FAULT_BLACK_HOLE:
		p->mtu = p->mtu < f->amount ? p->mtu : (uint32_t)f->amount;
		p->tells_mtu = f->kind == FAULT_MTU;
		break;
	case FAULT_RX_WITHHELD:
	case FAULT_TX_HELD:
	case FAULT_PAUSE:
	case FAULT_CLOCK_JUMP:
	case FAULT_SMALL_STEPS:
	case FAULT_RESTART:
	case FAULT_KINDS: break;
	}
}

static void path_set(struct sim_path *p, const struct sim_path *base)
{
	uint64_t free_ns = p->free_ns, last_ns = p->last_ns;
	*p = *base;
	p->free_ns = free_ns;
	p->last_ns = last_ns;
}

static void links_update(struct run *r, struct host *h)
{
	bool held = false;
	path_set(&h->port->up, &h->base_up);
	path_set(&h->port->down, &h->base_down);
	h->port->rx_withheld = 0;
	for (uint32_t i = 0; i < r->faults; i++) {
		const struct fault *f = &r->fault[i];
		if (!f->active || f->host != h->index)
			continue;
		if (f->up || f->kind == FAULT_FLAP)
			path_apply(&h->port->up, f);
		if (f->down || f->kind == FAULT_FLAP)
			path_apply(&h->port->down, f);
		if (f->kind == FAULT_RX_WITHHELD)
			h->port->rx_withheld = (uint32_t)(h->port->config.rx_buffers * f->amount / 100);
		held |= f->kind == FAULT_TX_HELD;
	}
	if (h->port->tx_held && !held)
		sim_port_tx_release(h->port);
	h->port->tx_held = held;
}

static void begin(struct run *r, struct fault *f)
{
	struct host *h = &r->host[f->host];
	if (r->options.trace)
		run_note(r, "host %u: %s begins, %lu, for %.6f s%s%s", f->host, fault_text(f->kind),
			(unsigned long)f->amount, (double)(f->to_ns - f->from_ns) / 1e9, f->up ? ", up" : "",
			f->down ? ", down" : "");
	switch (f->kind) {
	case FAULT_PAUSE:
		h->paused_until_ns = f->to_ns > h->paused_until_ns ? f->to_ns : h->paused_until_ns;
		break;
	case FAULT_CLOCK_JUMP:
		h->clock_offset_ns += (int64_t)f->amount;
		h->attention = true;
		break;
	case FAULT_SMALL_STEPS:
		h->step_until_ns = f->to_ns;
		h->step_ns = f->amount + (f->to_ns - f->from_ns) / 50;
		break;
	case FAULT_RESTART:
		if (!f->amount)
			h->random_seed[draw_below(r, sizeof h->random_seed)] ^= 1;
		host_restart(h);
		break;
	case FAULT_LOSS: case FAULT_DUPLICATE: case FAULT_MARK: case FAULT_REORDER: case FAULT_CORRUPT: case FAULT_DELAY:
	case FAULT_RATE: case FAULT_FLAP: case FAULT_MTU: case FAULT_BLACK_HOLE:
	case FAULT_RX_WITHHELD: case FAULT_TX_HELD: case FAULT_KINDS:
		break;
	}
}

static void end(struct run *r, struct fault *f)
{
	struct host *h = &r->host[f->host];
	if (r->options.trace)
		run_note(r, "host %u: %s ends", f->host, fault_text(f->kind));
	/* Not every card tells that the link is back. */
	if (f->kind == FAULT_FLAP && f->amount && host_runs(h)) {
		net_advance(h->net, host_clock(h));
		net_link_up(h->net);
		h->attention = true;
	}
}

void faults_act(struct run *r)
{
	uint64_t now = r->network.now_ns;
	for (uint32_t i = 0; i < r->faults; i++) {
		struct fault *f = &r->fault[i];
		bool active = now >= f->from_ns && now < f->to_ns;
		if (active == f->active)
			continue;
		f->active = active;
		links_update(r, &r->host[f->host]);
		if (active)
			begin(r, f);
		else
			end(r, f);
	}
}

uint64_t faults_next(const struct run *r)
{
	uint64_t next = UINT64_MAX, now = r->network.now_ns;
	for (uint32_t i = 0; i < r->faults; i++) {
		const struct fault *f = &r->fault[i];
		uint64_t at = now < f->from_ns ? f->from_ns : now < f->to_ns ? f->to_ns : UINT64_MAX;
		next = at < next ? at : next;
	}
	return next;
}

bool fault_since(const struct run *r, uint32_t host, uint64_t since_ns)
{
	for (uint32_t i = 0; i < r->faults; i++) {
		const struct fault *f = &r->fault[i];
		if (f->host == host && f->from_ns <= r->network.now_ns && f->to_ns >= since_ns)
			return true;
	}
	return false;
}

void faults_end(struct run *r)
{
	for (uint32_t i = 0; i < r->faults; i++)
		r->fault[i].active = false;
	for (uint32_t i = 0; i < r->hosts; i++) {
		struct host *h = &r->host[i];
		h->base_up.mark = h->base_down.mark = 0;
		h->base_up.loss = h->base_up.corrupt = h->base_up.reorder = h->base_up.duplicate = 0;
		h->base_down.loss = h->base_down.corrupt = h->base_down.reorder = h->base_down.duplicate = 0;
		links_update(r, h);
	}
}
