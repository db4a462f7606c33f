// SPDX-License-Identifier: BSD-2-Clause
#include "base/spelling.h"

#include <stdbool.h>
#include <stdint.h>

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
}

static bool same(char a, char b)
{
	return fold(a) == fold(b);
}

unsigned int spelling__distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	uint8_t d[SPELLING_MAX_BYTES + 1][SPELLING_MAX_BYTES + 1];

	if (a_len > SPELLING_MAX_BYTES || b_len > SPELLING_MAX_BYTES)
		return SPELLING_FAR;
	for (size_t i = 0; i <= a_len; i++) {
		for (size_t j = 0; j <= b_len; j++) {
			unsigned int best;

			if (!i || !j) {
				d[i][j] = (uint8_t)(i + j);
				continue;
			}
			best = d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]);
			if (d[i - 1][j] + 1u < best)
				best = d[i - 1][j] + 1u;
			if (d[i][j - 1] + 1u < best)
				best = d[i][j - 1] + 1u;
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) &&
			    d[i - 2][j - 2] + 1u < best)
				best = d[i - 2][j - 2] + 1u;
			d[i][j] = (uint8_t)best;
		}
	}
	return d[a_len][b_len];
}
