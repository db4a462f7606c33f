/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing text buffer, the one place where output is put together. Writers
 * append without checking; the first failure to grow is remembered and makes
 * every later append a no-op, so that one check at the end suffices.
 */
#ifndef TCPSAGA_BASE_STRBUF_H
#define TCPSAGA_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct strbuf {
	char *data; /* owned; not NUL-terminated, see strbuf__text() */
	size_t len;
	size_t capacity;
	bool failed; /* out of memory: content is incomplete */
};

void strbuf__init(struct strbuf *buf);
void strbuf__fini(struct strbuf *buf);

/* For strbuf__grow(). */
char *strbuf__realloc(struct strbuf *buf, size_t n);

/* Room for at least n more bytes, or NULL when memory ran out. The caller
 * writes there and then says up to where. */
static inline char *strbuf__grow(struct strbuf *buf, size_t n)
{
	if (!buf->failed && n <= buf->capacity - buf->len)
		return buf->data + buf->len;
	return strbuf__realloc(buf, n);
}

static inline void strbuf__wrote(struct strbuf *buf, const char *end)
{
	buf->len = (size_t)(end - buf->data);
}

void strbuf__printf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Decimal, without sign. */
void strbuf__u64(struct strbuf *buf, uint64_t value);

/* NUL-terminates and returns the text, "" when memory ran out. Borrowed: valid
 * until the next change. */
const char *strbuf__text(struct strbuf *buf);

static inline void strbuf__clear(struct strbuf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

static inline void strbuf__append(struct strbuf *buf, const void *bytes, size_t n)
{
	if (n && !buf->failed && (n <= buf->capacity - buf->len || strbuf__grow(buf, n))) {
		memcpy(buf->data + buf->len, bytes, n);
		buf->len += n;
	}
}

static inline void strbuf__str(struct strbuf *buf, const char *text)
{
	strbuf__append(buf, text, strlen(text));
}

static inline void strbuf__char(struct strbuf *buf, char c)
{
	strbuf__append(buf, &c, 1);
}

#endif
