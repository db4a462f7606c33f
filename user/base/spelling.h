/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far a typing error is off, for "did you mean". Pure.
 */
#ifndef TCPSAGA_BASE_SPELLING_H
#define TCPSAGA_BASE_SPELLING_H

#include <stddef.h>

enum { SPELLING_MAX_BYTES = 48, SPELLING_FAR = 99 };

/*
 * Letters to insert, delete, replace or swap with their neighbour that make b of
 * a (Damerau-Levenshtein, optimal string alignment); capitals are small letters
 * and '_' is '-'. SPELLING_FAR when one is longer than SPELLING_MAX_BYTES.
 */
unsigned int spelling__distance(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
