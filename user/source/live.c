// SPDX-License-Identifier: BSD-2-Clause
#include "source/live.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "bpf/event.h"
#include "source/programs.h"

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
	/* libbpf makes two copies of the kernel's BTF, 5 MB each. */
	TYPES_BYTES = 12 << 20,
	/* For a record that is being written. A CPU that stands still with one
	 * (its guest is stopped) is waited for at the next call. */
	SETTLE_MS = 20,
};

struct live {
	struct source source;
	struct programs programs;
	struct ring_buffer *ring;	 /* owned */
	const struct ledger_cpu *ledger; /* mapped, one per possible CPU */
	size_t ledger_bytes;
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
};

static int map_ledger(struct live *live)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)live->programs.cpus * sizeof(struct ledger_cpu);
	void *mapped;

	bytes = (bytes + page - 1) / page * page;
	mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(live->programs.skel->maps.ledger),
		      0);
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
			  bpf_map__fd(live->programs.skel->maps.ring), (off_t)offset);

	return page == MAP_FAILED ? NULL : page;
}

static void unmap_position(const volatile unsigned long *position)
{
	if (position)
		munmap((void *)position, (size_t)sysconf(_SC_PAGESIZE));
}

static int open_ring(struct live *live)
{
	live->ring =
		ring_buffer__new(bpf_map__fd(live->programs.skel->maps.ring), on_ring_record, live, NULL);
	if (!live->ring)
		return -errno;
	live->source.fd = ring_buffer__epoll_fd(live->ring);
	live->consumed = map_position(live, 0);
	live->produced = map_position(live, (size_t)sysconf(_SC_PAGESIZE));
	return live->consumed && live->produced ? 0 : -ENOMEM;
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

static void read_book(const struct live *live, struct book *book)
{
	struct ledger_cpu sum = { 0 };

	memset(book, 0, sizeof(*book));
	for (int cpu = 0; cpu < live->programs.cpus; cpu++)
		book__add_cpu(book, &sum, &live->ledger[cpu]);
	programs__add_misses(&live->programs, book);
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
	__atomic_store_n(&live->programs.skel->bss->consumer_waits, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(live->produced, __ATOMIC_SEQ_CST) == *live->consumed)
		return true;
	__atomic_store_n(&live->programs.skel->bss->consumer_waits, 0, __ATOMIC_RELAXED);
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
	__atomic_store_n(&live->programs.skel->bss->consumer_waits, 0, __ATOMIC_RELAXED);
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

	programs__detach(&live->programs);
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

	if (live->ledger)
		munmap((void *)live->ledger, live->ledger_bytes);
	unmap_position(live->consumed);
	unmap_position(live->produced);
	ring_buffer__free(live->ring);
	programs__fini(&live->programs);
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

static int open_maps(struct live *live)
{
	int err = map_ledger(live);

	return err ? err : open_ring(live);
}

/* Once it is known what works here. */
static int begin(struct live *live, const struct live_config *config, struct trial *trial, char *message,
		 size_t size)
{
	int err = programs__load(&live->programs, config, trial, message, size);

	if (err)
		return err;
	err = open_maps(live);
	if (!err)
		err = programs__attach(&live->programs, trial);
	if (err)
		return trial__explain(err, message, size);
	describe(live, config, trial->results);
	live->accept_is_function = trial->results[HOOK_ACCEPT].kind == HOOK_FENTRY;
	live->settled_ns = live->checked_ns = live->source.info.start_ns;
	live->source.patience_ms = arm_wakeup(live) ? POLL_QUIET_MS : 0;
	return 0;
}

static int start(struct live *live, const struct live_config *config, char *message, size_t size)
{
	struct trial trial;
	int err = trial__run(&trial, config->choice, message, size);

	if (!err)
		err = begin(live, config, &trial, message, size);
	trial__fini(&trial);
	return err;
}

int live__probe(enum hook_choice choice, struct hook_result results[HOOK_COUNT], bool *socket_cookie,
		bool *probe_read, char *message, size_t size)
{
	struct trial trial;
	int err;

	kernel__hush_libbpf();
	kernel__raise_memlock();
	err = trial__run(&trial, choice, message, size);
	trial__fini(&trial);
	memcpy(results, trial.results, sizeof(trial.results));
	*socket_cookie = trial.cookie;
	*probe_read = trial.probe_read;
	return err;
}

struct source *live__new(const struct live_config *config, char *message, size_t size)
{
	struct live *live = calloc(1, sizeof(*live));
	struct heap_hold hold;
	int err;

	if (!live) {
		snprintf(message, size, "out of memory");
		return NULL;
	}
	live->source.ops = &live_ops;
	live->programs.cgroup_fd = -1;
	kernel__hush_libbpf();
	kernel__raise_memlock();
	live->source.fd = -1;
	heap__hold(&hold, TYPES_BYTES);
	err = start(live, config, message, size);
	heap__let_go(&hold);
	if (err) {
		live_free(&live->source);
		errno = -err;
		return NULL;
	}
	return &live->source;
}
