/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/model/model.c: records in, changes out. */
#include "saga.h"

/* ---- whole lives ---- */

static void a_client_from_connect_to_close(void **state)
{
	const struct change *change;
	const struct life *life;
	struct saga saga;
	uint64_t start_ns;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	start_ns = saga.now_ns;
	change = only(connects(&saga, &client), CHANGE_TRANSITION);
	check_change(change, EV_STATE_CLOSE, EV_SYN_SENT, UNKNOWN_NS);
	assert_int_equal(change->time_ns, start_ns);
	assert_int_equal(change->owner->pid, 42);
	life = change->life;
	assert_int_equal(life->conn, 0x10);
	assert_int_equal(life->role, ROLE_CLIENT);
	assert_int_equal(life->local.port, 0);
	assert_int_equal(life->remote.port, 5432);
	assert_int_equal(life->ordinal, 0);
	assert_int_equal(life->flags, LIFE_START_KNOWN | LIFE_PLACE_KNOWN | LIFE_ENTERED_KNOWN);

	wait_us(&saga, 412);
	change = only(step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0), CHANGE_TRANSITION);
	check_change(change, EV_SYN_SENT, EV_ESTABLISHED, 412 * US);
	assert_ptr_equal(change->life, life);
	assert_int_equal(change->owner->pid, 42); /* nobody acted: the life's */
	assert_int_equal(life->local.port, 43210);
	assert_int_equal(life->ordinal, 1);

	wait_us(&saga, 2000);
	check_change(only(owned(&saga, &client, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED), CHANGE_TRANSITION),
		     EV_ESTABLISHED, EV_FIN_WAIT1, 2000 * US);
	wait_us(&saga, 30);
	step(&saga, &client, EV_FIN_WAIT1, EV_FIN_WAIT2, ORPHAN);
	wait_us(&saga, 20);
	closed(&saga, &client, EV_FIN_WAIT2, ORPHAN);
	assert_int_equal(saga.changes.count, 2);
	check_change(&saga.changes.change[0], EV_FIN_WAIT2, EV_STATE_CLOSE, 20 * US);
	change = &saga.changes.change[1];
	assert_int_equal(change->kind, CHANGE_LIFE);
	assert_ptr_equal(change->life, life);
	assert_int_equal(change->time_ns, saga.now_ns);
	assert_int_equal(change->owner->pid, 42);
	assert_int_equal(life->history_count, 5);
	assert_int_equal(life->start_ns, start_ns);
	assert_int_equal(life->entered_ns, saga.now_ns);
	assert_int_equal(life->closed_first, CLOSED_LOCAL);
	assert_int_equal(life->how, HOW_CLOSE);
	assert_int_equal(life->bytes_sent, 120);
	assert_int_equal(life->bytes_received, 4096);
	assert_int_equal(life->retransmits, 2);
	assert_false(life->flags & LIFE_INCOMPLETE);
	assert_true(life->flags & LIFE_TOTALS_KNOWN);
	assert_true(life->flags & LIFE_ENDED);
	end_saga(&saga);
}

/* The life is the same: only its steps are not told. */
static void nobody_wants_transitions(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	keeps_transitions = true;
	begin_saga(&saga, 10, 10, 1);
	keeps_transitions = false;
	assert_int_equal(connects(&saga, &client)->count, 0);
	wait_us(&saga, 412);
	assert_int_equal(step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0)->count, 0);
	assert_int_equal(arrives(&saga, &server)->count, 0);
	completes(&saga, &server);
	assert_int_equal(saga.changes.count, 0);
	owned(&saga, &client, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED);
	assert_int_equal(saga.changes.count, 0);
	closed(&saga, &client, EV_FIN_WAIT1, ORPHAN);
	life = only(&saga.changes, CHANGE_LIFE)->life;
	assert_int_equal(life->history_count, 4);
	assert_int_equal(life->closed_first, CLOSED_LOCAL);
	assert_int_equal(life->ordinal, 1);
	end_saga(&saga);
}

/* A record that the decoder will refuse is looked at all the same. */
static void whatever_comes_is_foreseen(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &client);
	for (unsigned int kind = 0; kind <= UINT8_MAX; kind++) {
		for (uint16_t len = sizeof(struct ev_header); len <= 256; len += 8) {
			struct ev_header *record = malloc(len);

			memset(record, 0xff, len);
			*record = (struct ev_header){ .len = len, .kind = (uint8_t)kind };
			model__foresee_far(saga.model, record);
			free(record);
		}
	}
	end_saga(&saga);
}

/* Whether the index has this life where the record's foresight sent for it. */
static bool stands_there(const struct saga *saga, const struct life *life)
{
	const struct flow_table *flows = model__flows(saga->model);
	size_t slot = posindex__start(&flows->by_tuple, saga->foreseen);
	uint32_t position;

	while ((position = posindex__next(&flows->by_tuple, saga->foreseen, &slot)) != POSINDEX_NONE)
		if (&flows->lives[position] == life)
			return true;
	return false;
}

static void what_is_foreseen_is_touched(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &client);
	assert_int_equal(saga.foreseen, 0); /* its port is not known */
	step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_true(stands_there(&saga, saga.changes.change[0].life));
	step(&saga, &client, EV_ESTABLISHED, EV_FIN_WAIT1, 0);
	assert_int_equal(saga.foreseen, 0);
	closed(&saga, &client, EV_FIN_WAIT1, 0);
	assert_true(stands_there(&saga, saga.changes.change[0].life));
	arrives(&saga, &server);
	completes(&saga, &server);
	assert_true(stands_there(&saga, saga.changes.change[0].life));
	end_saga(&saga);
}

/* LISTEN-SYN_RECV comes with the listener's address and no id that lasts: it is
 * told with the next record, which has both. */
static void a_childs_first_transition_waits_for_its_tuple(void **state)
{
	const struct change *first, *second;
	struct saga saga;
	uint64_t start_ns;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	start_ns = saga.now_ns;
	assert_int_equal(arrives(&saga, &server)->count, 0);
	wait_us(&saga, 3);
	completes(&saga, &server);
	assert_int_equal(saga.changes.count, 2);
	first = check_change(&saga.changes.change[0], EV_LISTEN, EV_SYN_RECV, UNKNOWN_NS);
	second = check_change(&saga.changes.change[1], EV_SYN_RECV, EV_ESTABLISHED, 3 * US);
	assert_int_equal(first->time_ns, start_ns);
	assert_int_equal(second->time_ns, start_ns + 3 * US);
	assert_ptr_equal(first->life, second->life);
	assert_int_equal(first->life->conn, 0x20);
	assert_int_equal(first->life->role, ROLE_SERVER);
	assert_int_equal(first->life->start_ns, start_ns);
	assert_int_equal(first->life->local.port, 5432);
	assert_int_equal(first->life->remote.port, 43210);
	assert_int_equal(first->life->remote.addr[15], 1);
	assert_int_equal(first->life->first_old, EV_LISTEN);
	assert_int_equal(first->life->ordinal, 1);
	assert_false(first->life->flags & LIFE_INCOMPLETE);
	assert_null(first->owner);
	end_saga(&saga);
}

/* Many handshakes at once, as their records interleave on several CPUs. */
static void children_are_told_apart(void **state)
{
	enum { MANY = 100 };
	struct peer peers[MANY];
	struct saga saga;

	(void)state;
	begin_saga(&saga, 1000, 10, 1);
	for (unsigned int i = 0; i < MANY; i++) {
		peers[i] = server;
		peers[i].id = 0x1000 + i;
		peers[i].socket_id = 0xffff888000000000 + (uint64_t)i * 2304;
		peers[i].remote_port = (uint16_t)(50000 + i);
		assert_int_equal(arrives(&saga, &peers[i])->count, 0);
		wait_us(&saga, 1);
	}
	for (unsigned int i = MANY; i-- > 0;) {
		const struct life *life;

		completes(&saga, &peers[i]);
		assert_int_equal(saga.changes.count, 2);
		life = saga.changes.change[0].life;
		assert_int_equal(life->start_ns, 1000 * NS_PER_S + i * US);
		assert_int_equal(life->remote.port, 50000 + i);
	}
	end_saga(&saga);
}

