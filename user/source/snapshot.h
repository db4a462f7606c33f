/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples of the kernel's own tables as records, beside the stream of events:
 * the listeners of every network namespace, with their queues, and what each
 * namespace has counted. What existed before the start is there from the first
 * sample on.
 */
#ifndef TCPSAGA_SOURCE_SNAPSHOT_H
#define TCPSAGA_SOURCE_SNAPSHOT_H

#include "bpf/settings.h"
#include "source/source.h"

enum {
	SNAPSHOT_OWNERS = 1 << 0, /* who holds the sockets: scans /proc, for the first sample */
	/* How many requests are in the SYN queues, where no event tells: walks the
	 * whole table of connections, 25 ms for 100,000 (6.18). */
	SNAPSHOT_REQUESTS = 1 << 1,
};

/*
 * Hands out an EV_LISTENER record for each listening TCP socket, then for each
 * namespace EV_SETTINGS, EV_NETSTAT and, when its dump was complete, EV_SAMPLED. netns 0
 * means every namespace, else only that one. Returns 0, what take returned, or -errno
 * (-ENOENT: the kernel has no sock_diag for TCP; the counters were
 * handed out).
 */
int snapshot__take(uint32_t netns, unsigned int extras, source_take_fn take, void *context);

/* Everything that may be a connection, will be one, or is what is left of one. */
#define SOCKET_STATES                                                                         \
	(1U << EV_ESTABLISHED | 1U << EV_SYN_SENT | 1U << EV_FIN_WAIT1 | 1U << EV_FIN_WAIT2 | \
	 1U << EV_TIME_WAIT | 1U << EV_CLOSE_WAIT | 1U << EV_LAST_ACK | 1U << EV_CLOSING |    \
	 1U << EV_SYN_RECV)

/*
 * Hands out an EV_SOCKET record for each connection, request and minisocket that
 * the terms let pass, with owners if SNAPSHOT_OWNERS, and an EV_DUMP before and
 * behind those of each namespace, and one for no namespace at the end. states is a mask of (1 << EV_*). Returns as
 * above.
 */
int snapshot__sockets(const struct kernel_filter *terms, uint32_t states, unsigned int extras,
		      source_take_fn take, void *context);

/*
 * Hands out an EV_UNREAD record for each connection in CLOSE_WAIT that the terms let
 * pass, at most max of a namespace. Returns as above.
 */
int snapshot__unread(const struct kernel_filter *terms, unsigned int max, source_take_fn take,
		     void *context);

/* Both: the listeners and counters, then everything else. */
int snapshot__all(const struct kernel_filter *terms, unsigned int extras, source_take_fn take,
		  void *context);

/* A source without events: for --once, which looks at the tables only and needs
 * no BPF. NULL with errno ENOMEM. */
struct source *snapshot__source(void);

#endif
