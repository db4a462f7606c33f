// SPDX-License-Identifier: BSD-2-Clause
#include "model/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/import.h"

struct model *model__new(const struct model_config *config)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	namespaces__init(&model->namespaces);
	if (flow_table__init(&model->flows, config->seed, config->max_lives, config->max_ended) ||
	    departed__init(&model->departed, config->seed) ||
	    listeners__init(&model->listeners, &model->flows.owners, config->seed) ||
	    timewaits__init(&model->waits, &model->flows.owners, config->seed, TIMEWAITS_MAX) ||
	    cgroups__init(&model->cgroups, config->seed)) {
		model__free(model);
		errno = ENOMEM;
		return NULL;
	}
	model->estimate_waits = config->estimate_waits;
	model->ends_at_close = config->ends_at_close;
	model->requests_told = config->requests_told;
	model->requests_sampled = config->requests_sampled;
	model->waits_told = config->waits_told;
	return model;
}

void model__free(struct model *model)
{
	if (!model)
		return;
	namespaces__fini(&model->namespaces);
	departed__fini(&model->departed);
	listeners__fini(&model->listeners);
	timewaits__fini(&model->waits);
	cgroups__fini(&model->cgroups);
	flow_table__fini(&model->flows);
	free(model);
}

const struct flow_table *model__flows(const struct model *model)
{
	return &model->flows;
}

const struct listeners *model__listeners(const struct model *model)
{
	return &model->listeners;
}

const struct namespaces *model__namespaces(const struct model *model)
{
	return &model->namespaces;
}

bool model__has_lost(const struct model *model, unsigned int kind)
{
	return model->lost & (1U << kind | 1U);
}

uint64_t model__doubles(const struct model *model)
{
	return model->doubles;
}

const struct healed *model__healed(const struct model *model)
{
	return &model->healed;
}

bool model__is_whole(const struct model *model)
{
	return model->whole;
}

uint32_t model__missed(struct model *model)
{
	uint32_t missed = model->missed;

	model->missed = 0;
	return missed;
}

const struct timewaits *model__timewaits(const struct model *model)
{
	return &model->waits;
}

const struct cgroups *model__cgroups(const struct model *model)
{
	return &model->cgroups;
}

const struct ev_dump *model__dump_of(const struct model *model, uint32_t netns)
{
	for (uint32_t i = 0; i < model->dump_count; i++)
		if (model->dumps[i].netns == netns)
			return &model->dumps[i];
	return NULL;
}

const struct ev_settings *model__settings(const struct model *model, uint32_t netns)
{
	for (uint32_t i = 0; i < model->settings_count; i++)
		if (model->settings[i].netns == netns)
			return &model->settings[i];
	return NULL;
}

void model__advance(struct model *model, uint64_t now_ns)
{
	if (now_ns > model->now_ns)
		model->now_ns = now_ns;
}

void model__measure(struct model *model, uint64_t now_ns)
{
	struct changes not_fetched;

	model__advance(model, now_ns);
	while (model__more(model, &not_fetched))
		;
	timewaits__measure(&model->waits, now_ns);
}

const struct owner *model__owner_at(const struct model *model, uint32_t index)
{
	return owners__get(&model->flows.owners, index);
}

const struct owner *model__owner(const struct model *model, const struct life *life)
{
	return owners__get(&model->flows.owners, life->owner);
}

static void enter_state(struct model *model, struct life *life, unsigned int state, uint64_t now_ns)
{
	bool cut = life->flags & LIFE_HISTORY_CUT;

	life__enter(life, state, now_ns);
	model->histories_cut += !cut && life->flags & LIFE_HISTORY_CUT;
}

static void wait_on(struct model *model, struct life *life, uint64_t now_ns)
{
	bool cut = life->flags & LIFE_HISTORY_CUT;

	life__wait(life, now_ns);
	model->histories_cut += !cut && life->flags & LIFE_HISTORY_CUT;
}

static struct change *add_change(struct changes *changes, enum change_kind kind, uint64_t time_ns)
{
	struct change *change = &changes->change[changes->count++];

	*change = (struct change){
		.kind = kind, .time_ns = time_ns, .in_old_ns = UNKNOWN_NS, .took_ns = UNKNOWN_NS
	};
	return change;
}

/* Who acted in this record, else whose connection it is. */
static const struct owner *actor(struct model *model, const struct record *record, const struct life *life)
{
	const struct ev_owner *from = record->owner;

	if (!from)
		return life ? model__owner(model, life) : NULL;
	model->actor = owner__of(from, record->header->time_ns);
	return &model->actor;
}

/* A reference to the owner that the record tells, OWNER_NONE when it tells none. */
static uint32_t intern(struct model *model, const struct record *record)
{
	if (!record->owner)
		return OWNER_NONE;
	return owners__intern(&model->flows.owners, record->owner, record->header->time_ns);
}

