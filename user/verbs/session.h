/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session wires a source to the model and the model to a printer, and runs
 * until its end: one looking verb, once.
 */
#ifndef TCPSAGA_VERBS_SESSION_H
#define TCPSAGA_VERBS_SESSION_H

#include "verbs/view.h"

struct session_config {
	const struct options *options;
	const struct view *view;
	void *context;	       /* the view's own */
	const char *record_to; /* file, or NULL */
	bool silent;	       /* prints nothing: only records */
};

/* Runs it; returns the exit status, with one line on stderr if it failed. */
int session__run(const struct session_config *config);

/* The whole of a looking verb that has no more to check than its syntax. */
int session__verb(const struct verb_syntax *syntax, const struct view *view, int argc, char **argv);

#endif
