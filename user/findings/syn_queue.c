// SPDX-License-Identifier: BSD-2-Clause
/*
 * The SYN queue: half-open requests. Full, it costs cookies or drops. Whether
 * the queue is too small or someone floods it is told by how many of those who
 * were answered go on, and by how many there are.
 */
#include "findings/rules.h"
#include "findings/syn_counters.h"

enum { WINDOW_S = 10 };

enum { FULL_OVERFLOW, COMPLETED_OVERFLOW };
enum { FULL_FLOOD, SYNS_FLOOD, COMPLETED_FLOOD };

struct knocks {
	uint32_t syns;
	uint32_t answered; /* queued, or with a cookie */
	uint32_t full;	   /* cookies and drops for want of room */
	uint32_t cookies;
	uint32_t dropped;
	uint32_t completed;
	uint32_t timed_out;
};

static struct knocks knocks_at(const struct look *look, const struct door *door)
{
	struct knocks k = {
		.syns = door__sum(door, D_SYNS, look->now_ns, WINDOW_S),
		.cookies = door__sum(door, D_COOKIES, look->now_ns, WINDOW_S),
		.dropped = door__sum(door, D_DROPPED_SYN, look->now_ns, WINDOW_S),
		.completed = door__sum(door, D_COMPLETED, look->now_ns, WINDOW_S),
		.timed_out = door__sum(door, D_TIMED_OUT, look->now_ns, WINDOW_S),
	};

	k.answered = door__sum(door, D_QUEUED, look->now_ns, WINDOW_S) + k.cookies;
	k.full = k.cookies + k.dropped;
	return k;
}

static void show_knocks(struct finding *finding, struct look *look, const struct listener *listener,
			const struct door *door, const struct knocks *k)
{
	int64_t value;

	finding__of_listener(finding, look, listener);
	finding__count(finding, "window_s", WINDOW_S);
	finding__count(finding, "syns", k->syns);
	finding__value(finding, "syns_per_s", (double)k->syns / WINDOW_S);
	finding__count(finding, "answered", k->answered);
	finding__count(finding, "completed", k->completed);
	finding__value(finding, "completed_percent",
		       k->answered ? 100.0 * (k->completed < k->answered ? k->completed : k->answered) /
					     k->answered :
				     0);
	finding__count(finding, "cookies", k->cookies);
	finding__count(finding, "dropped", k->dropped);
	finding__count(finding, "sources", door__sources(door));
	finding__count(finding, "syn_queue", listener->syn_queue.len);
	finding__count(finding, "limit", listener->limit);
	if (listener->asked)
		finding__count(finding, "backlog", listener->asked);
	look__setting(look, finding, EV_SET_SOMAXCONN, &value);
	look__setting(look, finding, EV_SET_SYNCOOKIES, &value);
	finding->weight = k->full;
}

static void advise_cookies(struct look *look, struct finding *finding)
{
	int64_t cookies;

	if (!look__setting(look, finding, EV_SET_SYNCOOKIES, &cookies) || cookies)
		return;
	finding__count(finding, "tcp_syncookies_advised", 1);
	finding__advise(finding,
			"Set net.ipv4.tcp_syncookies={tcp_syncookies_advised} in this network namespace "
			"(it is {tcp_syncookies}): then a full queue costs nobody a connection.");
	finding->severity = SEVERITY_CRITICAL;
}

/* ---- flood ---- */

/* Where none was answered, none could go on. */
static bool go_on(const struct knocks *k, double percent)
{
	return k->completed && k->completed * 100.0 >= percent * k->answered;
}

static void say_flood(struct look *look, struct finding *finding, const struct listener *listener,
		      const struct door *door, const struct knocks *k)
{
	uint32_t sources = door__sources(door);

	show_knocks(finding, look, listener, door, k);
	if (sources > 1)
		finding->verdict =
			"{service} ({process}) is flooded with SYNs: {syns_per_s} a second from about "
			"{sources} addresses, and only {completed_percent} % of the {answered} that "
			"were answered went on. {cookies} were answered with a cookie, {dropped} "
			"dropped; the queue's limit is {limit}.";
	else
		finding->verdict =
			"{service} ({process}) is flooded with SYNs: {syns_per_s} a second, and only "
			"{completed_percent} % of the {answered} that were answered went on. "
			"{cookies} were answered with a cookie, {dropped} dropped; the queue's limit "
			"is {limit}.";
	advise_cookies(look, finding);
	if (sources > 1 && sources * 2 < k->syns)
		finding__advise(finding,
				"The senders repeat themselves: block them, or limit their rate, in the "
				"firewall in front of this host.");
	else if (sources > 1)
		finding__advise(finding,
				"Hardly a source is seen twice: they are forged. Filter upstream (the "
				"provider, a scrubbing service); blocking addresses here is useless.");
	else
		finding__advise(finding,
				"Block the sender, or limit the rate of SYNs, in the firewall in front "
				"of this host.");
	finding__advise(finding,
			"Real clients get through as long as cookies are sent; they lose window scaling "
			"and SACK only where they send no timestamps.");
	finding__wont_help(finding, "A larger backlog or tcp_max_syn_backlog: a flood fills any queue.");
	finding__wont_help(finding,
			   "A smaller tcp_synack_retries helps little: requests with a cookie are not "
			   "queued at all.");
}

