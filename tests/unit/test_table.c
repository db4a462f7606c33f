/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/output/table.c: what a process calls itself moves no column and
 * reaches no terminal as anything but text.
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
#include "base/text.c"
#include "base/wrap.c"
#include "event/connection.c"
#include "event/counter.c"
#include "model/life.c"
#include "model/cgroups.c"
#include "model/clients.c"
#include "model/listeners.c"
#include "model/namespaces.c"
#include "model/owners.c"
#include "model/timewaits.c"
#include "findings/finding.c"
#include "output/printer.c"
#include "output/table.c"
#include "output/table_life.c"
#include "output/table_snapshots.c"
#include "names.h"

const struct printer_ops json_printer = {0};
void finding__print(struct printer *printer, const struct finding *finding);
void finding__print(struct printer *out, const struct finding *finding)
{
	(void)out;
	(void)finding;
}

static void expect_name(const char name[EV_COMM_BYTES])
{
	static int columns;
	size_t len;

	print_name(name);
	len = printer.out.len - 1;
	assert_int_equal(printer.out.data[len], '\n');
	if (!columns)
		columns = count_characters(printer.out.data, len);
	assert_true(columns > 0);
	assert_int_equal(count_characters(printer.out.data, len), columns);
}

static void every_name_of_two_bytes(void **state)
{
	(void)state;
	with_printer(&table_printer, each_name_of_two_bytes, expect_name);
}

static void random_names(void **state)
{
	(void)state;
	with_printer(&table_printer, each_random_name, expect_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_of_two_bytes),
		cmocka_unit_test(random_names),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
