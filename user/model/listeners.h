/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listeners with both their queues: what came, what became of it, how deep the
 * queues were. One entry per listening socket, so each socket of a
 * SO_REUSEPORT group has its own. Pure.
 *
 * Bounded: at most LISTENERS_MAX; closed ones go first, then none: a listener
 * beyond that is counted as not kept, and so are clients beyond CLIENTS_MAX.
 */
#ifndef TCPSAGA_MODEL_LISTENERS_H
#define TCPSAGA_MODEL_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/idmap.h"
#include "event/connection.h"
#include "model/clients.h"
#include "model/owners.h"

enum {
	LISTENERS_MAX = 4096,
	NOT_KEPT_MAX = 65536, /* listeners beyond that are counted at each attempt */

	/* listener.flags; they are told to others (EV_QUEUES): appended to, never changed */
	LISTENER_PLACE_KNOWN = 1 << 0,
	LISTENER_CLOSED = 1 << 1,
	LISTENER_PREEXISTING = 1 << 2, /* it listened before the start: counts begin there */
	LISTENER_DROPS_KNOWN = 1 << 3,
	LISTENER_ADOPTED = 1 << 4, /* its key is an address that an event has given */
	LISTENER_LACKING = 1 << 5, /* closed, because a complete sample had it no more */
};

/* Depths are samples: they race with other CPUs (KERNEL.md, section 3). */
struct queue_depth {
	uint32_t len;
	uint32_t max; /* high-water mark */
};

struct listener {
	uint64_t key;	   /* conn_id, or the obscured address where there is none */
	uint64_t id;	   /* shown to people: no other listener ever has it */
	uint64_t cookie;   /* of its samples: LISTENER_DROPS_KNOWN */
	uint64_t found_ns; /* when a sample made it; 0: an event did */
	uint64_t sampled_ns;
	uint64_t born_ns; /* of its LISTEN; 0: not seen */
	uint32_t netns;
	uint32_t owner; /* index into owners: the task that called listen() */
	uint8_t family;
	uint8_t flags;
	bool by_address; /* born where a program has no cookie (5.10) */
	struct endpoint local;

	uint32_t limit;	    /* effective: min(listen(), somaxconn) */
	uint32_t asked;	    /* the listen() argument; 0 not known */
	uint32_t somaxconn; /* of its namespace; 0 not known */
	uint32_t needed;    /* backlog that the burst would have needed; 0: enough */
	uint32_t blocked;   /* clients now waiting after a dropped SYN */
	uint32_t silent;    /* of those: of the old generation */
	struct queue_depth syn_queue;
	struct queue_depth accept_queue;

	/* SYNs: syns = queued + cookies + fastopen + all of dropped[], and those
	 * of EV_SYN_UNKNOWN, which have no counter of their own. */
	uint64_t syns;
	uint64_t queued;
	uint64_t admitted; /* the same as sockops sees it: EV_ADMITTED */
	uint64_t cookies;
	uint64_t fastopen;
	uint64_t dropped[EV_DROP_END];
	/* Requests: queued = completed + timed_out + reset + abandoned + pending. */
	uint64_t completed;
	uint64_t timed_out;
	uint64_t reset;	    /* by the peer, or by us: aborted */
	uint64_t aborted;   /* of those: accept queue full and tcp_abort_on_overflow */
	uint64_t abandoned; /* the listener closed */
	uint64_t completed_by_cookie;
	uint64_t overflows;   /* third ACKs dropped: the accept queue was full */
	uint64_t retransmits; /* SYN-ACKs sent again */
	uint64_t accepted;
	uint64_t sk_drops;		 /* sampled: the socket's own counter, LISTENER_DROPS_KNOWN */
	uint64_t delayed;		 /* connections served after a SYN or third ACK was dropped */
	uint64_t gave_up;		 /* clients that were blocked and not heard of again */
	struct histogram handshake_us;	 /* SYN to third ACK */
	struct histogram accept_wait_us; /* third ACK to accept() */
};

