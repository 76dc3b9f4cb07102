/* A test guest that uses each device there is, as e2e/drivers.sh reads its output:
 *   disks     writes a pattern over many requests in flight, flushes, reads back and compares; a
 *             word on the command line: "verify" (only read what an earlier run wrote), "failing"
 *             (the disk is set up to fail), "readonly"
 *   network   asks for the gateway's address (ARP), then pings it by many frames of several
 *             segments, whose checksums the device fills in if it can; then a segment of nearly
 *             64 KiB, if it can cut that up
 *   entropy, log
 * Each result is a line "ok NAME" or "WRONG NAME"; "done" is the last. */
#include <base/assert.h>
#include <base/bytes.h>
#include <base/cursor.h>
#include <platform/platform.h>

#include <stdarg.h>

#define REQUESTS 160u /* more than the ring takes */
#define REQUEST_LEN 16384u
#define PIECE_LEN 4096u
#define RX_BUFFERS 64u
#define RX_LEN 2048u
#define PINGS 100u
#define TSO_SEGMENTS 16u /* of PIECE_LEN - 96 bytes */
#define TSO_LEN (TSO_SEGMENTS * (PIECE_LEN - 96))
#define TSO_SEQUENCE 0x12345678u
#define WAIT_NS 5000000000u

struct guest {
	struct platform *p;
	uint8_t *pos, *end;
	struct block_request *request;
	uint32_t outstanding, failures, most;
	struct net_device *net;
	struct frame_rx *rx;
	struct frame_tx *tx;
	uint32_t tx_done;
	uint8_t gateway[6];
	bool gateway_known;
	uint32_t echoes, bad_checksums;
	bool reset_seen;
};

static void PRINTF_LIKE(2, 3) say(struct guest *g, const char *fmt, ...)
{
	uint8_t buffer[256];
	struct writer w = writer_of(buffer, sizeof buffer - 1);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	*w.pos++ = '\n';
	g->p->console_write(g->p, writer_slice(&w));
}

static void result(struct guest *g, bool good, const char *name)
{
	say(g, "%s %s", good ? "ok" : "WRONG", name);
}

static bool asked_for(const struct guest *g, struct slice word)
{
	struct slice s = g->p->command_line;
	for (size_t i = 0; i + word.len <= s.len; i++)
		if (slice_starts_with(slice_sub(s, i, s.len), word))
			return true;
	return false;
}

static void *take(struct guest *g, size_t len)
{
	uint8_t *at = g->pos;
	len = (len + 4095) & ~(size_t)4095;
	ASSERT(len <= (size_t)(g->end - g->pos));
	g->pos += len;
	return at;
}

/* --- Disks --- */

static void request_done(struct block_request *r)
{
	struct guest *g = r->cookie;
	g->outstanding--;
	g->failures += failed(r->result);
}

static uint32_t pattern(uint64_t at)
{
	return (uint32_t)(at * 2654435761u ^ at >> 7) | 1;
}

static void prepare(struct guest *g, struct block_device *d, uint32_t i, enum block_op op,
	uint8_t *memory)
{
	struct block_request *r = &g->request[i];
	*r = (struct block_request){.op = op, .done = request_done, .cookie = g};
	list_init(&r->link);
	r->sector_count = REQUEST_LEN / d->sector_size;
	r->sector = (uint64_t)i * r->sector_count;
	uint32_t piece = d->buffers_max >= REQUEST_LEN / PIECE_LEN ? PIECE_LEN : REQUEST_LEN;
	r->buffer_count = REQUEST_LEN / piece;
	for (uint32_t k = 0; k < r->buffer_count; k++)
		r->buffer[k] = (struct block_buffer){memory + k * piece, piece};
}

static void sleep_until_done(struct guest *g, struct block_device *d, uint32_t limit)
{
	uint64_t until = g->p->now_ns(g->p) + WAIT_NS;
	while (g->outstanding > limit && g->p->now_ns(g->p) < until)
		if (!d->poll(d))
			g->p->idle(g->p, until);
}

static void submit(struct guest *g, struct block_device *d, struct block_request *r)
{
	while (!d->submit(d, r)) {
		d->kick(d);
		sleep_until_done(g, d, g->outstanding - 1);
	}
	g->outstanding++;
	if (g->outstanding > g->most)
		g->most = g->outstanding;
}

