/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's tables as records beside the stream of events, while that goes
 * on: read by a thread of its own, handed out by the caller's, batch by batch.
 *
 * Before each batch the source is settled, so that no record comes later than a
 * row which it is older than; the record that says that a dump begins is handed
 * out before the dump does. What the model needs to know to join the two without
 * a gap or a double is then in the order of the records (EV_DUMP).
 */
#ifndef TCPSAGA_SOURCE_SCAN_H
#define TCPSAGA_SOURCE_SCAN_H

#include "bpf/settings.h"
#include "source/source.h"
#include "source/tables.h"

struct scan;

struct scan_config {
	const struct kernel_filter *terms; /* borrowed until scan__free() */
	struct tables *tables;		   /* borrowed: who reads them; NULL: this process */
	unsigned int extras;		   /* SNAPSHOT_* */
	uint32_t states;    /* only connections in these, 1 << EV_*; 0: all, and what listens */
	unsigned int share; /* of a core that it may take, per cent: 1 to 100 */
};

/* Starts the thread. NULL with errno. */
struct scan *scan__new(const struct scan_config *config);

enum { SCAN_MORE = 0, SCAN_END = 2 }; /* 1 is a take()'s own word */

/*
 * Hands out what the thread has ready, if anything; does not wait. SCAN_MORE;
 * SCAN_END when all is told; -errno as snapshot__all(); or what take() returned.
 */
int scan__poll(struct scan *scan, struct source *source, source_take_fn take, void *context);

/* Ends the thread, wherever it is. NULL is accepted. */
void scan__free(struct scan *scan);

#endif
