/* What the loop needs to know of fibers; core's own. */
#ifndef CORE_FIBER_PRIVATE_H
#define CORE_FIBER_PRIVATE_H

#include <core/loop.h>

#define FIBER_GUARD 4096u

/* Makes the stacks below `memory` (see loop_memory_size) the loop's pool. */
void fiber_pool_init(struct loop *loop, void *memory, uint32_t count, size_t stack_size);
/* Runs what is runnable; the number of switches. Bounded, so that devices get their turn. */
uint32_t fiber_run_all(struct loop *loop);

#endif
