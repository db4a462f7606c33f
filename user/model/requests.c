// SPDX-License-Identifier: BSD-2-Clause
/*
 * What comes before accept(): a SYN, the steps of its request, the child that waits.
 */
#include "model/parts.h"

static struct life *begin_request(struct model *model, const struct ev_handshake *step, uint64_t key)
{
	const struct tuple tuple =
		tuple__of(step->local, step->local_port, step->remote, step->remote_port, step->netns);
	struct life *life = flow_table__begin(&model->flows, key);
	uint64_t now_ns = step->header.time_ns;

	if (!life)
		return NULL;
	life->conn = step->conn_id;
	if (!life->conn)
		life->conn = tuple__shown_id(step->local, step->remote, step->local_port,
					     step->remote_port, step->netns) ^
			     now_ns;
	life->start_ns = now_ns;
	life->role = ROLE_SERVER;
	life->first_old = EV_LISTEN;
	life->flags = LIFE_START_KNOWN | LIFE_SYN_SEEN;
	life__place(life, &tuple, step->family);
	model__enter(model, life, EV_SYN_RECV, now_ns);
	flow_table__join_tuple(&model->flows, life);
	return life;
}

static uint64_t tuple_key_of(const struct model *model, const struct ev_handshake *step)
{
	return flow_table__tuple_key(&model->flows, step->local, step->remote, step->local_port,
				     step->remote_port, step->netns);
}

static uint64_t request_key(const struct model *model, const struct ev_handshake *step)
{
	return step->conn_id ? step->conn_id : tuple_key_of(model, step);
}

static enum how request_ended(const struct ev_handshake *step)
{
	switch (step->outcome) {
	case EV_REQUEST_TIMED_OUT:
		return HOW_TIMEOUT;
	case EV_REQUEST_RESET:
		return step->detail == EV_RESET_BY_US ? HOW_DROPPED : HOW_RESET_RECEIVED;
	case EV_REQUEST_LISTENER_CLOSED:
		return HOW_LISTENER_CLOSED;
	default:
		return HOW_UNKNOWN;
	}
}

/* A request that is out of the queue without a child is a life that is over. */
static void end_request(struct model *model, struct life *life, const struct ev_handshake *step,
			struct changes *changes)
{
	struct change *change = changes__add(changes, CHANGE_LIFE, step->header.time_ns);

	life->how = (uint8_t)request_ended(step);
	model__enter(model, life, EV_STATE_CLOSE, step->header.time_ns);
	model__depart(model, life, step->header.time_ns);
	flow_table__end_request(&model->flows, life);
	change->life = life;
}

static struct listener *listener_of(struct model *model, uint64_t id, uint64_t socket, uint32_t netns,
				    const uint8_t local[16], uint16_t port)
{
	if (id)
		return listeners__get(&model->listeners, id);
	return socket ? listeners__adopt(&model->listeners, socket, netns, local, port) : NULL;
}

/* The life of a step's request: begun by its SYN, else found. */
static struct life *life_of_step(struct model *model, const struct ev_handshake *step,
				 struct changes *changes)
{
	uint64_t key = request_key(model, step);
	struct life *life = step->remote_port ? flow_table__find(&model->flows, key) : NULL;

	/* Kprobes only see a cookie that somebody has asked for, which may be
	 * in the middle of the handshake. */
	if (!life && step->remote_port && step->conn_id && step->outcome != EV_SYN_QUEUED)
		life = flow_table__find(&model->flows, tuple_key_of(model, step));
	if (step->outcome != EV_SYN_QUEUED)
		return life;
	if (life)
		model__end_unseen(model, life, changes);
	return begin_request(model, step, key);
}

