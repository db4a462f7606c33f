// SPDX-License-Identifier: BSD-2-Clause
#include "base/heap.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	MAPPED_FROM = 32 << 20,	   /* allocations; more glibc does not take */
	KEPT_BYTES = 256 << 20,	   /* at the end of the heap */
	DEFAULT_BYTES = 128 << 10, /* of glibc, for all three (mallopt(3)) */
};

static void *get_pages(void *context)
{
	const struct heap_hold *hold = context;

	madvise(hold->pages, hold->bytes, MADV_POPULATE_WRITE); /* from 5.14 on */
	return NULL;
}

void heap__hold(struct heap_hold *hold, size_t bytes)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *volatile grown;

	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	mallopt(M_TOP_PAD, 2 * (int)page);
	grown = malloc(bytes);
	hold->pages = (char *)(((uintptr_t)grown + page) & ~(page - 1));
	hold->bytes = bytes;
	free(grown);
	hold->started = grown && !pthread_create(&hold->thread, NULL, get_pages, hold);
}

void heap__let_go(struct heap_hold *hold)
{
	if (hold->started)
		pthread_join(hold->thread, NULL);
	hold->started = false;
	mallopt(M_MMAP_THRESHOLD, DEFAULT_BYTES);
	mallopt(M_TRIM_THRESHOLD, DEFAULT_BYTES);
	mallopt(M_TOP_PAD, DEFAULT_BYTES);
	malloc_trim(0);
}
