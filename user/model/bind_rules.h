/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the kernel lets a bind() to a port, and the listen() behind it,
 * succeed beside the sockets that hold the port already. Pure.
 *
 * The rules are those of inet_csk_bind_conflict() and inet_rcv_saddr_equal()
 * (net/ipv4/inet_connection_sock.c) for TCP and udp_lib_lport_inuse()
 * (net/ipv4/udp.c) for UDP, from 5.10 to 7.2. The bucket's short cuts
 * (fastreuse, fastreuseport) only remember what these rules say, as long as
 * nobody changes the options of a socket that is bound already.
 *
 * listen() asks the same again with the socket in LISTEN. To the others that
 * makes no difference: what lets bind() pass lets listen() pass.
 */
#ifndef TCPSAGA_MODEL_BIND_RULES_H
#define TCPSAGA_MODEL_BIND_RULES_H

#include <stddef.h>

#include "event/holder.h"

/* The socket that is to be bound. */
struct bind_request {
	uint8_t addr[16]; /* of AF_INET v4-mapped; AF_INET6 may be so too */
	uint16_t port;
	uint8_t protocol;
	uint8_t family;
	uint32_t netns;
	uint32_t uid;
	bool reuseaddr;
	bool reuseport;
	bool v6only;
};

/* What stands in the way besides the holders: found out by whoever asks. */
enum bind_obstacle {
	BIND_CLEAR = 0,
	BIND_NO_IPV6,	      /* EAFNOSUPPORT, of socket() */
	BIND_MAPPED_V6ONLY,   /* EINVAL: a v4-mapped address and IPV6_V6ONLY */
	BIND_LINK_LOCAL,      /* EINVAL: an address that needs an interface */
	BIND_MULTICAST,	      /* EINVAL: TCP over IPv6 has none */
	BIND_PRIVILEGED,      /* EACCES: the port needs CAP_NET_BIND_SERVICE */
	BIND_ADDRESS_FOREIGN, /* EADDRNOTAVAIL: not an address of the namespace */
	BIND_OBSTACLES
};

/* What those depend on. */
struct bind_place {
	enum answer ipv6;	     /* the kernel has it */
	enum answer local;	     /* the address may be bound here */
	uint16_t first_unprivileged; /* ip_unprivileged_port_start */
	bool capable;		     /* whoever binds has CAP_NET_BIND_SERVICE */
};

struct bind_outcome {
	enum answer succeeds;
	int error;		     /* errno where it fails, else 0 */
	enum bind_obstacle obstacle; /* BIND_CLEAR: the holders' fault, or no fault */
	uint32_t conflicts;	     /* holders that are in the way */
	uint32_t doubtful;	     /* those of which it cannot be told */
	bool ends_by_itself;	     /* only minisockets are in the way */
	uint32_t wait_ms;	     /* until the last of those is gone */
	/* UDP with SO_REUSEPORT: the kernel takes the first holder it meets for all
	 * of them, and one would share while another one would not. */
	bool order_decides;
};

/* Would this holder alone be in the way? */
enum answer bind_rules__conflict(const struct bind_request *request, const struct holder *holder);

/* Do the two addresses overlap, with the options' help or without? */
enum answer bind_rules__overlap(const struct bind_request *request, const struct holder *holder);

/* The outcome beside all the holders of the request's port, protocol and
 * namespace; others in the list are passed over. */
void bind_rules__judge(const struct bind_request *request, const struct holder *holders, size_t count,
		       struct bind_outcome *outcome);

/* The first obstacle that the kernel meets (__inet_bind(), __inet6_bind()). What
 * is not known of the place is none. */
enum bind_obstacle bind_rules__obstacle(const struct bind_request *request,
					const struct bind_place *place);

/* The outcome of an obstacle: the holders are not asked any more. */
void bind_rules__refuse(enum bind_obstacle obstacle, struct bind_outcome *outcome);

/* True for 0.0.0.0 and ::, not for ::ffff:0.0.0.0 of AF_INET6. */
bool bind_request__is_wildcard(const struct bind_request *request);

#endif
