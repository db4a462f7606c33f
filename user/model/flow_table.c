// SPDX-License-Identifier: BSD-2-Clause
#include "model/flow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	CHUNK_SHIFT = 10,
	CHUNK_LIVES = 1 << CHUNK_SHIFT,
	NOWHERE = IDMAP_NONE,
	FREE_STATE = 0, /* life.state of a free place: no TCP state has it */
};

static struct life *at(const struct flow_table *table, uint32_t index)
{
	return &table->chunks[index >> CHUNK_SHIFT][index & (CHUNK_LIVES - 1)];
}

int flow_table__init(struct flow_table *table, uint64_t seed, uint32_t max_lives, uint32_t max_ended)
{
	*table = (struct flow_table){
		.free = NOWHERE,
		.oldest_ended = NOWHERE,
		.newest_ended = NOWHERE,
		.limbo = NOWHERE,
		.max_lives = max_lives,
		.max_ended = max_ended,
		.seed = seed,
	};
	if (idmap__init(&table->by_key, seed) || idmap__init(&table->by_tuple, seed) ||
	    owners__init(&table->owners, seed)) {
		flow_table__fini(table);
		return -ENOMEM;
	}
	return 0;
}

void flow_table__fini(struct flow_table *table)
{
	for (uint32_t i = 0; i < table->chunk_count; i++)
		free(table->chunks[i]);
	free(table->chunks);
	table->chunks = NULL;
	table->chunk_count = 0;
	idmap__fini(&table->by_key);
	idmap__fini(&table->by_tuple);
	owners__fini(&table->owners);
}

struct life *flow_table__find(const struct flow_table *table, uint64_t key)
{
	uint32_t index = idmap__find(&table->by_key, key);

	return index == NOWHERE ? NULL : at(table, index);
}

static uint64_t hash_tuple(const uint8_t local[16], const uint8_t remote[16], uint16_t local_port,
			   uint16_t remote_port, uint32_t netns, uint64_t seed)
{
	struct {
		uint8_t addrs[32];
		uint16_t ports[2];
		uint32_t netns;
	} tuple = { .ports = { local_port, remote_port }, .netns = netns };

	memcpy(tuple.addrs, local, 16);
	memcpy(tuple.addrs + 16, remote, 16);
	return XXH3_64bits_withSeed(&tuple, sizeof(tuple), seed);
}

uint64_t flow_table__tuple_key(const struct flow_table *table, const uint8_t local[16],
			       const uint8_t remote[16], uint16_t local_port, uint16_t remote_port,
			       uint32_t netns)
{
	return hash_tuple(local, remote, local_port, remote_port, netns, table->seed);
}

uint64_t tuple__shown_id(const uint8_t local[16], const uint8_t remote[16], uint16_t local_port,
			 uint16_t remote_port, uint32_t netns)
{
	return hash_tuple(local, remote, local_port, remote_port, netns, 0);
}

static uint64_t tuple_hash(const struct flow_table *table, const struct life *life)
{
	return flow_table__tuple_key(table, life->local.addr, life->remote.addr, life->local.port,
				     life->remote.port, life->netns);
}

static bool same_tuple(const struct life *a, const struct life *b)
{
	return a->netns == b->netns && !memcmp(&a->local, &b->local, sizeof(a->local)) &&
	       !memcmp(&a->remote, &b->remote, sizeof(a->remote));
}

/* Where a life is, from its address: only the chunks know. Found by its key
 * while it is open, so links of ended lives are kept as indices instead. */
static uint32_t index_of_open(const struct flow_table *table, const struct life *life)
{
	return idmap__find(&table->by_key, life->key);
}

void flow_table__join_tuple(struct flow_table *table, struct life *life)
{
	uint64_t hash = tuple_hash(table, life);
	uint32_t index = index_of_open(table, life);
	uint32_t newest = idmap__find(&table->by_tuple, hash);
	uint16_t before = 0;

	for (uint32_t i = newest; i != NOWHERE && !before; i = at(table, i)->tuple_next)
		if (same_tuple(at(table, i), life))
			before = at(table, i)->ordinal;
	life->ordinal = before == UINT16_MAX ? before : before + 1;
	life->tuple_next = newest;
	if (idmap__put(&table->by_tuple, hash, index))
		life->tuple_next = NOWHERE; /* no memory: it stands alone */
}

static void leave_tuple(struct flow_table *table, uint32_t index)
{
	struct life *life = at(table, index);
	uint64_t hash = tuple_hash(table, life);
	uint32_t i = idmap__find(&table->by_tuple, hash);

	if (i == index) {
		if (life->tuple_next == NOWHERE)
			idmap__remove(&table->by_tuple, hash);
		else
			idmap__put(&table->by_tuple, hash, life->tuple_next); /* in place: cannot fail */
		return;
	}
	while (i != NOWHERE && at(table, i)->tuple_next != index)
		i = at(table, i)->tuple_next;
	if (i != NOWHERE)
		at(table, i)->tuple_next = life->tuple_next;
}

