// SPDX-License-Identifier: BSD-2-Clause
#include "source/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "source/constants.h"
#include "source/excerpt.h"
#include "source/linker.h"
#include "source/rings.h"
#include "source/sockops.h"
#include "source/tracefs.h"

enum { POINT_PROGRAMS = 2 + STAND_INS_MAX };

/* What of the trial's results this capture wants. */
static void narrow(const struct live_config *config, struct hook_result results[HOOK_COUNT])
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		if (config->wanted & 1U << i)
			continue;
		results[i].kind = HOOK_NONE;
		results[i].error = HOOK_NOT_WANTED;
	}
}

static struct bpf_program *program_of(struct programs *programs, const char *name, bool by_kprobe)
{
	char twin[64];

	if (!name)
		return NULL;
	snprintf(twin, sizeof(twin), "%s%s", name, by_kprobe ? "_kp" : "");
	return bpf_object__find_program_by_name(programs->skel->obj, twin);
}

/* That of a system call is a function's program: a kernel may have none. */
static bool may_stand_in(const struct trial *trial, const struct hook_point *point)
{
	if (point == hooks[HOOK_LISTEN].syscalls && !trial->sys_listen)
		return false;
	return trial->preempts;
}

/* The programs of a point, in the order in which they are attached: that of a
 * tracepoint run in it. */
static unsigned int programs_of(struct programs *programs, const struct trial *trial,
				const struct hook_point *point, bool in_order, bool by_kprobe,
				struct bpf_program *found[POINT_PROGRAMS])
{
	const char *names[POINT_PROGRAMS] = { in_order ? point->on_entry : point->on_return,
					      in_order ? point->on_return : point->on_entry };
	unsigned int count = 0;

	for (int i = 0; i < STAND_INS_MAX && may_stand_in(trial, point); i++)
		names[2 + i] = point->stand_ins[i];
	for (int i = 0; i < POINT_PROGRAMS; i++) {
		found[count] = program_of(programs, names[i], by_kprobe);
		count += found[count] != NULL;
	}
	return count;
}

/* Calls back for each program that a working hook needs on this kernel. */
static void each_program(struct programs *programs, const struct trial *trial,
			 void (*visit)(struct programs *programs, struct bpf_program *program,
				       enum hook_id id))
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		enum hook_kind kind = trial->results[i].kind;

		if (kind == HOOK_NONE)
			continue;
		for (int p = 0; hook__points(&hooks[i], kind)[p].target; p++) {
			const struct hook_point *point = &hook__points(&hooks[i], kind)[p];
			bool by_kprobe = kind == HOOK_KPROBE || trial->results[i].by_kprobe[p];
			struct bpf_program *found[POINT_PROGRAMS];
			unsigned int count = 0;

			if (trial->present[i][p])
				count = programs_of(programs, trial, point, kind == HOOK_TRACEPOINT,
						    by_kprobe, found);
			for (unsigned int n = 0; n < count; n++)
				visit(programs, found[n], (enum hook_id)i);
		}
	}
}

static void want_program(struct programs *programs, struct bpf_program *program, enum hook_id id)
{
	(void)programs;
	(void)id;
	bpf_program__set_autoload(program, true);
}

static bool has_net(const struct kernel_filter_net *net)
{
	static const struct kernel_filter_net any = { 0 };

	return memcmp(net, &any, sizeof(any)) != 0;
}

static bool has_ports(const struct kernel_filter *filter)
{
	return filter->local_ports.count || filter->remote_ports.count || filter->either_ports.count;
}

static bool has_addresses(const struct kernel_filter *filter)
{
	return filter->family || has_net(&filter->local_net) || has_net(&filter->remote_net) ||
	       has_net(&filter->either_net);
}

static int size_maps(struct programs *programs, const struct live_config *config)
{
	struct tcpsaga_bpf *skel = programs->skel;
	uint32_t cpus;
	int err;

	programs->cpus = libbpf_num_possible_cpus();
	if (programs->cpus < 0)
		return programs->cpus;
	cpus = (uint32_t)programs->cpus;
	programs->ring_bytes = config->ring_bytes ? config->ring_bytes : LIVE_RING_BYTES;
	programs->cpu_ring_bytes = rings__cpu_bytes(programs->ring_bytes, cpus);
	err = bpf_map__set_max_entries(skel->maps.ledger, cpus);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.ring, (uint32_t)programs->ring_bytes);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.cpu_rings, cpus);
	if (!err)
		err = bpf_map__set_value_size(skel->maps.cpu_rings,
					      (uint32_t)rings__cpu_value(programs->cpu_ring_bytes));
	return err;
}

static uint64_t id_to_cast(const struct kernel *kernel, const char *name)
{
	return kernel__has_function(kernel, "bpf_rdonly_cast") ? kernel__struct(kernel, name) : 0;
}

