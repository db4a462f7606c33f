// SPDX-License-Identifier: BSD-2-Clause
/* What is now, for people: listeners and their namespaces, minisockets, ports, states. */
#include <stdio.h>
#include <string.h>

#include "output/table_parts.h"
#include "event/counter.h"

enum { QUEUE_COLUMNS = 128 }; /* what a line of queues needs */

/* Where the terminal has no room for them what is counted stands below the queues. */
static void begin_counters(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	if (!printer->config.columns || printer->config.columns >= QUEUE_COLUMNS)
		return;
	table__finish_line(out);
	strbuf__printf(out, "%*s", INDENT, "");
}

void table__listeners_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	table__heading(out, "LISTENER", END_WIDTH);
	table__process_heading(printer);
	strbuf__str(out, " ~SYN/LIMIT ^MAX ~ACC/LIMIT ^MAX ");
	begin_counters(printer);
	strbuf__str(out, "    SYNS ACCEPTED DROPPED COOKIES TIMEOUT WAIT99\n");
}

static void put_depth(struct strbuf *out, const struct queue_depth *depth, uint32_t limit)
{
	strbuf__printf(out, "%5u/%-5u %4u ", depth->len, limit, depth->max);
}

/* Broken between words when the terminal is narrow. */
static void put_sentence(struct printer *printer, const struct strbuf *line, unsigned int indent)
{
	struct wrap wrap = { .columns = printer->config.columns, .indent = indent };

	wrap__words(&wrap, &printer->out, line->data ? line->data : "", line->len);
	strbuf__char(&printer->out, '\n');
}

static void put_drop_causes(struct printer *printer, const struct listener *l)
{
	struct strbuf line, *out = &line;
	const char *gap = "    dropped: ";

	strbuf__init(&line);
	for (unsigned int cause = 0; cause < EV_DROP_END; cause++) {
		if (!l->dropped[cause])
			continue;
		strbuf__printf(out, "%s%llu %s", gap, (unsigned long long)l->dropped[cause],
			       drop_cause__name(cause));
		gap = ", ";
	}
	if (l->overflows) {
		strbuf__printf(out, "%s%llu third ACKs (accept queue full)", gap,
			       (unsigned long long)l->overflows);
		gap = ", ";
	}
	if (l->delayed) {
		strbuf__printf(out, "%s%llu connections delayed and served", gap,
			       (unsigned long long)l->delayed);
		gap = ", ";
	}
	if (l->blocked) {
		strbuf__printf(out, "%s%u clients waiting", gap, l->blocked);
		gap = ", ";
	}
	if (l->gave_up)
		strbuf__printf(out, "%s%llu clients gave up", gap, (unsigned long long)l->gave_up);
	if (l->needed)
		strbuf__printf(out, "; backlog %u would have done", l->needed);
	put_sentence(printer, &line, INDENT + 1);
	strbuf__fini(&line);
}

void table__listener(struct printer *printer, const struct listener *l, const struct owner *owner,
		     const struct queue_quality *quality, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	(void)time_ns;
	table__end(out, l->local.addr, l->local.port, true, END_WIDTH);
	table__process_column(printer, owner);
	put_depth(out, &l->syn_queue, l->limit);
	put_depth(out, &l->accept_queue, l->limit);
	begin_counters(printer);
	if (quality->handshakes)
		strbuf__printf(out, "%8llu ", (unsigned long long)l->syns);
	else if (l->admitted)
		strbuf__printf(out, "%8llu+", (unsigned long long)l->admitted);
	else
		strbuf__printf(out, "%8s ", "-");
	if (quality->accepts)
		strbuf__printf(out, "%8llu%c", (unsigned long long)l->accepted,
			       quality->shared_accepts ? '*' : ' ');
	else
		strbuf__printf(out, "%8s ", "-");
	if (quality->handshakes)
		strbuf__printf(out, "%7llu %7llu %7llu ",
			       (unsigned long long)(listener__drops(l) + l->overflows),
			       (unsigned long long)l->cookies, (unsigned long long)l->timed_out);
	else if (l->flags & LISTENER_DROPS_KNOWN)
		strbuf__printf(out, "%6llu~ %7s %7s ", (unsigned long long)l->sk_drops, "-", "-");
	else
		strbuf__printf(out, "%7s %7s %7s ", "-", "-", "-");
	table__duration(out,
			l->accept_wait_us.count ? histogram__quantile(&l->accept_wait_us, 0.99) * 1000 :
						  UNKNOWN_NS,
			0);
	table__finish_line(out);
	if (listener__drops(l) || l->overflows || l->delayed)
		put_drop_causes(printer, l);
}

