/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/source/tables.c and tables_reader.c: what is asked of a
 * reader arrives as if this process had read it; an answer that is none, no
 * answer and a question that is none end it. A child stands in for the reader,
 * doubles stand in for the kernel's tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#undef fail /* base/log.h has one, too */
#include "base/syscalls.c"
#include "event/connection.c"
#include "event/decode.c"
#include "source/tables.c"
#define say reader_say
#define hear reader_hear
#include "source/tables_reader.c"
#undef say
#undef hear

/* ---- doubles ---- */

enum { ROWS = 3000, DUMPS = 2 };

void log__line(const char *format, ...) { (void)format; }

int identity__become(const struct identity *identity, uint64_t keep)
{
	(void)identity;
	return keep ? 0 : -EINVAL;
}

struct holders_options { int unused; };

struct holders_options *holders_options__new(void) { return calloc(1, sizeof(struct holders_options)); }
void holders_options__free(struct holders_options *options) { free(options); }

int holders__load(struct holders *holders, struct holders_options *options, uint16_t port, uint32_t netns)
{
	*holders = (struct holders){.unseen = HOLDERS_NO_BOUND, .netns_visited = netns, .taken_ns = 77};
	if (!options || port == 1)
		return -ESRCH;
	holders->count = port;
	holders->list = calloc(port, sizeof(*holders->list));
	for (unsigned int i = 0; i < port; i++)
		holders->list[i] = (struct holder){
			.protocol = IPPROTO_TCP, .family = AF_INET, .state = EV_LISTEN, .uid = i, .mini = i & 1};
	return 0;
}

void holders__fini(struct holders *holders)
{
	free(holders->list);
	*holders = (struct holders){0};
}

static struct ev_socket socket_row(uint32_t number)
{
	return (struct ev_socket){.header = {.len = sizeof(struct ev_socket), .version = EV_VERSION, .kind = EV_SOCKET},
				  .conn_id = number + 1,
				  .netns = 1,
				  .family = AF_INET6,
				  .state = EV_ESTABLISHED,
				  .kind = EV_SOCKET_FULL,
				  .local_port = 1,
				  .remote_port = 2};
}

static int tell_sockets(source_take_fn take, void *context)
{
	struct ev_dump dump = {.header = {.len = sizeof(dump), .version = EV_VERSION, .kind = EV_DUMP}, .netns = 1};
	int err = take(context, &dump, sizeof(dump));

	for (uint32_t i = 0; i < ROWS && !err; i++) {
		const struct ev_socket row = socket_row(i);

		err = take(context, &row, sizeof(row));
	}
	dump.states = 1U << EV_ESTABLISHED;
	return err ? err : take(context, &dump, sizeof(dump));
}

int snapshot__take(uint32_t netns, unsigned int extras, source_take_fn take, void *context)
{
	(void)extras;
	(void)take;
	(void)context;
	return netns == 5 ? -ENOENT : 0;
}

int snapshot__sockets(const struct kernel_filter *terms, uint32_t states, unsigned int extras,
		      source_take_fn take, void *context)
{
	(void)extras;
	return terms->netns == 9 && states == SOCKET_STATES ? tell_sockets(take, context) : -EINVAL;
}

int snapshot__unread(const struct kernel_filter *terms, unsigned int max, source_take_fn take, void *context)
{
	(void)terms;
	(void)take;
	(void)context;
	return max == 256 ? 0 : -EINVAL;
}

int snapshot__all(const struct kernel_filter *terms, unsigned int extras, source_take_fn take, void *context)
{
	(void)terms;
	(void)extras;
	return tell_sockets(take, context);
}

int cgroup_root__open(void) { return -1; }

ssize_t cgroup_root__path_of(struct cgroup_root *root, uint64_t id, char *out, size_t size)
{
	(void)root;
	(void)size;
	if (id == 1)
		return -ESTALE;
	memcpy(out, "/a.service", 10);
	return 10;
}

/* ---- a reader that is true ---- */

struct seen {
	unsigned int rows;
	unsigned int dumps;
	unsigned int stop_at; /* 0: never */
	bool wrong;
};

static int take(void *context, const void *data, size_t len)
{
	struct seen *seen = context;
	const struct ev_header *header = data;

	if (header->kind == EV_DUMP) {
		seen->dumps++;
		seen->wrong |= ((const struct ev_dump *)data)->states ? seen->rows != ROWS : seen->rows != 0;
		return 0;
	}
	seen->wrong |= len != sizeof(struct ev_socket) || ((const struct ev_socket *)data)->conn_id != ++seen->rows;
	return seen->stop_at == seen->rows ? 42 : 0;
}

static struct tables *start(bool holders)
{
	static const struct identity same;
	const struct tables_config config = {.title = "test", .user = &same, .holders = holders};
	struct tables *tables = tables__fork(&config);

