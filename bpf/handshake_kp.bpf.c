// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The handshake by kprobe and kretprobe, for kernels without BPF trampolines
 * (arm64 before 6.12). handshake.h tells the story, handshake.bpf.c is its
 * twin; here the fields are probe-read. One pair of trampoline programs stands
 * here, too, for the same reason.
 */
#define PROBE_READS
#include "handshake.h"

SEC("kprobe/tcp_conn_request")
int BPF_KPROBE(on_syn_kp, void *ops, void *af_ops, struct sock *sk, struct sk_buff *skb)
{
	syn_begins(sk, skb);
	return 0;
}

SEC("kretprobe/tcp_conn_request")
int BPF_KRETPROBE(on_syn_done_kp)
{
	syn_ends();
	return 0;
}

SEC("kprobe/inet_csk_reqsk_queue_hash_add")
int BPF_KPROBE(on_request_queued_kp, struct sock *sk, struct request_sock *req)
{
	syn_queued(req);
	return 0;
}

SEC("kprobe/cookie_v4_init_sequence")
int BPF_KPROBE(on_cookie_v4_kp)
{
	syn_becomes(EV_SYN_COOKIE);
	return 0;
}

SEC("kprobe/cookie_v6_init_sequence")
int BPF_KPROBE(on_cookie_v6_kp)
{
	syn_becomes(EV_SYN_COOKIE);
	return 0;
}

SEC("kprobe/inet_reqsk_alloc")
int BPF_KPROBE(on_request_alloc_kp)
{
	syn_allocates();
	return 0;
}

SEC("kprobe/inet_csk_reqsk_queue_add")
int BPF_KPROBE(on_queue_add_kp, struct sock *sk, struct request_sock *req)
{
	queue_add_begins(sk, req);
	return 0;
}

SEC("kretprobe/inet_csk_reqsk_queue_add")
int BPF_KRETPROBE(on_queue_add_done_kp, void *ret)
{
	queue_add_ends(ret);
	return 0;
}

SEC("kprobe/inet_csk_complete_hashdance")
int BPF_KPROBE(on_hashdance_kp, struct sock *sk, struct sock *child, struct request_sock *req)
{
	hashdance_begins(sk, req);
	return 0;
}

SEC("kretprobe/inet_csk_complete_hashdance")
int BPF_KRETPROBE(on_hashdance_done_kp, void *ret)
{
	hashdance_ends(ret);
	return 0;
}

SEC("kprobe/tcp_v4_syn_recv_sock")
int BPF_KPROBE(on_third_ack_v4_kp, struct sock *sk, struct sk_buff *skb, struct request_sock *req)
{
	third_ack_begins(sk, req, false);
	return 0;
}

SEC("kprobe/tcp_v6_syn_recv_sock")
int BPF_KPROBE(on_third_ack_v6_kp, struct sock *sk, struct sk_buff *skb, struct request_sock *req)
{
	third_ack_begins(sk, req, true);
	return 0;
}

SEC("kretprobe/tcp_v4_syn_recv_sock")
int BPF_KRETPROBE(on_third_ack_v4_done_kp, void *ret)
{
	third_ack_ends(ret, false);
	return 0;
}

SEC("kretprobe/tcp_v6_syn_recv_sock")
int BPF_KRETPROBE(on_third_ack_v6_done_kp, void *ret)
{
	third_ack_ends(ret, true);
	return 0;
}

SEC("kprobe/reqsk_timer_handler")
int BPF_KPROBE(on_request_timer_kp)
{
	timer_begins();
	return 0;
}

SEC("kretprobe/reqsk_timer_handler")
int BPF_KRETPROBE(on_request_timer_done_kp)
{
	timer_ends();
	return 0;
}

SEC("kprobe/__inet_csk_reqsk_queue_drop")
int BPF_KPROBE(on_drop_kp, struct sock *sk, struct request_sock *req)
{
	drop_begins(sk, req);
	return 0;
}

SEC("kretprobe/__inet_csk_reqsk_queue_drop")
int BPF_KRETPROBE(on_drop_done_kp, long ret)
{
	drop_ends((__u8)ret);
	return 0;
}

/*
 * 5.10's name of it, which has only the request for an argument. The listener
 * then comes out of a union of the request, and the verifier does not take
 * what it finds there for a socket: so the trampoline's program, too, has to
 * probe-read, and stands here.
 */
static __always_inline struct sock *listener_of(struct request_sock *req)
{
	return GET(req, __req_common.skc_listener);
}

SEC("fentry/reqsk_queue_unlink")
int BPF_PROG(on_unlink, struct request_sock *req)
{
	drop_begins(listener_of(req), req);
	return 0;
}

SEC("fexit/reqsk_queue_unlink")
int BPF_PROG(on_unlink_done, struct request_sock *req, int ret)
{
	drop_ends((__u8)ret);
	return 0;
}

SEC("kprobe/reqsk_queue_unlink")
int BPF_KPROBE(on_unlink_kp, struct request_sock *req)
{
	drop_begins(listener_of(req), req);
	return 0;
}

SEC("kretprobe/reqsk_queue_unlink")
int BPF_KRETPROBE(on_unlink_done_kp, long ret)
{
	drop_ends((__u8)ret);
	return 0;
}
