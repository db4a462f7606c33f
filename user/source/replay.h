/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording as a source: hands out its records as the live kernel would.
 */
#ifndef TCPSAGA_SOURCE_REPLAY_H
#define TCPSAGA_SOURCE_REPLAY_H

#include "source/source.h"

/* NULL with errno and one sentence in message. Its poll returns SOURCE_END at
 * the end, -ENODATA when the file was cut and -EBADMSG when it is damaged;
 * replay__explain() then has the words. */
struct source *replay__new(const char *path, char *message, size_t size);

/* What the poll's error means for this file. */
void replay__explain(const struct source *source, int err, char *message, size_t size);

#endif
