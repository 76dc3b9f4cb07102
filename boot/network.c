/* Frames between device and engine. A round of the loop: the device's frames go in, the server and
 * its fibers run, and what the engine has to say goes out with one notification at the end, so that
 * acknowledgements ride on responses. */
#include "network.h"

#include <base/cursor.h>
#include <base/hash.h>

enum { FRAMES_IN_A_ROUND = 64 };

static void buffer_put(void *owner, struct frame_rx *frame)
{
	struct network *n = owner;
	frame->data = frame->buffer;
	frame->len = 0;
	frame->frag = NULL;
	if (!n->device->give(n->device, frame))
		pool_put(n->buffers, frame);
	else if (n->taken)
		n->taken--;
}

/* Puts up to `max` of the pool's buffers into the device's ring. The engine may hold many that the
 * device has filled; as long as the pool has others, the device is never without. */
static void buffers_give(struct network *n, uint32_t max)
{
	for (uint32_t i = 0; i < max; i++) {
		struct frame_rx *frame = pool_get(n->buffers);
		if (!frame)
			return;
		*frame = (struct frame_rx){
			.buffer = (uint8_t *)(frame + 1),
			.capacity = NETWORK_BUFFER_SIZE - sizeof *frame,
			.put = buffer_put,
			.owner = n,
		};
		list_init(&frame->link);
		frame->data = frame->buffer;
		if (!n->device->give(n->device, frame)) {
			pool_put(n->buffers, frame);
			return;
		}
	}
}

static void listening_report(const struct network *n, uint32_t address)
{
	if (n->port && address)
		log_write(n->log, LOG_INFO, "http", "listening on %u.%u.%u.%u:%u", address >> 24,
			address >> 16 & 255, address >> 8 & 255, address & 255, n->port);
}

static const char *origin4(const struct net_ipv4 *ip)
{
	switch (ip->state) {
	case NET_IPV4_BOUND: return "DHCP";
	case NET_IPV4_LINK_LOCAL: return "choice, since DHCP does not answer";
	case NET_IPV4_NONE:
	case NET_IPV4_STATIC: break;
	}
	return "configuration";
}

static void address_report(struct network *n)
{
	struct net_ipv4 ip = net_ipv4(n->net);
	if (ip.generation == n->address_generation)
		return;
	n->address_generation = ip.generation;
	if (ip.state == NET_IPV4_NONE) {
		log_write(n->log, LOG_WARN, "net", "no address");
		return;
	}
	log_write(n->log, LOG_INFO, "net", "address %u.%u.%u.%u, router %u.%u.%u.%u, by %s",
		ip.address >> 24, ip.address >> 16 & 255, ip.address >> 8 & 255, ip.address & 255,
		ip.gateway >> 24, ip.gateway >> 16 & 255, ip.gateway >> 8 & 255, ip.gateway & 255,
		origin4(&ip));
	listening_report(n, ip.address);
}

/* --- IPv6 -------------------------------------------------------------------------------------- */

/* The text lies in `bytes`. */
static struct slice address_text(const struct net_address *a, uint8_t bytes[NET_ADDRESS_TEXT_MAX])
{
	struct writer w = writer_of(bytes, NET_ADDRESS_TEXT_MAX);
	net_address_write(&w, a);
	return writer_slice(&w);
}

static bool is_in_use(const struct net_ipv6_address *a)
{
	return a->state == NET_IPV6_OPTIMISTIC || a->state == NET_IPV6_PREFERRED;
}

static void listening6_report(const struct network *n, const struct net_ipv6_address *a)
{
	uint8_t bytes[NET_ADDRESS_TEXT_MAX];
	if (n->port && is_in_use(a) && a->origin != NET_IPV6_LINK_LOCAL)
		log_write(n->log, LOG_INFO, "http", "listening on [%.*s]:%u",
			SLICE_ARG(address_text(&a->address, bytes)), n->port);
}

static void address6_report(const struct network *n, const struct net_ipv6_address *a)
{
	static const char *const origin[] = {
		[NET_IPV6_LINK_LOCAL] = "for this link",
		[NET_IPV6_ROUTER] = "by router advertisement",
		[NET_IPV6_CONFIGURED] = "by configuration",
	};
	uint8_t bytes[NET_ADDRESS_TEXT_MAX];
	struct slice text = address_text(&a->address, bytes);
	switch (a->state) {
	case NET_IPV6_TENTATIVE:
		return;
	case NET_IPV6_DUPLICATE:
		log_write(n->log, LOG_WARN, "net", "address %.*s is not used: another machine has it",
			SLICE_ARG(text));
		return;
	case NET_IPV6_DEPRECATED:
		log_write(n->log, LOG_INFO, "net", "address %.*s is deprecated", SLICE_ARG(text));
		return;
	case NET_IPV6_OPTIMISTIC:
	case NET_IPV6_PREFERRED:
		log_write(n->log, a->origin == NET_IPV6_LINK_LOCAL ? LOG_DEBUG : LOG_INFO, "net",
			"address %.*s/%u %s", SLICE_ARG(text), a->prefix_len, origin[a->origin]);
		listening6_report(n, a);
		return;
	}
}

