/* SPDX-License-Identifier: BSD-2-Clause */
/* A new configuration for an agent that runs: what can change does, between two
 * looks at the ring, and no event is lost for it. */
#ifndef TCPSAGA_AGENT_RELOAD_H
#define TCPSAGA_AGENT_RELOAD_H

#include "agent/agent.h"

/* first is what the agent was started with. Each change is logged, and what would need
 * a restart. */
void reload__apply(struct feed *feed, const struct agent_config *first,
		   const struct agent_config *before, const struct agent_config *fresh);

#endif
