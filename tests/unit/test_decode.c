/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder: a valid sample of every kind is accepted and found by its
 * parts; then one field at a time is spoiled, and the sample must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event/decode.c"

/* Room for the largest record, and a place for each that is 8-byte aligned. */
union sample {
	struct ev_header header;
	struct ev_transition transition;
	struct ev_transition_owned owned;
	struct ev_birth birth;
	struct ev_close close;
	struct ev_handshake handshake;
	struct ev_accept accept;
	struct ev_timewait timewait;
	struct ev_bind bind;
	struct ev_socket socket;
	struct ev_dump dump;
	struct ev_listener listener;
	struct ev_sampled sampled;
	struct ev_netstat netstat;
	struct ev_settings settings;
	struct ev_unread unread;
	struct ev_holder holder;
	struct ev_loss loss;
	struct ev_stop stop;
	struct ev_cgroup cgroup;
	struct ev_life life;
	struct ev_queues queues;
	struct ev_wait_group wait_group;
	struct ev_wait wait;
	struct ev_known known;
	unsigned char bytes[sizeof(struct ev_queues) + 64];
};

static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 0, 0, 5};
static const uint8_t global[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void put_transition(struct ev_transition *transition)
{
	transition->conn_id = 0x1f3a;
	transition->old_state = EV_STATE_CLOSE;
	transition->new_state = EV_SYN_SENT;
	transition->local_port = 43210;
	transition->remote_port = 5432;
	transition->flags = EV_F_IN_SYSCALL;
}

static void put_place(struct ev_place *place)
{
	place->socket_id = 7;
	place->netns = 4026531840u;
	place->family = AF_INET;
	memcpy(place->local, mapped, sizeof(mapped));
	memcpy(place->remote, mapped, sizeof(mapped));
}

static void put_owner(struct ev_owner *owner)
{
	owner->pid = 811;
	owner->tid = 812;
	owner->uid = 33;
	owner->cgroup = 7;
	memcpy(owner->comm, "php-fpm", 7);
}

static void put_handshake(struct ev_handshake *handshake, uint8_t outcome)
{
	handshake->conn_id = 0x1f3b;
	handshake->listener_id = 9;
	handshake->listener_socket = 8;
	handshake->netns = 4026531840u;
	handshake->family = AF_INET;
	handshake->outcome = outcome;
	handshake->local_port = 80;
	handshake->remote_port = 4000;
	memcpy(handshake->local, mapped, sizeof(mapped));
	memcpy(handshake->remote, mapped, sizeof(mapped));
}

static void put_accept(struct ev_accept *accept)
{
	accept->conn_id = 0x1f3b;
	accept->listener_id = 9;
	accept->listener_socket = 8;
	accept->netns = 4026531840u;
	accept->family = AF_INET;
	accept->local_port = 80;
	accept->remote_port = 4000;
	memcpy(accept->local, mapped, sizeof(mapped));
	memcpy(accept->remote, mapped, sizeof(mapped));
	put_owner(&accept->owner);
}

static void put_timewait(struct ev_timewait *wait)
{
	wait->conn_id = 0x1f3b;
	wait->netns = 4026531840u;
	wait->family = AF_INET;
	wait->phase = EV_WAIT_BEGIN;
	wait->substate = EV_FIN_WAIT2;
	wait->local_port = 80;
	wait->remote_port = 4000;
	memcpy(wait->local, mapped, sizeof(mapped));
	memcpy(wait->remote, mapped, sizeof(mapped));
}

static void put_socket(struct ev_socket *socket)
{
	socket->conn_id = 0x1f3b;
	socket->netns = 4026531840u;
	socket->family = AF_INET;
	socket->state = EV_TIME_WAIT;
	socket->kind = EV_SOCKET_MINI;
	socket->local_port = 80;
	socket->remote_port = 4000;
	memcpy(socket->local, mapped, sizeof(mapped));
	memcpy(socket->remote, mapped, sizeof(mapped));
	put_owner(&socket->owner);
}

static void put_listener(struct ev_listener *listener)
{
	listener->conn_id = 9;
	listener->netns = 4026531840u;
	listener->family = AF_INET;
	listener->local_port = 80;
	memcpy(listener->local, mapped, sizeof(mapped));
	put_owner(&listener->owner);
}

static void put_bind(struct ev_bind *bind)
{
	bind->netns = 4026531840u;
	bind->error = EADDRINUSE;
	bind->family = AF_INET6;
	bind->call = EV_CALL_BIND;
	bind->port = 8080;
	bind->protocol = IPPROTO_UDP;
	bind->options = EV_BIND_OPTIONS;
	put_owner(&bind->owner);
}

static void put_holder(struct ev_holder *holder)
{
	holder->refused_ns = 900;
	holder->netns = 4026531840u;
	holder->count = 3;
	holder->local_port = 8080;
	holder->protocol = IPPROTO_TCP;
	holder->family = AF_INET6;
	holder->state = EV_TIME_WAIT;
	holder->mini = 1;
	holder->expires_ms = 41000;
	holder->reuseaddr = EV_ANSWER_YES;
	put_owner(&holder->owner);
}

static void put_unread(struct ev_unread *unread)
{
	unread->netns = 4026531840u;
	unread->family = AF_INET6;
	unread->local_port = 8080;
	unread->remote_port = 40000;
	unread->unread = 301;
}

/* What a model tells of itself. */
static void put_life(struct ev_life *life)
{
	life->conn_id = 0x1f3a;
	life->family = AF_INET;
	life->state = EV_FIN_WAIT2;
	life->role = ROLE_CLIENT;
	life->history_count = 2;
	life->history[0] = (uint64_t)EV_SYN_SENT << EV_HISTORY_TIME_BITS;
	life->history[1] = (uint64_t)EV_FIN_WAIT2 << EV_HISTORY_TIME_BITS | 400;
	memcpy(life->local, mapped, sizeof(mapped));
	memcpy(life->remote, mapped, sizeof(mapped));
	put_owner(&life->owner);
}

static void put_known(union sample *sample)
{
	switch (sample->header.kind) {
	case EV_LIFE:
		put_life(&sample->life);
		break;
	case EV_QUEUES:
		sample->queues.family = AF_INET6;
		put_owner(&sample->queues.owner);
		break;
	case EV_WAIT_GROUP:
		sample->wait_group.role = ROLE_SERVER;
		put_owner(&sample->wait_group.owner);
		break;
	case EV_WAIT:
		sample->wait.substate = EV_TIME_WAIT;
		break;
	case EV_KNOWN:
		sample->known.flags = EV_KNOWN_FLAGS;
		break;
	}
}

static union sample make_sample(unsigned int kind)
{
	union sample sample = {0};

	sample.header.len = record__size(kind);
	sample.header.version = EV_VERSION;
	sample.header.kind = kind;
	sample.header.time_ns = 1000;
	if (kind <= EV_CLOSE)
		put_transition(&sample.transition);
	if (kind == EV_TRANSITION_OWNED)
		put_owner(&sample.owned.owner);
	if (kind == EV_BIRTH || kind == EV_CLOSE) {
		put_place(&sample.birth.place);
		put_owner(&sample.birth.owner);
	}
	if (kind == EV_SYN || kind == EV_ADMITTED)
		put_handshake(&sample.handshake, EV_SYN_QUEUED);
	if (kind == EV_HANDSHAKE)
		put_handshake(&sample.handshake, EV_REQUEST_TIMED_OUT);
	if (kind == EV_ACCEPT)
		put_accept(&sample.accept);
	if (kind == EV_TIMEWAIT)
		put_timewait(&sample.timewait);
	if (kind == EV_BIND)
		put_bind(&sample.bind);
	if (kind == EV_SOCKET)
		put_socket(&sample.socket);
	if (kind == EV_DUMP)
		sample.dump.began_ns = 900;
	if (kind == EV_CGROUP) {
		sample.cgroup.id = 5;
		strcpy(sample.cgroup.path, "/a.slice");
	}
	if (kind == EV_LISTENER)
		put_listener(&sample.listener);
	if (kind == EV_SAMPLED)
		sample.sampled.netns = 4026531840u;
	if (kind == EV_NETSTAT) {
		sample.netstat.netns = 4026531840u;
		sample.netstat.known = 1 << EV_COUNT_LISTEN_DROPS;
		sample.netstat.counters[EV_COUNT_LISTEN_DROPS] = 17;
	}
	if (kind == EV_SETTINGS) {
		sample.settings.netns = 4026531840u;
		sample.settings.known = 1 << EV_SET_TW_REUSE;
		sample.settings.values[EV_SET_TW_REUSE] = 2;
	}
	if (kind == EV_HOLDER)
		put_holder(&sample.holder);
	if (kind == EV_UNREAD)
		put_unread(&sample.unread);
	if (kind == EV_LOSS) {
		sample.loss.since_ns = 900;
		sample.loss.count = 17;
		sample.loss.reason = EV_LOST_RING_FULL;
		sample.loss.of_kind = EV_BIRTH;
	}
	put_known(&sample);
	if (kind == EV_STOP) {
		sample.stop.attempted = 400;
		sample.stop.lost[EV_LOST_RING_FULL] = 17;
	}
	return sample;
}

static const unsigned int kinds[] = {
	EV_TRANSITION, EV_TRANSITION_OWNED, EV_BIRTH, EV_CLOSE, EV_SYN,
	EV_HANDSHAKE,  EV_ACCEPT,	    EV_LOSS,  EV_STOP,	EV_LISTENER,
	EV_SAMPLED,    EV_NETSTAT,	    EV_ADMITTED, EV_TIMEWAIT, EV_SOCKET, EV_DUMP,
	EV_CGROUP,     EV_SETTINGS,	    EV_BIND,	EV_HOLDER, EV_UNREAD,
	EV_LIFE,       EV_QUEUES,	    EV_WAIT_GROUP, EV_WAIT, EV_KNOWN,
};

static int decode(const union sample *sample)
{
	struct record record;

	return record__decode(&record, sample, sample->header.len);
}

/* ---- what is accepted --------------------------------------------------- */

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(record__size(EV_TRANSITION), sizeof(struct ev_transition));
	assert_int_equal(record__size(EV_TRANSITION_OWNED), sizeof(struct ev_transition_owned));
	assert_int_equal(record__size(EV_BIRTH), sizeof(struct ev_birth));
	assert_int_equal(record__size(EV_CLOSE), sizeof(struct ev_close));
	assert_int_equal(record__size(EV_SYN), sizeof(struct ev_handshake));
	assert_int_equal(record__size(EV_HANDSHAKE), sizeof(struct ev_handshake));
	assert_int_equal(record__size(EV_ACCEPT), sizeof(struct ev_accept));
	assert_int_equal(record__size(EV_LOSS), sizeof(struct ev_loss));
	assert_int_equal(record__size(EV_STOP), sizeof(struct ev_stop));
	assert_int_equal(record__size(EV_LISTENER), sizeof(struct ev_listener));
	assert_int_equal(record__size(EV_SAMPLED), sizeof(struct ev_sampled));
	assert_int_equal(record__size(EV_NETSTAT), sizeof(struct ev_netstat));
	assert_int_equal(record__size(EV_SETTINGS), sizeof(struct ev_settings));
	assert_int_equal(record__size(EV_UNREAD), sizeof(struct ev_unread));
	assert_int_equal(record__size(0), 0);
	assert_int_equal(record__size(EV_TIMEWAIT), sizeof(struct ev_timewait));
	assert_int_equal(record__size(EV_SOCKET), sizeof(struct ev_socket));
	assert_int_equal(record__size(EV_DUMP), sizeof(struct ev_dump));
	assert_int_equal(record__size(EV_BIND), sizeof(struct ev_bind));
	assert_int_equal(record__size(EV_CGROUP), sizeof(struct ev_cgroup));
	assert_int_equal(record__size(EV_ADMITTED), sizeof(struct ev_handshake));
	assert_int_equal(record__size(EV_BIND + 1), 0);
	assert_int_equal(record__size(EV_LOSS - 1), 0);
	assert_int_equal(record__size(EV_HOLDER), sizeof(struct ev_holder));
	assert_int_equal(record__size(EV_LIFE), sizeof(struct ev_life));
	assert_int_equal(record__size(EV_QUEUES), sizeof(struct ev_queues));
	assert_int_equal(record__size(EV_WAIT_GROUP), sizeof(struct ev_wait_group));
	assert_int_equal(record__size(EV_WAIT), sizeof(struct ev_wait));
	assert_int_equal(record__size(EV_KNOWN), sizeof(struct ev_known));
	assert_int_equal(record__size(EV_KNOWN + 1), 0);
	assert_int_equal(record__size(256 + EV_BIRTH), 0);
	assert_int_equal(record__size(UINT32_MAX), 0);
}

