// SPDX-License-Identifier: BSD-2-Clause
#include "source/live.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "bpf/event.h"
#include "source/book.h"
#include "source/excerpt.h"
#include "source/kernel.h"
#include "source/sockops.h"
#include "source/tracefs.h"
#include "tcpsaga.skel.h"

enum {
	/* On a quiet host the next record wakes us, and we look now and then at the
	 * book; on a busy one records gather: 10 ms at 400,000 a second fill 300 KiB
	 * of the ring. */
	POLL_QUIET_MS = 200,
	POLL_BUSY_MS = 10,
	/* One poll ends after so many, lest a ring that fills as fast as it is
	 * read keeps the caller from everything else. */
	RECORDS_PER_POLL = 65536,
	/* A loss must be visible within a second. */
	LOSS_CHECK_MS = 400,
	/* A program that runs while its hook is detached may still submit. */
	DRAIN_MS = 500,
	/* For a record that is being written. A CPU that stands still with one
	 * (its guest is stopped) is waited for at the next call. */
	SETTLE_MS = 20,
	PROGRAMS_MAX = 64,
	POINT_PROGRAMS = 2 + STAND_INS_MAX,
};

struct live {
	struct source source;
	struct tcpsaga_bpf *skel;	 /* owned */
	struct ring_buffer *ring;	 /* owned */
	const struct ledger_cpu *ledger; /* mapped, one per possible CPU */
	size_t ledger_bytes;
	int cpus;
	/* The ring's own counts of bytes, mapped: libbpf's accessors are newer than
	 * the libbpf of Debian 12. */
	const volatile unsigned long *consumed;
	const volatile unsigned long *produced;
	struct book told; /* losses that were handed out as EV_LOSS */
	struct book seen; /* as of the last look */
	bool accept_is_function;
	uint64_t checked_ns; /* when the book was last looked at */
	uint64_t settled_ns; /* when it was the time before: misses until then have been told */
	uint64_t handed_out;
	source_take_fn take; /* for the time of one poll */
	void *context;
	unsigned int taken; /* in this poll */
	int verdict;	    /* what take() returned */
	struct {
		int info_fd; /* owned: what the kernel tells of the program; -1: nothing */
		enum ev_kind kind;
	} senders[PROGRAMS_MAX];	      /* programs whose runs may be missed */
	struct bpf_link *links[PROGRAMS_MAX]; /* owned */
	unsigned int link_count;	      /* of links and senders */
	int attach_errors[HOOK_COUNT];
	int cgroup_fd; /* owned, -1: none */
};

static int explain_kernel(int err, char *message, size_t size)
{
	if (err == -EPERM || err == -EACCES)
		snprintf(message, size,
			 "not permitted to load BPF programs: run as root, or with "
			 "CAP_BPF and CAP_PERFMON");
	else if (err == -ENOENT || err == -ESRCH)
		snprintf(message, size,
			 "this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs "
			 "CONFIG_DEBUG_INFO_BTF, as 5.10 and later of most distributions have");
	else
		snprintf(message, size, "cannot use BPF on this kernel: %s", strerror(-err));
	return err;
}

static int explain_hook(const struct hook_result *result, char *message, size_t size)
{
	if (result->error == -EPERM || result->error == -EACCES)
		return explain_kernel(result->error, message, size);
	snprintf(message, size, "the hook on %s does not work here: %s", result->hook->points[0].target,
		 hook_result__reason(result));
	return -EOPNOTSUPP;
}

/* What was found out about the kernel. */
struct trial {
	struct kernel kernel; /* owned */
	struct hook_result results[HOOK_COUNT];
	bool cookie;
	bool probe_read;
	bool preempts;
	bool sys_listen; /* its function can be hooked */
	uint32_t syn_recv_sock_args;
	uint32_t accept_args;
	uint32_t timewait_args;
	bool present[HOOK_COUNT][HOOK_POINTS_MAX]; /* the kernel has this point */
};

/* --hooks fentry or kprobe is an order: a hook that could be of that kind and
 * is not is a failure. */
