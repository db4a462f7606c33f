/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socket that holds a local port, as `tcpsaga port` speaks of it: found by
 * source/holders, judged by model/bind_rules, shown by output/port.
 */
#ifndef TCPSAGA_EVENT_HOLDER_H
#define TCPSAGA_EVENT_HOLDER_H

#include <stdbool.h>
#include <string.h>

#include "event/connection.h"

enum answer {
	ANSWER_UNKNOWN = EV_ANSWER_UNKNOWN,
	ANSWER_NO = EV_ANSWER_NO,
	ANSWER_YES = EV_ANSWER_YES,
};

struct holder {
	struct endpoint local;
	struct endpoint remote; /* port 0: none */
	uint64_t cookie;	/* 0 unknown */
	uint32_t netns;		/* inode */
	uint8_t protocol;	/* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;		/* the socket's own: AF_INET or AF_INET6 */
	uint8_t state;		/* enum ev_state; CLOSE: bound, and no more */
	bool mini;		/* TIME_WAIT, or an orphan's FIN_WAIT2: ends by itself */
	uint8_t reuseaddr;	/* enum answer: SO_REUSEADDR */
	uint8_t reuseport;	/* enum answer: SO_REUSEPORT */
	uint8_t v6only;		/* enum answer: IPV6_V6ONLY; of AF_INET no */
	uint8_t pad;
	uint32_t ifindex;      /* bound to this device, 0 none */
	uint32_t uid;	       /* who made it; 0 for one without a descriptor */
	uint32_t inode;	       /* of its descriptor, 0 none */
	uint32_t expires_ms;   /* of a mini: until its timer fires */
	uint32_t others;       /* processes that hold it besides */
	struct ev_owner owner; /* pid 0: not known */
};

/* They differ in nothing that matters to who would bind: told in one line. */
static inline bool holder__alike(const struct holder *a, const struct holder *b)
{
	return a->netns == b->netns && a->protocol == b->protocol && a->family == b->family &&
	       a->state == b->state && a->mini == b->mini && a->reuseaddr == b->reuseaddr &&
	       a->reuseport == b->reuseport && a->v6only == b->v6only && a->ifindex == b->ifindex &&
	       a->owner.pid == b->owner.pid && (a->mini || a->uid == b->uid) &&
	       !memcmp(a->local.addr, b->local.addr, sizeof(a->local.addr));
}

#endif
