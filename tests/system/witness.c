// SPDX-License-Identifier: BSD-2-Clause
/*
 * Usage: witness FILE
 *
 * Keeps in FILE in how many softirqs of timers and packets, at least, the kernel has run
 * no tracing program since this one began, until the end of standard input: those that
 * /proc/softirqs counts and a program does not. The kernel's own books of missed runs
 * do not have them. lib.bash takes it for a reason to play a test again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "witness.skel.h"

enum { PAUSE_MS = 50 };

static int fail(const char *what)
{
	fputs("witness: ", stderr);
	perror(what);
	return 1;
}

/* "  TIMER:  12  34 ...": a column for each CPU. */
static uint64_t sum_columns(const char *line)
{
	const char *at = strchr(line, ':') + 1;
	uint64_t sum = 0, value;
	int len;

	while (sscanf(at, "%" SCNu64 "%n", &value, &len) == 1) {
		sum += value;
		at += len;
	}
	return sum;
}

/* 0: it cannot be read. */
static uint64_t counted(void)
{
	FILE *file = fopen("/proc/softirqs", "re");
	uint64_t sum = 0;
	char line[8192];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, " TIMER:") || strstr(line, "NET_RX:"))
			sum += sum_columns(line);
	if (file)
		fclose(file);
	return sum;
}

/* What is counted before what was seen is read, less what was seen, is too little where
 * one comes in between, and the other way round too much. */
static int64_t too_little(const struct witness_bpf *skel)
{
	uint64_t all = counted();

	return (int64_t)(all - __atomic_load_n(&skel->bss->seen, __ATOMIC_ACQUIRE));
}

static int64_t too_much(const struct witness_bpf *skel)
{
	uint64_t seen = __atomic_load_n(&skel->bss->seen, __ATOMIC_ACQUIRE);

	return (int64_t)(counted() - seen);
}

static int watch(const struct witness_bpf *skel, int fd)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	int64_t before = too_much(skel), unseen = 0, now;
	char line[32];
	int len;

	do {
		now = too_little(skel) - before;
		if (now > unseen)
			unseen = now;
		len = snprintf(line, sizeof(line), "%" PRId64 "\n", unseen);
		if (pwrite(fd, line, (size_t)len, 0) != len)
			return -1;
	} while (!poll(&input, 1, PAUSE_MS));
	return 0;
}

int main(int argc, char **argv)
{
	struct witness_bpf *skel;
	int fd, err;

	if (argc != 2) {
		fputs("usage: witness FILE\n", stderr);
		return 2;
	}
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(argv[1]);
	skel = witness_bpf__open_and_load();
	if (!skel || witness_bpf__attach(skel) || !counted())
		return fail("softirqs");
	err = watch(skel, fd);
	witness_bpf__destroy(skel);
	return err ? fail(argv[1]) : 0;
}
