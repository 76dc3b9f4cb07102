/* The engine's life, and its two edges: frames in, frames out. */
#include <net/net.h>

#include "capture.h"
#include "engine.h"
#include "ip6.h"
#include "tcp_conn.h"

#define WINDOW_DEFAULT (64u << 10)
#define WINDOW_MAX (4u << 20)
#define SCALE_FOR (256u << 10) /* the window scale is never chosen for less */
#define SENT_RECORDS_LEAST 1024u

struct layout {
	size_t neighbors, frames, conns, syns, time_waits, sents, conn_table, syn_table, time_wait_table;
	size_t gather, total;
	uint32_t slots;
};

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
	return value ? value : otherwise;
}

static uint64_t or_default_ns(uint64_t value, uint64_t otherwise)
{
	return value ? value : otherwise;
}

static uint32_t window_max_default(const struct net_config *c)
{
	uint64_t max = (uint64_t)c->rx_frames_max * c->mtu / 4;
	return max < WINDOW_DEFAULT ? WINDOW_DEFAULT : max > WINDOW_MAX ? WINDOW_MAX : (uint32_t)max;
}

static COLD struct net_config with_defaults(const struct net_config *config)
{
	struct net_config c = *config;
	c.mtu = c.mtu ? c.mtu : 1500;
	c.tx_segments_max = or_default(c.tx_segments_max, FRAME_TX_SEGMENTS_MAX);
	if (c.tx_segments_max > FRAME_TX_SEGMENTS_MAX)
		c.tx_segments_max = FRAME_TX_SEGMENTS_MAX;
	c.connections_max = or_default(c.connections_max, 1024);
	c.syn_max = or_default(c.syn_max, 256);
	c.time_wait_max = or_default(c.time_wait_max, 4096);
	c.tx_frames_max = or_default(c.tx_frames_max, 256);
	c.rx_frames_max = or_default(c.rx_frames_max, 1024);
	c.neighbors_max = or_default(c.neighbors_max, 64);
	c.receive_window = or_default(c.receive_window, WINDOW_DEFAULT);
	c.receive_window_max = or_default(c.receive_window_max, window_max_default(&c));
	if (c.receive_window_max < c.receive_window)
		c.receive_window_max = c.receive_window;
	c.sent_records_max = or_default(c.sent_records_max,
		c.connections_max < 2 * SENT_RECORDS_LEAST ? SENT_RECORDS_LEAST : c.connections_max / 2);
	c.time_wait_ns = or_default_ns(c.time_wait_ns, 60 * NS_PER_S);
	c.fin_wait_2_ns = or_default_ns(c.fin_wait_2_ns, 60 * NS_PER_S);
	c.user_timeout_ns = or_default_ns(c.user_timeout_ns, 120 * NS_PER_S);
	c.keepalive_idle_ns = or_default_ns(c.keepalive_idle_ns, 300 * NS_PER_S);
	c.keepalive_interval_ns = or_default_ns(c.keepalive_interval_ns, 30 * NS_PER_S);
	return c;
}

/* Reserves `size` bytes at a cache line; SIZE_MAX sticks. */
static size_t reserve(size_t *total, size_t size)
{
	size_t at = *total;
	if (at == SIZE_MAX || __builtin_add_overflow(at, size, total) || *total > SIZE_MAX - 64)
		*total = SIZE_MAX;
	else
		*total = (*total + 63) & ~(size_t)63;
	return at;
}

static COLD struct layout layout_of(const struct net_config *c)
{
	struct layout l = {.slots = 64};
	while (l.slots < c->connections_max && l.slots < UINT32_C(1) << 30)
		l.slots *= 2;
	reserve(&l.total, sizeof(struct net));
	l.neighbors = reserve(&l.total, (size_t)c->neighbors_max * sizeof(struct neighbor));
	l.frames = reserve(&l.total, pool_memory_size(sizeof(struct net_frame), c->tx_frames_max));
	l.conns = reserve(&l.total, pool_memory_size(sizeof(struct tcp_conn), c->connections_max));
	l.syns = reserve(&l.total, pool_memory_size(sizeof(struct tcp_syn), c->syn_max));
	l.time_waits = reserve(&l.total,
		pool_memory_size(sizeof(struct tcp_time_wait), c->time_wait_max));
	l.sents = reserve(&l.total, pool_memory_size(sizeof(struct tcp_sent), c->sent_records_max));
	l.conn_table = reserve(&l.total, l.slots * sizeof(void *));
	l.syn_table = reserve(&l.total, l.slots * sizeof(void *));
	l.time_wait_table = reserve(&l.total, l.slots * sizeof(void *));
	l.gather = reserve(&l.total, GATHER_MAX);
	return l;
}

