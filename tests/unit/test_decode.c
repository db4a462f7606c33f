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
	struct ev_syn syn;
	struct ev_loss loss;
	struct ev_stop stop;
	unsigned char bytes[256];
};

static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 10, 0, 0, 5 };
static const uint8_t global[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

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

static void put_syn(struct ev_syn *syn)
{
	syn->listener_id = 9;
	syn->netns = 4026531840u;
	syn->family = AF_INET;
	syn->outcome = EV_SYN_QUEUED;
	syn->flags = EV_SYN_F_REMOTE;
	memcpy(syn->local, mapped, sizeof(mapped));
	memcpy(syn->remote, mapped, sizeof(mapped));
}

static union sample make_sample(unsigned int kind)
{
	union sample sample = { 0 };

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
	if (kind == EV_SYN)
		put_syn(&sample.syn);
	if (kind == EV_LOSS) {
		sample.loss.since_ns = 900;
		sample.loss.count = 17;
		sample.loss.reason = EV_LOST_RING_FULL;
		sample.loss.of_kind = EV_BIRTH;
	}
	if (kind == EV_STOP) {
		sample.stop.attempted = 400;
		sample.stop.lost[EV_LOST_RING_FULL] = 17;
	}
	return sample;
}

static const unsigned int kinds[] = {
	EV_TRANSITION, EV_TRANSITION_OWNED, EV_BIRTH, EV_CLOSE, EV_SYN, EV_LOSS, EV_STOP,
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
	assert_int_equal(record__size(EV_SYN), sizeof(struct ev_syn));
	assert_int_equal(record__size(EV_LOSS), sizeof(struct ev_loss));
	assert_int_equal(record__size(EV_STOP), sizeof(struct ev_stop));
	assert_int_equal(record__size(0), 0);
	assert_int_equal(record__size(EV_SYN + 1), 0);
	assert_int_equal(record__size(256 + EV_BIRTH), 0);
	assert_int_equal(record__size(UINT32_MAX), 0);
}

/* Each part of each kind: at its place, or NULL. */
static void test_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned int kind = kinds[i];
		union sample s = make_sample(kind);
		bool full = kind == EV_BIRTH || kind == EV_CLOSE;
		const void *owner = full ? &s.birth.owner :
			kind == EV_TRANSITION_OWNED ? &s.owned.owner : NULL;
		struct record r;

		memset(&r, 0xee, sizeof(r));
		assert_int_equal(record__decode(&r, &s, s.header.len), 0);
		assert_ptr_equal(r.header, &s);
		assert_ptr_equal(r.transition, kind <= EV_CLOSE ? &s : NULL);
		assert_ptr_equal(r.place, full ? &s.birth.place : NULL);
		assert_ptr_equal(r.owner, owner);
		assert_ptr_equal(r.totals, kind == EV_CLOSE ? &s.close.totals : NULL);
		assert_ptr_equal(r.birth, kind == EV_BIRTH ? &s : NULL);
		assert_ptr_equal(r.syn, kind == EV_SYN ? &s : NULL);
		assert_ptr_equal(r.loss, kind == EV_LOSS ? &s : NULL);
		assert_ptr_equal(r.stop, kind == EV_STOP ? &s : NULL);
	}
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
}

/* Every state, flag, outcome, reason and kind at the edge of its range. */
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

	sample = make_sample(EV_SYN);
	for (int i = EV_SYN_UNKNOWN; i < EV_SYN_OUTCOME_END; i++) {
		sample.syn.outcome = i;
		assert_int_equal(decode(&sample), 0);
	}

	sample = make_sample(EV_LOSS);
	for (int i = 0; i <= EV_SYN; i++) {
		sample.loss.of_kind = i;
		assert_int_equal(decode(&sample), 0);
	}
	sample.loss.reason = EV_LOST_RECURSION;
	sample.loss.since_ns = sample.header.time_ns;
	assert_int_equal(decode(&sample), 0);

	sample = make_sample(EV_STOP);
	sample.stop.lost[EV_LOSS_REASON_END - 1] = UINT64_MAX;
	assert_int_equal(decode(&sample), 0);
}