struct listeners {
	struct listener **all; /* owned; NULL: free place */
	uint32_t used;
	struct idmap by_key;
	struct idmap not_kept; /* keys that there was no room for */
	struct clients clients;
	struct owners *owners;	/* borrowed */
	uint64_t not_kept_more; /* attempts that not_kept had no room for */
};

int listeners__init(struct listeners *listeners, struct owners *owners, uint64_t seed);
void listeners__fini(struct listeners *listeners);

/* The listener with this key, made if there is none; NULL when there is no
 * room or memory. */
struct listener *listeners__get(struct listeners *listeners, uint64_t key);
/* The same for a listener known by its address only (5.10): takes over the
 * sample of that place, which stands under a cookie that no event names. Of
 * several samples none: a SO_REUSEPORT group cannot be told apart by place. */
struct listener *listeners__adopt(struct listeners *listeners, uint64_t key, uint32_t netns,
				  const uint8_t addr[16], uint16_t port);
/* What listen() has told of a listener. */
struct listener_birth {
	uint64_t key;
	uint64_t id;	 /* as listener.id */
	bool by_address; /* the key is an address: it may have been another one's before */
	uint32_t netns;
	const uint8_t *addr; /* 16 bytes */
	uint16_t port;
	uint64_t time_ns;
};

/* One that begins to listen. A cookie that is known is that listener, which listens
 * again; an address that is known is another one's, whose entry keeps its sums. The
 * sample of its place is taken over when it was first taken later: records wait in
 * the ring, and a sample that was taken meanwhile has made the listener already
 * (under a cookie: 5.10). */
struct listener *listeners__born(struct listeners *listeners, const struct listener_birth *birth);
struct listener *listeners__find(const struct listeners *listeners, uint64_t key);

/* It has closed: kept as long as there is room. */
void listeners__close(struct listeners *listeners, uint64_t key);

/* How many there was no room for. */
uint64_t listeners__not_kept(const struct listeners *listeners);

/* The open listener that serves this local end: the one bound to the address,
 * else a wildcard one, for IPv4 rather that of an AF_INET socket. NULL when there is none; of a SO_REUSEPORT group any. */
struct listener *listeners__serving(const struct listeners *listeners, uint32_t netns,
				    const uint8_t addr[16], uint16_t port);

/* True when another open listener has the same address and port: a group of
 * SO_REUSEPORT. */
bool listeners__share_place(const struct listeners *listeners, const struct listener *listener);

/* A sample from the kernel's tables: makes the listener if it is new. Where the
 * kernel gives programs no cookie (5.10) the first sample is matched by place,
 * the others by the cookie it had. */
void listeners__sample(struct listeners *listeners, const struct ev_listener *sample);

/* The samples of this namespace (0: of all) at this time are complete: who had
 * been sampled before and is not among them has closed, unseen. */
void listeners__sampled(struct listeners *listeners, uint32_t netns, uint64_t time_ns);

/* Clients give up as time goes by, which only records tell. */
void listeners__age(struct listeners *listeners, uint64_t now_ns);

/* A step of a handshake. took_us is the time since the SYN, UINT64_MAX when it
 * is not known; was_blocked: its third ACK had been dropped before. */
void listeners__step(struct listeners *listeners, struct listener *listener,
		     const struct ev_handshake *step, uint64_t took_us, bool was_blocked);

/* A SYN was queued, and neither its siblings that were not nor its end are seen. */
void listeners__admitted(struct listeners *listeners, struct listener *listener,
			 const struct ev_handshake *step);

/* One as another model tells it, and what it has counted; owner is a reference that
 * is taken over. Who waits there after a dropped SYN is not told: whether they come
 * through or give up is not counted. */
void listeners__put(struct listeners *listeners, const struct ev_queues *from, uint32_t owner);

/* The inverse, but for the owner. */
void listener__tell(const struct listener *listener, struct ev_queues *out);

/* accept() took one out after waited_us (UINT64_MAX: not known). Depth and
 * limit are only in the record where the hook saw the listener. */
void listener__accepted(struct listener *listener, const struct ev_accept *accept, uint64_t waited_us);

/* Requests in the SYN queue by the books. */
uint64_t listener__pending(const struct listener *listener);

uint64_t listener__drops(const struct listener *listener);

#endif
