// SPDX-License-Identifier: BSD-2-Clause
#include "base/histogram.h"

/* Values below 8 have a bucket each; above, the three bits behind the leading
 * one choose the step. */
static unsigned int bucket_of(uint64_t us)
{
	unsigned int power, bucket;

	if (us < HISTOGRAM_STEPS)
		return (unsigned int)us;
	power = 63 - (unsigned int)__builtin_clzll(us);
	bucket = (power - 2) * HISTOGRAM_STEPS + (unsigned int)(us >> (power - 3) & 7);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(unsigned int bucket)
{
	unsigned int power = bucket / HISTOGRAM_STEPS + 2, step = bucket % HISTOGRAM_STEPS;

	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	return ((8ULL + step + 1) << (power - 3)) - 1;
}

void histogram__add(struct histogram *histogram, uint64_t us)
{
	histogram->buckets[bucket_of(us)]++;
	histogram->count++;
	if (us > histogram->max)
		histogram->max = us;
}

uint64_t histogram__quantile(const struct histogram *histogram, double quantile)
{
	uint64_t seen = 0, edge;
	double want = quantile * (double)histogram->count;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (!seen || (double)seen < want)
			continue;
		edge = upper_edge(i);
		return edge < histogram->max ? edge : histogram->max;
	}
	return histogram->max;
}
