/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said over the agent's control socket before records flow: a looking verb
 * asks, the agent answers; then comes a recording (source/recording.h) that has no
 * end. Who asks says that it has enough by shutting down its side; the agent then
 * ends with EV_STOP, the books of this one stream.
 *
 * Who asks for the holders of a port gets, behind the reply, a head and as many rows as
 * it says, and no recording. That request is of version 2, which an agent of version 1
 * refuses with a word why; all else is of version 1.
 *
 * Fixed sizes, little-endian. Pure.
 */
#ifndef TCPSAGA_EVENT_CONTROL_H
#define TCPSAGA_EVENT_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "event/holder.h"

#define CONTROL_PATH "/run/tcpsaga/control.sock"

enum {
	CONTROL_VERSION = 1,
	CONTROL_VERSION_HOLDERS = 2, /* of requests only: CONTROL_HOLDERS, and nothing else */
	CONTROL_REQUEST_BYTES = 32,
	CONTROL_REPLY_BYTES = 256,
	CONTROL_HEAD_BYTES = 32,
	CONTROL_HOLDER_BYTES = 128,
	CONTROL_HOLDERS_MAX = 1 << 18, /* rows: 32 MiB */
};

enum {
	/* control_request.wants */
	CONTROL_ONCE = 1 << 0,	  /* what is known now, and no more */
	CONTROL_WAITS = 1 << 1,	  /* samples of minisockets, where no record tells of them */
	CONTROL_QUEUES = 1 << 2,  /* how many requests wait, where no record tells of them */
	CONTROL_HOLDERS = 1 << 3, /* who holds the port, alone */
	CONTROL_WANTS = (1 << 4) - 1
};

struct control_request {
	uint32_t wants; /* CONTROL_* */
	uint32_t netns; /* of CONTROL_HOLDERS: inode, 0 all; else 0 */
	uint16_t port;	/* of CONTROL_HOLDERS: never 0; else 0 */
};

void control_request__encode(const struct control_request *request, uint8_t bytes[CONTROL_REQUEST_BYTES]);

/*
 * Of the first len bytes that came. 0: it is whole; 1: more have to come; -EBADMSG:
 * it will never be a request; -ENOTSUP: it is one of a later version.
 */
int control_request__decode(struct control_request *request, const uint8_t *bytes, size_t len);

enum control_status {
	CONTROL_OK = 0,	   /* the recording follows */
	CONTROL_BUSY,	   /* as many as can be are served */
	CONTROL_FORBIDDEN, /* not for this user */
	CONTROL_OTHER_VERSION,
	CONTROL_STATUS_END
};

struct control_reply {
	enum control_status status;
	char text[192]; /* why not, in one sentence; NUL-terminated */
};

void control_reply__encode(const struct control_reply *reply, uint8_t bytes[CONTROL_REPLY_BYTES]);

/* 0; -EBADMSG: no agent of ours has said this; -ENOTSUP: one of a later version. */
int control_reply__decode(struct control_reply *reply, const uint8_t bytes[CONTROL_REPLY_BYTES]);

/* Before the holders. */
struct control_head {
	uint64_t taken_ns;	/* boot time of the look */
	uint32_t count;		/* rows that follow, CONTROL_HOLDERS_MAX at most; 0 with an error */
	uint32_t unseen;	/* as of the look */
	int32_t error;		/* 0, or the look's -errno */
	int32_t options_error;	/* 0 or -errno */
	uint32_t netns_visited; /* namespaces */
};

void control_head__encode(const struct control_head *head, uint8_t bytes[CONTROL_HEAD_BYTES]);

/* 0 or -EBADMSG. */
int control_head__decode(struct control_head *head, const uint8_t bytes[CONTROL_HEAD_BYTES]);

void control_holder__encode(const struct holder *holder, uint8_t bytes[CONTROL_HOLDER_BYTES]);

/* 0 or -EBADMSG. */
int control_holder__decode(struct holder *holder, const uint8_t bytes[CONTROL_HOLDER_BYTES]);

#endif
