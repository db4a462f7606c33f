/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model as records: applied to an empty model they make the same one, so that who
 * comes late sees what somebody saw who was there from the start. Pure.
 */
#ifndef TCPSAGA_MODEL_EXPORT_H
#define TCPSAGA_MODEL_EXPORT_H

#include "model/model.h"

/* Takes one record, borrowed for the call. */
typedef void (*export_put_fn)(void *context, const void *record, size_t len);

/*
 * Tells all that the model knows, as of now_ns, which is not before its last record.
 * The last record is EV_KNOWN, with narrowed as told.
 */
void model__export(const struct model *model, uint64_t now_ns, bool narrowed, export_put_fn put,
		   void *context);

#endif