/* What is known of a passive connection's owner is who closes it. */
static void a_child_is_owned_by_its_first_caller(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	arrives(&saga, &server);
	completes(&saga, &server);
	step(&saga, &server, EV_ESTABLISHED, EV_CLOSE_WAIT, 0);
	assert_null(saga.changes.change[0].owner);
	owned(&saga, &server, EV_CLOSE_WAIT, EV_LAST_ACK, FILE_CLOSED);
	assert_string_equal(saga.changes.change[0].owner->comm, "postgres");
	closed(&saga, &server, EV_LAST_ACK, ORPHAN);
	assert_int_equal(saga.changes.change[1].owner->pid, 7);
	assert_int_equal(saga.changes.change[1].life->closed_first, CLOSED_REMOTE);
	end_saga(&saga);
}

/* A descriptor that was passed on: the life stays who connected, the transition
 * is told of who made the call. */
static void who_acts_is_not_who_owns(void **state)
{
	struct peer heir = client;
	struct saga saga;

	(void)state;
	heir.pid = 99;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &client);
	step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0);
	owned(&saga, &heir, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED);
	assert_int_equal(saga.changes.change[0].owner->pid, 99);
	assert_int_equal(model__owner(saga.model, saga.changes.change[0].life)->pid, 42);
	step(&saga, &client, EV_FIN_WAIT1, EV_FIN_WAIT2, ORPHAN);
	assert_int_equal(saga.changes.change[0].owner->pid, 42);
	end_saga(&saga);
}

static void a_self_connect_is_both(void **state)
{
	struct peer self = client;
	struct saga saga;

	(void)state;
	self.remote = self.local;
	self.remote_port = self.local_port;
	begin_saga(&saga, 10, 10, 1);
	assert_int_equal(connects(&saga, &self)->change[0].life->role, ROLE_CLIENT);
	step(&saga, &self, EV_SYN_SENT, EV_SYN_RECV, 0);
	assert_int_equal(saga.changes.change[0].life->role, ROLE_BOTH);
	/* SYN_RECV does not mean server. */
	birth(&saga, &self, EV_SYN_RECV, EV_ESTABLISHED, 0);
	only(&saga.changes, CHANGE_TRANSITION);
	assert_int_equal(saga.changes.change[0].life->role, ROLE_BOTH);
	assert_int_equal(saga.changes.change[0].life->history_count, 3);
	end_saga(&saga);
}

/* Both ends on one host are two sockets, unless the ports are the same, too. */
static void a_connection_to_ones_own_host_is_not_both(void **state)
{
	struct peer near = client;
	struct saga saga;

	(void)state;
	near.remote = near.local;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &near);
	step(&saga, &near, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_int_equal(saga.changes.change[0].life->role, ROLE_CLIENT);
	near = client;
	near.id++;
	near.remote_port = near.local_port;
	connects(&saga, &near);
	step(&saga, &near, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_int_equal(saga.changes.change[0].life->role, ROLE_CLIENT);
	end_saga(&saga);
}

static void a_simultaneous_open_is_a_client(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &client);
	step(&saga, &client, EV_SYN_SENT, EV_SYN_RECV, 0);
	birth(&saga, &client, EV_SYN_RECV, EV_ESTABLISHED, 0);
	only(&saga.changes, CHANGE_TRANSITION);
	assert_int_equal(saga.changes.change[0].life->role, ROLE_CLIENT);
	assert_int_equal(saga.changes.change[0].life->first_old, EV_STATE_CLOSE);
	assert_false(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	end_saga(&saga);
}

static void a_listener_is_a_life(void **state)
{
	struct peer listener = {.id = 0x30, .local = 0, .local_port = 80, .pid = 7, .comm = "nginx"};
	const struct change *change;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	change = only(birth(&saga, &listener, EV_STATE_CLOSE, EV_LISTEN, CALL), CHANGE_TRANSITION);
	assert_int_equal(change->life->role, ROLE_LISTENER);
	assert_int_equal(change->life->ordinal, 0);
	closed(&saga, &listener, EV_LISTEN, FILE_CLOSED);
	assert_int_equal(saga.changes.count, 2);
	assert_int_equal(saga.changes.change[1].life->role, ROLE_LISTENER);
	assert_false(saga.changes.change[1].life->flags & LIFE_INCOMPLETE);
	/* One that was there before tcpsaga: its end still says what it was. */
	listener.id = 0x31;
	closed(&saga, &listener, EV_LISTEN, FILE_CLOSED);
	assert_int_equal(saga.changes.change[1].life->role, ROLE_LISTENER);
	assert_true(saga.changes.change[1].life->flags & LIFE_INCOMPLETE);
	end_saga(&saga);
}

static void a_subflow_of_mptcp_is_labelled(void **state)
{
	struct peer subflow = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &subflow);
	assert_false(saga.changes.change[0].life->flags & LIFE_MPTCP);
	subflow.flags = EV_F_MPTCP;
	step(&saga, &subflow, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_true(saga.changes.change[0].life->flags & LIFE_MPTCP);
	end_saga(&saga);
}

/* It fell back to TCP: the kernel clears the mark at ESTABLISHED. */
static void a_fallback_to_tcp_is_no_subflow(void **state)
{
	struct peer subflow = client;
	struct saga saga;

	(void)state;
	subflow.flags = EV_F_MPTCP;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &subflow);
	subflow.flags = 0;
	step(&saga, &subflow, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_false(saga.changes.change[0].life->flags & LIFE_MPTCP);
	end_saga(&saga);
}

/* ---- identity ---- */

static void a_five_tuple_has_successive_lives(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 100, 100, 1);
	for (uint64_t n = 1; n <= 5; n++) {
		peer.id = 0x100 + n;
		connects(&saga, &peer);
		assert_int_equal(saga.changes.change[0].life->ordinal, 0);
		step(&saga, &peer, EV_SYN_SENT, EV_ESTABLISHED, 0);
		assert_int_equal(saga.changes.change[0].life->ordinal, n);
		closed(&saga, &peer, EV_ESTABLISHED, FILE_CLOSED);
		assert_int_equal(saga.changes.change[1].life->ordinal, n);
	}
	end_saga(&saga);
}

