/* A frame on the simulated wire, taken apart: for traces, for routers that answer, and for tests that
 * hold a stack to the rules. Written without a look at net/, whose work it judges. */
#ifndef SIM_PACKET_H
#define SIM_PACKET_H

#include <base/slice.h>

#define SIM_ETHERNET 14
#define SIM_SACK_MAX 4

enum sim_kind {
	SIM_OTHER,
	SIM_ARP,
	SIM_TCP,
	SIM_UDP,
	SIM_ICMP4,
	SIM_ICMP6,
};

enum {
	SIM_FIN = 1,
	SIM_SYN = 2,
	SIM_RST = 4,
	SIM_PSH = 8,
	SIM_ACK = 16,
	SIM_URG = 32,
	SIM_ECE = 64,
	SIM_CWR = 128,
};

struct sim_packet {
	enum sim_kind kind;
	bool v6, dont_fragment, fragment;
	uint8_t source[16], destination[16]; /* IPv4 in its mapped form */
	uint8_t protocol, hop_limit;
	uint32_t ip_len;      /* header and payload */
	struct slice transport;
	uint16_t source_port, destination_port; /* TCP and UDP */
	/* TCP; `scale` -1: none. */
	uint32_t seq, ack;
	uint16_t window, mss;
	uint8_t flags;
	int8_t scale;
	bool sack_ok, has_ts;
	uint32_t ts_value, ts_echo;
	uint32_t sack_count;
	uint32_t sack[SIM_SACK_MAX][2];
	struct slice payload; /* TCP and UDP */
};

API_BEGIN
/* Fills in `p`, whose slices point into `frame`, as far as that makes sense. NULL, or what is wrong:
 * lengths, checksums (but for one that was left to a device), malformed options. */
const char *sim_packet_parse(struct sim_packet *p, struct slice frame);
/* The ones' complement sum of big-endian words, not folded; `sum` is the sum so far. */
uint32_t sim_sum(uint32_t sum, struct slice bytes);
uint16_t sim_sum_fold(uint32_t sum);
/* The sum of the pseudo-header of a whole packet that sim_packet_parse has understood. */
uint32_t sim_sum_pseudo(const struct sim_packet *p);
/* Fills in the checksums of IPv4 header, TCP, UDP and ICMP anew, whatever stands there. */
void sim_packet_mend(uint8_t *frame, uint32_t len);
/* One line without its end, as much as fits: who, what, flags, numbers as they are on the wire. */
void sim_packet_text(const struct sim_packet *p, char *out, size_t size);
API_END

#endif
