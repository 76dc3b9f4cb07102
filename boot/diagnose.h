/* A look into a running machine, for who operates it: a port, switched on by the command line
 * ("diagnose=PORT"), which answers HTTP GETs of
 *
 *	/counters          the server's and the TCP/IP engine's counters and pools, a line each: "tcp_in_segs 1234"
 *	/capture?snap=N    what the network card receives and sends from now on, as a pcap stream, N bytes of
 *	                   each frame (256); without this port's own traffic; one reader at a time
 *	/snapshots         what app/database.h says, when the application has a database
 *
 * It answers only who is on the same link, unless told "diagnose=PORT,any". It is not the application's server:
 * it works when that is full or stuck, and nothing of it costs anything while it is off. Private to boot/. */
#ifndef BOOT_DIAGNOSE_H
#define BOOT_DIAGNOSE_H

#include <app/database.h>
#include <app/server.h>
#include <core/log.h>
#include <core/loop.h>
#include <net/capture.h>
#include <net/net.h>

struct diagnose;

/* Bytes for diagnose_start. */
size_t diagnose_memory_size(void);
/* `memory`, zeroed, is its own for ever, and all else is borrowed; *server and *database are NULL until they are
 * up. Says in the log that it listens, or why it cannot. */
void diagnose_start(void *memory, struct loop *loop, struct log *log, struct net *net,
	struct server *const *server, struct database *const *database, uint16_t port, bool any);

#endif
