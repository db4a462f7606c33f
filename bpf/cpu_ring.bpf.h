/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Records that go to the CPU's own ring (cpu_ring.h), or to the common one where they
 * may not. For programs that are not preempted.
 */
#ifndef TCPSAGA_CPU_RING_BPF_H
#define TCPSAGA_CPU_RING_BPF_H

#include "tcpsaga.bpf.h"

extern const volatile __u32 cpu_ring_bytes; /* a power of two; 0: nothing goes there */

/* In the order in which they stand here; the processor's own order is x86's. */
#define barrier() asm volatile("" ::: "memory")

/* Where the next record is made, from the beginning of the ring. */
static __always_inline __u32 place_of_next(const struct cpu_ring *here, __u32 level, __u32 size)
{
	__u64 produced = here->produced;

	if (unlikely(!cpu_ring_bytes || level || here->waits ||
		     produced + size - here->consumed > cpu_ring_bytes))
		return CPU_RING_SPARE + level * CPU_RING_RECORD;
	return CPU_RING_BYTES + (produced & (cpu_ring_bytes - 1));
}

static __always_inline void count_lost(enum ev_kind kind, bool simulated)
{
	struct ledger_cpu *book = book_here();

	if (book)
		__sync_fetch_and_add(
			simulated ? &book->lost_simulated[kind] : &book->lost_ring_full[kind], 1);
}

/* The attempt, where nothing can come between. */
static __always_inline void count_attempt(struct cpu_ring *here, __u32 level, enum ev_kind kind)
{
	struct ledger_cpu *book;

	if (unlikely(level)) {
		book = book_here();
		if (book)
			__sync_fetch_and_add(&book->attempted[kind], 1);
		return;
	}
	here->attempted[kind]++;
}

/* Room for a record of this kind, or NULL; the next thing to do is to send it. */
static __always_inline void *reserve_here(struct cpu_ring *here, enum ev_kind kind, __u32 size)
{
	__u32 level = here->writing, at;
	struct ev_header *header;

	if (unlikely(level >= CPU_RING_LEVELS)) { /* never: nothing comes over a softirq */
		count_attempt(here, level, kind);
		count_lost(kind, false);
		return NULL;
	}
	here->writing = level + 1;
	barrier();
	count_attempt(here, level, kind);
	if (unlikely(is_to_be_lost())) {
		count_lost(kind, true);
		here->writing = level;
		return NULL;
	}
	here->at[level] = place_of_next(here, level, size);
	barrier();
	/* Read back it is a number like any other, and the verifier has one record to
	 * follow instead of one for each place. */
	at = *(volatile __u32 *)&here->at[level];
	if (unlikely(at > CPU_RING_BYTES + cpu_ring_bytes)) /* never; the verifier wants to be told */
		return NULL;
	header = (void *)here + at;
	begin_record(header, kind, size);
	if (!level)
		here->began_ns = header->time_ns;
	return header;
}

static __always_inline void send_here(struct cpu_ring *here, const void *record, enum ev_kind kind,
				      __u32 size)
{
	const struct ev_header *header = record;
	__u32 level = (here->writing - 1) % CPU_RING_LEVELS;

	if (unlikely(here->at[level] < CPU_RING_BYTES)) {
		if (bpf_ringbuf_output(&ring, (void *)record, size, wakeup(here, header->time_ns)))
			count_lost(kind, false);
	} else {
		barrier();
		here->produced += size;
	}
	barrier();
	here->writing = level;
}

/* The number of a namespace stands beside its count of sockets, which other CPUs write all
 * the time; its cookie does not. For who is making a record. */
static __always_inline __u32 netns_here(struct cpu_ring *here, const struct net *net)
{
	__u64 cookie = 0;
	__u32 netns;

	if (bpf_core_field_exists(net->net_cookie) && here->writing == 1)
		cookie = net->net_cookie;
	/* Volatile: the verifier takes no load that is of either. */
	if (cookie && here->netns_cookie == cookie)
		return *(volatile __u32 *)&here->netns;
	netns = net->ns.inum;
	if (cookie) {
		here->netns = netns;
		here->netns_cookie = cookie;
	}
	return netns;
}

#endif
