/* TCP connections (RFC 9293).
 *
 * Events come from net_event_next, which hands out each connection that has news together with all of
 * the events since it was last handed out (level does not repeat: read until tcp_peek is empty).
 *
 * Life of a handle: it appears with TCP_ACCEPTED (or from tcp_connect), and stays valid, with the bytes
 * that tcp_peek lent, until tcp_release. TCP_CLOSED says that the connection is gone: no more events
 * come for it; tcp_release must then be called exactly once (earlier, it aborts). */
#ifndef NET_TCP_H
#define NET_TCP_H

#include <base/err.h>
#include <base/slice.h>
#include <net/address.h>

struct net;
struct tcp_conn;

enum tcp_event {
	TCP_ACCEPTED = 1 << 0,    /* a new connection from a peer; data may already be readable */
	TCP_CONNECTED = 1 << 1,   /* tcp_connect has succeeded */
	TCP_READABLE = 1 << 2,    /* more bytes for tcp_peek */
	TCP_SENT = 1 << 3,        /* some tcp_send has finished (its done was called) */
	TCP_PEER_CLOSED = 1 << 4, /* no bytes follow those that are readable now; sending is still possible */
	TCP_RESET = 1 << 5,       /* by the peer (with TCP_CLOSED) */
	TCP_TIMED_OUT = 1 << 6,   /* the peer is dead or cannot be reached (with TCP_CLOSED) */
	TCP_CLOSED = 1 << 7,      /* the connection is gone, orderly unless RESET or TIMED_OUT is set too */
};

/* One item of a connection's send queue: in the caller's memory, as are the segments and the bytes,
 * and all of it the engine's from tcp_send until `done`. */
struct tcp_send {
	const struct slice *segments;
	uint32_t count;
	/* All bytes are acknowledged (delivered), or never will be (not delivered); and no frame reads
	 * from them any more. Called from within net_input, net_advance, frame->done, tcp_abort and
	 * tcp_release: it must not call into the engine except for tcp_send, tcp_close and accessors. */
	void (*done)(struct tcp_send *, bool delivered);
	void *cookie; /* the caller's */

	/* The engine's. */
	struct tcp_send *next;
	uint64_t start, end; /* sequence space */
	struct tcp_conn *conn;
	uint32_t frames;     /* that refer to it now */
	bool dead, finished;
};

struct tcp_listener; /* opaque, in the engine's memory */

/* Takes the events of connections in place of net_event_next's caller: for parts that have connections of
 * their own beside the server's. In its owner's memory for as long as such connections exist. */
struct tcp_handler {
	/* Called from within net_event_next. May do anything with any connection but call net_event_next. */
	void (*event)(struct tcp_handler *, struct tcp_conn *, uint32_t events);
};

API_BEGIN

/* Accepts connections to `port` on any address of either family. At most `connections_max` exist at a time that were
 * accepted here (0: no limit but the engine's). ERR_BUSY: the port is taken; ERR_NO_MEMORY: 16 exist. */
err tcp_listen(struct net *net, uint16_t port, uint32_t connections_max) MUST_USE;
/* The same; the connections that are accepted here have this handler from the first event on. */
err tcp_listen_for(struct net *net, uint16_t port, uint32_t connections_max, struct tcp_handler *handler)
	MUST_USE;
/* No new connections; those that exist live on. Harmless when nobody listens. */
void tcp_unlisten(struct net *net, uint16_t port);

/* Starts to connect; TCP_CONNECTED follows, or TCP_CLOSED with RESET or TIMED_OUT. Data may be queued at
 * once. ERR_NO_MEMORY: no connection is free; ERR_INVALID: not a unicast address that we have
 * a way to, or we have no address for it; ERR_BUSY: no local port is free. */
err tcp_connect(struct tcp_conn **out, struct net *net, const struct net_endpoint *to) MUST_USE;

/* The next connection with news and its events (bits of enum tcp_event), or NULL. Serves those that have a
 * handler on the way. */
struct tcp_conn *net_event_next(struct net *net, uint32_t *events);

void tcp_set_cookie(struct tcp_conn *conn, void *cookie);
void *tcp_cookie(const struct tcp_conn *conn); /* NULL at first */
/* Takes the cookie's place: a connection has one or the other. */
void tcp_set_handler(struct tcp_conn *conn, struct tcp_handler *handler);

/* The next received bytes, contiguous, where the device put them; false: none now. They stay valid
 * until consumed or released. */
bool tcp_peek(struct tcp_conn *conn, struct slice *out);
/* The same, from `offset` bytes behind the first unconsumed one: to look past the first buffer without
 * giving it up. Costs a step for each buffer skipped. */
bool tcp_peek_at(struct tcp_conn *conn, size_t offset, struct slice *out);
/* Received and unconsumed bytes. */
size_t tcp_readable(const struct tcp_conn *conn);
/* Gives the first n <= tcp_readable() bytes back, and opens the window. */
void tcp_consume(struct tcp_conn *conn, size_t n);
/* The rest of the input is acknowledged and thrown away, with no TCP_READABLE. */
void tcp_discard_input(struct tcp_conn *conn);

/* Queues by reference. ERR_CLOSED: the connection is gone or tcp_close was called (done is not called). An
 * item without bytes is done when those before it are. */
err tcp_send(struct tcp_conn *conn, struct tcp_send *send) MUST_USE;
/* Bytes queued and not yet acknowledged. */
size_t tcp_unsent(const struct tcp_conn *conn);
/* No more sends: FIN follows what is queued. The other direction stays open: go on reading, discard, or
 * abort. Harmless when repeated or after TCP_CLOSED. */
void tcp_close(struct tcp_conn *conn);
/* RST; unfinished sends are done(not delivered). TCP_CLOSED follows as an event. Harmless after TCP_CLOSED. */
void tcp_abort(struct tcp_conn *conn);
/* Ends the handle, after TCP_CLOSED; before it, aborts first. No event follows. */
void tcp_release(struct tcp_conn *conn);

struct net_endpoint tcp_peer(const struct tcp_conn *conn);
struct net_endpoint tcp_local(const struct tcp_conn *conn);

/* A snapshot for diagnosis and tests. */
struct tcp_info {
	const char *state; /* "ESTABLISHED" and so on */
	uint32_t mss, cwnd, ssthresh, peer_window, receive_window, in_flight;
	uint64_t srtt_ns, rto_ns;
	uint32_t out_of_order_frames, readable;
	uint64_t min_rtt_ns;
	const char *recovery; /* "OPEN", "FAST" or "SLOW" */
	uint32_t sacked, lost, records; /* bytes; notes on the flight, beyond the first */
	uint32_t retransmits, dsacks; /* segments, since the beginning */
	bool ecn, reordering;
};
void tcp_info(const struct tcp_conn *conn, struct tcp_info *out);

API_END

#endif
