/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/book.c: what of the kernel's counts is a loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/book.c"

#define MISSED(book, kind) ((book).lost[EV_LOST_RECURSION][kind])

static void what_another_program_took_is_not_lost(void **state)
{
	struct book book = {.attempted = 100};
	const struct ledger_cpu sum = {.nested = 7};

	(void)state;
	MISSED(book, EV_TRANSITION) = 9;
	MISSED(book, EV_SYN) = 1;
	book__settle(&book, &sum, false);
	assert_int_equal(MISSED(book, EV_TRANSITION), 2);
	assert_int_equal(book.attempted, 103);
	assert_true(book__is_balanced(&book, 100));
	assert_false(book__is_balanced(&book, 99));
}

/* The programs' counts are not read at one time: more may be told than missed. */
static void a_loss_is_never_below_zero(void **state)
{
	struct book book = {.attempted = 5};
	const struct ledger_cpu sum = {.nested = 3, .accepts = {.runs = 1, .told = 2}};

	(void)state;
	MISSED(book, EV_TRANSITION) = 2;
	book__settle(&book, &sum, true);
	assert_int_equal(MISSED(book, EV_TRANSITION), 0);
	assert_int_equal(MISSED(book, EV_ACCEPT), 0);
	assert_int_equal(book.attempted, 5);
}

/* 20 returns: 4 of nothing, 13 told, 3 that no program has seen. The first was
 * skipped for 6 of them, one of them a return of nothing. */
static void accepts_that_nobody_has_told(void **state)
{
	struct book book = {.attempted = 13};
	const struct ledger_cpu sum = {
		.accepts = {.runs = 14, .told = 13, .none = {3, 4, 4, 2}},
	};

	(void)state;
	MISSED(book, EV_ACCEPT) = 6;
	book__settle(&book, &sum, true);
	assert_int_equal(MISSED(book, EV_ACCEPT), 3);
	assert_int_equal(book.attempted, 16);
}

static void system_calls_have_no_stand_in(void **state)
{
	struct book book = {.attempted = 13};
	const struct ledger_cpu sum = {.nested = 0};

	(void)state;
	MISSED(book, EV_ACCEPT) = 2;
	book__settle(&book, &sum, false);
	assert_int_equal(MISSED(book, EV_ACCEPT), 2);
	assert_int_equal(book.attempted, 15);
}

static void cpus_add_up(void **state)
{
	struct book book = {0};
	struct ledger_cpu sum = {0}, cpu = {.nested = 2, .accepts = {.runs = 3, .told = 4, .none = {0, 5}}};

	(void)state;
	cpu.attempted[EV_SYN] = 10;
	cpu.lost_ring_full[EV_SYN] = 1;
	book__add_cpu(&book, &sum, &cpu);
	book__add_cpu(&book, &sum, &cpu);
	assert_int_equal(book.attempted, 20);
	assert_int_equal(book__lost(&book, EV_LOST_RING_FULL), 2);
	assert_int_equal(sum.nested, 4);
	assert_int_equal(sum.accepts.runs, 6);
	assert_int_equal(sum.accepts.told, 8);
	assert_int_equal(sum.accepts.none[1], 10);
}

/* A stand-in has caught up: what was told as lost is not untold, nor told below
 * zero, and the next loss counts from there. */
static void a_loss_that_shrinks(void **state)
{
	struct book told = {0}, now = {0}, before = {0};

	(void)state;
	MISSED(now, EV_ACCEPT) = 5;
	assert_int_equal(book__untold(&told, &now, EV_LOST_RECURSION, EV_ACCEPT), 5);
	MISSED(now, EV_ACCEPT) = 4;
	assert_int_equal(book__untold(&told, &now, EV_LOST_RECURSION, EV_ACCEPT), 0);
	MISSED(now, EV_ACCEPT) = 6;
	assert_int_equal(book__untold(&told, &now, EV_LOST_RECURSION, EV_ACCEPT), 1);
	MISSED(before, EV_ACCEPT) = 2;
	book__lessen(&now, &before);
	assert_int_equal(MISSED(now, EV_ACCEPT), 2);
	MISSED(before, EV_ACCEPT) = 3;
	book__lessen(&now, &before);
	assert_int_equal(MISSED(now, EV_ACCEPT), 2);
}

static void what_found_no_room_is_lost_at_once(void **state)
{
	struct book now = {0}, before = {0};

	(void)state;
	now.lost[EV_LOST_RING_FULL][EV_CLOSE] = 3;
	now.lost[EV_LOST_SIMULATED][EV_CLOSE] = 4;
	book__lessen(&now, &before);
	assert_int_equal(book__lost(&now, EV_LOST_RING_FULL), 3);
	assert_int_equal(book__lost(&now, EV_LOST_SIMULATED), 4);
}

static void what_a_cpu_has_attempted_in_its_own_ring_counts(void **state)
{
	struct book book = {.attempted = 5};
	const struct cpu_ring ring = {.attempted = {[EV_TRANSITION] = 1, [EV_BIRTH] = 10, [EV_CLOSE] = 100}};

	(void)state;
	book__add_cpu_ring(&book, &ring);
	assert_int_equal(book.attempted, 116);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_another_program_took_is_not_lost),
		cmocka_unit_test(a_loss_is_never_below_zero),
		cmocka_unit_test(accepts_that_nobody_has_told),
		cmocka_unit_test(system_calls_have_no_stand_in),
		cmocka_unit_test(cpus_add_up),
		cmocka_unit_test(a_loss_that_shrinks),
		cmocka_unit_test(what_found_no_room_is_lost_at_once),
		cmocka_unit_test(what_a_cpu_has_attempted_in_its_own_ring_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
