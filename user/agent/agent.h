/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent: one set of probes, one event loop, every consumer served from it.
 * It runs in the foreground until SIGTERM or SIGINT; then what is under way is
 * written, and the summary. SIGHUP reads the configuration again and opens files
 * anew, SIGUSR1 logs the counters.
 */
#ifndef TCPSAGA_AGENT_AGENT_H
#define TCPSAGA_AGENT_AGENT_H

#include "agent/feed.h"
#include "source/hooks.h"

enum { AGENT_SETS_MAX = 64 };

struct agent_config {
	const char *metrics;  /* ADDR:PORT; NULL: none */
	const char *textfile; /* NULL: none */
	const char *state; /* where the heartbeat is kept; NULL: where it is by default, "": nowhere */
	const char *user;  /* who it becomes; NULL: privileges__choose() */
	const char *config_path; /* which is read again; NULL: the system's */
	const char *control;	 /* path of the control socket; NULL: none */
	bool control_asked;	 /* it was asked for: not to have it is an error */
	const char *replay;	 /* a recording in place of the live kernel; NULL: live */
	enum hook_choice hooks;
	const struct filter *filter; /* borrowed */
	struct outlet_config outlets[OUTLETS_MAX];
	unsigned int outlet_count;
	const char *sets[AGENT_SETS_MAX]; /* "RULE.THRESHOLD=VALUE", borrowed */
	unsigned int set_count;
};

/* Reads the configuration again. NULL when something is wrong with it, which has been
 * said; else it is valid until the next call that returns one. */
typedef const struct agent_config *(*agent_reread_fn)(void *context);

/* config is valid until it returns. Returns the exit status, with one line on stderr if
 * it failed. */
int agent__run(const struct agent_config *config, agent_reread_fn reread, void *context);

#endif
