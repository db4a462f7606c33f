/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/base/beginnings.h: no name of a set is ever said not to be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/beginnings.h"

static void a_name_of_the_set_may_be_one(void **state)
{
	static const char *const names[] = { "", "a", "sk", "tcp", "sock", "sock_common", "\xff\xfe\xfd\xfc" };
	struct beginnings set = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		beginnings__add(&set, names[i], strlen(names[i]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(beginnings__may_have(&set, names[i]));
}

/* "sock___old" is "sock", and "sk___old" "sk": what is behind its length does not count. */
static void a_name_ends_with_its_length(void **state)
{
	struct beginnings set = { 0 };

	(void)state;
	beginnings__add(&set, "sk___old", 2);
	assert_true(beginnings__may_have(&set, "sk"));
	assert_false(beginnings__may_have(&set, "sk___old"));
}

static void others_are_none(void **state)
{
	struct beginnings set = { 0 };

	(void)state;
	assert_false(beginnings__may_have(&set, "sock"));
	assert_false(beginnings__may_have(&set, ""));
	beginnings__add(&set, "sock", 4);
	assert_true(beginnings__may_have(&set, "socket"));
	assert_false(beginnings__may_have(&set, "kcos"));
	assert_false(beginnings__may_have(&set, "soc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_of_the_set_may_be_one),
		cmocka_unit_test(a_name_ends_with_its_length),
		cmocka_unit_test(others_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
