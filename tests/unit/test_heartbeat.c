/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/agent/heartbeat.c: the gap that a next start tells is never
 * shorter than what a sink has not, whatever moment the agent died in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "base/clock.c"
#include "base/decimal.c"
#include "agent/heartbeat.c"

#define S NS_PER_S
#define ON_ITS_WAY_NS (ON_ITS_WAY_MS * NS_PER_MS)

static char path[64];
static struct heartbeat heartbeat;

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/test_heartbeat.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return unlink(path);
}

static int teardown(void **state)
{
	(void)state;
	heartbeat__close(&heartbeat);
	unlink(path);
	return 0;
}

/* A start, with the clock where the test has it. */
static void start(uint64_t now_ns)
{
	heartbeat__close(&heartbeat);
	assert_int_equal(heartbeat__open(&heartbeat, path), 0);
	heartbeat.since_ns = now_ns;
}

static void beat(uint64_t id, uint64_t offered, uint64_t delivered, uint64_t drained_ns, uint64_t now_ns)
{
	const struct heartbeat_sink sink = { .id = id, .offered = offered, .delivered = delivered };

	heartbeat__beat(&heartbeat, &sink, 1, drained_ns, now_ns);
}

/* From when on the sink misses something; 0: it is told nothing. */
static uint64_t missing_from(uint64_t id, uint64_t now_ns)
{
	struct gap gap = { 0 };

	if (!heartbeat__gap(&heartbeat, id, now_ns, &gap))
		return 0;
	assert_int_equal(gap.to_ns, now_ns);
	return gap.from_ns;
}

static void test_first_start_tells_nothing(void **state)
{
	(void)state;
	start(S);
	assert_int_equal(missing_from(0, 2 * S), 0);
	assert_int_equal(missing_from(7, 2 * S), 0);
}

static void test_what_was_written_is_no_gap(void **state)
{
	(void)state;
	start(S);
	beat(7, 10, 5, 2 * S, 2 * S);
	beat(7, 30, 10, 3 * S, 3 * S); /* the first ten are written: all until 2 s */
	start(9 * S);
	assert_int_equal(missing_from(7, 9 * S), 2 * S - ON_ITS_WAY_NS);
	assert_int_equal(missing_from(0, 9 * S), 3 * S);
	assert_int_equal(missing_from(8, 9 * S), 0); /* it was not there */
}

static void test_a_sink_that_stands_misses_all_since(void **state)
{
	(void)state;
	start(S);
	beat(7, 10, 10, 2 * S, 2 * S);
	beat(7, 10, 10, 3 * S, 3 * S);
	for (uint64_t t = 4; t < 20; t++)
		beat(7, 10 * t, 10, t * S, t * S);
	start(30 * S);
	assert_int_equal(missing_from(7, 30 * S), 3 * S - ON_ITS_WAY_NS);
}

static void test_no_mark_while_the_ring_is_not_empty(void **state)
{
	(void)state;
	start(S);
	beat(7, 1, 1, 2 * S, 2 * S);
	for (uint64_t t = 3; t < 9; t++)
		beat(7, t, t, 0, t * S);
	start(10 * S);
	assert_int_equal(missing_from(7, 10 * S), 2 * S - ON_ITS_WAY_NS);
	assert_int_equal(missing_from(0, 10 * S), 2 * S);
}

/* Died before the line that tells of the first gap was written: it is told again. */
static void test_died_twice(void **state)
{
	(void)state;
	start(S);
	beat(7, 1, 1, 2 * S, 2 * S);
	beat(7, 1, 1, 3 * S, 3 * S);
	start(5 * S);
	beat(7, 2, 0, 5 * S, 5 * S);
	beat(7, 2, 0, 6 * S, 6 * S);
	start(7 * S);
	assert_int_equal(missing_from(7, 7 * S), 2 * S - ON_ITS_WAY_NS);
	beat(7, 2, 2, 8 * S, 8 * S);
	beat(7, 2, 2, 9 * S, 9 * S);
	start(20 * S);
	assert_int_equal(missing_from(7, 20 * S), 8 * S - ON_ITS_WAY_NS);
}

static void test_died_before_the_first_mark(void **state)
{
	(void)state;
	start(4 * S);
	beat(7, 1, 0, 0, 5 * S);
	start(7 * S);
	assert_int_equal(missing_from(7, 7 * S), 4 * S);
}

