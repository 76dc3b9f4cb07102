/* TCP's structures, private to net/.
 *
 * Sequence numbers inside are 64 bits wide: the low 32 are those on the wire, and numbers compare as
 * plain integers. seq_extend turns a wire number into the one that is nearest to a known number.
 *
 * Send side (tcp_output.c, tcp_recovery.c):
 *
 *      snd_una <= snd_nxt <= snd_max <= queue_end + 1 (FIN; and one probe byte beyond the window)
 *   una: first unacknowledged; max: behind the last ever sent; queue_end: behind the last byte that the
 *   application has queued; nxt: snd_max, but for a SYN that is to be sent again. What is sent again
 *   afterwards is chosen from the records of the flight (tcp_flight.h).
 *
 * Receive side (tcp_receive.c): rcv_nxt - readable .. rcv_nxt lies in `rx`; what came early lies in `ooo`;
 * rcv_adv is the right edge of the window that the peer knows of and never moves left.
 *
 * Timers: one wheel entry for a connection. The deadlines are plain fields (rto_at, ack_at, idle); the
 * entry is armed no later than the earliest, and when it fires too early it is armed again. So moving a
 * deadline further away, as each segment does, costs a store. */
#ifndef TCP_CONN_H
#define TCP_CONN_H

#include "engine.h"
#include "ip6.h"
#include "tcp_flight.h"

#define TCP_HEADER 20
#define TCP_TIMESTAMP_OPTION 12 /* with two NOPs before */
#define TCP_OPTIONS_TS_HEAD 0x0a080101u /* NOP NOP TS 10, as load_le32 reads it */
#define TCP_TEMPLATE_MAX(ip_header) (ETHERNET_HEADER + (ip_header) + TCP_HEADER + TCP_TIMESTAMP_OPTION)
#define TCP_OOO_FRAMES_MAX 1024
#define TCP_RX_FRAMES_MAX 1024

#define TCP_RTO_INITIAL_US 1000000u
#define TCP_RTO_MIN_US 200000u
#define TCP_RTO_MAX_US 60000000u
#define TCP_DELAYED_ACK_NS (40 * NS_PER_MS)
#define TCP_INITIAL_SEGMENTS 10

enum {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_PSH = 8,
	TCP_ACK = 16,
	TCP_URG = 32,
	TCP_ECE = 64,
	TCP_CWR = 128,
};

/* The two bits of an IP header that RFC 3168 defines. */
enum {
	IP_ECN_ECT0 = 2,
	IP_ECN_CE = 3,
	IP_ECN_MASK = 3,
};

/* See tcp_recovery.c. */
enum tcp_recovery {
	TCP_RECOVERY_OPEN,
	TCP_RECOVERY_FAST,
	TCP_RECOVERY_SLOW,
};

/* What is to happen at rto_at. */
enum tcp_timer_kind {
	TCP_TIMER_RTO,     /* a timeout, or a window probe */
	TCP_TIMER_PROBE,   /* a tail loss probe */
	TCP_TIMER_REORDER, /* a look at what may have been reordered only */
};

enum tcp_state {
	TCP_STATE_CLOSED,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECEIVED, /* simultaneous open only; see tcp_syn.c for the usual case */
	TCP_STATE_ESTABLISHED,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_CLOSING,
	TCP_STATE_LAST_ACK,
};

/* A connection's two ends as they stand in a packet sent by the peer. IPv4: source and destination address in
 * one word, source and destination port in the other. IPv6: a keyed fold of the addresses in the one, ports
 * and TCP_KEY_IP6 in the other; the fold tells nearly all apart, but the addresses decide. */
struct tcp_key {
	uint64_t addresses;
	uint64_t ports;
};

#define TCP_KEY_IP6 (UINT64_C(1) << 32)

/* A key that is complete for both families. */
struct tcp_ends {
	struct tcp_key key;
	struct net_address peer, own; /* IPv6 only: undefined for IPv4 */
};

struct tcp_range {
	uint64_t start, end;
};

/* A position in the send queue. */
struct tcp_cursor {
	struct tcp_send *send; /* NULL: at the end of the queue */
	uint32_t index;        /* segment */
	size_t offset;         /* in it */
	uint64_t seq;
};

