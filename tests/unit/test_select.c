/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/verbs/select.c, behind a real model and a real filter:
 * what the user asked for is shown once, whole and in order, also when the
 * filter could not be decided at first; and nothing else is.
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

#include "base/histogram.c"
#include "base/idmap.c"
#include "base/spelling.c"
#include "event/connection.c"
#include "event/decode.c"
#include "event/filter.c"
#include "event/filter_text.c"
#include "event/filter_parse.c"
#include "event/filter_token.c"
#include "event/filter_hint.c"
#include "event/filter_place.c"
#include "event/filter_trait.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "model/flow_table.c"
#include "model/life.c"
#include "model/cgroups.c"
#include "model/clients.c"
#include "model/listeners.c"
#include "model/namespaces.c"
#include "model/owners.c"
#include "model/timewaits.c"
#define slot_of children_slot_of /* idmap.c has one, too */
#include "model/children.c"
#include "model/departed.c"
#undef slot_of
#include "model/import.c"
#include "model/parts.c"
#include "model/transitions.c"
#include "model/requests.c"
#include "model/minisockets.c"
#include "model/rows.c"
#include "model/model.c"
#include "verbs/select.c"

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

#define US 1000ULL

/* ---- what is shown ---- */

/* One line that was shown, as far as a reader could tell it from others. */
struct line {
	enum change_kind kind;
	uint64_t conn;
	uint64_t time_ns;
	uint64_t in_old_ns;
	uint32_t pid;
	uint16_t local_port;
	uint8_t old_state, new_state;
};

enum { LINES_MAX = 256 };

struct stage {
	struct model *model;
	struct filter *filter;
	struct select select;
	uint64_t now_ns;
	size_t count; /* of lines that were shown, also beyond LINES_MAX */
	struct line lines[LINES_MAX];
};

static void note(void *context, const struct change *change)
{
	struct stage *stage = context;
	struct line *line = &stage->lines[stage->count++ % LINES_MAX];

	*line = (struct line){
		.kind = change->kind,
		.conn = change->life ? change->life->conn : 0,
		.time_ns = change->time_ns,
		.in_old_ns = change->in_old_ns,
		.pid = change->owner ? change->owner->pid : 0,
		.local_port = change->life ? change->life->local.port : 0,
		.old_state = change->old_state,
		.new_state = change->new_state,
	};
}

/* The filter as one writes it: words between blanks. */
static struct filter *parse(const char *text)
{
	struct filter_error error;
	const char *words[32];
	char copy[256], *rest = copy;
	size_t count = 0;
	struct filter *filter;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((words[count] = strsep(&rest, " ")) && *words[count])
		count++;
	filter = filter__parse(words, count, &error);
	assert_non_null(filter);
	return filter;
}

static struct stage *set_stage(const char *filter)
{
	static struct stage stage;
	struct model_config config = {.seed = 1, .max_lives = 100000, .max_ended = 1000};

	memset(&stage, 0, sizeof(stage));
	stage.now_ns = 1000000 * US;
	stage.model = model__new(&config);
	stage.filter = parse(filter);
	assert_int_equal(select__init(&stage.select, stage.filter, stage.model), 0);
	stage.select.kinds = 1U << CHANGE_TRANSITION | 1U << CHANGE_SYN;
	return &stage;
}

static void clear_stage(struct stage *stage)
{
	select__fini(&stage->select);
	filter__free(stage->filter);
	model__free(stage->model);
}

/* ---- what is played ---- */

struct actor {
	uint64_t id; /* of socket and connection */
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t pid; /* of the caller, where there is one */
	bool by_address; /* the id is the socket's address, as on 5.10 */
};

union any_record {
	struct ev_header header;
	struct ev_transition transition;
	struct ev_transition_owned owned;
	struct ev_birth birth;
	struct ev_close closed;
	struct ev_handshake step;
	struct ev_accept accept;
	struct ev_loss loss;
};

static void select_changes(void *context, const struct changes *changes)
{
	struct stage *stage = context;

	for (unsigned int i = 0; i < changes->count; i++)
		select__change(&stage->select, &changes->change[i], note, stage);
}

