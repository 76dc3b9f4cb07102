/* Allocations of the store (frames, deltas, requests) that fail. The linker leads them here (--wrap). */
#ifndef STORE_SUPPORT_SIM_MEMORY_H
#define STORE_SUPPORT_SIM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* From now on allocation number `n` fails; 0: none. */
void seam_fail_allocation(uint64_t n);
bool seam_has_failed(void);

#endif
