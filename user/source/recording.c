/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recordings: written by the verb record (and by mkrec, for tests), read by
 * every looking verb with -r. See recording.h for the contract.
 *
 * The file. Its own numbers are little-endian; the records are the wire
 * contract's bytes as the capturing machine had them, hence byte_order.
 *
 *   head, 664 bytes
 *        0    8  magic: 0x89 "tsaga" CR LF, so that a transfer that clears the
 *                eighth bit or rewrites line ends does not survive it
 *        8    2  version of this format: 1
 *       10    1  byte order of the records: 1 little-endian, 2 big-endian
 *       11    1  zero
 *       12    4  length of the head
 *       16    8  XXH3_64bits() of the head, taken with this field as zero
 *       24    8  realtime_offset_ns
 *       32    8  start_ns
 *       40   64  kernel   \
 *      104   32  tool      \  text, padded with zeros,
 *      136   16  source    /  the last byte always zero
 *      152  512  hooks    /
 *
 *   then frames, up to the end of the file
 *        0    4  length of the record: 16..4096, a multiple of 8
 *        4    4  low half of XXH3_64bits_withSeed() of the record; the seed is
 *                the head's checksum plus the record's ordinal, from 0
 *        8    n  the record, which begins with struct ev_header
 *
 * The seed ties a frame to its place in its own recording: moved, doubled,
 * left out or taken from another file it is found damaged. Everything is a
 * multiple of 8 bytes, so that records stay aligned in a buffer.
 *
 * A frame's length has no checksum of its own; it must equal the one that the
 * record gives, or a flipped bit in it would make a whole file look cut.
 *
 * There is no end mark: a capture that ended in good order has EV_STOP as its
 * last record. The first 24 bytes mean the same in every later version, so
 * that a reader can tell a newer file from a damaged one.
 */
#include "source/recording.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "bpf/event.h"

enum {
	FORMAT_VERSION = 1,
	HEAD_PREFIX_BYTES = 24, /* what all versions have in common */
	HEAD_MAX_BYTES = 16384, /* for versions to come */
	FRAME_HEAD_BYTES = RECORDING_FRAME_BYTES,
	RECORD_MIN_BYTES = sizeof(struct ev_header),
	RECORD_MAX_BYTES = 4096,
	SILENCE_MS = 100,
	BUFFER_BYTES = 64 * 1024, /* a pipe's default capacity: one write fills it */
};

enum byte_order {
	ORDER_LITTLE = 1,
	ORDER_BIG = 2,
	ORDER_HERE = __BYTE_ORDER == __LITTLE_ENDIAN ? ORDER_LITTLE : ORDER_BIG,
};

static const char magic[8] = { '\x89', 't', 's', 'a', 'g', 'a', '\r', '\n' };

struct file_head {
	char magic[8];
	uint16_t version;
	uint8_t byte_order;
	uint8_t zero;
	uint32_t length;
	uint64_t checksum;
	uint64_t realtime_offset_ns;
	uint64_t start_ns;
	char kernel[64];
	char tool[32];
	char source[16];
	char hooks[512];
};

_Static_assert(sizeof(struct file_head) == RECORDING_HEAD_BYTES, "the head changed its size");
_Static_assert(offsetof(struct file_head, realtime_offset_ns) == HEAD_PREFIX_BYTES,
	       "the head's first part changed its size");

struct frame_head {
	uint32_t length;
	uint32_t checksum;
};

_Static_assert(sizeof(struct frame_head) == FRAME_HEAD_BYTES, "frame heads grew");

/* ---- what writer and reader share --------------------------------------- */

/* A descriptor of our own also for "-", so that closing it reports what a
 * deferred write failed with and leaves the standard stream alone. */
static int open_path(const char *path, int standard_fd, int flags)
{
	if (strcmp(path, "-") == 0)
		return fcntl(standard_fd, F_DUPFD_CLOEXEC, 0);
	return open(path, flags | O_CLOEXEC | O_NOCTTY, 0600);
}

/* 1: ready; 0: not within timeout_ms (-1: however long it takes). */
static int wait_until_ready(int fd, short events, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = events };
	int ready = poll(&pollfd, 1, timeout_ms);

	return ready < 0 ? -errno : ready;
}

