/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which system calls this process makes from now on: an allow-list that the
 * kernel enforces (seccomp, through libseccomp). Any other call ends the
 * process, at once and whoever catches what: a program that was taken over
 * must not get a second try.
 */
#ifndef TCPSAGA_BASE_SYSCALLS_H
#define TCPSAGA_BASE_SYSCALLS_H

#include <stdint.h>

enum syscall_verdict {
	SYSCALL_ALLOWED,
	SYSCALL_REFUSED, /* EPERM: harmless, and libraries try it */
	SYSCALL_ABSENT,	 /* ENOSYS: libraries then take an older one, whose arguments are seen */
};

/* One call; with a mask, only where (argument & mask) == value. */
struct syscall_rule {
	const char *name;      /* NULL ends a list; one that this machine does not have is passed over */
	unsigned int argument; /* from 0 */
	uint64_t mask;	       /* 0: whatever the arguments are */
	uint64_t value;
	enum syscall_verdict verdict;
};

#define CALL(call)             \
	{                      \
		.name = (call) \
	}
#define CALL_IF(call, arg, bits, is)                                             \
	{                                                                        \
		.name = (call), .argument = (arg), .mask = (bits), .value = (is) \
	}

/* What the C library needs to run, to have memory without code in it, to start
 * threads (but no processes) and to end. */
extern const struct syscall_rule syscalls_of_libc[];

/*
 * Allows what is in the lists, which a NULL ends, for this thread and those it
 * starts. Sets no_new_privs. 0 or -errno (-EINVAL, -ENOSYS: a kernel without seccomp filters).
 */
int syscalls__allow_only(const struct syscall_rule *const lists[]);

#endif
