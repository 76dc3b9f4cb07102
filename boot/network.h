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
	struct frame_tx *unsent; /* the device was full */
	struct timer timer;      /* the engine's next deadline */
	uint32_t address_generation;
	uint16_t port;           /* that is announced in the log; 0: none yet */
};

/* Connects the two: `buffers` has items of NETWORK_BUFFER_SIZE. All is borrowed for ever. */
void network_start(struct network *n, struct loop *loop, struct log *log, struct net_device *device,
	struct net *net, struct pool *buffers);
/* From now on each address is announced as "http: listening on ADDRESS:PORT". */
void network_announce(struct network *n, uint16_t port);

#endif
