// SPDX-License-Identifier: BSD-2-Clause
#include "model/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct count {
	struct idmap by_key;
	struct port_use *uses;
	uint32_t used;
};

static struct port_use *use_of(struct count *count, uint32_t netns, const uint8_t source[16],
			       const uint8_t destination[16], uint16_t port)
{
	struct {
		uint8_t addrs[32];
		uint32_t netns, port;
	} key = { .netns = netns, .port = port };
	struct port_use *use;
	uint32_t index;
	uint64_t hash;

	memcpy(key.addrs, source, 16);
	memcpy(key.addrs + 16, destination, 16);
	hash = XXH3_64bits(&key, sizeof(key));
	index = idmap__find(&count->by_key, hash);
	if (index != IDMAP_NONE)
		return &count->uses[index];
	if (count->used == PORT_USES_MAX || idmap__put(&count->by_key, hash, count->used))
		return NULL;
	use = &count->uses[count->used++];
	*use = (struct port_use){ .netns = netns, .destination.port = port };
	memcpy(use->source, source, sizeof(use->source));
	memcpy(use->destination.addr, destination, sizeof(use->destination.addr));
	return use;
}

static bool takes_a_port(enum role role)
{
	return role == ROLE_CLIENT || role == ROLE_BOTH;
}

static void count_lives(struct count *count, const struct flow_table *flows)
{
	for (uint32_t i = 0; i < flows->used; i++) {
		const struct life *life = flow_table__open_at(flows, i);
		struct port_use *use;

		/* A life in TIME_WAIT is counted as its minisocket. */
		if (!life || !takes_a_port(life->role) || !life->local.port ||
		    life->flags & LIFE_SOCKET_GONE || !(life->flags & LIFE_PLACE_KNOWN))
			continue;
		use = use_of(count, life->netns, life->local.addr, life->remote.addr, life->remote.port);
		if (use)
			use->in_use++;
	}
}

/* Each minisocket stands for its share of its group's rate. */
static void count_waits(struct count *count, const struct timewaits *waits, uint64_t now_ns)
{
	for (uint32_t i = 0; i < waits->used; i++) {
		const struct wait_entry *entry = timewaits__at(waits, i);
		const struct wait_group *group;
		struct port_use *use;

		if (!entry)
			continue;
		group = &waits->groups[entry->group];
		if (!takes_a_port(group->role) && group->role != ROLE_UNKNOWN)
			continue;
		use = use_of(count, entry->netns, entry->local, entry->remote, entry->remote_port);
		if (!use)
			continue;
		use->in_use++;
		use->time_wait++;
		use->rate += wait_group__rate(group, now_ns) / (group->time_wait + group->fin_wait2);
	}
}

static int most_first(const void *a, const void *b)
{
	const struct port_use *x = a, *y = b;

	return (x->in_use < y->in_use) - (x->in_use > y->in_use);
}

int ports__count(const struct model *model, uint64_t now_ns, struct port_use **uses)
{
	struct count count = { .uses = malloc(PORT_USES_MAX * sizeof(*count.uses)) };

	if (!count.uses || idmap__init(&count.by_key, 0)) {
		free(count.uses);
		return -ENOMEM;
	}
	count_waits(&count, model__timewaits(model), now_ns);
	count_lives(&count, model__flows(model));
	idmap__fini(&count.by_key);
	qsort(count.uses, count.used, sizeof(*count.uses), most_first);
	*uses = count.uses;
	return (int)count.used;
}
