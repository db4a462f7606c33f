// SPDX-License-Identifier: BSD-2-Clause
#include "base/syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>

const struct syscall_rule syscalls_of_libc[] = {
	/* memory, in which nothing can be run */
	CALL("brk"),
	CALL("madvise"),
	CALL_IF("mmap", 2, PROT_EXEC, 0),
	CALL_IF("mprotect", 2, PROT_EXEC, 0),
	CALL("mremap"),
	CALL("munmap"),
	/* threads; the flags of clone3() lie in memory that a filter cannot see */
	CALL_IF("clone", 0, CLONE_THREAD, CLONE_THREAD),
	{ .name = "clone3", .verdict = SYSCALL_ABSENT },
	CALL("exit"),
	CALL("exit_group"),
	CALL("futex"),
	CALL("get_robust_list"),
	CALL("gettid"),
	CALL("membarrier"),
	CALL("restart_syscall"),
	CALL("rseq"),
	CALL("sched_getaffinity"),
	CALL("sched_yield"),
	CALL("set_robust_list"),
	CALL("set_tid_address"),
	/* signals, of which tgkill() is abort()'s */
	CALL("rt_sigaction"),
	CALL("rt_sigprocmask"),
	CALL("rt_sigreturn"),
	CALL("sigaltstack"),
	CALL("tgkill"),
	/* time and who we are */
	CALL("clock_getres"),
	CALL("clock_gettime"),
	CALL("clock_nanosleep"),
	CALL("getegid"),
	CALL("geteuid"),
	CALL("getgid"),
	CALL("getpid"),
	CALL("getppid"),
	CALL("getrandom"),
	CALL("gettimeofday"),
	CALL("getuid"),
	CALL("nanosleep"),
	CALL("sysinfo"),
	CALL("time"),
	CALL("uname"),
	/* descriptors that are open */
	CALL("close"),
	CALL("fcntl"),
	CALL("fstat"),
	CALL("lseek"),
	CALL("pread64"),
	CALL("read"),
	CALL("readv"),
	CALL("write"),
	CALL("writev"),
	{ .name = NULL },
};

static uint32_t action_of(enum syscall_verdict verdict)
{
	return verdict == SYSCALL_REFUSED ? SCMP_ACT_ERRNO(EPERM) :
	       verdict == SYSCALL_ABSENT  ? SCMP_ACT_ERRNO(ENOSYS) :
					    SCMP_ACT_ALLOW;
}

static int add_rule(scmp_filter_ctx filter, const struct syscall_rule *rule)
{
	const struct scmp_arg_cmp where = { .arg = rule->argument,
					    .op = SCMP_CMP_MASKED_EQ,
					    .datum_a = rule->mask,
					    .datum_b = rule->value };
	int number = seccomp_syscall_resolve_name(rule->name);
	int err;

	if (number == __NR_SCMP_ERROR) /* newer than the library */
		return 0;
	err = seccomp_rule_add_array(filter, action_of(rule->verdict), number, rule->mask ? 1 : 0, &where);
	return err == -EDOM ? 0 : err; /* not one of this architecture's */
}

static int add_rules(scmp_filter_ctx filter, const struct syscall_rule *const lists[])
{
	int err = 0;

	for (; *lists; lists++)
		for (const struct syscall_rule *rule = *lists; rule->name && !err; rule++)
			err = add_rule(filter, rule);
	return err;
}

int syscalls__allow_only(const struct syscall_rule *const lists[])
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!err)
		err = add_rules(filter, lists);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err == -ECANCELED ? -errno : err;
}
