/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/model/timewaits.c: the TIME_WAIT ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/idmap.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "model/owners.c"
#include "model/timewaits.c"

enum { NETNS = 4026531840u - 4026531000u };

static struct owners owners;
static struct timewaits waits;
static uint32_t nginx, php;

static uint32_t intern(uint32_t pid, const char *comm)
{
	struct ev_owner owner = { .pid = pid, .tid = pid };

	strcpy(owner.comm, comm);
	return owners__intern(&owners, &owner, 0);
}

static int begin_with(uint32_t max)
{
	if (owners__init(&owners, 1) || timewaits__init(&waits, &owners, 1, max))
		return -1;
	nginx = intern(10, "nginx");
	php = intern(20, "php-fpm");
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return begin_with(1000);
}

static int teardown(void **state)
{
	(void)state;
	timewaits__fini(&waits);
	owners__fini(&owners);
	return 0;
}

static struct tuple tuple(uint16_t local, uint16_t remote)
{
	return (struct tuple){ .local.port = local, .remote.port = remote, .netns = NETNS };
}

static struct wait_entry *begin(uint64_t id, uint32_t owner, enum role role, uint64_t lasted_ns,
				uint64_t now_ns)
{
	struct tuple of = role == ROLE_SERVER ? tuple(80, (uint16_t)id) : tuple((uint16_t)id, 80);
	struct wait_charge charge = { .owner = owner, .role = role, .lasted_ns = lasted_ns };

	return timewaits__begin(&waits, id, &of, EV_TIME_WAIT, &charge, now_ns);
}

static const struct wait_group *group_with(uint32_t owner)
{
	for (uint32_t i = 0; i < waits.group_count; i++)
		if (waits.groups[i].owner == owner)
			return &waits.groups[i];
	return NULL;
}

static void test_groups(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 100; id++)
		begin(id, id % 4 ? php : nginx, id % 4 ? ROLE_CLIENT : ROLE_SERVER,
		      id % 2 ? 5 * NS_PER_S : NS_PER_MS, NS_PER_S);
	assert_int_equal(waits.count, 100);
	assert_int_equal(group_with(php)->time_wait, 75);
	assert_int_equal(group_with(php)->service.port, 80);
	assert_int_equal(group_with(php)->short_lived, 25);
	assert_int_equal(group_with(php)->measured, 75);
	assert_int_equal(group_with(nginx)->time_wait, 25);
	for (uint64_t id = 1; id <= 100; id++)
		timewaits__end(&waits, timewaits__find(&waits, id), EV_WAIT_REUSED);
	assert_int_equal(waits.count, 0);
	assert_int_equal(waits.by_id.used, 0);
	assert_int_equal(group_with(php)->time_wait, 0);
	assert_int_equal(group_with(php)->begun, 75);
	assert_int_equal(group_with(php)->ended[EV_WAIT_REUSED], 75);
	assert_null(timewaits__find(&waits, 7));
}

static void oldest_is(uint64_t seconds, uint64_t now_ns)
{
	const uint64_t unit_ns = 1 << WAIT_TIME_SHIFT;

	timewaits__measure(&waits, now_ns);
	assert_in_range(wait_group__oldest_ns(group_with(php), now_ns), seconds * NS_PER_S - unit_ns,
			seconds * NS_PER_S + unit_ns);
}

/* Also what comes or goes between two measures. */
static void test_oldest(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 3; id++)
		begin(id, php, ROLE_CLIENT, UINT64_MAX, id * 10 * NS_PER_S);
	for (uint64_t id = 1; id <= 3; id++) {
		oldest_is(40 - id * 10, 40 * NS_PER_S);
		timewaits__end(&waits, timewaits__find(&waits, id), EV_WAIT_EXPIRED);
	}
	begin(4, php, ROLE_CLIENT, UINT64_MAX, 39 * NS_PER_S);
	oldest_is(1, 40 * NS_PER_S);
}

/* A process whose threads have names of their own is one group. */
static void test_threads(void **state)
{
	(void)state;
	begin(1, intern(30, "worker-1"), ROLE_CLIENT, UINT64_MAX, NS_PER_S);
	begin(2, intern(30, "worker-2"), ROLE_CLIENT, UINT64_MAX, NS_PER_S);
	assert_int_equal(waits.group_count, 2); /* and "other" */
	assert_int_equal(waits.groups[1].time_wait, 2);
}

static void test_promotion(void **state)
{
	struct tuple of = tuple(1, 80);
	struct wait_charge charge = { .owner = php, .role = ROLE_CLIENT, .lasted_ns = UINT64_MAX };
	struct wait_entry *entry;

	(void)state;
	entry = timewaits__begin(&waits, 1, &of, EV_FIN_WAIT2, &charge, NS_PER_S);
	assert_int_equal(group_with(php)->fin_wait2, 1);
	assert_int_equal(group_with(php)->time_wait, 0);
	assert_true(timewaits__have_fin_wait2(&waits));
	timewaits__promote(&waits, entry);
	assert_false(timewaits__have_fin_wait2(&waits));
	timewaits__promote(&waits, entry);
	assert_int_equal(group_with(php)->fin_wait2, 0);
	assert_int_equal(group_with(php)->time_wait, 1);
}