static void the_same_ports_elsewhere_are_another_tuple(void **state)
{
	struct peer there = client;
	struct saga saga;

	(void)state;
	there.id = 0x11;
	there.netns = 2;
	begin_saga(&saga, 100, 100, 1);
	birth(&saga, &client, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
	birth(&saga, &there, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
	assert_int_equal(saga.changes.change[0].life->ordinal, 1);
	end_saga(&saga);
}

/* On 5.10 the id is the socket's address, which the next socket may get. */
static void an_address_as_id_is_shown_as_another_each_time(void **state)
{
	struct peer peer = client;
	struct saga saga;
	uint64_t shown[3];

	(void)state;
	peer.flags = EV_F_ID_IS_ADDRESS;
	begin_saga(&saga, 100, 100, 1);
	for (unsigned int n = 0; n < 3; n++) {
		connects(&saga, &peer);
		shown[n] = saga.changes.change[0].life->conn;
		assert_int_not_equal(shown[n], peer.id);
		step(&saga, &peer, EV_SYN_SENT, EV_ESTABLISHED, 0);
		assert_int_equal(saga.changes.change[0].life->conn, shown[n]);
		closed(&saga, &peer, EV_ESTABLISHED, CALL);
		assert_int_equal(saga.changes.change[1].life->conn, shown[n]);
		for (unsigned int before = 0; before < n; before++)
			assert_int_not_equal(shown[n], shown[before]);
		wait_us(&saga, 1);
	}
	end_saga(&saga);
}

/* ---- what is missing ---- */

static void a_lost_birth_is_made_good_by_the_close(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	check_change(only(step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0), CHANGE_TRANSITION), EV_SYN_SENT,
		     EV_ESTABLISHED, UNKNOWN_NS);
	life = saga.changes.change[0].life;
	assert_true(life->flags & LIFE_INCOMPLETE);
	assert_false(life->flags & (LIFE_PLACE_KNOWN | LIFE_START_KNOWN));
	assert_int_equal(life->local.port, 43210);
	assert_null(saga.changes.change[0].owner);
	wait_us(&saga, 5);
	closed(&saga, &client, EV_ESTABLISHED, CALL);
	check_change(&saga.changes.change[0], EV_ESTABLISHED, EV_STATE_CLOSE, 5 * US);
	life = saga.changes.change[1].life;
	assert_true(life->flags & LIFE_INCOMPLETE);
	assert_true(life->flags & LIFE_PLACE_KNOWN);
	assert_false(life->flags & LIFE_START_KNOWN);
	assert_int_equal(life->remote.addr[15], 2);
	assert_int_equal(life->ordinal, 1);
	assert_int_equal(saga.changes.change[1].owner->pid, 42);
	end_saga(&saga);
}

static void a_child_without_its_first_record_is_incomplete(void **state)
{
	const struct change *change;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	change = only(completes(&saga, &server), CHANGE_TRANSITION);
	check_change(change, EV_SYN_RECV, EV_ESTABLISHED, UNKNOWN_NS);
	assert_true(change->life->flags & LIFE_INCOMPLETE);
	assert_int_equal(change->life->role, ROLE_SERVER);
	assert_int_equal(change->life->history_count, 1);
	end_saga(&saga);
}

/* Only one child may wait in a slot: the one that came last. */
static void a_child_that_lost_its_slot_is_incomplete(void **state)
{
	struct peer other = server;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	other.id = 0x21;
	do
		other.socket_id++;
	while ((other.socket_id * 0x9e3779b97f4a7c15) >> 52 != (server.socket_id * 0x9e3779b97f4a7c15) >> 52);
	arrives(&saga, &server);
	arrives(&saga, &other);
	completes(&saga, &server);
	only(&saga.changes, CHANGE_TRANSITION);
	assert_true(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	completes(&saga, &other);
	assert_int_equal(saga.changes.count, 2);
	assert_false(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	end_saga(&saga);
}

/* A socket's memory is used again: what waited was for its first child only. */
static void a_slot_serves_one_child(void **state)
{
	struct peer again = server;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	arrives(&saga, &server);
	completes(&saga, &server);
	closed(&saga, &server, EV_ESTABLISHED, 0);
	again.id++;
	completes(&saga, &again);
	only(&saga.changes, CHANGE_TRANSITION);
	assert_true(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	end_saga(&saga);
}

/* How long it was in a state that it was not seen to enter is not known. */
static void a_record_lost_in_the_middle_marks_the_life(void **state)
{
	const struct change *change;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &client);
	step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_false(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	wait_us(&saga, 1000000);
	change = only(step(&saga, &client, EV_FIN_WAIT1, EV_FIN_WAIT2, ORPHAN), CHANGE_TRANSITION);
	assert_true(change->life->flags & LIFE_INCOMPLETE);
	check_change(change, EV_FIN_WAIT1, EV_FIN_WAIT2, UNKNOWN_NS);
	wait_us(&saga, 10);
	check_change(&closed(&saga, &client, EV_FIN_WAIT2, ORPHAN)->change[0], EV_FIN_WAIT2, EV_STATE_CLOSE,
		     10 * US);
	assert_true(saga.changes.change[1].life->flags & LIFE_INCOMPLETE);
	end_saga(&saga);
}

/* The socket's address came back with a new life: the old one must have ended. */
static void a_lost_close_is_told_when_the_id_comes_again(void **state)
{
	const struct change *change;
	struct peer next = client;
	struct saga saga;
	uint64_t seen_ns;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	next.flags = EV_F_ID_IS_ADDRESS;
	next.remote_port = 443;
	connects(&saga, &next);
	step(&saga, &next, EV_SYN_SENT, EV_ESTABLISHED, 0);
	seen_ns = saga.now_ns;
	wait_us(&saga, 1000000);
	next.remote_port = 8080;
	next.pid = 43;
	connects(&saga, &next);
	assert_int_equal(saga.changes.count, 2);
	change = &saga.changes.change[0];
	assert_int_equal(change->kind, CHANGE_LIFE);
	assert_int_equal(change->life->remote.port, 443);
	assert_int_equal(change->life->state, EV_ESTABLISHED);
	assert_int_equal(change->time_ns, seen_ns);
	assert_true(change->life->flags & LIFE_INCOMPLETE);
	assert_true(change->life->flags & LIFE_ENDED);
	assert_int_equal(change->owner->pid, 42);
	change = check_change(&saga.changes.change[1], EV_STATE_CLOSE, EV_SYN_SENT, UNKNOWN_NS);
	assert_int_equal(change->life->remote.port, 8080);
	assert_false(change->life->flags & LIFE_INCOMPLETE);
	assert_int_equal(change->owner->pid, 43);
	assert_int_not_equal(change->life->conn, saga.changes.change[0].life->conn);
	end_saga(&saga);
}

/* The same with so many owners that their table has to move for the new one:
 * what was said of the old life must not point to where it was. */
static void owners_of_one_record_are_valid_together(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10000, 1000, 1);
	peer.pid = 1;
	connects(&saga, &peer);
	for (peer.pid = 2; peer.pid <= 600; peer.pid++) {
		connects(&saga, &peer);
		assert_int_equal(saga.changes.count, 2);
		assert_int_equal(saga.changes.change[0].owner->pid, peer.pid - 1);
		assert_int_equal(saga.changes.change[1].owner->pid, peer.pid);
	}
	end_saga(&saga);
}

/* A socket that is neither connecting nor listening leaves CLOSE: repair mode. */
static void leaving_close_in_another_way(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	step(&saga, &client, EV_STATE_CLOSE, EV_ESTABLISHED, CALL);
	assert_true(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	assert_int_equal(saga.changes.change[0].life->role, ROLE_UNKNOWN);
	end_saga(&saga);
}

static void time_that_runs_backwards_is_no_time(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &client);
	saga.now_ns -= 50;
	check_change(only(step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0), CHANGE_TRANSITION), EV_SYN_SENT,
		     EV_ESTABLISHED, 0);
	end_saga(&saga);
}

/* ---- sk_err that is left over ---- */

static void a_stale_error_did_not_end_the_next_life(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	peer.error = ECONNRESET; /* tcp_disconnect() leaves it behind */
	connects(&saga, &peer);
	step(&saga, &peer, EV_SYN_SENT, EV_ESTABLISHED, 0);
	closed(&saga, &peer, EV_ESTABLISHED, FILE_CLOSED);
	assert_int_equal(saga.changes.change[1].life->how, HOW_ABORT);
	assert_int_equal(saga.changes.change[1].life->error, 0);
	end_saga(&saga);
}

/* Only what was there when the life began is left over: a later record of a
 * birth, at the end of a simultaneous open, may tell of an error of its own. */
static void an_error_that_came_in_between_is_fresh(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &peer);
	step(&saga, &peer, EV_SYN_SENT, EV_SYN_RECV, 0);
	peer.error = ECONNRESET;
	birth(&saga, &peer, EV_SYN_RECV, EV_ESTABLISHED, 0);
	closed(&saga, &peer, EV_ESTABLISHED, CALL);
	assert_int_equal(saga.changes.change[1].life->how, HOW_RESET_RECEIVED);
	end_saga(&saga);
}

static void a_fresh_error_ended_it(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &peer);
	peer.error = ECONNREFUSED;
	closed(&saga, &peer, EV_SYN_SENT, CALL);
	assert_int_equal(saga.changes.change[1].life->how, HOW_REFUSED);
	assert_int_equal(saga.changes.change[1].life->error, ECONNREFUSED);
	end_saga(&saga);
}

/* ---- bounds ---- */

/* What is shown of a record stays valid for it, in the smallest of tables. */
static void an_ended_life_outlives_its_record(void **state)
{
	struct peer peer = client, other = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 2, 1, 1);
	for (uint64_t n = 0; n < 50; n++) {
		/* It takes the other place. */
		other.id = 0x1000 + n;
		connects(&saga, &other);
		peer.pid = 100 + (uint32_t)n;
		peer.remote_port = (uint16_t)(1000 + n);
		connects(&saga, &peer);
		if (n % 3 == 0)
			closed(&saga, &peer, EV_SYN_SENT, CALL);
		for (unsigned int i = 0; i < saga.changes.count; i++) {
			const struct change *change = &saga.changes.change[i];

			if (change->kind != CHANGE_LIFE)
				continue;
			assert_true(change->life->flags & LIFE_ENDED);
			assert_int_equal(change->life->remote.port - 1000, change->owner->pid - 100);
		}
	}
	end_saga(&saga);
}

/* A table that is full of open lives still tells of new ones. */
static void a_full_table_goes_on(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 100, 10, 1);
	for (uint64_t n = 0; n < 1000; n++) {
		peer.id = n;
		only(connects(&saga, &peer), CHANGE_TRANSITION);
	}
	assert_int_equal(model__flows(saga.model)->open, 100);
	assert_int_equal(model__flows(saga.model)->evicted_open, 900);
	/* One that was evicted is known again, incomplete. */
	peer.id = 1;
	step(&saga, &peer, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_true(saga.changes.change[0].life->flags & LIFE_INCOMPLETE);
	end_saga(&saga);
}

