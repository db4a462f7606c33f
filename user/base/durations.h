/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Durations counted for months: one bucket per power of two, 64-bit counts and
 * their sum. Coarser than a histogram and an eighth of its size; its edges are
 * exact, so that what is shown of it adds up.
 */
#ifndef TCPSAGA_BASE_DURATIONS_H
#define TCPSAGA_BASE_DURATIONS_H

#include <stdint.h>

enum {
	DURATIONS_EDGES = 22,	 /* from 64 us to 134 s */
	DURATIONS_FIRST_US = 64, /* the first edge; each is twice the one before */
};

struct durations {
	uint64_t buckets[DURATIONS_EDGES + 1]; /* the last: beyond every edge */
	uint64_t sum_ns;
};

void durations__add(struct durations *durations, uint64_t ns);

/* Microseconds: bucket i holds what is at most that, and more than the edge
 * before. i is below DURATIONS_EDGES. */
static inline uint64_t durations__edge_us(unsigned int i)
{
	return (uint64_t)DURATIONS_FIRST_US << i;
}

#endif
