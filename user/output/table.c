// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables for people. Columns are as wide as their usual content; a longer one
 * pushes the rest of its line, and is never cut: half an address is worse than
 * a crooked line.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "output/printer.h"
#include "event/counter.h"
#include "base/text.h"
#include "base/wrap.h"

enum {
	WIDE_COLUMNS = 110,		  /* from here on trace shows the process too */
	CLOCK_LEN = 12,			  /* 15:27:00.123 */
	END_TEXT_MAX = ADDR_TEXT_MAX + 8, /* [v6]:65535 */
	END_WIDTH = 21,			  /* 255.255.255.255:65535 */
	END_WIDTH_NARROW = 17,
	END_WIDTH_IPV6 = 45,
	PROCESS_WIDTH = 22,
	UNIT_WIDTH = 24,
	CONTAINER_DIGITS = 12, /* as docker ps and crictl ps show them */
	INDENT = 4,
	LASTED_WIDTH = 7,  /* 99h59m, or 1.00ms */
	LIFE_COLUMNS = 96, /* what a line of flows needs */
	TIMELINE_COLUMNS = 100,
	QUEUE_COLUMNS = 128, /* what a line of queues needs */
};

static void pad_to(struct strbuf *out, size_t line_start, size_t column)
{
	while (out->len - line_start < column)
		strbuf__char(out, ' ');
}

/* Pads what was appended since start to width columns and adds a gap. */
static void end_column(struct strbuf *out, unsigned int used, unsigned int width)
{
	for (; used < width; used++)
		strbuf__char(out, ' ');
	strbuf__char(out, ' ');
}

static void put_clock(struct printer *printer, uint64_t time_ns)
{
	const char *utc = utc_formatter__format(&printer->utc, time_ns);

	if (printer->config.full_time)
		strbuf__append(&printer->out, utc, UTC_TEXT_LEN);
	else
		strbuf__append(&printer->out, utc + 11, CLOCK_LEN);
	strbuf__char(&printer->out, ' ');
}

static unsigned int clock_width(const struct printer *printer)
{
	return printer->config.full_time ? UTC_TEXT_LEN : CLOCK_LEN;
}

static void put_end(struct strbuf *out, const uint8_t addr[16], uint16_t port, bool known,
		    unsigned int width)
{
	char text[END_TEXT_MAX + 1];
	char *p = text;

	if (!known) {
		*p++ = '?';
	} else if (addr__is_v4(addr)) {
		p += addr__format(addr, p);
	} else {
		*p++ = '[';
		p += addr__format(addr, p);
		*p++ = ']';
	}
	if (port)
		p += sprintf(p, ":%u", port);
	else
		p += sprintf(p, ":*");
	strbuf__append(out, text, (size_t)(p - text));
	end_column(out, (unsigned int)(p - text), width);
}

static unsigned int put_process(struct strbuf *out, const struct owner *owner)
{
	size_t before = out->len;
	unsigned int columns;

	if (!owner) {
		strbuf__char(out, '-');
		return 1;
	}
	columns = text__plain(out, owner->comm, strnlen(owner->comm, sizeof(owner->comm)));
	before = out->len;
	strbuf__char(out, '/');
	strbuf__u64(out, owner->pid);
	return columns + (unsigned int)(out->len - before);
}

static unsigned int put_unit(struct strbuf *out, const struct cgroup *cgroup)
{
	if (cgroup && cgroup->container.len) {
		strbuf__append(out, cgroup->path + cgroup->container.at, CONTAINER_DIGITS);
		return CONTAINER_DIGITS;
	}
	if (cgroup && cgroup->unit.len)
		return text__plain(out, cgroup->path + cgroup->unit.at, cgroup->unit.len);
	strbuf__char(out, '-');
	return 1;
}

/* With --wide also where systemd or a container runtime has put it. */
static void put_process_column(struct printer *printer, const struct owner *owner)
{
	struct strbuf *out = &printer->out;

	end_column(out, put_process(out, owner), PROCESS_WIDTH);
	if (printer->config.wide)
		end_column(out, put_unit(out, printer__cgroup(printer, owner)), UNIT_WIDTH);
}

