/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recordings: what is written comes back, and a file that was cut, damaged,
 * rearranged or is not ours yields the records before the fault, then the
 * right error. Most files live in memory; the paths are tested in a directory
 * of their own.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create() */
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/recording.c"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HEAD_BYTES sizeof(struct file_head)
#define SAMPLE_RECORDS 5

static char directory[256];

static const struct capture_info sample_info = {
	.realtime_offset_ns = 1700000000000000000,
	.start_ns = 1000000000,
	.kernel = "6.12.0",
	.tool = "0.1.0",
	.source = "live",
	.hooks = "state=tp_btf syn=none",
};

struct image {
	size_t len;
	unsigned char bytes[4096];
};

/* ---- making and reading recordings -------------------------------------- */

static const char *path_to(const char *name)
{
	static char path[sizeof(directory) + 32];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

/* The record with this ordinal: each has a length and a content of its own. */
static size_t make_record(unsigned char *record, uint64_t ordinal)
{
	uint16_t len = ordinal % 37 == 36 ? RECORD_MAX_BYTES : 16 + ordinal % 5 * 8;

	for (size_t i = 0; i < len; i++)
		record[i] = ordinal * 31 + i;
	memcpy(record + offsetof(struct ev_header, len), &len, sizeof(len));
	return len;
}

static void append_records(struct recording_writer *writer, uint64_t from, uint64_t to)
{
	unsigned char record[RECORD_MAX_BYTES];

	for (uint64_t i = from; i < to; i++) {
		size_t len = make_record(record, i);

		assert_int_equal(recording_writer__append(writer, record, len), 0);
	}
}

static struct recording_writer *new_writer(const char *path)
{
	struct recording_writer *writer = recording_writer__new(path, &sample_info);

	assert_non_null(writer);
	return writer;
}

static struct image make_image(const struct capture_info *info, uint64_t records)
{
	struct recording_writer *writer = recording_writer__new(path_to("image"), info);
	struct image image = { 0 };
	FILE *file;

	assert_non_null(writer);
	append_records(writer, 0, records);
	assert_int_equal(recording_writer__free(writer), 0);
	file = fopen(path_to("image"), "r");
	assert_non_null(file);
	image.len = fread(image.bytes, 1, sizeof(image.bytes), file);
	fclose(file);
	assert_in_range(image.len, HEAD_BYTES, sizeof(image.bytes) - 1);
	return image;
}

static struct recording_reader *open_bytes(const void *bytes, size_t len)
{
	struct capture_info info;
	int fd = memfd_create("recording", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return open_reader(fd, &info);
}

/* Whoever writes to a pipe may have been silent for a while. */
static int next_of_slow_writer(struct recording_reader *reader, const void **record, size_t *len)
{
	int err;

	do
		err = recording_reader__next(reader, record, len);
	while (err == -EAGAIN);
	return err;
}

/* Reads to the end and checks that every record is the one that was written.
 * Returns how the recording ended. */
static int read_records(struct recording_reader *reader, uint64_t *records)
{
	unsigned char expected[RECORD_MAX_BYTES];
	const void *record;
	size_t len;
	int err;

	while ((err = next_of_slow_writer(reader, &record, &len)) == 1) {
		size_t expected_len = make_record(expected, recording_reader__records(reader) - 1);

		assert_int_equal((uintptr_t)record % 8, 0);
		assert_int_equal(len, expected_len);
		assert_memory_equal(record, expected, len);
	}
	*records = recording_reader__records(reader);
	/* How it ended does not change when it is asked again. */
	assert_int_equal(recording_reader__next(reader, &record, &len), err);
	return err;
}

/* What comes of a file with these bytes; a head that is refused counts as an
 * end too. */
static int read_bytes(const void *bytes, size_t len, uint64_t *records)
{
	struct recording_reader *reader = open_bytes(bytes, len);
	int err;

	*records = 0;
	if (!reader)
		return -errno;
	err = read_records(reader, records);
	recording_reader__free(reader);
	return err;
}

/* Gives the head the checksum that its bytes deserve. */
static void seal_head(struct image *image)
{
	struct file_head head;
	size_t len;

	memcpy(&head, image->bytes, sizeof(head));
	len = le32toh(head.length);
	head.checksum = htole64(head_checksum(image->bytes, len));
	memcpy(image->bytes + offsetof(struct file_head, checksum), &head.checksum,
	       sizeof(head.checksum));
}

/* ---- round trips -------------------------------------------------------- */

static void test_round_trip(void **state)
{
	struct capture_info info;
	struct recording_reader *reader;
	uint64_t records;
	struct stat stat_of;

	(void)state;
	make_image(&sample_info, SAMPLE_RECORDS);
	memset(&info, 0xee, sizeof(info));
	reader = recording_reader__new(path_to("image"), &info);
	assert_non_null(reader);
	assert_memory_equal(&info, &sample_info, sizeof(info));
	assert_int_equal(recording_reader__offset(reader), HEAD_BYTES);
	assert_int_equal(read_records(reader, &records), 0);
	assert_int_equal(records, SAMPLE_RECORDS);
	assert_int_equal(stat(path_to("image"), &stat_of), 0);
	assert_int_equal(recording_reader__offset(reader), stat_of.st_size);
	recording_reader__free(reader);
}

static void test_no_records(void **state)
{
	struct image image = make_image(&sample_info, 0);
	uint64_t records;

	(void)state;
	assert_int_equal(image.len, HEAD_BYTES);
	assert_int_equal(read_bytes(image.bytes, image.len, &records), 0);
	assert_int_equal(records, 0);
}

/* Many times the buffer, with records of every length in it. */
static void test_many_records(void **state)
{
	struct recording_writer *writer = new_writer(path_to("many"));
	struct recording_reader *reader;
	struct capture_info info;
	uint64_t records;

	(void)state;
	append_records(writer, 0, 10000);
	assert_int_equal(recording_writer__free(writer), 0);
	reader = recording_reader__new(path_to("many"), &info);
	assert_non_null(reader);
	assert_int_equal(read_records(reader, &records), 0);
	assert_int_equal(records, 10000);
	recording_reader__free(reader);
}

static void test_text_is_bounded(void **state)
{
	struct capture_info info, back;
	struct recording_reader *reader;
	struct file_head head;
	struct image image;

	(void)state;
	memset(&info, 'x', sizeof(info));
	image = make_image(&info, 0);
	memcpy(&head, image.bytes, sizeof(head));
	assert_int_equal(strnlen(head.kernel, sizeof(head.kernel)), sizeof(head.kernel) - 1);
	assert_int_equal(strnlen(head.tool, sizeof(head.tool)), sizeof(head.tool) - 1);
	assert_int_equal(strnlen(head.source, sizeof(head.source)), sizeof(head.source) - 1);
	assert_int_equal(strnlen(head.hooks, sizeof(head.hooks)), sizeof(head.hooks) - 1);
	reader = recording_reader__new(path_to("image"), &back);
	assert_non_null(reader);
	assert_int_equal(strlen(back.kernel), sizeof(back.kernel) - 1);
	assert_int_equal(strlen(back.tool), sizeof(back.tool) - 1);
	assert_int_equal(strlen(back.source), sizeof(back.source) - 1);
	assert_int_equal(strlen(back.hooks), sizeof(back.hooks) - 1);
	recording_reader__free(reader);
}

/* A sealed head whose texts do not end, as only another writer would make. */
static void test_text_without_end_is_ended(void **state)
{
	struct image image = make_image(&sample_info, 0);
	size_t text = offsetof(struct file_head, kernel);
	struct capture_info info;
	struct recording_reader *reader;
	FILE *file;

	(void)state;
	memset(image.bytes + text, 'x', HEAD_BYTES - text);
	seal_head(&image);
	file = fopen(path_to("endless"), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(image.bytes, 1, image.len, file), image.len);
	fclose(file);
	reader = recording_reader__new(path_to("endless"), &info);
	assert_non_null(reader);
	assert_int_equal(strlen(info.kernel), sizeof(info.kernel) - 1);
	assert_int_equal(strlen(info.hooks), sizeof(info.hooks) - 1);
	recording_reader__free(reader);
}

/* ---- damage ------------------------------------------------------------- */

static void test_cut_anywhere(void **state)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	unsigned char record[RECORD_MAX_BYTES];
	uint64_t whole = 0, records;
	size_t end = HEAD_BYTES; /* of the whole records */

	(void)state;
	for (size_t len = 0; len <= image.len; len++) {
		size_t next = end + FRAME_HEAD_BYTES + make_record(record, whole);
		int expected;

		if (len == next) {
			end = next;
			whole++;
		}
		expected = len == end ? 0 : -ENODATA;
		assert_int_equal(read_bytes(image.bytes, len, &records), expected);
		assert_int_equal(records, whole);
	}
	assert_int_equal(whole, SAMPLE_RECORDS);
}

/* Damaged, and never cut, the end, or from the future. */
static void test_every_flipped_bit(void **state)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	uint64_t records;

	(void)state;
	for (size_t bit = 0; bit < image.len * 8; bit++) {
		image.bytes[bit / 8] ^= 1 << bit % 8;
		if (read_bytes(image.bytes, image.len, &records) != -EBADMSG)
			fail_msg("bit %zu of byte %zu: not found", bit % 8, bit / 8);
		assert_in_range(records, 0, SAMPLE_RECORDS - 1);
		image.bytes[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(read_bytes(image.bytes, image.len, &records), 0);
}

/* Five frames with these ordinals, behind the head of image. */
static int read_in_order(const struct image *image, const int order[5], uint64_t *records)
{
	struct image out = { .len = HEAD_BYTES };
	unsigned char record[RECORD_MAX_BYTES];

	memcpy(out.bytes, image->bytes, HEAD_BYTES);
	for (int i = 0; i < 5 && order[i] >= 0; i++) {
		size_t at = HEAD_BYTES;
		size_t len;

		for (int skip = 0; skip < order[i]; skip++)
			at += FRAME_HEAD_BYTES + make_record(record, skip);
		len = FRAME_HEAD_BYTES + make_record(record, order[i]);
		memcpy(out.bytes + out.len, image->bytes + at, len);
		out.len += len;
	}
	return read_bytes(out.bytes, out.len, records);
}

static void test_frames_out_of_place(void **state)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	uint64_t records;

	(void)state;
	assert_int_equal(read_in_order(&image, (int[]){ 0, 1, 2, 3, 4 }, &records), 0);
	assert_int_equal(records, 5);
	assert_int_equal(read_in_order(&image, (int[]){ 0, 2, 1, 3, 4 }, &records), -EBADMSG);
	assert_int_equal(records, 1);
	assert_int_equal(read_in_order(&image, (int[]){ 0, 1, 1, 2, 3 }, &records), -EBADMSG);
	assert_int_equal(records, 2);
	assert_int_equal(read_in_order(&image, (int[]){ 0, 1, 2, 4, -1 }, &records), -EBADMSG);
	assert_int_equal(records, 3);
	assert_int_equal(read_in_order(&image, (int[]){ 1, 2, 3, 4, -1 }, &records), -EBADMSG);
	assert_int_equal(records, 0);
}

static void test_frames_of_another_recording(void **state)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	struct capture_info info = sample_info;
	struct image other;
	uint64_t records;

	(void)state;
	info.start_ns++;
	other = make_image(&info, SAMPLE_RECORDS);
	assert_int_equal(image.len, other.len);
	memcpy(image.bytes + HEAD_BYTES, other.bytes + HEAD_BYTES, other.len - HEAD_BYTES);
	assert_int_equal(read_bytes(image.bytes, image.len, &records), -EBADMSG);
	assert_int_equal(records, 0);
}

