/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash index of positions in somebody's table: eight bytes a slot, because
 * the keys stay with their owner. It is asked for a hash and hands out, one by
 * one, the positions that may have it; the owner looks at each whether it has
 * the right key:
 *
 *   size_t at = posindex__start(index, hash);
 *   uint32_t position;
 *
 *   while ((position = posindex__next(index, hash, &at)) != POSINDEX_NONE)
 *           if (has_my_key(position))
 *                   return position;
 *
 * Open addressing with linear probing and backward-shift deletion; grows by
 * doubling, never above a load of 13/16. The hash must be well mixed, and seeded
 * where a stranger chooses the keys.
 */
#ifndef TCPSAGA_BASE_POSINDEX_H
#define TCPSAGA_BASE_POSINDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/prefetch.h"

enum { POSINDEX_NONE = UINT32_MAX }; /* no position; may not be stored */

struct posindex_slot {
	uint32_t hash;
	uint32_t position; /* plus one; 0: the slot is free */
};

struct posindex {
	struct posindex_slot *slots; /* owned */
	size_t mask;		     /* number of slots - 1 */
	size_t used;
};

/* 0 or -ENOMEM. */
int posindex__init(struct posindex *index);
void posindex__fini(struct posindex *index);

/* Adds the position, also beside others of the same hash. 0 or -ENOMEM. */
int posindex__add(struct posindex *index, uint32_t hash, uint32_t position);

/* Puts the new position in place of the old one, which must be there. */
void posindex__replace(struct posindex *index, uint32_t hash, uint32_t old, uint32_t new);

/* Nothing happens when it is not there. */
void posindex__remove(struct posindex *index, uint32_t hash, uint32_t position);

static inline size_t posindex__start(const struct posindex *index, uint32_t hash)
{
	return hash & index->mask;
}

/* The next position of this hash, or POSINDEX_NONE. */
static inline uint32_t posindex__next(const struct posindex *index, uint32_t hash, size_t *at)
{
	const struct posindex_slot *slot;

	do {
		slot = &index->slots[*at];
		*at = (*at + 1) & index->mask;
	} while (slot->position && slot->hash != hash);
	return slot->position - 1;
}

/* Brings the first slot of a hash into the cache. */
static inline void posindex__prefetch(const struct posindex *index, uint32_t hash)
{
	prefetch(&index->slots[posindex__start(index, hash)]);
}

#endif
