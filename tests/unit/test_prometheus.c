/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/output/prometheus.c. Each text is read back: its lines are
 * of the format, no series stands there twice, there are at most 500, and no
 * label holds an address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef stop /* cmocka 2 has a macro of that name */

#include "base/decimal.c"
#include "base/clock.c"
#include "base/durations.c"
#include "base/histogram.c"
#include "base/idmap.c"
#include "base/strbuf.c"
#include "base/text.c"
#include "event/capture.c"
#include "event/connection.c"
#define slot_of child_slot_of /* idmap.c has one, too */
#include "model/children.c"
#undef slot_of
#include "model/cgroups.c"
#include "model/clients.c"
#include "model/departed.c"
#include "base/pages.c"
#include "base/posindex.c"
#include "model/flow_table.c"
#include "model/life.c"
#include "model/listeners.c"
#include "model/namespaces.c"
#include "model/owners.c"
#include "model/tally.c"
#include "model/timewaits.c"
#include "model/import.c"
#include "model/parts.c"
#include "model/transitions.c"
#include "model/requests.c"
#include "model/minisockets.c"
#include "model/rows.c"
#include "model/model.c"
#include "output/printer.c"
#include "output/prometheus.c"

/* Printers are not under test. */
const struct printer_ops table_printer = {0};
const struct printer_ops json_printer = {0};

static struct model *model;
static struct tally tally;
static struct strbuf out;
static struct ledger ledger;
static struct capture_info info;
static const struct self_cost self = {.user_us = 1500001, .resident_bytes = 4096, .open_fds = 7};

/* As many rules as there can be: the series are counted with all of them. */
static struct rule_count findings[RULES_MAX + 1];

static void make_findings(void)
{
	static char ids[RULES_MAX][32];

	for (int r = 0; r < RULES_MAX; r++) {
		snprintf(ids[r], sizeof(ids[r]), "rule-%d", r);
		findings[r] = (struct rule_count){.id = ids[r], .active = r, .raised = 2 * r};
	}
}

static int setup(void **state)
{
	const struct model_config config = {.seed = 1, .max_lives = 100000, .max_ended = 10};

	(void)state;
	model = model__new(&config);
	if (!model)
		return -1;
	tally__init(&tally, model);
	make_findings();
	strbuf__init(&out);
	ledger = (struct ledger){.attempted = 12, .attempted_known = true, .delivered = 10,
				 .lost[EV_LOST_RING_FULL] = 2, .unrecorded = 3};
	info = (struct capture_info){.kernel = "6.12", .tool = "0.1", .source = "live",
				     .hooks = "state=tp_btf syn=fentry handshake=fentry synack=tp_btf "
					      "accept=fentry timewait=fentry",
				     .realtime_offset_ns = 1700000000 * NS_PER_S};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf__fini(&out);
	model__free(model);
	return 0;
}

static const char *render(const struct sink_count *sinks, unsigned int sink_count)
{
	const struct exposition e = {.model = model, .tally = &tally, .info = &info, .ledger = &ledger,
				     .self = &self, .findings = findings, .sinks = sinks,
				     .sink_count = sink_count};

	strbuf__clear(&out);
	tally__settle(&tally);
	prometheus__render(&out, &e);
	assert_false(out.failed);
	return strbuf__text(&out);
}

/* ---- reading it back ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t name_len(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

/* Labels between braces; returns what is behind them. */
static const char *read_labels(const char *s)
{
	while (*s != '}') {
		assert_true(name_len(s) > 0);
		s += name_len(s);
		assert_int_equal(*s++, '=');
		assert_int_equal(*s++, '"');
		for (; *s != '"'; s++) {
			assert_true((unsigned char)*s >= ' ' && *s != 0x7f);
			if (*s == '\\')
				assert_non_null(strchr("\\\"n", *++s));
		}
		s++;
		if (*s == ',')
			s++;
	}
	return s + 1;
}

/* Of a line; the series itself, without its value, in series. */
static void read_series(const char *line, char **series)
{
	const char *s = line;
	char *end;

	assert_memory_equal(s, "tcpsaga_", 8);
	s += name_len(s);
	if (*s == '{')
		s = read_labels(s + 1);
	*series = strndup(line, (size_t)(s - line));
	assert_int_equal(*s++, ' ');
	strtod(s, &end);
	assert_true(end > s && *end == '\0');
}

