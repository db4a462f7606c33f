// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The softirqs in which the kernel has run this program. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { TIMER = 1, NET_RX = 3 };

__u64 seen = 0;

SEC("tp_btf/softirq_entry")
int BPF_PROG(on_softirq, unsigned int kind)
{
	if (kind == TIMER || kind == NET_RX)
		__sync_fetch_and_add(&seen, 1);
	return 0;
}
