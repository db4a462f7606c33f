/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which names a set may have, by how they begin: of a hundred thousand names nearly all are
 * told apart by their first bytes, before one has to be hashed whole.
 */
#ifndef TCPSAGA_BASE_BEGINNINGS_H
#define TCPSAGA_BASE_BEGINNINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BEGINNING_BYTES = 4, BEGINNINGS = 4096 };

struct beginnings {
	uint64_t bits[BEGINNINGS / 64]; /* all 0: none */
};

/* len: of the name; there may be more behind it. */
static inline uint32_t beginning_of(const char *name, size_t len)
{
	uint32_t bytes = 0;

	for (size_t i = 0; i < BEGINNING_BYTES && i < len && name[i]; i++)
		bytes = bytes << 8 | (uint8_t)name[i];
	return bytes * 2654435769U >> 20; /* 2^32 over the golden ratio; of it 12 bits */
}

static inline void beginnings__add(struct beginnings *set, const char *name, size_t len)
{
	uint32_t at = beginning_of(name, len);

	set->bits[at / 64] |= 1ULL << at % 64;
}

/* False: no name of the set begins like this one, which ends with a zero. */
static inline bool beginnings__may_have(const struct beginnings *set, const char *name)
{
	uint32_t at = beginning_of(name, BEGINNING_BYTES);

	return set->bits[at / 64] >> at % 64 & 1;
}

#endif
