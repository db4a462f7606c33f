/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/owners.c. The hash can be made bad, so that every
 * chain of it is long and each place in a chain is unlinked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "base/hash.h"

static uint64_t hash_mask = UINT64_MAX;
static bool out_of_memory;

static uint64_t bad_hash(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed) & hash_mask;
}

static void *limited_realloc(void *old, size_t size)
{
	return out_of_memory ? NULL : realloc(old, size);
}

#undef XXH3_64bits_withSeed
#define XXH3_64bits_withSeed(data, len, seed) bad_hash(data, len, seed)
#define realloc(old, size) limited_realloc(old, size)
#define malloc(size) limited_realloc(NULL, size)
#include "base/idmap.c"
#include "model/owners.c"
#undef XXH3_64bits_withSeed
#undef realloc
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

static int set_up(void **state)
{
	static struct owners owners;

	hash_mask = UINT64_MAX;
	out_of_memory = false;
	*state = &owners;
	return owners__init(&owners, 42);
}

static int tear_down(void **state)
{
	out_of_memory = false;
	owners__fini(*state);
	return 0;
}

static struct ev_owner process(uint32_t pid, const char *comm)
{
	struct ev_owner owner = {.pid = pid, .tid = pid, .uid = 1000, .cgroup = 7};

	memcpy(owner.comm, comm, strlen(comm));
	return owner;
}

static void check_entry(const struct owners *owners, uint32_t index, uint32_t pid, uint32_t references)
{
	const struct owner *owner = owners__get(owners, index);

	assert_non_null(owner);
	assert_int_equal(owner->pid, pid);
	assert_int_equal(entry_at(owners, index)->references, references);
}

static void nobody_is_none(void **state)
{
	struct owners *owners = *state;

	assert_null(owners__get(owners, OWNER_NONE));
	owners__release(owners, OWNER_NONE);
	assert_int_equal(owners->count, 0);
}

static void equal_ones_share_an_entry(void **state)
{
	struct owners *owners = *state;
	struct ev_owner nginx = process(42, "nginx");
	uint32_t first = owners__intern(owners, &nginx, 0);
	const struct owner *owner;

	nginx.tid = 43; /* another thread of the same process */
	assert_int_equal(owners__intern(owners, &nginx, 0), first);
	check_entry(owners, first, 42, 2);
	owner = owners__get(owners, first);
	assert_int_equal(owner->uid, 1000);
	assert_int_equal(owner->cgroup, 7);
	assert_string_equal(owner->comm, "nginx");
	assert_int_equal(owners->by_hash.used, 1);
	owners__release(owners, first);
	check_entry(owners, first, 42, 1);
	owners__release(owners, first);
	assert_int_equal(owners->by_hash.used, 0);
}

/* A process that changes its name, user or cgroup was another owner before. */
static void each_part_tells_them_apart(void **state)
{
	struct owners *owners = *state;
	struct ev_owner variants[6];
	uint32_t indices[6];

	for (int i = 0; i < 6; i++)
		variants[i] = process(42, "nginx");
	variants[1].pid = 43;
	variants[2].uid = 0;
	variants[3].cgroup = 8;
	variants[5].start_cs = 1; /* its pid was used again */
	variants[4].comm[14] = 'x'; /* behind the NUL: the bytes count */
	for (int i = 0; i < 6; i++) {
		indices[i] = owners__intern(owners, &variants[i], 0);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(indices[i], indices[j]);
	}
	for (int i = 0; i < 6; i++)
		owners__release(owners, indices[i]);
}

/* A record has 32 bits of it: the time of the record tells the rest. */
static void a_start_is_completed(void **state)
{
	const uint64_t day_cs = 8640000, days_600_ns = 600 * day_cs * NS_PER_CS;
	struct ev_owner nginx = process(42, "nginx");

	(void)state;
	assert_int_equal(owner__of(&nginx, days_600_ns).start_cs, 0);
	nginx.start_cs = 12345;
	assert_int_equal(owner__of(&nginx, 200 * NS_PER_S).start_cs, 12345);
	nginx.start_cs = (uint32_t)(599 * day_cs);
	assert_int_equal(owner__of(&nginx, days_600_ns).start_cs, 599 * day_cs);
	/* A record that claims to be older than its process. */
	assert_int_equal(owner__of(&nginx, NS_PER_S).start_cs, (uint32_t)(599 * day_cs));
}

