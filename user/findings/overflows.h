/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each namespace has counted of late, by the kernel's own counters, for hosts
 * on which no record tells it: a full table of TIME_WAITs, full SYN queues, cookies.
 * Pure.
 *
 * Bounded: OVERFLOWS_MAX namespaces; those beyond are not looked at.
 */
#ifndef TCPSAGA_FINDINGS_OVERFLOWS_H
#define TCPSAGA_FINDINGS_OVERFLOWS_H

#include "findings/services.h"
#include "model/model.h"

enum { OVERFLOWS_MAX = 256, OVERFLOW_WINDOW_S = 10 };

struct overflow {
	uint32_t netns; /* 0: a free place */
	uint64_t last[EV_COUNTER_END];
	uint64_t now_ns;
	/* By how much each rose in each of the last seconds. */
	uint32_t ticks[OVERFLOW_WINDOW_S][EV_COUNTER_END];
};

struct overflows {
	struct overflow all[OVERFLOWS_MAX];
	uint64_t since_ns; /* of what was counted before only the rise is news */
};

/* Once a second: what the model's samples of the counters have come to. */
void overflows__measure(struct overflows *overflows, const struct model *model, uint64_t now_ns);

/* How much it has risen in OVERFLOW_WINDOW_S. */
uint64_t overflow__sum(const struct overflow *overflow, enum ev_counter counter);

#endif