static const void *owner_in(const union sample *sample)
{
	switch (sample->header.kind) {
	case EV_TRANSITION_OWNED:
		return &sample->owned.owner;
	case EV_BIRTH:
		return &sample->birth.owner;
	case EV_CLOSE:
		return &sample->close.owner;
	case EV_ACCEPT:
		return &sample->accept.owner;
	case EV_BIND:
		return &sample->bind.owner;
	case EV_HOLDER:
		return &sample->holder.owner;
	case EV_LIFE:
		return &sample->life.owner;
	case EV_QUEUES:
		return &sample->queues.owner;
	case EV_WAIT_GROUP:
		return &sample->wait_group.owner;
	case EV_SOCKET:
		return &sample->socket.owner;
	case EV_LISTENER:
		return &sample->listener.owner;
	default:
		return NULL;
	}
}

/* Each part of each kind: at its place, or NULL. */
static void test_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned int kind = kinds[i];
		union sample s = make_sample(kind);
		bool full = kind == EV_BIRTH || kind == EV_CLOSE;
		struct record r;

		memset(&r, 0xee, sizeof(r));
		assert_int_equal(record__decode(&r, &s, s.header.len), 0);
		assert_ptr_equal(r.header, &s);
		assert_ptr_equal(r.transition, kind <= EV_CLOSE ? &s : NULL);
		assert_ptr_equal(r.place, full ? &s.birth.place : NULL);
		assert_ptr_equal(r.owner, owner_in(&s));
		assert_ptr_equal(r.totals, kind == EV_CLOSE ? &s.close.totals : NULL);
		assert_ptr_equal(r.birth, kind == EV_BIRTH ? &s : NULL);
		assert_ptr_equal(r.handshake, kind == EV_SYN || kind == EV_HANDSHAKE || kind == EV_ADMITTED ? &s : NULL);
		assert_ptr_equal(r.accept, kind == EV_ACCEPT ? &s : NULL);
		assert_ptr_equal(r.listener, kind == EV_LISTENER ? &s : NULL);
		assert_ptr_equal(r.timewait, kind == EV_TIMEWAIT ? &s : NULL);
		assert_ptr_equal(r.bind, kind == EV_BIND ? &s : NULL);
		assert_ptr_equal(r.socket, kind == EV_SOCKET ? &s : NULL);
		assert_ptr_equal(r.dump, kind == EV_DUMP ? &s : NULL);
		assert_ptr_equal(r.cgroup, kind == EV_CGROUP ? &s : NULL);
		assert_ptr_equal(r.sampled, kind == EV_SAMPLED ? &s : NULL);
		assert_ptr_equal(r.netstat, kind == EV_NETSTAT ? &s : NULL);
		assert_ptr_equal(r.settings, kind == EV_SETTINGS ? &s : NULL);
		assert_ptr_equal(r.holder, kind == EV_HOLDER ? &s : NULL);
		assert_ptr_equal(r.unread, kind == EV_UNREAD ? &s : NULL);
		assert_ptr_equal(r.life, kind == EV_LIFE ? &s : NULL);
		assert_ptr_equal(r.queues, kind == EV_QUEUES ? &s : NULL);
		assert_ptr_equal(r.wait_group, kind == EV_WAIT_GROUP ? &s : NULL);
		assert_ptr_equal(r.wait, kind == EV_WAIT ? &s : NULL);
		assert_ptr_equal(r.known, kind == EV_KNOWN ? &s : NULL);
		assert_ptr_equal(r.loss, kind == EV_LOSS ? &s : NULL);
		assert_ptr_equal(r.stop, kind == EV_STOP ? &s : NULL);
	}
}