/* An id shown to people: the cookie, or for an address that will be used again
 * something that will not. The constant spreads births over all bits. */
static uint64_t shown_id(const struct ev_transition *t)
{
	if (!(t->flags & EV_F_ID_IS_ADDRESS))
		return t->conn_id;
	return t->conn_id ^ t->header.time_ns * 0x9e3779b97f4a7c15ULL;
}

/* Where records name sockets by address a row's cookie says nothing: there the
 * tuple has to. */
static void depart(struct model *model, const struct life *life)
{
	departed__add(&model->departed, life->key);
	if (model->ids_are_addresses)
		departed__add(&model->departed,
			      flow_table__tuple_key(&model->flows, life->local.addr, life->remote.addr,
						    life->local.port, life->remote.port, life->netns));
}

static void end_life(struct model *model, struct life *life, uint64_t now_ns, struct changes *changes)
{
	struct change *change = add_change(changes, CHANGE_LIFE, now_ns);

	change->life = life;
	change->peer = flow_table__peer(&model->flows, life);
	change->owner = model__owner(model, life);
	depart(model, life);
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

static bool lacks_tuple(const struct life *life)
{
	return !life->ordinal;
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

static void end_wait_before(struct model *model, const struct life *life, struct changes *changes);

/* Only a row has shown it, and it came after the birth of this one. */
static bool is_row_of(const struct life *shown, const struct life *life)
{
	return shown->flags & LIFE_PREEXISTING && !(shown->flags & (LIFE_ENDED | LIFE_SOCKET_GONE)) &&
	       shown->history_count == 1 && shown->start_ns >= life->start_ns;
}

/* Where records name sockets by address, a row of this one that was faster than the
 * record that tells its port has begun another: no life of its own. */
static void forget_double(struct model *model, const struct life *life)
{
	struct life *shown = flow_table__newest(&model->flows, life);

	if (shown && is_row_of(shown, life))
		flow_table__end_request(&model->flows, shown);
}

/* Once its tuple is complete, which for a client is after its first record. */
static void settle_tuple(struct model *model, struct life *life)
{
	if (!lacks_tuple(life) || !(life->flags & LIFE_PLACE_KNOWN) || !life->remote.port)
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

/* Decided at ESTABLISHED: there a fallback to TCP clears the socket's mark. */
static void learn_mptcp(struct life *life, const struct ev_transition *t)
{
	for (unsigned int i = life__first_known(life); i < life->history_count; i++)
		if (history_state(life->history[i]) == EV_ESTABLISHED)
			return;
	life->flags &= (uint16_t)~LIFE_MPTCP;
	if (t->flags & EV_F_MPTCP)
		life->flags |= LIFE_MPTCP;
}

static void learn(struct model *model, struct life *life, const struct record *record,
		  struct changes *changes)
{
	bool lacked = lacks_tuple(life);

	learn_place(model, life, record);
	settle_tuple(model, life);
	if (lacked && !lacks_tuple(life))
		end_wait_before(model, life, changes);
	if (record->owner && life->owner == OWNER_NONE)
		life->owner = intern(model, record);
	learn_mptcp(life, record->transition);
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
	if (life->flags & LIFE_ENTERED_KNOWN && life->state == t->old_state)
		change->in_old_ns =
			t->header.time_ns > life->entered_ns ? t->header.time_ns - life->entered_ns : 0;
}

/* The child's first transition, which was held back, now with its tuple. */
static void tell_first(struct model *model, struct life *life, uint64_t time_ns, struct changes *changes)
{
	struct change *change = add_change(changes, CHANGE_TRANSITION, time_ns);

	change->life = life;
	change->owner = model__owner(model, life);
	change->old_state = EV_LISTEN;
	change->new_state = EV_SYN_RECV;
}

/* A connection as its records and rows place it. */
struct tuple_of {
	const uint8_t *local, *remote;
	uint16_t local_port, remote_port;
	uint32_t netns;
};

static struct life *newest_of(struct model *model, const struct tuple_of *tuple)
{
	struct life like = { .local.port = tuple->local_port,
			     .remote.port = tuple->remote_port,
			     .netns = tuple->netns };

	memcpy(like.local.addr, tuple->local, sizeof(like.local.addr));
	memcpy(like.remote.addr, tuple->remote, sizeof(like.remote.addr));
	return flow_table__newest(&model->flows, &like);
}

/* A life that a dump has begun, under a cookie, and that records name by the
 * address of its socket: found by its place, and by that address from now on. */
static struct life *join_by_place(struct model *model, uint64_t address, const struct tuple_of *tuple)
{
	struct life *life = newest_of(model, tuple);

	model->ids_are_addresses = true;
	if (!life || life->flags & (LIFE_ENDED | LIFE_SOCKET_GONE) || !(life->flags & LIFE_PREEXISTING))
		return NULL;
	return flow_table__rekey(&model->flows, life, address) ? NULL : life;
}

/* The life that a transition names. */
static struct life *named_by(struct model *model, const struct record *record)
{
	const struct ev_transition *t = record->transition;
	const struct ev_place *place = record->place;
	struct life *life = flow_table__find(&model->flows, t->conn_id);
	struct tuple_of tuple;

	if (life || !(t->flags & EV_F_ID_IS_ADDRESS))
		return life;
	model->ids_are_addresses = true;
	if (!place || t->old_state == EV_STATE_CLOSE)
		return NULL;
	tuple = (struct tuple_of){ place->local, place->remote, t->local_port, t->remote_port,
				   place->netns };
	return join_by_place(model, t->conn_id, &tuple);
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
	learn(model, life, record, changes);
	if (children__fetch(&model->children, record->place->socket_id, &held_ns)) {
		tell_first(model, life, held_ns, changes);
		if (fresh) {
			life->start_ns = held_ns;
			enter_state(model, life, EV_SYN_RECV, held_ns);
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
			end_unseen(model, life, changes);
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

/* ---- listeners ---- */

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
		listener->owner = intern(model, record);
	} else if (t->old_state == EV_LISTEN) {
		listeners__close(&model->listeners, t->conn_id);
	}
}

static struct life *begin_request(struct model *model, const struct ev_handshake *step, uint64_t key)
{
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
	life->flags = LIFE_START_KNOWN | LIFE_PLACE_KNOWN | LIFE_SYN_SEEN;
	life->netns = step->netns;
	life->family = step->family;
	life->local.port = step->local_port;
	life->remote.port = step->remote_port;
	memcpy(life->local.addr, step->local, sizeof(life->local.addr));
	memcpy(life->remote.addr, step->remote, sizeof(life->remote.addr));
	enter_state(model, life, EV_SYN_RECV, now_ns);
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
	struct change *change = add_change(changes, CHANGE_LIFE, step->header.time_ns);

	life->how = (uint8_t)request_ended(step);
	enter_state(model, life, EV_STATE_CLOSE, step->header.time_ns);
	change->peer = flow_table__peer(&model->flows, life);
	depart(model, life);
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
		end_unseen(model, life, changes);
	return begin_request(model, step, key);
}

static void apply_handshake(struct model *model, const struct ev_handshake *step, struct changes *changes)
{
	bool is_syn = step->header.kind == EV_SYN;
	struct listener *listener = listener_of(model, step->listener_id, step->listener_socket,
						step->netns, step->local, step->local_port);
	struct life *life = life_of_step(model, step, changes);
	struct change *change =
		add_change(changes, is_syn ? CHANGE_SYN : CHANGE_HANDSHAKE, step->header.time_ns);

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
static void apply_admitted(struct model *model, const struct ev_handshake *step)
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
	const struct tuple_of tuple = { accept->local, accept->remote, accept->local_port,
					accept->remote_port, accept->netns };
	struct life *life = flow_table__find(&model->flows, accept->conn_id);

	return life || !accept->by_address ? life : join_by_place(model, accept->conn_id, &tuple);
}

static void apply_accept(struct model *model, const struct record *record, struct changes *changes)
{
	const struct ev_accept *accept = record->accept;
	struct owners *owners = &model->flows.owners;
	struct life *life = accepted_life(model, accept);
	struct change *change = add_change(changes, CHANGE_ACCEPT, accept->header.time_ns);
	uint64_t since_ns = life ? queued_ns(life) : UNKNOWN_NS;
	uint32_t owner = intern(model, record);
	struct listener *listener = listener_of(model, accept->listener_id, accept->listener_socket,
						accept->netns, accept->local, accept->local_port);

	change->accept = accept;
	change->life = life;
	change->owner = actor(model, record, life);
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

/* ---- minisockets ---- */

uint64_t model__wait_key(const struct model *model, const struct wait_tuple *tuple)
{
	const uint64_t not_a_request = 0x7477 /* "tw" */;

	return not_a_request ^ flow_table__tuple_key(&model->flows, tuple->local.addr, tuple->remote.addr,
						     tuple->local.port, tuple->remote.port, tuple->netns);
}

static struct wait_tuple tuple_of_wait(const struct ev_timewait *wait)
{
	struct wait_tuple tuple = { .local.port = wait->local_port,
				    .remote.port = wait->remote_port,
				    .netns = wait->netns };

	memcpy(tuple.local.addr, wait->local, sizeof(tuple.local.addr));
	memcpy(tuple.remote.addr, wait->remote, sizeof(tuple.remote.addr));
	return tuple;
}

static struct wait_tuple tuple_of_life(const struct life *life)
{
	return (struct wait_tuple){ .local = life->local, .remote = life->remote, .netns = life->netns };
}

/* The role of what was there before the start: a listener on its port tells, or
 * that only one of its ports is one that connect() chooses. */
static enum role role_by_ports(struct model *model, const struct wait_tuple *tuple)
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

static struct wait_charge charge_of(struct model *model, const struct wait_tuple *tuple,
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
		charge.role = role_by_ports(model, tuple);
	return charge;
}

/* The socket of a life goes to CLOSE and leaves a minisocket behind: from now on
 * the life is found by its tuple. */
static int become_minisocket(struct model *model, struct life *life, uint64_t now_ns,
			     struct changes *changes)
{
	struct wait_tuple tuple = tuple_of_life(life);
	uint64_t key = model__wait_key(model, &tuple);
	struct life *stale = flow_table__find(&model->flows, key);

	if (stale)
		end_unseen(model, stale, changes);
	depart(model, life);
	if (flow_table__rekey(&model->flows, life, key))
		return -ENOMEM;
	flow_table__let_socket_go(&model->flows, life);
	wait_on(model, life, now_ns);
	return 0;
}

static void begin_wait(struct model *model, const struct ev_timewait *wait, struct change *change)
{
	const struct tuple_of place = { wait->local, wait->remote, wait->local_port, wait->remote_port,
					wait->netns };
	struct wait_tuple tuple = tuple_of_wait(wait);
	struct life *life = flow_table__find(&model->flows, wait->conn_id);
	struct wait_charge charge;

	if (!life && wait->by_address)
		life = join_by_place(model, wait->conn_id, &place);
	charge = charge_of(model, &tuple, life, wait->header.time_ns);
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

static void end_wait(struct model *model, struct life *life, unsigned int end, uint64_t time_ns,
		     struct changes *changes)
{
	life->flags &= (uint16_t)~LIFE_WAITING;
	life->flags |= LIFE_WAITED;
	life->wait_end = (uint8_t)end;
	enter_state(model, life, EV_STATE_CLOSE, time_ns);
	end_life(model, life, time_ns, changes);
}

/* The life that has been told to its end, and whose minisocket this is. */
static struct life *ended_in_wait(struct model *model, const struct ev_timewait *wait)
{
	const struct tuple_of tuple = { wait->local, wait->remote, wait->local_port, wait->remote_port,
					wait->netns };
	struct life *life = newest_of(model, &tuple);

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
	struct wait_tuple tuple = tuple_of_wait(wait);
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
			enter_state(model, life, EV_TIME_WAIT, wait->header.time_ns);
		return;
	}
	if (entry)
		timewaits__end(&model->waits, entry, wait->end);
	departed__add(&model->departed, key);
	if (life)
		end_wait(model, life, wait->end, wait->header.time_ns, changes);
}

static void apply_timewait(struct model *model, const struct ev_timewait *wait, struct changes *changes)
{
	struct change *change = add_change(changes, CHANGE_TIMEWAIT, wait->header.time_ns);

	change->timewait = wait;
	if (wait->phase == EV_WAIT_BEGIN || wait->phase == EV_WAIT_REFUSED)
		begin_wait(model, wait, change);
	else
		follow_wait(model, wait, change, changes);
}

/* No record will tell of its minisocket, if it leaves one. Without an error the
 * way from these states to CLOSE is tcp_time_wait(), but for an orphan whose
 * peer never sends its FIN: the next dump shows that. */
static void estimate_wait(struct model *model, struct life *life, const struct ev_transition *t)
{
	struct wait_tuple tuple = tuple_of_life(life);
	struct wait_charge charge;

	if ((t->old_state != EV_FIN_WAIT2 && t->old_state != EV_CLOSING) || life->error)
		return;
	charge = charge_of(model, &tuple, life, t->header.time_ns);
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
static void end_wait_before(struct model *model, const struct life *life, struct changes *changes)
{
	struct wait_tuple tuple = tuple_of_life(life);
	uint64_t key = model__wait_key(model, &tuple);
	struct wait_entry *entry;
	struct life *waiting;
	enum ev_wait_end end;

	if (!model->estimate_waits) /* its end has a record of its own */
		return;
	departed__add(&model->departed, key);
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
		end_wait(model, waiting, end, life->start_ns, changes);
}

/* Whose time must be over. */
static void end_overdue(struct model *model, struct changes *changes)
{
	struct wait_entry *entry;

	while (changes->count < CHANGES_MAX && (entry = timewaits__overdue(&model->waits, model->now_ns))) {
		struct life *life =
			model->ends_at_close ? NULL : flow_table__find(&model->flows, entry->id);

		timewaits__end(&model->waits, entry, EV_WAIT_EXPIRED);
		if (life)
			end_wait(model, life, EV_WAIT_EXPIRED, life->entered_ns + TIMEWAIT_LASTS_NS,
				 changes);
	}
}

static struct wait_tuple tuple_of_socket(const struct ev_socket *socket)
{
	struct wait_tuple tuple = { .local.port = socket->local_port,
				    .remote.port = socket->remote_port,
				    .netns = socket->netns };

	memcpy(tuple.local.addr, socket->local, sizeof(tuple.local.addr));
	memcpy(tuple.remote.addr, socket->remote, sizeof(tuple.remote.addr));
	return tuple;
}

/* ---- the kernel's tables ---- */

static void place_life(struct life *life, const struct ev_socket *socket)
{
	life->netns = socket->netns;
	life->family = socket->family;
	life->local.port = socket->local_port;
	life->remote.port = socket->remote_port;
	memcpy(life->local.addr, socket->local, sizeof(life->local.addr));
	memcpy(life->remote.addr, socket->remote, sizeof(life->remote.addr));
	life->flags |= LIFE_PLACE_KNOWN;
}

/* What a row says of a life whose birth was not seen. */
static void learn_row(struct model *model, struct life *life, const struct record *record)
{
	const struct ev_socket *socket = record->socket;
	struct wait_tuple tuple = tuple_of_socket(socket);

	life->flags |= LIFE_PREEXISTING;
	place_life(life, socket);
	if (socket->kind == EV_SOCKET_REQUEST)
		life->role = ROLE_SERVER;
	if (life->role == ROLE_UNKNOWN)
		life->role = (uint8_t)role_by_ports(model, &tuple);
	if (record->owner && life->owner == OWNER_NONE)
		life->owner = intern(model, record);
	settle_tuple(model, life);
}

/* connect() told it with its next step, and that was lost; if the socket has come
 * so far. */
static void learn_port(struct model *model, struct life *life, const struct ev_socket *socket)
{
	if (!socket->local_port)
		return;
	if (model->ids_are_addresses)
		flow_table__leave_tuple(&model->flows, life);
	place_life(life, socket);
	settle_tuple(model, life);
}

/* Once, until all namespaces have been looked at: later dumps show it again. What
 * gave way to newer ones has been counted, too. Of more than there is room for in
 * that book some may count twice. Then only how many a tour of dumps shows is known. */
static void count_not_kept(struct model *model, const struct ev_socket *socket)
{
	struct departed *counted = &model->flows.counted;
	uint64_t key =
		model->ids_are_addresses ?
			flow_table__tuple_key(&model->flows, socket->local, socket->remote,
					      socket->local_port, socket->remote_port, socket->netns) :
			socket->conn_id;

	if (!counted->watching) {
		model->rows_not_kept++;
		return;
	}
	if (!counted->full && departed__has(counted, key))
		return;
	model->flows.not_kept++;
	departed__add(counted, key);
}

/* A connection that was there before its first record. NULL when open ones would
 * have to go for it. */
static struct life *begin_preexisting(struct model *model, const struct record *record, uint64_t key)
{
	const struct ev_socket *socket = record->socket;
	struct life *life = NULL;

	if (socket->kind == EV_SOCKET_MINI ? flow_table__has_room(&model->flows) :
					     flow_table__has_room_for_socket(&model->flows))
		life = flow_table__begin(&model->flows, key);
	if (!life) {
		count_not_kept(model, socket);
		return NULL;
	}
	model->healed.found++;
	life->conn = socket->conn_id;
	life->start_ns = socket->header.time_ns;
	enter_state(model, life, socket->state, socket->header.time_ns);
	life->flags = LIFE_INCOMPLETE; /* when it entered its state is not known */
	learn_row(model, life, record);
	return life;
}

/* An active open that no record has told the port of is known by the rest of its tuple. Of
 * several to the same place nobody says which one this row is: they stay without. */
static struct life *awaiting_row(struct model *model, const struct ev_socket *socket, struct life *shown)
{
	struct life like = { .netns = socket->netns, .remote.port = socket->remote_port };
	struct life *life;
	bool alone;

	memcpy(like.local.addr, socket->local, sizeof(like.local.addr));
	memcpy(like.remote.addr, socket->remote, sizeof(like.remote.addr));
	life = flow_table__awaiting(&model->flows, &like, &alone);
	if (!life || (shown && !is_row_of(shown, life)))
		return shown;
	if (shown)
		flow_table__end_request(&model->flows, shown);
	if (alone)
		learn_port(model, life, socket);
	return life;
}

/* The open life of a row: by its cookie, by its tuple where no record tells a
 * cookie. */
static struct life *life_of_row(struct model *model, const struct ev_socket *socket)
{
	const struct tuple_of tuple = { socket->local, socket->remote, socket->local_port,
					socket->remote_port, socket->netns };
	struct life *life = flow_table__find(&model->flows, socket->conn_id);

	if (!life && socket->kind == EV_SOCKET_REQUEST)
		life = flow_table__find(&model->flows,
					flow_table__tuple_key(&model->flows, socket->local,
							      socket->remote, socket->local_port,
							      socket->remote_port, socket->netns));
	if (!life && model->ids_are_addresses)
		life = newest_of(model, &tuple);
	if (life && life->flags & LIFE_ENDED)
		life = NULL;
	if (model->ids_are_addresses && socket->state == EV_SYN_SENT)
		life = awaiting_row(model, socket, life);
	return life;
}

/* A row must not bring back what has gone since its dump began. */
static bool has_departed(const struct model *model, const struct ev_socket *socket)
{
	return departed__has(&model->departed, socket->conn_id) ||
	       (model->ids_are_addresses &&
		departed__has(&model->departed, flow_table__tuple_key(&model->flows, socket->local,
								      socket->remote, socket->local_port,
								      socket->remote_port, socket->netns)));
}

/* Whether an unknown row is worth a life: one whose end will be seen. A full
 * socket in SYN_RECV is told with its next step, which has all of it. */
static bool begins_life(const struct model *model, const struct ev_socket *socket)
{
	if (socket->kind == EV_SOCKET_REQUEST)
		return model->requests_told || model->requests_sampled;
	return socket->state != EV_SYN_RECV;
}

static void see_socket(struct model *model, const struct record *record)
{
	const struct ev_socket *socket = record->socket;
	struct life *life = life_of_row(model, socket);
	uint64_t key = socket->conn_id;

	if (!life && begins_life(model, socket) && !has_departed(model, socket)) {
		if (socket->kind == EV_SOCKET_REQUEST && model->ids_are_addresses)
			key = flow_table__tuple_key(&model->flows, socket->local, socket->remote,
						    socket->local_port, socket->remote_port,
						    socket->netns);
		life = begin_preexisting(model, record, key);
	}
	if (!life)
		return;
	if (!(life->flags & LIFE_PLACE_KNOWN))
		learn_row(model, life, record);
	else if (!life->local.port && !model->ids_are_addresses)
		learn_port(model, life, socket);
	life->seen = socket->state;
}

/* A life whose socket has become this minisocket, and whose records of that were
 * lost, or NULL. */
static struct life *became_row(struct model *model, const struct ev_socket *socket)
{
	struct wait_tuple tuple = tuple_of_socket(socket);
	struct life *life = life_of_row(model, socket);

	if (!life || life->flags & LIFE_SOCKET_GONE || life->entered_ns >= model->dump_began_ns)
		return NULL;
	depart(model, life);
	if (flow_table__rekey(&model->flows, life, model__wait_key(model, &tuple)))
		return NULL;
	model->healed.corrected++;
	flow_table__let_socket_go(&model->flows, life);
	life->flags |= LIFE_WAITING | LIFE_INCOMPLETE;
	life->wait_state = socket->state;
	life->wait_estimated = model->estimate_waits;
	wait_on(model, life, socket->header.time_ns);
	return life;
}

/* What was inferred gives way to what the kernel shows. */
static void correct_estimate(struct model *model, struct life *life, const struct ev_socket *socket)
{
	const uint64_t len_ns = TIMEWAIT_LEN_S * NS_PER_S, left_ns = socket->expires_ms * NS_PER_MS;

	if (life->state == socket->state)
		return;
	if (socket->state == EV_FIN_WAIT2)
		life__wait_on(life);
	else
		enter_state(model, life, EV_TIME_WAIT,
			    socket->header.time_ns - (left_ns < len_ns ? len_ns - left_ns : 0));
}

/* The life was told to its end when its time was thought to be over, and this is what is
 * left of it. */
static bool is_left_of(const struct life *ended, const struct ev_socket *socket)
{
	const uint64_t len_ns = TIMEWAIT_LEN_S * NS_PER_S, left_ns = socket->expires_ms * NS_PER_MS;
	const uint64_t passed_ns = left_ns < len_ns ? len_ns - left_ns : 0;

	return ended->wait_estimated && socket->header.time_ns - passed_ns < ended->entered_ns;
}

/* The life that goes on as this minisocket. */
static void see_waiting_life(struct model *model, const struct record *record, uint64_t key)
{
	const struct ev_socket *socket = record->socket;
	const struct tuple_of tuple = { socket->local, socket->remote, socket->local_port,
					socket->remote_port, socket->netns };
	struct life *life = flow_table__find(&model->flows, key), *newest;

	if (!life)
		life = became_row(model, socket);
	newest = life ? life : newest_of(model, &tuple);
	if (!newest || (newest->flags & LIFE_ENDED && !is_left_of(newest, socket))) {
		life = begin_preexisting(model, record, key);
		if (!life)
			return;
		flow_table__let_socket_go(&model->flows, life);
		life->flags |= LIFE_WAITING;
		life->wait_state = socket->state;
		life->wait_estimated = model->estimate_waits;
	}
	if (life && life->wait_estimated)
		correct_estimate(model, life, socket);
	if (life)
		life->seen = socket->state;
}

bool model__follows_minisockets(const struct model *model)
{
	return (model->waits_told || model->estimate_waits) && !model->ends_at_close;
}

static void see_minisocket(struct model *model, const struct record *record)
{
	const struct ev_socket *socket = record->socket;
	struct wait_tuple tuple = tuple_of_socket(socket);
	uint64_t key = model__wait_key(model, &tuple);
	struct wait_charge charge;

	if (!timewaits__find(&model->waits, key) && departed__has(&model->departed, key))
		return;
	charge = charge_of(model, &tuple, flow_table__find(&model->flows, key), socket->header.time_ns);
	timewaits__sample(&model->waits, key, &tuple, socket->state, socket->expires_ms, &charge,
			  socket->header.time_ns);
	if (model__follows_minisockets(model))
		see_waiting_life(model, record, key);
}

static void apply_socket(struct model *model, const struct record *record)
{
	if (record->socket->kind == EV_SOCKET_MINI)
		see_minisocket(model, record);
	else
		see_socket(model, record);
}

/* Its time was over when the dump began, which does not show it. */
static bool is_due(const struct life *life, const struct ev_dump *dump)
{
	return life->wait_estimated && life->flags & LIFE_WAITING && life->state == EV_TIME_WAIT &&
	       dump->began_ns - life->entered_ns >= TIMEWAIT_LEN_S * NS_PER_S;
}

/*
 * Compares a life with the dump that is over. Whatever records have told since it
 * began is newer. True when it is over: two dumps in a row did not show it.
 */
static bool sweep_life(struct model *model, struct life *life, const struct ev_dump *dump)
{
	bool covered = dump->states & 1U << life->state;
	unsigned int seen = life->seen;

	if (life->netns != dump->netns || life->role == ROLE_LISTENER || !(life->flags & LIFE_PLACE_KNOWN))
		return false;
	life->seen = covered ? 0 : seen & SEEN_MISSED;
	if (life->entered_ns >= dump->began_ns || !covered)
		return false;
	if (seen & SEEN_MISSED || (!seen && is_due(life, dump)))
		return true;
	if (!seen) {
		life->seen = SEEN_MISSED;
		model->missed |= 1U << life->state;
	} else if (seen != life->state) {
		model->healed.corrected++;
		life->flags |= LIFE_INCOMPLETE;
		enter_state(model, life, seen, dump->began_ns);
	}
	return false;
}

/* Whoever has gone before its time was reset or killed: a dump does not say which. */
static void end_swept(struct model *model, struct life *life, const struct ev_dump *dump,
		      struct changes *changes)
{
	if (life->wait_estimated && life->flags & LIFE_WAITING) {
		end_wait(model, life, is_due(life, dump) ? EV_WAIT_EXPIRED : EV_WAIT_END_NONE,
			 dump->began_ns, changes);
		return;
	}
	model->healed.closed++;
	life->flags |= LIFE_INCOMPLETE;
	end_life(model, life, dump->header.time_ns, changes);
}

bool model__more(struct model *model, struct changes *changes)
{
	struct sweep *sweep = &model->sweep;
	struct flow_table *flows = &model->flows;

	changes->count = 0;
	end_overdue(model, changes);
	while (sweep->active && changes->count < CHANGES_MAX) {
		struct life *life = sweep->at < flows->used ?
					    (struct life *)flow_table__open_at(flows, sweep->at) :
					    NULL;

		sweep->active = ++sweep->at < flows->used;
		if (!life || !sweep_life(model, life, &sweep->dump))
			continue;
		end_swept(model, life, &sweep->dump, changes);
	}
	return changes->count > 0;
}

static void keep_settings(struct model *model, const struct ev_dump *dump)
{
	uint32_t i = 0;

	while (i < model->dump_count && model->dumps[i].netns != dump->netns)
		i++;
	if (i == DUMPS_MAX)
		return;
	model->dumps[i] = *dump;
	model->dump_count += i == model->dump_count;
}

/* There is no further namespace. At least as many as were shown are not kept. */
static void end_tour(struct model *model, uint32_t states)
{
	uint64_t counted = model__not_kept(model, TABLE_CONNECTIONS);

	if (model->rows_not_kept > counted)
		model->flows.not_kept += model->rows_not_kept - counted;
	model->rows_not_kept = 0;
	if (!(states & 1U << EV_ESTABLISHED))
		return;
	model->whole = true;
	flow_table__stop_counting(&model->flows);
}

static void apply_dump(struct model *model, const struct ev_dump *dump)
{
	const uint32_t of_lives = 1U << EV_ESTABLISHED | 1U << EV_SYN_RECV | 1U << EV_FIN_WAIT1;

	if (!dump->netns) {
		end_tour(model, dump->states);
		return;
	}
	keep_settings(model, dump);
	if (!dump->states) {
		departed__watch(&model->departed);
		model->dump_began_ns = dump->began_ns;
		return;
	}
	departed__rest(&model->departed);
	if (dump->states & 1U << EV_TIME_WAIT)
		timewaits__sampled(&model->waits, dump->netns, dump->began_ns);
	if (dump->states & of_lives || (model->estimate_waits && !model->ends_at_close))
		model->sweep = (struct sweep){ .active = true, .dump = *dump };
}

/* Namespaces come and go: the settings that were told longest ago give way. */
static void apply_settings(struct model *model, const struct ev_settings *settings)
{
	struct ev_settings *place = (struct ev_settings *)model__settings(model, settings->netns);

	if (!place && model->settings_count < SETTINGS_MAX) {
		place = &model->settings[model->settings_count++];
	} else if (!place) {
		place = &model->settings[0];
		for (uint32_t i = 1; i < SETTINGS_MAX; i++)
			if (model->settings[i].header.time_ns < place->header.time_ns)
				place = &model->settings[i];
	}
	*place = *settings;
}

/* ---- transitions ---- */

static void move_life(struct model *model, struct life *life, const struct ev_transition *t,
		      struct changes *changes)
{
	uint64_t now_ns = t->header.time_ns;

	if (t->new_state == EV_STATE_CLOSE && model->estimate_waits)
		estimate_wait(model, life, t);
	if (t->new_state == EV_STATE_CLOSE && life->flags & LIFE_WAITING && !model->ends_at_close &&
	    !become_minisocket(model, life, now_ns, changes))
		return;
	enter_state(model, life, t->new_state, now_ns);
	if (t->new_state == EV_STATE_CLOSE)
		end_life(model, life, now_ns, changes);
}

static int apply_transition(struct model *model, const struct record *record, struct changes *changes)
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
	learn(model, life, record, changes);
	life__judge(life, t, record->totals);
	follow_listener(model, record, life);
	add_transition(model, record, life, changes);
	move_life(model, life, t, changes);
	return 0;
}

static void apply_sampled(struct model *model, const struct ev_sampled *sampled)
{
	listeners__sampled(&model->listeners, sampled->netns, sampled->header.time_ns);
	if (!sampled->netns)
		namespaces__sampled(&model->namespaces, sampled->header.time_ns);
}

int model__apply(struct model *model, const struct record *record, struct changes *changes)
{
	uint64_t now_ns = record->header->time_ns;
	struct change *change;

	model__advance(model, now_ns);
	while (model__more(model, changes))
		; /* not fetched */
	if (record->transition)
		return apply_transition(model, record, changes);
	if (record->header->kind == EV_ADMITTED) {
		apply_admitted(model, record->handshake);
	} else if (record->handshake) {
		apply_handshake(model, record->handshake, changes);
	} else if (record->accept) {
		apply_accept(model, record, changes);
	} else if (record->timewait) {
		apply_timewait(model, record->timewait, changes);
	} else if (record->bind) {
		change = add_change(changes, CHANGE_BIND, now_ns);
		change->bind = record->bind;
		change->owner = actor(model, record, NULL);
	} else if (record->unread) {
		add_change(changes, CHANGE_UNREAD, now_ns)->unread = record->unread;
	} else if (record->holder) {
		add_change(changes, CHANGE_HOLDER, now_ns)->holder = record->holder;
	} else if (record->socket) {
		apply_socket(model, record);
	} else if (record->dump) {
		apply_dump(model, record->dump);
	} else if (record->cgroup) {
		return cgroups__put(&model->cgroups, record->cgroup);
	} else if (record->settings) {
		apply_settings(model, record->settings);
	} else if (record->listener) {
		listeners__sample(&model->listeners, record->listener);
	} else if (record->sampled) {
		apply_sampled(model, record->sampled);
	} else if (record->netstat) {
		namespaces__sample(&model->namespaces, record->netstat);
	} else if (record->loss) {
		change = add_change(changes, CHANGE_LOSS, now_ns);
		change->loss = record->loss;
		timewaits__doubt(&model->waits, now_ns);
		model->lost |= 1U << (record->loss->of_kind < 32 ? record->loss->of_kind : 0);
	} else if (record->stop) {
		change = add_change(changes, CHANGE_STOP, now_ns);
		change->stop = record->stop;
	} else {
		return model__import(model, record);
	}
	return 0;
}

uint64_t model__not_kept(const struct model *model, enum model_table table)
{
	switch (table) {
	case TABLE_CONNECTIONS:
		return model->flows.evicted_open + model->flows.not_kept;
	case TABLE_MINISOCKETS:
		return model->waits.not_kept;
	case TABLE_LISTENERS:
		return listeners__not_kept(&model->listeners);
	case TABLE_CLIENTS:
		return model->listeners.clients.not_kept;
	case TABLE_NAMESPACES:
		return model->namespaces.not_kept;
	case TABLE_OWNERS:
		return model->flows.owners.not_kept;
	case TABLE_CGROUPS:
		return model->cgroups.evicted;
	case TABLE_GROUPS:
		return model->waits.not_grouped;
	case TABLE_HISTORIES:
		return model->histories_cut;
	default:
		return 0;
	}
}
