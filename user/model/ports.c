// SPDX-License-Identifier: BSD-2-Clause
#include "model/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

struct count {
	struct idmap by_key;
	struct ports *ports;
	double *rates; /* owned; by group, of each of its minisockets; negative: not known yet */
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
		return &count->ports->uses[index];
	if (count->ports->used == PORT_USES_MAX || idmap__put(&count->by_key, hash, count->ports->used))
		return NULL;
	use = &count->ports->uses[count->ports->used++];
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
static double rate_of(struct count *count, const struct timewaits *waits, uint32_t index, uint64_t now_ns)
{
	const struct wait_group *group = &waits->groups[index];

	if (count->rates[index] < 0)
		count->rates[index] =
			wait_group__rate(group, now_ns) / (group->time_wait + group->fin_wait2);
	return count->rates[index];
}

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
		use->rate += rate_of(count, waits, entry->group, now_ns);
	}
}

static int most_first(const void *a, const void *b)
{
	const struct port_use *x = a, *y = b;

	return (x->in_use < y->in_use) - (x->in_use > y->in_use);
}

void ports__fini(struct ports *ports)
{
	free(ports->uses);
	*ports = (struct ports){ 0 };
}

/* Room for what is counted, in place of what was. */
static int begin_count(struct count *count, struct ports *ports, uint32_t groups)
{
	*count = (struct count){ .ports = ports };
	ports->used = 0;
	if (!ports->uses)
		ports->uses = malloc(PORT_USES_MAX * sizeof(*ports->uses));
	count->rates = malloc(groups * sizeof(*count->rates));
	if (!ports->uses || !count->rates || idmap__init(&count->by_key, 0)) {
		free(count->rates);
		ports__fini(ports); /* what was counted before is no more */
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < groups; i++)
		count->rates[i] = -1;
	return 0;
}

int ports__count(struct ports *ports, const struct model *model, uint64_t now_ns)
{
	const struct timewaits *waits = model__timewaits(model);
	uint64_t changes = waits->changes + model__flows(model)->changes;
	struct count count;

	if (ports->uses && ports->changes == changes && now_ns >= ports->steady_ns)
		return 0;
	if (begin_count(&count, ports, waits->group_count))
		return -ENOMEM;
	if (ports->changes != changes)
		ports->steady_ns = now_ns + (TIMEWAIT_RATE_SECONDS + 1) * NS_PER_S;
	ports->changes = changes;
	count_waits(&count, waits, now_ns);
	count_lives(&count, model__flows(model));
	idmap__fini(&count.by_key);
	free(count.rates);
	qsort(ports->uses, ports->used, sizeof(*ports->uses), most_first);
	return 0;
}
