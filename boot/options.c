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
	*out = (struct options){0};
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
