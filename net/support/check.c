/* Invariants of the engine. Each rule is one line with its text; a rule that changes with the engine is
 * changed here. What needs a memory of earlier steps (a window that never shrinks, acknowledgements that
 * never go back) is checked on the wire, in sim/wire.c. */
#include "check.h"

#include <stdio.h>
#include "../tcp_conn.h"

struct check {
	const struct net *net;
	char *out;
	size_t size;
	const char *failed;
	uint32_t rx_frames;   /* buffers found in connections and frames */
	uint32_t in_table, accepted[LISTENERS_MAX];
	uint32_t with_ooo;
	uint32_t records;     /* of what is in flight, from the pool */
};

/* Says the first thing that is wrong. */
#define RULE(k, c, cond) rule(k, c, cond, #cond)

static void rule(struct check *k, const struct tcp_conn *c, bool holds, const char *text)
{
	struct tcp_info info = {.state = "-"};
	if (holds || k->failed)
		return;
	if (c)
		tcp_info(c, &info);
	snprintf(k->out, k->size, "%s (connection %s%s, port %u)", text, c ? "" : "none", info.state,
		c ? tcp_key_own_port(&c->key) : 0);
	k->failed = k->out;
}

/* Which items of a pool are handed out: free ones are linked through their first bytes (base/pool.c). */
static void pool_used(const struct pool *p, bool used[NET_CHECK_ITEMS])
{
	ASSERT(p->capacity <= NET_CHECK_ITEMS);
	for (uint32_t i = 0; i < p->capacity; i++)
		used[i] = i < p->touched;
	for (void *item = p->free; item; memcpy(&item, item, sizeof item))
		used[pool_index(p, item)] = false;
}

static uint32_t buffers(const struct frame_rx *f)
{
	uint32_t n = 0;
	for (; f; f = f->frag)
		n++;
	return n;
}

/* --- Parts of a connection ------------------------------------------------------------------- */

static void receive_queues(struct check *k, const struct tcp_conn *c)
{
	uint64_t bytes = 0;
	uint32_t frames = 0, early = 0;
	LIST_FOR_EACH(e, &c->rx) {
		const struct frame_rx *f = LIST_ENTRY(e, struct frame_rx, link);
		RULE(k, c, f->len > 0 && !f->frag);
		bytes += f->len;
		frames++;
	}
	LIST_FOR_EACH(e, &c->ooo)
		early += buffers(LIST_ENTRY(e, struct frame_rx, link));
	RULE(k, c, bytes == c->readable);
	RULE(k, c, frames == c->rx_frames);
	RULE(k, c, early == c->ooo_frames);
	RULE(k, c, list_is_empty(&c->ooo) == list_is_empty(&c->ooo_link));
	k->with_ooo += !list_is_empty(&c->ooo);
	k->rx_frames += frames + early;
}

static void sequence_numbers(struct check *k, const struct tcp_conn *c)
{
	RULE(k, c, c->snd_una <= c->snd_nxt);
	RULE(k, c, c->snd_nxt <= c->snd_max);
	RULE(k, c, c->snd_max <= c->queue_end + c->fin_queued || c->state == TCP_STATE_SYN_SENT
		|| c->state == TCP_STATE_SYN_RECEIVED);
	RULE(k, c, c->last_ack_sent <= c->rcv_nxt);
	RULE(k, c, c->rcv_nxt <= c->rcv_adv + c->fin_received || !tcp_is_open(c));
	RULE(k, c, c->readable <= c->rcv_nxt - 1);
}

static void send_queue(struct check *k, const struct tcp_conn *c)
{
	const struct tcp_send *last = NULL;
	for (const struct tcp_send *s = c->send_head; s; last = s, s = s->next) {
		RULE(k, c, s->conn == c && !s->dead && !s->finished);
		RULE(k, c, s->start <= s->end);
		RULE(k, c, !last || last->end == s->start);
	}
	RULE(k, c, last == c->send_tail);
	RULE(k, c, !last || last->end == c->queue_end);
	/* Nothing that is not acknowledged has been let go of. */
	RULE(k, c, !c->send_head || c->send_head->start <= c->snd_una || !tcp_is_open(c));
	RULE(k, c, c->send_head || c->snd_una >= c->queue_end || !tcp_is_open(c));
	const struct tcp_cursor *at = &c->cursor;
	RULE(k, c, !at->send || (at->send->start <= at->seq && at->seq <= at->send->end));
}

