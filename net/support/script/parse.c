/* The language of scripts, line by line. A line is a setting (before the first statement), a statement, or
 * empty; `#` begins a comment. The first thing that is wrong sticks in the scanner and is reported with its
 * line. */
#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "support/world.h"

#define TEXT_MAX (1 << 20)

struct scanner {
	const char *at;
	script_complaint wrong;
};

script_complaint complain(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

/* --- Words and numbers ----------------------------------------------------------------------- */

static void wrong(struct scanner *r, const char *wanted)
{
	if (!r->wrong)
		r->wrong = *r->at ? complain("%s is expected at \"%s\"", wanted, r->at)
			: complain("%s is expected at the end", wanted);
}

static void space_skip(struct scanner *r)
{
	while (*r->at == ' ' || *r->at == '\t')
		r->at++;
}

static bool at_end(struct scanner *r)
{
	space_skip(r);
	return !*r->at;
}

static bool symbol(struct scanner *r, const char *text)
{
	space_skip(r);
	size_t len = strlen(text);
	if (strncmp(r->at, text, len) != 0)
		return false;
	r->at += len;
	return true;
}

static void symbol_must(struct scanner *r, const char *text)
{
	if (!symbol(r, text))
		wrong(r, text);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool keyword(struct scanner *r, const char *text)
{
	space_skip(r);
	size_t len = strlen(text);
	if (strncmp(r->at, text, len) != 0 || is_word(r->at[len]))
		return false;
	r->at += len;
	return true;
}

static bool word(struct scanner *r, char *out, size_t size)
{
	space_skip(r);
	size_t n = 0;
	while (is_word(r->at[n]) && n + 1 < size)
		n++;
	memcpy(out, r->at, n);
	out[n] = 0;
	r->at += n;
	return n > 0;
}

static bool number(struct scanner *r, int64_t *out)
{
	char *end;
	space_skip(r);
	if (!isdigit((unsigned char)*r->at) && !(*r->at == '-' && isdigit((unsigned char)r->at[1])))
		return false;
	errno = 0;
	*out = strtoll(r->at, &end, 10);
	if (errno)
		return false;
	r->at = end;
	return true;
}

static uint32_t number_must(struct scanner *r)
{
	int64_t n = 0;
	if (!number(r, &n) || n > UINT32_MAX || n < INT32_MIN)
		wrong(r, "a number");
	return (uint32_t)n;
}

/* 0.25, 250ms or 0.25s; `has_unit` (may be NULL): one was said. */
static bool duration(struct scanner *r, uint64_t *ns, bool *has_unit)
{
	static const struct {
		const char *name;
		double ns;
	} unit[] = {{"ms", 1e6}, {"us", 1e3}, {"s", 1e9}};
	char *end;
	space_skip(r);
	if (!isdigit((unsigned char)*r->at))
		return false;
	double value = strtod(r->at, &end), scale = 1e9;
	r->at = end;
	if (has_unit)
		*has_unit = false;
	for (size_t i = 0; i < 3; i++) {
		if (!keyword(r, unit[i].name))
			continue;
		scale = unit[i].ns;
		if (has_unit)
			*has_unit = true;
		break;
	}
	*ns = (uint64_t)(value * scale + 0.5);
	return true;
}

static uint64_t duration_must(struct scanner *r)
{
	uint64_t ns = 0;
	if (!duration(r, &ns, NULL))
		wrong(r, "a time");
	return ns;
}

static struct net_address address_must(struct scanner *r)
{
	struct net_address a = {{0}};
	space_skip(r);
	bool brackets = symbol(r, "[");
	size_t len = strspn(r->at, brackets ? "0123456789abcdefABCDEF:." : "0123456789abcdefABCDEF.");
	if (!brackets && r->at[len] == ':' && memchr(r->at, '.', len) == NULL)
		len = strspn(r->at, "0123456789abcdefABCDEF:.");
	if (!net_address_parse(slice_of(r->at, len), &a))
		wrong(r, "an address");
	r->at += len;
	if (brackets)
		symbol_must(r, "]");
	return a;
}

static uint32_t hex(struct scanner *r, uint8_t *out, uint32_t max)
{
	uint32_t n = 0;
	space_skip(r);
	while (isxdigit((unsigned char)r->at[0]) && isxdigit((unsigned char)r->at[1]) && n < max) {
		char digits[3] = {r->at[0], r->at[1], 0};
		out[n++] = (uint8_t)strtoul(digits, NULL, 16);
		r->at += 2;
	}
	if (!n)
		wrong(r, "bytes in hex");
	return n;
}

/* --- Segments -------------------------------------------------------------------------------- */

static void option_number(struct scanner *r, struct segment_option *o)
{
	uint32_t i = o->count++;
	if (symbol(r, "*"))
		o->how[i] = NUMBER_ANY;
	else if (keyword(r, "last"))
		o->how[i] = NUMBER_LAST;
	else
		o->number[i] = number_must(r);
}

/* `TS` alone: any value where it is expected, the right one where it is sent. */
static void timestamp(struct scanner *r, struct segment_option *o)
{
	o->kind = OPTION_TS;
	if (!keyword(r, "val")) {
		o->count = 2;
		o->how[0] = NUMBER_ANY;
		o->how[1] = NUMBER_LAST;
		return;
	}
	option_number(r, o);
	if (keyword(r, "ecr"))
		option_number(r, o);
	else
		wrong(r, "ecr");
}

static void sack(struct scanner *r, struct segment_option *o)
{
	o->kind = OPTION_SACK;
	do {
		option_number(r, o);
		symbol_must(r, ":");
		option_number(r, o);
		space_skip(r);
	} while (!r->wrong && *r->at != ',' && *r->at != '>' && o->count < 8);
}

static void option(struct scanner *r, struct segment *s)
{
	struct segment_option *o = &s->option[s->option_count];
	if (symbol(r, "...")) {
		s->more_options = true;
		return;
	}
	if (s->option_count == SEGMENT_OPTIONS_MAX) {
		wrong(r, "fewer options");
		return;
	}
	s->option_count++;
	*o = (struct segment_option){.kind = OPTION_EOL, .count = 1};
	if (keyword(r, "mss")) {
		o->kind = OPTION_MSS;
		o->number[0] = number_must(r);
	} else if (keyword(r, "wscale")) {
		o->kind = OPTION_WSCALE;
		o->number[0] = number_must(r);
	} else if (keyword(r, "nop")) {
		o->kind = OPTION_NOP;
	} else if (keyword(r, "sackOK")) {
		o->kind = OPTION_SACK_OK;
		o->count = 0;
	} else if (keyword(r, "sack")) {
		o->count = 0;
		sack(r, o);
	} else if (keyword(r, "TS")) {
		o->count = 0;
		timestamp(r, o);
	} else if (keyword(r, "raw")) {
		o->kind = OPTION_RAW;
		o->count = hex(r, o->raw, sizeof o->raw);
	} else if (!keyword(r, "eol")) {
		wrong(r, "an option");
	}
}

/* After `<`. */
static void options(struct scanner *r, struct segment *s)
{
	s->has_options = true;
	if (symbol(r, ">"))
		return;
	do
		option(r, s);
	while (!r->wrong && symbol(r, ","));
	symbol_must(r, ">");
}

static struct net_address address_given(struct scanner *r, bool *given)
{
	*given = true;
	return address_must(r);
}

static void attribute(struct scanner *r, struct segment *s)
{
	static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
	for (int i = 0; i < 4; i++) {
		if (keyword(r, ecn[i])) {
			s->ecn = i;
			return;
		}
	}
	if (keyword(r, "ttl"))
		s->ttl = (int32_t)number_must(r);
	else if (keyword(r, "from"))
		s->source = address_given(r, &s->has_source);
	else if (keyword(r, "to"))
		s->destination = address_given(r, &s->has_destination);
	else if (keyword(r, "frag"))
		s->fragment = number_must(r) & ~7u;
	else if (keyword(r, "doff"))
		s->data_offset = number_must(r);
	else if (keyword(r, "ipopt"))
		s->ip_options_len = hex(r, s->ip_options, sizeof s->ip_options) & ~3u;
	else if (keyword(r, "badsum"))
		s->bad_sum = true;
	else if (keyword(r, "badipsum"))
		s->bad_ip_sum = true;
	else if (keyword(r, "junk"))
		s->junk = true;
	else if (keyword(r, "broadcast"))
		s->broadcast = true;
	else
		wrong(r, "ect0, ce, ttl, from, to, frag, doff, ipopt, badsum, badipsum, junk or broadcast");
}

static void icmp(struct scanner *r, struct segment *s)
{
	/* Of IPv4, then, with a six before, of IPv6. */
	static const struct {
		const char *name;
		uint8_t type, code;
	} kind[] = {{"net_unreachable", 3, 0}, {"host_unreachable", 3, 1}, {"protocol_unreachable", 3, 2},
		{"port_unreachable", 3, 3}, {"frag_needed", 3, 4}, {"source_route_failed", 3, 5},
		{"admin_prohibited", 3, 13}, {"source_quench", 4, 0}, {"time_exceeded", 11, 0},
		{"parameter_problem", 12, 0}, {"no_route6", 1, 0}, {"admin_prohibited6", 1, 1},
		{"address_unreachable6", 1, 3}, {"port_unreachable6", 1, 4}, {"packet_too_big6", 2, 0},
		{"time_exceeded6", 3, 0}, {"parameter_problem6", 4, 1}};
	s->icmp = ICMP_ERROR;
	size_t i = 0;
	while (i < sizeof kind / sizeof kind[0] && !keyword(r, kind[i].name))
		i++;
	if (i == sizeof kind / sizeof kind[0]) {
		wrong(r, "an ICMP message's name");
		return;
	}
	s->icmp_name = kind[i].name;
	s->icmp_type = kind[i].type;
	s->icmp_code = kind[i].code;
	if (keyword(r, "mtu"))
		s->icmp_mtu = number_must(r);
	if (keyword(r, "of"))
		s->seq = number_must(r);
}

static void flags(struct scanner *r, struct segment *s)
{
	static const char letter[] = "FSRP.UEW";
	const char *found;
	space_skip(r);
	if (symbol(r, "-"))
		return;
	for (; *r->at && (found = strchr(letter, *r->at)); r->at++)
		s->flags |= 1u << (found - letter);
	if (!s->flags)
		wrong(r, "flags (of FSRP.UEW, or -)");
}

/* SEQ:END(LEN) or SEQ:END(LEN/PIECE) */
static void numbers(struct scanner *r, struct segment *s)
{
	s->seq = number_must(r);
	symbol_must(r, ":");
	uint32_t end = number_must(r);
	symbol_must(r, "(");
	s->len = number_must(r);
	if (symbol(r, "/"))
		s->piece = number_must(r);
	symbol_must(r, ")");
	if (!r->wrong && end != s->seq + s->len)
		r->wrong = complain("the numbers do not fit each other: %u + %u is not %u", s->seq, s->len, end);
}

static void segment_reset(struct segment *s)
{
	*s = (struct segment){.ecn = -1, .ttl = -1};
}

static void segment(struct scanner *r, struct segment *s)
{
	segment_reset(s);
	while (symbol(r, "[")) {
		do
			attribute(r, s);
		while (!r->wrong && symbol(r, ","));
		symbol_must(r, "]");
	}
	if (keyword(r, "icmp")) {
		icmp(r, s);
		return;
	}
	flags(r, s);
	numbers(r, s);
	for (;;) {
		if (keyword(r, "ack")) {
			s->has_ack = true;
			s->ack = number_must(r);
		} else if (keyword(r, "win")) {
			s->has_window = true;
			s->window = number_must(r);
		} else if (keyword(r, "urg")) {
			s->has_urgent = true;
			s->urgent = number_must(r);
		} else if (symbol(r, "<")) {
			options(r, s);
		} else {
			return;
		}
	}
}

/* --- Statements ------------------------------------------------------------------------------ */

static const char *const event_names[] = {"ACCEPTED", "CONNECTED", "READABLE", "SENT", "PEER_CLOSED",
	"RESET", "TIMED_OUT", "CLOSED"};

uint32_t event_by_name(const char *name)
{
	for (uint32_t i = 0; i < sizeof event_names / sizeof event_names[0]; i++) {
		if (strcmp(name, event_names[i]) == 0)
			return 1u << i;
	}
	return 0;
}

const char *event_name(uint32_t bit)
{
	return bit < sizeof event_names / sizeof event_names[0] ? event_names[bit] : "?";
}

static void events(struct scanner *r, struct statement *s)
{
	char name[32];
	if (keyword(r, "none"))
		return;
	while (word(r, name, sizeof name)) {
		if (!event_by_name(name) && !r->wrong)
			r->wrong = complain("there is no event called %s", name);
		s->events |= event_by_name(name);
	}
	if (!s->events)
		wrong(r, "an event or none");
}

/* A plain number, or a time with a unit in nanoseconds. */
static bool quantity(struct scanner *r, int64_t *out)
{
	struct scanner again = *r;
	uint64_t ns;
	bool has_unit;
	if (duration(r, &ns, &has_unit) && has_unit) {
		*out = (int64_t)ns;
		return true;
	}
	*r = again;
	return number(r, out);
}

static void condition(struct scanner *r, struct statement *s)
{
	static const char *const sign[] = {"==", "!=", "<=", ">=", "<", ">"};
	static const enum comparison meaning[] = {COMPARE_EQ, COMPARE_NE, COMPARE_LE, COMPARE_GE, COMPARE_LT,
		COMPARE_GT};
	if (!word(r, s->name, sizeof s->name))
		wrong(r, "a name");
	if (keyword(r, "in")) {
		s->comparison = COMPARE_IN;
		s->has_number = true;
		if (!quantity(r, &s->number) || !quantity(r, &s->number2))
			wrong(r, "a number");
		return;
	}
	int i = 0;
	while (i < 6 && !symbol(r, sign[i]))
		i++;
	if (i == 6) {
		wrong(r, "==, !=, <, <=, >, >= or in");
		return;
	}
	s->comparison = meaning[i];
	s->has_number = quantity(r, &s->number);
	if (!s->has_number && !word(r, s->text, sizeof s->text))
		wrong(r, "a value");
}

static void establish(struct scanner *r, struct statement *s)
{
	segment_reset(&s->segment);
	s->segment.flags = FLAG_SYN;
	s->segment.has_options = true;
	for (;;) {
		if (symbol(r, "<")) {
			options(r, &s->segment);
		} else if (keyword(r, "win")) {
			s->segment.has_window = true;
			s->segment.window = number_must(r);
		} else if (keyword(r, "rtt")) {
			s->rtt_ns = duration_must(r);
		} else if (keyword(r, "ecn")) {
			s->segment.flags |= FLAG_ECE | FLAG_CWR;
		} else {
			return;
		}
	}
}

static void counter(struct scanner *r, struct statement *s)
{
	if (!word(r, s->name, sizeof s->name))
		wrong(r, "a counter's name");
	symbol_must(r, "+");
	s->number = number_must(r);
}

static void amount(struct scanner *r, struct statement *s)
{
	s->has_number = !keyword(r, "all");
	if (s->has_number)
		s->number = number_must(r);
}

static void pump(struct scanner *r, struct statement *s)
{
	s->number = number_must(r);
	if (keyword(r, "every"))
		s->rtt_ns = duration_must(r);
	else
		wrong(r, "every");
}

static void call(struct scanner *r, struct statement *s)
{
	static const struct {
		const char *name;
		enum action action;
		void (*read)(struct scanner *, struct statement *);
	} known[] = {{"establish", ACTION_ESTABLISH, establish}, {"listen", ACTION_LISTEN, amount},
		{"unlisten", ACTION_UNLISTEN, amount}, {"connect", ACTION_CONNECT, NULL},
		{"send", ACTION_SEND, amount}, {"read", ACTION_READ, amount}, {"close", ACTION_CLOSE, NULL},
		{"abort", ACTION_ABORT, NULL}, {"release", ACTION_RELEASE, NULL},
		{"discard", ACTION_DISCARD, NULL}, {"event", ACTION_EVENT, events}, {"done", ACTION_DONE, amount},
		{"failed", ACTION_DONE, amount}, {"assert", ACTION_ASSERT, condition},
		{"counter", ACTION_COUNTER, counter}, {"usage", ACTION_USAGE, condition},
		{"quiet", ACTION_QUIET, NULL}, {"pump", ACTION_PUMP, pump}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!keyword(r, known[i].name))
			continue;
		s->action = known[i].action;
		if (s->action == ACTION_DONE)
			snprintf(s->name, sizeof s->name, "%s", known[i].name);
		if (known[i].read)
			known[i].read(r, s);
		if (s->action == ACTION_SEND && keyword(r, "in"))
			s->number2 = number_must(r);
		s->refused = keyword(r, "refused");
		if (s->action == ACTION_LISTEN && keyword(r, "max"))
			s->number2 = number_must(r);
		return;
	}
	wrong(r, "<, > or a call");
}

static void when(struct scanner *r, struct statement *s)
{
	s->has_time = symbol(r, "+");
	if (!s->has_time)
		return;
	s->wait_ns = s->wait_max_ns = duration_must(r);
	if (symbol(r, "~"))
		s->wait_max_ns = duration_must(r);
}

static void statement(struct scanner *r, struct statement *s)
{
	int64_t flow = 0;
	when(r, s);
	if (number(r, &flow) && (flow < 0 || flow >= SCRIPT_FLOWS_MAX))
		wrong(r, "a flow below 16");
	s->flow = (uint32_t)flow;
	if (symbol(r, "<")) {
		s->action = ACTION_INJECT;
		segment(r, &s->segment);
		if (!r->wrong && (s->segment.flags & FLAG_ACK) && !s->segment.has_ack)
			r->wrong = complain("a segment with `.` needs an ack number");
	} else if (symbol(r, ">")) {
		s->action = ACTION_EXPECT;
		segment(r, &s->segment);
	} else {
		call(r, s);
	}
	if (!r->wrong && !at_end(r))
		wrong(r, "nothing more");
}

/* --- Settings -------------------------------------------------------------------------------- */

/* `flow N IP:PORT [to PORT]` */
static void flow_setting(struct scanner *r, struct script *s)
{
	uint32_t n = number_must(r);
	if (n >= SCRIPT_FLOWS_MAX) {
		wrong(r, "a flow below 16");
		return;
	}
	s->ends[n].peer = address_must(r);
	symbol_must(r, ":");
	s->ends[n].peer_port = (uint16_t)number_must(r);
	if (keyword(r, "to"))
		s->ends[n].own_port = (uint16_t)number_must(r);
}

static bool number_setting(struct scanner *r, struct script *s)
{
	const struct {
		const char *name;
		uint32_t *value;
	} known[] = {{"connections", &s->config.connections_max}, {"syns", &s->config.syn_max},
		{"time_waits", &s->config.time_wait_max}, {"tx_frames", &s->config.tx_frames_max},
		{"rx_frames", &s->config.rx_frames_max}, {"window", &s->config.receive_window},
		{"window_max", &s->config.receive_window_max},
		{"peer_isn", &s->peer_isn}, {"peer_window", &s->peer_window}, {"seed", &s->seed},
		{"split_buffers", &s->split_buffers}, {"neighbours_silent", &s->neighbours_silent}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!keyword(r, known[i].name))
			continue;
		*known[i].value = number_must(r);
		return true;
	}
	return false;
}

