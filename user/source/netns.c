// SPDX-License-Identifier: BSD-2-Clause
#include "source/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/idmap.h"

static const char own_path[] = "/proc/thread-self/ns/net";

struct walk {
	const struct netns_visitor *visitor;
	const char *path; /* the only one to visit; NULL: all */
	struct netns_counts counts;
	struct idmap seen; /* inodes that are done with */
	int result;
};

/* ---- what the kernel writes ----------------------------------------------- */

/* "net:[4026531840]" to the inode, 0 when it is something else. */
static uint32_t parse_link(const char *text)
{
	char *end;
	unsigned long inode;

	if (strncmp(text, "net:[", 5) != 0 || !isdigit((unsigned char)text[5]))
		return 0;
	errno = 0;
	inode = strtoul(text + 5, &end, 10);
	if (errno || strcmp(end, "]") != 0 || inode > UINT32_MAX)
		return 0;
	return (uint32_t)inode;
}

static bool is_octal(const char *digits)
{
	return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' &&
	       digits[2] >= '0' && digits[2] <= '7';
}

/* Blank, tab, newline and backslash are octal in there (mangle_path()). */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && is_octal(text + 1)) {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

/* One line of mountinfo, "ID PARENT DEVICE ROOT PATH ... - TYPE ..." (proc(5)):
 * the inode and the path of a bound network namespace; 0 for any other mount. */
static uint32_t parse_mount(char *line, const char **path)
{
	char *field[5];
	char *rest = line;
	uint32_t inode;

	for (int i = 0; i < 5; i++) {
		field[i] = strsep(&rest, " ");
		if (!field[i])
			return 0;
	}
	/* Every other root begins with a slash (show_mountinfo()). */
	inode = parse_link(field[3]);
	if (!inode || !rest || !strstr(rest, " - nsfs "))
		return 0;
	unescape(field[4]);
	*path = field[4];
	return inode;
}

static int read_link(const char *path, uint32_t *inode)
{
	char text[64];
	ssize_t len = readlink(path, text, sizeof(text) - 1);

	if (len < 0)
		return -errno;
	/* 5.10 refuses with an empty text and no error (proc_ns_readlink()). */
	if (len == 0)
		return -EACCES;
	text[len] = '\0';
	*inode = parse_link(text);
	return *inode ? 0 : -EINVAL;
}

/* ---- one namespace ---------------------------------------------------------- */

static bool is_seen(const struct walk *walk, uint32_t inode)
{
	return idmap__find(&walk->seen, inode) != IDMAP_NONE;
}

static int remember(struct walk *walk, uint32_t inode)
{
	return idmap__put(&walk->seen, inode, 1);
}

static int refuse(struct walk *walk, const char *path, uint32_t inode, int err)
{
	const struct netns netns = { .inode = inode, .path = path };

	walk->counts.refused++;
	if (walk->visitor->refused)
		walk->visitor->refused(walk->visitor->context, &netns, err);
	return 0;
}

static int visit_here(struct walk *walk, const char *path, uint32_t inode)
{
	const struct netns netns = { .inode = inode, .path = path };

	walk->counts.visited++;
	return walk->visitor->inside(walk->visitor->context, &netns);
}

static int enter_and_visit(struct walk *walk, const char *path, int fd, uint32_t inode)
{
	int err = remember(walk, inode);

	if (err)
		return err;
	/* Refused for what the namespace is, not for its path: once is enough. */
	if (setns(fd, CLONE_NEWNET) < 0)
		return refuse(walk, path, inode, -errno);
	return visit_here(walk, path, inode);
}

/* The inode of an open network namespace, 0 when the descriptor is none. */
static uint32_t inode_of(int fd)
{
	struct statfs fs;
	struct stat file;

	if (fstatfs(fd, &fs) < 0 || (uint32_t)fs.f_type != NSFS_MAGIC)
		return 0;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &file) < 0)
		return 0;
	return (uint32_t)file.st_ino;
}

static bool is_gone(int err)
{
	return err == -ENOENT || err == -ESRCH;
}

