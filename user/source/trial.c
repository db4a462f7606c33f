// SPDX-License-Identifier: BSD-2-Clause
#include "source/trial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int trial__explain(int err, char *message, size_t size)
{
	if (err == -EPERM || err == -EACCES)
		snprintf(message, size,
			 "not permitted to load BPF programs: run as root, or with "
			 "CAP_BPF and CAP_PERFMON");
	else if (err == -ENOENT || err == -ESRCH)
		snprintf(message, size,
			 "this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs "
			 "CONFIG_DEBUG_INFO_BTF, as 5.10 and later of most distributions have");
	else
		snprintf(message, size, "cannot use BPF on this kernel: %s", strerror(-err));
	return err;
}

static int explain_hook(const struct hook_result *result, char *message, size_t size)
{
	if (result->error == -EPERM || result->error == -EACCES)
		return trial__explain(result->error, message, size);
	snprintf(message, size, "the hook on %s does not work here: %s", result->hook->points[0].target,
		 hook_result__reason(result));
	return -EOPNOTSUPP;
}

/* --hooks fentry or kprobe is an order: a hook that could be of that kind and
 * is not is a failure. */
static int check_order(enum hook_choice choice, const struct hook_result results[HOOK_COUNT],
		       char *message, size_t size)
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		const struct hook_result *result = &results[i];

		if (hooks[i].is_tracepoint || hooks[i].is_sockops || !hooks[i].points[0].target ||
		    !result->error || result->error == HOOK_NOT_WANTED)
			continue;
		if (choice != HOOKS_FENTRY && choice != HOOKS_KPROBE)
			continue;
		snprintf(message, size, "--hooks %s: %s: %s; leave it at auto",
			 choice == HOOKS_FENTRY ? "fentry" : "kprobe", hooks[i].points[0].target,
			 hook_result__reason(result));
		return -EOPNOTSUPP;
	}
	return 0;
}

int trial__run(struct trial *trial, enum hook_choice choice, char *message, size_t size)
{
	const char *state = hooks[HOOK_STATE].points[0].target;
	const struct kernel *kernel = &trial->kernel;
	int err;

	*trial = (struct trial){ 0 };
	err = kernel__init(&trial->kernel);
	if (err)
		return trial__explain(err, message, size);
	hooks__try(kernel, choice, trial->results);
	trial->cookie = kernel__has_socket_cookie(kernel, state);
	trial->probe_read = kernel__may_probe_read(kernel, state);
	trial->preempts = kernel__preempts_programs(kernel);
	trial->comm_has_zeroes = kernel__comm_has_zeroes();
	trial->sys_listen = trial->results[HOOK_ACCEPT].kind == HOOK_FENTRY &&
			    kernel__has_function(kernel, "__sys_listen");
	trial->syn_recv_sock_args = kernel__function_args(kernel, "tcp_v4_syn_recv_sock");
	trial->accept_args = kernel__function_args(kernel, "inet_csk_accept");
	trial->timewait_args = kernel__function_args(kernel, "tcp_timewait_state_process");
	/* Programs for functions that this kernel does not have are not loaded. */
	for (int i = 0; i < HOOK_COUNT; i++) {
		enum hook_kind kind = trial->results[i].kind;
		const struct hook_point *point = hook__points(&hooks[i], kind);
		bool functions = kind == HOOK_FENTRY || kind == HOOK_KPROBE;

		for (int p = 0; point[p].target; p++)
			trial->present[i][p] = !functions || kernel__has_function(kernel, point[p].target);
	}
	for (int i = 0; i < HOOK_COUNT; i++)
		if (hooks[i].required && trial->results[i].error)
			return explain_hook(&trial->results[i], message, size);
	return check_order(choice, trial->results, message, size);
}

void trial__fini(struct trial *trial)
{
	kernel__fini(&trial->kernel);
}
