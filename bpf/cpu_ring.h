/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Each CPU's own ring of records, beside the kernel's ring that all share: where
 * records come thick and fast, the lock and the lines of the common one are what
 * they cost. Only programs that nothing but a softirq can come over write here.
 *
 * A record is made in its place and is there when `produced` has grown by its
 * length. What finds no place here goes to the common ring: of a softirq that has
 * come over a program, when this one is full, and when the reader sleeps and wants
 * to be woken. The reader merges all rings by time.
 *
 * Stores are seen by the reader in their order on x86 only; elsewhere nothing is
 * written here (rings.c), but `writing` and `began_ns` are kept.
 */
#ifndef TCPSAGA_CPU_RING_H
#define TCPSAGA_CPU_RING_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "event.h"

enum {
	CPU_RING_RECORD = 192, /* bytes; no record is longer */
	CPU_RING_LEVELS = 2,   /* a task and a softirq; or a softirq alone */
	CPU_RING_KINDS = EV_CLOSE + 1,
};

/* The last transition that a program has told, on one of the levels (state.bpf.c). */
struct told {
	__u64 sk;
	__u32 states;
	__u32 pad;
};

/* What was found behind pointers, on the first level: who has the same pointer a moment
 * later need not follow it, through lines that other CPUs write all the time. */
struct known {
	__u64 since_ns; /* the oldest of it */
	__u64 net;	/* 0: none */
	__u64 task;	/* 0: none */
	__u64 cred;	/* of the task, as the others */
	__u64 css_set;
	__u64 cgroup;
	__u32 netns;
	__u32 uid;
	__u32 start_cs;
	__u32 pad;
};

/* What stands before the records. */
struct cpu_ring {
	/* Of the programs on this CPU. */
	__u64 produced; /* bytes so far */
	__u64 began_ns; /* the time of the last record on the first level, and */
	__u32 writing;	/* levels that are at work: no record that is still to come is older */
	__u32 at[CPU_RING_LEVELS]; /* where they make it, in bytes from the beginning of this */
	__u32 pad;
	struct told told[CPU_RING_LEVELS];
	struct known known;
	__u64 attempted[CPU_RING_KINDS]; /* on the first level; the ledger has the others */
	__u64 pad1[3];
	/* Of the reader. */
	__u64 consumed; /* bytes so far */
	__u32 waits;	/* it sleeps: wake it, and say 0 here */
	__u32 pad2;
	__u64 pad3[6];
	/* Where a record is made that goes to the common ring. */
	__u8 spare[CPU_RING_LEVELS][CPU_RING_RECORD];
	/* From here on: the bytes, a power of two of them, then room for the end of the
	 * last record, so that none is in two pieces. */
};

enum {
	CPU_RING_SPARE = __builtin_offsetof(struct cpu_ring, spare),
	CPU_RING_BYTES = sizeof(struct cpu_ring),
};

_Static_assert(__builtin_offsetof(struct cpu_ring, consumed) % 64 == 0,
	       "reader and programs share a line");
_Static_assert(sizeof(struct cpu_ring) % 64 == 0, "records begin in the middle of a line");

#endif
