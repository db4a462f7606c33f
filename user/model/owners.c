// SPDX-License-Identifier: BSD-2-Clause
#include "model/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

enum { CHUNK_OWNERS = 64 };

static struct owner_entry *entry_at(const struct owners *owners, uint32_t index)
{
	return &owners->chunks[index / CHUNK_OWNERS][index % CHUNK_OWNERS];
}

int owners__init(struct owners *owners, uint64_t seed)
{
	*owners = (struct owners){ .free = OWNER_NONE, .seed = seed };
	return idmap__init(&owners->by_hash, seed);
}

void owners__fini(struct owners *owners)
{
	idmap__fini(&owners->by_hash);
	for (uint32_t i = 0; i < owners->capacity / CHUNK_OWNERS; i++)
		free(owners->chunks[i]);
	free(owners->chunks);
	owners->chunks = NULL;
	owners->capacity = 0;
}

static uint64_t hash_of(const struct owners *owners, const struct owner *owner)
{
	return XXH3_64bits_withSeed(owner, sizeof(*owner), owners->seed);
}

static int add_owner_chunk(struct owners *owners)
{
	uint32_t count = owners->capacity / CHUNK_OWNERS;
	struct owner_entry **chunks = realloc(owners->chunks, (count + 1) * sizeof(*chunks));

	if (!chunks)
		return -ENOMEM;
	owners->chunks = chunks;
	chunks[count] = malloc(CHUNK_OWNERS * sizeof(struct owner_entry));
	if (!chunks[count])
		return -ENOMEM;
	owners->capacity += CHUNK_OWNERS;
	return 0;
}

static uint32_t take_entry(struct owners *owners)
{
	uint32_t index = owners->free;

	if (index != OWNER_NONE) {
		owners->free = entry_at(owners, index)->next;
		return index;
	}
	if (owners->count == owners->capacity && add_owner_chunk(owners))
		return OWNER_NONE;
	return owners->count++;
}

static void give_back(struct owners *owners, uint32_t index)
{
	entry_at(owners, index)->next = owners->free;
	owners->free = index;
}

struct owner owner__of(const struct ev_owner *from, uint64_t now_ns)
{
	struct owner owner = {
		.pid = from->pid, .uid = from->uid, .cgroup = from->cgroup, .start_cs = from->start_cs
	};
	uint64_t now_cs = now_ns / NS_PER_CS;
	uint32_t age_cs = (uint32_t)now_cs - from->start_cs;

	if (from->start_cs && age_cs < now_cs)
		owner.start_cs = now_cs - age_cs;
	memcpy(owner.comm, from->comm, sizeof(owner.comm));
	return owner;
}

uint32_t owners__intern(struct owners *owners, const struct ev_owner *from, uint64_t now_ns)
{
	struct owner owner = owner__of(from, now_ns);
	uint64_t hash = hash_of(owners, &owner);
	uint32_t first, index;

	first = idmap__find(&owners->by_hash, hash);
	for (index = first; index != OWNER_NONE; index = entry_at(owners, index)->next) {
		if (!memcmp(&entry_at(owners, index)->owner, &owner, sizeof(owner))) {
			entry_at(owners, index)->references++;
			return index;
		}
	}
	index = take_entry(owners);
	if (index == OWNER_NONE || idmap__put(&owners->by_hash, hash, index)) {
		if (index != OWNER_NONE)
			give_back(owners, index);
		owners->not_kept++;
		return OWNER_NONE;
	}
	*entry_at(owners, index) = (struct owner_entry){ .owner = owner, .references = 1, .next = first };
	return index;
}

static void unlink_entry(struct owners *owners, uint32_t index)
{
	uint64_t hash = hash_of(owners, &entry_at(owners, index)->owner);
	uint32_t next = entry_at(owners, index)->next;
	uint32_t position = idmap__find(&owners->by_hash, hash);

	if (position == index) {
		if (next == OWNER_NONE)
			idmap__remove(&owners->by_hash, hash);
		else
			idmap__put(&owners->by_hash, hash, next); /* in place: cannot fail */
		return;
	}
	while (entry_at(owners, position)->next != index)
		position = entry_at(owners, position)->next;
	entry_at(owners, position)->next = next;
}

void owners__hold(struct owners *owners, uint32_t index)
{
	if (index != OWNER_NONE)
		entry_at(owners, index)->references++;
}

void owners__release(struct owners *owners, uint32_t index)
{
	if (index == OWNER_NONE || --entry_at(owners, index)->references)
		return;
	unlink_entry(owners, index);
	give_back(owners, index);
}

const struct owner *owners__get(const struct owners *owners, uint32_t index)
{
	return index == OWNER_NONE ? NULL : &entry_at(owners, index)->owner;
}
