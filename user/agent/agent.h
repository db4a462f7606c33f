/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent: one set of probes, one event loop, every consumer served from it.
 * It runs in the foreground until SIGTERM or SIGINT; then what is under way is
 * written, and the summary. SIGHUP opens files anew, SIGUSR1 logs the counters.
 */
#ifndef TCPSAGA_AGENT_AGENT_H
#define TCPSAGA_AGENT_AGENT_H

#include "agent/feed.h"
#include "source/hooks.h"

enum { AGENT_SETS_MAX = 64 };

struct agent_config {
	const char *metrics;  /* ADDR:PORT; NULL: none */
	const char *textfile; /* NULL: none */
	const char *state;  /* where the heartbeat is kept; NULL: where it is by default, "": nowhere */
	const char *replay; /* a recording in place of the live kernel; NULL: live */
	enum hook_choice hooks;
	const struct filter *filter; /* borrowed */
	struct sink_config sinks[FEED_SINKS_MAX];
	unsigned int sink_count;
	const char *sets[AGENT_SETS_MAX]; /* "RULE.THRESHOLD=VALUE", borrowed */
	unsigned int set_count;
};

/* Returns the exit status, with one line on stderr if it failed. */
int agent__run(const struct agent_config *config);

#endif
