// SPDX-License-Identifier: BSD-2-Clause
/*
 * TIME_WAIT storms. The side that closes first keeps the TIME_WAIT: on the
 * client that costs it a port per destination, on the server only memory.
 */
#include <math.h>

#include "findings/rules.h"

enum { SHARE, FLOOR, SECONDS_CLIENT };

/* Without knowing the range we take the kernel's default (32768-60999). */
enum { PORTS_PRESET = 28232 };

/* What a rate becomes when nothing ends before its time. */
static double steady(double rate)
{
	return rate * TIMEWAIT_LEN_S;
}

static double mean_rate(const struct service *service, uint64_t now_ns, unsigned int seconds)
{
	return (double)service__sum(service, S_CLOSED_FIRST, now_ns, seconds) / seconds;
}

static void show_storm(struct finding *finding, const struct service *service, double rate, uint64_t now_ns)
{
	double lasted_ms = service__lasted_ms(service, now_ns, 3);

	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__value(finding, "rate_per_s", rate);
	finding__value(finding, "steady_state", steady(rate));
	finding__count(finding, "time_wait", service->time_wait);
	finding__count(finding, "time_wait_s", TIMEWAIT_LEN_S);
	if (isfinite(lasted_ms))
		finding__value(finding, "lasted_ms", lasted_ms);
	finding->weight = rate;
}

static const char not_fin_timeout[] =
	"tcp_fin_timeout: it is for FIN_WAIT2; TIME_WAIT lasts {time_wait_s} s whatever it is set to.";
static const char not_recycle[] =
	"tcp_tw_recycle: Linux has it no more, and it broke clients behind NAT while it was there.";

/* tcp_tw_reuse: 0 off, 1 on, 2 for loopback only (the default since 4.20). */
static bool advise_reuse(struct look *look, struct finding *finding, const struct service *service)
{
	static const uint8_t lo4[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 }, lo6[16] = { [15] = 1 };
	bool loopback = !__builtin_memcmp(service->end.addr, lo4, sizeof(lo4)) ||
			!__builtin_memcmp(service->end.addr, lo6, sizeof(lo6));
	int64_t reuse;

	if (!look__setting(look, finding, EV_SET_TW_REUSE, &reuse))
		return false;
	if (reuse == 1 || (reuse == 2 && loopback)) {
		finding__wont_help(finding, "tcp_tw_reuse: it is {tcp_tw_reuse} here already, so connect() "
					    "takes a port in TIME_WAIT again after a second.");
		return true;
	}
	finding__count(finding, "tcp_tw_reuse_advised", 1);
	finding__advise(finding, "Second best: net.ipv4.tcp_tw_reuse={tcp_tw_reuse_advised} in this network "
				 "namespace (it is {tcp_tw_reuse}): connect() may then take a port in "
				 "TIME_WAIT again after a second, if both sides use TCP timestamps.");
	return false;
}

static void advise_client(struct look *look, struct finding *finding, const struct service *service,
			  bool *reuses)
{
	int64_t low, high;

	finding__advise(finding,
			"Let {process} keep its connections to {service} open and use them again: a "
			"connection pool, HTTP keep-alive, a persistent connection of the driver.");
	*reuses = advise_reuse(look, finding, service);
	if (look__setting(look, finding, EV_SET_PORT_LOW, &low) &&
	    look__setting(look, finding, EV_SET_PORT_HIGH, &high) && high - low < 60000) {
		finding__count(finding, "port_low_advised", 1024);
		finding__advise(finding,
				"It buys time, no more: a wider net.ipv4.ip_local_port_range in this "
				"network namespace, {port_low_advised} to {port_high} (it is "
				"{port_low} to {port_high}), or a second source or destination "
				"address.");
	}
	finding__wont_help(finding, not_fin_timeout);
	finding__wont_help(finding, not_recycle);
}

static void judge_client(struct look *look, const struct service *service, double share, double rate)
{
	uint32_t known = look__ports(look, service->netns), ports = known ? known : PORTS_PRESET;
	bool raise = steady(rate) >= share / 100 * ports;
	struct finding *finding;
	double peak = service__most(service, S_CLOSED_FIRST, look->now_ns, 2);
	bool reuses;

	/* Half of what raises it keeps it: rates are never even. */
	if (!raise && steady(peak) < share / 200 * ports)
		return;
	finding = look__hold(look, service__subject(service), service->netns, raise);
	if (!finding)
		return;
	show_storm(finding, service, mean_rate(service, look->now_ns, 2), look->now_ns);
	advise_client(look, finding, service, &reuses);
	finding__count(finding, "ports", ports);
	finding__value(finding, "ports_percent",
		       100 * steady(mean_rate(service, look->now_ns, 2)) / ports);
	if (steady(rate) >= ports && !reuses) {
		finding->severity = SEVERITY_CRITICAL;
		finding__value(finding, "seconds_left",
			       (ports > service->time_wait ? ports - service->time_wait : 0) / rate);
		finding->verdict =
			"{process} opens {rate_per_s} connections a second to {service} and closes "
			"each first: at {time_wait_s} s a TIME_WAIT that is {steady_state}, more "
			"than the {ports} local ports there are. None is left in {seconds_left} s.";
	} else {
		finding->verdict =
			"{process} opens {rate_per_s} connections a second to {service} and closes "
			"each first: at {time_wait_s} s a TIME_WAIT that comes to {steady_state}, "
			"{ports_percent} % of the {ports} local ports.";
	}
}

