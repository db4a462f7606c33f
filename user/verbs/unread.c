// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/unread.h"

#include "base/clock.h"

enum {
	LOOK_EVERY_S = 10,
	ASK_EVERY_S = 2, /* the model, whether there is anything to look for */
	/* A look walks all connections: a hundredth of a core at most. */
	LOOK_SHARE = 100,
	/* A close() that is only slow has come by then. */
	OLD_S = 5,
	LEAST = 5,	/* so many old ones, before anything is read for them */
	TOLD_MAX = 256, /* of a namespace: a share is known of fewer */
};

static bool has_old_ones(const struct model *model, uint64_t now_ns)
{
	const struct flow_table *flows = model__flows(model);
	unsigned int old = 0;

	for (uint32_t i = 0; i < flows->used && old < LEAST; i++) {
		const struct life *life = flow_table__open_at(flows, i);

		old += life && life->state == EV_CLOSE_WAIT &&
		       life->entered_ns + OLD_S * NS_PER_S <= now_ns;
	}
	return old == LEAST;
}

void unread__look(struct unread *unread, const struct model *model, const struct kernel_filter *terms,
		  source_take_fn take, void *context, uint64_t now_ns)
{
	uint64_t began_ns, wait_ns = ASK_EVERY_S * NS_PER_S;

	if (now_ns < unread->next_ns)
		return;
	began_ns = clock__boot_ns();
	if (has_old_ones(model, now_ns)) {
		wait_ns = LOOK_EVERY_S * NS_PER_S;
		/* Where it cannot look it tells nothing, and findings say nothing of it. */
		tables__unread(unread->tables, terms, TOLD_MAX, take, context);
	}
	unread->next_ns = now_ns + (clock__boot_ns() - began_ns) * LOOK_SHARE;
	if (unread->next_ns < now_ns + wait_ns)
		unread->next_ns = now_ns + wait_ns;
}
