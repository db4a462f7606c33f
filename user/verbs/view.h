/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a looking verb adds to the session that all of them share: which hooks
 * it needs, which changes it prints as they come, what it reads of the kernel's
 * tables, what it shows once a second. Each verb's file holds its view.
 */
#ifndef TCPSAGA_VERBS_VIEW_H
#define TCPSAGA_VERBS_VIEW_H

#include "output/printer.h"
#include "source/cgroup_teller.h"
#include "source/hooks.h"
#include "source/source.h"
#include "verbs/batch.h"
#include "verbs/options.h"
#include "verbs/heal.h"
#include "verbs/select.h"

struct session;

/* When the tables are read: verbs/heal.c. */
enum {
	HEALS = 1 << 0,		  /* at the start, for what existed before, and after a loss */
	HEALS_REGULARLY = 1 << 1, /* also each minute */
	HEALS_WAITS = 1 << 2,	  /* minisockets, where no record tells of them */
};

/* All but of and hooks may be left out (NULL). */
struct view {
	enum subject_matter of;

	/* HEALS_*: it needs every connection, also those that existed before, and to
	 * be right again after a loss. */
	unsigned int heals;

	/* CONTROL_*: what an agent is asked to sample for it. */
	uint32_t samples;

	/* Bit (1 << HOOK_*) of each hook behind what is to be seen. HOOK_STATE is
	 * always among them. */
	uint32_t (*hooks)(const struct options *options);

	/* Bit (1 << CHANGE_*) of each kind that is printed as it comes. */
	uint32_t (*changes)(const struct options *options);

	/* What it wants of the model. The source is open. */
	void (*tune)(const struct session *session, struct model_config *config);

	/* Reads the kernel's own tables into the model, but for those that an agent
	 * reads. Not of a recording; before each poll, and due when show() comes next. */
	void (*look)(struct session *session, uint64_t now_ns, bool due);

	/* A snapshot of the model: once a second, and at the end. */
	void (*show)(struct session *session, uint64_t now_ns);

	/* What is left to tell when the source has ended. */
	void (*finish)(struct session *session);

	/* The model and the printer are there. 0 or, after one line, an exit status. */
	int (*begin)(struct session *session);

	/* Time goes on to that of a record, which is not yet in the model. */
	void (*pass)(struct session *session, uint64_t time_ns);

	/* Each change, whatever the filter says of it. */
	void (*see)(struct session *session, const struct change *change);

	/* The exit status when nothing went wrong. */
	int (*status)(const struct session *session);
};

/* As a view sees it. */
struct session {
	const struct view *view;
	const struct options *options;
	void *context;	       /* the view's own, borrowed */
	struct source *source; /* owned */
	struct model *model;   /* owned */
	struct select select;
	struct printer printer;
	struct kernel_filter terms; /* what of the filter the kernel applies */

	/* samples.c */
	bool sampled;	       /* the first sample has been taken */
	uint64_t next_dump_ns; /* boot time */

	/* session.c */
	bool estimates_waits;		 /* so the model does */
	bool fed;			 /* by an agent, which also reads the kernel's tables */
	bool joined;			 /* what the agent knew is known here */
	struct recording_writer *writer; /* owned; NULL: not recording */
	const char *record_to;
	bool prints;
	struct heal heal;
	uint64_t losses;	/* loss records */
	uint64_t census_losses; /* that there had been at the last count of the states */
	struct ledger ledger;
	struct cgroup_teller cgroups; /* owned; a recording tells its own */
	struct batch batch;	      /* records that are not taken yet */
	uint64_t shown;
	uint64_t next_snapshot_ns; /* boot time */
	uint64_t until_ns;	   /* boot time of the source; UINT64_MAX: none */
	uint64_t last_ns;	   /* of the last record: where a cut recording ends */
	bool enough;		   /* no more is to be shown */
	bool time_up;		   /* --duration is over: no more is to be looked at */
	bool last_look;		   /* but for what the tables say in the end */
	bool stopped;		   /* EV_STOP has come */
	bool closed;		   /* standard output's reader has gone */
	int error;		   /* -errno of the first output that failed */
};

/* Takes a record that the view has read itself: counted, kept, not shown. */
int session__take_rest(void *session, const void *record, size_t len);

/* Shows the change if it is one of those that the user wants. */
void session__tell(struct session *session, const struct change *change);

/* Something was shown: --count may be reached. */
void session__count_shown(struct session *session);

/* What the filter says of something that is no change. */
static inline bool session__wants(const struct session *session, const struct filter_subject *subject)
{
	return filter__match(session->options->filter, subject) != FILTER_NO;
}

/* The kind of a hook in this capture, as in its start line: "fentry"; "none"
 * when it does not work or was not wanted. */
void session__hook_kind(const struct session *session, const char *hook, char kind[16]);
bool session__has_hook(const struct session *session, const char *hook);

#endif
