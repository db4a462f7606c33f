/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/source/netns.c: the links and mount lines that the kernel
 * writes, and a walk that comes to the own namespace whatever else is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/idmap.c"
#include "source/netns.c"

static void links(void **state)
{
	(void)state;
	assert_int_equal(parse_link("net:[4026531840]"), 4026531840);
	assert_int_equal(parse_link("net:[1]"), 1);
	assert_int_equal(parse_link("net:[4294967295]"), UINT32_MAX);
}

static void what_is_no_link(void **state)
{
	static const char *const texts[] = {
		"",
		"net:",
		"net:[",
		"net:[]",
		"net:[4026531840",
		"net:[4026531840]x",
		"net:[ 4026531840]",
		"net:[-1]",
		"net:[+1]",
		"net:[4294967296]",
		"net:[4294967297]",
		"net:[99999999999999999999999]",
		"mnt:[4026531840]",
		"/",
		"/net:[1]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse_link(texts[i]), 0);
}

static void expect_mount(const char *text, uint32_t inode, const char *path)
{
	char line[512];
	const char *found = NULL;

	snprintf(line, sizeof(line), "%s", text);
	assert_int_equal(parse_mount(line, &found), inode);
	if (inode)
		assert_string_equal(found, path);
}

static void mounts(void **state)
{
	(void)state;
	expect_mount("36 35 0:4 net:[4026532299] /run/netns/blue rw shared:9 - nsfs nsfs rw\n",
		     4026532299, "/run/netns/blue");
	expect_mount("36 35 0:4 net:[7] /a rw - nsfs nsfs rw\n", 7, "/a");
	expect_mount("36 35 0:4 net:[7] /a\\040b\\011\\012\\134 rw - nsfs nsfs rw\n", 7, "/a b\t\n\\");
	/* Not an escape of the kernel's, left alone. */
	expect_mount("36 35 0:4 net:[7] /a\\9 rw - nsfs nsfs rw\n", 7, "/a\\9");
	expect_mount("36 35 0:4 net:[7] /a\\04 rw - nsfs nsfs rw\n", 7, "/a\\04");
	expect_mount("36 35 0:4 net:[7] /a\\777 rw - nsfs nsfs rw\n", 7, "/a\\777");
	expect_mount("36 35 0:4 net:[7] \\ rw - nsfs nsfs rw\n", 7, "\\");
}

static void what_is_no_mount(void **state)
{
	(void)state;
	expect_mount("", 0, NULL);
	expect_mount("\n", 0, NULL);
	expect_mount("22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n", 0, NULL);
	expect_mount("36 35 0:4 mnt:[7] /a rw - nsfs nsfs rw\n", 0, NULL);
	expect_mount("36 35 0:4 net:[7] /a rw - ext4 nsfs rw\n", 0, NULL);
	expect_mount("36 35 0:4 net:[7] /a\n", 0, NULL);
	expect_mount("36 35 0:4 net:[7]\n", 0, NULL);
	expect_mount("36 35 0:4\n", 0, NULL);
	/* A directory may be called so; it is not the root then. */
	expect_mount("22 1 8:1 /net:[7] /a rw - ext4 nsfs rw\n", 0, NULL);
}

/* ---- a walk ---- */

struct seen {
	uint32_t first;
	unsigned int visits;
	unsigned int refusals;
	int stop_with;
};

static int note_visit(void *context, const struct netns *netns)
{
	struct seen *seen = context;

	if (!seen->visits++)
		seen->first = netns->inode;
	return seen->stop_with;
}

static void note_refusal(void *context, const struct netns *netns, int err)
{
	struct seen *seen = context;

	assert_non_null(netns->path);
	assert_true(err < 0);
	seen->refusals++;
}

static void the_own_namespace_comes_first(void **state)
{
	struct seen seen = {0};
	const struct netns_visitor visitor = {note_visit, note_refusal, &seen};
	struct netns_counts counts;
	uint32_t own;

	(void)state;
	assert_int_equal(netns__own(&own), 0);
	assert_int_equal(netns__walk(&visitor, &counts), 0);
	assert_int_equal(seen.first, own);
	assert_true(counts.visited >= 1);
	assert_int_equal(seen.visits, counts.visited);
	assert_int_equal(seen.refusals, counts.refused);
}

static void nobody_has_to_listen(void **state)
{
	struct seen seen = {0};
	const struct netns_visitor visitor = {note_visit, NULL, &seen};

	(void)state;
	assert_int_equal(netns__walk(&visitor, NULL), 0);
	assert_true(seen.visits >= 1);
}

static void the_visitor_ends_the_walk(void **state)
{
	struct seen seen = {.stop_with = -ECANCELED};
	const struct netns_visitor visitor = {note_visit, note_refusal, &seen};

	(void)state;
	assert_int_equal(netns__walk(&visitor, NULL), -ECANCELED);
	assert_int_equal(seen.visits, 1);
	assert_int_equal(seen.refusals, 0);
}

static void paths_that_name_no_namespace(void **state)
{
	struct seen seen = {0};
	const struct netns_visitor visitor = {note_visit, note_refusal, &seen};

	(void)state;
	assert_int_equal(netns__visit("/proc/self/nowhere", &visitor), -ENOENT);
	assert_int_equal(netns__visit("/proc/self/status", &visitor), -EINVAL);
	assert_int_equal(netns__visit("/proc/self/ns/mnt", &visitor), -EINVAL);
	assert_int_equal(netns__visit("/", &visitor), -EINVAL);
	assert_int_equal(seen.visits, 0);
}

/* A signal is the main thread's to handle. */
static int look_at_mask(void *context, const struct netns *netns)
{
	sigset_t mask;

	(void)netns;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	*(int *)context = sigismember(&mask, SIGINT);
	return 1;
}

static void signals_stay_where_they_were(void **state)
{
	int blocked = 0;
	const struct netns_visitor visitor = {look_at_mask, NULL, &blocked};
	sigset_t mask;

	(void)state;
	assert_int_equal(netns__walk(&visitor, NULL), 1);
	assert_int_equal(blocked, 1);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGINT), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(what_is_no_link),
		cmocka_unit_test(mounts),
		cmocka_unit_test(what_is_no_mount),
		cmocka_unit_test(the_own_namespace_comes_first),
		cmocka_unit_test(nobody_has_to_listen),
		cmocka_unit_test(the_visitor_ends_the_walk),
		cmocka_unit_test(paths_that_name_no_namespace),
		cmocka_unit_test(signals_stay_where_they_were),
	};

	return cmocka_run_group_tests_name("netns", tests, NULL, NULL);
}
