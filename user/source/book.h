/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's book of the ledger, added up: records attempted, and those lost by
 * reason and kind. Fed by live.c from the ledger map and the programs' misses.
 * Pure.
 */
#ifndef TCPSAGA_SOURCE_BOOK_H
#define TCPSAGA_SOURCE_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/cpu_ring.h"
#include "bpf/event.h"
#include "bpf/ledger.h"

enum { LOST_WAYS = EV_LOSS_REASON_END };

struct book {
	uint64_t attempted;
	uint64_t lost[LOST_WAYS][LEDGER_KINDS];
};

/* Adds what a CPU has counted; sum takes what book__settle() needs of it. */
void book__add_cpu(struct book *book, struct ledger_cpu *sum, const struct ledger_cpu *cpu);

/* Adds the attempts that it has counted in its own ring. */
void book__add_cpu_ring(struct book *book, const struct cpu_ring *ring);

/* lost[EV_LOST_RECURSION] holds how often each kind's programs were skipped, of
 * on_state and on_accept the first: takes out what another one has told, and
 * counts the rest as attempted. accept_is_function: programs of accept() are those
 * of inet_csk_accept(), which stand in for each other. */
void book__settle(struct book *book, const struct ledger_cpu *sum, bool accept_is_function);

uint64_t book__lost(const struct book *book, uint32_t reason);

/* The law: attempted = delivered + lost. */
bool book__is_balanced(const struct book *book, uint64_t delivered);

/* No program has missed more than in the other book: what is counted between two
 * events of the kernel may be a miss in one and, told late, none in the next. What
 * found no room is lost at once. */
void book__lessen(struct book *book, const struct book *other);

/* How many more are lost now than have been told, 0 when none; they are told then. */
uint64_t book__untold(struct book *told, const struct book *now, uint32_t reason, uint32_t kind);

#endif
