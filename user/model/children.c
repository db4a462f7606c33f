// SPDX-License-Identifier: BSD-2-Clause
#include "model/children.h"

/* Sockets come from slabs: their low bits are alike, the rest is obscured by
 * a constant. Fibonacci hashing takes the high bits. */
static struct child_slot *slot_of(struct children *children, uint64_t socket_id)
{
	return &children->slots[(socket_id * 0x9e3779b97f4a7c15ULL) >> 52];
}

_Static_assert(CHILDREN_SLOTS == 1 << (64 - 52), "the shift above selects a slot");

void children__hold(struct children *children, uint64_t socket_id, uint64_t time_ns)
{
	*slot_of(children, socket_id) = (struct child_slot){ .socket_id = socket_id, .time_ns = time_ns };
}

bool children__fetch(struct children *children, uint64_t socket_id, uint64_t *time_ns)
{
	struct child_slot *slot = slot_of(children, socket_id);

	if (slot->socket_id != socket_id)
		return false;
	*time_ns = slot->time_ns;
	slot->socket_id = 0;
	return true;
}
