// SPDX-License-Identifier: BSD-2-Clause
#include "source/snapshot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "bpf/event.h"
#include "event/counter.h"
#include "event/terms.h"
#include "source/netns.h"
#include "source/netstat.h"
#include "source/procs.h"
#include "source/sockdiag.h"

enum { REPEATS = 3 }; /* of a dump during which the tables changed */

/* Requests in the SYN queues of one namespace, by local port. */
struct requests {
	uint32_t by_port[65536];
};

/* What belongs to a namespace as a whole. */
struct found_netns {
	struct ev_netstat netstat; /* header.len 0: could not be read */
	struct ev_settings settings;
	uint32_t netns;
	bool complete;
};

struct walk {
	unsigned int extras;	   /* SNAPSHOT_* */
	uint32_t only;		   /* inode; 0 every namespace */
	const struct procs *procs; /* NULL: owners are not wanted */
	struct requests *requests; /* owned */
	struct ev_listener *found; /* owned: of all namespaces */
	size_t count;
	size_t capacity;
	size_t begin;			/* first of the present namespace */
	struct found_netns *namespaces; /* owned */
	size_t namespace_count;
	size_t namespace_room;
	uint32_t netns;
	uint32_t somaxconn;
	int no_diag; /* -errno: there are counters, but no listeners */
};

static struct ev_listener *add(struct walk *walk)
{
	size_t capacity = walk->capacity ? walk->capacity * 2 : 64;
	struct ev_listener *found;

	if (walk->count < walk->capacity)
		return &walk->found[walk->count++];
	found = realloc(walk->found, capacity * sizeof(*found));
	if (!found)
		return NULL;
	walk->found = found;
	walk->capacity = capacity;
	return &walk->found[walk->count++];
}

static void put_owner(struct ev_owner *owner, const struct procs *procs, uint32_t inode)
{
	const struct process *process = procs ? procs__find(procs, inode, NULL) : NULL;

	if (!process)
		return;
	owner->pid = owner->tid = process->pid;
	owner->uid = process->uid;
	owner->start_cs = (uint32_t)(process->start_ns / NS_PER_CS);
	owner->cgroup = process->cgroup;
	memcpy(owner->comm, process->comm, sizeof(owner->comm));
	owner->comm[sizeof(owner->comm) - 1] = '\0';
}

static int take_listener(struct walk *walk, const struct socket_entry *entry)
{
	struct ev_listener *listener = add(walk);

	if (!listener)
		return -ENOMEM;
	*listener = (struct ev_listener){
		.header = { .len = sizeof(*listener), .version = EV_VERSION, .kind = EV_LISTENER },
		.conn_id = entry->cookie,
		.netns = walk->netns,
		.family = entry->family,
		.local_port = entry->local.port,
		.accept_queue_len = entry->rqueue,
		.limit = entry->wqueue,
		.drops = entry->drops,
		.somaxconn = walk->somaxconn,
	};
	memcpy(listener->local, entry->local.addr, sizeof(listener->local));
	put_owner(&listener->owner, walk->procs, entry->inode);
	return 0;
}

static int take_entry(void *context, const struct socket_entry *entry)
{
	struct walk *walk = context;

	if (entry->state == EV_LISTEN)
		return take_listener(walk, entry);
	if (entry->kind == SOCKET_REQUEST)
		walk->requests->by_port[entry->local.port]++;
	return 0;
}

/* Dumps until the kernel says that nothing changed meanwhile; the last try
 * counts in any case, as an incomplete one. */
static int dump(struct walk *walk, struct sockdiag *diag, bool *complete)
{
	int err = -EAGAIN;

	uint32_t states = SOCKDIAG_LISTENERS;

	if (walk->extras & SNAPSHOT_REQUESTS)
		states |= 1U << EV_SYN_RECV;
	for (int i = 0; i < REPEATS && err == -EAGAIN; i++) {
		walk->count = walk->begin;
		memset(walk->requests, 0, sizeof(*walk->requests));
		err = sockdiag__dump(diag, states, SOCKDIAG_DROPS, take_entry, walk);
	}
	*complete = !err;
	return err == -EAGAIN ? 0 : err;
}

