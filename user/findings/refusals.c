// SPDX-License-Identifier: BSD-2-Clause
#include "findings/refusals.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static bool is_of(const struct refusal *refusal, uint32_t netns, uint8_t protocol,
		  const uint8_t addr[16], uint16_t port)
{
	return refusal->id && refusal->netns == netns && refusal->port == port &&
	       refusal->protocol == protocol && !memcmp(refusal->addr, addr, sizeof(refusal->addr));
}

/* That of the place, else a free one, else the oldest. */
static struct refusal *place_for(struct refusals *refusals, const struct ev_bind *bind)
{
	struct refusal *oldest = &refusals->all[0];

	for (unsigned int i = 0; i < REFUSALS_MAX; i++) {
		struct refusal *refusal = &refusals->all[i];

		if (is_of(refusal, bind->netns, bind->protocol, bind->local, bind->port))
			return refusal;
		if (refusal->last_ns < oldest->last_ns)
			oldest = refusal;
	}
	*oldest = (struct refusal){ 0 };
	return oldest;
}

static void see_bind(struct refusals *refusals, const struct change *change)
{
	const struct ev_bind *bind = change->bind;
	struct refusal *refusal = place_for(refusals, bind);

	if (!refusal->id || refusal->last_ns + REFUSAL_LULL_S * NS_PER_S < change->time_ns) {
		*refusal = (struct refusal){ .id = ++refusals->last_id,
					     .first_ns = change->time_ns,
					     .netns = bind->netns,
					     .port = bind->port,
					     .protocol = bind->protocol };
		memcpy(refusal->addr, bind->local, sizeof(refusal->addr));
	}
	refusal->count++;
	refusal->last_ns = change->time_ns;
	refusal->error = bind->error;
	refusal->family = bind->family;
	refusal->call = bind->call;
	refusal->options = bind->options;
	refusal->owner_known = change->owner != NULL;
	if (change->owner)
		refusal->owner = *change->owner;
}

static void see_holder(struct refusals *refusals, const struct ev_holder *holder)
{
	for (unsigned int i = 0; i < REFUSALS_MAX; i++) {
		struct refusal *refusal = &refusals->all[i];

		if (!is_of(refusal, holder->netns, holder->protocol, holder->asked, holder->local_port))
			continue;
		if (refusal->looked_ns != holder->refused_ns)
			refusal->holder_count = 0;
		refusal->looked_ns = holder->refused_ns;
		if (holder->count && refusal->holder_count < REFUSAL_HOLDERS)
			refusal->holders[refusal->holder_count++] = *holder;
		return;
	}
}

static bool same_process(const struct owner *a, const struct owner *b)
{
	return a->pid == b->pid && a->start_cs == b->start_cs;
}

static bool is_near(uint16_t port, uint16_t other)
{
	return port && other && abs(port - other) <= REFUSAL_WALK;
}

/* It listens, on whatever port, or it connects from a port that it has bound, near
 * the one that it was refused. */
static void see_served(struct refusals *refusals, const struct change *change)
{
	for (unsigned int i = 0; i < REFUSALS_MAX; i++) {
		struct refusal *refusal = &refusals->all[i];

		if (!refusal->id || !refusal->owner_known || refusal->netns != change->life->netns ||
		    !same_process(&refusal->owner, change->owner))
			continue;
		if (change->new_state == EV_LISTEN || is_near(refusal->port, change->life->local.port))
			refusal->served_ns = change->time_ns;
	}
}

/* A client's local port is known this early when it was bound. */
static bool has_a_port(const struct change *change)
{
	return change->kind == CHANGE_TRANSITION && change->owner &&
	       (change->new_state == EV_LISTEN ||
		(change->new_state == EV_SYN_SENT && change->life->local.port));
}

void refusals__see(struct refusals *refusals, const struct change *change)
{
	if (change->kind == CHANGE_BIND)
		see_bind(refusals, change);
	else if (change->kind == CHANGE_HOLDER)
		see_holder(refusals, change->holder);
	else if (has_a_port(change))
		see_served(refusals, change);
}
