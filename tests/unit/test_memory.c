/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a model holds when a million lives have come and gone: what it held when
 * it was warm. Lives of every kind, with owners and cgroups that come again, each
 * through the decoder. LIVES changes their number; make check-san plays them all.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t held; /* bytes */

static void *counted(void *block)
{
	held += malloc_usable_size(block);
	return block;
}

static void uncount(void *block)
{
	held -= malloc_usable_size(block);
}

static void *counted_realloc(void *old, size_t size)
{
	uncount(old);
	return counted(realloc(old, size));
}

static void counted_free(void *block)
{
	uncount(block);
	free(block);
}

static void *counted_malloc(size_t size)
{
	return counted(malloc(size));
}

static void *counted_calloc(size_t count, size_t size)
{
	return counted(calloc(count, size));
}

static char *counted_strdup(const char *text)
{
	return counted(strdup(text));
}

#define realloc counted_realloc
#define malloc counted_malloc
#define calloc counted_calloc
#define strdup counted_strdup
#define free(block) counted_free(block)
#include "base/histogram.c"
#include "base/idmap.c"
#include "event/connection.c"
#include "event/decode.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "model/departed.c"
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
#undef slot_of
#include "model/import.c"
#include "model/parts.c"
#include "model/transitions.c"
#include "model/requests.c"
#include "model/minisockets.c"
#include "model/rows.c"
#include "model/model.c"
#undef realloc
#undef malloc
#undef calloc
#undef strdup
#undef free

enum {
	LIVES = 200000,
	WARM = 100000,	      /* until everything has been there once */
	MAX_LIVES = 20000,
	MAX_ENDED = 2000,
	WAITING = 5000,	      /* minisockets at a time */
	OWNERS = 700,
	CGROUPS = 50,
	REMOTES = 251,
};

/* The lives so far, and what is left of the last WAITING of them. */
struct saga {
	struct model *model;
	uint64_t now_ns;
	uint64_t next_id;
	uint64_t began_ns; /* of the dump under way */
	struct ev_timewait waits[WAITING]; /* header.len 0: none */
	unsigned int next_wait;
};

static void tell_nobody(void *context, const struct changes *changes)
{
	(void)context;
	(void)changes;
}

static void apply(struct saga *saga, void *bytes)
{
	struct ev_header *header = bytes;
	struct record record;

	header->version = EV_VERSION;
	header->time_ns = saga->now_ns += 1000;
	assert_int_equal(record__decode(&record, bytes, header->len), 0);
	assert_int_equal(model__apply(saga->model, &record, tell_nobody, NULL), 0);
}

#define HEADER(KIND, TYPE) .header = {.len = sizeof(struct TYPE), .kind = (KIND)}

static struct ev_owner made_owner(uint64_t id)
{
	struct ev_owner owner = {.cgroup = 1 + id % CGROUPS, .start_cs = 1};

	owner.pid = owner.tid = (uint32_t)(1 + id % OWNERS);
	snprintf(owner.comm, sizeof(owner.comm), "worker/%u", owner.pid);
	return owner;
}

static void put_addr(uint8_t addr[16], uint64_t host)
{
	addr[10] = addr[11] = 0xff;
	addr[12] = 10;
	addr[15] = (uint8_t)(1 + host % REMOTES);
}

static uint16_t port_of(uint64_t id)
{
	return (uint16_t)(32768 + id % 28000);
}

static struct ev_transition transition(uint64_t id, uint8_t old, uint8_t new)
{
	return (struct ev_transition){
		HEADER(EV_TRANSITION, ev_transition),
		.conn_id = id,
		.old_state = old,
		.new_state = new,
		.local_port = port_of(id),
		.remote_port = 80,
	};
}

static void moves(struct saga *saga, uint64_t id, uint8_t old, uint8_t new)
{
	struct ev_transition t = transition(id, old, new);

	apply(saga, &t);
}

static struct ev_place place_of(uint64_t id)
{
	struct ev_place place = {.socket_id = id, .netns = 1, .family = AF_INET};

	put_addr(place.local, 0);
	put_addr(place.remote, id);
	return place;
}

