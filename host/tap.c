/* Each frame goes with a virtio-net header, by which the kernel does for us what a device would: it
 * fills in checksums and cuts TCP segments. It stands in the frame's headroom, so header and
 * payload segments leave in one writev. We take frames from the kernel whose checksum is not filled
 * in, but no segments beyond the MTU: receive buffers are small. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <base/hash.h>

#define RX_MAX 256
#define TX_MAX 256

_Static_assert(sizeof(struct virtio_net_hdr) <= FRAME_TX_HEADROOM, "the header fits the headroom");

static struct tap *tap_of(struct net_device *d)
{
	return CONTAINER_OF(d, struct tap, device);
}

static struct virtio_net_hdr header_of(const struct frame_tx *f)
{
	struct virtio_net_hdr h = {.hdr_len = f->header_len};
	if (f->checksum_start) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = f->checksum_start;
		h.csum_offset = f->checksum_offset;
	}
	switch (f->gso) {
	case FRAME_GSO_NONE: return h;
	case FRAME_GSO_TCP4: h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4; break;
	case FRAME_GSO_TCP6: h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6; break;
	}
	h.gso_size = f->gso_size;
	return h;
}

/* False when the kernel's queue is full. What it refuses is lost, as on a wire. */
static bool write_frame(struct tap *t, struct frame_tx *f)
{
	struct virtio_net_hdr h = header_of(f);
	struct iovec v[1 + FRAME_TX_SEGMENTS_MAX];
	uint8_t *start = f->header + FRAME_TX_HEADROOM - sizeof h;
	memcpy(start, &h, sizeof h);
	v[0] = (struct iovec){start, sizeof h + f->header_len};
	for (uint32_t i = 0; i < f->segment_count; i++)
		v[i + 1] = (struct iovec){(void *)(uintptr_t)f->segment[i].ptr, f->segment[i].len};
	ssize_t n;
	do
		n = writev(t->fd, v, (int)f->segment_count + 1);
	while (n < 0 && errno == EINTR);
	return n >= 0 || errno != EAGAIN;
}

static void write_published(struct tap *t)
{
	while (t->published) {
		struct frame_tx *f = LIST_ENTRY(t->queued.next, struct frame_tx, link);
		if (!write_frame(t, f))
			return;
		list_remove(&f->link);
		list_push_back(&t->written, &f->link);
		t->published--;
		t->queued_count--;
		t->device.tx_frames++;
	}
}

static bool send_frame(struct net_device *d, struct frame_tx *f)
{
	struct tap *t = tap_of(d);
	if (t->queued_count == TX_MAX || f->segment_count > FRAME_TX_SEGMENTS_MAX
		|| f->header_len > FRAME_TX_HEADER_MAX)
		return false;
	list_push_back(&t->queued, &f->link);
	t->queued_count++;
	return true;
}

static void kick(struct net_device *d)
{
	struct tap *t = tap_of(d);
	if (t->published == t->queued_count)
		return;
	t->published = t->queued_count;
	d->tx_kicks++;
	write_published(t);
}

static bool give(struct net_device *d, struct frame_rx *f)
{
	struct tap *t = tap_of(d);
	if (t->empty_count == RX_MAX)
		return false;
	list_push_back(&t->empty, &f->link);
	t->empty_count++;
	return true;
}

static enum frame_checksum checksum_of(const struct virtio_net_hdr *h)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return FRAME_CHECKSUM_PARTIAL;
	return h->flags & VIRTIO_NET_HDR_F_DATA_VALID ? FRAME_CHECKSUM_GOOD : FRAME_CHECKSUM_NONE;
}

/* Fills the buffer; false when the kernel has no frame. What is longer than the buffer is lost. */
static bool read_frame(struct tap *t, struct frame_rx *f)
{
	for (;;) {
		struct virtio_net_hdr h;
		uint8_t more;
		struct iovec v[] = {{&h, sizeof h}, {f->buffer, f->capacity}, {&more, 1}};
		ssize_t n = readv(t->fd, v, 3);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		size_t len = (size_t)n - sizeof h;
		if ((size_t)n < sizeof h + FRAME_MTU_HEADER || len > f->capacity) {
			t->device.rx_dropped++;
			continue;
		}
		f->data = f->buffer;
		f->len = (uint32_t)len;
		f->frag = NULL;
		f->checksum = checksum_of(&h);
		return true;
	}
}