size_t net_memory_size(const struct net_config *config)
{
	struct net_config c = with_defaults(config);
	return layout_of(&c).total;
}

size_t net_connection_size(void)
{
	return sizeof(struct tcp_conn);
}

static bool config_is_valid(const struct net_config *c)
{
	if (c->mtu < 576 || c->host_name.len > 63 || (c->mac[0] & 1) || !c->random)
		return false;
	if ((c->tx_tso4 || c->tx_tso6) && !c->tx_checksum)
		return false;
	if (c->receive_window < 2048 || c->receive_window_max > UINT32_C(1) << 30
		|| c->ecn > NET_ECN_OFF)
		return false;
	if (!ip6_config_is_valid(c))
		return false;
	if (!c->address)
		return true;
	uint32_t top = c->address >> 24;
	return top != 0 && top != 127 && top < 224;
}

static COLD void settings_init(struct net *net, const struct net_config *c)
{
	memcpy(net->mac, c->mac, 6);
	for (uint32_t i = 0; i < 6; i++)
		net->mac_shifted |= (uint64_t)c->mac[i] << (16 + 8 * i);
	net->mtu = net->ip4_mtu = c->mtu;
	net->tx_checksum = c->tx_checksum;
	net->tx_tso4 = c->tx_tso4;
	net->tx_tso6 = c->tx_tso6;
	net->tx_segments_max = c->tx_segments_max;
	net->rx_frames_max = c->rx_frames_max;
	net->receive_window = c->receive_window;
	net->receive_window_max = c->receive_window_max;
	net->ecn = (uint8_t)c->ecn;
	uint32_t sayable = c->receive_window_max > SCALE_FOR ? c->receive_window_max : SCALE_FOR;
	while (sayable >> net->receive_scale > 0xffff)
		net->receive_scale++;
	net->neighbors_max = c->neighbors_max;
	net->time_wait_max = c->time_wait_max;
	net->time_wait_ns = c->time_wait_ns;
	net->fin_wait_2_ns = c->fin_wait_2_ns;
	net->user_timeout_ns = c->user_timeout_ns;
	net->keepalive_idle_ns = c->keepalive_idle_ns;
	net->keepalive_interval_ns = c->keepalive_interval_ns;
	net->random = c->random;
	net->host_name_len = (uint8_t)c->host_name.len;
	if (c->host_name.len)
		memcpy(net->host_name, c->host_name.ptr, c->host_name.len);
	net->now_ns = c->now_ns;
	net->now_us = (uint32_t)(c->now_ns / 1000);
}

static COLD void memory_init(struct net *net, const struct net_config *c, const struct layout *l)
{
	uint8_t *base = (uint8_t *)net;
	net->neighbors = (struct neighbor *)(void *)(base + l->neighbors);
	net->gather = base + l->gather;
	pool_init(&net->frames, base + l->frames, sizeof(struct net_frame), c->tx_frames_max);
	pool_init(&net->conns, base + l->conns, sizeof(struct tcp_conn), c->connections_max);
	pool_init(&net->syns, base + l->syns, sizeof(struct tcp_syn), c->syn_max);
	pool_init(&net->time_waits, base + l->time_waits, sizeof(struct tcp_time_wait),
		c->time_wait_max);
	pool_init(&net->sents, base + l->sents, sizeof(struct tcp_sent), c->sent_records_max);
	size_t table_size = l->slots * sizeof(void *);
	net->hash_mask = l->slots - 1;
	net->conn_table = (struct tcp_conn **)(void *)(base + l->conn_table);
	net->syn_table = (struct tcp_syn **)(void *)(base + l->syn_table);
	net->time_wait_table = (struct tcp_time_wait **)(void *)(base + l->time_wait_table);
	if (!c->memory_is_zero) {
		memset(net->conn_table, 0, table_size);
		memset(net->syn_table, 0, table_size);
		memset(net->time_wait_table, 0, table_size);
	}
}

