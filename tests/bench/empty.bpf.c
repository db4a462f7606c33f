// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The least that a program on this tracepoint can cost: what the kernel takes
 * to call it, and to measure that it did. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/inet_sock_set_state")
int empty(void *ctx)
{
	return 0;
}
