/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What outlives the agent: a small file that says up to when each sink had
 * everything, so that the next start can tell, in the sink itself, from when to
 * when nobody watched. It is written several times a second: a kill -9 makes the
 * gap that is told a little longer than the one there was, never shorter.
 *
 * In life-cycle order: open, gap (for each sink), beat ..., stop, close. The file
 * is locked, and the one of another boot tells nothing: what was before a reboot is
 * over.
 */
#ifndef TCPSAGA_AGENT_HEARTBEAT_H
#define TCPSAGA_AGENT_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "output/printer.h"

enum { HEARTBEAT_SINKS_MAX = 64, HEARTBEAT_BOOT_LEN = 36 };

/* The file as it is. Only this host reads it again. */
struct heartbeat_file {
	char magic[8];
	char boot[HEARTBEAT_BOOT_LEN + 4]; /* the kernel's id of this boot, zero-padded */
	uint64_t seen_ns;		   /* when the agent was there last, boot time */
	uint32_t stopped;		   /* 1: it ended in good order */
	uint32_t count;			   /* of sinks */
	struct {
		uint64_t id;
		uint64_t seen_ns; /* it had everything until then */
	} sinks[HEARTBEAT_SINKS_MAX];
};

/* How far a sink had come when the ring was seen empty. */
struct heartbeat_mark {
	uint64_t id; /* of the sink */
	uint64_t offered;
	uint64_t dropped;
	uint64_t at_ns;	  /* of the mark; 0: none is set */
	uint64_t seen_ns; /* of the last one that was reached */
};

struct heartbeat {
	int fd; /* -1: not kept */
	struct heartbeat_file found;
	struct heartbeat_file file;
	struct heartbeat_mark marks[HEARTBEAT_SINKS_MAX];
	uint64_t since_ns; /* of the last beat, at first of the opening */
	uint64_t next_ns;  /* when it is to be written */
};

/* The books of a sink, as of now. */
struct heartbeat_sink {
	uint64_t id; /* heartbeat__sink_id() */
	uint64_t offered;
	uint64_t delivered;
	uint64_t dropped;
};

uint64_t heartbeat__sink_id(const char *name, unsigned int level);

/* Opens or creates the file and reads what was left in it. 0 or -errno: -EBUSY when
 * another process keeps it, -EINVAL when it is no regular file. */
int heartbeat__open(struct heartbeat *heartbeat, const char *path);

/* The time until now_ns in which nobody watched; with id 0 of the agent, else of
 * that sink. False: none is known of. */
bool heartbeat__gap(const struct heartbeat *heartbeat, uint64_t id, uint64_t now_ns, struct gap *gap);

/*
 * After each look at the ring: everything until drained_ns was offered to these
 * sinks; 0: the ring is not empty yet. At most HEARTBEAT_SINKS_MAX are kept.
 */
void heartbeat__beat(struct heartbeat *heartbeat, const struct heartbeat_sink *sinks, unsigned int count,
		     uint64_t drained_ns, uint64_t now_ns);

/* After the end: these are the last books, and everything until now_ns was offered. */
void heartbeat__stop(struct heartbeat *heartbeat, const struct heartbeat_sink *sinks, unsigned int count,
		     uint64_t now_ns);
void heartbeat__close(struct heartbeat *heartbeat);

#endif
