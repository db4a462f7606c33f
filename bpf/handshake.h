/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Story: the handshake at a listener, from the SYN through both queues to
 * accept(). The story stands here once; handshake.bpf.c tells it by fentry and
 * fexit, handshake_kp.bpf.c by kprobe and kretprobe.
 *
 * Function                          Entry                     Return
 *   tcp_conn_request                SYN in hand, both depths  what became of it
 *   inet_csk_reqsk_queue_hash_add   ... queued
 *   cookie_v4/6_init_sequence       ... answered by cookie
 *   inet_reqsk_alloc                ... past both full-checks
 *   inet_csk_reqsk_queue_add        child in hand             ... Fast Open; or cookie completed
 *   inet_csk_complete_hashdance     request in hand           completed
 *   tcp_v4/6_syn_recv_sock          request in hand           third ACK dropped, queue full
 *   reqsk_timer_handler             timer runs                timer done
 *   __inet_csk_reqsk_queue_drop     request in hand           taken out of the SYN queue:
 *     (5.10: reqsk_queue_unlink)                              timed out, reset, listener closed
 *
 * The last one is the only way out of the SYN queue, whoever asks for it; who
 * did is told by what else is in progress on this CPU.
 *
 * Map
 *   hands  per CPU: what is between entry and return. All of them run with
 *          bottom halves off, so each of these calls is in hand once at most.
 */
#ifndef TCPSAGA_HANDSHAKE_H
#define TCPSAGA_HANDSHAKE_H

#include "tcpsaga.bpf.h"

/* Which call is in progress on this CPU. */
enum {
	IN_SYN = 1 << 0,
	IN_HASHDANCE = 1 << 1,
	IN_TIMER = 1 << 2,
	IN_V6_CALL = 1 << 3,	/* tcp_v6_syn_recv_sock() hands IPv4 on to the v4 one */
	SYN_ALLOCATED = 1 << 4, /* a request was made for the SYN in hand */
	REQUEST_OUT = 1 << 5,	/* the hashdance took its request out of the queue */
	ABORTING = 1 << 6,	/* the third ACK in hand was dropped, and an RST follows */
};

struct hands {
	__u32 in;
	__u32 cookies; /* tcp_syncookies of the SYN in hand */
	__u32 max_syn_backlog;
	__u32 aborts; /* tcp_abort_on_overflow of the third ACK in hand */
	struct ev_handshake syn;
	struct ev_handshake request; /* hashdance, drop, syn_recv_sock */
	struct ev_handshake child;   /* queue_add */
};

struct hands_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hands);
};

extern struct hands_map hands SEC(".maps");

static __always_inline struct hands *my_hands(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hands, &zero);
}

static __always_inline bool handshake_wanted(const struct ev_handshake *h)
{
	if (!setting(FILTER_ON))
		return true;
	if (!netns_passes(h->netns) || !ports_pass(h->local_port, h->remote_port))
		return false;
	return !setting(FILTER_ADDRESSES) || !h->remote_port ||
	       addresses_pass((const union address *)h->local, (const union address *)h->remote);
}

static __always_inline void send_handshake(const struct ev_handshake *h, enum ev_kind kind)
{
	struct ev_handshake *r;

	if (!handshake_wanted(h))
		return;
	r = reserve(kind, sizeof(*r));
	if (!r)
		return;
	__builtin_memcpy((void *)r + sizeof(r->header), (const void *)h + sizeof(h->header),
			 sizeof(*r) - sizeof(r->header));
	submit(r);
}

