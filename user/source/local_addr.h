/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a network namespace has an address, asked over rtnetlink: whether
 * bind() may take it. Everything is that of the calling thread's namespace.
 */
#ifndef TCPSAGA_SOURCE_LOCAL_ADDR_H
#define TCPSAGA_SOURCE_LOCAL_ADDR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * May a socket bind the address, v4-mapped for IPv4? Asked is what
 * inet_addr_type() and ipv6_chk_addr() ask: local, broadcast and multicast
 * addresses, for IPv6 one that an interface has and that is no longer
 * tentative. Settings that lift the rule (ip_nonlocal_bind) are not looked at.
 * 0 with *local written, or
 *   -ENODATA  the namespace has no IPv4 address: then it cannot be told
 *   -errno    of rtnetlink
 */
int local_addr__check(const uint8_t addr[16], bool *local);

/* False where IPv6 is not built in, or off since boot (ipv6.disable=1). */
bool local_addr__has_ipv6(void);

#endif
