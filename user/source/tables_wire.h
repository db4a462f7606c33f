/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a reader of the kernel's tables (tables_reader.c) and its caller
 * (tables.c) say to each other over a SOCK_SEQPACKET pair:
 *
 *   caller   struct question
 *   reader   struct reply, REPLY_ROWS    any number of them; each waits for
 *   caller   struct go_on                  this, so that nothing is read ahead
 *   reader   struct reply, REPLY_RESULT  the last one
 *
 * The first word is the reader's: a result, when it is ready. Both sides are
 * of one program, and yet each checks every word of the other.
 */
#ifndef TCPSAGA_SOURCE_TABLES_WIRE_H
#define TCPSAGA_SOURCE_TABLES_WIRE_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/settings.h"
#include "source/tables.h"

enum question_kind {
	ASK_LISTENERS = 1, /* netns, extras: records */
	ASK_SOCKETS,	   /* terms, states, extras: records */
	ASK_UNREAD,	   /* terms, max: records */
	ASK_ALL,	   /* terms, extras: records */
	ASK_HOLDERS, /* netns, port: struct holder, then struct holders_told as the result's data */
	ASK_CGROUP,  /* cgroup: its path as the result's data, and its length as the result */
	ASK_END
};

struct question {
	uint32_t kind; /* enum question_kind */
	uint32_t netns;
	uint32_t states;
	uint32_t extras; /* SNAPSHOT_* */
	uint32_t port;
	uint32_t max;
	uint64_t cgroup;
	struct kernel_filter terms;
};

enum reply_kind { REPLY_ROWS = 1, REPLY_RESULT };

enum { REPLY_BYTES = 60 * 1024 };

struct reply {
	uint32_t kind;	/* enum reply_kind */
	uint32_t len;	/* bytes of data that are sent */
	int32_t result; /* 0, -errno, or what the question says */
	uint32_t pad;
	/* Of a result: what the reader has cost so far. */
	uint64_t user_us;
	uint64_t system_us;
	uint64_t resident_bytes;
	alignas(8) char data[REPLY_BYTES];
};

static inline size_t reply__bytes(const struct reply *reply)
{
	return offsetof(struct reply, data) + reply->len;
}

struct go_on {
	uint32_t more; /* 0: no more rows are wanted */
};

struct holders_told {
	uint32_t unseen; /* HOLDERS_* */
	int32_t options_error;
	uint32_t netns_visited;
	uint32_t pad;
	uint64_t taken_ns;
};

/* The reader's whole life: gives up what it does not need, serves the socket
 * until its end. Returns the exit status. */
int tables_reader__run(int socket, const struct tables_config *config, int parent);

#endif
