/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/source/procs.c: what /proc says of processes with hostile
 * names, who counts when several hold a socket, and the bound.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool out_of_memory;

static void *limited_reallocarray(void *old, size_t count, size_t size)
{
	return out_of_memory ? NULL : reallocarray(old, count, size);
}

#define reallocarray(old, count, size) limited_reallocarray(old, count, size)
#include "base/decimal.c"
#include "base/clock.c"
#include "base/idmap.c"
#include "source/cgroup_root.c"
#include "source/procs.c"
#undef reallocarray

/* ---- what the kernel writes ---- */

static void links(void **state)
{
	(void)state;
	assert_int_equal(parse_socket("socket:[1]"), 1);
	assert_int_equal(parse_socket("socket:[4294967295]"), UINT32_MAX);
}

static void what_is_no_socket(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"pipe:[1]",
		"anon_inode:[eventpoll]",
		"socket:[",
		"socket:[]",
		"socket:[1",
		"socket:[1]x",
		"socket:[-1",
		"socket:[x]",
		"socket:[ 1]",
		"socket:[4294967296]",
		"socket:[4294967297]",
		"socketxx5]",
		"socket:",
		"/socket:[1]",
		"socket:[0]",
		"socket:[99999999999999999999",
		"socket",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[32] = "";

		snprintf(text, sizeof(text), "%s", texts[i]);
		assert_int_equal(parse_socket(text), 0);
	}
}

/* The fields behind the name: state, 18 numbers, the start, and some more. */
#define FIELDS " S 1 2 3 4 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 88\n"

static bool stat_of(const char *comm, const char *rest, struct process *process)
{
	char text[1024];

	*process = (struct process){.pid = 7};
	memset(process->comm, 'x', sizeof(process->comm));
	snprintf(text, sizeof(text), "7 (%s)%s", comm, rest);
	return parse_stat(text, 100, process);
}

static void hostile_names(void **state)
{
	static const char *const names[] = {
		"nginx",
		"",
		")",
		"(",
		"() S 1 2",
		") S 1 2 3 4 5",
		"a b\nc\td",
		"\x1b[31m\xff\xfe",
		"fifteen-letters",
		"\n7 (x) S 1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char wanted[EV_COMM_BYTES] = "";
		struct process process;

		memcpy(wanted, names[i], strlen(names[i]));
		assert_true(stat_of(names[i], FIELDS, &process));
		assert_memory_equal(process.comm, wanted, sizeof(wanted));
		assert_int_equal(process.start_ns, 123450000000);
	}
}

static void longer_names_are_cut(void **state)
{
	struct process process;

	(void)state;
	assert_true(stat_of("kworker/0:1H-kblockd", FIELDS, &process));
	assert_memory_equal(process.comm, "kworker/0:1H-kb", EV_COMM_BYTES);
}

static void damaged_stats(void **state)
{
	static const char *const texts[] = {
		"",
		"7",
		"7 (x",
		"7 x)",
		"7 )x( S 1",
		"7 ) (x S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
		"7 (x)",
		"7 (x) ",
		"7 (x)S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
		"7 (x) S 1 2 3 4 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0",
		"7 (x) S 1 2 3 4 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ",
		"7 (x) S 1 2 3 4 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 -5 1",
		"7 (x) S 1 2 3 4 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x 1",
		"7 (x) S 1 2 3 4 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5x 1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[256];
		struct process process = {0};

		snprintf(text, sizeof(text), "%s", texts[i]);
		assert_false(parse_stat(text, 100, &process));
	}
}

static void starts_do_not_overflow(void **state)
{
	struct process process;

	(void)state;
	assert_true(stat_of("x", " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 31536000000 0\n",
			    &process));
	assert_int_equal(process.start_ns, 315360000000000000);
}

static void users(void **state)
{
	uint32_t uid = 4711;

	(void)state;
	assert_true(parse_uid("Name:\tx\nUmask:\t0022\nUid:\t33\t0\t0\t0\nGid:\t1\t1\t1\t1\n", &uid));
	assert_int_equal(uid, 33);
	assert_true(parse_uid("Name:\tx\nUid:\t4294967294\t0\t0\t0\n", &uid));
	assert_int_equal(uid, 4294967294);
	/* As the kernel escapes a name with a line break in it. */
	assert_true(parse_uid("Name:\tx\\nUid:\t5\t\nUid:\t6\t6\t6\t6\n", &uid));
	assert_int_equal(uid, 6);
	assert_false(parse_uid("", &uid));
	assert_false(parse_uid("Name:\tx\n", &uid));
	assert_false(parse_uid("Name:\tx\nUid:\t", &uid));
	assert_false(parse_uid("Name:\tx\nUid:\tx\t", &uid));
	assert_false(parse_uid("Name:\tx\nUid:\t-1\t", &uid));
	assert_false(parse_uid("Name:\tx\nUid:\t4294967296\t", &uid));
	assert_false(parse_uid("Name:\tx\nUid:\t5", &uid));
	assert_int_equal(uid, 6);
}

/* ---- who counts ---- */

static uint32_t add_process(struct procs *procs, uint32_t pid)
{
	const struct process process = {.pid = pid};
	uint32_t index;

	assert_int_equal(append_process(procs, &process, &index), 0);
	return index;
}

static void expect_holder(const struct procs *procs, uint32_t inode, uint32_t pid,
			  uint32_t wanted_others)
{
	uint32_t others = 4711;
	const struct process *process = procs__find(procs, inode, &others);

	assert_non_null(process);
	assert_int_equal(process->pid, pid);
	assert_int_equal(others, wanted_others);
	assert_ptr_equal(procs__find(procs, inode, NULL), process);
}

