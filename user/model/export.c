// SPDX-License-Identifier: BSD-2-Clause
#include "model/export.h"

#include <string.h>

#include "model/parts.h"

/* A child whose second record has not come within this time was held in vain. */
#define CHILD_HELD_NS 1000000000ULL

struct export
{
	const struct model *model;
	uint64_t now_ns;
	export_put_fn put;
	void *context;
};

static struct ev_header header_of(const struct export *export, enum ev_kind kind, size_t len)
{
	return (struct ev_header){
		.len = (__u16)len, .version = EV_VERSION, .kind = (__u8)kind, .time_ns = export->now_ns
	};
}

static void put_owner(const struct export *export, struct ev_owner *out, uint32_t index)
{
	const struct owner *owner = owners__get(&export->model->flows.owners, index);

	if (!owner)
		return;
	out->pid = out->tid = owner->pid;
	out->uid = owner->uid;
	out->cgroup = owner->cgroup;
	out->start_cs = (uint32_t)owner->start_cs;
	memcpy(out->comm, owner->comm, sizeof(out->comm));
}

/* ---- namespaces and cgroups ---- */

/* In the order in which they were told: it is that in which they are forgotten. */
static void tell_cgroups(const struct export *export)
{
	const struct cgroups *cgroups = &export->model->cgroups;

	for (uint32_t i = 0; i < CGROUPS_MAX; i++) {
		const struct cgroup *cgroup = &cgroups->all[(cgroups->next + i) % CGROUPS_MAX];
		struct ev_cgroup told = { .header = header_of(export, EV_CGROUP, sizeof(told)),
					  .id = cgroup->id,
					  .cut = cgroup->cut };

		if (!cgroup->id)
			continue;
		memcpy(told.path, cgroup->path, cgroup->len);
		export->put(export->context, &told, sizeof(told));
	}
}

static void tell_counters(const struct export *export, const struct namespace *ns, uint64_t time_ns,
			  const uint64_t counters[EV_COUNTER_END])
{
	struct ev_netstat told = { .header = header_of(export, EV_NETSTAT, sizeof(told)),
				   .netns = ns->netns,
				   .known = ns->known };

	told.header.time_ns = time_ns;
	for (unsigned int i = 0; i < EV_COUNTER_END; i++)
		told.counters[i] = namespace__knows(ns, i) ? counters[i] : 0;
	export->put(export->context, &told, sizeof(told));
}

static void tell_namespaces(const struct export *export)
{
	const struct model *model = export->model;

	for (uint32_t i = 0; i < model->settings_count; i++)
		export->put(export->context, &model->settings[i], sizeof(model->settings[i]));
	for (uint32_t i = 0; i < model->dump_count; i++) {
		struct ev_dump told = model->dumps[i];

		/* How the namespace is set, and nothing that is to be compared. */
		told.states = 1U << EV_LISTEN;
		export->put(export->context, &told, sizeof(told));
	}
	for (uint32_t i = 0; i < model->namespaces.used; i++) {
		const struct namespace *ns = &model->namespaces.all[i];

		if (ns->gone)
			continue;
		tell_counters(export, ns, ns->first_ns, ns->first);
		tell_counters(export, ns, ns->last_ns, ns->last);
	}
}

static void tell_listeners(const struct export *export)
{
	const struct listeners *listeners = &export->model->listeners;

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		struct ev_queues told = { .header = header_of(export, EV_QUEUES, sizeof(told)) };

		if (!listener)
			continue;
		listener__tell(listener, &told);
		put_owner(export, &told.owner, listener->owner);
		export->put(export->context, &told, sizeof(told));
	}
}

/* ---- minisockets ---- */

static void tell_group(const struct export *export, uint32_t index)
{
	const struct wait_group *group = &export->model->waits.groups[index];
	struct ev_wait_group told = {
		.header = header_of(export, EV_WAIT_GROUP, sizeof(told)),
		.begun = group->begun,
		.short_lived = group->short_lived,
		.measured = group->measured,
		.refused = group->refused,
		.rate_second = group->rate_second,
		.first_second = group->first_second,
		.netns = group->netns,
		.index = index,
		.role = group->role,
		.service_port = group->service.port,
	};

	memcpy(told.ended, group->ended, sizeof(group->ended));
	memcpy(told.per_second, group->per_second, sizeof(group->per_second));
	memcpy(told.service, group->service.addr, sizeof(told.service));
	put_owner(export, &told.owner, group->owner);
	export->put(export->context, &told, sizeof(told));
}

static void tell_wait(const struct export *export, const struct wait_entry *entry)
{
	struct ev_wait told = {
		.header = header_of(export, EV_WAIT, sizeof(told)),
		.netns = entry->netns,
		.group = entry->group,
		.began = entry->began,
		.local_port = entry->local_port,
		.remote_port = entry->remote_port,
		.substate = entry->substate,
		.flags = entry->flags & (uint8_t)~WAIT_SEEN,
	};

	memcpy(told.local, entry->local, sizeof(told.local));
	memcpy(told.remote, entry->remote, sizeof(told.remote));
	export->put(export->context, &told, sizeof(told));
}

