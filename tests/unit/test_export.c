/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/export.c and import.c: what a model tells makes the same
 * model, and who comes late goes on like somebody who was there from the start.
 */
#include "saga.h"

#include "model/export.c"

struct told {
	unsigned int count;
	size_t len[20000];
	void *records[20000]; /* owned */
};

static void keep_told(void *context, const void *record, size_t len)
{
	struct told *told = context;

	assert_in_range(told->count, 0, 19999);
	told->records[told->count] = malloc(len);
	memcpy(told->records[told->count], record, len);
	told->len[told->count++] = len;
}

static struct told *tell(const struct saga *saga)
{
	struct told *told = calloc(1, sizeof(*told));

	model__export(saga->model, saga->now_ns, false, keep_told, told);
	return told;
}

static void free_told(struct told *told)
{
	for (unsigned int i = 0; i < told->count; i++)
		free(told->records[i]);
	free(told);
}

static void expect_same_told(const struct told *a, const struct told *b)
{
	assert_int_equal(a->count, b->count);
	for (unsigned int i = 0; i < a->count; i++) {
		assert_int_equal(a->len[i], b->len[i]);
		assert_memory_equal(a->records[i], b->records[i], a->len[i]);
	}
}

static void begin_as(struct saga *saga, bool ends_at_close, uint64_t seed)
{
	struct model_config config = {.seed = seed, .max_lives = 8192, .max_ended = 8000,
				      .ends_at_close = ends_at_close, .waits_told = true, .requests_told = true};

	*saga = (struct saga){.model = model__new(&config), .now_ns = 1000 * NS_PER_S};
	assert_non_null(saga->model);
}

/* One that comes late, and is told what the other knows. */
static void join(struct saga *late, const struct saga *of, bool ends_at_close, uint64_t seed)
{
	struct told *told = tell(of);

	begin_as(late, ends_at_close, seed);
	for (unsigned int i = 0; i < told->count; i++) {
		assert_int_equal(apply(late, told->records[i], told->len[i]), 0);
		assert_int_equal(late->changes.count, 0);
	}
	late->now_ns = of->now_ns;
	free_told(told);
}

static void expect_same_changes(const struct saga *a, const struct saga *b)
{
	assert_int_equal(a->changes.count, b->changes.count);
	for (unsigned int n = 0; n < a->changes.count; n++)
		expect_same_change(&a->changes.change[n], &b->changes.change[n]);
}

/* Whatever has come, and from then on whatever comes. */
static void what_is_told_makes_the_same_model(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		struct saga early, late;
		struct told *a, *b;

		begin_as(&early, round & 1, round);
		for (int i = 0; i < 1500; i++)
			random_record(&early, random_u64());
		join(&late, &early, round & 1, ~(uint64_t)round);
		a = tell(&early);
		b = tell(&late);
		expect_same_told(a, b);
		free_told(a);
		free_told(b);
		for (int i = 0; i < 1500; i++) {
			uint64_t r = random_u64();

			random_record(&early, r);
			random_record(&late, r);
			expect_same_changes(&early, &late);
		}
		end_saga(&early);
		end_saga(&late);
	}
}

/* ---- a late one that follows lives longer than who tells it ---- */

enum { PLAYERS = 64 };

/* A connection in its course. */
struct player {
	struct peer peer;
	unsigned int at;
	bool direct; /* to TIME_WAIT, not by way of an orphan's FIN_WAIT2 */
};

/* The next step of it in one model; the same in all. */
static void play(struct saga *saga, const struct player *player)
{
	const struct peer *peer = &player->peer;
	struct peer quiet = *peer;

	quiet.pid = 0;
	switch (player->at) {
	case 0:
		connects(saga, peer);
		break;
	case 1:
		birth(saga, peer, EV_SYN_SENT, EV_ESTABLISHED, CALL);
		break;
	case 2:
		owned(saga, peer, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED);
		break;
	case 3:
		step(saga, peer, EV_FIN_WAIT1, EV_FIN_WAIT2, ORPHAN);
		break;
	case 4:
		waits(saga, peer, EV_WAIT_BEGIN, player->direct ? EV_TIME_WAIT : EV_FIN_WAIT2, 0);
		break;
	case 5:
		closed(saga, &quiet, EV_FIN_WAIT2, ORPHAN);
		break;
	case 6:
		if (!player->direct)
			waits(saga, peer, EV_WAIT_PROMOTED, EV_TIME_WAIT, 0);
		break;
	case 7:
		waits(saga, peer, EV_WAIT_END, EV_TIME_WAIT, EV_WAIT_EXPIRED);
		break;
	default:
		break;
	}
}

/* On the tuple of the one before it in its place. */
static void enter(struct player *player, unsigned int number, unsigned int place)
{
	*player = (struct player){
		.peer = {.id = 1000 + number, .local = 1, .remote = 2,
			 .local_port = (uint16_t)(1000 + place), .remote_port = 443,
			 .pid = 1 + number % 5, .comm = "worker"},
		.direct = number % 3 == 0,
	};
}

