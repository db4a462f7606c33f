/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the agent's JSON goes: a file, standard output, a unix socket, the journal. Each
 * sink has a queue of bounded size and a thread that writes, so that one which
 * is dead, slow or full costs nobody else anything: the event loop only copies
 * lines into the queue. When that is full the newest lines are dropped, counted,
 * and told in the sink itself as a "loss" line as soon as there is room again.
 *
 *   offered = delivered + dropped + queued, in lines
 *
 * The thread tries again until it succeeds, with the same bytes: no line is
 * torn by a disk that was full for a while; one that a stream's peer left
 * half-read is sent again from its beginning.
 */
#ifndef TCPSAGA_AGENT_SINK_H
#define TCPSAGA_AGENT_SINK_H

#include "agent/sink_config.h"

enum { SINK_DRAIN_MS = 3000 }; /* what is not written that long after the end is dropped */

struct sink;

struct sink_state {
	uint64_t offered; /* lines, as are the next two */
	uint64_t delivered;
	uint64_t dropped;
	uint64_t queued_bytes;
	int error; /* errno of the last attempt, 0 when it succeeded */
};

/* NULL with errno. A file that cannot be opened now is tried again later. */
struct sink *sink__new(const struct sink_config *config);

/* Lines, each with its line end; count is how many. Never blocks. now is the
 * time as JSON shows it, for the line that tells of a loss. */
void sink__offer(struct sink *sink, const char *lines, size_t len, uint64_t count, const char now[27]);

/* Opens its file anew, under the same name, before the next line. */
void sink__reopen(struct sink *sink);

/* Level, rotation, compression and the queue's size, from the next line on. The place
 * is the same. */
void sink__configure(struct sink *sink, const struct sink_config *config);

void sink__state(struct sink *sink, struct sink_state *state);

/* As it was made or configured last. Borrowed; for the thread that configures. */
const struct sink_config *sink__config(const struct sink *sink);

/* As sink_config__name(). Borrowed. */
const char *sink__name(const struct sink *sink);

/* No more lines come: what is queued is to be written. For all sinks first,
 * that they share the time they are given. */
void sink__finish(struct sink *sink);

/* After its finish: whether sink__end() would not have to wait any more. */
bool sink__is_over(struct sink *sink);

/* Waits until it is written, SINK_DRAIN_MS behind its finish at most, and drops
 * the rest; state is the last. Frees the sink, unless its thread hangs. */
void sink__end(struct sink *sink, struct sink_state *state);

#endif
