// SPDX-License-Identifier: BSD-2-Clause
#include "source/cgroup_root.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	FILEID_KERNFS = 0xfe, /* a 64-bit id: include/linux/exportfs.h */
	/* A walk over 10,000 cgroups takes 30 ms. */
	WALK_MS_LEAST = 3000,
};

int cgroup_root__open(void)
{
	struct mntent entry;
	char text[4096];
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	int fd = -1;

	if (!mounts)
		return -1;
	while (fd < 0 && getmntent_r(mounts, &entry, text, sizeof(text)))
		if (!strcmp(entry.mnt_type, "cgroup2"))
			fd = open(entry.mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	endmntent(mounts);
	return fd;
}

/* On 64-bit systems a cgroup's inode number is its id (kernfs_id_ino()). */
static uint64_t id_at(int root_fd, const char *path)
{
	struct stat stat;

	return fstatat(root_fd, path, &stat, 0) ? 0 : stat.st_ino;
}

uint64_t cgroup_root__id_of(int root_fd, const char *text)
{
	const char *line = text, *end;
	char path[PATH_MAX];

	while (strncmp(line, "0::/", 4) != 0) {
		line = strchr(line, '\n');
		if (!line++)
			return 0;
	}
	line += 4;
	end = strchrnul(line, '\n');
	if (root_fd < 0 || (size_t)(end - line) >= sizeof(path))
		return 0;
	/* "0::/../x" is outside of our cgroup namespace. */
	if (!strncmp(line, "..", 2) && (line[2] == '/' || line[2] == '\n' || !line[2]))
		return 0;
	memcpy(path, line, (size_t)(end - line));
	path[end - line] = '\0';
	return id_at(root_fd, *path ? path : ".");
}

/* ---- from an id to a path ---- */

static ssize_t path_of_fd(int fd, char *path, size_t size)
{
	char link[32];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, size);
	if (len < 0)
		return -errno;
	return (size_t)len < size ? len : -ENAMETOOLONG;
}

/* Takes CAP_DAC_READ_SEARCH; else -EPERM. The path's length, written to out from
 * its start. */
static ssize_t path_by_handle(int root_fd, uint64_t id, char *out, size_t size)
{
	union {
		struct file_handle head;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .head = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	char root[PATH_MAX];
	ssize_t root_len = path_of_fd(root_fd, root, sizeof(root)), len;
	int fd;

	if (root_len < 0)
		return root_len;
	memcpy(handle.bytes + sizeof(handle.head), &id, sizeof(id));
	fd = open_by_handle_at(root_fd, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = path_of_fd(fd, out, size);
	close(fd);
	if (len < 0)
		return len;
	if (len <= root_len || memcmp(out, root, (size_t)root_len) != 0)
		return -ESTALE; /* outside of what is mounted here */
	memmove(out, out + root_len, (size_t)(len - root_len));
	return len - root_len;
}

/* For those without the capability: looks for its inode. */
static ssize_t path_by_walk(int root_fd, uint64_t id, char *out, size_t size)
{
	char root[PATH_MAX];
	ssize_t root_len = path_of_fd(root_fd, root, sizeof(root) - 1), len = -ESTALE;
	char *const roots[] = { root, NULL };
	FTSENT *entry;
	FTS *walk;

	if (root_len < 0)
		return root_len;
	root[root_len] = '\0';
	walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	if (!walk)
		return -errno;
	while (len < 0 && (entry = fts_read(walk))) {
		if (entry->fts_info != FTS_D || entry->fts_statp->st_ino != id)
			continue;
		len = (ssize_t)entry->fts_pathlen - root_len;
		if (len <= 0 || (size_t)len > size)
			break;
		memcpy(out, entry->fts_path + root_len, (size_t)len);
	}
	fts_close(walk);
	return len > 0 ? len : -ESTALE;
}

ssize_t cgroup_root__path_of(struct cgroup_root *root, uint64_t id, char *out, size_t size)
{
	ssize_t len = path_by_handle(root->fd, id, out, size);
	uint64_t now_ns;

	if (len != -EPERM && len != -EOPNOTSUPP)
		return len;
	now_ns = clock__boot_ns();
	if (root->walked_ns && now_ns - root->walked_ns < WALK_MS_LEAST * NS_PER_MS)
		return -EAGAIN;
	root->walked_ns = now_ns;
	return path_by_walk(root->fd, id, out, size);
}