static void test_two_recordings_in_a_row(void **state)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	uint64_t records;

	(void)state;
	memcpy(image.bytes + image.len, image.bytes, image.len);
	assert_int_equal(read_bytes(image.bytes, image.len * 2, &records), -EBADMSG);
	assert_int_equal(records, SAMPLE_RECORDS);
}

/* The lengths a frame may claim; record and checksum agree with it. */
static void test_lengths_of_frames(void **state)
{
	static const uint32_t lengths[] = {
		0, 8, 15, 17, 20, RECORD_MAX_BYTES + 8, 65528, 65535, 65536, 65536 + 16,
		UINT32_MAX, UINT32_MAX - 7,
	};
	static unsigned char bytes[100000];
	struct image image = make_image(&sample_info, 0);
	struct recording_reader *reader = open_bytes(image.bytes, image.len);
	unsigned char *record = bytes + HEAD_BYTES + FRAME_HEAD_BYTES;
	uint64_t records;

	(void)state;
	memcpy(bytes, image.bytes, HEAD_BYTES);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct frame_head head = { .length = htole32(lengths[i]) };
		uint16_t len = lengths[i];

		memcpy(record, &len, sizeof(len));
		head.checksum = htole32(record_checksum(record, len, reader->seed));
		memcpy(bytes + HEAD_BYTES, &head, sizeof(head));
		assert_int_equal(read_bytes(bytes, sizeof(bytes), &records), -EBADMSG);
		assert_int_equal(records, 0);
		assert_int_equal(read_bytes(bytes, HEAD_BYTES + FRAME_HEAD_BYTES, &records),
				 -EBADMSG);
	}
	recording_reader__free(reader);
}