static uint32_t poll_device(struct net_device *d, struct list *into, uint32_t max)
{
	struct tap *t = tap_of(d);
	struct list *e;
	uint32_t received = 0;
	write_published(t);
	while ((e = list_pop_front(&t->written)) != NULL) {
		struct frame_tx *f = LIST_ENTRY(e, struct frame_tx, link);
		f->done(f->owner, f);
	}
	while (received < max && !list_is_empty(&t->empty)) {
		struct frame_rx *f = LIST_ENTRY(t->empty.next, struct frame_rx, link);
		if (!read_frame(t, f))
			break;
		list_remove(&f->link);
		t->empty_count--;
		list_push_back(into, &f->link);
		received++;
	}
	d->rx_frames += received;
	return received;
}

short tap_events(const struct tap *t)
{
	return (short)((list_is_empty(&t->empty) ? 0 : POLLIN) | (t->published ? POLLOUT : 0));
}

bool tap_has_work(const struct tap *t)
{
	return !list_is_empty(&t->written);
}

static err explain(struct writer *why, const char *name, const char *what, err e)
{
	write_bytes(why, SLICE("network interface "));
	write_bytes(why, slice_from_cstr(name));
	write_bytes(why, SLICE(": "));
	write_bytes(why, slice_from_cstr(what));
	return e;
}

static err attach(int fd, const char *name, struct writer *why)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header_len = (int)sizeof(struct virtio_net_hdr);
	memcpy(r.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &r) < 0) {
		if (errno == EBUSY)
			return explain(why, name, "in use by another process", ERR(BUSY));
		return explain(why, name, strerror(errno), errno == EPERM ? ERR(DENIED) : ERR(IO));
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_len) < 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM) < 0)
		return explain(why, name, strerror(errno), ERR(UNSUPPORTED));
	return OK;
}

static uint16_t read_mtu(const char *name)
{
	struct ifreq r = {.ifr_mtu = 1500};
	memcpy(r.ifr_name, name, strlen(name));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &r) < 0 || r.ifr_mtu < 1280 || r.ifr_mtu > 65535)
		r.ifr_mtu = 1500;
	if (fd >= 0)
		close(fd);
	return (uint16_t)r.ifr_mtu;
}

/* Our end's address, locally administered; the same for the same name, so that leases stay. */
static void choose_mac(uint8_t mac[6], const char *name)
{
	uint64_t h = hash_sip13((struct hash_key){0x696e676f74, 6}, slice_from_cstr(name));
	memcpy(mac, &h, 6);
	mac[0] = 0x02;
}

err tap_open(struct tap *t, const char *name, struct writer *why)
{
	if (strlen(name) == 0 || strlen(name) >= IFNAMSIZ)
		return explain(why, name, "a name has 1 to 15 characters", ERR(INVALID));
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return explain(why, name, "cannot open /dev/net/tun", ERR(DENIED));
	err e = attach(fd, name, why);
	if (failed(e)) {
		close(fd);
		return e;
	}
	*t = (struct tap){
		.device = {.mtu = read_mtu(name), .tx_checksum = true, .tx_tso4 = true,
			.tx_tso6 = true, .tx_segments_max = FRAME_TX_SEGMENTS_MAX,
			.send = send_frame, .kick = kick, .give = give, .poll = poll_device,
			.rx_capacity = RX_MAX},
		.fd = fd,
	};
	memcpy(t->device.name, name, strlen(name));
	choose_mac(t->device.mac, name);
	list_init(&t->empty);
	list_init(&t->queued);
	list_init(&t->written);
	return OK;
}

void tap_close(struct tap *t)
{
	close(t->fd);
}
