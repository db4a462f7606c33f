// SPDX-License-Identifier: BSD-2-Clause
#include "model/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { OWNERS_FIRST = 64 };

int owners__init(struct owners *owners, uint64_t seed)
{
	*owners = (struct owners){.free = OWNER_NONE, .seed = seed};
	return idmap__init(&owners->by_hash, seed);
}

void owners__fini(struct owners *owners)
{
	idmap__fini(&owners->by_hash);
	free(owners->entries);
	owners->entries = NULL;
}

static uint64_t hash_of(const struct owners *owners, const struct owner *owner)
{
	return XXH3_64bits_withSeed(owner, sizeof(*owner), owners->seed);
}

static int add_capacity(struct owners *owners)
{
	uint32_t capacity = owners->capacity ? owners->capacity * 2 : OWNERS_FIRST;
	struct owner_entry *entries = realloc(owners->entries, capacity * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	owners->entries = entries;
	owners->capacity = capacity;
	return 0;
}

static uint32_t take_entry(struct owners *owners)
{
	uint32_t index = owners->free;

	if (index != OWNER_NONE) {
		owners->free = owners->entries[index].next;
		return index;
	}
	if (owners->count == owners->capacity && add_capacity(owners))
		return OWNER_NONE;
	return owners->count++;
}

static void give_back(struct owners *owners, uint32_t index)
{
	owners->entries[index].next = owners->free;
	owners->free = index;
}

uint32_t owners__intern(struct owners *owners, const struct ev_owner *from)
{
	struct owner owner = {.pid = from->pid, .uid = from->uid, .cgroup = from->cgroup};
	uint32_t first, index;
	uint64_t hash;

	memcpy(owner.comm, from->comm, sizeof(owner.comm));
	hash = hash_of(owners, &owner);
	first = idmap__find(&owners->by_hash, hash);
	for (index = first; index != OWNER_NONE; index = owners->entries[index].next) {
		if (!memcmp(&owners->entries[index].owner, &owner, sizeof(owner))) {
			owners->entries[index].references++;
			return index;
		}
	}
	index = take_entry(owners);
	if (index == OWNER_NONE)
		return OWNER_NONE;
	if (idmap__put(&owners->by_hash, hash, index)) {
		give_back(owners, index);
		return OWNER_NONE;
	}
	owners->entries[index] = (struct owner_entry){.owner = owner, .references = 1, .next = first};
	return index;
}

static void unlink_entry(struct owners *owners, uint32_t index)
{
	uint64_t hash = hash_of(owners, &owners->entries[index].owner);
	uint32_t next = owners->entries[index].next;
	uint32_t at = idmap__find(&owners->by_hash, hash);

	if (at == index) {
		if (next == OWNER_NONE)
			idmap__remove(&owners->by_hash, hash);
		else
			idmap__put(&owners->by_hash, hash, next); /* in place: cannot fail */
		return;
	}
	while (owners->entries[at].next != index)
		at = owners->entries[at].next;
	owners->entries[at].next = next;
}

void owners__release(struct owners *owners, uint32_t index)
{
	if (index == OWNER_NONE || --owners->entries[index].references)
		return;
	unlink_entry(owners, index);
	give_back(owners, index);
}

const struct owner *owners__get(const struct owners *owners, uint32_t index)
{
	return index == OWNER_NONE ? NULL : &owners->entries[index].owner;
}
