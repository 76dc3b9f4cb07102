/* Scripts of segments: these in, those out, at these times. docs/tcp-scripts.md describes the language.
 *
 *   parse.c      text -> struct script
 *   packet.c     struct segment <-> bytes on the wire, and <-> text
 *   neighbour.c  the peer's answers to ARP and NDP
 *   run.c        plays a struct script against one engine in virtual time
 *
 * Sequence numbers in a script count from each side's initial one, which is 0. In struct segment they are
 * what stands in the script, or on the wire; segment_shift turns one into the other. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <net/net.h>
#include <stdarg.h>
#include <stdio.h>

#define SCRIPT_ENGINE 1 /* its station in the world; the peer is 0 */
#define SCRIPT_FLOWS_MAX 16
#define SCRIPT_FRAME_MAX 2048
#define SEGMENT_OPTIONS_MAX 16

enum {
	FLAG_FIN = 1,
	FLAG_SYN = 2,
	FLAG_RST = 4,
	FLAG_PSH = 8,
	FLAG_ACK = 16,
	FLAG_URG = 32,
	FLAG_ECE = 64,
	FLAG_CWR = 128,
};

enum {
	OPTION_EOL = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_WSCALE = 3,
	OPTION_SACK_OK = 4,
	OPTION_SACK = 5,
	OPTION_TS = 8,
	OPTION_RAW = 256, /* bytes as they are: in a script, and of kinds that the codec does not know */
};

/* How a number of an option is meant. */
enum number_kind {
	NUMBER_GIVEN,
	NUMBER_ANY,  /* `*` or not said */
	NUMBER_LAST, /* `last`: the newest timestamp that the engine has sent */
};

struct segment_option {
	uint32_t kind;
	uint32_t count; /* of numbers, or of bytes for OPTION_RAW */
	uint32_t number[8];
	enum number_kind how[8];
	uint8_t raw[40];
};

enum icmp_kind {
	ICMP_NONE,
	ICMP_ERROR, /* about a segment of the engine's */
};

struct segment {
	uint32_t flags, seq, len, ack, window, urgent;
	uint32_t piece; /* bytes in each of a burst of segments that carry `len` together; 0: one segment */
	bool has_ack, has_window, has_urgent;
	bool has_options, more_options; /* `<...>` was said; `...` in it: and others */
	uint32_t option_count;
	struct segment_option option[SEGMENT_OPTIONS_MAX];

	/* In brackets: below TCP, or wrong on purpose. */
	int32_t ecn, ttl; /* -1: not said */
	bool has_source, has_destination;
	struct net_address source, destination; /* instead of the flow's */
	uint32_t fragment; /* sent in IP fragments of so many bytes; 0: whole */
	uint32_t data_offset; /* what the header claims, in words; 0: what is true */
	bool bad_sum, bad_ip_sum, junk, broadcast;
	uint8_t ip_options[40];
	uint32_t ip_options_len;

	enum icmp_kind icmp;
	const char *icmp_name;
	uint32_t icmp_type, icmp_code, icmp_mtu; /* about the segment that began at `seq` */
};

enum action {
	ACTION_INJECT,
	ACTION_EXPECT,
	ACTION_ESTABLISH,
	ACTION_LISTEN,
	ACTION_UNLISTEN,
	ACTION_CONNECT,
	ACTION_SEND,
	ACTION_READ,
	ACTION_CLOSE,
	ACTION_ABORT,
	ACTION_RELEASE,
	ACTION_DISCARD,
	ACTION_EVENT,
	ACTION_DONE,
	ACTION_ASSERT,
	ACTION_COUNTER,
	ACTION_USAGE,
	ACTION_QUIET,
	ACTION_PUMP,
};

enum comparison {
	COMPARE_EQ,
	COMPARE_NE,
	COMPARE_LT,
	COMPARE_LE,
	COMPARE_GT,
	COMPARE_GE,
	COMPARE_IN, /* between number and number2 */
};

