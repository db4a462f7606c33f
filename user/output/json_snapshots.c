// SPDX-License-Identifier: BSD-2-Clause
/* What is now, as JSON: listeners and their namespaces, minisockets, ports, states. */
#include <string.h>

#include "output/json_parts.h"
#include "event/counter.h"

static void put_depth(struct strbuf *out, const char *key, const struct queue_depth *depth, uint32_t limit)
{
	strbuf__printf(out, "%s{\"len\":%u,\"limit\":%u,\"max\":%u}", key, depth->len, limit, depth->max);
}

static void put_quantiles(struct strbuf *out, const char *key, const struct histogram *h)
{
	if (h->count)
		strbuf__printf(out, "%s{\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"max\":%llu}", key,
			       (unsigned long long)histogram__quantile(h, 0.5),
			       (unsigned long long)histogram__quantile(h, 0.9),
			       (unsigned long long)histogram__quantile(h, 0.99),
			       (unsigned long long)h->max);
}

static void put_drops(struct strbuf *out, const struct listener *l)
{
	bool first = true;

	LITERAL(out, ",\"dropped\":{");
	for (unsigned int cause = 0; cause < EV_DROP_END; cause++) {
		if (!l->dropped[cause])
			continue;
		strbuf__printf(out, "%s\"%s\":%llu", first ? "" : ",", drop_cause__name(cause),
			       (unsigned long long)l->dropped[cause]);
		first = false;
	}
	strbuf__char(out, '}');
}

static void put_backlog(struct strbuf *out, const struct listener *l)
{
	LITERAL(out, ",\"backlog\":{");
	if (l->asked)
		strbuf__printf(out, "\"listen\":%u,", l->asked);
	if (l->somaxconn)
		strbuf__printf(out, "\"somaxconn\":%u,", l->somaxconn);
	strbuf__printf(out, "\"effective\":%u", l->limit);
	if (l->needed)
		strbuf__printf(out, ",\"needed\":%u", l->needed);
	strbuf__char(out, '}');
}

/* A number whose quality is not that of its line. Depths are samples in any case:
 * they are read while other CPUs go on (KERNEL.md, section 3). */
static void put_quality(struct strbuf *out, bool *first, const char *number, const char *quality)
{
	strbuf__str(out, *first ? ",\"qualities\":{" : ",");
	strbuf__printf(out, "\"%s\":\"%s\"", number, quality);
	*first = false;
}

static void put_qualities(struct strbuf *out, const struct listener *l, const struct queue_quality *quality)
{
	const char *accepts = quality->shared_accepts ? "host_wide" : "exact";
	bool exact = quality->handshakes, first = true;

	json__word(out, ",\"quality\":\"", exact ? "exact" : "sampled");
	if (exact) {
		put_quality(out, &first, "syn_queue", "sampled");
		put_quality(out, &first, "accept_queue", "sampled");
	}
	if (!exact && l->admitted)
		put_quality(out, &first, "queued", "exact");
	if (!exact && quality->synacks)
		put_quality(out, &first, "synack_retransmits", "exact");
	if (quality->accepts && (!exact || quality->shared_accepts))
		put_quality(out, &first, "accepted", accepts);
	if (l->accept_wait_us.count && (!exact || quality->shared_accepts))
		put_quality(out, &first, "accept_wait_us", accepts);
	if (exact && l->flags & LISTENER_DROPS_KNOWN)
		put_quality(out, &first, "sk_drops", "sampled");
	if (!first)
		strbuf__char(out, '}');
	if (quality->incomplete)
		LITERAL(out, ",\"incomplete\":true");
}

void json__listener(struct printer *printer, const struct listener *l, const struct owner *owner,
		    const struct queue_quality *quality, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	json__open(printer, "queue", time_ns);
	json__place_at_listener(out, l->id, l->netns, l->local.addr, l->local.port, NULL, 0);
	if (owner)
		json__owner(printer, owner);
	put_depth(out, ",\"syn_queue\":", &l->syn_queue, l->limit);
	put_depth(out, ",\"accept_queue\":", &l->accept_queue, l->limit);
	put_backlog(out, l);
	if (quality->handshakes) {
		json__count(out, ",\"syns\":", l->syns);
		json__count(out, ",\"queued\":", l->queued);
		json__count(out, ",\"cookies\":", l->cookies);
		json__count(out, ",\"fastopen\":", l->fastopen);
		put_drops(out, l);
		json__count(out, ",\"completed\":", l->completed);
		json__count(out, ",\"completed_by_cookie\":", l->completed_by_cookie);
		json__count(out, ",\"timed_out\":", l->timed_out);
		json__count(out, ",\"reset\":", l->reset);
		json__count(out, ",\"aborted\":", l->aborted);
		json__count(out, ",\"listener_closed\":", l->abandoned);
		json__count(out, ",\"pending\":", listener__pending(l));
		json__count(out, ",\"third_ack_dropped\":", l->overflows);
		json__count(out, ",\"delayed\":", l->delayed);
		json__count(out, ",\"blocked\":", l->blocked);
		json__count(out, ",\"gave_up\":", l->gave_up);
	}
	/* A listener outside the cgroup admits SYNs, too: 0 is not known. */
	if (!quality->handshakes && l->admitted)
		json__count(out, ",\"queued\":", l->admitted);
	if (quality->synacks)
		json__count(out, ",\"synack_retransmits\":", l->retransmits);
	if (quality->accepts)
		json__count(out, ",\"accepted\":", l->accepted);
	if (l->flags & LISTENER_DROPS_KNOWN)
		json__count(out, ",\"sk_drops\":", l->sk_drops);
	put_quantiles(out, ",\"handshake_us\":", &l->handshake_us);
	put_quantiles(out, ",\"accept_wait_us\":", &l->accept_wait_us);
	if (l->flags & LISTENER_PREEXISTING)
		LITERAL(out, ",\"preexisting\":true");
	if (l->flags & LISTENER_CLOSED)
		LITERAL(out, ",\"closed\":true");
	put_qualities(out, l, quality);
	json__close(printer);
}

