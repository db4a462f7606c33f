/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control groups that owners are in: path, and what a path tells of systemd
 * units and containers. Fed by EV_CGROUP records. Pure.
 *
 * Bounded: at most CGROUPS_MAX; then the one that was told first goes, and is
 * counted. The source forgets in the same order what it has told, so that it
 * tells that one again when it is named again (source/cgroups.h).
 */
#ifndef TCPSAGA_MODEL_CGROUPS_H
#define TCPSAGA_MODEL_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idmap.h"
#include "bpf/event.h"

enum {
	CGROUPS_MAX = EV_CGROUPS_TOLD,
	CONTAINER_ID_LEN = 64, /* hexadecimal digits */
};

/* A part of a cgroup's path. */
struct path_part {
	uint16_t at;
	uint16_t len; /* 0: there is none */
};

struct cgroup {
	uint64_t id;
	char *path; /* owned; arbitrary bytes, no NUL in it */
	uint16_t len;
	bool cut; /* the path is longer, this is its end */
	/* The last service or scope; in a container that systemd has made the
	 * container's own scope, or a service in it. */
	struct path_part unit;
	/* The innermost one: docker, containerd, CRI-O, podman. Its 64 digits. */
	struct path_part container;
};

struct cgroups {
	struct cgroup *all; /* owned; a ring, free places have id 0 */
	uint32_t next;	    /* place for the next one */
	uint64_t evicted;
	uint64_t told; /* how often one was put: what was made of them before may be old */
	struct idmap by_id;
};

int cgroups__init(struct cgroups *cgroups, uint64_t seed);
void cgroups__fini(struct cgroups *cgroups);

/* Adds one, in place of what was told of its id. 0 or -ENOMEM. */
int cgroups__put(struct cgroups *cgroups, const struct ev_cgroup *from);

/* NULL when it is not known. Borrowed until the next cgroups__put(). */
const struct cgroup *cgroups__find(const struct cgroups *cgroups, uint64_t id);

/* Finds unit and container in path[0..len). */
void cgroup__parse(struct cgroup *cgroup);

#endif
