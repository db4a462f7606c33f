/* SPDX-License-Identifier: BSD-2-Clause */
/* Applies what another model has told of itself (model/export.h). */
#ifndef TCPSAGA_MODEL_IMPORT_H
#define TCPSAGA_MODEL_IMPORT_H

#include "model/model.h"

/* EV_LIFE, EV_QUEUES, EV_WAIT_GROUP, EV_WAIT and EV_KNOWN; others are passed over.
 * 0 or -ENOMEM. No change comes of it: all of it has been told before. */
int model__import(struct model *model, const struct record *record);

#endif
