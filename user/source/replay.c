// SPDX-License-Identifier: BSD-2-Clause
#include "source/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_PER_POLL = 4096 };

struct replay {
	struct source source;
	struct recording_reader *reader; /* owned */
	const char *path;		 /* borrowed */
};

static int replay_poll(struct source *source, source_take_fn take, void *context)
{
	struct replay *replay = (struct replay *)source;

	for (int i = 0; i < RECORDS_PER_POLL; i++) {
		const void *record;
		size_t len;
		int err = recording_reader__next(replay->reader, &record, &len);

		/* A pipe is silent, or a signal came: the caller will see it. */
		if (err == -EAGAIN || err == -EINTR)
			return SOURCE_MORE;
		if (err <= 0)
			return err ? err : SOURCE_END;
		err = take(context, record, len);
		if (err)
			return err;
	}
	return SOURCE_MORE;
}

static int replay_stop(struct source *source, source_take_fn take, void *context)
{
	(void)source;
	(void)take;
	(void)context;
	return 0;
}

static void replay_free(struct source *source)
{
	struct replay *replay = (struct replay *)source;

	recording_reader__free(replay->reader);
	free(replay);
}

static const struct source_ops replay_ops = {
	.poll = replay_poll,
	.stop = replay_stop,
	.free = replay_free,
};

static void explain_open(const char *path, int err, char *message, size_t size)
{
	switch (err) {
	case EBADMSG:
		snprintf(message, size, "%s is not a tcpsaga recording, or its head is damaged", path);
		break;
	case ENODATA:
		snprintf(message, size, "%s is empty, or cut within its head: no record in it", path);
		break;
	case ENOTSUP:
		snprintf(message, size,
			 "%s was made by a later tcpsaga, or on a machine of other byte order", path);
		break;
	default:
		snprintf(message, size, "cannot read %s: %s", path, strerror(err));
	}
}

struct source *replay__new(const char *path, char *message, size_t size)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int err = errno;

	if (replay) {
		replay->source.ops = &replay_ops;
		replay->source.fd = -1;
		replay->path = path;
		replay->reader = recording_reader__new(path, &replay->source.info);
		if (replay->reader)
			return &replay->source;
		err = errno;
	}
	explain_open(path, err, message, size);
	free(replay);
	errno = err;
	return NULL;
}

void replay__explain(const struct source *source, int err, char *message, size_t size)
{
	const struct replay *replay = (const struct replay *)source;
	uint64_t records = recording_reader__records(replay->reader);
	uint64_t offset = recording_reader__offset(replay->reader);

	if (err == -ENODATA)
		snprintf(message, size,
			 "%s was cut: read to its last whole record, number %" PRIu64 ", at byte %" PRIu64,
			 replay->path, records, offset);
	else if (err == -EBADMSG)
		snprintf(message, size,
			 "%s is damaged behind record %" PRIu64 ", at byte %" PRIu64 ": stopped there",
			 replay->path, records, offset);
	else
		snprintf(message, size, "cannot read %s: %s", replay->path, strerror(-err));
}
