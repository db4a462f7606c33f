/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/listeners.c: the sums that must hold after any
 * steps, clients that wait, the bound of the table, and which listener a sample
 * or an address stands for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static bool out_of_memory;

static void *limited_malloc(size_t size)
{
	return out_of_memory ? NULL : malloc(size);
}

static void *limited_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : calloc(count, size);
}

#define malloc(size) limited_malloc(size)
#define calloc(count, size) limited_calloc(count, size)
#include "base/histogram.c"
#include "base/idmap.c"
#include "model/owners.c"
#include "model/clients.c"
#include "model/listeners.c"
#undef malloc
#undef calloc

enum {
	NETNS = 77,
	OTHER_NETNS = 78,
	PORT = 80,
	NOT_KNOWN = 0
};
#define NO_TIME UINT64_MAX

static const uint8_t here[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
static const uint8_t also_here[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};
static const uint8_t here6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- what every test has ---- */

static struct owners owners;
static struct listeners listeners;

static int set_up(void **state)
{
	(void)state;
	out_of_memory = false;
	return owners__init(&owners, 1) || listeners__init(&listeners, &owners, 1);
}

static int tear_down(void **state)
{
	(void)state;
	out_of_memory = false;
	listeners__fini(&listeners);
	owners__fini(&owners);
	return 0;
}

/* A client's port is its name; 0 is a peer that is not known. */
static struct ev_handshake make_step(uint8_t outcome, uint8_t detail, uint16_t client)
{
	struct ev_handshake step = {
		.header.kind = outcome <= EV_SYN_DROPPED ? EV_SYN : EV_HANDSHAKE,
		.netns = NETNS,
		.family = AF_INET,
		.outcome = outcome,
		.detail = detail,
		.local_port = PORT,
		.remote_port = client,
		.limit = 128,
	};

	memcpy(step.local, here, sizeof(here));
	memcpy(step.remote, also_here, sizeof(also_here));
	return step;
}

static void take_step(struct listener *listener, uint8_t outcome, uint8_t detail, uint16_t client)
{
	struct ev_handshake step = make_step(outcome, detail, client);

	listeners__step(&listeners, listener, &step, NO_TIME, false);
}

static struct ev_listener make_sample(uint64_t cookie, const uint8_t local[16], uint16_t port)
{
	struct ev_listener sample = {
		.conn_id = cookie,
		.netns = NETNS,
		.family = memcmp(local, any4, 12) ? AF_INET6 : AF_INET,
		.local_port = port,
		.limit = 128,
		.somaxconn = 4096,
	};

	memcpy(sample.local, local, sizeof(sample.local));
	return sample;
}

static struct listener *take_sample(uint64_t cookie, const uint8_t local[16], uint32_t drops)
{
	struct ev_listener sample = make_sample(cookie, local, PORT);

	sample.drops = drops;
	listeners__sample(&listeners, &sample);
	return listeners__find(&listeners, cookie);
}

/* As the model makes one from listen() (follow_listener). */
static struct listener *begin(uint64_t key, const uint8_t local[16])
{
	struct listener *listener = listeners__get(&listeners, key);

	assert_non_null(listener);
	listener->netns = NETNS;
	listener->family = AF_INET;
	listener->local.port = PORT;
	memcpy(listener->local.addr, local, sizeof(listener->local.addr));
	listener->limit = 128;
	listener->flags = LISTENER_PLACE_KNOWN;
	return listener;
}

/* The same where the kernel gives no cookies (5.10). */
static struct listener *begin_by_address(uint64_t key, const uint8_t local[16])
{
	struct listener *listener = begin(key, local);

	listener->flags |= LISTENER_ADOPTED;
	return listener;
}

static struct listener *serving(const uint8_t addr[16])
{
	return listeners__serving(&listeners, NETNS, addr, PORT);
}

static struct listener *adopt(uint64_t key, const uint8_t addr[16])
{
	return listeners__adopt(&listeners, key, NETNS, addr, PORT);
}

static struct listener *bear(uint64_t key, bool by_address, uint64_t time_ns)
{
	const struct listener_birth birth = {
		.key = key,
		.id = key + time_ns * 1000,
		.by_address = by_address,
		.netns = NETNS,
		.addr = here,
		.port = PORT,
		.time_ns = time_ns,
	};
	struct listener *listener = listeners__born(&listeners, &birth);

	assert_non_null(listener);
	listener->flags = LISTENER_PLACE_KNOWN | (listener->flags & LISTENER_DROPS_KNOWN);
	if (by_address)
		listener->flags |= LISTENER_ADOPTED;
	listener->netns = NETNS;
	listener->local.port = PORT;
	memcpy(listener->local.addr, here, sizeof(here));
	return listener;
}

static uint32_t count_listeners(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < listeners.used; i++)
		count += listeners.all[i] != NULL;
	assert_int_equal(count, listeners.by_key.used);
	return count;
}

/* ---- sums ---- */

enum {
	CLIENTS = 64,
	STEPS = 20000
};

/* What a client of one listener is doing. */
enum {
	IDLE,
	WAITING,
	IN_QUEUE
};

struct crowd {
	struct listener *listener;
	uint8_t doing[CLIENTS];
	bool late[CLIENTS]; /* a SYN or third ACK of this connection was dropped */
	uint64_t syns, unknown, in_queue, waiting, served_late;
};

/* Any outcome of a SYN; a queue is never longer than its limit here. */
static void random_syn(struct crowd *crowd, unsigned int client)
{
	struct ev_handshake step =
		make_step(random_u64() % (EV_SYN_DROPPED + 1), 0, (uint16_t)(1000 + client));

	if (step.outcome == EV_SYN_DROPPED)
		step.detail = random_u64() % EV_DROP_END;
	step.syn_queue_len = (uint32_t)crowd->in_queue;
	listeners__step(&listeners, crowd->listener, &step, NO_TIME, false);
	crowd->syns++;
	crowd->unknown += step.outcome == EV_SYN_UNKNOWN;
	if (step.outcome == EV_SYN_DROPPED) {
		crowd->waiting += crowd->doing[client] == IDLE;
		crowd->doing[client] = WAITING;
	} else if (step.outcome == EV_SYN_QUEUED || step.outcome == EV_SYN_FASTOPEN) {
		crowd->late[client] = crowd->doing[client] == WAITING;
		crowd->waiting -= crowd->late[client];
		crowd->served_late += crowd->late[client];
		crowd->doing[client] = step.outcome == EV_SYN_QUEUED ? IN_QUEUE : IDLE;
		crowd->in_queue += step.outcome == EV_SYN_QUEUED;
	}
}

