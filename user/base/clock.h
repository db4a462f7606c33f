/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: CLOCK_BOOTTIME nanoseconds inside (it goes on in suspend, unlike the
 * monotonic clock), UTC as RFC 3339 at the edge.
 */
#ifndef TCPSAGA_BASE_CLOCK_H
#define TCPSAGA_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_CS 10000000ULL /* the unit of /proc/PID/stat */
#define NS_PER_S 1000000000ULL

uint64_t clock__boot_ns(void);

/* CLOCK_REALTIME - CLOCK_BOOTTIME now, in ns. */
uint64_t clock__realtime_offset_ns(void);

enum { UTC_TEXT_LEN = 27 }; /* 2026-11-22T15:27:00.000000Z */

/* Formats UTC with microseconds. Remembers the last second, because breaking
 * a time down costs twenty times the copy. */
struct utc_formatter {
	uint64_t offset_ns; /* added to a boot time to give UTC */
	uint64_t second;    /* the second that text shows */
	char text[UTC_TEXT_LEN];
	char shown[UTC_TEXT_LEN]; /* what utc_formatter__format() has returned */
};

void utc_formatter__init(struct utc_formatter *formatter, uint64_t offset_ns);

/* Returns UTC_TEXT_LEN characters, not NUL-terminated, valid until the next
 * call. */
const char *utc_formatter__format(struct utc_formatter *formatter, uint64_t boot_ns);

/* The same, written to at, where there is room for them; returns the place behind. */
char *utc_formatter__write(struct utc_formatter *formatter, char *at, uint64_t boot_ns);

#endif
