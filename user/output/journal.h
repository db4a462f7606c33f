/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line of JSON as an entry of systemd's journal, in its native protocol
 * (systemd.io, "Native Journal Protocol"): MESSAGE is a sentence to read, PRIORITY
 * goes by how bad it is, and each key is a field: "local":{"port":80} becomes
 * TCPSAGA_LOCAL_PORT=80. TCPSAGA_JSON is the line itself. Pure.
 */
#ifndef TCPSAGA_OUTPUT_JOURNAL_H
#define TCPSAGA_OUTPUT_JOURNAL_H

#include "base/strbuf.h"

/* Appends the entry of a line that is given without its end. 0, -EINVAL when it is not
 * an object of JSON, or -ENOMEM. */
int journal__encode(struct strbuf *out, const char *line, size_t len);

#endif
