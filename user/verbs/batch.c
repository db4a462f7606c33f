// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/batch.h"

#include <string.h>

/* Not decoded yet: a guess that costs nothing where it is wrong. Whatever is
 * about a life has its id in the same place. */
static uint64_t id_in(const struct batch *batch, unsigned int i)
{
	const struct ev_transition *record = (const struct ev_transition *)batch->records[i];

	return record->conn_id;
}

/* Each pass finds in the cache what the one before has sent for: the slots of the ids, the
 * lives, the slots of their tuples, and who stands there. */
static void fetch_all(const struct batch *batch, const struct model *model)
{
	const struct flow_table *flows = model__flows(model);
	uint32_t tuples[BATCH_RECORDS];

	for (unsigned int i = 0; i < batch->count; i++)
		flow_table__fetch(flows, id_in(batch, i));
	for (unsigned int i = 0; i < batch->count; i++)
		tuples[i] = model__foresee_far(model, (const struct ev_header *)batch->records[i]);
	for (unsigned int i = 0; i < batch->count; i++)
		if (tuples[i])
			flow_table__fetch_tuple(flows, tuples[i]);
}

int batch__release(struct batch *batch, const struct model *model, source_take_fn take, void *context)
{
	int first = 0;

	fetch_all(batch, model);
	for (unsigned int i = 0; i < batch->count; i++) {
		int verdict = take(context, batch->records[i], batch->len[i]);

		first = first ? first : verdict;
	}
	batch->count = 0;
	return first;
}

int batch__hold(struct batch *batch, const struct model *model, const void *record, size_t len,
		source_take_fn take, void *context)
{
	bool passes = !batch__is_worth_it(model) || len > BATCH_RECORD_BYTES ||
		      len < sizeof(struct ev_transition);
	int before = passes && batch->count ? batch__release(batch, model, take, context) : 0;
	int verdict;

	if (passes) {
		verdict = take(context, record, len);
		return before ? before : verdict;
	}
	memcpy(batch->records[batch->count], record, len);
	batch->len[batch->count] = (uint16_t)len;
	flow_table__expect(model__flows(model), id_in(batch, batch->count));
	return ++batch->count < BATCH_RECORDS ? 0 : batch__release(batch, model, take, context);
}