void requests__step(struct model *model, const struct ev_handshake *step, struct changes *changes)
{
	bool is_syn = step->header.kind == EV_SYN;
	struct listener *listener = listener_of(model, step->listener_id, step->listener_socket,
						step->netns, step->local, step->local_port);
	struct life *life = life_of_step(model, step, changes);
	struct change *change =
		changes__add(changes, is_syn ? CHANGE_SYN : CHANGE_HANDSHAKE, step->header.time_ns);

	if (life && listener)
		life->listener = listener->key;
	change->handshake = step;
	change->listener = listener;
	change->life = life;
	change->owner = listener ? owners__get(&model->flows.owners, listener->owner) : NULL;
	if (!is_syn && life && life->flags & LIFE_SYN_SEEN)
		change->took_ns = step->header.time_ns - life->start_ns;
	if (listener)
		listeners__step(&model->listeners, listener, step,
				change->took_ns == UNKNOWN_NS ? UINT64_MAX : change->took_ns / 1000,
				life && life->flags & LIFE_BLOCKED);
	if (!life || is_syn)
		return;
	if (step->outcome == EV_REQUEST_OVERFLOW)
		life->flags |= LIFE_BLOCKED;
	else if (request_ended(step) != HOW_UNKNOWN)
		end_request(model, life, step, changes);
}

/* No life begins: whether this request ends as a connection, or how else, is not
 * seen by who tells this. */
void requests__admitted(struct model *model, const struct ev_handshake *step)
{
	struct listener *listener = listener_of(model, step->listener_id, step->listener_socket,
						step->netns, step->local, step->local_port);

	if (!listener)
		listener =
			listeners__serving(&model->listeners, step->netns, step->local, step->local_port);
	if (listener)
		listeners__admitted(&model->listeners, listener, step);
}

/* When it came into the accept queue: with its third ACK, with Fast Open by its
 * SYN. UNKNOWN_NS when that was not seen. */
static uint64_t queued_ns(const struct life *life)
{
	for (unsigned int i = life__first_known(life); i < life->history_count; i++)
		if (history_state(life->history[i]) == EV_ESTABLISHED)
			return life->start_ns + history_ns(life->history[i]);
	return life->state == EV_SYN_RECV && life->flags & LIFE_START_KNOWN ? life->start_ns : UNKNOWN_NS;
}

static struct life *accepted_life(struct model *model, const struct ev_accept *accept)
{
	const struct tuple tuple = tuple__of(accept->local, accept->local_port, accept->remote,
					     accept->remote_port, accept->netns);
	struct life *life = flow_table__find(&model->flows, accept->conn_id);

	return life || !accept->by_address ? life : model__join_by_place(model, accept->conn_id, &tuple);
}

void requests__accepted(struct model *model, const struct record *record, struct changes *changes)
{
	const struct ev_accept *accept = record->accept;
	struct owners *owners = &model->flows.owners;
	struct life *life = accepted_life(model, accept);
	struct change *change = changes__add(changes, CHANGE_ACCEPT, accept->header.time_ns);
	uint64_t since_ns = life ? queued_ns(life) : UNKNOWN_NS;
	uint32_t owner = model__intern(model, record);
	struct listener *listener = listener_of(model, accept->listener_id, accept->listener_socket,
						accept->netns, accept->local, accept->local_port);

	change->accept = accept;
	change->life = life;
	change->owner = model__actor(model, record, life);
	if (since_ns <= accept->header.time_ns)
		change->took_ns = accept->header.time_ns - since_ns;
	if (!listener && life && life->listener)
		listener = listeners__find(&model->listeners, life->listener);
	if (!listener)
		listener = listeners__serving(&model->listeners, accept->netns, accept->local,
					      accept->local_port);
	change->listener = listener;
	if (listener)
		listener__accepted(listener, accept,
				   change->took_ns == UNKNOWN_NS ? UINT64_MAX : change->took_ns / 1000);
	if (!life) {
		owners__release(owners, owner);
		return;
	}
	owners__release(owners, life->owner);
	life->owner = owner;
	if (change->took_ns == UNKNOWN_NS)
		return;
	life->flags |= LIFE_ACCEPTED;
	life->accept_wait_us =
		change->took_ns / 1000 < UINT32_MAX ? (uint32_t)(change->took_ns / 1000) : UINT32_MAX;
}
