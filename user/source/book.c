// SPDX-License-Identifier: BSD-2-Clause
#include "source/book.h"

void book__add_cpu(struct book *book, struct ledger_cpu *sum, const struct ledger_cpu *cpu)
{
	for (int kind = 0; kind < LEDGER_KINDS; kind++) {
		book->attempted += cpu->attempted[kind];
		book->lost[EV_LOST_RING_FULL][kind] += cpu->lost_ring_full[kind];
		book->lost[EV_LOST_SIMULATED][kind] += cpu->lost_simulated[kind];
	}
	sum->nested += cpu->nested;
	sum->accepts.runs += cpu->accepts.runs;
	sum->accepts.told += cpu->accepts.told;
	for (int program = 0; program < ACCEPT_PROGRAMS; program++)
		sum->accepts.none[program] += cpu->accepts.none[program];
}

void book__add_cpu_ring(struct book *book, const struct cpu_ring *ring)
{
	for (int kind = 0; kind < CPU_RING_KINDS; kind++)
		book->attempted += ring->attempted[kind];
}

static uint64_t less(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

/* Whoever of them was not skipped has seen a call that returned nothing. */
static uint64_t missed_accepts(const struct ledger_accepts *accepts, uint64_t skipped)
{
	uint64_t none = 0;

	for (int program = 0; program < ACCEPT_PROGRAMS; program++)
		if (accepts->none[program] > none)
			none = accepts->none[program];
	return less(accepts->runs + skipped, accepts->told + none);
}

void book__settle(struct book *book, const struct ledger_cpu *sum, bool accept_is_function)
{
	uint64_t *missed = book->lost[EV_LOST_RECURSION];

	missed[EV_TRANSITION] = less(missed[EV_TRANSITION], sum->nested);
	if (accept_is_function)
		missed[EV_ACCEPT] = missed_accepts(&sum->accepts, missed[EV_ACCEPT]);
	book->attempted += book__lost(book, EV_LOST_RECURSION);
}

uint64_t book__lost(const struct book *book, uint32_t reason)
{
	uint64_t sum = 0;

	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		sum += book->lost[reason][kind];
	return sum;
}

bool book__is_balanced(const struct book *book, uint64_t delivered)
{
	uint64_t lost = 0;

	for (uint32_t reason = 1; reason < LOST_WAYS; reason++)
		lost += book__lost(book, reason);
	return book->attempted == delivered + lost;
}

void book__lessen(struct book *book, const struct book *other)
{
	uint64_t *missed = book->lost[EV_LOST_RECURSION];

	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		if (missed[kind] > other->lost[EV_LOST_RECURSION][kind])
			missed[kind] = other->lost[EV_LOST_RECURSION][kind];
}

uint64_t book__untold(struct book *told, const struct book *now, uint32_t reason, uint32_t kind)
{
	uint64_t more = less(now->lost[reason][kind], told->lost[reason][kind]);

	told->lost[reason][kind] += more;
	return more;
}
