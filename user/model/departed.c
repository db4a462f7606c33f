// SPDX-License-Identifier: BSD-2-Clause
#include "model/departed.h"

int departed__init(struct departed *departed, uint64_t seed)
{
	*departed = (struct departed){ 0 };
	return idmap__init(&departed->keys, seed);
}

void departed__fini(struct departed *departed)
{
	idmap__fini(&departed->keys);
}

void departed__watch(struct departed *departed)
{
	departed__rest(departed);
	departed->watching = true;
}

void departed__rest(struct departed *departed)
{
	idmap__clear(&departed->keys);
	departed->watching = false;
	departed->full = false;
}

void departed__add(struct departed *departed, uint64_t key)
{
	if (!departed->watching || departed->full)
		return;
	departed->full = departed->keys.used >= DEPARTED_MAX || idmap__put(&departed->keys, key, 1);
}

bool departed__has(const struct departed *departed, uint64_t key)
{
	return departed->full || idmap__find(&departed->keys, key) != IDMAP_NONE;
}
