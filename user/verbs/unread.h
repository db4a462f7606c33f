/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies unread at connections that stay in CLOSE_WAIT: a look at the kernel's
 * tables now and then, told as EV_UNREAD records, while there are such connections.
 */
#ifndef TCPSAGA_VERBS_UNREAD_H
#define TCPSAGA_VERBS_UNREAD_H

#include "bpf/settings.h"
#include "model/model.h"
#include "source/tables.h"

struct unread {
	struct tables *tables; /* borrowed: who looks; NULL: this process */
	uint64_t next_ns;      /* boot time: not before */
};

/* One look, if one is due and the model has anything to look for. */
void unread__look(struct unread *unread, const struct model *model, const struct kernel_filter *terms,
		  source_take_fn take, void *context, uint64_t now_ns);

#endif
