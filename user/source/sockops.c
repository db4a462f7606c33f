// SPDX-License-Identifier: BSD-2-Clause
#include "source/sockops.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

int sockops__open(const char *path, char *message, size_t size)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0) {
		snprintf(message, size, "--sockops %s: %s", path, strerror(errno));
		return -EINVAL;
	}
	if (!fstatfs(fd, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	close(fd);
	snprintf(message, size, "--sockops %s: no cgroup of cgroup2 (/sys/fs/cgroup/...)", path);
	return -EINVAL;
}

/* A link is attached with BPF_F_ALLOW_MULTI (cgroup_bpf_link_attach()), so that
 * programs of others stay, and those of descendants run, too. */
struct bpf_link *sockops__attach(struct bpf_program *program, int cgroup)
{
	return bpf_program__attach_cgroup(program, cgroup);
}