/* Checks all of the text and returns the number of series. */
static size_t read_back(const char *text)
{
	char *copy = strdup(text), *rest = copy, *line, *series[2000];
	size_t count = 0;

	for (size_t i = 0, len = strlen(text); i < len;) {
		unsigned int n = utf8__sequence((const unsigned char *)text + i, len - i);

		assert_true(n > 0);
		i += n;
	}
	while ((line = strsep(&rest, "\n")) && (rest || *line)) {
		if (!strncmp(line, "# HELP ", 7) || !strncmp(line, "# TYPE ", 7))
			continue;
		assert_true(count < 2000);
		read_series(line, &series[count++]);
	}
	assert_true(text[strlen(text) - 1] == '\n');
	qsort(series, count, sizeof(series[0]), by_text);
	for (size_t i = 1; i < count; i++)
		if (!strcmp(series[i - 1], series[i]))
			fail_msg("twice: %s", series[i]);
	for (size_t i = 0; i < count; i++)
		free(series[i]);
	free(copy);
	assert_true(count <= PROMETHEUS_SERIES_MAX);
	return count;
}

static void expect_line(const char *text, const char *line)
{
	char framed[512];

	snprintf(framed, sizeof(framed), "\n%s\n", line);
	if (!strstr(text, framed))
		fail_msg("missing: %s\nin:\n%s", line, text);
}

/* The sum over all series of a family. */
static double sum_of(const char *text, const char *name)
{
	double sum = 0;
	size_t len = strlen(name);

	for (const char *s = text; s; s = strchr(s, '\n'), s = s ? s + 1 : NULL) {
		const char *value;

		if (strncmp(s, name, len) || (s[len] != '{' && s[len] != ' '))
			continue;
		value = s[len] == '{' ? read_labels(s + len + 1) : s + len;
		sum += strtod(value, NULL);
	}
	return sum;
}

/* ---- what is told ---- */

static uint32_t process(uint32_t pid, const char *comm, size_t len)
{
	struct ev_owner owner = {.pid = pid, .tid = pid};

	memcpy(owner.comm, comm, len);
	return owners__intern(&model->flows.owners, &owner, 0);
}

static struct listener *listen_on(uint64_t key, uint16_t port, uint32_t owner)
{
	struct listener *l = listeners__get(&model->listeners, key);

	assert_non_null(l);
	l->netns = 7;
	l->local.port = port;
	memset(l->local.addr, 0x2a, sizeof(l->local.addr));
	l->flags |= LISTENER_PLACE_KNOWN;
	l->limit = 128;
	l->owner = owner;
	owners__hold(&model->flows.owners, owner);
	return l;
}

static void wait_for(uint64_t id, uint32_t owner, enum role role, uint16_t local, uint16_t remote)
{
	struct tuple tuple = {.local.port = local, .remote.port = remote, .netns = 7};
	struct wait_charge charge = {.owner = owner, .role = role, .lasted_ns = UINT64_MAX};

	memset(tuple.remote.addr, 0x2a, sizeof(tuple.remote.addr));
	memcpy(tuple.remote.addr, &id, sizeof(id));
	assert_non_null(timewaits__begin(&model->waits, id, &tuple, EV_TIME_WAIT, &charge, id));
}

static void test_listeners_are_counted_with_or_without_a_life(void **state)
{
	(void)state;
	listen_on(1, 80, OWNER_NONE);
	listen_on(2, 81, OWNER_NONE);
	listen_on(3, 82, OWNER_NONE)->flags |= LISTENER_CLOSED;
	expect_line(render(NULL, 0), "tcpsaga_sockets{state=\"LISTEN\"} 2");
}

