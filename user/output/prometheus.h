/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics, as the text that Prometheus reads (exposition format 0.0.4).
 * Pure: what is shown is given, and the text goes into a buffer.
 *
 * At most PROMETHEUS_SERIES_MAX series, whatever the model holds: listeners and
 * TIME_WAIT groups beyond their rows are added up in one row called "other",
 * and how many they are is a metric, too. No label holds an address, or a port
 * that connect() chose.
 */
#ifndef TCPSAGA_OUTPUT_PROMETHEUS_H
#define TCPSAGA_OUTPUT_PROMETHEUS_H

#include "base/strbuf.h"
#include "event/capture.h"
#include "model/tally.h"
#include "findings/engine.h"
#include "output/printer.h"

enum {
	PROMETHEUS_SERIES_MAX = 500,
	PROMETHEUS_WAIT_ROWS = 22, /* of TIME_WAIT groups; one more is "other" */
	PROMETHEUS_SINKS_MAX = 8,  /* the last one is "other" where there are more */
};

/* What this process costs. */
struct self_cost {
	uint64_t user_us;
	uint64_t system_us;
	uint64_t resident_bytes;
	uint64_t open_fds;
};

/* The book of one sink: offered = delivered + dropped + queued. */
struct sink_count {
	const char *name; /* borrowed */
	bool healthy;
	uint64_t offered;
	uint64_t delivered;
	uint64_t dropped;
	uint64_t queued_bytes;
};

struct exposition {
	const struct model *model; /* measured */
	const struct tally *tally; /* settled */
	const struct capture_info *info;
	const struct ledger *ledger;
	const struct self_cost *self;
	const struct rule_count *findings; /* ends with one without an id */
	const struct gap *gap;		   /* before this start; NULL: none is known of */
	const struct sink_count *sinks;
	unsigned int sink_count;
	bool tables_gone; /* the kernel's tables are not read any more: no samples */
};

void prometheus__render(struct strbuf *out, const struct exposition *exposition);

/* Appends an outside name for use in a label: bytes that are no harmless UTF-8
 * become \xHH and a backslash becomes two, so that two names never look alike;
 * that escaped again as the format wants it. */
void prometheus__label(struct strbuf *out, const char *bytes, size_t len);

#endif