static bool run_all(struct guest *g, struct block_device *d, enum block_op op, uint8_t *memory)
{
	g->failures = g->most = 0;
	for (uint32_t i = 0; i < REQUESTS; i++) {
		prepare(g, d, i, op, memory + (size_t)i * REQUEST_LEN);
		submit(g, d, &g->request[i]);
	}
	d->kick(d);
	sleep_until_done(g, d, 0);
	return g->outstanding == 0;
}

static bool run_one(struct guest *g, struct block_device *d, enum block_op op, uint64_t sector,
	uint32_t count, err *out)
{
	struct block_request *r = &g->request[0];
	g->outstanding = 0;
	*r = (struct block_request){.op = op, .done = request_done, .cookie = g, .sector = sector,
		.sector_count = count};
	list_init(&r->link);
	submit(g, d, r);
	d->kick(d);
	sleep_until_done(g, d, 0);
	*out = r->result;
	return g->outstanding == 0;
}

static void disk_write(struct guest *g, struct block_device *d, uint8_t *memory)
{
	err e;
	uint32_t *word = (uint32_t *)(void *)memory;
	for (uint32_t i = 0; i < REQUESTS * REQUEST_LEN / 4; i++)
		word[i] = pattern(i);
	result(g, run_all(g, d, BLOCK_WRITE, memory) && !g->failures, "disk-writes");
	say(g, "in flight at most: %u", g->most);
	result(g, g->most >= 64 || asked_for(g, SLICE("direct")), "disk-many-in-flight");
	result(g, run_one(g, d, BLOCK_FLUSH, 0, 0, &e) && !failed(e), "disk-flush");
}

static void disk_verify(struct guest *g, struct block_device *d, uint8_t *memory)
{
	uint32_t *word = (uint32_t *)(void *)memory, wrong = 0;
	memset(memory, 0, REQUESTS * REQUEST_LEN);
	result(g, run_all(g, d, BLOCK_READ, memory) && !g->failures, "disk-reads");
	for (uint32_t i = 0; i < REQUESTS * REQUEST_LEN / 4; i++)
		wrong += word[i] != pattern(i);
	result(g, !wrong, "disk-content");
}

static void disk_limits(struct guest *g, struct block_device *d)
{
	err e;
	result(g, run_one(g, d, BLOCK_READ, d->sector_count, 1, &e) && e.code == ERR_INVALID,
		"disk-end");
	result(g, run_one(g, d, BLOCK_READ, UINT64_MAX, 2, &e) && e.code == ERR_INVALID,
		"disk-overflow");
	if (d->has_discard && !d->read_only)
		result(g, run_one(g, d, BLOCK_DISCARD, d->sector_count - 8, 8, &e) && !failed(e),
			"disk-discard");
}

static void disk(struct guest *g, struct block_device *d)
{
	say(g, "disk %s: %lu sectors of %u bytes, %u buffers, %u bytes%s%s%s", d->name,
		d->sector_count, d->sector_size, d->buffers_max, d->transfer_max,
		d->read_only ? ", read-only" : "", d->has_flush ? ", flush" : "",
		d->has_discard ? ", discard" : "");
	uint8_t *memory = take(g, REQUESTS * REQUEST_LEN);
	g->request = take(g, REQUESTS * sizeof *g->request);
	if (asked_for(g, SLICE("failing"))) {
		bool all = run_all(g, d, BLOCK_READ, memory);
		result(g, all && g->failures > 0 && g->request[0].result.code == ERR_IO,
			"disk-error");
		return;
	}
	if (asked_for(g, SLICE("readonly"))) {
		bool all = run_all(g, d, BLOCK_WRITE, memory);
		result(g, d->read_only && all && g->request[9].result.code == ERR_DENIED,
			"disk-read-only");
	} else if (!asked_for(g, SLICE("verify"))) {
		disk_write(g, d, memory);
	}
	disk_verify(g, d, memory);
	disk_limits(g, d);
}

/* --- Network --- */

static void rx_put(void *owner, struct frame_rx *f)
{
	struct guest *g = owner;
	g->net->give(g->net, f);
}

static void tx_done(void *owner, struct frame_tx *f)
{
	(void)f;
	((struct guest *)owner)->tx_done++;
}

static uint8_t *tx_begin(struct guest *g, struct frame_tx *f, const uint8_t *to, uint16_t type,
	uint16_t header_len)
{
	memset(f, 0, sizeof *f);
	list_init(&f->link);
	f->done = tx_done;
	f->owner = g;
	f->header_len = header_len;
	uint8_t *h = f->header + FRAME_TX_HEADROOM;
	memcpy(h, to, 6);
	memcpy(h + 6, g->net->mac, 6);
	store_be16(h + 12, type);
	return h + 14;
}