static void look_for_flood(struct look *look)
{
	const struct listeners *listeners = model__listeners(look->model);

	if (!look->sees_syns)
		syn_counters__flood(look, look->values[FULL_FLOOD], look->values[SYNS_FLOOD],
				    look->values[COMPLETED_FLOOD]);
	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		const struct door *door = listener ? doors__find(look->doors, listener->key) : NULL;
		struct knocks k;
		struct finding *finding;
		bool flood;

		if (!door || listener->flags & LISTENER_CLOSED)
			continue;
		k = knocks_at(look, door);
		flood = k.syns >= look->values[SYNS_FLOOD] && !go_on(&k, look->values[COMPLETED_FLOOD]);
		if (!k.full || !flood)
			continue;
		finding = look__hold(look, listener->key, listener->netns,
				     k.full >= look->values[FULL_FLOOD]);
		if (finding)
			say_flood(look, finding, listener, door, &k);
	}
}

const struct rule syn_flood = {
	.id = "syn-flood",
	.raised_when = "half-open requests fill the SYN queue, and those who sent them do not go on",
	.hook = "syn",
	.without = "told by the counters of the network namespace and sampled queues: neither the listener nor the sources are sure",
	.thresholds = {
		{ "full", UNIT_COUNT, 10, "cookies or drops for want of room within 10 s" },
		{ "syns", UNIT_COUNT, 100, "within 10 s: fewer are no flood" },
		{ "completed", UNIT_PERCENT, 20,
		  "of those answered, at most: of real clients nearly all go on" },
	},
	.quiet_s = 2,
	.look = look_for_flood,
};

/* ---- overflow ---- */

static void say_overflow(struct look *look, struct finding *finding, const struct listener *listener,
			 const struct door *door, const struct knocks *k)
{
	int64_t somaxconn = 0, max_syn;

	show_knocks(finding, look, listener, door, k);
	finding->verdict =
		"The SYN queue of {service} ({process}) is too small: within {window_s} s {cookies} "
		"SYNs were answered with a cookie and {dropped} dropped, for its limit is {limit}. "
		"{completed_percent} % of those answered went on: they are real clients.";
	advise_cookies(look, finding);
	finding__count(finding, "wanted", 2 * listener->limit + 2);
	look__setting(look, finding, EV_SET_SOMAXCONN, &somaxconn);
	if (listener->asked > listener->limit || (somaxconn && (uint64_t)somaxconn <= listener->limit)) {
		finding__advise(finding,
				"Raise net.core.somaxconn of this network namespace to {wanted} at least "
				"(it is {somaxconn}), and the backlog of {process} with it; then let it "
				"call listen() again.");
		finding__wont_help(finding, "A larger backlog alone: somaxconn allows {somaxconn}.");
	} else {
		finding__advise(finding,
				"Raise the backlog that {process} calls listen() with to {wanted} at "
				"least: it bounds the SYN queue, too.");
	}
	if (look__setting(look, finding, EV_SET_SYNCOOKIES, &max_syn) && max_syn)
		finding__wont_help(finding, "tcp_max_syn_backlog: with SYN cookies on (tcp_syncookies is "
					    "{tcp_syncookies}) it is not looked at.");
}

static void look_for_overflow(struct look *look)
{
	const struct listeners *listeners = model__listeners(look->model);

	if (!look->sees_syns)
		syn_counters__overflow(look, look->values[FULL_OVERFLOW],
				       look->values[COMPLETED_OVERFLOW]);
	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		const struct door *door = listener ? doors__find(look->doors, listener->key) : NULL;
		struct finding *finding;
		struct knocks k;

		if (!door || listener->flags & LISTENER_CLOSED ||
		    look__holds(look, "syn-flood", listener->key))
			continue;
		k = knocks_at(look, door);
		if (!k.full)
			continue;
		finding = look__hold(look, listener->key, listener->netns,
				     k.full >= look->values[FULL_OVERFLOW] &&
					     go_on(&k, look->values[COMPLETED_OVERFLOW]));
		if (finding)
			say_overflow(look, finding, listener, door, &k);
	}
}

const struct rule syn_queue_overflow = {
	.id = "syn-queue-overflow",
	.raised_when = "half-open requests of real clients fill the SYN queue: cookies or drops",
	.hook = "syn",
	.without = "told by the counters of the network namespace and sampled queues: neither the listener nor the sources are sure",
	.thresholds = {
		{ "full", UNIT_COUNT, 10, "cookies or drops for want of room within 10 s: a single burst may do so" },
		{ "completed", UNIT_PERCENT, 20,
		  "of those answered, at least: fewer, and they are no clients, or it is not known yet" },
	},
	.quiet_s = 2,
	.look = look_for_overflow,
};
