// SPDX-License-Identifier: BSD-2-Clause
#include "findings/overflows.h"

#include <string.h>

#include "base/clock.h"

static struct overflow *place_of(struct overflows *overflows, uint32_t netns)
{
	for (unsigned int i = 0; i < OVERFLOWS_MAX; i++) {
		struct overflow *overflow = &overflows->all[i];

		if (!overflow->netns)
			overflow->netns = netns;
		if (overflow->netns == netns)
			return overflow;
	}
	return NULL;
}

/* The ticks of the seconds since the last look begin empty. */
static uint32_t *ticks_of(struct overflow *overflow, uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_S, before = overflow->now_ns / NS_PER_S;

	if (second - before > OVERFLOW_WINDOW_S)
		before = second - OVERFLOW_WINDOW_S;
	while (before < second)
		memset(overflow->ticks[++before % OVERFLOW_WINDOW_S], 0, sizeof(overflow->ticks[0]));
	overflow->now_ns = now_ns;
	return overflow->ticks[second % OVERFLOW_WINDOW_S];
}

static void measure(struct overflows *overflows, const struct namespace *ns, uint64_t now_ns)
{
	struct overflow *overflow = place_of(overflows, ns->netns);
	uint32_t *ticks;

	if (!overflow)
		return;
	/* What was counted before is no news. */
	if (!overflow->now_ns)
		memcpy(overflow->last, ns->first_ns < overflows->since_ns ? ns->last : ns->first,
		       sizeof(overflow->last));
	ticks = ticks_of(overflow, now_ns);
	for (unsigned int i = 0; i < EV_COUNTER_END; i++)
		ticks[i] += (uint32_t)(ns->last[i] - overflow->last[i]);
	memcpy(overflow->last, ns->last, sizeof(overflow->last));
}

void overflows__measure(struct overflows *overflows, const struct model *model, uint64_t now_ns)
{
	const struct namespaces *namespaces = model__namespaces(model);

	for (uint32_t i = 0; i < namespaces->used; i++)
		if (!namespaces->all[i].gone)
			measure(overflows, &namespaces->all[i], now_ns);
}

uint64_t overflow__sum(const struct overflow *overflow, enum ev_counter counter)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < OVERFLOW_WINDOW_S; i++)
		sum += overflow->ticks[i][counter];
	return sum;
}
