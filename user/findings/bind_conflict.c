// SPDX-License-Identifier: BSD-2-Clause
/*
 * bind() or listen() that is refused: who holds the port, and what would have
 * let both have it. What the kernel allows is in model/bind_rules.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "findings/rules.h"

enum { COUNT, PATIENCE };

/* The worst in the way: a listener stays, a minisocket goes by itself. */
static const struct ev_holder *main_holder(const struct refusal *refusal)
{
	const struct ev_holder *found = NULL;

	for (unsigned int i = 0; i < refusal->holder_count; i++) {
		const struct ev_holder *holder = &refusal->holders[i];

		if (!found || holder->state == EV_LISTEN || (found->mini && !holder->mini))
			found = holder;
		if (found->state == EV_LISTEN)
			break;
	}
	return found;
}

static void put_holder(struct finding *finding, const struct ev_holder *holder)
{
	static const char nobody[] = "a socket without a process";
	const char *state = holder->state == EV_STATE_CLOSE ? "BOUND" : state__name(holder->state);
	struct endpoint held;
	struct strbuf text;

	memcpy(held.addr, holder->local, sizeof(held.addr));
	held.port = holder->local_port;
	finding__endpoint(finding, "held", &held);
	finding__text(finding, "holder", nobody, sizeof(nobody) - 1);
	if (holder->owner.pid) {
		strbuf__init(&text);
		strbuf__append(&text, holder->owner.comm, strnlen(holder->owner.comm, EV_COMM_BYTES));
		strbuf__printf(&text, "/%u", holder->owner.pid);
		finding__text(finding, "holder", strbuf__text(&text), text.len);
		finding__count(finding, "holder_pid", holder->owner.pid);
		strbuf__fini(&text);
	}
	finding__text(finding, "holder_state", state, strlen(state));
	finding__count(finding, "holders", holder->count);
	if (holder->mini)
		finding__value(finding, "wait_s", holder->expires_ms / 1000.0);
}

/* Which side has to change. */
static void advise_reuseaddr(struct finding *finding, const struct refusal *refusal,
			     const struct ev_holder *holder)
{
	bool has = refusal->options & EV_BIND_REUSEADDR;

	if (has && holder->reuseaddr == EV_ANSWER_YES)
		return;
	if (has)
		finding__advise(finding,
				"{process} sets SO_REUSEADDR, and that is not enough: the socket that "
				"listened here before must have set it, too, before its bind(); what it "
				"accepted inherits that.");
	else if (holder->reuseaddr == EV_ANSWER_YES)
		finding__advise(finding, "Let {process} set SO_REUSEADDR before bind(): the other side has "
					 "set it, and both must.");
	else
		finding__advise(finding, "Let {process} set SO_REUSEADDR before bind(), in each of its "
					 "generations: both sides must have set it, and what is accepted "
					 "inherits it from its listener.");
}

static void advise_reuseport(struct finding *finding, const struct refusal *refusal,
			     const struct ev_holder *holder)
{
	bool has = refusal->options & EV_BIND_REUSEPORT;

	if (has && holder->reuseport == EV_ANSWER_YES)
		finding__advise(finding, "Both set SO_REUSEPORT: to share the port they must be of the same "
					 "user as well.");
	else if (has)
		finding__advise(finding, "{process} sets SO_REUSEPORT, and {holder} does not: to share the "
					 "port both must, before bind(), as the same user.");
	else if (holder->reuseport == EV_ANSWER_YES)
		finding__advise(finding, "If both are meant to serve: let {process} set SO_REUSEPORT before "
					 "bind(), as {holder} has done, and run as the same user.");
}

static void say_listener(struct finding *finding, const struct refusal *refusal,
			 const struct ev_holder *holder)
{
	finding->verdict = "{process} was refused {call} to {asked} {refused} times ({error}): {holder} "
			   "listens on {held}.";
	finding__advise(finding,
			"Stop {holder} if it is left over; else give one of the two another port, or "
			"an address of its own: a listener on the wildcard address takes all of them.");
	advise_reuseport(finding, refusal, holder);
	finding__wont_help(finding,
			   "SO_REUSEADDR: a listener gives way to nobody for it. tcp_fin_timeout and "
			   "tcp_tw_reuse: no TIME_WAIT is in the way.");
}

static void say_bound(struct finding *finding, const struct refusal *refusal,
		      const struct ev_holder *holder)
{
	finding->verdict =
		"{process} was refused {call} to {asked} {refused} times ({error}): {holder} has "
		"bound {held} and does not listen there.";
	finding__advise(finding,
			"Look what {holder} wants the port for: it may be about to listen, or use it "
			"as the source of a connection; then let one of the two take another port.");
	if (refusal->protocol == IPPROTO_UDP)
		advise_reuseport(finding, refusal, holder);
	else
		advise_reuseaddr(finding, refusal, holder);
	finding__wont_help(finding, "tcp_fin_timeout and tcp_tw_reuse: no TIME_WAIT is in the way.");
}

static void say_connection(struct finding *finding, const struct refusal *refusal,
			   const struct ev_holder *holder)
{
	finding->verdict = "{process} was refused {call} to {asked} {refused} times ({error}): {holders} "
			   "connections of {holder} still use {held} ({holder_state}).";
	advise_reuseaddr(finding, refusal, holder);
	finding__advise(finding, "Until then wait for those connections to end, or end {holder}.");
	finding__wont_help(
		finding, "tcp_fin_timeout and tcp_tw_reuse: the connections are open, not in TIME_WAIT.");
}