static void random_request_step(struct crowd *crowd, unsigned int client)
{
	uint8_t outcome = (uint8_t)(EV_REQUEST_RETRANSMITTED +
				    random_u64() % (EV_OUTCOME_END - EV_REQUEST_RETRANSMITTED));
	struct ev_handshake step = make_step(outcome, 0, (uint16_t)(1000 + client));
	bool blocked = outcome == EV_REQUEST_COMPLETED && random_u64() % 4 == 0;

	step.syn_queue_len = (uint32_t)crowd->in_queue;
	listeners__step(&listeners, crowd->listener, &step, random_u64() % 1000, blocked);
	if (outcome == EV_REQUEST_RETRANSMITTED || outcome == EV_REQUEST_OVERFLOW)
		return;
	crowd->served_late += blocked && !crowd->late[client];
	crowd->doing[client] = IDLE;
	crowd->in_queue--;
}

static void check_sums(const struct crowd *crowd)
{
	const struct listener *l = crowd->listener;

	assert_int_equal(l->syns, crowd->syns);
	assert_int_equal(l->syns,
			 l->queued + l->cookies + l->fastopen + listener__drops(l) + crowd->unknown);
	assert_int_equal(listener__pending(l), crowd->in_queue);
	assert_int_equal(l->queued,
			 l->completed + l->timed_out + l->reset + l->abandoned + listener__pending(l));
	assert_int_equal(l->syn_queue.len, crowd->in_queue);
	assert_true(l->syn_queue.max >= l->syn_queue.len && l->accept_queue.max >= l->accept_queue.len);
	assert_int_equal(l->blocked, crowd->waiting);
	assert_int_equal(l->delayed, crowd->served_late);
	assert_int_equal(l->handshake_us.count, l->completed);
}

