// SPDX-License-Identifier: BSD-2-Clause
#include "source/live.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
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
#include "bpf/ledger.h"
#include "source/kernel.h"
#include "tcpsaga.skel.h"

enum {
	/* A quiet host prints a line within 50 ms, a busy one lets records
	 * gather: 10 ms at 400,000 a second fill 300 KiB of the ring. */
	POLL_QUIET_MS = 40,
	POLL_BUSY_MS = 10,
	/* One poll ends after so many, lest a ring that fills as fast as it is
	 * read keeps the caller from everything else. */
	RECORDS_PER_POLL = 65536,
	/* A loss must be visible within a second. */
	LOSS_CHECK_MS = 400,
	/* A program that runs while its hook is detached may still submit. */
	DRAIN_MS = 500,
	LOST_WAYS = EV_LOSS_REASON_END,
	SENDERS_MAX = 8,
};

/* The kernel's book, summed over CPUs. */
struct book {
	uint64_t attempted;
	uint64_t lost[LOST_WAYS][LEDGER_KINDS];
};

struct live {
	struct source source;
	struct tcpsaga_bpf *skel; /* owned */
	struct ring_buffer *ring; /* owned */
	const struct ledger_cpu *ledger; /* mapped, one per possible CPU */
	size_t ledger_bytes;
	int cpus;
	int epoll_fd; /* borrowed from ring */
	struct book told; /* losses that were handed out as EV_LOSS */
	uint64_t checked_ns; /* when the book was last compared */
	uint64_t handed_out;
	source_take_fn take; /* for the time of one poll */
	void *context;
	unsigned int taken; /* in this poll */
	int verdict; /* what take() returned */
	struct {
		int fd; /* borrowed */
		enum ev_kind kind;
	} senders[SENDERS_MAX]; /* programs that send records */
	unsigned int sender_count;
};

static int no_output(enum libbpf_print_level level, const char *format, va_list args)
{
	/* TCPSAGA_DEBUG is for the developer of a BPF program: libbpf's and
	 * the verifier's own words. */
	if (getenv("TCPSAGA_DEBUG"))
		return vfprintf(stderr, format, args);
	(void)level;
	return 0;
}

/* Before 5.11 BPF memory counts against this limit and the default of 64 KiB
 * is too small for a ring. Where it cannot be raised the load says so. */
static void raise_memlock(void)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

static int explain_kernel(int err, char *message, size_t size)
{
	if (err == -EPERM || err == -EACCES)
		snprintf(message, size, "not permitted to load BPF programs: run as root, or with "
					"CAP_BPF and CAP_PERFMON");
	else if (err == -ENOENT || err == -ESRCH)
		snprintf(message, size, "this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs "
					"CONFIG_DEBUG_INFO_BTF, as 5.10 and later of most distributions have");
	else
		snprintf(message, size, "cannot use BPF on this kernel: %s", strerror(-err));
	return err;
}

static int explain_hook(const struct hook_result *result, char *message, size_t size)
{
	if (result->error == -EPERM || result->error == -EACCES)
		return explain_kernel(result->error, message, size);
	snprintf(message, size, "%s on %s does not work here: %s", hook_kind__name(result->hook->kind),
		 result->hook->target, hook_result__reason(result));
	return -EOPNOTSUPP;
}

static int try_kernel(enum hook_choice choice, struct hook_result results[HOOK_COUNT], bool *cookie,
		      bool *probe_read, char *message, size_t size)
{
	const char *state = hooks[HOOK_STATE].target;
	struct kernel kernel;
	int err = kernel__init(&kernel);

	if (err)
		return explain_kernel(err, message, size);
	hooks__try(&kernel, choice, results);
	*cookie = kernel__has_socket_cookie(&kernel, state);
	*probe_read = kernel__may_probe_read(&kernel, state);
	kernel__fini(&kernel);
	for (int i = 0; i < HOOK_COUNT; i++)
		if (hooks[i].required && results[i].error)
			return explain_hook(&results[i], message, size);
	for (int i = 0; i < HOOK_COUNT && choice == HOOKS_FENTRY; i++)
		if (hooks[i].kind == HOOK_TRAMPOLINE && results[i].error) {
			explain_hook(&results[i], message, size);
			snprintf(message, size, "--hooks fentry: %s on %s: %s; leave it at auto",
				 hook_kind__name(hooks[i].kind), hooks[i].target,
				 hook_result__reason(&results[i]));
			return -EOPNOTSUPP;
		}
	return 0;
}

int live__probe(enum hook_choice choice, struct hook_result results[HOOK_COUNT], bool *socket_cookie,
		bool *probe_read, char *message, size_t size)
{
	libbpf_set_print(no_output);
	raise_memlock();
	return try_kernel(choice, results, socket_cookie, probe_read, message, size);
}

static bool hook_works(const struct live_config *config, const struct hook_result results[HOOK_COUNT],
		       enum hook_id id)
{
	return !results[id].error && config->wanted & 1U << id;
}

