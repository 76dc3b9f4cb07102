/* A simulated network of engines under load and faults, all from one seed (`ingot sim net`).
 *
 *   plan.c    draws from the seed: hosts and their limits, links, connections, faults
 *   run.c     virtual time: who acts next; the invariants after each act; the end
 *   host.c    an engine with its card: the loop of net/net.h; pause, clock jump, restart
 *   stream.c  the two ends of a connection: send, read, close, abort; what each may expect
 *   datagram.c UDP echo between hosts, and pings
 *   wire.c    holds each packet that a host sends to the rules of TCP, and counts storms
 *   fault.c   makes the planned faults come and go
 *   attack.c  segments from somebody else that nearly fit
 *   sabotage.c  breaks an engine on purpose: the checks must notice
 *   main.c    options, a process for each seed, what is printed
 *
 * Time has four parts: work with faults, until `faults_end_ns`; recovery, in which all that is left must
 * end within RECOVERY_NS; silence, in which whatever waits for its time runs out; and a last part in
 * which nobody may send a TCP segment. */
#ifndef RUN_H
#define RUN_H

#include <base/timer.h>
#include <net/net.h>
#include <sim/network.h>
#include <sim/packet.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define HOSTS_MAX 5
#define FLOWS_MAX 24
#define FAULTS_MAX 24
#define ATTACKS_MAX 40
#define ITEMS_MAX 4
#define COUNTERS_MAX 256
#define PORT_FIRST 80 /* listeners: 80, 81 */
#define LISTENERS 2
#define START_NS (100 * SECOND)

/* The bounds, with nothing in the way. The longest single waits are a backed-off timeout (60 s) and a
 * dead peer that only keep-alive finds (300 s); bytes come on top at the slowest rate that is drawn. */
#define RECOVERY_NS (700 * SECOND)
#define SILENCE_NS (70 * SECOND)
#define QUIET_NS (20 * SECOND)

enum fault_kind {
	FAULT_LOSS,
	FAULT_DUPLICATE,
	FAULT_MARK,         /* congestion experienced */
	FAULT_REORDER,
	FAULT_CORRUPT,
	FAULT_DELAY,
	FAULT_RATE,
	FAULT_FLAP,
	FAULT_MTU,          /* the router tells */
	FAULT_BLACK_HOLE,   /* it does not */
	FAULT_RX_WITHHELD,
	FAULT_TX_HELD,
	FAULT_PAUSE,        /* the machine stands still */
	FAULT_CLOCK_JUMP,
	FAULT_SMALL_STEPS,
	FAULT_RESTART,
	FAULT_KINDS,
};

struct fault {
	enum fault_kind kind;
	uint32_t host;
	uint64_t from_ns, to_ns, amount;
	bool up, down;   /* which direction of the link */
	bool active;
};

enum attack_kind {
	ATTACK_RESET_AHEAD,
	ATTACK_RESET_OLD,
	ATTACK_SYN,
	ATTACK_ACK,
	ATTACK_DATA,
	ATTACK_FLOOD,
	ATTACK_KINDS,
};

struct attack {
	enum attack_kind kind;
	uint64_t at_ns, amount;
	uint32_t victim;
	bool over;
};

/* What a segment to a host would have to say to fit. */
struct spoof {
	struct net_address from, to;
	uint16_t from_port, to_port;
	uint32_t seq, ack;  /* behind all that both have sent */
	uint32_t acked;     /* what the host has acknowledged */
	uint32_t ts;
	bool has_ts;
};

struct run;
struct flow;

/* What an end wants to do. */
struct intent {
	uint64_t to_send;
	uint32_t send_max, read_max;         /* bytes at a time */
	uint64_t send_pause_ns, read_pause_ns; /* 0: at once */
	bool close_after_peer;               /* else when all is queued */
	bool discards;                       /* reads nothing */
	bool leaves_unread;                  /* releases without reading the rest */
	uint64_t abort_after;                /* bytes sent or received; UINT64_MAX: never */
};

struct item {
	struct tcp_send send; /* first */
	struct end *end;
	struct slice slice[5];
	uint8_t *bytes;
	uint32_t len;
	bool busy;
};

struct end {
	struct flow *flow;
	struct host *host;
	struct tcp_conn *conn;   /* NULL before, and after release */
	uint32_t incarnation;    /* of the host that it lives in */
	struct intent intent;
	uint64_t key;            /* of the stream that it sends */
	uint64_t queued, delivered, received;
	struct item item[ITEMS_MAX];
	uint64_t wake_ns, send_ns, read_ns;
	uint32_t events;
	bool side;               /* false: the client */
	bool exists, closing, aborted, gone, has_news;
};

struct flow {
	struct run *run;
	uint32_t id, client, server; /* hosts */
	uint16_t port;
	uint64_t start_ns;
	bool started, simultaneous, ip6;
	uint32_t started_as;         /* counted from 1: the newest of those that have had the same ports */
	struct end end[2];
	struct end ghost;            /* a second acceptance of the same handshake, which cookies allow */
	uint64_t drops_before, cookies_before; /* counters of the server's */
	struct net_endpoint local, peer; /* of the client */
	const char *excuse;          /* why it may fail; NULL: it must not */
};