/* Two listeners with clients of the same names: neither counts the other's. */
static void sums_hold_after_any_step(void **state)
{
	static struct crowd crowds[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		crowds[i].listener = begin(0x10 + (uint64_t)i, here);
	for (int step = 0; step < STEPS; step++) {
		struct crowd *crowd = &crowds[random_u64() % 2];
		unsigned int client = random_u64() % CLIENTS;

		if (crowd->doing[client] == IN_QUEUE)
			random_request_step(crowd, client);
		else
			random_syn(crowd, client);
		check_sums(crowd);
	}
	for (int i = 0; i < 2; i++) {
		assert_true(crowds[i].listener->delayed && crowds[i].listener->timed_out);
		assert_true(crowds[i].listener->overflows && crowds[i].listener->retransmits);
	}
}

/* sockops: no more is seen than that, so no sum is made of it. */
static void admitted_syns_stand_by_themselves(void **state)
{
	struct listener *listener = begin(1, here);
	struct ev_handshake step = make_step(EV_SYN_QUEUED, 0, 4000);

	(void)state;
	step.header.kind = EV_ADMITTED;
	step.syn_queue_len = 6;
	step.accept_queue_len = 2;
	for (int i = 0; i < 3; i++)
		listeners__admitted(&listeners, listener, &step);
	assert_int_equal(listener->admitted, 3);
	assert_int_equal(listener->syns + listener->queued + listener__pending(listener), 0);
	assert_int_equal(listener->syn_queue.len, 7);
	assert_int_equal(listener->accept_queue.max, 2);
	/* The next sample tells the depth, as nothing tells that a request is gone. */
	take_sample(1, here, 0);
	assert_int_equal(listener->syn_queue.len, 0);
}

/* Queued before the start: more leave the queue than were seen to come in. */
static void pending_is_never_negative(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	take_step(listener, EV_REQUEST_COMPLETED, EV_VIA_SYN_QUEUE, 1);
	take_step(listener, EV_REQUEST_TIMED_OUT, 0, 2);
	assert_int_equal(listener__pending(listener), 0);
}

static void completions_by_their_way(void **state)
{
	struct listener *listener = begin(1, here);
	struct ev_handshake step = make_step(EV_REQUEST_COMPLETED, EV_VIA_COOKIE, 1);

	(void)state;
	step.accept_queue_len = 4;
	step.syn_queue_len = 3;
	listeners__step(&listeners, listener, &step, 50, false);
	assert_int_equal(listener->completed_by_cookie, 1);
	assert_int_equal(listener->completed, 0);
	assert_int_equal(listener->syn_queue.len, 3);
	assert_int_equal(listener->accept_queue.len, 5);
	step.detail = EV_VIA_SYN_QUEUE;
	listeners__step(&listeners, listener, &step, NO_TIME, false);
	assert_int_equal(listener->completed, 1);
	assert_int_equal(listener->syn_queue.len, 2);
	assert_int_equal(listener->handshake_us.count, 1);
	assert_int_equal(listener->handshake_us.max, 50);
}

/* A depth that a dropped SYN found is as true as one that it made. */
static void depths_have_high_water_marks(void **state)
{
	struct listener *listener = begin(1, here);
	struct ev_handshake step = make_step(EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, 1);

	(void)state;
	step.syn_queue_len = 128;
	step.accept_queue_len = 100;
	step.limit = 127;
	listeners__step(&listeners, listener, &step, NO_TIME, false);
	step = make_step(EV_SYN_QUEUED, 0, 2);
	step.syn_queue_len = 7;
	step.accept_queue_len = 8;
	listeners__step(&listeners, listener, &step, NO_TIME, false);
	assert_int_equal(listener->syn_queue.len, 8);
	assert_int_equal(listener->syn_queue.max, 128);
	assert_int_equal(listener->accept_queue.len, 8);
	assert_int_equal(listener->accept_queue.max, 100);
	assert_int_equal(listener->limit, 128);
}

static void accepted_with_and_without_its_listener(void **state)
{
	struct listener *listener = begin(1, here);
	struct ev_accept accept = {.listener_socket = 9, .accept_queue_len = 3, .limit = 64};

	(void)state;
	listener__accepted(listener, &accept, 70);
	assert_int_equal(listener->accept_queue.len, 3);
	assert_int_equal(listener->limit, 64);
	accept = (struct ev_accept){0};
	listener__accepted(listener, &accept, NO_TIME);
	assert_int_equal(listener->accepted, 2);
	assert_int_equal(listener->accept_queue.len, 3);
	assert_int_equal(listener->limit, 64);
	assert_int_equal(listener->accept_wait_us.count, 1);
	assert_int_equal(histogram__quantile(&listener->accept_wait_us, 0.99), 70);
}

/* ---- clients that wait ---- */

static void a_client_is_blocked_once(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	for (int i = 0; i < 5; i++)
		take_step(listener, EV_SYN_DROPPED, EV_DROP_ACCEPT_QUEUE_FULL, 4000);
	assert_int_equal(listener->blocked, 1);
	assert_int_equal(listener->needed, 129);
	assert_int_equal(listener__drops(listener), 5);
	take_step(listener, EV_SYN_QUEUED, 0, 4000);
	assert_int_equal(listener->blocked, 0);
	assert_int_equal(listener->delayed, 1);
	take_step(listener, EV_REQUEST_COMPLETED, EV_VIA_SYN_QUEUE, 4000);
	take_step(listener, EV_SYN_QUEUED, 0, 4000);
	assert_int_equal(listener->delayed, 1);
	assert_int_equal(listener->needed, 129);
}

/* The same port of another address, and the same client of another listener. */
static void clients_are_told_apart(void **state)
{
	struct listener *one = begin(1, here), *two = begin(2, also_here);
	struct ev_handshake step = make_step(EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, 4000);

	(void)state;
	listeners__step(&listeners, one, &step, NO_TIME, false);
	listeners__step(&listeners, two, &step, NO_TIME, false);
	step.remote[15]++;
	listeners__step(&listeners, one, &step, NO_TIME, false);
	assert_int_equal(one->blocked, 2);
	assert_int_equal(two->blocked, 1);
	take_step(two, EV_SYN_QUEUED, 0, 4000);
	assert_int_equal(two->delayed, 1);
	assert_int_equal(one->blocked, 2);
	assert_int_equal(one->delayed, 0);
}

static void served_by_every_way(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	for (uint16_t client = 1; client <= 3; client++)
		take_step(listener, EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, client);
	take_step(listener, EV_SYN_FASTOPEN, 0, 1);
	assert_int_equal(listener->delayed, 1);
	/* Answered with a cookie it still has to come back. */
	take_step(listener, EV_SYN_COOKIE, 0, 2);
	assert_int_equal(listener->delayed, 1);
	take_step(listener, EV_REQUEST_COMPLETED, EV_VIA_COOKIE, 2);
	assert_int_equal(listener->delayed, 2);
	/* Its SYN that was queued is not known: lost. */
	take_step(listener, EV_REQUEST_COMPLETED, EV_VIA_SYN_QUEUE, 3);
	assert_int_equal(listener->delayed, 3);
	assert_int_equal(listener->blocked, 0);
	assert_int_equal(clients__count(&listeners.clients), 0);
}

/* First the SYN is dropped, then the third ACK: one connection that came late. */
static void delayed_twice_is_one(void **state)
{
	struct listener *listener = begin(1, here);
	struct ev_handshake step;

	(void)state;
	take_step(listener, EV_SYN_DROPPED, EV_DROP_ACCEPT_QUEUE_FULL, 4000);
	take_step(listener, EV_SYN_QUEUED, 0, 4000);
	take_step(listener, EV_REQUEST_OVERFLOW, 0, 4000);
	step = make_step(EV_REQUEST_COMPLETED, EV_VIA_SYN_QUEUE, 4000);
	listeners__step(&listeners, listener, &step, NO_TIME, true);
	assert_int_equal(listener->delayed, 1);
	/* Only the third ACK: one more. */
	take_step(listener, EV_SYN_QUEUED, 0, 4000);
	listeners__step(&listeners, listener, &step, NO_TIME, true);
	assert_int_equal(listener->delayed, 2);
	assert_int_equal(clients__count(&listeners.clients), 0);
}

/* A request that ends without a connection takes its client off the books. */
static void ended_requests_leave_nothing(void **state)
{
	static const uint8_t ends[] = {EV_REQUEST_TIMED_OUT, EV_REQUEST_RESET,
				       EV_REQUEST_LISTENER_CLOSED};
	struct listener *listener = begin(1, here);

	(void)state;
	for (size_t i = 0; i < sizeof(ends); i++) {
		take_step(listener, EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, 4000);
		take_step(listener, EV_SYN_QUEUED, 0, 4000);
		take_step(listener, EV_REQUEST_RETRANSMITTED, 0, 4000);
		assert_int_equal(clients__count(&listeners.clients), 1);
		take_step(listener, ends[i], 0, 4000);
		assert_int_equal(clients__count(&listeners.clients), 0);
	}
	assert_int_equal(listener->delayed, 3);
	assert_int_equal(listener__pending(listener), 0);
}

/* The most clients that waited at a time, beyond what there was room for. */
static void needed_backlog_is_that_of_the_burst(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	assert_int_equal(listener->needed, 0);
	for (uint16_t client = 1; client <= 10; client++)
		take_step(listener, EV_SYN_DROPPED, EV_DROP_ACCEPT_QUEUE_FULL, client);
	assert_int_equal(listener->needed, 138);
	for (uint16_t client = 1; client <= 10; client++)
		take_step(listener, EV_SYN_QUEUED, 0, client);
	for (uint16_t client = 11; client <= 15; client++)
		take_step(listener, EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, client);
	assert_int_equal(listener->blocked, 5);
	assert_int_equal(listener->needed, 138);
}

/* What is dropped for another cause would be dropped with any backlog. */
static void no_backlog_helps_against_other_causes(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	take_step(listener, EV_SYN_DROPPED, EV_DROP_OTHER, 1);
	take_step(listener, EV_SYN_DROPPED, EV_DROP_LAST_QUARTER, 2);
	assert_int_equal(listener->needed, 0);
	assert_int_equal(listener->blocked, 2);
	take_step(listener, EV_SYN_QUEUED, 0, 1);
	assert_int_equal(listener->delayed, 1);
}

static void a_peer_that_is_not_known_does_not_wait(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	for (int i = 0; i < 3; i++)
		take_step(listener, EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, NOT_KNOWN);
	assert_int_equal(listener->dropped[EV_DROP_SYN_QUEUE_FULL], 3);
	assert_int_equal(listener->blocked, 0);
	assert_int_equal(listener->needed, 0);
	take_step(listener, EV_SYN_QUEUED, 0, NOT_KNOWN);
	assert_int_equal(listener->delayed, 0);
}

static void remembered_clients_are_bounded(void **state)
{
	struct listener *listener = begin(1, here);
	struct ev_handshake step = make_step(EV_SYN_DROPPED, EV_DROP_SYN_QUEUE_FULL, 1);

	(void)state;
	for (uint32_t i = 0; i < CLIENTS_MAX + 100; i++) {
		memcpy(step.remote + 12, &i, sizeof(i));
		listeners__step(&listeners, listener, &step, NO_TIME, false);
	}
	assert_int_equal(clients__count(&listeners.clients), CLIENTS_MAX);
	assert_int_equal(listener->blocked, CLIENTS_MAX);
	assert_int_equal(listener->syns, CLIENTS_MAX + 100);
}

/* ---- clients that give up ---- */

enum { SECOND = 1000000000 };

static void step_at(struct listener *listener, uint64_t second, uint8_t outcome, uint16_t client)
{
	struct ev_handshake step =
		make_step(outcome, outcome == EV_SYN_DROPPED ? EV_DROP_ACCEPT_QUEUE_FULL : 0, client);

	step.header.time_ns = (1000 + second) * SECOND;
	listeners__step(&listeners, listener, &step, NO_TIME, false);
}

/* It sends its SYN again up to the 63rd second, and is then heard of no more:
 * it is off the books within two generations, and never counted twice. */
static void a_client_that_gives_up(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	for (uint64_t second = 0; second < 64; second = 2 * second + 1)
		step_at(listener, second, EV_SYN_DROPPED, 4000);
	step_at(listener, 64, EV_SYN_COOKIE, 1);
	assert_int_equal(listener->blocked, 1);
	step_at(listener, 127, EV_SYN_COOKIE, 1);
	assert_int_equal(listener->blocked, 1);
	assert_int_equal(listener->gave_up, 0);
	step_at(listener, 63 + 128, EV_SYN_COOKIE, 1);
	assert_int_equal(listener->blocked, 0);
	assert_int_equal(listener->silent, 0);
	assert_int_equal(listener->gave_up, 1);
	assert_int_equal(listener->delayed, 0);
	assert_int_equal(clients__count(&listeners.clients), 0);
	step_at(listener, 1000, EV_SYN_COOKIE, 1);
	assert_int_equal(listener->gave_up, 1);
}

/* As long as it is heard of within 64 s it waits, however long that takes. */
static void a_client_that_goes_on_waiting(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	for (uint64_t second = 0; second < 2000; second += 60)
		step_at(listener, second, EV_SYN_DROPPED, 4000);
	assert_int_equal(listener->blocked, 1);
	assert_int_equal(listener->gave_up, 0);
	assert_int_equal(listener->needed, 129);
	step_at(listener, 2030, EV_SYN_QUEUED, 4000);
	assert_int_equal(listener->blocked, 0);
	assert_int_equal(listener->silent, 0);
	assert_int_equal(listener->delayed, 1);
}

/* Ten clients a minute that come and give up: the backlog that would have done
 * is for those who wait at a time, not for all there ever were. */
static void needed_does_not_grow_with_those_who_gave_up(void **state)
{
	struct listener *listener = begin(1, here);

	(void)state;
	for (uint16_t minute = 0; minute < 60; minute++)
		for (uint16_t client = 0; client < 10; client++)
			step_at(listener, (uint64_t)minute * 60, EV_SYN_DROPPED,
				(uint16_t)(1 + minute * 10 + client));
	assert_int_equal(listener->blocked + listener->gave_up, 600);
	assert_true(listener->blocked <= 30);
	assert_true(listener->needed <= 128 + 30);
	listeners__age(&listeners, (uint64_t)9999 * SECOND);
	assert_int_equal(listener->blocked, 0);
	assert_int_equal(listener->gave_up, 600);
}

/* Served from the old generation, and records that come out of order. */
static void the_old_generation_is_served_too(void **state)
{
	struct listener *one = begin(1, here), *two = begin(2, here);

	(void)state;
	step_at(one, 0, EV_SYN_DROPPED, 4000);
	step_at(two, 0, EV_SYN_DROPPED, 4000);
	step_at(two, 65, EV_SYN_DROPPED, 4001);
	assert_int_equal(one->silent, 1);
	assert_int_equal(two->blocked, 2);
	step_at(one, 64, EV_SYN_FASTOPEN, 4000);
	assert_int_equal(one->delayed, 1);
	assert_int_equal(one->blocked + one->silent, 0);
	step_at(two, 130, EV_SYN_COOKIE, 1);
	assert_int_equal(two->blocked, 1);
	assert_int_equal(two->gave_up, 1);
	assert_int_equal(one->gave_up, 0);
}

/* ---- the table ---- */

static void get_makes_one_and_finds_it(void **state)
{
	struct listener *listener = listeners__get(&listeners, 5);

	(void)state;
	assert_non_null(listener);
	assert_int_equal(listener->key, 5);
	assert_int_equal(listener->owner, OWNER_NONE);
	assert_ptr_equal(listeners__get(&listeners, 5), listener);
	assert_ptr_equal(listeners__find(&listeners, 5), listener);
	assert_null(listeners__find(&listeners, 6));
	assert_int_equal(count_listeners(), 1);
}

/* Seen by a SYN only: that is where it listens, as far as is known. */
static void a_step_makes_the_place_known(void **state)
{
	struct listener *listener = listeners__get(&listeners, 5);

	(void)state;
	assert_null(serving(here));
	take_step(listener, EV_SYN_QUEUED, 0, 1);
	assert_int_equal(listener->flags, LISTENER_PLACE_KNOWN | LISTENER_PREEXISTING);
	assert_ptr_equal(serving(here), listener);
	assert_null(serving(also_here));
}

static void the_bound_counts_what_is_not_kept(void **state)
{
	(void)state;
	for (uint64_t key = 1; key <= LISTENERS_MAX; key++)
		assert_non_null(listeners__get(&listeners, key));
	assert_int_equal(listeners__not_kept(&listeners), 0);
	assert_null(listeners__get(&listeners, LISTENERS_MAX + 1));
	assert_null(adopt(LISTENERS_MAX + 2, here));
	assert_null(take_sample(LISTENERS_MAX + 3, here, 0));
	assert_int_equal(listeners__not_kept(&listeners), 3);
	assert_int_equal(count_listeners(), LISTENERS_MAX);
	for (uint64_t key = 1; key <= LISTENERS_MAX; key++)
		assert_non_null(listeners__find(&listeners, key));
}

/* A listener that comes again and again is one that is not kept, until there is
 * room for it or it has closed. */
static void not_kept_are_counted_once(void **state)
{
	(void)state;
	for (uint64_t key = 1; key <= LISTENERS_MAX; key++)
		listeners__get(&listeners, key);
	for (int i = 0; i < 5; i++)
		for (uint64_t key = 10001; key <= 10003; key++)
			assert_null(listeners__get(&listeners, key));
	assert_int_equal(listeners__not_kept(&listeners), 3);
	listeners__close(&listeners, 10001);
	assert_int_equal(listeners__not_kept(&listeners), 2);
	listeners__close(&listeners, 7);
	assert_non_null(listeners__get(&listeners, 10002));
	assert_int_equal(listeners__not_kept(&listeners), 1);
	assert_null(listeners__find(&listeners, 7));
}

/* Each gives its place, its key and its owner back. */
static void closed_listeners_go_first(void **state)
{
	struct ev_owner owner = {.pid = 7, .comm = "nginx"};
	uint32_t index = owners__intern(&owners, &owner, 0);

	(void)state;
	for (uint64_t key = 1; key <= LISTENERS_MAX; key++) {
		struct listener *listener = listeners__get(&listeners, key);

		listener->owner = owners__intern(&owners, &owner, 0);
		assert_int_equal(listener->owner, index);
		if (key == 100 || key == 4000)
			listener->flags |= LISTENER_CLOSED;
	}
	assert_int_equal(entry_at(&owners, index)->references, LISTENERS_MAX + 1);
	assert_non_null(listeners__get(&listeners, 10001));
	assert_non_null(listeners__get(&listeners, 10002));
	assert_null(listeners__get(&listeners, 10003));
	assert_null(listeners__find(&listeners, 100));
	assert_null(listeners__find(&listeners, 4000));
	assert_int_equal(listeners__not_kept(&listeners), 1);
	assert_int_equal(count_listeners(), LISTENERS_MAX);
	assert_int_equal(entry_at(&owners, index)->references, LISTENERS_MAX - 1);
	assert_int_equal(listeners__find(&listeners, 10002)->owner, OWNER_NONE);
}

static void without_memory(void **state)
{
	struct listeners none;

	(void)state;
	out_of_memory = true;
	assert_int_equal(listeners__init(&none, &owners, 1), -ENOMEM);
	listeners__fini(&none);
	assert_null(listeners__get(&listeners, 1));
	assert_null(adopt(2, here));
	assert_null(take_sample(3, here, 0));
	assert_int_equal(listeners__not_kept(&listeners), 3);
	out_of_memory = false;
	assert_non_null(listeners__get(&listeners, 1));
	assert_int_equal(count_listeners(), 1);
}

/* ---- which one serves ---- */

static void an_address_goes_before_a_wildcard(void **state)
{
	struct listener *dual = begin(1, any6), *v4 = begin(2, any4), *bound = begin(3, here);

	(void)state;
	assert_ptr_equal(serving(here), bound);
	assert_ptr_equal(serving(also_here), v4);
	assert_ptr_equal(serving(here6), dual);
	bound->flags |= LISTENER_CLOSED;
	assert_ptr_equal(serving(here), v4);
	v4->flags |= LISTENER_CLOSED;
	assert_ptr_equal(serving(here), dual);
	dual->flags |= LISTENER_CLOSED;
	assert_null(serving(here));
}

static void an_ipv4_wildcard_does_not_serve_ipv6(void **state)
{
	struct listener *v4 = begin(1, any4);

	(void)state;
	assert_ptr_equal(serving(here), v4);
	assert_null(serving(here6));
	assert_null(listeners__serving(&listeners, NETNS, here, PORT + 1));
	assert_null(listeners__serving(&listeners, OTHER_NETNS, here, PORT));
}

/* ---- samples ---- */

static void a_sample_makes_a_listener(void **state)
{
	struct ev_listener sample = make_sample(9, any6, PORT);
	struct listener *l;

	(void)state;
	sample.syn_queue_len = 3;
	sample.accept_queue_len = 4;
	sample.drops = 5;
	sample.owner = (struct ev_owner){.pid = 7, .comm = "nginx"};
	listeners__sample(&listeners, &sample);
	l = listeners__find(&listeners, 9);
	assert_non_null(l);
	assert_int_equal(l->flags, LISTENER_PLACE_KNOWN | LISTENER_PREEXISTING | LISTENER_DROPS_KNOWN);
	assert_int_equal(l->limit, 128);
	assert_int_equal(l->somaxconn, 4096);
	assert_int_equal(l->sk_drops, 5);
	assert_int_equal(l->syn_queue.max, 3);
	assert_int_equal(l->accept_queue.len, 4);
	assert_int_equal(owners__get(&owners, l->owner)->pid, 7);
	assert_ptr_equal(serving(here), l);
}

/* Later samples have no owner, and do not take it away. */
static void samples_are_matched_by_cookie(void **state)
{
	struct ev_listener sample = make_sample(9, here, PORT);
	struct listener *listener = begin(9, here);
	struct ev_owner nginx = {.pid = 7, .comm = "nginx"};

	(void)state;
	listener->owner = owners__intern(&owners, &nginx, 0);
	sample.owner = (struct ev_owner){.pid = 8, .comm = "heir"};
	sample.accept_queue_len = 6;
	for (int i = 0; i < 3; i++)
		listeners__sample(&listeners, &sample);
	assert_int_equal(count_listeners(), 1);
	assert_int_equal(listener->accept_queue.max, 6);
	assert_int_equal(owners__get(&owners, listener->owner)->pid, 7);
	assert_false(listener->flags & LISTENER_PREEXISTING);
	assert_true(listener->flags & LISTENER_DROPS_KNOWN);
	sample.accept_queue_len = 2;
	listeners__sample(&listeners, &sample);
	assert_int_equal(listener->accept_queue.len, 2);
	assert_int_equal(listener->accept_queue.max, 6);
}

/* A SYN was first: it tells neither the wildcard nor who listens. */
static void a_sample_corrects_the_place_of_a_step(void **state)
{
	struct ev_listener sample = make_sample(9, any4, PORT);
	struct listener *listener = listeners__get(&listeners, 9);

	(void)state;
	take_step(listener, EV_SYN_QUEUED, 0, 1);
	sample.owner = (struct ev_owner){.pid = 7, .comm = "nginx"};
	listeners__sample(&listeners, &sample);
	assert_int_equal(count_listeners(), 1);
	assert_ptr_equal(serving(also_here), listener);
	assert_int_equal(owners__get(&owners, listener->owner)->pid, 7);
	assert_int_equal(listener->queued, 1);
}

/* The requests are counted only where no event tells of them. */
static void a_sample_without_requests_leaves_the_syn_queue(void **state)
{
	struct ev_handshake step = make_step(EV_SYN_QUEUED, 0, 1);
	struct listener *listener = take_sample(9, here, 0);

	(void)state;
	step.syn_queue_len = 6;
	listeners__step(&listeners, listener, &step, NO_TIME, false);
	take_sample(9, here, 0);
	assert_int_equal(listener->syn_queue.len, 7);
	assert_int_equal(listener->accept_queue.len, 0);
}

/* 5.10: listen() was seen and gave an address; the sample has a cookie. */
static void samples_are_matched_by_place(void **state)
{
	struct listener *listener = begin_by_address(0xabc, here), *other = begin_by_address(0xdef, also_here);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_null(take_sample(9, here, 4));
	assert_int_equal(listener->sk_drops, 4);
	assert_false(other->flags & LISTENER_DROPS_KNOWN);
	/* Another namespace, another port: not this one. */
	for (uint64_t i = 0; i < 2; i++) {
		struct ev_listener sample = make_sample(10 + i, also_here, (uint16_t)(PORT + i));

		sample.netns = i ? NETNS : OTHER_NETNS;
		listeners__sample(&listeners, &sample);
		assert_non_null(listeners__find(&listeners, 10 + i));
	}
	assert_false(other->flags & LISTENER_DROPS_KNOWN);
	assert_int_equal(count_listeners(), 4);
}

/* From 6.1 on a listener that was born under a cookie is that one, and a sample
 * with another cookie at its place is another socket's. */
static void a_cookie_takes_no_sample_of_its_place(void **state)
{
	struct listener *born = begin(5, here), *other;

	(void)state;
	other = take_sample(6, here, 40);
	assert_non_null(other);
	assert_ptr_not_equal(other, born);
	assert_false(born->flags & LISTENER_DROPS_KNOWN);
	take_sample(5, here, 1);
	assert_int_equal(born->sk_drops, 1);
	assert_int_equal(other->sk_drops, 40);
}

static void sample_at(uint64_t cookie, const uint8_t local[16], uint32_t netns, uint64_t time_ns)
{
	struct ev_listener sample = make_sample(cookie, local, PORT);

	sample.netns = netns;
	sample.accept_queue_len = 3;
	sample.header.time_ns = time_ns;
	listeners__sample(&listeners, &sample);
}

static bool is_open(uint64_t key)
{
	return !(listeners__find(&listeners, key)->flags & LISTENER_CLOSED);
}

/* Only those of that namespace, only those that had been sampled, only by a
 * later sample. */
static void who_is_lacking_has_closed(void **state)
{
	struct listener *born = begin(4, here6);

	(void)state;
	for (uint64_t cookie = 1; cookie <= 2; cookie++)
		sample_at(cookie, here, NETNS, 100);
	sample_at(3, here, OTHER_NETNS, 100);
	listeners__sampled(&listeners, NETNS, 100);
	assert_true(is_open(1) && is_open(2));
	sample_at(2, here, NETNS, 200);
	assert_true(is_open(1));
	listeners__sampled(&listeners, NETNS, 200);
	assert_false(is_open(1));
	assert_int_equal(listeners__find(&listeners, 1)->accept_queue.len, 0);
	assert_int_equal(listeners__find(&listeners, 1)->accept_queue.max, 3);
	assert_true(is_open(2) && is_open(3));
	assert_false(born->flags & LISTENER_CLOSED);
	listeners__sampled(&listeners, 0, 300);
	assert_false(is_open(2) || is_open(3));
	assert_false(born->flags & LISTENER_CLOSED);
}

/* 5.10: known by the address of its socket only, and its CLOSE was lost before a sample
 * had shown it. While its place is one of a group it may be any of them. */
static void who_is_known_by_address_closes_with_its_place(void **state)
{
	struct listener *one, *two, *late;

	(void)state;
	one = bear(0xabc, true, 10);
	two = bear(0xabd, true, 20);
	sample_at(8, here, NETNS, 100);
	sample_at(9, here, NETNS, 100);
	listeners__sampled(&listeners, NETNS, 100);
	assert_false((one->flags | two->flags) & LISTENER_CLOSED);
	late = bear(0xabe, true, 300);
	listeners__sampled(&listeners, OTHER_NETNS, 200);
	assert_false((one->flags | two->flags) & LISTENER_CLOSED);
	sample_at(8, also_here, NETNS, 200);
	listeners__sampled(&listeners, NETNS, 200);
	assert_true(one->flags & two->flags & LISTENER_CLOSED);
	assert_false(late->flags & LISTENER_CLOSED);
}

/* The kernel's tables changed during the dump, and it was passed over. */
static void who_is_sampled_again_is_open_again(void **state)
{
	(void)state;
	sample_at(1, here, NETNS, 100);
	listeners__sampled(&listeners, NETNS, 200);
	assert_false(is_open(1));
	sample_at(1, here, NETNS, 300);
	assert_true(is_open(1));
	/* An event has told that it closed: a sample from before does not undo it. */
	listeners__close(&listeners, 1);
	sample_at(1, here, NETNS, 400);
	assert_false(is_open(1));
}

/* The socket has closed and the port is listened on anew. */
static void a_closed_listener_takes_no_sample(void **state)
{
	struct listener *old = begin_by_address(0xabc, here);

	(void)state;
	take_sample(9, here, 4);
	old->flags |= LISTENER_CLOSED;
	assert_non_null(take_sample(10, here, 1));
	assert_int_equal(old->sk_drops, 4);
	/* A sample that was taken before it closed makes no listener of it. */
	assert_null(take_sample(9, here, 4));
	assert_int_equal(count_listeners(), 2);
}

/* listen() again under an address that had been used before. */
static void a_reused_address_takes_a_new_cookie(void **state)
{
	struct listener *listener = begin_by_address(0xabc, here);

	(void)state;
	take_sample(9, here, 4);
	listener->flags |= LISTENER_CLOSED;
	assert_ptr_equal(begin_by_address(0xabc, here), listener);
	assert_null(take_sample(10, here, 1));
	assert_int_equal(listener->sk_drops, 1);
	assert_int_equal(count_listeners(), 1);
}

/* ---- SO_REUSEPORT: several sockets at one place ---- */

static void samples_of_a_group_stay_apart(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++)
		for (uint64_t cookie = 1; cookie <= 4; cookie++)
			assert_non_null(take_sample(cookie, any4, (uint32_t)cookie * 10));
	assert_int_equal(count_listeners(), 4);
	for (uint64_t cookie = 1; cookie <= 4; cookie++)
		assert_int_equal(listeners__find(&listeners, cookie)->sk_drops, cookie * 10);
}

