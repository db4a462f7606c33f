// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The handshake by fentry and fexit. handshake.h tells the story; here stands
 * only which argument of which function is what. On 5.10 the upper half of a
 * 32-bit value is garbage: what is not a pointer is cast.
 */
#include "handshake.h"

struct hands_map hands SEC(".maps");

SEC("fentry/tcp_conn_request")
int BPF_PROG(on_syn, void *ops, void *af_ops, struct sock *sk, struct sk_buff *skb)
{
	syn_begins(sk, skb);
	return 0;
}

SEC("fexit/tcp_conn_request")
int BPF_PROG(on_syn_done)
{
	syn_ends();
	return 0;
}

SEC("fentry/inet_csk_reqsk_queue_hash_add")
int BPF_PROG(on_request_queued, struct sock *sk, struct request_sock *req)
{
	syn_queued(req);
	return 0;
}

SEC("fentry/cookie_v4_init_sequence")
int BPF_PROG(on_cookie_v4)
{
	syn_becomes(EV_SYN_COOKIE);
	return 0;
}

SEC("fentry/cookie_v6_init_sequence")
int BPF_PROG(on_cookie_v6)
{
	syn_becomes(EV_SYN_COOKIE);
	return 0;
}

SEC("fentry/inet_reqsk_alloc")
int BPF_PROG(on_request_alloc)
{
	syn_allocates();
	return 0;
}

SEC("fentry/inet_csk_reqsk_queue_add")
int BPF_PROG(on_queue_add, struct sock *sk, struct request_sock *req)
{
	queue_add_begins(sk, req);
	return 0;
}

SEC("fexit/inet_csk_reqsk_queue_add")
int BPF_PROG(on_queue_add_done, struct sock *sk, struct request_sock *req, struct sock *child,
	     struct sock *ret)
{
	queue_add_ends(ret);
	return 0;
}

SEC("fentry/inet_csk_complete_hashdance")
int BPF_PROG(on_hashdance, struct sock *sk, struct sock *child, struct request_sock *req)
{
	hashdance_begins(sk, req);
	return 0;
}

SEC("fexit/inet_csk_complete_hashdance")
int BPF_PROG(on_hashdance_done, struct sock *sk, struct sock *child, struct request_sock *req, bool own,
	     struct sock *ret)
{
	hashdance_ends(ret);
	return 0;
}

SEC("fentry/tcp_v4_syn_recv_sock")
int BPF_PROG(on_third_ack_v4, const struct sock *sk, struct sk_buff *skb, struct request_sock *req)
{
	third_ack_begins(sk, req, false);
	return 0;
}

SEC("fentry/tcp_v6_syn_recv_sock")
int BPF_PROG(on_third_ack_v6, const struct sock *sk, struct sk_buff *skb, struct request_sock *req)
{
	third_ack_begins(sk, req, true);
	return 0;
}

/* The return value stands behind the arguments: six up to 6.12, then seven. */
static __always_inline bool syn_recv_sock_result(void *ctx)
{
	return setting(SYN_RECV_SOCK_ARGS) == 7 ? return_behind(ctx, 7) : return_behind(ctx, 6);
}

SEC("fexit/tcp_v4_syn_recv_sock")
int on_third_ack_v4_done(void *ctx)
{
	third_ack_ends(syn_recv_sock_result(ctx), false);
	return 0;
}

SEC("fexit/tcp_v6_syn_recv_sock")
int on_third_ack_v6_done(void *ctx)
{
	third_ack_ends(syn_recv_sock_result(ctx), true);
	return 0;
}

SEC("fentry/reqsk_timer_handler")
int BPF_PROG(on_request_timer)
{
	timer_begins();
	return 0;
}

SEC("fexit/reqsk_timer_handler")
int BPF_PROG(on_request_timer_done)
{
	timer_ends();
	return 0;
}

SEC("fentry/__inet_csk_reqsk_queue_drop")
int BPF_PROG(on_drop, struct sock *sk, struct request_sock *req)
{
	drop_begins(sk, req);
	return 0;
}

SEC("fexit/__inet_csk_reqsk_queue_drop")
int BPF_PROG(on_drop_done, struct sock *sk, struct request_sock *req, bool from_timer, int ret)
{
	drop_ends((__u8)ret);
	return 0;
}
