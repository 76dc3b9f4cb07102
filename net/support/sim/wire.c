/* What a host sends is held to the rules of TCP as far as the wire shows them, without a look into the
 * engine: every segment that leaves a card, before the network does anything to it.
 *
 * For each pair of ends there are two halves; numbers are counted from the half's SYN. A half that has not
 * been seen to begin (its SYN was before a restart) is not judged, and neither is one that is `vague`: it has
 * answered a SYN with several cookies, and which of them is meant, only the peer knows; or it has sent RST. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>

#define TALKS_MAX 512
#define CREDIT_START 300
#define CREDIT_MAX 2000
#define CREDIT_NS (50 * MS)   /* a bare ACK each is free */
#define CREDIT_DATA 4         /* what a segment that takes up sequence space may cause */

struct half {
	bool known, vague, fin, ts;
	uint32_t iss;
	uint64_t max;   /* behind the last byte sent */
	uint64_t fin_at;
	uint64_t acked; /* in the other's numbers, as is edge */
	uint64_t edge;  /* right edge of the window that it has offered */
	int scale;      /* -1: none offered */
	uint32_t ts_last;
	uint64_t sent_bytes;
};

struct talk {
	uint8_t address[2][16];
	uint16_t port[2];
	uint32_t host[2]; /* HOSTS_MAX: has not spoken */
	struct half half[2];
	struct flow *flow;
	uint32_t client; /* which half is flow->end[0] */
	int64_t credit;
	uint64_t credit_ns;
};

struct wire {
	struct run *run;
	struct talk talk[TALKS_MAX];
	uint32_t talks;
	const struct sim_frame *frame; /* being judged */
};

struct wire *wire_new(struct run *r)
{
	struct wire *w = calloc(1, sizeof *w);
	ASSERT(w);
	w->run = r;
	return w;
}

void wire_free(struct wire *w)
{
	free(w);
}

/* --- Finding --------------------------------------------------------------------------------- */

/* `client`: which half that is, when half `from` has sent the packet. */
static struct flow *flow_of(struct wire *w, const struct sim_packet *p, uint32_t from, uint32_t *client)
{
	struct net_endpoint a = {.port = p->source_port}, b = {.port = p->destination_port};
	uint32_t side = 0;
	memcpy(a.address.octet, p->source, 16);
	memcpy(b.address.octet, p->destination, 16);
	struct flow *f = flow_find(w->run, &a, &b, &side);
	*client = from ^ side;
	return f;
}

/* `from`: which half speaks. */
static struct talk *talk_find(struct wire *w, const struct sim_packet *p, uint32_t *from)
{
	for (uint32_t i = w->talks; i-- > 0;) {
		struct talk *t = &w->talk[i];
		for (uint32_t k = 0; k < 2; k++) {
			if (t->port[k] == p->source_port && t->port[!k] == p->destination_port
				&& memcmp(t->address[k], p->source, 16) == 0
				&& memcmp(t->address[!k], p->destination, 16) == 0) {
				*from = k;
				return t;
			}
		}
	}
	return NULL;
}

static struct talk *talk_new(struct wire *w, const struct sim_packet *p)
{
	ASSERT(w->talks < TALKS_MAX);
	struct talk *t = &w->talk[w->talks++];
	*t = (struct talk){.port = {p->source_port, p->destination_port}, .credit = CREDIT_START,
		.host = {HOSTS_MAX, HOSTS_MAX}, .credit_ns = w->run->network.now_ns};
	memcpy(t->address[0], p->source, 16);
	memcpy(t->address[1], p->destination, 16);
	t->flow = flow_of(w, p, 0, &t->client);
	return t;
}

void wire_forget(struct wire *w, uint32_t host)
{
	for (uint32_t i = 0; i < w->talks; i++) {
		struct talk *t = &w->talk[i];
		if (t->host[0] == host || t->host[1] == host)
			memset(t->half, 0, sizeof t->half);
	}
}

static bool judged(const struct half *h)
{
	return h->known && !h->vague;
}