static void discard(struct flow_table *table, uint32_t index)
{
	struct life *life = at(table, index);

	if (life->ordinal)
		leave_tuple(table, index);
	owners__release(&table->owners, life->owner);
	life->state = FREE_STATE;
	life->older = table->free;
	table->free = index;
}

static void discard_oldest_ended(struct flow_table *table)
{
	uint32_t index = table->oldest_ended;

	table->oldest_ended = at(table, index)->newer;
	if (table->oldest_ended == NOWHERE)
		table->newest_ended = NOWHERE;
	table->ended--;
	discard(table, index);
}

/* Any open life must go: the next one behind the hand, so that the choice is
 * cheap and goes round. */
static void discard_some_open(struct flow_table *table)
{
	struct life *life;

	if (!table->open)
		return;
	do {
		table->hand = (table->hand + 1) % table->used;
		life = at(table, table->hand);
	} while (life->state == FREE_STATE || life->flags & LIFE_ENDED);
	idmap__remove(&table->by_key, life->key);
	table->open--;
	table->evicted_open++;
	discard(table, table->hand);
}

static int add_chunk(struct flow_table *table)
{
	struct life **chunks = realloc(table->chunks, (table->chunk_count + 1) * sizeof(*chunks));

	if (!chunks)
		return -ENOMEM;
	table->chunks = chunks;
	chunks[table->chunk_count] = malloc(CHUNK_LIVES * sizeof(struct life));
	if (!chunks[table->chunk_count])
		return -ENOMEM;
	table->chunk_count++;
	return 0;
}

static void clear_limbo(struct flow_table *table)
{
	uint32_t index = table->limbo;

	table->limbo = NOWHERE;
	if (index != NOWHERE)
		discard(table, index);
}

static void make_room(struct flow_table *table)
{
	clear_limbo(table);
	while (table->ended > table->max_ended)
		discard_oldest_ended(table);
	if (table->open + table->ended < table->max_lives)
		return;
	/* Not the last one: it may have ended just now, in the same record. */
	if (table->ended > 1) {
		table->evicted_ended++;
		discard_oldest_ended(table);
	} else {
		discard_some_open(table);
	}
}

static uint32_t take(struct flow_table *table)
{
	uint32_t index = table->free;

	if (index != NOWHERE) {
		table->free = at(table, index)->older;
		return index;
	}
	if (table->used == table->chunk_count << CHUNK_SHIFT && add_chunk(table))
		return NOWHERE;
	return table->used++;
}

struct life *flow_table__begin(struct flow_table *table, uint64_t key)
{
	struct life *life;
	uint32_t index;

	make_room(table);
	index = take(table);
	if (index == NOWHERE)
		return NULL;
	life = at(table, index);
	*life = (struct life){
		.key = key,
		.owner = OWNER_NONE,
		.newer = NOWHERE,
		.older = NOWHERE,
		.tuple_next = NOWHERE,
	};
	if (idmap__put(&table->by_key, key, index)) {
		discard(table, index);
		return NULL;
	}
	table->open++;
	return life;
}

void flow_table__end(struct flow_table *table, struct life *life)
{
	uint32_t index = idmap__remove(&table->by_key, life->key);

	life->flags |= LIFE_ENDED;
	table->open--;
	table->ended++;
	life->older = table->newest_ended;
	if (table->newest_ended != NOWHERE)
		at(table, table->newest_ended)->newer = index;
	else
		table->oldest_ended = index;
	table->newest_ended = index;
}

void flow_table__end_request(struct flow_table *table, struct life *life)
{
	clear_limbo(table);
	table->limbo = idmap__remove(&table->by_key, life->key);
	life->flags |= LIFE_ENDED;
	table->open--;
}

int flow_table__rekey(struct flow_table *table, struct life *life, uint64_t key)
{
	uint32_t index = idmap__find(&table->by_key, life->key);

	if (idmap__put(&table->by_key, key, index))
		return -ENOMEM;
	idmap__remove(&table->by_key, life->key);
	life->key = key;
	return 0;
}

const struct life *flow_table__peer(const struct flow_table *table, const struct life *life)
{
	uint64_t hash = flow_table__tuple_key(table, life->remote.addr, life->local.addr,
					      life->remote.port, life->local.port, life->netns);
	uint32_t i = life->ordinal ? idmap__find(&table->by_tuple, hash) : NOWHERE;

	for (; i != NOWHERE; i = at(table, i)->tuple_next) {
		const struct life *other = at(table, i);
		bool mirrored = other->netns == life->netns &&
				!memcmp(&other->local, &life->remote, sizeof(other->local)) &&
				!memcmp(&other->remote, &life->local, sizeof(other->remote));

		if (!mirrored || other == life)
			continue;
		/* An earlier connection's end is nobody's peer now. */
		return other->flags & LIFE_ENDED && other->entered_ns < life->start_ns ? NULL : other;
	}
	return NULL;
}

const struct life *flow_table__open_at(const struct flow_table *table, uint32_t position)
{
	const struct life *life = at(table, position);

	return life->state == FREE_STATE || life->flags & LIFE_ENDED ? NULL : life;
}
