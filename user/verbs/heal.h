/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When the kernel's tables are read: at the start for what existed before, after
 * a loss so that the model is right again, now and then in case of what nobody
 * noticed; and where no record tells of minisockets these again and again.
 */
#ifndef TCPSAGA_VERBS_HEAL_H
#define TCPSAGA_VERBS_HEAL_H

#include "model/model.h"
#include "source/scan.h"

/* States whose end no record may tell, 1 << EV_*: of those that wait for the answer to
 * their FIN, and of minisockets. */
#define HEAL_FIN_STATES (1U << EV_FIN_WAIT1 | 1U << EV_CLOSING | 1U << EV_LAST_ACK)
#define HEAL_WAIT_STATES (1U << EV_FIN_WAIT2 | 1U << EV_TIME_WAIT)

struct heal {
	const struct kernel_filter *terms; /* borrowed */
	struct tables *tables;		   /* borrowed: who reads them; NULL: this process */
	bool regular;			   /* also without a loss, each minute */
	bool waits;			   /* no record tells of minisockets: as long as there are any */
	struct scan *scan;		   /* owned; NULL: none is under way */
	bool begun;			   /* the first one has been */
	uint32_t missed;  /* states of what the last one missed, for the one under way; 0: it is whole */
	uint32_t unsure;  /* the same of what the one that decided about them has missed itself */
	bool only_waits;  /* the one under way reads nothing else */
	bool narrow;	  /* the last one was for overdue ends, and reads little else */
	bool wait_missed; /* the last one of those missed some: another has to decide */
	bool off;	  /* it cannot be done here */
	bool stale;	  /* the last look did not come to its end */
	uint64_t losses;  /* that had been told when the last one began */
	uint64_t began_ns;
	uint64_t next_ns; /* when the next regular one is due */
	uint64_t next_waits_ns;
	uint64_t earliest_ns;	 /* no other one begins before */
	uint64_t looked_ns;	 /* when the last one began that would see overdue ends */
	uint64_t next_search_ns; /* for lives whose end is overdue: a part of the table each */
	uint64_t overdue_ns;	 /* none of these brings the next one forward before */
	uint32_t hand;		 /* where the search goes on */
};

/*
 * Starts a scan when one is due, hands out what one under way has ready. losses:
 * how many loss records there have been. 0, or what take() returned, or -errno;
 * that tables cannot be read is said on stderr and no error.
 */
int heal__step(struct heal *heal, struct source *source, struct model *model, uint64_t losses,
	       source_take_fn take, void *context);

/* 0, or, where somebody waits for the answer to a FIN or for the other's FIN, and the
 * record of it may never have come, what it can be in by now. Walks all lives. */
uint32_t heal__unended(const struct model *model);

/*
 * The last look, for states that no record tells the end of: ends a scan that is
 * under way and waits for one of these states only, LAST_MS at most. None where the
 * first look has not come to its end. As above.
 */
int heal__last(struct heal *heal, uint32_t states, struct source *source, struct model *model,
	       source_take_fn take, void *context);

/* Nothing is in doubt: the last whole look began after this many loss records and has
 * left nothing to be decided by another. */
bool heal__is_right(const struct heal *heal, uint64_t losses);

/* Ends a scan that is under way. */
void heal__stop(struct heal *heal);

#endif
