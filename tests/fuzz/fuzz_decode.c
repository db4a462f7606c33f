/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer entry: record__decode() reads nothing outside its bytes, and what
 * it accepts is safe for all behind it, which check nothing again.
 *
 * The first byte of the input says how much of the header is made right, as
 * most random bytes would be refused for their length alone.
 */
#include <stdlib.h>

#include "event/decode.c"

enum {
	REPAIR_LENGTH = 1 << 0,
	REPAIR_VERSION = 1 << 1,
	UNALIGNED = 1 << 2,
};

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void check_part(const void *part, size_t size, const void *data, size_t len)
{
	size_t at = (const char *)part - (const char *)data;

	require(!part || (at <= len && size <= len - at && (uintptr_t)part % 8 == 0));
}

static void check_parts(const struct record *r, const void *data, size_t len)
{
	check_part(r->header, sizeof(*r->header), data, len);
	check_part(r->transition, sizeof(*r->transition), data, len);
	check_part(r->place, sizeof(*r->place), data, len);
	check_part(r->owner, sizeof(*r->owner), data, len);
	check_part(r->totals, sizeof(*r->totals), data, len);
	check_part(r->birth, sizeof(*r->birth), data, len);
	check_part(r->handshake, sizeof(*r->handshake), data, len);
	check_part(r->accept, sizeof(*r->accept), data, len);
	check_part(r->listener, sizeof(*r->listener), data, len);
	check_part(r->loss, sizeof(*r->loss), data, len);
	check_part(r->cgroup, sizeof(*r->cgroup), data, len);
	check_part(r->stop, sizeof(*r->stop), data, len);
	check_part(r->life, sizeof(*r->life), data, len);
	check_part(r->queues, sizeof(*r->queues), data, len);
	check_part(r->wait_group, sizeof(*r->wait_group), data, len);
	check_part(r->wait, sizeof(*r->wait), data, len);
	check_part(r->known, sizeof(*r->known), data, len);
}

static bool is_inet(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* The model indexes its counters by detail. */
static void check_handshake(const struct ev_handshake *h)
{
	require(is_inet(h->family) && h->outcome < EV_OUTCOME_END);
	require((h->header.kind == EV_SYN) == (h->outcome <= EV_SYN_DROPPED));
	require(h->outcome != EV_SYN_DROPPED || h->detail < EV_DROP_END);
	require(h->outcome != EV_REQUEST_COMPLETED || h->detail < EV_VIA_END);
}

/* A free place of the flow table is one without a state. */
static void check_life(const struct ev_life *life)
{
	require(life->state && life->state < EV_STATE_END && life->history_count <= EV_HISTORY_MAX);
	require(life->how < EV_HOW_END && life->closed_first < EV_CLOSED_FIRST_END);
	require(life->wait_end < EV_WAIT_END_END && life->role < ROLE_END);
	for (unsigned int i = 0; i < life->history_count; i++)
		require(life->history[i] >> EV_HISTORY_TIME_BITS < EV_STATE_END);
}

/* What a reader relies on: indices into tables, and strings that end. */
static void check_values(const struct record *r)
{
	if (r->transition) {
		require(r->transition->old_state >= 1 && r->transition->old_state < EV_STATE_END);
		require(r->transition->new_state >= 1 && r->transition->new_state < EV_STATE_END);
	}
	if (r->place)
		require(is_inet(r->place->family));
	if (r->owner)
		require(r->owner->pid && memchr(r->owner->comm, '\0', EV_COMM_BYTES));
	if (r->handshake)
		check_handshake(r->handshake);
	if (r->life)
		check_life(r->life);
	if (r->wait_group)
		require(r->wait_group->role < ROLE_END);
	if (r->accept)
		require(is_inet(r->accept->family) && r->accept->by_address <= 1);
	if (r->listener)
		require(is_inet(r->listener->family) && r->listener->local_port);
	if (r->cgroup)
		require(r->cgroup->id && memchr(r->cgroup->path, '\0', EV_CGROUP_PATH_BYTES));
	if (r->loss)
		require(r->loss->reason < EV_LOSS_REASON_END && r->loss->count &&
			r->loss->since_ns <= r->header->time_ns);
}

static void check(const void *data, size_t len)
{
	struct record record;
	int err = record__decode(&record, data, len);

	require(err == 0 || err == -EBADMSG || err == -ENOTSUP);
	require(err == -EBADMSG || record.header == data);
	if (err)
		return;
	require(record__size(record.header->kind) == len && record.header->len == len);
	check_parts(&record, data, len);
	check_values(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	size_t shift, len;
	struct ev_header header;
	char *copy;

	if (!size)
		return 0;
	len = size - 1;
	shift = input[0] & UNALIGNED ? 1 : 0;
	copy = malloc(shift + len); /* exact, for the sanitizer */
	if (!copy)
		return 0;
	memcpy(copy + shift, input + 1, len);
	if (len >= sizeof(header)) {
		memcpy(&header, copy + shift, sizeof(header));
		if (input[0] & REPAIR_LENGTH)
			header.len = len;
		if (input[0] & REPAIR_VERSION)
			header.version = EV_VERSION;
		memcpy(copy + shift, &header, sizeof(header));
	}
	check(copy + shift, len);
	free(copy);
	return 0;
}
