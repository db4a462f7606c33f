/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/event/connection.c. The formatter is held against
 * inet_ntop(), which follows RFC 5952 but for the addresses that it prints
 * with a dotted tail.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/connection.c"

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Formats into guarded room, so that a write beyond ADDR_TEXT_MAX is seen. */
static void format(const uint8_t addr[16], char text[ADDR_TEXT_MAX + 1])
{
	char room[ADDR_TEXT_MAX + 8];
	unsigned int len;

	memset(room, 0x5a, sizeof(room));
	len = addr__format(addr, room);
	assert_in_range(len, 2, ADDR_TEXT_MAX - 1);
	for (size_t i = ADDR_TEXT_MAX; i < sizeof(room); i++)
		assert_int_equal(room[i], 0x5a);
	memcpy(text, room, len);
	text[len] = '\0';
}

static void expect_text(const char *address, const char *expected)
{
	char text[ADDR_TEXT_MAX + 1];
	uint8_t addr[16];

	assert_int_equal(inet_pton(AF_INET6, address, addr), 1);
	format(addr, text);
	assert_string_equal(text, expected);
}

static void expect_as_libc(const uint8_t addr[16])
{
	char text[ADDR_TEXT_MAX + 1], libc[INET6_ADDRSTRLEN];
	uint8_t back[16];

	format(addr, text);
	assert_non_null(inet_ntop(AF_INET6, addr, libc, sizeof(libc)));
	if (addr__is_v4(addr)) {
		assert_non_null(inet_ntop(AF_INET, addr + 12, libc, sizeof(libc)));
		assert_string_equal(text, libc);
		return;
	}
	/* ::10.0.0.1, deprecated by RFC 4291: we write it in hexadecimal. */
	if (!strchr(libc, '.'))
		assert_string_equal(text, libc);
	assert_null(strchr(text, '.'));
	assert_int_equal(inet_pton(AF_INET6, text, back), 1);
	assert_memory_equal(back, addr, 16);
}

static void v4_is_dotted(void **state)
{
	(void)state;
	expect_text("::ffff:0.0.0.0", "0.0.0.0");
	expect_text("::ffff:1.10.100.255", "1.10.100.255");
	expect_text("::ffff:255.255.255.255", "255.255.255.255");
	expect_text("::ffff:9.99.109.200", "9.99.109.200");
}

static void every_byte_of_v4_as_libc(void **state)
{
	uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };

	(void)state;
	for (int at = 12; at < 16; at++) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			addr[at] = (uint8_t)byte;
			expect_as_libc(addr);
		}
	}
}

static void v6_follows_rfc_5952(void **state)
{
	(void)state;
	expect_text("::", "::");
	expect_text("::1", "::1");
	expect_text("1::", "1::");
	expect_text("2001:DB8::AbCd", "2001:db8::abcd");
	expect_text("2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1");
	/* 4.2.2: no "::" for a single group. */
	expect_text("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1");
	expect_text("0:1:1:1:1:1:1:0", "0:1:1:1:1:1:1:0");
	/* 4.2.3: the longest run, and the first of equals. */
	expect_text("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");
	expect_text("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
	expect_text("0:0:1:1:1:1:0:0", "::1:1:1:1:0:0");
	expect_text("1:0:0:1:1:0:0:0", "1:0:0:1:1::");
	expect_text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	/* Near v4-mapped, but not. */
	expect_text("::fffe:a00:1", "::fffe:a00:1");
	expect_text("::1:ffff:a00:1", "::1:ffff:a00:1");
	expect_text("64:ff9b::a00:1", "64:ff9b::a00:1");
	expect_text("::10.0.0.1", "::a00:1");
}

static void every_pattern_of_zeros_as_libc(void **state)
{
	static const uint16_t fill[] = { 0x1, 0x10, 0x100, 0x1000, 0xffff };

	(void)state;
	for (unsigned int zeros = 0; zeros < 256; zeros++) {
		for (size_t f = 0; f < sizeof(fill) / sizeof(fill[0]); f++) {
			uint8_t addr[16] = { 0 };

			for (int i = 0; i < 8; i++) {
				if (zeros >> i & 1)
					continue;
				addr[2 * i] = (uint8_t)(fill[f] >> 8);
				addr[2 * i + 1] = (uint8_t)fill[f];
			}
			expect_as_libc(addr);
		}
	}
}

static void random_v6_as_libc(void **state)
{
	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint64_t zeros = random_u64(), short_groups = random_u64();
		uint8_t addr[16];

		for (int i = 0; i < 8; i++) {
			unsigned int group = (unsigned int)(random_u64() & 0xffff);

			if (zeros >> i & 1)
				group = 0;
			if (short_groups >> (i * 2) & 1)
				group >>= 4 * (short_groups >> (32 + i * 2) & 3);
			addr[2 * i] = (uint8_t)(group >> 8);
			addr[2 * i + 1] = (uint8_t)group;
		}
		expect_as_libc(addr);
	}
}

