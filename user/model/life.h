/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life: one connection, from its first sign to CLOSE, with the history of
 * its states. A five-tuple has successive lives. Written by the flow table
 * alone; views and sinks read it.
 */
#ifndef TCPSAGA_MODEL_LIFE_H
#define TCPSAGA_MODEL_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "event/connection.h"
#include "event/decode.h"

enum closed_first {
	CLOSED_NONE = 0, /* nobody did, or not yet */
	CLOSED_LOCAL,
	CLOSED_REMOTE,
	CLOSED_BOTH, /* the FINs crossed: RFC 9293, 3.6, case 3 */
	CLOSED_FIRST_END
};

/* How a life ended. */
enum how {
	HOW_UNKNOWN = 0,
	HOW_CLOSE,    /* our FIN came from close() or exit */
	HOW_SHUTDOWN, /* our FIN came from shutdown() */
	HOW_ABORT,    /* our RST: SO_LINGER 0, unread data, disconnect */
	HOW_RESET_RECEIVED,
	HOW_REFUSED,
	HOW_UNREACHABLE, /* an ICMP error while connecting */
	HOW_TIMEOUT,
	HOW_CANCELLED,	     /* the user gave up a pending connect() */
	HOW_NO_PORT,	     /* no local port was left for connect() */
	HOW_LISTENER_CLOSED, /* never accepted when its listener closed */
	HOW_KILLED,	     /* by an administrator: ss -K */
	HOW_DROPPED,	     /* a request that the full accept queue cost its third ACK */
	HOW_END
};

const char *closed_first__name(enum closed_first who);
const char *how__name(enum how how); /* NULL for HOW_UNKNOWN */

enum {
	LIFE_HISTORY_MAX = 10, /* states kept; a longer history loses its middle */

	/* life.flags; they are told to others (EV_LIFE): appended to, never changed */
	LIFE_PLACE_KNOWN = 1 << 0, /* addresses and netns are set */
	LIFE_START_KNOWN = 1 << 1, /* its first sign was seen */
	LIFE_INCOMPLETE = 1 << 2,  /* a record of it was lost, or its birth unseen */
	LIFE_ENDED = 1 << 3,
	LIFE_MPTCP = 1 << 4,
	LIFE_HISTORY_CUT = 1 << 5,
	LIFE_ENTERED_KNOWN = 1 << 6, /* entered_ns is true */
	LIFE_TOTALS_KNOWN = 1 << 7,  /* bytes and retransmits, from the close record */
	LIFE_SYN_SEEN = 1 << 8,	     /* passive: its history begins at the SYN */
	LIFE_BLOCKED = 1 << 9,	     /* its third ACK was dropped once */
	LIFE_ACCEPTED = 1 << 10,
	LIFE_WAITING = 1 << 11,	     /* its socket is a minisocket, or just becomes one */
	LIFE_WAITED = 1 << 12,	     /* it was a minisocket: wait_end says how that ended */
	LIFE_WAIT_REFUSED = 1 << 13, /* the kernel's table of minisockets was full */
	LIFE_SOCKET_GONE = 1 << 14,  /* its socket went to CLOSE */
	LIFE_PREEXISTING = 1 << 15,  /* known from a dump only */
};

enum { SEEN_MISSED = 1 << 7 }; /* life.seen: two dumps without it, and it is gone */

/* State and time entered in one word: the state in the high byte, and the
 * nanoseconds since start_ns below it (56 bits are two years). */
typedef uint64_t history_entry;

#define HISTORY_NS_MASK ((1ULL << 56) - 1)

static inline unsigned int history_state(history_entry entry)
{
	return (unsigned int)(entry >> 56);
}

static inline uint64_t history_ns(history_entry entry)
{
	return entry & HISTORY_NS_MASK;
}

/*
 * Sizes matter: a million of them may be alive, and a record finds its life in
 * the memory, not in a cache. What a record and a line of trace touch comes
 * first.
 */
struct life {
	uint64_t key;	      /* conn_id as on the wire */
	uint64_t entered_ns;  /* when state was entered */
	uint64_t start_ns;    /* first sign, boot time */
	uint8_t state;	      /* enum ev_state */
	uint8_t role;	      /* enum role */
	uint8_t closed_first; /* enum closed_first */
	uint8_t how;	      /* enum how; provisional until LIFE_ENDED */
	uint8_t history_count;
	uint8_t seen;	/* state in the dump in progress; SEEN_MISSED: not in the last one */
	uint16_t flags; /* LIFE_* */
	uint32_t owner; /* index into owners, OWNER_NONE unknown */
	uint32_t netns; /* inode */
	struct endpoint local;
	struct endpoint remote;
	uint16_t ordinal;   /* which life of this five-tuple, from 1; saturates */
	uint8_t wait_state; /* LIFE_WAITING: what the minisocket stands for */
	uint8_t wait_end;   /* LIFE_WAITED: enum ev_wait_end */
	uint64_t conn;	    /* the id shown to people */

