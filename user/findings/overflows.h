/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How often the kernel's table of TIME_WAITs was full, of each namespace, by its
 * own counter (TCPTimeWaitOverflow): for hosts on which no record tells it. Pure.
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
	uint64_t last;	/* the counter */
	uint64_t now_ns;
	uint32_t ticks[OVERFLOW_WINDOW_S]; /* by how much it rose in each of the last seconds */
};

struct overflows {
	struct overflow all[OVERFLOWS_MAX];
};

/* Once a second: what the model's samples of the counters have come to. */
void overflows__measure(struct overflows *overflows, const struct model *model, uint64_t now_ns);

uint64_t overflow__sum(const struct overflow *overflow);

#endif