static void play(struct stage *stage, union any_record *record, enum ev_kind kind)
{
	struct record decoded;

	record->header.len = (uint16_t)record__size(kind);
	record->header.version = EV_VERSION;
	record->header.kind = (uint8_t)kind;
	record->header.time_ns = stage->now_ns;
	assert_int_equal(record__decode(&decoded, record, record->header.len), 0);
	assert_int_equal(model__apply(stage->model, &decoded, select_changes, stage), 0);
}

static void put_v4(uint8_t addr[16], uint8_t last)
{
	addr[10] = addr[11] = 0xff;
	addr[12] = 10;
	addr[15] = last;
}

static struct ev_place place_of(const struct actor *actor)
{
	struct ev_place place = {.socket_id = actor->id, .netns = 1, .family = AF_INET};

	put_v4(place.local, 1);
	put_v4(place.remote, 2);
	return place;
}

/* The record that the kernel side sends for this transition. */
static void move(struct stage *stage, const struct actor *actor, uint8_t old, uint8_t new, bool called)
{
	union any_record record = {0};
	struct ev_owner owner = {.pid = called ? actor->pid : 0, .tid = called ? actor->pid : 0};
	enum ev_kind kind = EV_TRANSITION;

	stage->now_ns += 10 * US;
	if (new == EV_STATE_CLOSE) {
		kind = EV_CLOSE;
		record.closed.place = place_of(actor);
		record.closed.owner = owner;
	} else if (new == EV_SYN_SENT || new == EV_LISTEN || old == EV_SYN_RECV) {
		kind = EV_BIRTH;
		record.birth.place = place_of(actor);
		record.birth.owner = owner;
	} else if (called) {
		kind = EV_TRANSITION_OWNED;
		record.owned.owner = owner;
	}
	record.transition.conn_id = actor->id;
	record.transition.old_state = old;
	record.transition.new_state = new;
	record.transition.local_port = new == EV_SYN_SENT ? 0 : actor->local_port;
	record.transition.remote_port = new == EV_LISTEN ? 0 : actor->remote_port;
	record.transition.flags = (uint16_t)((called ? EV_F_IN_SYSCALL : 0) |
					     (actor->by_address ? EV_F_ID_IS_ADDRESS : 0));
	play(stage, &record, kind);
}

static void connects(struct stage *stage, const struct actor *actor)
{
	move(stage, actor, EV_STATE_CLOSE, EV_SYN_SENT, true);
	move(stage, actor, EV_SYN_SENT, EV_ESTABLISHED, false);
}

static void is_accepted(struct stage *stage, const struct actor *actor)
{
	move(stage, actor, EV_LISTEN, EV_SYN_RECV, false);
	move(stage, actor, EV_SYN_RECV, EV_ESTABLISHED, false);
}

static void closes_first(struct stage *stage, const struct actor *actor)
{
	move(stage, actor, EV_ESTABLISHED, EV_FIN_WAIT1, true);
	move(stage, actor, EV_FIN_WAIT1, EV_FIN_WAIT2, false);
	move(stage, actor, EV_FIN_WAIT2, EV_STATE_CLOSE, false);
}

static void closes_last(struct stage *stage, const struct actor *actor)
{
	move(stage, actor, EV_ESTABLISHED, EV_CLOSE_WAIT, false);
	move(stage, actor, EV_CLOSE_WAIT, EV_LAST_ACK, true);
	move(stage, actor, EV_LAST_ACK, EV_STATE_CLOSE, false);
}

static const struct actor client = {.id = 0x10, .local_port = 43210, .remote_port = 80, .pid = 42};
static const struct actor server = {.id = 0x20, .local_port = 80, .remote_port = 43210, .pid = 7};

/* "SYN_SENT>ESTABLISHED CLOSE..." of all lines. */
static void expect_lines(const struct stage *stage, const char *expected)
{
	char text[1024] = "";
	size_t len = 0;

	assert_in_range(stage->count, 0, LINES_MAX);
	for (size_t i = 0; i < stage->count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s>%s", i ? " " : "",
					state__name(stage->lines[i].old_state),
					state__name(stage->lines[i].new_state));
	assert_string_equal(text, expected);
}

#define OF_CLIENT \
	"CLOSE>SYN_SENT SYN_SENT>ESTABLISHED ESTABLISHED>FIN_WAIT1 FIN_WAIT1>FIN_WAIT2 FIN_WAIT2>CLOSE"
