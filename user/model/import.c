// SPDX-License-Identifier: BSD-2-Clause
#include "model/import.h"

#include <errno.h>
#include <string.h>

#include "model/parts.h"

_Static_assert((int)EV_HISTORY_MAX == (int)LIFE_HISTORY_MAX, "histories have changed");
_Static_assert((int)EV_CLOSED_FIRST_END == (int)CLOSED_FIRST_END, "append it to event.h, too");
_Static_assert((int)EV_HOW_END == (int)HOW_END, "append it to event.h, too");
_Static_assert((int)EV_WAIT_ENDS_MAX >= (int)EV_WAIT_END_END, "ends of minisockets do not fit");
_Static_assert((int)EV_WAIT_SECONDS_MAX > (int)TIMEWAIT_RATE_SECONDS, "the seconds do not fit");
_Static_assert((int)EV_TABLES_MAX >= (int)TABLE_COUNT, "the tables do not fit");

/* A reference, OWNER_NONE when the record names nobody. */
static uint32_t owner_of(struct model *model, const struct record *record)
{
	if (!record->owner)
		return OWNER_NONE;
	return owners__intern(&model->flows.owners, record->owner, record->header->time_ns);
}

static struct tuple tuple_of(const struct ev_life *from)
{
	return tuple__of(from->local, from->local_port, from->remote, from->remote_port, from->netns);
}

static uint64_t key_of(const struct model *model, const struct ev_life *from, bool waits)
{
	struct tuple tuple = tuple_of(from);

	if (waits || from->named_by == EV_NAMED_AS_WAIT)
		return model__wait_key(model, &tuple);
	if (from->named_by == EV_NAMED_AS_REQUEST)
		return flow_table__tuple_key(&model->flows, from->local, from->remote, from->local_port,
					     from->remote_port, from->netns);
	return from->conn_id;
}

static void put_life(struct life *life, const struct ev_life *from)
{
	life->conn = from->shown_id;
	life->start_ns = from->start_ns;
	life->entered_ns = from->entered_ns;
	life->listener = from->listener_id;
	life->bytes_sent = from->bytes_sent;
	life->bytes_received = from->bytes_received;
	life->retransmits = from->retransmits;
	life->accept_wait_us = from->accept_wait_us;
	life->netns = from->netns;
	life->flags = (uint16_t)(from->flags & ~(LIFE_ENDED | LIFE_SOCKET_GONE));
	life->local.port = from->local_port;
	life->remote.port = from->remote_port;
	memcpy(life->local.addr, from->local, sizeof(life->local.addr));
	memcpy(life->remote.addr, from->remote, sizeof(life->remote.addr));
	life->family = from->family;
	life->state = from->state;
	life->role = from->role;
	life->closed_first = from->closed_first;
	life->how = from->how;
	life->history_count = from->history_count;
	life->seen = from->seen;
	life->wait_state = from->wait_state;
	life->wait_end = from->wait_end;
	life->error = from->error;
	life->birth_error = from->birth_error;
	life->first_old = from->first_old;
	life->wait_estimated = from->wait_estimated;
	memcpy(life->history, from->history, sizeof(life->history));
}

/* It has ended where it comes from, with its socket; here it lasts as long as what
 * is left of it. */
static bool goes_on(const struct model *model, const struct ev_life *from)
{
	struct tuple tuple = tuple_of(from);
	const struct wait_entry *entry;

	if (model->ends_at_close || !(from->flags & LIFE_ENDED) || from->state != EV_STATE_CLOSE ||
	    !from->history_count)
		return false;
	entry = timewaits__find(&model->waits, model__wait_key(model, &tuple));
	if (!entry)
		return false;
	/* Where no record tells of minisockets it began as the connection ended. */
	if (model->estimate_waits)
		return entry->began == (uint32_t)(from->entered_ns >> WAIT_TIME_SHIFT);
	return from->flags & LIFE_WAITING &&
	       (from->wait_state == EV_FIN_WAIT2 || from->wait_state == EV_TIME_WAIT);
}

