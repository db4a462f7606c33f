/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of bind() and listen() that were refused, by the place that was asked
 * for: how often, by whom at last, who was in the way, and whether it has
 * listened since. Pure.
 *
 * Bounded: REFUSALS_MAX places; a new one takes that of the oldest.
 */
#ifndef TCPSAGA_FINDINGS_REFUSALS_H
#define TCPSAGA_FINDINGS_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"

enum {
	REFUSALS_MAX = 128,
	REFUSAL_HOLDERS = 4, /* kinds of holders that are told of one refusal */
	REFUSAL_LULL_S = 10, /* after such a pause it is another story */
	/* Who tries one port after another (bindresvport(): those from 512 to 1023)
	 * stays as near as this. */
	REFUSAL_WALK = 512,
};

struct refusal {
	uint64_t id; /* no other has it; 0: a free place */
	uint64_t first_ns;
	uint64_t last_ns;
	uint64_t served_ns; /* when the process that was refused had another port; 0: not seen */
	uint64_t looked_ns; /* of which refusal the holders are; 0: nobody has looked */
	uint32_t count;	    /* since first_ns */
	uint32_t netns;
	uint16_t port;
	uint16_t error; /* of the last, as the rest */
	uint8_t family;
	uint8_t protocol;
	uint8_t call;	 /* enum ev_bind_call */
	uint8_t options; /* EV_BIND_* */
	uint8_t addr[16];
	bool owner_known;
	struct owner owner;
	unsigned int holder_count;
	struct ev_holder holders[REFUSAL_HOLDERS];
};

struct refusals {
	struct refusal all[REFUSALS_MAX];
	uint64_t last_id;
};

void refusals__see(struct refusals *refusals, const struct change *change);

#endif
