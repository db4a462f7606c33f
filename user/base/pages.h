/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for large tables that are read at random: in huge pages where the
 * kernel gives them, since half of the cost of a random access to 200 MB is
 * finding its page.
 */
#ifndef TCPSAGA_BASE_PAGES_H
#define TCPSAGA_BASE_PAGES_H

#include <stddef.h>

/* Zeroed; what is never touched costs nothing. NULL when there is none. */
void *pages__new(size_t bytes);

/* The same for a table that fills from its front: the first of it comes in small pages,
 * for who never has more. To clear a huge page takes up to milliseconds. */
void *pages__new_filling(size_t bytes);

/* These will be written next: their pages come at once and not each when it is touched,
 * which takes ten times as long where the kernel is a guest. A hint, within one table. */
void pages__fill(void *from, size_t bytes);

/* With the same number of bytes. NULL is accepted. */
void pages__free(void *memory, size_t bytes);

#endif
