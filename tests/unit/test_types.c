/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/types.c: names in BTF made by hand, and in that of this
 * machine's kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/idmap.c"
#include "source/types.c"

/* ---- BTF by hand ---- */

enum { WORDS_MAX = 64 * 1024, NAMES_MAX = 64 * 1024 };

static uint32_t words[WORDS_MAX], word_count, type_count;
static char names[NAMES_MAX];
static uint32_t names_size;

static uint32_t name(const char *text)
{
	uint32_t at = names_size;

	memcpy(names + at, text, strlen(text) + 1);
	names_size += (uint32_t)strlen(text) + 1;
	return at;
}

static uint32_t begin_type(const char *text, uint32_t kind, uint32_t count, uint32_t of)
{
	words[word_count++] = name(text);
	words[word_count++] = kind << 24 | count;
	words[word_count++] = of;
	return ++type_count;
}

static void then(uint32_t count, ...)
{
	va_list list;

	va_start(list, count);
	while (count--)
		words[word_count++] = va_arg(list, uint32_t);
	va_end(list);
}

static void begin_btf(void)
{
	word_count = type_count = names_size = 0;
	name("");
}

/* The whole, for types__fini() to free. */
static void end_btf(struct types *types)
{
	struct btf_header header = {
		.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(header),
		.type_len = word_count * 4, .str_off = word_count * 4, .str_len = names_size,
	};

	*types = (struct types){ .size = sizeof(header) + word_count * 4 + names_size };
	types->all = malloc(types->size);
	memcpy(types->all, &header, sizeof(header));
	memcpy((char *)types->all + sizeof(header), words, word_count * 4);
	memcpy((char *)types->all + sizeof(header) + word_count * 4, names, names_size);
}

/* With these names of functions and typedefs wanted. */
static int open_btf(struct types *types, const char *wanted)
{
	int err = find_sections(types);

	if (!err)
		err = idmap__init(&types->wanted, 0);
	if (!err && wanted) {
		types__want(types, BTF_KIND_FUNC, wanted);
		types__want(types, BTF_KIND_TYPEDEF, wanted);
	}
	return err ? err : types__index(types);
}

/* One of each kind, with something behind it where there is. */
static void one_of_each(void)
{
	begin_btf();
	begin_type("int", BTF_KIND_INT, 0, 4);
	then(1, 32);
	begin_type("", BTF_KIND_PTR, 0, 1);
	begin_type("", BTF_KIND_ARRAY, 0, 0);
	then(3, 1, 1, 8);
	begin_type("pair", BTF_KIND_STRUCT, 2, 8);
	then(6, name("a"), 1, 0, name("b"), 1, 32);
	begin_type("either", BTF_KIND_UNION, 1, 4);
	then(3, name("a"), 1, 0);
	begin_type("state", BTF_KIND_ENUM, 2, 4);
	then(4, name("TCP_ONE"), 1, name("TCP_TWO"), 2);
	begin_type("ahead", BTF_KIND_FWD, 0, 0);
	begin_type("alias", BTF_KIND_TYPEDEF, 0, 1);
	begin_type("", BTF_KIND_VOLATILE, 0, 1);
	begin_type("", BTF_KIND_CONST, 0, 1);
	begin_type("", BTF_KIND_RESTRICT, 0, 2);
	begin_type("", BTF_KIND_FUNC_PROTO, 3, 1); /* 12 */
	then(6, name("x"), 1, name("y"), 1, name("z"), 2);
	begin_type("does", BTF_KIND_FUNC, 1, 12); /* 13 */
	begin_type("global", BTF_KIND_VAR, 0, 1);
	then(1, 0);
	begin_type(".data", BTF_KIND_DATASEC, 1, 4);
	then(3, 14, 0, 4);
	begin_type("real", BTF_KIND_FLOAT, 0, 8);
	begin_type("tag", BTF_KIND_DECL_TAG, 0, 4);
	then(1, 0);
	begin_type("user", BTF_KIND_TYPE_TAG, 0, 1);
	begin_type("wide", BTF_KIND_ENUM64, 2, 8);
	then(6, name("WIDE_ONE"), 1, 0, name("WIDE_TWO"), 0, 1);
	begin_type("does", BTF_KIND_TYPEDEF, 0, 1); /* 20 */
	begin_type("last", BTF_KIND_FUNC, 1, 12);   /* 21 */
}

/* ---- names ---- */

static void names_are_found_by_their_kind(void **state)
{
	struct types types;

	(void)state;
	one_of_each();
	end_btf(&types);
	assert_int_equal(open_btf(&types, "does"), 0);
	types__want(&types, BTF_KIND_FUNC, "not there");
	assert_int_equal(types__find(&types, BTF_KIND_FUNC, "not there"), -ENOENT);
	assert_int_equal(types.count, 21);
	assert_int_equal(types__find(&types, BTF_KIND_FUNC, "does"), 13);
	assert_int_equal(types__find(&types, BTF_KIND_TYPEDEF, "does"), 20);
	assert_int_equal(types__find(&types, BTF_KIND_TYPEDEF, "alias"), 8);
	assert_int_equal(types__find(&types, BTF_KIND_FUNC, "last"), 21);
	assert_int_equal(types__find(&types, BTF_KIND_FUNC, "alias"), -ENOENT);
	assert_int_equal(types__find(&types, BTF_KIND_FUNC, "doe"), -ENOENT);
	assert_int_equal(types__find(&types, BTF_KIND_STRUCT, "pair"), 4);
	assert_int_equal(types__find(&types, BTF_KIND_UNION, "pair"), -ENOENT);
	assert_int_equal(btf_vlen(types__at(&types, types__at(&types, 13)->type)), 3);
	for (uint32_t id = 1; id <= 21; id++)
		assert_non_null(types__at(&types, id));
	assert_null(types__at(&types, 0));
	assert_null(types__at(&types, 22));
	types__fini(&types);
}

