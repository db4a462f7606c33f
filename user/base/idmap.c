// SPDX-License-Identifier: BSD-2-Clause
#include "base/idmap.h"

#include <errno.h>
#include <stdlib.h>

enum { IDMAP_FIRST_SLOTS = 1024 };

/* The finaliser of MurmurHash3 (Appleby, public domain constants): cookies
 * count upwards and must spread. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static size_t home(const struct idmap *map, uint64_t key)
{
	return mix(key ^ map->seed) & map->mask;
}

static int alloc_slots(struct idmap *map, size_t count)
{
	map->slots = malloc(count * sizeof(*map->slots));
	if (!map->slots)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		map->slots[i].value = IDMAP_NONE;
	map->mask = count - 1;
	return 0;
}

int idmap__init(struct idmap *map, uint64_t seed)
{
	*map = (struct idmap){ .seed = seed };
	return alloc_slots(map, IDMAP_FIRST_SLOTS);
}

void idmap__fini(struct idmap *map)
{
	free(map->slots);
	*map = (struct idmap){ 0 };
}

void idmap__clear(struct idmap *map)
{
	if (!map->used)
		return;
	for (size_t i = 0; i <= map->mask; i++)
		map->slots[i].value = IDMAP_NONE;
	map->used = 0;
}

/* The slot that holds key, or the free one where it belongs. */
static struct idmap_slot *slot_of(const struct idmap *map, uint64_t key)
{
	size_t i = home(map, key);

	while (map->slots[i].value != IDMAP_NONE && map->slots[i].key != key)
		i = (i + 1) & map->mask;
	return &map->slots[i];
}

uint32_t idmap__find(const struct idmap *map, uint64_t key)
{
	return slot_of(map, key)->value;
}

static int grow(struct idmap *map)
{
	struct idmap old = *map;

	if (alloc_slots(map, (old.mask + 1) * 2)) {
		*map = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i].value != IDMAP_NONE)
			*slot_of(map, old.slots[i].key) = old.slots[i];
	free(old.slots);
	return 0;
}

int idmap__put(struct idmap *map, uint64_t key, uint32_t value)
{
	struct idmap_slot *slot = slot_of(map, key);

	if (slot->value == IDMAP_NONE) {
		if ((map->used + 1) * 4 > (map->mask + 1) * 3) {
			if (grow(map))
				return -ENOMEM;
			slot = slot_of(map, key);
		}
		map->used++;
	}
	slot->key = key;
	slot->value = value;
	return 0;
}

/* Moves back every follower that the gap would cut off from its home. */
static void close_gap(struct idmap *map, size_t gap)
{
	size_t i = gap;

	for (;;) {
		i = (i + 1) & map->mask;
		if (map->slots[i].value == IDMAP_NONE)
			break;
		if (((i - home(map, map->slots[i].key)) & map->mask) < ((i - gap) & map->mask))
			continue;
		map->slots[gap] = map->slots[i];
		gap = i;
	}
	map->slots[gap].value = IDMAP_NONE;
}

uint32_t idmap__remove(struct idmap *map, uint64_t key)
{
	struct idmap_slot *slot = slot_of(map, key);
	uint32_t value = slot->value;

	if (value == IDMAP_NONE)
		return IDMAP_NONE;
	map->used--;
	close_gap(map, (size_t)(slot - map->slots));
	return value;
}
