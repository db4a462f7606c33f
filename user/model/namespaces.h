/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network namespaces with what each has counted: the first and the latest
 * sample of its counters, so how much they have moved. Pure.
 *
 * Bounded: at most NAMESPACES_MAX; those that are gone go first, then none: one
 * beyond that is counted as not kept.
 */
#ifndef TCPSAGA_MODEL_NAMESPACES_H
#define TCPSAGA_MODEL_NAMESPACES_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"

enum { NAMESPACES_MAX = 1024 };

struct namespace
{
	uint32_t netns;
	uint32_t known; /* bit (1 << EV_COUNT_*): in both samples */
	bool gone;	/* a complete sample had it no more */
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t first[EV_COUNTER_END];
	uint64_t last[EV_COUNTER_END];
};

struct namespaces {
	struct namespace *all; /* owned; grows up to NAMESPACES_MAX */
	uint32_t used;
	uint32_t room;
	uint64_t not_kept; /* samples */
};

void namespaces__init(struct namespaces *namespaces);
void namespaces__fini(struct namespaces *namespaces);

void namespaces__sample(struct namespaces *namespaces, const struct ev_netstat *sample);

/* All namespaces there are have been sampled at this time. */
void namespaces__sampled(struct namespaces *namespaces, uint64_t time_ns);

static inline bool namespace__knows(const struct namespace *ns, unsigned int counter)
{
	return ns->known >> counter & 1;
}

/* By how much it has moved since the first sample. */
static inline uint64_t namespace__moved(const struct namespace *ns, unsigned int counter)
{
	return ns->last[counter] - ns->first[counter];
}

#endif
