/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of everything tcpsaga can hook, in one table: it drives the choice
 * at start, the "hooks" of a capture, and what `tcpsaga probe` tells.
 */
#ifndef TCPSAGA_SOURCE_HOOKS_H
#define TCPSAGA_SOURCE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct kernel;

enum hook_kind {
	HOOK_TRACEPOINT, /* tp_btf */
	HOOK_TRAMPOLINE, /* fentry and fexit */
};

enum hook_id {
	HOOK_STATE,
	HOOK_SYN,
	HOOK_COUNT
};

/* --hooks: which kinds may be used. */
enum hook_choice {
	HOOKS_AUTO, /* the best that works */
	HOOKS_FENTRY, /* function hooks must work */
	HOOKS_TRACEPOINT, /* tracepoints only */
	HOOKS_CHOICES
};

struct hook {
	const char *name; /* as in the start line: "state" */
	enum hook_kind kind;
	const char *target; /* tracepoint or function of the kernel */
	bool required; /* without it there is nothing to tell */
	const char *label; /* what it shows, in a word or three */
	const char *shows;
	const char *without; /* what is lost when it is refused */
};

/* What came of the attempt. error is 0 when the hook works. */
struct hook_result {
	const struct hook *hook;
	int error; /* 0, -errno, or HOOK_NOT_WANTED */
};

enum { HOOK_NOT_WANTED = 1 };

extern const struct hook hooks[HOOK_COUNT];

/* "tp_btf", "fentry". */
const char *hook_kind__name(enum hook_kind kind);

/* Tries every hook that the choice allows. */
void hooks__try(const struct kernel *kernel, enum hook_choice choice,
		struct hook_result results[HOOK_COUNT]);

/* Why a hook does not work, for people; "" when it does. */
const char *hook_result__reason(const struct hook_result *result);

/* "auto", "fentry", "tracepoint" to a choice; -1 for anything else. */
int hook_choice__parse(const char *text);

#endif