/* As tcp_flight.h promises. */
static void flight(struct check *k, const struct tcp_conn *c)
{
	uint64_t at = c->snd_una;
	uint32_t sacked = 0, lost = 0, records = 0;
	const struct tcp_sent *r = c->sent, *before = NULL;
	struct tcp_sent *const *link = &c->sent;
	for (; r && records <= c->records; before = r, link = &r->next, r = r->next) {
		RULE(k, c, r->start == at);
		RULE(k, c, r->end > r->start || (r == &c->last && !records));
		RULE(k, c, r->state <= TCP_SENT_LOST);
		RULE(k, c, !before || before->state != TCP_SENT_SACKED || r->state != TCP_SENT_SACKED);
		uint32_t len = (uint32_t)(r->end - r->start);
		at = r->end;
		sacked += r->state == TCP_SENT_SACKED ? len : 0;
		lost += r->state == TCP_SENT_LOST ? len : 0;
		if (r == &c->last)
			break;
		records++;
	}
	RULE(k, c, r == &c->last && !r->next);
	RULE(k, c, c->last_link == link);
	RULE(k, c, at == c->snd_max);
	RULE(k, c, records == c->records);
	RULE(k, c, sacked == c->sacked);
	RULE(k, c, lost == c->lost);
	k->records += records;
}

static void congestion(struct check *k, const struct tcp_conn *c)
{
	RULE(k, c, c->mss >= 36);
	RULE(k, c, c->mss <= c->mss_max);
	RULE(k, c, c->cwnd >= c->mss || c->recovery != TCP_RECOVERY_OPEN);
}

/* Who waits for something is woken: by the wheel, or by standing in a list that is worked off. */
static void timers(struct check *k, const struct tcp_conn *c)
{
	bool queued = !list_is_empty(&c->tx_link), rto = c->rto_at != TIMER_NEVER;
	bool unsent = c->snd_nxt < c->queue_end || (c->fin_queued && c->snd_nxt <= c->queue_end);
	RULE(k, c, c->timer.armed);
	RULE(k, c, c->timer.at_ns <= c->rto_at && c->timer.at_ns <= c->ack_at);
	RULE(k, c, c->snd_max == c->snd_una || rto || queued);
	RULE(k, c, !unsent || rto || queued);
	RULE(k, c, !c->ack_now || queued || !tcp_is_open(c));
	RULE(k, c, !c->ack_pending || queued || c->ack_at != TIMER_NEVER);
}

static void states(struct check *k, const struct tcp_conn *c)
{
	bool closing = c->state == TCP_STATE_FIN_WAIT_1 || c->state == TCP_STATE_FIN_WAIT_2
		|| c->state == TCP_STATE_CLOSING || c->state == TCP_STATE_LAST_ACK;
	bool peer_done = c->state == TCP_STATE_CLOSE_WAIT || c->state == TCP_STATE_CLOSING
		|| c->state == TCP_STATE_LAST_ACK;
	RULE(k, c, c->state != TCP_STATE_CLOSED);
	RULE(k, c, !c->released);
	RULE(k, c, closing == c->fin_queued || !tcp_is_open(c));
	RULE(k, c, peer_done == c->fin_received || !tcp_is_open(c));
	RULE(k, c, c->state != TCP_STATE_FIN_WAIT_2 || c->snd_una == c->queue_end + 1);
	RULE(k, c, !c->events || !list_is_empty(&c->event_link));
	if (c->accepted)
		k->accepted[c->listener]++;
}

/* --- All of it ------------------------------------------------------------------------------- */