static void test_counters(void **state)
{
	union sample sample = make_sample(EV_NETSTAT);

	(void)state;
	sample.netstat.known = (1U << EV_COUNTER_END) - 1;
	for (unsigned int i = 0; i < EV_COUNTER_END; i++)
		sample.netstat.counters[i] = UINT64_MAX;
	assert_int_equal(decode(&sample), 0);
	sample.netstat.known = 0;
	memset(sample.netstat.counters, 0, sizeof(sample.netstat.counters));
	assert_int_equal(decode(&sample), 0);
}

static void test_unknown_owner_is_null(void **state)
{
	union sample sample = make_sample(EV_CLOSE);
	struct record record;

	(void)state;
	memset(&sample.close.owner, 0, sizeof(sample.close.owner));
	assert_int_equal(record__decode(&record, &sample, sample.header.len), 0);
	assert_null(record.owner);
	assert_non_null(record.totals);

	sample = make_sample(EV_ACCEPT);
	memset(&sample.accept.owner, 0, sizeof(sample.accept.owner));
	assert_int_equal(record__decode(&record, &sample, sample.header.len), 0);
	assert_null(record.owner);
	assert_non_null(record.accept);

	sample = make_sample(EV_LISTENER);
	memset(&sample.listener.owner, 0, sizeof(sample.listener.owner));
	assert_int_equal(record__decode(&record, &sample, sample.header.len), 0);
	assert_null(record.owner);
	assert_non_null(record.listener);
}

