/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/base/wrap.c: no line is longer than the terminal, no word
 * is broken or lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.c"
#include "base/strbuf.c"
#include "base/wrap.c"

static void expect(unsigned int columns, unsigned int indent, const char *text, const char *expected)
{
	struct wrap wrap = { .columns = columns, .indent = indent };
	struct strbuf out;

	strbuf__init(&out);
	wrap__words(&wrap, &out, text, strlen(text));
	assert_string_equal(strbuf__text(&out), expected);
	strbuf__fini(&out);
}

static void lines_end_between_words(void **state)
{
	(void)state;
	expect(10, 1, "one two three four", "one two\n  three\n  four");
	expect(9, 0, "one two three", "one two\n three");
	expect(13, 0, "one two three", "one two three");
	expect(12, 0, "one two three", "one two\n three");
}

static void without_a_terminal_a_line_has_no_end(void **state)
{
	(void)state;
	expect(0, 4, "one two three four five six", "one two three four five six");
	expect(0, 4, "", "");
}

static void a_word_longer_than_the_line_is_not_broken(void **state)
{
	(void)state;
	expect(4, 1, "immeasurable", "immeasurable");
	expect(4, 0, "a immeasurable b", "a\n immeasurable\n b");
}

static void pieces_keep_their_blanks(void **state)
{
	struct wrap wrap = { .columns = 12, .indent = 3 };
	struct strbuf out;

	(void)state;
	strbuf__init(&out);
	wrap__piece(&wrap, &out, "sent 12 B;", 10);
	wrap__piece(&wrap, &out, " got 4 B", 8);
	assert_string_equal(strbuf__text(&out), "sent 12 B;\n    got 4 B");
	assert_int_equal(wrap.used, 11);
	strbuf__fini(&out);
}

static void what_is_no_terminal_has_no_columns(void **state)
{
	(void)state;
	assert_int_equal(terminal__columns(-1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_between_words),
		cmocka_unit_test(without_a_terminal_a_line_has_no_end),
		cmocka_unit_test(a_word_longer_than_the_line_is_not_broken),
		cmocka_unit_test(pieces_keep_their_blanks),
		cmocka_unit_test(what_is_no_terminal_has_no_columns),
	};

	return cmocka_run_group_tests_name("wrap", tests, NULL, NULL);
}