/* ---- heads that are not ours -------------------------------------------- */

/* What becomes of a head; 0: it is taken. */
static int read_with_version(uint16_t version, uint32_t length, bool sealed)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	uint16_t le_version = htole16(version);
	uint32_t le_length = htole32(length);
	struct recording_reader *reader;

	memcpy(image.bytes + offsetof(struct file_head, version), &le_version, 2);
	memcpy(image.bytes + offsetof(struct file_head, length), &le_length, 4);
	if (sealed)
		seal_head(&image);
	reader = open_bytes(image.bytes, image.len);
	if (!reader)
		return -errno;
	recording_reader__free(reader);
	return 0;
}

static void test_future_version(void **state)
{
	(void)state;
	assert_int_equal(read_with_version(1, HEAD_BYTES, true), 0);
	assert_int_equal(read_with_version(2, HEAD_BYTES, true), -ENOTSUP);
	assert_int_equal(read_with_version(UINT16_MAX, HEAD_PREFIX_BYTES, true), -ENOTSUP);
	assert_int_equal(read_with_version(2, HEAD_BYTES + 16, true), -ENOTSUP);
	assert_int_equal(read_with_version(2, HEAD_BYTES, false), -EBADMSG);
	assert_int_equal(read_with_version(0, HEAD_BYTES, true), -EBADMSG);
}

