// SPDX-License-Identifier: BSD-2-Clause
/* spelling: how far one word is from another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/spelling.c"

static unsigned int apart(const char *a, const char *b)
{
	return spelling__distance(a, strlen(a), b, strlen(b));
}

static void one_slip_of_each_kind(void **state)
{
	(void)state;
	assert_int_equal(apart("", ""), 0);
	assert_int_equal(apart("port", "port"), 0);
	assert_int_equal(apart("prt", "port"), 1);
	assert_int_equal(apart("porrt", "port"), 1);
	assert_int_equal(apart("pott", "port"), 1);
	assert_int_equal(apart("prot", "port"), 1);
	assert_int_equal(apart("", "port"), 4);
	assert_int_equal(apart("timewait", "TIME_WAIT"), 1);
	assert_int_equal(apart("kitten", "sitting"), 3);
}

static void capitals_and_underscores_are_no_slip(void **state)
{
	(void)state;
	assert_int_equal(apart("TIME_WAIT", "time-wait"), 0);
	assert_int_equal(apart("@", "`"), 1);
	assert_int_equal(apart("[", "{"), 1);
}

static void both_ways_alike(void **state)
{
	static const char *const words[] = {"close-wait-leak", "closewait", "fin", "time_wiat", ""};

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++)
			assert_int_equal(apart(words[i], words[j]), apart(words[j], words[i]));
}

static void long_words_are_far(void **state)
{
	char word[SPELLING_MAX_BYTES + 2];

	(void)state;
	memset(word, 'a', sizeof(word));
	word[SPELLING_MAX_BYTES] = '\0';
	assert_int_equal(apart(word, word), 0);
	assert_int_equal(apart(word, ""), SPELLING_MAX_BYTES);
	word[SPELLING_MAX_BYTES] = 'a';
	word[SPELLING_MAX_BYTES + 1] = '\0';
	assert_int_equal(apart(word, word), SPELLING_FAR);
	assert_int_equal(apart("a", word), SPELLING_FAR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slip_of_each_kind),
		cmocka_unit_test(capitals_and_underscores_are_no_slip),
		cmocka_unit_test(both_ways_alike),
		cmocka_unit_test(long_words_are_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
