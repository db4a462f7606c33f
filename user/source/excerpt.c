// SPDX-License-Identifier: BSD-2-Clause
#include "source/excerpt.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/idmap.h"
#include "base/strbuf.h"

struct excerpt {
	const struct types *types;
	struct idmap roots;   /* hashes of the names of types */
	struct idmap members; /* of members */
	struct idmap ids;     /* of the kernel's types: which id they have here */
	uint32_t *taken;      /* owned: the kernel's ids, in the order of those here */
	uint32_t count;
	struct strbuf body; /* what taken types are, as far as they have been told */
	struct strbuf names;
	bool failed; /* out of memory */
};

/* "sock___old" is another view of "sock" (libbpf's flavors). Two names of one hash would
 * bring a type too many, and no harm. */
static uint64_t hash_of(const char *name)
{
	const char *flavor = strstr(name, "___");

	return XXH3_64bits(name, flavor ? (size_t)(flavor - name) : strlen(name));
}

static bool is_wanted(const struct idmap *names, const char *name)
{
	return idmap__find(names, hash_of(name)) != IDMAP_NONE;
}

static bool is_enum(const struct btf_type *type)
{
	return btf_kind(type) == BTF_KIND_ENUM || btf_kind(type) == BTF_KIND_ENUM64;
}

/* The place in the names; 0 is no name. */
static uint32_t put_name(struct excerpt *excerpt, uint32_t kernels)
{
	const char *name = types__name(excerpt->types, kernels);
	uint32_t at = (uint32_t)excerpt->names.len;

	if (!*name)
		return 0;
	strbuf__append(&excerpt->names, name, strlen(name) + 1);
	return at;
}

/* The id here of a type of the kernel, which is told later. */
static uint32_t take(struct excerpt *excerpt, uint32_t kernels)
{
	uint32_t id = kernels ? idmap__find(&excerpt->ids, kernels) : 0;
	uint32_t *taken = excerpt->taken;

	if (id != IDMAP_NONE)
		return id;
	if (!(excerpt->count & (excerpt->count + 1))) /* room for twice as many */
		taken = reallocarray(taken, 2 * (size_t)excerpt->count + 2, sizeof(*taken));
	if (taken)
		excerpt->taken = taken;
	if (!taken || idmap__put(&excerpt->ids, kernels, excerpt->count + 1)) {
		excerpt->failed = true;
		return 0;
	}
	taken[excerpt->count++] = kernels;
	return excerpt->count;
}

/* Its members that are wanted; unnamed ones have some within. */
static void put_members(struct excerpt *excerpt, const struct btf_type *type)
{
	struct btf_type told = { .name_off = put_name(excerpt, type->name_off), .size = type->size };
	size_t place = excerpt->body.len;
	uint32_t kept = 0;

	strbuf__append(&excerpt->body, &told, sizeof(told));
	for (const struct btf_member *from = btf_members(type);
	     from < btf_members(type) + btf_vlen(type); from++) {
		const char *name = types__name(excerpt->types, from->name_off);
		struct btf_member member = { .offset = from->offset };

		if (*name && !is_wanted(&excerpt->members, name))
			continue;
		member.name_off = put_name(excerpt, from->name_off);
		member.type = take(excerpt, from->type);
		strbuf__append(&excerpt->body, &member, sizeof(member));
		kept++;
	}
	told.info = (type->info & ~0xffffU) | kept;
	if (!excerpt->body.failed)
		memcpy(excerpt->body.data + place, &told, sizeof(told));
}

/* Both kinds begin with the name. */
static void put_enumerators(struct excerpt *excerpt, const struct btf_type *type)
{
	size_t each =
		btf_kind(type) == BTF_KIND_ENUM ? sizeof(struct btf_enum) : sizeof(struct btf_enum64);
	const char *from = (const char *)(type + 1);

	for (unsigned int i = 0; i < btf_vlen(type); i++, from += each) {
		uint32_t kernels, name;

		memcpy(&kernels, from, sizeof(kernels));
		name = put_name(excerpt, kernels);
		strbuf__append(&excerpt->body, &name, sizeof(name));
		strbuf__append(&excerpt->body, from + sizeof(name), each - sizeof(name));
	}
}

