/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/cgroups.c and of its teller (source/cgroup_teller.c):
 * what paths tell, and that both forget in the same order. Directories under
 * /tmp stand in for cgroups; nothing here needs a capability.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* As without CAP_DAC_READ_SEARCH. */
#define open_by_handle_at(fd, handle, flags) ((void)(fd), (void)(handle), errno = EPERM, -1)
#include "base/decimal.c"
#include "base/clock.c"
#include "base/idmap.c"
#include "model/cgroups.c"
#include "source/cgroup_root.c"
#include "source/cgroup_teller.c"
#undef open_by_handle_at

/* In this process, as the looking verbs have it. */
ssize_t tables__cgroup_path(struct tables *tables, struct cgroup_root *root, uint64_t id, char *out,
			    size_t size)
{
	assert_null(tables);
	return cgroup_root__path_of(root, id, out, size);
}

#define HEX_64 "00ff45e7d1a0c3b29f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a3928"

/* ---- paths ---- */

static const struct {
	const char *path, *unit, *container;
} paths[] = {
	{"/", "", ""},
	{"/system.slice", "", ""},
	{"/system.slice/nginx.service", "nginx.service", ""},
	{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", ""},
	{"/init.scope", "init.scope", ""},
	{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", ""},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/my-app.service", "my-app.service", ""},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice", "user@1000.service", ""},
	{"/system.slice/php8.2-fpm.service/pool/www", "php8.2-fpm.service", ""},
	{"/_cpu.service", "cpu.service", ""},
	{"/.service", "", ""},
	{"/system.slice/docker-" HEX_64 ".scope", "docker-" HEX_64 ".scope", HEX_64},
	{"/docker/" HEX_64, "", HEX_64},
	{"/docker/" HEX_64 "/", "", HEX_64},
	{"/machine.slice/libpod-" HEX_64 ".scope/container", "libpod-" HEX_64 ".scope", HEX_64},
	{"/machine.slice/libpod-conmon-" HEX_64 ".scope", "libpod-conmon-" HEX_64 ".scope", ""},
	{"/kubepods.slice/kubepods-besteffort.slice/cri-containerd-" HEX_64 ".scope",
	 "cri-containerd-" HEX_64 ".scope", HEX_64},
	{"/kubepods/burstable/pod1-2/crio-" HEX_64, "", HEX_64},
	{"/kubepods/burstable/pod1-2/crio-conmon-" HEX_64, "", ""},
	/* systemd in a container */
	{"/docker/" HEX_64 "/system.slice/cron.service", "cron.service", HEX_64},
	/* one digit less, one more, capitals, no dash */
	{"/docker/0ff45e7d1a0c3b29f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a3928", "", ""},
	{"/docker/0" HEX_64, "", ""},
	{"/docker/00FF45E7D1A0C3B29F8E7D6C5B4A39281706F5E4D3C2B1A09F8E7D6C5B4A3928", "", ""},
	{"/x" HEX_64, "", ""},
};

static void expect_part(const struct cgroup *cgroup, struct path_part part, const char *expected)
{
	assert_int_equal(part.len, strlen(expected));
	assert_memory_equal(cgroup->path + part.at, expected, part.len);
}

static void what_paths_tell(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		/* Exact heap copies, so that the sanitizer sees a read past the end. */
		size_t len = strlen(paths[i].path);
		struct cgroup cgroup = {.path = malloc(len), .len = len};

		memcpy(cgroup.path, paths[i].path, len);
		cgroup__parse(&cgroup);
		expect_part(&cgroup, cgroup.unit, paths[i].unit);
		expect_part(&cgroup, cgroup.container, paths[i].container);
		free(cgroup.path);
	}
}

/* "...half.service/x": it may be called anything. */
static void half_a_name_tells_nothing(void **state)
{
	struct cgroup cgroup = {.path = "half.service/x", .len = 14, .cut = true};

	(void)state;
	cgroup__parse(&cgroup);
	expect_part(&cgroup, cgroup.unit, "");
}

/* ---- the table ---- */

