/* UDP (RFC 768), over IPv4 and IPv6: a socket receives from both. */
#ifndef NET_UDP_H
#define NET_UDP_H

#include <base/err.h>
#include <base/list.h>
#include <base/slice.h>
#include <net/address.h>

#define UDP_SEGMENTS_MAX 4

struct net;

/* In the caller's memory from udp_bind to udp_unbind. */
struct udp_socket {
	uint16_t port; /* udp_bind: 0 takes a random one */
	/* A datagram has come; `payload` is valid during the call. May send and unbind. */
	void (*receive)(struct udp_socket *, const struct net_endpoint *from, struct slice payload);
	void *cookie;

	struct list link; /* the engine's */
	struct net *net;
};

/* A datagram in the caller's memory, with the bytes it refers to, from udp_send until `done`. */
struct udp_datagram {
	struct slice segment[UDP_SEGMENTS_MAX];
	uint32_t count;
	void (*done)(struct udp_datagram *); /* sent or given up; nothing reads from it any more */
	void *cookie;
};

API_BEGIN

/* ERR_BUSY: the port is taken. */
err udp_bind(struct net *net, struct udp_socket *socket) MUST_USE;
void udp_unbind(struct udp_socket *socket);
/* ERR_TOO_LARGE: more than the MTU allows (nothing is fragmented); ERR_NO_MEMORY: no frame; ERR_INVALID:
 * no address of our own that would do, yet (unless to 255.255.255.255); ERR_NOT_FOUND: no route. */
err udp_send(struct udp_socket *socket, const struct net_endpoint *to, struct udp_datagram *d) MUST_USE;

API_END

#endif
