/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash index from 64-bit keys to 32-bit values: open addressing with linear
 * probing and backward-shift deletion, so that it never fills with tombstones.
 * Grows by doubling; never above a load of 3/4.
 *
 * The key is mixed with a seed. Where a stranger chooses what is hashed (a
 * five-tuple), hash it with a seeded XXH3 first and use that as the key; then
 * different things may share a key, and the caller chains them.
 */
#ifndef TCPSAGA_BASE_IDMAP_H
#define TCPSAGA_BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

enum { IDMAP_NONE = UINT32_MAX }; /* no value; may not be stored */

struct idmap_slot {
	uint64_t key;
	uint32_t value; /* IDMAP_NONE: the slot is free */
	uint32_t pad;
};

struct idmap {
	struct idmap_slot *slots; /* owned */
	size_t mask;		  /* number of slots - 1 */
	size_t used;
	uint64_t seed;
};

/* 0 or -ENOMEM. */
int idmap__init(struct idmap *map, uint64_t seed);
void idmap__fini(struct idmap *map);

/* Empties it; what it has grown to it keeps. */
void idmap__clear(struct idmap *map);

/* The value stored under key, or IDMAP_NONE. */
uint32_t idmap__find(const struct idmap *map, uint64_t key);

/* Stores value under key, in place of what stood there. 0 or -ENOMEM. */
int idmap__put(struct idmap *map, uint64_t key, uint32_t value);

/* Removes the key; returns the value it had, or IDMAP_NONE. */
uint32_t idmap__remove(struct idmap *map, uint64_t key);

#endif
