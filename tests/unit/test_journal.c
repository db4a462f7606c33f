/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/output/journal.c, and of the lines that go into it: what a process
 * calls itself comes back byte by byte from the JSON, as another's parser reads it, and
 * from the journal's entry, whose fields no name can forge.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef stop /* cmocka 2 has a macro of that name, a printer a function */

#include "base/decimal.c"
#include "base/clock.c"
#include "base/histogram.c"
#include "base/idmap.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "base/strbuf.c"
#include "event/connection.c"
#include "event/counter.c"
#include "model/life.c"
#include "model/cgroups.c"
#include "model/departed.c"
#include "model/flow_table.c"
#include "model/clients.c"
#include "model/listeners.c"
#include "model/namespaces.c"
#include "model/owners.c"
#include "model/timewaits.c"
#include "findings/finding.c"
#include "output/json.c"
#include "output/json_finding.c"
#include "output/json_snapshots.c"
#include "output/printer.c"
#include "base/text.c"
#define put_text journal_put_text
#define put_object journal_put_object
#include "output/journal.c"
#include "names.h"

/* The printers' table is not under test here. */
const struct printer_ops table_printer = {0};

static struct strbuf entry;

static int setup(void **state)
{
	(void)state;
	strbuf__init(&entry);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf__fini(&entry);
	return 0;
}

/* ---- the receiver's side ---- */

struct field {
	const char *name;
	size_t name_len;
	const char *value;
	size_t len;
};

