/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TIME_WAIT ledger: every minisocket of the host, charged to who caused it.
 * An entry is one minisocket; a group is what a process, in one role, has with
 * one service. Pure.
 *
 * Bounded: at most max_entries entries and TIMEWAIT_GROUPS_MAX groups. When the
 * entries are used up, further minisockets are counted and not kept; when the
 * groups are, they are charged to the group "other" (owner, role and service
 * unknown).
 */
#ifndef TCPSAGA_MODEL_TIMEWAITS_H
#define TCPSAGA_MODEL_TIMEWAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idmap.h"
#include "base/posindex.h"
#include "event/connection.h"
#include "model/owners.h"

enum {
	TIMEWAITS_MAX = 1 << 20,
	TIMEWAIT_GROUPS_MAX = 4096,
	WAIT_TIME_SHIFT = 20,	    /* of wait_entry.began: 2^20 ns */
	TIMEWAIT_RATE_SECONDS = 10, /* over which a rate is taken */
	TIMEWAIT_SHORT_MS = 1000,   /* a connection shorter than this is "short" */
	TIMEWAIT_LEN_S = 60,	    /* TCP_TIMEWAIT_LEN, include/net/tcp.h */
	TIMEWAIT_NETNS_MAX = 256,   /* remembered as confirmed after a loss */
};

/* A minisocket's timer is one of a wheel that gets coarser with the distance:
 * measured 60.85 s (6.12). */
#define TIMEWAIT_LASTS_NS (60850ULL * 1000 * 1000)

struct wait_entry {
	uint64_t id; /* 0: a free place */
	uint8_t local[16];
	uint8_t remote[16];
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t netns;
	uint32_t began; /* boot time in units of 2^20 ns; wraps after 52 days */
	uint32_t group;
	uint8_t substate; /* EV_FIN_WAIT2 or EV_TIME_WAIT */
	uint8_t flags;	  /* WAIT_* */
	uint16_t pad;
	uint32_t next; /* free list; or queue of those to expire */
};

/* They are told to others (EV_WAIT): appended to, never changed. */
enum {
	WAIT_ESTIMATED = 1 << 0,   /* inferred from CLOSE, not yet confirmed by a dump */
	WAIT_PREEXISTING = 1 << 1, /* found by a dump: its begin was not seen */
	WAIT_QUEUED = 1 << 2,	   /* in the queue of those to expire by the clock */
	WAIT_SEEN = 1 << 3,	   /* by the dump in progress */
	/* Its timer was started anew, or is that of FIN_WAIT2: only a dump tells its end. */
	WAIT_RESTARTED = 1 << 4,
};

_Static_assert(sizeof(struct wait_entry) == 64, "200,000 of them must fit in 24 MiB");

struct wait_group {
	uint32_t netns; /* 0 in the group "other" */
	uint32_t owner; /* a reference; OWNER_NONE: not known */
	uint8_t role;	/* enum role */
	bool in_doubt;	/* records were lost since its namespace was last dumped */
	uint8_t pad[2];
	struct endpoint service; /* client: the remote end; server: the local one */
	uint32_t time_wait;	 /* now */
	uint32_t fin_wait2;	 /* now: minisockets that wait for the peer's FIN */
	uint32_t estimated;	 /* of both, those not confirmed by a dump */
	uint32_t oldest_began;	 /* of its entries, as entry.began; by timewaits__measure() */
	uint32_t next;		 /* same hash */
	uint64_t begun;		 /* since the start, with those found */
	uint64_t short_lived;	 /* of begun: the connection lasted less than TIMEWAIT_SHORT_MS */
	uint64_t measured;	 /* of begun: how long it lasted is known */
	uint64_t refused;	 /* the kernel's table was full */
	uint64_t ended[EV_WAIT_END_END]; /* [EV_WAIT_END_NONE]: early, unseen why */
	uint64_t rate_second;		 /* the present second, boot time */
	uint64_t first_second;
	uint32_t per_second[TIMEWAIT_RATE_SECONDS + 1]; /* begun, by second modulo its size */
};

struct timewaits {
	struct wait_entry **chunks; /* owned */
	uint32_t chunk_count;
	uint32_t used; /* entries ever taken from the chunks */
	uint32_t free;
	uint32_t count;
	uint32_t max_entries;
	uint64_t not_kept;    /* minisockets beyond max_entries */
	uint64_t not_grouped; /* of those that begun: charged to "other" for want of a group */
	uint32_t oldest;      /* queue of estimated entries, by age */
	uint32_t newest;
	uint64_t due_ns; /* none of them expires before; UINT64_MAX: there is none */
	struct posindex by_id;
	struct wait_group *groups; /* owned; the first is "other" */
	uint32_t group_count;
	struct idmap by_key;
	struct owners *owners; /* borrowed */
	uint64_t seed;
	uint64_t changes;			/* of entries, so far */
	uint64_t measured;			/* of these, when timewaits__measure() was last called */
	uint64_t loss_ns;			/* when records were lost last; 0: none were */
	uint32_t confirmed[TIMEWAIT_NETNS_MAX]; /* the namespaces that were dumped since then */
	uint32_t confirmed_count;
};

