/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the agent's JSON goes: a file, standard output, a unix socket. Each
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sink_level {
	LEVEL_FINDINGS,	   /* findings and losses */
	LEVEL_CONNECTIONS, /* and one summary per connection */
	LEVEL_TRANSITIONS, /* and every event */
	LEVEL_COUNT
};

enum sink_kind { SINK_FILE, SINK_STDOUT, SINK_STREAM, SINK_DATAGRAM };

enum {
	SINK_QUEUE_BYTES = 4 << 20, /* and as much again that is being written */
	SINK_PATH_MAX = 1024,
	SINK_DRAIN_MS = 3000, /* what is not written that long after the end is dropped */
};

struct sink_config {
	enum sink_kind kind;
	enum sink_level level;
	char path[SINK_PATH_MAX]; /* "" for standard output */
	size_t queue_bytes;	  /* 0: SINK_QUEUE_BYTES */
	uint64_t rotate_bytes;	  /* of a file; 0: never by size */
	uint64_t rotate_ns;	  /* its age; 0: never by age */
	unsigned int keep;	  /* rotated files: PATH.1 is the newest */
};

/*
 * "FILE", "-", "unix:PATH" or "unixgram:PATH", then ":LEVEL" or nothing (connections).
 * 0 or -EINVAL with one sentence in message.
 */
int sink_config__parse(struct sink_config *config, const char *text, char *message, size_t size);

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

void sink__state(struct sink *sink, struct sink_state *state);

enum sink_level sink__level(const struct sink *sink);

/* "file:PATH", "stdout", "unix:PATH", "unixgram:PATH". Borrowed. */
const char *sink__name(const struct sink *sink);

/* No more lines come: what is queued is to be written. For all sinks first,
 * that they share the time they are given. */
void sink__finish(struct sink *sink);

/* Waits until it is written, SINK_DRAIN_MS behind its finish at most, and drops
 * the rest; state is the last. Frees the sink, unless its thread hangs. */
void sink__end(struct sink *sink, struct sink_state *state);

#endif
