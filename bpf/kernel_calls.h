/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Functions of the kernel that BPF programs call (kfuncs).
 *
 * Each has an id that differs per kernel. A weak extern would have libbpf find it, which
 * reads all of the kernel's types for that, and bpftool's linker (7.1) takes the names from
 * one object only. So the call stands in the program as that of a helper that no kernel
 * has, and becomes the true one right before the load (user/source/linker.c). Where the
 * kernel has no such function it stays what it is, and has to be where the verifier never
 * comes: behind a setting that is 0 then.
 */
#ifndef TCPSAGA_KERNEL_CALLS_H
#define TCPSAGA_KERNEL_CALLS_H

/* Numbers of helpers: the kernel's own are far below. */
enum kernel_call {
	KERNEL_CALL_FIRST = 0x5a6a00,
	KERNEL_CALL_PREEMPT_DISABLE = KERNEL_CALL_FIRST,
	KERNEL_CALL_PREEMPT_ENABLE,
	KERNEL_CALL_LOCAL_IRQ_SAVE,
	KERNEL_CALL_LOCAL_IRQ_RESTORE,
	KERNEL_CALL_RDONLY_CAST, /* from 6.2 on */
	KERNEL_CALL_END
};

#endif