int timewaits__init(struct timewaits *waits, struct owners *owners, uint64_t seed, uint32_t max_entries);
void timewaits__fini(struct timewaits *waits);

/* To whom a minisocket is charged. */
struct wait_charge {
	uint32_t owner; /* index into owners; no reference is taken over */
	enum role role;
	uint64_t lasted_ns; /* the connection, until now; UINT64_MAX unknown */
};

/* A minisocket begins. NULL when it is not kept (counted), or known already. */
struct wait_entry *timewaits__begin(struct timewaits *waits, uint64_t id, const struct tuple *tuple,
				    unsigned int substate, const struct wait_charge *charge,
				    uint64_t now_ns);

/* One that is inferred from the states: nobody will tell its end, so it expires
 * by the clock unless a dump knows better. NULL as above. */
struct wait_entry *timewaits__estimate(struct timewaits *waits, uint64_t id, const struct tuple *tuple,
				       const struct wait_charge *charge, uint64_t now_ns);

/* False when none has expired by now. Asked for each record. */
static inline bool timewaits__may_be_overdue(const struct timewaits *waits, uint64_t now_ns)
{
	return now_ns >= waits->due_ns;
}

/* One that must have expired by now, which the caller ends; NULL when there is
 * none any more. */
struct wait_entry *timewaits__overdue(struct timewaits *waits, uint64_t now_ns);

/* A dump shows this one, which expires in expires_ms. */
void timewaits__sample(struct timewaits *waits, uint64_t id, const struct tuple *tuple,
		       unsigned int substate, uint32_t expires_ms, const struct wait_charge *charge,
		       uint64_t now_ns);

/* A dump of this namespace, begun at began_ns, is over: what it did not show
 * has ended. */
void timewaits__sampled(struct timewaits *waits, uint32_t netns, uint64_t began_ns);

/* Records were lost: until a dump that begins later no count is exact. */
void timewaits__doubt(struct timewaits *waits, uint64_t now_ns);

/* Each of its entries was told by a record or shown by a dump, and none is missing. */
bool wait_group__is_exact(const struct wait_group *group);

/* The same of all of a namespace, whether or not it has groups. */
bool timewaits__are_exact(const struct timewaits *waits, uint32_t netns);

/* Some wait for the peer's FIN still. */
bool timewaits__have_fin_wait2(const struct timewaits *waits);

/* None was made, for the kernel's table was full. */
void timewaits__refuse(struct timewaits *waits, const struct tuple *tuple,
		       const struct wait_charge *charge, uint64_t now_ns);

struct wait_entry *timewaits__find(const struct timewaits *waits, uint64_t id);

/* From FIN_WAIT2 to TIME_WAIT. */
void timewaits__promote(struct timewaits *waits, struct wait_entry *entry);

/* It is gone. */
void timewaits__end(struct timewaits *waits, struct wait_entry *entry, enum ev_wait_end end);

/* As another ledger tells it (EV_WAIT_GROUP): the first group, or the next one that
 * there is not. owner: a reference is taken of it. */
void timewaits__put_group(struct timewaits *waits, const struct ev_wait_group *from, uint32_t owner);

/* As another ledger tells it, of a group that it has told. */
void timewaits__put(struct timewaits *waits, uint64_t id, const struct ev_wait *from);

/* Those that expire by the clock, in their order, by position: the first, and the
 * one behind another; UINT32_MAX behind the last. */
uint32_t timewaits__first_queued(const struct timewaits *waits);
uint32_t timewaits__next_queued(const struct timewaits *waits, uint32_t position);

/* Nanoseconds since it began, at now_ns; to about a millisecond. */
uint64_t wait_entry__held_ns(const struct wait_entry *entry, uint64_t now_ns);

/* Finds the oldest entry of each group: a walk over all. */
void timewaits__measure(struct timewaits *waits, uint64_t now_ns);

/* Nanoseconds since the group's oldest entry began, 0 when it has none. */
uint64_t wait_group__oldest_ns(const struct wait_group *group, uint64_t now_ns);

/* To about a millisecond. */
bool wait_entry__began_before(const struct wait_entry *entry, uint64_t time_ns);

/* Begun per second, over the last whole seconds before now_ns (ten at most). */
double wait_group__rate(const struct wait_group *group, uint64_t now_ns);

/* The entry at a position below used, NULL for a free place. For walks. */
const struct wait_entry *timewaits__at(const struct timewaits *waits, uint32_t position);

#endif