static void look_at_clients(struct look *look)
{
	double share = look->values[0];

	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		/* The lesser of the last two seconds: one burst is no storm. */
		double rate = service__least(service, S_CLOSED_FIRST, look->now_ns, 2);

		if (service->role == ROLE_CLIENT && service->fin_wait2 <= service->time_wait + rate)
			judge_client(look, service, share, rate);
	}
}

const struct rule timewait_storm_client = {
	.id = "timewait-storm-client",
	.raised_when = "this host's processes close short connections to one service first, at a rate whose "
		       "steady state (rate x 60 s) threatens the local ports",
	.thresholds = {
		{ "share", UNIT_PERCENT, 50,
		  "of the local ports, in the steady state: half of them leaves no room for a busier hour" },
	},
	.quiet_s = 2,
	.look = look_at_clients,
};

/* ---- the server ---- */

enum { SERVER_RATE, SERVER_SHARE };

/* Who closes an idle connection waits for seconds first: its keep-alive timeout. */
enum { IDLE_MS = 2000, EMPTY_PERCENT = 80 };

static void say_server(struct finding *finding, const struct service *service, uint64_t now_ns)
{
	uint32_t totals = service__sum(service, S_TOTALS, now_ns, 3);
	double lasted_ms = service__lasted_ms(service, now_ns, 3);
	double empty = totals ? 100.0 * service__sum(service, S_EMPTY, now_ns, 3) / totals : 0;

	if (empty >= EMPTY_PERCENT) {
		finding__value(finding, "empty_percent", empty);
		finding->verdict =
			"{process} at {service} closes first for {first_percent} % of its "
			"connections, {rate_per_s} a second, and {empty_percent} % of them never "
			"sent anything: a health checker or a scanner. {time_wait} TIME_WAIT now.";
		finding__advise(finding, "Find out who connects to {service} without a request (a health "
					 "check of a load balancer?) and let it ask less often.");
	} else if (lasted_ms >= IDLE_MS) {
		finding->verdict =
			"{process} at {service} closes first for {first_percent} % of its "
			"connections, {rate_per_s} a second, after {lasted_ms} ms on the average: "
			"it ends idle connections that its clients would have kept. {time_wait} "
			"TIME_WAIT now, {steady_state} in the steady state.";
		finding__advise(finding, "Make the keep-alive timeout of {process} longer than that of its "
					 "clients, so that they close first.");
	} else {
		finding->verdict =
			"{process} at {service} closes first for {first_percent} % of its "
			"connections, {rate_per_s} a second: it answers and hangs up. {time_wait} "
			"TIME_WAIT now, {steady_state} in the steady state.";
		finding__advise(finding, "Turn on keep-alive in {process}, so that a connection serves more "
					 "than one request, and let the client close it.");
	}
}

static void judge_server(struct look *look, const struct service *service)
{
	uint64_t now_ns = look->now_ns;
	double rate = service__least(service, S_CLOSED_FIRST, now_ns, 2);
	uint32_t first = service__sum(service, S_CLOSED_FIRST, now_ns, 3);
	uint32_t second = service__sum(service, S_CLOSED_SECOND, now_ns, 3);
	double share = first ? 100.0 * first / (first + second) : 0;
	bool raise = rate >= look->values[SERVER_RATE] && share >= look->values[SERVER_SHARE];
	double peak = service__most(service, S_CLOSED_FIRST, now_ns, 2);
	struct finding *finding;
	int64_t reuse, buckets;

	if (!raise && peak < look->values[SERVER_RATE] / 2)
		return;
	finding = look__hold(look, service__subject(service), service->netns, raise);
	if (!finding)
		return;
	show_storm(finding, service, mean_rate(service, now_ns, 2), now_ns);
	finding__value(finding, "first_percent", share);
	say_server(finding, service, now_ns);
	if (look__setting(look, finding, EV_SET_MAX_TW_BUCKETS, &buckets) && steady(rate) > (double)buckets)
		finding__advise(finding,
				"The steady state is above net.ipv4.tcp_max_tw_buckets, "
				"{tcp_max_tw_buckets}: the kernel will drop TIME_WAITs. Raise it if "
				"clients may not be cut short by it.");
	finding__advise(finding, "Otherwise let it be: TIME_WAIT on the server's side takes memory, not a "
				 "port; a listener with SO_REUSEADDR restarts through it.");
	if (look__setting(look, finding, EV_SET_TW_REUSE, &reuse))
		finding__wont_help(finding,
				   "tcp_tw_reuse (it is {tcp_tw_reuse}): it is for the side that calls "
				   "connect(), never for a server.");
	else
		finding__wont_help(finding,
				   "tcp_tw_reuse: it is for the side that calls connect(), never for a "
				   "server.");
	finding__wont_help(finding, not_fin_timeout);
	finding__wont_help(finding, not_recycle);
}

static void look_at_servers(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++)
		if (look->services->all[i].role == ROLE_SERVER)
			judge_server(look, &look->services->all[i]);
}

const struct rule timewait_storm_server = {
	.id = "timewait-storm-server",
	.raised_when = "a local service closes first for nearly all its connections, and they are many",
	.thresholds = {
		{ "rate", UNIT_PER_SECOND, 100,
		  "closed first in each of two seconds: 6,000 TIME_WAITs in the steady state" },
		{ "share", UNIT_PERCENT, 90, "of what ends in order: some clients always leave last" },
	},
	.quiet_s = 2,
	.look = look_at_servers,
};