static void test_empty(void **state)
{
	const char *text = render(NULL, 0);

	(void)state;
	read_back(text);
	expect_line(text, "tcpsaga_build_info{version=\"0.1\",kernel=\"6.12\"} 1");
	expect_line(text, "tcpsaga_start_time_seconds 1700000000.000000");
	expect_line(text, "tcpsaga_hook_info{hook=\"syn\",kind=\"fentry\"} 1");
	expect_line(text, "tcpsaga_records_attempted_total 12");
	expect_line(text, "tcpsaga_records_delivered_total 10");
	expect_line(text, "tcpsaga_records_lost_total{reason=\"ring_full\"} 2");
	expect_line(text, "tcpsaga_unrecorded_total 3");
	expect_line(text, "tcpsaga_findings{rule=\"rule-3\"} 3");
	expect_line(text, "tcpsaga_findings_raised_total{rule=\"rule-3\"} 6");
	expect_line(text, "tcpsaga_process_cpu_seconds_total{mode=\"user\"} 1.500001");
	expect_line(text, "tcpsaga_sockets{state=\"ESTABLISHED\"} 0");
	expect_line(text, "tcpsaga_transitions_total{old=\"SYN_SENT\",new=\"ESTABLISHED\"} 0");
}

/* What no hook counts on this kernel is not told: 0 would be a lie. */
static void test_without_hooks(void **state)
{
	const char *text;

	(void)state;
	strcpy(info.hooks, "state=tp_btf syn=none handshake=none synack=none accept=none timewait=none");
	ledger.attempted_known = false;
	text = render(NULL, 0);
	read_back(text);
	assert_null(strstr(text, "tcpsaga_syns_total"));
	assert_null(strstr(text, "tcpsaga_handshakes_total"));
	assert_null(strstr(text, "tcpsaga_accepts_total"));
	assert_null(strstr(text, "tcpsaga_listener_syns_total"));
	assert_null(strstr(text, "tcpsaga_minisockets_begun_total"));
	assert_null(strstr(text, "tcpsaga_records_attempted_total"));
	expect_line(text, "tcpsaga_hook_info{hook=\"syn\",kind=\"none\"} 0");
	expect_line(text, "tcpsaga_listener_queue_limit{netns=\"\",port=\"\",process=\"other\"} 0");
}

static void test_listener(void **state)
{
	uint32_t nginx = process(5, "nginx", 5);
	struct listener *l = listen_on(1, 8080, nginx), *twin = listen_on(2, 8080, nginx);
	const struct ev_handshake step = {.outcome = EV_SYN_DROPPED, .detail = EV_DROP_SYN_QUEUE_FULL};
	const struct change change = {.kind = CHANGE_SYN, .listener = l, .handshake = &step,
				      .took_ns = UNKNOWN_NS};
	const char *text;

	(void)state;
	l->accept_queue.len = 3;
	twin->accept_queue.len = 64;
	twin->syn_queue.len = 5;
	tally__count(&tally, &change);
	text = render(NULL, 0);
	read_back(text);
	expect_line(text, "tcpsaga_listener_accept_queue_length{netns=\"7\",port=\"8080\",process=\"nginx\"} 67");
	expect_line(text, "tcpsaga_listener_syn_queue_length{netns=\"7\",port=\"8080\",process=\"nginx\"} 5");
	expect_line(text, "tcpsaga_listener_queue_limit{netns=\"7\",port=\"8080\",process=\"nginx\"} 256");
	expect_line(text, "tcpsaga_listener_accept_queue_fullest_ratio"
			  "{netns=\"7\",port=\"8080\",process=\"nginx\"} 0.5000");
	expect_line(text, "tcpsaga_listener_dropped_total{netns=\"7\",port=\"8080\",process=\"nginx\"} 1");
	expect_line(text, "tcpsaga_syns_dropped_total{cause=\"syn_queue_full\"} 1");
	expect_line(text, "tcpsaga_syns_total{outcome=\"dropped\"} 1");
	expect_line(text, "tcpsaga_listeners_folded 0");
	assert_null(strstr(text, "2a2a"));
	assert_null(strstr(text, "42.42"));
}

