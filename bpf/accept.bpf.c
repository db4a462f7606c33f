// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: accept().
 *
 * Hook                                  Job
 *   fexit/inet_csk_accept               one record per accepted connection, with
 *                                       the accepting task and the listener
 *
 * A task may be preempted in the middle of on_accept (kernels from 7.0 on), and the
 * kernel does not run it for others on that CPU meanwhile: so others stand in, and
 * the first that comes to a connection tells it. See state.bpf.c.
 *
 * Map
 *   claimed  by cookie: the last connection in this place that was told, where
 *            tasks are preempted; else on_accept is alone.
 */
#define MAY_CALL_KERNEL /* fexit alone */
#include "tcpsaga.bpf.h"

enum { CLAIMED_SLOTS = 16384 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLAIMED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} claimed SEC(".maps");

/* True for the first of the programs that comes to this connection. */
static __always_inline bool claim(__u64 cookie)
{
	__u32 key = cookie & (CLAIMED_SLOTS - 1);
	__u64 *last = bpf_map_lookup_elem(&claimed, &key);

	if (!last || *last == cookie)
		return false;
	*last = cookie;
	return true;
}

static __always_inline struct ledger_accepts *my_accepts(void)
{
	struct ledger_cpu *book = book_here();

	return book ? &book->accepts : NULL;
}

static __always_inline void tell_accept(struct sock *listener, struct sock *sk)
{
	const struct net *net = net_of(sk);
	struct ev_accept *r;
	__u16 flags = 0;
	__u32 netns;

	if (!net)
		return;
	netns = GET(net, ns.inum);
	if (!filter_passes(&sk->__sk_common, netns, GET(sk, __sk_common.skc_num),
			   bpf_ntohs(GET(sk, __sk_common.skc_dport)), true))
		return;
	r = reserve(EV_ACCEPT, sizeof(*r));
	if (!r)
		return;
	put_conn_id(&r->conn_id, &flags, sk, false);
	r->by_address = !!(flags & EV_F_ID_IS_ADDRESS);
	r->listener_id = setting(HAVE_SOCKET_COOKIE) ? cookie_of(listener) : 0;
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
	put_owner(&r->owner);
	submit(r);
}

static __always_inline void claim_and_tell(struct sock *listener, struct sock *sk, __u32 program)
{
	struct ledger_accepts *book = my_accepts();

	if (!book)
		return;
	if (program == 0)
		__sync_fetch_and_add(&book->runs, 1);
	if (!sk || GET(sk, sk_protocol) != IPPROTO_TCP) {
		__sync_fetch_and_add(&book->none[program], 1);
		return;
	}
	if (setting(PREEMPTS) && !claim(cookie_of(sk)))
		return;
	__sync_fetch_and_add(&book->told, 1);
	tell_accept(listener, sk);
}

static __always_inline int accepts(struct sock *listener, struct sock *sk, __u32 program)
{
	hold_cpu();
	claim_and_tell(listener, sk, program);
	let_cpu_go();
	return 0;
}

/* inet_csk_accept() returns behind its arguments: four up to 6.9, then two. */
#define accepted_in(ctx) \
	((struct sock *)(setting(ACCEPT_ARGS) == 4 ? return_behind(ctx, 4) : return_behind(ctx, 2)))

SEC("fexit/inet_csk_accept")
int BPF_PROG(on_accept, struct sock *listener)
{
	return accepts(listener, accepted_in(ctx), 0);
}

SEC("fexit/inet_csk_accept")
int BPF_PROG(on_accept_stand_in, struct sock *listener)
{
	return accepts(listener, accepted_in(ctx), 1);
}

SEC("fexit/inet_csk_accept")
int BPF_PROG(on_accept_stand_in2, struct sock *listener)
{
	return accepts(listener, accepted_in(ctx), 2);
}

SEC("fexit/inet_csk_accept")
int BPF_PROG(on_accept_stand_in3, struct sock *listener)
{
	return accepts(listener, accepted_in(ctx), 3);
}
