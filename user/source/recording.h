/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recordings: the records of a source in a versioned, checksummed file.
 * Written by the verb record, read by every looking verb with -r.
 */
#ifndef TCPSAGA_SOURCE_RECORDING_H
#define TCPSAGA_SOURCE_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/capture.h"

struct recording_writer;

/*
 * Creates (or truncates) path, "-" being standard output, and writes the head.
 * A new file is its owner's alone (0600): it shows who talks to whom. NULL with
 * errno on failure. Not thread-safe. A program that ignores SIGPIPE sees a
 * reader that went away as EPIPE.
 */
struct recording_writer *recording_writer__new(const char *path, const struct capture_info *info);

/* Appends one record: 16 to 4096 bytes, a multiple of 8, the length in its
 * header, else -EINVAL. 0 or -errno: once it has failed, each later call fails
 * the same way. Buffered. */
int recording_writer__append(struct recording_writer *writer, const void *record, size_t len);

/* Hands everything appended so far to the kernel. */
int recording_writer__flush(struct recording_writer *writer);

/* Flushes, closes (reporting a failed close), frees. NULL is accepted. Returns
 * 0 or -errno of the first failure in the writer's life. */
int recording_writer__free(struct recording_writer *writer);

/*
 * The same bytes for who sends them elsewhere than to a file: the head, then frames
 * in their order. out has RECORDING_HEAD_BYTES, and RECORDING_FRAME_BYTES more than
 * the record.
 */
enum { RECORDING_HEAD_BYTES = 664, RECORDING_FRAME_BYTES = 8 };

struct recording_seal {
	uint64_t next; /* seed of the next frame's checksum */
};

void recording_seal__head(struct recording_seal *seal, const struct capture_info *info, void *out);
void recording_seal__frame(struct recording_seal *seal, const void *record, size_t len, void *out);

struct recording_reader;

/*
 * Opens path ("-" is standard input) and reads its head into *info. NULL with
 * errno on failure:
 *   EBADMSG    not a tcpsaga recording, or a damaged head
 *   ENODATA    empty, or cut within its head: nothing was recorded
 *   ENOTSUP    made by a later version, or on a machine of other byte order
 *   other      of open() or read()
 */
struct recording_reader *recording_reader__new(const char *path, struct capture_info *info);

/* The same of a descriptor, which is taken over, also on failure. */
struct recording_reader *recording_reader__of(int fd, struct capture_info *info);

/* True when the next record can be had without waiting for it. */
bool recording_reader__has_next(const struct recording_reader *reader);

/*
 * The next record: *record points to *len bytes, 8-byte aligned, valid until
 * the next call. Returns
 *   1          a record
 *   0          the end: the file ends after a whole record
 *   -ENODATA   the file was cut within a record: all whole ones were returned
 *   -EBADMSG   a damaged record (its checksum or length is wrong)
 *   -EAGAIN    a pipe is silent; call again to go on
 *   -EINTR     a signal came while waiting on a pipe; call again to go on
 *   -errno     read() failed
 */
int recording_reader__next(struct recording_reader *reader, const void **record, size_t *len);

/* Where the reader stands: whole records returned, and the byte offset of the
 * first byte behind them. */
uint64_t recording_reader__records(const struct recording_reader *reader);
uint64_t recording_reader__offset(const struct recording_reader *reader);

void recording_reader__free(struct recording_reader *reader);

#endif
