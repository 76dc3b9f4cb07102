/* Somebody off the path who knows addresses and ports, and even numbers and timestamps nearly (RFC 5961):
 * what it sends in a host's name misses by a little, and must change nothing. And floods of SYNs from hosts
 * that do not exist. Everything appears in the victim's card at once, so that no number can come to fit on
 * the way. */
#include "run.h"

#include <string.h>
#include <base/bytes.h>

#define FLOOD_MAX 12

static uint32_t ip_write(uint8_t *frame, const struct spoof *s, uint32_t transport_len)
{
	bool v6 = !net_address_is_v4(&s->from);
	uint8_t *h = frame + SIM_ETHERNET;
	store_be16(frame + 12, v6 ? 0x86dd : 0x0800);
	h[0] = v6 ? 0x60 : 0x45;
	store_be16(h + (v6 ? 4 : 2), (uint16_t)(transport_len + (v6 ? 0 : 20)));
	h[v6 ? 6 : 9] = 6;
	h[v6 ? 7 : 8] = 64;
	memcpy(h + (v6 ? 8 : 12), s->from.octet + (v6 ? 0 : 12), v6 ? 16 : 4);
	memcpy(h + (v6 ? 24 : 16), s->to.octet + (v6 ? 0 : 12), v6 ? 16 : 4);
	return SIM_ETHERNET + (v6 ? 40 : 20);
}

static void say(struct run *r, uint32_t victim, const struct spoof *s, uint8_t flags, uint32_t payload)
{
	uint8_t f[300] = {0};
	struct host *h = &r->host[victim];
	uint32_t header = s->has_ts ? 32 : 20, at = ip_write(f, s, header + payload);
	uint8_t *t = f + at;
	memcpy(f, h->config.mac, 6);
	memcpy(f + 6, "\x02\0\0\0\0\x99", 6);
	store_be16(t, s->from_port);
	store_be16(t + 2, s->to_port);
	store_be32(t + 4, s->seq);
	store_be32(t + 8, flags & SIM_ACK ? s->ack : 0);
	t[12] = (uint8_t)(header << 2);
	t[13] = flags;
	store_be16(t + 14, 1000);
	if (s->has_ts) {
		store_be32(t + 20, 0x0101080a);
		store_be32(t + 24, s->ts);
	}
	memset(t + header, 'x', payload);
	sim_packet_mend(f, at + header + payload);
	sim_network_inject(&r->network, h->port, slice_of(f, at + header + payload));
}

static void flood(struct run *r, const struct attack *a)
{
	struct spoof s = {.to = net_address_v4(r->host[a->victim].ip), .to_port = PORT_FIRST};
	for (uint32_t i = 0; i < FLOOD_MAX; i++) {
		s.from = net_address_v4(0x0a000064 + i % 3);
		s.from_port = (uint16_t)(2000 + i + a->amount % 1000);
		s.seq = (uint32_t)a->amount + i;
		say(r, a->victim, &s, SIM_SYN, 0);
	}
}

static void act(struct run *r, const struct attack *a)
{
	struct spoof s;
	uint32_t miss = 1 + (uint32_t)(a->amount % 3000);
	if (a->kind == ATTACK_FLOOD) {
		flood(r, a);
		return;
	}
	if (!wire_spoof(r->wire, a->victim, &s))
		return;
	uint32_t next = s.seq;
	switch (a->kind) {
	case ATTACK_RESET_AHEAD:
		s.seq = next + miss;
		say(r, a->victim, &s, SIM_RST | (a->amount & 1 ? SIM_ACK : 0), 0);
		break;
	case ATTACK_RESET_OLD:
		s.seq = s.acked - miss;
		say(r, a->victim, &s, SIM_RST, 0);
		break;
	case ATTACK_SYN:
		s.seq = next + miss;
		say(r, a->victim, &s, SIM_SYN, 0);
		break;
	case ATTACK_ACK:
		s.ack += 10000 + miss;
		say(r, a->victim, &s, SIM_ACK, 0);
		break;
	case ATTACK_DATA:
		s.ack += 10000 + miss;
		say(r, a->victim, &s, SIM_ACK | SIM_PSH, 1 + miss % 100);
		break;
	case ATTACK_FLOOD:
	case ATTACK_KINDS:
		break;
	}
}

void attacks_act(struct run *r)
{
	for (uint32_t i = 0; i < r->attacks; i++) {
		struct attack *a = &r->attack[i];
		if (a->over || r->network.now_ns < a->at_ns)
			continue;
		a->over = true;
		if (r->options.trace)
			run_note(r, "host %u: attack %d", a->victim, a->kind);
		act(r, a);
	}
}

uint64_t attacks_next(const struct run *r)
{
	uint64_t next = UINT64_MAX;
	for (uint32_t i = 0; i < r->attacks; i++)
		if (!r->attack[i].over && r->attack[i].at_ns < next)
			next = r->attack[i].at_ns;
	return next;
}
