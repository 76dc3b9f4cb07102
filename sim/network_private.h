/* Between the switch (network.c) and the cards (network_card.c). */
#ifndef NETWORK_PRIVATE_H
#define NETWORK_PRIVATE_H

#include <sim/network.h>

/* A frame at the card. */
struct sim_tx {
	struct list link;
	struct frame_tx *frame;
	uint32_t epoch;
	uint64_t sum; /* over the payload, as it was */
};

/* network.c */
void sim_event_add(struct sim_network *n, struct sim_event e);
struct sim_frame *sim_frame_new(uint32_t len);
/* Fills in the checksum that was left to the card. */
void sim_frame_complete(struct sim_frame *f);
void sim_fate(struct sim_network *n, enum sim_fate fate, const struct sim_frame *f);
/* Onto one direction of the port's link. Consumes the frame. */
void sim_path_take(struct sim_network *n, struct sim_port *port, bool up, struct sim_frame *f);

/* network_card.c */
void sim_card_init(struct sim_port *p);
void sim_card_free(struct sim_port *p);
void sim_card_done(struct sim_port *p, struct sim_tx *tx);
/* Consumes the frame. */
void sim_card_arrival(struct sim_port *p, struct sim_frame *f);

#endif
