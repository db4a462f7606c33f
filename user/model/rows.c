// SPDX-License-Identifier: BSD-2-Clause
/*
 * The kernel's own tables, row by row: what existed before, and what records have missed.
 * A dump begins, shows its rows, and ends; then all lives are compared with it.
 */
#include <string.h>

#include "base/clock.h"
#include "model/parts.h"

static struct tuple tuple_of_socket(const struct ev_socket *socket)
{
	return tuple__of(socket->local, socket->local_port, socket->remote, socket->remote_port,
			 socket->netns);
}

/* What a row says of a life whose birth was not seen. */
static void learn_row(struct model *model, struct life *life, const struct record *record)
{
	const struct ev_socket *socket = record->socket;
	struct tuple tuple = tuple_of_socket(socket);

	life->flags |= LIFE_PREEXISTING;
	life__place(life, &tuple, socket->family);
	if (socket->kind == EV_SOCKET_REQUEST)
		life->role = ROLE_SERVER;
	if (life->role == ROLE_UNKNOWN)
		life->role = (uint8_t)minisockets__role_by_ports(model, &tuple);
	if (record->owner && life->owner == OWNER_NONE)
		life->owner = model__intern(model, record);
	model__settle_tuple(model, life);
}

/* connect() told it with its next step, and that was lost; if the socket has come
 * so far. */
static void learn_port(struct model *model, struct life *life, const struct ev_socket *socket)
{
	const struct tuple tuple = tuple_of_socket(socket);

	if (!socket->local_port)
		return;
	if (model->ids_are_addresses)
		flow_table__leave_tuple(&model->flows, life);
	life__place(life, &tuple, socket->family);
	model__settle_tuple(model, life);
}

/* What records have not told of its tuple. */
static void learn_what_lacks(struct model *model, struct life *life, const struct record *record)
{
	if (!(life->flags & LIFE_PLACE_KNOWN))
		learn_row(model, life, record);
	else if (!life->local.port && !model->ids_are_addresses)
		learn_port(model, life, record->socket);
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
	life->conn = socket->conn_id;
	life->start_ns = socket->header.time_ns;
	model__enter(model, life, socket->state, socket->header.time_ns);
	life->flags = LIFE_INCOMPLETE; /* when it entered its state is not known */
	learn_row(model, life, record);
	return life;
}

/* An active open that no record has told the port of is known by the rest of its tuple. Of
 * several to the same place nobody says which one this row is: they stay without. */
static struct life *awaiting_row(struct model *model, const struct ev_socket *socket, struct life *shown)
{
	const struct tuple tuple = tuple_of_socket(socket);
	struct life *life;
	bool alone;

	life = flow_table__awaiting(&model->flows, &tuple, &alone);
	if (!life || (shown && !model__is_row_of(shown, life)))
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
	const struct tuple tuple = tuple_of_socket(socket);
	struct life *life = flow_table__find(&model->flows, socket->conn_id);

	if (!life && socket->kind == EV_SOCKET_REQUEST)
		life = flow_table__find(&model->flows,
					flow_table__tuple_key(&model->flows, socket->local,
							      socket->remote, socket->local_port,
							      socket->remote_port, socket->netns));
	if (!life && model->ids_are_addresses)
		life = flow_table__newest(&model->flows, &tuple);
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
	learn_what_lacks(model, life, record);
	life->seen = socket->state;
}

/* A life whose socket has become this minisocket, and whose records of that were
 * lost, or NULL. */
static struct life *became_row(struct model *model, const struct record *record)
{
	const struct ev_socket *socket = record->socket;
	struct tuple tuple = tuple_of_socket(socket);
	struct life *life = life_of_row(model, socket);

