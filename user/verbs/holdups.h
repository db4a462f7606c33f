/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who was in the way of a refused bind() or listen(): a look at the kernel's
 * tables soon after, told as EV_HOLDER records.
 */
#ifndef TCPSAGA_VERBS_HOLDUPS_H
#define TCPSAGA_VERBS_HOLDUPS_H

#include "bpf/event.h"
#include "model/model.h"
#include "source/tables.h"

/* Refusals that wait for a look; those beyond have none. */
enum { HOLDUPS_MAX = 16 };

struct holdups {
	struct tables *tables; /* borrowed: who looks; NULL: this process */
	unsigned int count;
	struct ev_bind asked[HOLDUPS_MAX];
	uint64_t next_ns; /* boot time: not before */
};

/* A change: if it is a refusal for which somebody may be in the way, it waits. */
void holdups__see(struct holdups *holdups, const struct change *change);

/* One look, if one is due: hands out what it found. */
void holdups__look(struct holdups *holdups, source_take_fn take, void *context, uint64_t now_ns);

#endif