/* Every state, flag, reason and kind at the edge of its range. */
static void test_limits_are_accepted(void **state)
{
	union sample sample = make_sample(EV_TRANSITION);

	(void)state;
	for (int i = EV_ESTABLISHED; i < EV_STATE_END; i++) {
		sample.transition.old_state = i;
		sample.transition.new_state = i;
		assert_int_equal(decode(&sample), 0);
	}
	sample.transition.flags = EV_F_ALL;
	assert_int_equal(decode(&sample), 0);

	sample = make_sample(EV_LOSS);
	for (int i = 0; i <= EV_ACCEPT; i++) {
		sample.loss.of_kind = i;
		assert_int_equal(decode(&sample), 0);
	}
	sample.loss.reason = EV_LOST_RECURSION;
	sample.loss.since_ns = sample.header.time_ns;
	assert_int_equal(decode(&sample), 0);

	sample = make_sample(EV_STOP);
	sample.stop.lost[EV_LOSS_REASON_END - 1] = UINT64_MAX;
	assert_int_equal(decode(&sample), 0);

	sample = make_sample(EV_ACCEPT);
	sample.accept.by_address = 1;
	sample.accept.listener_id = sample.accept.listener_socket = 0;
	sample.accept.accept_queue_len = sample.accept.limit = UINT32_MAX;
	assert_int_equal(decode(&sample), 0);
}

/* How many details an outcome of this kind may have, 0: it is not the kind's. */
static unsigned int details_of(unsigned int kind, unsigned int outcome)
{
	if (outcome >= EV_OUTCOME_END || (outcome <= EV_SYN_DROPPED) != (kind == EV_SYN))
		return 0;
	return outcome == EV_SYN_DROPPED	 ? EV_DROP_END
	       : outcome == EV_REQUEST_COMPLETED ? EV_VIA_END
	       : outcome == EV_REQUEST_RESET	 ? EV_RESET_BY_END
						 : 1;
}

/* All there are: a byte of outcome and a byte of detail, for both kinds. */
static void test_outcomes_and_details(void **state)
{
	(void)state;
	for (unsigned int kind = EV_SYN; kind <= EV_HANDSHAKE; kind++) {
		union sample sample = make_sample(kind);

		for (unsigned int both = 0; both <= UINT16_MAX; both++) {
			unsigned int outcome = both >> 8, detail = both & 0xff;

			sample.handshake.outcome = outcome;
			sample.handshake.detail = detail;
			assert_int_equal(decode(&sample),
					 detail < details_of(kind, outcome) ? 0 : -EBADMSG);
		}
	}
}

static void test_addresses(void **state)
{
	union sample sample = make_sample(EV_BIRTH);
	static const uint8_t any[16] = {[10] = 0xff, 0xff};

	(void)state;
	memcpy(sample.birth.place.local, any, sizeof(any));
	assert_int_equal(decode(&sample), 0);
	sample.birth.place.family = AF_INET6;
	assert_int_equal(decode(&sample), 0);
	memcpy(sample.birth.place.remote, global, sizeof(global));
	assert_int_equal(decode(&sample), 0);
	memset(sample.birth.place.local, 0, 16);
	assert_int_equal(decode(&sample), 0);
}

static void test_comm_is_any_bytes_that_end(void **state)
{
	union sample sample = make_sample(EV_BIRTH);

	(void)state;
	memset(sample.birth.owner.comm, '\x1b', EV_COMM_BYTES - 1);
	assert_int_equal(decode(&sample), 0);
	memset(sample.birth.owner.comm, 0, EV_COMM_BYTES);
	assert_int_equal(decode(&sample), 0);
}

/* Version 1 had padding there. */
static void test_start_of_a_process(void **state)
{
	union sample sample = make_sample(EV_BIRTH);

	(void)state;
	sample.birth.owner.start_cs = UINT32_MAX;
	assert_int_equal(decode(&sample), 0);
	sample.header.version = 1;
	assert_int_equal(decode(&sample), -EBADMSG);
	sample.birth.owner.start_cs = 0;
	assert_int_equal(decode(&sample), 0);
}

static void test_path_is_any_bytes_that_end(void **state)
{
	union sample sample = make_sample(EV_CGROUP);

	(void)state;
	memset(sample.cgroup.path + 1, '\xff', EV_CGROUP_PATH_BYTES - 2);
	assert_int_equal(decode(&sample), 0);
	sample.cgroup.path[0] = 'x';
	assert_int_equal(decode(&sample), -EBADMSG);
	sample.cgroup.cut = 1;
	assert_int_equal(decode(&sample), 0);
	sample.cgroup.path[EV_CGROUP_PATH_BYTES - 1] = 'x';
	assert_int_equal(decode(&sample), -EBADMSG);
}

/* The family is the socket's: IPv4 on AF_INET6 is mapped, IPv6 on AF_INET is
 * not possible. A listener may have every address as its own. */
