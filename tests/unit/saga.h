/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of a whole model share: it, with all that it is made of, and records
 * for it. Every record goes through the decoder first, and its bytes are freed before
 * the next one, so that ASan sees a model that keeps what it only borrowed.
 */
#pragma GCC diagnostic ignored "-Wunused-function" /* each test uses its part */
#pragma GCC diagnostic ignored "-Wunused-const-variable"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool out_of_memory;

static void *limited_realloc(void *old, size_t size)
{
	return out_of_memory ? NULL : realloc(old, size);
}

static void *limited_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : calloc(count, size);
}

#define realloc(old, size) limited_realloc(old, size)
#define malloc(size) limited_realloc(NULL, size)
#define calloc(count, size) limited_calloc(count, size)
#include "base/histogram.c"
#include "base/idmap.c"
#include "event/connection.c"
#include "event/decode.c"
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
#undef realloc
#undef malloc
#undef calloc
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

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- feeding the model ---- */

#define US 1000ULL
#define NS_PER_S 1000000000ULL
#define CALL EV_F_IN_SYSCALL
#define ORPHAN EV_F_NO_SOCKET
#define FILE_CLOSED (EV_F_IN_SYSCALL | EV_F_FILE_CLOSED)

/* A connection as its records show it. */
struct peer {
	uint64_t id;
	uint64_t socket_id; /* 0: the id */
	uint8_t local, remote; /* 10.0.0.N; 0: the wildcard */
	uint16_t local_port, remote_port;
	uint32_t netns; /* 0: 1 */
	uint16_t flags; /* besides those of a record */
	const char *comm;
	uint32_t pid; /* 0: no owner in the records */
	uint32_t error; /* of a birth or a close */
};

/* The model, what it said last, and the record that it was told. */
struct saga {
	struct model *model;
	struct changes changes;
	uint64_t now_ns;
	void *bytes; /* owned: the record */
	uint32_t foreseen; /* of it: model__foresee_far() */
};

/* Where no record tells of requests, where one tells of minisockets, and where nobody wants to
 * see transitions. */
static bool requests_sampled, waits_told, keeps_transitions;

static void begin_saga(struct saga *saga, uint32_t max_lives, uint32_t max_ended, uint64_t seed)
{
	struct model_config config = {.seed = seed, .max_lives = max_lives, .max_ended = max_ended,
				      .requests_sampled = requests_sampled, .waits_told = waits_told,
				      .keeps_transitions = keeps_transitions};

	*saga = (struct saga){.model = model__new(&config), .now_ns = 1000 * NS_PER_S};
	assert_non_null(saga->model);
}

static void end_saga(struct saga *saga)
{
	model__free(saga->model);
	free(saga->bytes);
}

/* All that one record, or the passing of time, tells. */
static void collect(void *context, const struct changes *told)
{
	struct changes *all = context;

	assert_true(told->count && all->count + told->count <= CHANGES_MAX);
	memcpy(&all->change[all->count], told->change, told->count * sizeof(told->change[0]));
	all->count += told->count;
}

static void forget_changes(struct saga *saga)
{
	memset(&saga->changes, 0x5a, sizeof(saga->changes));
	saga->changes.count = 0;
}

static int apply(struct saga *saga, const void *bytes, size_t len)
{
	struct record record;

	free(saga->bytes);
	saga->bytes = malloc(len);
	memcpy(saga->bytes, bytes, len);
	saga->foreseen = model__foresee_far(saga->model, saga->bytes);
	if (saga->foreseen)
		flow_table__fetch_tuple(model__flows(saga->model), saga->foreseen);
	assert_int_equal(record__decode(&record, saga->bytes, len), 0);
	forget_changes(saga);
	return model__apply(saga->model, &record, collect, &saga->changes);
}

static struct ev_header header(const struct saga *saga, enum ev_kind kind)
{
	return (struct ev_header){.len = (uint16_t)record__size(kind),
				  .version = EV_VERSION,
				  .kind = (uint8_t)kind,
				  .time_ns = saga->now_ns};
}

static struct ev_transition transition(const struct saga *saga, enum ev_kind kind, const struct peer *peer,
				       uint8_t old, uint8_t new, uint16_t flags)
{
	return (struct ev_transition){
		.header = header(saga, kind),
		.conn_id = peer->id,
		.old_state = old,
		.new_state = new,
		.local_port = peer->local_port,
		.remote_port = peer->remote_port,
		.flags = flags | peer->flags,
	};
}

static void put_v4(uint8_t addr[16], uint8_t last)
{
	memset(addr, 0, 16);
	addr[10] = addr[11] = 0xff;
	if (last) {
		addr[12] = 10;
		addr[15] = last;
	}
}

static struct ev_place place(const struct peer *peer)
{
	struct ev_place place = {
		.socket_id = peer->socket_id ? peer->socket_id : peer->id,
		.netns = peer->netns ? peer->netns : 1,
		.family = AF_INET,
	};

	put_v4(place.local, peer->local);
	put_v4(place.remote, peer->remote);
	return place;
}

static struct ev_owner owner(const struct peer *peer)
{
	struct ev_owner owner = {.pid = peer->pid};