static void test_lengths_of_heads(void **state)
{
	(void)state;
	assert_int_equal(read_with_version(1, HEAD_BYTES + 16, true), -EBADMSG);
	assert_int_equal(read_with_version(1, HEAD_PREFIX_BYTES, true), -EBADMSG);
	assert_int_equal(read_with_version(2, HEAD_PREFIX_BYTES - 8, true), -EBADMSG);
	assert_int_equal(read_with_version(2, HEAD_PREFIX_BYTES + 1, true), -EBADMSG);
	assert_int_equal(read_with_version(2, HEAD_MAX_BYTES + 8, false), -EBADMSG);
	assert_int_equal(read_with_version(2, UINT32_MAX - 7, false), -EBADMSG);
	assert_int_equal(read_with_version(2, HEAD_MAX_BYTES, false), -ENODATA);
}

static void test_other_byte_order(void **state)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	uint64_t records;

	(void)state;
	image.bytes[offsetof(struct file_head, byte_order)] ^= ORDER_LITTLE ^ ORDER_BIG;
	seal_head(&image);
	assert_int_equal(read_bytes(image.bytes, image.len, &records), -ENOTSUP);
}

static void test_foreign_files(void **state)
{
	static const char *const foreign[] = {
		"x",
		"\x89PNG\r\n\x1a\n",
		"{\"v\":1,\"type\":\"start\"}\n",
		"a text that is longer than what the heads of all versions have in common\n",
	};
	static const unsigned char zeros[100000];
	uint64_t records;

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		assert_int_equal(read_bytes(foreign[i], strlen(foreign[i]), &records), -EBADMSG);
	assert_int_equal(read_bytes(zeros, 1, &records), -EBADMSG);
	assert_int_equal(read_bytes(zeros, sizeof(zeros), &records), -EBADMSG);
	assert_int_equal(read_bytes("", 0, &records), -ENODATA);
}

/* ---- paths -------------------------------------------------------------- */

