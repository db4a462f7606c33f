// SPDX-License-Identifier: BSD-2-Clause
#include "source/scan.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "bpf/event.h"

/* About a thousand rows: at one batch a millisecond 100,000 sockets take a tenth
 * of a second, and the ring is read in between. */
enum { BATCH_BYTES = 128 * 1024 };

/* One that took longer was kept waiting for a processor, which is no work. */
#define BATCH_NS_MOST (4 * NS_PER_MS)

struct scan {
	struct scan_config config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ready;	/* the batch is the reader's, else the thread's */
	bool over;	/* the thread has no more */
	bool cancelled; /* nobody reads any more */
	int result;
	uint64_t began_ns; /* of the work on this batch */
	size_t len;
	alignas(8) char batch[BATCH_BYTES];
};

static void rest(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	nanosleep(&time, NULL);
}

/* Hands the batch over and waits until it has been read. Then rests, so that
 * the work took no more than its share of the time. */
static int hand_over(struct scan *scan)
{
	uint64_t worked_ns = clock__boot_ns() - scan->began_ns;
	bool cancelled;

	pthread_mutex_lock(&scan->lock);
	scan->ready = true;
	while (scan->ready && !scan->cancelled)
		pthread_cond_wait(&scan->changed, &scan->lock);
	cancelled = scan->cancelled;
	pthread_mutex_unlock(&scan->lock);
	if (cancelled)
		return -ECANCELED;
	if (worked_ns > BATCH_NS_MOST)
		worked_ns = BATCH_NS_MOST;
	rest(worked_ns * (100 - scan->config.share) / scan->config.share);
	scan->len = 0;
	scan->began_ns = clock__boot_ns();
	return 0;
}

static bool begins_dump(const struct ev_header *header)
{
	return header->kind == EV_DUMP && !((const struct ev_dump *)header)->states;
}

static int push(void *context, const void *record, size_t len)
{
	struct scan *scan = context;
	int err = scan->len + len > sizeof(scan->batch) ? hand_over(scan) : 0;

	if (err)
		return err;
	memcpy(scan->batch + scan->len, record, len);
	scan->len += len;
	/* The reader must know of it before the first row is read. */
	return begins_dump(record) ? hand_over(scan) : 0;
}

static void *run(void *argument)
{
	struct scan *scan = argument;
	const struct scan_config *config = &scan->config;
	int err;

	scan->began_ns = clock__boot_ns();
	err = config->states ? tables__sockets(config->tables, config->terms, config->states,
					       config->extras, push, scan) :
			       tables__all(config->tables, config->terms, config->extras, push, scan);
	if (!err && scan->len)
		err = hand_over(scan);
	pthread_mutex_lock(&scan->lock);
	scan->result = err;
	scan->over = true;
	pthread_mutex_unlock(&scan->lock);
	return NULL;
}

struct scan *scan__new(const struct scan_config *config)
{
	struct scan *scan = malloc(sizeof(*scan));
	sigset_t all, before;
	int err;

	if (!scan)
		return NULL;
	memset(scan, 0, offsetof(struct scan, batch));
	scan->config = *config;
	pthread_mutex_init(&scan->lock, NULL);
	pthread_cond_init(&scan->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&scan->thread, NULL, run, scan);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		return scan;
	free(scan);
	errno = err;
	return NULL;
}

static int read_batch(struct scan *scan, source_take_fn take, void *context)
{
	int err = 0;

	for (size_t at = 0; at < scan->len && !err;) {
		const struct ev_header *header = (const void *)(scan->batch + at);

		at += header->len;
		err = take(context, header, header->len);
	}
	return err;
}

int scan__poll(struct scan *scan, struct source *source, source_take_fn take, void *context)
{
	bool ready, over;
	int err;

	pthread_mutex_lock(&scan->lock);
	ready = scan->ready;
	over = scan->over;
	pthread_mutex_unlock(&scan->lock);
	if (!ready)
		return !over ? SCAN_MORE : scan->result ? scan->result : SCAN_END;
	err = source__settle(source, take, context);
	if (err == -EAGAIN)
		return SCAN_MORE;
	if (!err)
		err = read_batch(scan, take, context);
	pthread_mutex_lock(&scan->lock);
	scan->ready = false;
	pthread_cond_signal(&scan->changed);
	pthread_mutex_unlock(&scan->lock);
	return err;
}

void scan__free(struct scan *scan)
{
	if (!scan)
		return;
	pthread_mutex_lock(&scan->lock);
	scan->cancelled = true;
	pthread_cond_signal(&scan->changed);
	pthread_mutex_unlock(&scan->lock);
	pthread_join(scan->thread, NULL);
	pthread_cond_destroy(&scan->changed);
	pthread_mutex_destroy(&scan->lock);
	free(scan);
}
