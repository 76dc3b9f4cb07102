#include "options.h"

static bool address_parse(struct slice text, uint32_t *out)
{
	uint32_t address = 0;
	for (int i = 0; i < 4; i++) {
		size_t end = slice_index(text, '.');
		uint64_t octet;
		if (!slice_to_u64(slice_sub(text, 0, end), &octet) || octet > 255
			|| (end == text.len) != (i == 3))
			return false;
		address = address << 8 | (uint32_t)octet;
		text = slice_sub(text, end + 1, text.len);
	}
	*out = address;
	return true;
}

/* "10.0.0.2/24,10.0.0.1" */
static bool network_parse(struct slice text, struct options *o)
{
	size_t comma = slice_index(text, ',');
	struct slice network = slice_sub(text, 0, comma);
	size_t slash = slice_index(network, '/');
	uint64_t bits;
	if (!address_parse(slice_sub(network, 0, slash), &o->address) || o->address == 0
		|| !slice_to_u64(slice_sub(network, slash + 1, network.len), &bits) || bits < 1 || bits > 31)
		return false;
	o->mask = ~(uint32_t)0 << (32 - bits);
	return comma == text.len || address_parse(slice_sub(text, comma + 1, text.len), &o->gateway);
}

/* What a machine, or its router, can have. */
static bool host6_parse(struct slice text, struct net_address *out)
{
	return net_address_parse(text, out) && !net_address_is_v4(out) && !net_address_is_multicast(out)
		&& !net_address_is_unspecified(out) && !net_address_is_loopback(out);
}

/* "off", "auto", "2001:db8::2/64,fe80::1" */
static bool network6_parse(struct slice text, struct options *o)
{
	size_t comma = slice_index(text, ',');
	struct slice network = slice_sub(text, 0, comma);
	size_t slash = slice_index(network, '/');
	uint64_t bits;
	o->ip6 = NET_IP6_OFF;
	if (slice_eq(text, SLICE("off")))
		return true;
	o->ip6 = NET_IP6_AUTO;
	if (slice_eq(text, SLICE("auto")))
		return true;
	o->ip6 = NET_IP6_STATIC;
	if (!host6_parse(slice_sub(network, 0, slash), &o->ip6_address)
		|| net_address_is_link_local(&o->ip6_address)
		|| !slice_to_u64(slice_sub(network, slash + 1, network.len), &bits) || bits < 1 || bits > 128)
		return false;
	o->ip6_prefix_len = (uint8_t)bits;
	return comma == text.len || (host6_parse(slice_sub(text, comma + 1, text.len), &o->ip6_gateway)
		&& !net_address_equal(&o->ip6_gateway, &o->ip6_address));
}

static bool secret_parse(struct slice text, struct options *o)
{
	o->ip6_secret = text;
	return text.len > 0;
}

static bool keep_alive_parse(struct slice text, struct options *o)
{
	uint64_t seconds;
	if (!slice_to_u64(text, &seconds) || seconds < 1 || seconds > 86400)
		return false;
	o->keep_alive_s = (uint32_t)seconds;
	return true;
}

/* "9000" or "9000,any" */
static bool diagnose_parse(struct slice text, struct options *o)
{
	size_t comma = slice_index(text, ',');
	uint64_t port;
	if (!slice_to_u64(slice_sub(text, 0, comma), &port) || port == 0 || port > 65535)
		return false;
	o->diagnose_port = (uint16_t)port;
	o->diagnose_any = slice_eq(slice_sub(text, comma + 1, text.len), SLICE("any"));
	return comma == text.len || o->diagnose_any;
}

/* A word that begins with `name` and has a value: false when that is malformed. */
static bool value_parse(struct slice word, struct options *o)
{
	static const struct {
		struct slice name;
		bool (*parse)(struct slice value, struct options *o);
	} known[] = {
		{SLICE_INIT("ip="), network_parse},
		{SLICE_INIT("ip6="), network6_parse},
		{SLICE_INIT("ip6.secret="), secret_parse},
		{SLICE_INIT("keep-alive="), keep_alive_parse},
		{SLICE_INIT("diagnose="), diagnose_parse},
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_starts_with(word, known[i].name))
			return known[i].parse(slice_sub(word, known[i].name.len, word.len), o);
	return true;
}

bool options_parse(struct slice command_line, struct options *out, struct slice *bad)
{
	*out = (struct options){.ip6 = NET_IP6_AUTO};
	while (command_line.len) {
		size_t end = slice_index(command_line, ' ');
		struct slice word = slice_sub(command_line, 0, end);
		command_line = slice_sub(command_line, end + 1, command_line.len);
		if (slice_eq(word, SLICE("debug"))) {
			out->debug = true;
		} else if (!value_parse(word, out)) {
			*bad = word;
			return false;
		}
	}
	return true;
}