static void test_refused_paths(void **state)
{
	struct capture_info info;

	(void)state;
	assert_null(recording_writer__new(directory, &sample_info));
	assert_int_equal(errno, EISDIR);
	assert_null(recording_writer__new(path_to("no/such"), &sample_info));
	assert_int_equal(errno, ENOENT);
	assert_null(recording_reader__new(directory, &info));
	assert_int_equal(errno, EISDIR);
	assert_null(recording_reader__new(path_to("no-such"), &info));
	assert_int_equal(errno, ENOENT);
	assert_null(recording_reader__new("/dev/null", &info));
	assert_int_equal(errno, ENODATA);
}

static void test_mode_and_overwriting(void **state)
{
	const char *path = path_to("mode");
	mode_t mask = umask(0);
	struct stat stat_of;

	(void)state;
	assert_int_equal(recording_writer__free(new_writer(path)), 0);
	umask(mask);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 07777, 0600);

	assert_int_equal(truncate(path, 100000), 0);
	assert_int_equal(recording_writer__free(new_writer(path)), 0);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_size, HEAD_BYTES);
}

/* "-" both ways; the standard streams stay open behind it. */
static void test_standard_streams(void **state)
{
	int saved_in = dup(STDIN_FILENO), saved_out = dup(STDOUT_FILENO);
	struct recording_writer *writer;
	struct recording_reader *reader;
	struct capture_info info;
	uint64_t records = 0;
	int pipe_fds[2], err, written;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[0], STDIN_FILENO);
	dup2(pipe_fds[1], STDOUT_FILENO);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	writer = new_writer("-");
	append_records(writer, 0, SAMPLE_RECORDS);
	err = recording_writer__free(writer);
	written = fcntl(STDOUT_FILENO, F_GETFD);
	dup2(saved_out, STDOUT_FILENO);
	reader = recording_reader__new("-", &info);
	assert_non_null(reader);
	assert_int_equal(read_records(reader, &records), 0);
	recording_reader__free(reader);
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	dup2(saved_in, STDIN_FILENO);
	close(saved_in);
	close(saved_out);
	assert_int_equal(err, 0);
	assert_true(written >= 0);
	assert_int_equal(records, SAMPLE_RECORDS);
}

static int lowest_free_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static void test_descriptors_are_closed(void **state)
{
	int before = lowest_free_descriptor();
	struct capture_info info;
	uint64_t records;

	(void)state;
	assert_int_equal(read_bytes("foreign", 7, &records), -EBADMSG);
	assert_null(recording_reader__new(directory, &info));
	assert_null(recording_writer__new("/dev/full", &sample_info));
	assert_int_equal(lowest_free_descriptor(), before);
	make_image(&sample_info, 1);
	recording_reader__free(recording_reader__new(path_to("image"), &info));
	assert_int_equal(lowest_free_descriptor(), before);
}

/* ---- a writer that fails ------------------------------------------------ */

static void test_full_device(void **state)
{
	(void)state;
	assert_null(recording_writer__new("/dev/full", &sample_info));
	assert_int_equal(errno, ENOSPC);
}

/* From here on the writer writes into fd. */
static void redirect(struct recording_writer *writer, int fd)
{
	assert_true(fd >= 0);
	assert_true(dup2(fd, writer->fd) >= 0);
	close(fd);
}

static void test_disk_fills_up(void **state)
{
	struct recording_writer *writer = new_writer(path_to("fills-up"));
	unsigned char record[RECORD_MAX_BYTES];
	size_t len = make_record(record, 0);
	int err = 0;

	(void)state;
	redirect(writer, open("/dev/full", O_WRONLY));
	for (int i = 0; i < BUFFER_BYTES / 16 && !err; i++)
		err = recording_writer__append(writer, record, len);
	assert_int_equal(err, -ENOSPC);

	/* And it stays so, though there is room again. */
	redirect(writer, open("/dev/null", O_WRONLY));
	assert_int_equal(recording_writer__append(writer, record, len), -ENOSPC);
	assert_int_equal(recording_writer__flush(writer), -ENOSPC);
	assert_int_equal(recording_writer__free(writer), -ENOSPC);
}

static void test_closed_pipe(void **state)
{
	struct recording_writer *writer = new_writer(path_to("pipe"));
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	close(pipe_fds[0]);
	redirect(writer, pipe_fds[1]);
	append_records(writer, 0, 1);
	assert_int_equal(recording_writer__flush(writer), -EPIPE);
	assert_int_equal(recording_writer__free(writer), -EPIPE);
}

