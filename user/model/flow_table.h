/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store of lives: found by connection id while they are open, and by
 * five-tuple with their predecessors as long as they are kept.
 *
 * Bounded: at most max_lives. Ended lives are kept for the sake of their
 * tuple's history, max_ended of them, the oldest going first; when there is no
 * room for a new life an ended one goes, then one whose socket is gone and that
 * lasts as a minisocket, and only then one with a socket. What goes is counted.
 */
#ifndef TCPSAGA_MODEL_FLOW_TABLE_H
#define TCPSAGA_MODEL_FLOW_TABLE_H

#include "base/posindex.h"
#include "model/departed.h"
#include "model/life.h"
#include "model/owners.h"

/*
 * Ended lives by age, in so many lists: the n-th belongs to n modulo this, and each names the
 * one that ended so many lives later. So it is known early who will go, and what that takes can
 * be sent for: from memory it comes in the time of two lives or three.
 */
enum { FLOW_TABLE_LISTS = 8 };

/* A walk over ended lives, from the oldest on; none may begin or end meanwhile. */
struct ended_walk {
	uint32_t next[FLOW_TABLE_LISTS];
	uint32_t turn;
	uint32_t left;
};

struct flow_table {
	struct life *lives; /* owned: room for all; none ever moves */
	uint32_t used;	    /* places ever taken */
	uint32_t free;	    /* head of the free list */
	uint32_t max_lives;
	uint32_t max_ended;
	uint32_t open;
	uint32_t gone; /* of these without a socket: LIFE_SOCKET_GONE */
	uint32_t ended;
	uint32_t first_turn; /* which of all that have ended is the oldest that is kept */
	uint32_t oldest_ended[FLOW_TABLE_LISTS];
	uint32_t newest_ended[FLOW_TABLE_LISTS];
	uint32_t limbo; /* an ended request, discarded by the next begin */
	uint32_t hand;	/* where the search for an open victim goes on */
	uint64_t seed;
	uint64_t changes; /* of which lives are open, where, and with a socket, so far */
	uint64_t evicted_ended;
	uint64_t evicted_open;
	uint64_t not_kept;	  /* lives that existed before, and there was no room for */
	struct departed counted;  /* while it watches: those in evicted_open and not_kept */
	struct posindex by_key;	  /* open lives */
	struct posindex by_tuple; /* of each tuple its newest life; those that await a port */
	struct owners owners;
};

/* With so many alive they and their index are as large as a core's own cache. */
enum { FLOW_TABLE_MANY = 4096 };

static inline bool flow_table__has_many(const struct flow_table *table)
{
	return table->open >= FLOW_TABLE_MANY;
}

/* 0 or -ENOMEM. max_lives and max_ended are at least 1. */
int flow_table__init(struct flow_table *table, uint64_t seed, uint32_t max_lives, uint32_t max_ended);
void flow_table__fini(struct flow_table *table);

/*
 * For who knows what comes next: brings the life of this id into the cache, in
 * two steps that each wait for nothing. Between them, and before the life is
 * found, there should be some other work.
 */
void flow_table__expect(const struct flow_table *table, uint64_t key);
void flow_table__fetch(const struct flow_table *table, uint64_t key);

/* The same for what the end of this life touches beyond that, once it has come: its last line
 * and its tuple's place in the index. Returns what flow_table__fetch_tuple() asks for. */
uint32_t flow_table__fetch_end(const struct flow_table *table, const struct life *life);

/* The open life of this connection id, or NULL. */
struct life *flow_table__find(const struct flow_table *table, uint64_t key);

/*
 * A new open life, zeroed but for key, owner and links, in place of an open
 * one of the same key. May evict, so that pointers to ended lives are not
 * valid any more. NULL when memory ran out.
 */
struct life *flow_table__begin(struct flow_table *table, uint64_t key);

/* For who will join a life of this tuple next: brings its place in the index into the cache,
 * and then by what was returned the newest life that is there, or the peer's. */
uint32_t flow_table__expect_tuple(const struct flow_table *table, const struct endpoint *local,
				  const struct endpoint *remote, uint32_t netns);
void flow_table__fetch_tuple(const struct flow_table *table, uint32_t hash);

/* Its tuple is complete: joins it to the earlier lives of the same tuple and
 * gives it its ordinal. Only once per life. */
void flow_table__join_tuple(struct flow_table *table, struct life *life);

/* An active open whose local port no record has told yet: found by the rest of its
 * tuple from now on. */
void flow_table__await_port(struct flow_table *table, struct life *life);

/* The inverse of both: before its place changes. */
void flow_table__leave_tuple(struct flow_table *table, struct life *life);

/* Of the open ones that may have this tuple, once their port is known, one that the dump
 * in progress has not shown; else NULL. *alone: there is no other open one, shown or not. */
struct life *flow_table__awaiting(const struct flow_table *table, const struct tuple *tuple, bool *alone);

/* The same for one that another table tells, whose ordinal is known: those of a tuple
 * may come in any order. */
void flow_table__join_as(struct flow_table *table, struct life *life, uint16_t ordinal);

/* Its socket is gone and it lasts as a minisocket: sets LIFE_SOCKET_GONE. Again is as
 * once. */
void flow_table__let_socket_go(struct flow_table *table, struct life *life);

/* The life is over: not found by id any more, kept until the next begin at
 * least. */
void flow_table__end(struct flow_table *table, struct life *life);

/* A request that never became a connection is over: as end, but it is not kept
 * any longer than until the next begin. */
void flow_table__end_request(struct flow_table *table, struct life *life);

/* Finds the life by another id from now on. 0 or -ENOMEM (it keeps the old). */
int flow_table__rekey(struct flow_table *table, struct life *life, uint64_t key);

/* The id of a request that the kernel gives none: its tuple. */
uint64_t flow_table__tuple_key(const struct flow_table *table, const uint8_t local[16],
			       const uint8_t remote[16], uint16_t local_port, uint16_t remote_port,
			       uint32_t netns);

/* The same whatever the seed, for an id that is shown: a replay shows it, too. */
uint64_t tuple__shown_id(const uint8_t local[16], const uint8_t remote[16], uint16_t local_port,
			 uint16_t remote_port, uint32_t netns);

/* The newest life of this five-tuple that is kept, open or ended, or NULL. */
struct life *flow_table__newest(const struct flow_table *table, const struct tuple *tuple);

/* The life of the same five-tuple before this one, if it is kept, or NULL. */
struct life *flow_table__older(const struct flow_table *table, const struct life *life);

/* All that have ended and are kept, the oldest first; NULL behind the last. */
struct ended_walk flow_table__walk_ended(const struct flow_table *table);
const struct life *flow_table__next_ended(const struct flow_table *table, struct ended_walk *walk);

/* No row will be counted any more: lets go of what counted needs. */
void flow_table__stop_counting(struct flow_table *table);

/* False when a new life would cost an open one. */
bool flow_table__has_room(const struct flow_table *table);

/* The same for one with a socket: it is worth more than one without. */
bool flow_table__has_room_for_socket(const struct flow_table *table);

/* The other end of this connection when that is on this host, too, in the same
 * namespace: the newest life of the mirrored tuple that was there at the same
 * time. NULL when there is none, or it is the same socket (self-connect). */
const struct life *flow_table__peer(const struct flow_table *table, const struct life *life);

/* The life at a position, NULL if none is open there; positions run from 0 to
 * table->used - 1. For walks over all open lives. */
const struct life *flow_table__open_at(const struct flow_table *table, uint32_t position);

#endif
