/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters of struct ev_netstat by the names that the kernel gives them, as
 * in /proc/net/netstat and nstat. Shared by the source, which reads them, and
 * the views, which show them.
 */
#ifndef TCPSAGA_EVENT_COUNTER_H
#define TCPSAGA_EVENT_COUNTER_H

#include "bpf/event.h"

/* "ListenOverflows"; NULL for a number that is none. */
const char *counter__name(unsigned int counter);

/* "TcpExt" or "Tcp"; NULL for a number that is none. */
const char *counter__group(unsigned int counter);

#endif
