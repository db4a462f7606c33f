/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds a local port: a look at the kernel's own tables in every network
 * namespace, TCP and UDP. sock_diag tells the sockets, two BPF iterators their
 * options, /proc their processes. It binds nothing and changes nothing.
 *
 * Half-open requests are passed over: they hold no port, their listener does.
 */
#ifndef TCPSAGA_SOURCE_HOLDERS_H
#define TCPSAGA_SOURCE_HOLDERS_H

#include <stddef.h>

#include "event/holder.h"

/* What could not be seen. */
enum {
	HOLDERS_NO_TCP = 1 << 0,     /* no sock_diag for TCP (module tcp_diag) */
	HOLDERS_NO_UDP = 1 << 1,     /* for UDP (module udp_diag) */
	HOLDERS_NO_BOUND = 1 << 2,   /* TCP sockets that are bound and no more: before 6.8 */
	HOLDERS_NO_OPTIONS = 1 << 3, /* reuseaddr, reuseport: no BPF iterators */
	HOLDERS_NO_NETNS = 1 << 4,   /* network namespaces that we may not enter */
	HOLDERS_NO_OWNERS = 1 << 5,  /* processes whose descriptors we may not see */
	HOLDERS_CHANGING = 1 << 6,   /* the tables changed during each try */
};

/* What BPF takes to tell the options: loaded once, for many looks. */
struct holders_options;

/* Where that is refused each look has HOLDERS_NO_OPTIONS. NULL without memory. Takes CAP_BPF and CAP_PERFMON; a look then needs CAP_BPF on 5.10. */
struct holders_options *holders_options__new(void);
void holders_options__free(struct holders_options *options);

struct holders {
	struct holder *list; /* owned */
	size_t count;
	size_t capacity;
	unsigned int unseen;	/* HOLDERS_* */
	int options_error;	/* -errno behind HOLDERS_NO_OPTIONS */
	uint32_t netns_visited; /* namespaces */
	uint64_t taken_ns;	/* boot time */
};

/*
 * Looks in the namespace with this inode, 0 for all. The cost is that of a walk
 * over the whole table of connections in each namespace, 25 ms for 100,000, twice
 * where BPF tells the options; options NULL: loaded for this look. Returns 0 or
 *   -ESRCH   no such namespace
 *   -errno   of the walk
 */
int holders__load(struct holders *holders, struct holders_options *options, uint16_t port, uint32_t netns);
void holders__fini(struct holders *holders);

#endif
