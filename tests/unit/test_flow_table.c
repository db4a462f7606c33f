/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/flow_table.c: its bounds, who goes when it is full,
 * and the chains of lives of one five-tuple. The hash can be made bad, so that
 * different tuples share chains. ASan watches what an evicted life leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include "base/hash.h"

static uint64_t hash_mask = UINT64_MAX;
static bool out_of_memory;
static bool no_mapping;

static uint64_t bad_hash(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed) & hash_mask;
}

static void *limited_realloc(void *old, size_t size)
{
	return out_of_memory ? NULL : realloc(old, size);
}

static void *limited_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : calloc(count, size);
}

static void *limited_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return no_mapping ? MAP_FAILED : mmap(at, size, protection, flags, fd, offset);
}

#define mmap(at, size, protection, flags, fd, offset) limited_mmap(at, size, protection, flags, fd, offset)
#undef XXH3_64bits_withSeed
#define XXH3_64bits_withSeed(data, len, seed) bad_hash(data, len, seed)
#define realloc(old, size) limited_realloc(old, size)
#define malloc(size) limited_realloc(NULL, size)
#define calloc(count, size) limited_calloc(count, size)
#include "base/idmap.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "model/departed.c"
#include "model/flow_table.c"
#include "model/owners.c"
#undef XXH3_64bits_withSeed
#undef realloc
#undef malloc
#undef mmap
#undef calloc

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int restore(void **state)
{
	(void)state;
	hash_mask = UINT64_MAX;
	out_of_memory = false;
	no_mapping = false;
	return 0;
}

static void init(struct flow_table *table, uint32_t max_lives, uint32_t max_ended)
{
	assert_int_equal(flow_table__init(table, 42, max_lives, max_ended), 0);
}

static struct life *begin(struct flow_table *table, uint64_t key)
{
	struct life *life = flow_table__begin(table, key);

	assert_non_null(life);
	assert_int_equal(life->key, key);
	assert_int_equal(life->state, 0);
	assert_int_equal(life->flags, 0);
	assert_int_equal(life->ordinal, 0);
	assert_int_equal(life->history_count, 0);
	assert_int_equal(life->owner, OWNER_NONE);
	life->state = EV_ESTABLISHED;
	return life;
}

/* The n-th of many tuples, alike but in one place. */
static void join(struct flow_table *table, struct life *life, unsigned int n)
{
	life->local.port = (uint16_t)(40000 + n / 4 % 2);
	life->remote.port = 80;
	life->remote.addr[15] = (uint8_t)(n / 2 % 2);
	life->netns = 1 + n % 2 + n / 8 * 2;
	flow_table__join_tuple(table, life);
}

static struct life *begin_in(struct flow_table *table, uint64_t key, unsigned int tuple)
{
	struct life *life = begin(table, key);

	join(table, life, tuple);
	return life;
}

/* Keys of the ended lives that are kept, oldest first. */
static unsigned int ended_keys(const struct flow_table *table, uint64_t *keys)
{
	struct ended_walk walk = flow_table__walk_ended(table);
	const struct life *life;
	unsigned int count = 0;

	while ((life = flow_table__next_ended(table, &walk))) {
		assert_true(life->flags & LIFE_ENDED);
		keys[count++] = life->key;
	}
	assert_int_equal(count, table->ended);
	return count;
}