static bool time_setting(struct scanner *r, struct script *s)
{
	const struct {
		const char *name;
		uint64_t *value;
	} known[] = {{"tolerance", &s->tolerance_ns}, {"time_wait", &s->config.time_wait_ns},
		{"fin_wait_2", &s->config.fin_wait_2_ns}, {"user_timeout", &s->config.user_timeout_ns},
		{"keepalive_idle", &s->config.keepalive_idle_ns},
		{"keepalive_interval", &s->config.keepalive_interval_ns}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!keyword(r, known[i].name))
			continue;
		*known[i].value = duration_must(r);
		return true;
	}
	return false;
}

static void ends_default(struct script *s, bool ip6)
{
	s->ip6 = ip6;
	for (uint32_t i = 0; i < SCRIPT_FLOWS_MAX; i++)
		s->ends[i] = (struct flow_ends){world_address(0, ip6), (uint16_t)(4000 + i), 80};
}

static bool setting(struct scanner *r, struct script *s)
{
	if (keyword(r, "flow")) {
		flow_setting(r, s);
	} else if (keyword(r, "mtu")) {
		s->config.mtu = (uint16_t)number_must(r);
	} else if (keyword(r, "ecn")) {
		s->config.ecn = keyword(r, "off") ? NET_ECN_OFF
			: keyword(r, "ask") ? NET_ECN_ASK : NET_ECN_ACCEPT;
	} else if (keyword(r, "tso")) {
		s->config.tx_tso4 = s->config.tx_tso6 = s->config.tx_checksum = true;
	} else if (keyword(r, "ip6")) {
		ends_default(s, true);
	} else if (keyword(r, "fails")) {
		s->fails_line = number_must(r);
		space_skip(r);
		snprintf(s->fails_text, sizeof s->fails_text, "%s", r->at);
		r->at += strlen(r->at);
	} else if (!number_setting(r, s) && !time_setting(r, s)) {
		return false;
	}
	if (!r->wrong && !at_end(r))
		wrong(r, "nothing more");
	return true;
}

