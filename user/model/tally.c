// SPDX-License-Identifier: BSD-2-Clause
#include "model/tally.h"

#include <string.h>

void tally__init(struct tally *tally, const struct model *model)
{
	memset(tally, 0, sizeof(*tally));
	tally->model = model;
}

/* ---- rows of listeners ---- */

static void name_of(const struct tally *tally, const struct listener *listener, char comm[EV_COMM_BYTES])
{
	const struct owner *owner = model__owner_at(tally->model, listener->owner);

	memset(comm, 0, EV_COMM_BYTES);
	if (owner)
		memcpy(comm, owner->comm, strnlen(owner->comm, EV_COMM_BYTES));
}

static unsigned int find_row(const struct tally *tally, const struct listener *listener,
			     const char comm[EV_COMM_BYTES])
{
	unsigned int i;

	for (i = 0; i < TALLY_LISTENERS; i++) {
		const struct tally_listener *row = &tally->listeners[i];

		if (row->used && row->port == listener->local.port && row->netns == listener->netns &&
		    !memcmp(row->comm, comm, sizeof(row->comm)))
			break;
	}
	return i;
}

unsigned int tally__row(const struct tally *tally, const struct listener *listener)
{
	char comm[EV_COMM_BYTES];

	name_of(tally, listener, comm);
	return find_row(tally, listener, comm);
}

/* now_ns 0: only a row that is free. */
static unsigned int place_for_row(const struct tally *tally, uint64_t now_ns)
{
	unsigned int idlest = TALLY_OTHER;

	for (unsigned int i = 0; i < TALLY_LISTENERS; i++) {
		const struct tally_listener *row = &tally->listeners[i];

		if (!row->used)
			return i;
		if (row->last_ns + TALLY_IDLE_NS < now_ns &&
		    (idlest == TALLY_OTHER || row->last_ns < tally->listeners[idlest].last_ns))
			idlest = i;
	}
	return idlest;
}

static struct tally_listener *row_for(struct tally *tally, const struct listener *listener, uint64_t now_ns)
{
	char comm[EV_COMM_BYTES];
	struct tally_listener *row;
	unsigned int i;

	name_of(tally, listener, comm);
	i = find_row(tally, listener, comm);
	if (i == TALLY_OTHER) {
		i = place_for_row(tally, now_ns);
		row = &tally->listeners[i];
		if (i == TALLY_OTHER)
			return row;
		*row = (struct tally_listener){ .used = true,
						.port = listener->local.port,
						.netns = listener->netns };
		memcpy(row->comm, comm, sizeof(row->comm));
	}
	row = &tally->listeners[i];
	if (row->last_ns < now_ns)
		row->last_ns = now_ns;
	return row;
}

static struct tally_listener *row_of_change(struct tally *tally, const struct change *change)
{
	if (!change->listener || !(change->listener->flags & LISTENER_PLACE_KNOWN))
		return &tally->listeners[TALLY_OTHER];
	return row_for(tally, change->listener, change->time_ns);
}

static bool is_open(const struct listener *listener)
{
	return listener && !(listener->flags & LISTENER_CLOSED) && listener->flags & LISTENER_PLACE_KNOWN;
}

void tally__settle(struct tally *tally)
{
	const struct listeners *listeners = model__listeners(tally->model);

	for (unsigned int i = 0; i < TALLY_LISTENERS; i++)
		tally->listeners[i].seen = false;
	for (uint32_t i = 0; i < listeners->used; i++)
		if (is_open(listeners->all[i]))
			tally->listeners[tally__row(tally, listeners->all[i])].seen = true;
	for (unsigned int i = 0; i < TALLY_LISTENERS; i++)
		if (!tally->listeners[i].seen)
			tally->listeners[i].used = false;
	tally->folded = 0;
	for (uint32_t i = 0; i < listeners->used; i++)
		if (is_open(listeners->all[i]) &&
		    row_for(tally, listeners->all[i], 0) == &tally->listeners[TALLY_OTHER])
			tally->folded++;
}

/* ---- changes ---- */

static void count_transition(struct tally *tally, const struct change *change)
{
	tally->transitions[change->old_state][change->new_state]++;
	if (change->new_state == EV_ESTABLISHED && change->old_state == EV_SYN_SENT &&
	    change->in_old_ns != UNKNOWN_NS)
		durations__add(&tally->handshake[ROLE_CLIENT], change->in_old_ns);
}

static void count_step(struct tally *tally, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;
	struct tally_listener *row = row_of_change(tally, change);

	tally->steps[step->outcome]++;
	if (change->kind == CHANGE_SYN)
		row->syns++;
	if (step->outcome == EV_SYN_DROPPED || step->outcome == EV_REQUEST_OVERFLOW)
		row->dropped++;
	if (step->outcome == EV_SYN_DROPPED)
		tally->dropped[step->detail < EV_DROP_END ? step->detail : EV_DROP_OTHER]++;
	if (step->outcome == EV_REQUEST_COMPLETED && change->took_ns != UNKNOWN_NS)
		durations__add(&tally->handshake[ROLE_SERVER], change->took_ns);
}

static void count_accept(struct tally *tally, const struct change *change)
{
	tally->accepts++;
	row_of_change(tally, change)->accepted++;
	if (change->took_ns != UNKNOWN_NS)
		durations__add(&tally->accept_wait, change->took_ns);
}

static void count_end(struct tally *tally, const struct life *life)
{
	uint64_t lasted_ns = life__lasted_ns(life);

	if (life->role == ROLE_LISTENER)
		return;
	tally->ended[life->how]++;
	tally->closed_first[life->role][life->closed_first]++;
	tally->incomplete += life->flags & LIFE_INCOMPLETE ? 1 : 0;
	tally->bytes_sent += life->bytes_sent;
	tally->bytes_received += life->bytes_received;
	tally->retransmits += life->retransmits;
	if (lasted_ns != UINT64_MAX)
		durations__add(&tally->lasted, lasted_ns);
}

static void count_wait(struct tally *tally, const struct ev_timewait *wait)
{
	tally->waits[wait->phase]++;
	if (wait->phase == EV_WAIT_END)
		tally->wait_ends[wait->end]++;
}

void tally__count(struct tally *tally, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_TRANSITION:
		count_transition(tally, change);
		break;
	case CHANGE_SYN:
	case CHANGE_HANDSHAKE:
		count_step(tally, change);
		break;
	case CHANGE_ACCEPT:
		count_accept(tally, change);
		break;
	case CHANGE_LIFE:
		count_end(tally, change->life);
		break;
	case CHANGE_TIMEWAIT:
		count_wait(tally, change->timewait);
		break;
	case CHANGE_LOSS:
		tally->lost[change->loss->reason < EV_LOSS_REASONS_MAX ? change->loss->reason : 0] +=
			change->loss->count;
		break;
	case CHANGE_BIND:
	case CHANGE_UNREAD:
	case CHANGE_HOLDER:
	case CHANGE_STOP:
		break;
	}
}
