// SPDX-License-Identifier: BSD-2-Clause
#include "source/holders.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/idmap.h"
#include "bpf/holders.h"
#include "holders.skel.h"
#include "source/kernel.h"
#include "source/netns.h"
#include "source/procs.h"
#include "source/sockdiag.h"

enum {
	REPEATS = 3,	     /* of a dump during which the tables changed */
	RECORDS_A_READ = 256 /* 4 KiB, the page that the kernel fills */
};

/* The iterators that tell the options; bpf NULL: there are none. */
struct holders_options {
	struct holders_bpf *bpf;
	struct bpf_link *tcp;
	struct bpf_link *udp;
	int error;	  /* -errno: why there are none */
	bool tells_bound; /* sock_diag tells sockets that are bound and no more */
};

struct look {
	struct holders *holders;
	uint16_t port;
	uint32_t only;			       /* inode; 0 every namespace */
	const struct holders_options *options; /* borrowed */
	struct idmap by_cookie;		       /* to an index of the present namespace's */
	uint32_t netns;
	uint8_t protocol;
	size_t begin; /* of what the present dump has found */
};

/* ---- sockets, by sock_diag --------------------------------------------------- */

static struct holder *add(struct holders *holders)
{
	size_t capacity = holders->capacity ? holders->capacity * 2 : 64;
	struct holder *list;

	if (holders->count < holders->capacity)
		return &holders->list[holders->count++];
	list = reallocarray(holders->list, capacity, sizeof(*list));
	if (!list)
		return NULL;
	holders->list = list;
	holders->capacity = capacity;
	return &holders->list[holders->count++];
}

static enum answer v6only_of(const struct socket_entry *entry)
{
	if (entry->family == AF_INET)
		return ANSWER_NO;
	if (!(entry->has & SOCKET_HAS_V6ONLY))
		return ANSWER_UNKNOWN;
	return entry->v6only ? ANSWER_YES : ANSWER_NO;
}

static int take_socket(void *context, const struct socket_entry *entry)
{
	struct look *look = context;
	struct holder *holder;

	if (entry->kind == SOCKET_REQUEST)
		return 0;
	holder = add(look->holders);
	if (!holder)
		return -ENOMEM;
	*holder = (struct holder){
		.local = entry->local,
		.remote = entry->remote,
		.cookie = entry->cookie,
		.netns = look->netns,
		.protocol = look->protocol,
		.family = entry->family,
		.state = entry->state,
		.mini = entry->kind == SOCKET_MINI,
		.v6only = (uint8_t)v6only_of(entry),
		.ifindex = entry->ifindex,
		.uid = entry->uid,
		.inode = entry->inode,
		.expires_ms = entry->kind == SOCKET_MINI ? entry->expires_ms : 0,
	};
	return 0;
}

static int dump(struct look *look, struct sockdiag *diag, uint8_t protocol)
{
	int err = -EAGAIN;

	look->protocol = protocol;
	look->begin = look->holders->count;
	for (int i = 0; i < REPEATS && err == -EAGAIN; i++) {
		look->holders->count = look->begin;
		err = sockdiag__dump_port(diag, protocol, look->port,
					  SOCKDIAG_ALL_STATES | SOCKDIAG_BOUND, take_socket, look);
	}
	if (err != -EAGAIN)
		return err;
	look->holders->unseen |= HOLDERS_CHANGING;
	return 0;
}

static int dump_protocols(struct look *look)
{
	struct sockdiag *diag = sockdiag__new();
	int err;

	if (!diag) {
		look->holders->unseen |= HOLDERS_NO_TCP | HOLDERS_NO_UDP;
		return errno == ENOENT ? 0 : -errno;
	}
	err = dump(look, diag, IPPROTO_TCP);
	if (!err)
		err = dump(look, diag, IPPROTO_UDP);
	if (err == -ENOENT) {
		look->holders->unseen |= HOLDERS_NO_UDP;
		err = 0;
	}
	sockdiag__free(diag);
	return err;
}

/* ---- their options, by BPF ------------------------------------------------------ */

static void close_options(struct holders_options *options)
{
	bpf_link__destroy(options->tcp);
	bpf_link__destroy(options->udp);
	holders_bpf__destroy(options->bpf);
	options->tcp = options->udp = NULL;
	options->bpf = NULL;
}

static int open_options(struct holders_options *options)
{
	int err;

	kernel__hush_libbpf();
	kernel__raise_memlock();
	options->bpf = holders_bpf__open();
	if (!options->bpf)
		return -errno;
	err = holders_bpf__load(options->bpf);
	if (!err) {
		options->tcp = bpf_program__attach_iter(options->bpf->progs.on_each_tcp, NULL);
		options->udp = bpf_program__attach_iter(options->bpf->progs.on_each_udp, NULL);
		err = options->tcp && options->udp ? 0 : -errno;
	}
	if (err)
		close_options(options);
	return err;
}

static enum answer answer_of(uint8_t bit)
{
	return bit ? ANSWER_YES : ANSWER_NO;
}

