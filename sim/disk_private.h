/* What disk.c (the device) and disk_cut.c (what a power cut leaves) share. */
#ifndef SIM_DISK_PRIVATE_H
#define SIM_DISK_PRIVATE_H

#include <sim/disk.h>

#define SIM_SECTOR 512u /* bytes that survive together */
#define SIM_NOT_YET UINT64_MAX

struct sim_disk_op {
	bool flush;
	bool forgotten; /* no flush will ever cover it: it has failed, or the device has lost it */
	uint64_t submitted, done, durable; /* event numbers */
	uint64_t offset, len;              /* bytes */
	uint8_t *data;
	uint8_t *undo; /* what was there, while `floor` holds this */
};

void *sim_must(void *p);
void sim_marks_init(struct sim_marks *m, uint64_t blocks);
void sim_marks_free(struct sim_marks *m);
/* Nothing happens while the marks are not in use. */
void sim_marks_add(struct sim_marks *m, uint64_t offset, uint64_t len);
void sim_marks_clear(struct sim_marks *m);
/* Drops the recording. */
void sim_disk_forget(struct sim_disk *d);
/* A flush has been completed: what it covers is settled. */
void sim_disk_settle(struct sim_disk *d, const struct sim_disk_op *flush);

#endif