/* What is no network namespace, or no longer there, is passed over. */
static int visit_path(struct walk *walk, const char *path)
{
	uint32_t inode;
	int err = 0;
	/* Non-blocking: anything may lie in /run/netns, also a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return is_gone(-errno) ? 0 : refuse(walk, path, 0, -errno);
	inode = inode_of(fd);
	if (inode && !is_seen(walk, inode))
		err = enter_and_visit(walk, path, fd, inode);
	close(fd);
	return err;
}

/* ---- where they are found ---------------------------------------------------- */

static int walk_own(struct walk *walk)
{
	uint32_t inode;
	int err = netns__own(&inode);

	if (!err)
		err = remember(walk, inode);
	return err ? err : visit_here(walk, own_path, inode);
}

static int walk_names(struct walk *walk)
{
	static const char place[] = "/run/netns";
	char path[sizeof(place) + NAME_MAX + 1];
	struct dirent *entry;
	DIR *names = opendir(place);
	int err = 0;

	/* No such directory: "ip netns add" was never used. */
	if (!names)
		return 0;
	while (!err && (entry = readdir(names))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", place, entry->d_name);
		err = visit_path(walk, path);
	}
	closedir(names);
	return err;
}

/* The link alone tells of nearly all that their namespace is seen already. */
static int visit_process(struct walk *walk, const char *pid)
{
	char path[32];
	uint32_t inode;
	int err;

	snprintf(path, sizeof(path), "/proc/%.10s/ns/net", pid);
	err = read_link(path, &inode);
	if (err)
		return is_gone(err) ? 0 : refuse(walk, path, 0, err);
	return is_seen(walk, inode) ? 0 : visit_path(walk, path);
}

static int walk_processes(struct walk *walk)
{
	struct dirent *entry;
	DIR *processes = opendir("/proc");
	int err = 0;

	if (!processes)
		return -errno;
	while (!err && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			err = visit_process(walk, entry->d_name);
	closedir(processes);
	return err;
}

/* A mount that another one covers is there and out of reach: that is told. */
static int visit_mount(struct walk *walk, const char *path, uint32_t inode)
{
	int err;

	if (is_seen(walk, inode))
		return 0;
	err = visit_path(walk, path);
	if (err || is_seen(walk, inode))
		return err;
	err = remember(walk, inode);
	return err ? err : refuse(walk, path, inode, -ESTALE);
}

/* Last, so that only those come from here that no process lives in. */
static int walk_mounts(struct walk *walk)
{
	FILE *mounts = fopen("/proc/thread-self/mountinfo", "re");
	char *line = NULL;
	size_t capacity = 0;
	const char *path;
	uint32_t inode;
	int err = 0;

	if (!mounts)
		return -errno;
	while (!err && getline(&line, &capacity, mounts) > 0) {
		inode = parse_mount(line, &path);
		if (inode)
			err = visit_mount(walk, path, inode);
	}
	free(line);
	fclose(mounts);
	return err;
}

static int walk_all(struct walk *walk)
{
	int err = walk_own(walk);

	if (!err)
		err = walk_names(walk);
	if (!err)
		err = walk_processes(walk);
	if (!err)
		err = walk_mounts(walk);
	return err;
}

static int walk_one(struct walk *walk)
{
	uint32_t inode;
	int err = 0;
	int fd = open(walk->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	inode = inode_of(fd);
	if (!inode)
		err = -EINVAL;
	else if (setns(fd, CLONE_NEWNET) < 0)
		err = -errno;
	close(fd);
	return err ? err : visit_here(walk, walk->path, inode);
}

/* ---- the thread --------------------------------------------------------------- */

static void *run(void *argument)
{
	struct walk *walk = argument;

	walk->result = walk->path ? walk_one(walk) : walk_all(walk);
	return NULL;
}

/* Only this thread ever changes its namespace, so that there is nothing to go
 * back to and nothing that can fail on the way back. */
static int run_in_thread(struct walk *walk)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&thread, NULL, run, walk);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return err;
	pthread_join(thread, NULL);
	return walk->result;
}

int netns__walk(const struct netns_visitor *visitor, struct netns_counts *counts)
{
	struct walk walk = { .visitor = visitor };
	int err = idmap__init(&walk.seen, 0);

	if (err)
		return err;
	err = run_in_thread(&walk);
	if (counts)
		*counts = walk.counts;
	idmap__fini(&walk.seen);
	return err;
}

int netns__visit(const char *path, const struct netns_visitor *visitor)
{
	struct walk walk = { .visitor = visitor, .path = path };

	return run_in_thread(&walk);
}

int netns__own(uint32_t *inode)
{
	return read_link(own_path, inode);
}
