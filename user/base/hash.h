/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XXH3 for keys of a few words, compiled in: where the size is a constant that takes half
 * the time of a call to the library.
 */
#ifndef TCPSAGA_BASE_HASH_H
#define TCPSAGA_BASE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#endif
