/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where records come from: the live kernel, an agent or a recording. A view does not
 * know the difference. In life-cycle order:
 *
 *   live__new(), agent_source__new() or replay__new()
 *   source__poll() ...             hands out records until the end
 *   source__stop()                 detach or say so, drain, close the books
 *   source__free()
 */
#ifndef TCPSAGA_SOURCE_SOURCE_H
#define TCPSAGA_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "bpf/event.h"
#include "source/recording.h"

struct source;

/* Takes one record as raw bytes, 8-byte aligned, borrowed for the call. 0 to
 * go on; anything else ends the poll, which returns it. */
typedef int (*source_take_fn)(void *context, const void *record, size_t len);

/* Is told of a record some time before it is handed out, which it may look at: not all are. */
typedef void (*source_foresee_fn)(void *context, const struct ev_header *record);

struct source_ops {
	int (*poll)(struct source *source, source_take_fn take, void *context);
	int (*settle)(struct source *source, source_take_fn take, void *context);
	int (*stop)(struct source *source, source_take_fn take, void *context);
	void (*free)(struct source *source);
	/* What there was to hand out so far, lost or not; NULL: not known. */
	uint64_t (*attempted)(const struct source *source);
};

/* The common head of every source. */
struct source {
	const struct source_ops *ops;
	struct capture_info info;
	char note[256];		   /* what was wanted and cannot be seen, and why; "" nothing */
	bool hurry;		   /* the caller has other work: source__poll() waits a millisecond */
	uint64_t until_ns;	   /* the caller has something to do then, boot time; 0: nothing */
	source_foresee_fn foresee; /* the caller's, or NULL */
	void *foresee_context;

	/* For a caller that has other things to wait for, too: with no_wait set
	 * poll() returns at once, and the caller waits for fd to be readable (-1:
	 * never), source__patience_ms() at most. */
	bool no_wait;
	int fd; /* borrowed */
	int patience_ms;
};

enum { SOURCE_HURRY_MS = 1 };

/* What the caller may have decided since the last poll() counts, too. */
static inline int source__patience_ms(const struct source *source)
{
	return source->hurry && source->patience_ms > SOURCE_HURRY_MS ? SOURCE_HURRY_MS :
									source->patience_ms;
}

enum { SOURCE_MORE = 0, SOURCE_END = 1 };

/*
 * Waits for records, some tenths of a second at most, and hands them out.
 * SOURCE_MORE, SOURCE_END (a recording is at its end), a negative errno, or
 * what take() returned.
 */
static inline int source__poll(struct source *source, source_take_fn take, void *context)
{
	return source->ops->poll(source, take, context);
}

/*
 * Hands out what has been sent up to now, without waiting for more: what is read
 * from the kernel's tables before this call is not newer than the records handed
 * out by then. 0, -EAGAIN (a record is still being written: call again), a
 * negative errno, or what take() returned.
 */
static inline int source__settle(struct source *source, source_take_fn take, void *context)
{
	return source->ops->settle ? source->ops->settle(source, take, context) : 0;
}

/* Ends the capture in good order: what is still under way is handed out, the
 * last record is EV_STOP with the books. A recording has nothing to do here. */
static inline int source__stop(struct source *source, source_take_fn take, void *context)
{
	return source->ops->stop(source, take, context);
}

static inline void source__free(struct source *source)
{
	if (source)
		source->ops->free(source);
}

#endif
