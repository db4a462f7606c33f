// SPDX-License-Identifier: BSD-2-Clause
#include "source/cgroup_teller.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/tables.h"

int cgroup_teller__init(struct cgroup_teller *teller)
{
	struct stat st;

	*teller = (struct cgroup_teller){ .root.fd = cgroup_root__open() };
	if (teller->root.fd < 0)
		return 0;
	teller->root_id = fstat(teller->root.fd, &st) ? 0 : st.st_ino;
	teller->asked = calloc(EV_CGROUPS_TOLD, sizeof(*teller->asked));
	if (!teller->asked)
		return -ENOMEM;
	return idmap__init(&teller->by_id, 0);
}

void cgroup_teller__fini(struct cgroup_teller *teller)
{
	if (teller->root.fd >= 0)
		close(teller->root.fd);
	free(teller->asked);
	idmap__fini(&teller->by_id);
	*teller = (struct cgroup_teller){ .root.fd = -1 };
}

/* ---- told ids ---- */

/* In the order in which the reader forgets (user/model/cgroups.c). */
static void remember(struct cgroup_teller *teller, uint64_t id)
{
	if (teller->count == EV_CGROUPS_TOLD)
		idmap__remove(&teller->by_id, teller->asked[teller->next]);
	else
		teller->count++;
	teller->asked[teller->next] = id;
	/* Without memory it will be told again. */
	idmap__put(&teller->by_id, id, teller->next);
	teller->next = (teller->next + 1) % EV_CGROUPS_TOLD;
}

/* What a container is called stands at the end of a long path. */
static void put_path(struct ev_cgroup *told, const char *path, size_t len)
{
	size_t room = sizeof(told->path) - 1;

	told->cut = len > room;
	if (told->cut) {
		path += len - room;
		len = room;
	}
	memcpy(told->path, path, len);
}

bool cgroup_teller__tell_other(struct cgroup_teller *teller, const struct ev_owner *owner,
			       uint64_t now_ns, struct ev_cgroup *told)
{
	char path[PATH_MAX];
	ssize_t len;

	if (teller->root.fd < 0)
		return false;
	teller->last = owner->cgroup;
	if (owner->cgroup == teller->root_id || idmap__find(&teller->by_id, owner->cgroup) != IDMAP_NONE)
		return false;
	len = tables__cgroup_path(teller->tables, &teller->root, owner->cgroup, path, sizeof(path));
	if (len == -EAGAIN) {
		teller->last = 0;
		return false;
	}
	remember(teller, owner->cgroup);
	if (len <= 0)
		return false;
	*told = (struct ev_cgroup){ .header = { .len = sizeof(*told),
						.version = EV_VERSION,
						.kind = EV_CGROUP,
						.time_ns = now_ns },
				    .id = owner->cgroup };
	put_path(told, path, (size_t)len);
	return true;
}
