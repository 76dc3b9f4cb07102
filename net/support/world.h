/* Two engines on a simulated link in virtual time, for tests. All that happens follows from the seed.
 *
 * The device of each station holds a frame for a while before `done`, and checks then that its payload has
 * not changed: an engine that lets go of application memory too early is caught. */
#ifndef WORLD_H
#define WORLD_H

#include <base/timer.h>
#include <net/net.h>

#define WORLD_RX_FRAMES 1600
#define WORLD_RX_SIZE 2048

struct faults {
	uint32_t loss, duplicate, corrupt, reorder; /* of 10,000 frames */
	uint64_t delay_ns, jitter_ns;
	uint64_t rate_bps; /* bytes a second; 0: no limit */
};

struct packet {
	struct list link;
	uint64_t at_ns;
	uint32_t len;
	uint8_t bytes[WORLD_RX_SIZE];
};

struct sent {
	struct list link;
	struct frame_tx *frame;
	uint64_t at_ns;
	uint64_t sum; /* over the payload */
};

struct buffer {
	struct frame_rx frame;
	bool out;
	uint8_t bytes[WORLD_RX_SIZE];
};

struct station {
	struct net *net;
	void *memory;
	struct random random;
	struct buffer *buffers;
	uint32_t buffers_out;
	struct list inbox;   /* packets by time of arrival */
	struct list at_device; /* struct sent */
	uint64_t line_free_ns;
};

struct world {
	uint64_t now_ns, rng;
	struct faults faults;
	struct station station[2];
	uint64_t hash; /* of everything that was on the wire */
	uint64_t packets;
	bool fragment;  /* give frames in two buffers now and then */
	bool trust;     /* mark intact frames as checked by the device */
	/* Sees each packet before the faults; false: drop it. May be NULL. */
	bool (*filter)(struct world *, uint32_t from, uint8_t *bytes, uint32_t len);
	void *cookie;
};

#define WORLD_A_IP 0x0a000001u
#define WORLD_B_IP 0x0a000002u

/* fd00::1 and fd00::2, or the ones above. */
struct net_address world_address(uint32_t i, bool ip6);
/* Gives station i its IPv6 address too. It may be used WORLD_IP6_READY_NS after the start. */
void world_config_ip6(struct net_config *config, uint32_t i);
#define WORLD_IP6_READY_NS UINT64_C(5000000000)

uint64_t world_random(struct world *w);
uint32_t world_below(struct world *w, uint32_t bound);
/* config of station i for changes before world_start. */
struct net_config world_config(struct world *w, uint32_t i);
void world_init(struct world *w, uint64_t seed);
void world_start(struct world *w, uint32_t i, const struct net_config *config);
void world_deinit(struct world *w);
/* Gives a frame to a station at once. */
void world_inject(struct world *w, uint32_t to, const void *bytes, uint32_t len);
/* Takes what both want to send, then moves time to the next arrival or deadline, no further than until_ns.
 * False: nothing is left to happen before it. */
bool world_step(struct world *w, uint64_t until_ns);
/* Steps until until_ns, with `serve` (may be NULL) after each step. */
void world_run(struct world *w, uint64_t until_ns, void (*serve)(struct world *));

#endif
