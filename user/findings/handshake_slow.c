// SPDX-License-Identifier: BSD-2-Clause
/*
 * Handshakes that need a second SYN or SYN-ACK: a second or more is lost before
 * the first byte. Seen as a client (SYN sent again) and as a server (SYN-ACK
 * sent again).
 */
#include <math.h>

#include "findings/rules.h"

enum { LEAST, SHARE };
enum { WINDOW_S = 10 };

/* Half of the threshold keeps a finding. */
static bool still(const struct look *look, uint32_t slow, uint32_t all)
{
	return slow && slow * 200.0 >= look->values[SHARE] * all;
}

static void advise(struct finding *finding)
{
	finding__wont_help(finding,
			   "Larger queues or buffers: nothing has overflowed here. tcp_syn_retries and "
			   "tcp_synack_retries say how often, not how soon.");
}

static void judge_server(struct look *look, const struct listener *listener, const struct door *door)
{
	uint32_t all = door__sum(door, D_COMPLETED, look->now_ns, WINDOW_S);
	uint32_t slow = door__sum(door, D_SLOW, look->now_ns, WINDOW_S);
	bool raise = slow >= look->values[LEAST] && slow * 100.0 >= look->values[SHARE] * all;
	double took_ms = door__took_ms(door, look->now_ns, WINDOW_S);
	struct finding *finding;

	/* A full queue explains it: third ACKs that are dropped bring SYN-ACKs. */
	if (!still(look, slow, all) || look__holds(look, "accept-queue-overflow", listener->key) ||
	    look__holds(look, "syn-flood", listener->key))
		return;
	finding = look__hold(look, listener->key, listener->netns, raise);
	if (!finding)
		return;
	finding__of_listener(finding, look, listener);
	finding__count(finding, "slow", slow);
	finding__count(finding, "completed", all);
	finding__value(finding, "slow_percent", 100.0 * slow / all);
	finding__count(finding, "window_s", WINDOW_S);
	finding->weight = slow;
	finding->verdict =
		"{slow_percent} % of the handshakes at {service} ({process}) needed a second SYN-ACK: "
		"{slow} of {completed} within {window_s} s.";
	if (isfinite(took_ms)) {
		finding__value(finding, "took_ms", took_ms);
		finding->verdict =
			"{slow_percent} % of the handshakes at {service} ({process}) needed a second "
			"SYN-ACK: {slow} of {completed} within {window_s} s, which took {took_ms} ms "
			"on the average.";
	}
	finding__advise(finding,
			"SYN-ACKs or the clients' ACKs are lost on the way: look at the path to the "
			"clients (loss, a full link, a firewall or NAT that forgets), and at drops of "
			"this host's interfaces.");
	advise(finding);
}

static void judge_client(struct look *look, const struct service *service)
{
	uint32_t all = service__sum(service, S_OPENED, look->now_ns, WINDOW_S);
	uint32_t slow = service__sum(service, S_SLOW_OPEN, look->now_ns, WINDOW_S);
	bool raise = slow >= look->values[LEAST] && slow * 100.0 >= look->values[SHARE] * all;
	struct finding *finding;

	if (!still(look, slow, all))
		return;
	finding = look__hold(look, service__subject(service), service->netns, raise);
	if (!finding)
		return;
	finding__of_service(finding, service);
	finding__crowd(finding, &service->crowd);
	finding__count(finding, "slow", slow);
	finding__count(finding, "opened", all);
	finding__value(finding, "slow_percent", 100.0 * slow / all);
	finding__value(finding, "took_ms", service__opening_ms(service, look->now_ns, WINDOW_S));
	finding__count(finding, "window_s", WINDOW_S);
	finding->weight = slow;
	finding->verdict =
		"{slow_percent} % of the connections to {service} needed a second SYN: {slow} of {opened} "
		"within {window_s} s, and these took {took_ms} ms to open.";
	finding__advise(finding,
			"SYNs are lost on the way, or dropped at {service}: ask its host for full queues "
			"(tcpsaga queues there), and look for loss on the path.");
	advise(finding);
}

static void look_at(struct look *look)
{
	const struct listeners *listeners = model__listeners(look->model);

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		const struct door *door = listener ? doors__find(look->doors, listener->key) : NULL;

		if (door && !(listener->flags & LISTENER_CLOSED))
			judge_server(look, listener, door);
	}
	for (uint32_t i = 0; i < look->services->used; i++)
		if (look->services->all[i].role == ROLE_CLIENT)
			judge_client(look, &look->services->all[i]);
}

const struct rule handshake_slow = {
	.id = "handshake-slow",
	.raised_when = "handshakes need a second SYN or SYN-ACK",
	.hook = "handshake",
	.without = "told of this host's clients only, not of its servers",
	.thresholds = {
		{ "count", UNIT_COUNT, 5, "within 10 s: single losses are everyday" },
		{ "share", UNIT_PERCENT, 5, "of the handshakes: a good path loses well below one in a hundred" },
	},
	.quiet_s = 2,
	.look = look_at,
};
