/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/posindex.c, and of the pages it lies in. A small
 * index with few hashes makes every case of probing happen all the time:
 * clusters, clusters across the end of the array, the same position under two
 * hashes. Each step is held against a list that is too simple to be wrong.
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

static void *limited_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : calloc(count, size);
}

#define calloc(count, size) limited_calloc(count, size)
#include "base/pages.c"
#include "base/posindex.c"
#undef calloc

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_u32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

enum { PAIRS = 600 };

struct reference {
	struct {
		uint32_t hash;
		uint32_t position;
	} all[PAIRS];
	size_t count;
};

/* How often the list and the index have this position under this hash. */
static unsigned int listed(const struct reference *reference, uint32_t hash, uint32_t position)
{
	unsigned int times = 0;

	for (size_t i = 0; i < reference->count; i++)
		times += reference->all[i].hash == hash && reference->all[i].position == position;
	return times;
}

static unsigned int found(const struct posindex *index, uint32_t hash, uint32_t position)
{
	size_t at = posindex__start(index, hash);
	unsigned int times = 0;
	uint32_t next;

	while ((next = posindex__next(index, hash, &at)) != POSINDEX_NONE)
		times += next == position;
	return times;
}

static void check(const struct posindex *index, const struct reference *reference)
{
	assert_int_equal(index->used, reference->count);
	assert_true(index->used * 16 <= (index->mask + 1) * 13);
	for (size_t i = 0; i < reference->count; i++)
		assert_int_equal(found(index, reference->all[i].hash, reference->all[i].position),
				 listed(reference, reference->all[i].hash, reference->all[i].position));
}

static void random_step(struct posindex *index, struct reference *reference, uint32_t hashes)
{
	size_t i = reference->count ? random_u32() % reference->count : 0;
	uint32_t new = 10000 + random_u32() % 1000;

	switch (random_u32() % 5) {
	case 0 ... 2:
		if (reference->count == PAIRS)
			break;
		i = reference->count++;
		reference->all[i].hash = random_u32() % hashes * 0x3ff;
		reference->all[i].position = random_u32() % 50;
		assert_int_equal(posindex__add(index, reference->all[i].hash, reference->all[i].position), 0);
		break;
	case 3:
		if (!reference->count)
			break;
		posindex__remove(index, reference->all[i].hash, reference->all[i].position);
		reference->all[i] = reference->all[--reference->count];
		break;
	default:
		if (!reference->count)
			break;
		posindex__replace(index, reference->all[i].hash, reference->all[i].position, new);
		reference->all[i].position = new;
	}
}

static void as_the_list(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 20; round++) {
		struct reference reference = {0};
		struct posindex index;

		index = (struct posindex){0};
		assert_int_equal(alloc_index(&index, 8), 0);
		for (int step = 0; step < 2000; step++) {
			random_step(&index, &reference, 1 + round * round);
			if (step % 16 == 0)
				check(&index, &reference);
		}
		check(&index, &reference);
		posindex__fini(&index);
	}
}

static void what_is_not_there_is_not_removed(void **state)
{
	struct posindex index;

	(void)state;
	assert_int_equal(posindex__init(&index), 0);
	assert_int_equal(posindex__add(&index, 7, 1), 0);
	posindex__remove(&index, 7, 2);
	posindex__remove(&index, 8, 1);
	assert_int_equal(found(&index, 7, 1), 1);
	assert_int_equal(index.used, 1);
	posindex__fini(&index);
}

/* 300,000 are more than a huge page holds: mapped, not from the heap. */
static void it_grows_large(void **state)
{
	struct posindex index;

	(void)state;
	assert_int_equal(posindex__init(&index), 0);
	for (uint32_t i = 0; i < 300000; i++)
		assert_int_equal(posindex__add(&index, i * 0x9e3779b9U, i), 0);
	for (uint32_t i = 0; i < 300000; i++)
		assert_int_equal(found(&index, i * 0x9e3779b9U, i), 1);
	posindex__fini(&index);
	posindex__fini(&index);
}

static void without_memory_it_stays_as_it_is(void **state)
{
	struct posindex index;

	(void)state;
	out_of_memory = true;
	assert_int_equal(posindex__init(&index), -ENOMEM);
	posindex__fini(&index);
	out_of_memory = false;
	assert_int_equal(posindex__init(&index), 0);
	out_of_memory = true;
	for (uint32_t i = 0; i < 832; i++)
		assert_int_equal(posindex__add(&index, i, i), 0);
	assert_int_equal(posindex__add(&index, 832, 832), -ENOMEM);
	out_of_memory = false;
	assert_int_equal(found(&index, 832, 832), 0);
	for (uint32_t i = 0; i < 832; i++)
		assert_int_equal(found(&index, i, i), 1);
	assert_int_equal(posindex__add(&index, 832, 832), 0);
	posindex__fini(&index);
}

static void pages_are_zero_and_aligned(void **state)
{
	static const size_t sizes[] = {1, 4096, HUGE_BYTES - 1, HUGE_BYTES, 5 * HUGE_BYTES + 1};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i / 2];
		char *memory = i % 2 ? pages__new_filling(size) : pages__new(size);

		assert_non_null(memory);
		assert_int_equal(memory[0], 0);
		assert_int_equal(memory[size - 1], 0);
		memory[size - 1] = 1;
		if (size >= HUGE_BYTES)
			assert_int_equal((uintptr_t)memory % HUGE_BYTES, 0);
		pages__free(memory, size);
	}
	pages__free(NULL, 1);
	pages__free(NULL, HUGE_BYTES);
	assert_null(pages__new(SIZE_MAX));
	assert_null(pages__new(SIZE_MAX - 2 * HUGE_BYTES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_list),
		cmocka_unit_test(what_is_not_there_is_not_removed),
		cmocka_unit_test(it_grows_large),
		cmocka_unit_test(without_memory_it_stays_as_it_is),
		cmocka_unit_test(pages_are_zero_and_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
