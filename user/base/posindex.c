// SPDX-License-Identifier: BSD-2-Clause
#include "base/posindex.h"

#include <errno.h>

#include "base/pages.h"

enum { POSINDEX_FIRST_SLOTS = 1024 };

static size_t bytes_of(const struct posindex *index)
{
	return (index->mask + 1) * sizeof(*index->slots);
}

static int alloc_index(struct posindex *index, size_t count)
{
	index->mask = count - 1;
	index->slots = pages__new(bytes_of(index));
	return index->slots ? 0 : -ENOMEM;
}

int posindex__init(struct posindex *index)
{
	*index = (struct posindex){ 0 };
	return alloc_index(index, POSINDEX_FIRST_SLOTS);
}

void posindex__fini(struct posindex *index)
{
	if (index->slots)
		pages__free(index->slots, bytes_of(index));
	*index = (struct posindex){ 0 };
}

/* Where this position stands under this hash, or the free slot that ends the
 * search for it. */
static size_t find_slot(const struct posindex *index, uint32_t hash, uint32_t position)
{
	size_t at = posindex__start(index, hash);

	while (index->slots[at].position &&
	       (index->slots[at].position != position + 1 || index->slots[at].hash != hash))
		at = (at + 1) & index->mask;
	return at;
}

/* A position may stand under two hashes, while it gets another key. */
static void put_slot(struct posindex *index, uint32_t hash, uint32_t position)
{
	size_t at = posindex__start(index, hash);

	while (index->slots[at].position)
		at = (at + 1) & index->mask;
	index->slots[at] = (struct posindex_slot){ .hash = hash, .position = position + 1 };
}

static int grow_index(struct posindex *index)
{
	struct posindex old = *index;

	if (alloc_index(index, (old.mask + 1) * 2)) {
		*index = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i].position)
			put_slot(index, old.slots[i].hash, old.slots[i].position - 1);
	posindex__fini(&old);
	return 0;
}

int posindex__add(struct posindex *index, uint32_t hash, uint32_t position)
{
	if ((index->used + 1) * 16 > (index->mask + 1) * 13 && grow_index(index))
		return -ENOMEM;
	put_slot(index, hash, position);
	index->used++;
	return 0;
}

void posindex__replace(struct posindex *index, uint32_t hash, uint32_t old, uint32_t new)
{
	index->slots[find_slot(index, hash, old)].position = new + 1;
}

/* Moves back every follower that the gap would cut off from its home. */
static void fill_gap(struct posindex *index, size_t gap)
{
	size_t i = gap;

	for (;;) {
		i = (i + 1) & index->mask;
		if (!index->slots[i].position)
			break;
		if (((i - index->slots[i].hash) & index->mask) < ((i - gap) & index->mask))
			continue;
		index->slots[gap] = index->slots[i];
		gap = i;
	}
	index->slots[gap].position = 0;
}

void posindex__remove(struct posindex *index, uint32_t hash, uint32_t position)
{
	size_t at = find_slot(index, hash, position);

	if (!index->slots[at].position)
		return;
	index->used--;
	fill_gap(index, at);
}
