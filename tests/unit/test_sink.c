/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/agent/sink.c against files and sockets of their own. No
 * offer may block, the books must balance, no line may be torn; what is told of
 * a gap is in the sink itself.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.c"
#include "base/decimal.c"
#undef fail /* is cmocka's, and log.c's */
#include "base/log.c"
#include "base/strbuf.c"
#include "base/text.c"
#include "base/wrap.c"
#include "output/journal.c"
#include "agent/press.c"
#include "agent/sink_config.c"

/* The disk that answers EIO while a test wants it to. */
static bool disk_is_broken;
static unsigned int broken_writes;

static ssize_t write_or_fail(int fd, const void *data, size_t len)
{
	if (disk_is_broken) {
		__atomic_add_fetch(&broken_writes, 1, __ATOMIC_RELAXED);
		errno = EIO;
		return -1;
	}
	return write(fd, data, len);
}

#define write write_or_fail
#include "agent/sink.c"
#undef write

enum { PATIENCE_S = 20, SMALL = 4096 };
static const char now[] = "2026-11-22T15:27:00.000000Z";

static char dir[64];
static struct sink_config config;

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_sink.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	config = (struct sink_config){.kind = SINK_FILE, .queue_bytes = SMALL};
	snprintf(config.path, sizeof(config.path), "%s/out", dir);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void offer(struct sink *sink, const char *text)
{
	sink__offer(sink, text, strlen(text), count_lines(text, strlen(text)), now);
}

/* "line 17\n" and so on, one offer each. */
static void offer_numbers(struct sink *sink, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		char line[64];

		snprintf(line, sizeof(line), "line %u, which is a little longer\n", i);
		offer(sink, line);
	}
}

static bool all_delivered(struct sink *sink)
{
	struct sink_state state;

	sink__state(sink, &state);
	return state.delivered + state.dropped == state.offered;
}

static bool failing(struct sink *sink)
{
	struct sink_state state;

	sink__state(sink, &state);
	return state.error;
}

static void await(bool (*condition)(struct sink *sink), struct sink *sink)
{
	uint64_t until_ns = clock__boot_ns() + PATIENCE_S * NS_PER_S;

	while (!condition(sink)) {
		assert_true(clock__boot_ns() < until_ns);
		usleep(1000);
	}
}

/* The last state; the sink is gone. */
static struct sink_state end(struct sink *sink)
{
	struct sink_state state;

	sink__finish(sink);
	sink__end(sink, &state);
	assert_int_equal(state.offered, state.delivered + state.dropped);
	return state;
}

static char *slurp(const char *path)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static struct sink *new_sink(void)
{
	struct sink *sink = sink__new(&config);

	assert_non_null(sink);
	return sink;
}

/* ---- what the user writes ---- */

static void expect_parsed(const char *text, enum sink_kind kind, enum sink_level level, const char *path)
{
	char message[128];

	assert_int_equal(sink_config__parse(&config, text, message, sizeof(message)), 0);
	assert_int_equal(config.kind, kind);
	assert_int_equal(config.level, level);
	assert_string_equal(config.path, path);
}

