// SPDX-License-Identifier: BSD-2-Clause
#include "model/census.h"

#include <stdlib.h>

#include "model/namespaces.h"

void census__init(struct census *census)
{
	*census = (struct census){ 0 };
}

void census__fini(struct census *census)
{
	free(census->rows);
	*census = (struct census){ 0 };
}

static struct census_row *add_row(struct census *census, uint32_t netns)
{
	uint32_t room = census->room ? census->room * 2 : 16;
	struct census_row *rows;

	if (census->used == NAMESPACES_MAX)
		return NULL;
	if (census->used == census->room) {
		rows = realloc(census->rows, room * sizeof(*rows));
		if (!rows)
			return NULL;
		census->rows = rows;
		census->room = room;
	}
	census->rows[census->used] = (struct census_row){ .netns = netns };
	return &census->rows[census->used++];
}

void census__count(struct census *census, uint32_t netns, unsigned int state)
{
	struct census_row *row = NULL;

	for (uint32_t i = 0; i < census->used && !row; i++)
		if (census->rows[i].netns == netns)
			row = &census->rows[i];
	if (!row)
		row = add_row(census, netns);
	if (row)
		row->counts[state]++;
	else
		census->not_kept++;
}
