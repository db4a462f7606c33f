// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: SYNs that were admitted to a SYN queue, where no function can be hooked.
 *
 * Hook                             Job
 *   sockops of one cgroup,         one record for each request that is about to
 *   BPF_SOCK_OPS_TIMEOUT_INIT      enter the SYN queue of a listener in it
 *
 * tcp_conn_request() asks for the SYN-ACK's timeout once per request that it
 * queues, right before; not for one that is answered by a cookie or dropped. The
 * same question about a full socket is not ours.
 *
 * It answers nothing: reply stays as it is (0, or what another program wrote),
 * for which the kernel takes its default, and 1 means no objection.
 *
 * The context gives neither the namespace nor the listener; what it stands for
 * in the kernel does, by probe reads.
 */
#define PROBE_READS
#include "handshake.h"

SEC("sockops")
int on_request_admitted(struct bpf_sock_ops *ctx)
{
	struct bpf_sock_ops_kern *kern = (void *)ctx;
	struct request_sock *req;
	struct hands *in;
	struct sock *sk;

	if (ctx->op != BPF_SOCK_OPS_TIMEOUT_INIT || ctx->is_fullsock)
		return 1;
	req = (struct request_sock *)GET(kern, sk);
	sk = GET(req, __req_common.skc_listener);
	in = my_hands();
	if (!sk || !in)
		return 1;
	put_handshake(&in->child, sk, req);
	in->child.outcome = EV_SYN_QUEUED;
	/* A cookie that nobody has asked for yet is not there; then userspace
	 * finds the listener by its place. */
	if (setting(HAVE_SOCKET_COOKIE) && !in->child.listener_id)
		in->child.listener_socket = 0;
	send_handshake(&in->child, EV_ADMITTED);
	return 1;
}