static bool length_ok(size_t len)
{
	return len >= RECORD_MIN_BYTES && len <= RECORD_MAX_BYTES && len % 8 == 0;
}

static uint32_t record_checksum(const void *record, size_t len, uint64_t seed)
{
	return (uint32_t)XXH3_64bits_withSeed(record, len, seed);
}

static uint16_t length_in_header(const void *record)
{
	uint16_t len;

	memcpy(&len, (const char *)record + offsetof(struct ev_header, len), sizeof(len));
	return len;
}

/* Takes the checksum out of a head and returns what it should be. */
static uint64_t head_checksum(void *head, size_t len)
{
	memset((char *)head + offsetof(struct file_head, checksum), 0, sizeof(uint64_t));
	return XXH3_64bits(head, len);
}

/* ---- writer ------------------------------------------------------------- */

struct recording_writer {
	int fd;
	int err; /* the first failure: final */
	struct recording_seal seal;
	size_t used;
	unsigned char buffer[BUFFER_BYTES];
};

static int fail_writer(struct recording_writer *writer, int err)
{
	writer->err = err;
	writer->used = 0;
	return err;
}

static int write_all(int fd, const unsigned char *data, size_t len)
{
	int err;

	while (len) {
		ssize_t n = write(fd, data, len);

		/* An inherited pipe may be non-blocking without our doing. */
		if (n < 0 && errno == EAGAIN) {
			err = wait_until_ready(fd, POLLOUT, -1);
			if (err < 0 && err != -EINTR)
				return err;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return 0;
}

/* dst is zeroed and keeps its last byte. */
static void put_text(char *dst, const char *src, size_t size)
{
	memcpy(dst, src, strnlen(src, size - 1));
}

static uint64_t make_head(struct file_head *head, const struct capture_info *info)
{
	uint64_t checksum;

	*head = (struct file_head){
		.version = htole16(FORMAT_VERSION),
		.byte_order = ORDER_HERE,
		.length = htole32(sizeof(*head)),
		.realtime_offset_ns = htole64(info->realtime_offset_ns),
		.start_ns = htole64(info->start_ns),
	};
	memcpy(head->magic, magic, sizeof(magic));
	put_text(head->kernel, info->kernel, sizeof(head->kernel));
	put_text(head->tool, info->tool, sizeof(head->tool));
	put_text(head->source, info->source, sizeof(head->source));
	put_text(head->hooks, info->hooks, sizeof(head->hooks));
	checksum = head_checksum(head, sizeof(*head));
	head->checksum = htole64(checksum);
	return checksum;
}

void recording_seal__head(struct recording_seal *seal, const struct capture_info *info, void *out)
{
	struct file_head head;

	seal->next = make_head(&head, info);
	memcpy(out, &head, sizeof(head));
}

void recording_seal__frame(struct recording_seal *seal, const void *record, size_t len, void *out)
{
	const struct frame_head head = {
		.length = htole32(len),
		.checksum = htole32(record_checksum(record, len, seal->next++)),
	};

	memcpy(out, &head, sizeof(head));
	memcpy((char *)out + sizeof(head), record, len);
}

struct recording_writer *recording_writer__new(const char *path, const struct capture_info *info)
{
	struct recording_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->fd = open_path(path, STDOUT_FILENO, O_WRONLY | O_CREAT | O_TRUNC);
	if (writer->fd < 0) {
		fail_writer(writer, -errno);
		goto fail;
	}
	recording_seal__head(&writer->seal, info, writer->buffer);
	writer->used = RECORDING_HEAD_BYTES;
	/* Now, so that a full disk is told before the capture starts and a
	 * reader at the other end of a pipe can start too. */
	if (recording_writer__flush(writer))
		goto fail;
	return writer;
fail:
	errno = -recording_writer__free(writer);
	return NULL;
}

int recording_writer__append(struct recording_writer *writer, const void *record, size_t len)
{
	if (writer->err)
		return writer->err;
	if (!length_ok(len) || length_in_header(record) != len)
		return fail_writer(writer, -EINVAL);
	/* Only whole frames are handed over, so that a capture that is killed
	 * leaves a file that ends behind a record. */
	if (FRAME_HEAD_BYTES + len > sizeof(writer->buffer) - writer->used &&
	    recording_writer__flush(writer))
		return writer->err;
	recording_seal__frame(&writer->seal, record, len, writer->buffer + writer->used);
	writer->used += FRAME_HEAD_BYTES + len;
	return 0;
}

int recording_writer__flush(struct recording_writer *writer)
{
	int err;

	if (writer->err)
		return writer->err;
	err = write_all(writer->fd, writer->buffer, writer->used);
	if (err)
		return fail_writer(writer, err);
	writer->used = 0;
	return 0;
}

int recording_writer__free(struct recording_writer *writer)
{
	int err;

	if (!writer)
		return 0;
	err = recording_writer__flush(writer);
	/* Linux has closed the descriptor even when close() was interrupted. */
	if (writer->fd >= 0 && close(writer->fd) < 0 && errno != EINTR && !err)
		err = -errno;
	free(writer);
	return err;
}

/* ---- reader ------------------------------------------------------------- */

struct recording_reader {
	int fd;
	uint64_t seed; /* of the next record */
	uint64_t records;
	uint64_t offset; /* in the file, of buffer[start] */
	size_t start;
	size_t end;
	/* start is a multiple of 8 always, and so every record is aligned. */
	_Alignas(8) unsigned char buffer[BUFFER_BYTES];
};

static size_t available(const struct recording_reader *reader)
{
	return reader->end - reader->start;
}

static const unsigned char *front(const struct recording_reader *reader)
{
	return reader->buffer + reader->start;
}

static void consume(struct recording_reader *reader, size_t len)
{
	reader->start += len;
	reader->offset += len;
}

static void make_room(struct recording_reader *reader, size_t want)
{
	if (want <= sizeof(reader->buffer) - reader->start)
		return;
	memmove(reader->buffer, front(reader), available(reader));
	reader->end -= reader->start;
	reader->start = 0;
}

/* Makes want bytes available; -ENODATA when the file ends before, -EAGAIN when a
 * pipe was silent for SILENCE_MS. What did come is kept, and the call may be
 * repeated: a person who presses Ctrl-C at a silent pipe wants out, and a signal
 * that arrives just before a read() would not interrupt it. */
static int fill(struct recording_reader *reader, size_t want)
{
	make_room(reader, want);
	while (available(reader) < want) {
		int ready = wait_until_ready(reader->fd, POLLIN, SILENCE_MS);
		ssize_t n;

		if (ready <= 0)
			return ready < 0 ? ready : -EAGAIN;
		n = read(reader->fd, reader->buffer + reader->end, sizeof(reader->buffer) - reader->end);
		if (n == 0)
			return -ENODATA;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n > 0)
			reader->end += n;
	}
	return 0;
}

/* Before the head there is nothing to go on with. */
static int fill_head(struct recording_reader *reader, size_t want)
{
	int err;

	do
		err = fill(reader, want);
	while (err == -EAGAIN);
	return err;
}

static bool magic_ok(const struct recording_reader *reader)
{
	size_t n = available(reader);

	return memcmp(front(reader), magic, n < sizeof(magic) ? n : sizeof(magic)) == 0;
}

/* A head of our own version has one length; of a later one's it is only
 * believed that it is sane. */
static bool head_length_ok(unsigned int version, size_t len)
{
	if (version == FORMAT_VERSION)
		return len == sizeof(struct file_head);
	return version > FORMAT_VERSION && len >= HEAD_PREFIX_BYTES && len <= HEAD_MAX_BYTES &&
	       len % 8 == 0;
}

static void get_text(char *dst, const char *src, size_t size)
{
	size_t len = strnlen(src, size - 1);

	memcpy(dst, src, len);
	memset(dst + len, 0, size - len);
}

static void get_info(struct capture_info *info, const struct file_head *head)
{
	info->realtime_offset_ns = le64toh(head->realtime_offset_ns);
	info->start_ns = le64toh(head->start_ns);
	get_text(info->kernel, head->kernel, sizeof(info->kernel));
	get_text(info->tool, head->tool, sizeof(info->tool));
	get_text(info->source, head->source, sizeof(info->source));
	get_text(info->hooks, head->hooks, sizeof(info->hooks));
}

_Static_assert(sizeof(((struct capture_info *)0)->kernel) == 64 &&
		       sizeof(((struct capture_info *)0)->tool) == 32 &&
		       sizeof(((struct capture_info *)0)->source) == 16 &&
		       sizeof(((struct capture_info *)0)->hooks) == 512,
	       "struct capture_info and the file's head differ");

/* The checksum goes before the version, so that a flipped bit in the version
 * reads as damage and not as a file from the future. */
static int read_head(struct recording_reader *reader, struct capture_info *info)
{
	struct file_head head = { 0 };
	size_t len;
	int err;

	err = fill_head(reader, HEAD_PREFIX_BYTES);
	if (err && err != -ENODATA)
		return err;
	if (!magic_ok(reader))
		return -EBADMSG;
	if (err)
		return err;
	memcpy(&head, front(reader), HEAD_PREFIX_BYTES);
	len = le32toh(head.length);
	if (!head_length_ok(le16toh(head.version), len))
		return -EBADMSG;
	err = fill_head(reader, len);
	if (err)
		return err;
	reader->seed = head_checksum(reader->buffer, len);
	if (reader->seed != le64toh(head.checksum))
		return -EBADMSG;
	if (le16toh(head.version) > FORMAT_VERSION || head.byte_order != ORDER_HERE)
		return -ENOTSUP;
	memcpy(&head, front(reader), sizeof(head));
	get_info(info, &head);
	consume(reader, len);
	return 0;
}

/* Takes fd over, also when it fails. */
static struct recording_reader *open_reader(int fd, struct capture_info *info)
{
	struct recording_reader *reader = calloc(1, sizeof(*reader));
	int err = -ENOMEM;

	if (!reader)
		goto fail;
	reader->fd = fd;
	err = read_head(reader, info);
	if (err)
		goto fail;
	return reader;
fail:
	free(reader);
	close(fd);
	errno = -err;
	return NULL;
}

struct recording_reader *recording_reader__new(const char *path, struct capture_info *info)
{
	int fd = open_path(path, STDIN_FILENO, O_RDONLY);

	return fd < 0 ? NULL : open_reader(fd, info);
}

struct recording_reader *recording_reader__of(int fd, struct capture_info *info)
{
	return open_reader(fd, info);
}

bool recording_reader__has_next(const struct recording_reader *reader)
{
	struct frame_head head;

	if (available(reader) < sizeof(head))
		return false;
	memcpy(&head, front(reader), sizeof(head));
	return available(reader) - sizeof(head) >= le32toh(head.length);
}

/* Nothing is consumed but whole good records, so that an error stays the same
 * however often it is asked for. */
int recording_reader__next(struct recording_reader *reader, const void **record, size_t *len)
{
	struct frame_head head;
	const void *found;
	size_t length;
	int err;

	err = fill(reader, sizeof(head));
	if (err)
		return err == -ENODATA && !available(reader) ? 0 : err;
	memcpy(&head, front(reader), sizeof(head));
	length = le32toh(head.length);
	if (!length_ok(length))
		return -EBADMSG;

	/* Before length is waited for, see the top. */
	err = fill(reader, sizeof(head) + RECORD_MIN_BYTES);
	if (err)
		return err;
	if (length_in_header(front(reader) + sizeof(head)) != length)
		return -EBADMSG;
	err = fill(reader, sizeof(head) + length);
	if (err)
		return err;
	found = front(reader) + sizeof(head);
	if (record_checksum(found, length, reader->seed) != le32toh(head.checksum))
		return -EBADMSG;

	consume(reader, sizeof(head) + length);
	reader->seed++;
	reader->records++;
	*record = found;
	*len = length;
	return 1;
}

uint64_t recording_reader__records(const struct recording_reader *reader)
{
	return reader->records;
}

uint64_t recording_reader__offset(const struct recording_reader *reader)
{
	return reader->offset;
}

void recording_reader__free(struct recording_reader *reader)
{
	if (!reader)
		return;
	close(reader->fd);
	free(reader);
}