static struct ev_header header_of(enum ev_kind kind, size_t len)
{
	return (struct ev_header){ .len = (__u16)len, .version = EV_VERSION, .kind = (__u8)kind };
}

/* Where it cannot be read nothing is told: that is not zero. */
static void load_counters(struct ev_netstat *out, uint32_t netns)
{
	struct netstat stat;
	uint64_t value;

	*out = (struct ev_netstat){ .netns = netns };
	netstat__init(&stat);
	if (!netstat__load(&stat))
		out->header = header_of(EV_NETSTAT, sizeof(*out));
	for (unsigned int i = 0; i < EV_COUNTER_END; i++) {
		if (!netstat__get(&stat, counter__group(i), counter__name(i), &value))
			continue;
		out->known |= 1U << i;
		out->counters[i] = value;
	}
	netstat__fini(&stat);
}

static struct found_netns *add_netns(struct walk *walk)
{
	size_t room = walk->namespace_room ? walk->namespace_room * 2 : 16;
	struct found_netns *namespaces;

	if (walk->namespace_count == walk->namespace_room) {
		namespaces = realloc(walk->namespaces, room * sizeof(*namespaces));
		if (!namespaces)
			return NULL;
		walk->namespaces = namespaces;
		walk->namespace_room = room;
	}
	return &walk->namespaces[walk->namespace_count++];
}

static void load_settings(struct ev_settings *out, uint32_t netns)
{
	static const enum sysctl_id ids[EV_SETTING_END] = {
		[EV_SET_SOMAXCONN] = SYSCTL_SOMAXCONN,
		[EV_SET_MAX_SYN_BACKLOG] = SYSCTL_MAX_SYN_BACKLOG,
		[EV_SET_SYNCOOKIES] = SYSCTL_SYNCOOKIES,
		[EV_SET_SYNACK_RETRIES] = SYSCTL_SYNACK_RETRIES,
		[EV_SET_SYN_RETRIES] = SYSCTL_SYN_RETRIES,
		[EV_SET_ABORT_ON_OVERFLOW] = SYSCTL_ABORT_ON_OVERFLOW,
		[EV_SET_TW_REUSE] = SYSCTL_TW_REUSE,
		[EV_SET_FIN_TIMEOUT] = SYSCTL_FIN_TIMEOUT,
		[EV_SET_MAX_TW_BUCKETS] = SYSCTL_MAX_TW_BUCKETS,
		[EV_SET_PORT_LOW] = SYSCTL_PORT_LOW,
		[EV_SET_PORT_HIGH] = SYSCTL_PORT_HIGH,
		[EV_SET_EPHEMERAL_PORTS] = SYSCTL_COUNT,
	};
	struct sysctls *sysctls = calloc(1, sizeof(*sysctls));
	int64_t value;

	*out = (struct ev_settings){ .header = header_of(EV_SETTINGS, sizeof(*out)), .netns = netns };
	if (!sysctls)
		return;
	sysctls__load(sysctls);
	for (unsigned int i = 0; i < EV_SETTING_END; i++) {
		value = sysctls__ephemeral_ports(sysctls);
		if (ids[i] == SYSCTL_COUNT ? !value : !sysctls__get(sysctls, ids[i], &value))
			continue;
		out->known |= 1U << i;
		out->values[i] = value;
	}
	free(sysctls);
}

static int inside(void *context, const struct netns *netns)
{
	struct walk *walk = context;
	struct found_netns *found;
	struct sockdiag *diag;
	int err;

	if (walk->only && netns->inode != walk->only)
		return 0;
	found = add_netns(walk);
	if (!found)
		return -ENOMEM;
	*found = (struct found_netns){ .netns = netns->inode };
	load_counters(&found->netstat, netns->inode);
	load_settings(&found->settings, netns->inode);
	diag = sockdiag__new();
	if (!diag) {
		walk->no_diag = -errno;
		return 0;
	}
	walk->begin = walk->count;
	walk->netns = netns->inode;
	walk->somaxconn = (uint32_t)found->settings.values[EV_SET_SOMAXCONN];
	err = dump(walk, diag, &found->complete);
	sockdiag__free(diag);
	for (size_t i = walk->begin; i < walk->count && !err; i++)
		walk->found[i].syn_queue_len = walk->requests->by_port[walk->found[i].local_port];
	return err;
}

