/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Story: minisockets, what is left of a connection after its socket. The story
 * stands here once; timewait.bpf.c tells it by fentry and fexit,
 * timewait_kp.bpf.c by kprobe and kretprobe.
 *
 * Function                       Entry                  Return
 *   inet_twsk_alloc              (kprobe: the socket)   begins, or is refused
 *   tcp_timewait_state_process   segment for it         FIN_WAIT2 became TIME_WAIT
 *   tcp_twsk_unique                                     connect() may have its tuple
 *   tw_timer_handler             timer runs             timer done
 *   inet_twsk_kill               ends
 *
 * The usual close begins as a FIN_WAIT2 minisocket, since the peer's FIN comes
 * later, and is promoted by it; only a simultaneous close, or a FIN that comes
 * to a full socket, begins as TIME_WAIT. Every end passes inet_twsk_kill(); who
 * asked for it is told by what else is, or just was, in progress on this CPU.
 *
 * Map
 *   waits  per CPU: what is between entry and return. All of it runs with
 *          bottom halves off.
 */
#ifndef TCPSAGA_TIMEWAIT_H
#define TCPSAGA_TIMEWAIT_H

#include "tcpsaga.bpf.h"

enum {
	IN_TW_TIMER = 1 << 0,
	IN_SEGMENT = 1 << 1,
};

/* enum tcp_tw_status, include/net/tcp.h */
enum { TW_RST = 1, TW_SYN = 3 };

struct waits {
	__u32 in;
	__u32 substate;	   /* of segment_for before the segment */
	__u64 segment_for; /* the minisocket that last had a segment */
	__u32 verdict;	   /* what became of that segment, enum tcp_tw_status */
	__u32 pad;
	__u64 given_to_connect; /* the minisocket whose tuple connect() got last */
	__u64 closing;		/* the socket that asks for one */
};

struct waits_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct waits);
};

extern struct waits_map waits SEC(".maps");

static __always_inline struct waits *my_waits(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&waits, &zero);
}

/* Room for a record about this socket or minisocket, if it is wanted. */
static __always_inline struct ev_timewait *wait_record(const struct sock_common *c, __u8 phase)
{
	__u16 local_port = COMMON(c, skc_num), remote_port = bpf_ntohs(COMMON(c, skc_dport));
	__u32 netns = netns_of(c);
	struct ev_timewait *r;

	if (!filter_passes(c, netns, local_port, remote_port, true))
		return NULL;
	r = reserve(EV_TIMEWAIT, sizeof(*r));
	if (!r)
		return NULL;
	r->conn_id = 0;
	r->netns = netns;
	r->family = COMMON(c, skc_family);
	r->phase = phase;
	r->substate = EV_TIME_WAIT;
	r->end = EV_WAIT_END_NONE;
	r->local_port = local_port;
	r->remote_port = remote_port;
	r->by_address = 0;
	r->pad[0] = r->pad[1] = r->pad[2] = 0;
	put_addresses(r->local, r->remote, c);
	return r;
}

static __always_inline void wait_begins(struct sock *sk, __u32 substate,
					const struct inet_timewait_sock *tw)
{
	struct ev_timewait *r;
	__u16 flags = 0;

	if (GET(sk, sk_protocol) != IPPROTO_TCP)
		return;
	r = wait_record(&sk->__sk_common, tw ? EV_WAIT_BEGIN : EV_WAIT_REFUSED);
	if (!r)
		return;
	put_conn_id(&r->conn_id, &flags, sk, false);
	r->by_address = !!(flags & EV_F_ID_IS_ADDRESS);
	r->substate = substate;
	submit(r);
}

/* Promotion and end: the minisocket has the cookie of its socket. */
static __always_inline void send_wait(const struct inet_timewait_sock *tw, __u8 phase, __u8 substate,
				      __u8 end)
{
	struct ev_timewait *r = wait_record(&tw->__tw_common, phase);

	if (!r)
		return;
	if (setting(HAVE_SOCKET_COOKIE))
		r->conn_id = GET(tw, __tw_common.skc_cookie.counter);
	r->substate = substate;
	r->end = end;
	submit(r);
}

static __always_inline void segment_comes(const struct inet_timewait_sock *tw)
{
	struct waits *in = my_waits();

	if (!in)
		return;
	in->in |= IN_SEGMENT;
	in->segment_for = (__u64)tw;
	in->substate = GET(tw, tw_substate);
	in->verdict = 0;
}

/* A minisocket that this segment killed is forgotten: it may be gone by now. */
static __always_inline void segment_done(const struct inet_timewait_sock *tw, __u32 verdict)
{
	struct waits *in = my_waits();

	if (!in)
		return;
	in->in &= ~IN_SEGMENT;
	if (!tw || in->segment_for != (__u64)tw)
		return;
	in->verdict = verdict;
	if (in->substate == EV_FIN_WAIT2 && GET(tw, tw_substate) == EV_TIME_WAIT)
		send_wait(tw, EV_WAIT_PROMOTED, EV_TIME_WAIT, EV_WAIT_END_NONE);
}

static __always_inline void tuple_given(const void *tw, bool given)
{
	struct waits *in = my_waits();

	if (in)
		in->given_to_connect = given ? (__u64)tw : 0;
}

static __always_inline void tw_timer(bool begins)
{
	struct waits *in = my_waits();

	if (in)
		in->in = begins ? in->in | IN_TW_TIMER : in->in & ~IN_TW_TIMER;
}

static __always_inline __u8 why_killed(const struct waits *in, const struct inet_timewait_sock *tw)
{
	if (in->in & IN_TW_TIMER)
		return EV_WAIT_EXPIRED;
	if (in->segment_for == (__u64)tw) {
		if (in->in & IN_SEGMENT)
			return EV_WAIT_RESET;
		if (in->verdict == TW_SYN)
			return EV_WAIT_NEW_SYN;
		if (in->verdict == TW_RST)
			return EV_WAIT_ABORTED;
	}
	if (in->given_to_connect == (__u64)tw)
		return EV_WAIT_REUSED;
	return EV_WAIT_KILLED;
}

static __always_inline void wait_ends(const struct inet_timewait_sock *tw)
{
	struct waits *in = my_waits();

	if (!in)
		return;
	send_wait(tw, EV_WAIT_END, GET(tw, tw_substate), why_killed(in, tw));
	if (in->segment_for == (__u64)tw)
		in->segment_for = 0;
	if (in->given_to_connect == (__u64)tw)
		in->given_to_connect = 0;
}

#endif
