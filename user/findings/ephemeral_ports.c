// SPDX-License-Identifier: BSD-2-Clause
/*
 * Local ports for connect(): each (source, destination, port) has the whole
 * range for itself, and what is in use or in TIME_WAIT takes from it.
 */
#include <stdlib.h>
#include <string.h>

#include "findings/rules.h"

#include "model/ports.h"

/* ---- exhausted ---- */

enum { FAILURES };
enum { WINDOW_S = 10 };

static void advise(struct look *look, struct finding *finding, const struct service *service)
{
	int64_t low, high, reuse;

	if (service->time_wait > service->open)
		finding__advise(finding, "Most of them are TIME_WAITs: let {process} keep connections to "
					 "{service} open and use them again (a pool, keep-alive).");
	else
		finding__advise(finding,
				"Most of them are open connections: let {process} hold fewer to "
				"{service} at a time, or spread them over more destination or source "
				"addresses.");
	if (look__setting(look, finding, EV_SET_PORT_LOW, &low) &&
	    look__setting(look, finding, EV_SET_PORT_HIGH, &high) && high - low < 60000) {
		finding__count(finding, "port_low_advised", 1024);
		finding__count(finding, "port_high_advised", 65535);
		finding__advise(finding, "Widen net.ipv4.ip_local_port_range of this network namespace, "
					 "{port_low_advised} to {port_high_advised} (it is {port_low} to "
					 "{port_high}), and keep the ports of listeners out of it with "
					 "ip_local_reserved_ports.");
	}
	if (look__setting(look, finding, EV_SET_TW_REUSE, &reuse) && reuse != 1) {
		finding__count(finding, "tcp_tw_reuse_advised", 1);
		finding__advise(finding,
				"net.ipv4.tcp_tw_reuse={tcp_tw_reuse_advised} in this network namespace "
				"(it is {tcp_tw_reuse}) lets connect() take ports in TIME_WAIT after a "
				"second.");
	}
	finding__wont_help(finding,
			   "tcp_fin_timeout: it does not shorten TIME_WAIT. More open files or memory: "
			   "ports are what is short.");
}

static void say_exhausted(struct look *look, struct finding *finding, const struct service *service,
			  uint32_t failures)
{
	uint32_t ports = look__ports(look, service->netns);

	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__count(finding, "failures", failures);
	finding__count(finding, "window_s", WINDOW_S);
	finding__count(finding, "open", service->open);
	finding__count(finding, "time_wait", service->time_wait);
	finding->severity = SEVERITY_CRITICAL;
	finding->weight = failures;
	if (ports) {
		finding__count(finding, "ports", ports);
		finding->verdict =
			"No local port is left for {process} to connect to {service}: {failures} "
			"calls of connect() failed for it within {window_s} s (EADDRNOTAVAIL). Of "
			"{ports} ports {open} are open and {time_wait} in TIME_WAIT.";
	} else {
		finding->verdict =
			"No local port is left for {process} to connect to {service}: {failures} "
			"calls of connect() failed for it within {window_s} s (EADDRNOTAVAIL); "
			"{open} are open and {time_wait} in TIME_WAIT.";
	}
	advise(look, finding, service);
}

static void look_for_exhausted(struct look *look)
{
	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		uint32_t failures = service__sum(service, S_NO_PORT, look->now_ns, WINDOW_S);
		struct finding *finding;

		if (!failures)
			continue;
		finding = look__hold(look, service__subject(service), service->netns,
				     failures >= look->values[FAILURES]);
		if (finding)
			say_exhausted(look, finding, service, failures);
	}
}

const struct rule ephemeral_ports_exhausted = {
	.id = "ephemeral-ports-exhausted",
	.raised_when = "connect() fails for want of a local port",
	.thresholds = {
		{ "failures", UNIT_COUNT, 1, "within 10 s: each is an error that a user sees" },
	},
	.quiet_s = 2,
	.look = look_for_exhausted,
};

/* ---- low ---- */

enum { SECONDS, USED, LEFT };

