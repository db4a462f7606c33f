/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells the cgroups that records name: an EV_CGROUP record before the first one
 * that is about an owner in it. So a recording holds all that its reader needs.
 *
 * An id is resolved once, when it is first seen; by then its cgroup may be gone,
 * with a process that did not last, and is not told. The root is not told
 * either: where only version 1 of cgroups is in use (or both), every process is
 * in the root of version 2, which says nothing.
 */
#ifndef TCPSAGA_SOURCE_CGROUP_TELLER_H
#define TCPSAGA_SOURCE_CGROUP_TELLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idmap.h"
#include "bpf/event.h"
#include "source/cgroup_root.h"

struct tables;

struct cgroup_teller {
	struct cgroup_root root;
	struct tables *tables; /* borrowed: who looks the paths up; NULL: this process */
	uint64_t root_id;
	uint64_t *asked; /* owned; a ring of EV_CGROUPS_TOLD ids, told or not to be found */
	uint32_t count;
	uint32_t next;
	struct idmap by_id;
	uint64_t last; /* the id that was asked for last */
};

/* 0 or -ENOMEM. Without a mounted hierarchy nothing will be told. */
int cgroup_teller__init(struct cgroup_teller *teller);
void cgroup_teller__fini(struct cgroup_teller *teller);

/* For cgroup_teller__tell(): of one that is not the last. */
bool cgroup_teller__tell_other(struct cgroup_teller *teller, const struct ev_owner *owner,
			       uint64_t now_ns, struct ev_cgroup *told);

/*
 * Fills told when this owner's cgroup has not been told yet and is found; returns
 * whether it did. now_ns is the time of the record that names it. owner may be
 * NULL.
 */
static inline bool cgroup_teller__tell(struct cgroup_teller *teller, const struct ev_owner *owner,
				       uint64_t now_ns, struct ev_cgroup *told)
{
	return owner && owner->cgroup && owner->cgroup != teller->last &&
	       cgroup_teller__tell_other(teller, owner, now_ns, told);
}

#endif