static void expect_ended(const struct flow_table *table, const uint64_t *expected, unsigned int count)
{
	uint64_t keys[64];

	assert_int_equal(ended_keys(table, keys), count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(keys[i], expected[i]);
}

/* ---- one life ---- */

static void open_lives_are_found_by_key(void **state)
{
	struct flow_table table;
	struct life *a, *b;

	(void)state;
	init(&table, 10, 10);
	assert_null(flow_table__find(&table, 1));
	a = begin(&table, 1);
	b = begin(&table, UINT64_MAX);
	assert_ptr_equal(flow_table__find(&table, 1), a);
	assert_ptr_equal(flow_table__find(&table, UINT64_MAX), b);
	assert_null(flow_table__find(&table, 2));
	assert_int_equal(table.open, 2);
	flow_table__fini(&table);
}

/* The views still read it, in the same record. */
static void an_ended_life_is_not_found_but_valid(void **state)
{
	struct flow_table table;
	struct life *life;

	(void)state;
	init(&table, 10, 10);
	life = begin(&table, 7);
	life->bytes_sent = 123;
	flow_table__end(&table, life);
	assert_null(flow_table__find(&table, 7));
	assert_int_equal(life->bytes_sent, 123);
	assert_true(life->flags & LIFE_ENDED);
	assert_int_equal(table.open, 0);
	assert_int_equal(table.ended, 1);
	flow_table__fini(&table);
}

/* Also through the begin that follows in the same record, however small the
 * table is. */
static void the_one_that_ended_last_outlives_a_begin(void **state)
{
	(void)state;
	for (uint32_t max_lives = 2; max_lives < 6; max_lives++) {
		for (uint32_t max_ended = 1; max_ended < 6; max_ended++) {
			struct flow_table table;

			init(&table, max_lives, max_ended);
			for (uint64_t key = 1; key < 50; key++) {
				struct life *life = flow_table__find(&table, key % 5);

				if (life) {
					flow_table__end(&table, life);
					begin_in(&table, key % 5, 1);
					assert_int_equal(life->key, key % 5);
					assert_true(life->flags & LIFE_ENDED);
				} else {
					begin_in(&table, key % 5, 1);
				}
			}
			flow_table__fini(&table);
		}
	}
}

static void lives_never_move(void **state)
{
	enum { MANY = 5000 };
	static struct life *lives[MANY];
	struct flow_table table;

	(void)state;
	init(&table, MANY, 1);
	for (uint64_t key = 0; key < MANY; key++)
		lives[key] = begin(&table, key);
	for (uint64_t key = 0; key < MANY; key++) {
		assert_ptr_equal(flow_table__find(&table, key), lives[key]);
		assert_int_equal(lives[key]->key, key);
	}
	assert_int_equal(table.evicted_open, 0);
	flow_table__fini(&table);
}

static void a_walk_sees_the_open_ones(void **state)
{
	struct flow_table table;
	bool seen[10] = {false};

	(void)state;
	init(&table, 100, 100);
	for (uint64_t key = 0; key < 10; key++)
		begin(&table, key);
	for (uint64_t key = 0; key < 10; key += 2)
		flow_table__end(&table, flow_table__find(&table, key));
	for (uint32_t i = 0; i < table.used; i++) {
		const struct life *life = flow_table__open_at(&table, i);

		if (!life)
			continue;
		assert_in_range(life->key, 0, 9);
		assert_false(seen[life->key]);
		seen[life->key] = true;
	}
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(seen[i], i % 2);
	flow_table__fini(&table);
}

/* ---- bounds ---- */

static void the_oldest_ended_go_first(void **state)
{
	struct flow_table table;

	(void)state;
	init(&table, 100, 3);
	for (uint64_t key = 1; key <= 5; key++)
		begin(&table, key);
	/* The order of ending, not of beginning. */
	flow_table__end(&table, flow_table__find(&table, 3));
	flow_table__end(&table, flow_table__find(&table, 1));
	flow_table__end(&table, flow_table__find(&table, 5));
	flow_table__end(&table, flow_table__find(&table, 2));
	begin(&table, 6);
	expect_ended(&table, (const uint64_t[]){1, 5, 2}, 3);
	flow_table__end(&table, flow_table__find(&table, 4));
	begin(&table, 7);
	expect_ended(&table, (const uint64_t[]){5, 2, 4}, 3);
	assert_int_equal(table.open, 2);
	assert_int_equal(table.evicted_open, 0);
	flow_table__fini(&table);
}

static void ended_ones_make_room_before_open_ones(void **state)
{
	struct flow_table table;

	(void)state;
	init(&table, 6, 6);
	for (uint64_t key = 1; key <= 6; key++)
		begin(&table, key);
	for (uint64_t key = 1; key <= 3; key++)
		flow_table__end(&table, flow_table__find(&table, key));
	begin(&table, 7);
	expect_ended(&table, (const uint64_t[]){2, 3}, 2);
	begin(&table, 8);
	expect_ended(&table, (const uint64_t[]){3}, 1);
	assert_int_equal(table.evicted_ended, 2);
	assert_int_equal(table.evicted_open, 0);
	for (uint64_t key = 4; key <= 8; key++)
		assert_non_null(flow_table__find(&table, key));
	flow_table__fini(&table);
}

/* When all are open the hand goes round: nobody is spared for ever, and the
 * newest is not the one that goes. */
static void open_ones_go_when_nothing_else_is_left(void **state)
{
	struct flow_table table;

	(void)state;
	init(&table, 4, 4);
	for (uint64_t key = 1; key <= 4; key++)
		begin(&table, key);
	for (uint64_t key = 5; key <= 40; key++) {
		unsigned int left = 0;

		begin(&table, key);
		assert_int_equal(table.open, 4);
		assert_int_equal(table.evicted_open, key - 4);
		for (uint64_t other = 1; other <= key; other++)
			left += flow_table__find(&table, other) != NULL;
		assert_int_equal(left, 4);
		for (uint64_t newest = key - 3; newest <= key; newest++)
			if (newest > 4)
				assert_non_null(flow_table__find(&table, newest));
	}
	assert_int_equal(table.evicted_ended, 0);
	assert_int_equal(table.used, 4);
	flow_table__fini(&table);
}

/* Those that last as minisockets go before those with a socket, and after what has
 * ended; once more said is once said. */
static void lives_without_a_socket_go_before_those_with_one(void **state)
{
	struct flow_table table;

	(void)state;
	init(&table, 6, 6);
	for (uint64_t key = 1; key <= 6; key++)
		begin(&table, key);
	flow_table__let_socket_go(&table, flow_table__find(&table, 2));
	flow_table__let_socket_go(&table, flow_table__find(&table, 5));
	flow_table__let_socket_go(&table, flow_table__find(&table, 5));
	assert_false(flow_table__has_room(&table));
	assert_true(flow_table__has_room_for_socket(&table));
	begin(&table, 7);
	begin(&table, 8);
	assert_null(flow_table__find(&table, 2));
	assert_null(flow_table__find(&table, 5));
	assert_int_equal(table.evicted_open, 2);
	assert_false(flow_table__has_room_for_socket(&table));
	flow_table__let_socket_go(&table, flow_table__find(&table, 8));
	flow_table__end(&table, flow_table__find(&table, 8));
	assert_int_equal(table.gone, 0);
	flow_table__fini(&table);
}

/* ---- five-tuples ---- */

static void successive_lives_are_numbered(void **state)
{
	struct flow_table table;

	(void)state;
	init(&table, 100, 100);
	for (uint16_t ordinal = 1; ordinal <= 20; ordinal++) {
		struct life *life = begin_in(&table, ordinal, 0);

		assert_int_equal(life->ordinal, ordinal);
		flow_table__end(&table, life);
	}
	flow_table__fini(&table);
}

/* Each part of a tuple tells it from others: both addresses and ports, netns. */
static void each_part_makes_another_tuple(void **state)
{
	struct flow_table table;
	struct life *lives[6];

	(void)state;
	for (int bad = 0; bad < 2; bad++) {
		hash_mask = bad ? 0 : UINT64_MAX;
		init(&table, 100, 100);
		for (uint64_t i = 0; i < 6; i++) {
			struct life *life = lives[i] = begin(&table, i);

			life->local.port = i == 1 ? 1 : 2;
			life->remote.port = i == 2 ? 1 : 2;
			life->local.addr[0] = i == 3;
			life->remote.addr[15] = i == 4;
			life->netns = i == 5;
			flow_table__join_tuple(&table, life);
		}
		for (unsigned int i = 0; i < 6; i++)
			assert_int_equal(lives[i]->ordinal, 1);
		flow_table__fini(&table);
	}
}

/* The number goes on as long as one predecessor is remembered. */
static void numbers_go_on_while_a_predecessor_is_kept(void **state)
{
	struct flow_table table;
	struct life *life;

	(void)state;
	init(&table, 100, 2);
	for (uint64_t key = 1; key <= 9; key++) {
		life = begin_in(&table, key, 0);
		assert_int_equal(life->ordinal, key);
		flow_table__end(&table, life);
	}
	for (uint64_t key = 10; key <= 12; key++)
		flow_table__end(&table, begin_in(&table, key, 1));
	/* All of the first tuple are forgotten now. */
	assert_int_equal(begin_in(&table, 13, 0)->ordinal, 1);
	flow_table__fini(&table);
}

static void the_number_saturates(void **state)
{
	struct flow_table table;
	struct life *life;

	(void)state;
	init(&table, 100, 1);
	life = begin_in(&table, 1, 0);
	life->ordinal = UINT16_MAX - 1;
	flow_table__end(&table, life);
	for (uint64_t key = 2; key < 5; key++) {
		life = begin_in(&table, key, 0);
		assert_int_equal(life->ordinal, UINT16_MAX);
		flow_table__end(&table, life);
	}
	flow_table__fini(&table);
}

/* Ten lives of ten tuples in one chain, one after the other leaving it from
 * its end while others join at its beginning. */
static void chains_of_other_tuples_survive_evictions(void **state)
{
	struct flow_table table;
	uint16_t expected[10] = {0};

	(void)state;
	hash_mask = 0;
	init(&table, 30, 20);
	for (uint64_t key = 0; key < 500; key++) {
		struct life *life = begin_in(&table, key, key % 10);

		assert_int_equal(life->ordinal, ++expected[key % 10]);
		flow_table__end(&table, life);
	}
	flow_table__fini(&table);
}

/* ---- owners ---- */

static void an_evicted_life_lets_its_owner_go(void **state)
{
	struct ev_owner nginx = {.pid = 42, .comm = "nginx"};
	struct flow_table table;

	(void)state;
	init(&table, 4, 2);
	for (uint64_t key = 1; key <= 20; key++) {
		struct life *life = begin(&table, key);

		life->owner = owners__intern(&table.owners, &nginx, 0);
		if (key % 2)
			flow_table__end(&table, life);
	}
	assert_int_equal(entry_at(&table.owners, 0)->references, table.open + table.ended);
	flow_table__fini(&table);
}

/* ---- everything at once, against a reference ---- */

enum { REFERENCE_MAX = 64, NO_TUPLE = UINT32_MAX };

struct known {
	uint64_t key;
	uint32_t tuple;
	uint16_t ordinal;
	uint32_t joined; /* when: greater is newer */
};

struct reference {
	struct known open[REFERENCE_MAX], ended[REFERENCE_MAX]; /* ended: oldest first */
	unsigned int open_count, ended_count;
	uint32_t joins;
	uint64_t evicted_ended, evicted_open, next_key;
};

static void forget(struct known *list, unsigned int *count, unsigned int i)
{
	(*count)--;
	memmove(&list[i], &list[i + 1], (*count - i) * sizeof(*list));
}

static const struct known *newest_of(const struct known *list, unsigned int count, uint32_t tuple,
				     const struct known *newest)
{
	for (unsigned int i = 0; i < count; i++)
		if (list[i].tuple == tuple && (!newest || list[i].joined > newest->joined))
			newest = &list[i];
	return newest;
}

static void reference_join(struct reference *reference, struct known *known, uint32_t tuple)
{
	const struct known *newest = newest_of(reference->open, reference->open_count, tuple, NULL);

	newest = newest_of(reference->ended, reference->ended_count, tuple, newest);
	known->ordinal = newest ? newest->ordinal + 1 : 1;
	known->tuple = tuple;
	known->joined = ++reference->joins;
}

/* The one open life that had to go: the table chose. */
static void reference_lose_open(const struct flow_table *table, struct reference *reference)
{
	unsigned int lost = 0;

	for (unsigned int i = reference->open_count; i-- > 0;) {
		if (flow_table__find(table, reference->open[i].key))
			continue;
		forget(reference->open, &reference->open_count, i);
		lost++;
	}
	assert_int_equal(lost, 1);
	reference->evicted_open++;
}

static void random_begin(struct flow_table *table, struct reference *reference)
{
	struct known *known;
	bool open_goes = false;

	while (reference->ended_count > table->max_ended)
		forget(reference->ended, &reference->ended_count, 0);
	if (reference->open_count + reference->ended_count >= table->max_lives) {
		open_goes = reference->ended_count <= 1;
		if (!open_goes) {
			forget(reference->ended, &reference->ended_count, 0);
			reference->evicted_ended++;
		}
	}
	begin(table, ++reference->next_key);
	if (open_goes)
		reference_lose_open(table, reference);
	known = &reference->open[reference->open_count++];
	*known = (struct known){.key = reference->next_key, .tuple = NO_TUPLE};
}

static void random_join(struct flow_table *table, struct reference *reference, struct known *known)
{
	struct life *life = flow_table__find(table, known->key);
	uint32_t tuple = (uint32_t)(random_u64() % 12);

	reference_join(reference, known, tuple);
	join(table, life, tuple);
	assert_int_equal(life->ordinal, known->ordinal);
}

static void random_end(struct flow_table *table, struct reference *reference, unsigned int i)
{
	flow_table__end(table, flow_table__find(table, reference->open[i].key));
	reference->ended[reference->ended_count++] = reference->open[i];
	forget(reference->open, &reference->open_count, i);
}

static void check_against(const struct flow_table *table, const struct reference *reference)
{
	uint64_t keys[REFERENCE_MAX];

	assert_int_equal(table->open, reference->open_count);
	assert_int_equal(table->by_key.used, reference->open_count);
	assert_int_equal(table->evicted_open, reference->evicted_open);
	assert_int_equal(table->evicted_ended, reference->evicted_ended);
	assert_true(table->open + table->ended <= table->max_lives);
	assert_true(table->used <= table->max_lives);
	for (unsigned int i = 0; i < reference->open_count; i++) {
		const struct life *life = flow_table__find(table, reference->open[i].key);

		assert_non_null(life);
		assert_int_equal(life->key, reference->open[i].key);
		assert_int_equal(life->ordinal, reference->open[i].ordinal);
	}
	assert_int_equal(ended_keys(table, keys), reference->ended_count);
	for (unsigned int i = 0; i < reference->ended_count; i++)
		assert_int_equal(keys[i], reference->ended[i].key);
}

static void random_step(struct flow_table *table, struct reference *reference)
{
	unsigned int i = reference->open_count ? (unsigned int)(random_u64() % reference->open_count) : 0;

	switch (random_u64() % 8) {
	case 0 ... 3:
		random_begin(table, reference);
		break;
	case 4 ... 5:
		if (reference->open_count && reference->open[i].tuple == NO_TUPLE)
			random_join(table, reference, &reference->open[i]);
		break;
	default:
		if (reference->open_count && reference->ended_count < REFERENCE_MAX - 1)
			random_end(table, reference, i);
	}
}

static void as_the_reference(void **state)
{
	static const uint64_t masks[] = {UINT64_MAX, 3, 0};

	(void)state;
	for (uint32_t round = 0; round < 600; round++) {
		struct reference reference = {0};
		struct flow_table table;

		hash_mask = masks[round % 3];
		init(&table, 2 + round % 23, 1 + round % 17);
		for (int step = 0; step < 300; step++) {
			random_step(&table, &reference);
			check_against(&table, &reference);
		}
		flow_table__fini(&table);
	}
}

/* ---- no memory ---- */

static void without_memory_for_the_table(void **state)
{
	struct flow_table table;

	(void)state;
	out_of_memory = true;
	assert_int_equal(flow_table__init(&table, 0, 10, 10), -ENOMEM);
	flow_table__fini(&table);
	no_mapping = true;
	assert_int_equal(flow_table__init(&table, 0, 1000000, 10), -ENOMEM);
	flow_table__fini(&table);
}

static void without_memory_for_lives(void **state)
{
	struct flow_table table;

	(void)state;
	init(&table, 100000, 10);
	out_of_memory = true;
	for (uint64_t key = 1; key <= 832; key++)
		begin(&table, key);
	/* Here the index would have to grow: the place is given back. */
	assert_null(flow_table__begin(&table, 833));
	assert_null(flow_table__begin(&table, 833));
	assert_null(flow_table__find(&table, 833));
	assert_int_equal(table.open, 832);
	assert_true(table.used <= 833);
	out_of_memory = false;
	begin(&table, 833);
	assert_int_equal(table.used, 833);
	flow_table__fini(&table);
}

/* Without memory for its chain a life stands alone, and leaves no trace. */
static void without_memory_for_a_tuple(void **state)
{
	struct flow_table table;
	struct life *alone;

	(void)state;
	init(&table, 100000, 1);
	for (uint64_t key = 1; key <= 832; key++)
		begin_in(&table, key, (unsigned int)key * 8);
	for (uint64_t key = 1; key <= 10; key++)
		flow_table__end(&table, flow_table__find(&table, key));
	alone = begin(&table, 10000);
	/* The index of tuples is still full but for the nine that went. */
	for (uint64_t key = 20000; key < 20009; key++)
		begin_in(&table, key, (unsigned int)key * 8);
	out_of_memory = true;
	join(&table, alone, 10000 * 8);
	assert_int_equal(alone->ordinal, 1);
	flow_table__end(&table, alone);
	out_of_memory = false;
	flow_table__end(&table, begin(&table, 30000));
	begin(&table, 30001);
	expect_ended(&table, (const uint64_t[]){30000}, 1);
	flow_table__fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_lives_are_found_by_key),
		cmocka_unit_test(an_ended_life_is_not_found_but_valid),
		cmocka_unit_test(the_one_that_ended_last_outlives_a_begin),
		cmocka_unit_test(lives_never_move),
		cmocka_unit_test(a_walk_sees_the_open_ones),
		cmocka_unit_test(the_oldest_ended_go_first),
		cmocka_unit_test(ended_ones_make_room_before_open_ones),
		cmocka_unit_test(open_ones_go_when_nothing_else_is_left),
		cmocka_unit_test(lives_without_a_socket_go_before_those_with_one),
		cmocka_unit_test(successive_lives_are_numbered),
		cmocka_unit_test_teardown(each_part_makes_another_tuple, restore),
		cmocka_unit_test(numbers_go_on_while_a_predecessor_is_kept),
		cmocka_unit_test(the_number_saturates),
		cmocka_unit_test_teardown(chains_of_other_tuples_survive_evictions, restore),
		cmocka_unit_test(an_evicted_life_lets_its_owner_go),
		cmocka_unit_test_teardown(as_the_reference, restore),
		cmocka_unit_test_teardown(without_memory_for_the_table, restore),
		cmocka_unit_test_teardown(without_memory_for_lives, restore),
		cmocka_unit_test_teardown(without_memory_for_a_tuple, restore),
	};

	return cmocka_run_group_tests_name("flow_table", tests, NULL, NULL);
}
