/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which changes the user asked for: kinds of event and the filter.
 *
 * A filter may not be decidable yet: the local port of a connecting socket is
 * 0 in its first transition, a passive connection has no owner until a system
 * call shows it. Such transitions are withheld, and told from the life's
 * history as soon as the filter says yes; a life is never lost for it.
 */
#ifndef TCPSAGA_VERBS_SELECT_H
#define TCPSAGA_VERBS_SELECT_H

#include "base/idmap.h"
#include "event/filter.h"
#include "model/model.h"

enum { SELECT_WITHHELD_MAX = 65536 }; /* lives; beyond it an undecided one is shown */

struct select {
	const struct filter *filter; /* borrowed */
	const struct model *model;   /* borrowed: owners of lives */
	bool all;		     /* the filter lets everything pass */
	uint32_t kinds;		     /* bit (1 << CHANGE_*) for each that is shown */
	struct idmap withheld;	     /* life.key to what is withheld of it */
};

/* Called for each change to show. */
typedef void (*select_show_fn)(void *context, const struct change *change);

/* 0 or -ENOMEM. */
int select__init(struct select *select, const struct filter *filter, const struct model *model);
void select__fini(struct select *select);

/* A life as the filter sees it; states: those that count, a bit (1 << EV_<state>) each. */
struct filter_subject select__subject(const struct life *life, const struct owner *owner, uint32_t states);

/* Shows the change if it is wanted, and first what was withheld of its life. */
void select__change(struct select *select, const struct change *change, select_show_fn show,
		    void *context);

#endif