/* Three significant figures at most: "412us", "3.12ms", "60.0s", "2h03m". */
static void put_duration(struct strbuf *out, uint64_t ns, unsigned int width)
{
	double us = (double)ns / 1e3;
	size_t before = out->len;

	if (ns == UNKNOWN_NS)
		strbuf__char(out, '-');
	else if (us < 1000)
		strbuf__printf(out, "%uus", (unsigned int)us);
	else if (us < 1e6)
		strbuf__printf(out, us < 1e4 ? "%.2fms" : us < 1e5 ? "%.1fms" : "%.0fms", us / 1e3);
	else if (us < 600e6)
		strbuf__printf(out, us < 1e7 ? "%.2fs" : us < 1e8 ? "%.1fs" : "%.0fs", us / 1e6);
	else if (us < 36000e6)
		strbuf__printf(out, "%um%02us", (unsigned int)(us / 60e6), (unsigned int)(us / 1e6) % 60);
	else
		strbuf__printf(out, "%uh%02um", (unsigned int)(us / 3600e6),
			       (unsigned int)(us / 60e6) % 60);
	if (width)
		end_column(out, (unsigned int)(out->len - before), width);
}

static void put_bytes(struct strbuf *out, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		strbuf__printf(out, "%u B", (unsigned int)bytes);
	else
		strbuf__printf(out, "%.1f %ciB", value, units[unit]);
}

static bool narrow(const struct printer *printer)
{
	return !printer->config.wide && printer->config.columns && printer->config.columns < WIDE_COLUMNS;
}

static unsigned int end_width(const struct printer *printer)
{
	if (printer->config.wide)
		return END_WIDTH_IPV6;
	return narrow(printer) ? END_WIDTH_NARROW : END_WIDTH;
}

static void put_heading(struct strbuf *out, const char *text, unsigned int width)
{
	strbuf__str(out, text);
	end_column(out, (unsigned int)strlen(text), width);
}

static void put_process_heading(struct printer *printer)
{
	put_heading(&printer->out, "PROCESS", PROCESS_WIDTH);
	if (printer->config.wide)
		put_heading(&printer->out, "UNIT OR CONTAINER", UNIT_WIDTH);
}

/* ---- trace ---- */

static void events_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	put_heading(out, "TIME (UTC)", clock_width(printer));
	if (printer->config.wide)
		put_heading(out, "NETNS", 10);
	put_heading(out, "LOCAL", end_width(printer));
	put_heading(out, "REMOTE", end_width(printer));
	put_heading(out, "OLD>NEW", 22);
	if (!narrow(printer))
		put_process_heading(printer);
	strbuf__str(out, "IN OLD\n");
}

static const char *colour_of(unsigned int state)
{
	switch (state) {
	case EV_ESTABLISHED:
		return "\033[32m";
	case EV_STATE_CLOSE:
		return "\033[2m";
	case EV_CLOSE_WAIT:
	case EV_FIN_WAIT1:
	case EV_FIN_WAIT2:
	case EV_LAST_ACK:
	case EV_CLOSING:
		return "\033[33m";
	default:
		return "\033[36m";
	}
}

static void put_states(struct printer *printer, const struct change *change)
{
	struct strbuf *out = &printer->out;
	char text[40];
	int len = snprintf(text, sizeof(text), "%s>%s", state__name(change->old_state),
			   state__name(change->new_state));

	if (printer->config.colour)
		strbuf__str(out, colour_of(change->new_state));
	strbuf__append(out, text, (size_t)len);
	if (printer->config.colour)
		strbuf__str(out, "\033[0m");
	end_column(out, (unsigned int)len, 22);
}

static void put_netns(struct strbuf *out, uint32_t netns, bool known)
{
	size_t before = out->len;

	if (known)
		strbuf__u64(out, netns);
	else
		strbuf__char(out, '?');
	end_column(out, (unsigned int)(out->len - before), 10);
}

static void finish_line(struct strbuf *out)
{
	while (out->len && out->data[out->len - 1] == ' ')
		out->len--;
	strbuf__char(out, '\n');
}

static void put_transition(struct printer *printer, const struct change *change)
{
	const struct life *life = change->life;
	bool known = life->flags & LIFE_PLACE_KNOWN;
	struct strbuf *out = &printer->out;

	put_clock(printer, change->time_ns);
	if (printer->config.wide)
		put_netns(out, life->netns, known);
	put_end(out, life->local.addr, life->local.port, known, end_width(printer));
	if (life->role == ROLE_LISTENER)
		put_heading(out, "-", end_width(printer));
	else
		put_end(out, life->remote.addr, life->remote.port, known, end_width(printer));
	put_states(printer, change);
	if (!narrow(printer))
		put_process_column(printer, change->owner);
	put_duration(out, change->in_old_ns, 0);
	finish_line(out);
}