/* The listener's part: who it is, and both queues now. */
static __always_inline void put_listener(struct ev_handshake *h, struct sock *sk)
{
	struct tcp_sock *tp = AS_TCP_SOCK(sk);

	h->listener_id = setting(HAVE_SOCKET_COOKIE) ? cookie_of(sk) : 0;
	put_socket_id(&h->listener_socket, sk);
	h->netns = tp ? netns_of(&tp->inet_conn.icsk_inet.sk.__sk_common) : 0;
	h->family = GET(sk, __sk_common.skc_family);
	h->outcome = 0;
	h->detail = 0;
	h->retransmits = 0;
	h->local_port = GET(sk, __sk_common.skc_num);
	h->syn_queue_len = tp ? GET(tp, inet_conn.icsk_accept_queue.qlen.counter) : 0;
	h->accept_queue_len = GET(sk, sk_ack_backlog);
	h->limit = GET(sk, sk_max_ack_backlog);
}

/* The request's part: its id, which its child inherits, and its peer. */
static __always_inline void put_request(struct ev_handshake *h, struct request_sock *req)
{
	h->conn_id = setting(HAVE_SOCKET_COOKIE) ? cookie_of(req) : 0;
	h->retransmits = GET(req, num_retrans);
	/* Its own: a listener that has closed has no port any more. */
	h->local_port = GET(req, __req_common.skc_num);
	h->remote_port = bpf_ntohs(GET(req, __req_common.skc_dport));
	put_addresses(h->local, h->remote, &req->__req_common);
}

static __always_inline void put_handshake(struct ev_handshake *h, struct sock *sk, struct request_sock *req)
{
	put_listener(h, sk);
	put_request(h, req);
}

/* ---- SYN ---- */

static __always_inline bool read_at(void *out, __u32 size, const unsigned char *head, __u16 offset)
{
	return bpf_probe_read_kernel(out, size, head + offset) == 0;
}

/* The peer stands only in the packet, which takes a probe read; where that is
 * refused it stays unknown (port 0) unless a request is queued for it. */
static __always_inline void read_packet(struct ev_handshake *h, const struct sk_buff *skb)
{
	const unsigned char *head = GET(skb, head);
	__u16 network = GET(skb, network_header);
	struct tcphdr tcp;
	struct iphdr v4;
	struct ipv6hdr v6;

	if (!read_at(&tcp, sizeof(tcp), head, GET(skb, transport_header)) ||
	    !read_at(&v4, sizeof(v4), head, network))
		return;
	if (v4.before[0] >> 4 == 4) {
		put_v4(h->local, v4.daddr);
		put_v4(h->remote, v4.saddr);
	} else if (read_at(&v6, sizeof(v6), head, network)) {
		__builtin_memcpy(h->local, &v6.daddr, 16);
		__builtin_memcpy(h->remote, &v6.saddr, 16);
	} else {
		return;
	}
	h->remote_port = bpf_ntohs(tcp.source);
}

static __always_inline __u32 syncookies_of(const struct netns_ipv4 *ipv4)
{
	if (bpf_core_field_size(((struct netns_ipv4___byte *)0)->sysctl_tcp_syncookies) == 1) {
		const struct netns_ipv4___byte *b = (const void *)ipv4;

		return GET(b, sysctl_tcp_syncookies);
	} else {
		const struct netns_ipv4___int *i = (const void *)ipv4;

		return GET(i, sysctl_tcp_syncookies);
	}
}

static __always_inline bool aborts_on_overflow(const struct netns_ipv4 *ipv4)
{
	if (bpf_core_field_size(((struct netns_ipv4___byte *)0)->sysctl_tcp_abort_on_overflow) == 1) {
		const struct netns_ipv4___byte *b = (const void *)ipv4;

		return GET(b, sysctl_tcp_abort_on_overflow);
	} else {
		const struct netns_ipv4___int *i = (const void *)ipv4;

		return GET(i, sysctl_tcp_abort_on_overflow);
	}
}

static __always_inline void syn_begins(struct sock *sk, struct sk_buff *skb)
{
	struct hands *in = my_hands();
	const struct net *net = net_of(sk);

	if (!in || !net)
		return;
	put_listener(&in->syn, sk);
	in->syn.conn_id = 0;
	in->syn.remote_port = 0;
	put_addresses(in->syn.local, in->syn.remote, &sk->__sk_common);
	if (setting(MAY_PROBE_READ))
		read_packet(&in->syn, skb);
	in->cookies = syncookies_of(&net->ipv4);
	in->max_syn_backlog = GET(net, ipv4.sysctl_max_syn_backlog);
	in->in = (in->in | IN_SYN) & ~(SYN_ALLOCATED | ABORTING);
}