struct tcp_conn {
	/* What the demultiplexer and the short way need. */
	struct tcp_conn *hash_next;
	struct tcp_key key;
	uint32_t hash;
	uint8_t state; /* enum tcp_state */
	uint8_t snd_scale, rcv_scale;
	uint8_t template_len;
	uint8_t recovery;       /* enum tcp_recovery */
	uint8_t timer_kind;     /* enum tcp_timer_kind */
	/* These stand together: they are looked at together. */
	bool cwr_due : 1;       /* tell the peer that we have heard */
	bool dsack_due : 1;     /* dsack_start .. dsack_end arrived twice: say so */
	bool probe : 1;         /* send one byte in spite of a closed window */
	bool tail_probe : 1;    /* send one */
	bool keepalive_due : 1;
	bool ts_ok : 1, sack_ok : 1;
	bool fin_queued : 1;    /* tcp_close was called */
	bool fin_received : 1;  /* and all data before it */
	bool fin_early : 1;     /* a FIN came out of order; at fin_early_seq */
	bool discard : 1;       /* tcp_discard_input */
	bool ack_now : 1;       /* send one even without data */
	bool ack_pending : 1;   /* received data is not acknowledged yet */
	bool cwnd_limited : 1;    /* what was sent last would have been more */
	bool retransmit_syn : 1;
	bool accepted : 1;      /* passive: counted by the listener */
	bool released : 1;      /* the handle is gone */
	bool handled : 1;       /* `cookie` is a struct tcp_handler */
	bool ecn_ok : 1;        /* agreed on (RFC 3168) */
	bool ecn_echo : 1;      /* the peer's packets were marked: say so until it has heard */
	bool reordering : 1;    /* was seen on this path */
	bool reorder_round_open : 1;
	bool probe_again : 1;   /* the tail loss probe was not new data */
	bool undo_ts_known : 1; /* something has been sent again since the reduction */
	bool mss_trial : 1;     /* a larger size is being tried again */
	bool mss_told : 1;      /* the present one was a router's word */
	bool rack_valid;
	struct net *net;
	void *cookie;
	struct list tx_link;    /* net.tx_ready, or neighbor.waiting, or none */
	struct list event_link;
	uint32_t events;
	uint32_t listener;      /* index, when accepted */

	/* Send */
	uint64_t snd_una, snd_nxt, snd_max, queue_end;
	uint64_t snd_wl1;
	uint32_t snd_wnd, snd_wnd_max;
	uint32_t mss;           /* payload bytes, options taken off */
	uint32_t cwnd, ssthresh;
	struct tcp_sent *sent, **last_link; /* what is in flight: tcp_flight.h */
	struct tcp_sent last;
	uint32_t sacked, lost;  /* bytes in flight that have arrived, that are to be sent again */
	uint32_t records;
	struct tcp_send *send_head, *send_tail;
	struct tcp_cursor cursor; /* where snd_nxt is, as a rule */

	/* Receive */
	uint64_t rcv_nxt, rcv_adv, last_ack_sent;
	struct list rx;         /* frame_rx, data trimmed to what is unconsumed */
	uint32_t readable;      /* bytes in rx */
	uint32_t rx_frames;     /* buffers in rx */
	uint32_t ts_recent, ts_offset;
	uint32_t rcv_space;     /* the window while nothing is unread: grows with what arrives in a round trip */
	uint32_t rcv_round_seq, rcv_round_us; /* consumed up to here when that round trip began */

	/* Time */
	struct timer timer;
	uint64_t rto_at, ack_at; /* TIMER_NEVER: not running */
	uint64_t last_rx_ns, progress_ns, ts_recent_ns;
	uint32_t srtt_us, rttvar_us, rto_us, rtt_at_us, min_rtt_us, min_rtt_at_us;
	uint32_t challenge_at_ms; /* 0: never */
	uint8_t backoff, keepalive_probes, dup_acks, acks_owed, quick_acks;

	/* Loss (tcp_rack.c, tcp_recovery.c) */
	uint8_t reorder_steps, reorder_persist;
	uint32_t rack_sent_us, rack_rtt_us; /* of the newest that has arrived */
	uint32_t rack_end, rack_front;      /* its end; the end of all that has */
	uint32_t reorder_round; /* sequence number that ends it */
	uint64_t recover;       /* snd_max when the window was reduced last */
	uint64_t probe_end;     /* snd_max at the tail loss probe that is out; 0: none */
	uint32_t probe_ts;      /* and its timestamp */
	uint32_t prr_delivered, prr_out, prr_flight;
	uint32_t repeats, dsacks; /* segments sent again, and reported to be there twice */
	/* What the last reduction took, and whether it was right to. undo_cwnd 0: nothing to undo. */
	uint32_t undo_cwnd, undo_ssthresh, undo_max, undo_repeated, undo_ts;