static void is_born(struct saga *saga, uint64_t id, uint8_t old, uint8_t new)
{
	struct ev_birth birth = {.transition = transition(id, old, new), .place = place_of(id)};

	birth.transition.header = (struct ev_header){.len = sizeof(birth), .kind = EV_BIRTH};
	if (new != EV_ESTABLISHED) /* in softirq nobody acts */
		birth.owner = made_owner(id);
	apply(saga, &birth);
}

static void closes(struct saga *saga, uint64_t id, uint8_t old, uint32_t error)
{
	struct ev_close record = {.transition = transition(id, old, EV_STATE_CLOSE), .place = place_of(id),
				  .owner = made_owner(id), .totals = {.error = error}};

	record.transition.header = (struct ev_header){.len = sizeof(record), .kind = EV_CLOSE};
	apply(saga, &record);
}

static void knocks(struct saga *saga, enum ev_kind kind, uint64_t id, uint8_t outcome)
{
	struct ev_handshake step = {
		HEADER(kind, ev_handshake),
		.conn_id = id,
		.listener_id = 7,
		.netns = 1,
		.family = AF_INET,
		.outcome = outcome,
		.local_port = port_of(id),
		.remote_port = 80,
		.limit = 128,
	};

	put_addr(step.local, 0);
	put_addr(step.remote, id);
	apply(saga, &step);
}

static void is_accepted(struct saga *saga, uint64_t id)
{
	struct ev_accept accept = {
		HEADER(EV_ACCEPT, ev_accept),
		.conn_id = id,
		.listener_id = 7,
		.netns = 1,
		.family = AF_INET,
		.local_port = port_of(id),
		.remote_port = 80,
		.owner = made_owner(id),
	};

	put_addr(accept.local, 0);
	put_addr(accept.remote, id);
	apply(saga, &accept);
}

static void is_shown(struct saga *saga, uint64_t id)
{
	struct ev_socket row = {
		HEADER(EV_SOCKET, ev_socket),
		.conn_id = id,
		.netns = 1,
		.family = AF_INET,
		.state = EV_ESTABLISHED,
		.kind = EV_SOCKET_FULL,
		.local_port = port_of(id),
		.remote_port = 80,
		.owner = made_owner(id),
	};

	put_addr(row.local, 0);
	put_addr(row.remote, id);
	apply(saga, &row);
}

static void dumps(struct saga *saga, uint32_t netns, uint32_t states)
{
	struct ev_dump dump = {HEADER(EV_DUMP, ev_dump), .netns = netns, .states = states};

	if (!states)
		saga->began_ns = saga->now_ns;
	dump.began_ns = saga->began_ns;
	apply(saga, &dump);
}

static void names_a_cgroup(struct saga *saga, uint64_t id)
{
	struct ev_cgroup cgroup = {HEADER(EV_CGROUP, ev_cgroup), .id = 1 + id % CGROUPS};

	snprintf(cgroup.path, sizeof(cgroup.path), "/system.slice/of-%u.service", (unsigned int)(id % CGROUPS));
	apply(saga, &cgroup);
}

/* The oldest minisocket gives its place in the ring to the next. */
static void end_oldest_wait(struct saga *saga)
{
	struct ev_timewait *wait = &saga->waits[saga->next_wait];

	saga->next_wait = (saga->next_wait + 1) % WAITING;
	if (!wait->header.len)
		return;
	wait->phase = EV_WAIT_END;
	wait->end = EV_WAIT_EXPIRED;
	apply(saga, wait);
	wait->header.len = 0;
}

static void waits(struct saga *saga, uint64_t id)
{
	struct ev_timewait wait = {
		HEADER(EV_TIMEWAIT, ev_timewait),
		.conn_id = id,
		.netns = 1,
		.family = AF_INET,
		.phase = EV_WAIT_BEGIN,
		.substate = EV_TIME_WAIT,
		.local_port = port_of(id),
		.remote_port = 80,
	};
	unsigned int place = saga->next_wait;

	end_oldest_wait(saga);
	put_addr(wait.local, 0);
	put_addr(wait.remote, id);
	apply(saga, &wait);
	saga->waits[place] = wait;
}

/* ---- lives ---- */

static void a_client(struct saga *saga, uint64_t id)
{
	is_born(saga, id, EV_STATE_CLOSE, EV_SYN_SENT);
	moves(saga, id, EV_SYN_SENT, EV_ESTABLISHED);
	moves(saga, id, EV_ESTABLISHED, EV_FIN_WAIT1);
	moves(saga, id, EV_FIN_WAIT1, EV_FIN_WAIT2);
	waits(saga, id);
	closes(saga, id, EV_FIN_WAIT2, 0);
}

