// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables for people. Columns are as wide as their usual content; a longer one
 * pushes the rest of its line, and is never cut: half an address is worse than
 * a crooked line. Here are what every line is made of and the events; lives and what
 * is now have files of their own.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "output/table_parts.h"
#include "base/text.h"

enum {
	WIDE_COLUMNS = 110,		  /* from here on trace shows the process too */
	CLOCK_LEN = 12,			  /* 15:27:00.123 */
	END_TEXT_MAX = ADDR_TEXT_MAX + 8, /* [v6]:65535 */
	PROCESS_WIDTH = 22,
	UNIT_WIDTH = 24,
	CONTAINER_DIGITS = 12, /* as docker ps and crictl ps show them */
};

void table__pad_to(struct strbuf *out, size_t line_start, size_t column)
{
	while (out->len - line_start < column)
		strbuf__char(out, ' ');
}

/* Pads what was appended since start to width columns and adds a gap. */
void table__end_column(struct strbuf *out, unsigned int used, unsigned int width)
{
	for (; used < width; used++)
		strbuf__char(out, ' ');
	strbuf__char(out, ' ');
}

void table__clock(struct printer *printer, uint64_t time_ns)
{
	const char *utc = utc_formatter__format(&printer->utc, time_ns);

	if (printer->config.full_time)
		strbuf__append(&printer->out, utc, UTC_TEXT_LEN);
	else
		strbuf__append(&printer->out, utc + 11, CLOCK_LEN);
	strbuf__char(&printer->out, ' ');
}

unsigned int table__clock_width(const struct printer *printer)
{
	return printer->config.full_time ? UTC_TEXT_LEN : CLOCK_LEN;
}

void table__end(struct strbuf *out, const uint8_t addr[16], uint16_t port, bool known, unsigned int width)
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
	table__end_column(out, (unsigned int)(p - text), width);
}

unsigned int table__process(struct strbuf *out, const struct owner *owner)
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
void table__process_column(struct printer *printer, const struct owner *owner)
{
	struct strbuf *out = &printer->out;

	table__end_column(out, table__process(out, owner), PROCESS_WIDTH);
	if (printer->config.wide)
		table__end_column(out, put_unit(out, printer__cgroup(printer, owner)), UNIT_WIDTH);
}

/* Three significant figures at most: "412us", "3.12ms", "60.0s", "2h03m". */
void table__duration(struct strbuf *out, uint64_t ns, unsigned int width)
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
		table__end_column(out, (unsigned int)(out->len - before), width);
}

bool table__is_narrow(const struct printer *printer)
{
	return !printer->config.wide && printer->config.columns && printer->config.columns < WIDE_COLUMNS;
}

static unsigned int end_width(const struct printer *printer)
{
	if (printer->config.wide)
		return END_WIDTH_IPV6;
	return table__is_narrow(printer) ? END_WIDTH_NARROW : END_WIDTH;
}

void table__heading(struct strbuf *out, const char *text, unsigned int width)
{
	strbuf__str(out, text);
	table__end_column(out, (unsigned int)strlen(text), width);
}

void table__process_heading(struct printer *printer)
{
	table__heading(&printer->out, "PROCESS", PROCESS_WIDTH);
	if (printer->config.wide)
		table__heading(&printer->out, "UNIT OR CONTAINER", UNIT_WIDTH);
}

/* Broken behind each mark when the terminal is narrow. */
void table__pieces(struct wrap *wrap, struct strbuf *out, const struct strbuf *line, char mark)
{
	for (size_t done = 0, end; done < line->len; done = end) {
		const char *at = memchr(line->data + done, mark, line->len - done);

		end = at ? (size_t)(at - line->data) + 1 : line->len;
		wrap__piece(wrap, out, line->data + done, end - done);
	}
}

static void events_heading(struct printer *printer)
{
	struct strbuf *out = &printer->out;

	table__heading(out, "TIME (UTC)", table__clock_width(printer));
	if (printer->config.wide)
		table__heading(out, "NETNS", 10);
	table__heading(out, "LOCAL", end_width(printer));
	table__heading(out, "REMOTE", end_width(printer));
	table__heading(out, "OLD>NEW", 22);
	if (!table__is_narrow(printer))
		table__process_heading(printer);
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
	table__end_column(out, (unsigned int)len, 22);
}

static void put_netns(struct strbuf *out, uint32_t netns, bool known)
{
	size_t before = out->len;

	if (known)
		strbuf__u64(out, netns);
	else
		strbuf__char(out, '?');
	table__end_column(out, (unsigned int)(out->len - before), 10);
}

void table__finish_line(struct strbuf *out)
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

	table__clock(printer, change->time_ns);
	if (printer->config.wide)
		put_netns(out, life->netns, known);
	table__end(out, life->local.addr, life->local.port, known, end_width(printer));
	if (life->role == ROLE_LISTENER)
		table__heading(out, "-", end_width(printer));
	else
		table__end(out, life->remote.addr, life->remote.port, known, end_width(printer));
	put_states(printer, change);
	if (!table__is_narrow(printer))
		table__process_column(printer, change->owner);
	table__duration(out, change->in_old_ns, 0);
	table__finish_line(out);
}

