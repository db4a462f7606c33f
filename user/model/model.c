// SPDX-License-Identifier: BSD-2-Clause
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/children.h"

struct model {
	struct flow_table flows;
	struct children children;
	struct owner actor; /* owner of the record in hand, for changes */
};

struct model *model__new(const struct model_config *config)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	if (flow_table__init(&model->flows, config->seed, config->max_lives, config->max_ended)) {
		free(model);
		errno = ENOMEM;
		return NULL;
	}
	return model;
}

void model__free(struct model *model)
{
	if (!model)
		return;
	flow_table__fini(&model->flows);
	free(model);
}

const struct flow_table *model__flows(const struct model *model)
{
	return &model->flows;
}

const struct owner *model__owner(const struct model *model, const struct life *life)
{
	return owners__get(&model->flows.owners, life->owner);
}

static struct change *add_change(struct changes *changes, enum change_kind kind, uint64_t time_ns)
{
	struct change *change = &changes->change[changes->count++];

	*change = (struct change){.kind = kind, .time_ns = time_ns, .in_old_ns = UNKNOWN_NS};
	return change;
}

/* Who acted in this record, else whose connection it is. */
static const struct owner *actor(struct model *model, const struct record *record, const struct life *life)
{
	const struct ev_owner *from = record->owner;

	if (!from)
		return model__owner(model, life);
	model->actor = (struct owner){.pid = from->pid, .uid = from->uid, .cgroup = from->cgroup};
	memcpy(model->actor.comm, from->comm, sizeof(model->actor.comm));
	return &model->actor;
}

/* An id shown to people: the cookie, or for an address that will be used again
 * something that will not. The constant spreads births over all bits. */
static uint64_t shown_id(const struct ev_transition *t)
{
	if (!(t->flags & EV_F_ID_IS_ADDRESS))
		return t->conn_id;
	return t->conn_id ^ t->header.time_ns * 0x9e3779b97f4a7c15ULL;
}

static void end_life(struct model *model, struct life *life, uint64_t now_ns, struct changes *changes)
{
	struct change *change = add_change(changes, CHANGE_LIFE, now_ns);

	change->life = life;
	change->owner = model__owner(model, life);
	flow_table__end(&model->flows, life);
}

/* Its id begins anew: its CLOSE was lost. */
static void end_unseen(struct model *model, struct life *life, struct changes *changes)
{
	life->flags |= LIFE_INCOMPLETE;
	end_life(model, life, life->entered_ns, changes);
}

static struct life *begin_life(struct model *model, const struct ev_transition *t, enum role role)
{
	struct life *life = flow_table__begin(&model->flows, t->conn_id);

	if (!life)
		return NULL;
	life->conn = shown_id(t);
	life->start_ns = t->header.time_ns;
	life->role = (uint8_t)role;
	life->first_old = t->old_state;
	life->flags = LIFE_START_KNOWN;
	return life;
}

/* Nothing is known of it before this record: it was there before the start, or
 * its birth was lost. */
static struct life *begin_in_the_middle(struct model *model, const struct ev_transition *t)
{
	struct life *life = begin_life(model, t, t->old_state == EV_LISTEN ? ROLE_LISTENER : ROLE_UNKNOWN);

	if (!life)
		return NULL;
	life->flags = LIFE_INCOMPLETE;
	life->state = t->old_state;
	return life;
}

static void learn_place(struct life *life, const struct record *record)
{
	const struct ev_transition *t = record->transition;
	const struct ev_place *place = record->place;

	if (place && !(life->flags & LIFE_PLACE_KNOWN)) {
		memcpy(life->local.addr, place->local, sizeof(life->local.addr));
		memcpy(life->remote.addr, place->remote, sizeof(life->remote.addr));
		life->netns = place->netns;
		life->family = place->family;
		life->flags |= LIFE_PLACE_KNOWN;
	}
	if (!life->local.port)
		life->local.port = t->local_port;
	if (!life->remote.port)
		life->remote.port = t->remote_port;
}

/* Once its tuple is complete, which for a client is after its first record. */
static void settle_tuple(struct model *model, struct life *life)
{
	if (life->ordinal || !(life->flags & LIFE_PLACE_KNOWN) || !life->local.port || !life->remote.port)
		return;
	if (life->role == ROLE_CLIENT && life->local.port == life->remote.port &&
	    !memcmp(life->local.addr, life->remote.addr, sizeof(life->local.addr)))
		life->role = ROLE_BOTH;
	flow_table__join_tuple(&model->flows, life);
}

