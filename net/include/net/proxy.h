/* The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): what a proxy that passes on bytes writes before
 * the first of them, so that the server learns who has connected to it. Text (1), or binary with further fields (2).
 *
 * Whoever can send such a header can be anybody: take it from proxies that are trusted only, and there always. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <net/address.h>

#define NET_PROXY_LEN_MAX 4096 /* bytes of a header; a longer one is refused */
#define NET_PROXY_LINE_MAX 107 /* of one in version 1, with its CRLF */

enum net_proxy_result {
	NET_PROXY_MORE,   /* call again with what follows */
	NET_PROXY_DONE,   /* the bytes that were not consumed are the client's */
	NET_PROXY_FAILED, /* no such header: close; sticky */
};

struct net_proxy {
	/* With NET_PROXY_DONE. */
	bool has_client;   /* else the connection is the proxy's own (a health check), or nothing is known of the client */
	bool is_encrypted; /* the client speaks TLS with the proxy (version 2 says so) */
	struct net_endpoint client, server; /* with has_client: who has connected, and to what */
	/* The parser's own. */
	uint8_t phase, command, family;
	uint8_t tlv;          /* the type of the field in which it is, */
	uint16_t tlv_at, tlv_left;
	uint32_t len, left;   /* bytes so far; of version 2, that follow */
	uint32_t crc, crc_sent;
	bool has_crc;
	uint8_t bytes[NET_PROXY_LINE_MAX];
};

API_BEGIN

void net_proxy_init(struct net_proxy *p);
/* The next bytes, cut anywhere: the outcome is the same. `consumed` is how many of them belong to the header. */
enum net_proxy_result net_proxy_input(struct net_proxy *p, struct slice bytes, size_t *consumed);

API_END

#endif