static void test_parse(void **state)
{
	char message[128], text[2000] = "unix:";

	(void)state;
	expect_parsed("/var/log/x", SINK_FILE, LEVEL_CONNECTIONS, "/var/log/x");
	expect_parsed("/var/log/x:transitions", SINK_FILE, LEVEL_TRANSITIONS, "/var/log/x");
	expect_parsed("a:b/c", SINK_FILE, LEVEL_CONNECTIONS, "a:b/c");
	expect_parsed("a:b:findings", SINK_FILE, LEVEL_FINDINGS, "a:b");
	expect_parsed("-", SINK_STDOUT, LEVEL_CONNECTIONS, "");
	expect_parsed("-:findings", SINK_STDOUT, LEVEL_FINDINGS, "");
	expect_parsed("unix:/run/s:connections", SINK_STREAM, LEVEL_CONNECTIONS, "/run/s");
	expect_parsed("unixgram:/run/s", SINK_DATAGRAM, LEVEL_CONNECTIONS, "/run/s");
	expect_parsed("journald", SINK_JOURNAL, LEVEL_CONNECTIONS, "/run/systemd/journal/socket");
	expect_parsed("journald:findings", SINK_JOURNAL, LEVEL_FINDINGS, "/run/systemd/journal/socket");
	expect_parsed("journald:/run/s:findings", SINK_JOURNAL, LEVEL_FINDINGS, "/run/s");
	expect_parsed("unix:findings", SINK_STREAM, LEVEL_CONNECTIONS, "findings");
	expect_parsed("file:-", SINK_FILE, LEVEL_CONNECTIONS, "-");
	assert_int_equal(sink_config__parse(&config, "", message, sizeof(message)), -EINVAL);
	assert_int_equal(sink_config__parse(&config, "unix:", message, sizeof(message)), -EINVAL);
	assert_int_equal(sink_config__parse(&config, "/tmp/x:finding", message, sizeof(message)), -EINVAL);
	assert_string_equal(message, "no level \"finding\": findings, connections or transitions");
	assert_int_equal(sink_config__parse(&config, "journald:findngs", message, sizeof(message)), -EINVAL);
	assert_string_equal(message, "no level \"findngs\": findings, connections or transitions");
	assert_int_equal(sink_config__parse(&config, "journald:", message, sizeof(message)), -EINVAL);
	assert_int_equal(sink_config__parse(&config, "unix:s:x", message, sizeof(message)), -EINVAL);
	assert_int_equal(sink_config__parse(&config, ":findings", message, sizeof(message)), -EINVAL);
	memset(text + 5, 'x', 108);
	assert_int_equal(sink_config__parse(&config, text, message, sizeof(message)), -EINVAL);
	text[5 + 107] = '\0';
	assert_int_equal(sink_config__parse(&config, text, message, sizeof(message)), 0);
}

/* ---- files ---- */

static void test_file(void **state)
{
	struct sink *sink = new_sink();
	struct sink_state last;

	(void)state;
	offer(sink, "one\n");
	offer(sink, "two\nthree\n");
	last = end(sink);
	assert_int_equal(last.delivered, 3);
	assert_int_equal(last.error, 0);
	assert_string_equal(slurp(config.path), "one\ntwo\nthree\n");
}

/* A writer that was killed leaves half a line: it stays alone. */
static void test_torn_line(void **state)
{
	int fd = open(config.path, O_WRONLY | O_CREAT, 0600);
	struct sink *sink;

	(void)state;
	assert_int_equal(write(fd, "whole\nhal", 9), 9);
	close(fd);
	sink = new_sink();
	offer(sink, "next\n");
	end(sink);
	assert_string_equal(slurp(config.path), "whole\nhal\nnext\n");
}

static void test_reopen(void **state)
{
	struct sink *sink = new_sink();
	char moved[128];

	(void)state;
	snprintf(moved, sizeof(moved), "%s/moved", dir);
	offer(sink, "before\n");
	await(all_delivered, sink);
	assert_int_equal(rename(config.path, moved), 0);
	sink__reopen(sink);
	offer(sink, "after\n");
	end(sink);
	assert_string_equal(slurp(moved), "before\n");
	assert_string_equal(slurp(config.path), "after\n");
}

static void test_rotation_by_size(void **state)
{
	char old[SINK_PATH_MAX + 16];
	struct sink *sink;

	(void)state;
	config.rotate_bytes = 10;
	config.keep = 2;
	sink = new_sink();
	offer(sink, "gone, a long one\n1234\n1234\nsecond\nthe third, a long one\n4\n");
	end(sink);
	assert_string_equal(slurp(config.path), "4\n");
	snprintf(old, sizeof(old), "%s.1", config.path);
	assert_string_equal(slurp(old), "second\nthe third, a long one\n"); /* a line is not cut */
	snprintf(old, sizeof(old), "%s.2", config.path);
	assert_string_equal(slurp(old), "1234\n1234\n");
	snprintf(old, sizeof(old), "%s.3", config.path);
	assert_int_equal(access(old, F_OK), -1);
}

static void test_rotation_by_age(void **state)
{
	char old[SINK_PATH_MAX + 16];
	struct sink *sink;

	(void)state;
	config.rotate_ns = 1;
	config.keep = 1;
	sink = new_sink();
	offer(sink, "old\n");
	await(all_delivered, sink);
	offer(sink, "new\n");
	end(sink);
	assert_string_equal(slurp(config.path), "new\n");
	snprintf(old, sizeof(old), "%s.1", config.path);
	assert_string_equal(slurp(old), "old\n");
}

