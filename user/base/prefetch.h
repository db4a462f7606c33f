/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends for a line of the cache: whoever needs it later does not wait for it.
 */
#ifndef TCPSAGA_BASE_PREFETCH_H
#define TCPSAGA_BASE_PREFETCH_H

enum { CACHE_LINE = 64 };

/* Any address will do; one that is nobody's costs nothing but the time. */
static inline void prefetch(const void *address)
{
	__builtin_prefetch(address);
	/* Without this a function that does no more than prefetch has no effect for gcc (12.2,
	 * -O2), which then drops the calls of it. */
	__asm__ volatile("");
}

#endif
