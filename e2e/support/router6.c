/* Advertises a router and a prefix on a link, as radvd does, for the scripts of e2e/:
 *
 *	router6 INTERFACE PREFIX LIFETIME_S [DNS_SERVER]
 *
 * The prefix is one of 64 bits, on-link and autonomous. It advertises at once, after each question, and each
 * second, until it is ended; then it says goodbye (a router's lifetime of 0). */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "router6: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t put_prefix(uint8_t *p, const char *prefix, uint32_t lifetime_s)
{
	struct nd_opt_prefix_info o = {.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION, .nd_opt_pi_len = 4,
		.nd_opt_pi_prefix_len = 64,
		.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO,
		.nd_opt_pi_valid_time = htonl(lifetime_s), .nd_opt_pi_preferred_time = htonl(lifetime_s)};
	if (inet_pton(AF_INET6, prefix, &o.nd_opt_pi_prefix) != 1)
		fail(prefix);
	memcpy(p, &o, sizeof o);
	return sizeof o;
}

static size_t put_server(uint8_t *p, const char *server, uint32_t lifetime_s)
{
	uint32_t lifetime = htonl(lifetime_s);
	memset(p, 0, 24);
	p[0] = 25;
	p[1] = 3;
	memcpy(p + 4, &lifetime, 4);
	if (inet_pton(AF_INET6, server, p + 8) != 1)
		fail(server);
	return 24;
}

static void advertise(int s, unsigned interface, char **arguments, uint32_t lifetime_s)
{
	uint8_t m[256] = {0};
	struct nd_router_advert head = {.nd_ra_type = ND_ROUTER_ADVERT, .nd_ra_curhoplimit = 64,
		.nd_ra_router_lifetime = htons((uint16_t)lifetime_s)};
	size_t len = sizeof head;
	memcpy(m, &head, sizeof head);
	len += put_prefix(m + len, arguments[2], (uint32_t)atoi(arguments[3]));
	if (arguments[4])
		len += put_server(m + len, arguments[4], lifetime_s);
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_scope_id = interface};
	inet_pton(AF_INET6, "ff02::1", &to.sin6_addr);
	/* The interface may have no address yet that has been checked: the next one gets through. */
	if (sendto(s, m, len, 0, (struct sockaddr *)&to, sizeof to) < 0 && errno != EADDRNOTAVAIL
		&& errno != ENETUNREACH && errno != ENETDOWN)
		fail("sendto");
}

int main(int count, char **arguments)
{
	int hops = 255;
	if (count < 4 || count > 5) {
		fputs("usage: router6 INTERFACE PREFIX LIFETIME_S [DNS_SERVER]\n", stderr);
		return 2;
	}
	unsigned interface = if_nametoindex(arguments[1]);
	int s = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	if (!interface || s < 0)
		fail(arguments[1]);
	struct ipv6_mreq all_routers = {.ipv6mr_interface = interface};
	inet_pton(AF_INET6, "ff02::2", &all_routers.ipv6mr_multiaddr);
	if (setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) < 0
		|| setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface, sizeof interface) < 0
		|| setsockopt(s, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &all_routers, sizeof all_routers) < 0)
		fail("setsockopt");
	struct sigaction action = {.sa_handler = end};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	while (!ended) {
		uint8_t m[1500];
		struct pollfd p = {.fd = s, .events = POLLIN};
		advertise(s, interface, arguments, (uint32_t)atoi(arguments[3]));
		while (!ended && poll(&p, 1, 1000) > 0)
			if (recv(s, m, sizeof m, 0) > 0 && m[0] == ND_ROUTER_SOLICIT)
				break;
	}
	advertise(s, interface, arguments, 0);
	return 0;
}