static void put_word(struct strbuf *out, const char *word, const char *detail)
{
	size_t before = out->len;

	strbuf__printf(out, "%s%s%s", word, detail ? ":" : "", detail ? detail : "");
	end_column(out, (unsigned int)(out->len - before), 22);
}

static void put_step_ends(struct printer *printer, uint32_t netns, const struct endpoint *local,
			  const struct endpoint *remote)
{
	struct strbuf *out = &printer->out;

	if (printer->config.wide)
		put_netns(out, netns, true);
	put_end(out, local->addr, local->port, true, end_width(printer));
	put_end(out, remote->addr, remote->port, remote->port, end_width(printer));
}

static struct endpoint endpoint_of(const uint8_t addr[16], uint16_t port)
{
	struct endpoint end = { .port = port };

	memcpy(end.addr, addr, sizeof(end.addr));
	return end;
}

/* The heading says OLD>NEW; a step of a handshake stands in the same column in
 * small letters, with both queues behind it. */
static void put_handshake(struct printer *printer, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;
	struct endpoint local = endpoint_of(step->local, step->local_port);
	struct endpoint remote = endpoint_of(step->remote, step->remote_port);
	const char *outcome = outcome__name(step->outcome);
	struct strbuf *out = &printer->out;

	put_clock(printer, change->time_ns);
	put_step_ends(printer, step->netns, &local, &remote);
	if (change->kind == CHANGE_SYN)
		put_word(out, "syn", outcome ? outcome : NULL);
	else
		put_word(out, outcome ? outcome : "?",
			 step->outcome == EV_REQUEST_RESET && step->detail ? "aborted" : NULL);
	if (!narrow(printer))
		put_process_column(printer, change->owner);
	put_duration(out, change->took_ns, 7);
	if (step->outcome == EV_SYN_DROPPED)
		strbuf__printf(out, "%s ", drop_cause__name(step->detail));
	strbuf__printf(out, "syn %u/%u accept %u/%u", step->syn_queue_len, step->limit,
		       step->accept_queue_len, step->limit);
	finish_line(out);
}

static void put_accept(struct printer *printer, const struct change *change)
{
	const struct ev_accept *accept = change->accept;
	struct endpoint local = endpoint_of(accept->local, accept->local_port);
	struct endpoint remote = endpoint_of(accept->remote, accept->remote_port);
	struct strbuf *out = &printer->out;

	put_clock(printer, change->time_ns);
	put_step_ends(printer, accept->netns, &local, &remote);
	put_word(out, "accept()", NULL);
	if (!narrow(printer))
		put_process_column(printer, change->owner);
	put_duration(out, change->took_ns, 7);
	finish_line(out);
}

static void put_bind(struct printer *printer, const struct change *change)
{
	const struct ev_bind *bind = change->bind;
	struct endpoint local = endpoint_of(bind->local, bind->port), none = { 0 };
	struct strbuf *out = &printer->out;
	char word[16];

	snprintf(word, sizeof(word), "%s()%s", bind->call == EV_CALL_LISTEN ? "listen" : "bind",
		 bind->protocol == IPPROTO_UDP ? " udp" : "");
	put_clock(printer, change->time_ns);
	put_step_ends(printer, bind->netns, &local, &none);
	put_word(out, word, bind_error__name(bind->error));
	if (!narrow(printer))
		put_process_column(printer, change->owner);
	put_duration(out, UNKNOWN_NS, 7);
	finish_line(out);
}

static void put_timewait(struct printer *printer, const struct change *change)
{
	const struct ev_timewait *wait = change->timewait;
	struct endpoint local = endpoint_of(wait->local, wait->local_port);
	struct endpoint remote = endpoint_of(wait->remote, wait->remote_port);
	const char *state = wait->substate == EV_TIME_WAIT ? "time-wait" : "fin-wait-2";
	const char *end = wait_end__name(wait->end);
	struct strbuf *out = &printer->out;

	put_clock(printer, change->time_ns);
	put_step_ends(printer, wait->netns, &local, &remote);
	put_word(out, state, end ? end : wait_phase__name(wait->phase));
	if (!narrow(printer))
		put_process_column(printer, change->owner);
	put_duration(out, change->took_ns, 0);
	finish_line(out);
}

