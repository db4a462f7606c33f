// SPDX-License-Identifier: BSD-2-Clause
#include "base/decimal.h"

#include <string.h>

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
			    "34353637383940414243444546474849505152535455565758596061626364656667"
			    "6869707172737475767778798081828384858687888990919293949596979899";

char *decimal__write(char *at, uint64_t value)
{
	char digits[2 * DECIMAL_ROOM]; /* so that a copy of fixed length stays within it */
	char *end = digits + DECIMAL_ROOM, *p = end;

	while (value >= 100) {
		p -= 2;
		memcpy(p, pairs + 2 * (value % 100), 2);
		value /= 100;
	}
	p -= 2;
	memcpy(p, pairs + 2 * value, 2);
	p += value < 10;
	memcpy(at, p, DECIMAL_ROOM);
	return at + (end - p);
}

void decimal__write_6(char *at, uint32_t value)
{
	memcpy(at, pairs + 2 * (value / 10000), 2);
	memcpy(at + 2, pairs + 2 * (value / 100 % 100), 2);
	memcpy(at + 4, pairs + 2 * (value % 100), 2);
}