static void without_memory_a_record_has_no_effect(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 1000, 10, 1);
	/* With one more the index would have to grow. */
	for (peer.id = 1; peer.id <= 832; peer.id++)
		connects(&saga, &peer);
	out_of_memory = true;
	assert_int_equal(try_birth(&saga, &peer, EV_STATE_CLOSE, EV_SYN_SENT, CALL), -ENOMEM);
	out_of_memory = false;
	assert_int_equal(saga.changes.count, 0);
	assert_int_equal(model__flows(saga.model)->open, 832);
	only(connects(&saga, &peer), CHANGE_TRANSITION);
	end_saga(&saga);
	out_of_memory = true;
	assert_null(model__new(&(struct model_config){.max_lives = 10, .max_ended = 10}));
	assert_int_equal(errno, ENOMEM);
	out_of_memory = false;
	model__free(NULL);
}

static void a_syn_knows_its_listener(void **state)
{
	struct peer listener = {.id = 0x77, .local = 2, .local_port = 5432, .pid = 7, .comm = "nginx"};
	const struct change *change;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	birth(&saga, &listener, EV_STATE_CLOSE, EV_LISTEN, CALL);
	wait_us(&saga, 5);
	change = only(happens(&saga, EV_SYN, 0, EV_SYN_DROPPED), CHANGE_SYN);
	assert_int_equal(change->time_ns, saga.now_ns);
	assert_int_equal(change->handshake->accept_queue_len, 3);
	assert_int_equal(change->listener->local.port, 5432);
	assert_string_equal(change->owner->comm, "nginx");
	assert_null(change->life);
	end_saga(&saga);
}

/* With its SYN seen, a passive life begins there, and its history too: the
 * child joins it at the third ACK. */
static void a_passive_life_begins_with_its_syn(void **state)
{
	const struct change *change;
	const struct life *life;
	struct saga saga;
	uint64_t syn_ns;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	syn_ns = saga.now_ns;
	change = only(happens(&saga, EV_SYN, server.id, EV_SYN_QUEUED), CHANGE_SYN);
	life = change->life;
	assert_int_equal(life->state, EV_SYN_RECV);
	assert_int_equal(life->role, ROLE_SERVER);
	assert_int_equal(life->ordinal, 1);
	wait_us(&saga, 30000);
	change = only(happens(&saga, EV_HANDSHAKE, server.id, EV_REQUEST_COMPLETED), CHANGE_HANDSHAKE);
	assert_ptr_equal(change->life, life);
	assert_int_equal(change->took_ns, 30000 * US);
	arrives(&saga, &server);
	assert_int_equal(saga.changes.count, 0);
	wait_us(&saga, 2);
	completes(&saga, &server);
	assert_int_equal(saga.changes.count, 2);
	check_change(&saga.changes.change[0], EV_LISTEN, EV_SYN_RECV, UNKNOWN_NS);
	assert_int_equal(saga.changes.change[0].time_ns, saga.now_ns - 2 * US);
	assert_ptr_equal(saga.changes.change[1].life, life);
	assert_int_equal(life->start_ns, syn_ns);
	assert_int_equal(life->history_count, 2);
	assert_int_equal(history_ns(life->history[1]), 30002 * US);
	assert_false(life->flags & LIFE_INCOMPLETE);
	wait_us(&saga, 95);
	change = only(accepts(&saga, 4242), CHANGE_ACCEPT);
	assert_ptr_equal(change->life, life);
	assert_int_equal(change->took_ns, 95 * US);
	assert_int_equal(change->owner->pid, 4242);
	assert_int_equal(life->accept_wait_us, 95);
	assert_int_equal(model__owner(saga.model, life)->pid, 4242);
	end_saga(&saga);
}

/* 5.10 gives a request no id: its tuple joins it to its child. */
static void a_request_without_an_id_joins_its_child(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	life = only(happens(&saga, EV_SYN, 0, EV_SYN_QUEUED), CHANGE_SYN)->life;
	arrives(&saga, &server);
	completes(&saga, &server);
	assert_int_equal(saga.changes.count, 2);
	assert_ptr_equal(saga.changes.change[1].life, life);
	closed(&saga, &server, EV_ESTABLISHED, CALL);
	assert_ptr_equal(saga.changes.change[1].life, life);
	assert_false(life->flags & LIFE_INCOMPLETE);
	assert_int_equal(model__flows(saga.model)->open, 0);
	end_saga(&saga);
}

/* What is shown must be the same in the capture and in its replay, whose seed is
 * another one. */
static void a_request_without_an_id_is_shown_alike(void **state)
{
	struct saga a, b;

	(void)state;
	begin_saga(&a, 10, 10, 1);
	begin_saga(&b, 10, 10, 2);
	happens(&a, EV_SYN, 0, EV_SYN_QUEUED);
	happens(&b, EV_SYN, 0, EV_SYN_QUEUED);
	assert_int_equal(a.changes.change[0].life->conn, b.changes.change[0].life->conn);
	end_saga(&a);
	end_saga(&b);
}

/* A request that gets no child is a life that ended in SYN_RECV. */
static void a_request_that_came_to_nothing_is_a_life(void **state)
{
	static const struct {
		uint8_t outcome, detail, how;
		bool overflow;
	} ends[] = {
		{EV_REQUEST_TIMED_OUT, 0, HOW_TIMEOUT, false},
		{EV_REQUEST_RESET, EV_RESET_BY_PEER, HOW_RESET_RECEIVED, false},
		{EV_REQUEST_LISTENER_CLOSED, 0, HOW_LISTENER_CLOSED, false},
		/* tcp_abort_on_overflow */
		{EV_REQUEST_RESET, EV_RESET_BY_US, HOW_DROPPED, true},
		/* Its third ACK was dropped, and then the client had enough. */
		{EV_REQUEST_RESET, EV_RESET_BY_PEER, HOW_RESET_RECEIVED, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const struct life *life;
		struct saga saga;

		begin_saga(&saga, 10, 10, 1);
		happens(&saga, EV_SYN, server.id, EV_SYN_QUEUED);
		happens(&saga, EV_HANDSHAKE, server.id, EV_REQUEST_RETRANSMITTED);
		if (ends[i].overflow)
			happens(&saga, EV_HANDSHAKE, server.id, EV_REQUEST_OVERFLOW);
		only(&saga.changes, CHANGE_HANDSHAKE);
		happens_in_detail(&saga, EV_HANDSHAKE, server.id, ends[i].outcome, ends[i].detail);
		assert_int_equal(saga.changes.count, 2);
		assert_int_equal(saga.changes.change[1].kind, CHANGE_LIFE);
		life = saga.changes.change[1].life;
		assert_int_equal(life->how, ends[i].how);
		assert_int_equal(life->state, EV_STATE_CLOSE);
		assert_true(life->flags & LIFE_ENDED);
		assert_int_equal(model__flows(saga.model)->open, 0);
		end_saga(&saga);
	}
}

/* Each life counts once, however often its history is cut. */
static void histories_that_are_cut_are_counted(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	for (peer.id = 1; peer.id <= 3; peer.id++) {
		connects(&saga, &peer);
		for (unsigned int i = 1; i < LIFE_HISTORY_MAX + peer.id - 1; i++) {
			assert_int_equal(model__not_kept(saga.model, TABLE_HISTORIES), peer.id < 2 ? 0 : peer.id - 2 + (i > LIFE_HISTORY_MAX));
			step(&saga, &peer, i & 1 ? EV_SYN_SENT : EV_ESTABLISHED, i & 1 ? EV_ESTABLISHED : EV_SYN_SENT, 0);
		}
	}
	assert_int_equal(model__not_kept(saga.model, TABLE_HISTORIES), 2);
	end_saga(&saga);
}

/* ---- dumps ---- */

enum { ALL_LIVES = 1 << EV_ESTABLISHED | 1 << EV_SYN_RECV, REQUESTS = 1 << EV_SYN_RECV };

/* One begins with states 0, and what began last is what ends. netns 0: the last. */
static void dumps(struct saga *saga, uint32_t netns, uint32_t states)
{
	static uint64_t began_ns;
	struct ev_dump record = {.header = header(saga, EV_DUMP), .netns = netns, .states = states};

	began_ns = states ? began_ns : saga->now_ns;
	record.began_ns = began_ns;
	assert_int_equal(apply(saga, &record, sizeof(record)), 0);
	wait_us(saga, 1);
}

static void shows(struct saga *saga, const struct peer *peer, uint8_t state)
{
	struct ev_socket row = {
		.header = header(saga, EV_SOCKET),
		.conn_id = peer->id,
		.netns = peer->netns ? peer->netns : 1,
		.family = AF_INET,
		.state = state,
		.kind = state == EV_SYN_RECV ? EV_SOCKET_REQUEST : EV_SOCKET_FULL,
		.local_port = peer->local_port,
		.remote_port = peer->remote_port,
	};

	put_v4(row.local, peer->local);
	put_v4(row.remote, peer->remote);
	assert_int_equal(apply(saga, &row, sizeof(row)), 0);
	wait_us(saga, 1);
}

static void looks(struct saga *saga, uint32_t states, const struct peer *only, uint8_t state)
{
	dumps(saga, 1, 0);
	if (only)
		shows(saga, only, state);
	dumps(saga, 1, states);
}

static void a_sampled_request_becomes_a_connection(void **state)
{
	const struct change *change;
	const struct life *life;
	struct saga saga;
	uint64_t now_ns;

	(void)state;
	requests_sampled = true;
	begin_saga(&saga, 10, 10, 1);
	requests_sampled = false;
	looks(&saga, ALL_LIVES, &server, EV_SYN_RECV);
	life = flow_table__find(model__flows(saga.model), server.id);
	assert_non_null(life);
	assert_int_equal(life->state, EV_SYN_RECV);
	assert_int_equal(life->role, ROLE_SERVER);
	assert_true(life->flags & LIFE_PREEXISTING && life->flags & LIFE_INCOMPLETE);
	wait_us(&saga, 5000);
	now_ns = saga.now_ns;
	arrives(&saga, &server);
	wait_us(&saga, 20);
	completes(&saga, &server);
	/* As one that no dump had shown. */
	assert_int_equal(saga.changes.count, 2);
	check_change(&saga.changes.change[0], EV_LISTEN, EV_SYN_RECV, UNKNOWN_NS);
	change = check_change(&saga.changes.change[1], EV_SYN_RECV, EV_ESTABLISHED, 20 * US);
	assert_ptr_equal(change->life, life);
	assert_false(life->flags & (LIFE_PREEXISTING | LIFE_INCOMPLETE));
	assert_true(life->start_ns == now_ns);
	assert_int_equal(life->history_count, 2);
	assert_int_equal(life->ordinal, 1);
	assert_int_equal(model__flows(saga.model)->open, 1);
	end_saga(&saga);
}

/* Two dumps in a row do not show it, and the second may be of requests alone. Who is
 * in another state is none of its affair. */
static void a_sampled_request_is_over_unseen(void **state)
{
	struct peer other = server;
	struct saga saga;

	(void)state;
	requests_sampled = true;
	begin_saga(&saga, 10, 10, 1);
	requests_sampled = false;
	other.id = 0x21;
	other.remote_port++;
	dumps(&saga, 1, 0);
	shows(&saga, &server, EV_SYN_RECV);
	shows(&saga, &other, EV_ESTABLISHED);
	dumps(&saga, 1, ALL_LIVES);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(model__flows(saga.model)->open, 2);
		looks(&saga, REQUESTS, NULL, 0);
		assert_int_equal(saga.changes.count, i);
		assert_int_equal(model__missed(saga.model), i ? 0 : REQUESTS);
	}
	assert_true(only(&saga.changes, CHANGE_LIFE)->life->flags & LIFE_ENDED);
	assert_int_equal(saga.changes.change[0].life->local.port, server.local_port);
	assert_int_equal(model__flows(saga.model)->open, 1);
	end_saga(&saga);
}