/* Every listener of this namespace, or of all, has been handed out. */
static int hand_out_end(uint32_t netns, uint64_t now_ns, source_take_fn take, void *context)
{
	struct ev_sampled sampled = { .header = header_of(EV_SAMPLED, sizeof(sampled)), .netns = netns };

	sampled.header.time_ns = now_ns;
	return take(context, &sampled, sizeof(sampled));
}

static int hand_out_netns(struct found_netns *found, uint64_t now_ns, source_take_fn take, void *context)
{
	int err;

	found->settings.header.time_ns = now_ns;
	found->netstat.header.time_ns = now_ns;
	err = take(context, &found->settings, sizeof(found->settings));
	if (!err && found->netstat.header.len)
		err = take(context, &found->netstat, sizeof(found->netstat));
	if (!err && found->complete)
		err = hand_out_end(found->netns, now_ns, take, context);
	return err;
}

static int hand_out(const struct walk *walk, source_take_fn take, void *context)
{
	uint64_t now_ns = clock__boot_ns();
	bool complete = true;
	int err = 0;

	for (size_t i = 0; i < walk->count && !err; i++) {
		walk->found[i].header.time_ns = now_ns;
		err = take(context, &walk->found[i], sizeof(walk->found[i]));
	}
	for (size_t i = 0; i < walk->namespace_count && !err; i++) {
		complete &= walk->namespaces[i].complete;
		err = hand_out_netns(&walk->namespaces[i], now_ns, take, context);
	}
	/* Where only one is looked at, and it is not there any more, none is. */
	if (!err && complete && (!walk->only || !walk->namespace_count))
		err = hand_out_end(0, now_ns, take, context);
	return err;
}

static int take_listeners(uint32_t netns, unsigned int extras, const struct procs *procs,
			  source_take_fn take, void *context)
{
	struct walk walk = { .extras = extras,
			     .only = netns,
			     .procs = procs,
			     .requests = malloc(sizeof(struct requests)) };
	struct netns_visitor visitor = { .inside = inside, .context = &walk };
	int err = -ENOMEM;

	if (!walk.requests)
		return err;
	err = netns__walk(&visitor, NULL);
	if (!err)
		err = hand_out(&walk, take, context);
	free(walk.namespaces);
	free(walk.found);
	free(walk.requests);
	return err ? err : walk.no_diag;
}

int snapshot__take(uint32_t netns, unsigned int extras, source_take_fn take, void *context)
{
	struct procs procs;
	bool owners = extras & SNAPSHOT_OWNERS && !procs__init(&procs);
	int err = take_listeners(netns, extras, owners ? &procs : NULL, take, context);

	if (owners)
		procs__fini(&procs);
	return err;
}

/* ---- connections and minisockets ---- */

struct tour {
	uint32_t only; /* inode; 0 every namespace */
	const struct kernel_filter *terms;
	uint32_t states;
	uint32_t netns;
	uint64_t began_ns;
	const struct procs *procs; /* NULL: owners are not wanted */
	source_take_fn take;
	void *context;
};

static enum ev_socket_kind kind_of(const struct socket_entry *entry)
{
	return entry->kind == SOCKET_MINI    ? EV_SOCKET_MINI :
	       entry->kind == SOCKET_REQUEST ? EV_SOCKET_REQUEST :
					       EV_SOCKET_FULL;
}

