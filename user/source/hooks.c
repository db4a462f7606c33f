// SPDX-License-Identifier: BSD-2-Clause
#include "source/hooks.h"

#include <errno.h>
#include <string.h>

#include "source/kernel.h"

const struct hook hooks[HOOK_COUNT] = {
	[HOOK_STATE] = {
		.name = "state",
		.kind = HOOK_TRACEPOINT,
		.target = "inet_sock_set_state",
		.required = true,
		.label = "transitions",
		.shows = "every state transition of every TCP socket",
		.without = "nothing can be told",
	},
	[HOOK_SYN] = {
		.name = "syn",
		.kind = HOOK_TRAMPOLINE,
		.target = "tcp_conn_request",
		.label = "SYNs at listeners",
		.shows = "SYNs at listeners, with both queues as they were",
		.without = "no SYN is seen before its handshake has completed, dropped ones never",
	},
};

const char *hook_kind__name(enum hook_kind kind)
{
	return kind == HOOK_TRACEPOINT ? "tp_btf" : "fentry";
}

static int try_one(const struct kernel *kernel, const struct hook *hook)
{
	if (hook->kind == HOOK_TRACEPOINT)
		return kernel__try_tracepoint(kernel, hook->target);
	return kernel__try_function(kernel, hook->target);
}

void hooks__try(const struct kernel *kernel, enum hook_choice choice,
		struct hook_result results[HOOK_COUNT])
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		results[i].hook = &hooks[i];
		if (choice == HOOKS_TRACEPOINT && hooks[i].kind != HOOK_TRACEPOINT)
			results[i].error = HOOK_NOT_WANTED;
		else
			results[i].error = try_one(kernel, &hooks[i]);
	}
}

const char *hook_result__reason(const struct hook_result *result)
{
	switch (result->error) {
	case 0:
		return "";
	case HOOK_NOT_WANTED:
		return "not asked for";
	case -EPERM:
	case -EACCES:
		return "refused by the kernel";
	case -ENOENT:
		return "not in this kernel";
	case -524: /* ENOTSUPP, kernel-internal: no trampolines on this architecture */
	case -EOPNOTSUPP:
		return "this kernel has no BPF trampoline";
	default:
		return strerror(-result->error);
	}
}

int hook_choice__parse(const char *text)
{
	static const char *const names[HOOKS_CHOICES] = {"auto", "fentry", "tracepoint"};

	for (int i = 0; i < HOOKS_CHOICES; i++)
		if (!strcmp(text, names[i]))
			return i;
	return -1;
}