	if (!life || life->flags & LIFE_SOCKET_GONE || life->entered_ns >= model->dump_began_ns)
		return NULL;
	model__depart(model, life, socket->header.time_ns);
	if (flow_table__rekey(&model->flows, life, model__wait_key(model, &tuple)))
		return NULL;
	learn_what_lacks(model, life, record);
	model->unrecorded++;
	flow_table__let_socket_go(&model->flows, life);
	life->flags |= LIFE_WAITING | LIFE_INCOMPLETE;
	life->wait_state = socket->state;
	life->wait_estimated = model->estimate_waits;
	model__wait_on(model, life, socket->header.time_ns);
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
		model__enter(model, life, EV_TIME_WAIT,
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

/* The row is not the tuple's last life. One that is open and older than the dump is no more,
 * for there is no socket beside a minisocket: the next dumps end it. */
static bool is_of_another(const struct model *model, const struct life *last,
			  const struct ev_socket *socket)
{
	if (last->flags & LIFE_ENDED)
		return !is_left_of(last, socket);
	return last->entered_ns < model->dump_began_ns;
}

/* The life that goes on as this minisocket. */
static void see_waiting_life(struct model *model, const struct record *record, uint64_t key)
{
	const struct ev_socket *socket = record->socket;
	const struct tuple tuple = tuple_of_socket(socket);
	struct life *life = flow_table__find(&model->flows, key), *newest;

	if (!life)
		life = became_row(model, record);
	newest = life ? life : flow_table__newest(&model->flows, &tuple);
	if (!newest || (newest != life && is_of_another(model, newest, socket))) {
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

static void see_minisocket(struct model *model, const struct record *record)
{
	const struct ev_socket *socket = record->socket;
	struct tuple tuple = tuple_of_socket(socket);
	uint64_t key = model__wait_key(model, &tuple);
	struct wait_charge charge;

	if (!timewaits__find(&model->waits, key) && departed__has(&model->departed, key))
		return;
	charge = minisockets__charge(model, &tuple, flow_table__find(&model->flows, key),
				     socket->header.time_ns);
	timewaits__sample(&model->waits, key, &tuple, socket->state, socket->expires_ms, &charge,
			  socket->header.time_ns);
	if (model__follows_minisockets(model))
		see_waiting_life(model, record, key);
}

void rows__apply(struct model *model, const struct record *record)
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

/* Whether what becomes of it has records. A minisocket and a half-open request may be known
 * from dumps alone. */
static bool records_tell(const struct model *model, const struct life *life)
{
	if (life->flags & LIFE_SOCKET_GONE)
		return model->waits_told;
	return model->requests_told || life->state != EV_SYN_RECV || !(life->flags & LIFE_PREEXISTING);
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
		model->unrecorded += records_tell(model, life);
		life->flags |= LIFE_INCOMPLETE;
		model__enter(model, life, seen, dump->began_ns);
	}
	return false;
}

/* Whoever has gone before its time was reset or killed: a dump does not say which. */
static void end_swept(struct model *model, struct life *life, const struct ev_dump *dump,
		      struct changes *changes)
{
	if (life->wait_estimated && life->flags & LIFE_WAITING) {
		minisockets__end(model, life, is_due(life, dump) ? EV_WAIT_EXPIRED : EV_WAIT_END_NONE,
				 dump->began_ns, changes);
		return;
	}
	model->unrecorded += records_tell(model, life);
	life->flags |= LIFE_INCOMPLETE;
	model__end_life(model, life, dump->header.time_ns, changes);
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

void rows__dump(struct model *model, const struct ev_dump *dump)
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

void rows__sweep(struct model *model, struct changes *changes)
{
	struct sweep *sweep = &model->sweep;
	struct flow_table *flows = &model->flows;

	while (sweep->active && changes->count < CHANGES_MAX) {
		struct life *life = sweep->at < flows->used ?
					    (struct life *)flow_table__open_at(flows, sweep->at) :
					    NULL;

		sweep->active = ++sweep->at < flows->used;
		if (!life || !sweep_life(model, life, &sweep->dump))
			continue;
		end_swept(model, life, &sweep->dump, changes);
	}
}