	if (!peer->pid)
		return owner;
	owner.tid = peer->pid;
	owner.uid = 1000;
	if (peer->comm)
		memcpy(owner.comm, peer->comm, strlen(peer->comm));
	return owner;
}

/* Each step is so long after the one before. */
static void wait_us(struct saga *saga, uint64_t us)
{
	saga->now_ns += us * US;
}

static const struct changes *step(struct saga *saga, const struct peer *peer, uint8_t old, uint8_t new,
				  uint16_t flags)
{
	struct ev_transition t = transition(saga, EV_TRANSITION, peer, old, new, flags);

	assert_int_equal(apply(saga, &t, sizeof(t)), 0);
	return &saga->changes;
}

static const struct changes *owned(struct saga *saga, const struct peer *peer, uint8_t old, uint8_t new,
				   uint16_t flags)
{
	struct ev_transition_owned r = {
		.transition = transition(saga, EV_TRANSITION_OWNED, peer, old, new, flags),
		.owner = owner(peer),
	};

	assert_int_equal(apply(saga, &r, sizeof(r)), 0);
	return &saga->changes;
}

static int try_birth(struct saga *saga, const struct peer *peer, uint8_t old, uint8_t new, uint16_t flags)
{
	struct ev_birth r = {
		.transition = transition(saga, EV_BIRTH, peer, old, new, flags),
		.place = place(peer),
		.owner = owner(peer),
		.error = peer->error,
	};

	return apply(saga, &r, sizeof(r));
}

static const struct changes *birth(struct saga *saga, const struct peer *peer, uint8_t old, uint8_t new,
				   uint16_t flags)
{
	assert_int_equal(try_birth(saga, peer, old, new, flags), 0);
	return &saga->changes;
}

static const struct changes *closed(struct saga *saga, const struct peer *peer, uint8_t old, uint16_t flags)
{
	struct ev_close r = {
		.transition = transition(saga, EV_CLOSE, peer, old, EV_STATE_CLOSE, flags),
		.place = place(peer),
		.owner = owner(peer),
		.totals = {.bytes_sent = 120, .bytes_received = 4096, .retransmits = 2, .error = peer->error},
	};

	assert_int_equal(apply(saga, &r, sizeof(r)), 0);
	return &saga->changes;
}

