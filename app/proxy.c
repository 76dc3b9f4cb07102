/* Whom to believe, and who the client is when a proxy in front says so in header fields (APP_BEHIND_PROXY in ingot.h).
 *
 *   peer (or whom its PROXY header names) --trusted, names another--> that one --trusted, names another--> ...
 *                 \--not trusted: the client        \--no address, or not trusted: the client
 *
 * A proxy is asked again for each who wants to know: most requests are answered without. */
#include <app/ingot.h>

#include <http/forwarded.h>

#include "server.h"

/* --- Trust ------------------------------------------------------------------------------------ */

/* What the boot says; ptr is NULL when it says nothing. */
static struct slice boot_list(const struct server_config *config)
{
	static const struct slice name = SLICE_INIT("proxies=");
	for (struct slice rest = config->command_line; rest.len;) {
		size_t end = slice_index(rest, ' ');
		struct slice word = slice_sub(rest, 0, end);
		if (slice_starts_with(word, name))
			return slice_sub(word, name.len, word.len);
		rest = slice_sub(rest, end + 1, rest.len);
	}
	return (struct slice){NULL, 0};
}

uint32_t trust_count(const struct server_config *config, const char *const *prefixes)
{
	struct slice list = boot_list(config);
	uint32_t count = 0;
	if (!list.ptr) {
		while (prefixes[count])
			count++;
		return count;
	}
	for (size_t i = 0; i < list.len; i++)
		count += list.ptr[i] == ',';
	return count + 1;
}

bool trust_has(const struct trust *t, const struct net_address *address)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (net_prefix_contains(&t->prefix[i], address))
			return true;
	return false;
}

err trust_read(struct trust *t, const struct server_config *config, const char *const *prefixes)
{
	struct slice list = boot_list(config);
	bool from_boot = list.ptr != NULL;
	t->count = trust_count(config, prefixes);
	for (uint32_t i = 0; i < t->count; i++) {
		size_t comma = slice_index(list, ',');
		struct slice text = from_boot ? slice_sub(list, 0, comma) : slice_from_cstr(prefixes[i]);
		list = slice_sub(list, comma + 1, list.len);
		if (net_prefix_parse(text, &t->prefix[i]))
			continue;
		log_write(config->log, LOG_ERROR, "http", "'%.*s' (of the proxies %s) is no prefix of addresses: write "
			"10.0.0.0/8, fd00::/8 or 10.1.2.3, with no bit set behind the prefix", SLICE_ARG(text),
			from_boot ? "on the command line" : "that the application names");
		return ERR(INVALID);
	}
	return OK;
}

/* --- What they say ---------------------------------------------------------------------------- */

static void correct(const struct exchange *x, struct client_view *client,
	bool (*read)(const struct http_request *, struct http_hops *))
{
	struct http_hops hops;
	const struct trust *trust = x->server->trust;
	if (!x->head_known || x->request.head_lost || !trust_has(trust, &client->address) || !read(&x->http.request, &hops))
		return;
	if (hops.proto.len)
		client->is_https = slice_eq_nocase(hops.proto, SLICE("https"));
	for (uint32_t i = 0; i < hops.count && trust_has(trust, &client->address); i++) {
		const struct http_hop *hop = &hops.hop[i];
		if (hop->proto.len)
			client->is_https = slice_eq_nocase(hop->proto, SLICE("https"));
		struct net_address address;
		if (!net_address_parse(hop->node, &address))
			return;
		client->address = address;
	}
}

static void correct_forwarded(const struct exchange *x, struct client_view *client)
{
	correct(x, client, http_forwarded);
}

static void correct_x_forwarded(const struct exchange *x, struct client_view *client)
{
	correct(x, client, http_x_forwarded);
}

/* --- The service ------------------------------------------------------------------------------ */

static const char *const *prefixes_of(const struct server_config *config)
{
	return (*config->manifest->behind_proxy)->prefixes;
}

static size_t behind_memory_size(const struct server_config *config)
{
	return sizeof(struct trust) + trust_count(config, prefixes_of(config)) * sizeof(struct net_prefix);
}

static bool is_proxy(const struct server *s, const struct net_address *address)
{
	return trust_has(s->trust, address);
}

static err behind_start(struct server *s, void *memory)
{
	s->trust = memory;
	TRY(trust_read(s->trust, &s->config, prefixes_of(&s->config)));
	if (!s->trust->count)
		log_write(s->config.log, LOG_WARN, "http", "no proxy is named, so none is believed: "
			"APP_BEHIND_PROXY takes prefixes, as does proxies=10.0.0.0/8 at the boot");
	s->is_proxy = is_proxy;
	return OK;
}

static err forwarded_start(struct server *s, void *memory)
{
	s->client_correct = correct_forwarded;
	return behind_start(s, memory);
}

static err x_forwarded_start(struct server *s, void *memory)
{
	s->client_correct = correct_x_forwarded;
	return behind_start(s, memory);
}

const struct app_service app_service_behind_proxy_forwarded = {.memory_size = behind_memory_size, .start = forwarded_start};
const struct app_service app_service_behind_proxy_x_forwarded = {.memory_size = behind_memory_size, .start = x_forwarded_start};
