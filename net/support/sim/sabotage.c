/* Breaks things on purpose, once, somewhere in the middle: each of the checks must notice what it is there
 * for. What is done here is what mistakes in an engine would do. */
#include "run.h"

#include <string.h>
#include "tcp_conn.h"

/* A connection in the middle of a transfer, or NULL. */
static struct tcp_conn *victim(struct run *r)
{
	for (uint32_t i = 0; i < r->flows; i++) {
		struct flow *f = &r->flow[i];
		for (uint32_t k = 0; k < 2; k++) {
			struct tcp_conn *c = f->end[k].conn;
			if (c && !f->excuse && c->state == TCP_STATE_ESTABLISHED && c->send_head
				&& c->queue_end - c->snd_nxt > 3000 && c->snd_max - c->snd_una > 0)
				return c;
		}
	}
	return NULL;
}

static bool network_forges(struct run *r)
{
	for (uint32_t i = 0; i < r->hosts; i++)
		r->host[i].base_up.forge = r->host[i].port->up.forge = 500;
	return true;
}

static bool byte_is_skipped(struct run *r)
{
	struct tcp_conn *c = victim(r);
	if (c)
		c->snd_nxt++;
	return c;
}

static bool timer_is_lost(struct run *r)
{
	struct tcp_conn *c = victim(r);
	if (c)
		c->rto_at = c->ack_at = TIMER_NEVER;
	return c;
}

static bool frame_is_leaked(struct run *r)
{
	struct net *net = r->host[0].net;
	struct net_frame *f = net->frames.used < net->frames.capacity ? pool_get(&net->frames) : NULL;
	if (f)
		memset(f, 0, sizeof *f);
	return f;
}

static bool window_shrinks(struct run *r)
{
	struct tcp_conn *c = victim(r);
	if (c && c->rcv_adv - c->rcv_nxt > 2000) {
		c->rcv_adv -= 1000;
		c->net->receive_window = 2048;
		return true;
	}
	return false;
}

static bool acknowledges_too_much(struct run *r)
{
	struct tcp_conn *c = victim(r);
	if (c)
		c->rcv_nxt++;
	return c;
}

static bool memory_changes_early(struct run *r)
{
	for (uint32_t i = 0; i < r->flows; i++) {
		for (uint32_t k = 0; k < ITEMS_MAX; k++) {
			struct item *item = &r->flow[i].end[0].item[k];
			if (!r->flow[i].excuse && item->busy && item->len > 1000 && item->send.frames) {
				memset(item->bytes, 0x55, item->len);
				return true;
			}
		}
	}
	return false;
}

static bool buffer_is_lost(struct run *r)
{
	struct tcp_conn *c = NULL;
	for (uint32_t i = 0; i < r->flows && !c; i++)
		for (uint32_t k = 0; k < 2; k++)
			if (r->flow[i].end[k].conn && r->flow[i].end[k].conn->rx_frames)
				c = r->flow[i].end[k].conn;
	if (c) {
		list_remove(c->rx.next);
		c->rx_frames--;
	}
	return c;
}

static const struct {
	const char *name;
	bool (*act)(struct run *r); /* false: not possible now */
} sabotages[] = {
	{"forge", network_forges},
	{"skip", byte_is_skipped},
	{"timer", timer_is_lost},
	{"leak", frame_is_leaked},
	{"window", window_shrinks},
	{"ack", acknowledges_too_much},
	{"memory", memory_changes_early},
	{"buffer", buffer_is_lost},
};

bool sabotage_exists(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(sabotages); i++)
		if (strcmp(name, sabotages[i].name) == 0)
			return true;
	return false;
}

void sabotage_act(struct run *r)
{
	for (size_t i = 0; !r->sabotaged && i < ARRAY_LEN(sabotages); i++)
		if (strcmp(r->options.sabotage, sabotages[i].name) == 0)
			r->sabotaged = sabotages[i].act(r);
}
