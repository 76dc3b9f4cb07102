/* A simulated Ethernet in virtual time: hosts on one switch, each with a network card and a link of its
 * own. All that happens follows from the seed; nothing depends on addresses in memory or on the host's
 * clock.
 *
 *   host --sim_port_send--> card --up--> switch --down--> card --sim_port_receive--> host
 *
 * The card reads the payload where the application has it, holds each frame for a while before `done`,
 * and checks then that the payload has not changed: who lets go of memory too early is caught (an
 * assertion). It cuts GSO frames into segments and fills in checksums, as a device does. Received frames
 * lie in buffers of the card's until they are put back; while none is free, frames are dropped.
 *
 * `up` and `down` are the two directions of a link, each with its own faults, which may be changed at any
 * time. Host memory from malloc. */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include <base/frame.h>
#include <sim/platform.h>

#define SIM_PORTS_MAX 8
#define SIM_EVENTS_MAX 32768
#define SIM_FRAME_MAX 9018

/* One direction of a link. Chances are of 10,000 frames. */
struct sim_path {
	uint32_t loss, duplicate, reorder;
	uint32_t mark;          /* congestion experienced (RFC 3168), on what is capable of it */
	uint32_t corrupt;       /* one byte of an IP packet changes */
	uint32_t forge;         /* the same, and checksums are mended: no stack can notice */
	uint64_t delay_ns;
	uint64_t jitter_ns;     /* up to so much is added, in order; twice that for what is reordered */
	uint64_t bytes_per_s;   /* 0: no limit */
	uint32_t queue_max;     /* bytes that wait for their turn; what comes on top is dropped */
	uint32_t mtu;           /* bytes of IP packet */
	bool tells_mtu;         /* what is larger is answered by ICMP, as a router does; else it is just lost */
	bool down;

	uint64_t free_ns, last_ns; /* the simulator's: when the line is free; the latest arrival */
};

/* What the card says about the checksum of what it received. */
enum sim_rx_checksum {
	SIM_RX_UNCHECKED, /* never looked at */
	SIM_RX_VERIFIED,  /* GOOD when it is */
	SIM_RX_PARTIAL,   /* the same; and frames of other such cards come with the checksum not filled in */
};

struct sim_port_config {
	uint8_t mac[6];
	uint32_t tx_ring;      /* frames that the card can hold */
	uint32_t rx_buffers;
	uint32_t rx_size;      /* bytes for frames in each */
	uint32_t rx_headroom;  /* bytes of the buffer before a frame */
	bool rx_split;         /* a frame may come in several buffers, cut anywhere but in its headers */
	enum sim_rx_checksum rx_checksum;
	uint64_t done_ns_max;  /* the card gives a frame back within that time */
};

struct sim_rx_buffer;
struct sim_network;

struct sim_port {
	struct sim_network *network;
	uint32_t index;
	struct sim_port_config config;
	struct sim_path up, down;
	/* May be changed at any time. */
	uint32_t rx_withheld;  /* so many buffers are not to be had */
	bool tx_held;          /* no frame is given back until it is false again */
	/* The simulator's. */
	uint64_t random;
	uint32_t epoch;        /* of the host's life: frames of an earlier one are nobody's */
	uint32_t tx_used;
	struct list tx_waiting; /* done, while tx_held */
	struct sim_rx_buffer *buffers;
	struct list rx_free, rx_ready;
	uint32_t rx_free_count;
	uint64_t sent, received, refused, rx_dropped;
};

/* What has happened to a frame. */
enum sim_fate {
	SIM_SENT,       /* a card has put it on its link */
	SIM_ARRIVED,    /* a card has it in a buffer */
	SIM_DUPLICATED,
	SIM_CORRUPTED,  /* and goes on */
	SIM_FORGED,
	SIM_ANSWERED,   /* made by the switch: ICMP about another one, or injected */
	SIM_LOST,       /* from here on: gone */
	SIM_LINK_DOWN,
	SIM_QUEUE_FULL,
	SIM_TOO_BIG,
	SIM_NO_BUFFER,
	SIM_NO_STATION, /* nobody has that address */
};

/* A frame on the wire. */
struct sim_frame {
	uint64_t number; /* in order of sending; a duplicate has the same */
	uint32_t from, to; /* ports; `to` is SIM_PORTS_MAX when it goes to all or nobody */
	uint32_t len;
	uint16_t checksum_start, checksum_offset; /* not filled in yet; 0: nothing to do */
	uint8_t bytes[];
};

struct sim_event {
	uint64_t at_ns, order;
	uint32_t port, epoch;
	bool at_switch;
	struct sim_frame *frame; /* or NULL: */
	struct sim_tx *tx;       /* the card is done with it */
};

struct sim_network {
	uint64_t now_ns;
	uint64_t random;
	uint64_t hash;   /* of all that was sent and has arrived, with its time */
	uint64_t frames; /* sent so far */
	uint32_t ports;
	struct sim_port port[SIM_PORTS_MAX];
	struct sim_event *heap; /* SIM_EVENTS_MAX */
	uint32_t events;
	uint64_t order;
	/* Sees everything; may be NULL. */
	void (*tap)(void *cookie, enum sim_fate fate, const struct sim_frame *frame);
	/* Called when a host has a frame to receive or got one back; may be NULL. */
	void (*attention)(void *cookie, struct sim_port *port);
	void *cookie;
};

API_BEGIN
void sim_network_init(struct sim_network *n, uint64_t seed, uint64_t now_ns);
void sim_network_free(struct sim_network *n);
/* A card on a link without faults. ASSERTs that there is room. */
struct sim_port *sim_network_add(struct sim_network *n, const struct sim_port_config *config);
/* When the next thing happens; UINT64_MAX: nothing is under way. */
uint64_t sim_network_next(const struct sim_network *n);
/* All that happens up to now_ns. */
void sim_network_advance(struct sim_network *n, uint64_t now_ns);
/* A frame, as if another had sent it, appears in the card's buffers at once. Copied. */
void sim_network_inject(struct sim_network *n, struct sim_port *to, struct slice frame);
const char *sim_fate_text(enum sim_fate fate);

/* False: the ring is full, and the frame is still the caller's. */
bool sim_port_send(struct sim_port *p, struct frame_tx *frame) MUST_USE;
/* The next received frame, or NULL. */
struct frame_rx *sim_port_receive(struct sim_port *p);
/* Lets go of what was held. */
void sim_port_tx_release(struct sim_port *p);
/* Buffers that the host has not put back. */
uint32_t sim_port_rx_held(const struct sim_port *p);
/* The host has lost its memory: nothing is given back, and all buffers are the card's again. */
void sim_port_reset(struct sim_port *p);

/* Writes a pcap file's header, and a frame (nanosecond stamps, Ethernet), to an open stdio file. */
void sim_pcap_begin(void *file);
void sim_pcap_frame(void *file, uint64_t at_ns, const struct sim_frame *frame);
API_END

#endif