	history_entry history[LIFE_HISTORY_MAX];

	union {
		uint64_t listener; /* while open: key of the one its handshake was at; 0 not known */
		struct {
			uint32_t next; /* in the flow table's lists of ended lives, or of free places */
			uint32_t promoted_us; /* ended, LIFE_WAITING: from CLOSE to TIME_WAIT; 0 not yet */
		};
	};
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint32_t retransmits;
	uint8_t error;	       /* sk_err at the end: an errno, or 0 */
	uint8_t birth_error;   /* sk_err left over when it began */
	uint8_t first_old : 7; /* the state before history[0], 0 unknown */
	/* That it is a minisocket, or what that stands for, or its end, was inferred
	 * and not told by a record. */
	uint8_t wait_estimated : 1;
	uint8_t family;		 /* the socket's own: AF_INET or AF_INET6; 0 unknown */
	uint32_t accept_wait_us; /* LIFE_ACCEPTED: third ACK to accept() */
	uint32_t tuple_next;	 /* the flow table's next older life of the same tuple */
};

/* With two slots of the flow table's indices, which are 13/32 full at least and take
 * 8 bytes each: 248 bytes. */
_Static_assert(sizeof(struct life) == 208, "a live connection takes 256 bytes at most");

/* Its socket goes to CLOSE, and a minisocket stays: FIN_WAIT2 goes on, or
 * TIME_WAIT begins. */
void life__wait(struct life *life, uint64_t now_ns);

/* The minisocket that was taken for TIME_WAIT is still FIN_WAIT2. */
void life__wait_on(struct life *life);

/* It has ended, and its minisocket is in TIME_WAIT from now on. */
void life__promote(struct life *life, uint64_t now_ns);

/* One that has ended goes on as the minisocket that it has left: the inverse of
 * ending at CLOSE. */
void life__resume(struct life *life);

/* Appends a state. When the history is full its last entry is replaced, so
 * that it always ends with the present state. */
void life__enter(struct life *life, unsigned int state, uint64_t now_ns);

/*
 * What one transition says about who closed and how. Called before the state
 * changes; totals is NULL unless it is the transition to CLOSE. Pure rules,
 * from KERNEL.md section 4.
 */
void life__judge(struct life *life, const struct ev_transition *transition,
		 const struct ev_totals *totals);

/* True when its CLOSE was seen; a life that ended without it has no end time
 * and no outcome. */
static inline bool life__closed(const struct life *life)
{
	return life->flags & LIFE_ENDED && life->state == EV_STATE_CLOSE;
}

static inline struct tuple life__tuple(const struct life *life)
{
	return (struct tuple){ .local = life->local, .remote = life->remote, .netns = life->netns };
}

static inline void life__place(struct life *life, const struct tuple *tuple, uint8_t family)
{
	life->local = tuple->local;
	life->remote = tuple->remote;
	life->netns = tuple->netns;
	life->family = family;
	life->flags |= LIFE_PLACE_KNOWN;
}

/* Its tuple is not complete, as that of a client before its second record; or, a listener's,
 * never is. */
static inline bool life__lacks_tuple(const struct life *life)
{
	return !life->ordinal;
}

/* Nanoseconds from its first sign to CLOSE, UINT64_MAX when one was not seen. */
uint64_t life__lasted_ns(const struct life *life);

/* Nanoseconds between entering history[i] and history[i + 1]. Records of two
 * CPUs may be a little out of order: then 0. */
uint64_t life__step_ns(const struct life *life, unsigned int i);

/* 4 or 6: the family on the wire. The local address decides where there is no
 * remote one, as with a listener. */
unsigned int life__family(const struct life *life);

/* The first entry of its history whose time is that of entering the state. A life
 * that existed before begins with the state that it was found in. */
static inline unsigned int life__first_known(const struct life *life)
{
	return life->flags & LIFE_PREEXISTING ? 1 : 0;
}

/* Nanoseconds of the handshake: an active one from SYN_SENT, a passive one from
 * its SYN to ESTABLISHED; UINT64_MAX when the history does not show both. */
uint64_t life__handshake_ns(const struct life *life);

#endif
