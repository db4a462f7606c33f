/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much has happened since the start: every change is counted once, where it
 * happens, so that a count never goes back, whatever the tables forget. For
 * metrics. Pure.
 *
 * Bounded: listeners are counted in TALLY_LISTENERS rows by what they are
 * called (namespace, port, process), and all others together in one more. A row
 * is kept as long as an open listener is called so; who is new takes a free
 * one, or that of a listener at which nothing happened for TALLY_IDLE_NS.
 */
#ifndef TCPSAGA_MODEL_TALLY_H
#define TCPSAGA_MODEL_TALLY_H

#include "base/durations.h"
#include "model/model.h"

enum {
	TALLY_LISTENERS = 20,
	TALLY_OTHER = TALLY_LISTENERS, /* the row of all others */
};

#define TALLY_IDLE_NS (300 * 1000000000ULL)

struct tally_listener {
	bool used;
	bool seen; /* while rows are settled */
	uint16_t port;
	uint32_t netns;
	char comm[EV_COMM_BYTES]; /* NUL-padded; empty: not known */
	uint64_t last_ns;	  /* of its last event, 0: none yet */
	uint64_t syns;
	uint64_t dropped; /* SYNs and third ACKs */
	uint64_t accepted;
};

struct tally {
	const struct model *model; /* borrowed */
	uint64_t transitions[EV_STATE_END][EV_STATE_END];
	uint64_t steps[EV_OUTCOME_END]; /* SYNs and handshakes */
	uint64_t dropped[EV_DROP_END];	/* SYNs, by cause */
	uint64_t accepts;
	uint64_t waits[EV_WAIT_PHASE_END];
	uint64_t wait_ends[EV_WAIT_END_END];
	uint64_t lost[EV_LOSS_REASONS_MAX];

	/* Connections that ended. */
	uint64_t ended[HOW_END];
	uint64_t closed_first[ROLE_END][CLOSED_FIRST_END];
	uint64_t incomplete;
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t retransmits;
	struct durations lasted;
	struct durations handshake[ROLE_END];
	struct durations accept_wait;

	struct tally_listener listeners[TALLY_LISTENERS + 1];
	uint32_t folded; /* open listeners that share the last row; by tally__settle() */
};

void tally__init(struct tally *tally, const struct model *model);

/* Behind the model__apply() that gave the change. */
void tally__count(struct tally *tally, const struct change *change);

/* Frees the rows of listeners that are gone, and gives free ones to those that
 * have none: before they are shown. */
void tally__settle(struct tally *tally);

/* The row in which a listener is counted: TALLY_OTHER when it has none. */
unsigned int tally__row(const struct tally *tally, const struct listener *listener);

#endif
