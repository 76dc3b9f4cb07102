/* Network frames on their way between a device and the TCP/IP engine. The two sides share only this
 * vocabulary: neither includes the other.
 *
 * Receive: the device's owner has a pool of buffers, gives them to the device, and the device fills
 * them. The engine reads a frame where it lies and may keep the buffer (as received stream data that
 * the application has not consumed yet); frame_rx_put gives it back.
 *
 * Transmit: the engine builds headers in a frame of its own pool; the payload is a list of references
 * to application memory. The frame is the device's from send until its `done` call. */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include <base/list.h>
#include <base/slice.h>

/* Room that a driver may use directly before a transmit header, so that its own header and ours are
 * one descriptor. Bytes. */
#define FRAME_TX_HEADROOM 16
#define FRAME_TX_HEADER_MAX 128
/* Payload references in one frame: 64 KiB in 4 KiB pieces and some small ones. */
#define FRAME_TX_SEGMENTS_MAX 20
#define FRAME_MTU_HEADER 14 /* Ethernet */

enum frame_checksum {
	FRAME_CHECKSUM_NONE,    /* not checked by the device: software must */
	FRAME_CHECKSUM_GOOD,    /* the device has verified the TCP or UDP checksum */
	FRAME_CHECKSUM_PARTIAL, /* from the same host, never on a wire: the checksum is not filled in */
};

struct frame_rx {
	struct list link;      /* for whoever holds it */
	uint8_t *data;         /* the first byte of the Ethernet header; in `frag`s, of the rest */
	uint32_t len, capacity; /* bytes in this buffer; capacity counts from the buffer's start */
	uint8_t *buffer;       /* start of the buffer, `capacity` bytes */
	struct frame_rx *frag; /* the frame goes on there (mergeable buffers), or NULL */
	enum frame_checksum checksum;
	void (*put)(void *owner, struct frame_rx *); /* gives this one buffer back */
	void *owner;
};

enum frame_gso {
	FRAME_GSO_NONE,
	FRAME_GSO_TCP4,
	FRAME_GSO_TCP6,
};

struct frame_tx {
	struct list link; /* for whoever holds it */
	/* header[FRAME_TX_HEADROOM] is the first byte of the Ethernet header. */
	uint8_t header[FRAME_TX_HEADROOM + FRAME_TX_HEADER_MAX] ALIGNED(16);
	uint16_t header_len; /* bytes of Ethernet, IP and TCP or UDP header */
	uint16_t segment_count;
	uint32_t payload_len; /* sum over the segments */
	/* The checksum of the bytes from checksum_start (counted from the Ethernet header) is to be
	 * stored checksum_offset bytes after that point; there stands the pseudo-header's sum.
	 * checksum_start 0: nothing is to be done. */
	uint16_t checksum_start, checksum_offset;
	enum frame_gso gso;
	uint16_t gso_size; /* payload bytes in each segment on the wire, when gso is not NONE */
	struct slice segment[FRAME_TX_SEGMENTS_MAX];
	void (*done)(void *owner, struct frame_tx *); /* the device no longer reads any of it */
	void *owner;
	void *cookie; /* the owner's */
};

/* Gives a received frame back with all of its fragments. */
static inline void frame_rx_put(struct frame_rx *f)
{
	while (f) {
		struct frame_rx *next = f->frag;
		f->frag = NULL;
		f->put(f->owner, f);
		f = next;
	}
}

#endif
