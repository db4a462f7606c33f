/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network namespaces of this host, and a way to do something inside each.
 *
 * Found are those of all processes, those with a name in /run/netns, and those
 * bound to a file somewhere in our mount namespace. Not found are those that
 * only a thread other than its process's first, an open descriptor or a socket
 * keeps, and those of processes that our /proc does not show.
 */
#ifndef TCPSAGA_SOURCE_NETNS_H
#define TCPSAGA_SOURCE_NETNS_H

#include <stdint.h>

/* Borrowed for the call. */
struct netns {
	uint32_t inode; /* as in struct ev_place; 0: refused before it was known */
	/* The path it was first found under: "/run/netns/blue", "/proc/811/ns/net".
	 * Arbitrary bytes. */
	const char *path;
};

/*
 * Both are called in a thread of the walk's own, while the caller waits: they
 * may use the caller's data without a lock, but not what belongs to its thread.
 * All signals are blocked there. They may keep what they opened (a socket, a
 * descriptor); it stays in its namespace.
 */
struct netns_visitor {
	/* Inside the namespace. 0 to go on; anything else ends the walk, which
	 * returns it. */
	int (*inside)(void *context, const struct netns *netns);
	/* It cannot be looked at (-EACCES) or entered (-EPERM). May be NULL. */
	void (*refused)(void *context, const struct netns *netns, int err);
	void *context;
};

struct netns_counts {
	uint32_t visited;
	/* Attempts: without privileges every foreign process is one, and many of
	 * them may be in the same namespace. */
	uint32_t refused;
};

/*
 * Visits each namespace once, the caller's own first (it is never refused).
 * Entering another takes CAP_SYS_ADMIN, and finding it CAP_SYS_PTRACE. How many
 * there are is bounded by user.max_net_namespaces. Costs 5 us a process and
 * 30 us a namespace besides what inside() does. counts may be NULL. Returns
 * 0, what inside() returned, or -errno when there was no walk.
 */
int netns__walk(const struct netns_visitor *visitor, struct netns_counts *counts);

/* Visits the one namespace that path names, which may be refused. 0, what
 * inside() returned, or -errno: -EINVAL when path is no network namespace. */
int netns__visit(const char *path, const struct netns_visitor *visitor);

/* The inode of the calling thread's own namespace. 0 or -errno. */
int netns__own(uint32_t *inode);

#endif
