// SPDX-License-Identifier: BSD-2-Clause
#include "model/flow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/pages.h"
#include "base/prefetch.h"

enum {
	NOWHERE = POSINDEX_NONE,
	FREE_STATE = 0, /* life.state of a free place: no TCP state has it */
	/* Beyond max_lives there may be one that has ended in the same record
	 * as the one that begins, and one in limbo. */
	SPARE_LIVES = 2,
	/* Lives that have never been used whose pages come at once. */
	LIVES_FILLED = 256,
	/* Open lives that are looked at for one without a socket: as many as each new
	 * connection of a full table may cost. */
	GONE_STEPS = 64,
};

static struct life *at(const struct flow_table *table, uint32_t index)
{
	return &table->lives[index];
}

static uint32_t position_of(const struct flow_table *table, const struct life *life)
{
	return (uint32_t)(life - table->lives);
}

static size_t bytes_of_lives(const struct flow_table *table)
{
	return ((size_t)table->max_lives + SPARE_LIVES) * sizeof(struct life);
}

#define GOLDEN 0x9e3779b97f4a7c15ULL /* 2^64 by the golden ratio */

/* Cookies count upwards and must spread, also into the low bits; an id from a
 * tuple is a hash already. */
static uint32_t hash_key(const struct flow_table *table, uint64_t key)
{
	uint64_t product = (key ^ table->seed) * GOLDEN;

	return (uint32_t)(product ^ product >> 32);
}

int flow_table__init(struct flow_table *table, uint64_t seed, uint32_t max_lives, uint32_t max_ended)
{
	*table = (struct flow_table){
		.free = NOWHERE,
		.limbo = NOWHERE,
		.max_lives = max_lives,
		.max_ended = max_ended,
		.seed = seed,
	};
	table->lives = pages__new_filling(bytes_of_lives(table));
	if (!table->lives || posindex__init(&table->by_key) || posindex__init(&table->by_tuple) ||
	    owners__init(&table->owners, seed) || departed__init(&table->counted, seed)) {
		flow_table__fini(table);
		return -ENOMEM;
	}
	departed__watch(&table->counted);
	return 0;
}

void flow_table__fini(struct flow_table *table)
{
	pages__free(table->lives, bytes_of_lives(table));
	table->lives = NULL;
	posindex__fini(&table->by_key);
	posindex__fini(&table->by_tuple);
	departed__fini(&table->counted);
	owners__fini(&table->owners);
}

struct life *flow_table__find(const struct flow_table *table, uint64_t key)
{
	uint32_t hash = hash_key(table, key), index;
	size_t slot = posindex__start(&table->by_key, hash);

	while ((index = posindex__next(&table->by_key, hash, &slot)) != NOWHERE)
		if (at(table, index)->key == key)
			return at(table, index);
	return NULL;
}

void flow_table__expect(const struct flow_table *table, uint64_t key)
{
	posindex__prefetch(&table->by_key, hash_key(table, key));
}

/* A life lies across four lines. The first two have its place. */
static void fetch_head(const struct life *life)
{
	prefetch(life);
	prefetch((const char *)life + CACHE_LINE);
}

static void fetch_last_line(const struct life *life)
{
	prefetch((const char *)(life + 1) - 1);
}

/* What a record and a line of trace touch: up to the history's middle. */
static void fetch_life(const struct life *life)
{
	fetch_head(life);
	prefetch((const char *)life + 2 * CACHE_LINE);
}

