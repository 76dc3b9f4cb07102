/* Interrupt vectors; for C and for stubs.S. */
#ifndef MACHINE_X86_64_VECTORS_H
#define MACHINE_X86_64_VECTORS_H

#define VECTOR_EXCEPTIONS 32
#define VECTOR_TIMER 0x20   /* the first of the interrupt stubs */
#define VECTOR_DEVICE 0x21  /* the first that machine_vector_allocate gives */
#define VECTOR_COUNT 0x50   /* stubs from VECTOR_TIMER on */
#define VECTOR_SPURIOUS 0xff

#endif