static void connections(struct check *k)
{
	const struct net *net = k->net;
	bool used[NET_CHECK_ITEMS];
	for (uint32_t i = 0; i <= net->hash_mask; i++) {
		for (const struct tcp_conn *c = net->conn_table[i]; c; c = c->hash_next) {
			k->in_table++;
			RULE(k, c, (c->hash & net->hash_mask) == i);
			RULE(k, c, tcp_hash(net, &c->key) == c->hash);
			states(k, c);
			sequence_numbers(k, c);
			send_queue(k, c);
			if (tcp_is_open(c)) {
				flight(k, c);
				congestion(k, c);
			}
			timers(k, c);
			if (k->failed || k->in_table > net->conns.used)
				break;
		}
	}
	RULE(k, NULL, k->in_table <= net->conns.used);
	RULE(k, NULL, k->records == net->sents.used);
	/* Those that are closed and not yet released hold buffers too. */
	pool_used(&net->conns, used);
	for (uint32_t i = 0; i < net->conns.touched; i++) {
		const struct tcp_conn *c = pool_at(&net->conns, i);
		if (!used[i])
			continue;
		receive_queues(k, c);
		RULE(k, c, c->state != TCP_STATE_CLOSED || (list_is_empty(&c->ooo) && !c->timer.armed
			&& list_is_empty(&c->tx_link) && !c->send_head));
	}
	for (uint32_t i = 0; i < LISTENERS_MAX; i++)
		RULE(k, NULL, k->accepted[i] == net->listener[i].connections);
}

static void frames(struct check *k)
{
	const struct net *net = k->net;
	bool used[NET_CHECK_ITEMS];
	pool_used(&net->frames, used);
	for (uint32_t i = 0; i < net->frames.touched; i++) {
		const struct net_frame *f = pool_at(&net->frames, i);
		const struct tcp_send *s = f->sends;
		if (!used[i])
			continue;
		k->rx_frames += buffers(f->rx);
		for (uint32_t n = used[i] ? f->send_count : 0; n; n--, s = s->next) {
			RULE(k, NULL, s && s->frames);
			if (k->failed)
				return;
		}
	}
	RULE(k, NULL, k->rx_frames + net->reassembly_buffers == net->rx_frames_held);
	RULE(k, NULL, net->rx_frames_held <= net->rx_frames_max + FRAME_TX_SEGMENTS_MAX);
}

static void half_open(struct check *k)
{
	const struct net *net = k->net;
	uint32_t syns = 0, waits = 0, listed = 0;
	for (uint32_t i = 0; i <= net->hash_mask; i++) {
		for (const struct tcp_syn *s = net->syn_table[i]; s && syns <= net->syns.used; s = s->hash_next) {
			syns++;
			RULE(k, NULL, s->timer.armed);
		}
		const struct tcp_time_wait *w = net->time_wait_table[i];
		for (; w && waits <= net->time_waits.used; w = w->hash_next)
			waits++;
	}
	uint64_t before = 0;
	LIST_FOR_EACH(e, &net->time_wait_list) {
		const struct tcp_time_wait *w = LIST_ENTRY(e, struct tcp_time_wait, link);
		listed++;
		RULE(k, NULL, w->expires_ns >= before);
		before = w->expires_ns;
	}
	RULE(k, NULL, syns == net->syns.used);
	RULE(k, NULL, waits == net->time_waits.used && listed == waits);
	RULE(k, NULL, !listed || net->time_wait_timer.armed);
}

const char *net_check(const struct net *net, char *out, size_t size)
{
	struct check k = {.net = net, .out = out, .size = size};
	uint32_t with_ooo = 0;
	connections(&k);
	frames(&k);
	half_open(&k);
	LIST_FOR_EACH(e, &net->ooo_conns)
		with_ooo++;
	RULE(&k, NULL, with_ooo == k.with_ooo);
	return k.failed;
}

void net_check_dump(const struct net *net, void *file)
{
	for (uint32_t i = 0; i <= net->hash_mask; i++) {
		for (const struct tcp_conn *c = net->conn_table[i]; c; c = c->hash_next) {
			struct tcp_info info;
			tcp_info(c, &info);
			fprintf(file, "#   port %u > %u %s: una %u nxt +%u max +%u end +%u wnd %u cwnd %u mss %u,"
				" rcv +%u adv +%u, readable %u, early %u, rto in %.3f s, backoff %u\n",
				tcp_key_own_port(&c->key), tcp_key_peer_port(&c->key), info.state,
				(uint32_t)c->snd_una, (uint32_t)(c->snd_nxt - c->snd_una),
				(uint32_t)(c->snd_max - c->snd_una), (uint32_t)(c->queue_end - c->snd_una), c->snd_wnd,
				c->cwnd, c->mss, (uint32_t)c->rcv_nxt, (uint32_t)(c->rcv_adv - c->rcv_nxt), c->readable,
				c->ooo_frames, c->rto_at == TIMER_NEVER ? -1.0
				: (double)(int64_t)(c->rto_at - net->now_ns) / 1e9, c->backoff);
		}
	}
}
