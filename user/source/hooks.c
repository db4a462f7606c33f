// SPDX-License-Identifier: BSD-2-Clause
#include "source/hooks.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "source/kernel.h"
#include "source/tracefs.h"

const struct hook hooks[HOOK_COUNT] = {
	[HOOK_STATE] = {
		.name = "state",
		.is_tracepoint = true,
		.required = true,
		.label = "transitions",
		.shows = "every state transition of every TCP socket",
		.without = "nothing can be told",
		.points = {{"inet_sock_set_state", "on_state", "on_state_stand_in",
			    .stand_ins = {"on_state_stand_in2", "on_state_stand_in3"}}},
	},
	[HOOK_SYN] = {
		.name = "syn",
		.has_kprobe_twin = true,
		.label = "SYNs at listeners",
		.shows = "SYNs at listeners: queued, answered by cookie, dropped and why; both queues",
		.without = "no SYN is seen before its handshake has completed, dropped ones never",
		.points = {
			{"tcp_conn_request", "on_syn", "on_syn_done", false},
			{"inet_csk_reqsk_queue_hash_add", "on_request_queued", NULL, false},
			{"cookie_v4_init_sequence", "on_cookie_v4", NULL, false},
			{"cookie_v6_init_sequence", "on_cookie_v6", NULL, true},
			{"inet_reqsk_alloc", "on_request_alloc", NULL, false},
			{"inet_csk_reqsk_queue_add", "on_queue_add", "on_queue_add_done", false},
		},
	},
	[HOOK_HANDSHAKE] = {
		.name = "handshake",
		.has_kprobe_twin = true,
		.label = "ends of handshakes",
		.shows = "each request's end: completed, timed out, reset, listener closed; third ACKs "
			 "dropped",
		.without = "half-open requests vanish unseen",
		.points = {
			{"inet_csk_complete_hashdance", "on_hashdance", "on_hashdance_done", false},
			{"tcp_v4_syn_recv_sock", "on_third_ack_v4", "on_third_ack_v4_done", false, true},
			{"tcp_v6_syn_recv_sock", "on_third_ack_v6", "on_third_ack_v6_done", true, true},
			{"reqsk_timer_handler", "on_request_timer", "on_request_timer_done", false},
			{"__inet_csk_reqsk_queue_drop", "on_drop", "on_drop_done", true},
			{"reqsk_queue_unlink", "on_unlink", "on_unlink_done", true},
		},
	},
	[HOOK_SYNACK] = {
		.name = "synack",
		.is_tracepoint = true,
		.label = "SYN-ACKs sent again",
		.shows = "SYN-ACKs that had to be sent again",
		.without = "slow handshakes are only seen by their duration",
		.points = {{"tcp_retransmit_synack", "on_synack_again", NULL, false}},
	},
	[HOOK_ACCEPT] = {
		.name = "accept",
		.label = "accept()",
		.shows = "accept(): the task, and how long the connection had waited",
		.without = "an incoming connection's process is known from its close() on; its wait is not",
		.points = {{"inet_csk_accept", NULL, "on_accept",
			    .stand_ins = {"on_accept_stand_in", "on_accept_stand_in2",
					  "on_accept_stand_in3"}}},
		.syscalls = {
			{"sys_exit_accept4", NULL, "on_accept4_call", false},
			{"sys_exit_accept", NULL, "on_accept_call", false},
		},
	},
	[HOOK_LISTEN] = {
		.name = "listen",
		.label = "listen() arguments",
		.shows = "the backlog that listen() asked for, before somaxconn cuts it",
		.without = "of a backlog only the effective limit is known",
		.syscalls = {{"sys_enter_listen", "on_listen_call", NULL, false,
			      .stand_ins = {"on_listen_stand_in"}}},
	},
	[HOOK_TIMEWAIT] = {
		.name = "timewait",
		.has_kprobe_twin = true,
		.label = "minisockets",
		.shows = "each FIN_WAIT2 and TIME_WAIT after its socket: begin, promotion, end and why",
		.without = "TIME_WAIT is estimated from the states, and counted by dumps of the kernel's tables",
		.points = {
			{"inet_twsk_alloc", "on_wait_alloc", "on_wait_alloc_done", false},
			{"tcp_timewait_state_process", "on_wait_segment", "on_wait_segment_done", false},
			{"tcp_twsk_unique", "on_wait_unique", "on_wait_unique_done", false},
			{"tw_timer_handler", "on_wait_timer", "on_wait_timer_done", false},
			{"inet_twsk_kill", "on_wait_kill", NULL, false},
		},
	},
	[HOOK_BIND] = {
		.name = "bind",
		.label = "refused bind()",
		.shows = "bind() and listen() that were refused: address in use, not here, or not allowed",
		.without = "who was refused an address is not seen",
		.syscalls = {
			{"sys_exit_bind", NULL, "on_bind_done", false},
			{"sys_enter_bind", "on_bind_call", NULL, false},
			{"sys_exit_listen", NULL, "on_listen_done", false},
			{"sys_enter_listen", "on_listen_asked", NULL, false},
		},
	},
	[HOOK_SOCKOPS] = {
		.name = "sockops",
		.is_sockops = true,
		.label = "SYNs queued in the cgroup",
		.shows = "with --sockops CGROUP: SYNs queued at its listeners, where functions cannot "
			 "be hooked",
		.without = "without function hooks no SYN is seen before its handshake has completed",
		.points = {{"cgroup", "on_request_admitted", NULL, false}},
	},
};

