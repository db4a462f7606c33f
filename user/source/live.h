/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live kernel as a source: loads the BPF programs, attaches each on its
 * own, reads the ring and keeps an eye on what was lost.
 */
#ifndef TCPSAGA_SOURCE_LIVE_H
#define TCPSAGA_SOURCE_LIVE_H

#include "bpf/settings.h"
#include "source/hooks.h"
#include "source/source.h"

struct live_config {
	enum hook_choice choice;
	uint32_t wanted;		    /* bit (1 << HOOK_*) for each hook that may be used */
	const struct kernel_filter *filter; /* NULL: everything */
	const char *cgroup;		    /* for HOOK_SOCKOPS, if that is wanted */
	uint32_t ring_bytes;		    /* a power of two and a multiple of the page; 0: default */
	uint32_t simulate_loss;		    /* share of the records to drop, of 2^32 */
};

enum { LIVE_RING_BYTES = 8 << 20 };

/*
 * A capturing source, or NULL with errno and one sentence in message:
 *   EPERM, EACCES    privileges are missing
 *   ENOENT           the kernel has no BTF, or not the tracepoint
 *   EOPNOTSUPP       the kind of hook that was asked for is refused
 *   other            it failed
 * Optional hooks that are refused are left out; info.hooks says which.
 */
struct source *live__new(const struct live_config *config, char *message, size_t size);

/* Tries this host's hooks without capturing, for `tcpsaga probe`. 0 or -errno
 * with a message, as above. */
int live__probe(enum hook_choice choice, struct hook_result results[HOOK_COUNT], bool *socket_cookie,
		bool *probe_read, char *message, size_t size);

#endif
