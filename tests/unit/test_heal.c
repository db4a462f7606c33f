/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/verbs/heal.c: when a look at the kernel's tables is due. The looks
 * themselves are a double, which ends when it is told to. */
#include "saga.h"

/* The tables' modules have names of their own for what others pass. */
#pragma GCC diagnostic ignored "-Wshadow"
#undef fail /* cmocka's */

#include "base/log.h"
#include "source/scan.h"

static uint64_t clock_ns;
static unsigned int looks;
static struct scan_config last_look;
static bool look_ends;

struct scan {
	bool begun;
};

static struct scan the_scan;

uint64_t clock__boot_ns(void)
{
	return clock_ns;
}

void log__line(const char *format, ...)
{
	(void)format;
}

int tables__error(struct tables *tables)
{
	(void)tables;
	return 0;
}

struct scan *scan__new(const struct scan_config *config)
{
	looks++;
	last_look = *config;
	look_ends = false;
	return &the_scan;
}

int scan__poll(struct scan *scan, struct source *source, source_take_fn take, void *context)
{
	(void)scan, (void)source, (void)take, (void)context;
	return look_ends ? SCAN_END : SCAN_MORE;
}

void scan__free(struct scan *scan)
{
	(void)scan;
}

#include "verbs/heal.c"

static struct source source;

static void steps(struct heal *heal, struct saga *saga, uint64_t ns, uint64_t losses)
{
	clock_ns = ns;
	assert_int_equal(heal__step(heal, &source, saga->model, losses, NULL, NULL), 0);
}

/* One step, which must begin so many looks; these end at once. */
static void begins(struct heal *heal, struct saga *saga, uint64_t ns, uint64_t losses, unsigned int count)
{
	unsigned int before = looks;

	steps(heal, saga, ns, losses);
	assert_int_equal(looks - before, count);
	if (!count)
		return;
	look_ends = true;
	steps(heal, saga, ns, losses);
}

static void begin_heal(struct heal *heal, struct saga *saga)
{
	*heal = (struct heal){ .regular = true };
	begin_saga(saga, 16, 16, 1);
	begins(heal, saga, NS_PER_S, 0, 1);
}

static void looks_are_regular_and_after_losses(void **state)
{
	struct heal heal;
	struct saga saga;

	(void)state;
	begin_heal(&heal, &saga);
	assert_true(heal__is_right(&heal, 0));
	begins(&heal, &saga, 30 * NS_PER_S, 0, 0);
	assert_false(heal__is_right(&heal, 1));
	steps(&heal, &saga, 31 * NS_PER_S, 1);
	assert_false(heal__is_right(&heal, 1)); /* the look is under way */
	look_ends = true;
	begins(&heal, &saga, 31 * NS_PER_S, 1, 0);
	assert_int_equal(last_look.share, SHARE_SOON);
	assert_true(heal__is_right(&heal, 1));
	begins(&heal, &saga, 90 * NS_PER_S, 1, 0);
	begins(&heal, &saga, 91 * NS_PER_S, 1, 1);
	assert_int_equal(last_look.share, SHARE_REGULAR);
	end_saga(&saga);
}