/* One by its listen(), one by a SYN, one by a sample, all under cookies. */
static void a_group_known_by_cookies(void **state)
{
	struct listener *born = begin(1, here), *stepped = listeners__get(&listeners, 2), *sampled_only;

	(void)state;
	take_step(stepped, EV_SYN_QUEUED, 0, 1);
	for (int round = 0; round < 2; round++) {
		take_sample(1, here, 10);
		take_sample(2, here, 20);
		sampled_only = take_sample(3, here, 30);
	}
	assert_int_equal(count_listeners(), 3);
	assert_int_equal(born->sk_drops, 10);
	assert_int_equal(stepped->sk_drops, 20);
	assert_int_equal(sampled_only->sk_drops, 30);
	assert_int_equal(stepped->queued, 1);
}

static void a_step_under_a_cookie_takes_no_sample_of_another(void **state)
{
	struct listener *stepped = listeners__get(&listeners, 2);

	(void)state;
	take_step(stepped, EV_SYN_QUEUED, 0, 1);
	assert_non_null(take_sample(3, here, 30));
	assert_false(stepped->flags & LISTENER_DROPS_KNOWN);
	take_sample(2, here, 20);
	assert_int_equal(stepped->sk_drops, 20);
}

/* 5.10: two of one place have addresses, and no sample tells which is which. */
static void a_group_known_by_addresses_takes_no_sample(void **state)
{
	struct listener *one = begin_by_address(0xabc, here), *two = begin_by_address(0xdef, here);

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_non_null(take_sample(1, here, 10));
		assert_non_null(take_sample(2, here, 20));
	}
	assert_int_equal(count_listeners(), 4);
	assert_false((one->flags | two->flags) & LISTENER_DROPS_KNOWN);
}

