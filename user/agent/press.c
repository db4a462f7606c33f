// SPDX-License-Identifier: BSD-2-Clause
#include "agent/press.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
	PRESS_PATH_MAX = 1100,
	PIECE_BYTES = 128 << 10,
	LEVEL = 3,
	SYNC_BYTES = 1 << 20, /* goes to the disk at a time: no long wait at the end */
	WINDOW_LOG = 19, /* 512 KiB: JSON repeats itself within a few lines; 2 MiB of memory in all */
};

struct press {
	char path[PRESS_PATH_MAX];
	char target[PRESS_PATH_MAX];	 /* PATH.zst */
	char unfinished[PRESS_PATH_MAX]; /* PATH.zst.new */
	int from, to;
	size_t unsynced; /* bytes written since */
	bool done;
	ZSTD_CCtx *zstd; /* owned */
	char piece[PIECE_BYTES];
	char pressed[PIECE_BYTES];
};

static int open_files(struct press *press)
{
	struct stat st;

	press->from = open(press->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (press->from < 0)
		return -errno;
	if (fstat(press->from, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	press->to = open(press->unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			 st.st_mode & 0777);
	return press->to < 0 ? -errno : 0;
}

static int open_zstd(struct press *press)
{
	press->zstd = ZSTD_createCCtx();
	if (!press->zstd)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(press->zstd, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(press->zstd, ZSTD_c_windowLog, WINDOW_LOG);
	ZSTD_CCtx_setParameter(press->zstd, ZSTD_c_checksumFlag, 1);
	return 0;
}

struct press *press__new(const char *path)
{
	struct press *press = calloc(1, sizeof(*press));
	int err;

	if (!press)
		return NULL;
	press->from = press->to = -1;
	snprintf(press->path, sizeof(press->path), "%s", path);
	snprintf(press->target, sizeof(press->target), "%s.zst", path);
	err = (size_t)snprintf(press->unfinished, sizeof(press->unfinished), "%s.zst.new", path) <
			      sizeof(press->unfinished) ?
		      open_files(press) :
		      -ENAMETOOLONG;
	if (!err)
		err = open_zstd(press);
	if (err) {
		press__free(press);
		errno = -err;
		return NULL;
	}
	return press;
}

static int write_whole(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The end of the frame with the last piece. */
static int put_piece(struct press *press, size_t len)
{
	ZSTD_EndDirective how = len ? ZSTD_e_continue : ZSTD_e_end;
	ZSTD_inBuffer in = { .src = press->piece, .size = len };
	size_t left;
	int err;

	do {
		ZSTD_outBuffer out = { .dst = press->pressed, .size = sizeof(press->pressed) };

		left = ZSTD_compressStream2(press->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return -EIO;
		err = write_whole(press->to, press->pressed, out.pos);
		if (err)
			return err;
		press->unsynced += out.pos;
	} while (in.pos < in.size || (!len && left));
	if (press->unsynced < SYNC_BYTES)
		return 0;
	press->unsynced = 0;
	return fdatasync(press->to) ? -errno : 0;
}

/* On disk first: the other copy goes. */
static int finish(struct press *press)
{
	if (fsync(press->to) || rename(press->unfinished, press->target))
		return -errno;
	press->done = true;
	unlink(press->path);
	return 0;
}

int press__step(struct press *press)
{
	ssize_t n = read(press->from, press->piece, sizeof(press->piece));
	int err;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	err = put_piece(press, (size_t)n);
	if (err)
		return err;
	return n ? 1 : finish(press);
}

void press__free(struct press *press)
{
	if (!press)
		return;
	if (press->to >= 0) {
		close(press->to);
		if (!press->done)
			unlink(press->unfinished);
	}
	if (press->from >= 0)
		close(press->from);
	ZSTD_freeCCtx(press->zstd);
	free(press);
}
