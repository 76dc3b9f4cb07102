/* What must hold for an engine between any two calls. For tests: it walks everything. */
#ifndef CHECK_H
#define CHECK_H

#include <net/net.h>

/* NULL, or what does not hold, as text in `out`. Pools of at most NET_CHECK_ITEMS. */
#define NET_CHECK_ITEMS 4096
const char *net_check(const struct net *net, char *out, size_t size);
/* One line for each connection that exists, for reports. */
void net_check_dump(const struct net *net, void *file);

#endif
