// SPDX-License-Identifier: BSD-2-Clause
/* The rules, in the order in which they look: a cause before what it explains. */
#include "findings/rules.h"

const struct rule *const rules[] = {
	&timewait_storm_client, &timewait_storm_server, &ephemeral_ports_exhausted,
	&ephemeral_ports_low,	&timewait_table_full,	&close_wait_leak,
	&fin_wait2_pileup,	&accept_queue_overflow, &syn_flood,
	&syn_queue_overflow,	&slow_acceptor,		&handshake_slow,
	&connect_refused,	&connect_timeout,	&reset_storm,
	&bind_conflict,
};

const unsigned int rules_count = sizeof(rules) / sizeof(rules[0]);

_Static_assert(sizeof(rules) / sizeof(rules[0]) <= RULES_MAX, "engine.values has a row for each");
