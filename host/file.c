/* Requests are carried out synchronously, in poll: slow, but with the same rules as a real device.
 *
 *   submit --> submitted --kick--> kicked --poll--> done
 *
 * What is not kicked does not happen, so that a forgotten kick shows here too. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512u
#define IN_FLIGHT_MAX 128
#define TRANSFER_MAX (1u << 20)

static struct file *file_of(struct block_device *d)
{
	return CONTAINER_OF(d, struct file, device);
}

static bool submit(struct block_device *d, struct block_request *r)
{
	struct file *f = file_of(d);
	if (f->in_flight == IN_FLIGHT_MAX)
		return false;
	f->in_flight++;
	list_push_back(&f->submitted, &r->link);
	return true;
}

static void kick(struct block_device *d)
{
	struct file *f = file_of(d);
	struct list *e;
	while ((e = list_pop_front(&f->submitted)) != NULL) {
		list_push_back(&f->kicked, e);
		f->kicked_count++;
	}
}

static bool is_in_range(const struct file *f, const struct block_request *r)
{
	return r->sector <= f->device.sector_count
		&& r->sector_count <= f->device.sector_count - r->sector;
}

/* Whole buffers in one call; a rest, should the kernel do less, buffer by buffer is not worth it:
 * less is an error at the end of a file and on a full disk only. */
static err transfer(struct file *f, struct block_request *r)
{
	struct iovec v[BLOCK_BUFFERS_MAX];
	uint64_t total = 0;
	if (r->buffer_count == 0 || r->buffer_count > BLOCK_BUFFERS_MAX)
		return ERR(INVALID);
	for (uint32_t i = 0; i < r->buffer_count; i++) {
		v[i] = (struct iovec){r->buffer[i].ptr, r->buffer[i].len};
		total += r->buffer[i].len;
	}
	if (total != (uint64_t)r->sector_count * SECTOR || total > TRANSFER_MAX)
		return ERR(INVALID);
	off_t at = (off_t)(r->sector * SECTOR);
	ssize_t n;
	do
		n = r->op == BLOCK_READ ? preadv(f->fd, v, (int)r->buffer_count, at)
					: pwritev(f->fd, v, (int)r->buffer_count, at);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)total ? OK : ERR(IO);
}

static err discard(struct file *f, const struct block_request *r)
{
	/* A hint: what the file system cannot do is no failure. */
	int e = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)(r->sector * SECTOR), (off_t)r->sector_count * SECTOR);
	return e == 0 || errno == EOPNOTSUPP || r->sector_count == 0 ? OK : ERR(IO);
}

static err carry_out(struct file *f, struct block_request *r)
{
	if (r->op != BLOCK_FLUSH && !is_in_range(f, r))
		return ERR(INVALID);
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE: return transfer(f, r);
	case BLOCK_FLUSH: return fdatasync(f->fd) == 0 ? OK : ERR(IO);
	case BLOCK_DISCARD: return discard(f, r);
	}
	return ERR(INVALID);
}

/* What `done` submits and kicks waits for the next poll. */
static uint32_t poll(struct block_device *d)
{
	struct file *f = file_of(d);
	uint32_t due = f->kicked_count;
	for (uint32_t i = 0; i < due; i++) {
		struct list *e = list_pop_front(&f->kicked);
		struct block_request *r = LIST_ENTRY(e, struct block_request, link);
		f->kicked_count--;
		f->in_flight--;
		r->result = carry_out(f, r);
		r->done(r);
	}
	return due;
}

bool file_has_work(const struct file *f)
{
	return f->kicked_count > 0;
}

static err explain(struct writer *why, const char *path, const char *what, err e)
{
	write_bytes(why, slice_from_cstr(path));
	write_bytes(why, SLICE(": "));
	write_bytes(why, slice_from_cstr(what));
	return e;
}

/* Two locks, both the open file's: one spans all of it, so that it excludes an emulator that has the
 * same volume open and locks single bytes; the other is the one that `ingot run` takes. */
static err lock(int fd, const char *path, struct writer *why)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_OFD_SETLK, &l) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return OK;
	if (errno == EAGAIN || errno == EACCES)
		return explain(why, path, "in use by another process; stop that first", ERR(BUSY));
	return explain(why, path, strerror(errno), ERR(IO));
}

static err measure(int fd, const char *path, uint64_t wanted, struct writer *why, uint64_t *size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return explain(why, path, strerror(errno), ERR(IO));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return explain(why, path, "neither a file nor a block device", ERR(INVALID));
	off_t end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return explain(why, path, strerror(errno), ERR(IO));
	*size = (uint64_t)end;
	if (*size == 0 && wanted && S_ISREG(st.st_mode)) {
		if (ftruncate(fd, (off_t)wanted) < 0)
			return explain(why, path, strerror(errno), ERR(IO));
		*size = wanted;
	}
	if (*size < SECTOR)
		return explain(why, path, "smaller than one sector of 512 bytes", ERR(INVALID));
	return OK;
}

err file_open(struct file *f, const char *path, const struct file_options *o, struct writer *why)
{
	int how = o->read_only ? O_RDONLY : o->must_exist ? O_RDWR : O_RDWR | O_CREAT;
	int fd = open(path, how | O_CLOEXEC, 0600);
	if (fd < 0)
		return explain(why, path, strerror(errno), ERR(IO));
	uint64_t bytes = 0;
	err e = o->read_only ? OK : lock(fd, path, why);
	if (!failed(e))
		e = measure(fd, path, o->read_only ? 0 : o->size, why, &bytes);
	if (failed(e)) {
		close(fd);
		return e;
	}
	*f = (struct file){
		.device = {.sector_size = SECTOR, .sector_count = bytes / SECTOR,
			.read_only = o->read_only, .has_flush = true, .has_discard = true, .buffers_max = BLOCK_BUFFERS_MAX,
			.transfer_max = TRANSFER_MAX, .name = "file0", .submit = submit,
			.kick = kick, .poll = poll},
		.fd = fd,
	};
	list_init(&f->submitted);
	list_init(&f->kicked);
	return OK;
}

void file_close(struct file *f)
{
	close(f->fd);
}