/* CLOSE-SYN_SENT, where the port is not known unless it was bound. */
static const struct changes *connects(struct saga *saga, const struct peer *peer)
{
	struct peer unbound = *peer;

	unbound.local_port = 0;
	return birth(saga, &unbound, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
}

/* The clone's records: up to 6.12 the first one has the listener's address and
 * no peer; its id is always the socket's. */
static const struct changes *arrives(struct saga *saga, const struct peer *peer)
{
	struct peer clone = *peer;

	clone.id = peer->socket_id;
	clone.remote = 0;
	clone.remote_port = 0;
	clone.flags |= EV_F_ID_IS_ADDRESS;
	return step(saga, &clone, EV_LISTEN, EV_SYN_RECV, ORPHAN);
}

static const struct changes *completes(struct saga *saga, const struct peer *peer)
{
	struct peer quiet = *peer;

	quiet.pid = 0; /* in softirq nobody acts */
	return birth(saga, &quiet, EV_SYN_RECV, EV_ESTABLISHED, ORPHAN);
}

static const struct change *only(const struct changes *changes, enum change_kind kind)
{
	assert_int_equal(changes->count, 1);
	assert_int_equal(changes->change[0].kind, kind);
	return &changes->change[0];
}

static const struct change *check_change(const struct change *change, uint8_t old, uint8_t new,
					 uint64_t in_old_ns)
{
	assert_int_equal(change->kind, CHANGE_TRANSITION);
	assert_int_equal(change->old_state, old);
	assert_int_equal(change->new_state, new);
	assert_true(change->in_old_ns == in_old_ns);
	return change;
}

static const struct peer client = {.id = 0x10, .local = 1, .remote = 2, .local_port = 43210,
				   .remote_port = 5432, .pid = 42, .comm = "php-fpm"};
static const struct peer server = {.id = 0x20, .socket_id = 0xbeef, .local = 2, .remote = 1,
				   .local_port = 5432, .remote_port = 43210, .pid = 7, .comm = "postgres"};

/* ---- records that are no transitions ---- */

/* A step at the listener 0x77; id is the request's, 0 where the kernel gives it
 * none or there is none. */
static const struct changes *happens_in_detail(struct saga *saga, enum ev_kind kind, uint64_t id,
					       uint8_t outcome, uint8_t detail)
{
	struct ev_handshake step = {
		.header = header(saga, kind),
		.conn_id = id,
		.listener_id = 0x77,
		.listener_socket = 0x770,
		.netns = 1,
		.family = AF_INET,
		.outcome = outcome,
		.detail = detail,
		.local_port = server.local_port,
		.remote_port = server.remote_port,
		.accept_queue_len = 3,
		.limit = 128,
	};

	put_v4(step.local, server.local);
	put_v4(step.remote, server.remote);
	assert_int_equal(apply(saga, &step, sizeof(step)), 0);
	return &saga->changes;
}

static const struct changes *happens(struct saga *saga, enum ev_kind kind, uint64_t id, uint8_t outcome)
{
	return happens_in_detail(saga, kind, id, outcome, 0);
}

/* A step of the minisocket that this connection leaves. */
static const struct changes *waits(struct saga *saga, const struct peer *peer, uint8_t phase, uint8_t substate,
				   uint8_t end)
{
	struct ev_timewait record = {
		.header = header(saga, EV_TIMEWAIT),
		.conn_id = peer->id,
		.netns = peer->netns ? peer->netns : 1,
		.family = AF_INET,
		.phase = phase,
		.substate = substate,
		.end = end,
		.local_port = peer->local_port,
		.remote_port = peer->remote_port,
	};

	put_v4(record.local, peer->local);
	put_v4(record.remote, peer->remote);
	assert_int_equal(apply(saga, &record, sizeof(record)), 0);
	return &saga->changes;
}

static const struct changes *accepts(struct saga *saga, uint32_t pid)
{
	struct ev_accept record = {
		.header = header(saga, EV_ACCEPT),
		.conn_id = server.id,
		.listener_id = 0x77,
		.listener_socket = 0x770,
		.netns = 1,
		.family = AF_INET,
		.local_port = server.local_port,
		.remote_port = server.remote_port,
		.owner = {.pid = pid, .tid = pid, .comm = "worker"},
	};

	put_v4(record.local, server.local);
	put_v4(record.remote, server.remote);
	assert_int_equal(apply(saga, &record, sizeof(record)), 0);
	return &saga->changes;
}

/* ---- anything ---- */

static void random_record(struct saga *saga, uint64_t r)
{
	struct peer peer = {
		.id = 1 + r % 13,
		.socket_id = 1 + r / 13 % 17,
		.local = 1,
		.remote = (uint8_t)(1 + r / 221 % 2),
		.local_port = (uint16_t)(r >> 12 & 3),
		.remote_port = (uint16_t)(r >> 14 & 3),
		.flags = r >> 16 & 1 ? EV_F_ID_IS_ADDRESS : 0,
		.pid = r >> 17 & 7,
		.comm = "any",
		.error = r >> 20 & 1 ? ECONNRESET : 0,
	};
	uint8_t old = (uint8_t)(1 + (r >> 24) % (EV_STATE_END - 1));
	uint8_t new = (uint8_t)(1 + (r >> 32) % (EV_STATE_END - 1));
	uint16_t flags = r >> 40 & (CALL | ORPHAN | EV_F_FILE_CLOSED);

	saga->now_ns += (r >> 48) % 2000;
	switch (r >> 44 & 15) {
	case 0:
		connects(saga, &peer);
		break;
	case 8:
		happens(saga, EV_SYN, r & 1 ? peer.id : 0, (uint8_t)(r >> 32 & 1 ? EV_SYN_QUEUED : EV_SYN_COOKIE));
		break;
	case 9:
		happens(saga, EV_HANDSHAKE, r & 1 ? peer.id : 0,
			(uint8_t)(EV_REQUEST_RETRANSMITTED + (r >> 32) % (EV_OUTCOME_END - EV_REQUEST_RETRANSMITTED)));
		break;
	case 10:
		accepts(saga, 1 + (r >> 17 & 7));
		break;
	case 6:
		waits(saga, &peer, r >> 32 & 1 ? EV_WAIT_BEGIN : EV_WAIT_PROMOTED, EV_FIN_WAIT2, 0);
		break;
	case 7:
		waits(saga, &peer, EV_WAIT_END, EV_TIME_WAIT, (uint8_t)(1 + (r >> 32) % (EV_WAIT_END_END - 1)));
		break;
	case 1:
		arrives(saga, &peer);
		break;
	case 2:
		completes(saga, &peer);
		break;
	case 3:
		closed(saga, &peer, old, flags);
		break;
	case 4:
		birth(saga, &peer, old, new, flags);
		break;
	case 5:
		owned(saga, &peer, old, new, flags);
		break;
	default:
		step(saga, &peer, old, new, flags);
	}
}

static void expect_same_change(const struct change *a, const struct change *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->old_state, b->old_state);
	assert_int_equal(a->new_state, b->new_state);
	assert_true(a->time_ns == b->time_ns && a->in_old_ns == b->in_old_ns);
	assert_int_equal(!a->owner, !b->owner);
	if (a->owner)
		assert_int_equal(a->owner->pid, b->owner->pid);
	assert_int_equal(!a->life, !b->life);
	assert_true(a->took_ns == b->took_ns);
	if (!a->life || a->life->flags & LIFE_SYN_SEEN) /* a request's id may come from its hash */
		return;
	assert_int_equal(a->life->conn, b->life->conn);
	assert_int_equal(a->life->ordinal, b->life->ordinal);
	assert_int_equal(a->life->flags, b->life->flags);
	assert_int_equal(a->life->history_count, b->life->history_count);
	assert_memory_equal(a->life->history, b->life->history,
			    a->life->history_count * sizeof(a->life->history[0]));
}

