/* TIME_WAIT: the memory of a connection that has ended, in a small entry (RFC 9293, 3.6.1).
 *
 * The entries stand in a list, oldest first, since all wait equally long; one timer serves them all. When
 * all are in use the oldest goes early: a connection table never fills up with the past. A new SYN from
 * the same port may begin at once if its timestamp or sequence number is beyond the old ones (RFC 6191).
 * RST is ignored (RFC 1337). */
#include "tcp_conn.h"

struct tcp_time_wait *tcp_time_wait_find(const struct net *net, const struct tcp_ends *ends,
	uint32_t hash)
{
	struct tcp_time_wait *w = net->time_wait_table[hash & net->hash_mask];
	while (w && !tcp_ends_equal(&w->ends, ends))
		w = w->hash_next;
	return w;
}

static void time_wait_free(struct net *net, struct tcp_time_wait *w)
{
	struct tcp_time_wait **at = &net->time_wait_table[w->hash & net->hash_mask];
	while (*at != w)
		at = &(*at)->hash_next;
	*at = w->hash_next;
	list_remove(&w->link);
	pool_put(&net->time_waits, w);
}

static struct tcp_time_wait *time_wait_get(struct net *net)
{
	if (net->time_waits.used == net->time_waits.capacity) {
		struct list *oldest = net->time_wait_list.next;
		time_wait_free(net, CONTAINER_OF(oldest, struct tcp_time_wait, link));
		net->counters.tcp_time_wait_evicted++;
	}
	return pool_get(&net->time_waits);
}

static void time_wait_start(struct net *net, struct tcp_time_wait *w)
{
	w->expires_ns = net->now_ns + net->time_wait_ns;
	list_push_back(&net->time_wait_list, &w->link);
	if (!net->time_wait_timer.armed)
		timer_arm(&net->timers, &net->time_wait_timer, w->expires_ns);
}

void tcp_time_wait_timer(struct timer *t)
{
	struct net *net = CONTAINER_OF(t, struct net, time_wait_timer);
	while (!list_is_empty(&net->time_wait_list)) {
		struct tcp_time_wait *w =
			CONTAINER_OF(net->time_wait_list.next, struct tcp_time_wait, link);
		if (w->expires_ns > net->now_ns) {
			timer_arm(&net->timers, t, w->expires_ns);
			return;
		}
		time_wait_free(net, w);
	}
}

static void time_wait_ack(struct net *net, const struct tcp_time_wait *w)
{
	uint8_t options[TCP_TIMESTAMP_OPTION];
	store_be32(options, 0x0101080a);
	store_be32(options + 4, tcp_ts_now(net, w->ts_offset));
	store_be32(options + 8, w->ts_recent);
	struct tcp_control control = {
		.ends = &w->ends,
		.seq = w->snd_nxt,
		.ack = w->rcv_nxt,
		.window = w->window,
		.flags = TCP_ACK,
		.options = slice_of(options, w->ts_ok ? sizeof options : 0),
	};
	tcp_control_send(net, &control);
}

void tcp_time_wait_enter(struct tcp_conn *c)
{
	struct net *net = c->net;
	struct tcp_time_wait *w = time_wait_get(net);
	struct tcp_time_wait **slot = &net->time_wait_table[c->hash & net->hash_mask];
	*w = (struct tcp_time_wait){
		.hash_next = *slot,
		.hash = c->hash,
		.snd_nxt = (uint32_t)c->snd_max,
		.rcv_nxt = (uint32_t)c->rcv_nxt,
		.ts_recent = c->ts_recent,
		.ts_offset = c->ts_offset,
		.window = tcp_window(c) >> c->rcv_scale,
		.ts_ok = c->ts_ok,
	};
	tcp_conn_ends(c, &w->ends);
	*slot = w;
	time_wait_start(net, w);
	time_wait_ack(net, w);
	net->counters.tcp_time_waits++;
	tcp_conn_kill(c, 0);
}

bool tcp_time_wait_segment(struct net *net, struct tcp_time_wait *w, const struct tcp_segment *s,
	uint32_t *iss)
{
	if (s->flags & TCP_RST)
		return true;
	if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		bool newer = w->ts_ok && s->has_ts && s->ts_value != w->ts_recent
			? seq_before(w->ts_recent, s->ts_value)
			: seq_before(w->rcv_nxt, s->seq);
		if (newer) {
			/* Beyond anything of the old one that may still be on its way. */
			*iss = w->snd_nxt + 65535;
			time_wait_free(net, w);
			net->counters.tcp_time_wait_recycled++;
			return false;
		}
		time_wait_ack(net, w);
		return true;
	}
	if (s->flags & TCP_FIN) { /* our last ACK was lost */
		list_remove(&w->link);
		time_wait_start(net, w);
	}
	if (s->len || (s->flags & TCP_FIN) || s->seq != w->rcv_nxt)
		time_wait_ack(net, w);
	return true;
}