static void put_options(struct look *look, const struct holder_options *options)
{
	uint32_t index = options->cookie ? idmap__find(&look->by_cookie, options->cookie) : IDMAP_NONE;
	struct holder *holder;

	if (index == IDMAP_NONE)
		return;
	holder = &look->holders->list[index];
	holder->reuseaddr = (uint8_t)answer_of(options->reuseaddr);
	holder->reuseport = (uint8_t)answer_of(options->reuseport);
	if (holder->family == AF_INET6)
		holder->v6only = (uint8_t)answer_of(options->v6only);
}

/* The iterator is of the namespace in which it is created. A record never
 * stands on the border of two reads (seq_read_iter() gives whole items, of what
 * fits in a page), and were it so the rest would be passed over. */
static int read_options(struct look *look, const struct bpf_link *link)
{
	struct holder_options options[RECORDS_A_READ];
	int fd = bpf_iter_create(bpf_link__fd(link));
	ssize_t len;

	if (fd < 0)
		return -errno;
	while ((len = read(fd, options, sizeof(options))) > 0 || (len < 0 && errno == EINTR))
		for (size_t i = 0; len > 0 && i < (size_t)len / sizeof(options[0]); i++)
			put_options(look, &options[i]);
	close(fd);
	return len < 0 ? -errno : 0;
}

static int tell_options(struct look *look, size_t begin)
{
	int err = 0;

	idmap__clear(&look->by_cookie);
	for (size_t i = begin; i < look->holders->count && !err; i++)
		err = idmap__put(&look->by_cookie, look->holders->list[i].cookie, (uint32_t)i);
	if (!err)
		err = read_options(look, look->options->tcp);
	if (!err)
		err = read_options(look, look->options->udp);
	return err;
}

/* ---- all of it -------------------------------------------------------------------- */

static int inside(void *context, const struct netns *netns)
{
	struct look *look = context;
	size_t begin = look->holders->count;
	int err;

	if (look->only && netns->inode != look->only)
		return 0;
	look->netns = netns->inode;
	look->holders->netns_visited++;
	err = dump_protocols(look);
	if (err || !look->options->bpf || begin == look->holders->count)
		return err;
	err = tell_options(look, begin);
	if (err == -ENOMEM)
		return err;
	if (err) {
		look->holders->unseen |= HOLDERS_NO_OPTIONS;
		look->holders->options_error = err;
	}
	return 0;
}

static int find_owners(struct holders *holders)
{
	struct procs procs;
	int err = procs__init(&procs);

	if (err)
		return err;
	for (size_t i = 0; i < holders->count; i++) {
		struct holder *holder = &holders->list[i];
		const struct process *process = NULL;

		if (holder->inode)
			process = procs__find(&procs, holder->inode, &holder->others);
		if (!process)
			continue;
		holder->owner.pid = holder->owner.tid = process->pid;
		holder->owner.uid = process->uid;
		holder->owner.start_cs = (uint32_t)(process->start_ns / NS_PER_CS);
		holder->owner.cgroup = process->cgroup;
		memcpy(holder->owner.comm, process->comm, sizeof(holder->owner.comm));
	}
	if (procs.refused)
		holders->unseen |= HOLDERS_NO_OWNERS;
	procs__fini(&procs);
	return 0;
}

static int walk(struct look *look)
{
	const struct netns_visitor visitor = { .inside = inside, .context = look };
	struct netns_counts counts = { 0 };
	int err = netns__walk(&visitor, &counts);

	if (!err && look->only && !look->holders->netns_visited)
		err = -ESRCH;
	if (!look->only && counts.refused)
		look->holders->unseen |= HOLDERS_NO_NETNS;
	return err;
}

/* 6.8 brought the state and the answer together (91051f003948). */
static bool tells_bound(void)
{
	struct types types;
	bool tells;

	if (types__open(&types))
		return false;
	tells = types__have_enumerator(&types, "TCP_BOUND_INACTIVE");
	types__fini(&types);
	return tells;
}

struct holders_options *holders_options__new(void)
{
	struct holders_options *options = calloc(1, sizeof(*options));

	if (!options)
		return NULL;
	options->error = open_options(options);
	options->tells_bound = tells_bound();
	return options;
}

void holders_options__free(struct holders_options *options)
{
	if (options)
		close_options(options);
	free(options);
}

static int load(struct look *look)
{
	int err = idmap__init(&look->by_cookie, 0);

	if (err)
		return err;
	if (look->options->bpf)
		look->options->bpf->bss->port = look->port;
	look->holders->options_error = look->options->error;
	if (look->options->error)
		look->holders->unseen |= HOLDERS_NO_OPTIONS;
	if (!look->options->tells_bound)
		look->holders->unseen |= HOLDERS_NO_BOUND;
	err = walk(look);
	idmap__fini(&look->by_cookie);
	return err ? err : find_owners(look->holders);
}

int holders__load(struct holders *holders, struct holders_options *options, uint16_t port, uint32_t netns)
{
	struct holders_options *own = options ? NULL : holders_options__new();
	struct look look = {
		.holders = holders, .options = options ? options : own, .port = port, .only = netns
	};
	int err;

	*holders = (struct holders){ .taken_ns = clock__boot_ns() };
	err = look.options ? load(&look) : -ENOMEM;
	holders_options__free(own);
	if (err)
		holders__fini(holders);
	return err;
}

void holders__fini(struct holders *holders)
{
	free(holders->list);
	*holders = (struct holders){ 0 };
}
