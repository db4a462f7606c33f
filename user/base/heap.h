/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A heap that is there before it is needed. What large copies cost that a library makes
 * are the pages of them: these are got from the kernel at once, by a thread of their own,
 * while the caller does something else. Of glibc's malloc.
 */
#ifndef TCPSAGA_BASE_HEAP_H
#define TCPSAGA_BASE_HEAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct heap_hold {
	pthread_t thread;
	bool started;
	char *pages;
	size_t bytes;
};

/* So many bytes (32 MB at most, else nothing is gained) are in the heap until it is let go,
 * and what is allocated comes from there. Where that fails all is as without it. */
void heap__hold(struct heap_hold *hold, size_t bytes);

/* Gives back what is free. Once, after heap__hold(). */
void heap__let_go(struct heap_hold *hold);

#endif