	/* Congestion (tcp_cubic.c) */
	uint32_t epoch_ms, grown_ms, cubic_max, cubic_k_ms, cubic_reno;
	uint32_t hystart_round, hystart_low_us, hystart_last_us, hystart_base_us;
	uint8_t hystart_samples, careful_rounds;

	/* Path MTU (tcp_pmtu.c): payload bytes of a segment, as agreed on and as last known to pass. */
	uint16_t mss_max, mss_good;
	uint32_t mss_changed_ms, mss_trial_end;

	/* Out of order */
	struct list ooo, ooo_link;
	uint32_t ooo_frames;
	uint64_t ooo_last_seq; /* of the newest arrival: its block leads the SACK option */
	uint64_t fin_early_seq;
	uint32_t dsack_start, dsack_end;

	/* Headers as they go out, but for what changes. */
	struct hop hop;
	/* With IPv6 its addresses are part of the key, and there from the beginning. */
	uint8_t template[TCP_TEMPLATE_MAX(IP6_HEADER)];
	uint16_t ip_sum, tcp_sum; /* over the constant parts */
};

_Static_assert(sizeof(struct tcp_conn) <= 768, "an idle connection is to fit in a kibibyte, with what is above");

struct tcp_syn {
	struct tcp_syn *hash_next;
	struct tcp_ends ends;
	uint32_t hash, irs, iss, ts_recent, ts_offset;
	uint32_t peer_window;
	uint16_t mss, listener;
	uint8_t snd_scale, retries;
	bool scale_ok, ts_ok, sack_ok, ecn_ok;
	bool repeated;    /* the SYN|ACK was sent more than once */
	uint64_t sent_ns; /* the first; 0: by cookie */
	uint32_t sent_ts; /* the timestamp in the last */
	struct timer timer;
	struct net *net;
};

struct tcp_time_wait {
	struct tcp_time_wait *hash_next;
	struct list link;
	struct tcp_ends ends;
	uint32_t hash, snd_nxt, rcv_nxt, ts_recent, ts_offset;
	uint32_t window;
	bool ts_ok;
	uint64_t expires_ns;
};

struct tcp_options {
	uint16_t mss;
	uint8_t scale;
	bool has_scale, sack_ok, has_ts;
	uint32_t ts_value, ts_echo;
	struct slice sack; /* the blocks, 8 bytes each */
};

/* A received segment, taken apart. */
struct tcp_segment {
	struct frame_rx *frame;
	struct tcp_ends ends;
	uint32_t hash;
	uint32_t seq, ack;
	uint32_t window; /* not scaled */
	uint32_t len;    /* payload bytes, without SYN and FIN */
	uint32_t payload_offset; /* in frame->data */
	uint32_t ts_value, ts_echo;
	uint8_t flags;
	bool has_ts;
	bool ce; /* the packet was marked: congestion experienced */
	struct slice options;
	struct tcp_options parsed; /* of a SYN, or when there is more than a timestamp; else undefined */
};

struct tcp_numbers {
	uint32_t seq, ts_offset;
};

/* A segment that belongs to no connection, or not to one with a queue. */
struct tcp_control {
	const struct tcp_ends *ends;
	uint32_t seq, ack, window;
	uint8_t flags;
	struct slice options; /* a multiple of 4, at most 40 bytes */
};

static inline uint64_t seq_extend(uint64_t near, uint32_t wire)
{
	return near + (uint64_t)(int64_t)(int32_t)(wire - (uint32_t)near);
}

static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool tcp_key_equal(const struct tcp_key *a, const struct tcp_key *b)
{
	return a->addresses == b->addresses && a->ports == b->ports;
}

static inline bool tcp_key_is_ip6(const struct tcp_key *k)
{
	return k->ports >> 32 != 0;
}

static inline bool tcp_ends_equal(const struct tcp_ends *a, const struct tcp_ends *b)
{
	return tcp_key_equal(&a->key, &b->key)
		&& (LIKELY(!tcp_key_is_ip6(&a->key))
			|| (net_address_equal(&a->peer, &b->peer) && net_address_equal(&a->own, &b->own)));
}