static int check_order(enum hook_choice choice, const struct hook_result results[HOOK_COUNT],
		       char *message, size_t size)
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		const struct hook_result *result = &results[i];

		if (hooks[i].is_tracepoint || hooks[i].is_sockops || !hooks[i].points[0].target ||
		    !result->error || result->error == HOOK_NOT_WANTED)
			continue;
		if (choice != HOOKS_FENTRY && choice != HOOKS_KPROBE)
			continue;
		snprintf(message, size, "--hooks %s: %s: %s; leave it at auto",
			 choice == HOOKS_FENTRY ? "fentry" : "kprobe", hooks[i].points[0].target,
			 hook_result__reason(result));
		return -EOPNOTSUPP;
	}
	return 0;
}

static int try_kernel(enum hook_choice choice, struct trial *trial, char *message, size_t size)
{
	const char *state = hooks[HOOK_STATE].points[0].target;
	const struct kernel *kernel = &trial->kernel;
	int err = kernel__init(&trial->kernel);

	if (err)
		return explain_kernel(err, message, size);
	hooks__try(kernel, choice, trial->results);
	trial->cookie = kernel__has_socket_cookie(kernel, state);
	trial->probe_read = kernel__may_probe_read(kernel, state);
	trial->preempts = kernel__preempts_programs(kernel);
	trial->sys_listen = trial->results[HOOK_ACCEPT].kind == HOOK_FENTRY &&
			    kernel__has_function(kernel, "__sys_listen");
	trial->syn_recv_sock_args = kernel__function_args(kernel, "tcp_v4_syn_recv_sock");
	trial->accept_args = kernel__function_args(kernel, "inet_csk_accept");
	trial->timewait_args = kernel__function_args(kernel, "tcp_timewait_state_process");
	/* Programs for functions that this kernel does not have are not loaded. */
	for (int i = 0; i < HOOK_COUNT; i++) {
		enum hook_kind kind = trial->results[i].kind;
		const struct hook_point *point = hook__points(&hooks[i], kind);
		bool functions = kind == HOOK_FENTRY || kind == HOOK_KPROBE;

		for (int p = 0; point[p].target; p++)
			trial->present[i][p] = !functions || kernel__has_function(kernel, point[p].target);
	}
	for (int i = 0; i < HOOK_COUNT; i++)
		if (hooks[i].required && trial->results[i].error)
			return explain_hook(&trial->results[i], message, size);
	return check_order(choice, trial->results, message, size);
}

int live__probe(enum hook_choice choice, struct hook_result results[HOOK_COUNT], bool *socket_cookie,
		bool *probe_read, char *message, size_t size)
{
	struct trial trial = { 0 };
	int err;

	kernel__hush_libbpf();
	kernel__raise_memlock();
	err = try_kernel(choice, &trial, message, size);
	kernel__fini(&trial.kernel);
	memcpy(results, trial.results, sizeof(trial.results));
	*socket_cookie = trial.cookie;
	*probe_read = trial.probe_read;
	return err;
}

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

static struct bpf_program *program_of(struct live *live, const char *name, bool by_kprobe)
{
	char twin[64];

	if (!name)
		return NULL;
	snprintf(twin, sizeof(twin), "%s%s", name, by_kprobe ? "_kp" : "");
	return bpf_object__find_program_by_name(live->skel->obj, twin);
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
static unsigned int programs_of(struct live *live, const struct trial *trial,
				const struct hook_point *point, bool in_order, bool by_kprobe,
				struct bpf_program *programs[POINT_PROGRAMS])
{
	const char *names[POINT_PROGRAMS] = { in_order ? point->on_entry : point->on_return,
					      in_order ? point->on_return : point->on_entry };
	unsigned int count = 0;

	for (int i = 0; i < STAND_INS_MAX && may_stand_in(trial, point); i++)
		names[2 + i] = point->stand_ins[i];
	for (int i = 0; i < POINT_PROGRAMS; i++) {
		programs[count] = program_of(live, names[i], by_kprobe);
		count += programs[count] != NULL;
	}
	return count;
}

/* Calls back for each program that a working hook needs on this kernel. */
static void each_program(struct live *live, const struct trial *trial,
			 void (*visit)(struct live *live, struct bpf_program *program, enum hook_id id))
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		enum hook_kind kind = trial->results[i].kind;

		if (kind == HOOK_NONE)
			continue;
		for (int p = 0; hook__points(&hooks[i], kind)[p].target; p++) {
			const struct hook_point *point = &hook__points(&hooks[i], kind)[p];
			bool by_kprobe = kind == HOOK_KPROBE || trial->results[i].by_kprobe[p];
			struct bpf_program *programs[POINT_PROGRAMS];
			unsigned int count = 0;

			if (trial->present[i][p])
				count = programs_of(live, trial, point, kind == HOOK_TRACEPOINT,
						    by_kprobe, programs);
			for (unsigned int n = 0; n < count; n++)
				visit(live, programs[n], (enum hook_id)i);
		}
	}
}

