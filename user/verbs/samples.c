// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/samples.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "source/snapshot.h"

enum {
	/* No more than a hundredth of a core for reading tables that change little. */
	DUMP_SHARE = 100,
	DUMP_MS_LEAST = 1000,
};

void samples__listeners(struct session *session)
{
	unsigned int extras = session->sampled ? 0 : SNAPSHOT_OWNERS;
	int err;

	if (session->fed)
		return;
	if (!session->sampled || !session__has_hook(session, "syn"))
		extras |= SNAPSHOT_REQUESTS;
	err = snapshot__take(session->terms.netns, extras, session__take_rest, session);
	if (err && !session->sampled)
		log__line("listeners that existed before are not known: %s",
			  err == -ENOENT ? "this kernel has no tcp_diag (modprobe tcp_diag)" :
					   strerror(-err));
	session->sampled = true;
}

void samples__once(struct session *session)
{
	int err;

	if (session->fed || session->sampled)
		return;
	session->sampled = true;
	err = snapshot__all(&session->terms, SNAPSHOT_OWNERS, session__take_rest, session);
	if (err)
		log__line("the kernel's tables cannot be read: %s",
			  err == -ENOENT ? "this kernel has no tcp_diag (modprobe tcp_diag)" :
					   strerror(-err));
}

void samples__sockets(struct session *session, uint64_t now_ns)
{
	bool first = !session->sampled;
	uint32_t states = first ? SOCKET_STATES : 1U << EV_FIN_WAIT2 | 1U << EV_TIME_WAIT;
	int err;

	if (session->fed || now_ns < session->next_dump_ns)
		return;
	if (first)
		samples__listeners(session);
	err = snapshot__sockets(&session->terms, states, first ? SNAPSHOT_OWNERS : 0, session__take_rest,
				session);
	if (err && first)
		log__line("connections that existed before are not known: %s", strerror(-err));
	session->next_dump_ns = clock__boot_ns();
	session->next_dump_ns += (session->next_dump_ns - now_ns) * DUMP_SHARE;
	if (session->next_dump_ns < now_ns + DUMP_MS_LEAST * NS_PER_MS)
		session->next_dump_ns = now_ns + DUMP_MS_LEAST * NS_PER_MS;
	if (session__has_hook(session, "timewait"))
		session->next_dump_ns = UINT64_MAX;
}