static void say_minis(struct finding *finding, const struct refusal *refusal,
		      const struct ev_holder *holder)
{
	finding->verdict =
		"{process} was refused {call} to {asked} {refused} times ({error}): {holders} closed "
		"connections hold {held} in {holder_state}, the last for another {wait_s} s.";
	advise_reuseaddr(finding, refusal, holder);
	finding__advise(finding, "The side that closes first keeps the TIME_WAIT: where clients close first "
				 "none is left at this port.");
	finding__wont_help(finding,
			   "tcp_tw_reuse: it is for connect(), not for bind(). tcp_fin_timeout: it does "
			   "not shorten TIME_WAIT.");
}

static void say_in_use(struct finding *finding, const struct refusal *refusal)
{
	const struct ev_holder *holder = main_holder(refusal);

	if (!refusal->port) {
		finding->verdict =
			"{process} was refused {call} to {asked} {refused} times ({error}): no port of "
			"ip_local_port_range was free for it.";
		finding__advise(finding,
				"A bind() without a port takes one of the whole host's: let {process} leave "
				"it out, or set IP_BIND_ADDRESS_NO_PORT, so that connect() chooses and "
				"each destination has the whole range.");
		return;
	}
	if (!holder) {
		finding->verdict =
			refusal->looked_ns ?
				"{process} was refused {call} to {asked} {refused} times ({error}). Nobody in the "
				"way was found a moment later: who held the port is gone, or was bound without "
				"listening where this kernel does not tell that." :
				"{process} was refused {call} to {asked} {refused} times ({error}). Who holds the "
				"port was not looked at.";
		finding__advise(finding,
				"Try again; \"tcpsaga port\" tells who holds a port, and why a bind() to "
				"it would fail.");
		return;
	}
	put_holder(finding, holder);
	if (holder->mini)
		say_minis(finding, refusal, holder);
	else if (holder->state == EV_LISTEN)
		say_listener(finding, refusal, holder);
	else if (holder->state == EV_STATE_CLOSE || refusal->protocol == IPPROTO_UDP)
		say_bound(finding, refusal, holder);
	else
		say_connection(finding, refusal, holder);
}

static void say_no_address(struct finding *finding)
{
	finding->verdict =
		"{process} was refused {call} to {asked} {refused} times ({error}): no interface of this "
		"network namespace has that address.";
	finding__advise(finding,
			"Bind to an address that the host has, or to the wildcard address; at boot, start "
			"{process} when the network is up (After=network-online.target).");
	finding__advise(finding, "For an address that comes and goes (a failover): ip_nonlocal_bind in this "
				 "network namespace, or IP_FREEBIND on the socket.");
	finding__wont_help(finding, "SO_REUSEADDR and SO_REUSEPORT: nobody holds the port.");
}

static void say_no_right(struct finding *finding)
{
	finding->verdict =
		"{process} was refused {call} to {asked} {refused} times ({error}): it lacks the right "
		"to that port.";
	finding__advise(finding,
			"Ports below ip_unprivileged_port_start are for CAP_NET_BIND_SERVICE: give it to "
			"{process} (AmbientCapabilities= in its unit), let systemd hold the socket, or "
			"take a higher port. A security module (SELinux port types) says the same.");
	finding__wont_help(finding, "SO_REUSEADDR and SO_REUSEPORT: nobody is in the way.");
}

static void say(struct finding *finding, const struct refusal *refusal)
{
	const char *call = refusal->call == EV_CALL_LISTEN ? "listen()" : "bind()";
	const char *error = refusal->error == EACCES	    ? "EACCES" :
			    refusal->error == EADDRNOTAVAIL ? "EADDRNOTAVAIL" :
							      "EADDRINUSE";

	memcpy(finding->local.addr, refusal->addr, sizeof(finding->local.addr));
	finding->local.port = refusal->port;
	finding->local_known = true;
	finding__owner(finding, refusal->owner_known ? &refusal->owner : NULL);
	finding__endpoint(finding, "asked", &finding->local);
	finding__text(finding, "call", call, strlen(call));
	finding__text(finding, "error", error, strlen(error));
	finding__count(finding, "refused", refusal->count);
	finding->weight = refusal->count;
	if (refusal->error == EACCES)
		say_no_right(finding);
	else if (refusal->error == EADDRNOTAVAIL)
		say_no_address(finding);
	else
		say_in_use(finding, refusal);
}

static void look_for_refusals(struct look *look)
{
	for (unsigned int i = 0; i < REFUSALS_MAX; i++) {
		const struct refusal *refusal = &look->refusals->all[i];
		uint64_t patience_ns = (uint64_t)(look->values[PATIENCE] * NS_PER_S);
		struct finding *finding;
		bool raise;

		if (!refusal->id || refusal->last_ns + REFUSAL_LULL_S * NS_PER_S <= look->now_ns ||
		    refusal->served_ns > refusal->last_ns)
			continue;
		raise = refusal->count >= look->values[COUNT] &&
			refusal->first_ns + patience_ns <= look->now_ns;
		finding = look__hold(look, refusal->id, refusal->netns, raise);
		if (finding)
			say(finding, refusal);
	}
}

const struct rule bind_conflict = {
	.id = "bind-conflict",
	.raised_when = "bind() or listen() was refused, and the process has not got another port since",
	.hook = "bind",
	.without = "not told",
	.thresholds = {
		{ "count", UNIT_COUNT, 1, "refusals of one address and port: each is a service that did not start" },
		{ "patience", UNIT_SECONDS, 1, "since the first: who tries again or takes another port at once is served" },
	},
	.quiet_s = 2,
	.look = look_for_refusals,
};