bool wire_spoof(const struct wire *w, uint32_t victim, struct spoof *out)
{
	for (uint32_t i = w->talks; i-- > 0;) {
		const struct talk *t = &w->talk[i];
		for (uint32_t k = 0; k < 2; k++) {
			const struct half *s = &t->half[k], *o = &t->half[!k];
			/* Whoever is only connecting believes a RST that acknowledges its SYN (RFC 9293, 3.10.7.3). */
			if (t->host[!k] != victim || !judged(s) || !judged(o) || !o->acked)
				continue;
			*out = (struct spoof){.from_port = t->port[k], .to_port = t->port[!k],
				.seq = s->iss + (uint32_t)s->max, .ack = o->iss + (uint32_t)o->max,
				.acked = s->iss + (uint32_t)o->acked, .ts = s->ts_last, .has_ts = s->ts && o->ts};
			memcpy(out->from.octet, t->address[k], 16);
			memcpy(out->to.octet, t->address[!k], 16);
			return true;
		}
	}
	return false;
}

/* --- Judging --------------------------------------------------------------------------------- */

static _Noreturn void bad(struct wire *w, const struct sim_packet *p, const char *what)
{
	char text[300];
	sim_packet_text(p, text, sizeof text);
	run_fail(w->run, "host %u sends frame #%lu %s: %s", w->frame->from, (unsigned long)w->frame->number,
		what, text);
}

/* A wire number counted from the half's SYN, next to `near`. */
static uint64_t count_from(const struct half *h, uint32_t wire, uint64_t near)
{
	return near + (uint64_t)(int64_t)(int32_t)(wire - (h->iss + (uint32_t)near));
}

static void flags_judge(struct wire *w, const struct sim_packet *p)
{
	uint8_t f = p->flags;
	bool alone = f & (SIM_SYN | SIM_RST);
	if ((f & SIM_SYN) && (f & (SIM_FIN | SIM_RST)))
		bad(w, p, "with flags that exclude each other");
	if (!(f & SIM_ACK) && !alone)
		bad(w, p, "without ACK");
	if (f & SIM_URG)
		bad(w, p, "with urgent data");
	if ((f & SIM_RST) && (p->payload.len || (f & SIM_FIN)))
		bad(w, p, "with RST and data");
}

static void syn_see(struct talk *t, uint32_t from, const struct sim_packet *p)
{
	struct half *s = &t->half[from], *o = &t->half[!from];
	if (s->known && s->iss == p->seq) {
		s->ts_last = (int32_t)(p->ts_value - s->ts_last) > 0 ? p->ts_value : s->ts_last;
		return;
	}
	if (s->known && (p->flags & SIM_ACK)) {
		s->vague = true;
		return;
	}
	if (s->known)
		*o = (struct half){0};
	*s = (struct half){.known = true, .iss = p->seq, .max = 1, .scale = p->scale, .ts = p->has_ts,
		.ts_last = p->ts_value, .edge = 1u + p->window, .acked = p->flags & SIM_ACK ? 1 : 0};
}

static void payload_judge(struct wire *w, struct talk *t, uint32_t from, const struct sim_packet *p,
	uint64_t at)
{
	struct half *s = &t->half[from], *o = &t->half[!from];
	uint64_t end = at + p->payload.len;
	if (at > s->max)
		bad(w, p, "that leaves a gap");
	if (p->payload.len && s->fin && end > s->fin_at)
		bad(w, p, "with data behind its FIN");
	if ((p->flags & SIM_FIN) && s->fin && end != s->fin_at)
		bad(w, p, "with FIN in another place");
	if (p->payload.len && judged(o) && end > o->edge + 1)
		bad(w, p, "beyond the peer's window");
	if (p->payload.len && t->flow) {
		uint64_t key = t->flow->end[from != t->client].key;
		if (at < 1 || stream_compare(key, at - 1, p->payload.ptr, p->payload.len) != p->payload.len)
			bad(w, p, "with bytes that are not its stream's");
	}
	if (p->flags & SIM_FIN) {
		s->fin = true;
		s->fin_at = end++;
	}
	s->max = end > s->max ? end : s->max;
	s->sent_bytes += p->payload.len;
}