/* The busiest source of a service; in_use 0: none. */
static struct port_use use_of(const struct port_use *uses, int count, const struct service *service)
{
	struct port_use most = { 0 };

	for (int i = 0; i < count; i++)
		if (uses[i].netns == service->netns && uses[i].destination.port == service->end.port &&
		    !memcmp(uses[i].destination.addr, service->end.addr, sizeof(service->end.addr)) &&
		    uses[i].in_use > most.in_use)
			most = uses[i];
	return most;
}

static void say_low(struct look *look, struct finding *finding, const struct service *service,
		    const struct port_use *use, uint32_t ports, double rate)
{
	struct endpoint source = { 0 };
	char text[ADDR_TEXT_MAX];

	memcpy(source.addr, use->source, sizeof(source.addr));
	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__text(finding, "source", text, addr__format(source.addr, text));
	finding__count(finding, "ports", ports);
	finding__count(finding, "in_use", use->in_use);
	finding__count(finding, "time_wait", use->time_wait);
	finding__count(finding, "left", port_use__left(use, ports));
	finding__value(finding, "rate_per_s", rate);
	finding->weight = (double)use->in_use;
	if (rate > 0) {
		finding__value(finding, "seconds_left", port_use__left(use, ports) / rate);
		finding->verdict =
			"{process} runs out of local ports to {service}: from {source} {in_use} of "
			"{ports} are in use, {time_wait} of them in TIME_WAIT; the {left} that are "
			"left last {seconds_left} s at {rate_per_s} connections a second.";
	} else {
		finding->verdict =
			"{process} runs out of local ports to {service}: from {source} {in_use} of "
			"{ports} are in use, {time_wait} of them in TIME_WAIT, and {left} are left.";
	}
	advise(look, finding, service);
}

static void judge_low(struct look *look, const struct port_use *uses, int count,
		      const struct service *service)
{
	uint32_t ports = look__ports(look, service->netns), left;
	struct port_use use = use_of(uses, count, service);
	double rate = (double)service__sum(service, S_OPENED, look->now_ns, 3) / 3;
	bool few, soon;
	struct finding *finding;

	left = port_use__left(&use, ports);
	few = left * 100.0 < look->values[LEFT] * ports;
	soon = use.in_use * 100.0 >= look->values[USED] * ports && rate > 0 &&
	       left / rate < look->values[SECONDS] && rate * TIMEWAIT_LEN_S > ports;
	if (!few && !soon && left * 50.0 >= look->values[LEFT] * ports && rate < ports / 120.0)
		return;
	finding = look__hold(look, service__subject(service), service->netns, few || soon);
	if (finding)
		say_low(look, finding, service, &use, ports, rate);
}

static void look_for_low(struct look *look)
{
	struct ports ports = { 0 };
	bool counted = false;

	for (uint32_t i = 0; i < look->services->used; i++) {
		const struct service *service = &look->services->all[i];
		uint32_t range = look__ports(look, service->netns);

		/* The walk over all connections is for the few that may be near. */
		if (service->role != ROLE_CLIENT || !range ||
		    (service->open + service->time_wait) * 2 < range)
			continue;
		if (!counted)
			counted = !ports__count(&ports, look->model, look->now_ns);
		if (counted && ports.used)
			judge_low(look, ports.uses, (int)ports.used, service);
	}
	ports__fini(&ports);
}

const struct rule ephemeral_ports_low = {
	.id = "ephemeral-ports-low",
	.raised_when = "the ports left to (source, destination, port) last less than 60 s at this rate, or are "
		       "very few",
	.thresholds = {
		{ "seconds", UNIT_SECONDS, 60, "as long as a TIME_WAIT: then those of today come back" },
		{ "used", UNIT_PERCENT, 75, "of the range, at least: before that it is the storm that counts" },
		{ "left", UNIT_PERCENT, 5, "of the range: then connect() searches long even at rest" },
	},
	.quiet_s = 3,
	.look = look_for_low,
};
