/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings of struct ev_settings by the names that sysctl gives them.
 */
#ifndef TCPSAGA_EVENT_SETTING_H
#define TCPSAGA_EVENT_SETTING_H

#include "bpf/event.h"

/* "net.ipv4.tcp_tw_reuse"; NULL for a number that is none, and for what is not a
 * sysctl of its own (EV_SET_PORT_LOW and the like). */
const char *setting__name(unsigned int setting);

/* Its last part: "tcp_tw_reuse". What is not a sysctl of its own has one, too:
 * "port_low", "ephemeral_ports". */
const char *setting__word(unsigned int setting);

#endif