/* A step of one of them, in each of the models. */
static void play_some(struct player *players, unsigned int *next, struct saga *const *sagas, unsigned int count)
{
	unsigned int place = random_u64() % PLAYERS;
	struct player *player = &players[place];
	uint64_t us = random_u64() % 3000;

	for (unsigned int i = 0; i < count; i++) {
		wait_us(sagas[i], us);
		sagas[i]->changes.count = 0; /* not each step has a record */
		play(sagas[i], player);
	}
	if (player->at++ == 7)
		enter(player, (*next)++, place);
}

static void who_comes_late_goes_on_like_one_who_was_there(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 30; round++) {
		struct saga agent, early, late;
		struct saga *const sagas[] = {&agent, &early, &late};
		struct player players[PLAYERS];
		unsigned int next = 0, lives = 0;

		begin_as(&agent, true, round);
		begin_as(&early, false, round + 1000);
		while (next < PLAYERS) {
			enter(&players[next], next, next);
			next++;
		}
		for (int i = 0; i < 1000; i++)
			play_some(players, &next, sagas, 2);
		join(&late, &agent, false, round + 2000);
		for (int i = 0; i < 1000; i++) {
			play_some(players, &next, sagas, 3);
			expect_same_changes(&early, &late);
			for (unsigned int n = 0; n < late.changes.count; n++)
				lives += late.changes.change[n].kind == CHANGE_LIFE;
		}
		assert_in_range(lives, 50, 1000);
		for (int s = 0; s < 3; s++)
			end_saga(sagas[s]);
	}
}

/* A client's life, by what the history has at which microsecond. */
static void expect_history(const struct life *life, unsigned int i, unsigned int at_state, uint64_t at_us)
{
	assert_int_equal(history_state(life->history[i]), at_state);
	assert_int_equal(history_ns(life->history[i]) / US, at_us);
}

static void a_minisocket_has_its_whole_history(void **state)
{
	struct player player;
	struct saga agent, late;
	const struct life *life;

	(void)state;
	begin_as(&agent, true, 1);
	enter(&player, 1, 1);
	for (player.at = 0; player.at < 7; player.at++) {
		play(&agent, &player);
		wait_us(&agent, 100);
	}
	join(&late, &agent, false, 2);
	assert_int_equal(late.model->flows.open, 1);
	play(&late, &player);
	life = late.changes.change[1].life;
	assert_int_equal(late.changes.change[1].kind, CHANGE_LIFE);
	assert_int_equal(life->history_count, 6);
	expect_history(life, 0, EV_SYN_SENT, 0);
	expect_history(life, 3, EV_FIN_WAIT2, 300);
	expect_history(life, 4, EV_TIME_WAIT, 600);
	expect_history(life, 5, EV_STATE_CLOSE, 700);
	assert_int_equal(life->how, HOW_CLOSE);
	assert_int_equal(life->closed_first, CLOSED_LOCAL);
	assert_int_equal(life->bytes_sent, 120);
	assert_string_equal(model__owner(late.model, life)->comm, "worker");
	end_saga(&agent);
	end_saga(&late);
}

static void what_is_no_model_of_ours_does_no_harm(void **state)
{
	struct saga saga;

	(void)state;
	begin_as(&saga, false, 1);
	for (int i = 0; i < 20000; i++) {
		uint64_t r = random_u64();
		struct ev_life life = {.header = header(&saga, EV_LIFE)};
		struct ev_wait wait = {.header = header(&saga, EV_WAIT), .group = (uint32_t)(r >> 20 & 7),
				       .flags = (uint8_t)(r >> 8), .substate = EV_TIME_WAIT};
		struct ev_wait_group group = {.header = header(&saga, EV_WAIT_GROUP),
					      .index = (uint32_t)(r >> 24 & 7), .role = r >> 3 & 3};

		life.conn_id = life.local_port = r & 15;
		life.state = (uint8_t)(1 + (r >> 4) % (EV_STATE_END - 1));
		life.flags = (uint16_t)(r >> 16);
		life.ordinal = r >> 32 & 3;
		life.wait_state = (uint8_t)((r >> 36) % EV_STATE_END);
		life.named_by = (uint8_t)((r >> 40) % EV_NAMED_BY_END);
		life.history_count = (uint8_t)((r >> 44) % (EV_HISTORY_MAX + 1));
		for (unsigned int n = 0; n < EV_HISTORY_MAX; n++)
			life.history[n] = (uint64_t)(1 + (r >> n) % (EV_STATE_END - 1)) << EV_HISTORY_TIME_BITS;
		wait.local_port = r >> 50 & 15;
		apply(&saga, &life, sizeof(life));
		apply(&saga, &group, sizeof(group));
		apply(&saga, &wait, sizeof(wait));
		random_record(&saga, random_u64());
	}
	end_saga(&saga);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minisocket_has_its_whole_history),
		cmocka_unit_test(who_comes_late_goes_on_like_one_who_was_there),
		cmocka_unit_test(what_is_told_makes_the_same_model),
		cmocka_unit_test(what_is_no_model_of_ours_does_no_harm),
	};

	return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
