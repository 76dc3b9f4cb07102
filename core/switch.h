/* The switch between two stacks, the one part of core that knows the processor: switch_ARCH.S. It
 * stands here and not in machine/ because the process on Linux and the simulator run the same
 * fibers. */
#ifndef CORE_SWITCH_H
#define CORE_SWITCH_H

/* Saves what the calling convention preserves on the running stack, stores that stack's pointer in
 * *save, and goes on where `to` was saved. Returns when somebody switches back. */
void switch_stack(void **save, void *to);
/* Lays out a stack that ends at `top` (a multiple of 16) such that a switch to what this returns
 * calls entry(argument). `entry` must not return. Its floating-point modes are the
 * caller's. */
void *switch_prepare(void *top, void (*entry)(void *), void *argument);

#endif
