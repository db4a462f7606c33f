/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What systemd is told (sd_notify(3)): a datagram to $NOTIFY_SOCKET. Without
 * that variable nothing is done, and no library is needed for the rest.
 */
#ifndef TCPSAGA_AGENT_NOTIFY_H
#define TCPSAGA_AGENT_NOTIFY_H

#include <stdint.h>

/* "READY=1\nSTATUS=...". What cannot be sent is not missed. */
void notify__send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* RELOADING=1, with the time that systemd wants beside it. READY=1 ends it. */
void notify__reloading(void);

/* Half of $WATCHDOG_USEC in ns, if that is meant for this process; else 0. */
uint64_t notify__watchdog_ns(void);

#endif