void flow_table__fetch(const struct flow_table *table, uint64_t key)
{
	uint32_t hash = hash_key(table, key);
	size_t slot = posindex__start(&table->by_key, hash);
	uint32_t index = posindex__next(&table->by_key, hash, &slot);

	if (index != NOWHERE)
		fetch_life(at(table, index));
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

/* Both halves of a product: each of their bits depends on many of both factors. */
static uint64_t fold_product(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_endpoint(uint64_t seed, const struct endpoint *end)
{
	uint64_t halves[2];

	memcpy(halves, end->addr, sizeof(halves));
	return fold_product((halves[0] + end->port * GOLDEN) ^ seed, halves[1] ^ ~seed);
}

/* The same for both ends of a connection: of one on this host the second stands beside the
 * first, in the line of the cache that this one has brought. As unforeseeable as the seed. */
static uint32_t hash_endpoints(const struct flow_table *table, const struct endpoint *local,
			       const struct endpoint *remote, uint32_t netns)
{
	uint64_t both = hash_endpoint(table->seed, local) + hash_endpoint(table->seed, remote);
	uint64_t hash = fold_product(both ^ netns, GOLDEN ^ table->seed);

	return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t tuple_hash(const struct flow_table *table, const struct life *life)
{
	return hash_endpoints(table, &life->local, &life->remote, life->netns);
}

static bool has_tuple(const struct life *life, const struct endpoint *local,
		      const struct endpoint *remote, uint32_t netns)
{
	return life->netns == netns && !memcmp(&life->local, local, sizeof(*local)) &&
	       !memcmp(&life->remote, remote, sizeof(*remote));
}

uint32_t flow_table__fetch_end(const struct flow_table *table, const struct life *life)
{
	uint32_t hash = tuple_hash(table, life);

	fetch_last_line(life);
	posindex__prefetch(&table->by_tuple, hash);
	return hash;
}

static uint32_t newest_of_tuple(const struct flow_table *table, uint32_t hash,
				const struct endpoint *local, const struct endpoint *remote,
				uint32_t netns)
{
	size_t slot = posindex__start(&table->by_tuple, hash);
	uint32_t index;

	do {
		index = posindex__next(&table->by_tuple, hash, &slot);
	} while (index != NOWHERE && !has_tuple(at(table, index), local, remote, netns));
	return index;
}

uint32_t flow_table__expect_tuple(const struct flow_table *table, const struct endpoint *local,
				  const struct endpoint *remote, uint32_t netns)
{
	uint32_t hash = hash_endpoints(table, local, remote, netns);

	posindex__prefetch(&table->by_tuple, hash);
	return hash;
}

void flow_table__fetch_tuple(const struct flow_table *table, uint32_t hash)
{
	size_t slot = posindex__start(&table->by_tuple, hash);
	uint32_t index = posindex__next(&table->by_tuple, hash, &slot);

	if (index == NOWHERE)
		return;
	fetch_head(at(table, index));
	fetch_last_line(at(table, index));
}

void flow_table__join_tuple(struct flow_table *table, struct life *life)
{
	uint32_t hash = tuple_hash(table, life);
	uint32_t before = newest_of_tuple(table, hash, &life->local, &life->remote, life->netns);
	uint16_t ordinal = before == NOWHERE ? 0 : at(table, before)->ordinal;

	table->changes++;
	life->ordinal = ordinal == UINT16_MAX ? ordinal : ordinal + 1;
	life->tuple_next = before;
	if (before != NOWHERE)
		posindex__replace(&table->by_tuple, hash, before, position_of(table, life));
	else /* without memory it stands alone, and is not found by its tuple */
		posindex__add(&table->by_tuple, hash, position_of(table, life));
}

void flow_table__await_port(struct flow_table *table, struct life *life)
{
	posindex__add(&table->by_tuple, tuple_hash(table, life), position_of(table, life));
}

struct life *flow_table__awaiting(const struct flow_table *table, const struct tuple *tuple, bool *alone)
{
	struct endpoint local = tuple->local;
	struct life *found = NULL;
	uint32_t hash, index, count = 0;
	size_t slot;

	local.port = 0;
	hash = hash_endpoints(table, &local, &tuple->remote, tuple->netns);
	slot = posindex__start(&table->by_tuple, hash);
	while (!(found && count > 1) &&
	       (index = posindex__next(&table->by_tuple, hash, &slot)) != NOWHERE) {
		struct life *life = at(table, index);

		if (life->flags & LIFE_ENDED || !has_tuple(life, &local, &tuple->remote, tuple->netns))
			continue;
		count++;
		if (!(life->seen & ~SEEN_MISSED))
			found = life;
	}
	*alone = count == 1;
	return found;
}

void flow_table__join_as(struct flow_table *table, struct life *life, uint16_t ordinal)
{
	uint32_t hash = tuple_hash(table, life);
	uint32_t i = newest_of_tuple(table, hash, &life->local, &life->remote, life->netns);

	if (i == NOWHERE || at(table, i)->ordinal <= ordinal) {
		flow_table__join_tuple(table, life);
		life->ordinal = ordinal;
		return;
	}
	while (at(table, i)->tuple_next != NOWHERE &&
	       at(table, at(table, i)->tuple_next)->ordinal > ordinal)
		i = at(table, i)->tuple_next;
	life->ordinal = ordinal;
	life->tuple_next = at(table, i)->tuple_next;
	at(table, i)->tuple_next = position_of(table, life);
}

static void unlink_tuple(struct flow_table *table, const struct life *life)
{
	uint32_t index = position_of(table, life);
	uint32_t hash = tuple_hash(table, life);
	uint32_t i = newest_of_tuple(table, hash, &life->local, &life->remote, life->netns);

	if (i == index && life->tuple_next == NOWHERE) {
		posindex__remove(&table->by_tuple, hash, index);
	} else if (i == index) {
		posindex__replace(&table->by_tuple, hash, index, life->tuple_next);
	} else {
		while (i != NOWHERE && at(table, i)->tuple_next != index)
			i = at(table, i)->tuple_next;
		if (i != NOWHERE)
			at(table, i)->tuple_next = life->tuple_next;
	}
}

void flow_table__leave_tuple(struct flow_table *table, struct life *life)
{
	if (life->ordinal)
		unlink_tuple(table, life);
	else if (!life->local.port)
		posindex__remove(&table->by_tuple, tuple_hash(table, life), position_of(table, life));
	life->ordinal = 0;
	life->tuple_next = NOWHERE;
}

static void discard(struct flow_table *table, uint32_t index)
{
	struct life *life = at(table, index);

	flow_table__leave_tuple(table, life);
	owners__release(&table->owners, life->owner);
	life->state = FREE_STATE;
	life->next = table->free;
	table->free = index;
}

static uint32_t list_of(uint32_t turn)
{
	return turn % FLOW_TABLE_LISTS;
}

static const struct life *oldest_of(const struct flow_table *table, uint32_t turns_ahead)
{
	return at(table, table->oldest_ended[list_of(table->first_turn + turns_ahead)]);
}

/* The oldest one goes when the next life begins, which takes its place. What that will touch
 * is sent for: the life as soon as it is known which; when it must have come its place in the
 * index; and then who stands there, often a later life of the same tuple. */
static void foresee_next(const struct flow_table *table)
{
	const struct life *last_known = oldest_of(table, FLOW_TABLE_LISTS - 1);

	if (table->ended < FLOW_TABLE_LISTS)
		return;
	fetch_life(last_known);
	fetch_last_line(last_known);
	posindex__prefetch(&table->by_tuple, tuple_hash(table, oldest_of(table, FLOW_TABLE_LISTS / 2)));
	if (flow_table__has_many(table))
		flow_table__fetch_tuple(table, tuple_hash(table, oldest_of(table, FLOW_TABLE_LISTS / 4)));
}

static void discard_oldest_ended(struct flow_table *table)
{
	uint32_t *oldest = &table->oldest_ended[list_of(table->first_turn)];
	uint32_t index = *oldest;

	*oldest = at(table, index)->next;
	table->first_turn++;
	table->ended--;
	discard(table, index);
	foresee_next(table);
}

static void keep_ended(struct flow_table *table, uint32_t index)
{
	uint32_t list = list_of(table->first_turn + table->ended);

	if (table->ended < FLOW_TABLE_LISTS)
		table->oldest_ended[list] = index;
	else
		at(table, table->newest_ended[list])->next = index;
	table->newest_ended[list] = index;
	table->ended++;
}

static void remove_key(struct flow_table *table, const struct life *life)
{
	posindex__remove(&table->by_key, hash_key(table, life->key), position_of(table, life));
}

/* Rows of a dump must not count it again, whatever they know it by. */
static void count_evicted(struct flow_table *table, const struct life *life)
{
	table->evicted_open++;
	if (!table->counted.watching)
		return;
	departed__add(&table->counted, life->key);
	departed__add(&table->counted,
		      flow_table__tuple_key(table, life->local.addr, life->remote.addr, life->local.port,
					    life->remote.port, life->netns));
}

static const struct life *move_hand(struct flow_table *table)
{
	const struct life *life;

	do {
		table->hand = (table->hand + 1) % table->used;
		life = at(table, table->hand);
	} while (life->state == FREE_STATE || life->flags & LIFE_ENDED);
	return life;
}

/* Brings the hand to the next life without a socket, if there is one among those that
 * are open and next: where they are few nobody looks for long. */
static bool find_without_socket(struct flow_table *table)
{
	uint32_t steps = table->gone ? GONE_STEPS : 0;

	while (steps--)
		if (move_hand(table)->flags & LIFE_SOCKET_GONE)
			return true;
	return false;
}

/* An open life must go: the next one behind the hand, so that the choice is cheap and
 * goes round. */
static void discard_some_open(struct flow_table *table)
{
	struct life *life;

	if (!table->open)
		return;
	if (!find_without_socket(table))
		move_hand(table);
	life = at(table, table->hand);
	remove_key(table, life);
	table->open--;
	table->changes++;
	table->gone -= (life->flags & LIFE_SOCKET_GONE) != 0;
	count_evicted(table, life);
	discard(table, table->hand);
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

static uint32_t take_new(struct flow_table *table)
{
	uint32_t index = table->used++, room = table->max_lives + SPARE_LIVES - index;

	if (index % LIVES_FILLED == 0)
		pages__fill(at(table, index),
			    (room < LIVES_FILLED ? room : LIVES_FILLED) * sizeof(struct life));
	return index;
}

static uint32_t take(struct flow_table *table)
{
	uint32_t index = table->free;

	if (index == NOWHERE)
		return take_new(table);
	table->free = at(table, index)->next;
	return index;
}

struct life *flow_table__begin(struct flow_table *table, uint64_t key)
{
	struct life *life;
	uint32_t index;

	make_room(table);
	index = take(table);
	life = at(table, index);
	*life = (struct life){ .key = key, .owner = OWNER_NONE, .tuple_next = NOWHERE };
	if (posindex__add(&table->by_key, hash_key(table, key), index)) {
		discard(table, index);
		return NULL;
	}
	table->open++;
	table->changes++;
	return life;
}

void flow_table__let_socket_go(struct flow_table *table, struct life *life)
{
	table->changes++;
	table->gone += !(life->flags & LIFE_SOCKET_GONE);
	life->flags |= LIFE_SOCKET_GONE;
}

void flow_table__end(struct flow_table *table, struct life *life)
{
	uint32_t index = position_of(table, life);

	remove_key(table, life);
	table->gone -= (life->flags & LIFE_SOCKET_GONE) != 0;
	life->flags |= LIFE_ENDED;
	life->next = NOWHERE;
	life->promoted_us = 0;
	table->open--;
	table->changes++;
	keep_ended(table, index);
}

void flow_table__end_request(struct flow_table *table, struct life *life)
{
	clear_limbo(table);
	remove_key(table, life);
	table->limbo = position_of(table, life);
	life->flags |= LIFE_ENDED;
	table->open--;
	table->changes++;
}

int flow_table__rekey(struct flow_table *table, struct life *life, uint64_t key)
{
	if (posindex__add(&table->by_key, hash_key(table, key), position_of(table, life)))
		return -ENOMEM;
	remove_key(table, life);
	life->key = key;
	return 0;
}

struct life *flow_table__newest(const struct flow_table *table, const struct tuple *tuple)
{
	uint32_t hash = hash_endpoints(table, &tuple->local, &tuple->remote, tuple->netns);
	uint32_t i = newest_of_tuple(table, hash, &tuple->local, &tuple->remote, tuple->netns);

	return i == NOWHERE ? NULL : at(table, i);
}

struct life *flow_table__older(const struct flow_table *table, const struct life *life)
{
	return life->tuple_next == NOWHERE ? NULL : at(table, life->tuple_next);
}

struct ended_walk flow_table__walk_ended(const struct flow_table *table)
{
	struct ended_walk walk = { .turn = table->first_turn, .left = table->ended };

	memcpy(walk.next, table->oldest_ended, sizeof(walk.next));
	return walk;
}

const struct life *flow_table__next_ended(const struct flow_table *table, struct ended_walk *walk)
{
	uint32_t *next = &walk->next[list_of(walk->turn++)];
	const struct life *life;

	if (!walk->left)
		return NULL;
	walk->left--;
	life = at(table, *next);
	*next = life->next;
	return life;
}

void flow_table__stop_counting(struct flow_table *table)
{
	departed__fini(&table->counted);
	table->counted.watching = false;
}

bool flow_table__has_room(const struct flow_table *table)
{
	return table->open + table->ended < table->max_lives || table->ended > 1;
}

bool flow_table__has_room_for_socket(const struct flow_table *table)
{
	return flow_table__has_room(table) || table->gone;
}

const struct life *flow_table__peer(const struct flow_table *table, const struct life *life)
{
	uint32_t hash = hash_endpoints(table, &life->remote, &life->local, life->netns);
	uint32_t i = life->ordinal ?
			     newest_of_tuple(table, hash, &life->remote, &life->local, life->netns) :
			     NOWHERE;
	const struct life *other;

	if (i != NOWHERE && at(table, i) == life) /* connected to itself */
		i = life->tuple_next;
	if (i == NOWHERE)
		return NULL;
	other = at(table, i);
	/* An earlier connection's end is nobody's peer now. */
	return other->flags & LIFE_ENDED && other->entered_ns < life->start_ns ? NULL : other;
}

const struct life *flow_table__open_at(const struct flow_table *table, uint32_t position)
{
	const struct life *life = at(table, position);

	return life->state == FREE_STATE || life->flags & LIFE_ENDED ? NULL : life;
}
