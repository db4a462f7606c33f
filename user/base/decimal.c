// SPDX-License-Identifier: BSD-2-Clause
#include "base/decimal.h"

#include <string.h>

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
			    "34353637383940414243444546474849505152535455565758596061626364656667"
			    "6869707172737475767778798081828384858687888990919293949596979899";

/* How many digits: a bit is 1233 / 4096 of one, and where that is one too many the power
 * of ten tells. */
static unsigned int count_digits(uint64_t value)
{
	static const uint64_t powers[] = { 0,
					   10,
					   100,
					   1000,
					   10000,
					   100000,
					   1000000,
					   10000000,
					   100000000,
					   1000000000,
					   10000000000,
					   100000000000,
					   1000000000000,
					   10000000000000,
					   100000000000000,
					   1000000000000000,
					   10000000000000000,
					   100000000000000000,
					   1000000000000000000,
					   10000000000000000000U };
	unsigned int bits = 64 - (unsigned int)__builtin_clzll(value | 1);
	unsigned int most = bits * 1233 >> 12;

	return most + (value >= powers[most]);
}

/* In its place at once: to read what was just written in pieces would have the processor
 * wait for them. Most numbers are short. */
char *decimal__write(char *at, uint64_t value)
{
	char *end, *p;

	if (value < 10) {
		*at = (char)('0' + value);
		return at + 1;
	}
	if (value < 100) {
		memcpy(at, pairs + 2 * value, 2);
		return at + 2;
	}
	end = p = at + count_digits(value);
	while (value >= 100) {
		p -= 2;
		memcpy(p, pairs + 2 * (value % 100), 2);
		value /= 100;
	}
	if (value >= 10)
		memcpy(p - 2, pairs + 2 * value, 2);
	else
		p[-1] = (char)('0' + value);
	return end;
}

void decimal__write_6(char *at, uint32_t value)
{
	memcpy(at, pairs + 2 * (value / 10000), 2);
	memcpy(at + 2, pairs + 2 * (value / 100 % 100), 2);
	memcpy(at + 4, pairs + 2 * (value % 100), 2);
}