/* "+4 of 12": since the start, since the namespace was made. */
void table__netns(struct printer *printer, const struct namespace *ns, uint64_t time_ns)
{
	struct strbuf line, *out = &line;
	const char *gap = " ";

	(void)time_ns;
	strbuf__init(&line);
	strbuf__printf(out, "netns %u, host-wide:", ns->netns);
	for (unsigned int i = 0; i < EV_COUNTER_END; i++) {
		if (!namespace__knows(ns, i) || !ns->last[i])
			continue;
		strbuf__printf(out, "%s%s ", gap, counter__name(i));
		if (ns->first_ns != ns->last_ns)
			strbuf__printf(out, "+%llu of ", (unsigned long long)namespace__moved(ns, i));
		strbuf__u64(out, ns->last[i]);
		gap = ", ";
	}
	strbuf__str(out, *gap == ' ' ? " all counters are 0" : "");
	strbuf__str(out, ns->gone ? "; gone" : "");
	put_sentence(printer, &line, 2);
	strbuf__fini(&line);
}

void table__queues_end(struct printer *printer, const struct queue_quality *quality,
		       const struct not_kept *not_kept, uint64_t time_ns)
{
	struct strbuf line, *out = &printer->out;

	(void)time_ns;
	strbuf__init(&line);
	if (not_kept->listeners || not_kept->clients || not_kept->namespaces)
		strbuf__printf(out,
			       "-- no room for %llu listeners, %llu waiting clients, %llu looks at "
			       "namespaces --\n",
			       (unsigned long long)not_kept->listeners,
			       (unsigned long long)not_kept->clients,
			       (unsigned long long)not_kept->namespaces);
	out = &line;
	if (quality->admitted)
		strbuf__str(out, "+ those queued, by sockops; ");
	if (quality->shared_accepts)
		strbuf__str(out, "* of all sockets that share this place; ");
	strbuf__str(out, "~ sampled; - not seen here; host-wide: of all listeners of the namespace; ");
	strbuf__str(out, quality->incomplete ? "the rest is at least so much: records were lost" :
					       "the rest is exact");
	put_sentence(printer, &line, 2);
	strbuf__fini(&line);
}

void table__waits_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	if (table__is_narrow(printer)) {
		table__heading(out, "ROLE", 6);
		table__heading(out, "SERVICE", END_WIDTH_NARROW);
		strbuf__str(out, "TIME_WAIT   RATE/s  STEADY OLDEST PROCESS\n");
		return;
	}
	table__process_heading(printer);
	table__heading(out, "ROLE", 6);
	table__heading(out, "SERVICE", END_WIDTH);
	strbuf__str(out, "TIME_WAIT FIN_WAIT2  RATE/s  STEADY OLDEST  SHORT ENDED EARLY\n");
}

/* "12 reused, 3 reset". */
static void put_ends(struct strbuf *out, const struct wait_group *group)
{
	const char *gap = "";

	for (unsigned int end = 0; end < EV_WAIT_END_END; end++) {
		if (end == EV_WAIT_EXPIRED || !group->ended[end])
			continue;
		strbuf__printf(out, "%s%llu %s", gap, (unsigned long long)group->ended[end],
			       end ? wait_end__name(end) : "unseen");
		gap = ", ";
	}
	if (group->refused)
		strbuf__printf(out, "%s%llu refused (table full)", gap,
			       (unsigned long long)group->refused);
}

static void put_waits_place(struct printer *printer, const struct wait_group *group, unsigned int width)
{
	struct strbuf *out = &printer->out;

	table__heading(out, role__name(group->role) ? role__name(group->role) : "-", 6);
	table__end(out, group->service.addr, group->service.port, group->service.port, width);
	strbuf__printf(out, "%8u%c ", group->time_wait, wait_group__is_exact(group) ? ' ' : '~');
}

static double short_share(const struct wait_group *group)
{
	return 100.0 * (double)group->short_lived / (double)group->measured;
}

