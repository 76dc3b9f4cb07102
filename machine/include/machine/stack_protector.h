/* What the compiler's stack protector calls for in every module of a guest: not for use by hand. */
#ifndef MACHINE_STACK_PROTECTOR_H
#define MACHINE_STACK_PROTECTOR_H

#include <base/api.h>
#include <stdint.h>

API_BEGIN
/* The canary; boot code draws it before any C runs, and nothing changes it afterwards. */
extern uintptr_t __stack_chk_guard;
/* A function found its canary overwritten: stops the machine. */
_Noreturn void __stack_chk_fail(void);
API_END

#endif