struct ping {
	uint64_t at_ns;
	uint32_t from, to, len;
	bool sent;
};

struct host {
	struct run *run;
	uint32_t index, ip;
	struct sim_port *port;
	struct net_config config;
	struct net *net;
	void *memory;
	struct random random;
	uint8_t random_seed[32];
	uint32_t incarnation;
	uint64_t started_ns;
	bool patient;            /* its limits are such that nothing fails without a reason */
	bool attention;
	uint32_t input_max;      /* frames taken at a time */
	struct sim_path base_up, base_down; /* without faults */
	uint64_t paused_until_ns, step_until_ns, step_ns;
	int64_t clock_offset_ns; /* its clock, less the run's */
	struct frame_tx *refused;
	uint64_t polled_ns;
	uint32_t polls;          /* at the same time */
	struct udp_socket echo, client;
	struct list letters;     /* datagrams that are not done yet */
	uint64_t datagrams_sent, datagrams_back;
};

struct wire; /* wire.c */

struct options {
	uint64_t seed;
	bool trace, verbose, counters;
	void *pcap; /* stdio file */
	const char *sabotage; /* NULL: none */
};

/* What a process tells the one that started it, even when it dies. */
struct verdict {
	uint64_t now_ns, hash, frames, bytes, flows, completed, excused;
	uint64_t counter[COUNTERS_MAX]; /* of all hosts together, in the order of net_counter_at */
	bool finished;
};

struct run {
	struct options options;
	uint64_t rng;
	struct sim_network network;
	struct host host[HOSTS_MAX];
	uint32_t hosts;
	struct flow flow[FLOWS_MAX];
	uint32_t flows;
	struct fault fault[FAULTS_MAX];
	uint32_t faults;
	struct attack attack[ATTACKS_MAX];
	uint32_t attacks;
	struct ping ping[16];
	uint32_t pings;
	uint64_t next_datagram_ns, next_advertisement_ns;
	bool router; /* it advertises a prefix for IPv6 */
	uint64_t work_end_ns, faults_end_ns;
	uint32_t flows_started;
	bool recovering, quiet;
	struct wire *wire;
	bool sabotaged;
	uint64_t bytes, completed, excused, steps;
	volatile struct verdict *verdict;
};

/* run.c */
/* Ends the process: prints what has failed and where. */
_Noreturn void run_fail(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A line of the trace. */
void run_note(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
uint64_t draw(struct run *r);
uint32_t draw_below(struct run *r, uint32_t bound);
bool draw_chance(struct run *r, uint32_t percent);
uint64_t draw_between(struct run *r, uint64_t low, uint64_t high);
void run_seed(struct run *r, const struct options *options, volatile struct verdict *verdict);

/* plan.c */
void plan_draw(struct run *r);

/* host.c */
void host_start(struct host *h);
void host_restart(struct host *h);
void host_stop(struct host *h);
bool host_runs(const struct host *h);
uint64_t host_clock(const struct host *h);
/* Number `n` of those that others may use; false: there are fewer (yet). */
bool host_address(const struct host *h, bool ip6, uint32_t n, struct net_address *out);
/* When it is to act next; UINT64_MAX: not by itself. */
uint64_t host_next(const struct host *h);
void host_poll(struct host *h);

/* stream.c */
void flow_start(struct flow *f);
/* The newest connection between these ends; `side`: which of its ends `from` is. NULL: none. */
struct flow *flow_find(struct run *r, const struct net_endpoint *from, const struct net_endpoint *to,
	uint32_t *side);
void end_event(struct host *h, struct tcp_conn *c, uint32_t events);
/* Lets the ends of a host act whose time has come. */
void ends_serve(struct host *h);
uint64_t ends_next(const struct run *r, const struct host *h);
/* The host has lost its memory. */
void ends_forget(struct host *h);
bool flow_is_over(const struct flow *f);
void flow_judge(struct flow *f);
uint8_t stream_byte(uint64_t key, uint64_t offset);
/* The first offset at which they differ, or len. */
size_t stream_compare(uint64_t key, uint64_t offset, const uint8_t *bytes, size_t len);

/* datagram.c */
void datagram_host_start(struct host *h);
void datagrams_forget(struct host *h);
void datagrams_act(struct run *r);
uint64_t datagrams_next(const struct run *r);

/* wire.c */
struct wire *wire_new(struct run *r);
void wire_free(struct wire *w);
void wire_see(struct wire *w, enum sim_fate fate, const struct sim_frame *f);
/* A host has lost its memory: what it says now is not what it said. */
void wire_forget(struct wire *w, uint32_t host);

/* Of the newest connection of the host; false: there is none. */
bool wire_spoof(const struct wire *w, uint32_t victim, struct spoof *out);

/* attack.c */
void attacks_act(struct run *r);
uint64_t attacks_next(const struct run *r);

/* fault.c */
void faults_act(struct run *r);
uint64_t faults_next(const struct run *r);
const char *fault_text(enum fault_kind kind);
/* All that was done to the network and to hosts is undone. */
void faults_end(struct run *r);
/* Whether one was at work on the host since then. */
bool fault_since(const struct run *r, uint32_t host, uint64_t since_ns);

/* sabotage.c */
bool sabotage_exists(const char *name);
void sabotage_act(struct run *r);

#endif