static int configure(struct live *live, const struct live_config *config,
		     const struct hook_result results[HOOK_COUNT], bool cookie, bool probe_read)
{
	struct tcpsaga_bpf *skel = live->skel;
	uint32_t ring_bytes = config->ring_bytes ? config->ring_bytes : LIVE_RING_BYTES;
	bool syn = hook_works(config, results, HOOK_SYN);
	uint64_t key;

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		return -errno;
	if (config->filter) {
		memcpy((void *)&skel->rodata->filter, config->filter, sizeof(*config->filter));
		skel->rodata->filter_on = true;
	}
	skel->rodata->have_socket_cookie = cookie;
	skel->rodata->may_probe_read = probe_read;
	skel->rodata->id_key = key;
	skel->rodata->wakeup_bytes = ring_bytes / 4;
	bpf_program__set_autoload(skel->progs.on_syn, syn);
	bpf_program__set_autoload(skel->progs.on_syn_done, syn);
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

static int open_ring(struct live *live)
{
	live->ring = ring_buffer__new(bpf_map__fd(live->skel->maps.ring), on_ring_record, live, NULL);
	if (!live->ring)
		return -errno;
	live->epoll_fd = ring_buffer__epoll_fd(live->ring);
	return 0;
}

static void add_sender(struct live *live, const struct bpf_program *program, enum ev_kind kind)
{
	live->senders[live->sender_count].fd = bpf_program__fd(program);
	live->senders[live->sender_count].kind = kind;
	live->sender_count++;
}

/* A program that loaded and then does not attach (arm64 before 6.12) costs
 * only what it would have shown. */
static int attach(struct bpf_program *program, struct bpf_link **link)
{
	*link = bpf_program__attach(program);
	return *link ? 0 : -errno;
}

static int attach_all(struct live *live, const struct live_config *config,
		      struct hook_result results[HOOK_COUNT])
{
	struct tcpsaga_bpf *skel = live->skel;

	if (hook_works(config, results, HOOK_SYN)) {
		results[HOOK_SYN].error = attach(skel->progs.on_syn_done, &skel->links.on_syn_done);
		if (!results[HOOK_SYN].error)
			results[HOOK_SYN].error = attach(skel->progs.on_syn, &skel->links.on_syn);
		add_sender(live, skel->progs.on_syn_done, EV_SYN);
	}
	add_sender(live, skel->progs.on_state, EV_TRANSITION);
	return attach(skel->progs.on_state, &skel->links.on_state);
}

/* One sentence for stderr: the first hook that was wanted and is missing. */
static void note_missing(struct live *live, const struct live_config *config,
			 const struct hook_result results[HOOK_COUNT])
{
	for (int i = 0; i < HOOK_COUNT; i++) {
		if (!(config->wanted & 1U << i) || !results[i].error)
			continue;
		snprintf(live->source.note, sizeof(live->source.note), "%s (%s on %s: %s)", hooks[i].label,
			 hook_kind__name(hooks[i].kind), hooks[i].target, hook_result__reason(&results[i]));
		return;
	}
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
					       results[i].error ? "none" : hook_kind__name(hooks[i].kind));
	note_missing(live, config, results);
	info->realtime_offset_ns = clock__realtime_offset_ns();
	info->start_ns = clock__boot_ns();
}

static void read_book(const struct live *live, struct book *book)
{
	memset(book, 0, sizeof(*book));
	for (int cpu = 0; cpu < live->cpus; cpu++) {
		for (int kind = 0; kind < LEDGER_KINDS; kind++) {
			book->attempted += live->ledger[cpu].attempted[kind];
			book->lost[EV_LOST_RING_FULL][kind] += live->ledger[cpu].lost_ring_full[kind];
		}
	}
	/* The kernel does not run a program inside itself on the same CPU (a
	 * softirq in the middle of connect()): it counts the event and goes on. */
	for (unsigned int i = 0; i < live->sender_count; i++) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(live->senders[i].fd, &info, &len))
			continue;
		book->attempted += info.recursion_misses;
		book->lost[EV_LOST_RECURSION][live->senders[i].kind] += info.recursion_misses;
	}
}

static struct ev_header header_of(enum ev_kind kind, size_t len, uint64_t time_ns)
{
	return (struct ev_header){
		.len = (__u16)len, .version = EV_VERSION, .kind = (__u8)kind, .time_ns = time_ns};
}

