// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a connection leaves behind: told by records of its own, or inferred from the
 * transition to CLOSE where no record tells.
 */
#include <errno.h>
#include <string.h>

#include "model/parts.h"

uint64_t model__wait_key(const struct model *model, const struct tuple *tuple)
{
	const uint64_t not_a_request = 0x7477 /* "tw" */;

	return not_a_request ^ flow_table__tuple_key(&model->flows, tuple->local.addr, tuple->remote.addr,
						     tuple->local.port, tuple->remote.port, tuple->netns);
}

static struct tuple tuple_of_wait(const struct ev_timewait *wait)
{
	return tuple__of(wait->local, wait->local_port, wait->remote, wait->remote_port, wait->netns);
}

enum role minisockets__role_by_ports(struct model *model, const struct tuple *tuple)
{
	const struct ev_dump *settings = model__dump_of(model, tuple->netns);
	bool local, remote;

	if (listeners__serving(&model->listeners, tuple->netns, tuple->local.addr, tuple->local.port))
		return ROLE_SERVER;
	if (!settings || !settings->port_high)
		return ROLE_UNKNOWN;
	local = tuple->local.port >= settings->port_low && tuple->local.port <= settings->port_high;
	remote = tuple->remote.port >= settings->port_low && tuple->remote.port <= settings->port_high;
	if (local == remote)
		return ROLE_UNKNOWN;
	return local ? ROLE_CLIENT : ROLE_SERVER;
}

struct wait_charge minisockets__charge(struct model *model, const struct tuple *tuple,
				       const struct life *life, uint64_t now_ns)
{
	struct wait_charge charge = { .owner = OWNER_NONE, .lasted_ns = UINT64_MAX };

	if (life) {
		charge.owner = life->owner;
		charge.role = (enum role)life->role;
		if (life->flags & LIFE_START_KNOWN && now_ns > life->start_ns)
			charge.lasted_ns = now_ns - life->start_ns;
	}
	if (charge.role == ROLE_UNKNOWN)
		charge.role = minisockets__role_by_ports(model, tuple);
	return charge;
}

int minisockets__become(struct model *model, struct life *life, uint64_t now_ns, struct changes *changes)
{
	struct tuple tuple = life__tuple(life);
	uint64_t key = model__wait_key(model, &tuple);
	struct life *stale = flow_table__find(&model->flows, key);

	if (stale)
		model__end_unseen(model, stale, changes);
	model__depart(model, life, now_ns);
	if (flow_table__rekey(&model->flows, life, key))
		return -ENOMEM;
	flow_table__let_socket_go(&model->flows, life);
	model__wait_on(model, life, now_ns);
	return 0;
}

static void begin_wait(struct model *model, const struct ev_timewait *wait, struct change *change)
{
	struct tuple tuple = tuple_of_wait(wait);
	struct life *life = flow_table__find(&model->flows, wait->conn_id);
	struct wait_charge charge;

	if (!life && wait->by_address)
		life = model__join_by_place(model, wait->conn_id, &tuple);
	charge = minisockets__charge(model, &tuple, life, wait->header.time_ns);
	if (wait->phase == EV_WAIT_REFUSED)
		timewaits__refuse(&model->waits, &tuple, &charge, wait->header.time_ns);
	else
		timewaits__begin(&model->waits, model__wait_key(model, &tuple), &tuple, wait->substate,
				 &charge, wait->header.time_ns);
	change->life = life;
	change->owner = owners__get(&model->flows.owners, charge.owner);
	if (!life)
		return;
	life->flags |= wait->phase == EV_WAIT_REFUSED ? LIFE_WAIT_REFUSED : LIFE_WAITING;
	life->wait_state = wait->substate;
}

void minisockets__end(struct model *model, struct life *life, unsigned int end, uint64_t time_ns,
		      struct changes *changes)
{
	life->flags &= (uint16_t)~LIFE_WAITING;
	life->flags |= LIFE_WAITED;
	life->wait_end = (uint8_t)end;
	model__enter(model, life, EV_STATE_CLOSE, time_ns);
	model__end_life(model, life, time_ns, changes);
}

/* The life that has been told to its end, and whose minisocket this is. */
static struct life *ended_in_wait(struct model *model, const struct ev_timewait *wait)
{
	const struct tuple tuple = tuple_of_wait(wait);
	struct life *life = flow_table__newest(&model->flows, &tuple);

	while (life && (life->flags & (LIFE_ENDED | LIFE_WAITING)) != (LIFE_ENDED | LIFE_WAITING))
		life = flow_table__older(&model->flows, life);
	return life;
}

/* Of no interest here, but to who goes on with this model and does follow it. */
static void note_wait(const struct ev_timewait *wait, struct life *life)
{
	if (wait->phase == EV_WAIT_PROMOTED) {
		life__promote(life, wait->header.time_ns);
		return;
	}
	life->flags &= (uint16_t)~LIFE_WAITING;
	life->flags |= LIFE_WAITED;
	life->wait_end = wait->end;
}

