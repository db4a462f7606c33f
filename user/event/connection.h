/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words in which a connection is spoken of: its five-tuple, its states,
 * its role. Shared by everything from the decoder to the views.
 */
#ifndef TCPSAGA_EVENT_CONNECTION_H
#define TCPSAGA_EVENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf/event.h"

/* One end. IPv4 is v4-mapped; port in host order, 0 while unknown. */
struct endpoint {
	uint8_t addr[16];
	uint16_t port;
};

/* Both, in a network namespace, by its inode. */
struct tuple {
	struct endpoint local;
	struct endpoint remote;
	uint32_t netns;
};

static inline struct tuple tuple__of(const uint8_t local[16], uint16_t local_port,
				     const uint8_t remote[16], uint16_t remote_port, uint32_t netns)
{
	struct tuple tuple = { .local.port = local_port, .remote.port = remote_port, .netns = netns };

	memcpy(tuple.local.addr, local, sizeof(tuple.local.addr));
	memcpy(tuple.remote.addr, remote, sizeof(tuple.remote.addr));
	return tuple;
}

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT, /* active open: it was in SYN_SENT */
	ROLE_SERVER, /* passive open: born from a listener */
	ROLE_BOTH,   /* self-connect: both ends are this socket */
	ROLE_LISTENER,
	ROLE_END
};

/* "client", "server", "both", "listener"; NULL for ROLE_UNKNOWN. */
const char *role__name(enum role role);

/* The kernel's name ("SYN_SENT"), "?" for a number that is none. */
const char *state__name(unsigned int state);

enum { NAME_TEXT_ROOM = 16 };

/* Write these names, nothing for ROLE_UNKNOWN, without a NUL, and return the place behind.
 * at has NAME_TEXT_ROOM bytes, all of which may be written. */
char *role__write(char *at, enum role role);
char *state__write(char *at, unsigned int state);

/* The state that a person means by text: the kernel's name or ss's, in any
 * case, with '-' or '_' ("time-wait", "FIN_WAIT2", "fin-wait-2", "estab",
 * "listening", "closed"). 0 when it is none. */
unsigned int state__parse(const char *text, unsigned int len);

/* True for ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
static inline bool addr__is_v4(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(addr, prefix, sizeof(prefix));
}

/* 4 or 6: the family on the wire, which for a v4-mapped address is 4 even if
 * the socket is AF_INET6. The unspecified address (::) of an AF_INET6 socket
 * is 6. */
unsigned int addr__family(const uint8_t addr[16]);

enum { ADDR_TEXT_MAX = 40 };

/* Writes the address without a NUL into out (at least ADDR_TEXT_MAX bytes) and
 * returns the length. IPv4 dotted, IPv6 as in RFC 5952. */
unsigned int addr__format(const uint8_t addr[16], char *out);

#endif
