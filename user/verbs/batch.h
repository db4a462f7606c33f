/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records on their way from the source to the model, some at a time: when many
 * connections are alive, the life that a record is about has to come from the
 * memory, which takes longer than all the rest. Many lives come at once in the
 * time of two.
 *
 * Where few are alive records pass straight through. Nothing is held back
 * longer than the poll that brought it: the session releases what is left.
 */
#ifndef TCPSAGA_VERBS_BATCH_H
#define TCPSAGA_VERBS_BATCH_H

#include "model/model.h"
#include "source/source.h"

enum {
	BATCH_RECORDS = 32,
	BATCH_RECORD_BYTES = 160, /* longer ones are rare, and pass */
};

struct batch {
	unsigned int count;
	uint16_t len[BATCH_RECORDS];
	_Alignas(8) char records[BATCH_RECORDS][BATCH_RECORD_BYTES];
};

/* Whether records are held back: with fewer alive the copy costs more than it saves. */
static inline bool batch__is_worth_it(const struct model *model)
{
	return flow_table__has_many(model__flows(model));
}

/* Holds it back, or first takes those that are. For batch__add(). */
int batch__hold(struct batch *batch, const struct model *model, const void *record, size_t len,
		source_take_fn take, void *context);

/* Takes the record now or with those behind it. Returns 0, or what take()
 * returned first that was not 0; those behind it are taken all the same. */
static inline int batch__add(struct batch *batch, const struct model *model, const void *record,
			     size_t len, source_take_fn take, void *context)
{
	if (!batch__is_worth_it(model) && !batch->count)
		return take(context, record, len);
	return batch__hold(batch, model, record, len, take, context);
}

/* Takes all that are held back; returns the same. */
int batch__release(struct batch *batch, const struct model *model, source_take_fn take, void *context);

#endif
