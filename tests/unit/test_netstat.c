/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/source/netstat.c: files of counters as kernels write them
 * and as they might, and settings in every shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/idmap.c"
#include "base/decimal.c"
#include "base/strbuf.c"
#include "source/netns.c"
#include "source/netstat.c"

static int file_with(const char *text, size_t len)
{
	int fd = memfd_create("counters", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void add(struct netstat *stat, const char *text)
{
	int fd = file_with(text, strlen(text));

	assert_int_equal(netstat__add(stat, fd), 0);
	close(fd);
}

static struct netstat stat_of(const char *text)
{
	struct netstat stat;

	netstat__init(&stat);
	add(&stat, text);
	return stat;
}

static void expect(const struct netstat *stat, const char *group, const char *name, uint64_t wanted)
{
	uint64_t value = ~wanted;

	assert_true(netstat__get(stat, group, name, &value));
	assert_int_equal(value, wanted);
}

static void expect_absent(const struct netstat *stat, const char *group, const char *name)
{
	uint64_t value = 4711;

	assert_false(netstat__get(stat, group, name, &value));
	assert_int_equal(value, 4711);
}

static void counters_by_name(void **state)
{
	struct netstat stat = stat_of("TcpExt: SyncookiesSent ListenOverflows ListenDrops\n"
				      "TcpExt: 1 22 333\n"
				      "IpExt: InOctets\n"
				      "IpExt: 18446744073709551615\n");

	(void)state;
	expect(&stat, "TcpExt", "SyncookiesSent", 1);
	expect(&stat, "TcpExt", "ListenOverflows", 22);
	expect(&stat, "TcpExt", "ListenDrops", 333);
	expect(&stat, "IpExt", "InOctets", UINT64_MAX);
	assert_int_equal(stat.count, 4);
	netstat__fini(&stat);
}

static void absent_is_not_zero(void **state)
{
	struct netstat stat =
		stat_of("TcpExt: ListenDrops TW\nTcpExt: 0 5\nIpExt: InOctets\nIpExt: 0\n");

	(void)state;
	expect(&stat, "TcpExt", "ListenDrops", 0);
	expect_absent(&stat, "TcpExt", "ListenOverflows");
	expect_absent(&stat, "TcpExt", "InOctets");
	expect_absent(&stat, "IpExt", "ListenDrops");
	expect_absent(&stat, "TcpExt", "Listen");
	expect_absent(&stat, "TcpExt", "ListenDropsX");
	expect_absent(&stat, "Tcp", "ListenDrops");
	expect_absent(&stat, "", "");
	netstat__fini(&stat);
}

static void two_files(void **state)
{
	struct netstat stat = stat_of("TcpExt: TW\nTcpExt: 5\n");

	(void)state;
	add(&stat, "Tcp: MaxConn ActiveOpens\nTcp: -1 7\n");
	expect(&stat, "TcpExt", "TW", 5);
	expect(&stat, "Tcp", "ActiveOpens", 7);
	expect(&stat, "Tcp", "MaxConn", (uint64_t)-1);
	netstat__fini(&stat);
}

/* A line of names without its values, and the other way round. */
static void pairs_that_are_none(void **state)
{
	struct netstat stat = stat_of("Lonely: A B\n"
				      "TcpExt: TW\n"
				      "TcpExt: 5\n"
				      "Values: 1 2\n"
				      "IpExt: InOctets\n"
				      "IpExt: 6\n"
				      "Third: A B\n"
				      "Third: 7 8\n"
				      "Third: 9 9\n"
				      "Last: A\n");

	(void)state;
	expect(&stat, "TcpExt", "TW", 5);
	expect(&stat, "IpExt", "InOctets", 6);
	expect(&stat, "Third", "A", 7);
	assert_int_equal(stat.count, 4);
	netstat__fini(&stat);
}

static void more_names_than_values(void **state)
{
	struct netstat stat = stat_of("A: x y z\nA: 1 2\nB: x\nB: 1 2 3\nC: x\nC:\nD:\nD: 1\n");

	(void)state;
	expect(&stat, "A", "x", 1);
	expect(&stat, "A", "y", 2);
	expect_absent(&stat, "A", "z");
	expect(&stat, "B", "x", 1);
	expect_absent(&stat, "C", "x");
	assert_int_equal(stat.count, 3);
	netstat__fini(&stat);
}

static void values_that_are_no_numbers(void **state)
{
	struct netstat stat = stat_of("A: a b c d e f g\n"
				      "A: 1x - 0x5 18446744073709551616 99999999999999999999999 + 7\n");

	(void)state;
	expect(&stat, "A", "g", 7);
	assert_int_equal(stat.count, 1);
	netstat__fini(&stat);
}

static void cut_anywhere_it_is_whole_up_to_there(void **state)
{
	static const char text[] = "TcpExt: One Two\nTcpExt: 11 22\nIpExt: In\nIpExt: 33\n";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		struct netstat stat;
		int fd = file_with(text, len);
		uint64_t value;

		netstat__init(&stat);
		assert_int_equal(netstat__add(&stat, fd), 0);
		if (netstat__get(&stat, "TcpExt", "One", &value))
			assert_true(value == 11 || value == 1);
		assert_int_equal(netstat__get(&stat, "TcpExt", "One", &value), len > 24);
		close(fd);
		netstat__fini(&stat);
	}
}

static void odd_texts(void **state)
{
	static const char *const texts[] = {"",
					    "\n",
					    "\n\n",
					    ":",
					    "::\n::\n",
					    ": \n: \n",
					    "A",
					    "A:",
					    "A:\nA:",
					    "A: \nA: \n",
					    "no colon\nno colon\n",
					    " : x\n : 1\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct netstat stat = stat_of(texts[i]);

		expect_absent(&stat, "A", "x");
		netstat__fini(&stat);
	}
}

static void bytes_of_zero(void **state)
{
	static const char text[] = "A\0: x\0y\nA\0: 1\nB: z\nB: 2\n";
	struct netstat stat;
	int fd = file_with(text, sizeof(text) - 1);

	(void)state;
	netstat__init(&stat);
	assert_int_equal(netstat__add(&stat, fd), 0);
	expect_absent(&stat, "A", "x");
	expect(&stat, "B", "z", 2);
	close(fd);
	netstat__fini(&stat);
}

static void very_many_counters(void **state)
{
	struct strbuf text;
	struct netstat stat;

	(void)state;
	strbuf__init(&text);
	strbuf__str(&text, "Many:");
	for (int i = 0; i < 5000; i++)
		strbuf__printf(&text, " name%d", i);
	strbuf__str(&text, "\nMany:");
	for (int i = 0; i < 5000; i++)
		strbuf__printf(&text, " %d", i * 3);
	strbuf__char(&text, '\n');
	stat = stat_of(strbuf__text(&text));
	assert_int_equal(stat.count, 5000);
	expect(&stat, "Many", "name0", 0);
	expect(&stat, "Many", "name4999", 14997);
	netstat__fini(&stat);
	strbuf__fini(&text);
}

static void too_long_a_file(void **state)
{
	size_t len = TEXT_MAX_BYTES + 1;
	char *text = malloc(len);
	struct netstat stat = stat_of("A: x\nA: 1\n");
	int fd;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	fd = file_with(text, len);
	assert_int_equal(netstat__add(&stat, fd), -EFBIG);
	expect(&stat, "A", "x", 1);
	assert_int_equal(stat.text.len, 10);
	close(fd);
	free(text);
	netstat__fini(&stat);
}

static void the_running_kernel(void **state)
{
	struct netstat stat;
	size_t count = 0;

	(void)state;
	netstat__init(&stat);
	for (int i = 0; i < 2; i++) {
		uint64_t value;

		assert_int_equal(netstat__load(&stat), 0);
		assert_true(netstat__get(&stat, "TcpExt", "ListenOverflows", &value));
		assert_true(netstat__get(&stat, "Tcp", "ActiveOpens", &value));
		assert_true(stat.count > 100);
		assert_true(count == 0 || count == stat.count);
		count = stat.count;
	}
	netstat__fini(&stat);
	assert_int_equal(netstat__add(&stat, -1), -EBADF);
	netstat__fini(&stat);
}

/* ---- settings ---- */

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static unsigned int file_of(enum sysctl_id id)
{
	for (unsigned int i = 0; i < FILES; i++)
		if (files[i].first == id)
			return i;
	fail();
	return 0;
}

static void each_setting_has_a_name(void **state)
{
	(void)state;
	for (int id = 0; id < SYSCTL_COUNT; id++)
		assert_non_null(sysctl_id__name(id));
	assert_null(sysctl_id__name(SYSCTL_COUNT));
	assert_string_equal(sysctl_id__name(SYSCTL_SOMAXCONN), "net.core.somaxconn");
	assert_string_equal(sysctl_id__name(SYSCTL_PORT_HIGH), "net.ipv4.ip_local_port_range");
}

static void numbers_of_settings(void **state)
{
	struct sysctls sysctls = {0};
	int64_t value = 4711;

	(void)state;
	assert_false(sysctls__get(&sysctls, SYSCTL_SOMAXCONN, &value));
	assert_int_equal(value, 4711);
	parse_numbers(&sysctls, file_of(SYSCTL_SOMAXCONN), span_of("128"));
	assert_true(sysctls__get(&sysctls, SYSCTL_SOMAXCONN, &value));
	assert_int_equal(value, 128);
	parse_numbers(&sysctls, file_of(SYSCTL_TW_REUSE), span_of("-1"));
	assert_true(sysctls__get(&sysctls, SYSCTL_TW_REUSE, &value));
	assert_int_equal(value, -1);
	parse_numbers(&sysctls, file_of(SYSCTL_SYNCOOKIES), span_of("yes"));
	assert_false(sysctls__get(&sysctls, SYSCTL_SYNCOOKIES, &value));
	parse_numbers(&sysctls, file_of(SYSCTL_SYNCOOKIES), span_of(""));
	assert_false(sysctls__get(&sysctls, SYSCTL_SYNCOOKIES, &value));
}

static struct sysctls with_ports(const char *range, const char *reserved)
{
	struct sysctls sysctls = {0};

	parse_numbers(&sysctls, file_of(SYSCTL_PORT_LOW), span_of(range));
	parse_reserved(&sysctls, span_of(reserved));
	return sysctls;
}

static uint32_t ports(const char *range, const char *reserved)
{
	struct sysctls sysctls = with_ports(range, reserved);

	return sysctls__ephemeral_ports(&sysctls);
}

static void ports_to_choose_from(void **state)
{
	(void)state;
	assert_int_equal(ports("32768\t60999", ""), 28232);
	assert_int_equal(ports("1\t65535", ""), 65535);
	assert_int_equal(ports("0\t65535", ""), 65536);
	assert_int_equal(ports("40000\t40000", ""), 1);
	assert_int_equal(ports("40000\t40000", "40000"), 0);
	assert_int_equal(ports("40001\t40000", ""), 0);
	assert_int_equal(ports("40000\t40009", "80,39000-40000,40004-40006,40009-50000"), 5);
	/* Nothing is known. */
	assert_int_equal(ports("", ""), 0);
	assert_int_equal(ports("40000", ""), 0);
	/* Nonsense stays within bounds. */
	assert_int_equal(ports("-5\t10", ""), 0);
	assert_int_equal(ports("65535\t99999999", ""), 1);
	assert_int_equal(ports("99999999\t99999999", ""), 0);
}

static void reserved_ports(void **state)
{
	struct sysctls sysctls = with_ports("", "0,80,8080-8082,65535");
	unsigned int count = 0;

	(void)state;
	for (unsigned int port = 0; port < PORTS; port++)
		count += sysctls__is_reserved(&sysctls, (uint16_t)port);
	assert_int_equal(count, 6);
	assert_true(sysctls__is_reserved(&sysctls, 0));
	assert_true(sysctls__is_reserved(&sysctls, 80));
	assert_true(sysctls__is_reserved(&sysctls, 8080));
	assert_true(sysctls__is_reserved(&sysctls, 8082));
	assert_false(sysctls__is_reserved(&sysctls, 8083));
	assert_true(sysctls__is_reserved(&sysctls, 65535));
}

static void odd_lists_of_reserved_ports(void **state)
{
	static const char *const lists[] = {
		"", ",", "-", "-5", "x", "80x", "65536", "-,-,-", "99-50", "1000-", "99999999999-5"};
	const struct sysctls none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct sysctls sysctls = with_ports("", lists[i]);

		/* "1000-" says one port at least. */
		if (sysctls__is_reserved(&sysctls, 1000))
			sysctls.reserved[1000 / 8] = 0;
		assert_memory_equal(sysctls.reserved, none.reserved, sizeof(none.reserved));
	}
	assert_int_equal(ports("0\t65535", "60000-99999999999"), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_by_name),
		cmocka_unit_test(absent_is_not_zero),
		cmocka_unit_test(two_files),
		cmocka_unit_test(pairs_that_are_none),
		cmocka_unit_test(more_names_than_values),
		cmocka_unit_test(values_that_are_no_numbers),
		cmocka_unit_test(cut_anywhere_it_is_whole_up_to_there),
		cmocka_unit_test(odd_texts),
		cmocka_unit_test(bytes_of_zero),
		cmocka_unit_test(very_many_counters),
		cmocka_unit_test(too_long_a_file),
		cmocka_unit_test(the_running_kernel),
		cmocka_unit_test(each_setting_has_a_name),
		cmocka_unit_test(numbers_of_settings),
		cmocka_unit_test(ports_to_choose_from),
		cmocka_unit_test(reserved_ports),
		cmocka_unit_test(odd_lists_of_reserved_ports),
	};

	return cmocka_run_group_tests_name("netstat", tests, NULL, NULL);
}
