/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer entry: the recording reader never trusts a file. Whatever the
 * bytes, it returns records that stand in the file as they are returned, ends
 * with one of its documented errors, and reads nothing outside its buffer.
 *
 * Checksums would stop nearly every input at the door, so the first byte of the
 * input says whether the head and the frames are sealed first. The module's
 * own .c is included for that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create() */
#endif
#include "source/recording.c"

#include <sys/mman.h>

enum {
	SEAL_HEAD = 1 << 0,
	OUR_HEAD = 1 << 1,
	SEAL_FRAMES = 1 << 2,
	REPEAT_FRAMES = 1 << 3, /* until they are more than the reader's buffer */
};

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void put_our_head(unsigned char *bytes)
{
	struct file_head head;

	memcpy(&head, bytes, sizeof(head));
	memcpy(head.magic, magic, sizeof(magic));
	head.version = htole16(FORMAT_VERSION);
	head.byte_order = ORDER_HERE;
	head.length = htole32(sizeof(head));
	memcpy(bytes, &head, sizeof(head));
}

/* Returns the checksum, as the seed of the first frame. */
static uint64_t seal_head(unsigned char *bytes, size_t len)
{
	struct file_head head;
	size_t head_len;
	uint64_t checksum;

	memcpy(&head, bytes, sizeof(head));
	head_len = le32toh(head.length);
	if (head_len < HEAD_PREFIX_BYTES || head_len > len)
		return 0;
	checksum = head_checksum(bytes, head_len);
	head.checksum = htole64(checksum);
	memcpy(bytes, &head, HEAD_PREFIX_BYTES);
	return checksum;
}

/* Every other byte of a frame stays as the fuzzer made it. */
static void seal_frames(unsigned char *bytes, size_t len, uint64_t seed)
{
	while (len >= FRAME_HEAD_BYTES + RECORD_MIN_BYTES) {
		unsigned char *record = bytes + FRAME_HEAD_BYTES;
		size_t n = length_in_header(record);
		struct frame_head head = { .length = htole32(n) };

		if (!length_ok(n) || n > len - FRAME_HEAD_BYTES)
			return;
		head.checksum = htole32(record_checksum(record, n, seed++));
		memcpy(bytes, &head, sizeof(head));
		bytes += FRAME_HEAD_BYTES + n;
		len -= FRAME_HEAD_BYTES + n;
	}
}

static void seal(unsigned char *bytes, size_t len, unsigned int how)
{
	uint64_t seed = 0;

	if (len < sizeof(struct file_head))
		return;
	if (how & OUR_HEAD)
		put_our_head(bytes);
	if (how & SEAL_HEAD)
		seed = seal_head(bytes, len);
	if (how & SEAL_FRAMES)
		seal_frames(bytes + sizeof(struct file_head), len - sizeof(struct file_head), seed);
}

/* The input's bytes, its frames as often as it takes. The caller frees. */
static unsigned char *make_file(const uint8_t *input, size_t size, size_t *len)
{
	size_t head = size < sizeof(struct file_head) ? size : sizeof(struct file_head);
	size_t frames = size - head, times = 1;
	unsigned char *bytes;

	if (input[0] & REPEAT_FRAMES && frames > 0)
		times += 2 * BUFFER_BYTES / frames;
	*len = head + frames * times;
	bytes = malloc(*len ? *len : 1);
	if (!bytes)
		return NULL;
	memcpy(bytes, input + 1, head);
	for (size_t i = 0; i < times; i++)
		memcpy(bytes + head + i * frames, input + 1 + head, frames);
	seal(bytes, *len, input[0]);
	return bytes;
}

static void check_info(const struct capture_info *info)
{
	require(memchr(info->kernel, '\0', sizeof(info->kernel)) != NULL);
	require(memchr(info->tool, '\0', sizeof(info->tool)) != NULL);
	require(memchr(info->source, '\0', sizeof(info->source)) != NULL);
	require(memchr(info->hooks, '\0', sizeof(info->hooks)) != NULL);
}

static void check_records(struct recording_reader *reader, const unsigned char *bytes, size_t size)
{
	uint64_t records = 0, end;
	const void *record;
	size_t len;
	int err;

	while ((err = recording_reader__next(reader, &record, &len)) == 1) {
		end = recording_reader__offset(reader);
		require(recording_reader__records(reader) == ++records);
		require(length_ok(len) && (uintptr_t)record % 8 == 0);
		require(end <= size && len <= end && memcmp(bytes + end - len, record, len) == 0);
	}
	require(err == 0 || err == -ENODATA || err == -EBADMSG);
	end = size - recording_reader__offset(reader);
	require(err != 0 || end == 0);
	/* Cut means that less than a frame is left. */
	require(err != -ENODATA || end < FRAME_HEAD_BYTES + RECORD_MAX_BYTES);
}

static void check(const unsigned char *bytes, size_t len)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct capture_info info;
	struct recording_reader *reader;

	require(fd >= 0 && write_all(fd, bytes, len) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	reader = open_reader(fd, &info);
	if (!reader) {
		require(errno == EBADMSG || errno == ENODATA || errno == ENOTSUP);
		return;
	}
	check_info(&info);
	check_records(reader, bytes, len);
	recording_reader__free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	unsigned char *bytes;
	size_t len;

	if (!size)
		return 0;
	bytes = make_file(input, size - 1, &len);
	if (!bytes)
		return 0;
	check(bytes, len);
	free(bytes);
	return 0;
}
