/* Multicast listener discovery (RFC 3810; with routers that speak only version 1, RFC 2710): tells
 * routers and snooping switches which groups we listen to. Groups are those of our own addresses
 * (solicited-node) and what is joined besides; always from any source. All-nodes is never reported
 * (RFC 3810, 6).
 *
 *   (free) --join--> listening, "change to exclude {}" twice --leave--> "change to include {}" twice --> (free)
 *   listening --query, random delay--> "is exclude {}" --> listening
 *
 * An answer that waits is not made twice, and none comes sooner than ANSWER_MIN_MS on average:
 * queries, however many, draw a bounded number of reports. A query about certain sources is taken
 * for one about the whole group, which says more than was asked. */
#include "ip6.h"

#define REPORTS 2 /* the robustness variable */
#define REPORT_INTERVAL_MS 1000
#define ANSWER_MIN_MS 200
#define OLD_QUERIER_NS (260 * NS_PER_S) /* 2 query intervals of 125 s, and 10 s to answer */
#define QUERY_1 24
#define QUERY_2 28
#define RECORD 20
#define RECORDS_MAX ((NDP_MESSAGE_MAX - 8) / RECORD)

enum { QUERY = 130, REPORT_1 = 131, DONE_1 = 132, REPORT_2 = 143 };
enum record { IS_EXCLUDE = 2, TO_INCLUDE = 3, TO_EXCLUDE = 4 };

static const struct net_address all_routers = {{0xff, 2, [15] = 2}}, all_nodes = {{0xff, 2, [15] = 1}};
static const struct net_address all_mld2_routers = {{0xff, 2, [15] = 0x16}};

/* A report under way, of as many records as one message holds. */
struct report {
	uint8_t bytes[NDP_MESSAGE_MAX];
	uint32_t count;
};

static bool is_used(const struct ip6_group *g)
{
	return g->users || g->reports_left;
}

static bool speaks_version_1(const struct net *net)
{
	return net->now_ns < net->ip6.old_querier_until_ns;
}

static void message_send(struct net *net, const struct net_address *to, uint8_t *bytes, uint32_t len)
{
	static const struct net_address unspecified;
	const struct net_address *source = ip6_source(net, to);
	uint8_t mac[6];
	ip6_group_mac(to, mac);
	/* While we have no address, switches should hear of the group all the same (RFC 3590). */
	if (ndp_message_send(net, mac, source ? source : &unspecified, to, bytes, len, true))
		net->counters.mld_out_reports++;
}

static void report_flush(struct net *net, struct report *r)
{
	if (!r->count)
		return;
	memset(r->bytes, 0, 8);
	r->bytes[0] = REPORT_2;
	store_be16(r->bytes + 6, (uint16_t)r->count);
	message_send(net, &all_mld2_routers, r->bytes, 8 + RECORD * r->count);
	r->count = 0;
}

static void report_old(struct net *net, const struct ip6_group *g, enum record type)
{
	uint8_t m[24] = {type == TO_INCLUDE ? DONE_1 : REPORT_1};
	memcpy(m + 8, &g->address, 16);
	message_send(net, type == TO_INCLUDE ? &all_routers : &g->address, m, sizeof m);
}

static void report_add(struct net *net, struct report *r, const struct ip6_group *g, enum record type)
{
	if (speaks_version_1(net)) {
		report_old(net, g, type);
		return;
	}
	uint8_t *p = r->bytes + 8 + RECORD * r->count++;
	store_be32(p, (uint32_t)type << 24);
	memcpy(p + 4, &g->address, 16);
	if (r->count == RECORDS_MAX)
		report_flush(net, r);
}

static uint64_t delay_ns(struct net *net, uint32_t ms_max)
{
	return (1 + random_below(net->random, ms_max)) * NS_PER_MS;
}

static void changes_report(struct net *net)
{
	struct report r = {.count = 0};
	bool more = false;
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		struct ip6_group *g = &net->ip6.group[i];
		if (!g->reports_left)
			continue;
		report_add(net, &r, g, g->users ? TO_EXCLUDE : TO_INCLUDE);
		more |= --g->reports_left > 0;
	}
	report_flush(net, &r);
	net->ip6.report_at_ns = more ? net->now_ns + delay_ns(net, REPORT_INTERVAL_MS) : TIMER_NEVER;
}

static void answer(struct net *net)
{
	struct report r = {.count = 0};
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		struct ip6_group *g = &net->ip6.group[i];
		if (!g->users || g->answer_at_ns > net->now_ns)
			continue;
		g->answer_at_ns = TIMER_NEVER;
		report_add(net, &r, g, IS_EXCLUDE);
	}
	report_flush(net, &r);
}

static void schedule(struct net *net)
{
	uint64_t at = net->ip6.report_at_ns;
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		const struct ip6_group *g = &net->ip6.group[i];
		if (g->users && g->answer_at_ns < at)
			at = g->answer_at_ns;
	}
	if (at == TIMER_NEVER)
		timer_cancel(&net->timers, &net->ip6.group_timer);
	else
		timer_arm(&net->timers, &net->ip6.group_timer, at);
}