/* A service's port is told, one that connect() chose is not. */
static void test_waits(void **state)
{
	uint32_t php = process(5, "php", 3);
	const char *text;

	(void)state;
	wait_for(1, php, ROLE_CLIENT, 40001, 5432);
	wait_for(2, php, ROLE_CLIENT, 40002, 5432); /* at another address: the same name */
	wait_for(3, php, ROLE_CLIENT, 40003, 45000);
	wait_for(4, php, ROLE_SERVER, 45000, 33000);
	wait_for(5, OWNER_NONE, ROLE_UNKNOWN, 40000, 33000);
	text = render(NULL, 0);
	read_back(text);
	expect_line(text, "tcpsaga_time_wait_sockets{netns=\"7\",role=\"client\",port=\"5432\",process=\"php\"} 2");
	expect_line(text, "tcpsaga_time_wait_sockets{netns=\"7\",role=\"client\",port=\"\",process=\"php\"} 1");
	expect_line(text, "tcpsaga_time_wait_sockets{netns=\"7\",role=\"server\",port=\"45000\",process=\"php\"} 1");
	expect_line(text, "tcpsaga_time_wait_sockets{netns=\"7\",role=\"\",port=\"\",process=\"\"} 1");
	expect_line(text, "tcpsaga_time_wait_sockets{netns=\"\",role=\"\",port=\"\",process=\"other\"} 0");
	expect_line(text, "tcpsaga_sockets{state=\"TIME_WAIT\"} 5");
	assert_null(strstr(text, "33000"));
	assert_null(strstr(text, "4000"));
}

static void test_durations(void **state)
{
	const char *text;

	(void)state;
	durations__add(&tally.accept_wait, 64000);
	durations__add(&tally.accept_wait, 64001);
	durations__add(&tally.accept_wait, 500 * NS_PER_S);
	text = render(NULL, 0);
	read_back(text);
	expect_line(text, "tcpsaga_accept_wait_seconds_bucket{le=\"0.000064\"} 1");
	expect_line(text, "tcpsaga_accept_wait_seconds_bucket{le=\"0.000128\"} 2");
	expect_line(text, "tcpsaga_accept_wait_seconds_bucket{le=\"134.217728\"} 2");
	expect_line(text, "tcpsaga_accept_wait_seconds_bucket{le=\"+Inf\"} 3");
	expect_line(text, "tcpsaga_accept_wait_seconds_sum 500.000128");
	expect_line(text, "tcpsaga_accept_wait_seconds_count 3");
}

/* Every number of every table set, and a crowd in each. */
static void test_at_most_500(void **state)
{
	struct sink_count sinks[PROMETHEUS_SINKS_MAX + 3];
	char names[PROMETHEUS_SINKS_MAX + 3][16];
	size_t count;

	(void)state;
	for (unsigned int i = 0; i < PROMETHEUS_SINKS_MAX + 3; i++) {
		snprintf(names[i], sizeof(names[i]), "file:%u", i);
		sinks[i] = (struct sink_count){.name = names[i], .healthy = true, .offered = i};
	}
	for (unsigned int from = 0; from < EV_STATE_END; from++)
		for (unsigned int to = 0; to < EV_STATE_END; to++)
			tally.transitions[from][to] = 1;
	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", i);
		listen_on(i + 1, (uint16_t)(i + 1), process(i + 1, name, strlen(name)));
		wait_for(i + 1, process(i + 1, name, strlen(name)), ROLE_CLIENT, 40000, (uint16_t)(i + 1));
	}
	memset(info.hooks, 0, sizeof(info.hooks));
	for (unsigned int i = 0; i < 63; i++)
		snprintf(info.hooks + strlen(info.hooks), 9, "h%02u=abc ", i);
	strcat(info.hooks, "syn=a");
	sinks[PROMETHEUS_SINKS_MAX + 1].healthy = false;
	count = read_back(render(sinks, PROMETHEUS_SINKS_MAX + 3));
	assert_true(count > 300); /* it is a crowd */
	expect_line(out.data, "tcpsaga_sink_healthy{sink=\"file:6\"} 1");
	expect_line(out.data, "tcpsaga_sink_healthy{sink=\"other\"} 0");
	expect_line(out.data, "tcpsaga_sink_lines_offered_total{sink=\"other\"} 34"); /* 7 to 10 */
	strcpy(info.hooks, "state=tp_btf syn=fentry handshake=fentry synack=tp_btf accept=fentry "
			   "listen=fentry sockops=none timewait=fentry");
	count = read_back(render(sinks, PROMETHEUS_SINKS_MAX + 3));
	print_message("# %zu series at most\n", count);
	assert_int_equal(sum_of(out.data, "tcpsaga_time_wait_sockets"), LISTENERS_MAX);
	assert_int_equal(sum_of(out.data, "tcpsaga_listener_queue_limit"), 128.0 * LISTENERS_MAX);
	assert_int_equal(sum_of(out.data, "tcpsaga_listeners_folded"), LISTENERS_MAX - TALLY_LISTENERS);
	/* The model itself keeps one group less than it has room for: "other". */
	assert_int_equal(sum_of(out.data, "tcpsaga_time_wait_groups_folded"),
			 TIMEWAIT_GROUPS_MAX - 1 - PROMETHEUS_WAIT_ROWS);
}