static void put_waits_rate(struct strbuf *out, const struct wait_group *group, uint64_t time_ns)
{
	double rate = wait_group__rate(group, time_ns);

	strbuf__printf(out, "%7.1f %7.0f %5.1fs ", rate, rate * TIMEWAIT_LEN_S,
		       (double)wait_group__oldest_ns(group, time_ns) / NS_PER_S);
}

/* What has no room beside it stands below it. */
static void put_below(struct printer *printer, const struct wait_group *group)
{
	struct wrap wrap = { .columns = printer->config.columns, .indent = INDENT - 1, .used = INDENT };
	struct strbuf *out = &printer->out, line, ends;
	const char *gap;

	strbuf__init(&line);
	strbuf__init(&ends);
	put_ends(&ends, group);
	if (group->fin_wait2)
		strbuf__printf(&line, "%u FIN_WAIT2", group->fin_wait2);
	gap = line.len ? ", " : "";
	if (group->measured)
		strbuf__printf(&line, "%s%.0f%% short", gap, short_share(group));
	gap = line.len ? ", " : "";
	if (ends.len)
		strbuf__printf(&line, "%sended early: %s", gap, strbuf__text(&ends));
	if (line.len) {
		table__pad_to(out, out->len, INDENT);
		table__pieces(&wrap, out, &line, ',');
		table__finish_line(out);
	}
	strbuf__fini(&ends);
	strbuf__fini(&line);
}

static void put_narrow_waits(struct printer *printer, const struct wait_group *group,
			     const struct owner *owner, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	put_waits_place(printer, group, END_WIDTH_NARROW);
	put_waits_rate(out, group, time_ns);
	table__process(out, owner);
	table__finish_line(out);
	put_below(printer, group);
}

void table__waits(struct printer *printer, const struct wait_group *group, const struct owner *owner,
		  uint64_t time_ns)
{
	struct wrap wrap = { .columns = printer->config.columns, .indent = INDENT - 1 };
	struct strbuf *out = &printer->out, ends;
	size_t start = out->len;

	if (table__is_narrow(printer)) {
		put_narrow_waits(printer, group, owner, time_ns);
		return;
	}
	table__process_column(printer, owner);
	put_waits_place(printer, group, END_WIDTH);
	strbuf__printf(out, "%9u ", group->fin_wait2);
	put_waits_rate(out, group, time_ns);
	if (group->measured)
		strbuf__printf(out, "%5.0f%% ", short_share(group));
	else
		strbuf__printf(out, "%6s ", "-");
	wrap.used = (unsigned int)(out->len - start);
	strbuf__init(&ends);
	put_ends(&ends, group);
	table__pieces(&wrap, out, &ends, ',');
	strbuf__fini(&ends);
	table__finish_line(out);
}

void table__ports(struct printer *printer, const struct port_use *use, const struct ev_dump *settings,
		  uint64_t time_ns)
{
	struct wrap wrap = { .columns = printer->config.columns, .indent = INDENT - 1 };
	uint32_t range = settings ? settings->ephemeral_ports : 0;
	char text[ADDR_TEXT_MAX];
	struct strbuf line;

	(void)time_ns;
	strbuf__init(&line);
	strbuf__str(&line, "ports of ");
	strbuf__append(&line, text, addr__format(use->source, text));
	strbuf__str(&line, " to ");
	table__end(&line, use->destination.addr, use->destination.port, true, 0);
	strbuf__printf(&line, "%u in use, %u of them TIME_WAIT", use->in_use, use->time_wait);
	if (range)
		strbuf__printf(&line, ", %u of %u left", port_use__left(use, range), range);
	if (range && port_use__seconds_left(use, range) >= 0)
		strbuf__printf(&line, ", none in %.0f s at this rate", port_use__seconds_left(use, range));
	table__pieces(&wrap, &printer->out, &line, ',');
	strbuf__fini(&line);
	table__finish_line(&printer->out);
}

void table__census(struct printer *printer, const struct census_row *row, bool estimated, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	const char *gap = "";

	(void)time_ns;
	strbuf__printf(out, "-- netns %u:", row->netns);
	for (unsigned int state = 1; state < EV_STATE_END; state++) {
		if (!row->counts[state])
			continue;
		strbuf__printf(out, "%s %u %s", gap, row->counts[state], state__name(state));
		gap = ",";
	}
	strbuf__str(out, estimated ? " (TIME_WAIT estimated) --\n" : " --\n");
}
