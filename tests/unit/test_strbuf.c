/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/strbuf.c: what is appended comes out, however it
 * grew, and a buffer that once ran out of memory says so and stays as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The buffer's memory ends when a test says so. */
static size_t memory_left = SIZE_MAX;

static void *limited_realloc(void *old, size_t size)
{
	return size > memory_left ? NULL : realloc(old, size);
}

#define realloc(old, size) limited_realloc(old, size)
#include "base/decimal.c"
#include "base/strbuf.c"
#undef realloc

static void expect_text(struct strbuf *buf, const char *text)
{
	assert_int_equal(buf->len, strlen(text));
	assert_string_equal(strbuf__text(buf), text);
	assert_int_equal(buf->len, strlen(text));
}

static void a_new_one_is_empty(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	assert_int_equal(buf.len, 0);
	assert_false(buf.failed);
	expect_text(&buf, "");
	strbuf__fini(&buf);
	assert_null(buf.data);
	strbuf__fini(&buf);
}

/* A buffer without memory has no data to copy to: nothing is nothing. */
static void nothing_can_be_appended(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	strbuf__str(&buf, "");
	strbuf__append(&buf, "x", 0);
	strbuf__printf(&buf, "%s", "");
	assert_false(buf.failed);
	expect_text(&buf, "");
	strbuf__fini(&buf);
}

static void writers_append_in_order(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	strbuf__str(&buf, "port ");
	strbuf__u64(&buf, 443);
	strbuf__char(&buf, ',');
	strbuf__printf(&buf, " %s=%d", "pid", -7);
	strbuf__append(&buf, "\0x", 2);
	assert_int_equal(buf.len, 18);
	assert_memory_equal(strbuf__text(&buf), "port 443, pid=-7\0x", 19);
	strbuf__fini(&buf);
}

/* The end that strbuf__text() writes is not part of the text. */
static void text_can_be_read_in_between(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	strbuf__str(&buf, "one");
	expect_text(&buf, "one");
	strbuf__str(&buf, " two");
	expect_text(&buf, "one two");
	strbuf__clear(&buf);
	expect_text(&buf, "");
	strbuf__str(&buf, "three");
	expect_text(&buf, "three");
	strbuf__fini(&buf);
}

static void numbers_are_decimal(void **state)
{
	static const uint64_t values[] = {
		0, 1, 9, 10, 99, 100, 65535, UINT32_MAX, 10000000000000000000ULL, UINT64_MAX,
	};
	struct strbuf buf;
	char expected[32];

	(void)state;
	strbuf__init(&buf);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		strbuf__clear(&buf);
		strbuf__u64(&buf, values[i]);
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)values[i]);
		expect_text(&buf, expected);
	}
	strbuf__fini(&buf);
}

static void it_grows_byte_by_byte(void **state)
{
	enum { MANY = 100000 };
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	for (int i = 0; i < MANY; i++)
		strbuf__char(&buf, (char)('a' + i % 26));
	assert_false(buf.failed);
	assert_int_equal(buf.len, MANY);
	assert_true(buf.capacity < 2 * MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(buf.data[i], 'a' + i % 26);
	strbuf__fini(&buf);
}

/* Around every length where memory must be asked for; ASan sees a byte too
 * many. */
static void it_grows_at_once(void **state)
{
	char source[1100];

	(void)state;
	memset(source, 'x', sizeof(source));
	for (size_t before = 0; before < 300; before++) {
		for (size_t more = 0; more < sizeof(source); more += 1 + more / 8) {
			struct strbuf buf;
			char *room;

			strbuf__init(&buf);
			strbuf__append(&buf, source, before);
			room = strbuf__grow(&buf, more + 1);
			assert_ptr_equal(room, buf.data + before);
			memset(room, 'y', more + 1);
			buf.len += more;
			strbuf__printf(&buf, "%.*s", (int)more, source);
			assert_int_equal(buf.len, before + 2 * more);
			if (buf.len)
				assert_int_equal(strbuf__text(&buf)[buf.len], '\0');
			strbuf__fini(&buf);
		}
	}
}

static void clear_keeps_the_memory(void **state)
{
	struct strbuf buf;
	char *data;

	(void)state;
	strbuf__init(&buf);
	strbuf__printf(&buf, "%01000d", 7);
	data = buf.data;
	strbuf__clear(&buf);
	assert_int_equal(buf.len, 0);
	memory_left = 0;
	strbuf__printf(&buf, "%01000d", 8);
	memory_left = SIZE_MAX;
	assert_false(buf.failed);
	assert_ptr_equal(buf.data, data);
	strbuf__fini(&buf);
}

static void without_any_memory(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	memory_left = 0;
	strbuf__str(&buf, "lost");
	strbuf__u64(&buf, 1);
	strbuf__printf(&buf, "%d", 1);
	assert_null(strbuf__grow(&buf, 1));
	assert_true(buf.failed);
	assert_string_equal(strbuf__text(&buf), "");
	memory_left = SIZE_MAX;
	strbuf__fini(&buf);
}

/* The first failure makes every later append a no-op, also one for which there
 * is room, and also when memory is back: a text with a hole would look whole. */
static void after_a_failure_nothing_changes(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	strbuf__str(&buf, "whole");
	memory_left = 1000;
	strbuf__printf(&buf, "%02000d", 1);
	memory_left = SIZE_MAX;
	assert_true(buf.failed);
	assert_int_equal(buf.len, 5);
	strbuf__char(&buf, '!');
	strbuf__str(&buf, "more");
	strbuf__u64(&buf, 1);
	strbuf__printf(&buf, "%d", 1);
	assert_null(strbuf__grow(&buf, 1));
	assert_true(buf.failed);
	assert_int_equal(buf.len, 5);
	assert_memory_equal(buf.data, "whole", 5);
	strbuf__fini(&buf);
}

static void clear_forgives(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	memory_left = 0;
	strbuf__str(&buf, "lost");
	memory_left = SIZE_MAX;
	strbuf__clear(&buf);
	assert_false(buf.failed);
	strbuf__str(&buf, "found");
	expect_text(&buf, "found");
	strbuf__fini(&buf);
}

/* In a child of its own, because one that goes on for ever would hold up the
 * rest. Exit status 0: refused and remembered. */
static int status_of_growing_by(size_t n)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct strbuf buf;
		char *room;

		alarm(10);
		memory_left = 1 << 20;
		strbuf__init(&buf);
		strbuf__str(&buf, "x");
		room = strbuf__grow(&buf, n);
		_exit(room ? 1 : !buf.failed ? 2 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void no_length_is_too_long_to_refuse(void **state)
{
	static const size_t lengths[] = {
		1 << 20, SIZE_MAX / 4, SIZE_MAX / 2, SIZE_MAX / 2 + 2, SIZE_MAX - 1, SIZE_MAX,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		assert_int_equal(status_of_growing_by(lengths[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_one_is_empty),
		cmocka_unit_test(nothing_can_be_appended),
		cmocka_unit_test(writers_append_in_order),
		cmocka_unit_test(text_can_be_read_in_between),
		cmocka_unit_test(numbers_are_decimal),
		cmocka_unit_test(it_grows_byte_by_byte),
		cmocka_unit_test(it_grows_at_once),
		cmocka_unit_test(clear_keeps_the_memory),
		cmocka_unit_test(without_any_memory),
		cmocka_unit_test(after_a_failure_nothing_changes),
		cmocka_unit_test(clear_forgives),
		cmocka_unit_test(no_length_is_too_long_to_refuse),
	};

	return cmocka_run_group_tests_name("strbuf", tests, NULL, NULL);
}
