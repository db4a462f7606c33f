/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/output/text.c. What is UTF-8 is held against a decoder of
 * another make (decode, then encode again), JSON strings against a strict
 * reader, and what goes to a terminal against a list of what must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.c"
#include "base/strbuf.c"
#include "base/text.c"

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- references ---- */

static unsigned int encode(uint32_t code, unsigned char out[4])
{
	if (code < 0x80) {
		out[0] = (unsigned char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (unsigned char)(0xc0 | code >> 6);
		out[1] = (unsigned char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (unsigned char)(0xe0 | code >> 12);
		out[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (unsigned char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (unsigned char)(0xf0 | code >> 18);
	out[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (unsigned char)(0x80 | (code & 0x3f));
	return 4;
}

/* What n bytes mean when they are read without asking whether they may; they
 * are UTF-8 exactly when the code point is one and encodes to the same bytes. */
static bool is_sequence(const unsigned char *s, unsigned int n)
{
	static const unsigned char kept[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = s[0] & kept[n];
	unsigned char back[4];

	for (unsigned int i = 1; i < n; i++)
		code = code << 6 | (s[i] & 0x3f);
	return code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) && encode(code, back) == n &&
	       !memcmp(back, s, n);
}

static unsigned int reference_sequence(const unsigned char *s, size_t len)
{
	for (unsigned int n = 1; n <= 4 && n <= len; n++)
		if (is_sequence(s, n))
			return n;
	return 0;
}

static bool is_c1(const unsigned char *s, unsigned int n)
{
	return n == 2 && s[0] == 0xc2 && s[1] <= 0x9f;
}

/* Reads a JSON string (RFC 8259, section 7) and nothing that is not one. It may
 * be printed on a terminal, so that controls are escaped: C0, DEL and C1, and
 * text.c needs no other escapes of UTF-16. */
static size_t read_json(const char *json, size_t len, unsigned char *out)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	size_t count = 0, i = 1;

	assert_true(len >= 2 && json[0] == '"' && json[len - 1] == '"');
	while (i < len - 1) {
		unsigned int n = reference_sequence((const unsigned char *)json + i, len - 1 - i);
		unsigned char c = (unsigned char)json[i];
		const char *found;

		assert_int_not_equal(n, 0);
		assert_true(c >= ' ' && c != '"' && c != 0x7f);
		assert_false(is_c1((const unsigned char *)json + i, n));
		if (c != '\\') {
			memcpy(out + count, json + i, n);
			count += n;
			i += n;
			continue;
		}
		assert_true(i + 1 < len - 1);
		if (json[i + 1] == 'u') {
			char hex[5] = "";
			char *end;

			assert_true(i + 6 <= len - 1);
			memcpy(hex, json + i + 2, 4);
			assert_true(strtoul(hex, &end, 16) < 0xa0 && end == hex + 4);
			count += encode((uint32_t)strtoul(hex, NULL, 16), out + count);
			i += 6;
			continue;
		}
		found = strchr(letters, json[i + 1]);
		assert_true(found && *found);
		out[count++] = (unsigned char)meanings[found - letters];
		i += 2;
	}
	return count;
}

/* ---- UTF-8 ---- */

static void expect_sequence(const char *bytes, size_t len, unsigned int expected)
{
	/* Exactly as many bytes as may be read: ASan sees one more. */
	unsigned char *copy = malloc(len ? len : 1);

	memcpy(copy, bytes, len);
	assert_int_equal(utf8__sequence(copy, len), expected);
	free(copy);
}

#define SEQUENCE(text, expected) expect_sequence(text, sizeof(text) - 1, expected)

/* The first and last of each row of Unicode's table 3-7, and what lies just
 * outside of it. */
static void edges_of_table_3_7(void **state)
{
	(void)state;
	SEQUENCE("\x00", 1);
	SEQUENCE("\x7f", 1);
	SEQUENCE("\x80", 0);
	SEQUENCE("\xbf", 0);
	SEQUENCE("\xc0\x80", 0); /* overlong NUL, "modified UTF-8" */
	SEQUENCE("\xc1\xbf", 0);
	SEQUENCE("\xc2\x7f", 0);
	SEQUENCE("\xc2\x80", 2);
	SEQUENCE("\xdf\xbf", 2);
	SEQUENCE("\xdf\xc0", 0);
	SEQUENCE("\xe0\x9f\xbf", 0); /* overlong U+07FF */
	SEQUENCE("\xe0\xa0\x80", 3);
	SEQUENCE("\xe0\xbf\xbf", 3);
	SEQUENCE("\xe1\x80\x80", 3);
	SEQUENCE("\xec\xbf\xbf", 3);
	SEQUENCE("\xed\x80\x80", 3);
	SEQUENCE("\xed\x9f\xbf", 3);
	SEQUENCE("\xed\xa0\x80", 0); /* the first surrogate */
	SEQUENCE("\xed\xbf\xbf", 0); /* the last one */
	SEQUENCE("\xee\x80\x80", 3);
	SEQUENCE("\xef\xbf\xbf", 3);
	SEQUENCE("\xef\xbf\xc0", 0);
	SEQUENCE("\xf0\x8f\xbf\xbf", 0); /* overlong U+FFFF */
	SEQUENCE("\xf0\x90\x80\x80", 4);
	SEQUENCE("\xf3\xbf\xbf\xbf", 4);
	SEQUENCE("\xf4\x80\x80\x80", 4);
	SEQUENCE("\xf4\x8f\xbf\xbf", 4);
	SEQUENCE("\xf4\x90\x80\x80", 0); /* beyond U+10FFFF */
	SEQUENCE("\xf5\x80\x80\x80", 0);
	SEQUENCE("\xff\xbf\xbf\xbf", 0);
	SEQUENCE("\xf8\x88\x80\x80\x80", 0); /* five bytes, of old */
}

static void a_cut_sequence_is_none(void **state)
{
	(void)state;
	SEQUENCE("", 0);
	SEQUENCE("\xc2", 0);
	SEQUENCE("\xe2\x82", 0);
	SEQUENCE("\xe2", 0);
	SEQUENCE("\xf0\x9f\x98", 0);
	SEQUENCE("\xf0\x9f", 0);
	SEQUENCE("\xf0", 0);
	SEQUENCE("\xe2\x82\x41", 0);
	SEQUENCE("\xf0\x9f\x98\x41", 0);
}

/* All beginnings of three bytes, with a few fourth ones. */
static void every_beginning_as_the_reference(void **state)
{
	static const unsigned char lasts[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0};
	unsigned char s[4];

	(void)state;
	for (uint32_t bytes = 0; bytes < 1 << 24; bytes++) {
		s[0] = (unsigned char)(bytes >> 16);
		s[1] = (unsigned char)(bytes >> 8);
		s[2] = (unsigned char)bytes;
		for (unsigned int i = 0; i < sizeof(lasts) && (s[0] >= 0xf0 || i == 0); i++) {
			s[3] = lasts[i];
			if (utf8__sequence(s, 4) != reference_sequence(s, 4))
				fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
		}
	}
}

static void every_code_point(void **state)
{
	unsigned char s[4];

	(void)state;
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		bool surrogate = code >= 0xd800 && code <= 0xdfff;
		unsigned int n = encode(code, s);

		if (utf8__sequence(s, n) != (surrogate ? 0 : n) || (!surrogate && code_point(s, n) != code))
			fail_msg("U+%04X", code);
	}
}

/* ---- JSON ---- */

/* Writes the bytes as JSON, reads it back, and returns whether they came back
 * as they were. */
static bool json_returns(const char *bytes, size_t len)
{
	unsigned char back[256];
	struct strbuf buf;
	size_t count;
	bool whole, same;

	assert_true(len * 3 < sizeof(back));
	strbuf__init(&buf);
	whole = text__json(&buf, bytes, len);
	count = read_json(buf.data, buf.len, back);
	same = count == len && !memcmp(back, bytes, len);
	/* What it says of itself is true. */
	assert_int_equal(whole, same);
	strbuf__fini(&buf);
	return whole;
}

static void expect_json(const char *bytes, const char *expected, bool whole)
{
	struct strbuf buf;

	strbuf__init(&buf);
	assert_int_equal(text__json(&buf, bytes, strlen(bytes)), whole);
	assert_string_equal(strbuf__text(&buf), expected);
	strbuf__fini(&buf);
}

static void json_by_example(void **state)
{
	(void)state;
	expect_json("", "\"\"", true);
	expect_json("nginx: worker", "\"nginx: worker\"", true);
	expect_json("a\"b\\c/d", "\"a\\\"b\\\\c/d\"", true);
	expect_json("\x1b[31m\n", "\"\\u001b[31m\\u000a\"", true);
	expect_json("\x7f", "\"\\u007f\"", true);
	expect_json("\xc2\x9b""31m", "\"\\u009b31m\"", true);
	expect_json("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"", true);
	expect_json("a\xff""b\xe2\x82", "\"a\xef\xbf\xbd""b\xef\xbf\xbd\xef\xbf\xbd\"", false);
	/* U+FFFD that was there is no damage. */
	expect_json("\xef\xbf\xbd", "\"\xef\xbf\xbd\"", true);
	expect_json("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", false);
}

static void every_pair_of_bytes_is_json(void **state)
{
	(void)state;
	for (unsigned int pair = 0; pair < 65536; pair++) {
		const char bytes[2] = {(char)(pair >> 8), (char)pair};
		bool ascii = pair >> 8 < 0x80 && (pair & 0xff) < 0x80;
		bool valid = ascii || reference_sequence((const unsigned char *)bytes, 2) == 2;

		assert_int_equal(json_returns(bytes, 2), valid);
	}
}

static void random_names_are_json(void **state)
{
	/* Bytes that mean something to somebody come more often. */
	static const unsigned char loaded[] = "\"\\\x1b\n\r\t\x7f\x80\xc2\xe0\xed\xf0\xf4\xff{}[]:,u";

	(void)state;
	for (int i = 0; i < 300000; i++) {
		char name[16];
		size_t len = random_u64() % sizeof(name);

		for (size_t at = 0; at < len; at++) {
			uint64_t r = random_u64();

			name[at] = (char)(r & 1 ? r >> 8 : loaded[(r >> 8) % (sizeof(loaded) - 1)]);
		}
		json_returns(name, len);
	}
}

/* ---- a terminal ---- */

static void expect_plain(const char *bytes, const char *expected, unsigned int columns)
{
	struct strbuf buf;

	strbuf__init(&buf);
	assert_int_equal(text__plain(&buf, bytes, strlen(bytes)), columns);
	assert_string_equal(strbuf__text(&buf), expected);
	strbuf__fini(&buf);
}

static void plain_by_example(void **state)
{
	(void)state;
	expect_plain("", "", 0);
	expect_plain("php-fpm", "php-fpm", 7);
	expect_plain("a\"b\\ c", "a\"b\\ c", 6);
	expect_plain("\x1b[31m\n", "?[31m?", 6);
	expect_plain("\x1b]0;title\a", "?]0;title?", 10);
	expect_plain("tab\there\x7f", "tab?here?", 9);
	expect_plain("caf\xc3\xa9", "caf\xc3\xa9", 4);
	expect_plain("\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!", 2);
	expect_plain("\xff\xfe", "??", 2);
	expect_plain("x\xe2\x82", "x??", 3);
}

/* C1 controls: a terminal takes U+009B for ESC [, as two bytes or as one. */
static void c1_controls_are_shown_as_question_marks(void **state)
{
	(void)state;
	for (unsigned int c = 0x80; c <= 0x9f; c++) {
		const char utf8[] = {'\xc2', (char)c, '3', '1', 'm', '\0'};
		const char raw[] = {(char)c, '3', '1', 'm', '\0'};

		expect_plain(utf8, "?31m", 4);
		expect_plain(raw, "?31m", 4);
	}
}

/* Unicode's Bidi_Control characters (UAX 9), and others that show nothing and
 * change the look of their neighbours. */
static bool must_not_show(uint32_t code)
{
	static const uint32_t bidi[] = {0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c,
					0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069};
	static const uint32_t hidden[] = {0x200b, 0x200c, 0x200d, 0x2028, 0x2029, 0x2060, 0xfeff};

	for (size_t i = 0; i < sizeof(bidi) / sizeof(bidi[0]); i++)
		if (code == bidi[i])
			return true;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (code == hidden[i])
			return true;
	return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

static void no_code_point_reaches_a_terminal_that_must_not(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		unsigned char s[4];
		unsigned int n = encode(code, s);
		bool shown;

		if (code >= 0xd800 && code <= 0xdfff)
			continue;
		strbuf__clear(&buf);
		assert_int_equal(text__plain(&buf, (const char *)s, n), 1);
		shown = buf.len == n && !memcmp(buf.data, s, n);
		if (!shown && !(buf.len == 1 && buf.data[0] == '?'))
			fail_msg("U+%04X became something else", code);
		if (shown && must_not_show(code))
			fail_msg("U+%04X was shown", code);
		/* Letters of no script are lost. */
		if (!shown && !must_not_show(code) && !(code >= 0x2000 && code <= 0x20ff) && code != 0xfeff)
			fail_msg("U+%04X was not shown", code);
	}
	strbuf__fini(&buf);
}

/* What was made safe is valid UTF-8 and one character a column, whatever came. */
static void random_names_are_plain(void **state)
{
	struct strbuf buf;

	(void)state;
	strbuf__init(&buf);
	for (int i = 0; i < 300000; i++) {
		char name[16];
		size_t len = random_u64() % sizeof(name);
		unsigned int columns, characters = 0;

		for (size_t at = 0; at < len; at++)
			name[at] = (char)(random_u64() >> 7);
		strbuf__clear(&buf);
		columns = text__plain(&buf, name, len);
		for (size_t at = 0; at < buf.len; characters++) {
			const unsigned char *s = (const unsigned char *)buf.data + at;
			unsigned int n = reference_sequence(s, buf.len - at);

			assert_int_not_equal(n, 0);
			assert_false(must_not_show(code_point(s, n)));
			at += n;
		}
		assert_int_equal(columns, characters);
	}
	strbuf__fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_of_table_3_7),
		cmocka_unit_test(a_cut_sequence_is_none),
		cmocka_unit_test(every_beginning_as_the_reference),
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(json_by_example),
		cmocka_unit_test(every_pair_of_bytes_is_json),
		cmocka_unit_test(random_names_are_json),
		cmocka_unit_test(plain_by_example),
		cmocka_unit_test(c1_controls_are_shown_as_question_marks),
		cmocka_unit_test(no_code_point_reaches_a_terminal_that_must_not),
		cmocka_unit_test(random_names_are_plain),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
