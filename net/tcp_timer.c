/* A connection's one timer. Deadlines are looked at here, when the wheel entry fires, and it is armed
 * again for the earliest that is left; see tcp_conn.h. */
#include "tcp_conn.h"

#define KEEPALIVE_PROBES 5

/* When to look at an idle connection again. */
static uint64_t idle_deadline(const struct tcp_conn *c)
{
	const struct net *net = c->net;
	if (c->state == TCP_STATE_FIN_WAIT_2)
		return (c->progress_ns > c->last_rx_ns ? c->progress_ns : c->last_rx_ns) + net->fin_wait_2_ns;
	if (c->rto_at != TIMER_NEVER) /* the retransmission timer watches over it */
		return net->now_ns + net->keepalive_idle_ns;
	return c->last_rx_ns + net->keepalive_idle_ns
		+ c->keepalive_probes * net->keepalive_interval_ns;
}

/* False: the connection is gone. */
static bool idle_check(struct tcp_conn *c)
{
	struct net *net = c->net;
	if (net->now_ns < idle_deadline(c))
		return true;
	if (c->state == TCP_STATE_FIN_WAIT_2) {
		net->counters.tcp_fin_wait_2_timeouts++;
		tcp_rst_send(c);
		tcp_conn_kill(c, TCP_TIMED_OUT);
		return false;
	}
	if (c->keepalive_probes >= KEEPALIVE_PROBES) {
		net->counters.tcp_user_timeouts++;
		tcp_rst_send(c);
		tcp_conn_kill(c, TCP_TIMED_OUT);
		return false;
	}
	c->keepalive_probes++;
	c->keepalive_due = true;
	net->counters.tcp_keepalive_probes++;
	tcp_conn_wake(c);
	return true;
}

void tcp_timer_fire(struct timer *t)
{
	struct tcp_conn *c = CONTAINER_OF(t, struct tcp_conn, timer);
	uint64_t now = c->net->now_ns;
	if (c->ack_at <= now) {
		c->ack_at = TIMER_NEVER;
		c->ack_now = true;
		tcp_conn_wake(c);
	}
	if (c->rto_at <= now) {
		c->rto_at = TIMER_NEVER;
		tcp_rto(c);
		if (c->state == TCP_STATE_CLOSED)
			return;
	}
	if (!idle_check(c))
		return;
	uint64_t next = idle_deadline(c);
	if (next <= now)
		next = now + NS_PER_S;
	if (c->rto_at < next)
		next = c->rto_at;
	if (c->ack_at < next)
		next = c->ack_at;
	tcp_timer_ensure(c, next);
}