static void test_addresses_of_handshakes(void **state)
{
	union sample accept = make_sample(EV_ACCEPT), listener = make_sample(EV_LISTENER);
	union sample handshake = make_sample(EV_HANDSHAKE);
	static const uint8_t any[16] = {[10] = 0xff, 0xff};

	(void)state;
	accept.accept.family = listener.listener.family = handshake.handshake.family = AF_INET6;
	assert_int_equal(decode(&accept), 0);
	assert_int_equal(decode(&listener), 0);
	assert_int_equal(decode(&handshake), 0);
	memcpy(accept.accept.local, global, sizeof(global));
	memcpy(handshake.handshake.local, global, sizeof(global));
	memset(listener.listener.local, 0, 16);
	assert_int_equal(decode(&accept), 0);
	assert_int_equal(decode(&listener), 0);
	assert_int_equal(decode(&handshake), 0);
	accept.accept.family = listener.listener.family = handshake.handshake.family = AF_INET;
	assert_int_equal(decode(&accept), -EBADMSG);
	assert_int_equal(decode(&listener), -EBADMSG);
	assert_int_equal(decode(&handshake), -EBADMSG);
	memcpy(listener.listener.local, any, sizeof(any));
	assert_int_equal(decode(&listener), 0);
}

/* Without a port there is no peer: the wildcard in the listener's family. */
static void test_handshake_without_peer(void **state)
{
	(void)state;
	for (unsigned int kind = EV_SYN; kind <= EV_HANDSHAKE; kind++) {
		union sample sample = make_sample(kind);
		struct ev_handshake *h = &sample.handshake;

		h->remote_port = 0;
		assert_int_equal(decode(&sample), -EBADMSG);
		memset(h->remote + 12, 0, 4);
		assert_int_equal(decode(&sample), 0);
		h->family = AF_INET6;
		assert_int_equal(decode(&sample), 0);
		memset(h->remote, 0, 16);
		assert_int_equal(decode(&sample), 0);
		h->family = AF_INET;
		assert_int_equal(decode(&sample), -EBADMSG);
		h->family = AF_INET6;
		for (int i = 0; i < 16; i++) {
			h->remote[i] = 1;
			assert_int_equal(decode(&sample), -EBADMSG);
			h->remote[i] = 0;
		}
		memcpy(h->remote, global, sizeof(global));
		assert_int_equal(decode(&sample), -EBADMSG);
		h->remote_port = 1;
		assert_int_equal(decode(&sample), 0);
	}
}

/* ---- what is refused ---------------------------------------------------- */

struct spoiled {
	unsigned int kind;
	size_t offset;
	size_t size;
	uint64_t value;
};

#define SPOIL(kind, type, field, value)                                                      \
	{                                                                                    \
		kind, offsetof(struct type, field), sizeof(((struct type *)0)->field), value \
	}
/* One byte inside an array. */
#define SPOIL_BYTE(kind, type, field, index, value)                    \
	{                                                              \
		kind, offsetof(struct type, field) + (index), 1, value \
	}
#define SPOIL_TRANSITION(kind)                                                                         \
	SPOIL(kind, ev_transition, old_state, 0), SPOIL(kind, ev_transition, old_state, EV_STATE_END), \
		SPOIL(kind, ev_transition, old_state, 0xff), SPOIL(kind, ev_transition, new_state, 0), \
		SPOIL(kind, ev_transition, new_state, EV_STATE_END),                                   \
		SPOIL(kind, ev_transition, new_state, 0xff),                                           \
		SPOIL(kind, ev_transition, flags, EV_F_ALL + 1),                                       \
		SPOIL(kind, ev_transition, flags, 0x8000)
#define SPOIL_PLACE(kind, type)                                                                         \
	SPOIL(kind, type, place.family, 0), SPOIL(kind, type, place.family, AF_UNIX),                   \
		SPOIL(kind, type, place.family, 0xff), SPOIL_BYTE(kind, type, place.pad, 0, 1),         \
		SPOIL_BYTE(kind, type, place.pad, 1, 1), SPOIL_BYTE(kind, type, place.pad, 2, 0x80),    \
		SPOIL_BYTE(kind, type, place.local, 0, 1), SPOIL_BYTE(kind, type, place.local, 7, 1),   \
		SPOIL_BYTE(kind, type, place.local, 8, 1), SPOIL_BYTE(kind, type, place.local, 10, 0),  \
		SPOIL_BYTE(kind, type, place.local, 11, 0xfe),                                          \
		SPOIL_BYTE(kind, type, place.remote, 0, 1), SPOIL_BYTE(kind, type, place.remote, 7, 1), \
		SPOIL_BYTE(kind, type, place.remote, 9, 1), SPOIL_BYTE(kind, type, place.remote, 11, 0)
#define SPOIL_OWNER(kind, type)                                           \
	SPOIL(kind, type, owner.pid, 0), \
		SPOIL_BYTE(kind, type, owner.comm, EV_COMM_BYTES - 1, 'x')

#define SPOIL_LOCAL(kind, type)                                                           \
	SPOIL(kind, type, family, 0), SPOIL(kind, type, family, AF_UNIX),                 \
		SPOIL(kind, type, family, 0xff), SPOIL_BYTE(kind, type, local, 0, 1),     \
		SPOIL_BYTE(kind, type, local, 7, 1), SPOIL_BYTE(kind, type, local, 8, 1), \
		SPOIL_BYTE(kind, type, local, 10, 0), SPOIL_BYTE(kind, type, local, 11, 0xfe)
#define SPOIL_ADDRESSES(kind, type)                                                         \
	SPOIL_LOCAL(kind, type), SPOIL_BYTE(kind, type, remote, 0, 1),                      \
		SPOIL_BYTE(kind, type, remote, 7, 1), SPOIL_BYTE(kind, type, remote, 9, 1), \
		SPOIL_BYTE(kind, type, remote, 11, 0)
/* The sample has an outcome without detail, and a peer. */
#define SPOIL_HANDSHAKE(kind)                                                                   \
	SPOIL_ADDRESSES(kind, ev_handshake), SPOIL(kind, ev_handshake, remote_port, 0),         \
		SPOIL(kind, ev_handshake, outcome, EV_OUTCOME_END),                             \
		SPOIL(kind, ev_handshake, outcome, 0xff), SPOIL(kind, ev_handshake, detail, 1), \
		SPOIL(kind, ev_handshake, detail, 0xff)

