/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/landlock.c: a child that confined itself reaches its
 * own directory and no other. Where the kernel has no Landlock that is what it
 * is told, and nothing is forbidden.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/landlock.c"

static char own[] = "/tmp/landlock-own-XXXXXX", other[] = "/tmp/landlock-other-XXXXXX";

static int touch(const char *directory, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	return fd < 0 ? -errno : close(fd);
}

static int renames(const char *directory)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/file", directory);
	snprintf(to, sizeof(to), "%s/file.1", directory);
	return rename(from, to) || unlink(to) ? -errno : 0;
}

static int reads(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -errno : close(fd);
}

static int connects(void)
{
	struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), err;

	nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	err = connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) ? -errno : 0;
	close(fd);
	return err;
}

static void wants(int number, int is, int should)
{
	if (is == should)
		return;
	fprintf(stderr, "# attempt %d: %s\n", number, strerror(-is));
	_exit(number);
}

static void confined(long abi)
{
	wants(1, touch(own, "file"), 0);
	wants(2, renames(own), 0);
	wants(3, touch(other, "new"), -EACCES);
	wants(4, touch(other, "old"), -EACCES);
	wants(5, reads("/etc/passwd"), -EACCES);
	wants(6, reads("/proc/self/stat"), 0);
	wants(7, touch("/proc/self", "comm"), -EACCES);
	if (abi >= ABI_NET)
		wants(8, connects(), -EACCES);
	if (abi >= ABI_SCOPE)
		wants(9, kill(getppid(), 0) ? -errno : 0, -EPERM);
}

static void free_as_before(void)
{
	wants(21, touch(other, "old"), 0);
	wants(22, reads("/etc/passwd"), 0);
}

static void child(void)
{
	const struct landlock_place places[] = {
		{.path = own, .writable = true},
		{.path = "/proc"},
		{.path = "/no/such/place", .writable = true},
	};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int err;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	err = landlock__allow_only(places, 3);
	if (abi > 0) {
		wants(31, err, 0);
		confined(abi);
	} else {
		if (err != -ENOSYS && err != -EOPNOTSUPP)
			_exit(32);
		free_as_before();
	}
	_exit(0);
}

static void only_the_own_directory_is_reached(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(own));
	assert_non_null(mkdtemp(other));
	assert_int_equal(touch(other, "old"), 0);
	pid = fork();
	if (!pid)
		child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* It is the child that is confined. */
	assert_int_equal(renames(other), -ENOENT);
	assert_int_equal(touch(other, "file"), 0);
	assert_int_equal(renames(other), 0);
}

static int tidy(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/old", other);
	unlink(path);
	return rmdir(own) | rmdir(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(only_the_own_directory_is_reached, tidy),
	};

	return cmocka_run_group_tests_name("landlock", tests, NULL, NULL);
}