static void send_arp(struct guest *g)
{
	static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t *a = tx_begin(g, &g->tx[0], everybody, 0x0806, 42);
	memcpy(a, head, 8);
	memcpy(a + 8, g->net->mac, 6);
	store_be32(a + 14, 0x0a00020f);
	store_be32(a + 24, 0x0a000202);
	g->net->send(g->net, &g->tx[0]);
	g->net->kick(g->net);
}

static uint16_t sum(const uint8_t *p, size_t len, uint32_t start)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		start += load_be16(p + i);
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return (uint16_t)start;
}

static void receive(struct guest *g, struct frame_rx *f)
{
	const uint8_t *d = f->data;
	if (f->len >= 42 && load_be16(d + 12) == 0x0806 && load_be16(d + 20) == 2) {
		memcpy(g->gateway, d + 22, 6);
		g->gateway_known = true;
	} else if (f->len >= 42 + 1000 && load_be16(d + 12) == 0x0800 && d[23] == 1 && d[34] == 0) {
		g->echoes++;
		g->bad_checksums += sum(d + 34, 8 + 1000, 0) != 0xffff;
	} else if (f->len >= 54 && load_be16(d + 12) == 0x0800 && d[23] == 6 && d[47] & 4) {
		g->reset_seen = load_be32(d + 42) == TSO_SEQUENCE + TSO_LEN;
	}
	frame_rx_put(f);
}

static void net_round(struct guest *g, uint64_t until)
{
	struct list got, *e;
	list_init(&got);
	uint32_t n = g->net->poll(g->net, &got, 16);
	while ((e = list_pop_front(&got)))
		receive(g, LIST_ENTRY(e, struct frame_rx, link));
	g->net->kick(g->net);
	if (!n)
		g->p->idle(g->p, until);
}

/* An ICMP echo whose data are two segments, and whose checksum is the device's work. */
static void send_ping(struct guest *g, uint32_t i, const uint8_t *data)
{
	struct frame_tx *f = &g->tx[i];
	uint8_t *ip = tx_begin(g, f, g->gateway, 0x0800, 14 + 20 + 8), *icmp = ip + 20;
	ip[0] = 0x45;
	store_be16(ip + 2, 20 + 8 + 1000);
	ip[8] = 64;
	ip[9] = 1;
	store_be32(ip + 12, 0x0a00020f);
	store_be32(ip + 16, 0x0a000202);
	store_be16(ip + 10, (uint16_t)~sum(ip, 20, 0));
	icmp[0] = 8;
	store_be16(icmp + 6, (uint16_t)i);
	f->segment[0] = slice_of(data, 300);
	f->segment[1] = slice_of(data, 0);
	f->segment[2] = slice_of(data + 300, 700);
	f->segment_count = 3;
	f->payload_len = 1000;
	if (g->net->tx_checksum) {
		f->checksum_start = 14 + 20;
		f->checksum_offset = 2;
	} else {
		store_be16(icmp + 2, (uint16_t)~sum(data, 1000, sum(icmp, 8, 0)));
	}
	while (!g->net->send(g->net, f))
		net_round(g, g->p->now_ns(g->p) + WAIT_NS);
}

/* One TCP segment of nearly 64 KiB for a connection that does not exist. The other side answers
 * with a reset that acknowledges all of it, if the frame has arrived whole and its checksum was
 * right. */
static void send_tso(struct guest *g, const uint8_t *data)
{
	struct frame_tx *f = &g->tx[0];
	uint8_t *ip = tx_begin(g, f, g->gateway, 0x0800, 14 + 20 + 20), *tcp = ip + 20;
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(40 + TSO_LEN));
	ip[8] = 64;
	ip[9] = 6;
	store_be32(ip + 12, 0x0a00020f);
	store_be32(ip + 16, 0x0a000202);
	store_be16(ip + 10, (uint16_t)~sum(ip, 20, 0));
	store_be16(tcp, 1234);
	store_be16(tcp + 2, 9);
	store_be32(tcp + 4, TSO_SEQUENCE);
	tcp[12] = 5 << 4;
	tcp[13] = 8; /* PSH */
	store_be16(tcp + 14, 65535);
	store_be16(tcp + 16, sum(ip + 12, 8, 6 + 20 + TSO_LEN));
	for (uint32_t i = 0; i < TSO_SEGMENTS; i++)
		f->segment[i] = slice_of(data, PIECE_LEN - 96);
	f->segment_count = TSO_SEGMENTS;
	f->payload_len = TSO_LEN;
	f->checksum_start = 14 + 20;
	f->checksum_offset = 16;
	f->gso = FRAME_GSO_TCP4;
	f->gso_size = 1460;
	ASSERT(g->net->send(g->net, f));
	g->net->kick(g->net);
}

