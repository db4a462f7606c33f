/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of durations in microseconds, log-linear: eight steps in each
 * power of two, so that a quantile is right to within an eighth. Fixed size,
 * no allocation; merging is adding.
 */
#ifndef TCPSAGA_BASE_HISTOGRAM_H
#define TCPSAGA_BASE_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_STEPS = 8,   /* in a power of two */
	HISTOGRAM_POWERS = 34, /* up to 2^36 us: 19 hours */
	HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * HISTOGRAM_POWERS
};

struct histogram {
	uint32_t buckets[HISTOGRAM_BUCKETS];
	uint64_t count;
	uint64_t max; /* exact */
};

void histogram__add(struct histogram *histogram, uint64_t us);

/* The upper edge of the bucket in which the quantile (0 to 1) lies, at most
 * max; 0 when nothing was counted. */
uint64_t histogram__quantile(const struct histogram *histogram, double quantile);

#endif
