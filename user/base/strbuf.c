// SPDX-License-Identifier: BSD-2-Clause
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"

void strbuf__init(struct strbuf *buf)
{
	*buf = (struct strbuf){ 0 };
}

void strbuf__fini(struct strbuf *buf)
{
	free(buf->data);
	strbuf__init(buf);
}

char *strbuf__realloc(struct strbuf *buf, size_t n)
{
	size_t want = buf->len + n;
	size_t capacity = buf->capacity ? buf->capacity : 256;
	char *data;

	if (buf->failed || want < n) {
		buf->failed = true;
		return NULL;
	}
	while (capacity < want && capacity <= SIZE_MAX / 2)
		capacity *= 2;
	data = capacity < want ? NULL : realloc(buf->data, capacity);
	if (!data) {
		buf->failed = true;
		return NULL;
	}
	buf->data = data;
	buf->capacity = capacity;
	return data + buf->len;
}

void strbuf__printf(struct strbuf *buf, const char *format, ...)
{
	va_list args;
	int n;
	char *out;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		return;
	out = strbuf__grow(buf, (size_t)n + 1);
	if (!out)
		return;
	va_start(args, format);
	vsnprintf(out, (size_t)n + 1, format, args);
	va_end(args);
	buf->len += (size_t)n;
}

void strbuf__u64(struct strbuf *buf, uint64_t value)
{
	char *at = strbuf__grow(buf, DECIMAL_ROOM);

	if (at)
		strbuf__wrote(buf, decimal__write(at, value));
}

const char *strbuf__text(struct strbuf *buf)
{
	char *end = strbuf__grow(buf, 1);

	if (!end)
		return "";
	*end = '\0';
	return buf->data;
}