static int take_socket(void *context, const struct socket_entry *entry)
{
	const struct tour *tour = context;
	struct ev_socket socket = {
		.header = { .len = sizeof(socket),
			    .version = EV_VERSION,
			    .kind = EV_SOCKET,
			    .time_ns = clock__boot_ns() },
		.conn_id = entry->cookie,
		.netns = tour->netns,
		.family = entry->family,
		.state = entry->state,
		.kind = kind_of(entry),
		.local_port = entry->local.port,
		.remote_port = entry->remote.port,
		.expires_ms = entry->kind == SOCKET_MINI ? entry->expires_ms : 0,
	};

	if (entry->state == EV_LISTEN)
		return 0;
	memcpy(socket.local, entry->local.addr, sizeof(socket.local));
	memcpy(socket.remote, entry->remote.addr, sizeof(socket.remote));
	if (!terms__pass(tour->terms, &socket))
		return 0;
	put_owner(&socket.owner, tour->procs, entry->inode);
	return tour->take(tour->context, &socket, sizeof(socket));
}

static void put_settings(struct ev_dump *dump)
{
	struct sysctls *sysctls = calloc(1, sizeof(*sysctls));
	int64_t value;

	if (!sysctls)
		return;
	sysctls__load(sysctls);
	dump->ephemeral_ports = sysctls__ephemeral_ports(sysctls);
	if (sysctls__get(sysctls, SYSCTL_PORT_LOW, &value))
		dump->port_low = (uint16_t)value;
	if (sysctls__get(sysctls, SYSCTL_PORT_HIGH, &value))
		dump->port_high = (uint16_t)value;
	if (sysctls__get(sysctls, SYSCTL_MAX_TW_BUCKETS, &value))
		dump->max_tw_buckets = (uint32_t)value;
	free(sysctls);
}

/* Before the first socket of a namespace and behind the last one; for none, behind
 * the last namespace. */
static int tell_dump(const struct tour *tour, uint32_t states)
{
	struct ev_dump dump = {
		.header = { .len = sizeof(dump),
			    .version = EV_VERSION,
			    .kind = EV_DUMP,
			    .time_ns = clock__boot_ns() },
		.began_ns = tour->began_ns,
		.netns = tour->netns,
		.states = states,
	};

	if (tour->netns)
		put_settings(&dump);
	return tour->take(tour->context, &dump, sizeof(dump));
}

/* A dump that is repeated tells a socket twice, which does no harm. */
static int tour_inside(void *context, const struct netns *netns)
{
	struct tour *tour = context;
	struct sockdiag *diag;
	int err = -EAGAIN;

	if (tour->only && netns->inode != tour->only)
		return 0;
	diag = sockdiag__new();
	if (!diag)
		return -errno;
	tour->netns = netns->inode;
	tour->began_ns = clock__boot_ns();
	if (tell_dump(tour, 0)) {
		sockdiag__free(diag);
		return -ECANCELED;
	}
	for (int i = 0; i < REPEATS && err == -EAGAIN; i++)
		err = sockdiag__dump(diag, tour->states, 0, take_socket, tour);
	sockdiag__free(diag);
	return err && err != -EAGAIN ? err : tell_dump(tour, tour->states);
}

static int take_sockets(const struct kernel_filter *terms, uint32_t states, const struct procs *procs,
			source_take_fn take, void *context)
{
	struct tour tour = { .only = terms->netns,
			     .terms = terms,
			     .states = states,
			     .procs = procs,
			     .take = take,
			     .context = context };
	struct netns_visitor visitor = { .inside = tour_inside, .context = &tour };
	uint64_t began_ns = clock__boot_ns();
	int err = netns__walk(&visitor, NULL);

	tour.netns = 0;
	tour.began_ns = began_ns;
	return err ? err : tell_dump(&tour, states);
}

int snapshot__sockets(const struct kernel_filter *terms, uint32_t states, unsigned int extras,
		      source_take_fn take, void *context)
{
	struct procs procs;
	bool owners = extras & SNAPSHOT_OWNERS && !procs__init(&procs);
	int err = take_sockets(terms, states, owners ? &procs : NULL, take, context);

	if (owners)
		procs__fini(&procs);
	return err;
}

/* ---- what lies unread ---- */