static void want_program(struct live *live, struct bpf_program *program, enum hook_id id)
{
	(void)live;
	(void)id;
	bpf_program__set_autoload(program, true);
}

static bool has_net(const struct kernel_filter_net *net)
{
	static const struct kernel_filter_net any = { 0 };

	return memcmp(net, &any, sizeof(any)) != 0;
}

static bool has_addresses(const struct kernel_filter *filter)
{
	return filter->family || has_net(&filter->local_net) || has_net(&filter->remote_net) ||
	       has_net(&filter->either_net);
}

static int configure(struct live *live, const struct live_config *config, const struct trial *trial)
{
	struct tcpsaga_bpf *skel = live->skel;
	uint32_t ring_bytes = config->ring_bytes ? config->ring_bytes : LIVE_RING_BYTES;
	struct bpf_program *program;
	uint64_t key;

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		return -errno;
	if (config->filter) {
		memcpy((void *)&skel->rodata->filter, config->filter, sizeof(*config->filter));
		skel->rodata->filter_on = true;
		skel->rodata->filter_addresses = has_addresses(config->filter);
	}
	skel->rodata->have_socket_cookie = trial->cookie;
	skel->rodata->may_probe_read = trial->probe_read;
	skel->rodata->preempts = trial->preempts;
	skel->rodata->syn_recv_sock_args = trial->syn_recv_sock_args;
	skel->rodata->accept_args = trial->accept_args;
	skel->rodata->timewait_args = trial->timewait_args;
	skel->rodata->id_key = key;
	skel->rodata->wakeup_bytes = ring_bytes / 4;
	skel->rodata->simulate_loss = config->simulate_loss;
	skel->rodata->task_struct_id = kernel__struct(&trial->kernel, "task_struct");
	bpf_object__for_each_program(program, skel->obj) bpf_program__set_autoload(program, false);
	each_program(live, trial, want_program);
	bpf_program__set_autoload(skel->progs.on_state_again, true);
	live->cpus = libbpf_num_possible_cpus();
	if (live->cpus < 0)
		return live->cpus;
	bpf_map__set_max_entries(skel->maps.ledger, (uint32_t)live->cpus);
	return bpf_map__set_max_entries(skel->maps.ring, ring_bytes);
}

static int map_ledger(struct live *live)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)live->cpus * sizeof(struct ledger_cpu);
	void *mapped;

	bytes = (bytes + page - 1) / page * page;
	mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(live->skel->maps.ledger), 0);
	if (mapped == MAP_FAILED)
		return -errno;
	live->ledger = mapped;
	live->ledger_bytes = bytes;
	return 0;
}

static int on_ring_record(void *context, void *data, size_t len)
{
	struct live *live = context;

	live->handed_out++;
	live->taken++;
	live->verdict = live->take(live->context, data, len);
	if (live->verdict)
		return -ECANCELED;
	return live->taken >= RECORDS_PER_POLL ? -EAGAIN : 0;
}

/* The first page of the map holds the consumer's position, the second one the
 * producers' (ringbuf_map_mmap_kern()). */
static const volatile unsigned long *map_position(const struct live *live, size_t offset)
{
	void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED,
			  bpf_map__fd(live->skel->maps.ring), (off_t)offset);

	return page == MAP_FAILED ? NULL : page;
}

static void unmap_position(const volatile unsigned long *position)
{
	if (position)
		munmap((void *)position, (size_t)sysconf(_SC_PAGESIZE));
}

