// SPDX-License-Identifier: BSD-2-Clause
#include "base/durations.h"

void durations__add(struct durations *durations, uint64_t ns)
{
	unsigned int i = 0;

	while (i < DURATIONS_EDGES && ns > durations__edge_us(i) * 1000)
		i++;
	durations->buckets[i]++;
	durations->sum_ns += ns;
}