static __always_inline void syn_queued(struct request_sock *req)
{
	struct hands *in = my_hands();

	if (!in || !(in->in & IN_SYN))
		return;
	put_request(&in->syn, req);
	in->syn.outcome = EV_SYN_QUEUED;
}

static __always_inline void syn_becomes(__u8 outcome)
{
	struct hands *in = my_hands();

	if (in && in->in & IN_SYN)
		in->syn.outcome = outcome;
}

static __always_inline void syn_allocates(void)
{
	struct hands *in = my_hands();

	if (in && in->in & IN_SYN)
		in->in |= SYN_ALLOCATED;
}

/*
 * Why tcp_conn_request() dropped it, in the order of its own checks: a full
 * SYN queue matters only without cookies, then comes the accept queue, and
 * only then a request is made. The accept queue is full when it is longer than
 * its limit. Whether a SYN queue that is exactly as long as its limit is full
 * depends on the kernel (5.10: yes), but then it is full unless the accept
 * queue explains the drop.
 */
static __always_inline __u8 drop_cause(const struct hands *in)
{
	const struct ev_handshake *h = &in->syn;
	bool accept_full = h->accept_queue_len > h->limit;

	if (in->in & SYN_ALLOCATED) {
		__s32 left = in->max_syn_backlog - h->syn_queue_len;

		return !in->cookies && left < (__s32)(in->max_syn_backlog >> 2) ? EV_DROP_LAST_QUARTER :
										  EV_DROP_OTHER;
	}
	if (!in->cookies && h->syn_queue_len > h->limit)
		return EV_DROP_SYN_QUEUE_FULL;
	if (accept_full)
		return EV_DROP_ACCEPT_QUEUE_FULL;
	if (!in->cookies && h->syn_queue_len >= h->limit)
		return EV_DROP_SYN_QUEUE_FULL;
	return EV_DROP_OTHER;
}

static __always_inline void syn_ends(void)
{
	struct hands *in = my_hands();

	if (!in || !(in->in & IN_SYN))
		return;
	in->in &= ~IN_SYN;
	if (in->syn.outcome == EV_SYN_UNKNOWN) {
		in->syn.outcome = EV_SYN_DROPPED;
		in->syn.detail = drop_cause(in);
	}
	send_handshake(&in->syn, EV_SYN);
}

/* ---- third ACK ---- */

static __always_inline void hashdance_begins(struct sock *sk, struct request_sock *req)
{
	struct hands *in = my_hands();

	if (!in)
		return;
	put_handshake(&in->request, sk, req);
	in->in = (in->in | IN_HASHDANCE) & ~REQUEST_OUT;
}

/* Without a child it lost a race: to another CPU, which completes the request
 * itself, or to close() of the listener, which leaves a request that is out of
 * the queue and nobody's. */
static __always_inline void hashdance_ends(bool completed)
{
	struct hands *in = my_hands();

	if (!in || !(in->in & IN_HASHDANCE))
		return;
	in->in &= ~IN_HASHDANCE;
	if (!completed && !(in->in & REQUEST_OUT))
		return;
	in->request.outcome = completed ? EV_REQUEST_COMPLETED : EV_REQUEST_LISTENER_CLOSED;
	in->request.detail = EV_VIA_SYN_QUEUE;
	send_handshake(&in->request, EV_HANDSHAKE);
}

/* inet_csk_reqsk_queue_add() is called by the hashdance (5.10; later it is
 * inlined there), for a cookie's child, and for a Fast Open child. */
static __always_inline void queue_add_begins(struct sock *sk, struct request_sock *req)
{
	struct hands *in = my_hands();

	if (in && !(in->in & IN_HASHDANCE))
		put_handshake(&in->child, sk, req);
}

