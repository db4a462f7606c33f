/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Children in the making: the LISTEN-SYN_RECV record of a passive connection
 * comes before the kernel has given the clone its own tuple and cookie
 * (inet_csk_clone_lock()), microseconds before the next one, which has both.
 * It waits here and is told together with that one, complete.
 *
 * A fixed table of slots chosen by the socket's id. One that is not fetched (a
 * filter kept the next record in the kernel) is overwritten in time; one that
 * is overwritten while it was still wanted costs a life its first entry.
 */
#ifndef TCPSAGA_MODEL_CHILDREN_H
#define TCPSAGA_MODEL_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

enum { CHILDREN_SLOTS = 4096 };

struct child_slot {
	uint64_t socket_id; /* 0: free */
	uint64_t time_ns;
};

struct children {
	struct child_slot slots[CHILDREN_SLOTS];
};

void children__hold(struct children *children, uint64_t socket_id, uint64_t time_ns);

/* Fetches and forgets: true and the time of its LISTEN-SYN_RECV when held. */
bool children__fetch(struct children *children, uint64_t socket_id, uint64_t *time_ns);

#endif
