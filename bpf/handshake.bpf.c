// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: who knocks on which listener.
 *
 * Hook                         Job
 *   fentry/tcp_conn_request    notes the SYN and both queues as it found them
 *   fexit/tcp_conn_request     sends the record
 *
 * Map
 *   syn_in_hand  per CPU: the SYN between the two. tcp_conn_request() runs with
 *                bottom halves off, so there is never more than one.
 *
 * The peer's address stands only in the packet, which takes a probe read; where
 * that is refused (lockdown=confidentiality) the rest is told without it.
 */
#include "tcpsaga.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ev_syn);
} syn_in_hand SEC(".maps");

static __always_inline struct ev_syn *in_hand(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&syn_in_hand, &zero);
}

static __always_inline bool read_at(void *out, __u32 size, const unsigned char *head, __u16 offset)
{
	return bpf_probe_read_kernel(out, size, head + offset) == 0;
}

/* Both addresses from the packet; for IPv4 on a dual-stack listener they come
 * out v4-mapped. */
static __always_inline bool read_packet(struct ev_syn *syn, const struct sk_buff *skb)
{
	const unsigned char *head = skb->head;
	struct tcphdr tcp;
	struct iphdr v4;
	struct ipv6hdr v6;

	if (!read_at(&tcp, sizeof(tcp), head, skb->transport_header) ||
	    !read_at(&v4, sizeof(v4), head, skb->network_header))
		return false;
	syn->remote_port = bpf_ntohs(tcp.source);
	if (v4.before[0] >> 4 == 4) {
		put_v4(syn->local, v4.daddr);
		put_v4(syn->remote, v4.saddr);
		return true;
	}
	if (!read_at(&v6, sizeof(v6), head, skb->network_header))
		return false;
	__builtin_memcpy(syn->local, &v6.daddr, 16);
	__builtin_memcpy(syn->remote, &v6.saddr, 16);
	return true;
}

static __always_inline bool wanted(const struct ev_syn *syn)
{
	if (!filter_on)
		return true;
	if (filter.netns && syn->netns != filter.netns)
		return false;
	if (!ports_pass(syn->local_port, syn->remote_port))
		return false;
	return !(syn->flags & EV_SYN_F_REMOTE) ||
	       addresses_pass((const union address *)syn->local, (const union address *)syn->remote);
}

SEC("fentry/tcp_conn_request")
int BPF_PROG(on_syn, void *ops, void *af_ops, struct sock *sk, struct sk_buff *skb)
{
	struct ev_syn *syn = in_hand();
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u16 id_flags = 0;

	if (!syn || !tp)
		return 0;
	__builtin_memset(syn, 0, sizeof(*syn));
	/* Its kind marks a SYN that is in hand and wanted. */
	syn->local_port = sk->__sk_common.skc_num;
	put_addresses(syn->local, syn->remote, sk);
	if (may_probe_read && read_packet(syn, skb))
		syn->flags |= EV_SYN_F_REMOTE;
	syn->netns = sk->__sk_common.skc_net.net->ns.inum;
	syn->family = sk->__sk_common.skc_family;
	syn->syn_queue_len = tp->inet_conn.icsk_accept_queue.qlen.counter;
	syn->accept_queue_len = sk->sk_ack_backlog;
	syn->limit = sk->sk_max_ack_backlog;
	put_conn_id(&syn->listener_id, &id_flags, sk, false);
	if (wanted(syn))
		syn->header.kind = EV_SYN;
	return 0;
}

SEC("fexit/tcp_conn_request")
int BPF_PROG(on_syn_done, void *ops, void *af_ops, struct sock *sk, struct sk_buff *skb)
{
	struct ev_syn *syn = in_hand();
	struct ev_syn *r;

	if (!syn || syn->header.kind != EV_SYN)
		return 0;
	syn->header.kind = 0;
	r = reserve(EV_SYN, sizeof(*r));
	if (!r)
		return 0;
	__builtin_memcpy((void *)r + sizeof(r->header), (void *)syn + sizeof(syn->header),
			 sizeof(*r) - sizeof(r->header));
	submit(r);
	return 0;
}
