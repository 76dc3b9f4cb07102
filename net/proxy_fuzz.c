/* PROXY headers of arbitrary bytes. Oracles: however they are cut, the outcome is the same; nothing behind the header is
 * taken; a client that comes out survives being written as version 1. */
#include <net/proxy.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/cursor.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum net_proxy_result result;
	size_t used;
	struct net_proxy p;
};

/* Each piece in memory of its own. */
static void play(struct slice bytes, size_t step, struct outcome *out)
{
	net_proxy_init(&out->p);
	out->result = NET_PROXY_MORE;
	out->used = 0;
	for (size_t at = 0; at < bytes.len && out->result == NET_PROXY_MORE; at += step) {
		struct slice piece = slice_sub(bytes, at, step);
		uint8_t *copy = malloc(piece.len);
		size_t used;
		ASSERT(copy);
		memcpy(copy, piece.ptr, piece.len);
		out->result = net_proxy_input(&out->p, slice_of(copy, piece.len), &used);
		ASSERT(used <= piece.len && (out->result != NET_PROXY_MORE || used == piece.len));
		out->used += used;
		free(copy);
	}
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->result == b->result && a->used == b->used && a->p.has_client == b->p.has_client &&
		a->p.is_encrypted == b->p.is_encrypted &&
		(!a->p.has_client || (a->p.client.port == b->p.client.port &&
			net_address_equal(&a->p.client.address, &b->p.client.address) &&
			net_address_equal(&a->p.server.address, &b->p.server.address)));
}

/* In version 1 there is no word for an IPv4 address to an IPv6 one. */
static void survives_text(const struct outcome *o)
{
	uint8_t text[NET_PROXY_LINE_MAX];
	struct writer w = writer_of(text, sizeof text);
	bool is_ip4 = net_address_is_v4(&o->p.client.address);
	struct outcome again;
	if (is_ip4 != net_address_is_v4(&o->p.server.address))
		return;
	write_bytes(&w, is_ip4 ? SLICE("PROXY TCP4 ") : SLICE("PROXY TCP6 "));
	net_address_write(&w, &o->p.client.address);
	write_u8(&w, ' ');
	net_address_write(&w, &o->p.server.address);
	write_u8(&w, ' ');
	write_dec(&w, o->p.client.port);
	write_u8(&w, ' ');
	write_dec(&w, o->p.server.port);
	write_bytes(&w, SLICE("\r\n"));
	ASSERT(!w.failed);
	play(writer_slice(&w), 3, &again);
	ASSERT(again.result == NET_PROXY_DONE && again.used == writer_len(&w) && again.p.has_client);
	ASSERT(net_address_equal(&again.p.client.address, &o->p.client.address) && again.p.client.port == o->p.client.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size);
	struct outcome whole, cut;
	if (!size)
		return 0;
	play(bytes, size, &whole);
	play(bytes, 1, &cut);
	ASSERT(same(&whole, &cut));
	play(bytes, 1 + data[size - 1] % 16, &cut);
	ASSERT(same(&whole, &cut));
	if (whole.result != NET_PROXY_MORE) /* what follows makes no difference */
		play(slice_sub(bytes, 0, whole.used + 1), size, &cut);
	ASSERT(same(&whole, &cut) || whole.result == NET_PROXY_MORE);
	ASSERT(whole.used <= NET_PROXY_LEN_MAX);
	if (whole.result == NET_PROXY_DONE && whole.p.has_client)
		survives_text(&whole);
	return 0;
}