static void learn(struct model *model, struct life *life, const struct record *record)
{
	learn_place(life, record);
	settle_tuple(model, life);
	if (record->owner && life->owner == OWNER_NONE)
		life->owner = owners__intern(&model->flows.owners, record->owner);
	if (record->transition->flags & EV_F_MPTCP)
		life->flags |= LIFE_MPTCP;
	if (record->totals) {
		life->flags |= LIFE_TOTALS_KNOWN;
		life->bytes_sent = record->totals->bytes_sent;
		life->bytes_received = record->totals->bytes_received;
		life->retransmits = record->totals->retransmits;
	}
}

static void add_transition(struct model *model, const struct record *record, struct life *life,
			   struct changes *changes)
{
	const struct ev_transition *t = record->transition;
	struct change *change = add_change(changes, CHANGE_TRANSITION, t->header.time_ns);

	change->life = life;
	change->owner = actor(model, record, life);
	change->old_state = t->old_state;
	change->new_state = t->new_state;
	if (life->flags & LIFE_ENTERED_KNOWN)
		change->in_old_ns = t->header.time_ns > life->entered_ns ?
					    t->header.time_ns - life->entered_ns :
					    0;
}

/* The child's first transition, which was held back, now with its tuple. */
static void tell_first(struct model *model, struct life *life, uint64_t time_ns, struct changes *changes)
{
	struct change *change = add_change(changes, CHANGE_TRANSITION, time_ns);

	change->life = life;
	change->owner = model__owner(model, life);
	change->old_state = EV_LISTEN;
	change->new_state = EV_SYN_RECV;
	life->start_ns = time_ns;
	life__enter(life, EV_SYN_RECV, time_ns);
}

static struct life *begin_child(struct model *model, const struct record *record, struct changes *changes)
{
	struct life *life = begin_life(model, record->transition, ROLE_SERVER);
	uint64_t held_ns;

	if (!life)
		return NULL;
	life->first_old = EV_LISTEN;
	learn(model, life, record);
	if (children__fetch(&model->children, record->place->socket_id, &held_ns)) {
		tell_first(model, life, held_ns, changes);
	} else {
		life->flags |= LIFE_INCOMPLETE;
		life->first_old = EV_SYN_RECV;
		life->state = EV_SYN_RECV;
	}
	return life;
}

/* The life that a record is about: the known one, or a new one. */
static struct life *life_of(struct model *model, const struct record *record, struct changes *changes)
{
	const struct ev_transition *t = record->transition;
	struct life *life = flow_table__find(&model->flows, t->conn_id);
	bool fresh = t->old_state == EV_STATE_CLOSE;

	if (life && fresh) {
		end_unseen(model, life, changes);
		life = NULL;
	}
	if (life)
		return life;
	if (t->new_state == EV_SYN_SENT && fresh)
		return begin_life(model, t, ROLE_CLIENT);
	if (t->new_state == EV_LISTEN && fresh)
		return begin_life(model, t, ROLE_LISTENER);
	if (t->old_state == EV_SYN_RECV && record->place)
		return begin_child(model, record, changes);
	return begin_in_the_middle(model, t);
}

static int apply_transition(struct model *model, const struct record *record, struct changes *changes)
{
	const struct ev_transition *t = record->transition;
	struct life *life;

	if (t->old_state == EV_LISTEN && t->new_state == EV_SYN_RECV) {
		children__hold(&model->children, t->conn_id, t->header.time_ns);
		return 0;
	}
	life = life_of(model, record, changes);
	if (!life)
		return -ENOMEM;
	if (life->state && life->state != t->old_state) /* a record between was lost */
		life->flags |= LIFE_INCOMPLETE;
	if (record->birth && !life->history_count)
		life->birth_error = (uint8_t)record->birth->error;
	learn(model, life, record);
	life__judge(life, t, record->totals);
	add_transition(model, record, life, changes);
	life__enter(life, t->new_state, t->header.time_ns);
	if (t->new_state == EV_STATE_CLOSE)
		end_life(model, life, t->header.time_ns, changes);
	return 0;
}

int model__apply(struct model *model, const struct record *record, struct changes *changes)
{
	uint64_t now_ns = record->header->time_ns;
	struct change *change;

	changes->count = 0;
	if (record->transition)
		return apply_transition(model, record, changes);
	if (record->syn) {
		change = add_change(changes, CHANGE_SYN, now_ns);
		change->syn = record->syn;
		change->life = flow_table__find(&model->flows, record->syn->listener_id);
		change->owner = change->life ? model__owner(model, change->life) : NULL;
	} else if (record->loss) {
		change = add_change(changes, CHANGE_LOSS, now_ns);
		change->loss = record->loss;
	} else if (record->stop) {
		change = add_change(changes, CHANGE_STOP, now_ns);
		change->stop = record->stop;
	}
	return 0;
}