static int tell_losses(struct live *live, const struct book *book, source_take_fn take, void *context)
{
	uint64_t now_ns = clock__boot_ns();

	for (uint32_t reason = 1; reason < LOST_WAYS; reason++) {
		for (uint32_t kind = 0; kind < LEDGER_KINDS; kind++) {
			struct ev_loss loss = {
				.header = header_of(EV_LOSS, sizeof(loss), now_ns),
				.since_ns = live->checked_ns,
				.count = book->lost[reason][kind] - live->told.lost[reason][kind],
				.reason = reason,
				.of_kind = kind,
			};
			int err;

			if (!loss.count)
				continue;
			err = take(context, &loss, sizeof(loss));
			if (err)
				return err;
		}
	}
	live->told = *book;
	live->checked_ns = now_ns;
	return 0;
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

static int live_poll(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	int wait_ms = live->taken >= RECORDS_PER_POLL ? 0 : live->taken ? POLL_BUSY_MS : POLL_QUIET_MS;
	struct epoll_event event;
	struct book book;
	int err;

	/* EINTR is a signal: the caller will see it. */
	if (epoll_wait(live->epoll_fd, &event, 1, wait_ms) < 0 && errno != EINTR)
		return -errno;
	err = consume(live, take, context);
	if (err || clock__boot_ns() - live->checked_ns < LOSS_CHECK_MS * NS_PER_MS)
		return err;
	read_book(live, &book);
	return tell_losses(live, &book, take, context);
}

static void detach_all(struct live *live)
{
	struct bpf_link **links[] = {&live->skel->links.on_state, &live->skel->links.on_syn,
				     &live->skel->links.on_syn_done};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		bpf_link__destroy(*links[i]);
		*links[i] = NULL;
	}
}

static uint64_t lost_in(const struct book *book, uint32_t reason)
{
	uint64_t sum = 0;

	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		sum += book->lost[reason][kind];
	return sum;
}

static bool balanced(const struct live *live, const struct book *book)
{
	uint64_t lost = 0;

	for (uint32_t reason = 1; reason < LOST_WAYS; reason++)
		lost += lost_in(book, reason);
	return book->attempted == live->handed_out + lost;
}

static int drain(struct live *live, struct book *book, source_take_fn take, void *context)
{
	uint64_t until_ns = clock__boot_ns() + DRAIN_MS * NS_PER_MS;
	struct epoll_event event;
	int err;

	for (;;) {
		err = consume(live, take, context);
		read_book(live, book);
		if (err || balanced(live, book) || clock__boot_ns() > until_ns)
			return err;
		epoll_wait(live->epoll_fd, &event, 1, 1);
	}
}

static int live_stop(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	struct ev_stop stop = {.header = header_of(EV_STOP, sizeof(stop), 0)};
	struct book book;
	int err;

	detach_all(live);
	err = drain(live, &book, take, context);
	if (!err)
		err = tell_losses(live, &book, take, context);
	if (err)
		return err;
	stop.header.time_ns = clock__boot_ns();
	stop.attempted = book.attempted;
	for (uint32_t reason = 1; reason < LOST_WAYS; reason++)
		stop.lost[reason] = lost_in(&book, reason);
	return take(context, &stop, sizeof(stop));
}

static void live_free(struct source *source)
{
	struct live *live = (struct live *)source;

	if (live->ledger)
		munmap((void *)live->ledger, live->ledger_bytes);
	ring_buffer__free(live->ring);
	tcpsaga_bpf__destroy(live->skel);
	free(live);
}

static const struct source_ops live_ops = {.poll = live_poll, .stop = live_stop, .free = live_free};

static int load(struct live *live, const struct live_config *config,
		const struct hook_result results[HOOK_COUNT], bool cookie, bool probe_read)
{
	int err;

	live->skel = tcpsaga_bpf__open();
	if (!live->skel)
		return -errno;
	err = configure(live, config, results, cookie, probe_read);
	return err ? err : tcpsaga_bpf__load(live->skel);
}

/* A kernel that allows a hook and then refuses our program for it must not
 * cost the rest: one refused program fails the whole object, so it is loaded
 * once more with the required ones only. */
static int load_what_loads(struct live *live, const struct live_config *config,
			   struct hook_result results[HOOK_COUNT], bool cookie, bool probe_read)
{
	int err = load(live, config, results, cookie, probe_read);
	bool optional = false;

	if (!err)
		return 0;
	for (int i = 0; i < HOOK_COUNT; i++) {
		if (hooks[i].required || results[i].error)
			continue;
		results[i].error = err;
		optional = true;
	}
	if (!optional)
		return err;
	tcpsaga_bpf__destroy(live->skel);
	return load(live, config, results, cookie, probe_read);
}

static int start(struct live *live, const struct live_config *config, char *message, size_t size)
{
	struct hook_result results[HOOK_COUNT];
	bool cookie, probe_read;
	int err = try_kernel(config->choice, results, &cookie, &probe_read, message, size);

	if (err)
		return err;
	err = load_what_loads(live, config, results, cookie, probe_read);
	if (!err)
		err = map_ledger(live);
	if (!err)
		err = open_ring(live);
	if (!err)
		err = attach_all(live, config, results);
	if (err)
		return explain_kernel(err, message, size);
	describe(live, config, results);
	live->checked_ns = live->source.info.start_ns;
	return 0;
}

struct source *live__new(const struct live_config *config, char *message, size_t size)
{
	struct live *live = calloc(1, sizeof(*live));
	int err;

	if (!live) {
		snprintf(message, size, "out of memory");
		return NULL;
	}
	live->source.ops = &live_ops;
	libbpf_set_print(no_output);
	raise_memlock();
	err = start(live, config, message, size);
	if (err) {
		live_free(&live->source);
		errno = -err;
		return NULL;
	}
	return &live->source;
}
