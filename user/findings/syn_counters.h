/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Full SYN queues on a host where no SYN is seen: what the counters of a namespace
 * and the sampled queues of its listeners say, and no more.
 */
#ifndef TCPSAGA_FINDINGS_SYN_COUNTERS_H
#define TCPSAGA_FINDINGS_SYN_COUNTERS_H

#include "findings/rules.h"

/* The looks of syn-flood and syn-queue-overflow there; flood looks first. */
void syn_counters__flood(struct look *look, double full, double syns, double completed_percent);
void syn_counters__overflow(struct look *look, double full, double completed_percent);

#endif