static void test_addresses(void **state)
{
	union sample sample = make_sample(EV_BIRTH);
	static const uint8_t any[16] = { [10] = 0xff, 0xff };

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

/* Without the flag there is no peer: the wildcard in the listener's family. */
static void test_syn_without_remote(void **state)
{
	union sample sample = make_sample(EV_SYN);

	(void)state;
	sample.syn.flags = 0;
	assert_int_equal(decode(&sample), -EBADMSG);
	memset(sample.syn.remote + 12, 0, 4);
	assert_int_equal(decode(&sample), 0);
	memset(sample.syn.remote, 0, 16);
	assert_int_equal(decode(&sample), -EBADMSG);
	sample.syn.family = AF_INET6;
	assert_int_equal(decode(&sample), 0);
	memcpy(sample.syn.remote, global, sizeof(global));
	assert_int_equal(decode(&sample), -EBADMSG);
	sample.syn.flags = EV_SYN_F_REMOTE;
	assert_int_equal(decode(&sample), 0);
}

/* ---- what is refused ---------------------------------------------------- */

struct spoiled {
	unsigned int kind;
	size_t offset;
	size_t size;
	uint64_t value;
};

#define SPOIL(kind, type, field, value) \
	{ kind, offsetof(struct type, field), sizeof(((struct type *)0)->field), value }
/* One byte inside an array. */
#define SPOIL_BYTE(kind, type, field, index, value) \
	{ kind, offsetof(struct type, field) + (index), 1, value }
#define SPOIL_TRANSITION(kind) \
	SPOIL(kind, ev_transition, old_state, 0), \
	SPOIL(kind, ev_transition, old_state, EV_STATE_END), \
	SPOIL(kind, ev_transition, old_state, 0xff), \
	SPOIL(kind, ev_transition, new_state, 0), \
	SPOIL(kind, ev_transition, new_state, EV_STATE_END), \
	SPOIL(kind, ev_transition, new_state, 0xff), \
	SPOIL(kind, ev_transition, flags, EV_F_ALL + 1), \
	SPOIL(kind, ev_transition, flags, 0x8000)
#define SPOIL_PLACE(kind, type) \
	SPOIL(kind, type, place.family, 0), \
	SPOIL(kind, type, place.family, AF_UNIX), \
	SPOIL(kind, type, place.family, 0xff), \
	SPOIL_BYTE(kind, type, place.pad, 0, 1), \
	SPOIL_BYTE(kind, type, place.pad, 1, 1), \
	SPOIL_BYTE(kind, type, place.pad, 2, 0x80), \
	SPOIL_BYTE(kind, type, place.local, 0, 1), \
	SPOIL_BYTE(kind, type, place.local, 7, 1), \
	SPOIL_BYTE(kind, type, place.local, 8, 1), \
	SPOIL_BYTE(kind, type, place.local, 10, 0), \
	SPOIL_BYTE(kind, type, place.local, 11, 0xfe), \
	SPOIL_BYTE(kind, type, place.remote, 0, 1), \
	SPOIL_BYTE(kind, type, place.remote, 7, 1), \
	SPOIL_BYTE(kind, type, place.remote, 9, 1), \
	SPOIL_BYTE(kind, type, place.remote, 11, 0)
#define SPOIL_OWNER(kind, type) \
	SPOIL(kind, type, owner.pid, 0), \
	SPOIL(kind, type, owner.pad, 1), \
	SPOIL_BYTE(kind, type, owner.comm, EV_COMM_BYTES - 1, 'x')

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
	SPOIL(EV_SYN, ev_syn, family, 0),
	SPOIL(EV_SYN, ev_syn, family, AF_UNIX),
	SPOIL(EV_SYN, ev_syn, outcome, EV_SYN_OUTCOME_END),
	SPOIL(EV_SYN, ev_syn, outcome, 0xff),
	SPOIL(EV_SYN, ev_syn, flags, EV_SYN_F_REMOTE | (EV_SYN_F_ALL + 1)),
	SPOIL(EV_SYN, ev_syn, flags, 0x80 | EV_SYN_F_REMOTE),
	SPOIL(EV_SYN, ev_syn, pad, 1),
	SPOIL_BYTE(EV_SYN, ev_syn, local, 0, 1),
	SPOIL_BYTE(EV_SYN, ev_syn, local, 10, 0),
	SPOIL_BYTE(EV_SYN, ev_syn, remote, 7, 1),
	SPOIL_BYTE(EV_SYN, ev_syn, remote, 11, 0),
	SPOIL(EV_LOSS, ev_loss, since_ns, 1001),
	SPOIL(EV_LOSS, ev_loss, since_ns, UINT64_MAX),
	SPOIL(EV_LOSS, ev_loss, count, 0),
	SPOIL(EV_LOSS, ev_loss, reason, 0),
	SPOIL(EV_LOSS, ev_loss, reason, EV_LOSS_REASON_END),
	SPOIL(EV_LOSS, ev_loss, reason, UINT32_MAX),
	SPOIL(EV_LOSS, ev_loss, of_kind, EV_SYN + 1),
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
	const void *value = how->size == 1 ? (void *)&v8 : how->size == 2 ? (void *)&v16 :
		how->size == 4 ? (void *)&v32 : (void *)&how->value;

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
	for (size_t i = sizeof(uint32_t); i < sizeof(struct ev_owner); i++) {
		union sample sample = make_sample(EV_BIRTH);

		memset(&sample.birth.owner, 0, sizeof(sample.birth.owner));
		assert_int_equal(decode(&sample), 0);
		sample.bytes[offsetof(struct ev_birth, owner) + i] = 1;
		assert_int_equal(decode(&sample), -EBADMSG);
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
			assert_int_equal(record__decode(&record, copy, len),
					 len == size ? 0 : -EBADMSG);
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
	sample.header.kind = EV_SYN + 1;
	assert_int_equal(record__decode(&record, &sample, sample.header.len), -ENOTSUP);
	assert_ptr_equal(record.header, &sample);
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
		cmocka_unit_test(test_unknown_owner_is_null),
		cmocka_unit_test(test_limits_are_accepted),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_comm_is_any_bytes_that_end),
		cmocka_unit_test(test_syn_without_remote),
		cmocka_unit_test(test_spoiled_fields_are_refused),
		cmocka_unit_test(test_owner_without_pid_is_empty),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_unaligned_is_refused),
		cmocka_unit_test(test_future),
		cmocka_unit_test(test_zero_version_and_kind),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