/* One was there and is known by its cookie; the next is born and sampled. */
static void a_group_that_grows(void **state)
{
	struct listener *one = begin_by_address(0xabc, here), *two;

	(void)state;
	take_sample(1, here, 10);
	two = begin_by_address(0xdef, here);
	for (int round = 0; round < 2; round++) {
		assert_null(take_sample(1, here, 10));
		assert_null(take_sample(2, here, 20));
	}
	assert_int_equal(count_listeners(), 2);
	assert_int_equal(one->sk_drops, 10);
	assert_int_equal(two->sk_drops, 20);
}

/* ---- samples whose address an event tells ---- */

static void an_address_takes_over_its_sample(void **state)
{
	struct listener *listener = take_sample(9, any4, 4);

	(void)state;
	assert_ptr_equal(adopt(0xabc, here), listener);
	assert_int_equal(listener->key, 0xabc);
	assert_null(listeners__find(&listeners, 9));
	assert_ptr_equal(adopt(0xabc, here), listener);
	assert_ptr_equal(adopt(0xabc, also_here), listener);
	take_sample(9, any4, 5);
	assert_int_equal(listener->sk_drops, 5);
	assert_int_equal(count_listeners(), 1);
	/* The next socket at this place is another one. */
	assert_ptr_not_equal(adopt(0xdef, here), listener);
	assert_int_equal(count_listeners(), 2);
}

