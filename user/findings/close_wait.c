// SPDX-License-Identifier: BSD-2-Clause
/*
 * CLOSE_WAIT: the peer has closed, and the process has not. Nothing in the
 * kernel ends it but close(); so many old ones that grow are a leak.
 */
#include "findings/rules.h"

#include "base/clock.h"

enum { AGE, COUNT, SPREAD };

/* Connections of an idle pool whose server was restarted came into CLOSE_WAIT at
 * one moment, and are closed when the pool next looks at them. A leak goes on. */
static bool goes_on(const struct look *look, const struct service *service)
{
	return service->close_wait_longest_ns - service->close_wait_shortest_ns >=
	       look->values[SPREAD] * NS_PER_S;
}

enum { UNREAD_FRESH_S = 60 };

static void show_ages(struct finding *finding, const struct service *service)
{
	static const char *const keys[AGES_COUNT] = { "below_10_s", "below_1_min", "below_10_min",
						      "older" };

	for (unsigned int i = 0; i < AGES_COUNT; i++)
		finding__count(finding, keys[i], service->close_wait_ages[i]);
	finding__value(finding, "youngest_s", (double)service->close_wait_shortest_ns / NS_PER_S);
}

/* What it does not read says where it hangs. */
static void advise_by_unread(struct look *look, struct finding *finding, const struct service *service)
{
	const struct unread_sum *sum = &service->unread;
	uint32_t read = sum->looked - sum->data - sum->end;

	if (!sum->looked || sum->look_ns + UNREAD_FRESH_S * NS_PER_S < look->now_ns) {
		finding__advise(finding,
				"It is a bug of {process}: where read() gives the end of file, or a request is "
				"over or has failed, the descriptor must be closed. A thread that hangs "
				"elsewhere does the same: look at its stacks.");
		return;
	}
	finding__count(finding, "looked_at", sum->looked);
	finding__count(finding, "data_unread", sum->data);
	finding__count(finding, "end_unread", sum->end);
	finding__count(finding, "all_read", read);
	finding__count(finding, "most_unread_bytes", sum->most);
	if (sum->data >= sum->end && sum->data >= read)
		finding__advise(finding,
				"{process} does not read: at {data_unread} of the {looked_at} that were "
				"looked at data lies unread, up to {most_unread_bytes} bytes. It hangs in "
				"something else (a lock, a slow backend, a full pool of workers): look at "
				"its stacks.");
	else if (sum->end >= read)
		finding__advise(finding,
				"{process} has read all data, and not the end of file, at {end_unread} of "
				"the {looked_at} that were looked at: it does not wait for input there any "
				"more. A pool that does not check what it holds does this, or a request "
				"that is over and whose descriptor was forgotten.");
	else
		finding__advise(finding,
				"{process} has read the end of file at {all_read} of the {looked_at} that "
				"were looked at, and gone on without close(): it is a bug in what it does "
				"when read() returns nothing.");
}

static void say(struct look *look, struct finding *finding, const struct service *service)
{
	uint32_t before = service->close_wait_past[7];

	finding__of_service(finding, service);
	finding__crowd(finding, &service->leakers);
	finding__count(finding, "close_wait", service->close_wait);
	finding__count(finding, "old", service->close_wait_old);
	finding__value(finding, "age_s", look->values[AGE]);
	finding__value(finding, "oldest_s", (double)service->close_wait_longest_ns / NS_PER_S);
	finding__count(finding, "minute_ago", before);
	finding->weight = service->close_wait;
	if (service->role == ROLE_SERVER)
		finding->verdict =
			"{process} keeps {close_wait} connections of its clients at {service} in "
			"CLOSE_WAIT, {old} of them for more than {age_s} s: the clients have "
			"closed, and it has never called close(). A minute ago there were "
			"{minute_ago}; the oldest is {oldest_s} s old.";
	else
		finding->verdict =
			"{process} keeps {close_wait} connections to {service} in CLOSE_WAIT, {old} "
			"of them for more than {age_s} s: the other side has closed, and it has "
			"never called close(). A minute ago there were {minute_ago}; the oldest is "
			"{oldest_s} s old.";
	show_ages(finding, service);
	advise_by_unread(look, finding, service);
	finding__advise(finding,
			"Until that is mended, a restart of {process} sets them free, and so does ss -K "
			"for single ones; a raised limit of open files only puts off the end.");
	finding__wont_help(finding,
			   "Any tcp_* setting: the kernel waits for close() without a limit of time. "
			   "tcp_fin_timeout is for the side that has closed, keepalive sees a peer "
			   "that still answers.");
}

static void look_at(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		bool raise = service->close_wait_old >= look->values[COUNT] && goes_on(look, service);
		struct finding *finding;

		if (!raise && service->close_wait_old < look->values[COUNT] / 2)
			continue;
		finding = look__hold(look, service__subject(service), service->netns, raise);
		if (finding)
			say(look, finding, service);
	}
}

const struct rule close_wait_leak = {
	.id = "close-wait-leak",
	.raised_when = "a process keeps sockets in CLOSE_WAIT: it never calls close()",
	.thresholds = {
		{ "age", UNIT_SECONDS, 60,
		  "a process that means to answer first has done so by then; close() takes microseconds" },
		{ "count", UNIT_COUNT, 10, "of that age, at one service: a few may be waiting for a reason" },
		{ "spread", UNIT_SECONDS, 10,
		  "between the oldest and the youngest: those of an idle pool come all at once" },
	},
	.quiet_s = 3,
	.look = look_at,
};
