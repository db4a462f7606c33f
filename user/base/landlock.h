/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files this process can reach from now on (Landlock, 5.13 and later):
 * only what is named, whatever its user may. Descriptors that are open stay as
 * they are. No library: three system calls.
 */
#ifndef TCPSAGA_BASE_LANDLOCK_H
#define TCPSAGA_BASE_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

struct landlock_place {
	const char *path; /* a file, or a directory with all below it */
	bool writable;	  /* files in it are read, written, made, renamed and removed; else read */
};

/*
 * Allows these places, of which those that do not exist are passed over, no
 * TCP connection (6.7 and later) and no signal to another process (6.12 and later);
 * for this thread and those it starts. Wants
 * no_new_privs. 0, -ENOSYS or -EOPNOTSUPP where the kernel has none, or -errno.
 */
int landlock__allow_only(const struct landlock_place *places, size_t count);

#endif