static const struct spoiled spoiled[] = {
	SPOIL_TRANSITION(EV_TRANSITION),
	SPOIL_TRANSITION(EV_TRANSITION_OWNED),
	SPOIL_OWNER(EV_TRANSITION_OWNED, ev_transition_owned),
	SPOIL_TRANSITION(EV_BIRTH),
	SPOIL_PLACE(EV_BIRTH, ev_birth),
	SPOIL_OWNER(EV_BIRTH, ev_birth),
	SPOIL_TRANSITION(EV_CLOSE),
	SPOIL_PLACE(EV_CLOSE, ev_close),
	SPOIL_OWNER(EV_CLOSE, ev_close),
	SPOIL_HANDSHAKE(EV_SYN),
	SPOIL(EV_SYN, ev_handshake, outcome, EV_REQUEST_RETRANSMITTED),
	SPOIL_HANDSHAKE(EV_ADMITTED),
	SPOIL(EV_ADMITTED, ev_handshake, outcome, EV_SYN_UNKNOWN),
	SPOIL(EV_ADMITTED, ev_handshake, outcome, EV_SYN_COOKIE),
	SPOIL(EV_ADMITTED, ev_handshake, outcome, EV_REQUEST_COMPLETED),
	SPOIL_HANDSHAKE(EV_HANDSHAKE),
	SPOIL(EV_HANDSHAKE, ev_handshake, outcome, EV_SYN_DROPPED),
	SPOIL(EV_HANDSHAKE, ev_handshake, outcome, EV_SYN_UNKNOWN),
	SPOIL_ADDRESSES(EV_ACCEPT, ev_accept),
	SPOIL(EV_ACCEPT, ev_accept, by_address, 2),
	SPOIL(EV_ACCEPT, ev_accept, by_address, 0xff),
	SPOIL_BYTE(EV_ACCEPT, ev_accept, pad, 0, 1),
	SPOIL_BYTE(EV_ACCEPT, ev_accept, pad, 1, 0x80),
	SPOIL(EV_ACCEPT, ev_accept, pad2, 1),
	SPOIL(EV_ACCEPT, ev_accept, pad2, 0x80000000),
	SPOIL_OWNER(EV_ACCEPT, ev_accept),
	SPOIL(EV_BIND, ev_bind, error, ECONNREFUSED),
	SPOIL(EV_BIND, ev_bind, family, 0),
	SPOIL(EV_BIND, ev_bind, family, AF_INET), /* not v4-mapped */
	SPOIL(EV_BIND, ev_bind, call, 0),
	SPOIL(EV_BIND, ev_bind, call, EV_CALL_LISTEN), /* of UDP */
	SPOIL(EV_BIND, ev_bind, call, EV_CALL_END),
	SPOIL(EV_BIND, ev_bind, protocol, IPPROTO_ICMP),
	SPOIL(EV_BIND, ev_bind, options, EV_BIND_OPTIONS + 1),
	SPOIL(EV_BIND, ev_bind, pad, 1),
	SPOIL_OWNER(EV_BIND, ev_bind),
	SPOIL_ADDRESSES(EV_TIMEWAIT, ev_timewait),
	SPOIL(EV_TIMEWAIT, ev_timewait, phase, 0),
	SPOIL(EV_TIMEWAIT, ev_timewait, phase, EV_WAIT_END),
	SPOIL(EV_TIMEWAIT, ev_timewait, phase, EV_WAIT_PHASE_END),
	SPOIL(EV_TIMEWAIT, ev_timewait, substate, EV_ESTABLISHED),
	SPOIL(EV_TIMEWAIT, ev_timewait, substate, 0xff),
	SPOIL(EV_TIMEWAIT, ev_timewait, end, EV_WAIT_EXPIRED),
	SPOIL(EV_TIMEWAIT, ev_timewait, end, EV_WAIT_END_END),
	SPOIL(EV_TIMEWAIT, ev_timewait, by_address, 2),
	SPOIL_BYTE(EV_TIMEWAIT, ev_timewait, pad, 0, 1),
	SPOIL_BYTE(EV_TIMEWAIT, ev_timewait, pad, 2, 0x80),
	SPOIL_ADDRESSES(EV_SOCKET, ev_socket),
	SPOIL(EV_SOCKET, ev_socket, state, 0),
	SPOIL(EV_SOCKET, ev_socket, state, EV_STATE_END),
	SPOIL(EV_SOCKET, ev_socket, state, EV_ESTABLISHED), /* no minisocket's */
	SPOIL(EV_SOCKET, ev_socket, kind, 2),
	SPOIL(EV_SOCKET, ev_socket, pad, 1),
	SPOIL_OWNER(EV_SOCKET, ev_socket),
	SPOIL(EV_DUMP, ev_dump, began_ns, 1001),
	SPOIL(EV_DUMP, ev_dump, pad, 1),
	SPOIL(EV_CGROUP, ev_cgroup, id, 0),
	SPOIL(EV_CGROUP, ev_cgroup, cut, 2),
	SPOIL(EV_CGROUP, ev_cgroup, pad, 1),
	SPOIL_BYTE(EV_CGROUP, ev_cgroup, path, 0, 'x'),
	SPOIL_BYTE(EV_CGROUP, ev_cgroup, path, 0, 0),
	SPOIL_BYTE(EV_CGROUP, ev_cgroup, path, EV_CGROUP_PATH_BYTES - 1, 'x'),
	SPOIL_BYTE(EV_CGROUP, ev_cgroup, path, 100, 'x'),
	SPOIL_LOCAL(EV_LISTENER, ev_listener),
	SPOIL(EV_LISTENER, ev_listener, local_port, 0),
	SPOIL_BYTE(EV_LISTENER, ev_listener, pad, 0, 1),
	SPOIL_BYTE(EV_LISTENER, ev_listener, pad, 1, 1),
	SPOIL_BYTE(EV_LISTENER, ev_listener, pad, 2, 0x80),
	SPOIL(EV_LISTENER, ev_listener, pad2, 1),
	SPOIL(EV_LISTENER, ev_listener, pad2, 0x8000),
	SPOIL_OWNER(EV_LISTENER, ev_listener),
	SPOIL(EV_SAMPLED, ev_sampled, pad, 1),
	SPOIL(EV_SAMPLED, ev_sampled, pad, 0x80000000),
	SPOIL(EV_NETSTAT, ev_netstat, netns, 0),
	SPOIL(EV_NETSTAT, ev_netstat, known, 0),
	SPOIL(EV_NETSTAT, ev_netstat, known, 1U << EV_COUNTER_END | 1U << EV_COUNT_LISTEN_DROPS),
	SPOIL(EV_NETSTAT, ev_netstat, known, UINT32_MAX),
	SPOIL(EV_NETSTAT, ev_netstat, counters[EV_COUNT_LISTEN_OVERFLOWS], 1),
	SPOIL(EV_NETSTAT, ev_netstat, counters[EV_COUNTER_END], 1),
	SPOIL(EV_NETSTAT, ev_netstat, counters[EV_COUNTERS_MAX - 1], UINT64_MAX),
	SPOIL(EV_SETTINGS, ev_settings, netns, 0),
	SPOIL(EV_SETTINGS, ev_settings, known, 0),
	SPOIL(EV_SETTINGS, ev_settings, known, 1U << EV_SETTING_END | 1U << EV_SET_TW_REUSE),
	SPOIL(EV_SETTINGS, ev_settings, values[EV_SETTINGS_MAX - 1], 1),
	SPOIL(EV_HOLDER, ev_holder, refused_ns, 1001),
	SPOIL(EV_HOLDER, ev_holder, netns, 0),
	SPOIL(EV_HOLDER, ev_holder, local_port, 0),
	SPOIL(EV_HOLDER, ev_holder, count, 0), /* nobody, and yet somebody */
	SPOIL(EV_HOLDER, ev_holder, protocol, IPPROTO_ICMP),
	SPOIL(EV_HOLDER, ev_holder, family, AF_INET), /* not v4-mapped */
	SPOIL(EV_HOLDER, ev_holder, state, 0),
	SPOIL(EV_HOLDER, ev_holder, mini, 2),
	SPOIL(EV_HOLDER, ev_holder, reuseaddr, EV_ANSWER_END),
	SPOIL(EV_HOLDER, ev_holder, reuseport, 0xff),
	SPOIL_BYTE(EV_HOLDER, ev_holder, pad, 5, 1),
	SPOIL_OWNER(EV_HOLDER, ev_holder),
	SPOIL(EV_UNREAD, ev_unread, netns, 0),
	SPOIL(EV_UNREAD, ev_unread, family, AF_INET), /* not v4-mapped */
	SPOIL(EV_UNREAD, ev_unread, family, 0),
	SPOIL(EV_UNREAD, ev_unread, local_port, 0),
	SPOIL(EV_UNREAD, ev_unread, remote_port, 0),
	SPOIL_BYTE(EV_UNREAD, ev_unread, pad, 0, 1),
	SPOIL_BYTE(EV_UNREAD, ev_unread, pad, 2, 0x80),
	SPOIL(EV_LIFE, ev_life, family, AF_UNIX),
	SPOIL(EV_LIFE, ev_life, state, 0),
	SPOIL(EV_LIFE, ev_life, state, EV_STATE_END),
	SPOIL(EV_LIFE, ev_life, role, ROLE_END),
	SPOIL(EV_LIFE, ev_life, closed_first, EV_CLOSED_FIRST_END),
	SPOIL(EV_LIFE, ev_life, how, EV_HOW_END),
	SPOIL(EV_LIFE, ev_life, named_by, EV_NAMED_BY_END),
	SPOIL(EV_LIFE, ev_life, first_old, EV_STATE_END),
	SPOIL(EV_LIFE, ev_life, wait_state, EV_STATE_END),
	SPOIL(EV_LIFE, ev_life, wait_end, EV_WAIT_END_END),
	SPOIL(EV_LIFE, ev_life, history_count, EV_HISTORY_MAX + 1),
	SPOIL(EV_LIFE, ev_life, history_count, 3), /* a state that is none */
	SPOIL(EV_LIFE, ev_life, history[1], (uint64_t)EV_STATE_END << EV_HISTORY_TIME_BITS),
	SPOIL(EV_LIFE, ev_life, wait_estimated, 2),
	SPOIL_BYTE(EV_LIFE, ev_life, pad, 1, 1),
	SPOIL_BYTE(EV_LIFE, ev_life, remote, 10, 0), /* not v4-mapped */
	SPOIL_OWNER(EV_LIFE, ev_life),
	SPOIL(EV_QUEUES, ev_queues, family, AF_INET), /* not v4-mapped */
	SPOIL_OWNER(EV_QUEUES, ev_queues),
	SPOIL(EV_WAIT_GROUP, ev_wait_group, role, ROLE_END),
	SPOIL(EV_WAIT_GROUP, ev_wait_group, pad, 1),
	SPOIL(EV_WAIT_GROUP, ev_wait_group, pad2, 1),
	SPOIL_OWNER(EV_WAIT_GROUP, ev_wait_group),
	SPOIL(EV_WAIT, ev_wait, substate, EV_CLOSING),
	SPOIL_BYTE(EV_WAIT, ev_wait, pad, 5, 1),
	SPOIL(EV_KNOWN, ev_known, flags, EV_KNOWN_FLAGS + 1),
	SPOIL(EV_LOSS, ev_loss, since_ns, 1001),
	SPOIL(EV_LOSS, ev_loss, since_ns, UINT64_MAX),
	SPOIL(EV_LOSS, ev_loss, count, 0),
	SPOIL(EV_LOSS, ev_loss, reason, 0),
	SPOIL(EV_LOSS, ev_loss, reason, EV_LOSS_REASON_END),
	SPOIL(EV_LOSS, ev_loss, reason, UINT32_MAX),
	SPOIL(EV_LOSS, ev_loss, of_kind, EV_BIND + 1),
	SPOIL(EV_LOSS, ev_loss, of_kind, 256 + EV_BIRTH),
	SPOIL(EV_LOSS, ev_loss, of_kind, UINT32_MAX),
	SPOIL(EV_STOP, ev_stop, lost[0], 1),
	SPOIL(EV_STOP, ev_stop, lost[EV_LOSS_REASON_END], 1),
	SPOIL(EV_STOP, ev_stop, lost[EV_LOSS_REASONS_MAX - 1], UINT64_MAX),
};

