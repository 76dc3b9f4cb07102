/* Frames between device and engine. A round of the loop: the device's frames go in, the server and
 * its fibers run, and what the engine has to say goes out with one notification at the end, so that
 * acknowledgements ride on responses. */
#include "network.h"

enum { FRAMES_IN_A_ROUND = 64 };

static void buffer_put(void *owner, struct frame_rx *frame)
{
	struct network *n = owner;
	frame->data = frame->buffer;
	frame->len = 0;
	frame->frag = NULL;
	if (!n->device->give(n->device, frame))
		pool_put(n->buffers, frame);
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
		ip.state == NET_IPV4_BOUND ? "DHCP" : "configuration");
	listening_report(n, ip.address);
}

static bool network_poll(struct loop_client *client)
{
	struct network *n = CONTAINER_OF(client, struct network, client);
	struct list frames;
	list_init(&frames);
	uint32_t count = n->device->poll(n->device, &frames, FRAMES_IN_A_ROUND);
	for (struct list *e; (e = list_pop_front(&frames));)
		net_input(n->net, LIST_ENTRY(e, struct frame_rx, link), n->loop->now_ns);
	if (count) {
		loop_trace(n->loop, "frames in", count, 0);
		buffers_give(n, count);
	}
	net_advance(n->net, n->loop->now_ns);
	address_report(n);
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
}
