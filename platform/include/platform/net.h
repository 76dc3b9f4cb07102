/* A network interface: Ethernet frames in and out, polled by the event loop. */
#ifndef PLATFORM_NET_H
#define PLATFORM_NET_H

#include <base/frame.h>
#include <stdint.h>

struct net_device {
	uint8_t mac[6];
	uint16_t mtu; /* bytes of IP packet, 1280 to 65535; usually 1500 */
	bool tx_checksum, tx_tso4, tx_tso6; /* what frame_tx may ask for */
	uint32_t tx_segments_max;          /* of a frame_tx, at most FRAME_TX_SEGMENTS_MAX */
	char name[16];
	uint64_t rx_frames, tx_frames, rx_dropped, tx_kicks; /* counters */
	/* Takes the frame until its `done`; false when the ring is full (try again after poll). */
	bool (*send)(struct net_device *, struct frame_tx *);
	/* Publishes what was sent since the last kick: at most one notification for many frames. */
	void (*kick)(struct net_device *);
	/* Offers an empty buffer to the device; false when the ring is full. */
	bool (*give)(struct net_device *, struct frame_rx *);
	/* Calls `done` for sent frames; then appends up to `max` received frames to `into`, oldest first.
	 * The number received. */
	uint32_t (*poll)(struct net_device *, struct list *into, uint32_t max);
	/* How many buffers the device can hold. */
	uint32_t rx_capacity;
};

#endif
