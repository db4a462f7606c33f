/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/model/tally.c and user/base/durations.c: counts that never
 * go back, and who has a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/durations.c"
#include "base/histogram.c"
#include "base/idmap.c"
#include "event/connection.c"
#define slot_of child_slot_of /* idmap.c has one, too */
#include "model/children.c"
#undef slot_of
#include "model/cgroups.c"
#include "model/clients.c"
#include "model/departed.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "model/flow_table.c"
#include "model/life.c"
#include "model/listeners.c"
#include "model/namespaces.c"
#include "model/owners.c"
#include "model/tally.c"
#include "model/timewaits.c"
#include "model/import.c"
#include "model/parts.c"
#include "model/transitions.c"
#include "model/requests.c"
#include "model/minisockets.c"
#include "model/rows.c"
#include "model/model.c"

#define SECOND 1000000000ULL

static struct model *model;
static struct tally tally;

static int setup(void **state)
{
	const struct model_config config = { .seed = 1, .max_lives = 1000, .max_ended = 10 };

	(void)state;
	model = model__new(&config);
	if (!model)
		return -1;
	tally__init(&tally, model);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	model__free(model);
	return 0;
}

static struct listener *listen_on(uint16_t port, const char *comm)
{
	struct listener *l = listeners__get(&model->listeners, 1000 + port);
	struct ev_owner owner = { .pid = port };

	assert_non_null(l);
	strcpy(owner.comm, comm);
	l->netns = 1;
	l->local.port = port;
	l->flags |= LISTENER_PLACE_KNOWN;
	l->owner = owners__intern(&model->flows.owners, &owner, 0);
	return l;
}

static void knock(struct listener *l, unsigned int outcome, uint64_t now_ns)
{
	struct ev_handshake step = { .outcome = (uint8_t)outcome };
	struct change change = {
		.kind = outcome <= EV_SYN_DROPPED ? CHANGE_SYN : CHANGE_HANDSHAKE,
		.time_ns = now_ns, .in_old_ns = UNKNOWN_NS, .took_ns = UNKNOWN_NS,
		.handshake = &step, .listener = l,
	};

	tally__count(&tally, &change);
}

static void test_edges(void **state)
{
	struct durations d = { 0 };

	(void)state;
	durations__add(&d, 0);
	durations__add(&d, 64 * 1000);
	assert_int_equal(d.buckets[0], 2);
	durations__add(&d, 64 * 1000 + 1);
	durations__add(&d, 128 * 1000);
	assert_int_equal(d.buckets[1], 2);
	durations__add(&d, durations__edge_us(DURATIONS_EDGES - 1) * 1000);
	assert_int_equal(d.buckets[DURATIONS_EDGES - 1], 1);
	durations__add(&d, durations__edge_us(DURATIONS_EDGES - 1) * 1000 + 1);
	durations__add(&d, 1ULL << 60);
	assert_int_equal(d.buckets[DURATIONS_EDGES], 2);
	assert_int_equal(durations__edge_us(0), 64);
	assert_int_equal(durations__edge_us(21), 134217728);
}

static void test_rows_by_name(void **state)
{
	struct listener *a = listen_on(80, "nginx"), *b = listen_on(443, "nginx");

	(void)state;
	knock(a, EV_SYN_QUEUED, SECOND);
	knock(a, EV_SYN_DROPPED, SECOND);
	knock(a, EV_REQUEST_OVERFLOW, SECOND);
	knock(b, EV_SYN_QUEUED, SECOND);
	assert_int_not_equal(tally__row(&tally, a), tally__row(&tally, b));
	assert_int_equal(tally.listeners[tally__row(&tally, a)].syns, 2);
	assert_int_equal(tally.listeners[tally__row(&tally, a)].dropped, 2);
	assert_int_equal(tally.listeners[tally__row(&tally, b)].syns, 1);
	assert_int_equal(tally.steps[EV_SYN_QUEUED], 2);
	assert_int_equal(tally.dropped[EV_DROP_OTHER], 1);
}

/* Sockets of one name are one row; one that has none is among the others. */
static void test_what_shares_a_row(void **state)
{
	struct listener *a = listen_on(80, "nginx");
	struct listener *twin = listeners__get(&model->listeners, 5);

	(void)state;
	twin->netns = a->netns;
	twin->local.port = 80;
	twin->flags |= LISTENER_PLACE_KNOWN;
	twin->owner = a->owner;
	owners__hold(&model->flows.owners, a->owner);
	knock(a, EV_SYN_QUEUED, SECOND);
	knock(twin, EV_SYN_QUEUED, SECOND);
	knock(NULL, EV_SYN_QUEUED, SECOND);
	assert_int_equal(tally.listeners[tally__row(&tally, a)].syns, 2);
	assert_int_equal(tally.listeners[TALLY_OTHER].syns, 1);
}

