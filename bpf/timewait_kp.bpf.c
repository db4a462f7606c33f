// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Minisockets by kprobe and kretprobe, for kernels without BPF trampolines
 * (arm64 before 6.12). timewait.h tells the story, timewait.bpf.c is its twin.
 */
#define PROBE_READS
#include "timewait.h"

SEC("kprobe/inet_twsk_alloc")
int BPF_KPROBE(on_wait_alloc_kp, struct sock *sk, void *death_row, int state)
{
	struct waits *in = my_waits();

	if (in) {
		in->closing = (__u64)sk;
		in->substate = state;
	}
	return 0;
}

SEC("kretprobe/inet_twsk_alloc")
int BPF_KRETPROBE(on_wait_alloc_done_kp, struct inet_timewait_sock *tw)
{
	struct waits *in = my_waits();

	if (in && in->closing)
		wait_begins((struct sock *)in->closing, in->substate, tw);
	return 0;
}

SEC("kprobe/tcp_timewait_state_process")
int BPF_KPROBE(on_wait_segment_kp, struct inet_timewait_sock *tw)
{
	segment_comes(tw);
	return 0;
}

SEC("kretprobe/tcp_timewait_state_process")
int BPF_KRETPROBE(on_wait_segment_done_kp, long ret)
{
	struct waits *in = my_waits();

	if (in)
		segment_done((struct inet_timewait_sock *)in->segment_for, ret);
	return 0;
}

SEC("kprobe/tcp_twsk_unique")
int BPF_KPROBE(on_wait_unique_kp, struct sock *sk, struct sock *tw)
{
	struct waits *in = my_waits();

	if (in)
		in->given_to_connect = (__u64)tw;
	return 0;
}

SEC("kretprobe/tcp_twsk_unique")
int BPF_KRETPROBE(on_wait_unique_done_kp, int ret)
{
	if (ret != 1)
		tuple_given(NULL, false);
	return 0;
}

SEC("kprobe/tw_timer_handler")
int BPF_KPROBE(on_wait_timer_kp)
{
	tw_timer(true);
	return 0;
}

SEC("kretprobe/tw_timer_handler")
int BPF_KRETPROBE(on_wait_timer_done_kp)
{
	tw_timer(false);
	return 0;
}

SEC("kprobe/inet_twsk_kill")
int BPF_KPROBE(on_wait_kill_kp, struct inet_timewait_sock *tw)
{
	wait_ends(tw);
	return 0;
}
