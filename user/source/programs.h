/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF programs of a capture: which of them this kernel needs, how they are set, what
 * of them loads, and where they are attached.
 */
#ifndef TCPSAGA_SOURCE_PROGRAMS_H
#define TCPSAGA_SOURCE_PROGRAMS_H

#include "source/book.h"
#include "source/live.h"
#include "source/trial.h"
#include "tcpsaga.skel.h"

enum { PROGRAMS_MAX = 64 };

struct programs {
	struct tcpsaga_bpf *skel; /* owned; NULL: not loaded */
	int cpus;		  /* that there may be: entries of the ledger */
	size_t ring_bytes;
	size_t cpu_ring_bytes; /* 0: CPUs have no rings of their own */
	struct {
		int info_fd; /* owned: what the kernel tells of the program; -1: nothing */
		enum ev_kind kind;
	} senders[PROGRAMS_MAX];	      /* programs whose runs may be missed */
	struct bpf_link *links[PROGRAMS_MAX]; /* owned */
	unsigned int link_count;	      /* of links and senders */
	int attach_errors[HOOK_COUNT];
	int cgroup_fd; /* owned, -1: none */
};

/* Loads what this capture wants and the kernel takes: a hook whose program it refuses is
 * none in trial from then on. 0 or -errno, also with a sentence in message where the
 * cgroup for sockops cannot be had. */
int programs__load(struct programs *programs, const struct live_config *config, struct trial *trial,
		   char *message, size_t size);

/* What does not attach is none in trial from then on. 0, or -errno of the one that must. */
int programs__attach(struct programs *programs, struct trial *trial);

/* Adds those runs to the book that the kernel says it has skipped, so far. */
void programs__add_misses(const struct programs *programs, struct book *book);

/* May be called again. Programs that are running go on to their end. */
void programs__detach(struct programs *programs);

void programs__fini(struct programs *programs);

#endif
