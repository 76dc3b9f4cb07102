/* The network interface on one side, the TCP/IP engine on the other: private to boot/. */
#ifndef BOOT_NETWORK_H
#define BOOT_NETWORK_H

#include <base/pool.h>
#include <core/log.h>
#include <core/loop.h>
#include <net/net.h>

/* A received frame: its buffer, which the device fills, lies behind the structure. 2 KiB in all. */
#define NETWORK_BUFFER_SIZE 2048u

struct network {
	struct loop_client client;
	struct loop *loop;
	struct log *log;
	struct net_device *device;
	struct net *net;
	struct pool *buffers;
	uint32_t taken;          /* buffers that the device has filled in this round, less those that are back */
	struct frame_tx *unsent; /* the device was full */
	struct timer timer;      /* the engine's next deadline */
	uint32_t address_generation;
	struct net_ipv6 ipv6; /* as last reported */
	uint16_t port;           /* that is announced in the log; 0: none yet */
};

/* Connects the two: `buffers` has items of NETWORK_BUFFER_SIZE. All is borrowed for ever. */
void network_start(struct network *n, struct loop *loop, struct log *log, struct net_device *device,
	struct net *net, struct pool *buffers);
/* From now on each address is announced as "http: listening on ADDRESS:PORT", an IPv6 one in brackets;
 * link-local ones are not. */
void network_announce(struct network *n, uint16_t port);

/* What IPv6's interface identifiers are made of (RFC 7217): the given secret, which nobody can guess if it is
 * good; without one, the application's name and the card's address. Then they are as stable, and addresses on
 * one network tell nothing to those on another; but who knows both can tell the address, and so find
 * the machine, on any network. For a server that is meant to be found that is a fair price for having
 * the same address after each start with nothing to configure or to store. */
void network_secret(struct slice given, struct slice name, const uint8_t mac[6], uint8_t out[32]);

#endif
