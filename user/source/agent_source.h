/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A running agent as a source: what it knows, then each record as it comes, over its
 * control socket (event/control.h).
 */
#ifndef TCPSAGA_SOURCE_AGENT_SOURCE_H
#define TCPSAGA_SOURCE_AGENT_SOURCE_H

#include <stdint.h>

#include "source/holders.h"
#include "source/source.h"

/*
 * Asks the agent at path (borrowed) for what wants says (CONTROL_*). NULL with errno
 * and one sentence in message:
 *   ENOENT, ECONNREFUSED    no agent listens there
 *   EACCES, EPERM           not for this user
 *   EBUSY                   it serves as many as it can
 *   ENOTSUP                 one of another version
 *   EBADMSG, ETIMEDOUT      it does not answer as an agent does
 *   other                   of connect() or read()
 *
 * Its poll returns SOURCE_END behind what was asked for once, -ESHUTDOWN when the
 * agent has ended in good order, -ECONNRESET when it has gone without a word, and
 * -EBADMSG when what came is damaged; agent_source__explain() then has the words.
 */
struct source *agent_source__new(const char *path, uint32_t wants, char *message, size_t size);

/*
 * Asks the agent at path who holds the port, in the namespace with this inode or (0)
 * in all. 0, and holders are the caller's; else -errno as above and one sentence in
 * message, or what the agent's own look came to:
 *   -ESRCH        no such namespace
 *   -EOPNOTSUPP   it does not look at the kernel's tables
 */
int agent_source__holders(struct holders *holders, const char *path, uint16_t port, uint32_t netns,
			  char *message, size_t size);

/* What the poll's error means. */
void agent_source__explain(const struct source *source, int err, char *message, size_t size);

#endif
