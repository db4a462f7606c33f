/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/excerpt.c: what libbpf reads in the excerpt of a small kernel. */
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static bool out_of_memory;

static void *limited_realloc(void *old, size_t size)
{
	return out_of_memory ? NULL : realloc(old, size);
}

static void *limited_reallocarray(void *old, size_t count, size_t size)
{
	return out_of_memory ? NULL : reallocarray(old, count, size);
}

#include "base/decimal.c"
#include "base/idmap.c"
#define realloc(old, size) limited_realloc(old, size)
#include "base/strbuf.c"
#undef realloc
#include "source/types.c"
#define reallocarray(old, count, size) limited_reallocarray(old, count, size)
#include "source/excerpt.c"
#undef reallocarray

/* ---- a kernel and a program ---- */

static int at[32]; /* the kernel's ids, by what they are */
enum { INT, U8, LIST, LIST_POINTER, ADDRESS, TEXT, COUNT_TYPE, INNER, UNION, STATE, WIDE, SOCK, OTHER, PROTO, HANDLER };

static struct btf *make_kernel(void)
{
	struct btf *btf = btf__new_empty();

	at[INT] = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	at[U8] = btf__add_int(btf, "unsigned char", 1, 0);
	at[LIST] = btf__add_struct(btf, "list", 16);
	at[LIST_POINTER] = btf__add_ptr(btf, at[LIST]);
	at[ADDRESS] = btf__add_typedef(btf, "be32", at[INT]);
	at[TEXT] = btf__add_array(btf, at[INT], at[U8], 16);
	at[COUNT_TYPE] = btf__add_const(btf, at[ADDRESS]);
	at[INNER] = btf__add_struct(btf, "inner", 8);
	btf__add_field(btf, "first", at[INT], 0, 0);
	btf__add_field(btf, "unwanted", at[INT], 32, 0);
	at[UNION] = btf__add_union(btf, NULL, 8);
	btf__add_field(btf, "daddr", at[COUNT_TYPE], 0, 0);
	btf__add_field(btf, "inner", at[INNER], 0, 0);
	at[STATE] = btf__add_enum(btf, "state", 4);
	btf__add_enum_value(btf, "OPEN", 1);
	btf__add_enum_value(btf, "SHUT", 7);
	at[WIDE] = btf__add_enum64(btf, "wide", 8, false);
	btf__add_enum64_value(btf, "HUGE", 1ULL << 40);
	at[PROTO] = btf__add_func_proto(btf, at[INT]);
	btf__add_func_param(btf, "x", at[INT]);
	at[HANDLER] = btf__add_ptr(btf, at[PROTO]);
	at[SOCK] = btf__add_struct(btf, "sock", 64);
	btf__add_field(btf, "unwanted", at[INT], 0, 0);
	btf__add_field(btf, NULL, at[UNION], 64, 0);
	btf__add_field(btf, "next", at[LIST_POINTER], 128, 0);
	btf__add_field(btf, "comm", at[TEXT], 192, 0);
	btf__add_field(btf, "handler", at[HANDLER], 320, 0);
	btf__add_field(btf, "bits", at[INT], 400, 3);
	at[OTHER] = btf__add_struct(btf, "other", 4);
	btf__add_field(btf, "comm", at[INT], 0, 0);
	return btf;
}

static struct btf *make_program(void)
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, 0), sock;

	sock = btf__add_struct(btf, "sock___old", 24);
	btf__add_field(btf, "daddr", number, 0, 0);
	btf__add_field(btf, "next", number, 32, 0);
	btf__add_field(btf, "comm", number, 64, 0);
	btf__add_field(btf, "first", number, 96, 0);
	btf__add_field(btf, "handler", number, 128, 0);
	btf__add_field(btf, "bits", number, 160, 0);
	btf__add_ptr(btf, sock);
	btf__add_struct(btf, "our_own", 4);
	btf__add_field(btf, "inner", number, 0, 0);
	btf__add_enum(btf, "state", 4);
	btf__add_enum64(btf, "wide", 8, false);
	return btf;
}

static void open_kernel(struct types *types, struct btf **kernel)
{
	const void *raw;
	uint32_t size;

	*kernel = make_kernel();
	raw = btf__raw_data(*kernel, &size);
	assert_non_null(raw);
	*types = (struct types){ .size = size, .all = malloc(size) };
	memcpy(types->all, raw, size);
	assert_int_equal(find_sections(types), 0);
	assert_int_equal(idmap__init(&types->wanted, 0), 0);
	assert_int_equal(types__index(types), 0);
}

static struct btf *written(int fd)
{
	char path[32];
	struct btf *btf;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	btf = btf__parse(path, NULL);
	assert_int_equal(libbpf_get_error(btf), 0);
	close(fd);
	return btf;
}

