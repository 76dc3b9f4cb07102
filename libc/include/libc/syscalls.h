/* The system calls under musl, as functions: what musl's own code calls instead of trapping into a
 * kernel (see libc/musl/syscall_arch.h). Arguments and results are those of Linux on the same
 * architecture: a result from -4095 to -1 is a negated errno. Pointers arrive as long.
 *
 * Only what makes sense without an operating system is here. Anything else that a program reaches
 * fails to link with the names of the caller and the call, which is meant.
 *
 * The build reads this file (one prototype a line) to learn how many arguments each call takes. */
#ifndef LIBC_SYSCALLS_H
#define LIBC_SYSCALLS_H

#include <base/api.h>

API_BEGIN

/* Output: file descriptors 1 and 2 are the log, by lines; others are -EBADF. */
long sys_write(long fd, long bytes, long len);
long sys_writev(long fd, long vectors, long count);
long sys_ioctl(long fd, long request, long argument);

/* There are no files: nothing can be opened (-ENOENT), no descriptor reads, seeks or closes. */
long sys_open(long path, long flags, long mode);
long sys_openat(long dir, long path, long flags, long mode);
long sys_close(long fd);
long sys_read(long fd, long bytes, long len);
long sys_readv(long fd, long vectors, long count);
long sys_lseek(long fd, long offset, long whence);
long sys_fcntl(long fd, long command, long argument);
long sys_access(long path, long mode);
long sys_stat(long path, long result);
long sys_lstat(long path, long result);
long sys_fstat(long fd, long result);
long sys_newfstatat(long dir, long path, long result, long flags);
long sys_unlink(long path);
long sys_readlink(long path, long buffer, long len);

/* Time: the platform's monotonic and wall clocks. A sleep parks the fiber. */
long sys_clock_gettime(long clock, long result);
long sys_clock_getres(long clock, long result);
long sys_gettimeofday(long result, long zone);
long sys_nanosleep(long request, long remaining);
long sys_clock_nanosleep(long clock, long flags, long request, long remaining);
long sys_sched_yield(void);

/* Entropy from the platform; never short, or -EIO. */
long sys_getrandom(long bytes, long len, long flags);

/* Anonymous private memory from the heap that libc_init was given; -ENOMEM when it is used up. */
long sys_brk(long end);
long sys_mmap(long hint, long len, long protection, long flags, long fd, long offset);
long sys_munmap(long at, long len);
long sys_mremap(long at, long old_len, long new_len, long flags, long hint);
long sys_madvise(long at, long len, long advice);
long sys_mprotect(long at, long len, long protection);

/* One process, one thread, no signals. */
long sys_getpid(void);
long sys_gettid(void);
long sys_set_tid_address(long at);
long sys_exit(long status);
long sys_exit_group(long status);
long sys_rt_sigprocmask(long how, long set, long old, long size);
long sys_rt_sigaction(long signal, long action, long old, long size);
long sys_tkill(long thread, long signal);
long sys_futex(long word, long operation, long value, long timeout, long word2, long value3);

API_END

#endif
