/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the agent gives up once all is open: its user, every capability, the
 * system calls and the files that it has no use for. What takes more from then
 * on (the kernel's tables) is asked of the readers (source/tables.h).
 */
#ifndef TCPSAGA_AGENT_PRIVILEGES_H
#define TCPSAGA_AGENT_PRIVILEGES_H

#include <stddef.h>

#include "agent/agent.h"
#include "base/identity.h"

/* Who it will be: --user, else "tcpsaga" where it is root and there is such a
 * user, else who it is. 0 or an exit status, after one line. */
int privileges__choose(struct identity *user, const char *name);

/* The JSON files that are not there yet are made, and belong to the user. */
void privileges__make_files(const struct agent_config *config, const struct identity *user);

/* Gives up everything; what cannot be given up here is said, and so is which
 * file cannot be begun anew by that user. Before there are threads. 0 or an exit status,
 * after one line. */
int privileges__give_up(const struct agent_config *config, const struct identity *user);

/* "user tcpsaga", "uid 0 without capabilities". */
void privileges__describe(const struct identity *user, char *text, size_t size);

#endif