static void resume(struct model *model, struct life *life)
{
	flow_table__let_socket_go(&model->flows, life);
	if (model->estimate_waits) {
		life->flags |= LIFE_WAITING;
		life->wait_state = EV_TIME_WAIT;
		life->wait_estimated = 1;
	}
	life__resume(life);
}

static int import_life(struct model *model, const struct record *record)
{
	const struct ev_life *from = record->life;
	bool waits = goes_on(model, from), ends = from->flags & LIFE_ENDED && !waits;
	uint64_t key = key_of(model, from, waits);
	struct life *life = ends ? NULL : flow_table__find(&model->flows, key);

	if (life) /* who is told twice is who was told last */
		flow_table__end(&model->flows, life);
	life = flow_table__begin(&model->flows, key);
	if (!life)
		return -ENOMEM;
	put_life(life, from);
	life->owner = owner_of(model, record);
	if (from->ordinal && from->flags & LIFE_PLACE_KNOWN && from->local_port && from->remote_port)
		flow_table__join_as(&model->flows, life, from->ordinal);
	if (from->flags & LIFE_SOCKET_GONE)
		flow_table__let_socket_go(&model->flows, life);
	if (ends)
		flow_table__end(&model->flows, life);
	if (ends || waits)
		life->promoted_us = from->promoted_us;
	if (waits)
		resume(model, life);
	return 0;
}

static void import_wait(struct model *model, const struct ev_wait *from)
{
	const struct tuple tuple =
		tuple__of(from->local, from->local_port, from->remote, from->remote_port, from->netns);

	timewaits__put(&model->waits, model__wait_key(model, &tuple), from);
}

static void import_group(struct model *model, const struct record *record)
{
	uint32_t owner = owner_of(model, record);

	timewaits__put_group(&model->waits, record->wait_group, owner);
	owners__release(&model->flows.owners, owner);
}

/* Of those that are known only by the rest of their tuple that comes as the last. */
static void find_by_address(struct model *model)
{
	model->ids_are_addresses = true;
	for (uint32_t i = 0; i < model->flows.used; i++) {
		struct life *life = (struct life *)flow_table__open_at(&model->flows, i);

		if (life && life->role == ROLE_CLIENT && life->flags & LIFE_PLACE_KNOWN &&
		    !life->local.port)
			flow_table__await_port(&model->flows, life);
	}
}

static void import_rest(struct model *model, const struct ev_known *known)
{
	model->whole |= (known->flags & EV_KNOWN_WHOLE) != 0;
	if (known->flags & EV_KNOWN_BY_ADDRESS)
		find_by_address(model);
	model->lost |= known->lost;
	model->doubles += known->doubles;
	model->flows.not_kept += known->not_kept[TABLE_CONNECTIONS];
	model->waits.not_kept += known->not_kept[TABLE_MINISOCKETS];
	model->listeners.not_kept_more += known->not_kept[TABLE_LISTENERS];
	model->listeners.clients.not_kept += known->not_kept[TABLE_CLIENTS];
	model->namespaces.not_kept += known->not_kept[TABLE_NAMESPACES];
	model->flows.owners.not_kept += known->not_kept[TABLE_OWNERS];
	model->cgroups.evicted += known->not_kept[TABLE_CGROUPS];
	model->waits.not_grouped += known->not_kept[TABLE_GROUPS];
	model->histories_cut += known->not_kept[TABLE_HISTORIES];
}

int model__import(struct model *model, const struct record *record)
{
	if (record->life)
		return import_life(model, record);
	if (record->queues)
		listeners__put(&model->listeners, record->queues, owner_of(model, record));
	else if (record->wait_group)
		import_group(model, record);
	else if (record->wait)
		import_wait(model, record->wait);
	else if (record->known)
		import_rest(model, record->known);
	return 0;
}
