// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections as the records of their transitions tell them: which life a record is
 * about, what it adds to that, and where it leaves it.
 */
#include <errno.h>
#include <string.h>

#include "model/parts.h"

/* An id shown to people: the cookie, or for an address that will be used again
 * something that will not. The constant spreads births over all bits. */
static uint64_t shown_id(const struct ev_transition *t)
{
	if (!(t->flags & EV_F_ID_IS_ADDRESS))
		return t->conn_id;
	return t->conn_id ^ t->header.time_ns * 0x9e3779b97f4a7c15ULL;
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

/* Of two that were under way to the same place a row may have given one the other's
 * port: a record of its own knows. */
static void learn_local_port(struct model *model, struct life *life, uint16_t port)
{
	if (!port || life->local.port == port || (life->local.port && !model->ids_are_addresses))
		return;
	if (model->ids_are_addresses)
		flow_table__leave_tuple(&model->flows, life);
	life->local.port = port;
}

static void learn_place(struct model *model, struct life *life, const struct record *record)
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
	learn_local_port(model, life, t->local_port);
	if (!life->remote.port)
		life->remote.port = t->remote_port;
}

/* Decided at ESTABLISHED: there a fallback to TCP clears the socket's mark. */
static void learn_mptcp(struct life *life, const struct ev_transition *t)
{
	if (!(life->flags & LIFE_MPTCP) && !(t->flags & EV_F_MPTCP))
		return;
	for (unsigned int i = life__first_known(life); i < life->history_count; i++)
		if (history_state(life->history[i]) == EV_ESTABLISHED)
			return;
	life->flags &= (uint16_t)~LIFE_MPTCP;
	if (t->flags & EV_F_MPTCP)
		life->flags |= LIFE_MPTCP;
}

static void learn(struct model *model, struct life *life, const struct record *record)
{
	learn_place(model, life, record);
	if (record->owner && life->owner == OWNER_NONE)
		life->owner = model__intern(model, record);
	learn_mptcp(life, record->transition);
	if (record->totals) {
		life->flags |= LIFE_TOTALS_KNOWN;
		life->bytes_sent = record->totals->bytes_sent;
		life->bytes_received = record->totals->bytes_received;
		life->retransmits = record->totals->retransmits;
	}
}

/* Once its tuple is known it has that, and who had it before does not. */
static void settle(struct model *model, struct life *life, struct changes *changes)
{
	if (!life__lacks_tuple(life))
		return;
	model__settle_tuple(model, life);
	if (!life__lacks_tuple(life))
		minisockets__end_before(model, life, changes);
}

static void add_transition(struct model *model, const struct record *record, struct life *life,
			   struct changes *changes)
{
	const struct ev_transition *t = record->transition;
	struct change *change;

	if (model->keeps_transitions)
		return;
	change = changes__add(changes, CHANGE_TRANSITION, t->header.time_ns);
	change->life = life;
	change->owner = model__actor(model, record, life);
	change->old_state = t->old_state;
	change->new_state = t->new_state;
	if (life->flags & LIFE_ENTERED_KNOWN && life->state == t->old_state)
		change->in_old_ns =
			t->header.time_ns > life->entered_ns ? t->header.time_ns - life->entered_ns : 0;
}

/* The child's first transition, which was held back, now with its tuple. */
static void tell_first(struct model *model, struct life *life, uint64_t time_ns, struct changes *changes)
{
	struct change *change;

	if (model->keeps_transitions)
		return;
	change = changes__add(changes, CHANGE_TRANSITION, time_ns);
	change->life = life;
	change->owner = model__owner(model, life);
	change->old_state = EV_LISTEN;
	change->new_state = EV_SYN_RECV;
}

/* The life that a transition names. */
static struct life *named_by(struct model *model, const struct record *record)
{
	const struct ev_transition *t = record->transition;
	const struct ev_place *place = record->place;
	struct life *life = flow_table__find(&model->flows, t->conn_id);
	struct tuple tuple;

	if (life || !(t->flags & EV_F_ID_IS_ADDRESS))
		return life;
	model->ids_are_addresses = true;
	if (!place || t->old_state == EV_STATE_CLOSE)
		return NULL;
	tuple = tuple__of(place->local, t->local_port, place->remote, t->remote_port, place->netns);
	return model__join_by_place(model, t->conn_id, &tuple);
}