COLD err net_init(struct net **out, const struct net_config *config, void *memory)
{
	struct net_config c = with_defaults(config);
	struct layout l = layout_of(&c);
	if (!config_is_valid(&c) || l.total == SIZE_MAX)
		return ERR(INVALID);
	ASSERT(((uintptr_t)memory & 63) == 0);
	struct net *net = memory;
	memset(net, 0, sizeof *net);
	settings_init(net, &c);
	memory_init(net, &c, &l);
	timer_wheel_init(&net->timers, net->now_ns);
	list_init(&net->out);
	list_init(&net->tx_ready);
	list_init(&net->events);
	list_init(&net->udp_sockets);
	net->ip_id = (uint16_t)random_u64(net->random);
	neighbors_init(net);
	reassembly_init(net);
	arp_init(net);
	tcp_init(net);
	dhcp_init(net);
	ip6_init(net, &c);
	if (c.address) {
		struct net_ipv4 ipv4 = {NET_IPV4_STATIC, c.address, c.mask, c.gateway, {0, 0}, 0, 0};
		ip4_configure(net, &ipv4);
	} else {
		dhcp_start(net);
	}
	*out = net;
	return OK;
}

static void clock_set(struct net *net, uint64_t now_ns)
{
	if (now_ns <= net->now_ns)
		return;
	net->now_ns = now_ns;
	net->now_us = (uint32_t)(now_ns / 1000);
}

void net_advance(struct net *net, uint64_t now_ns)
{
	clock_set(net, now_ns);
	/* Within a tick nothing becomes due but what was armed for the past, which lies in the tick's own slot
	 * (base/timer.c, 3). */
	const struct timer_wheel *w = &net->timers;
	if (w->now_tick == net->now_ns / TIMER_TICK_NS
		&& !(w->occupied[0] >> w->now_tick % TIMER_SLOTS & 1))
		return;
	timer_wheel_advance(&net->timers, net->now_ns);
}

uint64_t net_next_deadline(const struct net *net)
{
	bool work = !list_is_empty(&net->out) || !list_is_empty(&net->events)
		|| (!list_is_empty(&net->tx_ready) && net->frames.used < net->frames.capacity);
	return work ? net->now_ns : timer_wheel_next(&net->timers);
}

/* The frame's bytes, those in its further buffers too. */
static uint64_t frame_octets(const struct frame_rx *f)
{
	uint64_t n = 0;
	for (; f; f = f->frag)
		n += f->len;
	return n;
}

static void input_long_way(struct net *net, struct frame_rx *frame)
{
	if (UNLIKELY(frame->len < ETHERNET_HEADER)) {
		net->counters.if_in_runts++;
		frame_rx_put(frame);
		return;
	}
	const uint8_t *p = frame->data;
	uint16_t type = load_be16(p + 12);
	bool unicast = memcmp(p, net->mac, 6) == 0;
	if (UNLIKELY(!unicast && !(p[0] & 1))) { /* a bridge that floods: for another station */
		net->counters.if_in_discards_unknown++;
		frame_rx_put(frame);
	} else if (LIKELY(type == ETHERTYPE_IP4)) {
		ip4_input(net, frame, !unicast);
	} else if (type == ETHERTYPE_IP6) {
		ip6_input(net, frame, !unicast);
	} else {
		if (type == ETHERTYPE_ARP)
			arp_input(net, slice_of(p + ETHERNET_HEADER, frame->len - ETHERNET_HEADER));
		else
			net->counters.if_in_discards_unknown++;
		frame_rx_put(frame);
	}
}

void net_input(struct net *net, struct frame_rx *frame, uint64_t now_ns)
{
	clock_set(net, now_ns);
	net->counters.if_in_frames++;
	net->counters.if_in_octets += LIKELY(!frame->frag) ? frame->len : frame_octets(frame);
	if (UNLIKELY(net->capture != NULL))
		capture_received(net->capture, frame, net->now_ns);
	if (UNLIKELY(!tcp_short_way(net, frame)))
		input_long_way(net, frame);
}