static const struct btf_member *member(const struct btf *btf, const struct btf_type *type, const char *name)
{
	for (unsigned int i = 0; i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), name))
			return &btf_members(type)[i];
	return NULL;
}

/* ---- what is in it ---- */

static void it_has_what_the_program_names(void **state)
{
	int fd = memfd_create("excerpt", 0), id;
	struct btf *kernel, *program = make_program(), *excerpt;
	const struct btf_type *sock, *type;
	struct types types;

	(void)state;
	open_kernel(&types, &kernel);
	assert_int_equal(excerpt__write(&types, program, fd), 0);
	excerpt = written(fd);
	id = btf__find_by_name_kind(excerpt, "sock", BTF_KIND_STRUCT);
	assert_in_range(id, 1, 100);
	sock = btf__type_by_id(excerpt, (uint32_t)id);
	assert_int_equal(sock->size, 64);
	assert_int_equal(btf_vlen(sock), 5);
	assert_null(member(excerpt, sock, "unwanted"));
	assert_int_equal(member(excerpt, sock, "")->offset & 0xffffff, 64);
	assert_int_equal(member(excerpt, sock, "comm")->offset & 0xffffff, 192);
	assert_int_equal(member(excerpt, sock, "bits")->offset, 3 << 24 | 400);
	assert_true(btf_kflag(sock));

	/* What is within, named or not. */
	type = btf__type_by_id(excerpt, member(excerpt, sock, "")->type);
	assert_true(btf_is_union(type));
	assert_int_equal(btf_vlen(type), 2);
	assert_int_equal(btf__resolve_size(excerpt, member(excerpt, type, "daddr")->type), 4);
	type = btf__type_by_id(excerpt, member(excerpt, type, "inner")->type);
	assert_int_equal(btf_vlen(type), 1);
	assert_non_null(member(excerpt, type, "first"));
	type = btf__type_by_id(excerpt, member(excerpt, sock, "comm")->type);
	assert_int_equal(btf_array(type)->nelems, 16);
	assert_int_equal(btf__resolve_size(excerpt, member(excerpt, sock, "comm")->type), 16);

	/* A pointer is one, whatever to. */
	assert_true(btf_is_ptr(btf__type_by_id(excerpt, member(excerpt, sock, "next")->type)));
	assert_true(btf_is_ptr(btf__type_by_id(excerpt, member(excerpt, sock, "handler")->type)));
	assert_int_equal(btf__find_by_name_kind(excerpt, "list", BTF_KIND_STRUCT), -ENOENT);
	assert_int_equal(btf__find_by_name_kind(excerpt, "other", BTF_KIND_STRUCT), -ENOENT);
	assert_int_equal(btf__find_by_name_kind(excerpt, "our_own", BTF_KIND_STRUCT), -ENOENT);

	id = btf__find_by_name_kind(excerpt, "state", BTF_KIND_ENUM);
	type = btf__type_by_id(excerpt, (uint32_t)id);
	assert_string_equal(btf__name_by_offset(excerpt, btf_enum(type)[1].name_off), "SHUT");
	assert_int_equal(btf_enum(type)[1].val, 7);
	id = btf__find_by_name_kind(excerpt, "wide", BTF_KIND_ENUM64);
	type = btf__type_by_id(excerpt, (uint32_t)id);
	assert_string_equal(btf__name_by_offset(excerpt, btf_enum64(type)[0].name_off), "HUGE");
	assert_true(btf_enum64_value(btf_enum64(type)) == 1ULL << 40);

	btf__free(excerpt);
	btf__free(program);
	btf__free(kernel);
	types__fini(&types);
}

static void a_kernel_without_any_of_it(void **state)
{
	int fd = memfd_create("excerpt", 0);
	struct btf *kernel, *program = btf__new_empty(), *excerpt;
	struct types types;

	(void)state;
	open_kernel(&types, &kernel);
	assert_int_equal(excerpt__write(&types, program, fd), 0);
	excerpt = written(fd);
	assert_int_equal(btf__type_cnt(excerpt), 1); /* void */
	btf__free(excerpt);
	btf__free(program);
	btf__free(kernel);
	types__fini(&types);
}

static void what_cannot_be_written_is_said(void **state)
{
	struct btf *kernel, *program = make_program();
	struct types types;

	(void)state;
	open_kernel(&types, &kernel);
	assert_int_equal(excerpt__write(&types, program, -1), -EIO);
	out_of_memory = true;
	assert_int_equal(excerpt__write(&types, program, -1), -ENOMEM);
	out_of_memory = false;
	btf__free(program);
	btf__free(kernel);
	types__fini(&types);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_what_the_program_names),
		cmocka_unit_test(a_kernel_without_any_of_it),
		cmocka_unit_test(what_cannot_be_written_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