#define OF_SERVER \
	"LISTEN>SYN_RECV SYN_RECV>ESTABLISHED ESTABLISHED>CLOSE_WAIT CLOSE_WAIT>LAST_ACK LAST_ACK>CLOSE"

/* ---- transitions ---- */

static void without_a_filter_all_is_shown_at_once(void **state)
{
	struct stage *stage = set_stage("");

	(void)state;
	move(stage, &client, EV_STATE_CLOSE, EV_SYN_SENT, true);
	assert_int_equal(stage->count, 1);
	move(stage, &client, EV_SYN_SENT, EV_ESTABLISHED, false);
	assert_int_equal(stage->count, 2);
	closes_first(stage, &client);
	expect_lines(stage, OF_CLIENT);
	assert_int_equal(stage->select.withheld.used, 0);
	clear_stage(stage);
}

/* The local port of a connecting socket is 0 in its first transition: it is
 * told as soon as the port is known, before the one that told it. */
static void a_local_port_loses_nothing(void **state)
{
	struct stage *stage = set_stage("local port 43210");

	(void)state;
	move(stage, &client, EV_STATE_CLOSE, EV_SYN_SENT, true);
	assert_int_equal(stage->count, 0);
	move(stage, &client, EV_SYN_SENT, EV_ESTABLISHED, false);
	expect_lines(stage, "CLOSE>SYN_SENT SYN_SENT>ESTABLISHED");
	assert_int_equal(stage->select.withheld.used, 0);
	closes_first(stage, &client);
	expect_lines(stage, OF_CLIENT);
	clear_stage(stage);
}

static void a_withheld_line_is_as_it_would_have_been(void **state)
{
	static struct line at_once[5];
	struct stage *stage = set_stage("remote port 80");

	(void)state;
	connects(stage, &client);
	closes_first(stage, &client);
	memcpy(at_once, stage->lines, sizeof(at_once));
	clear_stage(stage);

	stage = set_stage("local port 43210");
	connects(stage, &client);
	closes_first(stage, &client);
	assert_int_equal(stage->count, 5);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(stage->lines[i].kind, CHANGE_TRANSITION);
		assert_int_equal(stage->lines[i].conn, at_once[i].conn);
		assert_int_equal(stage->lines[i].time_ns, at_once[i].time_ns);
		assert_true(stage->lines[i].in_old_ns == at_once[i].in_old_ns);
		assert_int_equal(stage->lines[i].pid, at_once[i].pid);
	}
	/* What is better is that the port is known now. */
	assert_int_equal(at_once[0].local_port, 0);
	assert_int_equal(stage->lines[0].local_port, 43210);
	clear_stage(stage);
}

static void another_local_port_is_not_shown(void **state)
{
	struct stage *stage = set_stage("local port 43211");

	(void)state;
	connects(stage, &client);
	closes_first(stage, &client);
	assert_int_equal(stage->count, 0);
	assert_int_equal(stage->select.withheld.used, 0);
	clear_stage(stage);
}

/* No port was left: whether it is 43210 is never known, so it is not. */
static void undecided_for_ever_is_not_shown(void **state)
{
	struct stage *stage = set_stage("local port 43210");
	struct actor nowhere = client;

	(void)state;
	nowhere.local_port = 0;
	move(stage, &nowhere, EV_STATE_CLOSE, EV_SYN_SENT, true);
	move(stage, &nowhere, EV_SYN_SENT, EV_STATE_CLOSE, true);
	assert_int_equal(stage->count, 0);
	assert_int_equal(stage->select.withheld.used, 0);
	clear_stage(stage);
}

/* A passive connection has no owner until a system call shows it. */
static void a_pid_finds_its_passive_connections(void **state)
{
	struct stage *stage = set_stage("pid 7");

	(void)state;
	is_accepted(stage, &server);
	move(stage, &server, EV_ESTABLISHED, EV_CLOSE_WAIT, false);
	assert_int_equal(stage->count, 0);
	move(stage, &server, EV_CLOSE_WAIT, EV_LAST_ACK, true);
	assert_int_equal(stage->count, 4);
	move(stage, &server, EV_LAST_ACK, EV_STATE_CLOSE, false);
	expect_lines(stage, OF_SERVER);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(stage->lines[i].pid, 7);
	assert_int_equal(stage->lines[0].time_ns + 10 * US, stage->lines[1].time_ns);
	clear_stage(stage);
}

