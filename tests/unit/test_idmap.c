/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/idmap.c. Maps of eight slots make every case of
 * probing happen all the time: clusters, clusters across the end of the array,
 * removals from their beginning, middle and end. Each step is held against a
 * reference that is too simple to be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool out_of_memory;

static void *limited_malloc(size_t size)
{
	return out_of_memory ? NULL : malloc(size);
}

#define malloc(size) limited_malloc(size)
#include "base/idmap.c"
#undef malloc

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static struct idmap new_map(size_t slots, uint64_t seed)
{
	struct idmap map = {.seed = seed};

	assert_int_equal(alloc_slots(&map, slots), 0);
	return map;
}

/* What every map is at any time: as many values as it says, each to be found,
 * and never full. */
static void check_map(const struct idmap *map)
{
	size_t used = 0;

	for (size_t i = 0; i <= map->mask; i++) {
		if (map->slots[i].value == IDMAP_NONE)
			continue;
		used++;
		assert_ptr_equal(slot_of(map, map->slots[i].key), &map->slots[i]);
	}
	assert_int_equal(map->used, used);
	assert_true(used * 4 <= (map->mask + 1) * 3);
}

enum { KEYS = 4096 };

/* The value of each key, IDMAP_NONE for one that is not there. */
struct reference {
	uint64_t keys[KEYS];
	uint32_t values[KEYS];
	size_t count;
};

static void init_reference(struct reference *reference, size_t count, uint64_t first, uint64_t step)
{
	reference->count = count;
	for (size_t i = 0; i < count; i++) {
		reference->keys[i] = first + i * step;
		reference->values[i] = IDMAP_NONE;
	}
}

static void random_step(struct idmap *map, struct reference *reference, unsigned int puts_in_8)
{
	size_t i = random_u64() % reference->count;
	uint64_t key = reference->keys[i];
	uint32_t value = (uint32_t)random_u64() >> 1;

	assert_int_equal(idmap__find(map, key), reference->values[i]);
	if (random_u64() % 8 < puts_in_8) {
		assert_int_equal(idmap__put(map, key, value), 0);
		reference->values[i] = value;
	} else {
		assert_int_equal(idmap__remove(map, key), reference->values[i]);
		reference->values[i] = IDMAP_NONE;
	}
	assert_int_equal(idmap__find(map, key), reference->values[i]);
}

static void check_against(const struct idmap *map, const struct reference *reference)
{
	check_map(map);
	for (size_t i = 0; i < reference->count; i++)
		assert_int_equal(idmap__find(map, reference->keys[i]), reference->values[i]);
}

static void an_empty_map_has_nothing(void **state)
{
	struct idmap map;

	(void)state;
	assert_int_equal(idmap__init(&map, 1), 0);
	assert_int_equal(idmap__find(&map, 0), IDMAP_NONE);
	assert_int_equal(idmap__remove(&map, 0), IDMAP_NONE);
	assert_int_equal(map.used, 0);
	idmap__fini(&map);
	idmap__fini(&map);
}

