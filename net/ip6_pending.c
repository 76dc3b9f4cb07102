/* Stands in until ndp.c and mld.c take these: solicitations are answered, answers are learned. */
#include "ip6.h"

void __attribute__((weak)) ndp_input(struct net *net, const struct net_address *source,
	const struct net_address *destination, struct slice icmp)
{
	struct net_address target;
	struct neighbor *n;
	(void)destination;
	if (icmp.len < 32)
		return;
	memcpy(target.octet, icmp.ptr + 8, 16);
	if (icmp.ptr[0] == 136) {
		n = neighbor_find(net, &target);
		if (n)
			neighbor_advertised(net, n, icmp.ptr + 26, true, true);
	} else if (icmp.ptr[0] == 135 && ip6_is_own(net, &target) && (n = neighbor_asks_us(net, source))) {
		uint8_t m[32] = {136, 0, 0, 0, 0x60};
		neighbor_learned(net, n, icmp.ptr + 26);
		memcpy(m + 8, target.octet, 16);
		m[24] = 2;
		m[25] = 1;
		memcpy(m + 26, net->mac, 6);
		ndp_message_send(net, n->mac, &target, source, m, sizeof m, false);
	}
}

void __attribute__((weak)) mld_input(struct net *net, const struct net_address *source,
	const struct net_address *destination, struct slice icmp)
{
	(void)net;
	(void)source;
	(void)destination;
	(void)icmp;
}
