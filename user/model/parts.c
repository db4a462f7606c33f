// SPDX-License-Identifier: BSD-2-Clause
#include "model/parts.h"

#include <string.h>

void model__enter(struct model *model, struct life *life, unsigned int state, uint64_t now_ns)
{
	bool cut = life->flags & LIFE_HISTORY_CUT;

	life__enter(life, state, now_ns);
	model->histories_cut += !cut && life->flags & LIFE_HISTORY_CUT;
}

void model__wait_on(struct model *model, struct life *life, uint64_t now_ns)
{
	bool cut = life->flags & LIFE_HISTORY_CUT;

	life__wait(life, now_ns);
	model->histories_cut += !cut && life->flags & LIFE_HISTORY_CUT;
}

const struct owner *model__actor(struct model *model, const struct record *record, const struct life *life)
{
	const struct ev_owner *from = record->owner;

	if (!from)
		return life ? model__owner(model, life) : NULL;
	model->actor = owner__of(from, record->header->time_ns);
	return &model->actor;
}

uint32_t model__intern(struct model *model, const struct record *record)
{
	if (!record->owner)
		return OWNER_NONE;
	return owners__intern(&model->flows.owners, record->owner, record->header->time_ns);
}

enum { DEPARTURE_NS = 1000000 }; /* between a record and what it tells there is less */

/* What had gone before a dump began is in no row of it, however late its record comes to be
 * handed out: a row that is there is of the next of that name. */
void model__note_departed(struct model *model, uint64_t key, uint64_t time_ns)
{
	if (time_ns + DEPARTURE_NS >= model->dump_began_ns)
		departed__add(&model->departed, key);
}

/* Where records name sockets by address a row's cookie says nothing: there the
 * tuple has to. */
void model__depart(struct model *model, const struct life *life, uint64_t time_ns)
{
	model__note_departed(model, life->key, time_ns);
	if (model->ids_are_addresses)
		model__note_departed(model,
				     flow_table__tuple_key(&model->flows, life->local.addr,
							   life->remote.addr, life->local.port,
							   life->remote.port, life->netns),
				     time_ns);
}

void model__end_life(struct model *model, struct life *life, uint64_t now_ns, struct changes *changes)
{
	struct change *change = changes__add(changes, CHANGE_LIFE, now_ns);

	change->life = life;
	change->owner = model__owner(model, life);
	model__depart(model, life, now_ns);
	flow_table__end(&model->flows, life);
}

void model__end_unseen(struct model *model, struct life *life, struct changes *changes)
{
	life->flags |= LIFE_INCOMPLETE;
	model__depart(model, life, model->now_ns); /* by now, and nobody knows since when */
	model__end_life(model, life, life->entered_ns, changes);
}

struct life *model__join_by_place(struct model *model, uint64_t address, const struct tuple *tuple)
{
	struct life *life = flow_table__newest(&model->flows, tuple);

	model->ids_are_addresses = true;
	if (!life || life->flags & (LIFE_ENDED | LIFE_SOCKET_GONE) || !(life->flags & LIFE_PREEXISTING))
		return NULL;
	return flow_table__rekey(&model->flows, life, address) ? NULL : life;
}

bool model__is_row_of(const struct life *shown, const struct life *life)
{
	return shown->flags & LIFE_PREEXISTING && !(shown->flags & (LIFE_ENDED | LIFE_SOCKET_GONE)) &&
	       shown->history_count == 1 && shown->start_ns >= life->start_ns;
}

/* Where records name sockets by address, a row of this one that was faster than the
 * record that tells its port has begun another: no life of its own. */
static void forget_double(struct model *model, const struct life *life)
{
	const struct tuple tuple = life__tuple(life);
	struct life *shown = flow_table__newest(&model->flows, &tuple);

	if (shown && model__is_row_of(shown, life))
		flow_table__end_request(&model->flows, shown);
}

void model__settle_tuple(struct model *model, struct life *life)
{
	if (!life__lacks_tuple(life) || !(life->flags & LIFE_PLACE_KNOWN) || !life->remote.port)
		return;
	if (!life->local.port) {
		if (model->ids_are_addresses && !life->history_count)
			flow_table__await_port(&model->flows, life);
		return;
	}
	if (model->ids_are_addresses)
		forget_double(model, life);
	if (life->role == ROLE_CLIENT && life->local.port == life->remote.port &&
	    !memcmp(life->local.addr, life->remote.addr, sizeof(life->local.addr)))
		life->role = ROLE_BOTH;
	flow_table__join_tuple(&model->flows, life);
}
