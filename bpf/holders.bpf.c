// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: who holds a port. No hook: two iterators that a reader pulls, each over
 * the sockets of the reader's network namespace. No map but the port.
 *
 * Iterator   Job
 *   tcp      one record per listener, connection and minisocket of the port
 *   udp      one record per socket of the port
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "holders.h"

volatile __u16 port; /* user/source/holders.c writes it before each look */

static __always_inline int tell(struct bpf_iter_meta *meta, struct sock_common *sk)
{
	struct holder_options options = {};

	if (sk->skc_num != port)
		return 0;
	options.cookie = sk->skc_cookie.counter;
	options.reuseaddr = BPF_CORE_READ_BITFIELD(sk, skc_reuse) != 0;
	options.reuseport = BPF_CORE_READ_BITFIELD(sk, skc_reuseport);
	options.v6only = BPF_CORE_READ_BITFIELD(sk, skc_ipv6only);
	/* Where the buffer is full the iterator repeats the item. */
	bpf_seq_write(meta->seq, &options, sizeof(options));
	return 0;
}

SEC("iter/tcp")
int on_each_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;

	return sk ? tell(ctx->meta, sk) : 0;
}

SEC("iter/udp")
int on_each_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;

	return udp ? tell(ctx->meta, &udp->inet.sk.__sk_common) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