void mld_flush(struct net *net)
{
	if (net->ip6.report_at_ns <= net->now_ns)
		changes_report(net);
	answer(net);
	schedule(net);
}

static void group_timer(struct timer *t)
{
	mld_flush(CONTAINER_OF(t, struct net, ip6.group_timer));
}

/* --- Groups ------------------------------------------------------------------------------------ */

static struct ip6_group *group_find(struct net *net, const struct net_address *a)
{
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		struct ip6_group *g = &net->ip6.group[i];
		if (is_used(g) && net_address_equal(&g->address, a))
			return g;
	}
	return NULL;
}

/* A free one; else one that is only being taken leave of. */
static struct ip6_group *group_free(struct net *net)
{
	struct ip6_group *leaving = NULL;
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		struct ip6_group *g = &net->ip6.group[i];
		if (!is_used(g))
			return g;
		if (!g->users)
			leaving = g;
	}
	return leaving;
}

static void change(struct net *net, struct ip6_group *g)
{
	g->reports_left = REPORTS;
	net->ip6.report_at_ns = net->now_ns;
	schedule(net);
}

bool mld_join(struct net *net, const struct net_address *a)
{
	struct ip6_group *g = group_find(net, a);
	if (net_address_equal(a, &all_nodes))
		return true;
	if (!g) {
		g = group_free(net);
		if (!g)
			return false;
		*g = (struct ip6_group){.address = *a, .answer_at_ns = TIMER_NEVER};
	}
	if (g->users == UINT8_MAX)
		return false;
	if (g->users++ == 0)
		change(net, g);
	return true;
}

void mld_leave(struct net *net, const struct net_address *a)
{
	struct ip6_group *g = group_find(net, a);
	if (g && g->users && --g->users == 0)
		change(net, g);
}

bool ip6_is_joined(const struct net *net, const struct net_address *a)
{
	if (net->ip6.mode == NET_IP6_OFF)
		return false;
	if (net_address_equal(a, &all_nodes))
		return true;
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		const struct ip6_group *g = &net->ip6.group[i];
		if (g->users && net_address_equal(&g->address, a))
			return true;
	}
	return false;
}

/* --- Queries ----------------------------------------------------------------------------------- */

static uint32_t delay_decode(uint16_t code)
{
	if (code < 32768)
		return code;
	return (uint32_t)((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
}

static void query(struct net *net, struct slice icmp)
{
	struct net_address group;
	bool old = icmp.len == QUERY_1;
	uint16_t code = load_be16(icmp.ptr + 4);
	uint32_t ms = old ? code : delay_decode(code);
	memcpy(&group, icmp.ptr + 8, 16);
	bool all = net_address_is_unspecified(&group);
	net->counters.mld_in_queries++;
	if (old)
		net->ip6.old_querier_until_ns = net->now_ns + OLD_QUERIER_NS;
	/* One time for all of them: so they share messages. */
	uint64_t at = net->now_ns + delay_ns(net, ms < ANSWER_MIN_MS ? ANSWER_MIN_MS : ms);
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		struct ip6_group *g = &net->ip6.group[i];
		if (g->users && (all || net_address_equal(&g->address, &group)) && at < g->answer_at_ns)
			g->answer_at_ns = at;
	}
	schedule(net);
}

/* Somebody else has told the router of the group: version 1 wants no second report. */
static void heard_report(struct net *net, struct slice icmp)
{
	struct net_address group;
	memcpy(&group, icmp.ptr + 8, 16);
	struct ip6_group *g = group_find(net, &group);
	if (g && speaks_version_1(net))
		g->answer_at_ns = TIMER_NEVER;
	schedule(net);
}

void mld_input(struct net *net, const struct net_address *source, const struct net_address *destination,
	struct slice icmp)
{
	(void)destination;
	if (net->ip6.mode == NET_IP6_OFF || icmp.ptr[0] == REPORT_2 || icmp.ptr[0] == DONE_1)
		return; /* for routers */
	bool query_like = icmp.ptr[0] == QUERY && (icmp.len == QUERY_1 || icmp.len >= QUERY_2);
	bool report_like = icmp.ptr[0] == REPORT_1 && icmp.len >= QUERY_1;
	if (!net_address_is_link_local(source) || (!query_like && !report_like))
		net->counters.mld_in_errors++;
	else if (query_like)
		query(net, icmp);
	else
		heard_report(net, icmp);
}

void mld_link_up(struct net *net)
{
	for (uint32_t i = 0; i < IP6_GROUPS_MAX; i++) {
		if (net->ip6.group[i].users)
			change(net, &net->ip6.group[i]);
	}
}

void mld_init(struct net *net)
{
	net->ip6.report_at_ns = TIMER_NEVER;
	timer_init(&net->ip6.group_timer, group_timer);
}
