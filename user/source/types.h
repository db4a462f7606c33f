/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The names in the kernel's own BTF: of functions, of typedefs, of enumerators.
 *
 * libbpf reads it as well, to load programs. It copies all of it twice before it can be
 * asked for a name, and each new page of that costs more than to look at what is on it:
 * for the few dozens of names that are asked for, here it is read where it is.
 *
 *   types__open()
 *   types__want()   names that will be asked for: all are found in one pass
 *   types__index()  the pass; without it there are no ids
 */
#ifndef TCPSAGA_SOURCE_TYPES_H
#define TCPSAGA_SOURCE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idmap.h"

struct btf_type;

struct types {
	void *all; /* owned: the whole of it */
	size_t size;
	bool mapped;	   /* munmap() returns it, not free() */
	const char *first; /* the type of id 1 */
	const char *end;   /* of types */
	const char *names;
	size_t names_size;
	struct idmap wanted; /* ids of functions and typedefs by hashes of their names; 0: none */
	uint32_t *marks;     /* owned: the place of each MARK_EVERY'th type, likewise */
	uint32_t count;	     /* of types; the highest id */
};

/* The running kernel's. 0 or -errno (-ENOENT: a kernel without BTF, -EINVAL: of a
 * format that is not known). */
int types__open(struct types *types);
void types__fini(struct types *types);

/* A function or typedef, BTF_KIND_*. 0 or -ENOMEM. */
int types__want(struct types *types, unsigned int kind, const char *name);

/* 0, -ENOMEM or -EINVAL. */
int types__index(struct types *types);

/* The id of the type of this kind and name, or -ENOENT; of one that was not wanted it is
 * found by walking through all. */
int types__find(const struct types *types, unsigned int kind, const char *name);

/* The type of an id that find() gave, or that a type of the kernel names; borrowed.
 * NULL: there is none. */
const struct btf_type *types__at(const struct types *types, uint32_t id);

/* All types in the order of their ids: the one behind this, the first behind NULL; NULL
 * behind the last. */
const struct btf_type *types__next(const struct types *types, const struct btf_type *before);

/* The name at a place that a type, a member or an enumerator gives, "" for none. Borrowed. */
const char *types__name(const struct types *types, uint32_t offset);

/* Whether an enum has this name among its values. Walks all types. */
bool types__have_enumerator(const struct types *types, const char *name);

#endif
