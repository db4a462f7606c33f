// SPDX-License-Identifier: BSD-2-Clause
#include "source/types.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"

enum {
	MARK_EVERY = 512, /* types: so many are walked at most to find one by its id */
	WORD = 4,	  /* types are made of these */
};

/* What follows the common part of a type (kernel's Documentation/bpf/btf.rst), or -EINVAL
 * for a kind that is newer than this program. */
static int size_behind(const struct btf_type *type)
{
	const int count = (int)btf_vlen(type);

	switch (btf_kind(type)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return count * (int)sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return count * (int)sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return count * (int)sizeof(struct btf_param);
	case BTF_KIND_VAR:
		return sizeof(struct btf_var);
	case BTF_KIND_DATASEC:
		return count * (int)sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG:
		return sizeof(struct btf_decl_tag);
	case BTF_KIND_ENUM64:
		return count * (int)sizeof(struct btf_enum64);
	default:
		return -EINVAL;
	}
}

static const char *behind(const struct types *types, const char *at)
{
	const struct btf_type *type = (const struct btf_type *)(const void *)at;
	size_t left = (size_t)(types->end - at);
	int behind = left < sizeof(*type) ? -EINVAL : size_behind(type);

	return behind < 0 || left - sizeof(*type) < (size_t)behind ? NULL : at + sizeof(*type) + behind;
}

const char *types__name(const struct types *types, uint32_t offset)
{
	return offset < types->names_size ? types->names + offset : "";
}

static uint64_t key_of(unsigned int kind, const char *name)
{
	return XXH3_64bits(name, strlen(name)) ^ kind;
}

int types__want(struct types *types, unsigned int kind, const char *name)
{
	return idmap__put(&types->wanted, key_of(kind, name), 0);
}

static void note(struct types *types, const struct btf_type *type)
{
	uint64_t key;

	if ((types->count - 1) % MARK_EVERY == 0)
		types->marks[(types->count - 1) / MARK_EVERY] =
			(uint32_t)((size_t)((const char *)type - types->first) / WORD);
	if (!btf_is_func(type) && !btf_is_typedef(type))
		return;
	key = key_of(btf_kind(type), types__name(types, type->name_off));
	if (idmap__find(&types->wanted, key) == 0)
		idmap__put(&types->wanted, key, types->count); /* in its own place */
}

int types__index(struct types *types)
{
	size_t most = (size_t)(types->end - types->first) / sizeof(struct btf_type);

	types->marks = calloc(most / MARK_EVERY + 1, sizeof(*types->marks));
	if (!types->marks)
		return -ENOMEM;
	for (const char *at = types->first, *next; at < types->end; at = next) {
		next = behind(types, at);
		if (!next)
			return -EINVAL;
		types->count++;
		note(types, (const struct btf_type *)(const void *)at);
	}
	return 0;
}

/* Finds the sections, and whether they lie within. */
static int find_sections(struct types *types)
{
	const struct btf_header *header = types->all;
	uint64_t types_at, names_at;

	if (types->size < sizeof(*header) || header->magic != BTF_MAGIC || header->version != BTF_VERSION)
		return -EINVAL;
	types_at = (uint64_t)header->hdr_len + header->type_off;
	names_at = (uint64_t)header->hdr_len + header->str_off;
	if (types_at + header->type_len > types->size || names_at + header->str_len > types->size ||
	    types_at % WORD || header->type_len % WORD || !header->str_len)
		return -EINVAL;
	types->first = (const char *)types->all + types_at;
	types->end = types->first + header->type_len;
	types->names = (const char *)types->all + names_at;
	types->names_size = header->str_len;
	return types->names[types->names_size - 1] ? -EINVAL : 0;
}

static int read_all(struct types *types, int fd)
{
	size_t have = 0;
	ssize_t got;

	types->all = malloc(types->size);
	if (!types->all)
		return -ENOMEM;
	while (have < types->size) {
		got = read(fd, (char *)types->all + have, types->size - have);
		if (got < 0)
			return -errno;
		if (!got)
			return -EINVAL;
		have += (size_t)got;
	}
	return 0;
}

/* It can be mapped from 6.16 on. */
static int load(struct types *types)
{
	int fd = open(VMLINUX_BTF, O_RDONLY | O_CLOEXEC), err = 0;
	struct stat stat;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat)) {
		err = -errno;
	} else {
		types->size = (size_t)stat.st_size;
		types->all = mmap(NULL, types->size, PROT_READ, MAP_PRIVATE, fd, 0);
		types->mapped = types->all != MAP_FAILED;
		if (!types->mapped)
			err = read_all(types, fd);
	}
	close(fd);
	return err;
}

int types__open(struct types *types)
{
	int err;

	*types = (struct types){ 0 };
	err = load(types);
	if (!err)
		err = find_sections(types);
	if (!err)
		err = idmap__init(&types->wanted, 0);
	if (err)
		types__fini(types);
	return err;
}

void types__fini(struct types *types)
{
	idmap__fini(&types->wanted);
	free(types->marks);
	if (types->mapped)
		munmap(types->all, types->size);
	else
		free(types->all);
	*types = (struct types){ 0 };
}

const struct btf_type *types__next(const struct types *types, const struct btf_type *before)
{
	const char *at = before ? behind(types, (const char *)before) : types->first;

	return at && at < types->end ? (const struct btf_type *)(const void *)at : NULL;
}

static int search(const struct types *types, unsigned int kind, const char *name)
{
	const struct btf_type *type = NULL;

	for (int id = 1; (type = types__next(types, type)); id++)
		if (btf_kind(type) == kind && !strcmp(types__name(types, type->name_off), name))
			return id;
	return -ENOENT;
}

int types__find(const struct types *types, unsigned int kind, const char *name)
{
	uint32_t id = idmap__find(&types->wanted, key_of(kind, name));

	if (id == IDMAP_NONE || !types->count)
		return search(types, kind, name);
	return id ? (int)id : -ENOENT;
}

const struct btf_type *types__at(const struct types *types, uint32_t id)
{
	const char *at;

	if (!id || id > types->count)
		return NULL;
	at = types->first + (size_t)types->marks[(id - 1) / MARK_EVERY] * WORD;
	for (uint32_t i = (id - 1) % MARK_EVERY; i; i--)
		at = behind(types, at);
	return (const struct btf_type *)(const void *)at;
}

/* Those of an enum of 64 bits begin with the name as well. */
static bool enum_has(const struct types *types, const struct btf_type *type, const char *name)
{
	size_t each =
		btf_kind(type) == BTF_KIND_ENUM64 ? sizeof(struct btf_enum64) : sizeof(struct btf_enum);
	const char *value = (const char *)(type + 1);

	for (unsigned int i = 0; i < btf_vlen(type); i++, value += each)
		if (!strcmp(types__name(types, *(const uint32_t *)(const void *)value), name))
			return true;
	return false;
}

bool types__have_enumerator(const struct types *types, const char *name)
{
	const struct btf_type *type = NULL;

	while ((type = types__next(types, type)))
		if ((btf_kind(type) == BTF_KIND_ENUM || btf_kind(type) == BTF_KIND_ENUM64) &&
		    enum_has(types, type, name))
			return true;
	return false;
}