/* Where a connection of IPv6 has its addresses, as they go out: ours, the peer's. */
static inline const uint8_t *tcp_conn_ip6(const struct tcp_conn *c)
{
	return c->template + ETHERNET_HEADER + 8;
}

/* IPv4 alone. */
static inline uint32_t tcp_key_peer_ip(const struct tcp_key *k)
{
	return __builtin_bswap32((uint32_t)k->addresses);
}

static inline uint32_t tcp_key_own_ip(const struct tcp_key *k)
{
	return __builtin_bswap32((uint32_t)(k->addresses >> 32));
}

static inline uint16_t tcp_key_peer_port(const struct tcp_key *k)
{
	return __builtin_bswap16((uint16_t)k->ports);
}

static inline uint16_t tcp_key_own_port(const struct tcp_key *k)
{
	return __builtin_bswap16((uint16_t)(k->ports >> 16));
}

static inline struct tcp_key tcp_key_of(uint32_t peer_ip, uint32_t own_ip, uint16_t peer_port,
	uint16_t own_port)
{
	return (struct tcp_key){
		.addresses = __builtin_bswap32(peer_ip) | (uint64_t)__builtin_bswap32(own_ip) << 32,
		.ports = __builtin_bswap16(peer_port) | (uint32_t)__builtin_bswap16(own_port) << 16,
	};
}

/* The device cuts this connection's segments. */
static inline bool tcp_is_cut(const struct tcp_conn *c)
{
	return LIKELY(!tcp_key_is_ip6(&c->key)) ? c->net->tx_tso4 : c->net->tx_tso6;
}

static inline uint32_t tcp_ip_header(const struct tcp_key *k)
{
	return LIKELY(!tcp_key_is_ip6(k)) ? IP4_HEADER : IP6_HEADER;
}

static inline bool tcp_is_open(const struct tcp_conn *c)
{
	return c->state >= TCP_STATE_ESTABLISHED;
}

/* These wrap: for differences. */
static inline uint32_t tcp_now_us(const struct net *net)
{
	return net->now_us;
}

static inline uint32_t tcp_now_ms(const struct net *net)
{
	return (uint32_t)(net->now_ns / NS_PER_MS);
}

/* Milliseconds, for timestamps. */
static inline uint32_t tcp_ts_now(const struct net *net, uint32_t offset)
{
	return (uint32_t)(net->now_ns / NS_PER_MS) + offset;
}

/* The timestamp that went out with what left at sent_us. */
static inline uint32_t tcp_ts_at(const struct net *net, uint32_t offset, uint32_t sent_us)
{
	uint64_t now_us = net->now_ns / 1000, age = (uint32_t)now_us - sent_us;
	return (uint32_t)((now_us - age) / 1000) + offset;
}

/* Strongly universal (multilinear, with secret random multipliers): any two keys that are chosen without
 * knowledge of the secret share a slot with the probability of chance, whatever their difference. */
static inline uint32_t tcp_table_hash(const struct net *net, uint64_t addresses, uint32_t ports)
{
	const uint64_t *k = net->hash_key;
	return (uint32_t)((k[0] + k[1] * (uint32_t)addresses + k[2] * (addresses >> 32) + k[3] * ports) >> 32);
}

/* The same for IPv6, in two steps: this is the part of the addresses, `peer` and `own` of 16 bytes each. */
static inline uint64_t tcp_ip6_fold(const struct net *net, const uint8_t *peer, const uint8_t *own)
{
	uint64_t sum = net->hash_key[0];
	for (uint32_t i = 0; i < 4; i++) {
		sum += net->fold_key[i] * load_le32(peer + 4 * i);
		sum += net->fold_key[4 + i] * load_le32(own + 4 * i);
	}
	return sum;
}

static inline uint32_t tcp_table_hash6(const struct net *net, uint64_t fold, uint32_t ports)
{
	return (uint32_t)((fold + net->hash_key[3] * ports) >> 32);
}

static inline uint32_t tcp_hash(const struct net *net, const struct tcp_key *key)
{
	if (UNLIKELY(tcp_key_is_ip6(key)))
		return tcp_table_hash6(net, key->addresses, (uint32_t)key->ports);
	return tcp_table_hash(net, key->addresses, (uint32_t)key->ports);
}