static void waits_in(struct saga *saga, uint64_t id, uint8_t to, uint64_t ns)
{
	struct peer peer = client;

	peer.id = id;
	peer.local_port = (uint16_t)(1000 + id);
	saga->now_ns = ns;
	birth(saga, &peer, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
	flow_table__find((struct flow_table *)model__flows(saga->model), id)->state = to;
}

/* For each, and not more often than the looks are cheap: of the whole tables where
 * minisockets are lives. */
static void brings_a_look_forward(bool follows, uint32_t states)
{
	const uint8_t waiting[] = { EV_FIN_WAIT1, EV_CLOSING, follows ? EV_LAST_ACK : EV_FIN_WAIT2 };
	struct heal heal;
	struct saga saga;
	uint64_t ns;

	waits_told = follows;
	begin_heal(&heal, &saga);
	for (unsigned int i = 0; i < 3; i++) {
		ns = (10 + 10 * i) * NS_PER_S;
		waits_in(&saga, 1 + i, waiting[i], ns);
		begins(&heal, &saga, ns + NS_PER_S, 0, 0);
		begins(&heal, &saga, ns + 3 * NS_PER_S, 0, 1);
		assert_int_equal(last_look.share, SHARE_SOON);
		assert_int_equal(last_look.states, states);
		begins(&heal, &saga, ns + 5900 * NS_PER_MS, 0, 0);
		begins(&heal, &saga, ns + 6 * NS_PER_S, 0, 1); /* twice as long as when it was seen */
		begins(&heal, &saga, ns + 9 * NS_PER_S, 0, 0);
		flow_table__find(model__flows(saga.model), 1 + i)->state = EV_ESTABLISHED;
	}
	waits_in(&saga, 7, follows ? EV_FIN_WAIT2 : EV_ESTABLISHED, 40 * NS_PER_S);
	begins(&heal, &saga, 49 * NS_PER_S, 0, 0);
	waits_in(&saga, 8, EV_FIN_WAIT1, 50 * NS_PER_S);
	waits_in(&saga, 9, EV_FIN_WAIT1, 52 * NS_PER_S);
	waits_in(&saga, 10, EV_FIN_WAIT1, 54 * NS_PER_S);
	begins(&heal, &saga, 53 * NS_PER_S, 0, 1);
	begins(&heal, &saga, 54 * NS_PER_S, 0, 0); /* seen by it, too */
	begins(&heal, &saga, 57 * NS_PER_S, 0, 1);
	/* Who came just before a look may go right behind it. */
	for (uint64_t id = 8; id <= 10; id++)
		flow_table__find(model__flows(saga.model), id)->state = EV_ESTABLISHED;
	waits_in(&saga, 11, EV_FIN_WAIT1, heal.looked_ns - NS_PER_MS);
	begins(&heal, &saga, 58 * NS_PER_S, 0, 0);
	begins(&heal, &saga, heal.looked_ns + 2 * NS_PER_S, 0, 1);
	waits_told = false;
	end_saga(&saga);
}

static void an_overdue_end_brings_a_look_forward(void **state)
{
	(void)state;
	brings_a_look_forward(true, 0);
	brings_a_look_forward(false, NARROW_STATES);
}

/* A look of this many states begins, and misses somebody. */
static void misses(struct heal *heal, struct saga *saga, uint64_t ns, uint64_t losses, uint32_t states)
{
	steps(heal, saga, ns, losses);
	assert_int_equal(last_look.states, states);
	saga->model->missed = 1U << EV_FIN_WAIT1;
	look_ends = true;
	steps(heal, saga, ns, losses);
}

/* What a narrow look has missed is decided by another; a whole one, which a loss or the
 * minute asks for meanwhile, has its own. None of the narrow ones is taken for it. */
static void a_narrow_look_is_no_whole_one(void **state)
{
	struct heal heal;
	struct saga saga;

	(void)state;
	begin_heal(&heal, &saga);
	waits_in(&saga, 1, EV_FIN_WAIT1, 10 * NS_PER_S);
	misses(&heal, &saga, 13 * NS_PER_S, 0, NARROW_STATES);
	assert_false(heal__is_right(&heal, 0));
	misses(&heal, &saga, 14 * NS_PER_S, 0, NARROW_STATES);
	assert_true(heal__is_right(&heal, 0));
	begins(&heal, &saga, 15 * NS_PER_S, 0, 0);

	/* The second one has missed another, which it cannot decide about. */
	begins(&heal, &saga, 17 * NS_PER_S, 0, 1);
	assert_int_equal(last_look.states, NARROW_STATES);
	begins(&heal, &saga, 19 * NS_PER_S, 0, 0);
	heal.unsure = 1U << EV_ESTABLISHED; /* these are not among the few */
	begins(&heal, &saga, 19 * NS_PER_S + 200 * NS_PER_MS, 0, 1);
	assert_int_equal(last_look.states, 0);

	waits_in(&saga, 2, EV_FIN_WAIT1, 20 * NS_PER_S);
	misses(&heal, &saga, 23 * NS_PER_S, 0, NARROW_STATES);
	misses(&heal, &saga, 24 * NS_PER_S, 1, 0);
	assert_false(heal__is_right(&heal, 1));
	misses(&heal, &saga, 25 * NS_PER_S, 1, SOCKET_STATES & ~(1U << EV_TIME_WAIT));
	assert_true(heal__is_right(&heal, 1));

	waits_in(&saga, 3, EV_FIN_WAIT1, 79 * NS_PER_S);
	begins(&heal, &saga, 83 * NS_PER_S, 1, 1);
	assert_int_equal(last_look.states, NARROW_STATES);
	begins(&heal, &saga, 85 * NS_PER_S, 1, 1); /* the minute since the whole one is over */
	assert_int_equal(last_look.states, 0);
	end_saga(&saga);
}

/* It may be a minisocket by now, or gone: what else is open is waited for by nobody. */
static void the_last_look_is_for_who_waits_for_an_answer(void **state)
{
	const uint8_t others[] = { EV_SYN_SENT, EV_ESTABLISHED, EV_CLOSE_WAIT, EV_FIN_WAIT2 };
	const uint8_t waiting[] = { EV_FIN_WAIT1, EV_CLOSING, EV_LAST_ACK, EV_FIN_WAIT2 };
	const uint32_t sockets = 1U << EV_FIN_WAIT1 | 1U << EV_CLOSING | 1U << EV_LAST_ACK | 1U << EV_FIN_WAIT2;

	(void)state;
	for (unsigned int i = 0; i < 7; i++) {
		bool follows = i >= 4;
		struct heal heal;
		struct saga saga;

		waits_told = follows;
		begin_heal(&heal, &saga);
		for (unsigned int other = 0; other < (follows ? 4 : 3); other++)
			waits_in(&saga, 1 + other, others[other], 2 * NS_PER_S);
		assert_int_equal(heal__unended(saga.model), 0);
		waits_in(&saga, 9, waiting[i % 4], 2 * NS_PER_S);
		assert_int_equal(heal__unended(saga.model), follows ? sockets | 1U << EV_TIME_WAIT : sockets);
		end_saga(&saga);
	}
	waits_told = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_are_regular_and_after_losses),
		cmocka_unit_test(an_overdue_end_brings_a_look_forward),
		cmocka_unit_test(a_narrow_look_is_no_whole_one),
		cmocka_unit_test(the_last_look_is_for_who_waits_for_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