static void sack_judge(struct wire *w, const struct half *o, const struct sim_packet *p, uint64_t ack)
{
	for (uint32_t i = 0; i < p->sack_count; i++) {
		uint64_t start = count_from(o, p->sack[i][0], ack), end = count_from(o, p->sack[i][1], ack);
		bool duplicate = i == 0 && end <= ack; /* RFC 2883 */
		if (start >= end || end > o->max)
			bad(w, p, "with a SACK block that cannot be");
		if (start <= ack && !duplicate)
			bad(w, p, "with a SACK block that its own ACK covers");
		for (uint32_t k = 1; k < i; k++) {
			uint64_t a = count_from(o, p->sack[k][0], ack), b = count_from(o, p->sack[k][1], ack);
			if (start < b && a < end)
				bad(w, p, "with SACK blocks that overlap");
		}
	}
}

/* True when it says something new. */
static bool ack_judge(struct wire *w, struct talk *t, uint32_t from, const struct sim_packet *p)
{
	struct half *s = &t->half[from], *o = &t->half[!from];
	uint64_t ack = count_from(o, p->ack, s->acked);
	bool scaled = s->scale >= 0 && o->scale >= 0;
	uint32_t shift = scaled ? (uint32_t)s->scale : 0;
	uint64_t edge = ack + ((uint64_t)p->window << shift);
	if (ack > o->max)
		bad(w, p, "that acknowledges what was never sent");
	if (ack < s->acked)
		bad(w, p, "whose ACK goes back");
	/* What the scale cannot express is lost (RFC 7323, 2.4). */
	if (edge + (UINT64_C(1) << shift) - 1 < s->edge && !(o->fin && ack > o->fin_at))
		bad(w, p, "that shrinks its window");
	sack_judge(w, o, p, ack);
	bool news = ack > s->acked || edge > s->edge;
	s->acked = ack;
	s->edge = edge > s->edge ? edge : s->edge;
	return news;
}

static void timestamps_judge(struct wire *w, struct half *s, const struct half *o,
	const struct sim_packet *p)
{
	if (!s->ts || !o->ts)
		return;
	if (!p->has_ts)
		bad(w, p, "without a timestamp");
	if ((int32_t)(p->ts_value - s->ts_last) < 0)
		bad(w, p, "whose timestamp goes back");
	s->ts_last = p->ts_value;
	if ((int32_t)(o->ts_last - p->ts_echo) < 0)
		bad(w, p, "that echoes a timestamp from the future");
}

/* Two ends that answer each other for ever are a storm, however slow the network makes it. */
static void storm_judge(struct wire *w, struct talk *t, const struct sim_packet *p, bool news)
{
	uint64_t now = w->run->network.now_ns, free_acks = (now - t->credit_ns) / CREDIT_NS;
	t->credit_ns += free_acks * CREDIT_NS;
	t->credit += (int64_t)free_acks;
	if (p->payload.len || (p->flags & (SIM_SYN | SIM_FIN)))
		t->credit += CREDIT_DATA;
	else if (!news)
		t->credit--;
	if (t->credit > CREDIT_MAX)
		t->credit = CREDIT_MAX;
	if (t->credit < 0)
		bad(w, p, "as part of a storm of ACKs");
}

/* A host that is out of buffers throws away what its window had allowed: that costs. */
static bool somebody_drops(const struct run *r)
{
	for (uint32_t i = 0; i < r->hosts; i++)
		if (r->host[i].net && net_counters(r->host[i].net)->tcp_rx_pressure_drops)
			return true;
	return false;
}

static void waste_judge(struct wire *w, const struct half *s, const struct sim_packet *p)
{
	uint64_t seconds = (w->run->network.now_ns - START_NS) / SECOND;
	if (s->sent_bytes > 12 * s->max + 300000 + 4000 * seconds && !somebody_drops(w->run))
		bad(w, p, "after having repeated far too much");
}

static void tcp_judge(struct wire *w, const struct sim_packet *p)
{
	uint32_t from = 0;
	struct talk *t = talk_find(w, p, &from);
	bool news = false;
	flags_judge(w, p);
	if (w->run->quiet)
		bad(w, p, "when all is over");
	if (!t && w->talks == TALKS_MAX)
		return;
	if (!t)
		t = talk_new(w, p);
	struct half *s = &t->half[from], *o = &t->half[!from];
	t->host[from] = w->frame->from;
	if (p->flags & SIM_SYN) {
		if (!s->known || s->iss != p->seq)
			t->flow = flow_of(w, p, from, &t->client);
		syn_see(t, from, p);
	} else if (!(p->flags & SIM_RST)) {
		if (judged(s))
			payload_judge(w, t, from, p, count_from(s, p->seq, s->max));
		if (judged(s) && judged(o) && (p->flags & SIM_ACK)) {
			timestamps_judge(w, s, o, p);
			news = ack_judge(w, t, from, p);
		}
		waste_judge(w, s, p);
	} else {
		s->vague = true; /* it is over; a cookie that comes late may open it once more */
	}
	storm_judge(w, t, p, news);
}