static void only_the_best_fit_is_taken_over(void **state)
{
	struct listener *wildcard = take_sample(1, any4, 0), *bound = take_sample(2, here, 0);

	(void)state;
	assert_ptr_equal(adopt(0xabc, here), bound);
	/* Of the group of that address, not the wildcard's. */
	assert_ptr_not_equal(adopt(0xabd, here), wildcard);
	assert_ptr_equal(adopt(0xdef, also_here), wildcard);
}

static void nothing_of_another_place_is_taken_over(void **state)
{
	struct listener *listener = take_sample(9, here, 0);

	(void)state;
	assert_ptr_not_equal(listeners__adopt(&listeners, 1, OTHER_NETNS, here, PORT), listener);
	assert_ptr_not_equal(listeners__adopt(&listeners, 2, NETNS, here, PORT + 1), listener);
	assert_ptr_not_equal(listeners__adopt(&listeners, 3, NETNS, also_here, PORT), listener);
	listener->flags |= LISTENER_CLOSED;
	assert_ptr_not_equal(adopt(4, here), listener);
	assert_int_equal(listener->key, 9);
}

/* Whose listen() was seen has its key already, be it a cookie or an address. */
static void a_born_listener_is_not_taken_over(void **state)
{
	struct listener *listener = begin_by_address(0xabc, here);

	(void)state;
	take_sample(9, here, 0);
	assert_ptr_not_equal(adopt(0xdef, here), listener);
	assert_int_equal(listener->key, 0xabc);
}

