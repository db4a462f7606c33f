/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From untrusted bytes to a validated record. Fed by every source (ring,
 * recording, control socket); nothing behind it looks at raw bytes.
 */
#ifndef TCPSAGA_EVENT_DECODE_H
#define TCPSAGA_EVENT_DECODE_H

#include <stddef.h>

#include "bpf/event.h"

/*
 * A record by its parts. A part that the kind does not have is NULL, so that a
 * reader asks for what it needs and not for the kind.
 *
 * Borrowed: all point into the bytes that were decoded, which may be ring
 * memory and be reused when the callback returns.
 */
struct record {
	const struct ev_header *header;		/* never NULL */
	const struct ev_transition *transition; /* every kind of transition */
	const struct ev_place *place;
	const struct ev_owner *owner; /* NULL also where the owner is not known */
	const struct ev_totals *totals;
	const struct ev_birth *birth;
	const struct ev_handshake *handshake; /* EV_SYN, EV_HANDSHAKE, EV_ADMITTED */
	const struct ev_accept *accept;
	const struct ev_timewait *timewait;
	const struct ev_bind *bind;
	const struct ev_loss *loss;
	const struct ev_stop *stop;
	const struct ev_listener *listener;
	const struct ev_sampled *sampled;
	const struct ev_netstat *netstat;
	const struct ev_socket *socket;
	const struct ev_dump *dump;
	const struct ev_cgroup *cgroup;
	const struct ev_settings *settings;
	const struct ev_holder *holder;
	const struct ev_unread *unread;
	const struct ev_life *life;
	const struct ev_queues *queues;
	const struct ev_wait_group *wait_group;
	const struct ev_wait *wait;
	const struct ev_known *known;
};

/*
 * Decodes the record in data, which must be 8-byte aligned and is exactly len
 * bytes long. Returns 0, or
 *   -EBADMSG  malformed: a length that is not the kind's, a state out of
 *             range, flags unknown, padding not zero
 *   -ENOTSUP  a version or kind from the future; header is set
 */
int record__decode(struct record *record, const void *data, size_t len);

/* The bytes that a record of this kind has, 0 for an unknown kind. */
size_t record__size(unsigned int kind);

#endif
