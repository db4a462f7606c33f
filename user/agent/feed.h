/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the source to the model, the tally and the sinks: what the agent does
 * with each record, and the books of it.
 */
#ifndef TCPSAGA_AGENT_FEED_H
#define TCPSAGA_AGENT_FEED_H

#include "agent/outlets.h"
#include "findings/engine.h"
#include "model/tally.h"
#include "source/cgroup_teller.h"
#include "source/source.h"
#include "verbs/heal.h"
#include "verbs/holdups.h"
#include "verbs/unread.h"

struct feed {
	struct source *source; /* owned */
	struct model *model;   /* owned */
	struct tally tally;
	struct engine *engine; /* owned */
	struct holdups holdups;
	struct unread unread;
	struct cgroup_teller cgroups; /* owned; a recording tells its own */
	struct ledger ledger;
	uint64_t unapplied;	      /* records for which there was no memory */
	uint64_t last_ns;	      /* of the last record, boot time */
	bool stopped;		      /* EV_STOP has come */
	struct heal heal;	      /* live only */
	uint64_t losses;	      /* loss records */
	uint64_t looked_ns;	      /* when listeners were sampled last */
	uint64_t look_ns;	      /* when the rules want them sampled again */
	struct tables *looks, *scans; /* borrowed: who reads the kernel's tables; NULL: this process */
	uint32_t wants;		      /* CONTROL_*: what clients want sampled, too */
	uint64_t waits_ns;	      /* when minisockets are sampled again */

	/* Sees each record behind the model; NULL: nobody does. */
	void (*witness)(void *context, const struct ev_header *record);
	void *witness_context; /* borrowed */

	struct outlets outlets; /* who gets which JSON */
};

/* The source is taken over, what the kernel filters is borrowed. 0 or -errno. */
int feed__init(struct feed *feed, struct source *source, const struct kernel_filter *terms);
void feed__fini(struct feed *feed);

/* From here on they read the kernel's tables: one looks, one scans. */
void feed__use_readers(struct feed *feed, struct tables *looks, struct tables *scans);

/* 0 while both answer, else tables__error(). */
int feed__readers_error(const struct feed *feed);

/* The first lines, and what was there before: once the outlets are set. */
void feed__begin(struct feed *feed);

/* The line that tells of it, in this sink only. Behind feed__begin(). */
void feed__tell_gap(struct feed *feed, struct sink *sink, const struct gap *gap);

/* Reads what there is, of events and of the kernel's tables. SOURCE_MORE, SOURCE_END, or a negative errno. */
int feed__poll(struct feed *feed);

/* Reads what has happened until now. */
void feed__settle(struct feed *feed);

/* It is now_ns: what ends by itself, and what findings say of time, is told. */
void feed__pass_time(struct feed *feed, uint64_t now_ns);

/* Listeners are sampled when somebody wants to see them, once a second at most. */
void feed__look_at_listeners(struct feed *feed, uint64_t now_ns);

/* Once a second at least: what the rules want of the kernel's tables, and that
 * time goes on where no record tells it. */
void feed__tick(struct feed *feed, uint64_t now_ns);

/* The books as they are now. */
const struct ledger *feed__ledger(struct feed *feed);

/* Ends the capture; the last lines are in the outlets' queues. 0 or -errno. */
int feed__end(struct feed *feed);

#endif
