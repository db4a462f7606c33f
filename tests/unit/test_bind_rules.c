// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of user/model/bind_rules.c. tests/system/port.bats holds the same
 * rules against the kernel's own bind(); here is what takes no socket to tell:
 * the rules one by one, and what follows when something is not known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "event/connection.c"
#include "model/bind_rules.c"

enum { PORT = 8080, NETNS = 4026 };

static void set_addr(uint8_t out[16], uint8_t family, const char *text)
{
	if (family == AF_INET6) {
		assert_int_equal(inet_pton(AF_INET6, text, out), 1);
		return;
	}
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	assert_int_equal(inet_pton(AF_INET, text, out + 12), 1);
}

static uint8_t family_of(const char *text)
{
	return strchr(text, ':') ? AF_INET6 : AF_INET;
}

/* Neither side has an option. */
static struct bind_request asks(const char *addr)
{
	struct bind_request request = {.port = PORT, .protocol = IPPROTO_TCP, .netns = NETNS, .uid = 1000};

	request.family = family_of(addr);
	set_addr(request.addr, request.family, addr);
	return request;
}

static struct holder holds(const char *addr, uint8_t state)
{
	struct holder holder = {.local = {.port = PORT},
				.protocol = IPPROTO_TCP,
				.netns = NETNS,
				.uid = 1000,
				.state = state,
				.reuseaddr = ANSWER_NO,
				.reuseport = ANSWER_NO,
				.v6only = ANSWER_NO};

	holder.family = family_of(addr);
	set_addr(holder.local.addr, holder.family, addr);
	return holder;
}

static struct holder waits(const char *addr, uint32_t expires_ms)
{
	struct holder holder = holds(addr, EV_TIME_WAIT);

	holder.mini = true;
	holder.uid = 0;
	holder.expires_ms = expires_ms;
	return holder;
}

