/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a view looks at the kernel's own tables, and at which: what existed
 * before the start, and what no event tells on this host.
 */
#ifndef TCPSAGA_VERBS_SAMPLES_H
#define TCPSAGA_VERBS_SAMPLES_H

#include "verbs/view.h"

/* None of these where an agent feeds the session: it does it.
 *
 * The listeners: limits, and the depths that no event tells. */
void samples__listeners(struct session *session);

/* All of them: for --once, which has nothing else. */
void samples__once(struct session *session);

/*
 * Listeners, connections and minisockets: once at the start, for what was there
 * before; where no record tells of minisockets again and again, the more seldom
 * the longer it takes.
 */
void samples__sockets(struct session *session, uint64_t now_ns);

#endif
