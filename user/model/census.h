/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A count of sockets per state and network namespace, as ss would show them.
 * Pure.
 *
 * Bounded: NAMESPACES_MAX rows; sockets of further namespaces are counted as not
 * kept.
 */
#ifndef TCPSAGA_MODEL_CENSUS_H
#define TCPSAGA_MODEL_CENSUS_H

#include <stdint.h>

#include "bpf/event.h"

struct census_row {
	uint32_t netns;
	uint32_t counts[EV_STATE_END]; /* by enum ev_state */
};

struct census {
	struct census_row *rows; /* owned */
	uint32_t used;
	uint32_t room;
	uint64_t not_kept;
};

void census__init(struct census *census);
void census__fini(struct census *census);

/* One more socket there in this state. */
void census__count(struct census *census, uint32_t netns, unsigned int state);

#endif
