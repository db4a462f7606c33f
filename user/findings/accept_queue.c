// SPDX-License-Identifier: BSD-2-Clause
/*
 * The accept queue: connections that are complete and wait for accept(). Full,
 * it costs clients their SYNs and third ACKs (accept-queue-overflow); before
 * that, it costs them time (slow-acceptor).
 */
#include <math.h>

#include "findings/rules.h"

#include "base/clock.h"

enum { WINDOW_S = 10 };

/* ---- overflow ---- */

enum { DROPS };

static const struct door *door_of(const struct look *look, const struct listener *listener)
{
	return listener && !(listener->flags & LISTENER_CLOSED) ? doors__find(look->doors, listener->key) :
								  NULL;
}

/* Which of the two numbers the limit is: min(listen() backlog, somaxconn). */
static void advise_limit(struct look *look, struct finding *finding, const struct listener *listener)
{
	uint32_t wanted = listener->needed > listener->limit ? listener->needed : 2 * listener->limit + 1;
	int64_t somaxconn = listener->somaxconn;

	finding__count(finding, "limit", listener->limit);
	finding__count(finding, "wanted", wanted);
	if (listener->asked)
		finding__count(finding, "backlog", listener->asked);
	if (!look__setting(look, finding, EV_SET_SOMAXCONN, &somaxconn) && somaxconn)
		finding__count(finding, "somaxconn", (uint64_t)somaxconn);
	if (listener->asked && listener->asked > listener->limit) {
		finding__advise(finding,
				"Raise net.core.somaxconn of this network namespace to {wanted} at "
				"least (it is {somaxconn}), then let {process} call listen() again: "
				"a restart or reload. The limit is taken at listen().");
		finding__wont_help(finding,
				   "A larger backlog in {process}: it asks for {backlog} already, and "
				   "somaxconn allows {somaxconn}.");
	} else if (somaxconn && (uint64_t)somaxconn <= listener->limit) {
		finding__advise(finding, "Raise the backlog of {process} to {wanted} at least and "
					 "net.core.somaxconn of this network namespace with it (it is "
					 "{somaxconn}); then let it call listen() again.");
		finding__wont_help(finding, "A larger backlog alone: somaxconn allows {somaxconn}.");
	} else {
		finding__advise(finding,
				"Raise the backlog that {process} calls listen() with, to {wanted} at "
				"least (its limit is {limit}).");
		if (somaxconn)
			finding__wont_help(finding, "A larger net.core.somaxconn: it allows {somaxconn}, "
						    "and the backlog is what binds.");
	}
	finding__wont_help(finding,
			   "tcp_max_syn_backlog and SYN cookies: they are about the queue in front of "
			   "this one.");
}

static void say_overflow(struct look *look, struct finding *finding, const struct listener *listener,
			 const struct door *door, uint32_t drops)
{
	double waited_ms = door__waited_ms(door, look->now_ns, WINDOW_S);
	uint32_t accepted = door__sum(door, D_ACCEPTED, look->now_ns, WINDOW_S);
	int64_t aborts;

	finding__of_listener(finding, look, listener);
	finding__count(finding, "dropped", drops);
	finding__count(finding, "window_s", WINDOW_S);
	finding__count(finding, "accept_queue", listener->accept_queue.len);
	finding__count(finding, "accept_queue_max", listener->accept_queue.max);
	finding->weight = drops;
	finding__advise(finding,
			"{process} has to call accept() sooner: more workers or threads, or nothing "
			"slow in the loop that accepts.");
	advise_limit(look, finding, listener);
	finding->verdict =
		"{process} does not accept fast enough at {service}: its accept queue (limit {limit}) "
		"is full, and {dropped} SYNs and last ACKs of handshakes were dropped within "
		"{window_s} s.";
	if (look->sees_accepts && isfinite(waited_ms)) {
		finding__count(finding, "accepted", accepted);
		finding__value(finding, "waited_ms", waited_ms);
		finding->verdict =
			"{process} does not accept fast enough at {service}: its accept queue "
			"(limit {limit}) is full, and {dropped} SYNs and last ACKs of handshakes "
			"were dropped within {window_s} s. It accepted {accepted} meanwhile, which "
			"had waited {waited_ms} ms on the average.";
	}
	if (listener->blocked) {
		finding__count(finding, "blocked_clients", listener->blocked);
		finding__advise(finding,
				"Until then: {blocked_clients} clients wait now, and each knocks again "
				"only after seconds.");
	}
	if (look__setting(look, finding, EV_SET_ABORT_ON_OVERFLOW, &aborts) && !aborts)
		finding__wont_help(finding,
				   "tcp_abort_on_overflow (it is {tcp_abort_on_overflow}): it would "
				   "reset the clients instead of letting them try again.");
	if (listener->gave_up) {
		finding__count(finding, "gave_up", listener->gave_up);
		finding->severity = SEVERITY_CRITICAL;
	}
}