static void test_full(void **state)
{
	(void)state;
	teardown(NULL);
	begin_with(10);
	for (uint64_t id = 1; id <= 25; id++)
		begin(id, php, ROLE_CLIENT, UINT64_MAX, NS_PER_S);
	assert_int_equal(waits.count, 10);
	assert_int_equal(waits.not_kept, 15);
	assert_int_equal(group_with(php)->time_wait, 10);
	assert_int_equal(group_with(php)->begun, 25);
	timewaits__end(&waits, timewaits__find(&waits, 3), EV_WAIT_EXPIRED);
	assert_non_null(begin(99, php, ROLE_CLIENT, UINT64_MAX, NS_PER_S));
}

static void test_rate(void **state)
{
	const struct wait_group *group;

	(void)state;
	for (uint64_t second = 100; second < 120; second++)
		for (uint64_t n = 0; n < 7; n++)
			begin(second * 10 + n, php, ROLE_CLIENT, UINT64_MAX, second * NS_PER_S);
	group = group_with(php);
	assert_true(wait_group__rate(group, 120 * NS_PER_S) == 7);
	assert_true(wait_group__rate(group, 125 * NS_PER_S) == 3.5);
	assert_true(wait_group__rate(group, 1000 * NS_PER_S) == 0);
}

static void estimate(uint64_t id, uint64_t now_ns)
{
	struct tuple of = tuple((uint16_t)id, 80);
	struct wait_charge charge = { .owner = php, .role = ROLE_CLIENT, .lasted_ns = UINT64_MAX };

	timewaits__estimate(&waits, id, &of, &charge, now_ns);
}

static void expire(uint64_t now_ns)
{
	struct wait_entry *entry;

	while ((entry = timewaits__overdue(&waits, now_ns)))
		timewaits__end(&waits, entry, EV_WAIT_EXPIRED);
}

/* By the clock, in order, also when one in the middle was ended before. */
static void test_estimates_expire(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 10; id++)
		estimate(id, id * NS_PER_S);
	assert_int_equal(group_with(php)->estimated, 10);
	timewaits__end(&waits, timewaits__find(&waits, 2), EV_WAIT_REUSED);
	expire(61 * NS_PER_S);
	assert_int_equal(waits.count, 9);
	expire(64 * NS_PER_S);
	assert_int_equal(waits.count, 7);
	assert_null(timewaits__find(&waits, 3));
	assert_non_null(timewaits__find(&waits, 4));
	estimate(11, 64 * NS_PER_S);
	expire(200 * NS_PER_S);
	assert_int_equal(waits.count, 0);
	assert_int_equal(group_with(php)->estimated, 0);
	estimate(12, 201 * NS_PER_S);
	assert_int_equal(waits.count, 1);
}

/* The clock ends none whose timer the kernel shows to have been started anew. */
static void test_restarted(void **state)
{
	struct wait_charge nobody = { .owner = OWNER_NONE, .lasted_ns = UINT64_MAX };
	struct tuple of = tuple(1, 80);

	(void)state;
	for (uint64_t id = 1; id <= 4; id++)
		estimate(id, 10 * NS_PER_S);
	timewaits__sample(&waits, 1, &of, EV_TIME_WAIT, 58000, &nobody, 30 * NS_PER_S);
	timewaits__sample(&waits, 2, &of, EV_FIN_WAIT2, 40000, &nobody, 30 * NS_PER_S);
	timewaits__sample(&waits, 3, &of, EV_TIME_WAIT, 40100, &nobody, 30 * NS_PER_S);
	timewaits__sampled(&waits, NETNS, 9 * NS_PER_S);
	expire(80 * NS_PER_S);
	assert_int_equal(waits.count, 2);
	assert_non_null(timewaits__find(&waits, 1));
	assert_non_null(timewaits__find(&waits, 2));
	timewaits__sampled(&waits, NETNS, 81 * NS_PER_S);
	assert_int_equal(waits.count, 0);
	estimate(5, 90 * NS_PER_S);
	assert_int_equal(group_with(php)->time_wait, 1);
}