/* --- The other layers ------------------------------------------------------------------------ */

static void pong_judge(struct wire *w, const struct sim_packet *p)
{
	const struct run *r = w->run;
	struct slice rest = slice_sub(p->transport, 8, SIZE_MAX);
	if (p->transport.ptr[0] != 0)
		return;
	for (uint32_t i = 0; i < r->pings; i++)
		if (r->ping[i].to == w->frame->from && r->ping[i].len == rest.len
			&& stream_compare(r->ping[i].at_ns, 0, rest.ptr, rest.len) == rest.len)
			return;
	bad(w, p, "an echo that nobody has asked for");
}

static void frame_judge(struct wire *w, const struct sim_frame *f)
{
	struct sim_packet p;
	const struct host *h = &w->run->host[f->from];
	const char *wrong = sim_packet_parse(&p, slice_of(f->bytes, f->len));
	w->frame = f;
	if (wrong)
		run_fail(w->run, "host %u sends frame #%lu with a wrong %s", f->from, (unsigned long)f->number,
			wrong);
	if (memcmp(f->bytes + 6, h->config.mac, 6) != 0)
		bad(w, &p, "with a source that is not its card's");
	if (p.kind == SIM_OTHER)
		bad(w, &p, "of a kind that engines do not speak");
	if (p.kind == SIM_ARP)
		return;
	if (f->len != SIM_ETHERNET + p.ip_len)
		bad(w, &p, "longer than its packet");
	if (p.ip_len > h->config.mtu)
		bad(w, &p, "larger than its MTU");
	if (!p.hop_limit || p.fragment)
		bad(w, &p, "with no hops left, or in fragments");
	if (p.kind == SIM_TCP)
		tcp_judge(w, &p);
	if (p.kind == SIM_ICMP4)
		pong_judge(w, &p);
}

/* --- The trace ------------------------------------------------------------------------------- */

static void relative(struct wire *w, struct sim_packet *p)
{
	uint32_t from = 0;
	struct talk *t = p->kind == SIM_TCP ? talk_find(w, p, &from) : NULL;
	if (!t)
		return;
	const struct half *s = &t->half[from], *o = &t->half[!from];
	p->seq -= s->known ? s->iss : 0;
	if (p->flags & SIM_ACK)
		p->ack -= o->known ? o->iss : 0;
	for (uint32_t i = 0; i < p->sack_count; i++) {
		p->sack[i][0] -= o->known ? o->iss : 0;
		p->sack[i][1] -= o->known ? o->iss : 0;
	}
}

static void trace(struct wire *w, enum sim_fate fate, const struct sim_frame *f)
{
	struct sim_packet p;
	char text[300];
	if (fate != SIM_SENT && fate != SIM_ANSWERED) {
		run_note(w->run, "  #%lu %s%s%u", (unsigned long)f->number, sim_fate_text(fate),
			f->to < SIM_PORTS_MAX ? " at host " : " from host ", f->to < SIM_PORTS_MAX ? f->to : f->from);
		return;
	}
	(void)sim_packet_parse(&p, slice_of(f->bytes, f->len));
	relative(w, &p);
	sim_packet_text(&p, text, sizeof text);
	run_note(w->run, "#%lu %s", (unsigned long)f->number, text);
}

static void duplicate_see(struct wire *w, const struct sim_frame *f)
{
	struct sim_packet p;
	uint32_t from;
	(void)sim_packet_parse(&p, slice_of(f->bytes, f->len));
	struct talk *t = p.kind == SIM_TCP ? talk_find(w, &p, &from) : NULL;
	if (t)
		t->credit += CREDIT_DATA;
}

void wire_see(struct wire *w, enum sim_fate fate, const struct sim_frame *f)
{
	if (w->run->options.trace)
		trace(w, fate, f);
	if (fate == SIM_SENT)
		frame_judge(w, f);
	else if (fate == SIM_DUPLICATED)
		duplicate_see(w, f);
}
