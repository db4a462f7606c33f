/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this kernel allows: found out by trying each program, for neither its version nor
 * its lockdown tells.
 */
#ifndef TCPSAGA_SOURCE_TRIAL_H
#define TCPSAGA_SOURCE_TRIAL_H

#include "source/hooks.h"
#include "source/kernel.h"

struct trial {
	struct kernel kernel; /* owned */
	struct hook_result results[HOOK_COUNT];
	bool cookie;
	bool probe_read;
	bool preempts;
	bool comm_has_zeroes;
	bool sys_listen; /* its function can be hooked */
	uint32_t syn_recv_sock_args;
	uint32_t accept_args;
	uint32_t timewait_args;
	bool present[HOOK_COUNT][HOOK_POINTS_MAX]; /* the kernel has this point */
};

/* 0, or -errno with one sentence in message (see live__new()); trial__fini() in any case. */
int trial__run(struct trial *trial, enum hook_choice choice, char *message, size_t size);
void trial__fini(struct trial *trial);

/* The sentence for this error of BPF's, which is returned. */
int trial__explain(int err, char *message, size_t size);

#endif
