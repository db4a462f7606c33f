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
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bpf/event.h"
#include "source/programs.h"
#include "source/rings.h"

enum {
	/* On a quiet host the next record wakes us, and we look now and then at the
	 * book; on a busy one records gather: 10 ms at 400,000 a second fill 300 KiB
	 * of the ring. */
	POLL_QUIET_MS = 200,
	POLL_BUSY_MS = 10,
	/* One poll ends after so many, lest a ring that fills as fast as it is
	 * read keeps the caller from everything else. */
	RECORDS_PER_POLL = 65536,
	/* While they were taken as many have come that it is worth to go on. */
	BACKLOG = 4096,
	/* A loss must be visible within a second. */
	LOSS_CHECK_MS = 400,
	/* A program that runs while its hook is detached may still submit. */
	DRAIN_MS = 500,
	/* For a record that is being written. A CPU that stands still with one
	 * (its guest is stopped) is waited for at the next call. */
	SETTLE_MS = 20,
};

struct live {
	struct source source;
	struct programs programs;
	struct rings rings;
	const struct ledger_cpu *ledger; /* mapped, one per possible CPU */
	size_t ledger_bytes;
	struct book told; /* losses that were handed out as EV_LOSS */
	struct book seen; /* as of the last look */
	bool accept_is_function;
	uint64_t checked_ns; /* when the book was last looked at */
	uint64_t settled_ns; /* when it was the time before: misses until then have been told */
	uint64_t handed_out;
	unsigned int taken; /* in the last poll */
	bool armed;	    /* since an earlier poll, and nothing has come since */
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

/* The ring itself is readable as soon as a record lies there; through epoll it is when one
 * has woken us. */
static int watch_ring(struct live *live, int ring_fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	live->source.fd = epoll_create1(EPOLL_CLOEXEC);
	return live->source.fd < 0 || epoll_ctl(live->source.fd, EPOLL_CTL_ADD, ring_fd, &event) ? -errno :
												   0;
}

static int open_rings(struct live *live)
{
	const struct programs *programs = &live->programs;
	int ring_fd = bpf_map__fd(programs->skel->maps.ring);
	int err = watch_ring(live, ring_fd);

	return err ? err :
		     rings__open(&live->rings, ring_fd, programs->ring_bytes,
				 bpf_map__fd(programs->skel->maps.cpu_rings), programs->cpu_ring_bytes,
				 (unsigned int)programs->cpus);
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
	for (int cpu = 0; cpu < live->programs.cpus; cpu++) {
		book__add_cpu(book, &sum, &live->ledger[cpu]);
		book__add_cpu_ring(book, rings__cpu(&live->rings, (unsigned int)cpu));
	}
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

static void arm_wakeup(struct live *live, bool wanted)
{
	rings__want_wakeup(&live->rings, wanted);
	live->armed = wanted;
}

/* One round of all rings. Whoever has sent a record has taken back the wakeup on its CPU. */
static int consume(struct live *live, source_take_fn take, void *context, struct rings_round *round)
{
	int err;

	live->rings.foresee = live->source.foresee;
	live->rings.foresee_context = live->source.foresee_context;
	err = rings__consume(&live->rings, clock__boot_ns(), RECORDS_PER_POLL, take, context, round);

	live->handed_out += round->taken;
	live->taken += round->taken;
	if (round->taken && live->armed)
		arm_wakeup(live, false);
	return err;
}

/*
 * Where nothing comes the next record is to wake us. One that is there already has not
 * seen that, nor has one that is being made on another CPU right now: so the first sleep
 * is a short one.
 */
static int next_patience_ms(struct live *live)
{
	if (live->taken >= RECORDS_PER_POLL)
		return 0;
	if (live->taken || live->source.hurry)
		return POLL_BUSY_MS;
	if (live->armed)
		return POLL_QUIET_MS;
	arm_wakeup(live, true);
	if (!rings__are_empty(&live->rings))
		arm_wakeup(live, false);
	return POLL_BUSY_MS;
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
	struct rings_round round;

	if (err)
		return err;
	live->taken = 0;
	do
		err = consume(live, take, context, &round);
	while (!err && round.taken > BACKLOG && live->taken < RECORDS_PER_POLL);
	source->patience_ms = next_patience_ms(live);
	if (err || clock__boot_ns() - live->checked_ns < LOSS_CHECK_MS * NS_PER_MS)
		return err;
	return tell_lasting_losses(live, take, context);
}

static int live_settle(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	uint64_t from_ns = clock__boot_ns(), patience_ns = from_ns + SETTLE_MS * NS_PER_MS;
	struct rings_round round;
	int err;

	do {
		err = consume(live, take, context, &round);
		if (!err && !round.taken && clock__boot_ns() > patience_ns)
			return -EAGAIN;
	} while (!err && round.until_ns < from_ns);
	return err;
}

static int drain(struct live *live, struct book *book, source_take_fn take, void *context)
{
	const struct timespec a_moment = { .tv_nsec = NS_PER_MS };
	uint64_t until_ns = clock__boot_ns() + DRAIN_MS * NS_PER_MS;
	struct rings_round round;
	int err;

	for (;;) {
		err = consume(live, take, context, &round);
		read_book(live, book);
		if (err || book__is_balanced(book, live->handed_out) || clock__boot_ns() > until_ns)
			return err;
		nanosleep(&a_moment, NULL);
	}
}

static int live_stop(struct source *source, source_take_fn take, void *context)
{
	struct live *live = (struct live *)source;
	struct ev_stop stop = { .header = header_of(EV_STOP, sizeof(stop), 0) };
	struct book book;
	int err;

	/* To let go of the hooks takes seconds on a slow machine. */
	err = tell_lasting_losses(live, take, context);
	if (err)
		return err;
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
	rings__close(&live->rings);
	if (live->source.fd >= 0)
		close(live->source.fd);
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

	return err ? err : open_rings(live);
}

/* Once it is known what works here. */
static int begin(struct live *live, const struct live_config *config, struct trial *trial, char *message,
		 size_t size)
{
	int err = programs__load(&live->programs, config, trial, message, size);

	if (err)
		return err;
	err = open_maps(live);
	if (err)
		return trial__explain(err, message, size);
	arm_wakeup(live, true); /* before there are hooks: the very first record wakes us */
	err = programs__attach(&live->programs, trial);
	if (err)
		return trial__explain(err, message, size);
	describe(live, config, trial->results);
	live->accept_is_function = trial->results[HOOK_ACCEPT].kind == HOOK_FENTRY;
	live->settled_ns = live->checked_ns = live->source.info.start_ns;
	live->source.patience_ms = POLL_BUSY_MS;
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
	err = start(live, config, message, size);
	if (err) {
		live_free(&live->source);
		errno = -err;
		return NULL;
	}
	return &live->source;
}
