/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processes that own connections, each kept once and counted: 100,000
 * connections of one process share one entry. Pure.
 *
 * Bounded by what refers to them: an owner goes with the last connection,
 * listener or group that is its own. One that there is no memory for is counted.
 */
#ifndef TCPSAGA_MODEL_OWNERS_H
#define TCPSAGA_MODEL_OWNERS_H

#include <stdint.h>

#include "base/idmap.h"
#include "bpf/event.h"

/* A process as it was when it made the system call. Without padding: it is
 * hashed and compared as bytes. */
struct owner {
	uint32_t pid; /* tgid */
	uint32_t uid;
	uint64_t cgroup;	  /* cgroup v2 id, 0 unknown */
	uint64_t start_cs;	  /* hundredths of a second since boot, 0 unknown */
	char comm[EV_COMM_BYTES]; /* arbitrary bytes, NUL-padded */
};

enum { OWNER_NONE = IDMAP_NONE };

struct owner_entry {
	struct owner owner;
	uint32_t references;
	uint32_t next; /* same hash, or free list */
};

struct owners {
	struct idmap by_hash;	     /* hash to the first of its chain */
	struct owner_entry **chunks; /* owned; an entry never moves */
	uint32_t count;		     /* entries ever used */
	uint32_t capacity;	     /* entries in the chunks */
	uint32_t free;		     /* head of the free list */
	uint64_t not_kept;	     /* for want of memory */
	uint64_t seed;
};

int owners__init(struct owners *owners, uint64_t seed);
void owners__fini(struct owners *owners);

/* What a record of this time tells of an owner: now_ns completes its start, of
 * which a record has 32 bits, 497 days. */
struct owner owner__of(const struct ev_owner *from, uint64_t now_ns);

/* An entry equal to this one, with one more reference; OWNER_NONE when memory
 * ran out. */
uint32_t owners__intern(struct owners *owners, const struct ev_owner *from, uint64_t now_ns);

/* One more reference. OWNER_NONE is accepted. */
void owners__hold(struct owners *owners, uint32_t index);

/* Drops one reference; the last one frees the entry. OWNER_NONE is accepted. */
void owners__release(struct owners *owners, uint32_t index);

/* Borrowed until its last reference is dropped. NULL for OWNER_NONE. */
const struct owner *owners__get(const struct owners *owners, uint32_t index);

#endif