/* Known by their SYNs only: the second must not take over the first. */
static void addresses_of_a_group_stay_apart(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++)
		for (uint64_t key = 0xa1; key <= 0xa3; key++)
			for (uint64_t i = 0; i < key - 0xa0; i++)
				take_step(adopt(key, here), EV_SYN_QUEUED, 0, 1);
	assert_int_equal(count_listeners(), 3);
	for (uint64_t key = 0xa1; key <= 0xa3; key++)
		assert_int_equal(listeners__find(&listeners, key)->queued, 3 * (key - 0xa0));
}

/* Which of two samples it is cannot be known: it is neither. */
static void an_address_takes_over_none_of_a_group(void **state)
{
	struct listener *one = take_sample(1, here, 10), *two = take_sample(2, here, 20), *seen;

	(void)state;
	seen = adopt(0xabc, here);
	assert_non_null(seen);
	assert_false(seen == one || seen == two);
	take_step(seen, EV_SYN_QUEUED, 0, 1);
	for (int round = 0; round < 2; round++) {
		assert_ptr_equal(take_sample(1, here, 11), one);
		assert_ptr_equal(take_sample(2, here, 21), two);
		assert_ptr_equal(adopt(0xabc, here), seen);
	}
	assert_int_equal(count_listeners(), 3);
	assert_int_equal(one->sk_drops, 11);
	assert_int_equal(two->sk_drops, 21);
	assert_false(seen->flags & LISTENER_DROPS_KNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Born at 50 and sampled at 100, its record read behind the sample: one listener,
 * not two. Another socket at the place, born at 150, is not the sampled one. */
static void a_sample_before_the_record_of_the_birth(void **state)
{
	struct ev_listener sample = make_sample(9, here, PORT);
	struct listener *sampled, *born, *later;

	(void)state;
	sample.header.time_ns = 100;
	listeners__sample(&listeners, &sample);
	sampled = listeners__find(&listeners, 9);
	later = bear(78, true, 150);
	assert_ptr_not_equal(later, sampled);
	assert_int_equal(later->id, 150078);
	born = bear(77, true, 50);
	assert_ptr_equal(born, sampled);
	assert_int_equal(born->id, 9); /* as it was shown first */
	assert_ptr_equal(listeners__find(&listeners, 77), born);
	assert_null(listeners__find(&listeners, 9));
	assert_int_equal(count_listeners(), 2);
}

/* 5.10: the address of a socket that is gone is the next one's. */
static void an_address_is_used_again(void **state)
{
	struct listener *first = bear(0xabc, true, 1), *second, *third;

	(void)state;
	take_step(first, EV_SYN_QUEUED, 0, 1);
	listeners__close(&listeners, 0xabc);
	second = bear(0xabc, true, 2);
	assert_ptr_not_equal(second, first);
	assert_ptr_equal(adopt(0xabc, here), second);
	assert_int_equal(first->syns, 1);
	assert_int_equal(second->syns, 0);
	assert_true(first->flags & LISTENER_CLOSED);
	assert_int_not_equal(first->id, second->id);
	/* Also when its CLOSE was lost. */
	third = bear(0xabc, true, 3);
	assert_ptr_not_equal(third, second);
	assert_true(second->flags & LISTENER_CLOSED);
	assert_int_equal(count_listeners(), 3);
}

/* shutdown() and listen() again: by its cookie it is the same one, whose sums go
 * on; by its address it is another, and the samples are that one's. */
static void a_socket_listens_again(void **state)
{
	struct listener *known = bear(7, false, 1), *first, *second;

	(void)state;
	take_step(known, EV_SYN_QUEUED, 0, 1);
	listeners__close(&listeners, 7);
	assert_ptr_equal(bear(7, false, 2), known);
	assert_int_equal(known->syns, 1);
	assert_false(known->flags & LISTENER_CLOSED);
	listeners__close(&listeners, 7);

	first = bear(0xabc, true, 3);
	take_sample(9, here, 10);
	assert_int_equal(first->sk_drops, 10);
	listeners__close(&listeners, 0xabc);
	second = bear(0xabc, true, 4);
	take_sample(9, here, 11);
	assert_int_equal(first->sk_drops, 10);
	assert_int_equal(second->sk_drops, 11);
	assert_int_equal(count_listeners(), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_is_used_again),
		TEST(a_socket_listens_again),
		TEST(sums_hold_after_any_step),
		TEST(admitted_syns_stand_by_themselves),
		TEST(pending_is_never_negative),
		TEST(completions_by_their_way),
		TEST(depths_have_high_water_marks),
		TEST(accepted_with_and_without_its_listener),
		TEST(a_client_is_blocked_once),
		TEST(clients_are_told_apart),
		TEST(served_by_every_way),
		TEST(delayed_twice_is_one),
		TEST(ended_requests_leave_nothing),
		TEST(needed_backlog_is_that_of_the_burst),
		TEST(no_backlog_helps_against_other_causes),
		TEST(a_peer_that_is_not_known_does_not_wait),
		TEST(remembered_clients_are_bounded),
		TEST(a_client_that_gives_up),
		TEST(a_client_that_goes_on_waiting),
		TEST(needed_does_not_grow_with_those_who_gave_up),
		TEST(the_old_generation_is_served_too),
		TEST(get_makes_one_and_finds_it),
		TEST(a_step_makes_the_place_known),
		TEST(the_bound_counts_what_is_not_kept),
		TEST(not_kept_are_counted_once),
		TEST(closed_listeners_go_first),
		TEST(without_memory),
		TEST(an_address_goes_before_a_wildcard),
		TEST(an_ipv4_wildcard_does_not_serve_ipv6),
		TEST(a_sample_makes_a_listener),
		TEST(samples_are_matched_by_cookie),
		TEST(a_sample_corrects_the_place_of_a_step),
		TEST(a_sample_without_requests_leaves_the_syn_queue),
		TEST(samples_are_matched_by_place),
		TEST(a_cookie_takes_no_sample_of_its_place),
		TEST(who_is_lacking_has_closed),
		TEST(who_is_known_by_address_closes_with_its_place),
		TEST(who_is_sampled_again_is_open_again),
		TEST(a_closed_listener_takes_no_sample),
		TEST(a_reused_address_takes_a_new_cookie),
		TEST(samples_of_a_group_stay_apart),
		TEST(a_group_known_by_cookies),
		TEST(a_step_under_a_cookie_takes_no_sample_of_another),
		TEST(a_group_known_by_addresses_takes_no_sample),
		TEST(a_group_that_grows),
		TEST(an_address_takes_over_its_sample),
		TEST(only_the_best_fit_is_taken_over),
		TEST(nothing_of_another_place_is_taken_over),
		TEST(a_born_listener_is_not_taken_over),
		TEST(addresses_of_a_group_stay_apart),
		TEST(an_address_takes_over_none_of_a_group),
		TEST(a_sample_before_the_record_of_the_birth),
	};

	return cmocka_run_group_tests_name("listeners", tests, NULL, NULL);
}
