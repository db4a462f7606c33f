/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Records that go to the CPU's own ring (cpu_ring.h), or to the common one where they
 * may not. For programs that are not preempted.
 */
#ifndef TCPSAGA_CPU_RING_BPF_H
#define TCPSAGA_CPU_RING_BPF_H

#include "tcpsaga.bpf.h"

/* In the order in which they stand here; the processor's own order is x86's. */
#define barrier() asm volatile("" ::: "memory")

/* Where the next record is made, from the beginning of the ring. */
static __always_inline __u32 place_of_next(const struct cpu_ring *here, __u32 level, __u32 size)
{
	__u64 produced = here->produced;

	if (unlikely(!setting(CPU_RING_BYTES) || level || here->waits ||
		     produced + size - here->consumed > setting(CPU_RING_BYTES)))
		return CPU_RING_SPARE + level * CPU_RING_RECORD;
	return CPU_RING_BYTES + (produced & (setting(CPU_RING_BYTES) - 1));
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
	if (unlikely(at > CPU_RING_BYTES + setting(CPU_RING_BYTES))) /* never; the verifier wants to be told */
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

	/* No size is larger; the verifier wants to be told. */
	if (unlikely(here->at[level] < CPU_RING_BYTES && size <= CPU_RING_RECORD)) {
		if (bpf_ringbuf_output(&ring, (void *)record, size, wakeup(here, header->time_ns)))
			count_lost(kind, false);
	} else {
		barrier();
		here->produced += size;
	}
	barrier();
	here->writing = level;
}

/*
 * So long a pointer means what it meant: namespaces, tasks, their credentials and their
 * css_sets are freed a grace period of RCU after their last use, from a callback. That
 * takes milliseconds, and then one that came to the same place would have to be in use
 * here.
 */
#define KNOWN_NS 500000

/* For who is making a record: what is known, or NULL where a softirq has come over its
 * owner. */
static __always_inline struct known *known_here(struct cpu_ring *here)
{
	struct known *known = &here->known;

	if (unlikely(here->writing != 1))
		return NULL;
	if (here->began_ns - known->since_ns > KNOWN_NS) {
		known->since_ns = here->began_ns;
		known->net = 0;
		known->task = 0;
	}
	return known;
}

/* It stands beside the namespace's count of sockets. known may be NULL, here and below. */
static __always_inline __u32 netns_known(struct known *known, const struct net *net)
{
	__u32 netns;

	/* Volatile: the verifier takes no load that is of either. */
	if (known && known->net == (__u64)net)
		return *(volatile __u32 *)&known->netns;
	netns = net->ns.inum;
	if (known) {
		known->netns = netns;
		known->net = (__u64)net;
	}
	return netns;
}

static __always_inline void note_task(struct known *known, const struct ev_owner *owner,
				      const struct task_struct *task, __u64 cred, __u64 css_set)
{
	known->task = (__u64)task;
	known->cred = cred;
	known->css_set = css_set;
	known->cgroup = owner->cgroup;
	known->uid = owner->uid;
	known->start_cs = owner->start_cs;
}

static __always_inline void put_task_known(struct ev_owner *owner, const struct task_struct *task,
					   struct known *known)
{
	const struct task_struct *from = walked(task);
	__u64 cred = (__u64)from->cred;
	__u64 css_set = bpf_core_field_exists(from->cgroups) ? (__u64)from->cgroups : 0;

	put_task_itself(owner, task);
	if (known && known->task == (__u64)task && known->cred == cred && known->css_set == css_set) {
		owner->uid = known->uid;
		owner->start_cs = known->start_cs;
		owner->cgroup = known->cgroup;
		return;
	}
	put_behind_task(owner, from);
	if (known)
		note_task(known, owner, task, cred, css_set);
}

/* The current task, or zeroes when it is not the one that acts. */
static __always_inline void put_owner_known(struct ev_owner *owner, bool acts, struct known *known)
{
	if (!acts)
		__builtin_memset(owner, 0, sizeof(*owner));
	else if (setting(HAVE_SOCKET_COOKIE))
		put_task_known(owner, bpf_get_current_task_btf(), known);
	else
		put_task_by_helpers(owner, setting(MAY_PROBE_READ));
}

#endif