/* ---- hostile names ---- */

static void expect_label(const char *name, size_t len, const char *expected)
{
	strbuf__clear(&out);
	prometheus__label(&out, name, len);
	assert_string_equal(strbuf__text(&out), expected);
}

static void test_label(void **state)
{
	(void)state;
	expect_label("nginx", 5, "nginx");
	expect_label("a\"b", 3, "a\\\"b");
	expect_label("a\nb", 3, "a\\\\x0ab");
	expect_label("a\\b", 3, "a\\\\\\\\b");
	expect_label("\xff", 1, "\\\\xff");
	expect_label("\\xff", 4, "\\\\\\\\xff");
	expect_label("\xc3\xa9", 2, "\xc3\xa9");
	expect_label("\xe2\x80\xae", 3, "\\\\xe2\\\\x80\\\\xae"); /* right-to-left override */
	expect_label("\x1b[31m", 5, "\\\\x1b[31m");
}

/* What Prometheus makes of a label's value, then our own escapes undone. */
static size_t undo(const char *text, size_t len, char *name)
{
	char value[128];
	size_t n = 0, m = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			i++;
		value[n++] = text[i];
	}
	for (size_t i = 0; i < n; i++) {
		unsigned int byte = (unsigned char)value[i];

		if (value[i] == '\\' && value[i + 1] == '\\') {
			i++;
		} else if (value[i] == '\\') {
			char hex[3] = {value[i + 2], value[i + 3], 0};

			byte = (unsigned int)strtoul(hex, NULL, 16);
			i += 3;
		}
		name[m++] = (char)byte;
	}
	return m;
}

static void expect_round_trip(const char *name, size_t len)
{
	char back[128];

	strbuf__clear(&out);
	prometheus__label(&out, name, len);
	assert_int_equal(undo(out.data, out.len, back), len);
	assert_memory_equal(back, name, len);
}

/* A process of this name waits. Every so many names are shown, so that each has
 * a row, and gone then; the model has a group for each, and not for all. */
static void show_name(const char *name, size_t len, uint64_t id)
{
	void *state = NULL;

	wait_for(id, process((uint32_t)id, name, len), ROLE_CLIENT, 40000, 80);
	if (id % PROMETHEUS_WAIT_ROWS)
		return;
	strbuf__clear(&out);
	put_wait_groups(&out, model);
	read_back(strbuf__text(&out));
	assert_int_equal(sum_of(out.data, "tcpsaga_time_wait_groups_folded"), 0);
	for (uint64_t i = id - PROMETHEUS_WAIT_ROWS + 1; i <= id; i++)
		timewaits__end(&model->waits, timewaits__find(&model->waits, i), EV_WAIT_EXPIRED);
	if (id % (PROMETHEUS_WAIT_ROWS * 64) == 0) {
		teardown(&state);
		assert_int_equal(setup(&state), 0);
	}
}

static void test_every_name_of_two_bytes(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 65536; i++) {
		const char name[2] = {(char)(i >> 8), (char)i};

		expect_round_trip(name, strnlen(name, 2));
		show_name(name, strnlen(name, 2), i + 1);
	}
}

static void test_random_names(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15; /* xorshift64: the same in every run */

	(void)state;
	for (unsigned int i = 0; i < 100000; i++) {
		char name[15];
		size_t len;

		for (unsigned int at = 0; at < sizeof(name); at++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			name[at] = (char)(random >> 24);
		}
		len = strnlen(name, 1 + random % sizeof(name));
		expect_round_trip(name, len);
		show_name(name, len, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_listeners_are_counted_with_or_without_a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listeners_are_counted_with_or_without_a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_hooks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_durations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_most_500, setup, teardown),
		cmocka_unit_test_setup_teardown(test_label, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_name_of_two_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