static void test_stopped(void **state)
{
	struct heartbeat_sink sinks[] = { { .id = 7, .offered = 9, .delivered = 9 },
					  { .id = 8, .offered = 9, .delivered = 3 } };
	struct gap gap;

	(void)state;
	start(S);
	heartbeat__beat(&heartbeat, sinks, 2, 2 * S, 2 * S);
	sinks[1].dropped = 6; /* did not write them in the time it was given */
	heartbeat__stop(&heartbeat, sinks, 2, 5 * S);
	start(8 * S);
	assert_true(heartbeat__gap(&heartbeat, 7, 8 * S, &gap));
	assert_true(gap.stopped);
	assert_int_equal(gap.from_ns, 5 * S);
	assert_int_equal(missing_from(8, 8 * S), S);
	assert_int_equal(missing_from(0, 8 * S), 5 * S);
	beat(7, 1, 0, 9 * S, 9 * S); /* and then it dies */
	start(10 * S);
	assert_true(heartbeat__gap(&heartbeat, 0, 10 * S, &gap));
	assert_false(gap.stopped);
}

/* After a reload the same name is another sink, with books of its own. */
static void test_books_that_begin_anew(void **state)
{
	(void)state;
	start(S);
	beat(7, 100, 100, 2 * S, 2 * S);
	beat(7, 100, 100, 3 * S, 3 * S);
	beat(7, 2, 1, 4 * S, 4 * S);
	beat(7, 2, 2, 5 * S, 5 * S);
	start(9 * S);
	assert_int_equal(missing_from(7, 9 * S), 4 * S - ON_ITS_WAY_NS);
}

static void test_another_boot_and_garbage_tell_nothing(void **state)
{
	static const size_t offsets[] = { 0, offsetof(struct heartbeat_file, boot) + 3,
					  offsetof(struct heartbeat_file, count) + 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		start(S);
		beat(7, 1, 1, 2 * S, (2 + i) * S);
		beat(7, 1, 1, 3 * S, (9 + i) * S);
		assert_int_equal(pwrite(heartbeat.fd, "\xee", 1, (off_t)offsets[i]), 1);
		start(20 * S);
		assert_int_equal(missing_from(0, 20 * S), 0);
		assert_int_equal(missing_from(7, 20 * S), 0);
	}
	assert_int_equal(ftruncate(heartbeat.fd, 100), 0);
	start(30 * S);
	assert_int_equal(missing_from(0, 30 * S), 0);
}

static void test_more_sinks_than_there_is_room_for(void **state)
{
	struct heartbeat_sink sinks[HEARTBEAT_SINKS_MAX + 3] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < HEARTBEAT_SINKS_MAX + 3; i++)
		sinks[i].id = 100 + i;
	start(S);
	heartbeat__beat(&heartbeat, sinks, HEARTBEAT_SINKS_MAX + 3, 2 * S, 2 * S);
	heartbeat__stop(&heartbeat, sinks, HEARTBEAT_SINKS_MAX + 3, 3 * S);
	start(4 * S);
	assert_int_equal(missing_from(100 + HEARTBEAT_SINKS_MAX - 1, 4 * S), 3 * S);
	assert_int_equal(missing_from(100 + HEARTBEAT_SINKS_MAX, 4 * S), 0);
}

/* The lock is another process's; a child that lives on must not hold it. */
static void test_two_agents(void **state)
{
	struct heartbeat other;
	int status;

	(void)state;
	start(S);
	if (!fork())
		_exit(heartbeat__open(&other, path) == -EBUSY ? 0 : 1);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static void test_no_file_to_keep(void **state)
{
	(void)state;
	assert_int_equal(heartbeat__open(&heartbeat, "/nowhere/state"), -ENOENT);
	assert_int_equal(heartbeat__open(&heartbeat, "/dev/zero"), -EINVAL);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(heartbeat__open(&heartbeat, path), -ELOOP);
	assert_int_equal(heartbeat.fd, -1);
	beat(7, 1, 1, S, S);
	assert_int_equal(missing_from(0, 2 * S), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_start_tells_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_was_written_is_no_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_sink_that_stands_misses_all_since, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_mark_while_the_ring_is_not_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_died_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_died_before_the_first_mark, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_books_that_begin_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_boot_and_garbage_tell_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_sinks_than_there_is_room_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_agents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file_to_keep, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