static void which_addresses_overlap(void **state)
{
	static const struct {
		const char *mine, *its;
		bool mine_v6only, its_v6only;
		enum answer answer;
	} cases[] = {
		{"0.0.0.0", "0.0.0.0", 0, 0, ANSWER_YES},
		{"0.0.0.0", "10.0.0.1", 0, 0, ANSWER_YES},
		{"10.0.0.1", "0.0.0.0", 0, 0, ANSWER_YES},
		{"10.0.0.1", "10.0.0.1", 0, 0, ANSWER_YES},
		{"10.0.0.1", "10.0.0.2", 0, 0, ANSWER_NO},
		/* dual-stack or IPv6 only, asked from both sides */
		{"0.0.0.0", "::", 0, 0, ANSWER_YES},
		{"0.0.0.0", "::", 0, 1, ANSWER_NO},
		{"10.0.0.1", "::", 0, 0, ANSWER_YES},
		{"10.0.0.1", "::", 0, 1, ANSWER_NO},
		{"::", "0.0.0.0", 0, 0, ANSWER_YES},
		{"::", "0.0.0.0", 1, 0, ANSWER_NO},
		{"::", "10.0.0.1", 0, 0, ANSWER_YES},
		{"::", "10.0.0.1", 1, 0, ANSWER_NO},
		{"::", "::", 1, 1, ANSWER_YES},
		{"::", "::", 0, 1, ANSWER_YES},
		{"::", "2001:db8::1", 1, 1, ANSWER_YES},
		{"2001:db8::1", "::", 0, 0, ANSWER_YES},
		{"2001:db8::1", "::", 0, 1, ANSWER_YES},
		{"2001:db8::1", "2001:db8::1", 0, 1, ANSWER_YES},
		{"2001:db8::1", "2001:db8::2", 0, 1, ANSWER_NO},
		/* an address of IPv6's own has no side of IPv4 */
		{"0.0.0.0", "2001:db8::1", 0, 1, ANSWER_NO},
		{"2001:db8::1", "0.0.0.0", 0, 0, ANSWER_NO},
		{"2001:db8::1", "10.0.0.1", 0, 0, ANSWER_NO},
		{"10.0.0.1", "2001:db8::1", 0, 1, ANSWER_NO},
		/* but that of a connection through a dual-stack socket does */
		{"0.0.0.0", "2001:db8::1", 0, 0, ANSWER_YES},
		{"10.0.0.1", "2001:db8::1", 0, 0, ANSWER_NO},
		{"127.0.0.6", "2001:db8::1", 0, 0, ANSWER_YES},
		/* v4-mapped is IPv4 */
		{"::ffff:10.0.0.1", "10.0.0.1", 0, 0, ANSWER_YES},
		{"::ffff:10.0.0.1", "10.0.0.2", 0, 0, ANSWER_NO},
		{"::ffff:10.0.0.1", "0.0.0.0", 0, 0, ANSWER_YES},
		{"::ffff:10.0.0.1", "::", 0, 0, ANSWER_YES},
		{"::ffff:10.0.0.1", "::", 0, 1, ANSWER_NO},
		{"::ffff:0.0.0.0", "10.0.0.1", 0, 0, ANSWER_YES},
		{"::ffff:0.0.0.0", "2001:db8::1", 0, 1, ANSWER_NO},
		{"10.0.0.1", "::ffff:10.0.0.1", 0, 0, ANSWER_YES},
		{"::", "::ffff:10.0.0.1", 0, 0, ANSWER_YES},
		{"::", "::ffff:10.0.0.1", 1, 0, ANSWER_NO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bind_request request = asks(cases[i].mine);
		struct holder holder = holds(cases[i].its, EV_LISTEN);

		request.v6only = cases[i].mine_v6only;
		holder.v6only = cases[i].its_v6only ? ANSWER_YES : ANSWER_NO;
		if (bind_rules__overlap(&request, &holder) != cases[i].answer)
			fail_msg("%s beside %s (case %zu)", cases[i].mine, cases[i].its, i);
		assert_int_equal(bind_rules__conflict(&request, &holder), cases[i].answer);
	}
}

/* SO_REUSEADDR helps only when both sides have it and the holder does not listen. */
static void reuseaddr(void **state)
{
	(void)state;
	for (uint8_t s = EV_ESTABLISHED; s < EV_STATE_END; s++)
		for (int options = 0; options < 4; options++) {
			struct bind_request request = asks("0.0.0.0");
			struct holder holder = holds("10.0.0.1", s);

			request.reuseaddr = options & 1;
			holder.reuseaddr = options & 2 ? ANSWER_YES : ANSWER_NO;
			assert_int_equal(bind_rules__conflict(&request, &holder),
					 options == 3 && s != EV_LISTEN ? ANSWER_NO : ANSWER_YES);
		}
}

/* SO_REUSEPORT helps in every state, but only sockets of one user; a minisocket
 * is nobody's any more. */
static void reuseport(void **state)
{
	(void)state;
	for (uint8_t s = EV_ESTABLISHED; s < EV_STATE_END; s++)
		for (int options = 0; options < 8; options++) {
			struct bind_request request = asks("0.0.0.0");
			struct holder holder = holds("0.0.0.0", s);

			request.reuseport = options & 1;
			holder.reuseport = options & 2 ? ANSWER_YES : ANSWER_NO;
			holder.uid = options & 4 ? 1000 : 0;
			holder.mini = s == EV_TIME_WAIT;
			assert_int_equal(bind_rules__conflict(&request, &holder),
					 (options & 3) == 3 && (options & 4 || holder.mini) ?
						 ANSWER_NO :
						 ANSWER_YES);
		}
}

static void what_is_not_known_is_doubtful_only_where_it_matters(void **state)
{
	struct bind_request request = asks("0.0.0.0");
	struct holder holder = holds("0.0.0.0", EV_ESTABLISHED);

	(void)state;
	holder.reuseaddr = holder.reuseport = ANSWER_UNKNOWN;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_YES);
	request.reuseaddr = true;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_UNKNOWN);
	holder.reuseport = ANSWER_YES; /* which the request has not */
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_UNKNOWN);
	holder.state = EV_LISTEN;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_YES);
	set_addr(request.addr, AF_INET, "10.0.0.1");
	set_addr(holder.local.addr, AF_INET, "10.0.0.2");
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_NO);
	set_addr(holder.local.addr, AF_INET6, "::");
	holder.v6only = ANSWER_UNKNOWN;
	assert_int_equal(bind_rules__overlap(&request, &holder), ANSWER_UNKNOWN);
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_UNKNOWN);
}

static struct bind_outcome judge(const struct bind_request *request, const struct holder *holders,
				 size_t count)
{
	struct bind_outcome outcome;

	bind_rules__judge(request, holders, count, &outcome);
	return outcome;
}

