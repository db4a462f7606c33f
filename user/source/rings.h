/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rings in which the BPF programs leave their records: the common one (the
 * kernel's BPF_MAP_TYPE_RINGBUF, read as libbpf reads it) and one of each CPU
 * (bpf/cpu_ring.h), handed out in the order of their times.
 *
 * A record is handed out when none can come any more that is older. So it is one
 * only when it is younger than the look at the clock, and than all records that
 * are just being written. Records of one CPU, and those of the common ring, keep
 * the order in which they lie there.
 */
#ifndef TCPSAGA_SOURCE_RINGS_H
#define TCPSAGA_SOURCE_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/cpu_ring.h"
#include "bpf/event.h"
#include "source/source.h"

/* The reader's side of a ring. */
struct lane {
	const uint8_t *ring; /* where its bytes are, */
	uint64_t mask;	     /* and their number, a power of two, less one; nothing comes: any */
	uint64_t at;	     /* bytes handed out so far */
	uint64_t published;  /* of those, which the programs know to be free again */
	uint64_t end;	     /* bytes that were there at the last look */
	/* What lies there next: */
	const struct ev_header *record;
	size_t len;   /* of the record */
	size_t bytes; /* that it takes in its ring */
};

/* The oldest record of a lane that has one. */
struct lane_head {
	uint64_t time_ns;
	unsigned int lane; /* a CPU's number; their count: the common ring */
};

struct rings {
	/* Of the common ring, mapped. */
	unsigned long *consumed;
	const unsigned long *produced;
	const uint8_t *bytes; /* twice, one behind the other */
	size_t bytes_len;     /* a power of two */
	/* Of the CPUs, mapped. */
	uint8_t *cpu_rings;
	size_t cpu_ring_bytes; /* for records, of each: a power of two; 0: none are there */
	unsigned int cpus;

	struct lane *lanes;	 /* owned: of each CPU, and that of the common ring */
	struct lane_head *heads; /* owned: a heap, the oldest one first */
	unsigned int head_count;
	source_foresee_fn foresee; /* or NULL: for records of the CPUs */
	void *foresee_context;
};

/* What rings__consume() has done. */
struct rings_round {
	unsigned int taken; /* records */
	/* All records have been handed out that are older; 0: not known, for it ended before. */
	uint64_t until_ns;
};

/* Bytes of a CPU's ring. Beyond that it takes more from the caches than it saves; below the
 * least one it is soon full, and the common one takes the rest. */
enum { RINGS_CPU_MOST = 512 << 10, RINGS_CPU_LEAST = 16 << 10 };

/* The bytes of an element of the map of CPUs' rings. */
size_t rings__cpu_value(size_t cpu_ring_bytes);

/* So many for each CPU, a power of two: all CPUs together have as much as the common ring, at
 * most, but for the least. 0 where the processor does not keep the order of stores. */
size_t rings__cpu_bytes(size_t ring_bytes, unsigned int cpus);

/* Maps both maps. 0 or -errno; rings__close() in either case. */
int rings__open(struct rings *rings, int ring_fd, size_t ring_bytes, int cpu_rings_fd,
		size_t cpu_ring_bytes, unsigned int cpus);

/* Of zeroes: nothing. */
void rings__close(struct rings *rings);

/*
 * Hands out what is there, up to so many records. now_ns: boot time, as of now. 0,
 * -EBADMSG (a CPU's ring holds what is no record), or what take() returned: the record
 * that it was given then counts as handed out.
 */
int rings__consume(struct rings *rings, uint64_t now_ns, unsigned int most, source_take_fn take,
		   void *context, struct rings_round *round);

/* True when nothing lies in any of them. */
bool rings__are_empty(const struct rings *rings);

/* Whether the next record on each CPU wakes who waits for the common ring to be readable.
 * Who sends one takes that back on its CPU. */
void rings__want_wakeup(const struct rings *rings, bool wanted);

struct cpu_ring *rings__cpu(const struct rings *rings, unsigned int cpu);

#endif
