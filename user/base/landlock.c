// SPDX-License-Identifier: BSD-2-Clause
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/* The versions of the interface that brought something. */
enum { ABI_FIRST = 1, ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

/* struct landlock_ruleset_attr as of ABI 6; older ones are the first bytes of it. */
struct ruleset {
	uint64_t files;
	uint64_t net;
	uint64_t scoped;
};

static size_t ruleset_bytes(long abi)
{
	return abi >= ABI_SCOPE ? sizeof(struct ruleset) :
	       abi >= ABI_NET	? offsetof(struct ruleset, scoped) :
				  offsetof(struct ruleset, net);
}

static const uint64_t connect_tcp = 1 << 1;	/* LANDLOCK_ACCESS_NET_CONNECT_TCP */
static const uint64_t foreign_signals = 1 << 1; /* LANDLOCK_SCOPE_SIGNAL */

static const uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t write_rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
				     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE |
				     LANDLOCK_ACCESS_FS_TRUNCATE;
/* Those that a rule on a file can give. */
static const uint64_t file_rights =
	LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

/* Everything that this version can forbid. */
static uint64_t rights_of(long abi)
{
	uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

	if (abi >= ABI_REFER)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= ABI_TRUNCATE)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= ABI_IOCTL)
		rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return rights;
}

static bool is_directory(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISDIR(st.st_mode);
}

static int add_place(int ruleset_fd, const struct landlock_place *place, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = read_rights };
	int err = 0;

	if (place->writable)
		rule.allowed_access |= write_rights;
	rule.allowed_access &= handled;
	rule.parent_fd = open(place->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	if (!is_directory(rule.parent_fd))
		rule.allowed_access &= file_rights;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		err = -errno;
	close(rule.parent_fd);
	return err;
}

int landlock__allow_only(const struct landlock_place *places, size_t count)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset = { .files = rights_of(abi), .net = connect_tcp, .scoped = foreign_signals };
	int fd, err = 0;

	if (abi < ABI_FIRST)
		return -errno;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, ruleset_bytes(abi), 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < count && !err; i++)
		err = add_place(fd, &places[i], ruleset.files);
	if (!err && syscall(SYS_landlock_restrict_self, fd, 0))
		err = -errno;
	close(fd);
	return err;
}
