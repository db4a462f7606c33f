/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sinks that the agent's user asks for: --json on the command line and the
 * sections [sink NAME] of the configuration. What a section does not say of rotation
 * and compression, the agent's own options do.
 */
#ifndef TCPSAGA_VERBS_AGENT_SINKS_H
#define TCPSAGA_VERBS_AGENT_SINKS_H

#include "agent/agent.h"

struct sinks_wanted {
	struct sink_wish *wishes; /* owned */
	unsigned int count;
	struct sink_config presets; /* rotation and compression */
};

void sinks_wanted__init(struct sinks_wanted *wanted);
void sinks_wanted__fini(struct sinks_wanted *wanted);

/* The keys that a section may have; NULL ends. */
extern const char *const sink_keys[];

/* These return 0 or an exit status, after one line that begins with where. */

/* --json */
int sinks_wanted__add(struct sinks_wanted *wanted, const char *text, const char *where);

/* A key of [sink NAME]. name and value are copied. */
int sinks_wanted__take(struct sinks_wanted *wanted, const char *name, const char *key, const char *value,
		       const char *where);

/* One of "rotate-size", "rotate-age", "rotate-keep", "compress" for all files. */
int sinks_wanted__preset(struct sinks_wanted *wanted, const char *key, const char *value,
			 const char *where);

/* When all has been read: the outlets of config, which borrow from here. Every sink's
 * filter holds beside the agent's own, whose words these are. */
int sinks_wanted__settle(struct sinks_wanted *wanted, const char *const *words, size_t word_count,
			 struct agent_config *config);

#endif
