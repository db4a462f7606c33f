// SPDX-License-Identifier: BSD-2-Clause
#include "model/cgroups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cgroups__init(struct cgroups *cgroups, uint64_t seed)
{
	*cgroups = (struct cgroups){ 0 };
	cgroups->all = calloc(CGROUPS_MAX, sizeof(*cgroups->all));
	if (!cgroups->all)
		return -ENOMEM;
	return idmap__init(&cgroups->by_id, seed);
}

void cgroups__fini(struct cgroups *cgroups)
{
	idmap__fini(&cgroups->by_id);
	for (uint32_t i = 0; cgroups->all && i < CGROUPS_MAX; i++)
		free(cgroups->all[i].path);
	free(cgroups->all);
	*cgroups = (struct cgroups){ 0 };
}

/* ---- what a path tells ---- */

static bool ends_in(const char *name, size_t len, const char *end)
{
	size_t size = strlen(end);

	return len > size && !memcmp(name + len - size, end, size);
}

static bool is_unit(const char *name, size_t len)
{
	return ends_in(name, len, ".service") || ends_in(name, len, ".scope");
}

static bool is_container_id(const char *digits)
{
	for (int i = 0; i < CONTAINER_ID_LEN; i++)
		if (!strchr("0123456789abcdef", digits[i]))
			return false;
	return true;
}

/*
 * The id in the name of a container's cgroup: alone, or as "docker-ID.scope",
 * "cri-containerd-ID.scope", "crio-ID", "libpod-ID.scope". The monitor of a
 * container (conmon) has a cgroup of that kind, too, and is not inside.
 */
static size_t find_container(const char *name, size_t len)
{
	size_t end = ends_in(name, len, ".scope") ? len - strlen(".scope") : len;
	size_t at = end - CONTAINER_ID_LEN;

	if (end < CONTAINER_ID_LEN || !is_container_id(name + at))
		return SIZE_MAX;
	if (at && name[at - 1] != '-')
		return SIZE_MAX;
	return at && ends_in(name, at, "conmon-") ? SIZE_MAX : at;
}

static void parse_name(struct cgroup *cgroup, size_t at, size_t len)
{
	const char *name = cgroup->path + at;
	size_t container = find_container(name, len);
	/* systemd writes this before names that would mean something (cg_escape()). */
	size_t escape = *name == '_';

	if (container != SIZE_MAX)
		cgroup->container =
			(struct path_part){ .at = (uint16_t)(at + container), .len = CONTAINER_ID_LEN };
	if (is_unit(name, len))
		cgroup->unit = (struct path_part){ .at = (uint16_t)(at + escape),
						   .len = (uint16_t)(len - escape) };
}

void cgroup__parse(struct cgroup *cgroup)
{
	size_t at = 0, end;

	cgroup->unit = cgroup->container = (struct path_part){ 0 };
	/* Of a path that is cut, the first name may be half a name. */
	if (cgroup->cut)
		while (at < cgroup->len && cgroup->path[at] != '/')
			at++;
	for (; at < cgroup->len; at = end + 1) {
		const char *slash = memchr(cgroup->path + at, '/', cgroup->len - at);

		end = slash ? (size_t)(slash - cgroup->path) : cgroup->len;
		if (end > at)
			parse_name(cgroup, at, end - at);
	}
}

/* ---- the table ---- */

/* The next place of the ring, whatever was in it: an id that is told again goes
 * to the end of the queue. NULL: no memory. */
static struct cgroup *place_for(struct cgroups *cgroups, uint64_t id)
{
	struct cgroup *place = &cgroups->all[cgroups->next];
	uint32_t before = idmap__remove(&cgroups->by_id, id);

	if (before != IDMAP_NONE)
		cgroups->all[before].id = 0;
	if (place->id) {
		idmap__remove(&cgroups->by_id, place->id);
		place->id = 0;
		cgroups->evicted++;
	}
	if (idmap__put(&cgroups->by_id, id, cgroups->next))
		return NULL;
	cgroups->next = (cgroups->next + 1) % CGROUPS_MAX;
	return place;
}

int cgroups__put(struct cgroups *cgroups, const struct ev_cgroup *from)
{
	char *path = strdup(from->path);
	struct cgroup *place = path ? place_for(cgroups, from->id) : NULL;

	cgroups->told++;
	if (!place) {
		free(path);
		return -ENOMEM;
	}
	free(place->path);
	*place = (struct cgroup){
		.id = from->id, .path = path, .len = (uint16_t)strlen(path), .cut = from->cut
	};
	cgroup__parse(place);
	return 0;
}

const struct cgroup *cgroups__find(const struct cgroups *cgroups, uint64_t id)
{
	uint32_t index = id ? idmap__find(&cgroups->by_id, id) : IDMAP_NONE;

	return index == IDMAP_NONE ? NULL : &cgroups->all[index];
}