/* No key is special, nor is any value but IDMAP_NONE. */
static void all_keys_are_alike(void **state)
{
	static const uint64_t keys[] = {0, 1, UINT32_MAX, 1ULL << 63, UINT64_MAX - 1, UINT64_MAX};
	static const uint32_t values[] = {0, 1, IDMAP_NONE - 1, 7, 0, 8};
	struct idmap map;

	(void)state;
	assert_int_equal(idmap__init(&map, 0), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(idmap__put(&map, keys[i], values[i]), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(idmap__find(&map, keys[i]), values[i]);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(idmap__remove(&map, keys[i]), values[i]);
	assert_int_equal(map.used, 0);
	idmap__fini(&map);
}

static void put_replaces(void **state)
{
	struct idmap map;

	(void)state;
	assert_int_equal(idmap__init(&map, 5), 0);
	assert_int_equal(idmap__put(&map, 42, 1), 0);
	assert_int_equal(idmap__put(&map, 42, 2), 0);
	assert_int_equal(map.used, 1);
	assert_int_equal(idmap__find(&map, 42), 2);
	assert_int_equal(idmap__remove(&map, 42), 2);
	assert_int_equal(idmap__remove(&map, 42), IDMAP_NONE);
	idmap__fini(&map);
}

/* Six keys at most in eight slots, so that the map stays as small as it is. */
static void small_maps_as_the_reference(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 400; seed++) {
		struct idmap map = new_map(8, seed);
		struct reference reference;

		init_reference(&reference, 6, seed * 1000, 1);
		for (int step = 0; step < 300; step++) {
			random_step(&map, &reference, 5);
			check_against(&map, &reference);
		}
		assert_int_equal(map.mask, 7);
		idmap__fini(&map);
	}
}

/* Keys whose home is the last slot fill the first ones, and come back from
 * there when the gap opens behind them. */
static void clusters_go_around_the_end(void **state)
{
	uint64_t keys[12];

	(void)state;
	for (unsigned int victim = 0; victim < 12; victim++) {
		struct idmap map = new_map(16, 77);
		unsigned int count = 0;

		for (uint64_t key = 0; count < 12; key++)
			if (home(&map, key) >= 14)
				keys[count++] = key;
		for (unsigned int i = 0; i < 12; i++)
			assert_int_equal(idmap__put(&map, keys[i], i), 0);
		assert_int_equal(map.mask, 15);
		assert_int_not_equal(map.slots[0].value, IDMAP_NONE);
		assert_int_equal(idmap__remove(&map, keys[victim]), victim);
		check_map(&map);
		for (unsigned int i = 0; i < 12; i++)
			assert_int_equal(idmap__find(&map, keys[i]), i == victim ? IDMAP_NONE : i);
		idmap__fini(&map);
	}
}

static void it_grows_and_keeps_everything(void **state)
{
	enum { MANY = 100000 };
	struct idmap map;

	(void)state;
	assert_int_equal(idmap__init(&map, 9), 0);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(idmap__put(&map, 0x100000000ULL + i, i), 0);
	assert_int_equal(map.mask + 1, 262144);
	check_map(&map);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(idmap__find(&map, 0x100000000ULL + i), i);
	for (uint32_t i = 0; i < MANY; i += 2)
		assert_int_equal(idmap__remove(&map, 0x100000000ULL + i), i);
	check_map(&map);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(idmap__find(&map, 0x100000000ULL + i), i % 2 ? i : IDMAP_NONE);
	idmap__fini(&map);
}

/* Grows and empties again and again; strides as slab addresses have them. */
static void large_maps_as_the_reference(void **state)
{
	static const uint64_t steps[] = {1, 64, 2048, 1ULL << 32, 0x9e3779b97f4a7c15};
	static struct reference reference;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct idmap map = new_map(8, i);

		init_reference(&reference, KEYS, i, steps[i]);
		for (int step = 0; step < 40000; step++) {
			random_step(&map, &reference, step / 8000 % 2 ? 2 : 6);
			if (step % 2000 == 0)
				check_against(&map, &reference);
		}
		check_against(&map, &reference);
		idmap__fini(&map);
	}
}

/* Cookies count upwards; they must not lie side by side. */
static void successive_keys_spread(void **state)
{
	struct idmap map;
	size_t longest = 0, run = 0;

	(void)state;
	assert_int_equal(idmap__init(&map, 3), 0);
	for (uint32_t i = 0; i < 512; i++)
		assert_int_equal(idmap__put(&map, i, i), 0);
	for (size_t i = 0; i <= map.mask; i++) {
		run = map.slots[i].value == IDMAP_NONE ? 0 : run + 1;
		longest = run > longest ? run : longest;
	}
	assert_in_range(longest, 2, 40);
	idmap__fini(&map);
}

static void without_memory(void **state)
{
	struct idmap map;
	uint32_t i = 0;

	(void)state;
	out_of_memory = true;
	assert_int_equal(idmap__init(&map, 0), -ENOMEM);
	idmap__fini(&map);
	out_of_memory = false;
	assert_int_equal(idmap__init(&map, 0), 0);
	out_of_memory = true;
	while (idmap__put(&map, i, i) == 0)
		i++;
	/* A load of 3/4 is full; what is there can still be changed. */
	assert_int_equal(i, 768);
	assert_int_equal(idmap__put(&map, i, i), -ENOMEM);
	assert_int_equal(idmap__find(&map, i), IDMAP_NONE);
	assert_int_equal(idmap__put(&map, 5, 50), 0);
	check_map(&map);
	assert_int_equal(idmap__remove(&map, 0), 0);
	assert_int_equal(idmap__put(&map, i, i), 0);
	for (uint32_t key = 1; key <= i; key++)
		assert_int_equal(idmap__find(&map, key), key == 5 ? 50 : key);
	out_of_memory = false;
	idmap__fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_has_nothing),
		cmocka_unit_test(all_keys_are_alike),
		cmocka_unit_test(put_replaces),
		cmocka_unit_test(small_maps_as_the_reference),
		cmocka_unit_test(clusters_go_around_the_end),
		cmocka_unit_test(it_grows_and_keeps_everything),
		cmocka_unit_test(large_maps_as_the_reference),
		cmocka_unit_test(successive_keys_spread),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests_name("idmap", tests, NULL, NULL);
}
