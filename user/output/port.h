/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The view of `tcpsaga port`: who holds it, and what would become of a bind().
 * Fed by verbs/port.c from one look; text into a buffer, no I/O.
 */
#ifndef TCPSAGA_OUTPUT_PORT_H
#define TCPSAGA_OUTPUT_PORT_H

#include "base/clock.h"
#include "base/strbuf.h"
#include "model/bind_rules.h"

/* A bind() that was asked about. */
struct bind_report {
	struct bind_request request;
	struct bind_place place;
	struct bind_outcome outcome;
	/* The same with other options: bit 0 SO_REUSEADDR, bit 1 SO_REUSEPORT. Only
	 * where outcome.obstacle is BIND_CLEAR. */
	struct bind_outcome with[4];
};

enum { PORT_NOTES_MAX = 10 };

struct port_view {
	uint16_t port;
	uint64_t taken_ns; /* boot time of the look */
	const struct holder *holders;
	const bool *shown; /* of each holder: the filter wants it listed */
	size_t count;
	const struct bind_report *reports; /* at least one, all of one namespace */
	unsigned int report_count;
	/* What could not be seen, a sentence each; borrowed. */
	const char *notes[PORT_NOTES_MAX];
	unsigned int note_count;
	unsigned int columns; /* of the terminal; 0: not one */
	bool wide;
};

void port_view__json(const struct port_view *view, struct utc_formatter *utc, struct strbuf *out);
void port_view__table(const struct port_view *view, struct utc_formatter *utc, struct strbuf *out);

#endif