/* ---- queues ---- */

/* Where the terminal has no room for them what is counted stands below the queues. */
static void begin_counters(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	if (!printer->config.columns || printer->config.columns >= QUEUE_COLUMNS)
		return;
	finish_line(out);
	strbuf__printf(out, "%*s", INDENT, "");
}

static void listeners_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	put_heading(out, "LISTENER", END_WIDTH);
	put_process_heading(printer);
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

static void table_listener(struct printer *printer, const struct listener *l, const struct owner *owner,
			   const struct queue_quality *quality, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	(void)time_ns;
	put_end(out, l->local.addr, l->local.port, true, END_WIDTH);
	put_process_column(printer, owner);
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
	put_duration(out,
		     l->accept_wait_us.count ? histogram__quantile(&l->accept_wait_us, 0.99) * 1000 :
					       UNKNOWN_NS,
		     0);
	finish_line(out);
	if (listener__drops(l) || l->overflows || l->delayed)
		put_drop_causes(printer, l);
}

/* "+4 of 12": since the start, since the namespace was made. */
static void table_netns(struct printer *printer, const struct namespace *ns, uint64_t time_ns)
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

static void table_queues_end(struct printer *printer, const struct queue_quality *quality,
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

/* Broken behind each mark when the terminal is narrow. */
static void put_pieces(struct wrap *wrap, struct strbuf *out, const struct strbuf *line, char mark)
{
	for (size_t done = 0, end; done < line->len; done = end) {
		const char *at = memchr(line->data + done, mark, line->len - done);

		end = at ? (size_t)(at - line->data) + 1 : line->len;
		wrap__piece(wrap, out, line->data + done, end - done);
	}
}

/* ---- timewait ---- */

static void waits_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	if (narrow(printer)) {
		put_heading(out, "ROLE", 6);
		put_heading(out, "SERVICE", END_WIDTH_NARROW);
		strbuf__str(out, "TIME_WAIT   RATE/s  STEADY OLDEST PROCESS\n");
		return;
	}
	put_process_heading(printer);
	put_heading(out, "ROLE", 6);
	put_heading(out, "SERVICE", END_WIDTH);
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

	put_heading(out, role__name(group->role) ? role__name(group->role) : "-", 6);
	put_end(out, group->service.addr, group->service.port, group->service.port, width);
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
		pad_to(out, out->len, INDENT);
		put_pieces(&wrap, out, &line, ',');
		finish_line(out);
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
	put_process(out, owner);
	finish_line(out);
	put_below(printer, group);
}

static void table_waits(struct printer *printer, const struct wait_group *group,
			const struct owner *owner, uint64_t time_ns)
{
	struct wrap wrap = { .columns = printer->config.columns, .indent = INDENT - 1 };
	struct strbuf *out = &printer->out, ends;
	size_t start = out->len;

	if (narrow(printer)) {
		put_narrow_waits(printer, group, owner, time_ns);
		return;
	}
	put_process_column(printer, owner);
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
	put_pieces(&wrap, out, &ends, ',');
	strbuf__fini(&ends);
	finish_line(out);
}

static void table_ports(struct printer *printer, const struct port_use *use,
			const struct ev_dump *settings, uint64_t time_ns)
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
	put_end(&line, use->destination.addr, use->destination.port, true, 0);
	strbuf__printf(&line, "%u in use, %u of them TIME_WAIT", use->in_use, use->time_wait);
	if (range)
		strbuf__printf(&line, ", %u of %u left", port_use__left(use, range), range);
	if (range && port_use__seconds_left(use, range) >= 0)
		strbuf__printf(&line, ", none in %.0f s at this rate", port_use__seconds_left(use, range));
	put_pieces(&wrap, &printer->out, &line, ',');
	strbuf__fini(&line);
	finish_line(&printer->out);
}

/* ---- flows ---- */

/* What LASTED and PROCESS follow: in a narrow terminal the process, which may
 * be long, stands last. */
static bool lives_narrow(const struct printer *printer)
{
	return !printer->config.wide && printer->config.columns && printer->config.columns < LIFE_COLUMNS;
}

static unsigned int life_end_width(const struct printer *printer)
{
	if (printer->config.wide)
		return END_WIDTH_IPV6;
	return lives_narrow(printer) ? END_WIDTH_NARROW : END_WIDTH;
}