/* Nothing would ever tell that it is over. */
static void a_request_that_nobody_follows_is_no_life(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	looks(&saga, ALL_LIVES, &server, EV_SYN_RECV);
	assert_int_equal(model__flows(saga.model)->open, 0);
	end_saga(&saga);
}

static void all_namespaces_make_it_whole(void **state)
{
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	for (uint32_t netns = 1; netns <= 3; netns++) {
		dumps(&saga, netns, 0);
		dumps(&saga, netns, ALL_LIVES);
		assert_false(model__is_whole(saga.model));
		assert_non_null(model__dump_of(saga.model, netns));
	}
	dumps(&saga, 0, REQUESTS);
	assert_false(model__is_whole(saga.model));
	dumps(&saga, 0, ALL_LIVES);
	assert_true(model__is_whole(saga.model));
	assert_null(model__dump_of(saga.model, 0));
	end_saga(&saga);
}

/* In every namespace, however often its row comes, and not again when it was known
 * and gave way to a newer one. */
static void what_has_no_room_counts_once(void **state)
{
	const struct flow_table *flows;
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 4, 1, 1);
	flows = model__flows(saga.model);
	for (peer.netns = 1; peer.netns <= 2; peer.netns++) {
		dumps(&saga, peer.netns, 0);
		for (uint64_t n = 0; n < 20; n++) {
			peer.id = peer.netns * 100 + n % 10;
			peer.local_port = (uint16_t)(1000 + n % 10);
			shows(&saga, &peer, EV_ESTABLISHED);
			if (peer.netns == 1 && n == 9) { /* evicts one of the four */
				peer.id = 0x77;
				peer.remote_port++;
				birth(&saga, &peer, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
				peer.remote_port--;
			}
		}
		dumps(&saga, peer.netns, ALL_LIVES);
	}
	assert_int_equal(flows->evicted_open, 1);
	assert_int_equal(flows->not_kept, 6 + 10);
	assert_int_equal(model__not_kept(saga.model, TABLE_CONNECTIONS), 17);
	/* Later dumps show all of them again. */
	dumps(&saga, 0, ALL_LIVES);
	looks(&saga, ALL_LIVES, &peer, EV_ESTABLISHED);
	assert_int_equal(model__not_kept(saga.model, TABLE_CONNECTIONS), 17);
	dumps(&saga, 0, ALL_LIVES);
	/* But a tour that shows more than were counted tells of some that no record told of. */
	for (unsigned int tour = 0; tour < 2; tour++) {
		dumps(&saga, 1, 0);
		for (uint64_t n = 0; n < 40; n++) {
			peer.id = 1000 + n;
			peer.local_port = (uint16_t)(2000 + n);
			shows(&saga, &peer, EV_ESTABLISHED);
		}
		dumps(&saga, 1, ALL_LIVES);
		dumps(&saga, 0, ALL_LIVES);
		assert_in_range(model__not_kept(saga.model, TABLE_CONNECTIONS), 36, 40);
	}
	end_saga(&saga);
}

/* The same where records know it by the address of its socket. */
static void what_gave_way_counts_once_by_its_tuple(void **state)
{
	struct peer peer = client;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 2, 1, 1);
	peer.flags = EV_F_ID_IS_ADDRESS;
	for (uint64_t n = 0; n < 3; n++) {
		peer.id = 0xffff0000 + n;
		peer.local_port = (uint16_t)(1000 + n);
		birth(&saga, &peer, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
	}
	assert_int_equal(model__flows(saga.model)->evicted_open, 1);
	dumps(&saga, 1, 0);
	for (uint64_t n = 0; n < 4; n++) {
		peer.id = 0x50 + n;
		peer.local_port = (uint16_t)(1000 + n);
		shows(&saga, &peer, EV_SYN_SENT);
		shows(&saga, &peer, EV_SYN_SENT);
	}
	dumps(&saga, 1, ALL_LIVES);
	assert_int_equal(model__not_kept(saga.model, TABLE_CONNECTIONS), 2);
	end_saga(&saga);
}

/* ---- 5.10: records name sockets by their address, rows by their cookie ---- */

static const struct peer by_address = {.id = 0xffff8880000000, .local = 1, .remote = 2, .local_port = 43210,
				       .remote_port = 5432, .flags = EV_F_ID_IS_ADDRESS, .pid = 42, .comm = "curl"};

static struct peer row_of(const struct peer *peer, uint64_t cookie)
{
	struct peer row = *peer;

	row.id = cookie;
	return row;
}

static const struct life *life_at(const struct saga *saga, const struct peer *peer)
{
	const struct life *life = flow_table__find(model__flows(saga->model), peer->id);

	assert_non_null(life);
	return life;
}

/* No record has told its port yet: the row does, and is no second life. */
static void a_row_tells_the_port_of_a_connect(void **state)
{
	struct peer row = row_of(&by_address, 7);
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &by_address);
	life = life_at(&saga, &by_address);
	for (int i = 0; i < 3; i++) {
		wait_us(&saga, 10);
		looks(&saga, ALL_LIVES | 1 << EV_SYN_SENT, &row, EV_SYN_SENT);
		assert_int_equal(saga.changes.count, 0);
		assert_int_equal(model__missed(saga.model), 0);
		assert_int_equal(model__flows(saga.model)->open, 1);
		assert_int_equal(life->local.port, 43210);
	}
	step(&saga, &by_address, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_int_equal(life->state, EV_ESTABLISHED);
	assert_int_equal(life->ordinal, 1);
	assert_false(life->flags & (LIFE_INCOMPLETE | LIFE_PREEXISTING));
	end_saga(&saga);
}

