/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel applies of a filter (struct kernel_filter), applied to what
 * does not come from the kernel's programs: rows of its tables. The same rules as
 * filter_passes() in bpf/tcpsaga.bpf.h, so that no row is let in of whose end no
 * record would tell. Pure.
 */
#ifndef TCPSAGA_EVENT_TERMS_H
#define TCPSAGA_EVENT_TERMS_H

#include <stdbool.h>

#include "bpf/event.h"
#include "bpf/settings.h"

bool terms__pass(const struct kernel_filter *terms, const struct ev_socket *socket);

#endif
