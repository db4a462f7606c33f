/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said over the agent's control socket before records flow: a looking verb
 * asks, the agent answers; then comes a recording (source/recording.h) that has no
 * end. Who asks says that it has enough by shutting down its side; the agent then
 * ends with EV_STOP, the books of this one stream.
 *
 * Fixed sizes, little-endian. Pure.
 */
#ifndef TCPSAGA_EVENT_CONTROL_H
#define TCPSAGA_EVENT_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#define CONTROL_PATH "/run/tcpsaga/control.sock"

enum {
	CONTROL_VERSION = 1,
	CONTROL_REQUEST_BYTES = 32,
	CONTROL_REPLY_BYTES = 256,
};

enum {
	/* control_request.wants */
	CONTROL_ONCE = 1 << 0,	 /* what is known now, and no more */
	CONTROL_WAITS = 1 << 1,	 /* samples of minisockets, where no record tells of them */
	CONTROL_QUEUES = 1 << 2, /* how many requests wait, where no record tells of them */
	CONTROL_WANTS = (1 << 3) - 1
};

struct control_request {
	uint32_t wants; /* CONTROL_* */
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

#endif