struct statement {
	uint32_t line;
	enum action action;
	bool has_time; /* else in the same round as the one before */
	uint64_t wait_ns, wait_max_ns; /* after the one before; equal unless a range was given */
	uint32_t flow;
	struct segment segment; /* INJECT, EXPECT; of ESTABLISH: the peer's SYN */
	char name[32], text[32]; /* a field and what it is compared with */
	enum comparison comparison;
	int64_t number, number2;
	bool has_number; /* else `text` is what to compare with */
	bool refused; /* as the call must be */
	uint32_t events;
	uint64_t rtt_ns; /* of ESTABLISH, and between two rounds of PUMP */
	const char *source; /* the line, in the script's text */
};

struct flow_ends {
	struct net_address peer;
	uint16_t peer_port, own_port;
};

struct script {
	const char *path;
	char *text;
	struct net_config config; /* without what world_config fills in, where 0 */
	uint64_t tolerance_ns;
	uint32_t seed, peer_isn, peer_window;
	uint32_t split_buffers, neighbours_silent; /* 0 or 1 */
	bool ip6;
	struct flow_ends ends[SCRIPT_FLOWS_MAX];
	/* `fails LINE TEXT`: the verdict that is right for this script. */
	uint32_t fails_line;
	char fails_text[128];
	struct statement *statement;
	uint32_t count;
};

/* What was wrong, in words for a person; NULL from a call that found nothing. Freed by the caller. */
typedef char *script_complaint;

script_complaint complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* parse.c. The complaint begins with file and line. */
script_complaint script_parse(struct script *s, const char *path);
void script_free(struct script *s);
/* Names of enum tcp_event; 0 for others. */
uint32_t event_by_name(const char *name);
const char *event_name(uint32_t bit);

/* packet.c */
extern const uint8_t script_peer_mac[6], script_engine_mac[6];
struct segment_path {
	struct net_address source, destination;
	uint16_t source_port, destination_port;
	uint16_t id;
};
/* The bytes of payload at a place of a stream, so that each end can check what it gets. */
uint8_t stream_byte(bool from_engine, uint32_t position);
/* A frame of at most SCRIPT_FRAME_MAX bytes with numbers as they go on the wire; `position`: of the first
 * payload byte in the peer's stream. Its length. */
uint32_t segment_write(uint8_t *out, const struct segment *s, const struct segment_path *path,
	uint32_t position);
/* Fills in the checksum. */
void icmp6_seal(uint8_t *icmp, uint32_t len, const struct segment_path *path);
/* Takes a frame apart; NULL, or what is malformed about it. `payload` points into it. */
script_complaint segment_read(const uint8_t *bytes, uint32_t len, struct segment *s,
	struct segment_path *path, const uint8_t **payload);
/* The fragment `index` of a frame when its IP packet is cut into `size` bytes each (a multiple of 8); 0: none. */
uint32_t packet_fragment(uint8_t *out, const uint8_t *frame, uint32_t len, uint32_t size, uint32_t index);
/* What is added to a segment's numbers, as they stand on the way from script to wire. */
struct segment_offsets {
	uint32_t sender; /* to seq */
	uint32_t other;  /* to ack and SACK edges */
	uint32_t value, echo;
};
void segment_shift(struct segment *s, const struct segment_offsets *by);
void segment_print(FILE *out, const struct segment *s);
/* What of `got` is not as `expected` says; NULL: nothing. `ts_slack`: how far timestamp values may lie apart. */
const char *segment_difference(const struct segment *expected, const struct segment *got,
	uint32_t ts_slack);
const struct segment_option *segment_option_find(const struct segment *s, uint32_t kind);

/* neighbour.c */
struct world;
/* True: the frame was of ARP, NDP or MLD. Questions to others than the engine are answered if asked to. */
bool neighbour_hears(struct world *w, const uint8_t *frame, uint32_t len, bool answer);
/* Makes the engine know the peer's Ethernet address. */
void neighbour_introduce(struct world *w);

/* run.c. NULL: all went as the script says. */
script_complaint script_run(const struct script *s);

#endif
