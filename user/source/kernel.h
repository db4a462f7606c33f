/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this kernel lets us do, found out by trying: a version, a config or the
 * lockdown file tell less than one attempt does (KERNEL.md, section 1). Each
 * attempt loads a program of a few instructions and takes well under a
 * millisecond.
 */
#ifndef TCPSAGA_SOURCE_KERNEL_H
#define TCPSAGA_SOURCE_KERNEL_H

#include <stdbool.h>

#include "source/types.h"

struct kernel {
	struct types types; /* owned: the running kernel's */
};

/* libbpf prints what it meets; from here on only with TCPSAGA_DEBUG set. */
void kernel__hush_libbpf(void);

/* Before 5.11 BPF memory counts against RLIMIT_MEMLOCK, and the default of
 * 64 KiB is too small for a ring. Where it cannot be raised the load says so. */
void kernel__raise_memlock(void);

/* Reads the kernel's BTF. 0 or -errno (-ENOENT: a kernel without BTF). */
int kernel__init(struct kernel *kernel);
void kernel__fini(struct kernel *kernel);

/* 0 when tp_btf programs load on this tracepoint, else the load's -errno. */
int kernel__try_tracepoint(const struct kernel *kernel, const char *tracepoint);

/* True when bpf_get_socket_cookie() may be called on a tracepoint's socket:
 * not on 5.10. */
bool kernel__has_socket_cookie(const struct kernel *kernel, const char *tracepoint);

/* True when bpf_probe_read_kernel() is allowed: not under
 * lockdown=confidentiality. */
bool kernel__may_probe_read(const struct kernel *kernel, const char *tracepoint);

/*
 * Tries a trampoline (fentry) on a function: load and attach, because arm64
 * before 6.12 loads and then fails to attach. 0, or
 *   -ENOENT  the kernel has no such function (or it is inlined away)
 *   -EPERM   refused
 *   other    as the kernel says
 */
int kernel__try_function(const struct kernel *kernel, const char *function);

/* Loads, and attaches to nothing, a sockops program that probe-reads what its
 * context stands for. 0 or -errno. */
int kernel__try_sockops(void);

/* Whether a task may be preempted in the middle of a program on a tracepoint, and
 * others then have theirs skipped (KERNEL.md, section 7). No function of the
 * kernel tells this apart, so it is taken from its version. */
bool kernel__preempts_programs(const struct kernel *kernel);

/* Whether there is nothing but zeroes behind the end of a task's name: before 5.17 there
 * may be the rest of a longer one (__set_task_comm()). */
bool kernel__comm_has_zeroes(void);

/* True when the kernel's BTF names such a function. It may still be inlined at
 * some of its calls. */
bool kernel__has_function(const struct kernel *kernel, const char *function);

/* The number of its arguments, 0 when there is no such function. */
unsigned int kernel__function_args(const struct kernel *kernel, const char *function);

/* The id of a struct in the kernel's BTF, 0 when there is none of this name. */
unsigned int kernel__struct(const struct kernel *kernel, const char *name);

/* True when the kernel offers kprobes through perf. */
bool kernel__has_kprobes(void);

#endif