/* Little-endian or not: the value is stored through the field's own width. */
static void spoil(union sample *sample, const struct spoiled *how)
{
	uint8_t v8 = how->value;
	uint16_t v16 = how->value;
	uint32_t v32 = how->value;
	const void *value = how->size == 1   ? (void *)&v8
			    : how->size == 2 ? (void *)&v16
			    : how->size == 4 ? (void *)&v32
					     : (void *)&how->value;

	memcpy(sample->bytes + how->offset, value, how->size);
}

static void test_spoiled_fields_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++) {
		union sample sample = make_sample(spoiled[i].kind);

		assert_int_equal(decode(&sample), 0);
		spoil(&sample, &spoiled[i]);
		if (decode(&sample) != -EBADMSG)
			fail_msg("kind %u, offset %zu, value %#llx: accepted", spoiled[i].kind,
				 spoiled[i].offset, (unsigned long long)spoiled[i].value);
	}
}

/* No owner, and yet something of one: any single byte. */
static void test_owner_without_pid_is_empty(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		union sample sample = make_sample(kinds[k]);
		const void *owner = owner_in(&sample);
		size_t at = owner ? (size_t)((const unsigned char *)owner - sample.bytes) : 0;

		if (!owner)
			continue;
		memset(sample.bytes + at, 0, sizeof(struct ev_owner));
		assert_int_equal(decode(&sample), 0);
		for (size_t i = sizeof(uint32_t); i < sizeof(struct ev_owner); i++) {
			sample.bytes[at + i] = 1;
			assert_int_equal(decode(&sample), -EBADMSG);
			sample.bytes[at + i] = 0;
		}
	}
}