static void a_pid_does_not_find_others(void **state)
{
	struct stage *stage = set_stage("pid 8");

	(void)state;
	is_accepted(stage, &server);
	closes_last(stage, &server);
	connects(stage, &client);
	closes_first(stage, &client);
	assert_int_equal(stage->count, 0);
	assert_int_equal(stage->select.withheld.used, 0);
	clear_stage(stage);
}

static void not_a_pid_waits_as_well(void **state)
{
	struct stage *stage = set_stage("not pid 8");

	(void)state;
	is_accepted(stage, &server);
	assert_int_equal(stage->count, 0);
	closes_last(stage, &server);
	expect_lines(stage, OF_SERVER);
	clear_stage(stage);
}

static void what_is_decided_already_does_not_wait(void **state)
{
	struct stage *stage = set_stage("pid 8 or remote port 43210");

	(void)state;
	is_accepted(stage, &server);
	assert_int_equal(stage->count, 2);
	clear_stage(stage);

	stage = set_stage("pid 7 and remote port 1");
	is_accepted(stage, &server);
	assert_int_equal(stage->select.withheld.used, 0);
	closes_last(stage, &server);
	assert_int_equal(stage->count, 0);
	clear_stage(stage);
}

/* A filter on states is about each transition, one on the port about the life. */
static void each_withheld_line_is_judged_by_its_states(void **state)
{
	struct stage *stage = set_stage("pid 7 and state syn-recv");

	(void)state;
	is_accepted(stage, &server);
	closes_last(stage, &server);
	/* The pid is known only by a record that the states exclude. */
	assert_int_equal(stage->select.withheld.used, 0);
	clear_stage(stage);

	stage = set_stage("pid 7 and ( state syn-recv or state last-ack )");
	is_accepted(stage, &server);
	closes_last(stage, &server);
	expect_lines(stage, "LISTEN>SYN_RECV SYN_RECV>ESTABLISHED CLOSE_WAIT>LAST_ACK LAST_ACK>CLOSE");
	clear_stage(stage);
}

/* Connections at the same time do not take each other's lines. */
static void lives_wait_apart(void **state)
{
	struct stage *stage = set_stage("local port 1000");
	struct actor actors[20];

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		actors[i] = client;
		actors[i].id = 0x100 + i;
		actors[i].local_port = (uint16_t)(990 + i);
		move(stage, &actors[i], EV_STATE_CLOSE, EV_SYN_SENT, true);
	}
	assert_int_equal(stage->select.withheld.used, 20);
	for (unsigned int i = 0; i < 20; i++)
		move(stage, &actors[i], EV_SYN_SENT, EV_ESTABLISHED, false);
	expect_lines(stage, "CLOSE>SYN_SENT SYN_SENT>ESTABLISHED");
	assert_int_equal(stage->lines[0].conn, 0x10a);
	for (unsigned int i = 0; i < 20; i++)
		closes_first(stage, &actors[i]);
	expect_lines(stage, OF_CLIENT);
	assert_int_equal(stage->select.withheld.used, 0);
	clear_stage(stage);
}

/* On 5.10 the next socket may have the same id. What was withheld of a life
 * whose close was lost must not show up in the next one. */
static void nothing_is_left_for_the_next_life_of_an_id(void **state)
{
	struct actor lost = server, next = client;
	struct stage *stage = set_stage("pid 42");

	(void)state;
	lost.by_address = next.by_address = true;
	lost.id = next.id = 0x5000;
	is_accepted(stage, &lost);
	move(stage, &lost, EV_ESTABLISHED, EV_CLOSE_WAIT, false);
	assert_int_equal(stage->count, 0);
	connects(stage, &next);
	expect_lines(stage, "CLOSE>SYN_SENT SYN_SENT>ESTABLISHED");
	closes_first(stage, &next);
	expect_lines(stage, OF_CLIENT);
	clear_stage(stage);
}

/* A record was lost: what is told later is what was seen, not what the history
 * suggests. */