/* tcp.c */
/* Of a connection between these ends that begins now. */
struct tcp_numbers tcp_initial_numbers(const struct net *net, const struct tcp_ends *ends);
void tcp_conn_ends(const struct tcp_conn *c, struct tcp_ends *out);
/* In the table, with timer and lists, in no state yet; NULL: none is free. */
struct tcp_conn *tcp_conn_create(struct net *net, const struct tcp_ends *ends, uint32_t hash);
struct tcp_conn *tcp_conn_find(const struct net *net, const struct tcp_ends *ends, uint32_t hash);
/* Both ends know their numbers and options: computes mss, template, windows. */
void tcp_conn_ready(struct tcp_conn *c, uint32_t iss, uint32_t irs, uint16_t peer_mss);
void tcp_conn_event(struct tcp_conn *c, uint32_t events);
/* Ends the connection, not the handle: fails the sends and gives TCP_CLOSED | events. */
void tcp_conn_kill(struct tcp_conn *c, uint32_t events);
void tcp_conn_unreachable(struct tcp_conn *c);
/* Nothing can be sent for now: the retransmission timer tries again. */
void tcp_conn_blocked(struct tcp_conn *c);
/* Completes the sends that are acknowledged and that no frame reads. */
void tcp_sends_complete_slow(struct tcp_conn *c);
static inline void tcp_sends_complete(struct tcp_conn *c)
{
	if (c->send_head && c->send_head->end <= c->snd_una && !c->send_head->frames)
		tcp_sends_complete_slow(c);
}
/* Wants to be asked for a segment. */
static inline void tcp_conn_wake(struct tcp_conn *c)
{
	if (list_is_empty(&c->tx_link))
		list_push_back(&c->net->tx_ready, &c->tx_link);
}
/* What a packet's mtu leaves for a segment without options. */
uint16_t tcp_own_mss(const struct net *net, bool ip6);
/* What a peer takes that does not say (RFC 9293, 3.7.1). */
static inline uint16_t tcp_default_mss(bool ip6)
{
	return ip6 ? 1220 : 536;
}
void tcp_control_send(struct net *net, const struct tcp_control *control);
/* The answer to a segment that belongs to nothing (RFC 9293, 3.5.2). */
void tcp_reset_reply(struct net *net, const struct tcp_segment *s);
struct tcp_listener *tcp_listener_find(struct net *net, uint16_t port);

/* tcp_syn.c */
void tcp_syn_input(struct net *net, struct tcp_listener *listener, const struct tcp_segment *s,
	uint32_t iss_after, bool has_iss_after);
struct tcp_syn *tcp_syn_find(const struct net *net, const struct tcp_ends *ends, uint32_t hash);
/* The connection that the segment completes, or NULL: it was dealt with. */
struct tcp_conn *tcp_syn_segment(struct net *net, struct tcp_syn *syn, const struct tcp_segment *s);
/* The same for a segment that may carry a cookie; false: it does not. */
bool tcp_cookie_segment(struct net *net, struct tcp_listener *listener, const struct tcp_segment *s,
	struct tcp_conn **out);
/* Data that belongs to nothing may have overtaken the segment that brings a cookie back. It comes again; a RST would
 * end a good connection. */
static inline bool tcp_cookie_may_follow(const struct net *net, const struct tcp_listener *listener,
	const struct tcp_segment *s)
{
	return listener && s->len && !(s->flags & (TCP_SYN | TCP_RST)) && net->now_ns < net->cookies_until_ns;
}
/* Options of a SYN; `out` holds 40 bytes. The length. */
size_t tcp_syn_options(uint8_t *out, uint16_t mss, bool sack, int scale, bool ts, uint32_t ts_value,
	uint32_t ts_echo);

/* tcp_time_wait.c */
void tcp_time_wait_enter(struct tcp_conn *c);
struct tcp_time_wait *tcp_time_wait_find(const struct net *net, const struct tcp_ends *ends,
	uint32_t hash);
/* True: dealt with. False: a new connection may begin, with an initial sequence number after *iss. */
bool tcp_time_wait_segment(struct net *net, struct tcp_time_wait *w, const struct tcp_segment *s,
	uint32_t *iss);
void tcp_time_wait_timer(struct timer *t);

