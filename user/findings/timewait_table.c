// SPDX-License-Identifier: BSD-2-Clause
/*
 * The kernel's table of TIME_WAITs is full (tcp_max_tw_buckets): a connection
 * that should wait vanishes. Told by a record, else by the namespace's counter.
 */
#include "findings/rules.h"

#include "base/clock.h"

enum { REFUSED };
enum { WINDOW_S = OVERFLOW_WINDOW_S };

static void say(struct look *look, struct finding *finding, uint64_t refused)
{
	int64_t buckets;

	finding__count(finding, "refused", refused);
	finding__count(finding, "window_s", WINDOW_S);
	finding->weight = (double)refused;
	finding->verdict =
		"The kernel's table of TIME_WAITs is full: {refused} connections were cut off within "
		"{window_s} s instead of waiting, so that late segments may meet a new connection.";
	if (look__setting(look, finding, EV_SET_MAX_TW_BUCKETS, &buckets)) {
		finding__count(finding, "buckets_advised", (uint64_t)buckets * 4);
		finding__advise(finding,
				"Raise net.ipv4.tcp_max_tw_buckets of this network namespace to "
				"{buckets_advised} (it is {tcp_max_tw_buckets}): a TIME_WAIT takes some "
				"hundred bytes.");
	}
	finding__advise(finding,
			"See which process makes them: tcpsaga timewait. Fewer short connections are "
			"the cure.");
	finding__wont_help(finding,
			   "A smaller tcp_max_tw_buckets: it does not free ports, it takes away the "
			   "protection that TIME_WAIT is for.");
	finding__wont_help(finding, "tcp_fin_timeout: it does not shorten TIME_WAIT.");
}

/* One finding for each namespace: the table is the namespace's. */
static uint64_t refused_in(const struct look *look, uint32_t netns)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < look->services->used; i++)
		if (look->services->all[i].netns == netns)
			sum += service__sum(&look->services->all[i], S_WAIT_REFUSED, look->now_ns,
					    WINDOW_S);
	return sum;
}

static void hold(struct look *look, uint32_t netns, uint64_t refused)
{
	struct finding *finding;

	if (!refused)
		return;
	finding = look__hold(look, netns, netns, refused >= look->values[REFUSED]);
	if (finding)
		say(look, finding, refused);
}

static void look_at_counters(struct look *look)
{
	for (unsigned int i = 0; i < OVERFLOWS_MAX && look->overflows->all[i].netns; i++)
		hold(look, look->overflows->all[i].netns,
		     overflow__sum(&look->overflows->all[i], EV_COUNT_TIMEWAIT_OVERFLOWS));
}

static void look_at(struct look *look)
{
	if (!look->sees_waits) {
		look_at_counters(look);
		return;
	}
	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];

		if (service__sum(service, S_WAIT_REFUSED, look->now_ns, WINDOW_S))
			hold(look, service->netns, refused_in(look, service->netns));
	}
}

const struct rule timewait_table_full = {
	.id = "timewait-table-full",
	.raised_when = "the kernel refused a TIME_WAIT: more than tcp_max_tw_buckets of them",
	.hook = "timewait",
	.without = "told by the counter of the network namespace",
	.thresholds = {
		{ "refused", UNIT_COUNT, 1, "within 10 s: none is in order" },
	},
	.quiet_s = 2,
	.look = look_at,
};
