/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mounted hierarchy of cgroups (version 2): which id a path has, and which
 * path an id.
 */
#ifndef TCPSAGA_SOURCE_CGROUP_ROOT_H
#define TCPSAGA_SOURCE_CGROUP_ROOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup_root {
	int fd;		    /* its directory, -1: none is mounted */
	uint64_t walked_ns; /* when it was last walked; 0: never */
};

/* Its directory, -1 when there is none. To be closed by the caller. */
int cgroup_root__open(void);

/*
 * The id of the cgroup that /proc/PID/cgroup names, whose whole text this is; 0
 * when it has none of version 2, or one outside of what we see.
 */
uint64_t cgroup_root__id_of(int root_fd, const char *text);

/*
 * Fills out, not terminated, with the path of a cgroup from the hierarchy's root
 * on ("/system.slice/x.service"); returns its length, or
 *   -EAGAIN  it may be found later: without CAP_DAC_READ_SEARCH the hierarchy is
 *            walked for it, and that not often
 *   -ESTALE  it is gone, or outside of what is mounted
 *   -errno
 */
ssize_t cgroup_root__path_of(struct cgroup_root *root, uint64_t id, char *out, size_t size);

#endif