/* tcp_input.c; true: the frame was kept */
bool tcp_conn_segment(struct tcp_conn *c, struct tcp_segment *s);
/* In order data of a connection has become readable. */
void tcp_data_received(struct tcp_conn *c);
static inline void tcp_peer_window_set(struct tcp_conn *c, uint32_t window)
{
	c->snd_wnd = window;
	if (window > c->snd_wnd_max)
		c->snd_wnd_max = window;
}

/* tcp_receive.c */
/* Appends `len` bytes from `offset` of the frame (its fragments count on) to the stream. Consumes the frame. */
void tcp_rx_append(struct tcp_conn *c, struct frame_rx *f, uint32_t offset, uint32_t len);
/* Keeps a segment that came early; false: not kept, the caller still has the frame. */
bool tcp_ooo_insert(struct tcp_conn *c, struct frame_rx *f, uint32_t offset, uint32_t len,
	uint64_t seq);
/* It has all of it already. */
bool tcp_ooo_has(const struct tcp_conn *c, uint64_t seq, uint32_t len);
/* Moves what has become in order to the stream. */
void tcp_ooo_drain(struct tcp_conn *c);
void tcp_ooo_drop(struct tcp_conn *c);
void tcp_rx_drop(struct tcp_conn *c);
/* A single buffer, its data trimmed, not held so far. Consumes it. */
void tcp_rx_append_one_slow(struct tcp_conn *c, struct frame_rx *f);
static inline void tcp_rx_push(struct tcp_conn *c, struct frame_rx *f)
{
	c->readable += f->len;
	c->rx_frames++;
	c->net->rx_frames_held++;
	list_push_back(&c->rx, &f->link);
}
static inline void tcp_rx_append_one(struct tcp_conn *c, struct frame_rx *f)
{
	if (LIKELY(!c->readable && f->len && !c->discard))
		tcp_rx_push(c, f);
	else
		tcp_rx_append_one_slow(c, f);
}
/* Room for another buffer; drops out-of-order queues of others when there is none. */
bool tcp_rx_room_slow(struct tcp_conn *c);
static inline bool tcp_rx_room(struct tcp_conn *c)
{
	return LIKELY(c->rx_frames < TCP_RX_FRAMES_MAX && c->net->rx_frames_held < c->net->rx_frames_max)
		|| tcp_rx_room_slow(c);
}
/* What is left belongs to the connections that exist. */
static inline bool tcp_rx_is_short(const struct net *net)
{
	return net->rx_frames_held > net->rx_frames_max / 8 * 7;
}
/* Up to `max` SACK blocks, the newest first. */
uint32_t tcp_ooo_blocks(const struct tcp_conn *c, struct tcp_range *out, uint32_t max);
/* Within these bounds, and no more than half of all buffers hold. */
uint32_t tcp_window_bound(const struct tcp_conn *c, uint64_t window);
/* What is left of `room` when buffers run short. */
uint32_t tcp_window_short(const struct tcp_conn *c, uint32_t room);
/* Measures what the application takes in a round trip; more than one full segment has arrived. */
void tcp_window_measure(struct tcp_conn *c);
/* The window to advertise now, in bytes: what the buffers left can hold of it; when they run short, everybody
 * gets a small one. What was promised is kept. */
static inline uint32_t tcp_window(const struct tcp_conn *c)
{
	const struct net *net = c->net;
	uint32_t room = c->rcv_space > c->readable ? c->rcv_space - c->readable : 0;
	if (UNLIKELY(net->rx_frames_held > net->rx_frames_max / 2)) /* else they hold any rcv_space */
		room = tcp_window_short(c, room);
	uint64_t edge = c->rcv_nxt + room;
	uint32_t step = c->mss < c->rcv_space / 2 ? c->mss : c->rcv_space / 2;
	if (edge < c->rcv_adv + step)
		edge = c->rcv_adv > c->rcv_nxt ? c->rcv_adv : c->rcv_nxt;
	return (uint32_t)(edge - c->rcv_nxt);
}

/* tcp_output.c */
struct net_frame *tcp_output(struct tcp_conn *c);
void tcp_template_init(struct tcp_conn *c);
void tcp_rst_send(struct tcp_conn *c);
static inline bool tcp_fin_sent(const struct tcp_conn *c)
{
	return c->fin_queued && c->snd_max > c->queue_end;
}