/* Exact heap copies, so that the sanitizer sees a read past the end. */
static void test_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		union sample sample = make_sample(kinds[i]);
		size_t size = sample.header.len;

		for (size_t len = 0; len <= size + 16; len++) {
			struct ev_header *copy = malloc(len ? len : 1);
			struct record record;

			assert_non_null(copy);
			memcpy(copy, &sample, len);
			assert_int_equal(record__decode(&record, copy, len), len == size ? 0 : -EBADMSG);
			if (len >= sizeof(*copy)) {
				copy->len = len;
				assert_int_equal(record__decode(&record, copy, len),
						 len == size ? 0 : -EBADMSG);
			}
			free(copy);
		}
	}
}

static void test_unaligned_is_refused(void **state)
{
	union sample sample = make_sample(EV_TRANSITION);
	union sample room;
	struct record record;

	(void)state;
	for (size_t shift = 0; shift < 8; shift++) {
		memcpy(room.bytes + shift, &sample, sample.header.len);
		assert_int_equal(record__decode(&record, room.bytes + shift, sample.header.len),
				 shift ? -EBADMSG : 0);
	}
}

static void test_future(void **state)
{
	union sample sample = make_sample(EV_BIRTH);
	struct record record;

	(void)state;
	sample.header.version = EV_VERSION + 1;
	assert_int_equal(record__decode(&record, &sample, sample.header.len), -ENOTSUP);
	assert_ptr_equal(record.header, &sample);
	assert_null(record.transition);

	sample = make_sample(EV_BIRTH);
	sample.header.kind = EV_BIND + 1;
	sample.header.kind = EV_BIND + 1;
	assert_int_equal(record__decode(&record, &sample, sample.header.len), -ENOTSUP);
	assert_ptr_equal(record.header, &sample);
	sample.header.kind = EV_KNOWN + 1;
	assert_int_equal(record__decode(&record, &sample, sample.header.len), -ENOTSUP);
	sample.header.kind = 0xff;
	assert_int_equal(record__decode(&record, &sample, sample.header.len), -ENOTSUP);

	/* The future too gives the length it has. */
	sample.header.len += 8;
	assert_int_equal(record__decode(&record, &sample, sample.header.len - 8), -EBADMSG);
	assert_null(record.header);
	sample.header.len = 17;
	assert_int_equal(record__decode(&record, &sample, sample.header.len), -EBADMSG);
}

static void test_zero_version_and_kind(void **state)
{
	union sample sample = make_sample(EV_TRANSITION);

	(void)state;
	sample.header.version = 0;
	assert_int_equal(decode(&sample), -EBADMSG);
	sample = make_sample(EV_TRANSITION);
	sample.header.kind = 0;
	assert_int_equal(decode(&sample), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_unknown_owner_is_null),
		cmocka_unit_test(test_limits_are_accepted),
		cmocka_unit_test(test_outcomes_and_details),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_comm_is_any_bytes_that_end),
		cmocka_unit_test(test_start_of_a_process),
		cmocka_unit_test(test_path_is_any_bytes_that_end),
		cmocka_unit_test(test_addresses_of_handshakes),
		cmocka_unit_test(test_handshake_without_peer),
		cmocka_unit_test(test_spoiled_fields_are_refused),
		cmocka_unit_test(test_owner_without_pid_is_empty),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_unaligned_is_refused),
		cmocka_unit_test(test_future),
		cmocka_unit_test(test_zero_version_and_kind),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
