/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/histogram.c: every bucket's edges, and quantiles held
 * against those of the sorted values themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.c"

enum {
	VALUES_MAX = 20000
};

/* The first value that has no bucket of its own: it goes into the last one. */
#define OVERFLOW_US (1ULL << 36)

static const double quantiles[] = {0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
enum {
	QUANTILES = sizeof(quantiles) / sizeof(quantiles[0])
};

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The smallest value that at least this share of all values does not exceed. */
static uint64_t true_quantile(const uint64_t *sorted, size_t count, double quantile)
{
	double want = quantile * (double)count;
	size_t rank = (size_t)want;

	if ((double)rank < want)
		rank++;
	return sorted[rank ? rank - 1 : 0];
}

static void check_quantiles(uint64_t *values, size_t count)
{
	struct histogram histogram = {0};
	uint64_t last = 0;

	for (size_t i = 0; i < count; i++)
		histogram__add(&histogram, values[i]);
	qsort(values, count, sizeof(*values), compare);
	assert_int_equal(histogram.count, count);
	assert_int_equal(histogram.max, values[count - 1]);
	for (size_t i = 0; i < QUANTILES; i++) {
		uint64_t truth = true_quantile(values, count, quantiles[i]);
		uint64_t got = histogram__quantile(&histogram, quantiles[i]);

		/* Never too low, and too high by less than an eighth. */
		assert_in_range(got, truth, truth + truth / 8);
		assert_true(got >= last && got <= histogram.max);
		last = got;
	}
	assert_int_equal(histogram__quantile(&histogram, 1), values[count - 1]);
}

static void nothing_was_counted(void **state)
{
	const struct histogram histogram = {0};

	(void)state;
	for (size_t i = 0; i < QUANTILES; i++)
		assert_int_equal(histogram__quantile(&histogram, quantiles[i]), 0);
}

/* One value is every quantile, exactly: the edge never exceeds the maximum. */
static void one_value_is_exact(void **state)
{
	(void)state;
	for (int i = 0; i < 64; i++) {
		for (int off = -1; off <= 1; off++) {
			uint64_t value = (1ULL << i) + (uint64_t)off;
			struct histogram histogram = {0};

			histogram__add(&histogram, value);
			for (size_t q = 0; q < QUANTILES; q++)
				assert_int_equal(
					histogram__quantile(&histogram, quantiles[q]),
					value < OVERFLOW_US ? value : upper_edge(HISTOGRAM_BUCKETS - 1));
		}
	}
}

static void zero_is_a_value(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	histogram__add(&histogram, 0);
	histogram__add(&histogram, 0);
	histogram__add(&histogram, 1000);
	assert_int_equal(histogram.count, 3);
	assert_int_equal(histogram__quantile(&histogram, 0.5), 0);
	assert_int_equal(histogram__quantile(&histogram, 0.99), 1000);
}

/* Without a gap and without an overlap: each edge is the last of its bucket. */
static void buckets_join(void **state)
{
	(void)state;
	assert_int_equal(bucket_of(0), 0);
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		uint64_t edge = upper_edge(i);
		uint64_t lower = i ? upper_edge(i - 1) + 1 : 0;

		assert_true(lower <= edge);
		assert_int_equal(bucket_of(lower), i);
		assert_int_equal(bucket_of(edge), i);
		assert_int_equal(bucket_of(edge + 1), i + 1);
		assert_true(edge - lower <= lower / 8);
	}
	assert_int_equal(upper_edge(HISTOGRAM_BUCKETS - 1), OVERFLOW_US - 1);
}

/* What is beyond the last edge is in the last bucket: counted, and its quantile
 * is that edge; the maximum stays exact. */
static void too_long_is_counted(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(bucket_of(OVERFLOW_US - 1), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(bucket_of(OVERFLOW_US), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(bucket_of(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
	for (int i = 0; i < 99; i++)
		histogram__add(&histogram, 100);
	histogram__add(&histogram, UINT64_MAX);
	assert_int_equal(histogram.count, 100);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(histogram.max, UINT64_MAX);
	assert_in_range(histogram__quantile(&histogram, 0.99), 100, 112);
	assert_int_equal(histogram__quantile(&histogram, 1), OVERFLOW_US - 1);
}

static void small_values_are_exact(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	for (uint64_t us = 0; us < HISTOGRAM_STEPS; us++)
		histogram__add(&histogram, us);
	for (uint64_t us = 0; us < HISTOGRAM_STEPS; us++)
		assert_int_equal(histogram__quantile(&histogram, (double)(us + 1) / HISTOGRAM_STEPS),
				 us);
}

/* Evenly, evenly by magnitude, and as waits are: most short, few very long. */
static void quantiles_as_the_sorted_values(void **state)
{
	static uint64_t values[VALUES_MAX];
	static const size_t counts[] = {1, 2, 3, 7, 100, 999, VALUES_MAX};

	(void)state;
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		size_t count = counts[c];

		for (size_t i = 0; i < count; i++)
			values[i] = random_u64() % 5000000;
		check_quantiles(values, count);
		for (size_t i = 0; i < count; i++)
			values[i] = random_u64() % OVERFLOW_US >> random_u64() % 36;
		check_quantiles(values, count);
		for (size_t i = 0; i < count; i++)
			values[i] = random_u64() % 100 ? 20 + random_u64() % 30
						       : 1000000 + random_u64() % 9000000;
		check_quantiles(values, count);
		for (size_t i = 0; i < count; i++)
			values[i] = i;
		check_quantiles(values, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_was_counted),
		cmocka_unit_test(one_value_is_exact),
		cmocka_unit_test(zero_is_a_value),
		cmocka_unit_test(buckets_join),
		cmocka_unit_test(too_long_is_counted),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(quantiles_as_the_sorted_values),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