static int set(const struct programs *programs, const struct live_config *config, const struct trial *trial)
{
	static const struct kernel_filter all = { 0 };
	const struct kernel_filter *filter = config->filter ? config->filter : &all;
	uint64_t values[SETTING_COUNT] = {
		[SETTING_FILTER_ON] = filter->netns || has_ports(filter) || has_addresses(filter),
		[SETTING_FILTER_NETNS] = filter->netns,
		[SETTING_FILTER_PORTS] = has_ports(filter),
		[SETTING_FILTER_ADDRESSES] = has_addresses(filter),
		[SETTING_HAVE_SOCKET_COOKIE] = trial->cookie,
		[SETTING_PREEMPTS] = trial->preempts,
		[SETTING_COMM_HAS_ZEROES] = trial->comm_has_zeroes,
		[SETTING_MAY_PROBE_READ] = trial->probe_read,
		[SETTING_SYN_RECV_SOCK_ARGS] = trial->syn_recv_sock_args,
		[SETTING_ACCEPT_ARGS] = trial->accept_args,
		[SETTING_TIMEWAIT_ARGS] = trial->timewait_args,
		[SETTING_TASK_STRUCT_ID] = id_to_cast(&trial->kernel, "task_struct"),
		[SETTING_TCP_SOCK_ID] = id_to_cast(&trial->kernel, "tcp_sock"),
		[SETTING_WAKEUP_BYTES] = programs->ring_bytes / 4,
		[SETTING_CPU_RING_BYTES] = programs->cpu_ring_bytes,
		[SETTING_SIMULATE_LOSS] = config->simulate_loss,
	};
	uint64_t *key = &values[SETTING_ID_KEY];

	if (getrandom(key, sizeof(*key), 0) != sizeof(*key))
		return -errno;
	memcpy((void *)&programs->skel->rodata->filter, filter, sizeof(*filter));
	return constants__put(programs->skel->obj, values);
}

static int configure(struct programs *programs, const struct live_config *config, const struct trial *trial)
{
	struct tcpsaga_bpf *skel = programs->skel;
	struct bpf_program *program;
	int err;

	bpf_object__for_each_program(program, skel->obj) bpf_program__set_autoload(program, false);
	each_program(programs, trial, want_program);
	bpf_program__set_autoload(skel->progs.on_state_again, true);
	err = size_maps(programs, config);
	return err ? err : set(programs, config, trial);
}

/* What the stand-ins call. */
static int fill_calls(struct programs *programs)
{
	__u32 first = 0, fd = (__u32)bpf_program__fd(programs->skel->progs.on_state_again);

	return bpf_map__update_elem(programs->skel->maps.calls, &first, sizeof(first), &fd, sizeof(fd),
				    BPF_ANY);
}

static int open_and_load(struct programs *programs, const struct live_config *config,
			 const struct trial *trial, int types_fd)
{
	char path[32];
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", types_fd);
	if (types_fd >= 0)
		opts.btf_custom_path = path;
	programs->skel = tcpsaga_bpf__open_opts(&opts);
	if (!programs->skel)
		return -errno;
	err = configure(programs, config, trial);
	if (!err && types_fd >= 0)
		err = excerpt__write(&trial->kernel.types, bpf_object__btf(programs->skel->obj), types_fd);
	return err ? err : tcpsaga_bpf__load(programs->skel);
}

/* types_fd: where an excerpt of the kernel's types goes, to relocate by; -1: by all. */
static int load_by(struct programs *programs, const struct live_config *config,
		   const struct trial *trial, int types_fd)
{
	int err = linker__begin(&trial->kernel.types);

	if (!err)
		err = open_and_load(programs, config, trial, types_fd);
	linker__end();
	return err;
}

static void unload(struct programs *programs)
{
	tcpsaga_bpf__destroy(programs->skel);
	programs->skel = NULL;
}

/* By the excerpt; where that does not serve by the whole, which is slower and no reason to
 * see nothing. */
static int load(struct programs *programs, const struct live_config *config, const struct trial *trial)
{
	int fd = memfd_create("tcpsaga-types", MFD_CLOEXEC);
	int err = load_by(programs, config, trial, fd);

	if (fd < 0)
		return err;
	close(fd);
	if (!err)
		return 0;
	unload(programs);
	return load_by(programs, config, trial, -1);
}

/* Loads with this optional hook alone: is it the one that is refused? */
static int try_alone(const struct live_config *config, const struct trial *trial, enum hook_id id)
{
	struct programs attempt = { 0 };
	struct trial alone = *trial;
	int err;

	for (int i = 0; i < HOOK_COUNT; i++)
		if (i != (int)id && !hooks[i].required)
			alone.results[i].kind = HOOK_NONE;
	err = load(&attempt, config, &alone);
	unload(&attempt);
	return err;
}

/* A kernel that allows a hook and then refuses our program for it must not
 * cost the rest. One refused program fails the whole object, so then each
 * optional hook is tried by itself, and those that load are loaded. */
static int load_what_loads(struct programs *programs, const struct live_config *config, struct trial *trial)
{
	int err = load(programs, config, trial);

	if (!err)
		return 0;
	unload(programs);
	for (int i = 0; i < HOOK_COUNT; i++) {
		struct hook_result *result = &trial->results[i];

		if (hooks[i].required || result->kind == HOOK_NONE)
			continue;
		result->error = try_alone(config, trial, (enum hook_id)i);
		if (result->error)
			result->kind = HOOK_NONE;
	}
	return load(programs, config, trial);
}