static struct ev_cgroup told(uint64_t id, const char *path)
{
	struct ev_cgroup told = {.id = id};

	strcpy(told.path, path);
	return told;
}

static void put(struct cgroups *cgroups, uint64_t id, const char *path)
{
	struct ev_cgroup from = told(id, path);

	assert_int_equal(cgroups__put(cgroups, &from), 0);
}

static void the_first_told_is_the_first_forgotten(void **state)
{
	struct cgroups cgroups;

	(void)state;
	assert_int_equal(cgroups__init(&cgroups, 1), 0);
	assert_null(cgroups__find(&cgroups, 0));
	for (uint64_t id = 1; id <= CGROUPS_MAX; id++)
		put(&cgroups, id, "/a");
	assert_int_equal(cgroups.evicted, 0);
	/* It was told again: it goes to the end. */
	put(&cgroups, 2, "/b");
	assert_string_equal(cgroups__find(&cgroups, 2)->path, "/b");
	assert_null(cgroups__find(&cgroups, 1));
	assert_int_equal(cgroups.evicted, 1);
	put(&cgroups, CGROUPS_MAX + 1, "/c"); /* where 2 was */
	assert_int_equal(cgroups.evicted, 1);
	for (uint64_t id = CGROUPS_MAX + 2; id < 2 * CGROUPS_MAX; id++)
		put(&cgroups, id, "/d");
	assert_non_null(cgroups__find(&cgroups, 2));
	put(&cgroups, 2 * CGROUPS_MAX, "/d");
	assert_null(cgroups__find(&cgroups, 2));
	assert_int_equal(cgroups.by_id.used, CGROUPS_MAX);
	cgroups__fini(&cgroups);
}

/* ---- the teller ---- */

struct hierarchy {
	char root[64];
	struct cgroup_teller teller;
};

static uint64_t make(const struct hierarchy *hierarchy, const char *path)
{
	char whole[PATH_MAX];
	struct stat stat_of;

	snprintf(whole, sizeof(whole), "%s%s", hierarchy->root, path);
	assert_int_equal(mkdir(whole, 0700), 0);
	assert_int_equal(stat(whole, &stat_of), 0);
	return stat_of.st_ino;
}

static int set_up(void **state)
{
	static struct hierarchy hierarchy;
	struct cgroup_teller *teller = &hierarchy.teller;

	strcpy(hierarchy.root, "/tmp/test-cgroups-XXXXXX");
	if (!mkdtemp(hierarchy.root) || cgroup_teller__init(teller))
		return -1;
	cgroup_teller__fini(teller);
	*teller = (struct cgroup_teller){.root.fd = open(hierarchy.root, O_RDONLY | O_DIRECTORY)};
	teller->root_id = id_at(teller->root.fd, ".");
	teller->asked = calloc(EV_CGROUPS_TOLD, sizeof(*teller->asked));
	*state = &hierarchy;
	return idmap__init(&teller->by_id, 0);
}

static int tear_down(void **state)
{
	struct hierarchy *hierarchy = *state;
	char *const roots[] = {hierarchy->root, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL, NULL);
	FTSENT *entry;

	while ((entry = fts_read(walk)))
		if (entry->fts_info == FTS_DP)
			rmdir(entry->fts_path);
	fts_close(walk);
	cgroup_teller__fini(&hierarchy->teller);
	return 0;
}

static bool tell(struct hierarchy *hierarchy, uint64_t id, struct ev_cgroup *out)
{
	struct ev_owner owner = {.pid = 1, .cgroup = id};

	hierarchy->teller.root.walked_ns = 0;
	return cgroup_teller__tell(&hierarchy->teller, &owner, 77, out);
}