/* Nobody knows which row is whose, but all are there, and none more. */
static void rows_of_several_connects_to_one_place(void **state)
{
	struct peer peers[3], rows[3];
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	for (unsigned int i = 0; i < 3; i++) {
		peers[i] = row_of(&by_address, by_address.id + i);
		peers[i].local_port = (uint16_t)(1000 + i);
		rows[i] = row_of(&peers[i], 7 + i);
		connects(&saga, &peers[i]);
	}
	for (int look = 0; look < 3; look++) {
		wait_us(&saga, 10);
		dumps(&saga, 1, 0);
		for (unsigned int i = 0; i < 3; i++)
			shows(&saga, &rows[i], EV_SYN_SENT);
		dumps(&saga, 1, ALL_LIVES | 1 << EV_SYN_SENT);
		assert_int_equal(saga.changes.count, 0);
		assert_int_equal(model__missed(saga.model), 0);
		assert_int_equal(model__flows(saga.model)->open, 3);
	}
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(life_at(&saga, &peers[i])->local.port, 0);
		step(&saga, &peers[i], EV_SYN_SENT, EV_ESTABLISHED, 0);
		assert_int_equal(life_at(&saga, &peers[i])->local.port, 1000 + i);
	}
	assert_int_equal(model__flows(saga.model)->open, 3);
	end_saga(&saga);
}

/* The row was read before the record of the birth: it is taken back by the next row, or
 * by the record that tells the port. */
static void a_row_that_is_faster_than_the_birth(void **state)
{
	struct peer row = row_of(&by_address, 7);
	struct saga saga;

	(void)state;
	for (int by_record = 0; by_record < 2; by_record++) {
		uint64_t born_ns;

		begin_saga(&saga, 10, 10, 1);
		born_ns = saga.now_ns;
		wait_us(&saga, 10);
		looks(&saga, ALL_LIVES | 1 << EV_SYN_SENT, &row, EV_SYN_SENT);
		saga.now_ns = born_ns;
		connects(&saga, &by_address);
		assert_int_equal(model__flows(saga.model)->open, 2);
		wait_us(&saga, 1000);
		if (by_record)
			step(&saga, &by_address, EV_SYN_SENT, EV_ESTABLISHED, 0);
		else
			looks(&saga, ALL_LIVES | 1 << EV_SYN_SENT, &row, EV_SYN_SENT);
		assert_int_equal(model__flows(saga.model)->open, 1);
		assert_int_equal(life_at(&saga, &by_address)->local.port, 43210);
		assert_int_equal(life_at(&saga, &by_address)->owner != OWNER_NONE, 1);
		end_saga(&saga);
	}
}

/* What a row showed before the birth was the tuple's earlier connection, whose end is for
 * the next dumps to tell. */
