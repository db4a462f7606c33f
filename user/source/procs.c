// SPDX-License-Identifier: BSD-2-Clause
#include "source/procs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "source/cgroup_root.h"

struct held_socket {
	uint32_t process; /* index; the one with the lowest pid */
	uint32_t latest;  /* index of the process that was counted last */
	uint32_t others;  /* processes besides */
};

/* One process while its descriptors are read. */
struct scan {
	struct procs *procs;
	int process_fd; /* its directory: all that is read through it is one process's */
	const char *pid;
	uint32_t process; /* index, IDMAP_NONE until a socket is found */
};

/* ---- what the kernel writes ----------------------------------------------- */

/* "socket:[4026]" to the inode, 0 when it is something else. */
static uint32_t parse_socket(const char *text)
{
	uint64_t inode = 0;

	if (memcmp(text, "socket:[", 8) != 0)
		return 0;
	for (text += 8; isdigit((unsigned char)*text); text++) {
		inode = inode * 10 + (uint64_t)(*text - '0');
		if (inode > UINT32_MAX)
			return 0;
	}
	return strcmp(text, "]") == 0 ? (uint32_t)inode : 0;
}

/* Skips count words and the blanks behind them. NULL when there are fewer. */
static const char *skip_words(const char *text, unsigned int count)
{
	while (count--) {
		text = strchr(text, ' ');
		if (!text)
			return NULL;
		text++;
	}
	return text;
}

/* Starting at the state: field 3 of proc_pid_stat(5), so that 19 more lead to
 * field 22, in clock ticks since boot. */
static bool parse_start(const char *text, uint64_t ticks_per_s, uint64_t *start_ns)
{
	char *end;
	uint64_t ticks;

	text = skip_words(text, 19);
	if (!text || !isdigit((unsigned char)*text))
		return false;
	ticks = strtoull(text, &end, 10);
	if (*end != ' ' && *end != '\n' && *end != '\0')
		return false;
	*start_ns = ticks / ticks_per_s * NS_PER_S + ticks % ticks_per_s * (NS_PER_S / ticks_per_s);
	return true;
}

/*
 * "PID (COMM) STATE ...": the name is written raw and may hold anything, blanks
 * and parentheses too. Only numbers follow it, so that the last parenthesis is
 * its end.
 */
static bool parse_stat(char *text, uint64_t ticks_per_s, struct process *process)
{
	char *comm = strchr(text, '(');
	char *end = strrchr(text, ')');
	size_t len;

	if (!comm || !end || end < comm || end[1] != ' ')
		return false;
	len = (size_t)(end - ++comm);
	/* The kernel's own threads have longer ones, and no descriptors. */
	if (len >= sizeof(process->comm))
		len = sizeof(process->comm) - 1;
	memset(process->comm, 0, sizeof(process->comm));
	memcpy(process->comm, comm, len);
	return parse_start(end + 2, ticks_per_s, &process->start_ns);
}

/* A process cannot forge that line: in this file its name is escaped
 * (proc_task_name()). */
static bool parse_uid(const char *text, uint32_t *uid)
{
	static const char key[] = "\nUid:\t";
	const char *line = strstr(text, key);
	char *end;
	unsigned long value;

	if (!line || !isdigit((unsigned char)line[sizeof(key) - 1]))
		return false;
	value = strtoul(line + sizeof(key) - 1, &end, 10);
	if (*end != '\t' || value > UINT32_MAX)
		return false;
	*uid = (uint32_t)value;
	return true;
}

/* ---- the tables ------------------------------------------------------------- */

/* 0 or -ENOMEM. Doubles a table when one more does not fit. */
static int make_room(void **table, uint32_t count, uint32_t *capacity, size_t size)
{
	uint32_t wanted = *capacity ? *capacity * 2 : 64;
	void *larger;

	if (count < *capacity)
		return 0;
	larger = reallocarray(*table, wanted, size);
	if (!larger)
		return -ENOMEM;
	*table = larger;
	*capacity = wanted;
	return 0;
}

static int append_process(struct procs *procs, const struct process *process, uint32_t *index)
{
	void *table = procs->processes;
	int err = make_room(&table, procs->process_count, &procs->process_capacity, sizeof(*process));

	procs->processes = table;
	if (err)
		return err;
	*index = procs->process_count++;
	procs->processes[*index] = *process;
	return 0;
}

static int append_socket(struct procs *procs, uint32_t inode, uint32_t process)
{
	void *table = procs->sockets;
	int err;

	if (procs->socket_count >= procs->socket_limit) {
		procs->dropped++;
		return 0;
	}
	err = make_room(&table, procs->socket_count, &procs->socket_capacity, sizeof(*procs->sockets));
	procs->sockets = table;
	if (!err)
		err = idmap__put(&procs->by_inode, inode, procs->socket_count);
	if (err)
		return err;
	procs->sockets[procs->socket_count++] =
		(struct held_socket){ .process = process, .latest = process };
	return 0;
}

/* A process is counted once, however many descriptors it has for the socket. */
static void add_holder(const struct procs *procs, struct held_socket *held, uint32_t process)
{
	if (held->latest == process)
		return;
	held->latest = process;
	held->others++;
	if (procs->processes[process].pid < procs->processes[held->process].pid)
		held->process = process;
}