static void a_gap_is_not_told_over(void **state)
{
	struct stage *stage = set_stage("pid 7");

	(void)state;
	is_accepted(stage, &server);
	/* ESTABLISHED-FIN_WAIT1, a shutdown(), is lost. */
	move(stage, &server, EV_FIN_WAIT1, EV_FIN_WAIT2, false);
	move(stage, &server, EV_FIN_WAIT2, EV_STATE_CLOSE, true);
	expect_lines(stage, "LISTEN>SYN_RECV SYN_RECV>ESTABLISHED FIN_WAIT1>FIN_WAIT2 FIN_WAIT2>CLOSE");
	/* Nor is it known how long it was in FIN_WAIT1. */
	assert_true(stage->lines[2].in_old_ns == UNKNOWN_NS);
	clear_stage(stage);
}

/* A life that was there before tcpsaga: first_old is its first record's. */
static void a_life_without_its_beginning_is_told_from_its_first_record(void **state)
{
	struct stage *stage = set_stage("pid 7");

	(void)state;
	closes_last(stage, &server);
	expect_lines(stage, "ESTABLISHED>CLOSE_WAIT CLOSE_WAIT>LAST_ACK LAST_ACK>CLOSE");
	assert_true(stage->lines[0].in_old_ns == UNKNOWN_NS);
	clear_stage(stage);
}

/* When too many wait, an undecided one is shown: too much, not too little. */
static void beyond_the_limit_it_is_shown(void **state)
{
	struct stage *stage = set_stage("local port 43210");
	struct actor actor = client;

	(void)state;
	for (uint64_t i = 0; i < SELECT_WITHHELD_MAX; i++) {
		actor.id = 0x10000 + i;
		move(stage, &actor, EV_STATE_CLOSE, EV_SYN_SENT, true);
	}
	assert_int_equal(stage->count, 0);
	for (uint64_t i = 0; i < 10; i++) {
		actor.id = i + 1;
		move(stage, &actor, EV_STATE_CLOSE, EV_SYN_SENT, true);
	}
	assert_int_equal(stage->count, 10);
	assert_int_equal(stage->select.withheld.used, SELECT_WITHHELD_MAX);
	/* One that waits goes on waiting. */
	actor.id = 0x10000;
	move(stage, &actor, EV_SYN_SENT, EV_ESTABLISHED, false);
	assert_int_equal(stage->count, 12);
	assert_int_equal(stage->select.withheld.used, SELECT_WITHHELD_MAX - 1);
	clear_stage(stage);
}

/* Random connections, all at the same time: each that the filter means is told
 * in full and in order, each other not at all. */
static void every_life_is_told_whole_or_not(void **state)
{
	enum { LIVES = 40, STEPS = 5 };
	static const uint8_t paths[2][STEPS + 1] = {
		{EV_STATE_CLOSE, EV_SYN_SENT, EV_ESTABLISHED, EV_FIN_WAIT1, EV_FIN_WAIT2, EV_STATE_CLOSE},
		{EV_LISTEN, EV_SYN_RECV, EV_ESTABLISHED, EV_CLOSE_WAIT, EV_LAST_ACK, EV_STATE_CLOSE},
	};
	static const char *const filters[] = {"local port 3", "pid 5", "not pid 5", "local port 3 and pid 5",
					      "local port 3 or pid 5", "not local port 3"};

	(void)state;
	for (unsigned int round = 0; round < 300; round++) {
		struct stage *stage = set_stage(filters[round % 6]);
		unsigned int done[LIVES] = {0}, told[LIVES] = {0};
		struct actor actors[LIVES];

		for (unsigned int i = 0; i < LIVES; i++)
			actors[i] = (struct actor){.id = 1 + i,
						   .local_port = (uint16_t)(1 + random_u64() % 5),
						   .remote_port = 80,
						   .pid = (uint32_t)(1 + random_u64() % 7)};
		for (unsigned int left = LIVES * STEPS; left;) {
			unsigned int i = (unsigned int)(random_u64() % LIVES);
			const uint8_t *path = paths[i % 2];
			unsigned int n = done[i];

			if (n == STEPS)
				continue;
			/* The system calls: connect() and close(). */
			move(stage, &actors[i], path[n], path[n + 1], i % 2 ? n == 3 : n == 0 || n == 2);
			done[i]++;
			left--;
		}
		assert_in_range(stage->count, 0, LINES_MAX);
		for (size_t n = 0; n < stage->count; n++) {
			const struct line *line = &stage->lines[n];
			unsigned int i = (unsigned int)line->conn - 1;

			assert_int_equal(line->old_state, paths[i % 2][told[i]]);
			assert_int_equal(line->new_state, paths[i % 2][++told[i]]);
		}
		for (unsigned int i = 0; i < LIVES; i++) {
			bool port = actors[i].local_port == 3, pid = actors[i].pid == 5;
			const bool wanted[] = {port, pid, !pid, port && pid, port || pid, !port};

			assert_int_equal(told[i], wanted[round % 6] ? STEPS : 0);
		}
		assert_int_equal(stage->select.withheld.used, 0);
		clear_stage(stage);
	}
}

