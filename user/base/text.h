/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text from outside made safe: names of processes are arbitrary bytes, chosen
 * by strangers (DESIGN, section 6).
 */
#ifndef TCPSAGA_BASE_TEXT_H
#define TCPSAGA_BASE_TEXT_H

#include "base/strbuf.h"

/* Length of the well-formed UTF-8 sequence at bytes (Unicode table 3-7: no
 * surrogates, no overlong forms), 0 when it is not one. */
unsigned int utf8__sequence(const unsigned char *bytes, size_t len);

/* The same, but 0 also for what text__plain() would replace. */
unsigned int utf8__harmless(const unsigned char *bytes, size_t len);

/*
 * Appends a JSON string with its quotes. Bytes that are not UTF-8 become
 * U+FFFD each. Returns false when there were any: the caller then adds the
 * bytes in another form, so that nothing is lost.
 */
bool text__json(struct strbuf *buf, const char *bytes, size_t len);

/* Appends for a terminal: control bytes, escape sequences, bytes that are not
 * UTF-8 and directional overrides become '?'. Returns the columns used (one a
 * character; wide ones are not told apart). */
unsigned int text__plain(struct strbuf *buf, const char *bytes, size_t len);

#endif