	assert_non_null(tables);
	assert_int_equal(tables__await(tables), 0);
	return tables;
}

static int ask_sockets(struct tables *tables, struct seen *seen)
{
	const struct kernel_filter terms = {.netns = 9};

	return tables__sockets(tables, &terms, SOCKET_STATES, 0, take, seen);
}

/* valgrind makes system calls of its own, and the reader has narrowed its. */
#define NOT_UNDER_VALGRIND()          \
	do {                          \
		if (getenv("VALGRIND")) \
			skip();       \
	} while (0)

static void every_row_arrives_in_order(void **state)
{
	struct tables *tables;
	struct seen seen = {0}, all = {0};
	const struct kernel_filter terms = {0};

	(void)state;
	NOT_UNDER_VALGRIND();
	tables = start(false);
	assert_int_equal(ask_sockets(tables, &seen), 0);
	assert_int_equal(tables__all(tables, &terms, SNAPSHOT_OWNERS, take, &all), 0);
	assert_int_equal(seen.rows, ROWS);
	assert_int_equal(all.rows, ROWS);
	assert_int_equal(seen.dumps, DUMPS);
	assert_false(seen.wrong || all.wrong);
	assert_int_equal(tables__take(tables, 5, 0, take, &seen), -ENOENT);
	assert_int_equal(tables__take(tables, 6, 0, take, &seen), 0);
	assert_int_equal(tables__unread(tables, &terms, 256, take, &seen), 0);
	assert_int_equal(tables__error(tables), 0);
	tables__free(tables);
}

static void who_has_enough_is_told_no_more_and_may_ask_again(void **state)
{
	struct tables *tables;
	struct seen few = {.stop_at = 10}, all = {0};

	(void)state;
	NOT_UNDER_VALGRIND();
	tables = start(false);
	assert_int_equal(ask_sockets(tables, &few), 42);
	assert_int_equal(few.rows, 10);
	assert_int_equal(ask_sockets(tables, &all), 0);
	assert_int_equal(all.rows, ROWS);
	assert_false(all.wrong);
	tables__free(tables);
}

static void holders_and_cgroups_arrive(void **state)
{
	struct tables *tables;
	struct holders holders;
	struct cgroup_root root = {.fd = -1};
	char path[16];

	(void)state;
	NOT_UNDER_VALGRIND();
	tables = start(true);
	assert_int_equal(tables__holders(tables, &holders, 2000, 3), 0);
	assert_int_equal(holders.count, 2000);
	assert_int_equal(holders.unseen, HOLDERS_NO_BOUND);
	assert_int_equal(holders.netns_visited, 3);
	for (unsigned int i = 0; i < holders.count; i++)
		assert_true(holders.list[i].uid == i && holders.list[i].mini == (i & 1));
	holders__fini(&holders);
	assert_int_equal(tables__holders(tables, &holders, 1, 0), -ESRCH);
	assert_int_equal(tables__cgroup_path(tables, &root, 1, path, sizeof(path)), -ESTALE);
	assert_int_equal(tables__cgroup_path(tables, &root, 2, path, sizeof(path)), 10);
	assert_memory_equal(path, "/a.service", 10);
	assert_int_equal(tables__cgroup_path(tables, &root, 2, path, 9), -ENAMETOOLONG);
	tables__free(tables);
	/* One that only scans cannot be asked. */
	tables = start(false);
	assert_int_equal(tables__holders(tables, &holders, 2000, 3), -EOPNOTSUPP);
	tables__free(tables);
}

/* ---- a reader that has ended, or lies ---- */

static void one_that_has_ended_is_noticed(void **state)
{
	struct tables *tables;
	struct seen seen = {0};

	(void)state;
	NOT_UNDER_VALGRIND();
	tables = start(false);
	kill(tables->pid, SIGKILL);
	while (!tables__error(tables))
		;
	assert_int_equal(tables__error(tables), -EPIPE);
	assert_int_equal(ask_sockets(tables, &seen), -EPIPE);
	assert_int_equal(seen.rows, 0);
	tables__free(tables);
}

/* What a stand-in says, byte by byte, in place of an answer. */
static int answered(const void *words, size_t len, struct tables **kept)
{
	struct seen seen = {0};
	struct tables *tables;
	int pair[2], result;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	pid = fork();
	if (!pid) {
		char question[1024];

		close(pair[0]);
		if (recv(pair[1], question, sizeof(question), 0) > 0 && len)
			send(pair[1], words, len, MSG_NOSIGNAL);
		_exit(0);
	}
	close(pair[1]);
	tables = tables_new(pair[0], pid);
	result = ask_sockets(tables, &seen);
	*kept = tables;
	return result;
}

static void refuses(const struct reply *reply, size_t len)
{
	struct tables *tables;

	assert_int_equal(answered(reply, len, &tables), -EBADMSG);
	assert_int_equal(tables__error(tables), -EBADMSG);
	tables__free(tables);
}