static void the_lowest_pid_counts(void **state)
{
	static const uint32_t orders[][3] = {{10, 20, 30}, {30, 20, 10}, {20, 10, 30}, {20, 30, 10}};
	struct procs procs;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(init_tables(&procs, 100), 0);
		for (size_t j = 0; j < 3; j++)
			assert_int_equal(hold(&procs, 5, add_process(&procs, orders[i][j])), 0);
		expect_holder(&procs, 5, 10, 2);
		procs__fini(&procs);
	}
}

static void descriptors_of_one_process_are_one(void **state)
{
	struct procs procs;
	uint32_t first, second;

	(void)state;
	assert_int_equal(init_tables(&procs, 100), 0);
	first = add_process(&procs, 20);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hold(&procs, 5, first), 0);
	expect_holder(&procs, 5, 20, 0);
	second = add_process(&procs, 10);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hold(&procs, 5, second), 0);
	expect_holder(&procs, 5, 10, 1);
	assert_null(procs__find(&procs, 6, NULL));
	procs__fini(&procs);
}

static void sockets_above_the_limit_are_counted(void **state)
{
	struct procs procs;
	uint32_t process;

	(void)state;
	assert_int_equal(init_tables(&procs, 3), 0);
	process = add_process(&procs, 1);
	for (uint32_t inode = 1; inode <= 10; inode++)
		assert_int_equal(hold(&procs, inode, process), 0);
	assert_int_equal(procs.socket_count, 3);
	assert_int_equal(procs.dropped, 7);
	expect_holder(&procs, 3, 1, 0);
	assert_null(procs__find(&procs, 4, NULL));
	/* Those that are there still get their other holders. */
	assert_int_equal(hold(&procs, 3, add_process(&procs, 2)), 0);
	expect_holder(&procs, 3, 1, 1);
	procs__fini(&procs);
	assert_null(procs__find(&procs, 3, NULL));
}

static void many_sockets(void **state)
{
	struct procs procs;
	uint32_t process = 0;

	(void)state;
	assert_int_equal(init_tables(&procs, 100000), 0);
	for (uint32_t inode = 1; inode <= 50000; inode++) {
		if (inode % 100 == 1)
			process = add_process(&procs, inode);
		assert_int_equal(hold(&procs, inode, process), 0);
	}
	for (uint32_t inode = 1; inode <= 50000; inode++)
		expect_holder(&procs, inode, (inode - 1) / 100 * 100 + 1, 0);
	procs__fini(&procs);
}

static void without_memory(void **state)
{
	const struct process process = {.pid = 1};
	struct procs procs;
	uint32_t index;

	(void)state;
	assert_int_equal(init_tables(&procs, 100), 0);
	out_of_memory = true;
	assert_int_equal(append_process(&procs, &process, &index), -ENOMEM);
	assert_int_equal(hold(&procs, 5, 0), -ENOMEM);
	out_of_memory = false;
	assert_null(procs__find(&procs, 5, NULL));
	procs__fini(&procs);
}

/* ---- the real /proc ---- */

static uint32_t inode_of(int fd)
{
	struct stat file;

	assert_int_equal(fstat(fd, &file), 0);
	return (uint32_t)file.st_ino;
}

static void own_sockets_are_found(void **state)
{
	static const char name[] = "x) S 1\n(\x1b[31m";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char before[EV_COMM_BYTES];
	struct procs procs;
	const struct process *process;
	uint32_t others;
	int twin = dup(fd);

	(void)state;
	assert_true(fd >= 0 && twin >= 0);
	prctl(PR_GET_NAME, before);
	prctl(PR_SET_NAME, name);
	assert_int_equal(procs__init(&procs), 0);
	prctl(PR_SET_NAME, before);
	process = procs__find(&procs, inode_of(fd), &others);
	assert_non_null(process);
	assert_int_equal(process->pid, getpid());
	assert_int_equal(process->uid, getuid());
	assert_int_equal(others, 0);
	assert_string_equal(process->comm, name);
	assert_true(process->start_ns > 0 && process->start_ns <= clock__boot_ns());
	assert_int_equal(procs.dropped, 0);
	procs__fini(&procs);
	close(fd);
	close(twin);
}

/* A process that ends between two steps: its directory is there and answers
 * nothing any more. */
static void a_process_that_vanishes(void **state)
{
	struct procs procs;
	struct scan scan = {.procs = &procs, .process = IDMAP_NONE};
	char pid[16];
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t child = fork();

	(void)state;
	if (child == 0)
		for (;;)
			pause();
	snprintf(pid, sizeof(pid), "%d", (int)child);
	assert_int_equal(init_tables(&procs, 100), 0);
	scan.pid = pid;
	scan.process_fd = openat(proc_fd, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(scan.process_fd >= 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(hold_socket(&scan, 5), -ESRCH);
	assert_null(open_descriptors(scan.process_fd));
	assert_true(is_gone(-errno));
	assert_int_equal(scan_process(&procs, proc_fd, pid), 0);
	assert_int_equal(procs.refused, 0);
	assert_int_equal(procs.process_count, 0);
	assert_null(procs__find(&procs, 5, NULL));
	close(scan.process_fd);
	close(proc_fd);
	procs__fini(&procs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(what_is_no_socket),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(longer_names_are_cut),
		cmocka_unit_test(damaged_stats),
		cmocka_unit_test(starts_do_not_overflow),
		cmocka_unit_test(users),
		cmocka_unit_test(the_lowest_pid_counts),
		cmocka_unit_test(descriptors_of_one_process_are_one),
		cmocka_unit_test(sockets_above_the_limit_are_counted),
		cmocka_unit_test(many_sockets),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(own_sockets_are_found),
		cmocka_unit_test(a_process_that_vanishes),
	};

	return cmocka_run_group_tests_name("procs", tests, NULL, NULL);
}