static void family_is_the_one_on_the_wire(void **state)
{
	uint8_t addr[16] = { 0 };

	(void)state;
	assert_int_equal(addr__family(addr), 6);
	addr[10] = 0xff;
	assert_int_equal(addr__family(addr), 6);
	addr[11] = 0xff;
	assert_int_equal(addr__family(addr), 4);
	assert_true(addr__is_v4(addr));
	addr[0] = 1;
	assert_int_equal(addr__family(addr), 6);
	assert_false(addr__is_v4(addr));
}

static void names_of_roles(void **state)
{
	(void)state;
	assert_null(role__name(ROLE_UNKNOWN));
	assert_null(role__name(ROLE_END));
	assert_null(role__name((enum role)-1));
	assert_string_equal(role__name(ROLE_CLIENT), "client");
	assert_string_equal(role__name(ROLE_SERVER), "server");
	assert_string_equal(role__name(ROLE_BOTH), "both");
	assert_string_equal(role__name(ROLE_LISTENER), "listener");
}

static void names_of_states(void **state)
{
	(void)state;
	assert_string_equal(state__name(0), "?");
	assert_string_equal(state__name(EV_STATE_END), "?");
	assert_string_equal(state__name(~0U), "?");
	assert_string_equal(state__name(EV_SYN_RECV), "SYN_RECV");
	assert_string_equal(state__name(EV_STATE_CLOSE), "CLOSE");
	for (unsigned int i = 1; i < EV_STATE_END; i++)
		assert_int_equal(state__parse(state__name(i), (unsigned int)strlen(state__name(i))), i);
}

/* From memory that ends with the text, so that a read beyond it is seen. */
static unsigned int parse(const char *text)
{
	size_t len = strlen(text);
	char *exact = malloc(len);
	unsigned int state;

	assert_non_null(exact);
	memcpy(exact, text, len);
	state = state__parse(exact, (unsigned int)len);
	free(exact);
	return state;
}

static void states_as_people_write_them(void **state)
{
	(void)state;
	assert_int_equal(parse("time-wait"), EV_TIME_WAIT);
	assert_int_equal(parse("TimeWait"), EV_TIME_WAIT);
	assert_int_equal(parse("TIME-WAIT"), EV_TIME_WAIT);
	assert_int_equal(parse("fin-wait-2"), EV_FIN_WAIT2);
	assert_int_equal(parse("FIN_WAIT2"), EV_FIN_WAIT2);
	assert_int_equal(parse("fin_wait_1"), EV_FIN_WAIT1);
	assert_int_equal(parse("estab"), EV_ESTABLISHED);
	assert_int_equal(parse("Established"), EV_ESTABLISHED);
	assert_int_equal(parse("listening"), EV_LISTEN);
	assert_int_equal(parse("listen"), EV_LISTEN);
	assert_int_equal(parse("closed"), EV_STATE_CLOSE);
	assert_int_equal(parse("unconn"), EV_STATE_CLOSE);
	assert_int_equal(parse("syn-received"), EV_SYN_RECV);
	assert_int_equal(parse("last-ack"), EV_LAST_ACK);
	assert_int_equal(parse("closing"), EV_CLOSING);
	assert_int_equal(parse("close-wait"), EV_CLOSE_WAIT);
}

static void what_is_no_state(void **state)
{
	static const char *const texts[] = {
		"-", "time", "time-", "time--wait", "-time-wait", "time-wait-", "time wait",
		"fin-wait", "fin-wait-3", "fin-wait-\x11", "estabx", "close-", "?", "time\xadwait",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse(texts[i]), 0);
	assert_int_equal(state__parse("", 0), 0);
	/* The length counts, not what follows. */
	assert_int_equal(state__parse("listening", 6), EV_LISTEN);
	assert_int_equal(state__parse("listening", 7), 0);
	assert_int_equal(state__parse("fin-wait-1,fin-wait-2", 10), EV_FIN_WAIT1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v4_is_dotted),
		cmocka_unit_test(every_byte_of_v4_as_libc),
		cmocka_unit_test(v6_follows_rfc_5952),
		cmocka_unit_test(every_pattern_of_zeros_as_libc),
		cmocka_unit_test(random_v6_as_libc),
		cmocka_unit_test(family_is_the_one_on_the_wire),
		cmocka_unit_test(names_of_roles),
		cmocka_unit_test(names_of_states),
		cmocka_unit_test(states_as_people_write_them),
		cmocka_unit_test(what_is_no_state),
	};

	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