/* "PATH.1.zst" and so on, unpacked. */
static char *unpack(const char *path)
{
	static char packed[1 << 20], text[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n;
	size_t len;

	assert_true(fd >= 0);
	n = read(fd, packed, sizeof(packed));
	close(fd);
	assert_true(n > 0);
	len = ZSTD_decompress(text, sizeof(text) - 1, packed, (size_t)n);
	assert_false(ZSTD_isError(len));
	text[len] = '\0';
	return text;
}

static void await_file(const char *path)
{
	uint64_t until_ns = clock__boot_ns() + PATIENCE_S * NS_PER_S;

	while (access(path, F_OK)) {
		assert_true(clock__boot_ns() < until_ns);
		usleep(1000);
	}
}

/* Old files are compressed, whatever they were before; a line that is offered meanwhile
 * does not wait. What an agent that was killed has left is made good by the next one. */
static void test_compression(void **state)
{
	char one[PATHS_MAX], one_zst[PATHS_MAX], two_zst[PATHS_MAX], three[PATHS_MAX];
	static char line[70000];
	struct sink *sink;
	int fd;

	(void)state;
	snprintf(one, sizeof(one), "%s.1", config.path);
	snprintf(one_zst, sizeof(one_zst), "%s.1.zst", config.path);
	snprintf(two_zst, sizeof(two_zst), "%s.2.zst", config.path);
	snprintf(three, sizeof(three), "%s.3", config.path);
	config.rotate_bytes = 10;
	config.keep = 3;
	config.compress = true;
	config.queue_bytes = 1 << 20;
	fd = open(one, O_WRONLY | O_CREAT, 0640);
	assert_int_equal(write(fd, "left\n", 5), 5);
	close(fd);
	fd = open(three, O_WRONLY | O_CREAT, 0640);
	close(fd);
	sink = new_sink();
	await_file(one_zst);
	assert_string_equal(unpack(one_zst), "left\n");
	assert_int_equal(access(one, F_OK), -1);
	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	for (int i = 0; i < 9; i++)
		offer(sink, line);
	offer(sink, "the next\n");
	await(all_delivered, sink);
	while (strcmp(slurp(config.path), "the next\n") || access(one_zst, F_OK) || !access(one, F_OK))
		usleep(1000);
	assert_string_equal(unpack(one_zst), line);
	assert_string_equal(unpack(two_zst), line);
	assert_int_equal(access(three, F_OK), -1); /* nothing beyond what is kept, of either kind */
	assert_int_equal(end(sink).dropped, 0);
}

/* What cannot be compressed stays as it is. */
static void test_compression_fails(void **state)
{
	char one[PATHS_MAX], unfinished[PATHS_MAX];
	struct sink *sink;

	(void)state;
	snprintf(one, sizeof(one), "%s.1", config.path);
	snprintf(unfinished, sizeof(unfinished), "%s.1.zst.new", config.path);
	assert_int_equal(mkdir(unfinished, 0700), 0);
	config.rotate_bytes = 10;
	config.keep = 1;
	config.compress = true;
	sink = new_sink();
	offer(sink, "an old line\n");
	offer(sink, "new\n");
	assert_int_equal(end(sink).dropped, 0);
	assert_string_equal(slurp(one), "an old line\n");
	assert_string_equal(slurp(config.path), "new\n");
}

static void test_configure(void **state)
{
	char old[PATHS_MAX];
	struct sink *sink = new_sink();
	struct sink_config changed = config;
	struct sink_state last;

	(void)state;
	snprintf(old, sizeof(old), "%s.1", config.path);
	offer(sink, "before\n");
	await(all_delivered, sink);
	changed.level = LEVEL_FINDINGS;
	changed.rotate_bytes = 1;
	changed.keep = 1;
	changed.queue_bytes = 2 * SMALL;
	sink__configure(sink, &changed);
	assert_int_equal(sink__config(sink)->level, LEVEL_FINDINGS);
	offer(sink, "after\n");
	await(all_delivered, sink);
	assert_string_equal(slurp(old), "before\n");
	assert_string_equal(slurp(config.path), "after\n");
	offer(sink, "again\n"); /* by now both buffers have the new size */
	await(all_delivered, sink);
	disk_is_broken = true;
	offer_numbers(sink, 0, 3 * SMALL / 30);
	sink__state(sink, &last);
	assert_true(last.queued_bytes > SMALL);
	disk_is_broken = false;
	end(sink);
}

/* A disk that fails, and then does not: the same bytes again, until they are written. */
static void test_eio(void **state)
{
	struct sink_state last;
	struct sink *sink = new_sink();

	(void)state;
	await(all_delivered, sink);
	broken_writes = 0;
	disk_is_broken = true;
	offer(sink, "one\n");
	await(failing, sink);
	sink__state(sink, &last);
	assert_int_equal(last.error, EIO);
	assert_int_equal(last.delivered, 0);
	offer(sink, "two\n");
	while (__atomic_load_n(&broken_writes, __ATOMIC_RELAXED) < 2)
		usleep(1000);
	disk_is_broken = false;
	await(all_delivered, sink);
	last = end(sink);
	assert_int_equal(last.error, 0);
	assert_int_equal(last.delivered, 2);
	assert_string_equal(slurp(config.path), "one\ntwo\n");
}

static bool holds_loss(const char *text)
{
	return strstr(text, "\"type\":\"loss\"") && strstr(text, "\"reason\":\"sink_full\"");
}

/* A disk that is full, and then is not. */
static void test_full_disk(void **state)
{
	struct sink_state last;
	struct sink *sink;
	uint64_t began_ns;

	(void)state;
	assert_int_equal(symlink("/dev/full", config.path), 0);
	sink = new_sink();
	offer(sink, "first\n");
	await(failing, sink);
	began_ns = clock__boot_ns();
	offer_numbers(sink, 0, 1000);
	assert_true(clock__boot_ns() - began_ns < NS_PER_S);
	sink__state(sink, &last);
	assert_int_equal(last.error, ENOSPC);
	assert_true(last.dropped > 0 && last.dropped < 1001);
	assert_true(last.queued_bytes <= SMALL);

	assert_int_equal(unlink(config.path), 0);
	sink__reopen(sink);
	await(all_delivered, sink);
	offer(sink, "last\n");
	last = end(sink);
	assert_int_equal(last.error, 0);
	assert_memory_equal(slurp(config.path), "first\n", 6);
	assert_true(holds_loss(slurp(config.path)));
	assert_string_equal(slurp(config.path) + strlen(slurp(config.path)) - 5, "last\n");
}

static void test_no_directory(void **state)
{
	struct sink_state last;
	struct sink *sink;

	(void)state;
	snprintf(config.path, sizeof(config.path), "%s/none/out", dir);
	sink = new_sink();
	await(failing, sink);
	offer(sink, "lost\n");
	last = end(sink);
	assert_int_equal(last.error, ENOENT);
	assert_int_equal(last.dropped, 1);
}

/* ---- sockets ---- */

static int listen_unix(int type)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	strcpy(at.sun_path, config.path);
	unlink(config.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Reads what comes until the text holds the word. */
static char *read_until(int fd, const char *word)
{
	static char text[1 << 22];
	size_t len = 0;

	do {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
		text[len] = '\0';
	} while (!strstr(text, word));
	return text;
}

/* Every line is one that was offered or tells of a loss. */
static void expect_whole_lines(char *text)
{
	for (char *line; (line = strsep(&text, "\n"));)
		if (*line && strncmp(line, "line ", 5) && strncmp(line, "{\"v\":1,", 7))
			assert_string_equal(line, "last"); /* torn, if it is not */
}

static void test_stopped_reader(void **state)
{
	struct sink_state last;
	struct sink *sink;
	int listener, peer;
	uint64_t began_ns;

	(void)state;
	config.kind = SINK_STREAM;
	listener = listen_unix(SOCK_STREAM);
	sink = new_sink();
	peer = accept(listener, NULL, NULL);
	began_ns = clock__boot_ns();
	offer_numbers(sink, 0, 50000);
	assert_true(clock__boot_ns() - began_ns < 5 * NS_PER_S);
	sink__state(sink, &last);
	assert_true(last.dropped > 0);
	assert_int_equal(last.offered, 50000);

	/* It reads again: nobody has to be told. What is read may not be in the sink's books yet,
	 * and then nothing more comes. */
	while (!all_delivered(sink)) {
		struct pollfd readable = {.fd = peer, .events = POLLIN};
		char text[65536];

		if (poll(&readable, 1, 10) == 1)
			assert_true(read(peer, text, sizeof(text)) > 0);
	}
	offer(sink, "last\n");
	assert_true(holds_loss(read_until(peer, "last\n")));
	end(sink);
	close(peer);
	close(listener);
}

/* One that does not read when all ends costs its own lines and a bounded time. */
static void test_end_with_a_stopped_reader(void **state)
{
	struct sink_state last;
	struct sink *sink;
	int listener, peer;
	uint64_t began_ns;

	(void)state;
	config.kind = SINK_STREAM;
	listener = listen_unix(SOCK_STREAM);
	sink = new_sink();
	peer = accept(listener, NULL, NULL);
	offer_numbers(sink, 0, 50000);
	began_ns = clock__boot_ns();
	sink__finish(sink);
	sink__end(sink, &last);
	assert_true(clock__boot_ns() - began_ns < 2 * SINK_DRAIN_MS * NS_PER_MS);
	assert_int_equal(last.offered, last.delivered + last.dropped);
	assert_true(last.dropped > 0);
	close(peer); /* its thread comes free, and is not waited for */
	close(listener);
}

static bool nothing_queued(struct sink *sink)
{
	struct sink_state state;

	sink__state(sink, &state);
	return !state.queued_bytes;
}

static void test_closed_peer(void **state)
{
	struct sink *sink;
	int listener, peer;

	(void)state;
	config.kind = SINK_STREAM;
	listener = listen_unix(SOCK_STREAM);
	sink = new_sink();
	peer = accept(listener, NULL, NULL);
	offer_numbers(sink, 0, 10);
	read_until(peer, "line 9,");
	await(all_delivered, sink);
	close(peer);
	close(listener);
	offer_numbers(sink, 10, 20);
	await(failing, sink);
	listener = listen_unix(SOCK_STREAM);
	peer = accept(listener, NULL, NULL);
	offer(sink, "last\n");
	expect_whole_lines(read_until(peer, "last\n"));
	assert_true(nothing_queued(sink));
	end(sink);
	close(peer);
	close(listener);
}

static void test_datagrams(void **state)
{
	char text[256];
	struct sink *sink;
	int peer;

	(void)state;
	config.kind = SINK_DATAGRAM;
	peer = listen_unix(SOCK_DGRAM);
	sink = new_sink();
	offer(sink, "one\ntwo\n");
	assert_int_equal(recv(peer, text, sizeof(text), 0), 3);
	assert_memory_equal(text, "one", 3);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 3);
	assert_memory_equal(text, "two", 3);

	/* The receiver is started again. */
	await(all_delivered, sink);
	close(peer);
	offer(sink, "three\n");
	await(failing, sink);
	peer = listen_unix(SOCK_DGRAM);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "three", 5);
	assert_int_equal(end(sink).delivered, 3);
	close(peer);
}

static void test_journal(void **state)
{
	char text[4096];
	struct sink *sink;
	ssize_t n;
	int peer;

	(void)state;
	config.kind = SINK_JOURNAL;
	peer = listen_unix(SOCK_DGRAM);
	sink = new_sink();
	offer(sink, "{\"type\":\"loss\",\"count\":3,\"reason\":\"ring_full\"}\nno JSON\n{\"type\":\"start\"}\n");
	n = recv(peer, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "MESSAGE=lost 3 (ring_full)\nPRIORITY=4\nSYSLOG_IDENTIFIER=tcpsaga\n"
				  "TCPSAGA_TYPE=loss\nTCPSAGA_COUNT=3\nTCPSAGA_REASON=ring_full\n"
				  "TCPSAGA_JSON={\"type\":\"loss\",\"count\":3,\"reason\":\"ring_full\"}\n");
	assert_true(recv(peer, text, sizeof(text), 0) > 0);
	assert_memory_equal(text, "MESSAGE=watching", 16);
	assert_int_equal(end(sink).dropped, 1); /* what is no JSON keeps nobody waiting */
	close(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_parse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotation_by_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rotation_by_age, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compression, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compression_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_configure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eio, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_with_a_stopped_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_datagrams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN); /* as in main() */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