/* The life that began with this child's SYN; where the kernel gives a request
 * no id it was kept by its tuple. */
static struct life *request_of(struct model *model, const struct record *record)
{
	const struct ev_transition *t = record->transition;
	const struct ev_place *place = record->place;
	struct life *life = named_by(model, record);

	if (life)
		return life;
	life = flow_table__find(&model->flows,
				flow_table__tuple_key(&model->flows, place->local, place->remote,
						      t->local_port, t->remote_port, place->netns));
	if (life && flow_table__rekey(&model->flows, life, t->conn_id))
		return NULL;
	return life;
}

/* A request that only a dump has shown has become a connection: from here on it
 * is known as well as one that no dump had shown, and as much is told of it. For
 * how long it had been half open neither says. */
static void forget_row(struct life *life, uint64_t now_ns)
{
	life->flags &= (uint16_t) ~(LIFE_PREEXISTING | LIFE_INCOMPLETE | LIFE_ENTERED_KNOWN);
	life->flags |= LIFE_START_KNOWN;
	life->start_ns = now_ns;
	life->history_count = 0;
	life->state = 0;
}

static struct life *begin_child(struct model *model, const struct record *record, struct changes *changes)
{
	struct life *life = request_of(model, record);
	bool fresh = !life;
	uint64_t held_ns;

	if (fresh) {
		life = begin_life(model, record->transition, ROLE_SERVER);
	} else if (model->requests_sampled && life->flags & LIFE_PREEXISTING) {
		forget_row(life, record->header->time_ns);
		fresh = true;
	}
	if (!life)
		return NULL;
	life->first_old = EV_LISTEN;
	learn(model, life, record);
	settle(model, life, changes);
	if (children__fetch(&model->children, record->place->socket_id, &held_ns)) {
		tell_first(model, life, held_ns, changes);
		if (fresh) {
			life->start_ns = held_ns;
			model__enter(model, life, EV_SYN_RECV, held_ns);
		}
	} else if (fresh) {
		life->flags |= LIFE_INCOMPLETE;
		life->first_old = EV_SYN_RECV;
		life->state = EV_SYN_RECV;
	}
	return life;
}

/* Half open at a listener: by its SYN, or by a row of a dump. */
static bool is_request(const struct life *life)
{
	return life->flags & LIFE_SYN_SEEN || (life->flags & LIFE_PREEXISTING &&
					       life->role == ROLE_SERVER && life->state == EV_SYN_RECV);
}

/* The life that a record is about: the known one that it names, or a new one. */
static struct life *life_of(struct model *model, const struct record *record, struct life *life,
			    struct changes *changes)
{
	const struct ev_transition *t = record->transition;
	bool fresh = t->old_state == EV_STATE_CLOSE;

	if (life && fresh) {
		/* A row of a dump was faster than this record: no life of its own. */
		if (life->flags & LIFE_PREEXISTING && life->history_count == 1)
			flow_table__end_request(&model->flows, life);
		else
			model__end_unseen(model, life, changes);
		life = NULL;
	}
	/* A child, unless it is the second half of a simultaneous open. */
	if (t->old_state == EV_SYN_RECV && record->place && (!life || is_request(life)))
		return begin_child(model, record, changes);
	if (life)
		return life;
	if (t->new_state == EV_SYN_SENT && fresh)
		return begin_life(model, t, ROLE_CLIENT);
	if (t->new_state == EV_LISTEN && fresh)
		return begin_life(model, t, ROLE_LISTENER);
	return begin_in_the_middle(model, t);
}

static void follow_listener(struct model *model, const struct record *record, const struct life *life)
{
	const struct ev_transition *t = record->transition;
	struct listener *listener;

	if (t->new_state == EV_LISTEN && record->birth) {
		const struct listener_birth birth = {
			.key = t->conn_id,
			.id = shown_id(t),
			.by_address = t->flags & EV_F_ID_IS_ADDRESS,
			.netns = life->netns,
			.addr = life->local.addr,
			.port = life->local.port,
			.time_ns = t->header.time_ns,
		};

		listener = listeners__born(&model->listeners, &birth);
		if (!listener)
			return;
		listener->netns = life->netns;
		listener->family = life->family;
		listener->local = life->local;
		listener->limit = record->birth->backlog;
		listener->asked = record->birth->asked;
		listener->somaxconn = record->birth->somaxconn;
		listener->flags = LISTENER_PLACE_KNOWN | (listener->flags & LISTENER_DROPS_KNOWN);
		if (t->flags & EV_F_ID_IS_ADDRESS)
			listener->flags |= LISTENER_ADOPTED;
		owners__release(&model->flows.owners, listener->owner);
		listener->owner = model__intern(model, record);
	} else if (t->old_state == EV_LISTEN) {
		listeners__close(&model->listeners, t->conn_id);
	}
}

