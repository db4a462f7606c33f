// SPDX-License-Identifier: BSD-2-Clause
#include "findings/syn_counters.h"

struct counted {
	uint64_t dropped; /* SYNs, for want of room in a SYN queue */
	uint64_t cookies; /* SYNs that were answered with one, for the same reason */
	uint64_t sent;	  /* cookies, in all */
	uint64_t back;	  /* third ACKs with a good cookie */
	uint64_t full;
};

static struct counted counted_in(const struct look *look, const struct overflow *overflow)
{
	const struct ev_settings *settings = model__settings(look->model, overflow->netns);
	struct counted c = {
		.dropped = overflow__sum(overflow, EV_COUNT_SYN_QUEUE_FULL_DROPS),
		.cookies = overflow__sum(overflow, EV_COUNT_SYN_QUEUE_FULL_COOKIES),
		.sent = overflow__sum(overflow, EV_COUNT_COOKIES_SENT),
		.back = overflow__sum(overflow, EV_COUNT_COOKIES_RECEIVED),
	};

	/* With tcp_syncookies=2 each SYN is counted as if its queue were full. */
	if (settings && settings->known >> EV_SET_SYNCOOKIES & 1 &&
	    settings->values[EV_SET_SYNCOOKIES] == 2)
		c.cookies = 0;
	c.full = c.dropped + c.cookies;
	return c;
}

static bool come_back(const struct counted *c, double percent)
{
	return c->back * 100.0 >= percent * (double)c->sent;
}

/* Whose SYN queue was the longest at the last sample; NULL: all were empty. */
static const struct listener *fullest_in(const struct look *look, uint32_t netns)
{
	const struct listeners *listeners = model__listeners(look->model);
	const struct listener *fullest = NULL;

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];

		if (listener && listener->netns == netns && !(listener->flags & LISTENER_CLOSED) &&
		    listener->syn_queue.len &&
		    (!fullest || listener->syn_queue.len > fullest->syn_queue.len))
			fullest = listener;
	}
	return fullest;
}

static void show(struct look *look, struct finding *finding, const struct counted *c)
{
	const struct listener *fullest = fullest_in(look, finding->netns);
	int64_t value;

	finding__count(finding, "window_s", OVERFLOW_WINDOW_S);
	finding__count(finding, "cookies", c->cookies);
	finding__count(finding, "dropped", c->dropped);
	finding__count(finding, "cookies_sent", c->sent);
	finding__count(finding, "cookies_back", c->back);
	finding__value(finding, "back_percent", c->sent ? 100.0 * (double)c->back / (double)c->sent : 0);
	look__setting(look, finding, EV_SET_SOMAXCONN, &value);
	finding->weight = (double)c->full;
	if (!fullest) {
		finding__advise(finding,
				"At the last sample no SYN queue held a request: tcpsaga queues shows "
				"them as they come.");
		return;
	}
	finding__of_listener(finding, look, fullest);
	finding__count(finding, "syn_queue", fullest->syn_queue.len);
	finding__count(finding, "limit", fullest->limit);
	finding__advise(finding,
			"The longest SYN queue at the last sample was that of {service} ({process}): "
			"{syn_queue}, limit {limit}.");
}

static void advise_cookies(struct look *look, struct finding *finding)
{
	int64_t cookies;

	if (!look__setting(look, finding, EV_SET_SYNCOOKIES, &cookies) || cookies)
		return;
	finding__count(finding, "tcp_syncookies_advised", 1);
	finding__advise(finding, "Set net.ipv4.tcp_syncookies={tcp_syncookies_advised} in this network "
				 "namespace (it is {tcp_syncookies}): then a full queue costs nobody a "
				 "connection.");
	finding->severity = SEVERITY_CRITICAL;
}

static void say_flood(struct look *look, struct finding *finding, const struct counted *c)
{
	show(look, finding, c);
	finding->verdict =
		"A listener of this network namespace is flooded with SYNs: within {window_s} s "
		"{cookies} found its SYN queue full and were answered with a cookie, {dropped} were "
		"dropped, and of {cookies_sent} cookies {back_percent} % came back.";
	finding__advise(finding,
			"On this kernel no SYN is seen, so neither its listener nor its sender is known: "
			"look for the senders in front of this host (firewall, router), and limit "
			"their rate there.");
	finding__wont_help(finding, "A larger backlog or tcp_max_syn_backlog: a flood fills any queue.");
}

static void say_overflow(struct look *look, struct finding *finding, const struct counted *c)
{
	show(look, finding, c);
	finding->verdict =
		"A SYN queue of this network namespace is full: within {window_s} s {cookies} SYNs were "
		"answered with a cookie for that, and {dropped} dropped. Of {cookies_sent} cookies "
		"{back_percent} % came back.";
	advise_cookies(look, finding);
	if (c->sent)
		finding__advise(finding,
				"Those who come back are real clients: raise the backlog that the listener "
				"calls listen() with, and net.core.somaxconn with it: they bound the SYN "
				"queue, too.");
	else
		finding__advise(finding,
				"Whether real clients knock or it is a flood is not seen on this kernel: with "
				"cookies, their share that comes back tells.");
}

void syn_counters__flood(struct look *look, double full, double syns, double completed_percent)
{
	for (unsigned int i = 0; i < OVERFLOWS_MAX && look->overflows->all[i].netns; i++) {
		const struct overflow *overflow = &look->overflows->all[i];
		struct counted c = counted_in(look, overflow);
		struct finding *finding;

		if (!c.full || (double)c.sent < syns || come_back(&c, completed_percent))
			continue;
		finding = look__hold(look, overflow->netns, overflow->netns, (double)c.full >= full);
		if (finding)
			say_flood(look, finding, &c);
	}
}

void syn_counters__overflow(struct look *look, double full, double completed_percent)
{
	for (unsigned int i = 0; i < OVERFLOWS_MAX && look->overflows->all[i].netns; i++) {
		const struct overflow *overflow = &look->overflows->all[i];
		struct counted c = counted_in(look, overflow);
		struct finding *finding;

		if (!c.full || look__holds(look, "syn-flood", overflow->netns))
			continue;
		finding = look__hold(look, overflow->netns, overflow->netns,
				     (double)c.full >= full && come_back(&c, completed_percent));
		if (finding)
			say_overflow(look, finding, &c);
	}
}