/* After a loss nothing is exact, in no group, until a dump that began behind it. */
static void test_doubt(void **state)
{
	struct wait_charge nobody = { .owner = OWNER_NONE, .lasted_ns = UINT64_MAX };
	struct tuple other = { .local.port = 9, .remote.port = 90, .netns = NETNS + 1 };

	(void)state;
	begin(1, php, ROLE_CLIENT, UINT64_MAX, NS_PER_S);
	assert_true(wait_group__is_exact(group_with(php)));
	timewaits__doubt(&waits, 5 * NS_PER_S);
	begin(2, nginx, ROLE_SERVER, UINT64_MAX, 6 * NS_PER_S);
	assert_false(wait_group__is_exact(group_with(php)));
	assert_false(wait_group__is_exact(group_with(nginx)));
	timewaits__sampled(&waits, NETNS, 4 * NS_PER_S); /* under way when they were lost */
	timewaits__sampled(&waits, NETNS + 1, 6 * NS_PER_S);
	assert_false(wait_group__is_exact(group_with(php)));
	timewaits__sample(&waits, 1, &other, EV_TIME_WAIT, 1000, &nobody, 7 * NS_PER_S);
	timewaits__sampled(&waits, NETNS, 7 * NS_PER_S);
	assert_true(wait_group__is_exact(group_with(php)));
	assert_true(wait_group__is_exact(group_with(nginx)));
	/* A group that begins now has all of its own. */
	begin(3, intern(77, "late"), ROLE_CLIENT, UINT64_MAX, 8 * NS_PER_S);
	assert_true(wait_group__is_exact(&waits.groups[waits.group_count - 1]));
	other.netns = NETNS + 2;
	timewaits__begin(&waits, 4, &other, EV_TIME_WAIT, &nobody, 8 * NS_PER_S);
	assert_false(wait_group__is_exact(&waits.groups[waits.group_count - 1]));
	timewaits__doubt(&waits, 9 * NS_PER_S);
	begin(5, intern(78, "later"), ROLE_CLIENT, UINT64_MAX, 10 * NS_PER_S);
	assert_false(wait_group__is_exact(&waits.groups[waits.group_count - 1]));
	assert_false(wait_group__is_exact(group_with(php)));
}

/* A dump confirms, adds and removes; what began after it is left alone. */
static void test_dump(void **state)
{
	struct wait_charge nobody = { .owner = OWNER_NONE, .lasted_ns = UINT64_MAX };
	struct tuple of = tuple(3, 80);

	(void)state;
	estimate(1, 10 * NS_PER_S);
	estimate(2, 10 * NS_PER_S);
	timewaits__sample(&waits, 1, &of, EV_TIME_WAIT, 30000, &nobody, 20 * NS_PER_S);
	timewaits__sample(&waits, 3, &of, EV_FIN_WAIT2, 15000, &nobody, 20 * NS_PER_S);
	estimate(4, 21 * NS_PER_S);
	timewaits__sampled(&waits, NETNS, 20 * NS_PER_S);
	assert_non_null(timewaits__find(&waits, 1));
	assert_null(timewaits__find(&waits, 2));
	assert_non_null(timewaits__find(&waits, 3));
	assert_non_null(timewaits__find(&waits, 4));
	assert_int_equal(group_with(php)->estimated, 1);
	assert_int_equal(group_with(php)->ended[EV_WAIT_END_NONE], 1);
	timewaits__measure(&waits, 30 * NS_PER_S);
	assert_in_range(wait_group__oldest_ns(group_with(php), 30 * NS_PER_S) / NS_PER_MS, 19990, 20010);
	/* Another namespace's dump says nothing of them. */
	timewaits__sampled(&waits, NETNS + 1, 40 * NS_PER_S);
	assert_int_equal(waits.count, 3);
	timewaits__sampled(&waits, NETNS, 40 * NS_PER_S);
	assert_int_equal(waits.count, 0);
}

/* The record behind a dump knows whose it is. */
static void test_recharge(void **state)
{
	struct wait_charge nobody = { .owner = OWNER_NONE, .lasted_ns = UINT64_MAX };
	struct tuple of = tuple(5, 80);

	(void)state;
	timewaits__sample(&waits, 5, &of, EV_TIME_WAIT, 60000, &nobody, NS_PER_S);
	assert_int_equal(group_with(OWNER_NONE)->owner, OWNER_NONE);
	begin(5, php, ROLE_CLIENT, NS_PER_MS, NS_PER_S);
	assert_int_equal(waits.count, 1);
	assert_int_equal(group_with(php)->time_wait, 1);
}

/* More groups than there is room for are one group, "other"; one that has been
 * empty for long makes room. */
static void test_too_many_groups(void **state)
{
	struct wait_charge charge = { .owner = OWNER_NONE, .role = ROLE_SERVER, .lasted_ns = UINT64_MAX };

	(void)state;
	teardown(NULL);
	begin_with(10000);
	for (uint16_t port = 1; port <= 5000; port++) {
		struct tuple of = tuple(port, 9);

		timewaits__begin(&waits, port, &of, EV_TIME_WAIT, &charge, NS_PER_S);
	}
	assert_int_equal(waits.group_count, TIMEWAIT_GROUPS_MAX);
	assert_int_equal(waits.groups[0].time_wait, 5000 - (TIMEWAIT_GROUPS_MAX - 1));
	assert_int_equal(waits.not_grouped, 5000 - (TIMEWAIT_GROUPS_MAX - 1));
	timewaits__end(&waits, timewaits__find(&waits, 77), EV_WAIT_EXPIRED);
	begin(6000, php, ROLE_CLIENT, UINT64_MAX, 2 * NS_PER_S);
	assert_null(group_with(php));
	begin(6001, php, ROLE_CLIENT, UINT64_MAX, 500 * NS_PER_S);
	assert_int_equal(group_with(php)->time_wait, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_promotion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_estimates_expire, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restarted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doubt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recharge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_groups, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
