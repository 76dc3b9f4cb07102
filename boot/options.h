/* What the command line says: private to boot/. */
#ifndef BOOT_OPTIONS_H
#define BOOT_OPTIONS_H

#include <base/slice.h>
#include <net/net.h>

struct options {
	/* Host order; address 0: by DHCP. */
	uint32_t address, mask, gateway;
	enum net_ip6_mode ip6; /* AUTO unless said otherwise */
	struct net_address ip6_address, ip6_gateway;
	uint8_t ip6_prefix_len;
	struct slice ip6_secret; /* lies in the command line; empty: none */
	uint32_t keep_alive_s; /* how long a connection without a request is kept; 0: the server decides */
	bool debug; /* log at that level */
	uint16_t diagnose_port; /* 0: off */
	bool diagnose_any;      /* not only for hosts on the same link */
};

/* Words: "ip=10.0.0.2/24" or "ip=10.0.0.2/24,10.0.0.1", "ip6=off", "ip6=auto", "ip6=2001:db8::2/64" or
 * "ip6=2001:db8::2/64,fe80::1", "ip6.secret=WORD", "keep-alive=75" (1 to 86400), "debug",
 * "diagnose=PORT" or "diagnose=PORT,any". Words that it does not know are left
 * alone (a loader may add some). False, with the word in *bad, when a known one is malformed. */
bool options_parse(struct slice command_line, struct options *out, struct slice *bad);

#endif