static void an_answer_that_is_none_is_the_last_one(void **state)
{
	static struct reply reply;
	struct tables *tables;
	const struct ev_socket row = socket_row(0);
	const struct ev_loss foreign = {
		.header = {.len = sizeof(foreign), .version = EV_VERSION, .kind = EV_LOSS},
		.count = 1,
		.reason = 1,
	};

	(void)state;
	reply = (struct reply){.kind = REPLY_RESULT};
	assert_int_equal(answered(&reply, reply__bytes(&reply), &tables), 0);
	tables__free(tables);
	refuses(&reply, reply__bytes(&reply) - 1);
	refuses(&reply, reply__bytes(&reply) + 8);
	refuses(&reply, 3);
	reply.result = 1;
	refuses(&reply, reply__bytes(&reply));
	reply = (struct reply){.kind = 9};
	refuses(&reply, reply__bytes(&reply));
	reply = (struct reply){.kind = REPLY_ROWS, .len = REPLY_BYTES + 1};
	refuses(&reply, offsetof(struct reply, data));
	/* Half a row, a row of length 0, one that is none of a table's, a wrong one. */
	reply = (struct reply){.kind = REPLY_ROWS, .len = sizeof(row) / 2};
	memcpy(reply.data, &row, sizeof(row));
	refuses(&reply, reply__bytes(&reply));
	reply.len = sizeof(row);
	((struct ev_header *)reply.data)->len = 0;
	refuses(&reply, reply__bytes(&reply));
	reply.len = sizeof(foreign);
	memcpy(reply.data, &foreign, sizeof(foreign));
	refuses(&reply, reply__bytes(&reply));
	reply.len = sizeof(row);
	memcpy(reply.data, &row, sizeof(row));
	((struct ev_socket *)reply.data)->state = 99;
	refuses(&reply, reply__bytes(&reply));
}

static void no_answer_is_an_end(void **state)
{
	struct tables *tables;

	(void)state;
	assert_int_equal(answered(NULL, 0, &tables), -EPIPE);
	assert_int_equal(tables__error(tables), -EPIPE);
	tables__free(tables);
}

static void a_holder_that_is_none_is_refused(void **state)
{
	struct holder good = {.protocol = IPPROTO_UDP, .family = AF_INET6, .state = EV_STATE_CLOSE}, bad = good;
	const uint8_t two = 2;

	(void)state;
	assert_true(is_holder(&good));
	bad.protocol = IPPROTO_ICMP;
	assert_false(is_holder(&bad));
	bad = good, bad.state = EV_STATE_END;
	assert_false(is_holder(&bad));
	bad = good, bad.v6only = 7;
	assert_false(is_holder(&bad));
	bad = good, memcpy(&bad.mini, &two, 1);
	assert_false(is_holder(&bad));
	bad = good, memset(bad.owner.comm, 'x', sizeof(bad.owner.comm));
	assert_false(is_holder(&bad));
}

/* ---- the reader's side ---- */

static void a_question_that_is_none_is_not_sound(void **state)
{
	const struct question good = {.kind = ASK_SOCKETS, .states = SOCKET_STATES, .extras = SNAPSHOT_OWNERS};
	struct question bad = good;

	(void)state;
	assert_true(is_sound(&good));
	bad.kind = 0;
	assert_false(is_sound(&bad));
	bad.kind = ASK_END;
	assert_false(is_sound(&bad));
	bad = good, bad.states = 1U << 31;
	assert_false(is_sound(&bad));
	bad = good, bad.extras = 1U << 7;
	assert_false(is_sound(&bad));
	bad = good, bad.port = 65536;
	assert_false(is_sound(&bad));
	bad = good, bad.terms.either_ports.count = KERNEL_FILTER_PORTS + 1;
	assert_false(is_sound(&bad));
}

static void a_question_that_is_none_ends_the_reader(void **state)
{
	struct tables *tables;
	struct seen seen = {0};

	(void)state;
	NOT_UNDER_VALGRIND();
	tables = start(false);
	assert_int_equal(send(tables->socket, "garbage", 7, 0), 7);
	assert_int_equal(ask_sockets(tables, &seen), -EPIPE);
	tables__free(tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_arrives_in_order),
		cmocka_unit_test(who_has_enough_is_told_no_more_and_may_ask_again),
		cmocka_unit_test(holders_and_cgroups_arrive),
		cmocka_unit_test(one_that_has_ended_is_noticed),
		cmocka_unit_test(an_answer_that_is_none_is_the_last_one),
		cmocka_unit_test(no_answer_is_an_end),
		cmocka_unit_test(a_holder_that_is_none_is_refused),
		cmocka_unit_test(a_question_that_is_none_is_not_sound),
		cmocka_unit_test(a_question_that_is_none_ends_the_reader),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