static void test_failed_close_is_reported(void **state)
{
	struct recording_writer *writer = new_writer(path_to("close"));

	(void)state;
	close(writer->fd);
	assert_int_equal(recording_writer__free(writer), -EBADF);
	assert_int_equal(recording_writer__free(NULL), 0);
	recording_reader__free(NULL);
}

static void test_wrong_records_are_refused(void **state)
{
	static const size_t lengths[] = { 0, 8, 17, RECORD_MAX_BYTES + 8 };
	static uint64_t record[(RECORD_MAX_BYTES + 8) / 8];
	struct recording_writer *writer;
	uint16_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		writer = new_writer(path_to("wrong"));
		len = lengths[i];
		memcpy(record, &len, sizeof(len));
		assert_int_equal(recording_writer__append(writer, record, len), -EINVAL);
		assert_int_equal(recording_writer__free(writer), -EINVAL);
	}
	/* A header that says otherwise. */
	writer = new_writer(path_to("wrong"));
	len = 24;
	memcpy(record, &len, sizeof(len));
	assert_int_equal(recording_writer__append(writer, record, 32), -EINVAL);
	assert_int_equal(recording_writer__free(writer), -EINVAL);
}

/* Killed at any moment: what the kernel was given ends behind a record. */
static void test_unflushed_file_is_whole(void **state)
{
	struct recording_writer *writer = new_writer(path_to("killed"));
	struct recording_reader *reader;
	struct capture_info info;
	uint64_t records;

	(void)state;
	append_records(writer, 0, 5000);
	reader = recording_reader__new(path_to("killed"), &info);
	assert_non_null(reader);
	assert_int_equal(read_records(reader, &records), 0);
	assert_in_range(records, 1000, 4999);
	assert_int_equal(recording_writer__flush(writer), 0);
	assert_int_equal(read_records(reader, &records), 0);
	assert_int_equal(records, 5000);
	recording_reader__free(reader);
	assert_int_equal(recording_writer__free(writer), 0);
}

/* ---- pipes -------------------------------------------------------------- */

static void ignore_signal(int number)
{
	(void)number;
}

/* A child that hands over len bytes one by one. Each is a packet of its own, so
 * that no read() gets two. */