static void move_life(struct model *model, struct life *life, const struct ev_transition *t,
		      struct changes *changes)
{
	uint64_t now_ns = t->header.time_ns;

	if (t->new_state == EV_STATE_CLOSE && model->estimate_waits)
		minisockets__estimate(model, life, t);
	if (t->new_state == EV_STATE_CLOSE && life->flags & LIFE_WAITING && !model->ends_at_close &&
	    !minisockets__become(model, life, now_ns, changes))
		return;
	model__enter(model, life, t->new_state, now_ns);
	if (t->new_state == EV_STATE_CLOSE)
		model__end_life(model, life, now_ns, changes);
}

/* A child has its whole tuple in its first record. */
static uint32_t foresee_child(const struct model *model, const struct ev_birth *birth)
{
	const struct ev_place *place = &birth->place;
	const struct tuple tuple = tuple__of(place->local, birth->transition.local_port, place->remote,
					     birth->transition.remote_port, place->netns);

	if (birth->transition.old_state != EV_SYN_RECV)
		return 0;
	return flow_table__expect_tuple(&model->flows, &tuple.local, &tuple.remote, tuple.netns);
}

/* A client's port comes with its second record. */
static uint32_t foresee_client(const struct model *model, const struct ev_transition *t)
{
	const struct life *life =
		t->old_state == EV_SYN_SENT ? flow_table__find(&model->flows, t->conn_id) : NULL;
	struct endpoint local;

	if (!life || !life__lacks_tuple(life))
		return 0;
	local = life->local;
	local.port = t->local_port;
	return flow_table__expect_tuple(&model->flows, &local, &life->remote, life->netns);
}

static uint32_t foresee_end(const struct model *model, const struct ev_transition *t)
{
	const struct life *life = flow_table__find(&model->flows, t->conn_id);

	return life ? flow_table__fetch_end(&model->flows, life) : 0;
}

static uint32_t foresee_begin(const struct model *model, const struct ev_header *record)
{
	if (record->kind == EV_BIRTH && record->len == sizeof(struct ev_birth))
		return foresee_child(model, (const struct ev_birth *)record);
	if (record->kind == EV_TRANSITION && record->len == sizeof(struct ev_transition))
		return foresee_client(model, (const struct ev_transition *)record);
	return 0;
}

void model__foresee(const struct model *model, const struct ev_header *record)
{
	foresee_begin(model, record);
}

uint32_t model__foresee_far(const struct model *model, const struct ev_header *record)
{
	if (record->kind == EV_CLOSE && record->len == sizeof(struct ev_close))
		return foresee_end(model, &((const struct ev_close *)record)->transition);
	return foresee_begin(model, record);
}

int transitions__apply(struct model *model, const struct record *record, struct changes *changes)
{
	const struct ev_transition *t = record->transition;
	struct life *life;

	if (t->old_state == EV_LISTEN && t->new_state == EV_SYN_RECV) {
		children__hold(&model->children, t->conn_id, t->header.time_ns);
		return 0;
	}
	life = named_by(model, record);
	if (t->flags & EV_F_STAND_IN &&
	    (life ? life->state == t->new_state : t->new_state == EV_STATE_CLOSE)) {
		/* The first one has told it already. */
		model->doubles++;
		return 0;
	}
	life = life_of(model, record, life, changes);
	if (!life)
		return -ENOMEM;
	if (life->state && life->state != t->old_state) /* a record between was lost */
		life->flags |= LIFE_INCOMPLETE;
	/* 5.10 tells of every transition with a full record. */
	if (record->birth && !life->history_count && t->old_state == EV_STATE_CLOSE)
		life->birth_error = (uint8_t)record->birth->error;
	learn(model, life, record);
	life__judge(life, t, record->totals);
	settle(model, life, changes);
	follow_listener(model, record, life);
	add_transition(model, record, life, changes);
	move_life(model, life, t, changes);
	return 0;
}