/* The same address in a snapshot; NULL: it is not there. */
static const struct net_ipv6_address *address6_find(const struct net_ipv6 *in, const struct net_address *a)
{
	for (uint32_t i = 0; i < in->count; i++)
		if (net_address_equal(&in->address[i].address, a))
			return &in->address[i];
	return NULL;
}

static void router6_report(const struct network *n, const struct net_ipv6 *now)
{
	uint8_t bytes[NET_ADDRESS_TEXT_MAX];
	if (net_address_equal(&now->router, &n->ipv6.router))
		return;
	if (net_address_is_unspecified(&now->router))
		log_write(n->log, LOG_WARN, "net", "no IPv6 router any more");
	else
		log_write(n->log, LOG_INFO, "net", "IPv6 router %.*s", SLICE_ARG(address_text(&now->router, bytes)));
}

/* What is new since the last time; that an address has been found free is not. */
static void addresses6_report(struct network *n)
{
	struct net_ipv6 now;
	uint8_t bytes[NET_ADDRESS_TEXT_MAX];
	if (LIKELY(net_ipv6_generation(n->net) == n->ipv6.generation))
		return;
	net_ipv6(n->net, &now);
	for (uint32_t i = 0; i < n->ipv6.count; i++) {
		const struct net_address *a = &n->ipv6.address[i].address;
		if (!address6_find(&now, a))
			log_write(n->log, LOG_INFO, "net", "address %.*s is gone", SLICE_ARG(address_text(a, bytes)));
	}
	for (uint32_t i = 0; i < now.count; i++) {
		const struct net_ipv6_address *a = &now.address[i];
		const struct net_ipv6_address *before = address6_find(&n->ipv6, &a->address);
		if (!before || (before->state != a->state && !(is_in_use(before) && is_in_use(a))))
			address6_report(n, a);
	}
	router6_report(n, &now);
	n->ipv6 = now;
}

void network_secret(struct slice given, struct slice name, const uint8_t mac[6], uint8_t out[32])
{
	if (given.len)
		hash_hmac_sha256(SLICE("ingot ip6.secret"), given, out);
	else
		hash_hmac_sha256(slice_of(mac, 6), name, out);
}

static bool network_poll(struct loop_client *client)
{
	struct network *n = CONTAINER_OF(client, struct network, client);
	struct list frames;
	list_init(&frames);
	uint32_t count = n->device->poll(n->device, &frames, FRAMES_IN_A_ROUND);
	for (struct list *e; (e = list_pop_front(&frames));)
		net_input(n->net, LIST_ENTRY(e, struct frame_rx, link), n->loop->now_ns);
	if (count)
		loop_trace(n->loop, "frames in", count, 0);
	n->taken += count;
	net_advance(n->net, n->loop->now_ns);
	address_report(n);
	addresses6_report(n);
	return count > 0;
}

static void network_flush(struct loop_client *client)
{
	struct network *n = CONTAINER_OF(client, struct network, client);
	struct frame_tx *frame = n->unsent;
	for (; frame || (frame = net_output(n->net)); frame = NULL)
		if (!n->device->send(n->device, frame))
			break;
	n->unsent = frame;
	/* Most of what was received has been read by now, and is at the device again; for the others it gets new
	 * ones, which it sees with the kick. */
	if (n->taken)
		buffers_give(n, n->taken);
	n->taken = 0;
	n->device->kick(n->device);
	uint64_t deadline = net_next_deadline(n->net);
	if (deadline == TIMER_NEVER)
		timer_cancel(&n->loop->timers, &n->timer);
	else if (!n->timer.armed || n->timer.at_ns != deadline)
		timer_arm(&n->loop->timers, &n->timer, deadline);
}

/* Only ends the loop's sleep: network_poll advances the engine in each round. */
static void deadline_reached(struct timer *t)
{
	(void)t;
}

void network_start(struct network *n, struct loop *loop, struct log *log, struct net_device *device,
	struct net *net, struct pool *buffers)
{
	*n = (struct network){
		.client = {.poll = network_poll, .flush = network_flush},
		.loop = loop,
		.log = log,
		.device = device,
		.net = net,
		.buffers = buffers,
	};
	timer_init(&n->timer, deadline_reached);
	buffers_give(n, device->rx_capacity);
	loop_add(loop, &n->client);
}

void network_announce(struct network *n, uint16_t port)
{
	struct net_ipv4 ip = net_ipv4(n->net);
	n->port = port;
	if (ip.generation == n->address_generation)
		listening_report(n, ip.address);
	for (uint32_t i = 0; i < n->ipv6.count; i++)
		listening6_report(n, &n->ipv6.address[i]);
}
