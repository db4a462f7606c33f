/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/output/json.c: the exact line of every type, with all
 * that may be known and with as little as there can be, and names that nobody
 * would give a process in good faith.
 */
#include <inttypes.h>
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

/* The printers' table is not under test. */
const struct printer_ops table_printer = {0};

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

#define UTC(second) "2023-11-14T22:13:" second "Z"

/* 2023-11-14T22:13:20Z, as a boot time of 0. */
static struct printer new_printer(void)
{
	struct printer_config config = {.of = OF_EVENTS};
	struct printer printer;

	printer__init(&printer, &json_printer, &config, 1700000000 * NS_PER_S);
	return printer;
}

static void expect_line(struct printer *printer, const char *expected)
{
	assert_false(printer->out.failed);
	assert_string_equal(strbuf__text(&printer->out), expected);
	printer__fini(printer);
}

static void expect_change(const struct change *change, const char *expected)
{
	struct printer printer = new_printer();

	printer__change(&printer, change);
	expect_line(&printer, expected);
}

static void put_v4(uint8_t addr[16], uint8_t last)
{
	memset(addr, 0, 16);
	addr[10] = addr[11] = 0xff;
	addr[12] = 10;
	addr[15] = last;
}

static const struct owner php = {.pid = 811, .uid = 33, .cgroup = 5, .comm = "php-fpm"};

/* A life of which everything is known. */
static struct life client(void)
{
	struct life life = {
		.conn = 0x1f3a,
		.role = ROLE_CLIENT,
		.flags = LIFE_PLACE_KNOWN | LIFE_START_KNOWN | LIFE_ENTERED_KNOWN,
		.netns = 4026531840,
		.local.port = 43210,
		.remote.port = 5432,
		.start_ns = 1 * NS_PER_S,
		.ordinal = 1,
	};

	put_v4(life.local.addr, 5);
	put_v4(life.remote.addr, 9);
	life__enter(&life, EV_SYN_SENT, life.start_ns);
	life__enter(&life, EV_ESTABLISHED, life.start_ns + 412000);
	return life;
}

static struct change transition(const struct life *life, const struct owner *owner)
{
	return (struct change){.kind = CHANGE_TRANSITION,
			       .old_state = EV_SYN_SENT,
			       .new_state = EV_ESTABLISHED,
			       .time_ns = NS_PER_S + 412000,
			       .in_old_ns = 412999,
			       .life = life,
			       .owner = owner};
}

/* What is kept of a line for the next one is not that of another namespace. */
static void each_line_has_its_own_namespace(void **state)
{
	static const uint32_t inodes[] = {4026531840, 7, 7, UINT32_MAX, 4026531840};
	struct printer printer = new_printer();
	char expected[32];

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		struct life life = client();
		const struct change change = transition(&life, NULL);

		life.netns = inodes[i];
		snprintf(expected, sizeof(expected), "\"netns\":%u,", inodes[i]);
		strbuf__clear(&printer.out);
		printer__change(&printer, &change);
		assert_non_null(strstr(strbuf__text(&printer.out), expected));
	}
	printer__fini(&printer);
}

/* Both ends are on this host, in one namespace: each names the other. */
static void a_life_names_its_peer(void **state)
{
	const struct endpoint a = {.addr = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 5}, .port = 43210};
	const struct endpoint b = {.addr = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 9}, .port = 5432};
	struct flow_table flows;
	struct life *ends[2];

	(void)state;
	assert_int_equal(flow_table__init(&flows, 1, 10, 10), 0);
	for (int i = 0; i < 2; i++) {
		ends[i] = flow_table__begin(&flows, (uint64_t)i + 1);
		ends[i]->local = i ? b : a;
		ends[i]->remote = i ? a : b;
		ends[i]->conn = 0xa0 + (uint64_t)i;
		ends[i]->flags = LIFE_PLACE_KNOWN;
		flow_table__join_tuple(&flows, ends[i]);
	}
	for (int i = 0; i < 2; i++) {
		const struct change change = {.kind = CHANGE_LIFE, .life = ends[i]};
		struct printer printer = new_printer();

		printer__change(&printer, &change);
		assert_null(strstr(strbuf__text(&printer.out), "peer"));
		strbuf__clear(&printer.out);
		printer.flows = &flows;
		printer__change(&printer, &change);
		assert_non_null(strstr(strbuf__text(&printer.out), i ? "\"peer\":\"0xa0\"" : "\"peer\":\"0xa1\""));
		printer__fini(&printer);
	}
	flow_table__fini(&flows);
}

/* ---- start and stop ---- */

static void expect_process(const struct owner *owner, const struct ev_cgroup *told, const char *expected)
{
	struct printer printer = new_printer();
	struct cgroups cgroups;

	assert_int_equal(cgroups__init(&cgroups, 1), 0);
	if (told)
		assert_int_equal(cgroups__put(&cgroups, told), 0);
	printer.cgroups = &cgroups;
	json__owner(&printer, owner);
	expect_line(&printer, expected);
	cgroups__fini(&cgroups);
}

static void a_process_and_where_it_is(void **state)
{
	struct owner owner = php;
	struct ev_cgroup told = {.id = 5, .path = "/system.slice/php8.2-fpm.service"};

	(void)state;
	expect_process(&owner, NULL, ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33}");
	owner.start_cs = 1042;
	expect_process(&owner, &told,
		       ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33,\"started\":\""
		       UTC("30.420000") "\",\"cgroup\":\"/system.slice/php8.2-fpm.service\","
		       "\"unit\":\"php8.2-fpm.service\"}");
	owner.cgroup = 6; /* of which nothing was told */
	expect_process(&owner, &told,
		       ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33,\"started\":\""
		       UTC("30.420000") "\"}");
}

