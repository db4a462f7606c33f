/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TCP sockets (and for one port the UDP ones) that are there now, read from
 * the kernel's own tables (sock_diag, what ss uses): what existed before the first event, what is true
 * after a loss, and the minisockets of the TIME_WAIT books.
 */
#ifndef TCPSAGA_SOURCE_SOCKDIAG_H
#define TCPSAGA_SOURCE_SOCKDIAG_H

#include <stdint.h>

#include "event/connection.h"

/* What stands in the kernel's table under this tuple. */
enum socket_kind {
	SOCKET_FULL = 0, /* struct sock */
	SOCKET_REQUEST,	 /* struct request_sock: SYN_RECV, half open in a SYN queue */
	SOCKET_MINI,	 /* struct inet_timewait_sock: TIME_WAIT, or FIN_WAIT2 of an orphan */
};

/* idiag_timer, include/uapi/linux/inet_diag.h names none of them. */
enum socket_timer {
	TIMER_NONE = 0,
	TIMER_RETRANSMIT = 1, /* for a request: its next SYN-ACK */
	TIMER_KEEPALIVE = 2,  /* also an orphan's FIN_WAIT2 as a full socket */
	TIMER_TIMEWAIT = 3,
	TIMER_PROBE = 4, /* zero window */
};

enum {
	/* socket_entry.has */
	SOCKET_HAS_INFO = 1 << 0, /* bytes_sent, bytes_received, retransmits */
	SOCKET_HAS_DROPS = 1 << 1,
	SOCKET_HAS_CGROUP = 1 << 2,
	SOCKET_HAS_V6ONLY = 1 << 3, /* AF_INET6 that listens or is not connected */
};

struct socket_entry {
	struct endpoint local;
	struct endpoint remote;
	uint8_t family;	 /* the socket's own: AF_INET or AF_INET6 */
	uint8_t state;	 /* enum ev_state; a mini's is FIN_WAIT2 or TIME_WAIT */
	uint8_t kind;	 /* enum socket_kind */
	uint8_t has;	 /* SOCKET_HAS_* */
	uint8_t timer;	 /* enum socket_timer */
	uint8_t retrans; /* retransmissions, probes or SYN-ACKs without an answer */
	uint8_t v6only;	 /* IPV6_V6ONLY, 0 or 1 */
	uint8_t pad;
	uint64_t cookie;     /* the dump itself gives one to a socket that had none */
	uint32_t netns;	     /* inode; 0, whoever walks the namespaces fills it in */
	uint32_t ifindex;    /* bound to this device, 0 none */
	uint32_t inode;	     /* of the descriptor; 0: not accepted yet, orphaned, or not full */
	uint32_t uid;	     /* who made it, in our user namespace; means nothing if not full */
	uint32_t expires_ms; /* until the timer fires */
	/* Bytes not read yet, bytes not acknowledged yet. A listener's: length and
	 * limit of the accept queue (sk_ack_backlog, sk_max_ack_backlog). */
	uint32_t rqueue;
	uint32_t wqueue;
	uint32_t drops;	      /* sk_drops: all causes, modulo 2^32 */
	uint32_t retransmits; /* segments, in its whole life */
	uint64_t bytes_sent;  /* as in struct ev_totals */
	uint64_t bytes_received;
	uint64_t cgroup; /* cgroup v2 id of the socket */
};

/*
 * What a dump asks for beyond the plain entry. 100,000 established sockets took
 * 95 ms in all (6.18); with DROPS 2 ms more, with INFO 20 ms, and INFO takes
 * each socket's lock. The cgroup comes for nothing. Listeners alone took 32 us:
 * for them the kernel leaves the table of connections alone; any other state
 * walks it whole, twice, 25 ms.
 */
enum {
	SOCKDIAG_DROPS = 1 << 0, /* INET_DIAG_SKMEMINFO */
	SOCKDIAG_INFO = 1 << 1,	 /* INET_DIAG_INFO */
};

/* Masks of states: bit (1 << EV_*). A request counts as SYN_RECV, a mini under
 * the state it stands for. */
#define SOCKDIAG_LISTENERS (1U << EV_LISTEN)
#define SOCKDIAG_ALL_STATES ((1U << EV_STATE_END) - 2)

/* Sockets with a port that neither listen nor connect, told as CLOSE. From 6.8
 * (91051f003948); older kernels tell none. sockdiag__find() finds none. */
#define SOCKDIAG_BOUND (1U << 13)

/* Borrowed for the call. 0 to go on; anything else ends the dump, which returns
 * it. */
typedef int (*sockdiag_take_fn)(void *context, const struct socket_entry *entry);

struct sockdiag;

/*
 * Tied to the network namespace of the calling thread, also when that thread
 * leaves it; keeps the namespace alive until freed. Needs no privilege. Not
 * thread-safe. NULL with errno:
 *   ENOENT   this kernel has no sock_diag for TCP: the module tcp_diag (or
 *            inet_diag) is missing
 *   other    of socket(), bind(), memory
 */
struct sockdiag *sockdiag__new(void);

/*
 * Hands out every TCP socket whose state is in the mask, IPv4 first. No socket
 * is in both halves: a v4-mapped one is AF_INET6 to the kernel.
 *
 * This is no photograph. The kernel walks its hash bucket by bucket and lets go
 * in between: a socket that changes its table meanwhile (a connect, an end) may
 * come twice or not at all, with an old state or a new one. Those that stay as
 * they are come exactly once.
 *
 * Returns 0; what take returned; or
 *   -EAGAIN   the kernel says that its tables changed: all entries were handed
 *             out, but repeat the dump
 *   -ENOENT   tcp_diag was unloaded
 *   -EBADMSG  an answer that does not parse
 *   -errno    of send and receive; free the object
 */
int sockdiag__dump(struct sockdiag *diag, uint32_t states, unsigned int extras, sockdiag_take_fn take,
		   void *context);

/*
 * Hands out every socket of this local port, IPv4 first; the kernel picks them
 * out itself. protocol is IPPROTO_TCP or IPPROTO_UDP: a UDP socket is CLOSE, or
 * ESTABLISHED when it is connected. Returns as sockdiag__dump(); -ENOENT also
 * for UDP without the module udp_diag.
 */
int sockdiag__dump_port(struct sockdiag *diag, uint8_t protocol, uint16_t port, uint32_t states,
			sockdiag_take_fn take, void *context);

/* Which single socket. */
struct sockdiag_key {
	struct endpoint local;
	struct endpoint remote;
	uint32_t ifindex; /* as in its entry; wanted for link-local addresses */
	uint64_t cookie;  /* 0: whichever stands under that tuple */
};

/*
 * Reads one socket of exactly this tuple. Listeners that share a port
 * (SO_REUSEPORT) are not told apart this way: dump them. Returns 0 with *entry
 * written, or
 *   -ESRCH    no such socket, or another one stands there by now
 *   -errno    as sockdiag__dump()
 */
int sockdiag__find(struct sockdiag *diag, const struct sockdiag_key *key, unsigned int extras,
		   struct socket_entry *entry);

/* NULL is accepted. */
void sockdiag__free(struct sockdiag *diag);

#endif