/* The SYN of the connection, queued: its life begins here. */
static void is_asked(struct stage *stage, const struct actor *actor)
{
	union any_record record = {.step = {.conn_id = actor->id,
					    .listener_id = 0x30,
					    .netns = 1,
					    .family = AF_INET,
					    .outcome = EV_SYN_QUEUED,
					    .local_port = actor->local_port,
					    .remote_port = actor->remote_port}};

	stage->now_ns += 10 * US;
	put_v4(record.step.local, 1);
	put_v4(record.step.remote, 2);
	play(stage, &record, EV_SYN);
}

/* Where SYNs are seen, a history begins with them; what is withheld is the same. */
static void a_passive_life_with_its_syn_waits_as_well(void **state)
{
	struct stage *stage = set_stage("pid 7");

	(void)state;
	stage->select.kinds &= ~(1U << CHANGE_SYN);
	is_asked(stage, &server);
	is_accepted(stage, &server);
	assert_int_equal(stage->count, 0);
	closes_last(stage, &server);
	expect_lines(stage, OF_SERVER);
	for (unsigned int i = 1; i < 5; i++)
		assert_true(stage->lines[i].time_ns > stage->lines[i - 1].time_ns);
	clear_stage(stage);

	stage = set_stage("pid 8");
	stage->select.kinds &= ~(1U << CHANGE_SYN);
	is_asked(stage, &server);
	is_accepted(stage, &server);
	closes_last(stage, &server);
	assert_int_equal(stage->count, 0);
	clear_stage(stage);
}

/* ---- lives, SYNs, losses ---- */

static void lives_are_shown_by_what_is_known_at_their_end(void **state)
{
	static const struct {
		const char *filter;
		size_t count;
	} cases[] = {
		{"", 2}, {"local port 43210", 1}, {"pid 7", 1}, {"pid 8", 0}, {"comm nobody", 0},
		{"role server", 1}, {"state syn-sent", 1}, {"state listen", 0}, {"not state fin-wait-1", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage *stage = set_stage(cases[i].filter);

		stage->select.kinds &= ~(1U << CHANGE_TRANSITION);
		stage->select.kinds |= 1U << CHANGE_LIFE;
		connects(stage, &client);
		is_accepted(stage, &server);
		closes_first(stage, &client);
		closes_last(stage, &server);
		assert_int_equal(stage->count, cases[i].count);
		for (size_t n = 0; n < stage->count; n++)
			assert_int_equal(stage->lines[n].kind, CHANGE_LIFE);
		clear_stage(stage);
	}
}

/* Its pid was never seen: it cannot be said to be another's. */
static void a_life_that_stays_undecided_is_not_shown(void **state)
{
	struct stage *stage = set_stage("not pid 8");

	(void)state;
	stage->select.kinds &= ~(1U << CHANGE_TRANSITION);
	stage->select.kinds |= 1U << CHANGE_LIFE;
	is_accepted(stage, &server);
	move(stage, &server, EV_ESTABLISHED, EV_STATE_CLOSE, false);
	assert_int_equal(stage->count, 0);
	clear_stage(stage);
}

static void a_listener_is_no_connection(void **state)
{
	struct actor listener = {.id = 0x30, .local_port = 80, .pid = 7};
	struct stage *stage = set_stage("");

	(void)state;
	stage->select.kinds |= 1U << CHANGE_LIFE;
	stage->select.kinds &= ~(1U << CHANGE_TRANSITION);
	move(stage, &listener, EV_STATE_CLOSE, EV_LISTEN, true);
	move(stage, &listener, EV_LISTEN, EV_STATE_CLOSE, true);
	assert_int_equal(stage->count, 0);
	/* Its transitions are transitions. */
	stage->select.kinds |= 1U << CHANGE_TRANSITION;
	move(stage, &listener, EV_STATE_CLOSE, EV_LISTEN, true);
	assert_int_equal(stage->count, 1);
	clear_stage(stage);
}

static void knock(struct stage *stage, bool remote_known)
{
	union any_record record = {
		.step = {.listener_id = 0x30, .netns = 1, .family = AF_INET, .local_port = 80}};

	put_v4(record.step.local, 1);
	record.step.remote[10] = record.step.remote[11] = 0xff;
	if (remote_known) {
		put_v4(record.step.remote, 2);
		record.step.remote_port = 43210;
	}
	play(stage, &record, EV_SYN);
}

static void syns_are_shown_by_what_they_say(void **state)
{
	static const struct {
		const char *filter;
		size_t known, unknown; /* with and without the peer's address */
	} cases[] = {
		{"", 1, 1}, {"local port 80", 1, 1}, {"local port 81", 0, 0}, {"host 10.0.0.2", 1, 0},
		{"remote port 43210", 1, 0}, {"pid 7", 1, 1}, {"pid 8", 0, 0}, {"state syn-recv", 1, 1},
		{"state established", 0, 0}, {"role server", 1, 1}, {"role client", 0, 0}, {"ipv6", 0, 0},
	};
	struct actor listener = {.id = 0x30, .local_port = 80, .pid = 7};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage *stage = set_stage(cases[i].filter);

		stage->select.kinds &= ~(1U << CHANGE_TRANSITION);
		move(stage, &listener, EV_STATE_CLOSE, EV_LISTEN, true);
		knock(stage, true);
		assert_int_equal(stage->count, cases[i].known);
		knock(stage, false);
		assert_int_equal(stage->count, cases[i].known + cases[i].unknown);
		clear_stage(stage);
	}
}