/* What is kept of a process is no longer true when its cgroup is told, or its
 * place is taken by another. */
static void a_process_that_is_kept(void **state)
{
	struct ev_cgroup told = {.id = 5, .path = "/a"};
	struct owner other = {.pid = php.pid + PROCESS_TEXTS, .comm = "b"};
	struct printer printer = new_printer();
	struct cgroups cgroups;

	(void)state;
	assert_int_equal(cgroups__init(&cgroups, 1), 0);
	printer.cgroups = &cgroups;
	json__owner(&printer, &php);
	json__owner(&printer, &php);
	assert_int_equal(cgroups__put(&cgroups, &told), 0);
	json__owner(&printer, &php);
	json__owner(&printer, &other);
	json__owner(&printer, &php);
	expect_line(&printer,
		    ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33}"
		    ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33}"
		    ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33,\"cgroup\":\"/a\"}"
		    ",\"process\":{\"pid\":875,\"comm\":\"b\",\"uid\":0}"
		    ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33,\"cgroup\":\"/a\"}");
	cgroups__fini(&cgroups);
}

#define ID_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_container_with_a_hostile_name_above(void **state)
{
	struct ev_cgroup told = {.id = 5, .cut = 1, .path = "\xe9\n\"/docker-" ID_64 ".scope"};

	(void)state;
	expect_process(&php, &told,
		       ",\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33,"
		       "\"cgroup\":\"\xef\xbf\xbd\\u000a\\\"/docker-" ID_64 ".scope\","
		       "\"cgroup_hex\":\"e90a222f646f636b65722d"
		       "30313233343536373839616263646566303132333435363738396162636465663031323334353637"
		       "3839616263646566303132333435363738396162636465662e73636f7065\","
		       "\"cgroup_cut\":true,\"container\":\"" ID_64 "\",\"unit\":\"docker-" ID_64
		       ".scope\"}");
}

static void a_start(void **state)
{
	static const struct capture_info info = {.start_ns = 123456789,
						 .kernel = "6.12.107",
						 .tool = "0.1.0",
						 .source = "live",
						 .hooks = "state=tp_btf syn=none"};
	struct printer printer = new_printer();

	(void)state;
	printer.ops->begin(&printer, &info);
	expect_line(&printer, "{\"v\":1,\"type\":\"start\",\"ts\":\"" UTC("20.123456")
			      "\",\"version\":\"0.1.0\",\"kernel\":\"6.12.107\",\"source\":\"live\","
			      "\"hooks\":{\"state\":\"tp_btf\",\"syn\":\"none\"}}\n");
}