static void follow_wait(struct model *model, const struct ev_timewait *wait, struct change *change,
			struct changes *changes)
{
	struct tuple tuple = tuple_of_wait(wait);
	uint64_t key = model__wait_key(model, &tuple);
	struct wait_entry *entry = timewaits__find(&model->waits, key);
	struct life *life = flow_table__find(&model->flows, key);

	struct life *ended = model->ends_at_close ? ended_in_wait(model, wait) : NULL;

	change->life = life;
	if (ended)
		note_wait(wait, ended);
	if (entry) {
		change->took_ns = wait_entry__held_ns(entry, wait->header.time_ns);
		change->owner = owners__get(&model->flows.owners, model->waits.groups[entry->group].owner);
	}
	if (wait->phase == EV_WAIT_PROMOTED) {
		if (entry)
			timewaits__promote(&model->waits, entry);
		if (life)
			model__enter(model, life, EV_TIME_WAIT, wait->header.time_ns);
		return;
	}
	if (entry)
		timewaits__end(&model->waits, entry, wait->end);
	model__note_departed(model, key, wait->header.time_ns);
	if (life)
		minisockets__end(model, life, wait->end, wait->header.time_ns, changes);
}

void minisockets__apply(struct model *model, const struct ev_timewait *wait, struct changes *changes)
{
	struct change *change = changes__add(changes, CHANGE_TIMEWAIT, wait->header.time_ns);

	change->timewait = wait;
	if (wait->phase == EV_WAIT_BEGIN || wait->phase == EV_WAIT_REFUSED)
		begin_wait(model, wait, change);
	else
		follow_wait(model, wait, change, changes);
}

/* No record will tell of its minisocket, if it leaves one. Without an error the
 * way from these states to CLOSE is tcp_time_wait(), but for an orphan whose
 * peer never sends its FIN: the next dump shows that. */
void minisockets__estimate(struct model *model, struct life *life, const struct ev_transition *t)
{
	struct tuple tuple = life__tuple(life);
	struct wait_charge charge;

	if ((t->old_state != EV_FIN_WAIT2 && t->old_state != EV_CLOSING) || life->error)
		return;
	charge = minisockets__charge(model, &tuple, life, t->header.time_ns);
	timewaits__estimate(&model->waits, model__wait_key(model, &tuple), &tuple, &charge,
			    t->header.time_ns);
	if (model->ends_at_close)
		return;
	life->flags |= LIFE_WAITING;
	life->wait_state = EV_TIME_WAIT;
	life->wait_estimated = 1;
}

/* Why a new connection has the tuple of a minisocket. */
static enum ev_wait_end end_before(const struct wait_entry *entry, const struct life *life)
{
	if (wait_entry__held_ns(entry, life->start_ns) >= TIMEWAIT_LASTS_NS)
		return EV_WAIT_EXPIRED;
	return life->role == ROLE_SERVER ? EV_WAIT_NEW_SYN : EV_WAIT_REUSED;
}

/* A new connection on the tuple of a minisocket: that is no more, and no row
 * brings it back. */
void minisockets__end_before(struct model *model, const struct life *life, struct changes *changes)
{
	struct tuple tuple = life__tuple(life);
	uint64_t key = model__wait_key(model, &tuple);
	struct wait_entry *entry;
	struct life *waiting;
	enum ev_wait_end end;

	if (!model->estimate_waits) /* its end has a record of its own */
		return;
	model__note_departed(model, key, life->start_ns);
	entry = timewaits__find(&model->waits, key);
	/* A record told of it, and so before those of this life; but a dump may have been
	 * faster than these, and show what comes of this life. */
	if (!entry ||
	    (entry->flags & WAIT_PREEXISTING && !wait_entry__began_before(entry, life->start_ns)))
		return;
	end = end_before(entry, life);
	timewaits__end(&model->waits, entry, end);
	waiting = flow_table__find(&model->flows, key);
	if (waiting)
		minisockets__end(model, waiting, end, life->start_ns, changes);
}

void minisockets__end_overdue(struct model *model, struct changes *changes)
{
	struct wait_entry *entry;

	while (changes->count < CHANGES_MAX && (entry = timewaits__overdue(&model->waits, model->now_ns))) {
		struct life *life =
			model->ends_at_close ? NULL : flow_table__find(&model->flows, entry->id);

		timewaits__end(&model->waits, entry, EV_WAIT_EXPIRED);
		if (!life)
			continue;
		model__depart(model, life, model->now_ns);
		minisockets__end(model, life, EV_WAIT_EXPIRED, life->entered_ns + TIMEWAIT_LASTS_NS,
				 changes);
	}
}

bool model__follows_minisockets(const struct model *model)
{
	return (model->waits_told || model->estimate_waits) && !model->ends_at_close;
}
