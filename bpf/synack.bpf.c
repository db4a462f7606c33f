// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: SYN-ACKs sent again: what needs no probe read in a kprobe, because there
 * is a better hook.
 *
 * Hook                                  Job
 *   tp_btf/tcp_retransmit_synack        one record per SYN-ACK sent again, by the
 *                                       request's timer or for a repeated SYN
 */
#include "handshake.h"

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