static void enumerators_are_found(void **state)
{
	struct types types;

	(void)state;
	one_of_each();
	end_btf(&types);
	assert_int_equal(open_btf(&types, NULL), 0);
	assert_true(types__have_enumerator(&types, "TCP_ONE"));
	assert_true(types__have_enumerator(&types, "TCP_TWO"));
	assert_true(types__have_enumerator(&types, "WIDE_TWO"));
	assert_false(types__have_enumerator(&types, "a"));
	assert_false(types__have_enumerator(&types, "state"));
	types__fini(&types);
}

/* An id is found from the mark before it, and a place likewise. */
static void ids_of_many_types(void **state)
{
	struct types types;
	char text[16];

	(void)state;
	for (uint32_t count = MARK_EVERY - 1; count < 3 * MARK_EVERY + 2; count += MARK_EVERY / 2) {
		begin_btf();
		for (uint32_t i = 1; i <= count; i++) {
			snprintf(text, sizeof(text), "f%u", i);
			begin_type(text, i % 3 ? BTF_KIND_FUNC : BTF_KIND_INT, 0, i);
			if (i % 3 == 0)
				then(1, 0);
		}
		end_btf(&types);
		assert_int_equal(open_btf(&types, NULL), 0);
		for (uint32_t i = 1; i <= count; i++) {
			snprintf(text, sizeof(text), "f%u", i);
			if (i % 97 == 0)
				assert_int_equal(types__find(&types, BTF_KIND_FUNC, text), i % 3 ? (int)i : -ENOENT);
			assert_int_equal(types__at(&types, i)->type, i);
		}
		types__fini(&types);
	}
}

/* ---- what is not BTF, or not all of it ---- */

static void a_part_of_it_is_refused(void **state)
{
	struct types types;
	size_t size;

	(void)state;
	one_of_each();
	end_btf(&types);
	size = types.size;
	types__fini(&types);
	for (size_t kept = 0; kept < size; kept++) {
		char *part;

		end_btf(&types);
		part = malloc(kept + 1);
		memcpy(part, types.all, kept);
		part = realloc(part, kept ? kept : 1); /* so that ASan sees its end */
		free(types.all);
		types.all = part;
		types.size = kept;
		assert_int_equal(open_btf(&types, NULL), -EINVAL);
		types__fini(&types);
	}
}

static void what_is_not_known_is_refused(void **state)
{
	struct types types;

	(void)state;
	one_of_each();
	begin_type("new", 31, 0, 0);
	end_btf(&types);
	assert_int_equal(open_btf(&types, NULL), -EINVAL);
	types__fini(&types);

	one_of_each();
	begin_type("more than there is", BTF_KIND_STRUCT, 100, 0);
	end_btf(&types);
	assert_int_equal(open_btf(&types, NULL), -EINVAL);
	types__fini(&types);

	one_of_each();
	words[0] = 0x7fffffff; /* a name beyond the names is none */
	end_btf(&types);
	assert_int_equal(open_btf(&types, NULL), 0);
	types__fini(&types);
}

/* ---- this kernel ---- */

static void functions_of_this_kernel(void **state)
{
	const struct btf_type *type = NULL;
	struct types types;
	uint32_t functions = 0;
	int err = types__open(&types);

	(void)state;
	if (err == -ENOENT)
		skip();
	assert_int_equal(err, 0);
	assert_int_equal(types__want(&types, BTF_KIND_FUNC, "tcp_v4_connect"), 0);
	assert_int_equal(types__want(&types, BTF_KIND_TYPEDEF, "u64"), 0);
	assert_int_equal(types__index(&types), 0);
	for (uint32_t id = 1; (type = types__next(&types, type)); id++) {
		functions += btf_is_func(type);
		if (id % 16 == 0)
			assert_ptr_equal(types__at(&types, id), type);
	}
	assert_in_range(functions, 1000, 1000000);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "u64" : "tcp_v4_connect";
		int id = types__find(&types, i ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC, name);

		assert_in_range(id, 1, types.count);
		assert_int_equal(id, search(&types, i ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC, name));
		assert_string_equal(types__name(&types, types__at(&types, (uint32_t)id)->name_off), name);
	}
	assert_true(types__have_enumerator(&types, "BPF_FUNC_map_lookup_elem"));
	types__fini(&types);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_by_their_kind),
		cmocka_unit_test(enumerators_are_found),
		cmocka_unit_test(ids_of_many_types),
		cmocka_unit_test(a_part_of_it_is_refused),
		cmocka_unit_test(what_is_not_known_is_refused),
		cmocka_unit_test(functions_of_this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
