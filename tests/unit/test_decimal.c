/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/base/decimal.c, against printf(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.c"

/* With a guard behind the room it may use. */
static void check(uint64_t value)
{
	char expected[32], text[DECIMAL_ROOM + 1];
	int len = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);

	text[DECIMAL_ROOM] = 'G';
	assert_int_equal(decimal__write(text, value) - text, len);
	assert_memory_equal(text, expected, (size_t)len);
	assert_int_equal(text[DECIMAL_ROOM], 'G');
}

static void numbers(void **state)
{
	(void)state;
	for (uint64_t power = 1; power && power <= 10000000000000000000ULL; power *= 10) {
		check(power - 1);
		check(power);
		check(power + 1);
		if (power == 10000000000000000000ULL)
			break;
	}
	for (uint64_t value = 0; value < 100000; value++)
		check(value);
	check(UINT64_MAX);
}

static void six_digits(void **state)
{
	static const uint32_t values[] = {0, 1, 9, 10, 99, 100, 12345, 100000, 654321, 999999};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char expected[8], text[7] = "......G";

		snprintf(expected, sizeof(expected), "%06u", values[i]);
		decimal__write_6(text, values[i]);
		assert_memory_equal(text, expected, 6);
		assert_int_equal(text[6], 'G');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(six_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