const char *hook_kind__name(enum hook_kind kind)
{
	static const char *const names[] = { "none", "tp_btf", "fentry", "kprobe", "syscall", "cgroup" };

	return names[kind];
}

const struct hook_point *hook__points(const struct hook *hook, enum hook_kind kind)
{
	return kind == HOOK_SYSCALL ? hook->syscalls : hook->points;
}

int hooks__want(struct types *types)
{
	char traced[64];
	int err = 0;

	for (int i = 0; i < HOOK_COUNT; i++) {
		for (const struct hook_point *point = hooks[i].points; point->target && !err; point++) {
			snprintf(traced, sizeof(traced), "btf_trace_%s", point->target);
			err = hooks[i].is_tracepoint ? types__want(types, BTF_KIND_TYPEDEF, traced) :
						       types__want(types, BTF_KIND_FUNC, point->target);
		}
	}
	return err;
}

/* Trampolines work for all functions or for none; whether a function is there
 * is a question of its own, and cheaper to answer. */
static int functions_missing(const struct kernel *kernel, const struct hook *hook)
{
	for (const struct hook_point *point = hook->points; point->target; point++)
		if (!point->optional && !kernel__has_function(kernel, point->target))
			return -ENOENT;
	return 0;
}

static int try_syscalls(const struct hook *hook)
{
	char event[64];
	int id = 0;

	for (const struct hook_point *point = hook->syscalls; point->target && id >= 0; point++) {
		snprintf(event, sizeof(event), "syscalls/%s", point->target);
		id = tracefs__id(event);
	}
	return id < 0 ? id : 0;
}

/*
 * Of x86 trampolines before 6.6 a function with more than six arguments is out
 * of reach, and tcp_v4_syn_recv_sock() has seven since a fix that late 6.1
 * kernels have as well. Only its own point then is a kprobe; where that is
 * refused the point fails to attach and the others go on.
 */
static int try_many_args(const struct kernel *kernel, enum hook_choice choice, struct hook_result *result)
{
	const struct hook *hook = result->hook;

	for (int p = 0; hook->points[p].target; p++) {
		const struct hook_point *point = &hook->points[p];
		int err = point->many_args ? kernel__try_function(kernel, point->target) : 0;

		if (!err || (err == -ENOENT && point->optional))
			continue;
		if (choice == HOOKS_FENTRY)
			return err;
		result->by_kprobe[p] = hook->has_kprobe_twin && kernel__has_kprobes() &&
				       kernel__may_probe_read(kernel, hooks[HOOK_STATE].points[0].target);
	}
	return 0;
}