/* --- Files ----------------------------------------------------------------------------------- */

static char *text_load(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, TEXT_MAX);
	if (!f || !text || fread(text, 1, TEXT_MAX - 1, f) == TEXT_MAX - 1) {
		free(text);
		text = NULL;
	}
	if (f)
		fclose(f);
	return text;
}

static void defaults(struct script *s, const char *path)
{
	*s = (struct script){.path = path, .tolerance_ns = 2000000, .seed = 1, .peer_isn = 1000,
		.peer_window = 65535};
	ends_default(s, false);
}

static script_complaint line_parse(struct script *s, char *line, uint32_t line_number)
{
	struct scanner r = {.at = line};
	size_t len = strcspn(line, "#");
	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	line[len] = 0;
	if (at_end(&r) || (!s->count && setting(&r, s)))
		return r.wrong;
	s->statement = realloc(s->statement, (s->count + 1) * sizeof *s->statement);
	if (!s->statement)
		abort();
	struct statement *new = &s->statement[s->count++];
	*new = (struct statement){.line = line_number, .source = line};
	statement(&r, new);
	return r.wrong;
}

script_complaint script_parse(struct script *s, const char *path)
{
	defaults(s, path);
	s->text = text_load(path);
	if (!s->text)
		return complain("%s:0: it cannot be read", path);
	char *next = s->text;
	for (uint32_t line_number = 1; next; line_number++) {
		char *line = strsep(&next, "\n");
		script_complaint c = line_parse(s, line, line_number);
		if (c) {
			script_complaint whole = complain("%s:%u: %s", path, line_number, c);
			free(c);
			return whole;
		}
	}
	return s->count ? NULL : complain("%s:0: it does nothing", path);
}

void script_free(struct script *s)
{
	free(s->text);
	free(s->statement);
}
