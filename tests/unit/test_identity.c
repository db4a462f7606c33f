/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/identity.c: what a child has left of its capabilities
 * and who it is. Without root there is less to give up, and it is given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/identity.c"

/* A number of /proc/self/status, hexadecimal as that of capabilities; -1: none. */
static long long status_of(const char *key, int base)
{
	char line[256];
	long long value = -1;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtoll(line + strlen(key), NULL, base);
	fclose(file);
	return value;
}

/* In a child, where cmocka's assertions have nowhere to go. */
static void none_left(uint64_t keep)
{
	if (status_of("CapEff:", 16) != (long long)keep || status_of("CapPrm:", 16) != (long long)keep)
		_exit(11);
	if (status_of("CapInh:", 16) || status_of("CapAmb:", 16))
		_exit(12);
	if (status_of("NoNewPrivs:", 10) != 1)
		_exit(13);
}

static void in_child(void (*test)(bool root))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		test(geteuid() == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void stay(bool root)
{
	const struct identity same = {.wanted = false};

	if (identity__become(&same, 0))
		_exit(1);
	none_left(0);
	if (root && status_of("CapBnd:", 16))
		_exit(2);
}

static void become_nobody(bool root)
{
	struct identity nobody;

	if (identity__find(&nobody, "nobody"))
		_exit(1);
	if (identity__become(&nobody, CAPABILITY(CAP_SYS_PTRACE)) != (root ? 0 : -EPERM))
		_exit(2);
	if (!root)
		return;
	none_left(CAPABILITY(CAP_SYS_PTRACE));
	if (getuid() != nobody.uid || geteuid() != nobody.uid || getgid() != nobody.gid)
		_exit(3);
	if (!setuid(0) || status_of("CapBnd:", 16))
		_exit(4);
	/* What has been kept is given up later. */
	if (identity__become(&nobody, 0))
		_exit(5);
	none_left(0);
}

static void nothing_is_left(void **state)
{
	(void)state;
	in_child(stay);
}

static void another_user_keeps_what_is_to_be_kept(void **state)
{
	(void)state;
	in_child(become_nobody);
}

static void who_is_unknown_is_not_found(void **state)
{
	struct identity identity;

	(void)state;
	assert_int_equal(identity__find(&identity, "no such user"), -ENOENT);
	assert_int_equal(identity__find(&identity, ""), -ENOENT);
	assert_int_equal(identity__find(&identity, "root"), 0);
	assert_int_equal(identity.uid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(another_user_keeps_what_is_to_be_kept),
		cmocka_unit_test(who_is_unknown_is_not_found),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
