/* A packet capture: what the interface receives and sends, as a stream in pcap format (nanosecond magic, link
 * type Ethernet), for tcpdump, Wireshark and the like. Records wait in a ring in the caller's memory until they
 * are read; what finds no room is left out and counted, so that a slow reader never holds up the network.
 *
 * Frames are seen as the device sees them: one that the device will cut into segments is one long record, and
 * a checksum that the device fills in is not there yet. */
#ifndef NET_CAPTURE_H
#define NET_CAPTURE_H

#include <base/slice.h>

struct net;

struct net_capture {
	/* The caller's, set before net_capture_start. */
	uint8_t *ring;
	size_t size;             /* bytes, at least NET_CAPTURE_SIZE_MIN */
	uint32_t snap_len;       /* bytes kept of each frame, 64 to 65535 */
	int64_t wall_offset_ns;  /* wall clock (since 1970) minus the engine's monotonic time */
	uint16_t port_left_out;  /* TCP from and to this port of ours is not recorded; 0: all is */

	/* The engine's. */
	size_t begin, len; /* of what is unread: begin in the ring */
	uint64_t frames, dropped;
};

#define NET_CAPTURE_SIZE_MIN 4096

API_BEGIN

/* From now on frames are recorded into `capture`, which is the engine's until net_capture_stop. An earlier
 * one is stopped. The stream begins with the pcap file header. */
void net_capture_start(struct net *net, struct net_capture *capture);
void net_capture_stop(struct net *net);
/* The next unread bytes, contiguous; empty when there are none. They stay where they are until consumed, and
 * also after net_capture_stop. */
struct slice net_capture_peek(const struct net_capture *capture, size_t skip);
/* Gives the first n <= unread bytes back. */
void net_capture_consume(struct net_capture *capture, size_t n);

API_END

#endif