int programs__load(struct programs *programs, const struct live_config *config, struct trial *trial,
		   char *message, size_t size)
{
	int err;

	narrow(config, trial->results);
	/* Who sees the SYNs themselves need not touch the user's cgroup. */
	if (trial->results[HOOK_SYN].kind != HOOK_NONE)
		trial->results[HOOK_SOCKOPS].kind = HOOK_NONE;
	if (trial->results[HOOK_SOCKOPS].kind != HOOK_NONE) {
		programs->cgroup_fd = sockops__open(config->cgroup, message, size);
		if (programs->cgroup_fd < 0)
			return programs->cgroup_fd;
	}
	err = load_what_loads(programs, config, trial);
	if (!err)
		err = fill_calls(programs);
	return err ? trial__explain(err, message, size) : 0;
}

/* What is lost when the kernel skips this program; 0 when it sends nothing, or
 * another stands in for it and the ledger tells. */
static enum ev_kind kind_of_loss(enum hook_id id, const struct bpf_program *program)
{
	if (strstr(bpf_program__name(program), "stand_in") || id == HOOK_LISTEN)
		return 0;
	return id == HOOK_STATE	   ? EV_TRANSITION :
	       id == HOOK_SYN	   ? EV_SYN :
	       id == HOOK_ACCEPT   ? EV_ACCEPT :
	       id == HOOK_SOCKOPS  ? EV_ADMITTED :
	       id == HOOK_TIMEWAIT ? EV_TIMEWAIT :
	       id == HOOK_BIND	   ? EV_BIND : /* at most: few calls are refused */
				     EV_HANDSHAKE;
}

static int open_info(int program_fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", program_fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A program that loaded and then does not attach costs only what it would have
 * shown; the state program is the one that must. */
static void attach(struct programs *programs, struct bpf_program *program, enum hook_id id)
{
	struct bpf_link *link;
	enum ev_kind kind;

	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_SOCK_OPS:
		link = sockops__attach(program, programs->cgroup_fd);
		break;
	case BPF_PROG_TYPE_TRACEPOINT:
		link = tracefs__attach(program);
		break;
	case BPF_PROG_TYPE_TRACING:
		link = bpf_program__attach_trace(program);
		break;
	default:
		link = bpf_program__attach(program);
	}
	if (link && programs->link_count == PROGRAMS_MAX) {
		bpf_link__destroy(link);
		link = NULL;
		errno = E2BIG;
	}
	if (!link) {
		programs->attach_errors[id] = -errno;
		return;
	}
	kind = kind_of_loss(id, program);
	programs->senders[programs->link_count].kind = kind;
	programs->senders[programs->link_count].info_fd = kind ? open_info(bpf_program__fd(program)) : -1;
	programs->links[programs->link_count++] = link;
}

int programs__attach(struct programs *programs, struct trial *trial)
{
	each_program(programs, trial, attach);
	for (int i = 0; i < HOOK_COUNT; i++) {
		if (!programs->attach_errors[i])
			continue;
		trial->results[i].kind = HOOK_NONE;
		trial->results[i].error = programs->attach_errors[i];
	}
	return trial->results[HOOK_STATE].error;
}

/* The kernel does not run a program inside itself on the same CPU (a softirq in
 * the middle of connect()): it counts the event and goes on. Read from a file that
 * is open since the start: bpf() tells it, too, but a capture that has dropped its
 * privileges may not call that. From 5.12. */
static uint64_t misses_of(int info_fd)
{
	static const char key[] = "\nrecursion_misses:\t";
	char text[1024];
	ssize_t len = info_fd < 0 ? 0 : pread(info_fd, text, sizeof(text) - 1, 0);
	const char *line;

	text[len > 0 ? len : 0] = '\0';
	line = strstr(text, key);
	return line ? strtoull(line + sizeof(key) - 1, NULL, 10) : 0;
}

void programs__add_misses(const struct programs *programs, struct book *book)
{
	for (unsigned int i = 0; i < programs->link_count; i++)
		if (programs->senders[i].kind)
			book->lost[EV_LOST_RECURSION][programs->senders[i].kind] +=
				misses_of(programs->senders[i].info_fd);
}

static void *destroy(void *link)
{
	bpf_link__destroy(link);
	return NULL;
}

/* To let go of a hook the kernel waits for all who may be in it, some hundredths of a
 * second, and for all hooks at once no longer than for one: each has a thread. */
void programs__detach(struct programs *programs)
{
	pthread_t threads[PROGRAMS_MAX];
	unsigned int started = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < programs->link_count; i++) {
		struct bpf_link *link = programs->links[i];

		programs->links[i] = NULL;
		if (link && pthread_create(&threads[started], NULL, destroy, link) == 0)
			started++;
		else
			destroy(link);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

void programs__fini(struct programs *programs)
{
	programs__detach(programs);
	for (unsigned int i = 0; i < programs->link_count; i++)
		if (programs->senders[i].info_fd >= 0)
			close(programs->senders[i].info_fd);
	if (programs->cgroup_fd >= 0)
		close(programs->cgroup_fd);
	unload(programs);
}