static void kinds_that_are_not_wanted_are_not_shown(void **state)
{
	struct stage *stage = set_stage("");

	(void)state;
	stage->select.kinds &= ~(1U << CHANGE_SYN);
	stage->select.kinds &= ~(1U << CHANGE_TRANSITION);
	knock(stage, true);
	connects(stage, &client);
	closes_first(stage, &client);
	assert_int_equal(stage->count, 0);
	clear_stage(stage);
}

/* Whatever the filter: it may have been the one that was wanted. */
static void losses_are_always_shown(void **state)
{
	union any_record record = {.loss = {.count = 3, .reason = EV_LOST_RING_FULL}};
	struct stage *stage = set_stage("local port 1 and pid 1 and state listen");

	(void)state;
	stage->select.kinds &= ~(1U << CHANGE_TRANSITION | 1U << CHANGE_SYN);
	play(stage, &record, EV_LOSS);
	assert_int_equal(stage->count, 1);
	assert_int_equal(stage->lines[0].kind, CHANGE_LOSS);
	clear_stage(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_filter_all_is_shown_at_once),
		cmocka_unit_test(a_local_port_loses_nothing),
		cmocka_unit_test(a_withheld_line_is_as_it_would_have_been),
		cmocka_unit_test(another_local_port_is_not_shown),
		cmocka_unit_test(undecided_for_ever_is_not_shown),
		cmocka_unit_test(a_pid_finds_its_passive_connections),
		cmocka_unit_test(a_pid_does_not_find_others),
		cmocka_unit_test(not_a_pid_waits_as_well),
		cmocka_unit_test(what_is_decided_already_does_not_wait),
		cmocka_unit_test(each_withheld_line_is_judged_by_its_states),
		cmocka_unit_test(lives_wait_apart),
		cmocka_unit_test(nothing_is_left_for_the_next_life_of_an_id),
		cmocka_unit_test(a_gap_is_not_told_over),
		cmocka_unit_test(a_life_without_its_beginning_is_told_from_its_first_record),
		cmocka_unit_test(beyond_the_limit_it_is_shown),
		cmocka_unit_test(every_life_is_told_whole_or_not),
		cmocka_unit_test(a_passive_life_with_its_syn_waits_as_well),
		cmocka_unit_test(lives_are_shown_by_what_is_known_at_their_end),
		cmocka_unit_test(a_life_that_stays_undecided_is_not_shown),
		cmocka_unit_test(a_listener_is_no_connection),
		cmocka_unit_test(syns_are_shown_by_what_they_say),
		cmocka_unit_test(kinds_that_are_not_wanted_are_not_shown),
		cmocka_unit_test(losses_are_always_shown),
	};

	return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