static void each_is_told_once(void **state)
{
	struct hierarchy *hierarchy = *state;
	uint64_t a = make(hierarchy, "/a"), b = make(hierarchy, "/a/b");
	struct ev_cgroup out;

	assert_true(tell(hierarchy, b, &out));
	assert_string_equal(out.path, "/a/b");
	assert_int_equal(out.id, b);
	assert_int_equal(out.cut, 0);
	assert_int_equal(out.header.time_ns, 77);
	assert_int_equal(out.header.len, sizeof(out));
	assert_true(tell(hierarchy, a, &out));
	assert_string_equal(out.path, "/a");
	assert_false(tell(hierarchy, b, &out));
	assert_false(tell(hierarchy, a, &out));
	assert_false(tell(hierarchy, hierarchy->teller.root_id, &out));
	assert_false(tell(hierarchy, 0, &out));
	assert_false(cgroup_teller__tell(&hierarchy->teller, NULL, 77, &out));
}

/* What is not there is looked for once; what is not walked for, again. */
static void a_walk_is_not_made_too_often(void **state)
{
	struct hierarchy *hierarchy = *state;
	struct ev_owner owner = {.pid = 1, .cgroup = make(hierarchy, "/late")};
	struct ev_cgroup out;

	assert_false(tell(hierarchy, UINT64_MAX, &out));
	assert_true(hierarchy->teller.root.walked_ns != 0);
	assert_false(cgroup_teller__tell(&hierarchy->teller, &owner, 77, &out));
	assert_true(tell(hierarchy, owner.cgroup, &out));
	assert_false(tell(hierarchy, UINT64_MAX, &out));
	assert_int_equal(hierarchy->teller.root.walked_ns, 0);
}

static void a_long_path_keeps_its_end(void **state)
{
	struct hierarchy *hierarchy = *state;
	char path[PATH_MAX] = "";
	struct ev_cgroup out;
	uint64_t id = 0;

	while (strlen(path) < EV_CGROUP_PATH_BYTES) {
		strcat(path, "/abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz");
		id = make(hierarchy, path);
	}
	assert_true(tell(hierarchy, id, &out));
	assert_int_equal(out.cut, 1);
	assert_string_equal(out.path, path + strlen(path) - (EV_CGROUP_PATH_BYTES - 1));
}

static void whoever_is_forgotten_is_told_again(void **state)
{
	struct hierarchy *hierarchy = *state;
	uint64_t a = make(hierarchy, "/a");
	struct ev_cgroup out;

	assert_true(tell(hierarchy, a, &out));
	for (uint64_t id = 1; id < EV_CGROUPS_TOLD; id++)
		remember(&hierarchy->teller, id << 40);
	assert_false(tell(hierarchy, a, &out));
	remember(&hierarchy->teller, 1ULL << 60);
	hierarchy->teller.last = 0;
	assert_true(tell(hierarchy, a, &out));
	assert_int_equal(hierarchy->teller.by_id.used, EV_CGROUPS_TOLD);
}

static void what_proc_says(void **state)
{
	struct hierarchy *hierarchy = *state;
	int fd = hierarchy->teller.root.fd;
	uint64_t a = make(hierarchy, "/a b");

	assert_int_equal(cgroup_root__id_of(fd, "0::/a b\n"), a);
	assert_int_equal(cgroup_root__id_of(fd, "9:name=systemd:/x\n2:cpu:/0::/a b\n0::/a b\n"), a);
	assert_int_equal(cgroup_root__id_of(fd, "0::/\n"), hierarchy->teller.root_id);
	assert_int_equal(cgroup_root__id_of(fd, "0::/gone (deleted)\n"), 0);
	assert_int_equal(cgroup_root__id_of(fd, "0::/../a b\n"), 0);
	assert_int_equal(cgroup_root__id_of(fd, "0::/..\n"), 0);
	assert_int_equal(cgroup_root__id_of(fd, "1:name=systemd:/\n"), 0);
	assert_int_equal(cgroup_root__id_of(fd, ""), 0);
	assert_int_equal(cgroup_root__id_of(-1, "0::/a b\n"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_paths_tell),
		cmocka_unit_test(half_a_name_tells_nothing),
		cmocka_unit_test(the_first_told_is_the_first_forgotten),
		cmocka_unit_test_setup_teardown(each_is_told_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_walk_is_not_made_too_often, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_path_keeps_its_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whoever_is_forgotten_is_told_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_proc_says, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
