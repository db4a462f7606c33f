// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: accept() and SYN-ACKs sent again: what needs no probe read in a
 * kprobe, because there is a better hook.
 *
 * Hook                                  Job
 *   fexit/inet_csk_accept               one record per accepted connection, with
 *                                       the accepting task and the listener
 *   tp_btf/tcp_retransmit_synack        one record per SYN-ACK sent again, by the
 *                                       request's timer or for a repeated SYN
 */
#include "handshake.h"

/* inet_csk_accept() returns behind its arguments: four up to 6.9, then two. */
SEC("fexit/inet_csk_accept")
int BPF_PROG(on_accept, struct sock *listener)
{
	struct sock *sk = (void *)(accept_args == 4 ? return_behind(ctx, 4) : return_behind(ctx, 2));
	struct ev_accept *r;
	__u16 flags = 0;
	__u32 netns;

	if (!sk || GET(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	netns = netns_of(&sk->__sk_common);
	if (!filter_passes(&sk->__sk_common, netns, GET(sk, __sk_common.skc_num),
			   bpf_ntohs(GET(sk, __sk_common.skc_dport)), true))
		return 0;
	r = reserve(EV_ACCEPT, sizeof(*r));
	if (!r)
		return 0;
	put_conn_id(&r->conn_id, &flags, sk, false);
	r->by_address = !!(flags & EV_F_ID_IS_ADDRESS);
	r->listener_id = have_socket_cookie ? cookie_of(listener) : 0;
	put_socket_id(&r->listener_socket, listener);
	r->netns = netns;
	r->family = GET(sk, __sk_common.skc_family);
	r->pad[0] = r->pad[1] = 0;
	r->local_port = GET(sk, __sk_common.skc_num);
	r->remote_port = bpf_ntohs(GET(sk, __sk_common.skc_dport));
	r->accept_queue_len = GET(listener, sk_ack_backlog);
	r->limit = GET(listener, sk_max_ack_backlog);
	r->pad2 = 0;
	put_addresses(r->local, r->remote, &sk->__sk_common);
	put_owner(&r->owner, true);
	submit(r);
	return 0;
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(on_synack_again, struct sock *sk, struct request_sock *req)
{
	struct hands *in = my_hands();

	if (!in)
		return 0;
	put_handshake(&in->child, sk, req);
	in->child.outcome = EV_REQUEST_RETRANSMITTED;
	send_handshake(&in->child, EV_HANDSHAKE);
	return 0;
}
