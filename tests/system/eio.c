// SPDX-License-Identifier: BSD-2-Clause
/*
 * The double of a disk that fails: preloaded, write() to the file at $EIO_PATH
 * answers EIO for as long as the file at $EIO_WHILE is there.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_sick(int fd)
{
	const char *path = getenv("EIO_PATH"), *flag = getenv("EIO_WHILE");
	char link[64], target[PATH_MAX];
	ssize_t n;

	if (!path || !flag || access(flag, F_OK))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = '\0';
	return !strcmp(target, path);
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (is_sick(fd)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_write, fd, data, len);
}
