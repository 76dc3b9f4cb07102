/* What a connection has in flight: a list of records in order of sequence, one for each stretch that was
 * sent at one time and has met one fate. Selective acknowledgements, RACK (RFC 8985) and repetition all
 * work on it.
 *
 * Invariants:
 *  1. The records tile snd_una .. snd_max: the first starts at snd_una, each starts where the one before
 *     ends, the last ends at snd_max. None is empty, but `last` when nothing is in flight.
 *  2. The list ends with conn.last, which lies in the connection: a flight that was sent at one time, as
 *     nearly all of a server's are, takes nothing from the pool. All others are from net.sents.
 *  3. *conn.last_link is the link that points to conn.last.
 *  4. conn.sacked and conn.lost are the bytes of the records in those states; conn.records counts those
 *     from the pool.
 *  5. Two neighbours are never both SACKED: what has arrived takes one record between two holes.
 *  6. Records that were sent once only have times that grow along the list.
 *
 * A record's life:
 *      OUT --SACK--> SACKED --reneged--> LOST
 *      OUT --RACK, duplicates, timeout--> LOST --sent again--> OUT (repeated)
 *      LOST --SACK, or a recovery that was none--> SACKED, OUT
 * A cumulative acknowledgement takes it from any.
 *
 * The pool is bounded, and a connection gets no more of it than what it leaves free for the others. Without
 * a record the bookkeeping is coarser and nothing else: new data joins `last`, with the later time; part of
 * a record that arrived is not noted, and so sent again; of a lost record of which only the first segment
 * can be sent, that is noted as if it were all, and the rest is lost again as soon as it is acknowledged. */
#ifndef TCP_FLIGHT_H
#define TCP_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;
struct net;

enum tcp_sent_state {
	TCP_SENT_OUT,
	TCP_SENT_SACKED,
	TCP_SENT_LOST, /* and not sent again since */
};

struct tcp_sent {
	struct tcp_sent *next;
	uint64_t start, end;
	uint32_t sent_us;   /* when it left last; tcp_now_us */
	uint8_t state;      /* enum tcp_sent_state */
	bool repeated : 1;  /* it left more than once: which one is acknowledged is not clear */
	bool coarse : 1;    /* only its first segment was sent again */
	bool touched : 1;   /* not the beginning of what left at that time */
};

/* What one acknowledgement says, and what became of it. */
struct tcp_ack {
	/* From the segment. */
	uint64_t ack;
	uint32_t ts_echo;
	bool has_ts;
	bool duplicate;     /* without SACK: a bare repetition */
	bool ece;
	/* Found by the flight. */
	bool dsack;         /* something arrived twice */
	bool repeated_acked; /* the cumulative part covers something sent again */
	bool never_repeated_lost; /* what was taken for lost came by itself */
	uint32_t acked;     /* bytes, cumulative */
	uint32_t delivered; /* bytes that were not known to have arrived */
	uint32_t rtt_us;    /* of the newest whose copies can be told apart; UINT32_MAX: none */
	uint32_t clean_rtt_us; /* of the first segment of a burst; UINT32_MAX: none */
	uint32_t clean_segments; /* in that burst */
};

/* New data has been sent: start is snd_max. The usual case is inline in tcp_conn.h. */
void tcp_flight_sent_slow(struct tcp_conn *c, uint64_t start, uint64_t end);
/* Bytes from `start`, which are not SACKED, have been sent again. */
void tcp_flight_repeated(struct tcp_conn *c, uint64_t start, uint64_t end);
/* All before ack->ack has arrived; snd_una is still what it was. */
void tcp_flight_cover(struct tcp_conn *c, struct tcp_ack *ack);
/* start .. end, within snd_una .. snd_max, has arrived. */
void tcp_flight_sack(struct tcp_conn *c, uint64_t start, uint64_t end, struct tcp_ack *ack);
void tcp_flight_lose(struct tcp_conn *c, struct tcp_sent *r);
/* Its first segment only, if there is a record for the rest. */
void tcp_flight_lose_first(struct tcp_conn *c);
/* All that is OUT. `reneged`: and all that is SACKED. */
void tcp_flight_lose_all(struct tcp_conn *c, bool reneged);
/* What is LOST is OUT after all. */
void tcp_flight_restore(struct tcp_conn *c);
/* The first that is LOST, or NULL. */
const struct tcp_sent *tcp_flight_first_lost(const struct tcp_conn *c);
/* Nothing is in flight, and all records are back. */
void tcp_flight_reset(struct tcp_conn *c);

#endif