static void put_array(struct excerpt *excerpt, const struct btf_type *type)
{
	struct btf_array array = *btf_array(type);

	array.type = take(excerpt, array.type);
	array.index_type = take(excerpt, array.index_type);
	strbuf__append(&excerpt->body, &array, sizeof(array));
}

/* What a pointer points to is not followed: to libbpf one is as good as another. */
static void put_type(struct excerpt *excerpt, const struct btf_type *type)
{
	struct btf_type told = { .info = type->info, .size = type->size };

	if (btf_is_composite(type)) {
		put_members(excerpt, type);
		return;
	}
	told.name_off = put_name(excerpt, type->name_off);
	if (btf_is_ptr(type) || btf_is_func_proto(type))
		told.type = 0;
	else if (btf_is_mod(type) || btf_is_typedef(type) || btf_kind(type) == BTF_KIND_TYPE_TAG)
		told.type = take(excerpt, type->type);
	if (btf_is_func_proto(type))
		told.info &= ~0xffffU;
	strbuf__append(&excerpt->body, &told, sizeof(told));
	if (btf_is_int(type))
		strbuf__append(&excerpt->body, type + 1, sizeof(uint32_t));
	else if (btf_is_array(type))
		put_array(excerpt, type);
	else if (is_enum(type))
		put_enumerators(excerpt, type);
}

static int want(struct idmap *names, const struct btf *programs, uint32_t name)
{
	const char *text = btf__name_by_offset(programs, name);

	return text && *text ? idmap__put(names, hash_of(text), 1) : 0;
}

static int want_names(struct excerpt *excerpt, const struct btf *programs)
{
	int err = 0;

	for (uint32_t id = 1; id < btf__type_cnt(programs) && !err; id++) {
		const struct btf_type *type = btf__type_by_id(programs, id);

		if (!btf_is_composite(type) && !is_enum(type))
			continue;
		err = want(&excerpt->roots, programs, type->name_off);
		for (unsigned int i = 0; btf_is_composite(type) && i < btf_vlen(type) && !err; i++)
			err = want(&excerpt->members, programs, btf_members(type)[i].name_off);
	}
	return err;
}

static void put_types(struct excerpt *excerpt)
{
	const struct btf_type *type = NULL;

	strbuf__append(&excerpt->names, "", 1);
	for (uint32_t id = 1; (type = types__next(excerpt->types, type)); id++)
		if ((btf_is_composite(type) || is_enum(type)) &&
		    is_wanted(&excerpt->roots, types__name(excerpt->types, type->name_off)))
			take(excerpt, id);
	for (uint32_t i = 0; i < excerpt->count && !excerpt->failed; i++)
		put_type(excerpt, types__at(excerpt->types, excerpt->taken[i]));
}

static int write_out(const struct excerpt *excerpt, int fd)
{
	const struct btf_header header = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(header),
		.type_len = (uint32_t)excerpt->body.len,
		.str_off = (uint32_t)excerpt->body.len,
		.str_len = (uint32_t)excerpt->names.len,
	};
	struct strbuf all;
	int err = 0;

	if (excerpt->failed || excerpt->body.failed || excerpt->names.failed)
		return -ENOMEM;
	strbuf__init(&all);
	strbuf__append(&all, &header, sizeof(header));
	strbuf__append(&all, excerpt->body.data, excerpt->body.len);
	strbuf__append(&all, excerpt->names.data, excerpt->names.len);
	if (all.failed)
		err = -ENOMEM;
	else if (write(fd, all.data, all.len) != (ssize_t)all.len)
		err = -EIO;
	strbuf__fini(&all);
	return err;
}

int excerpt__write(const struct types *types, const struct btf *programs, int fd)
{
	struct excerpt excerpt = { .types = types };
	int err = -ENOMEM;

	strbuf__init(&excerpt.body);
	strbuf__init(&excerpt.names);
	if (!idmap__init(&excerpt.roots, 0) && !idmap__init(&excerpt.members, 0) &&
	    !idmap__init(&excerpt.ids, 0))
		err = want_names(&excerpt, programs);
	if (!err) {
		put_types(&excerpt);
		err = write_out(&excerpt, fd);
	}
	strbuf__fini(&excerpt.body);
	strbuf__fini(&excerpt.names);
	idmap__fini(&excerpt.roots);
	idmap__fini(&excerpt.members);
	idmap__fini(&excerpt.ids);
	free(excerpt.taken);
	return err;
}
