/* Output goes to the log by lines; there are no files. */
#include "private.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

static void line_end(struct libc_line *line)
{
	struct log *log = libc_context()->config.log;
	if (log && line->len)
		log_write(log, line->level, "app", "%.*s", (int)line->len, line->text);
	line->len = 0;
}

static void line_put(struct libc_line *line, struct slice text)
{
	while (text.len) {
		size_t end = slice_index(text, '\n');
		size_t room = LIBC_LINE_MAX - line->len;
		size_t part = end < room ? end : room;
		memcpy(line->text + line->len, text.ptr, part);
		line->len += (uint32_t)part;
		bool at_newline = part == end && end < text.len;
		if (at_newline || line->len == LIBC_LINE_MAX)
			line_end(line);
		text = slice_sub(text, part + at_newline, text.len);
	}
}

long sys_write(long fd, long bytes, long len)
{
	if (fd != 1 && fd != 2)
		return -EBADF;
	if (len > 0)
		line_put(&libc_context()->out[fd - 1], slice_of((const void *)bytes, (size_t)len));
	return len;
}

long sys_writev(long fd, long vectors, long count)
{
	const struct iovec *v = (const void *)vectors;
	long total = 0;
	for (long i = 0; i < count; i++) {
		long n = sys_write(fd, (long)v[i].iov_base, (long)v[i].iov_len);
		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

/* Asked by stdio whether it is a terminal. */
long sys_ioctl(long fd, long request, long argument)
{
	(void)request, (void)argument;
	return fd >= 0 && fd <= 2 ? -ENOTTY : -EBADF;
}

long sys_open(long path, long flags, long mode)
{
	(void)path, (void)flags, (void)mode;
	return -ENOENT;
}

long sys_openat(long dir, long path, long flags, long mode)
{
	(void)dir;
	return sys_open(path, flags, mode);
}

long sys_close(long fd)
{
	return fd >= 0 && fd <= 2 ? 0 : -EBADF;
}

/* Standard input is at its end. */
long sys_read(long fd, long bytes, long len)
{
	(void)bytes, (void)len;
	return fd == 0 ? 0 : -EBADF;
}

long sys_readv(long fd, long vectors, long count)
{
	return sys_read(fd, vectors, count);
}

long sys_lseek(long fd, long offset, long whence)
{
	(void)offset, (void)whence;
	return fd >= 0 && fd <= 2 ? -ESPIPE : -EBADF;
}

long sys_fcntl(long fd, long command, long argument)
{
	(void)command, (void)argument;
	return fd >= 0 && fd <= 2 ? 0 : -EBADF;
}

long sys_access(long path, long mode)
{
	(void)path, (void)mode;
	return -ENOENT;
}

long sys_stat(long path, long result)
{
	(void)path, (void)result;
	return -ENOENT;
}

long sys_lstat(long path, long result)
{
	return sys_stat(path, result);
}

long sys_fstat(long fd, long result)
{
	(void)fd, (void)result;
	return -EBADF;
}

long sys_newfstatat(long dir, long path, long result, long flags)
{
	(void)dir, (void)flags;
	return sys_stat(path, result);
}

long sys_unlink(long path)
{
	(void)path;
	return -ENOENT;
}

long sys_readlink(long path, long buffer, long len)
{
	(void)path, (void)buffer, (void)len;
	return -ENOENT;
}
