/* The peer as a neighbour on the link: ARP and NDP, which scripts are not about. */
#include "script.h"

#include <string.h>
#include <base/bytes.h>
#include "support/world.h"

#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IP6 0x86dd
#define NEIGHBOR_SOLICITATION 135

static void arp_answer(struct world *w, const uint8_t *asked)
{
	uint8_t f[42];
	if (load_be16(asked + 20) != 1 || load_be32(asked + 38) == WORLD_B_IP)
		return;
	memcpy(f, asked + 6, 6);
	memcpy(f + 6, script_peer_mac, 6);
	memcpy(f + 12, asked + 12, 8);
	store_be16(f + 20, 2);
	memcpy(f + 22, script_peer_mac, 6);
	memcpy(f + 28, asked + 38, 4);
	memcpy(f + 32, asked + 22, 10);
	world_inject(w, SCRIPT_ENGINE, f, sizeof f);
}

static void ndp_answer(struct world *w, const uint8_t *h)
{
	struct segment_path path = {.id = 0};
	const uint8_t *asked = h + 40;
	uint8_t f[86] = {0};
	memcpy(f, h - 8, 6);
	memcpy(f + 6, script_peer_mac, 6);
	store_be16(f + 12, ETHERTYPE_IP6);
	store_be64(f + 14, UINT64_C(0x6000000000203aff));
	memcpy(f + 22, asked + 8, 16);
	memcpy(f + 38, h + 8, 16);
	store_be64(f + 54, UINT64_C(0x8800000060000000));
	memcpy(f + 62, asked + 8, 16);
	store_be16(f + 78, 0x0201);
	memcpy(f + 80, script_peer_mac, 6);
	memcpy(path.source.octet, f + 22, 16);
	memcpy(path.destination.octet, f + 38, 16);
	icmp6_seal(f + 54, 32, &path);
	world_inject(w, SCRIPT_ENGINE, f, sizeof f);
}

/* Messages 133 to 137, and those with hop-by-hop options, which only MLD has. */
static bool is_discovery(const uint8_t *h)
{
	return h[6] == 0 || (h[6] == 58 && h[40] >= 133 && h[40] <= 137);
}

bool neighbour_hears(struct world *w, const uint8_t *frame, uint32_t len, bool answer)
{
	const uint8_t *h = frame + 14;
	struct net_address engine = world_address(SCRIPT_ENGINE, true);
	uint16_t type = load_be16(frame + 12);
	if (type == ETHERTYPE_ARP) {
		if (answer)
			arp_answer(w, frame);
		return true;
	}
	if (type != ETHERTYPE_IP6 || !is_discovery(h))
		return false;
	/* Not from ::, where the engine asks whether anybody has an address that it is going to use. */
	bool asks = h[6] == 58 && h[40] == NEIGHBOR_SOLICITATION && len >= 78 && load_be64(h + 8);
	if (asks && answer && memcmp(h + 48, engine.octet, 16) != 0)
		ndp_answer(w, h);
	return true;
}

void neighbour_introduce(struct world *w)
{
	uint8_t f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	memcpy(f + 6, script_peer_mac, 6);
	store_be16(f + 12, ETHERTYPE_ARP);
	store_be64(f + 14, UINT64_C(0x0001080006040001));
	memcpy(f + 22, script_peer_mac, 6);
	store_be32(f + 28, WORLD_A_IP);
	store_be32(f + 38, WORLD_B_IP);
	world_inject(w, SCRIPT_ENGINE, f, sizeof f);
}
