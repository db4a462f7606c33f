/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decimal numbers, written where there is room already: a line of JSON has
 * thirty digits, and a division for each costs as much as all its words.
 */
#ifndef TCPSAGA_BASE_DECIMAL_H
#define TCPSAGA_BASE_DECIMAL_H

#include <stdint.h>

enum { DECIMAL_ROOM = 20 }; /* of the largest */

/* Writes the number without sign or NUL and returns the place behind it. */
char *decimal__write(char *at, uint64_t value);

/* Exactly six digits, with leading zeros; value is below 1,000,000. */
void decimal__write_6(char *at, uint32_t value);

#endif
