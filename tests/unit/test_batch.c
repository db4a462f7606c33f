/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/verbs/batch.c, before a real model: each record is taken once and in
 * order, whether it was held or not, and what a take says is not lost.
 */
#include "verbs/batch.c" /* first: flow_table.c has a take(), too */

#include "saga.h"

enum { TAKEN_MAX = 256, LONG = BATCH_RECORD_BYTES + 8 };

/* What was taken: numbers, which records have as their time. */
struct taken {
	uint64_t numbers[TAKEN_MAX];
	size_t len[TAKEN_MAX];
	unsigned int count;
	uint64_t refused; /* from this number on on_record() returns the number; 0: never */
};

static int on_record(void *context, const void *data, size_t len)
{
	struct taken *taken = context;
	const struct ev_header *record = data;

	assert_true(taken->count < TAKEN_MAX);
	if (len > sizeof(*record)) /* it is whole */
		assert_int_equal(((const uint8_t *)data)[len - 1], (uint8_t)record->time_ns);
	taken->len[taken->count] = len;
	taken->numbers[taken->count++] = record->time_ns;
	return taken->refused && record->time_ns >= taken->refused ? (int)record->time_ns : 0;
}

static void begin_with(struct saga *saga, uint64_t lives)
{
	struct peer peer = client;

	begin_saga(saga, FLOW_TABLE_MANY + 1, 1, 1);
	for (peer.id = 1; peer.id <= lives; peer.id++)
		connects(saga, &peer);
}

static int put(struct batch *batch, const struct saga *saga, struct taken *taken, uint64_t number, size_t len)
{
	struct ev_transition *record = calloc(1, len);
	int verdict;

	record->header = (struct ev_header){.len = (uint16_t)len, .kind = EV_TRANSITION, .time_ns = number};
	record->conn_id = number;
	((uint8_t *)record)[len - 1] = (uint8_t)number;
	verdict = batch__add(batch, saga->model, record, len, on_record, taken);
	free(record); /* a batch has a copy */
	return verdict;
}

static void assert_in_order(const struct taken *taken, unsigned int count)
{
	assert_int_equal(taken->count, count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(taken->numbers[i], i + 1);
}

static void with_few_alive_none_is_held(void **state)
{
	struct batch batch = {.count = 0};
	struct taken taken = {.count = 0};
	struct saga saga;

	(void)state;
	begin_with(&saga, FLOW_TABLE_MANY - 1);
	put(&batch, &saga, &taken, 1, sizeof(struct ev_transition));
	assert_in_order(&taken, 1);
	end_saga(&saga);
}

static void with_many_alive_they_come_together(void **state)
{
	struct batch batch = {.count = 0};
	struct taken taken = {.count = 0};
	struct saga saga;
	uint64_t number = 1;

	(void)state;
	begin_with(&saga, FLOW_TABLE_MANY);
	for (; number < BATCH_RECORDS; number++)
		put(&batch, &saga, &taken, number, sizeof(struct ev_transition));
	assert_int_equal(taken.count, 0);
	put(&batch, &saga, &taken, number++, sizeof(struct ev_close));
	assert_in_order(&taken, BATCH_RECORDS);
	assert_int_equal(taken.len[0], sizeof(struct ev_transition));
	assert_int_equal(taken.len[BATCH_RECORDS - 1], sizeof(struct ev_close));
	put(&batch, &saga, &taken, number, sizeof(struct ev_birth));
	assert_int_equal(batch__release(&batch, saga.model, on_record, &taken), 0);
	assert_in_order(&taken, BATCH_RECORDS + 1);
	assert_int_equal(batch__release(&batch, saga.model, on_record, &taken), 0);
	assert_int_equal(taken.count, BATCH_RECORDS + 1);
	end_saga(&saga);
}

/* What is too long, and what is too short to be about a life. */
static void what_is_not_held_keeps_its_place(void **state)
{
	const struct ev_header brief = {.len = sizeof(brief), .time_ns = 4};
	struct batch batch = {.count = 0};
	struct taken taken = {.count = 0};
	struct saga saga;

	(void)state;
	begin_with(&saga, FLOW_TABLE_MANY);
	put(&batch, &saga, &taken, 1, sizeof(struct ev_transition));
	put(&batch, &saga, &taken, 2, LONG);
	assert_in_order(&taken, 2);
	assert_int_equal(taken.len[1], LONG);
	put(&batch, &saga, &taken, 3, sizeof(struct ev_transition));
	batch__add(&batch, saga.model, &brief, sizeof(brief), on_record, &taken);
	assert_in_order(&taken, 4);
	assert_int_equal(taken.len[3], sizeof(brief));
	end_saga(&saga);
}

/* The last ones end: who is held comes before who is not. */
static void when_few_are_left_the_held_come_first(void **state)
{
	struct batch batch = {.count = 0};
	struct taken taken = {.count = 0};
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_with(&saga, FLOW_TABLE_MANY);
	put(&batch, &saga, &taken, 1, sizeof(struct ev_transition));
	peer.id = 1;
	closed(&saga, &peer, EV_SYN_SENT, 0);
	put(&batch, &saga, &taken, 2, sizeof(struct ev_transition));
	assert_in_order(&taken, 2);
	end_saga(&saga);
}

static void the_first_refusal_is_returned_and_all_are_taken(void **state)
{
	struct batch batch = {.count = 0};
	struct taken taken = {.refused = 2};
	struct saga saga;

	(void)state;
	begin_with(&saga, FLOW_TABLE_MANY);
	for (uint64_t number = 1; number <= 3; number++)
		assert_int_equal(put(&batch, &saga, &taken, number, sizeof(struct ev_transition)), 0);
	assert_int_equal(put(&batch, &saga, &taken, 4, LONG), 2);
	assert_in_order(&taken, 4);
	assert_int_equal(put(&batch, &saga, &taken, 5, LONG), 5);
	end_saga(&saga);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_few_alive_none_is_held),
		cmocka_unit_test(with_many_alive_they_come_together),
		cmocka_unit_test(what_is_not_held_keeps_its_place),
		cmocka_unit_test(when_few_are_left_the_held_come_first),
		cmocka_unit_test(the_first_refusal_is_returned_and_all_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