static void offloads(struct guest *g, const uint8_t *data)
{
	uint64_t until = g->p->now_ns(g->p) + WAIT_NS;
	send_tso(g, data);
	while (!g->reset_seen && g->p->now_ns(g->p) < until)
		net_round(g, until);
	result(g, g->reset_seen, "net-tso");
}

static void network(struct guest *g, struct net_device *net)
{
	g->net = net;
	say(g, "net %s: %x:%x:%x:%x:%x:%x mtu %u checksum %u tso %u %u segments %u", net->name,
		net->mac[0], net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5],
		net->mtu, net->tx_checksum, net->tx_tso4, net->tx_tso6, net->tx_segments_max);
	g->rx = take(g, RX_BUFFERS * sizeof *g->rx);
	g->tx = take(g, PINGS * sizeof *g->tx);
	uint8_t *buffers = take(g, RX_BUFFERS * RX_LEN), *data = take(g, PIECE_LEN);
	for (uint32_t i = 0; i < RX_BUFFERS; i++) {
		g->rx[i] = (struct frame_rx){.buffer = buffers + i * RX_LEN, .capacity = RX_LEN,
			.put = rx_put, .owner = g};
		list_init(&g->rx[i].link);
		net->give(net, &g->rx[i]);
	}
	net->kick(net);
	uint64_t until = g->p->now_ns(g->p) + WAIT_NS;
	send_arp(g);
	while (!g->gateway_known && g->p->now_ns(g->p) < until)
		net_round(g, until);
	/* The answer may be there before the card says that the question has left. */
	while (g->tx_done == 0 && g->p->now_ns(g->p) < until)
		net_round(g, g->p->now_ns(g->p) + 1000000);
	result(g, g->gateway_known && g->tx_done == 1, "net-arp");
	for (uint32_t i = 0; i < 1000; i++)
		data[i] = (uint8_t)(i * 7);
	uint64_t kicks = net->tx_kicks;
	for (uint32_t i = 0; i < PINGS; i++)
		send_ping(g, i, data);
	net->kick(net);
	while ((g->echoes < PINGS || g->tx_done < PINGS + 1) && g->p->now_ns(g->p) < until)
		net_round(g, g->p->now_ns(g->p) + 1000000);
	say(g, "echoes %u, kicks %lu, sent %lu, received %lu", g->echoes, net->tx_kicks - kicks,
		net->tx_frames, net->rx_frames);
	result(g, g->echoes == PINGS && !g->bad_checksums, "net-ping");
	result(g, net->tx_kicks - kicks <= 2 || asked_for(g, SLICE("direct")), "net-one-kick");
	result(g, g->tx_done == PINGS + 1, "net-sent");
	if (net->tx_tso4)
		offloads(g, data);
}

/* --- The rest --- */

static void entropy(struct guest *g)
{
	uint8_t a[64] = {0}, b[64] = {0};
	size_t n = g->p->entropy(g->p, a, sizeof a), k = g->p->entropy(g->p, b, sizeof b);
	say(g, "entropy %lu %lx", (uint64_t)n, load_be64(a));
	result(g, n == sizeof a && k == n && memcmp(a, b, n) != 0, "entropy");
}

static void log_lines(struct guest *g)
{
	uint8_t buffer[64];
	for (uint32_t i = 0; i < 40; i++) {
		struct writer w = writer_of(buffer, sizeof buffer);
		write_bytes(&w, SLICE("log line "));
		write_dec(&w, i);
		write_u8(&w, '\n');
		g->p->log_write(g->p, writer_slice(&w));
	}
}

void platform_main(struct platform *p)
{
	struct guest *g = (struct guest *)(void *)p->memory;
	*g = (struct guest){.p = p, .pos = p->memory + 4096, .end = p->memory + p->memory_len};
	say(g, "devices: %u disks, %u nets", p->block_count, p->net_count);
	log_lines(g);
	entropy(g);
	for (uint32_t i = 0; i < p->block_count; i++)
		disk(g, p->block[i]);
	for (uint32_t i = 0; i < p->net_count; i++)
		network(g, p->net[i]);
	say(g, "done");
	p->power_off(p, PLATFORM_EXIT_OK);
}