static void a_free_port(void **state)
{
	struct bind_request request = asks("0.0.0.0");
	struct holder others[3] = {holds("0.0.0.0", EV_LISTEN), holds("0.0.0.0", EV_LISTEN),
				   holds("0.0.0.0", EV_LISTEN)};
	struct bind_outcome outcome;

	(void)state;
	others[0].netns++;
	others[1].local.port++;
	others[2].protocol = IPPROTO_UDP;
	outcome = judge(&request, others, 3);
	assert_int_equal(outcome.succeeds, ANSWER_YES);
	assert_int_equal(outcome.error, 0);
	assert_int_equal(outcome.conflicts, 0);
	assert_false(outcome.ends_by_itself);
	assert_int_equal(judge(&request, NULL, 0).succeeds, ANSWER_YES);
}

static void when_it_ends_by_itself(void **state)
{
	struct bind_request request = asks("0.0.0.0");
	struct holder holders[3] = {waits("10.0.0.1", 1000), waits("10.0.0.1", 59000),
				    holds("10.0.0.1", EV_ESTABLISHED)};
	struct bind_outcome outcome = judge(&request, holders, 2);

	(void)state;
	assert_int_equal(outcome.succeeds, ANSWER_NO);
	assert_int_equal(outcome.error, EADDRINUSE);
	assert_int_equal(outcome.conflicts, 2);
	assert_true(outcome.ends_by_itself);
	assert_int_equal(outcome.wait_ms, 59000);
	outcome = judge(&request, holders, 3);
	assert_int_equal(outcome.conflicts, 3);
	assert_false(outcome.ends_by_itself);
	assert_int_equal(outcome.wait_ms, 0);
	/* Both sides have it, but one connection has it not. */
	request.reuseaddr = true;
	holders[0].reuseaddr = holders[2].reuseaddr = ANSWER_YES;
	outcome = judge(&request, holders, 3);
	assert_int_equal(outcome.conflicts, 1);
	assert_true(outcome.ends_by_itself);
	/* Who may outlive it is not known. */
	holders[2].reuseaddr = ANSWER_UNKNOWN;
	outcome = judge(&request, holders, 3);
	assert_int_equal(outcome.succeeds, ANSWER_NO);
	assert_int_equal(outcome.doubtful, 1);
	assert_false(outcome.ends_by_itself);
}

static void a_doubt_alone_is_no_answer(void **state)
{
	struct bind_request request = asks("0.0.0.0");
	struct holder holders[2] = {holds("0.0.0.0", EV_ESTABLISHED), holds("0.0.0.0", EV_LISTEN)};

	(void)state;
	request.reuseaddr = true;
	holders[0].reuseaddr = ANSWER_UNKNOWN;
	assert_int_equal(judge(&request, holders, 1).succeeds, ANSWER_UNKNOWN);
	assert_int_equal(judge(&request, holders, 1).error, 0);
	assert_int_equal(judge(&request, holders, 2).succeeds, ANSWER_NO);
}

static struct holder udp(const char *addr, enum answer reuseaddr_, enum answer reuseport_)
{
	struct holder holder = holds(addr, EV_STATE_CLOSE);

	holder.protocol = IPPROTO_UDP;
	holder.reuseaddr = reuseaddr_;
	holder.reuseport = reuseport_;
	return holder;
}

static void udp_rules(void **state)
{
	struct bind_request request = asks("0.0.0.0");
	struct holder holder = udp("0.0.0.0", ANSWER_YES, ANSWER_NO);

	(void)state;
	request.protocol = IPPROTO_UDP;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_YES);
	request.reuseaddr = true;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_NO);
	holder.reuseaddr = ANSWER_NO;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_YES);
	request.reuseport = true;
	holder.reuseport = ANSWER_YES;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_NO);
	holder.uid = 0;
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_YES);
	set_addr(request.addr, AF_INET, "10.0.0.1");
	set_addr(holder.local.addr, AF_INET, "10.0.0.2");
	assert_int_equal(bind_rules__conflict(&request, &holder), ANSWER_NO);
}