static void a_child(struct saga *saga, uint64_t id)
{
	knocks(saga, EV_SYN, id, EV_SYN_QUEUED);
	knocks(saga, EV_HANDSHAKE, id, EV_REQUEST_COMPLETED);
	moves(saga, id, EV_LISTEN, EV_SYN_RECV);
	is_born(saga, id, EV_SYN_RECV, EV_ESTABLISHED);
	is_accepted(saga, id);
	moves(saga, id, EV_ESTABLISHED, EV_CLOSE_WAIT);
	moves(saga, id, EV_CLOSE_WAIT, EV_LAST_ACK);
	closes(saga, id, EV_LAST_ACK, 0);
}

static void a_request(struct saga *saga, uint64_t id)
{
	knocks(saga, EV_SYN, id, EV_SYN_QUEUED);
	knocks(saga, EV_HANDSHAKE, id, EV_REQUEST_TIMED_OUT);
	knocks(saga, EV_SYN, id, EV_SYN_DROPPED);
}

static void refused(struct saga *saga, uint64_t id)
{
	is_born(saga, id, EV_STATE_CLOSE, EV_SYN_SENT);
	closes(saga, id, EV_SYN_SENT, ECONNREFUSED);
}

static void a_listener(struct saga *saga, uint64_t id)
{
	is_born(saga, id, EV_STATE_CLOSE, EV_LISTEN);
	closes(saga, id, EV_LISTEN, 0);
}

/* Known from a dump, and over when two more have not shown it. */
static void in_the_middle(struct saga *saga, uint64_t id)
{
	for (int i = 0; i < 3; i++) {
		dumps(saga, 1, 0);
		if (!i)
			is_shown(saga, id);
		dumps(saga, 1, 1 << EV_ESTABLISHED);
	}
}

static void live(struct saga *saga, uint64_t count)
{
	for (; count; count--) {
		uint64_t id = ++saga->next_id;

		if (id % 10 == 0)
			names_a_cgroup(saga, id);
		if (id % 1000 == 3)
			in_the_middle(saga, id);
		else if (id % 20 == 5)
			a_listener(saga, id);
		else if (id % 4 == 0)
			a_client(saga, id);
		else if (id % 4 == 1)
			a_child(saga, id);
		else if (id % 4 == 2)
			a_request(saga, id);
		else
			refused(saga, id);
	}
	for (unsigned int i = 0; i < WAITING; i++)
		end_oldest_wait(saga);
	assert_int_equal(saga->model->flows.open, 0);
	assert_int_equal(saga->model->waits.count, 0);
}

/* What grows by pages, not by blocks. */
static size_t slots(const struct model *model)
{
	return model->flows.by_key.mask + model->flows.by_tuple.mask;
}

static void a_million_lives_leave_nothing(void **state)
{
	const char *asked = getenv("LIVES");
	uint64_t lives = asked ? strtoull(asked, NULL, 10) : LIVES;
	struct model_config config = {.seed = 1, .max_lives = MAX_LIVES, .max_ended = MAX_ENDED};
	struct saga *saga = calloc(1, sizeof(*saga));
	size_t warm_bytes, warm_slots;
	uint32_t warm_places;

	(void)state;
	assert_non_null(saga);
	assert_true(lives > WARM);
	assert_int_equal(held, 0);
	saga->model = model__new(&config);
	saga->now_ns = 1000000000000;
	dumps(saga, 0, 1 << EV_ESTABLISHED);
	live(saga, WARM);
	warm_bytes = held;
	warm_slots = slots(saga->model);
	warm_places = saga->model->flows.used;
	live(saga, lives - WARM);
	print_message("# %llu lives: %zu bytes are held, after %d it was %zu\n", (unsigned long long)lives,
		      held, WARM, warm_bytes);
	assert_int_equal(held, warm_bytes);
	assert_int_equal(slots(saga->model), warm_slots);
	assert_int_equal(saga->model->flows.used, warm_places);
	assert_int_equal(model__not_kept(saga->model, TABLE_CONNECTIONS), 0);
	model__free(saga->model);
	assert_int_equal(held, 0);
	free(saga);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_lives_leave_nothing),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
