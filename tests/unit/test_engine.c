// SPDX-License-Identifier: BSD-2-Clause
/* The engine alone: thresholds, evidence, sentences. What the rules find is the
 * matter of tests/replay/findings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "findings/finding.c"
#include "base/decimal.c"
#include "base/strbuf.c"
#include "event/connection.c"

static const struct finding empty;

static const char *filled(const struct finding *finding, const char *sentence)
{
	static char text[512];
	struct strbuf out;

	strbuf__init(&out);
	finding__fill(finding, sentence, &out);
	snprintf(text, sizeof(text), "%s", strbuf__text(&out));
	strbuf__fini(&out);
	return text;
}

static void test_numbers_are_the_same_in_text_and_evidence(void **state)
{
	struct finding finding = empty;

	(void)state;
	finding__value(&finding, "rate", 402.13);
	finding__value(&finding, "share", 49.96);
	finding__value(&finding, "few", 0.24);
	finding__count(&finding, "many", 12345678901ULL);
	assert_string_equal(filled(&finding, "{rate} {share} {few} {many}"), "402 50 0.2 12345678901");
	assert_true(finding__evidence(&finding, "rate")->number == 402);
	assert_true(finding__evidence(&finding, "few")->number == 0.2);
}

static void test_what_is_not_finite_is_no_evidence(void **state)
{
	struct finding finding = empty;

	(void)state;
	finding__value(&finding, "nan", NAN);
	finding__value(&finding, "inf", INFINITY);
	assert_int_equal(finding.evidence_count, 0);
	assert_string_equal(filled(&finding, "{nan}, {open"), "{nan}, {open");
}

static void test_evidence_is_bounded(void **state)
{
	static char keys[EVIDENCE_MAX + 2][16];
	static const char *const advice = "x";
	struct finding finding = empty;

	(void)state;
	for (int i = 0; i < EVIDENCE_MAX + 2; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		finding__count(&finding, keys[i], (uint64_t)i);
		finding__advise(&finding, advice);
		finding__wont_help(&finding, advice);
	}
	assert_int_equal(finding.evidence_count, EVIDENCE_MAX);
	assert_int_equal(finding.advice_count, ADVICE_MAX);
	assert_int_equal(finding.wont_count, ADVICE_MAX);
	finding__count(&finding, "k3", 77);
	assert_true(finding__evidence(&finding, "k3")->number == 77);
}

static void test_places_and_processes(void **state)
{
	struct finding finding = empty;
	struct endpoint six = {.addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, .port = 80};
	struct endpoint four = {.addr = {[10] = 0xff, 0xff, 10, 0, 0, 9}, .port = 5432};
	struct owner owner = {.pid = 7, .comm = "a 15 bytes name"};

	(void)state;
	finding__endpoint(&finding, "six", &six);
	finding__endpoint(&finding, "four", &four);
	finding__owner(&finding, &owner);
	assert_string_equal(filled(&finding, "{process}: {six} {four}"),
			    "a 15 bytes name: [2001:db8::1]:80 10.0.0.9:5432");
	finding__owner(&finding, NULL);
	assert_string_equal(filled(&finding, "{process}"), "an unknown process");
	assert_false(finding.owner_known);
}

static void test_long_texts_are_cut(void **state)
{
	struct finding finding = empty;
	char text[300];

	(void)state;
	memset(text, 'a', sizeof(text));
	finding__text(&finding, "long", text, sizeof(text));
	assert_int_equal(strlen(finding.evidence[0].text), EVIDENCE_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_the_same_in_text_and_evidence),
		cmocka_unit_test(test_what_is_not_finite_is_no_evidence),
		cmocka_unit_test(test_evidence_is_bounded),
		cmocka_unit_test(test_places_and_processes),
		cmocka_unit_test(test_long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