static void test_more_than_rows(void **state)
{
	struct listener *l[TALLY_LISTENERS + 5];

	(void)state;
	for (unsigned int i = 0; i < TALLY_LISTENERS + 5; i++) {
		l[i] = listen_on((uint16_t)(100 + i), "x");
		knock(l[i], EV_SYN_QUEUED, SECOND);
	}
	tally__settle(&tally);
	assert_int_equal(tally.folded, 5);
	assert_int_equal(tally.listeners[TALLY_OTHER].syns, 5);
	assert_int_equal(tally__row(&tally, l[TALLY_LISTENERS]), TALLY_OTHER);

	/* One goes: the first of the others has its row, and begins at nothing,
	 * because what was counted among the others stays there. */
	listeners__close(&model->listeners, l[3]->key);
	tally__settle(&tally);
	assert_int_equal(tally.folded, 4);
	assert_int_equal(tally__row(&tally, l[TALLY_LISTENERS]), 3);
	assert_int_equal(tally.listeners[3].syns, 0);
	assert_int_equal(tally.listeners[TALLY_OTHER].syns, 5);
}

/* Who is busy has a row rather than who is idle. */
static void test_idle_rows(void **state)
{
	struct listener *first, *late;

	(void)state;
	first = listen_on(100, "x");
	knock(first, EV_SYN_QUEUED, SECOND);
	for (unsigned int i = 1; i < TALLY_LISTENERS; i++)
		knock(listen_on((uint16_t)(100 + i), "x"), EV_SYN_QUEUED, SECOND + i);
	late = listen_on(99, "x");
	knock(late, EV_SYN_QUEUED, TALLY_IDLE_NS);
	assert_int_equal(tally__row(&tally, late), TALLY_OTHER);
	knock(late, EV_SYN_QUEUED, TALLY_IDLE_NS + SECOND + 1);
	assert_int_equal(tally__row(&tally, late), 0);
	assert_int_equal(tally__row(&tally, first), TALLY_OTHER);
	assert_int_equal(tally.listeners[0].syns, 1);
}

static void test_ends(void **state)
{
	struct life life = { .role = ROLE_SERVER, .how = HOW_CLOSE, .closed_first = CLOSED_REMOTE,
			     .bytes_sent = 7, .bytes_received = 9, .retransmits = 2,
			     .start_ns = SECOND, .entered_ns = 2 * SECOND, .state = EV_STATE_CLOSE,
			     .flags = LIFE_ENDED | LIFE_START_KNOWN | LIFE_INCOMPLETE };
	struct change change = { .kind = CHANGE_LIFE, .life = &life };
	uint64_t counted = 0;

	(void)state;
	tally__count(&tally, &change);
	life.role = ROLE_LISTENER;
	tally__count(&tally, &change);
	assert_int_equal(tally.ended[HOW_CLOSE], 1);
	assert_int_equal(tally.closed_first[ROLE_SERVER][CLOSED_REMOTE], 1);
	assert_int_equal(tally.incomplete, 1);
	assert_int_equal(tally.bytes_sent, 7);
	assert_int_equal(tally.bytes_received, 9);
	assert_int_equal(tally.retransmits, 2);
	for (unsigned int i = 0; i <= DURATIONS_EDGES; i++)
		counted += tally.lasted.buckets[i];
	assert_int_equal(counted, 1);
	assert_int_equal(tally.lasted.sum_ns, SECOND);
}

static void test_losses_and_transitions(void **state)
{
	const struct ev_loss loss = { .count = 17, .reason = EV_LOST_RING_FULL };
	struct change lost = { .kind = CHANGE_LOSS, .loss = &loss };
	struct change moved = { .kind = CHANGE_TRANSITION, .old_state = EV_SYN_SENT,
				.new_state = EV_ESTABLISHED, .in_old_ns = 1000 };

	(void)state;
	tally__count(&tally, &lost);
	tally__count(&tally, &lost);
	tally__count(&tally, &moved);
	moved.in_old_ns = UNKNOWN_NS;
	tally__count(&tally, &moved);
	assert_int_equal(tally.lost[EV_LOST_RING_FULL], 34);
	assert_int_equal(tally.transitions[EV_SYN_SENT][EV_ESTABLISHED], 2);
	assert_int_equal(tally.handshake[ROLE_CLIENT].buckets[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test_setup_teardown(test_rows_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_shares_a_row, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_losses_and_transitions, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