static void put_word(struct strbuf *out, const char *word, const char *detail)
{
	size_t before = out->len;

	strbuf__printf(out, "%s%s%s", word, detail ? ":" : "", detail ? detail : "");
	table__end_column(out, (unsigned int)(out->len - before), 22);
}

static void put_step_ends(struct printer *printer, uint32_t netns, const struct endpoint *local,
			  const struct endpoint *remote)
{
	struct strbuf *out = &printer->out;

	if (printer->config.wide)
		put_netns(out, netns, true);
	table__end(out, local->addr, local->port, true, end_width(printer));
	table__end(out, remote->addr, remote->port, remote->port, end_width(printer));
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

	table__clock(printer, change->time_ns);
	put_step_ends(printer, step->netns, &local, &remote);
	if (change->kind == CHANGE_SYN)
		put_word(out, "syn", outcome ? outcome : NULL);
	else
		put_word(out, outcome ? outcome : "?",
			 step->outcome == EV_REQUEST_RESET && step->detail ? "aborted" : NULL);
	if (!table__is_narrow(printer))
		table__process_column(printer, change->owner);
	table__duration(out, change->took_ns, 7);
	if (step->outcome == EV_SYN_DROPPED)
		strbuf__printf(out, "%s ", drop_cause__name(step->detail));
	strbuf__printf(out, "syn %u/%u accept %u/%u", step->syn_queue_len, step->limit,
		       step->accept_queue_len, step->limit);
	table__finish_line(out);
}

static void put_accept(struct printer *printer, const struct change *change)
{
	const struct ev_accept *accept = change->accept;
	struct endpoint local = endpoint_of(accept->local, accept->local_port);
	struct endpoint remote = endpoint_of(accept->remote, accept->remote_port);
	struct strbuf *out = &printer->out;

	table__clock(printer, change->time_ns);
	put_step_ends(printer, accept->netns, &local, &remote);
	put_word(out, "accept()", NULL);
	if (!table__is_narrow(printer))
		table__process_column(printer, change->owner);
	table__duration(out, change->took_ns, 7);
	table__finish_line(out);
}

static void put_bind(struct printer *printer, const struct change *change)
{
	const struct ev_bind *bind = change->bind;
	struct endpoint local = endpoint_of(bind->local, bind->port), none = { 0 };
	struct strbuf *out = &printer->out;
	char word[16];

	snprintf(word, sizeof(word), "%s()%s", bind->call == EV_CALL_LISTEN ? "listen" : "bind",
		 bind->protocol == IPPROTO_UDP ? " udp" : "");
	table__clock(printer, change->time_ns);
	put_step_ends(printer, bind->netns, &local, &none);
	put_word(out, word, bind_error__name(bind->error));
	if (!table__is_narrow(printer))
		table__process_column(printer, change->owner);
	table__duration(out, UNKNOWN_NS, 7);
	table__finish_line(out);
}

static void put_timewait(struct printer *printer, const struct change *change)
{
	const struct ev_timewait *wait = change->timewait;
	struct endpoint local = endpoint_of(wait->local, wait->local_port);
	struct endpoint remote = endpoint_of(wait->remote, wait->remote_port);
	const char *state = wait->substate == EV_TIME_WAIT ? "time-wait" : "fin-wait-2";
	const char *end = wait_end__name(wait->end);
	struct strbuf *out = &printer->out;

	table__clock(printer, change->time_ns);
	put_step_ends(printer, wait->netns, &local, &remote);
	put_word(out, state, end ? end : wait_phase__name(wait->phase));
	if (!table__is_narrow(printer))
		table__process_column(printer, change->owner);
	table__duration(out, change->took_ns, 0);
	table__finish_line(out);
}

static void put_loss(struct printer *printer, const struct change *change)
{
	const struct ev_loss *loss = change->loss;
	struct strbuf *out = &printer->out;

	table__clock(printer, change->time_ns);
	strbuf__printf(out, "-- %llu records lost (%s) since ", (unsigned long long)loss->count,
		       loss_reason__name(loss->reason));
	table__clock(printer, loss->since_ns);
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
		table__lives_heading(printer);
	else if (printer->config.of == OF_WAITS)
		table__waits_heading(printer);
	else if (printer->config.of == OF_FINDINGS)
		; /* sentences need none */
	else
		table__listeners_heading(printer);
	if (printer->config.colour && printer->out.len > start) {
		printer->out.len--; /* the reset belongs to the heading's line */
		strbuf__str(&printer->out, "\033[0m\n");
	}
}

static void table_stop(struct printer *printer, uint64_t time_ns, const struct ledger *ledger)
{
	(void)printer;
	(void)time_ns;
	(void)ledger;
}

const struct printer_ops table_printer = {
	.begin = table_begin,
	.change = {
		[CHANGE_TRANSITION] = put_transition,
		[CHANGE_LIFE] = table__life,
		[CHANGE_SYN] = put_handshake,
		[CHANGE_HANDSHAKE] = put_handshake,
		[CHANGE_ACCEPT] = put_accept,
		[CHANGE_TIMEWAIT] = put_timewait,
		[CHANGE_BIND] = put_bind,
		[CHANGE_LOSS] = put_loss,
	},
	.listener = table__listener,
	.netns = table__netns,
	.queues_end = table__queues_end,
	.waits = table__waits,
	.ports = table__ports,
	.finding = finding__print,
	.census = table__census,
	.stop = table_stop,
};