static void a_row_from_before_the_birth_is_another(void **state)
{
	struct peer row = row_of(&by_address, 7);
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	looks(&saga, ALL_LIVES, &row, EV_ESTABLISHED);
	connects(&saga, &by_address);
	step(&saga, &by_address, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_int_equal(model__flows(saga.model)->open, 2);
	assert_int_equal(life_at(&saga, &by_address)->ordinal, 2);
	end_saga(&saga);
}

/* The row was that of another, which was there before the start. */
static void a_port_of_another_is_corrected(void **state)
{
	struct peer other = row_of(&by_address, 7);
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	connects(&saga, &by_address);
	life = life_at(&saga, &by_address);
	other.local_port = 999;
	wait_us(&saga, 10);
	looks(&saga, ALL_LIVES | 1 << EV_SYN_SENT, &other, EV_SYN_SENT);
	assert_int_equal(life->local.port, 999);
	step(&saga, &by_address, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_int_equal(life->local.port, 43210);
	assert_int_equal(life->ordinal, 1);
	looks(&saga, ALL_LIVES | 1 << EV_SYN_SENT, &other, EV_SYN_SENT);
	assert_int_equal(model__flows(saga.model)->open, 2);
	end_saga(&saga);
}

/* ---- the end ---- */

static void losses_and_the_end_are_passed_on(void **state)
{
	struct saga saga;
	struct ev_loss loss;
	struct ev_stop stop;

	(void)state;
	begin_saga(&saga, 10, 10, 1);
	loss = (struct ev_loss){.header = header(&saga, EV_LOSS), .count = 17, .reason = EV_LOST_RING_FULL};
	assert_int_equal(apply(&saga, &loss, sizeof(loss)), 0);
	assert_int_equal(only(&saga.changes, CHANGE_LOSS)->loss->count, 17);
	assert_int_equal(saga.changes.change[0].time_ns, saga.now_ns);
	stop = (struct ev_stop){.header = header(&saga, EV_STOP), .attempted = 18};
	assert_int_equal(apply(&saga, &stop, sizeof(stop)), 0);
	assert_int_equal(only(&saga.changes, CHANGE_STOP)->stop->attempted, 18);
	end_saga(&saga);
}

/* Whatever comes in whatever order: never more changes than there is room for,
 * and the same records give the same changes whatever the seed. */
static void the_same_records_give_the_same_changes(void **state)
{
	struct saga a, b;

	(void)state;
	for (unsigned int round = 0; round < 40; round++) {
		begin_saga(&a, 2 + round % 12, 1 + round % 5, round);
		begin_saga(&b, 2 + round % 12, 1 + round % 5, ~(uint64_t)round);
		for (int i = 0; i < 3000; i++) {
			uint64_t r = random_u64();

			random_record(&a, r);
			random_record(&b, r);
			assert_in_range(a.changes.count, 0, CHANGES_MAX);
			assert_int_equal(a.changes.count, b.changes.count);
			for (unsigned int n = 0; n < a.changes.count; n++)
				expect_same_change(&a.changes.change[n], &b.changes.change[n]);
		}
		end_saga(&a);
		end_saga(&b);
	}
}

/* ---- minisockets that no record tells ---- */

static void begin_guessing(struct saga *saga)
{
	struct model_config config = {.seed = 1, .max_lives = 10, .max_ended = 10, .estimate_waits = true};

	*saga = (struct saga){.model = model__new(&config), .now_ns = 1000 * NS_PER_S};
	assert_non_null(saga->model);
}

/* Minisockets have records of their own. */
static void begin_told(struct saga *saga)
{
	waits_told = true;
	begin_saga(saga, 10, 10, 1);
	waits_told = false;
}

/* From connect() to CLOSE; what the last record said. */
static const struct changes *closes_first(struct saga *saga, const struct peer *peer)
{
	connects(saga, peer);
	wait_us(saga, 100);
	step(saga, peer, EV_SYN_SENT, EV_ESTABLISHED, 0);
	wait_us(saga, 100);
	owned(saga, peer, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED);
	step(saga, peer, EV_FIN_WAIT1, EV_FIN_WAIT2, ORPHAN);
	wait_us(saga, 100);
	return closed(saga, peer, EV_FIN_WAIT2, ORPHAN);
}

static const struct changes *time_passes(struct saga *saga, uint64_t now_ns)
{
	forget_changes(saga);
	model__pass_time(saga->model, now_ns, collect, &saga->changes);
	return &saga->changes;
}

static void begin_dump_at(struct saga *saga, uint64_t began_ns)
{
	struct ev_dump dump = {.header = header(saga, EV_DUMP), .began_ns = began_ns, .netns = 1};

	dump.header.time_ns = began_ns;
	assert_int_equal(apply(saga, &dump, sizeof(dump)), 0);
}

static void dump_begins(struct saga *saga)
{
	begin_dump_at(saga, saga->now_ns);
}

static const struct changes *dump_ends(struct saga *saga, uint64_t began_ns)
{
	struct ev_dump dump = {.header = header(saga, EV_DUMP), .began_ns = began_ns, .netns = 1,
			       .states = 1U << EV_FIN_WAIT2 | 1U << EV_TIME_WAIT};

	assert_int_equal(apply(saga, &dump, sizeof(dump)), 0);
	return &saga->changes;
}

/* The client's minisocket in a dump, which gives it this id. */
static void shown_as(struct saga *saga, uint64_t id, uint8_t state, uint32_t expires_ms)
{
	struct ev_place of = place(&client);
	struct ev_socket row = {
		.header = header(saga, EV_SOCKET),
		.conn_id = id,
		.netns = 1,
		.family = AF_INET,
		.state = state,
		.kind = EV_SOCKET_MINI,
		.local_port = client.local_port,
		.remote_port = client.remote_port,
		.expires_ms = expires_ms,
	};

	memcpy(row.local, of.local, sizeof(row.local));
	memcpy(row.remote, of.remote, sizeof(row.remote));
	assert_int_equal(apply(saga, &row, sizeof(row)), 0);
}

static void shown(struct saga *saga, uint8_t state, uint32_t expires_ms)
{
	shown_as(saga, 0x999, state, expires_ms);
}

/* A dump that shows it or, with expires_ms 0, nothing. */
static const struct changes *dumped(struct saga *saga, uint8_t state, uint32_t expires_ms)
{
	uint64_t began_ns = saga->now_ns;

	dump_begins(saga);
	if (expires_ms)
		shown(saga, state, expires_ms);
	wait_us(saga, 1000);
	return dump_ends(saga, began_ns);
}

static const struct wait_group *group_of_client(const struct saga *saga)
{
	const struct timewaits *waits = model__timewaits(saga->model);

	assert_int_equal(waits->group_count, 2); /* and "other" */
	return &waits->groups[1];
}

/* Its life goes on as what it must be by now, until its minute is over. */
static void a_life_goes_on_as_an_estimated_minisocket(void **state)
{
	const struct life *life;
	struct saga saga;
	uint64_t closed_ns;

	(void)state;
	begin_guessing(&saga);
	life = only(closes_first(&saga, &client), CHANGE_TRANSITION)->life;
	closed_ns = saga.now_ns;
	assert_int_equal(life->state, EV_TIME_WAIT);
	assert_true(life->wait_estimated);
	assert_int_equal(group_of_client(&saga)->estimated, 1);

	wait_us(&saga, 10 * 1000 * 1000);
	assert_int_equal(dumped(&saga, EV_TIME_WAIT, 50000)->count, 0);
	assert_int_equal(group_of_client(&saga)->estimated, 0);

	assert_int_equal(time_passes(&saga, closed_ns + 60 * NS_PER_S)->count, 0);
	time_passes(&saga, closed_ns + 62 * NS_PER_S);
	assert_ptr_equal(only(&saga.changes, CHANGE_LIFE)->life, life);
	assert_int_equal(life->wait_end, EV_WAIT_EXPIRED);
	assert_int_equal(life->closed_first, CLOSED_LOCAL);
	assert_true(life__lasted_ns(life) == TIMEWAIT_LASTS_NS + 300 * US);
	assert_int_equal(life->flags & LIFE_INCOMPLETE, 0);
	assert_int_equal(model__timewaits(saga.model)->count, 0);
	end_saga(&saga);
}

/* Two dumps without it, before its time: it is gone, and nobody knows why. One is
 * not enough: a dump may pass over one whose neighbour goes. */
static void two_dumps_end_an_estimate(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_guessing(&saga);
	life = only(closes_first(&saga, &client), CHANGE_TRANSITION)->life;
	wait_us(&saga, 1000 * 1000);
	assert_int_equal(dumped(&saga, EV_TIME_WAIT, 59000)->count, 0);
	wait_us(&saga, 1000 * 1000);
	assert_int_equal(dumped(&saga, 0, 0)->count, 0);
	assert_int_equal(model__missed(saga.model), 1U << EV_TIME_WAIT);
	/* Seen again, it is still its owner's. */
	assert_int_equal(dumped(&saga, EV_TIME_WAIT, 58000)->count, 0);
	assert_int_equal(group_of_client(&saga)->time_wait, 1);
	dumped(&saga, 0, 0);
	assert_ptr_equal(only(dumped(&saga, 0, 0), CHANGE_LIFE)->life, life);
	assert_int_equal(life->wait_end, EV_WAIT_END_NONE);
	assert_int_equal(life->state, EV_STATE_CLOSE);
	assert_int_equal(life->flags & LIFE_INCOMPLETE, 0);
	end_saga(&saga);
}

/* An orphan whose peer does not close is no TIME_WAIT yet. */
static void a_dump_corrects_an_estimate(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_guessing(&saga);
	life = only(closes_first(&saga, &client), CHANGE_TRANSITION)->life;
	wait_us(&saga, 20 * 1000 * 1000);
	dumped(&saga, EV_FIN_WAIT2, 40000);
	assert_int_equal(life->state, EV_FIN_WAIT2);
	assert_int_equal(history_state(life->history[life->history_count - 1]), EV_FIN_WAIT2);
	assert_int_equal(group_of_client(&saga)->fin_wait2, 1);
	/* Its FIN came 5 s before the next dump. */
	wait_us(&saga, 20 * 1000 * 1000);
	dumped(&saga, EV_TIME_WAIT, 55000);
	assert_int_equal(life->state, EV_TIME_WAIT);
	assert_in_range(saga.now_ns - life->entered_ns, 5 * NS_PER_S, 5 * NS_PER_S + 2000 * US);
	/* And so it does not end 60 s after CLOSE. */
	wait_us(&saga, 30 * 1000 * 1000);
	dumped(&saga, EV_TIME_WAIT, 25000);
	assert_int_equal(saga.changes.count, 0);
	assert_int_equal(life->state, EV_TIME_WAIT);
	wait_us(&saga, 30 * 1000 * 1000);
	assert_ptr_equal(only(dumped(&saga, 0, 0), CHANGE_LIFE)->life, life);
	assert_int_equal(life->wait_end, EV_WAIT_EXPIRED);
	end_saga(&saga);
}

/* The next connection of the tuple tells its end, exactly. */
static void a_new_connection_ends_an_estimate(void **state)
{
	struct peer again = client;
	const struct life *first;
	struct saga saga;

	(void)state;
	begin_guessing(&saga);
	again.id = 0x11;
	first = only(closes_first(&saga, &client), CHANGE_TRANSITION)->life;
	connects(&saga, &again);
	wait_us(&saga, 100);
	step(&saga, &again, EV_SYN_SENT, EV_ESTABLISHED, 0);
	assert_int_equal(saga.changes.count, 2);
	assert_ptr_equal(saga.changes.change[0].life, first);
	assert_int_equal(first->wait_end, EV_WAIT_REUSED);
	assert_true(first->entered_ns == saga.now_ns - 100 * US);
	/* A row that was on its way does not bring it back. */
	assert_int_equal(group_of_client(&saga)->time_wait, 0);
	assert_int_equal(group_of_client(&saga)->ended[EV_WAIT_REUSED], 1);
	end_saga(&saga);
}

/* What a dump shows first is no new connection of its own tuple. */
static void a_minisocket_from_before_stays(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_guessing(&saga);
	assert_int_equal(dumped(&saga, EV_TIME_WAIT, 20000)->count, 0);
	assert_int_equal(group_of_client(&saga)->time_wait, 1);
	life = flow_table__open_at(model__flows(saga.model), 0);
	assert_non_null(life);
	assert_int_equal(life->state, EV_TIME_WAIT);
	assert_true(life->wait_estimated);
	wait_us(&saga, 25 * 1000 * 1000);
	dumped(&saga, 0, 0);
	assert_int_equal(group_of_client(&saga)->time_wait, 0);
	assert_ptr_equal(only(dumped(&saga, 0, 0), CHANGE_LIFE)->life, life);
	end_saga(&saga);
}

/* Its time was thought to be over: what is left of it is not another. The next one of
 * the tuple, of which every record was lost, is. */
static void what_is_left_of_an_estimate(void **state)
{
	struct saga saga;

	(void)state;
	begin_guessing(&saga);
	closes_first(&saga, &client);
	wait_us(&saga, 62 * 1000 * 1000);
	assert_true(only(time_passes(&saga, saga.now_ns), CHANGE_LIFE)->life->flags & LIFE_ENDED);
	dumped(&saga, EV_TIME_WAIT, 10);
	assert_int_equal(model__flows(saga.model)->open, 0);
	dumped(&saga, EV_TIME_WAIT, 59990);
	assert_int_equal(model__flows(saga.model)->open, 1);
	end_saga(&saga);
}

/* Its end was told, and the end of its minisocket; the next one of the tuple left one, and
 * no record. */
static void a_minisocket_of_a_lost_life_is_one(void **state)
{
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_told(&saga);
	connects(&saga, &client);
	step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0);
	only(owned(&saga, &client, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED), CHANGE_TRANSITION);
	closed(&saga, &client, EV_FIN_WAIT1, ORPHAN);
	assert_int_equal(model__flows(saga.model)->open, 0);
	wait_us(&saga, 1000);
	dumped(&saga, EV_TIME_WAIT, 59000);
	assert_int_equal(model__flows(saga.model)->open, 1);
	life = model__flows(saga.model)->lives;
	while (life->flags & LIFE_ENDED)
		life++;
	assert_int_equal(life->state, EV_TIME_WAIT);
	assert_true(life->flags & LIFE_PREEXISTING && life->flags & LIFE_INCOMPLETE);
	assert_int_equal(life->ordinal, 2);
	end_saga(&saga);
}

/* The same where the tuple's last life is open, for the record of its end was lost, too. What
 * has a record since the dump began is newer than the row. */
static void a_minisocket_beside_an_open_life(void **state)
{
	struct saga saga;

	(void)state;
	for (int newer = 0; newer < 2; newer++) {
		begin_told(&saga);
		connects(&saga, &client);
		step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0);
		wait_us(&saga, 1000);
		dump_begins(&saga);
		wait_us(&saga, 10);
		if (newer)
			owned(&saga, &client, EV_ESTABLISHED, EV_FIN_WAIT1, FILE_CLOSED);
		shown(&saga, EV_TIME_WAIT, 59000);
		assert_int_equal(model__flows(saga.model)->open, newer ? 1 : 2);
		assert_int_equal(model__flows(saga.model)->gone, newer ? 0 : 1);
		end_saga(&saga);
	}
}