static __always_inline void queue_add_ends(bool added)
{
	struct hands *in = my_hands();

	if (!in || in->in & IN_HASHDANCE || !added)
		return;
	if (in->in & IN_SYN) {
		in->syn.outcome = EV_SYN_FASTOPEN;
		in->syn.conn_id = in->child.conn_id;
		return;
	}
	in->child.outcome = EV_REQUEST_COMPLETED;
	in->child.detail = EV_VIA_COOKIE;
	send_handshake(&in->child, EV_HANDSHAKE);
}

/* A Fast Open child is made inside the SYN: not a third ACK. */
static __always_inline void third_ack_begins(const struct sock *const_sk, struct request_sock *req, bool v6)
{
	struct sock *sk = (struct sock *)const_sk;
	const struct net *net = net_of(sk);
	struct hands *in = my_hands();

	if (!in || !net || in->in & (IN_SYN | IN_V6_CALL))
		return;
	put_handshake(&in->request, sk, req);
	in->aborts = aborts_on_overflow(&net->ipv4);
	in->in &= ~ABORTING;
	if (v6)
		in->in |= IN_V6_CALL;
}

static __always_inline void third_ack_ends(bool child, bool v6)
{
	struct hands *in = my_hands();

	if (!in || in->in & IN_SYN || (!v6 && in->in & IN_V6_CALL))
		return;
	in->in &= ~IN_V6_CALL;
	if (child || in->request.accept_queue_len <= in->request.limit)
		return;
	in->request.outcome = EV_REQUEST_OVERFLOW;
	in->request.detail = 0;
	if (in->aborts)
		in->in |= ABORTING;
	send_handshake(&in->request, EV_HANDSHAKE);
}

/* ---- the end of a request ---- */

static __always_inline void timer_begins(void)
{
	struct hands *in = my_hands();

	if (in)
		in->in = (in->in | IN_TIMER) & ~ABORTING;
}

static __always_inline void timer_ends(void)
{
	struct hands *in = my_hands();

	if (in)
		in->in &= ~IN_TIMER;
}

/* tcp_check_req() drops the request right behind its third ACK, within the same
 * softirq. Nothing follows when it was a cookie that the third ACK answered, so
 * the drop must be of the same peer. */
static __always_inline bool is_aborted(const struct hands *in, __u16 remote_port,
				       const union address *remote)
{
	const union address *now = (const union address *)in->request.remote;

	return in->in & ABORTING && in->request.remote_port == remote_port &&
	       now->halves[0] == remote->halves[0] && now->halves[1] == remote->halves[1];
}

static __always_inline void drop_begins(struct sock *sk, struct request_sock *req)
{
	struct hands *in = my_hands();
	union address remote;
	__u16 remote_port;

	if (!in || in->in & IN_HASHDANCE || !sk)
		return;
	remote = *(union address *)in->request.remote;
	remote_port = in->request.remote_port;
	put_handshake(&in->request, sk, req);
	/* A listener that closes leaves its requests to their timers. */
	if (GET(sk, __sk_common.skc_state) != EV_LISTEN) {
		in->request.outcome = EV_REQUEST_LISTENER_CLOSED;
	} else if (in->in & IN_TIMER) {
		in->request.outcome = EV_REQUEST_TIMED_OUT;
	} else {
		in->request.outcome = EV_REQUEST_RESET;
		in->request.detail =
			is_aborted(in, remote_port, &remote) ? EV_RESET_BY_US : EV_RESET_BY_PEER;
	}
	in->in &= ~ABORTING;
}

/* Once per request: only one of those who want it out takes it out. */
static __always_inline void drop_ends(bool taken_out)
{
	struct hands *in = my_hands();

	if (!in || !taken_out)
		return;
	if (in->in & IN_HASHDANCE)
		in->in |= REQUEST_OUT;
	else
		send_handshake(&in->request, EV_HANDSHAKE);
}

#endif
