/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records on their way from the source to the model, some at a time: when many
 * connections are alive, the life that a record is about has to come from the
 * memory, which takes longer than all the rest. Sixteen lives come at once in
 * the time of two.
 *
 * Where few are alive records pass straight through. Nothing is held back
 * longer than the poll that brought it: the session releases what is left.
 */
#ifndef TCPSAGA_VERBS_BATCH_H
#define TCPSAGA_VERBS_BATCH_H

#include "model/flow_table.h"
#include "source/source.h"

enum {
	BATCH_RECORDS = 16,
	BATCH_RECORD_BYTES = 160, /* longer ones are rare, and pass */
	/* So many lives and their index are as large as a core's own cache;
	 * with fewer the copy costs more than it saves. */
	BATCH_FROM_LIVES = 4096,
};

struct batch {
	unsigned int count;
	uint16_t len[BATCH_RECORDS];
	_Alignas(8) char records[BATCH_RECORDS][BATCH_RECORD_BYTES];
};

/* Holds it back, or first takes those that are. For batch__add(). */
int batch__hold(struct batch *batch, const struct flow_table *flows, const void *record, size_t len,
		source_take_fn take, void *context);

/* Takes the record now or with those behind it. Returns 0, or what take()
 * returned first that was not 0; those behind it are taken all the same. */
static inline int batch__add(struct batch *batch, const struct flow_table *flows, const void *record,
			     size_t len, source_take_fn take, void *context)
{
	if (flows->open < BATCH_FROM_LIVES && !batch->count)
		return take(context, record, len);
	return batch__hold(batch, flows, record, len, take, context);
}

/* Takes all that are held back; returns the same. */
int batch__release(struct batch *batch, const struct flow_table *flows, source_take_fn take,
		   void *context);

#endif
