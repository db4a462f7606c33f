// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/holdups.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "model/bind_rules.h"
#include "source/holders.h"

enum {
	/* A look walks all connections of a namespace: a fiftieth of a core at most. */
	LOOK_SHARE = 50,
	TOLD_MAX = 4, /* kinds of holders */
};

void holdups__see(struct holdups *holdups, const struct change *change)
{
	const struct ev_bind *bind = change->bind;

	if (change->kind != CHANGE_BIND || bind->error != EADDRINUSE || !bind->port ||
	    holdups->count == HOLDUPS_MAX)
		return;
	for (unsigned int i = 0; i < holdups->count; i++)
		if (holdups->asked[i].netns == bind->netns && holdups->asked[i].port == bind->port &&
		    holdups->asked[i].protocol == bind->protocol &&
		    !memcmp(holdups->asked[i].local, bind->local, sizeof(bind->local)))
			return;
	holdups->asked[holdups->count++] = *bind;
}

static struct bind_request request_of(const struct ev_bind *bind)
{
	struct bind_request request = {
		.port = bind->port,
		.protocol = bind->protocol,
		.family = bind->family,
		.netns = bind->netns,
		.uid = bind->owner.uid,
		.reuseaddr = bind->options & EV_BIND_REUSEADDR,
		.reuseport = bind->options & EV_BIND_REUSEPORT,
		.v6only = bind->options & EV_BIND_V6ONLY,
	};

	memcpy(request.addr, bind->local, sizeof(request.addr));
	return request;
}

/* Listeners first, what ends by itself last. */
static unsigned int rank(const struct holder *holder)
{
	if (holder->mini)
		return 3;
	return holder->state == EV_LISTEN ? 0 : holder->state == EV_STATE_CLOSE ? 1 : 2;
}

struct kind {
	const struct holder *first;
	uint32_t count;
	uint32_t expires_ms;
};

/* Into the list by rank; the last one falls out when it is full. */
static unsigned int add_kind(struct kind kinds[TOLD_MAX], unsigned int count, const struct holder *holder)
{
	unsigned int at = 0;

	while (at < count && rank(kinds[at].first) <= rank(holder))
		at++;
	if (at == TOLD_MAX)
		return count;
	count -= count == TOLD_MAX;
	memmove(&kinds[at + 1], &kinds[at], (count - at) * sizeof(kinds[0]));
	kinds[at] = (struct kind){ .first = holder };
	return count + 1;
}

static void count_holder(struct kind kinds[TOLD_MAX], unsigned int *count, const struct holder *holder)
{
	unsigned int i = 0;

	while (i < *count && !holder__alike(kinds[i].first, holder))
		i++;
	if (i == *count)
		*count = add_kind(kinds, *count, holder);
	for (i = 0; i < *count; i++) {
		if (!holder__alike(kinds[i].first, holder))
			continue;
		kinds[i].count++;
		if (holder->expires_ms > kinds[i].expires_ms)
			kinds[i].expires_ms = holder->expires_ms;
	}
}

static struct ev_holder record_of(const struct ev_bind *bind, uint64_t now_ns)
{
	struct ev_holder record = {
		.header = { .len = sizeof(record),
			    .version = EV_VERSION,
			    .kind = EV_HOLDER,
			    .time_ns = now_ns },
		.refused_ns = bind->header.time_ns,
		.netns = bind->netns,
		.local_port = bind->port,
		.protocol = bind->protocol,
	};

	memcpy(record.asked, bind->local, sizeof(record.asked));
	return record;
}

static struct ev_holder record_of_kind(struct ev_holder record, const struct kind *kind)
{
	const struct holder *holder = kind->first;

	record.count = kind->count;
	record.uid = holder->uid;
	record.expires_ms = kind->expires_ms;
	record.remote_port = holder->remote.port;
	record.family = holder->family;
	record.state = holder->state;
	record.mini = holder->mini;
	record.reuseaddr = holder->reuseaddr;
	record.reuseport = holder->reuseport;
	memcpy(record.local, holder->local.addr, sizeof(record.local));
	memcpy(record.remote, holder->remote.addr, sizeof(record.remote));
	record.owner = holder->owner;
	return record;
}

/* A socket that is refused listen() holds the port by its own bind(). */
static bool is_own(const struct ev_bind *bind, const struct holder *holder)
{
	return bind->call == EV_CALL_LISTEN && holder->state == EV_STATE_CLOSE &&
	       holder->owner.pid == bind->owner.pid;
}

static void tell_holders(const struct ev_bind *bind, const struct holders *holders, source_take_fn take,
			 void *context)
{
	const struct bind_request request = request_of(bind);
	const struct ev_holder record = record_of(bind, clock__boot_ns());
	struct kind kinds[TOLD_MAX];
	unsigned int count = 0;

	for (size_t i = 0; i < holders->count; i++) {
		const struct holder *holder = &holders->list[i];

		if (holder->protocol == bind->protocol && holder->netns == bind->netns &&
		    !is_own(bind, holder) && bind_rules__conflict(&request, holder) != ANSWER_NO)
			count_holder(kinds, &count, holder);
	}
	if (!count)
		take(context, &record, sizeof(record));
	for (unsigned int i = 0; i < count; i++) {
		const struct ev_holder told = record_of_kind(record, &kinds[i]);

		take(context, &told, sizeof(told));
	}
}

void holdups__look(struct holdups *holdups, source_take_fn take, void *context, uint64_t now_ns)
{
	struct ev_bind bind;
	struct holders holders;

	if (!holdups->count || now_ns < holdups->next_ns)
		return;
	bind = holdups->asked[0];
	memmove(&holdups->asked[0], &holdups->asked[1], --holdups->count * sizeof(bind));
	/* Where it cannot look it tells nothing: that is not nobody. */
	if (!tables__holders(holdups->tables, &holders, bind.port, bind.netns)) {
		tell_holders(&bind, &holders, take, context);
		holders__fini(&holders);
	}
	holdups->next_ns = now_ns + (clock__boot_ns() - now_ns) * LOOK_SHARE;
}
