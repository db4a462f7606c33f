// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Minisockets by fentry and fexit. timewait.h tells the story; here stands
 * only which argument of which function is what.
 */
#include "timewait.h"

struct waits_map waits SEC(".maps");

SEC("fexit/inet_twsk_alloc")
int BPF_PROG(on_wait_alloc_done, struct sock *sk, void *death_row, int state, struct inet_timewait_sock *tw)
{
	wait_begins(sk, (__u32)state, tw);
	return 0;
}

SEC("fentry/tcp_timewait_state_process")
int BPF_PROG(on_wait_segment, struct inet_timewait_sock *tw)
{
	segment_comes(tw);
	return 0;
}

/* It returns behind its arguments: three up to 6.1, four on 6.12, then five. */
SEC("fexit/tcp_timewait_state_process")
int BPF_PROG(on_wait_segment_done, struct inet_timewait_sock *tw)
{
	__u32 verdict = setting(TIMEWAIT_ARGS) == 3 ? return_behind(ctx, 3) :
			setting(TIMEWAIT_ARGS) == 4 ? return_behind(ctx, 4) :
						      return_behind(ctx, 5);

	segment_done(tw, verdict);
	return 0;
}

SEC("fexit/tcp_twsk_unique")
int BPF_PROG(on_wait_unique_done, struct sock *sk, struct sock *tw, void *tuple, int ret)
{
	tuple_given(tw, (__u32)ret == 1);
	return 0;
}

SEC("fentry/tw_timer_handler")
int BPF_PROG(on_wait_timer)
{
	tw_timer(true);
	return 0;
}

SEC("fexit/tw_timer_handler")
int BPF_PROG(on_wait_timer_done)
{
	tw_timer(false);
	return 0;
}

SEC("fentry/inet_twsk_kill")
int BPF_PROG(on_wait_kill, struct inet_timewait_sock *tw)
{
	wait_ends(tw);
	return 0;
}
