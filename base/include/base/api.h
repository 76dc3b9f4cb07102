/* Which declarations are a module's API.
 *
 * Everything is compiled with hidden visibility. A public header stands between API_BEGIN and
 * API_END, which make what it declares visible; the build then links each module into one
 * relocatable object and turns every symbol that is still hidden into a local one. So a name that
 * no public header declares cannot be reached from another module, by any `extern`. */
#ifndef BASE_API_H
#define BASE_API_H

#define API_BEGIN _Pragma("GCC visibility push(default)")
#define API_END _Pragma("GCC visibility pop")

/* Placed on declarations. */
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ALIGNED(n) __attribute__((aligned(n)))
#define UNUSED __attribute__((unused))
#define COLD __attribute__((cold, noinline))
#define NOINLINE __attribute__((noinline)) /* what a hot function does seldom: it should not pay for it */
#define ALWAYS_INLINE __attribute__((always_inline))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* The structure of type T whose member M is at pointer p. */
#define CONTAINER_OF(p, T, M) ((T *)(void *)((char *)(p) - offsetof(T, M)))

#endif
