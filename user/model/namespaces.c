// SPDX-License-Identifier: BSD-2-Clause
#include "model/namespaces.h"

#include <stdlib.h>
#include <string.h>

void namespaces__init(struct namespaces *namespaces)
{
	*namespaces = (struct namespaces){ 0 };
}

void namespaces__fini(struct namespaces *namespaces)
{
	free(namespaces->all);
	namespaces__init(namespaces);
}

static struct namespace *find(struct namespaces *namespaces, uint32_t netns)
{
	for (uint32_t i = 0; i < namespaces->used; i++)
		if (namespaces->all[i].netns == netns)
			return &namespaces->all[i];
	return NULL;
}

static struct namespace *find_gone(struct namespaces *namespaces)
{
	for (uint32_t i = 0; i < namespaces->used; i++)
		if (namespaces->all[i].gone)
			return &namespaces->all[i];
	return NULL;
}

static struct namespace *add(struct namespaces *namespaces)
{
	uint32_t room = namespaces->room ? 2 * namespaces->room : 16;
	struct namespace *all;

	if (namespaces->used == NAMESPACES_MAX)
		return find_gone(namespaces);
	if (namespaces->used == namespaces->room) {
		all = realloc(namespaces->all, room * sizeof(*all));
		if (!all)
			return NULL;
		namespaces->all = all;
		namespaces->room = room;
	}
	return &namespaces->all[namespaces->used++];
}

static void begin(struct namespace *ns, const struct ev_netstat *sample)
{
	*ns = (struct namespace){
		.netns = sample->netns,
		.known = sample->known,
		.first_ns = sample->header.time_ns,
	};
	memcpy(ns->first, sample->counters, sizeof(ns->first));
}

/* None of them ever goes down: it is another namespace, which has been given the
 * inode of one that is gone. */
static bool went_down(const struct namespace *ns, const struct ev_netstat *sample)
{
	for (unsigned int i = 0; i < EV_COUNTER_END; i++)
		if (sample->known & ns->known & 1U << i && sample->counters[i] < ns->last[i])
			return true;
	return false;
}

void namespaces__sample(struct namespaces *namespaces, const struct ev_netstat *sample)
{
	struct namespace *ns = find(namespaces, sample->netns);

	if (ns && (ns->gone || went_down(ns, sample))) {
		begin(ns, sample);
	} else if (!ns) {
		ns = add(namespaces);
		if (!ns) {
			namespaces->not_kept++;
			return;
		}
		begin(ns, sample);
	}
	ns->known &= sample->known;
	ns->last_ns = sample->header.time_ns;
	memcpy(ns->last, sample->counters, sizeof(ns->last));
}

void namespaces__sampled(struct namespaces *namespaces, uint64_t time_ns)
{
	for (uint32_t i = 0; i < namespaces->used; i++)
		if (namespaces->all[i].last_ns < time_ns)
			namespaces->all[i].gone = true;
}