/* A recording's head is text from outside, too. */
static void a_start_from_a_strange_recording(void **state)
{
	static const struct {
		const char *hooks, *json;
	} cases[] = {
		{"", "{}"},
		{"a=b", "{\"a\":\"b\"}"},
		{"alone", "{\"alone\":\"\"}"},
		{"=x", "{\"\":\"x\"}"},
		{"a=b=c", "{\"a\":\"b=c\"}"},
		{"a=1  b=2 ", "{\"a\":\"1\",\"b\":\"2\"}"},
		{"\x1b=\"\n\xff", "{\"\\u001b\":\"\\\"\\u000a\xef\xbf\xbd\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct printer printer = new_printer();
		struct capture_info info = {.kernel = "\"\\", .tool = "\x1b[0m", .source = "\xc0"};
		char expected[512];

		snprintf(info.hooks, sizeof(info.hooks), "%s", cases[i].hooks);
		snprintf(expected, sizeof(expected),
			 "{\"v\":1,\"type\":\"start\",\"ts\":\"" UTC("20.000000")
			 "\",\"version\":\"\\u001b[0m\",\"kernel\":\"\\\"\\\\\","
			 "\"source\":\"\xef\xbf\xbd\",\"hooks\":%s}\n",
			 cases[i].json);
		printer.ops->begin(&printer, &info);
		expect_line(&printer, expected);
	}
}

static void a_stop(void **state)
{
	struct printer printer = new_printer();
	struct ledger ledger = {.attempted = 1017, .delivered = 1000, .attempted_known = true};

	(void)state;
	ledger.lost[EV_LOST_RING_FULL] = 16;
	ledger.lost[EV_LOST_RECURSION] = 1;
	ledger.malformed = 2;
	ledger.doubles = 3;
	printer.ops->stop(&printer, 0, &ledger);
	expect_line(&printer, "{\"v\":1,\"type\":\"stop\",\"ts\":\"" UTC("20.000000")
			      "\",\"ledger\":{\"attempted\":1017,\"delivered\":1000,"
			      "\"lost\":{\"ring_full\":16,\"recursion\":1},\"malformed\":2,\"doubles\":3}}\n");
	printer = new_printer();
	ledger = (struct ledger){.attempted_known = true};
	ledger.lost[EV_LOST_RECURSION] = 3;
	printer.ops->stop(&printer, 0, &ledger);
	expect_line(&printer, "{\"v\":1,\"type\":\"stop\",\"ts\":\"" UTC("20.000000")
			      "\",\"ledger\":{\"attempted\":0,\"delivered\":0,\"lost\":{\"recursion\":3}}}\n");
}

/* Of a recording that was cut nobody knows what was attempted. */
static void a_stop_without_the_kernels_book(void **state)
{
	struct printer printer = new_printer();
	struct ledger ledger = {.delivered = UINT64_MAX};

	(void)state;
	printer.ops->stop(&printer, 0, &ledger);
	expect_line(&printer, "{\"v\":1,\"type\":\"stop\",\"ts\":\"" UTC("20.000000")
			      "\",\"ledger\":{\"delivered\":18446744073709551615,\"lost\":{}}}\n");
}

/* ---- transitions ---- */

static void a_transition(void **state)
{
	struct life life = client();
	struct change change = transition(&life, &php);

	(void)state;
	expect_change(&change,
		      "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
		      "\",\"conn\":\"0x1f3a\",\"netns\":4026531840,\"proto\":\"tcp\",\"family\":4,"
		      "\"local\":{\"addr\":\"10.0.0.5\",\"port\":43210},"
		      "\"remote\":{\"addr\":\"10.0.0.9\",\"port\":5432},\"role\":\"client\","
		      "\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33},"
		      "\"old\":\"SYN_SENT\",\"new\":\"ESTABLISHED\",\"in_old_us\":412}\n");
}

/* The first one of a connecting socket: no local port, and no old state that
 * anybody timed. */
static void a_first_transition(void **state)
{
	struct life life = client();
	struct change change = transition(&life, NULL);

	(void)state;
	life.local.port = 0;
	change.old_state = EV_STATE_CLOSE;
	change.new_state = EV_SYN_SENT;
	change.in_old_ns = UNKNOWN_NS;
	expect_change(&change,
		      "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
		      "\",\"conn\":\"0x1f3a\",\"netns\":4026531840,\"proto\":\"tcp\",\"family\":4,"
		      "\"local\":{\"addr\":\"10.0.0.5\"},"
		      "\"remote\":{\"addr\":\"10.0.0.9\",\"port\":5432},\"role\":\"client\","
		      "\"old\":\"CLOSE\",\"new\":\"SYN_SENT\"}\n");
}

/* Its birth was lost: absent is what is unknown, not zero. */
static void a_transition_of_which_little_is_known(void **state)
{
	struct life life = {.conn = 0, .local.port = 80};
	struct change change = transition(&life, NULL);

	(void)state;
	change.in_old_ns = UNKNOWN_NS;
	expect_change(&change, "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
			       "\",\"conn\":\"0x0\",\"proto\":\"tcp\",\"local\":{\"port\":80},\"remote\":{},"
			       "\"old\":\"SYN_SENT\",\"new\":\"ESTABLISHED\"}\n");
}

static void a_transition_of_a_listener_has_no_remote(void **state)
{
	struct life life = {.conn = UINT64_MAX,
			    .role = ROLE_LISTENER,
			    .flags = LIFE_PLACE_KNOWN | LIFE_MPTCP,
			    .netns = 1,
			    .local.port = 8080};
	struct change change = transition(&life, NULL);

	(void)state;
	change.in_old_ns = 0;
	expect_change(&change, "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
			       "\",\"conn\":\"0xffffffffffffffff\",\"netns\":1,\"proto\":\"tcp\",\"family\":6,"
			       "\"local\":{\"addr\":\"::\",\"port\":8080},\"role\":\"listener\",\"mptcp\":true,"
			       "\"old\":\"SYN_SENT\",\"new\":\"ESTABLISHED\",\"in_old_us\":0}\n");
}

/* The error belongs to the transition to CLOSE, and to no other of the life. */
static void an_error_is_told_at_the_close(void **state)
{
	struct life life = {.error = ECONNREFUSED};
	struct change change = transition(&life, NULL);

	(void)state;
	change.in_old_ns = UNKNOWN_NS;
	expect_change(&change, "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
			       "\",\"conn\":\"0x0\",\"proto\":\"tcp\",\"local\":{},\"remote\":{},"
			       "\"old\":\"SYN_SENT\",\"new\":\"ESTABLISHED\"}\n");
	change.new_state = EV_STATE_CLOSE;
	expect_change(&change, "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
			       "\",\"conn\":\"0x0\",\"proto\":\"tcp\",\"local\":{},\"remote\":{},"
			       "\"old\":\"SYN_SENT\",\"new\":\"CLOSE\",\"error\":\"ECONNREFUSED\"}\n");
	life.error = 250; /* no errno of this name */
	expect_change(&change, "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
			       "\",\"conn\":\"0x0\",\"proto\":\"tcp\",\"local\":{},\"remote\":{},"
			       "\"old\":\"SYN_SENT\",\"new\":\"CLOSE\"}\n");
}

/* ---- connections ---- */

static void a_connection(void **state)
{
	struct life life = client();
	struct change change = {.kind = CHANGE_LIFE, .life = &life, .owner = &php};

	(void)state;
	life__enter(&life, EV_FIN_WAIT1, life.start_ns + 3000000);
	life__enter(&life, EV_STATE_CLOSE, life.start_ns + 3120999);
	life.flags |= LIFE_ENDED | LIFE_TOTALS_KNOWN;
	life.closed_first = CLOSED_LOCAL;
	life.how = HOW_ABORT;
	life.bytes_sent = 120;
	life.bytes_received = 1ULL << 40;
	life.retransmits = 2;
	life.ordinal = 3;
	change.time_ns = life.entered_ns;
	expect_change(&change,
		      "{\"v\":1,\"type\":\"connection\",\"ts\":\"" UTC("21.003120")
		      "\",\"conn\":\"0x1f3a\",\"netns\":4026531840,\"proto\":\"tcp\",\"family\":4,"
		      "\"local\":{\"addr\":\"10.0.0.5\",\"port\":43210},"
		      "\"remote\":{\"addr\":\"10.0.0.9\",\"port\":5432},\"role\":\"client\","
		      "\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33},\"life\":3,"
		      "\"start\":\"" UTC("21.000000") "\",\"end\":\"" UTC("21.003120")
		      "\",\"duration_us\":3120,\"state\":\"CLOSE\",\"history\":["
		      "{\"state\":\"SYN_SENT\",\"at_us\":0},{\"state\":\"ESTABLISHED\",\"at_us\":412},"
		      "{\"state\":\"FIN_WAIT1\",\"at_us\":3000},{\"state\":\"CLOSE\",\"at_us\":3120}],"
		      "\"closed_first\":\"local\",\"how\":\"abort\",\"handshake_us\":412,"
		      "\"bytes_sent\":120,\"bytes_received\":1099511627776,\"retransmits\":2,"
		      "\"incomplete\":false}\n");
}

/* It has not ended: no end, no duration, nobody closed it, nothing was counted. */
static void an_open_connection(void **state)
{
	struct life life = client();
	struct change change = {.kind = CHANGE_LIFE, .life = &life, .time_ns = 9 * NS_PER_S};

	(void)state;
	life.how = HOW_CLOSE; /* provisional */
	expect_change(&change,
		      "{\"v\":1,\"type\":\"connection\",\"ts\":\"" UTC("29.000000")
		      "\",\"conn\":\"0x1f3a\",\"netns\":4026531840,\"proto\":\"tcp\",\"family\":4,"
		      "\"local\":{\"addr\":\"10.0.0.5\",\"port\":43210},"
		      "\"remote\":{\"addr\":\"10.0.0.9\",\"port\":5432},\"role\":\"client\",\"life\":1,"
		      "\"start\":\"" UTC("21.000000") "\",\"state\":\"ESTABLISHED\",\"history\":["
		      "{\"state\":\"SYN_SENT\",\"at_us\":0},{\"state\":\"ESTABLISHED\",\"at_us\":412}],"
		      "\"handshake_us\":412,\"incomplete\":false}\n");
}

static void a_connection_of_which_little_is_known(void **state)
{
	struct life life = {.conn = 1, .start_ns = 5, .flags = LIFE_INCOMPLETE | LIFE_ENDED};
	struct change change = {.kind = CHANGE_LIFE, .life = &life};

	(void)state;
	life__enter(&life, EV_STATE_CLOSE, 5);
	expect_change(&change,
		      "{\"v\":1,\"type\":\"connection\",\"ts\":\"" UTC("20.000000")
		      "\",\"conn\":\"0x1\",\"proto\":\"tcp\",\"local\":{},\"remote\":{},\"end\":\"" UTC("20.000000")
		      "\",\"state\":\"CLOSE\",\"history\":[{\"state\":\"CLOSE\",\"at_us\":0}],"
		      "\"closed_first\":\"none\",\"incomplete\":true}\n");
}

/* Its close was lost, and its id has come again: that it is over is all that is
 * known of its end. */
static void a_connection_whose_close_was_lost(void **state)
{
	struct life life = client();
	struct change change = {.kind = CHANGE_LIFE, .life = &life, .time_ns = NS_PER_S + 412000};

	(void)state;
	life.flags |= LIFE_ENDED | LIFE_INCOMPLETE;
	expect_change(&change,
		      "{\"v\":1,\"type\":\"connection\",\"ts\":\"" UTC("21.000412")
		      "\",\"conn\":\"0x1f3a\",\"netns\":4026531840,\"proto\":\"tcp\",\"family\":4,"
		      "\"local\":{\"addr\":\"10.0.0.5\",\"port\":43210},"
		      "\"remote\":{\"addr\":\"10.0.0.9\",\"port\":5432},\"role\":\"client\",\"life\":1,"
		      "\"start\":\"" UTC("21.000000") "\",\"state\":\"ESTABLISHED\",\"history\":["
		      "{\"state\":\"SYN_SENT\",\"at_us\":0},{\"state\":\"ESTABLISHED\",\"at_us\":412}],"
		      "\"handshake_us\":412,\"end_unseen\":true,\"incomplete\":true}\n");
}

static void a_connection_with_too_long_a_history(void **state)
{
	struct life life = {.conn = 1};
	struct change change = {.kind = CHANGE_LIFE, .life = &life};
	struct printer printer = new_printer();
	const char *at;
	int states = 0;

	(void)state;
	for (unsigned int i = 0; i < LIFE_HISTORY_MAX + 3; i++)
		life__enter(&life, EV_ESTABLISHED, i);
	printer__change(&printer, &change);
	at = strbuf__text(&printer.out);
	assert_non_null(strstr(at, "],\"history_cut\":true,"));
	while ((at = strstr(at, "{\"state\":")) != NULL) {
		states++;
		at++;
	}
	assert_int_equal(states, LIFE_HISTORY_MAX);
	printer__fini(&printer);
}

/* A record that was a little late: no duration is negative, or half an age. */
static void no_duration_is_negative(void **state)
{
	struct life life = client();
	struct change change = {.kind = CHANGE_LIFE, .life = &life};
	struct printer printer = new_printer();

	(void)state;
	life__enter(&life, EV_STATE_CLOSE, life.start_ns - 1);
	life.flags |= LIFE_ENDED;
	printer__change(&printer, &change);
	assert_non_null(strstr(strbuf__text(&printer.out), "\"duration_us\":0,"));
	printer__fini(&printer);
}

/* ---- SYNs and losses ---- */

#define STEP_OF_ALL \
	"\"listener\":\"0x20\",\"netns\":7,\"proto\":\"tcp\",\"family\":6," \
	"\"local\":{\"addr\":\"::1\",\"port\":8080}," \
	"\"remote\":{\"addr\":\"fd00::9\",\"port\":4000},\"role\":\"server\"," \
	"\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33},"
#define STEP_OF_LITTLE \
	"\"netns\":7,\"proto\":\"tcp\",\"family\":4,\"local\":{\"addr\":\"10.0.0.1\",\"port\":8080}," \
	"\"role\":\"server\","
#define EMPTY_QUEUES "\"syn_queue\":{\"len\":0,\"limit\":0},\"accept_queue\":{\"len\":0,\"limit\":0}}\n"

static const struct listener listener_0x20 = {.id = 0x20};

/* A step with everything. */
static struct ev_handshake step_of_all(uint8_t outcome, uint8_t detail)
{
	struct ev_handshake step = {.outcome = outcome,
				    .detail = detail,
				    .netns = 7,
				    .local_port = 8080,
				    .remote_port = 4000,
				    .syn_queue_len = 1,
				    .accept_queue_len = 129,
				    .limit = 128,
				    .retransmits = 2};

	step.local[15] = 1;
	step.remote[0] = 0xfd;
	step.remote[15] = 9;
	return step;
}

static void a_syn(void **state)
{
	struct ev_handshake step = step_of_all(EV_SYN_DROPPED, EV_DROP_ACCEPT_QUEUE_FULL);
	struct change change = {.kind = CHANGE_SYN, .handshake = &step, .owner = &php, .listener = &listener_0x20,
				.took_ns = UNKNOWN_NS};
	struct life life = {.conn = 0x99};

	(void)state;
	expect_change(&change, "{\"v\":1,\"type\":\"syn\",\"ts\":\"" UTC("20.000000") "\"," STEP_OF_ALL
			       "\"outcome\":\"dropped\",\"cause\":\"accept_queue_full\","
			       "\"syn_queue\":{\"len\":1,\"limit\":128},"
			       "\"accept_queue\":{\"len\":129,\"limit\":128}}\n");
	step.outcome = EV_SYN_QUEUED;
	change.life = &life;
	expect_change(&change, "{\"v\":1,\"type\":\"syn\",\"ts\":\"" UTC("20.000000")
			       "\",\"conn\":\"0x99\"," STEP_OF_ALL "\"outcome\":\"queued\","
			       "\"syn_queue\":{\"len\":1,\"limit\":128},"
			       "\"accept_queue\":{\"len\":129,\"limit\":128}}\n");
}

/* Where probe reads are refused the peer is unknown, where function hooks are
 * the outcome: both are absent. */
static void a_syn_of_which_little_is_known(void **state)
{
	struct ev_handshake step = {.netns = 7, .local_port = 8080};
	struct change change = {.kind = CHANGE_SYN, .handshake = &step, .took_ns = UNKNOWN_NS};

	(void)state;
	put_v4(step.local, 1);
	expect_change(&change, "{\"v\":1,\"type\":\"syn\",\"ts\":\"" UTC("20.000000") "\"," STEP_OF_LITTLE EMPTY_QUEUES);
}

static void a_handshake(void **state)
{
	struct ev_handshake step = step_of_all(EV_REQUEST_COMPLETED, EV_VIA_SYN_QUEUE);
	struct life life = {.conn = 0x99};
	struct change change = {.kind = CHANGE_HANDSHAKE, .handshake = &step, .owner = &php, .life = &life,
				.listener = &listener_0x20, .took_ns = 31000 * NS_PER_US};

	(void)state;
	expect_change(&change, "{\"v\":1,\"type\":\"handshake\",\"ts\":\"" UTC("20.000000")
			       "\",\"conn\":\"0x99\"," STEP_OF_ALL "\"outcome\":\"completed\",\"via\":\"syn_queue\","
			       "\"took_us\":31000,\"synack_retransmits\":2,"
			       "\"syn_queue\":{\"len\":1,\"limit\":128},"
			       "\"accept_queue\":{\"len\":129,\"limit\":128}}\n");
	step.detail = EV_VIA_COOKIE;
	change.life = NULL;
	change.took_ns = UNKNOWN_NS;
	expect_change(&change, "{\"v\":1,\"type\":\"handshake\",\"ts\":\"" UTC("20.000000") "\"," STEP_OF_ALL
			       "\"outcome\":\"completed\",\"via\":\"cookie\",\"synack_retransmits\":2,"
			       "\"syn_queue\":{\"len\":1,\"limit\":128},"
			       "\"accept_queue\":{\"len\":129,\"limit\":128}}\n");
}

static void an_accept(void **state)
{
	struct ev_accept accept = {.netns = 7, .local_port = 8080, .remote_port = 4000,
				   .accept_queue_len = 3, .limit = 128};
	struct life life = {.conn = 0x99};
	struct change change = {.kind = CHANGE_ACCEPT, .accept = &accept, .owner = &php, .life = &life,
				.listener = &listener_0x20, .took_ns = 95 * NS_PER_US + 999};

	(void)state;
	accept.local[15] = 1;
	accept.remote[0] = 0xfd;
	accept.remote[15] = 9;
	expect_change(&change, "{\"v\":1,\"type\":\"accept\",\"ts\":\"" UTC("20.000000")
			       "\",\"conn\":\"0x99\"," STEP_OF_ALL "\"waited_us\":95,"
			       "\"accept_queue\":{\"len\":3,\"limit\":128}}\n");
}

static void expect_listener(const struct listener *listener, const struct queue_quality *quality,
			    const struct owner *owner, const char *expected)
{
	struct printer printer = new_printer();

	printer.ops->listener(&printer, listener, owner, quality, 0);
	expect_line(&printer, expected);
}

#define QUEUE "{\"v\":1,\"type\":\"queue\",\"ts\":\"" UTC("20.000000") "\",\"listener\":\"0x20\",\"netns\":7," \
	"\"proto\":\"tcp\",\"family\":6,\"local\":{\"addr\":\"::\",\"port\":8080},\"role\":\"server\","

static void a_listener(void **state)
{
	static const struct queue_quality exact = {.handshakes = true, .synacks = true, .accepts = true};
	static const struct queue_quality sampled = {0};
	struct listener listener = {
		.id = 0x20, .netns = 7, .local.port = 8080, .limit = 128, .asked = 511, .somaxconn = 128,
		.needed = 141, .syn_queue = {3, 9}, .accept_queue = {4, 129}, .syns = 9120, .queued = 9080,
		.cookies = 1, .fastopen = 2, .completed = 9070, .timed_out = 4, .reset = 3, .aborted = 2, .abandoned = 1,
		.completed_by_cookie = 1, .overflows = 6, .retransmits = 8, .accepted = 9060, .delayed = 5,
		.blocked = 7, .gave_up = 11,
		.sk_drops = 43, .flags = LISTENER_DROPS_KNOWN | LISTENER_PREEXISTING | LISTENER_CLOSED,
	};

	(void)state;
	listener.dropped[EV_DROP_ACCEPT_QUEUE_FULL] = 36;
	listener.dropped[EV_DROP_OTHER] = 1;
	expect_listener(&listener, &exact, &php,
			QUEUE "\"process\":{\"pid\":811,\"comm\":\"php-fpm\",\"uid\":33},"
			      "\"syn_queue\":{\"len\":3,\"limit\":128,\"max\":9},"
			      "\"accept_queue\":{\"len\":4,\"limit\":128,\"max\":129},"
			      "\"backlog\":{\"listen\":511,\"somaxconn\":128,\"effective\":128,\"needed\":141},"
			      "\"syns\":9120,\"queued\":9080,\"cookies\":1,\"fastopen\":2,"
			      "\"dropped\":{\"other\":1,\"accept_queue_full\":36},\"completed\":9070,"
			      "\"completed_by_cookie\":1,\"timed_out\":4,\"reset\":3,\"aborted\":2,\"listener_closed\":1,"
			      "\"pending\":2,\"third_ack_dropped\":6,\"delayed\":5,\"blocked\":7,\"gave_up\":11,\"synack_retransmits\":8,"
			      "\"accepted\":9060,\"sk_drops\":43,\"preexisting\":true,\"closed\":true,"
			      "\"quality\":\"exact\",\"qualities\":{\"syn_queue\":\"sampled\","
			      "\"accept_queue\":\"sampled\",\"sk_drops\":\"sampled\"}}\n");
	/* Without function hooks nothing is counted: absent, not 0. */
	listener.flags = 0;
	listener.asked = listener.somaxconn = listener.needed = 0;
	expect_listener(&listener, &sampled, NULL,
			QUEUE "\"syn_queue\":{\"len\":3,\"limit\":128,\"max\":9},"
			      "\"accept_queue\":{\"len\":4,\"limit\":128,\"max\":129},"
			      "\"backlog\":{\"effective\":128},\"quality\":\"sampled\"}\n");
}

#define QUEUE_OF_SAMPLES QUEUE "\"syn_queue\":{\"len\":0,\"limit\":0,\"max\":0}," \
	"\"accept_queue\":{\"len\":0,\"limit\":0,\"max\":0},\"backlog\":{\"effective\":0},"

/* Every number has a quality: the line's, or one of its own. */
static void qualities_of_single_numbers(void **state)
{
	struct queue_quality quality = {.synacks = true, .accepts = true};
	struct listener listener = {.id = 0x20, .netns = 7, .local.port = 8080, .accepted = 9};

	(void)state;
	expect_listener(&listener, &quality, NULL,
			QUEUE_OF_SAMPLES "\"synack_retransmits\":0,\"accepted\":9,\"quality\":\"sampled\","
			"\"qualities\":{\"synack_retransmits\":\"exact\",\"accepted\":\"exact\"}}\n");
	/* Queued SYNs that sockops saw: absent where function hooks see all of them. */
	quality = (struct queue_quality){.admitted = true};
	listener.admitted = 5;
	expect_listener(&listener, &quality, NULL,
			QUEUE_OF_SAMPLES "\"queued\":5,\"quality\":\"sampled\","
			"\"qualities\":{\"queued\":\"exact\"}}\n");
	listener.admitted = 0;
	/* Which of a group's sockets has accepted is not seen. */
	quality = (struct queue_quality){.accepts = true, .shared_accepts = true, .incomplete = true};
	histogram__add(&listener.accept_wait_us, 7);
	expect_listener(&listener, &quality, NULL,
			QUEUE_OF_SAMPLES "\"accepted\":9,"
			"\"accept_wait_us\":{\"p50\":7,\"p90\":7,\"p99\":7,\"max\":7},\"quality\":\"sampled\","
			"\"qualities\":{\"accepted\":\"host_wide\",\"accept_wait_us\":\"host_wide\"},"
			"\"incomplete\":true}\n");
}

static void a_namespace(void **state)
{
	struct namespace ns = {.netns = 7, .known = 1 << EV_COUNT_LISTEN_DROPS | 1 << EV_COUNT_TIMEOUTS,
			       .first_ns = 1000000000, .last_ns = 2000000000, .gone = true};
	struct printer printer = new_printer();

	(void)state;
	ns.first[EV_COUNT_LISTEN_DROPS] = 5;
	ns.last[EV_COUNT_LISTEN_DROPS] = 12;
	ns.last[EV_COUNT_EMBRYONIC_RESETS] = 99; /* not known */
	printer.ops->netns(&printer, &ns, 2000000000);
	expect_line(&printer, "{\"v\":1,\"type\":\"queue\",\"ts\":\"" UTC("22.000000") "\",\"netns\":7,"
			      "\"proto\":\"tcp\",\"since\":\"" UTC("21.000000") "\",\"counters\":{"
			      "\"ListenDrops\":{\"delta\":7,\"total\":12},"
			      "\"TCPTimeouts\":{\"delta\":0,\"total\":0}},\"closed\":true,"
			      "\"quality\":\"host_wide\"}\n");
}

static void what_is_not_kept(void **state)
{
	const struct queue_quality quality = {0};
	struct not_kept not_kept = {0};
	struct printer printer = new_printer();

	(void)state;
	printer.ops->queues_end(&printer, &quality, &not_kept, 0);
	assert_int_equal(printer.out.len, 0);
	not_kept = (struct not_kept){.listeners = 3, .clients = 2, .namespaces = 1};
	printer.ops->queues_end(&printer, &quality, &not_kept, 0);
	expect_line(&printer, "{\"v\":1,\"type\":\"queue\",\"ts\":\"" UTC("20.000000") "\","
			      "\"not_kept\":{\"listeners\":3,\"clients\":2,\"namespaces\":1}}\n");
}

static void names_of_steps_are_those_of_the_schema(void **state)
{
	static const char *const outcomes[] = {
		"queued", "cookie", "fastopen", "dropped", "synack_retransmitted", "completed",
		"timed_out", "reset", "accept_queue_full", "listener_closed",
	};
	static const char *const causes[] = {"other", "syn_queue_full", "accept_queue_full", "last_quarter"};

	(void)state;
	assert_null(outcome__name(EV_SYN_UNKNOWN));
	for (unsigned int i = 1; i < EV_OUTCOME_END; i++)
		assert_string_equal(outcome__name(i), outcomes[i - 1]);
	assert_null(outcome__name(EV_OUTCOME_END));
	for (unsigned int i = 0; i < EV_DROP_END; i++)
		assert_string_equal(drop_cause__name(i), causes[i]);
	assert_null(drop_cause__name(EV_DROP_END));
}

static void a_loss(void **state)
{
	struct ev_loss loss = {.since_ns = 1 * NS_PER_S, .count = 17, .reason = EV_LOST_RING_FULL,
			       .of_kind = EV_BIRTH};
	struct change change = {.kind = CHANGE_LOSS, .loss = &loss, .time_ns = 2 * NS_PER_S};

	(void)state;
	expect_change(&change, "{\"v\":1,\"type\":\"loss\",\"ts\":\"" UTC("22.000000")
			       "\",\"count\":17,\"reason\":\"ring_full\",\"kind\":\"transition\",\"from\":\"" UTC(
				       "21.000000") "\",\"to\":\"" UTC("22.000000") "\"}\n");
	loss.reason = EV_LOST_RECURSION;
	loss.of_kind = EV_SYN;
	expect_change(&change, "{\"v\":1,\"type\":\"loss\",\"ts\":\"" UTC("22.000000")
			       "\",\"count\":17,\"reason\":\"recursion\",\"kind\":\"syn\",\"from\":\"" UTC(
				       "21.000000") "\",\"to\":\"" UTC("22.000000") "\"}\n");
	loss.of_kind = 0;
	expect_change(&change, "{\"v\":1,\"type\":\"loss\",\"ts\":\"" UTC("22.000000")
			       "\",\"count\":17,\"reason\":\"recursion\",\"from\":\"" UTC(
				       "21.000000") "\",\"to\":\"" UTC("22.000000") "\"}\n");
}

/* The end is told by stop(), with the ledger. */
static void the_end_of_the_source_is_no_line(void **state)
{
	struct ev_stop stop = {0};
	struct change change = {.kind = CHANGE_STOP, .stop = &stop};

	(void)state;
	expect_change(&change, "");
}

/* ---- names ---- */

/* The value of "key":"..." in a line; the text ends at the quote that is not
 * escaped. */
static bool find_string(const char *line, const char *key, const char **text, size_t *len)
{
	const char *at = strstr(line, key);

	if (!at)
		return false;
	at += strlen(key);
	*text = at;
	while (*at != '"')
		at += *at == '\\' ? 2 : 1;
	*len = (size_t)(at - *text);
	return true;
}

static unsigned int hex(const char *digits, unsigned int count)
{
	char copy[8] = "";

	memcpy(copy, digits, count);
	return (unsigned int)strtoul(copy, NULL, 16);
}

/* Undoes the escapes that the writer uses. */
static size_t unescape(const char *text, size_t len, char *out)
{
	size_t count = 0;

	for (size_t i = 0; i < len;) {
		unsigned int code;

		if (text[i] != '\\') {
			out[count++] = text[i++];
			continue;
		}
		if (text[i + 1] != 'u') {
			out[count++] = text[i + 1];
			i += 2;
			continue;
		}
		code = hex(text + i + 2, 4);
		if (code >= 0x80)
			out[count++] = (char)(0xc0 | code >> 6);
		out[count++] = (char)(code < 0x80 ? code : 0x80 | (code & 0x3f));
		i += 6;
	}
	return count;
}

/* As printf() writes them, of each length. */
static void ids_are_hex(void **state)
{
	uint64_t value = 0xfedcba9876543210;
	char wanted[19], found[19];

	(void)state;
	for (unsigned int digits = 0; digits <= 16; digits++, value >>= 4) {
		snprintf(wanted, sizeof(wanted), "0x%" PRIx64, value);
		*write_hex(found, value) = '\0';
		assert_string_equal(found, wanted);
	}
	for (value = 0; value < 0x200; value++) {
		snprintf(wanted, sizeof(wanted), "0x%" PRIx64, value);
		*write_hex(found, value) = '\0';
		assert_string_equal(found, wanted);
	}
}

/* The bytes of a name as a reader of the line gets them: from comm_hex where it
 * is there, else from comm. */
static size_t read_name(const char *line, char name[64])
{
	const char *text;
	size_t len;

	if (!find_string(line, "\"comm_hex\":\"", &text, &len)) {
		assert_true(find_string(line, "\"comm\":\"", &text, &len));
		return unescape(text, len, name);
	}
	assert_int_equal(len % 2, 0);
	for (size_t i = 0; i < len; i += 2)
		name[i / 2] = (char)hex(text + i, 2);
	return len / 2;
}

static void expect_round_trip(const char *comm)
{
	struct owner owner = {.pid = 1};
	struct life life = client();
	struct change change = transition(&life, &owner);
	struct printer printer = new_printer();
	size_t len = strnlen(comm, EV_COMM_BYTES);
	const char *line;
	char name[64];

	memcpy(owner.comm, comm, len);
	printer__change(&printer, &change);
	line = strbuf__text(&printer.out);
	assert_int_equal(read_name(line, name), len);
	assert_memory_equal(name, comm, len);
	/* One line, and nothing in it that a terminal would act on. */
	assert_ptr_equal(strchr(line, '\n'), line + printer.out.len - 1);
	for (size_t i = 0; i + 1 < printer.out.len; i++) {
		assert_true((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
		assert_false(line[i] == '\xc2' && (unsigned char)line[i + 1] <= 0x9f);
	}
	printer__fini(&printer);
}

static void a_name_by_example(void **state)
{
	struct owner owner = {.pid = 1, .uid = UINT32_MAX, .comm = "\xff\"\n"};
	struct life life = {0};
	struct change change = transition(&life, &owner);

	(void)state;
	expect_change(&change, "{\"v\":1,\"type\":\"transition\",\"ts\":\"" UTC("21.000412")
			       "\",\"conn\":\"0x0\",\"proto\":\"tcp\",\"local\":{},\"remote\":{},"
			       "\"process\":{\"pid\":1,\"comm\":\"\xef\xbf\xbd\\\"\\u000a\",\"comm_hex\":\"ff220a\","
			       "\"uid\":4294967295},\"old\":\"SYN_SENT\",\"new\":\"ESTABLISHED\",\"in_old_us\":412}\n");
}

static void names_come_back_as_they_were(void **state)
{
	static const char *const names[] = {
		"", " ", "nginx", "\x1b[31m\n\"", "\"},\"v\":2,\"x\":\"", "\\", "\\\"", "\\u0000", "\x7f\x80\x9b",
		"\xc3\xa9t\xc3\xa9", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xe2\x82", "\xc0\x80", "\xff\xfe\xfd",
		"fifteen bytes..", "\r\n\t\b\f\v\a", "\xe2\x80\xae", "\",\"comm_hex\":\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		expect_round_trip(names[i]);
	for (int i = 0; i < 100000; i++) {
		char name[EV_COMM_BYTES] = "";

		for (size_t at = random_u64() % EV_COMM_BYTES; at-- > 0;)
			name[at] = (char)(1 + random_u64() % 255);
		expect_round_trip(name);
	}
}

/* ---- the names of printer.c ---- */

static void names_are_those_of_the_schema(void **state)
{
	(void)state;
	assert_string_equal(loss_reason__name(EV_LOST_RING_FULL), "ring_full");
	assert_string_equal(loss_reason__name(EV_LOST_RECURSION), "recursion");
	assert_string_equal(loss_reason__name(EV_LOST_SIMULATED), "simulated");
	assert_string_equal(loss_reason__name(0), "?");
	assert_string_equal(loss_reason__name(EV_LOSS_REASON_END), "?");
	for (unsigned int kind = EV_TRANSITION; kind <= EV_CLOSE; kind++)
		assert_string_equal(event_kind__name(kind), "transition");
	assert_string_equal(event_kind__name(EV_SYN), "syn");
	assert_string_equal(event_kind__name(0), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_has_its_own_namespace),
		cmocka_unit_test(a_life_names_its_peer),
		cmocka_unit_test(a_start),
		cmocka_unit_test(a_process_and_where_it_is),
		cmocka_unit_test(a_process_that_is_kept),
		cmocka_unit_test(a_container_with_a_hostile_name_above),
		cmocka_unit_test(a_start_from_a_strange_recording),
		cmocka_unit_test(a_stop),
		cmocka_unit_test(a_stop_without_the_kernels_book),
		cmocka_unit_test(a_transition),
		cmocka_unit_test(a_first_transition),
		cmocka_unit_test(a_transition_of_which_little_is_known),
		cmocka_unit_test(a_transition_of_a_listener_has_no_remote),
		cmocka_unit_test(an_error_is_told_at_the_close),
		cmocka_unit_test(a_connection),
		cmocka_unit_test(an_open_connection),
		cmocka_unit_test(a_connection_of_which_little_is_known),
		cmocka_unit_test(a_connection_whose_close_was_lost),
		cmocka_unit_test(a_connection_with_too_long_a_history),
		cmocka_unit_test(no_duration_is_negative),
		cmocka_unit_test(a_syn),
		cmocka_unit_test(a_syn_of_which_little_is_known),
		cmocka_unit_test(a_handshake),
		cmocka_unit_test(an_accept),
		cmocka_unit_test(a_listener),
		cmocka_unit_test(qualities_of_single_numbers),
		cmocka_unit_test(a_namespace),
		cmocka_unit_test(what_is_not_kept),
		cmocka_unit_test(names_of_steps_are_those_of_the_schema),
		cmocka_unit_test(a_loss),
		cmocka_unit_test(the_end_of_the_source_is_no_line),
		cmocka_unit_test(a_name_by_example),
		cmocka_unit_test(names_come_back_as_they_were),
		cmocka_unit_test(names_are_those_of_the_schema),
		cmocka_unit_test(ids_are_hex),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