static void lives_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	put_heading(out, "START (UTC)", clock_width(printer));
	put_heading(out, "ROLE", 6);
	put_heading(out, "LOCAL", life_end_width(printer));
	put_heading(out, "REMOTE", life_end_width(printer));
	if (lives_narrow(printer)) {
		put_heading(out, "LASTED", LASTED_WIDTH);
		strbuf__str(out, "PROCESS\n");
	} else {
		put_process_heading(printer);
		strbuf__str(out, "LASTED\n");
	}
}

/* "ESTABLISHED 2.10ms": a state with the time spent in it, "~60.9s" when that was
 * inferred. */
static void put_step(struct strbuf *out, const struct life *life, unsigned int i)
{
	unsigned int state = history_state(life->history[i]);

	strbuf__str(out, state__name(state));
	if (i + 1 < life->history_count) {
		strbuf__str(out, life->wait_estimated && state == EV_TIME_WAIT ? " ~" : " ");
		put_duration(out, life__step_ns(life, i), 0);
	}
}

/* From its first sign to its end; "~" when that was inferred, ">" when it goes on. */
static void put_lasted(struct strbuf *out, const struct change *change, unsigned int width)
{
	const struct life *life = change->life;
	size_t before = out->len;

	if (life__closed(life) && life->flags & LIFE_START_KNOWN) {
		strbuf__str(out, life->wait_estimated ? "~" : "");
		put_duration(out, life__lasted_ns(life), 0);
	} else if (!(life->flags & LIFE_ENDED) && life->flags & LIFE_START_KNOWN &&
		   change->time_ns > life->start_ns) {
		strbuf__char(out, '>');
		put_duration(out, change->time_ns - life->start_ns, 0);
	} else {
		strbuf__char(out, '-');
	}
	if (width)
		end_column(out, (unsigned int)(out->len - before), width);
}

static unsigned int timeline_columns(const struct printer *printer)
{
	unsigned int columns = printer->config.columns;

	return columns && columns < TIMELINE_COLUMNS ? columns : TIMELINE_COLUMNS;
}

/* "SYN_SENT 412us > ESTABLISHED 2.10ms > CLOSE", broken between states when it
 * is long. */
static void put_timeline(struct printer *printer, const struct life *life)
{
	struct wrap wrap = { .columns = timeline_columns(printer), .indent = 2 * INDENT - 1 };
	struct strbuf *out = &printer->out, step;

	strbuf__init(&step);
	pad_to(out, out->len, INDENT);
	wrap.used = INDENT;
	for (unsigned int i = 0; i < life->history_count; i++) {
		strbuf__clear(&step);
		strbuf__str(&step, i ? " > " : "");
		put_step(&step, life, i);
		wrap__piece(&wrap, out, step.data, step.len);
	}
	if (life->flags & LIFE_HISTORY_CUT)
		strbuf__str(out, " (cut)");
	strbuf__fini(&step);
	finish_line(out);
}

static void put_how(struct strbuf *out, const struct life *life)
{
	const char *how = how__name(life->how);

	if (!(life->flags & (LIFE_ENDED | LIFE_SOCKET_GONE))) {
		strbuf__str(out, "still open");
	} else if (!life__closed(life) && !(life->flags & LIFE_SOCKET_GONE)) {
		strbuf__str(out, "its end was not seen");
	} else {
		if (life->closed_first == CLOSED_NONE)
			strbuf__str(out, how ? how : life->flags & LIFE_ENDED ? "ended" : "closed");
		else
			strbuf__printf(out, "closed first: %s (%s)",
				       closed_first__name(life->closed_first), how ? how : "?");
		if (life->error && strerrorname_np(life->error))
			strbuf__printf(out, ", %s", strerrorname_np(life->error));
	}
}

static void put_clauses(struct strbuf *out, const struct life *life)
{
	put_how(out, life);
	if (life->flags & LIFE_TOTALS_KNOWN) {
		strbuf__str(out, "; sent ");
		put_bytes(out, life->bytes_sent);
		strbuf__str(out, ", received ");
		put_bytes(out, life->bytes_received);
		if (life->retransmits)
			strbuf__printf(out, ", %u retransmits", life->retransmits);
	}
	if (life->flags & LIFE_ACCEPTED) {
		strbuf__str(out, "; waited ");
		put_duration(out, (uint64_t)life->accept_wait_us * NS_PER_US, 0);
		strbuf__str(out, " for accept()");
	}
	if (life->ordinal > 1)
		strbuf__printf(out, "; life %u of this five-tuple", life->ordinal);
	if (life->flags & LIFE_PREEXISTING)
		strbuf__str(out, "; existed before");
	else if (life->flags & LIFE_INCOMPLETE)
		strbuf__str(out, "; incomplete");
}