void json__netns(struct printer *printer, const struct namespace *ns, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	const char *gap = "";

	json__open(printer, "queue", time_ns);
	json__count(out, ",\"netns\":", ns->netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"since\":");
	json__time(printer, ns->first_ns);
	LITERAL(out, ",\"counters\":{");
	for (unsigned int i = 0; i < EV_COUNTER_END; i++) {
		if (!namespace__knows(ns, i))
			continue;
		strbuf__printf(out, "%s\"%s\":{\"delta\":%llu,\"total\":%llu}", gap, counter__name(i),
			       (unsigned long long)namespace__moved(ns, i),
			       (unsigned long long)ns->last[i]);
		gap = ",";
	}
	strbuf__char(out, '}');
	if (ns->gone)
		LITERAL(out, ",\"closed\":true");
	json__word(out, ",\"quality\":\"", "host_wide");
	json__close(printer);
}

void json__queues_end(struct printer *printer, const struct queue_quality *quality,
		      const struct not_kept *not_kept, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	(void)quality;
	if (!not_kept->listeners && !not_kept->clients && !not_kept->namespaces)
		return;
	json__open(printer, "queue", time_ns);
	strbuf__printf(out, ",\"not_kept\":{\"listeners\":%llu,\"clients\":%llu,\"namespaces\":%llu}",
		       (unsigned long long)not_kept->listeners, (unsigned long long)not_kept->clients,
		       (unsigned long long)not_kept->namespaces);
	json__close(printer);
}

void json__waits(struct printer *printer, const struct wait_group *group, const struct owner *owner,
		 uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	double rate = wait_group__rate(group, time_ns);
	bool first = true;

	json__open(printer, "timewait_group", time_ns);
	if (group->netns)
		json__count(out, ",\"netns\":", group->netns);
	json__word(out, ",\"role\":\"", role__name(group->role));
	if (group->service.port) {
		LITERAL(out, ",\"service\":");
		json__end(out, &group->service);
	}
	if (owner)
		json__owner(printer, owner);
	json__count(out, ",\"count\":", group->time_wait + group->fin_wait2);
	json__count(out, ",\"time_wait\":", group->time_wait);
	json__count(out, ",\"fin_wait2\":", group->fin_wait2);
	strbuf__printf(out, ",\"rate_per_s\":%.1f,\"steady_state\":%.0f,\"oldest_s\":%.1f", rate,
		       rate * TIMEWAIT_LEN_S, (double)wait_group__oldest_ns(group, time_ns) / NS_PER_S);
	json__count(out, ",\"begun\":", group->begun);
	if (group->measured)
		strbuf__printf(out, ",\"short_share\":%.3f",
			       (double)group->short_lived / (double)group->measured);
	LITERAL(out, ",\"ended\":{");
	for (unsigned int end = 0; end < EV_WAIT_END_END; end++) {
		if (!group->ended[end])
			continue;
		strbuf__printf(out, "%s\"%s\":%llu", first ? "" : ",",
			       end ? wait_end__name(end) : "unseen",
			       (unsigned long long)group->ended[end]);
		first = false;
	}
	strbuf__char(out, '}');
	if (group->refused)
		json__count(out, ",\"refused\":", group->refused);
	json__word(out, ",\"quality\":\"", wait_group__is_exact(group) ? "exact" : "estimated");
	json__close(printer);
}

void json__ports(struct printer *printer, const struct port_use *use, const struct ev_dump *settings,
		 uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	char text[ADDR_TEXT_MAX];
	uint32_t range = settings ? settings->ephemeral_ports : 0;

	json__open(printer, "ports", time_ns);
	json__count(out, ",\"netns\":", use->netns);
	LITERAL(out, ",\"source\":\"");
	strbuf__append(out, text, addr__format(use->source, text));
	LITERAL(out, "\",\"destination\":");
	json__end(out, &use->destination);
	if (range)
		json__count(out, ",\"range\":", range);
	json__count(out, ",\"in_use\":", use->in_use);
	json__count(out, ",\"time_wait\":", use->time_wait);
	if (range)
		json__count(out, ",\"left\":", port_use__left(use, range));
	if (range && port_use__seconds_left(use, range) >= 0)
		strbuf__printf(out, ",\"seconds_left\":%.1f", port_use__seconds_left(use, range));
	json__close(printer);
}

void json__census(struct printer *printer, const struct census_row *row, bool estimated, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	const char *gap = "";

	json__open(printer, "states", time_ns);
	json__count(out, ",\"netns\":", row->netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"states\":{");
	for (unsigned int state = 1; state < EV_STATE_END; state++) {
		if (!row->counts[state])
			continue;
		strbuf__printf(out, "%s\"%s\":%u", gap, state__name(state), row->counts[state]);
		gap = ",";
	}
	strbuf__char(out, '}');
	json__word(out, ",\"quality\":\"", estimated ? "estimated" : "exact");
	json__close(printer);
}