/* tcp_flight.c; the others in tcp_flight.h */
static inline void tcp_flight_sent(struct tcp_conn *c, uint64_t start, uint64_t end)
{
	if (UNLIKELY(c->last.start != c->last.end)) {
		tcp_flight_sent_slow(c, start, end);
		return;
	}
	c->last = (struct tcp_sent){.start = start, .end = end, .sent_us = tcp_now_us(c->net)};
	c->rack_valid = false; /* nothing is left that it could be compared with */
	c->rack_front = (uint32_t)start;
}

/* tcp_rtt.c */
/* An estimate from a round trip that took this long. */
void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt_us);
void tcp_rtt_min(struct tcp_conn *c, uint32_t rtt_us);
void tcp_rtt_measure(struct tcp_conn *c, const struct tcp_ack *ack);

/* tcp_cubic.c */
void tcp_congestion_init(struct tcp_conn *c);
void tcp_congestion_acked(struct tcp_conn *c, const struct tcp_ack *ack);
/* For a loss or a mark: sets ssthresh; cwnd is the caller's. */
void tcp_congestion_reduce(struct tcp_conn *c);
void tcp_congestion_idle(struct tcp_conn *c);

/* tcp_rack.c */
/* A record has arrived, up to `end`; its state is still the old one. */
void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_sent *r, uint64_t end,
	const struct tcp_ack *ack);
/* Marks what is LOST; microseconds after which to look again, 0: nothing is in doubt. */
uint32_t tcp_rack_detect(struct tcp_conn *c);
/* After a timeout: the first, and all that is overdue. */
void tcp_rack_timeout(struct tcp_conn *c);
/* A DSACK came; a recovery has ended. */
void tcp_rack_duplicate(struct tcp_conn *c);
void tcp_rack_recovered(struct tcp_conn *c);
/* When to look at a flight of several segments: `rto`, or sooner for a tail loss probe. Microseconds. */
uint64_t tcp_probe_time(struct tcp_conn *c, uint64_t rto_us);
void tcp_probe_due(struct tcp_conn *c);
bool tcp_probe_acked(struct tcp_conn *c, const struct tcp_ack *ack);

/* tcp_recovery.c */
/* Its blocks, before tcp_acked for the same segment. */
void tcp_sack_input(struct tcp_conn *c, struct slice blocks, struct tcp_ack *ack);
/* ack->ack is within snd_una .. snd_max. */
void tcp_acked(struct tcp_conn *c, struct tcp_ack *ack);
void tcp_rto(struct tcp_conn *c);
/* The handshake is complete; the timer had to repeat our SYN, or SYN|ACK, so many times. Then a timeout without any
 * round-trip time is 3 s (RFC 6298, 5.7), and after more than one the window one segment (RFC 6928, 2). */
void tcp_syn_repeated(struct tcp_conn *c, uint32_t times);
/* Bytes believed to be in the network. */
uint32_t tcp_pipe(const struct tcp_conn *c);

/* tcp_pmtu.c */
/* A packet of this size did not pass, says a router. */
void tcp_pmtu_limit(struct tcp_conn *c, uint32_t mss);
/* A retransmission timeout; c->backoff counts those before it. */
void tcp_pmtu_timeout(struct tcp_conn *c);
/* New data is about to be sent in segments smaller than agreed on. */
void tcp_pmtu_raise(struct tcp_conn *c);
static inline void tcp_pmtu_acked(struct tcp_conn *c)
{
	if (UNLIKELY(c->mss_trial) && !seq_before((uint32_t)c->snd_una, c->mss_trial_end))
		c->mss_trial = false;
}

/* tcp_timer.c */
void tcp_timer_fire(struct timer *t);
/* Sees to it that the wheel entry fires no later than `at`. */
static inline void tcp_timer_ensure(struct tcp_conn *c, uint64_t at)
{
	if (UNLIKELY(!c->timer.armed || c->timer.at_ns > at))
		timer_arm(&c->net->timers, &c->timer, at);
}
static inline void tcp_rto_start(struct tcp_conn *c)
{
	uint64_t rto = (uint64_t)c->rto_us << c->backoff;
	if (rto > TCP_RTO_MAX_US)
		rto = TCP_RTO_MAX_US;
	if (c->snd_max - c->snd_una > c->mss)
		rto = tcp_probe_time(c, rto);
	else
		c->timer_kind = TCP_TIMER_RTO;
	c->rto_at = c->net->now_ns + rto * 1000;
	tcp_timer_ensure(c, c->rto_at);
}

#endif
