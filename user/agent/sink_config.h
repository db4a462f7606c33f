/* SPDX-License-Identifier: BSD-2-Clause */
/* What a sink is to be, as the user writes it. */
#ifndef TCPSAGA_AGENT_SINK_CONFIG_H
#define TCPSAGA_AGENT_SINK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sink_level {
	LEVEL_FINDINGS,	   /* findings and losses */
	LEVEL_CONNECTIONS, /* and one summary per connection */
	LEVEL_TRANSITIONS, /* and every event */
	LEVEL_COUNT
};

enum sink_kind { SINK_FILE, SINK_STDOUT, SINK_STREAM, SINK_DATAGRAM, SINK_JOURNAL };

enum {
	SINK_QUEUE_BYTES = 4 << 20, /* and as much again that is being written */
	SINK_QUEUE_MIN = 64 << 10,
	SINK_PATH_MAX = 1024,
	SINK_NAME_MAX = SINK_PATH_MAX + 16,
};

struct sink_config {
	enum sink_kind kind;
	enum sink_level level;
	char path[SINK_PATH_MAX]; /* "" for standard output */
	size_t queue_bytes;	  /* 0: SINK_QUEUE_BYTES */
	uint64_t rotate_bytes;	  /* of a file; 0: never by size */
	uint64_t rotate_ns;	  /* its age; 0: never by age */
	unsigned int keep;	  /* rotated files: PATH.1 is the newest */
	bool compress;		  /* rotated files: PATH.1.zst */
};

/*
 * "FILE", "-", "unix:PATH", "unixgram:PATH", "journald" or "journald:PATH", then ":LEVEL"
 * or nothing (connections). 0 or -EINVAL with one sentence in message.
 */
int sink_config__parse(struct sink_config *config, const char *text, char *message, size_t size);

/* The level of that name, -EINVAL with one sentence in message for none. */
int sink_level__parse(const char *name, char *message, size_t size);
const char *sink_level__name(enum sink_level level);

/* "file:PATH", "stdout", "unix:PATH", "unixgram:PATH", "journald:PATH": the same for
 * two that write to the same place. */
void sink_config__name(const struct sink_config *config, char name[SINK_NAME_MAX]);

/* What is written to is the same, in the same way: the rest can change while it runs. */
bool sink_config__same_place(const struct sink_config *a, const struct sink_config *b);

#endif
