/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who gets which line. Sinks with the same filter are one audience, which is asked
 * once; a line is formatted once, whoever gets it, and offered in parcels. Which
 * sinks there are can change while it runs: a sink that stays loses nothing, one that
 * goes writes what it has been offered.
 */
#ifndef TCPSAGA_AGENT_OUTLETS_H
#define TCPSAGA_AGENT_OUTLETS_H

#include "agent/sink.h"
#include "event/capture.h"
#include "output/printer.h"
#include "verbs/select.h"

enum {
	OUTLETS_MAX = 64,
	/* Of all queues: how much a host can lose to sinks that stand still. */
	OUTLETS_QUEUES_BYTES = 128 << 20,
};

struct outlet_config {
	struct sink_config sink;
	const struct filter *filter; /* borrowed until the next outlets__set() has been */
	const char *filter_text;     /* borrowed; two with the same text have the same filter */
};

/* Lines that are offered to the sinks of a level together. */
struct parcel {
	struct strbuf text;
	uint64_t lines;
	unsigned int readers; /* sinks of this level */
};

struct audience {
	char *filter_text; /* owned */
	struct select select;
	struct parcel parcels[LEVEL_COUNT];
};

/* A number that should not rise, and when it last did. */
struct watched {
	uint64_t value;
	uint64_t rose_ns; /* boot time; 0: never */
};

struct outlet {
	struct sink *sink; /* owned */
	struct audience *audience;
	struct watched dropped; /* for who shows its health */
};

struct outlets {
	const struct model *model; /* borrowed */
	struct printer printer;
	struct audience *audiences[2 * OUTLETS_MAX]; /* owned; while they change, old and new */
	unsigned int audience_count;
	struct outlet list[OUTLETS_MAX];
	unsigned int count;
	struct sink *leaving[OUTLETS_MAX]; /* owned: write what they still have */
	unsigned int leaving_count;
	const struct change *printed; /* what the printer's line is about; NULL: nothing */
};

void outlets__init(struct outlets *outlets, const struct model *model, uint64_t realtime_offset_ns);
void outlets__fini(struct outlets *outlets);

/*
 * From now on these. Two have the same place never. With info each new sink is told
 * that it begins now, and each change is logged; NULL: before the beginning. 0, or
 * -errno of the first that failed, which has been logged; the others are as wanted.
 */
int outlets__set(struct outlets *outlets, const struct outlet_config *configs, unsigned int count,
		 const struct capture_info *info);

/* Lines, to all that want them. */
void outlets__begin(struct outlets *outlets, const struct capture_info *info);
void outlets__change(struct outlets *outlets, const struct change *change);
void outlets__finding(struct outlets *outlets, const struct finding *finding);
void outlets__stop(struct outlets *outlets, uint64_t time_ns, const struct ledger *ledger);

/* What was gathered goes into the queues. */
void outlets__offer(struct outlets *outlets);

/* Now and then: lets go of sinks that have left. */
void outlets__reap(struct outlets *outlets);

/* Files are opened anew. */
void outlets__reopen(struct outlets *outlets);

/* Ends the sinks, and logs what became of each, which is in states, too. What is left is
 * written or dropped. */
void outlets__end(struct outlets *outlets, struct sink_state states[OUTLETS_MAX]);

#endif