static void put_end_of_life(struct printer *printer, const struct life *life)
{
	struct wrap wrap = { .columns = printer->config.columns, .indent = INDENT - 1 };
	struct strbuf *out = &printer->out, line;

	strbuf__init(&line);
	put_clauses(&line, life);
	pad_to(out, out->len, INDENT);
	wrap.used = INDENT;
	put_pieces(&wrap, out, &line, ';');
	strbuf__fini(&line);
	finish_line(out);
}

static void put_life(struct printer *printer, const struct change *change)
{
	const struct life *life = change->life;
	bool known = life->flags & LIFE_PLACE_KNOWN;
	unsigned int width = life_end_width(printer);
	struct strbuf *out = &printer->out;

	if (life->flags & LIFE_START_KNOWN)
		put_clock(printer, life->start_ns);
	else
		put_heading(out, "before", clock_width(printer));
	put_heading(out, role__name(life->role) ? role__name(life->role) : "-", 6);
	put_end(out, life->local.addr, life->local.port, known, width);
	put_end(out, life->remote.addr, life->remote.port, known, width);
	if (lives_narrow(printer)) {
		put_lasted(out, change, LASTED_WIDTH);
		put_process(out, change->owner);
	} else {
		put_process_column(printer, change->owner);
		put_lasted(out, change, 0);
	}
	finish_line(out);
	put_timeline(printer, life);
	put_end_of_life(printer, life);
}

/* ---- both ---- */

static void put_loss(struct printer *printer, const struct change *change)
{
	const struct ev_loss *loss = change->loss;
	struct strbuf *out = &printer->out;

	put_clock(printer, change->time_ns);
	strbuf__printf(out, "-- %llu records lost (%s) since ", (unsigned long long)loss->count,
		       loss_reason__name(loss->reason));
	put_clock(printer, loss->since_ns);
	strbuf__str(out, "--\n");
}

static void table_begin(struct printer *printer, const struct capture_info *info)
{
	size_t start = printer->out.len;

	(void)info;
	if (printer->config.colour)
		strbuf__str(&printer->out, "\033[1m");
	if (printer->config.of == OF_EVENTS)
		events_heading(printer);
	else if (printer->config.of == OF_LIVES)
		lives_heading(printer);
	else if (printer->config.of == OF_WAITS)
		waits_heading(printer);
	else if (printer->config.of == OF_FINDINGS)
		; /* sentences need none */
	else
		listeners_heading(printer);
	if (printer->config.colour && printer->out.len > start) {
		printer->out.len--; /* the reset belongs to the heading's line */
		strbuf__str(&printer->out, "\033[0m\n");
	}
}

static void table_change(struct printer *printer, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_TRANSITION:
		put_transition(printer, change);
		break;
	case CHANGE_SYN:
	case CHANGE_HANDSHAKE:
		put_handshake(printer, change);
		break;
	case CHANGE_ACCEPT:
		put_accept(printer, change);
		break;
	case CHANGE_TIMEWAIT:
		put_timewait(printer, change);
		break;
	case CHANGE_LIFE:
		put_life(printer, change);
		break;
	case CHANGE_BIND:
		put_bind(printer, change);
		break;
	case CHANGE_LOSS:
		put_loss(printer, change);
		break;
	case CHANGE_UNREAD:
	case CHANGE_HOLDER: /* for a diagnosis */
	case CHANGE_STOP:   /* the verb says it on stderr */
		break;
	}
}

static void table_census(struct printer *printer, const struct census_row *row, bool estimated,
			 uint64_t time_ns)
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

static void table_stop(struct printer *printer, uint64_t time_ns, const struct ledger *ledger)
{
	(void)printer;
	(void)time_ns;
	(void)ledger;
}

const struct printer_ops table_printer = {
	.begin = table_begin,
	.change = table_change,
	.listener = table_listener,
	.netns = table_netns,
	.queues_end = table_queues_end,
	.waits = table_waits,
	.ports = table_ports,
	.finding = finding__print,
	.census = table_census,
	.stop = table_stop,
};