static void look_for_overflow(struct look *look)
{
	const struct listeners *listeners = model__listeners(look->model);

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		const struct door *door = door_of(look, listener);
		enum door_count column = look->sees_syns ? D_DROPPED_FULL : D_DROPS_FULL;
		uint32_t drops = door ? door__sum(door, column, look->now_ns, WINDOW_S) : 0;
		struct finding *finding;

		if (!drops)
			continue;
		finding = look__hold(look, listener->key, listener->netns, drops >= look->values[DROPS]);
		if (finding)
			say_overflow(look, finding, listener, door, drops);
	}
}

const struct rule accept_queue_overflow = {
	.id = "accept-queue-overflow",
	.raised_when = "SYNs or third ACKs are dropped because accept() is too slow for the backlog",
	.hook = "syn",
	.without = "told by each listener's own counter of drops, once a second",
	.thresholds = {
		{ "drops", UNIT_COUNT, 3,
		  "within 10 s: each delays a client by a second at least; one may be chance" },
	},
	.quiet_s = 2,
	.look = look_for_overflow,
};

/* ---- slow, but not full ---- */

/* A depth that no sample has confirmed for longer is not taken for the present one. */
enum { FRESH_S = 3 };

enum { WAIT, LEAST, TARDY_PERCENT, STUCK };

static void say_slow(struct look *look, struct finding *finding, const struct listener *listener,
		     const struct door *door)
{
	uint32_t waited = door__sum(door, D_WAITED, look->now_ns, WINDOW_S);

	finding__of_listener(finding, look, listener);
	finding__count(finding, "accept_queue", listener->accept_queue.len);
	finding__count(finding, "limit", listener->limit);
	finding__count(finding, "window_s", WINDOW_S);
	if (!waited) {
		double stuck_s = (double)(look->now_ns - door->stuck_since_ns) / NS_PER_S;

		finding__value(finding, "stuck_s", stuck_s);
		finding->weight = stuck_s;
		finding->verdict = "{process} has not called accept() at {service} for {stuck_s} s, while "
				   "its accept queue holds {accept_queue} connections (limit {limit}).";
		finding__advise(finding,
				"Look at what {process} does instead (its stacks, a lock, a full pool "
				"of workers): clients think that they are connected, and get no "
				"answer.");
	} else {
		finding__count(finding, "accepted", waited);
		finding__value(finding, "waited_ms", door__waited_ms(door, look->now_ns, WINDOW_S));
		finding__value(finding, "tardy_percent",
			       100.0 * door__sum(door, D_TARDY, look->now_ns, WINDOW_S) / waited);
		finding__value(finding, "wait_ms", look->values[WAIT] * 1000);
		finding->weight = door__waited_ms(door, look->now_ns, WINDOW_S);
		finding->verdict =
			"{process} is slow to accept at {service}: of {accepted} connections in "
			"{window_s} s, {tardy_percent} % had waited more than {wait_ms} ms "
			"({waited_ms} ms on the average). Nothing is dropped yet: the queue holds "
			"{accept_queue}, its limit is {limit}.";
		finding__advise(finding,
				"More workers or threads in {process}, or nothing slow in the loop that "
				"accepts: the wait is added to every client's first answer.");
	}
	finding__wont_help(finding, "A larger backlog or somaxconn: a longer queue is a longer wait.");
}

static void look_for_slow(struct look *look)
{
	const struct listeners *listeners = model__listeners(look->model);

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		const struct door *door = door_of(look, listener);
		struct finding *finding;
		uint32_t waited, tardy;
		bool stuck, slow;

		if (!door || look__holds(look, "accept-queue-overflow", listener->key))
			continue;
		waited = door__sum(door, D_WAITED, look->now_ns, WINDOW_S);
		tardy = door__sum(door, D_TARDY, look->now_ns, WINDOW_S);
		stuck = door->stuck_since_ns &&
			listener->sampled_ns + FRESH_S * NS_PER_S >= look->now_ns &&
			look->now_ns >= door->stuck_since_ns + look->values[STUCK] * NS_PER_S;
		slow = waited >= look->values[LEAST] &&
		       tardy * 100 >= look->values[TARDY_PERCENT] * waited;
		if (!stuck && !slow && tardy * 200 < look->values[TARDY_PERCENT] * waited + 1)
			continue;
		finding = look__hold(look, listener->key, listener->netns, stuck || slow);
		if (finding)
			say_slow(look, finding, listener, door);
	}
}

const struct rule slow_acceptor = {
	.id = "slow-acceptor",
	.raised_when = "connections wait long for accept(), while nothing overflows yet",
	.hook = "accept",
	.without = "told only of queues that nobody takes anything from",
	.thresholds = {
		{ "wait", UNIT_SECONDS, 0.1,
		  "third ACK to accept(): a loop that is not busy takes well below a millisecond" },
		{ "least", UNIT_COUNT, 10, "accepted within 10 s: a share of fewer says little" },
		{ "share", UNIT_PERCENT, 50, "of them waited so long: the median client feels it" },
		{ "stuck", UNIT_SECONDS, 5, "nobody called accept() though a connection waits" },
	},
	.quiet_s = 2,
	.look = look_for_slow,
};