static void a_freed_entry_is_used_again(void **state)
{
	struct owners *owners = *state;

	for (uint32_t pid = 1; pid <= 100000; pid++) {
		struct ev_owner owner = process(pid, "short");
		uint32_t index = owners__intern(owners, &owner, 0);

		check_entry(owners, index, pid, 1);
		owners__release(owners, index);
	}
	assert_int_equal(owners->count, 1);
	assert_int_equal(owners->by_hash.used, 0);
}

/* All in one chain; each order of leaving it, for chains of up to five. */
static void chains_lose_any_link(void **state)
{
	struct owners *owners = *state;

	hash_mask = 0;
	for (unsigned int order = 0; order < 5 * 5 * 5 * 5 * 5; order++) {
		bool gone[5] = {false};
		uint32_t indices[5];

		for (uint32_t i = 0; i < 5; i++) {
			struct ev_owner owner = process(i + 1, "chained");

			indices[i] = owners__intern(owners, &owner, 0);
		}
		for (unsigned int step = 0, code = order; step < 5; step++, code /= 5) {
			unsigned int leaving = code % 5;

			while (gone[leaving])
				leaving = (leaving + 1) % 5;
			gone[leaving] = true;
			owners__release(owners, indices[leaving]);
			for (uint32_t i = 0; i < 5; i++) {
				struct ev_owner owner = process(i + 1, "chained");

				if (gone[i])
					continue;
				assert_int_equal(owners__intern(owners, &owner, 0), indices[i]);
				owners__release(owners, indices[i]);
			}
		}
		assert_int_equal(owners->by_hash.used, 0);
		assert_int_equal(owners->count, 5);
	}
}

/* References by process, against a plain array. */
static void as_the_reference(void **state)
{
	enum { PROCESSES = 200, STEPS = 200000 };
	uint32_t references[PROCESSES] = {0}, indices[PROCESSES];
	struct owners *owners = *state;

	hash_mask = 15;
	for (int step = 0; step < STEPS; step++) {
		uint32_t i = (uint32_t)(random_u64() % PROCESSES);
		struct ev_owner owner = process(i + 1, "any");

		if (references[i] && random_u64() % 2) {
			check_entry(owners, indices[i], i + 1, references[i]);
			owners__release(owners, indices[i]);
			references[i]--;
			continue;
		}
		if (references[i])
			assert_int_equal(owners__intern(owners, &owner, 0), indices[i]);
		else
			indices[i] = owners__intern(owners, &owner, 0);
		references[i]++;
	}
	for (uint32_t i = 0; i < PROCESSES; i++)
		for (; references[i]; references[i]--) {
			check_entry(owners, indices[i], i + 1, references[i]);
			owners__release(owners, indices[i]);
		}
	assert_int_equal(owners->by_hash.used, 0);
	assert_in_range(owners->count, 1, PROCESSES);
}

/* No memory for an entry: nobody; what is there stays, and goes on. */
static void without_memory_for_entries(void **state)
{
	struct owners *owners = *state;
	struct ev_owner owner;
	uint32_t count = 0;

	owner = process(1, "one");
	assert_int_equal(owners__intern(owners, &owner, 0), 0);
	out_of_memory = true;
	for (uint32_t pid = 1; pid <= 1000; pid++) {
		owner = process(pid, "one");
		count += owners__intern(owners, &owner, 0) != OWNER_NONE;
	}
	assert_int_equal(count, CHUNK_OWNERS);
	assert_int_equal(owners->not_kept, 1000 - CHUNK_OWNERS);
	check_entry(owners, 0, 1, 2);
	out_of_memory = false;
	owner = process(1001, "late");
	assert_int_not_equal(owners__intern(owners, &owner, 0), OWNER_NONE);
}

/* No memory for the index: the entry that was taken for it is free again. */
static void without_memory_for_the_index(void **state)
{
	struct owners *owners = *state;
	struct ev_owner owner;
	uint32_t count;

	for (uint32_t pid = 1; pid <= 768; pid++) {
		owner = process(pid, "any");
		assert_int_equal(owners__intern(owners, &owner, 0), pid - 1);
	}
	count = owners->count;
	out_of_memory = true;
	for (uint32_t pid = 2000; pid < 2100; pid++) {
		owner = process(pid, "any");
		assert_int_equal(owners__intern(owners, &owner, 0), OWNER_NONE);
	}
	out_of_memory = false;
	owner = process(2000, "any");
	assert_int_equal(owners__intern(owners, &owner, 0), count);
	assert_int_equal(owners->count, count + 1);
	assert_int_equal(owners->not_kept, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(equal_ones_share_an_entry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_part_tells_them_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_start_is_completed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_freed_entry_is_used_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chains_lose_any_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_the_reference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_for_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_for_the_index, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