/* Functions by fentry or kprobe, in the order of preference. */
static enum hook_kind try_functions(const struct kernel *kernel, enum hook_choice choice,
				    int fentry_error, struct hook_result *result)
{
	const struct hook *hook = result->hook;

	result->error = functions_missing(kernel, hook);
	if (result->error)
		return HOOK_NONE;
	if (!fentry_error && choice != HOOKS_KPROBE) {
		result->error = try_many_args(kernel, choice, result);
		return result->error ? HOOK_NONE : HOOK_FENTRY;
	}
	if (hook->has_kprobe_twin && choice != HOOKS_FENTRY && kernel__has_kprobes())
		return HOOK_KPROBE;
	result->error = choice == HOOKS_KPROBE ? -EOPNOTSUPP : fentry_error;
	return HOOK_NONE;
}

static void try_one(const struct kernel *kernel, enum hook_choice choice, int fentry_error,
		    struct hook_result *result)
{
	const struct hook *hook = result->hook;

	result->kind = HOOK_NONE;
	result->error = HOOK_NOT_WANTED;
	memset(result->by_kprobe, 0, sizeof(result->by_kprobe));
	if (hook->is_tracepoint) {
		result->error = kernel__try_tracepoint(kernel, hook->points[0].target);
		result->kind = result->error ? HOOK_NONE : HOOK_TRACEPOINT;
		return;
	}
	if (hook->is_sockops) {
		result->error = kernel__try_sockops();
		result->kind = result->error ? HOOK_NONE : HOOK_CGROUP;
		return;
	}
	if (hook->points[0].target && choice != HOOKS_TRACEPOINT &&
	    (choice != HOOKS_KPROBE || hook->has_kprobe_twin))
		result->kind = try_functions(kernel, choice, fentry_error, result);
	if (result->kind == HOOK_NONE && hook->syscalls[0].target) {
		result->error = try_syscalls(hook);
		result->kind = result->error ? HOOK_NONE : HOOK_SYSCALL;
	}
	if (result->kind != HOOK_NONE)
		result->error = 0;
}

void hooks__try(const struct kernel *kernel, enum hook_choice choice,
		struct hook_result results[HOOK_COUNT])
{
	int fentry_error = choice == HOOKS_TRACEPOINT ? HOOK_NOT_WANTED :
							kernel__try_function(kernel, "tcp_conn_request");

	for (int i = 0; i < HOOK_COUNT; i++) {
		results[i].hook = &hooks[i];
		try_one(kernel, choice, fentry_error, &results[i]);
	}
}

const char *hook_result__target(const struct hook_result *result)
{
	const char *target = hook__points(result->hook, result->kind)[0].target;

	return target ? target : result->hook->syscalls[0].target;
}

const char *hook_result__reason(const struct hook_result *result)
{
	if (result->kind != HOOK_NONE)
		return "";
	switch (result->error) {
	case 0:
	case HOOK_NOT_WANTED:
		return "not asked for";
	case -EPERM:
	case -EACCES:
		return "refused by the kernel";
	case -ENOENT:
		return "not in this kernel";
	case -ENODEV:
		return "no tracefs is to be had";
	case -524: /* ENOTSUPP, kernel-internal: no trampolines on this architecture */
	case -EOPNOTSUPP:
		return "not possible on this kernel";
	default:
		return strerror(-result->error);
	}
}

int hook_choice__parse(const char *text)
{
	static const char *const names[HOOKS_CHOICES] = { "auto", "fentry", "kprobe", "tracepoint" };

	for (int i = 0; i < HOOKS_CHOICES; i++)
		if (!strcmp(text, names[i]))
			return i;
	return -1;
}