/* Those that expire by the clock keep their order. */
static void tell_waits(const struct export *export)
{
	const struct timewaits *waits = &export->model->waits;
	const struct wait_entry *entry;

	for (uint32_t i = 0; i < waits->group_count; i++)
		tell_group(export, i);
	for (uint32_t i = timewaits__first_queued(waits); i != UINT32_MAX;
	     i = timewaits__next_queued(waits, i)) {
		entry = timewaits__at(waits, i);
		if (entry)
			tell_wait(export, entry);
	}
	for (uint32_t i = 0; i < waits->used; i++) {
		entry = timewaits__at(waits, i);
		if (entry && !(entry->flags & WAIT_QUEUED))
			tell_wait(export, entry);
	}
}

/* ---- connections ---- */

static enum ev_named_by naming_of(const struct export *export, const struct life *life)
{
	const struct flow_table *flows = &export->model->flows;

	if (life->flags & LIFE_SOCKET_GONE)
		return EV_NAMED_AS_WAIT;
	return life->key == flow_table__tuple_key(flows, life->local.addr, life->remote.addr,
						  life->local.port, life->remote.port, life->netns) ?
		       EV_NAMED_AS_REQUEST :
		       EV_NAMED_BY_ID;
}

static void tell_life(const struct export *export, const struct life *life)
{
	bool ended = life->flags & LIFE_ENDED;
	enum ev_named_by named = naming_of(export, life);
	struct ev_life told = {
		.header = header_of(export, EV_LIFE, sizeof(told)),
		.conn_id = named == EV_NAMED_BY_ID ? life->key : 0,
		.shown_id = life->conn,
		.start_ns = life->start_ns,
		.entered_ns = life->entered_ns,
		.listener_id = ended ? 0 : life->listener,
		.bytes_sent = life->bytes_sent,
		.bytes_received = life->bytes_received,
		.retransmits = life->retransmits,
		.accept_wait_us = life->accept_wait_us,
		.netns = life->netns,
		.flags = life->flags,
		.ordinal = life->ordinal,
		.local_port = life->local.port,
		.remote_port = life->remote.port,
		.family = life->family,
		.state = life->state,
		.role = life->role,
		.closed_first = life->closed_first,
		.how = life->how,
		.named_by = (__u8)named,
		.history_count = life->history_count,
		.seen = life->seen,
		.wait_state = life->wait_state,
		.wait_end = life->wait_end,
		.error = life->error,
		.birth_error = life->birth_error,
		.first_old = life->first_old,
		.wait_estimated = life->wait_estimated,
		.promoted_us = ended ? life->promoted_us : 0,
	};

	memcpy(told.local, life->local.addr, sizeof(told.local));
	memcpy(told.remote, life->remote.addr, sizeof(told.remote));
	memcpy(told.history, life->history, sizeof(told.history));
	put_owner(export, &told.owner, life->owner);
	export->put(export->context, &told, sizeof(told));
}

/* The older before the younger: a life of a tuple comes behind its predecessors. */
static void tell_lives(const struct export *export)
{
	const struct flow_table *flows = &export->model->flows;

	struct ended_walk walk = flow_table__walk_ended(flows);
	const struct life *ended;

	while ((ended = flow_table__next_ended(flows, &walk)))
		tell_life(export, ended);
	for (uint32_t i = 0; i < flows->used; i++) {
		const struct life *life = flow_table__open_at(flows, i);

		if (life)
			tell_life(export, life);
	}
}

/* Half told: the record that was held comes once more. */
static void tell_children(const struct export *export)
{
	for (unsigned int i = 0; i < CHILDREN_SLOTS; i++) {
		const struct child_slot *slot = &export->model->children.slots[i];
		struct ev_transition told = { .header = header_of(export, EV_TRANSITION, sizeof(told)),
					      .conn_id = slot->socket_id,
					      .old_state = EV_LISTEN,
					      .new_state = EV_SYN_RECV };

		if (!slot->socket_id || slot->time_ns + CHILD_HELD_NS < export->now_ns)
			continue;
		told.header.time_ns = slot->time_ns;
		export->put(export->context, &told, sizeof(told));
	}
}

void model__export(const struct model *model, uint64_t now_ns, bool narrowed, export_put_fn put,
		   void *context)
{
	const struct export export = { model, now_ns, put, context };
	struct ev_known known = {
		.header = header_of(&export, EV_KNOWN, sizeof(known)),
		.doubles = model->doubles,
		.lost = model->lost,
	};

	tell_cgroups(&export);
	tell_namespaces(&export);
	tell_listeners(&export);
	tell_waits(&export);
	tell_lives(&export);
	tell_children(&export);
	if (model->whole)
		known.flags |= EV_KNOWN_WHOLE;
	if (model->ids_are_addresses)
		known.flags |= EV_KNOWN_BY_ADDRESS;
	if (narrowed)
		known.flags |= EV_KNOWN_NARROWED;
	_Static_assert((int)TABLE_COUNT <= (int)EV_TABLES_MAX, "struct ev_known has no room for them");
	for (int table = 0; table < TABLE_COUNT; table++)
		known.not_kept[table] = model__not_kept(model, (enum model_table)table);
	put(context, &known, sizeof(known));
}
