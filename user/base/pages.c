// SPDX-License-Identifier: BSD-2-Clause
#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_BYTES ((size_t)2 << 20) /* of x86-64 and of arm64 with pages of 4 KiB */

static size_t whole_pages(size_t bytes)
{
	return (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
}

/* Unmaps what of a mapping lies before and behind the part that is kept. */
static void trim(char *all, size_t all_bytes, char *kept, size_t kept_bytes)
{
	size_t before = (size_t)(kept - all);
	size_t behind = all_bytes - kept_bytes - before;

	if (before)
		munmap(all, before);
	if (behind)
		munmap(kept + kept_bytes, behind);
}

/* The first of them, whole huge ones, small. */
static void *new_pages(size_t bytes, size_t small)
{
	size_t want = whole_pages(bytes);
	size_t with_gap = want + HUGE_BYTES;
	char *all, *aligned;

	if (bytes < HUGE_BYTES)
		return calloc(1, bytes);
	if (want < bytes || with_gap < want)
		return NULL;
	/* Not reserved: a table is as large as its limit, and used as far as it fills. */
	all = mmap(NULL, with_gap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (all == MAP_FAILED)
		return NULL;
	aligned = (char *)(((uintptr_t)all + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1));
	trim(all, with_gap, aligned, want);
	madvise(aligned + small, want - small, MADV_HUGEPAGE); /* or not: it works the same */
	return aligned;
}

void *pages__new(size_t bytes)
{
	return new_pages(bytes, 0);
}

void *pages__new_filling(size_t bytes)
{
	return new_pages(bytes, HUGE_BYTES);
}

void pages__fill(void *from, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), within = (uintptr_t)from % page;

	madvise((char *)from - within, within + bytes, MADV_POPULATE_WRITE); /* from 5.14 on */
}

void pages__free(void *memory, size_t bytes)
{
	if (bytes < HUGE_BYTES)
		free(memory);
	else if (memory)
		munmap(memory, whole_pages(bytes));
}