struct unread_tour {
	const struct kernel_filter *terms;
	uint64_t began_ns;
	unsigned int left; /* so many more are told of this namespace */
	unsigned int max;
	uint32_t netns;
	source_take_fn take;
	void *context;
};

static int take_unread(void *context, const struct socket_entry *entry)
{
	struct unread_tour *tour = context;
	struct ev_socket socket = { .netns = tour->netns,
				    .family = entry->family,
				    .local_port = entry->local.port,
				    .remote_port = entry->remote.port };
	struct ev_unread unread = {
		.header = { .len = sizeof(unread),
			    .version = EV_VERSION,
			    .kind = EV_UNREAD,
			    .time_ns = tour->began_ns },
		.netns = tour->netns,
		.family = entry->family,
		.local_port = entry->local.port,
		.remote_port = entry->remote.port,
		.unread = entry->rqueue,
	};

	memcpy(socket.local, entry->local.addr, sizeof(socket.local));
	memcpy(socket.remote, entry->remote.addr, sizeof(socket.remote));
	if (entry->state != EV_CLOSE_WAIT || !terms__pass(tour->terms, &socket))
		return 0;
	memcpy(unread.local, entry->local.addr, sizeof(unread.local));
	memcpy(unread.remote, entry->remote.addr, sizeof(unread.remote));
	if (tour->take(tour->context, &unread, sizeof(unread)))
		return -ECANCELED;
	return --tour->left ? 0 : 1;
}

static int look_for_unread(void *context, const struct netns *netns)
{
	struct unread_tour *tour = context;
	struct sockdiag *diag;
	int err;

	if (tour->terms->netns && netns->inode != tour->terms->netns)
		return 0;
	diag = sockdiag__new();
	if (!diag)
		return -errno;
	tour->netns = netns->inode;
	tour->left = tour->max;
	err = sockdiag__dump(diag, 1U << EV_CLOSE_WAIT, 0, take_unread, tour);
	sockdiag__free(diag);
	return err == -EAGAIN || err == 1 ? 0 : err;
}

int snapshot__unread(const struct kernel_filter *terms, unsigned int max, source_take_fn take,
		     void *context)
{
	struct unread_tour tour = {
		.terms = terms, .began_ns = clock__boot_ns(), .max = max, .take = take, .context = context
	};
	struct netns_visitor visitor = { .inside = look_for_unread, .context = &tour };

	return netns__walk(&visitor, NULL);
}

int snapshot__all(const struct kernel_filter *terms, unsigned int extras, source_take_fn take,
		  void *context)
{
	struct procs procs;
	bool owners = extras & SNAPSHOT_OWNERS && !procs__init(&procs);
	/* Listeners first: they tell whose side of a connection is whose. */
	int err = take_listeners(terms->netns, extras, owners ? &procs : NULL, take, context);

	if (!err)
		err = take_sockets(terms, SOCKET_STATES, owners ? &procs : NULL, take, context);
	if (owners)
		procs__fini(&procs);
	return err;
}

static int still_poll(struct source *source, source_take_fn take, void *context)
{
	(void)source;
	(void)take;
	(void)context;
	return SOURCE_END;
}

static int still_stop(struct source *source, source_take_fn take, void *context)
{
	(void)source;
	(void)take;
	(void)context;
	return 0;
}

static void still_free(struct source *source)
{
	free(source);
}

struct source *snapshot__source(void)
{
	static const struct source_ops ops = { .poll = still_poll, .stop = still_stop, .free = still_free };
	struct source *source = calloc(1, sizeof(*source));
	struct utsname name;

	if (!source)
		return NULL;
	uname(&name);
	source->ops = &ops;
	source->fd = -1;
	snprintf(source->info.kernel, sizeof(source->info.kernel), "%.63s", name.release);
	snprintf(source->info.tool, sizeof(source->info.tool), "%s", TCPSAGA_VERSION);
	snprintf(source->info.source, sizeof(source->info.source), "tables");
	source->info.realtime_offset_ns = clock__realtime_offset_ns();
	source->info.start_ns = clock__boot_ns();
	return source;
}
