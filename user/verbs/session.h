/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session wires a source to the model and the model to a printer, and runs
 * until its end: one looking verb, once.
 */
#ifndef TCPSAGA_VERBS_SESSION_H
#define TCPSAGA_VERBS_SESSION_H

#include "bpf/ledger.h"
#include "output/printer.h"
#include "verbs/options.h"

struct session_config {
	const struct options *options;
	const char *verb;
	enum subject_matter of;
	bool prints;	       /* false: only records */
	const char *record_to; /* file, or NULL */
};

/* Runs it; returns the exit status, with one line on stderr if it failed. */
int session__run(const struct session_config *config);

#endif