/* Rows and records are in order (source/scan.h): what a dump shows of a tuple that
 * is connected by now is older, and no minisocket of it. */
static void a_late_row_is_no_minisocket(void **state)
{
	struct saga saga;

	(void)state;
	begin_guessing(&saga);
	dump_begins(&saga);
	connects(&saga, &client);
	wait_us(&saga, 100);
	step(&saga, &client, EV_SYN_SENT, EV_ESTABLISHED, 0);
	shown(&saga, EV_TIME_WAIT, 20000);
	assert_int_equal(model__timewaits(saga.model)->count, 0);
	end_saga(&saga);
}

/* The record of an end may be handed out when a dump has begun that it is older than: what
 * the dump shows then is the tuple's next minisocket, whose records were lost. */
static void an_end_before_the_dump_hides_no_row(void **state)
{
	(void)state;
	for (int after = 0; after < 2; after++) {
		struct saga saga;
		uint64_t began_ns;

		begin_told(&saga);
		connects(&saga, &client);
		waits(&saga, &client, EV_WAIT_BEGIN, EV_TIME_WAIT, EV_WAIT_END_NONE);
		began_ns = saga.now_ns + NS_PER_S;
		if (after)
			began_ns = saga.now_ns;
		begin_dump_at(&saga, began_ns);
		wait_us(&saga, 100);
		waits(&saga, &client, EV_WAIT_END, EV_TIME_WAIT, EV_WAIT_REUSED);
		assert_int_equal(model__timewaits(saga.model)->count, 0);
		shown(&saga, EV_TIME_WAIT, 20000);
		assert_int_equal(model__timewaits(saga.model)->count, after ? 0 : 1);
		end_saga(&saga);
	}
}

/* Of a connect() only the first step was told, which has no port: all else was lost, and the
 * dump shows what is left. */
static void a_minisocket_gives_its_life_the_port(void **state)
{
	struct peer early = client;
	const struct life *life;
	struct saga saga;

	(void)state;
	begin_told(&saga);
	early.local_port = 0;
	connects(&saga, &early);
	wait_us(&saga, 100);
	dump_begins(&saga);
	wait_us(&saga, 100);
	shown_as(&saga, client.id, EV_TIME_WAIT, 20000);
	dump_ends(&saga, saga.now_ns - 100 * US);
	life = flow_table__open_at(model__flows(saga.model), 0);
	assert_int_equal(life->state, EV_TIME_WAIT);
	assert_int_equal(life->local.port, client.local_port);
	assert_int_equal(model__flows(saga.model)->open, 1);
	end_saga(&saga);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_from_connect_to_close),
		cmocka_unit_test(nobody_wants_transitions),
		cmocka_unit_test(whatever_comes_is_foreseen),
		cmocka_unit_test(what_is_foreseen_is_touched),
		cmocka_unit_test(a_childs_first_transition_waits_for_its_tuple),
		cmocka_unit_test(children_are_told_apart),
		cmocka_unit_test(a_child_is_owned_by_its_first_caller),
		cmocka_unit_test(who_acts_is_not_who_owns),
		cmocka_unit_test(a_self_connect_is_both),
		cmocka_unit_test(a_connection_to_ones_own_host_is_not_both),
		cmocka_unit_test(a_simultaneous_open_is_a_client),
		cmocka_unit_test(a_listener_is_a_life),
		cmocka_unit_test(a_subflow_of_mptcp_is_labelled),
		cmocka_unit_test(a_fallback_to_tcp_is_no_subflow),
		cmocka_unit_test(a_five_tuple_has_successive_lives),
		cmocka_unit_test(the_same_ports_elsewhere_are_another_tuple),
		cmocka_unit_test(an_address_as_id_is_shown_as_another_each_time),
		cmocka_unit_test(a_lost_birth_is_made_good_by_the_close),
		cmocka_unit_test(a_child_without_its_first_record_is_incomplete),
		cmocka_unit_test(a_child_that_lost_its_slot_is_incomplete),
		cmocka_unit_test(a_slot_serves_one_child),
		cmocka_unit_test(a_record_lost_in_the_middle_marks_the_life),
		cmocka_unit_test(a_lost_close_is_told_when_the_id_comes_again),
		cmocka_unit_test(leaving_close_in_another_way),
		cmocka_unit_test(time_that_runs_backwards_is_no_time),
		cmocka_unit_test(a_stale_error_did_not_end_the_next_life),
		cmocka_unit_test(an_error_that_came_in_between_is_fresh),
		cmocka_unit_test(a_fresh_error_ended_it),
		cmocka_unit_test(an_ended_life_outlives_its_record),
		cmocka_unit_test(a_full_table_goes_on),
		cmocka_unit_test(without_memory_a_record_has_no_effect),
		cmocka_unit_test(a_syn_knows_its_listener),
		cmocka_unit_test(a_passive_life_begins_with_its_syn),
		cmocka_unit_test(a_request_without_an_id_joins_its_child),
		cmocka_unit_test(a_request_without_an_id_is_shown_alike),
		cmocka_unit_test(a_request_that_came_to_nothing_is_a_life),
		cmocka_unit_test(histories_that_are_cut_are_counted),
		cmocka_unit_test(a_sampled_request_becomes_a_connection),
		cmocka_unit_test(a_sampled_request_is_over_unseen),
		cmocka_unit_test(a_request_that_nobody_follows_is_no_life),
		cmocka_unit_test(all_namespaces_make_it_whole),
		cmocka_unit_test(what_has_no_room_counts_once),
		cmocka_unit_test(what_gave_way_counts_once_by_its_tuple),
		cmocka_unit_test(a_row_tells_the_port_of_a_connect),
		cmocka_unit_test(rows_of_several_connects_to_one_place),
		cmocka_unit_test(a_row_that_is_faster_than_the_birth),
		cmocka_unit_test(a_row_from_before_the_birth_is_another),
		cmocka_unit_test(a_port_of_another_is_corrected),
		cmocka_unit_test(losses_and_the_end_are_passed_on),
		cmocka_unit_test(a_life_goes_on_as_an_estimated_minisocket),
		cmocka_unit_test(two_dumps_end_an_estimate),
		cmocka_unit_test(a_dump_corrects_an_estimate),
		cmocka_unit_test(a_new_connection_ends_an_estimate),
		cmocka_unit_test(a_minisocket_from_before_stays),
		cmocka_unit_test(what_is_left_of_an_estimate),
		cmocka_unit_test(a_minisocket_of_a_lost_life_is_one),
		cmocka_unit_test(a_minisocket_beside_an_open_life),
		cmocka_unit_test(a_late_row_is_no_minisocket),
		cmocka_unit_test(the_same_records_give_the_same_changes),
		/* Last: ASan ends the program when this one fails. */
		cmocka_unit_test(owners_of_one_record_are_valid_together),
		cmocka_unit_test(an_end_before_the_dump_hides_no_row),
		cmocka_unit_test(a_minisocket_gives_its_life_the_port),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