static int hold(struct procs *procs, uint32_t inode, uint32_t process)
{
	uint32_t index = idmap__find(&procs->by_inode, inode);

	if (index == IDMAP_NONE)
		return append_socket(procs, inode, process);
	add_holder(procs, &procs->sockets[index], process);
	return 0;
}

/* ---- one process ------------------------------------------------------------- */

static bool is_gone(int err)
{
	return err == -ENOENT || err == -ESRCH;
}

/* The whole of a small file as text. Its length, or -errno. */
static ssize_t read_text(int directory, const char *name, char *text, size_t size)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	do
		len = read(fd, text, size - 1);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		len = -errno;
	else
		text[len] = '\0';
	close(fd);
	return len;
}

/* -ESRCH when it is gone by now, or wrote nonsense. */
static int read_process(const struct scan *scan, struct process *process)
{
	/* stat is some 300 bytes, and Uid stands in the first 200 of status; a
	 * path in cgroup is as long as its maker likes. */
	char text[PATH_MAX];

	*process = (struct process){ .pid = (uint32_t)strtoul(scan->pid, NULL, 10) };
	if (read_text(scan->process_fd, "stat", text, sizeof(text)) <= 0 ||
	    !parse_stat(text, (uint64_t)sysconf(_SC_CLK_TCK), process))
		return -ESRCH;
	if (read_text(scan->process_fd, "status", text, sizeof(text)) <= 0 ||
	    !parse_uid(text, &process->uid))
		return -ESRCH;
	if (read_text(scan->process_fd, "cgroup", text, sizeof(text)) > 0)
		process->cgroup = cgroup_root__id_of(scan->procs->cgroup_root_fd, text);
	return 0;
}

/* Most processes hold no socket: who it is is read at the first one. */
static int hold_socket(struct scan *scan, uint32_t inode)
{
	struct process process;
	int err;

	if (scan->process == IDMAP_NONE) {
		err = read_process(scan, &process);
		if (!err)
			err = append_process(scan->procs, &process, &scan->process);
		if (err)
			return err;
	}
	return hold(scan->procs, inode, scan->process);
}

static int scan_descriptor(struct scan *scan, int directory, const char *name)
{
	/* A longer link is no socket, and comes without its end. */
	char text[32] = "";
	ssize_t len = readlinkat(directory, name, text, sizeof(text) - 1);
	uint32_t inode;

	if (len < 0)
		return 0;
	inode = parse_socket(text);
	return inode ? hold_socket(scan, inode) : 0;
}

static int scan_descriptors(struct scan *scan, DIR *descriptors)
{
	struct dirent *entry;
	int err = 0;

	while (!err && (entry = readdir(descriptors)))
		if (entry->d_name[0] != '.')
			err = scan_descriptor(scan, dirfd(descriptors), entry->d_name);
	return is_gone(err) ? 0 : err;
}

static DIR *open_descriptors(int process_fd)
{
	int fd = openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *descriptors = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !descriptors)
		close(fd);
	return descriptors;
}

static int scan_process(struct procs *procs, int proc_fd, const char *pid)
{
	struct scan scan = { .procs = procs, .pid = pid, .process = IDMAP_NONE };
	DIR *descriptors;
	int err = 0;

	scan.process_fd = openat(proc_fd, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (scan.process_fd < 0)
		return is_gone(-errno) ? 0 : -errno;
	descriptors = open_descriptors(scan.process_fd);
	if (descriptors) {
		err = scan_descriptors(&scan, descriptors);
		closedir(descriptors);
	} else if (!is_gone(-errno)) {
		procs->refused++;
	}
	close(scan.process_fd);
	return err;
}

/* ---- all of them -------------------------------------------------------------- */

static int scan_all(struct procs *procs)
{
	struct dirent *entry;
	DIR *processes = opendir("/proc");
	int err = 0;

	if (!processes)
		return -errno;
	while (!err && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			err = scan_process(procs, dirfd(processes), entry->d_name);
	closedir(processes);
	return err;
}

static int init_tables(struct procs *procs, uint32_t socket_limit)
{
	*procs = (struct procs){ .socket_limit = socket_limit, .cgroup_root_fd = -1 };
	return idmap__init(&procs->by_inode, 0);
}

int procs__init(struct procs *procs)
{
	int err = init_tables(procs, PROCS_SOCKETS_MAX);

	procs->cgroup_root_fd = cgroup_root__open();
	if (!err)
		err = scan_all(procs);
	if (procs->cgroup_root_fd >= 0)
		close(procs->cgroup_root_fd);
	procs->cgroup_root_fd = -1;
	if (err)
		procs__fini(procs);
	return err;
}

void procs__fini(struct procs *procs)
{
	free(procs->processes);
	free(procs->sockets);
	idmap__fini(&procs->by_inode);
	*procs = (struct procs){ 0 };
}

const struct process *procs__find(const struct procs *procs, uint32_t inode, uint32_t *others)
{
	/* Also after procs__fini(), when the index has no slots. */
	uint32_t index = procs->socket_count ? idmap__find(&procs->by_inode, inode) : IDMAP_NONE;
	const struct held_socket *held;

	if (index == IDMAP_NONE)
		return NULL;
	held = &procs->sockets[index];
	if (others)
		*others = held->others;
	return &procs->processes[held->process];
}
