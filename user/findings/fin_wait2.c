// SPDX-License-Identifier: BSD-2-Clause
/*
 * FIN_WAIT2: we have closed, the peer has acknowledged that and does not close.
 * The mirror of CLOSE_WAIT, and the peer's fault. A socket that is still open
 * here (shutdown()) waits for ever, one that is closed tcp_fin_timeout.
 */
#include "findings/rules.h"

#include "base/clock.h"

enum { AGE, COUNT };

static void say(struct look *look, struct finding *finding, const struct service *service)
{
	int64_t timeout;

	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__count(finding, "fin_wait2", service->fin_wait2);
	finding__count(finding, "old", service->fin_wait2_old);
	finding__value(finding, "age_s", look->values[AGE]);
	finding__value(finding, "oldest_s", (double)service->fin_wait2_longest_ns / NS_PER_S);
	finding__count(finding, "minute_ago", service->fin_wait2_past[7]);
	finding->weight = service->fin_wait2;
	if (service->role == ROLE_SERVER) {
		finding->verdict =
			"{process} has closed {fin_wait2} connections at {service} whose clients do "
			"not close: {old} wait for the clients' FIN for more than {age_s} s, the "
			"oldest for {oldest_s} s. A minute ago there were {minute_ago}.";
		finding__advise(finding,
				"The clients are at fault: they were told the end and keep their side "
				"open. A client that leaks descriptors, or a proxy between, is the "
				"usual cause; on its host it is CLOSE_WAIT.");
	} else {
		finding->verdict =
			"{process} has closed {fin_wait2} connections to {service}, which does not "
			"close: {old} wait for its FIN for more than {age_s} s, the oldest for "
			"{oldest_s} s. A minute ago there were {minute_ago}.";
		finding__advise(finding,
				"{service} is at fault: it was told the end and keeps its side open. "
				"On its host these connections are in CLOSE_WAIT: it never calls "
				"close().");
	}
	if (look__setting(look, finding, EV_SET_FIN_TIMEOUT, &timeout))
		finding__advise(finding,
				"Sockets that are closed here go after net.ipv4.tcp_fin_timeout, "
				"{tcp_fin_timeout} s in this network namespace; a lower value frees "
				"them sooner. It does nothing for those that only called shutdown().");
	finding__wont_help(finding,
			   "tcp_tw_reuse and tcp_max_tw_buckets: these connections are not in TIME_WAIT "
			   "yet.");
}

static void look_at(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		bool raise = service->fin_wait2_old >= look->values[COUNT];
		struct finding *finding;

		if (!raise && service->fin_wait2_old < look->values[COUNT] / 2)
			continue;
		finding = look__hold(look, service__subject(service), service->netns, raise);
		if (finding)
			say(look, finding, service);
	}
}

const struct rule fin_wait2_pileup = {
	.id = "fin-wait2-pileup",
	.raised_when = "many closed connections wait for a peer that does not close",
	.hook = "timewait",
	.without = "closed sockets are found in the kernel's tables only: not in a recording",
	.thresholds = {
		{ "age", UNIT_SECONDS, 10, "a peer that closes at all does so within its round trip, or its last answer" },
		{ "count", UNIT_COUNT, 50, "of that age, at one service: single ones are lost peers" },
	},
	.quiet_s = 3,
	.look = look_at,
};
