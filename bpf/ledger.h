/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel's book of the ledger: how many records each CPU wanted to send
 * and how many it could not. Userspace keeps a book of its own of what came,
 * and the two must agree: attempted = delivered + lost.
 */
#ifndef TCPSAGA_LEDGER_H
#define TCPSAGA_LEDGER_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum { LEDGER_KINDS = 32 }; /* kinds that a BPF program sends are below it */

enum { ACCEPT_PROGRAMS = 4 }; /* on_accept and those that stand in for it */

/* Returns of inet_csk_accept(). What no program has told is lost: runs and misses
 * of the first, without those told by any and those that returned no connection. */
struct ledger_accepts {
	__u64 runs;		     /* of the first */
	__u64 told;		     /* by any */
	__u64 none[ACCEPT_PROGRAMS]; /* by each: there was nothing to tell */
};

/* An element of an mmapable array, one per CPU; whole cache lines, so that no
 * two CPUs write the same line. Only ever grows. */
struct ledger_cpu {
	__u64 attempted[LEDGER_KINDS];
	__u64 lost_ring_full[LEDGER_KINDS];
	__u64 lost_simulated[LEDGER_KINDS];
	__u64 nested; /* transitions that on_state missed and a stand-in took */
	struct ledger_accepts accepts;
	__u64 pad;
};

_Static_assert(sizeof(struct ledger_cpu) % 64 == 0, "CPUs would share a cache line");

#endif
