/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/namespaces.c and user/event/counter.c: how much a
 * namespace's counters have moved, when it is another namespace, and the bound.
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

static void *limited_realloc(void *old, size_t size)
{
	return out_of_memory ? NULL : realloc(old, size);
}

#define realloc(old, size) limited_realloc(old, size)
#include "event/counter.c"
#include "model/namespaces.c"
#undef realloc

enum {
	DROPS = EV_COUNT_LISTEN_DROPS,
	COOKIES = EV_COUNT_COOKIES_SENT,
	KNOWN = 1 << DROPS | 1 << COOKIES
};

static struct namespaces namespaces;

static int set_up(void **state)
{
	(void)state;
	out_of_memory = false;
	namespaces__init(&namespaces);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	namespaces__fini(&namespaces);
	return 0;
}

static const struct namespace *sample(uint32_t netns, uint64_t time_ns, uint32_t known, uint64_t drops)
{
	struct ev_netstat netstat = {.header.time_ns = time_ns, .netns = netns, .known = known};

	netstat.counters[DROPS] = drops;
	netstat.counters[COOKIES] = known >> COOKIES & 1 ? 1000 : 0;
	namespaces__sample(&namespaces, &netstat);
	return find(&namespaces, netns);
}

static void counters_move_from_the_first_sample_on(void **state)
{
	const struct namespace *ns;

	(void)state;
	sample(7, 100, KNOWN, 40);
	sample(8, 100, KNOWN, 1);
	sample(7, 200, KNOWN, 44);
	ns = sample(7, 300, KNOWN, 49);
	assert_int_equal(namespace__moved(ns, DROPS), 9);
	assert_int_equal(namespace__moved(ns, COOKIES), 0);
	assert_int_equal(ns->last[DROPS], 49);
	assert_int_equal(ns->first_ns, 100);
	assert_int_equal(ns->last_ns, 300);
	assert_int_equal(namespace__moved(find(&namespaces, 8), DROPS), 0);
	assert_int_equal(namespaces.used, 2);
}

static void what_one_sample_lacks_is_not_known(void **state)
{
	const struct namespace *ns;

	(void)state;
	sample(7, 100, 1 << DROPS, 40);
	ns = sample(7, 200, KNOWN, 41);
	assert_true(namespace__knows(ns, DROPS));
	assert_false(namespace__knows(ns, COOKIES));
	ns = sample(7, 300, 1 << COOKIES, 0);
	assert_false(namespace__knows(ns, DROPS) || namespace__knows(ns, COOKIES));
}

/* The inode of a namespace that is gone is given to the next one. */
static void a_counter_that_goes_down_is_anothers(void **state)
{
	const struct namespace *ns;

	(void)state;
	sample(7, 100, KNOWN, 40);
	sample(7, 200, KNOWN, 50);
	ns = sample(7, 300, KNOWN, 3);
	assert_int_equal(ns->first_ns, 300);
	assert_int_equal(namespace__moved(ns, DROPS), 0);
	ns = sample(7, 400, KNOWN, 5);
	assert_int_equal(namespace__moved(ns, DROPS), 2);
	assert_int_equal(namespaces.used, 1);
}

static void who_is_not_sampled_any_more_is_gone(void **state)
{
	const struct namespace *ns;

	(void)state;
	sample(7, 100, KNOWN, 1);
	sample(8, 100, KNOWN, 1);
	namespaces__sampled(&namespaces, 100);
	assert_false(find(&namespaces, 7)->gone || find(&namespaces, 8)->gone);
	sample(8, 200, KNOWN, 2);
	namespaces__sampled(&namespaces, 200);
	assert_true(find(&namespaces, 7)->gone);
	assert_false(find(&namespaces, 8)->gone);
	/* Its inode is there again, and has counted more already. */
	ns = sample(7, 300, KNOWN, 9);
	assert_false(ns->gone);
	assert_int_equal(namespace__moved(ns, DROPS), 0);
}

static void the_bound(void **state)
{
	(void)state;
	for (uint32_t netns = 1; netns <= NAMESPACES_MAX; netns++)
		assert_non_null(sample(netns, netns == 500 ? 100 : 200, KNOWN, netns));
	assert_null(sample(5000, 200, KNOWN, 1));
	assert_int_equal(namespaces.not_kept, 1);
	namespaces__sampled(&namespaces, 200);
	assert_non_null(sample(5000, 300, KNOWN, 1));
	assert_null(find(&namespaces, 500));
	assert_null(sample(5001, 300, KNOWN, 1));
	assert_int_equal(namespaces.not_kept, 2);
	assert_int_equal(namespaces.used, NAMESPACES_MAX);
	assert_int_equal(find(&namespaces, 499)->last[DROPS], 499);
}

static void without_memory(void **state)
{
	(void)state;
	out_of_memory = true;
	assert_null(sample(1, 100, KNOWN, 1));
	assert_int_equal(namespaces.not_kept, 1);
	out_of_memory = false;
	assert_non_null(sample(1, 200, KNOWN, 1));
}

static void every_counter_has_its_own_name(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < EV_COUNTER_END; i++) {
		assert_non_null(counter__group(i));
		for (unsigned int other = 0; other < i; other++)
			assert_string_not_equal(counter__name(i), counter__name(other));
	}
	assert_string_equal(counter__name(EV_COUNT_LISTEN_OVERFLOWS), "ListenOverflows");
	assert_string_equal(counter__group(EV_COUNT_PASSIVE_OPENS), "Tcp");
	assert_null(counter__name(EV_COUNTER_END));
	assert_null(counter__group(UINT32_MAX));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counters_move_from_the_first_sample_on),
		TEST(what_one_sample_lacks_is_not_known),
		TEST(a_counter_that_goes_down_is_anothers),
		TEST(who_is_not_sampled_any_more_is_gone),
		TEST(the_bound),
		TEST(without_memory),
		TEST(every_counter_has_its_own_name),
	};

	return cmocka_run_group_tests_name("namespaces", tests, NULL, NULL);
}
