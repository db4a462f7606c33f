// SPDX-License-Identifier: BSD-2-Clause
/*
 * connect() that fails: refused (the host is there, the service is not) or not
 * answered (a firewall, a host that is down, a SYN that is dropped).
 */
#include "findings/rules.h"

#include "base/clock.h"

enum { WINDOW_S = 10 };

/* ---- refused ---- */

enum { REFUSED, REFUSED_SHARE };

static void say_refused(struct look *look, struct finding *finding, const struct service *service,
			uint32_t refused, uint32_t opened)
{
	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__count(finding, "refused", refused);
	finding__count(finding, "opened", opened);
	finding__count(finding, "window_s", WINDOW_S);
	finding__value(finding, "rate_per_s", (double)refused / WINDOW_S);
	finding->weight = refused;
	finding->verdict =
		"{service} refuses connections: {refused} of {process} within {window_s} s, and it took "
		"{opened}. Its host answers, but nobody listens there.";
	if (listeners__serving(model__listeners(look->model), service->netns, service->end.addr,
			       service->end.port))
		finding->verdict =
			"{service} refuses connections: {refused} of {process} within {window_s} s, and "
			"it took {opened}. There is a listener on this host now: it was started "
			"late, or something in between sends the resets.";
	else
		finding__advise(finding,
				"Start the service on {service}, or let it listen on that address (not "
				"only on loopback), or tell {process} the right port. A firewall that "
				"rejects with a reset looks the same.");
	finding__advise(finding,
			"Let {process} wait longer between its attempts: {rate_per_s} a second are only "
			"noise while the service is away.");
	finding__wont_help(finding,
			   "Timeouts and queues: a refusal comes at once, for there is no listener whose "
			   "backlog could be full.");
}

static void look_for_refused(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		uint32_t refused = service__sum(service, S_REFUSED, look->now_ns, WINDOW_S);
		uint32_t opened = service__sum(service, S_OPENED, look->now_ns, WINDOW_S);
		struct finding *finding;
		bool raise;

		if (!refused)
			continue;
		raise = refused >= look->values[REFUSED] &&
			refused * 100.0 >= look->values[REFUSED_SHARE] * (refused + opened);
		if (!raise && refused < look->values[REFUSED] / 2)
			continue;
		finding = look__hold(look, service__subject(service), service->netns, raise);
		if (finding)
			say_refused(look, finding, service, refused, opened);
	}
}

const struct rule connect_refused = {
	.id = "connect-refused",
	.raised_when = "a destination refuses connections, many and most",
	.thresholds = {
		{ "count", UNIT_COUNT, 10, "within 10 s: a client that tries once a second and waits is in order" },
		{ "share", UNIT_PERCENT, 50, "of the attempts there: below that the service is up" },
	},
	.quiet_s = 2,
	.look = look_for_refused,
};

/* ---- not answered ---- */

enum { PATIENCE, SILENT, SILENT_SHARE };
enum { SILENT_WINDOW_S = 15 };

static void say_silent(struct look *look, struct finding *finding, const struct service *service,
		       uint32_t failed, uint32_t opened)
{
	uint32_t unreachable = service__sum(service, S_UNREACHABLE, look->now_ns, SILENT_WINDOW_S);
	int64_t retries;

	finding__of_service(finding, service);
	finding__crowd(finding, service->unanswered > failed ? &service->waiters : &service->crowd);
	finding__count(finding, "waiting", service->unanswered);
	finding__value(finding, "longest_s", (double)service->unanswered_longest_ns / NS_PER_S);
	finding__value(finding, "patience_s", look->values[PATIENCE]);
	finding__count(finding, "failed", failed);
	finding__count(finding, "unreachable", unreachable);
	finding__count(finding, "opened", opened);
	finding__count(finding, "window_s", SILENT_WINDOW_S);
	finding->weight = service->unanswered + failed;
	finding->verdict =
		"{service} does not answer: {waiting} connections of {process} wait for more than "
		"{patience_s} s, the longest for {longest_s} s, and {failed} failed within "
		"{window_s} s. It took {opened} meanwhile.";
	if (unreachable)
		finding__advise(finding, "For {unreachable} of them a router said that the host cannot be "
					 "reached: look at routes and at the host itself.");
	finding__advise(finding,
			"Look whether the host of {service} is up, whether a firewall drops the SYNs (it "
			"says nothing, where a missing service would refuse), and whether its listener's "
			"queues overflow.");
	finding__advise(finding,
			"Give {process} a connect timeout of its own, and a second address to try.");
	if (look__setting(look, finding, EV_SET_SYN_RETRIES, &retries))
		finding__wont_help(finding,
				   "A larger tcp_syn_retries (it is {tcp_syn_retries}): who does not "
				   "answer the first SYNs does not answer the later ones.");
}

static void look_for_silent(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		uint32_t opened = service__sum(service, S_OPENED, look->now_ns, SILENT_WINDOW_S);
		uint32_t failed = service__sum(service, S_TIMED_OUT, look->now_ns, SILENT_WINDOW_S) +
				  service__sum(service, S_GAVE_UP, look->now_ns, SILENT_WINDOW_S) +
				  service__sum(service, S_UNREACHABLE, look->now_ns, SILENT_WINDOW_S);
		uint32_t silent = failed + service->unanswered;
		struct finding *finding;
		bool raise;

		if (!silent || service->role != ROLE_CLIENT)
			continue;
		raise = silent >= look->values[SILENT] &&
			silent * 100.0 >= look->values[SILENT_SHARE] * (silent + opened);
		finding = look__hold(look, service__subject(service), service->netns, raise);
		if (finding)
			say_silent(look, finding, service, failed, opened);
	}
}

const struct rule connect_timeout = {
	.id = "connect-timeout",
	.raised_when = "a destination does not answer connect(), many and most",
	.thresholds = {
		{ "patience", UNIT_SECONDS, 3,
		  "in SYN_SENT: the SYN has been sent again twice by then (after 1 and 3 s)" },
		{ "count", UNIT_COUNT, 3, "that wait so long or have failed within 15 s: one may be a mistyped address" },
		{ "share", UNIT_PERCENT, 50, "of the attempts there: below that packets are lost, not answers" },
	},
	.quiet_s = 2,
	.look = look_for_silent,
};
