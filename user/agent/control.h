/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: looking verbs are served from this one agent, as many at once
 * as CONTROL_CLIENTS. Within the caller's event loop, without a thread.
 *
 * Who may: root, the user of the agent, and the group of the socket's directory. The
 * file system sees to that first; then each is asked who it is (SO_PEERCRED).
 *
 * Bounded: CONTROL_GUESTS that have not said yet what they want, each for
 * GUEST_MS at most; when there are more the oldest goes.
 */
#ifndef TCPSAGA_AGENT_CONTROL_H
#define TCPSAGA_AGENT_CONTROL_H

#include "agent/feed.h"

enum { CONTROL_CLIENTS = 16, CONTROL_GUESTS = 32 };

struct control;

struct control_state {
	unsigned int clients; /* now */
	uint64_t served;      /* so far, as are the next ones */
	uint64_t refused;     /* with a word why */
	uint64_t ignored;     /* said nothing, or garbage */
	uint64_t dropped;     /* records, by clients that did not take them */
	uint64_t queued_bytes;
};

/*
 * Listens at path, in a directory that is made if it is missing (0750, of group
 * "tcpsaga" if there is one). NULL with errno and one sentence in message.
 */
struct control *control__new(const char *path, char *message, size_t size);

/* Removes the socket. NULL is accepted. */
void control__free(struct control *control);

/* For the caller's poll. */
int control__fd(const struct control *control);

/* From now on clients are served from this feed, which is borrowed. */
void control__serve(struct control *control, struct feed *feed);

/* Who has come, what they say, and what they can be sent: after each poll of the feed. */
void control__run(struct control *control, uint64_t now_ns);

void control__state(const struct control *control, struct control_state *state);

/* The feed has ended: sends all clients what is queued and the books, and waits for
 * them a second at most. */
void control__end(struct control *control);

#endif