/* The next field of an entry, as journald reads it. False at its end. */
static bool next_field(const char **at, const char *end, struct field *field)
{
	const char *line_end = memchr(*at, '\n', (size_t)(end - *at)), *equals;

	if (*at == end)
		return false;
	assert_non_null(line_end);
	equals = memchr(*at, '=', (size_t)(line_end - *at));
	*field = (struct field){.name = *at, .name_len = (size_t)((equals ? equals : line_end) - *at)};
	if (equals) {
		field->value = equals + 1;
		field->len = (size_t)(line_end - field->value);
	} else {
		assert_true(end - line_end > 9);
		for (unsigned int i = 8; i > 0; i--)
			field->len = field->len << 8 | (unsigned char)line_end[i];
		field->value = line_end + 9;
		assert_true(field->len < (size_t)(end - field->value));
		assert_int_equal(field->value[field->len], '\n');
	}
	*at = field->value + field->len + 1;
	assert_true(field->name_len > 0 && field->name_len <= 64 && isupper((unsigned char)field->name[0]));
	assert_true(strspn(field->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") >= field->name_len);
	return true;
}

/* The only field of that name; false when there is none. */
static bool find_field(const char *name, struct field *found)
{
	const char *at = entry.data, *end = entry.data + entry.len;
	struct field field;
	bool is_there = false;

	while (next_field(&at, end, &field)) {
		if (field.name_len != strlen(name) || memcmp(field.name, name, field.name_len))
			continue;
		assert_false(is_there);
		is_there = true;
		*found = field;
	}
	return is_there;
}

static unsigned int count_fields(void)
{
	const char *at = entry.data, *end = entry.data + entry.len;
	struct field field;
	unsigned int count = 0;

	while (next_field(&at, end, &field))
		count++;
	return count;
}

static void expect_field(const char *name, const char *value)
{
	struct field field;

	assert_true(find_field(name, &field));
	assert_int_equal(field.len, strlen(value));
	assert_memory_equal(field.value, value, field.len);
}

static void encode(const char *line)
{
	strbuf__clear(&entry);
	assert_int_equal(journal__encode(&entry, line, strlen(line)), 0);
}

/* ---- entries ---- */

static void a_finding(void **state)
{
	(void)state;
	encode("{\"v\":1,\"type\":\"finding\",\"id\":\"close-wait-leak\",\"severity\":\"critical\","
	       "\"phase\":\"raised\",\"verdict\":\"php leaks\",\"evidence\":{\"rate_per_s\":402.1,\"n\":3},"
	       "\"advice\":[\"call close()\"],\"estimated\":true}");
	expect_field("MESSAGE", "close-wait-leak raised: php leaks");
	expect_field("PRIORITY", "2");
	expect_field("SYSLOG_IDENTIFIER", "tcpsaga");
	expect_field("TCPSAGA_ID", "close-wait-leak");
	expect_field("TCPSAGA_EVIDENCE_RATE_PER_S", "402.1");
	expect_field("TCPSAGA_EVIDENCE_N", "3");
	expect_field("TCPSAGA_ADVICE", "[\"call close()\"]");
	expect_field("TCPSAGA_ESTIMATED", "true");
	encode("{\"type\":\"finding\",\"severity\":\"warning\",\"phase\":\"raised\"}");
	expect_field("PRIORITY", "4");
	encode("{\"type\":\"finding\",\"severity\":\"critical\",\"phase\":\"cleared\"}");
	expect_field("PRIORITY", "6");
}

static void a_connection(void **state)
{
	static const char line[] =
		"{\"v\":1,\"type\":\"connection\",\"family\":6,\"local\":{\"addr\":\"::1\",\"port\":43210},"
		"\"remote\":{\"addr\":\"::2\",\"port\":443},\"role\":\"client\",\"process\":{\"pid\":811,"
		"\"comm\":\"curl\"},\"duration_us\":3120000,\"closed_first\":\"local\",\"how\":\"close\","
		"\"bytes_sent\":120,\"bytes_received\":4096}";

	(void)state;
	encode(line);
	expect_field("MESSAGE", "client [::1]:43210 [::2]:443 curl/811: close, closed first: local, "
				"3.120 s, sent 120, received 4096 bytes");
	expect_field("PRIORITY", "6");
	expect_field("TCPSAGA_REMOTE_PORT", "443");
	expect_field("TCPSAGA_PROCESS_COMM", "curl");
	expect_field("TCPSAGA_JSON", line);
}

static void other_lines(void **state)
{
	(void)state;
	encode("{\"type\":\"transition\",\"local\":{\"addr\":\"1.2.3.4\"},\"old\":\"CLOSE\",\"new\":\"LISTEN\"}");
	expect_field("MESSAGE", "transition 1.2.3.4: transition CLOSE>LISTEN");
	expect_field("PRIORITY", "7");
	encode("{\"type\":\"stop\",\"ledger\":{\"attempted\":7,\"delivered\":7,\"lost\":{}}}");
	expect_field("MESSAGE", "stopped: 7 records attempted, 7 delivered");
	encode("{}");
	assert_int_equal(count_fields(), 4);
	encode("{\"type\":3,\"local\":[],\"process\":\"x\"}"); /* nothing is where it is looked for */
	assert_int_equal(count_fields(), 7);
}

static void what_is_no_object(void **state)
{
	static const char *const lines[] = {"", "x", "[]", "3", "{\"a\":1", "{\"a\":1}x", "{\"a\":\"\xff\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(journal__encode(&entry, lines[i], strlen(lines[i])), -EINVAL);
}

static void names_of_fields(void **state)
{
	(void)state;
	encode("{\"a-b\":1,\"a_very_long_key_of_more_than_sixty_four_bytes_that_has_no_end_in_sight\":2,"
	       "\"outer\":{\"a_key_that_fills_all_the_room_there_is_in_a_name_of_a_field\":{\"x\":3}}}");
	expect_field("TCPSAGA_A_B", "1");
	expect_field("TCPSAGA_A_VERY_LONG_KEY_OF_MORE_THAN_SIXTY_FOUR_BYTES_THAT_HAS_N", "2");
	assert_int_equal(count_fields(), 7);
}

/* ---- names of processes ---- */

/* As jansson reads the line: comm_hex where it is there, else comm. */
static void expect_in_json(const char *line, size_t len, const char name[EV_COMM_BYTES])
{
	json_t *object = json_loadb(line, len, 0, NULL);
	const json_t *process = json_object_get(object, "process");
	const char *comm = json_string_value(json_object_get(process, "comm"));
	const char *in_hex = json_string_value(json_object_get(process, "comm_hex"));
	size_t wanted = strnlen(name, EV_COMM_BYTES);

	assert_non_null(comm);
	if (!in_hex) {
		assert_int_equal(strlen(comm), wanted);
		assert_memory_equal(comm, name, wanted);
	} else {
		assert_int_equal(strlen(in_hex), 2 * wanted);
		for (size_t i = 0; i < wanted; i++) {
			char byte[3] = {in_hex[2 * i], in_hex[2 * i + 1], 0};

			assert_int_equal(strtoul(byte, NULL, 16), (unsigned char)name[i]);
		}
	}
	json_decref(object);
}

static bool is_named(const struct field *field, const char *name)
{
	return field->name_len == strlen(name) && !memcmp(field->name, name, field->name_len);
}

/* The entry in one pass: each of the fields once, and none but those of the line. */
static void expect_in_journal(const char *line, size_t len, const char name[EV_COMM_BYTES])
{
	const char *at, *end;
	struct field field;
	unsigned int messages = 0, comms = 0, lines = 0, fields = 0;
	bool in_hex = memmem(line, len, "\"comm_hex\":", 11) != NULL;

	strbuf__clear(&entry);
	assert_int_equal(journal__encode(&entry, line, len), 0);
	at = entry.data;
	end = entry.data + entry.len;
	for (; next_field(&at, end, &field); fields++) {
		if (is_named(&field, "MESSAGE")) {
			messages++;
			assert_true(count_characters(field.value, field.len) > 0);
		} else if (is_named(&field, "TCPSAGA_PROCESS_COMM")) {
			comms++;
			assert_true(in_hex || (field.len == strnlen(name, EV_COMM_BYTES) &&
					       !memcmp(field.value, name, field.len)));
		} else if (is_named(&field, "TCPSAGA_JSON")) {
			lines++;
			assert_true(field.len == len && !memcmp(field.value, line, len));
		}
	}
	assert_true(messages == 1 && comms == 1 && lines == 1);
	assert_int_equal(fields, 16 + in_hex);
}

static void expect_name(const char name[EV_COMM_BYTES])
{
	const char *line;
	size_t len;

	print_name(name);
	line = printer.out.data;
	len = printer.out.len - 1;
	assert_ptr_equal(memchr(line, '\n', len + 1), line + len);
	expect_in_json(line, len, name);
	expect_in_journal(line, len, name);
}

static void every_name_of_two_bytes(void **state)
{
	(void)state;
	with_printer(&json_printer, each_name_of_two_bytes, expect_name);
}

static void random_names(void **state)
{
	(void)state;
	with_printer(&json_printer, each_random_name, expect_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_finding, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(other_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_object, setup, teardown),
		cmocka_unit_test_setup_teardown(names_of_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(every_name_of_two_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(random_names, setup, teardown),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
