/* SPDX-License-Identifier: BSD-2-Clause */
/* The view of single events: trace shows it, record keeps what it sees. */
#ifndef TCPSAGA_VERBS_EVENTS_H
#define TCPSAGA_VERBS_EVENTS_H

#include "verbs/view.h"

extern const struct view events_view;

#endif
