/* Assertions: for bugs only, in production too. What comes from the network, a disk, a hypervisor or
 * a user is validated and refused with an err, never asserted. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <base/api.h>

API_BEGIN

/* Stops the machine (guest) or aborts the process (host) after reporting. Implemented by machine/,
 * host/ and the unit tests' support code; never returns. `what` and `file` are static strings. */
_Noreturn void assert_fail(const char *what, const char *file, int line);

API_END

#define ASSERT(cond) ((cond) ? (void)0 : assert_fail(#cond, __FILE__, __LINE__))
#define UNREACHABLE() assert_fail("unreachable", __FILE__, __LINE__)

#endif
