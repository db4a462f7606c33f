// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections that end with a reset instead of in order, by who sent it: we
 * (SO_LINGER 0, data that was never read, a listener that closed) or the peer.
 */
#include "findings/rules.h"

enum { COUNT, SHARE };
enum { WINDOW_S = 10 };

struct ends {
	uint32_t aborted;
	uint32_t reset;
	uint32_t not_accepted;
	uint32_t in_order;
};

static struct ends ends_of(const struct look *look, const struct service *service)
{
	return (struct ends){
		.aborted = service__sum(service, S_ABORTED, look->now_ns, WINDOW_S),
		.reset = service__sum(service, S_RESET, look->now_ns, WINDOW_S),
		.not_accepted = service__sum(service, S_NOT_ACCEPTED, look->now_ns, WINDOW_S),
		.in_order = service__sum(service, S_CLOSED_FIRST, look->now_ns, WINDOW_S) +
			    service__sum(service, S_CLOSED_SECOND, look->now_ns, WINDOW_S),
	};
}

static void say_ours(struct finding *finding)
{
	finding->verdict =
		"{process} cuts its connections at {service} off: {aborted} of {ended} ended with its "
		"reset within {window_s} s instead of in order.";
	if (finding->role == ROLE_CLIENT)
		finding->verdict =
			"{process} cuts its connections to {service} off: {aborted} of {ended} ended "
			"with its reset within {window_s} s instead of in order.";
	finding__advise(finding,
			"{process} closes with data that it has not read, or with SO_LINGER and a time "
			"of zero: let it read to the end of file before close(), or drop the option. "
			"The peer may lose the last answer.");
	finding__wont_help(finding, "SO_LINGER with zero against TIME_WAIT: it is what does this.");
}

static void say_theirs(struct finding *finding)
{
	if (finding->role == ROLE_CLIENT) {
		finding->verdict =
			"{service} cuts connections of {process} off: {reset} of {ended} ended with its "
			"reset within {window_s} s instead of in order.";
		finding__advise(finding,
				"Look on the host of {service}: a service that crashes or is killed, "
				"that closes without reading the request, or a proxy or firewall with "
				"an idle timeout in between.");
	} else {
		finding->verdict =
			"Clients cut their connections to {service} ({process}) off: {reset} of "
			"{ended} ended with their reset within {window_s} s instead of in order.";
		finding__advise(finding,
				"The clients lose patience or abort on purpose: compare their timeout "
				"with the time that {process} takes to answer. Health checks that "
				"reset are harmless: let them close in order.");
	}
	finding__wont_help(finding,
			   "Any tcp_* setting on this host: the resets come from the other side.");
}

static void say_closed(struct finding *finding)
{
	finding->verdict = "{process} closed its listener at {service} while connections waited there: "
			   "{not_accepted} of them were reset within {window_s} s.";
	finding__advise(finding,
			"At a restart hand the listening socket on (systemd's socket activation, "
			"SO_REUSEPORT with tcp_migrate_req), or accept what waits before close().");
	finding__wont_help(finding, "A larger backlog: more connections would be reset.");
}

static void judge(struct look *look, const struct service *service)
{
	struct ends ends = ends_of(look, service);
	uint32_t bad = ends.aborted + ends.reset + ends.not_accepted;
	bool raise =
		bad >= look->values[COUNT] && bad * 100.0 >= look->values[SHARE] * (bad + ends.in_order);
	struct finding *finding;

	if (!raise && bad < look->values[COUNT] / 2)
		return;
	finding = look__hold(look, service__subject(service), service->netns, raise);
	if (!finding)
		return;
	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__count(finding, "aborted", ends.aborted);
	finding__count(finding, "reset", ends.reset);
	finding__count(finding, "not_accepted", ends.not_accepted);
	finding__count(finding, "ended", bad + ends.in_order);
	finding__count(finding, "window_s", WINDOW_S);
	finding->weight = bad;
	if (ends.not_accepted > ends.aborted && ends.not_accepted > ends.reset)
		say_closed(finding);
	else if (ends.aborted >= ends.reset)
		say_ours(finding);
	else
		say_theirs(finding);
}

static void look_at(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++)
		judge(look, &look->services->all[i]);
}

const struct rule reset_storm = {
	.id = "reset-storm",
	.raised_when = "connections end with a reset instead of in order, many and most",
	.thresholds = {
		{ "count", UNIT_COUNT, 50, "within 10 s: health checks that reset are fewer" },
		{ "share", UNIT_PERCENT, 30, "of what ends there: some resets are part of every busy service" },
	},
	.quiet_s = 2,
	.look = look_at,
};
