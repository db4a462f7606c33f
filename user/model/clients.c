// SPDX-License-Identifier: BSD-2-Clause
#include "model/clients.h"

#include <errno.h>

int clients__init(struct clients *clients, uint64_t seed)
{
	*clients = (struct clients){ 0 };
	if (idmap__init(&clients->generations[0], seed) || idmap__init(&clients->generations[1], seed))
		return -ENOMEM;
	return 0;
}

void clients__fini(struct clients *clients)
{
	for (int i = 0; i < 2; i++)
		if (clients->generations[i].slots)
			idmap__fini(&clients->generations[i]);
}

bool clients__age(struct clients *clients, uint64_t now_ns)
{
	if (!clients->since_ns)
		clients->since_ns = now_ns;
	/* Records come a little out of order. */
	if (now_ns < clients->since_ns || now_ns - clients->since_ns < GENERATION_NS)
		return false;
	/* After a long silence both go, and then there is nothing more to do. */
	if (now_ns - clients->since_ns >= 2 * GENERATION_NS)
		clients->since_ns = now_ns - 2 * GENERATION_NS;
	clients->since_ns += GENERATION_NS;
	clients->young ^= 1;
	idmap__clear(&clients->generations[clients->young]);
	return true;
}

enum client clients__find(const struct clients *clients, uint64_t hash, bool *old)
{
	for (unsigned int age = 0; age < 2; age++) {
		uint32_t found = idmap__find(&clients->generations[clients->young ^ age], hash);

		*old = age;
		if (found != IDMAP_NONE)
			return (enum client)found;
	}
	return CLIENT_NONE;
}

bool clients__put(struct clients *clients, uint64_t hash, enum client how_far)
{
	if (clients__count(clients) < CLIENTS_MAX &&
	    !idmap__put(&clients->generations[clients->young], hash, how_far))
		return true;
	clients->not_kept++;
	return false;
}

enum client clients__take(struct clients *clients, uint64_t hash, bool *old)
{
	enum client how_far = CLIENT_NONE;

	*old = false;
	if (!clients__count(clients))
		return CLIENT_NONE;
	how_far = clients__find(clients, hash, old);
	if (how_far != CLIENT_NONE)
		idmap__remove(&clients->generations[clients->young ^ *old], hash);
	return how_far;
}

uint32_t clients__count(const struct clients *clients)
{
	return (uint32_t)(clients->generations[0].used + clients->generations[1].used);
}