static void udp_stops_at_the_first_that_shares(void **state)
{
	struct bind_request request = asks("0.0.0.0");
	struct holder holders[2] = {udp("10.0.0.1", ANSWER_NO, ANSWER_YES),
				    udp("10.0.0.2", ANSWER_NO, ANSWER_NO)};
	struct bind_outcome outcome;

	(void)state;
	request.protocol = IPPROTO_UDP;
	request.reuseport = true;
	assert_int_equal(judge(&request, holders, 1).succeeds, ANSWER_YES);
	assert_int_equal(judge(&request, holders + 1, 1).succeeds, ANSWER_NO);
	outcome = judge(&request, holders, 2);
	assert_int_equal(outcome.succeeds, ANSWER_UNKNOWN);
	assert_true(outcome.order_decides);
	/* SO_REUSEADDR on both sides has the first one passed over. */
	request.reuseaddr = true;
	holders[0].reuseaddr = ANSWER_YES;
	outcome = judge(&request, holders, 2);
	assert_int_equal(outcome.succeeds, ANSWER_NO);
	assert_false(outcome.order_decides);
}

static void obstacles(void **state)
{
	(void)state;
	for (int i = BIND_CLEAR + 1; i < BIND_OBSTACLES; i++) {
		struct bind_outcome outcome;

		bind_rules__refuse(i, &outcome);
		assert_int_equal(outcome.succeeds, ANSWER_NO);
		assert_int_not_equal(outcome.error, 0);
		assert_int_equal(outcome.obstacle, i);
	}
}

/* The order is the kernel's, and not the same for both families. */
static void the_first_obstacle(void **state)
{
	static const struct {
		const char *addr;
		bool v6only, capable;
		enum answer ipv6, local;
		enum bind_obstacle wanted;
	} cases[] = {
		{"10.0.0.1", 0, 1, ANSWER_YES, ANSWER_YES, BIND_CLEAR},
		{"10.0.0.1", 0, 1, ANSWER_NO, ANSWER_UNKNOWN, BIND_CLEAR},
		{"10.0.0.1", 0, 0, ANSWER_YES, ANSWER_NO, BIND_ADDRESS_FOREIGN},
		{"10.0.0.1", 0, 0, ANSWER_YES, ANSWER_YES, BIND_PRIVILEGED},
		{"2001:db8::1", 0, 1, ANSWER_YES, ANSWER_YES, BIND_CLEAR},
		{"2001:db8::1", 0, 0, ANSWER_NO, ANSWER_NO, BIND_NO_IPV6},
		{"2001:db8::1", 0, 0, ANSWER_YES, ANSWER_NO, BIND_PRIVILEGED},
		{"2001:db8::1", 0, 1, ANSWER_YES, ANSWER_NO, BIND_ADDRESS_FOREIGN},
		{"fe80::1", 0, 1, ANSWER_YES, ANSWER_YES, BIND_LINK_LOCAL},
		{"ff02::1", 0, 0, ANSWER_YES, ANSWER_YES, BIND_MULTICAST},
		{"::ffff:10.0.0.1", 1, 1, ANSWER_YES, ANSWER_NO, BIND_MAPPED_V6ONLY},
		{"::ffff:10.0.0.1", 0, 1, ANSWER_YES, ANSWER_NO, BIND_ADDRESS_FOREIGN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bind_request request = asks(cases[i].addr);
		struct bind_place place = {.ipv6 = cases[i].ipv6,
					   .local = cases[i].local,
					   .first_unprivileged = PORT + 1,
					   .capable = cases[i].capable};

		request.v6only = cases[i].v6only;
		assert_int_equal(bind_rules__obstacle(&request, &place), cases[i].wanted);
		place.first_unprivileged = PORT;
		assert_int_not_equal(bind_rules__obstacle(&request, &place), BIND_PRIVILEGED);
	}
}

static void wildcards(void **state)
{
	static const struct {
		const char *addr;
		bool is;
	} cases[] = {{"0.0.0.0", true},	   {"::", true},  {"10.0.0.1", false},
		     {"::ffff:0.0.0.0", false}, {"::1", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bind_request request = asks(cases[i].addr);

		assert_int_equal(bind_request__is_wildcard(&request), cases[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_addresses_overlap),
		cmocka_unit_test(reuseaddr),
		cmocka_unit_test(reuseport),
		cmocka_unit_test(what_is_not_known_is_doubtful_only_where_it_matters),
		cmocka_unit_test(a_free_port),
		cmocka_unit_test(when_it_ends_by_itself),
		cmocka_unit_test(a_doubt_alone_is_no_answer),
		cmocka_unit_test(udp_rules),
		cmocka_unit_test(udp_stops_at_the_first_that_shares),
		cmocka_unit_test(obstacles),
		cmocka_unit_test(the_first_obstacle),
		cmocka_unit_test(wildcards),
	};

	return cmocka_run_group_tests_name("bind_rules", tests, NULL, NULL);
}
