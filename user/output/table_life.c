// SPDX-License-Identifier: BSD-2-Clause
/* A life for people: who, its states with their times, how it ended. */
#include <stdio.h>
#include <string.h>

#include "output/table_parts.h"

enum {
	LASTED_WIDTH = 7,  /* 99h59m, or 1.00ms */
	LIFE_COLUMNS = 96, /* what a line of flows needs */
	TIMELINE_COLUMNS = 100,
};

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

void table__lives_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	table__heading(out, "START (UTC)", table__clock_width(printer));
	table__heading(out, "ROLE", 6);
	table__heading(out, "LOCAL", life_end_width(printer));
	table__heading(out, "REMOTE", life_end_width(printer));
	if (lives_narrow(printer)) {
		table__heading(out, "LASTED", LASTED_WIDTH);
		strbuf__str(out, "PROCESS\n");
	} else {
		table__process_heading(printer);
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
		table__duration(out, life__step_ns(life, i), 0);
	}
}

/* From its first sign to its end; "~" when that was inferred, ">" when it goes on. */
static void put_lasted(struct strbuf *out, const struct change *change, unsigned int width)
{
	const struct life *life = change->life;
	size_t before = out->len;

	if (life__closed(life) && life->flags & LIFE_START_KNOWN) {
		strbuf__str(out, life->wait_estimated ? "~" : "");
		table__duration(out, life__lasted_ns(life), 0);
	} else if (!(life->flags & LIFE_ENDED) && life->flags & LIFE_START_KNOWN &&
		   change->time_ns > life->start_ns) {
		strbuf__char(out, '>');
		table__duration(out, change->time_ns - life->start_ns, 0);
	} else {
		strbuf__char(out, '-');
	}
	if (width)
		table__end_column(out, (unsigned int)(out->len - before), width);
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
	table__pad_to(out, out->len, INDENT);
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
	table__finish_line(out);
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
		table__duration(out, (uint64_t)life->accept_wait_us * NS_PER_US, 0);
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
	table__pad_to(out, out->len, INDENT);
	wrap.used = INDENT;
	table__pieces(&wrap, out, &line, ';');
	strbuf__fini(&line);
	table__finish_line(out);
}

void table__life(struct printer *printer, const struct change *change)
{
	const struct life *life = change->life;
	bool known = life->flags & LIFE_PLACE_KNOWN;
	unsigned int width = life_end_width(printer);
	struct strbuf *out = &printer->out;

	if (life->flags & LIFE_START_KNOWN)
		table__clock(printer, life->start_ns);
	else
		table__heading(out, "before", table__clock_width(printer));
	table__heading(out, role__name(life->role) ? role__name(life->role) : "-", 6);
	table__end(out, life->local.addr, life->local.port, known, width);
	table__end(out, life->remote.addr, life->remote.port, known, width);
	if (lives_narrow(printer)) {
		put_lasted(out, change, LASTED_WIDTH);
		table__process(out, change->owner);
	} else {
		table__process_column(printer, change->owner);
		put_lasted(out, change, 0);
	}
	table__finish_line(out);
	put_timeline(printer, life);
	put_end_of_life(printer, life);
}