static void frame_done(void *owner, struct frame_tx *tx)
{
	net_frame_put(owner, (struct net_frame *)(void *)tx);
}

struct net_frame *frame_get(struct net *net)
{
	struct net_frame *f = pool_get(&net->frames);
	if (UNLIKELY(!f)) {
		net->counters.tx_frame_failures++;
		return NULL;
	}
	list_init(&f->tx.link);
	f->tx.header_len = 0;
	f->tx.segment_count = 0;
	f->tx.payload_len = 0;
	f->tx.checksum_start = 0;
	f->tx.gso = FRAME_GSO_NONE;
	f->tx.done = frame_done;
	f->tx.owner = net;
	f->tx.cookie = NULL;
	f->sends = NULL;
	f->send_count = 0;
	f->rx = NULL;
	f->datagram = NULL;
	return f;
}

void net_frame_put(struct net *net, struct net_frame *f)
{
	struct tcp_send *sends = f->sends;
	uint32_t send_count = f->send_count;
	struct frame_rx *rx = f->rx;
	struct udp_datagram *d = f->datagram;
	pool_put(&net->frames, f);
	if (send_count)
		tcp_frame_done(net, sends, send_count);
	if (UNLIKELY(rx != NULL)) {
		net->rx_frames_held--;
		frame_rx_put(rx);
	}
	if (UNLIKELY(d != NULL))
		d->done(d);
}

/* The next segment of any connection; NULL: none, or no frame. */
static inline struct net_frame *segment_next(struct net *net)
{
	while (!list_is_empty(&net->tx_ready)) {
		if (UNLIKELY(net->frames.used == net->frames.capacity)) {
			net->counters.tx_frame_failures++;
			return NULL;
		}
		struct list *e = list_pop_front(&net->tx_ready);
		struct net_frame *f = tcp_output(CONTAINER_OF(e, struct tcp_conn, tx_link));
		if (LIKELY(f != NULL))
			return f;
	}
	return NULL;
}

struct frame_tx *net_output(struct net *net)
{
	struct net_frame *f = LIKELY(list_is_empty(&net->out)) ? segment_next(net) : NULL;
	if (!f) {
		/* There before, or a question to a neighbour or a SYN that a connection left there. */
		struct list *e = list_pop_front(&net->out);
		if (!e)
			return NULL;
		f = CONTAINER_OF(e, struct net_frame, tx.link);
	}
	net->counters.if_out_frames++;
	net->counters.if_out_octets += f->tx.header_len + f->tx.payload_len;
	if (UNLIKELY(net->capture != NULL))
		capture_sent(net->capture, &f->tx, net->now_ns);
	return &f->tx;
}

bool rate_limit_pass(struct rate_limit *r, uint64_t now_ns, uint64_t interval_ns, uint32_t burst)
{
	uint64_t from = r->full_at_ns > now_ns ? r->full_at_ns : now_ns;
	if (from - now_ns > interval_ns * (burst - 1))
		return false;
	r->full_at_ns = from + interval_ns;
	return true;
}

struct net_ipv4 net_ipv4(const struct net *net)
{
	return net->ipv4;
}

bool net_is_on_link(const struct net *net, const struct net_address *a)
{
	uint32_t hop, ip = net_address_to_v4(a);
	if (!net_address_is_v4(a))
		return ip6_is_neighbor(net, a);
	return ip4_route(net, ip, &hop) && hop == ip;
}

const struct net_counters *net_counters(const struct net *net)
{
	return &net->counters;
}

struct net_usage net_usage(const struct net *net)
{
	return (struct net_usage){
		.connections = net->conns.used,
		.syns = net->syns.used,
		.time_waits = net->time_waits.used,
		.tx_frames = net->frames.used,
		.rx_frames = net->rx_frames_held,
		.sent_records = net->sents.used,
		.timers = net->timers.count,
	};
}

void net_link_up(struct net *net)
{
	neighbors_doubt(net);
	if (net->ipv4.state != NET_IPV4_NONE)
		arp_announce(net);
	dhcp_link_up(net);
	ip6_link_up(net);
}
