/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients that wait at a listener because a SYN of theirs was dropped: each is
 * one delayed connection, however often it sends its SYN again. Pure.
 *
 * Bounded: CLIENTS_MAX, those beyond are counted as not kept. Nothing tells
 * that a client has given up, so they are kept in two generations: who is not
 * heard of for one to two GENERATION_NS goes with the old one.
 */
#ifndef TCPSAGA_MODEL_CLIENTS_H
#define TCPSAGA_MODEL_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idmap.h"

enum { CLIENTS_MAX = 65536 };

/* Linux sends its last SYN 63 s after the first one (tcp_syn_retries 6), the
 * one before 32 s earlier, and gives up 64 s later: who was silent for 64 s has
 * given up, or is about to. */
#define GENERATION_NS (64 * 1000000000ULL)

/* How far a client is whose SYN was dropped. */
enum client {
	CLIENT_NONE = 0, /* none of its SYNs was */
	CLIENT_BLOCKED,	 /* it waits */
	CLIENT_QUEUED,	 /* counted as delayed: a dropped third ACK must not count it again */
};

struct clients {
	struct idmap generations[2]; /* hash of (listener, client) to how far it is */
	unsigned int young;	     /* the generation of those heard of last */
	uint64_t since_ns;	     /* when it began; 0: no record yet */
	uint64_t not_kept;
};

int clients__init(struct clients *clients, uint64_t seed);
void clients__fini(struct clients *clients);

/* True when the time is up for a generation: the old one is gone, the young one
 * is old now. Ask again until it is false. */
bool clients__age(struct clients *clients, uint64_t now_ns);

/* How far the client is; *old: it is of the old generation. */
enum client clients__find(const struct clients *clients, uint64_t hash, bool *old);

/* Puts it into the young generation. False: there is no room, or no memory. */
bool clients__put(struct clients *clients, uint64_t hash, enum client how_far);

/* Takes it out; returns what find would. */
enum client clients__take(struct clients *clients, uint64_t hash, bool *old);

uint32_t clients__count(const struct clients *clients);

#endif
