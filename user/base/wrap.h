/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines that end where the terminal does, between words: a terminal breaks them
 * anywhere, "CLO" here and "SE" there.
 */
#ifndef TCPSAGA_BASE_WRAP_H
#define TCPSAGA_BASE_WRAP_H

#include "base/strbuf.h"

struct wrap {
	unsigned int columns; /* 0: the line has no end */
	unsigned int indent;  /* of the lines that follow */
	unsigned int used;    /* columns of the present line */
};

/* Columns of the terminal behind a file descriptor, 0 if it is none. */
unsigned int terminal__columns(int fd);

/* Appends what must not be broken (ASCII, without line ends), on a line of its
 * own where the present one has no room for it. */
void wrap__piece(struct wrap *wrap, struct strbuf *out, const char *text, size_t len);

/* Appends a text that may be broken in front of each blank. A blank that a line
 * would begin with is counted in its indent. */
void wrap__words(struct wrap *wrap, struct strbuf *out, const char *text, size_t len);

#endif