static pid_t feed_bytes(const struct image *image, int sockets[2])
{
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) {
		close(sockets[1]);
		return pid;
	}
	close(sockets[0]);
	for (size_t i = 0; i < image->len; i++) {
		if (write(sockets[1], &image->bytes[i], 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void expect_success(pid_t pid)
{
	int status;
	pid_t found;

	do
		found = waitpid(pid, &status, 0);
	while (found < 0 && errno == EINTR);
	assert_int_equal(found, pid);
	assert_int_equal(status, 0);
}

static void read_byte_by_byte(int extra_flags)
{
	struct image image = make_image(&sample_info, SAMPLE_RECORDS);
	struct recording_reader *reader;
	struct capture_info info;
	uint64_t records;
	int sockets[2];
	pid_t pid = feed_bytes(&image, sockets);

	assert_int_equal(fcntl(sockets[0], F_SETFL, O_RDWR | extra_flags), 0);
	reader = open_reader(sockets[0], &info);
	assert_non_null(reader);
	assert_memory_equal(&info, &sample_info, sizeof(info));
	assert_int_equal(read_records(reader, &records), 0);
	assert_int_equal(records, SAMPLE_RECORDS);
	recording_reader__free(reader);
	expect_success(pid);
}

static void test_short_reads(void **state)
{
	(void)state;
	read_byte_by_byte(0);
}

static void test_short_reads_without_blocking(void **state)
{
	(void)state;
	read_byte_by_byte(O_NONBLOCK);
}

/* Reads a recording from fd in the child, poking the parent with a signal
 * before every read(). */
static pid_t drain(int fd, int other_end, uint64_t expected)
{
	pid_t parent = getpid(), pid = fork();
	struct recording_reader *reader;
	struct capture_info info;
	const void *record;
	size_t len;
	int err;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	close(other_end);
	reader = open_reader(fd, &info);
	if (!reader)
		_exit(2);
	do {
		kill(parent, SIGUSR1);
		err = next_of_slow_writer(reader, &record, &len);
	} while (err == 1);
	_exit(err == 0 && recording_reader__records(reader) == expected ? 0 : 1);
}

/* A pipe of one page, a slow reader, signals all the while: short writes and
 * EINTR, or EAGAIN, on almost every call. */
static void write_through_a_narrow_pipe(int flags)
{
	struct recording_writer *writer;
	char path[64];
	int pipe_fds[2];
	pid_t pid;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_true(fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096) >= 4096);
	pid = drain(pipe_fds[0], pipe_fds[1], 2000);
	close(pipe_fds[0]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pipe_fds[1]);
	writer = new_writer(path);
	close(pipe_fds[1]);
	assert_int_equal(fcntl(writer->fd, F_SETFL, O_WRONLY | flags), 0);
	append_records(writer, 0, 2000);
	assert_int_equal(recording_writer__free(writer), 0);
	expect_success(pid);
}

static void test_short_writes(void **state)
{
	(void)state;
	write_through_a_narrow_pipe(0);
}

static void test_short_writes_without_blocking(void **state)
{
	(void)state;
	write_through_a_narrow_pipe(O_NONBLOCK);
}

/* A child that sends signals until it is killed. */
static pid_t interrupt_all_the_time(void)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	while (kill(parent, SIGUSR1) == 0 && getppid() == parent)
		usleep(1000);
	_exit(0);
}

static void test_interrupted_read_can_be_repeated(void **state)
{
	struct image image = make_image(&sample_info, 1);
	size_t first = image.len - 3;
	struct recording_reader *reader;
	struct capture_info info;
	const void *record;
	uint64_t records;
	size_t len;
	int pipe_fds[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(write(pipe_fds[1], image.bytes, first), first);
	reader = open_reader(pipe_fds[0], &info);
	assert_non_null(reader);
	pid = interrupt_all_the_time();
	assert_int_equal(recording_reader__next(reader, &record, &len), -EINTR);
	assert_int_equal(recording_reader__next(reader, &record, &len), -EINTR);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	assert_int_equal(write(pipe_fds[1], image.bytes + first, 3), 3);
	close(pipe_fds[1]);
	assert_int_equal(read_records(reader, &records), 0);
	assert_int_equal(records, 1);
	recording_reader__free(reader);
}

/* ---- the suite ---------------------------------------------------------- */

static int set_up(void **state)
{
	/* No SA_RESTART: a signal must be seen as EINTR. */
	struct sigaction action = { .sa_handler = ignore_signal };
	const char *parent = getenv("TMPDIR");

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR1, &action, NULL);
	snprintf(directory, sizeof(directory), "%s/recording.XXXXXX", parent ? parent : "/tmp");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		"image", "many", "endless", "mode", "fills-up", "pipe", "close", "wrong", "killed",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_to(names[i]));
	return rmdir(directory);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_no_records),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_text_is_bounded),
		cmocka_unit_test(test_text_without_end_is_ended),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_every_flipped_bit),
		cmocka_unit_test(test_frames_out_of_place),
		cmocka_unit_test(test_frames_of_another_recording),
		cmocka_unit_test(test_two_recordings_in_a_row),
		cmocka_unit_test(test_lengths_of_frames),
		cmocka_unit_test(test_future_version),
		cmocka_unit_test(test_lengths_of_heads),
		cmocka_unit_test(test_other_byte_order),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_refused_paths),
		cmocka_unit_test(test_mode_and_overwriting),
		cmocka_unit_test(test_standard_streams),
		cmocka_unit_test(test_descriptors_are_closed),
		cmocka_unit_test(test_full_device),
		cmocka_unit_test(test_disk_fills_up),
		cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_failed_close_is_reported),
		cmocka_unit_test(test_wrong_records_are_refused),
		cmocka_unit_test(test_unflushed_file_is_whole),
		cmocka_unit_test(test_short_reads),
		cmocka_unit_test(test_short_reads_without_blocking),
		cmocka_unit_test(test_short_writes),
		cmocka_unit_test(test_short_writes_without_blocking),
		cmocka_unit_test(test_interrupted_read_can_be_repeated),
	};

	return cmocka_run_group_tests_name("recording", tests, set_up, tear_down);
}