static int open_ring(struct live *live)
{
	live->ring = ring_buffer__new(bpf_map__fd(live->skel->maps.ring), on_ring_record, live, NULL);
	if (!live->ring)
		return -errno;
	live->source.fd = ring_buffer__epoll_fd(live->ring);
	live->consumed = map_position(live, 0);
	live->produced = map_position(live, (size_t)sysconf(_SC_PAGESIZE));
	return live->consumed && live->produced ? 0 : -ENOMEM;
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

/* What the stand-ins call. */
static int fill_calls(struct live *live)
{
	__u32 first = 0, fd = (__u32)bpf_program__fd(live->skel->progs.on_state_again);

	return bpf_map__update_elem(live->skel->maps.calls, &first, sizeof(first), &fd, sizeof(fd),
				    BPF_ANY);
}

static int open_info(int program_fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", program_fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A program that loaded and then does not attach costs only what it would have
 * shown; the state program is the one that must. */
static void attach(struct live *live, struct bpf_program *program, enum hook_id id)
{
	struct bpf_link *link;
	enum ev_kind kind;

	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_SOCK_OPS:
		link = sockops__attach(program, live->cgroup_fd);
		break;
	case BPF_PROG_TYPE_TRACEPOINT:
		link = tracefs__attach(program);
		break;
	default:
		link = bpf_program__attach(program);
	}
	if (link && live->link_count == PROGRAMS_MAX) {
		bpf_link__destroy(link);
		link = NULL;
		errno = E2BIG;
	}
	if (!link) {
		live->attach_errors[id] = -errno;
		return;
	}
	kind = kind_of_loss(id, program);
	live->senders[live->link_count].kind = kind;
	live->senders[live->link_count].info_fd = kind ? open_info(bpf_program__fd(program)) : -1;
	live->links[live->link_count++] = link;
}

static int attach_all(struct live *live, struct trial *trial)
{
	each_program(live, trial, attach);
	for (int i = 0; i < HOOK_COUNT; i++) {
		if (!live->attach_errors[i])
			continue;
		trial->results[i].kind = HOOK_NONE;
		trial->results[i].error = live->attach_errors[i];
	}
	return trial->results[HOOK_STATE].error;
}

/* Appends to the note, as far as there is room. */
static void note(struct source *source, const char *format, const char *word)
{
	size_t at = strlen(source->note);

	snprintf(source->note + at, sizeof(source->note) - at, format, word);
}

/* For stderr: what was wanted and is missing. Those that miss for the same reason
 * stand together before it. */
static void note_missing(struct live *live, const struct live_config *config,
			 const struct hook_result results[HOOK_COUNT])
{
	struct source *source = &live->source;
	const char *reason = NULL;

	for (int i = 0; i < HOOK_COUNT; i++) {
		const char *own = hook_result__reason(&results[i]);

		if (!(config->wanted & 1U << i) || !results[i].error)
			continue;
		if (reason && strcmp(reason, own))
			note(source, " (%s)", reason);
		note(source, reason ? ", %s" : "%s", hooks[i].label);
		reason = own;
	}
	if (reason)
		note(source, " (%s); see tcpsaga probe", reason);
}

static void describe(struct live *live, const struct live_config *config,
		     const struct hook_result results[HOOK_COUNT])
{
	struct capture_info *info = &live->source.info;
	struct utsname name;
	size_t at = 0;

	uname(&name);
	snprintf(info->kernel, sizeof(info->kernel), "%.63s", name.release);
	snprintf(info->tool, sizeof(info->tool), "%s", TCPSAGA_VERSION);
	snprintf(info->source, sizeof(info->source), "live");
	for (int i = 0; i < HOOK_COUNT; i++)
		if (config->wanted & 1U << i)
			at += (size_t)snprintf(info->hooks + at, sizeof(info->hooks) - at, "%s%s=%s",
					       at ? " " : "", hooks[i].name,
					       hook_kind__name(results[i].kind));
	/* The local port is known after connect(): then it keeps out what it let in. */
	if (config->filter && (config->filter->local_ports.count || config->filter->either_ports.count))
		snprintf(info->hooks + at, sizeof(info->hooks) - at, " answers=some");
	note_missing(live, config, results);
	info->realtime_offset_ns = clock__realtime_offset_ns();
	info->start_ns = clock__boot_ns();
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

static void read_book(const struct live *live, struct book *book)
{
	struct ledger_cpu sum = { 0 };

	memset(book, 0, sizeof(*book));
	for (int cpu = 0; cpu < live->cpus; cpu++)
		book__add_cpu(book, &sum, &live->ledger[cpu]);
	for (unsigned int i = 0; i < live->link_count; i++)
		if (live->senders[i].kind)
			book->lost[EV_LOST_RECURSION][live->senders[i].kind] +=
				misses_of(live->senders[i].info_fd);
	book__settle(book, &sum, live->accept_is_function);
}

static struct ev_header header_of(enum ev_kind kind, size_t len, uint64_t time_ns)
{
	return (struct ev_header){
		.len = (__u16)len, .version = EV_VERSION, .kind = (__u8)kind, .time_ns = time_ns
	};
}

/* Since when what is told now has been lost. */
static uint64_t since_ns(const struct live *live, uint32_t reason)
{
	return reason == EV_LOST_RECURSION ? live->settled_ns : live->checked_ns;
}

/* How much a record says of a transition is nobody's business who has lost it. */
static uint32_t told_as(uint32_t kind)
{
	return kind == EV_TRANSITION_OWNED || kind == EV_BIRTH || kind == EV_CLOSE ? EV_TRANSITION : kind;
}

static int tell_losses_by(struct live *live, const struct book *book, uint32_t reason,
			  source_take_fn take, void *context)
{
	uint64_t counts[LEDGER_KINDS] = { 0 }, now_ns = clock__boot_ns();
	int err = 0;

	for (uint32_t kind = 0; kind < LEDGER_KINDS; kind++)
		counts[told_as(kind)] += book__untold(&live->told, book, reason, kind);
	for (uint32_t kind = 0; kind < LEDGER_KINDS && !err; kind++) {
		const struct ev_loss loss = {
			.header = header_of(EV_LOSS, sizeof(loss), now_ns),
			.since_ns = since_ns(live, reason),
			.count = counts[kind],
			.reason = reason,
			.of_kind = kind,
		};

		if (loss.count)
			err = take(context, &loss, sizeof(loss));
	}
	return err;
}

/* read_ns: when the book was. */
static int tell_losses(struct live *live, const struct book *book, uint64_t read_ns, source_take_fn take,
		       void *context)
{
	for (uint32_t reason = 1; reason < LOST_WAYS; reason++) {
		int err = tell_losses_by(live, book, reason, take, context);

		if (err)
			return err;
	}
	live->settled_ns = live->checked_ns;
	live->checked_ns = read_ns;
	return 0;
}

/* What is told while programs still run: of misses those that were there at the
 * last look, too. */
static int tell_lasting_losses(struct live *live, source_take_fn take, void *context)
{
	uint64_t read_ns = clock__boot_ns();
	struct book book, lasting;

	read_book(live, &book);
	lasting = book;
	book__lessen(&lasting, &live->seen);
	live->seen = book;
	return tell_losses(live, &lasting, read_ns, take, context);
}

static int consume(struct live *live, source_take_fn take, void *context)
{
	int n;

	live->take = take;
	live->context = context;
	live->taken = 0;
	live->verdict = 0;
	n = ring_buffer__consume(live->ring);
	if (n == -ECANCELED)
		return live->verdict;
	return n < 0 && n != -EAGAIN ? n : 0;
}

/*
 * Has the next record wake us. One that is there already has not seen that; one that
 * comes right now on another CPU may not see it either where a processor lets its load
 * go before its own store (not on x86): then it waits for POLL_QUIET_MS.
 */
static bool arm_wakeup(struct live *live)
{
	__atomic_store_n(&live->skel->bss->consumer_waits, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(live->produced, __ATOMIC_SEQ_CST) == *live->consumed)
		return true;
	__atomic_store_n(&live->skel->bss->consumer_waits, 0, __ATOMIC_RELAXED);
	return false;
}

static int next_patience_ms(struct live *live)
{
	if (live->taken >= RECORDS_PER_POLL)
		return 0;
	return live->taken || live->source.hurry || !arm_wakeup(live) ? POLL_BUSY_MS : POLL_QUIET_MS;
}

/* For the next record, or until the caller has something to do. */
static int wait_for_record(const struct source *source)
{
	int wait_ms = source__patience_ms(source);
	uint64_t now_ns = source->until_ns ? clock__boot_ns() : 0;
	struct epoll_event event;

	if (source->until_ns && source->until_ns < now_ns + (uint64_t)wait_ms * NS_PER_MS)
		wait_ms = source->until_ns > now_ns ?
				  (int)((source->until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS) :
				  0;
	/* EINTR is a signal: the caller will see it. */
	if (wait_ms && epoll_wait(source->fd, &event, 1, wait_ms) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int live_poll(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	int err = source->no_wait ? 0 : wait_for_record(source);

	if (err)
		return err;
	__atomic_store_n(&live->skel->bss->consumer_waits, 0, __ATOMIC_RELAXED);
	err = consume(live, take, context);
	source->patience_ms = next_patience_ms(live);
	if (err || clock__boot_ns() - live->checked_ns < LOSS_CHECK_MS * NS_PER_MS)
		return err;
	return tell_lasting_losses(live, take, context);
}

static int live_settle(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	unsigned long until = __atomic_load_n(live->produced, __ATOMIC_ACQUIRE);
	uint64_t until_ns = clock__boot_ns() + SETTLE_MS * NS_PER_MS;
	int err;

	/* The positions only ever grow, and wrap with their type. */
	while ((long)(until - *live->consumed) > 0) {
		err = consume(live, take, context);
		if (err || (long)(until - *live->consumed) <= 0)
			return err;
		if (!live->taken && clock__boot_ns() > until_ns)
			return -EAGAIN;
	}
	return 0;
}

static void *destroy(void *link)
{
	bpf_link__destroy(link);
	return NULL;
}

/* To let go of a hook the kernel waits for all who may be in it, some hundredths of a
 * second, and for all hooks at once no longer than for one: each has a thread. */
static void detach_all(struct live *live)
{
	pthread_t threads[PROGRAMS_MAX];
	unsigned int started = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < live->link_count; i++) {
		struct bpf_link *link = live->links[i];

		live->links[i] = NULL;
		if (link && pthread_create(&threads[started], NULL, destroy, link) == 0)
			started++;
		else
			destroy(link);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

static int drain(struct live *live, struct book *book, source_take_fn take, void *context)
{
	uint64_t until_ns = clock__boot_ns() + DRAIN_MS * NS_PER_MS;
	struct epoll_event event;
	int err;

	for (;;) {
		err = consume(live, take, context);
		read_book(live, book);
		if (err || book__is_balanced(book, live->handed_out) || clock__boot_ns() > until_ns)
			return err;
		epoll_wait(live->source.fd, &event, 1, 1);
	}
}

static int live_stop(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	struct ev_stop stop = { .header = header_of(EV_STOP, sizeof(stop), 0) };
	struct book book;
	int err;

	detach_all(live);
	err = drain(live, &book, take, context);
	if (!err)
		err = tell_losses(live, &book, live->checked_ns, take, context);
	if (err)
		return err;
	stop.header.time_ns = clock__boot_ns();
	stop.attempted = book.attempted;
	for (uint32_t reason = 1; reason < LOST_WAYS; reason++)
		stop.lost[reason] = book__lost(&book, reason);
	return take(context, &stop, sizeof(stop));
}

static void live_free(struct source *source)
{
	struct live *live = (struct live *)source;

	detach_all(live);
	for (unsigned int i = 0; i < live->link_count; i++)
		if (live->senders[i].info_fd >= 0)
			close(live->senders[i].info_fd);
	if (live->cgroup_fd >= 0)
		close(live->cgroup_fd);
	if (live->ledger)
		munmap((void *)live->ledger, live->ledger_bytes);
	unmap_position(live->consumed);
	unmap_position(live->produced);
	ring_buffer__free(live->ring);
	tcpsaga_bpf__destroy(live->skel);
	free(live);
}

static uint64_t live_attempted(const struct source *source)
{
	struct book book;

	read_book((const struct live *)source, &book);
	return book.attempted;
}

static const struct source_ops live_ops = { .poll = live_poll,
					    .settle = live_settle,
					    .stop = live_stop,
					    .free = live_free,
					    .attempted = live_attempted };

/* types_fd: where an excerpt of the kernel's types goes, to relocate by; -1: by all. */
static int load_by(struct live *live, const struct live_config *config, const struct trial *trial,
		   int types_fd)
{
	char path[32];
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", types_fd);
	if (types_fd >= 0)
		opts.btf_custom_path = path;
	live->skel = tcpsaga_bpf__open_opts(&opts);
	if (!live->skel)
		return -errno;
	err = configure(live, config, trial);
	if (!err && types_fd >= 0)
		err = excerpt__write(&trial->kernel.types, bpf_object__btf(live->skel->obj), types_fd);
	return err ? err : tcpsaga_bpf__load(live->skel);
}

static void unload(struct live *live)
{
	tcpsaga_bpf__destroy(live->skel);
	live->skel = NULL;
}

/* By the excerpt; where that does not serve by the whole, which is slower and no reason to
 * see nothing. */
static int load(struct live *live, const struct live_config *config, const struct trial *trial)
{
	int fd = memfd_create("tcpsaga-types", MFD_CLOEXEC);
	int err = load_by(live, config, trial, fd);

	if (fd < 0)
		return err;
	close(fd);
	if (!err)
		return 0;
	unload(live);
	return load_by(live, config, trial, -1);
}

/* Loads with this optional hook alone: is it the one that is refused? */
static int try_alone(const struct live_config *config, const struct trial *trial, enum hook_id id)
{
	struct live attempt = { 0 };
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
static int load_what_loads(struct live *live, const struct live_config *config, struct trial *trial)
{
	int err = load(live, config, trial);

	if (!err)
		return 0;
	unload(live);
	for (int i = 0; i < HOOK_COUNT; i++) {
		struct hook_result *result = &trial->results[i];

		if (hooks[i].required || result->kind == HOOK_NONE)
			continue;
		result->error = try_alone(config, trial, (enum hook_id)i);
		if (result->error)
			result->kind = HOOK_NONE;
	}
	return load(live, config, trial);
}

/* libbpf makes two copies of the kernel's BTF, 5 MB each, and what it costs are the pages
 * of these. They are got from the kernel at once, by a thread of their own, while this one
 * finds out what works here; what comes behind the copies has them, too. */
enum { COPIES_BYTES = 12 << 20 };

struct held {
	pthread_t thread;
	bool started;
	char *heap; /* COPIES_BYTES of it */
};

static void *get_pages(void *heap)
{
	madvise(heap, COPIES_BYTES, MADV_POPULATE_WRITE); /* from 5.14 on */
	return NULL;
}

static void hold_memory(struct held *held)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *volatile grown;

	mallopt(M_MMAP_THRESHOLD, 32 << 20); /* more glibc does not take */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_TOP_PAD, 2 * (int)page);
	grown = malloc(COPIES_BYTES);
	held->heap = (char *)(((uintptr_t)grown + page) & ~(page - 1));
	free(grown);
	held->started = grown && !pthread_create(&held->thread, NULL, get_pages, held->heap);
}

static void let_memory_go(const struct held *held)
{
	if (held->started)
		pthread_join(held->thread, NULL);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
	mallopt(M_TOP_PAD, 128 << 10);
	malloc_trim(0);
}

/* Once it is known what works here. */
static int begin(struct live *live, const struct live_config *config, struct trial *trial, char *message,
		 size_t size)
{
	int err;

	narrow(config, trial->results);
	/* Who sees the SYNs themselves need not touch the user's cgroup. */
	if (trial->results[HOOK_SYN].kind != HOOK_NONE)
		trial->results[HOOK_SOCKOPS].kind = HOOK_NONE;
	if (trial->results[HOOK_SOCKOPS].kind != HOOK_NONE) {
		live->cgroup_fd = sockops__open(config->cgroup, message, size);
		if (live->cgroup_fd < 0)
			return live->cgroup_fd;
	}
	err = load_what_loads(live, config, trial);
	if (!err)
		err = map_ledger(live);
	if (!err)
		err = open_ring(live);
	if (!err)
		err = fill_calls(live);
	if (!err)
		err = attach_all(live, trial);
	if (err)
		return explain_kernel(err, message, size);
	describe(live, config, trial->results);
	live->accept_is_function = trial->results[HOOK_ACCEPT].kind == HOOK_FENTRY;
	live->settled_ns = live->checked_ns = live->source.info.start_ns;
	live->source.patience_ms = arm_wakeup(live) ? POLL_QUIET_MS : 0;
	return 0;
}

static int start(struct live *live, const struct live_config *config, char *message, size_t size)
{
	struct trial trial = { 0 };
	int err = try_kernel(config->choice, &trial, message, size);

	if (!err)
		err = begin(live, config, &trial, message, size);
	kernel__fini(&trial.kernel);
	return err;
}

struct source *live__new(const struct live_config *config, char *message, size_t size)
{
	struct live *live = calloc(1, sizeof(*live));
	struct held held = { 0 };
	int err;

	if (!live) {
		snprintf(message, size, "out of memory");
		return NULL;
	}
	live->source.ops = &live_ops;
	live->cgroup_fd = -1;
	kernel__hush_libbpf();
	kernel__raise_memlock();
	live->source.fd = -1;
	hold_memory(&held);
	err = start(live, config, message, size);
	let_memory_go(&held);
	if (err) {
		live_free(&live->source);
		errno = -err;
		return NULL;
	}
	return &live->source;
}
