/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/clock.c: the formatter, whose memory of the last
 * second must never show, and what the two clocks promise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.c"
#include "base/clock.c"

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void expect_utc(struct utc_formatter *formatter, uint64_t boot_ns, const char *expected)
{
	char text[UTC_TEXT_LEN + 1] = "";

	memcpy(text, utc_formatter__format(formatter, boot_ns), UTC_TEXT_LEN);
	assert_string_equal(text, expected);
}

static void expect_second(uint64_t second, const char *expected)
{
	struct utc_formatter formatter;

	utc_formatter__init(&formatter, second * NS_PER_S);
	expect_utc(&formatter, 0, expected);
}

static void known_times(void **state)
{
	(void)state;
	expect_second(0, "1970-01-01T00:00:00.000000Z");
	expect_second(951782399, "2000-02-28T23:59:59.000000Z");
	expect_second(951782400, "2000-02-29T00:00:00.000000Z");
	expect_second(1700000000, "2023-11-14T22:13:20.000000Z");
	expect_second(1795361220, "2026-11-22T15:27:00.000000Z");
	expect_second(4107542399, "2100-02-28T23:59:59.000000Z");
	expect_second(4107542400, "2100-03-01T00:00:00.000000Z");
	expect_second(18446744073, "2554-07-21T23:34:33.000000Z");
}

/* Microseconds are cut, not rounded: an event is never shown before it was, and
 * no second has a millionth microsecond. */
static void microseconds_are_cut(void **state)
{
	struct utc_formatter formatter;

	(void)state;
	utc_formatter__init(&formatter, 1700000000 * NS_PER_S);
	expect_utc(&formatter, 0, "2023-11-14T22:13:20.000000Z");
	expect_utc(&formatter, 999, "2023-11-14T22:13:20.000000Z");
	expect_utc(&formatter, 1000, "2023-11-14T22:13:20.000001Z");
	expect_utc(&formatter, 123456789, "2023-11-14T22:13:20.123456Z");
	expect_utc(&formatter, 100000, "2023-11-14T22:13:20.000100Z");
	expect_utc(&formatter, 999999000, "2023-11-14T22:13:20.999999Z");
	expect_utc(&formatter, 999999999, "2023-11-14T22:13:20.999999Z");
	expect_utc(&formatter, 1000000000, "2023-11-14T22:13:21.000000Z");
}

/* Parts of a second in both terms may make up a whole one. */
static void boot_time_and_offset_carry(void **state)
{
	struct utc_formatter formatter;

	(void)state;
	utc_formatter__init(&formatter, 1700000000 * NS_PER_S + 999999999);
	expect_utc(&formatter, 0, "2023-11-14T22:13:20.999999Z");
	expect_utc(&formatter, 1, "2023-11-14T22:13:21.000000Z");
	expect_utc(&formatter, 1000, "2023-11-14T22:13:21.000000Z");
	expect_utc(&formatter, 1001, "2023-11-14T22:13:21.000001Z");
}

/* The remembered second serves its own microseconds and no other second. */
static void the_remembered_second_never_shows(void **state)
{
	struct utc_formatter formatter;

	(void)state;
	utc_formatter__init(&formatter, 0);
	expect_utc(&formatter, 86399 * NS_PER_S, "1970-01-01T23:59:59.000000Z");
	expect_utc(&formatter, 86399 * NS_PER_S + 5000, "1970-01-01T23:59:59.000005Z");
	expect_utc(&formatter, 86400 * NS_PER_S, "1970-01-02T00:00:00.000000Z");
	expect_utc(&formatter, 86399 * NS_PER_S + 7000, "1970-01-01T23:59:59.000007Z");
	expect_utc(&formatter, 0, "1970-01-01T00:00:00.000000Z");
	expect_utc(&formatter, 1700000000 * NS_PER_S + 1000, "2023-11-14T22:13:20.000001Z");
	expect_utc(&formatter, 1000, "1970-01-01T00:00:00.000001Z");
}

static void random_times_as_libc(void **state)
{
	struct utc_formatter formatter;
	uint64_t ns = 0;

	(void)state;
	utc_formatter__init(&formatter, 12345678901234567);
	for (int i = 0; i < 200000; i++) {
		char expected[64];
		struct tm tm;
		time_t second;
		uint64_t utc;

		/* Often within the same second, as events come. */
		ns = i % 4 ? ns + random_u64() % NS_PER_S / 3 : random_u64();
		utc = ns + 12345678901234567;
		second = (time_t)(utc / NS_PER_S);
		assert_non_null(gmtime_r(&second, &tm));
		assert_int_equal(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm), 19);
		snprintf(expected + 19, sizeof(expected) - 19, ".%06uZ",
			 (unsigned int)(utc % NS_PER_S / NS_PER_US));
		expect_utc(&formatter, ns, expected);
	}
}

/* A damaged or hostile recording may claim any offset: the sum goes around,
 * the text keeps its length and shape. */
static void a_sum_beyond_64_bits_keeps_its_shape(void **state)
{
	static const char shape[] = "0000-00-00T00:00:00.000000Z";

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct utc_formatter formatter;
		const char *text;

		utc_formatter__init(&formatter, UINT64_MAX - random_u64() % 1000);
		text = utc_formatter__format(&formatter, random_u64() % 2 ? random_u64() : UINT64_MAX);
		for (int at = 0; at < UTC_TEXT_LEN; at++) {
			if (shape[at] == '0')
				assert_in_range(text[at], '0', '9');
			else
				assert_int_equal(text[at], shape[at]);
		}
	}
}

/* Nanoseconds in 64 bits end in 2554, so that only the static is asked for a
 * year of five digits: it has no room there, and the date is shown as 0. */
static void a_year_beyond_9999_is_shown_as_0(void **state)
{
	static const uint64_t seconds[] = {
		253402300800ULL, /* 10000-01-01 */
		1ULL << 50,
		INT64_MAX, /* not even a year that fits an int */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		struct {
			struct utc_formatter formatter;
			char guard[8];
		} guarded;

		memset(&guarded, '#', sizeof(guarded));
		format_second(&guarded.formatter, seconds[i]);
		assert_memory_equal(guarded.formatter.text, "0000-00-00T00:00:00.000000Z", UTC_TEXT_LEN);
		assert_memory_equal(guarded.guard, "########", sizeof(guarded.guard));
	}
	{
		struct utc_formatter formatter;

		utc_formatter__init(&formatter, 0);
		format_second(&formatter, 253402300799ULL);
		assert_memory_equal(formatter.text, "9999-12-31T23:59:59.000000Z", UTC_TEXT_LEN);
	}
}

static void boot_time_goes_on(void **state)
{
	uint64_t before = clock__boot_ns(), now = before;

	(void)state;
	while (now == before)
		now = clock__boot_ns();
	assert_true(now > before);
}

static void offset_leads_to_utc(void **state)
{
	uint64_t utc_ns = clock__boot_ns() + clock__realtime_offset_ns();
	time_t second = time(NULL);

	(void)state;
	assert_in_range(utc_ns / NS_PER_S, second - 2, second + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_times),
		cmocka_unit_test(microseconds_are_cut),
		cmocka_unit_test(boot_time_and_offset_carry),
		cmocka_unit_test(the_remembered_second_never_shows),
		cmocka_unit_test(random_times_as_libc),
		cmocka_unit_test(a_sum_beyond_64_bits_keeps_its_shape),
		cmocka_unit_test(a_year_beyond_9999_is_shown_as_0),
		cmocka_unit_test(boot_time_goes_on),
		cmocka_unit_test(offset_leads_to_utc),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
