/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of everything tcpsaga can hook, in one table: it drives the choice
 * at start, the "hooks" of a capture, and what `tcpsaga probe` tells.
 *
 * A hook is what an event needs: one or more points, each a function of the
 * kernel (or a tracepoint) with the BPF programs at its entry and return.
 */
#ifndef TCPSAGA_SOURCE_HOOKS_H
#define TCPSAGA_SOURCE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct kernel;
struct types;

enum hook_kind {
	HOOK_NONE,	 /* does not work here, or is not wanted */
	HOOK_TRACEPOINT, /* tp_btf */
	HOOK_FENTRY,	 /* fentry and fexit: a BPF trampoline */
	HOOK_KPROBE,	 /* kprobe and kretprobe */
	HOOK_SYSCALL,	 /* tracepoint of a system call: needs tracefs */
	HOOK_CGROUP,	 /* sockops on a cgroup, only where the user names one */
};

enum hook_id {
	HOOK_STATE,
	HOOK_SYN,
	HOOK_HANDSHAKE,
	HOOK_SYNACK,
	HOOK_ACCEPT,
	HOOK_LISTEN,
	HOOK_SOCKOPS,
	HOOK_TIMEWAIT,
	HOOK_BIND,
	HOOK_COUNT
};

/* --hooks: which kinds may be used. */
enum hook_choice {
	HOOKS_AUTO, /* the best that works */
	HOOKS_FENTRY,
	HOOKS_KPROBE,
	HOOKS_TRACEPOINT, /* tracepoints only */
	HOOKS_CHOICES
};

enum { STAND_INS_MAX = 3 };

/* Programs are named as in bpf/; a kprobe twin has "_kp" behind its name. */
struct hook_point {
	const char *target;    /* tracepoint or function */
	const char *on_entry;  /* program, or NULL */
	const char *on_return; /* of a tracepoint: runs behind on_entry */
	bool optional;	       /* not in every kernel; a twin of another point stands in */
	bool many_args;	       /* maybe more than a trampoline takes: tried by itself */
	/* The same again, where tasks are preempted in programs: for what is skipped. */
	const char *stand_ins[STAND_INS_MAX];
};

enum { HOOK_POINTS_MAX = 8, SYSCALL_POINTS_MAX = 5 };

struct hook {
	const char *name; /* as in the start line: "state" */
	bool is_tracepoint;
	bool is_sockops;
	bool has_kprobe_twin;
	bool required;	   /* without it there is nothing to tell */
	const char *label; /* what it shows, in a word or three */
	const char *shows;
	const char *without;				/* what is lost when it is refused */
	struct hook_point points[HOOK_POINTS_MAX];	/* ends with a NULL target */
	struct hook_point syscalls[SYSCALL_POINTS_MAX]; /* in place of the points */
};

/* What came of the attempt. */
struct hook_result {
	const struct hook *hook;
	enum hook_kind kind; /* HOOK_NONE: error says why */
	/* Points that have to be kprobes though the hook is HOOK_FENTRY. */
	bool by_kprobe[HOOK_POINTS_MAX];
	int error; /* -errno, or HOOK_NOT_WANTED */
};

enum { HOOK_NOT_WANTED = 1 };

extern const struct hook hooks[HOOK_COUNT];

/* The points of a hook of this kind: NULL-terminated. */
const struct hook_point *hook__points(const struct hook *hook, enum hook_kind kind);

/* "none", "tp_btf", "fentry", "kprobe", "syscall". */
const char *hook_kind__name(enum hook_kind kind);

/* Says by which of the kernel's names the hooks will be tried. 0 or -ENOMEM. */
int hooks__want(struct types *types);

/* Tries every hook with the kinds that the choice allows, best first. */
void hooks__try(const struct kernel *kernel, enum hook_choice choice,
		struct hook_result results[HOOK_COUNT]);

/* What it hooks, or would. */
const char *hook_result__target(const struct hook_result *result);

/* Why a hook does not work, for people; "" when it does. */
const char *hook_result__reason(const struct hook_result *result);

/* What people type behind --hooks to a choice; -1 for anything else. */
int hook_choice__parse(const char *text);

#define HOOK_CHOICE_WORDS "auto|fentry|kprobe|tracepoint"

#endif
