// SPDX-License-Identifier: BSD-2-Clause
#include "agent/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"

enum {
	WRITE_MS = 100,
	/* A record may be on its way to the ring while that is seen empty. */
	ON_ITS_WAY_MS = 20,
	FILE_MODE = 0600,
};

static const char magic[8] = "saga-hb";

uint64_t heartbeat__sink_id(const char *name, unsigned int level)
{
	/* 0 is the agent's. */
	return XXH3_64bits_withSeed(name, strlen(name), level) | 1;
}

/* ---- opening ---- */

static int read_boot_id(char boot[HEARTBEAT_BOOT_LEN])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, boot, HEARTBEAT_BOOT_LEN);
	close(fd);
	return n == HEARTBEAT_BOOT_LEN ? 0 : -EIO;
}

/* A record lock: it ends with this process, whatever its children inherit. */
static int lock(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(fd, F_SETLK, &whole))
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

/* What an earlier agent left, if it was in this boot. */
static void read_found(struct heartbeat *heartbeat)
{
	struct heartbeat_file *found = &heartbeat->found;

	if (pread(heartbeat->fd, found, sizeof(*found), 0) != sizeof(*found) ||
	    memcmp(found->magic, magic, sizeof(magic)) != 0 ||
	    memcmp(found->boot, heartbeat->file.boot, sizeof(found->boot)) != 0 ||
	    found->count > HEARTBEAT_SINKS_MAX)
		memset(found, 0, sizeof(*found));
}

static int prepare(struct heartbeat *heartbeat)
{
	struct stat st;
	int err = read_boot_id(heartbeat->file.boot);

	if (err)
		return err;
	memcpy(heartbeat->file.magic, magic, sizeof(magic));
	if (fstat(heartbeat->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	err = lock(heartbeat->fd);
	if (!err)
		read_found(heartbeat);
	return err;
}

int heartbeat__open(struct heartbeat *heartbeat, const char *path)
{
	int err;

	*heartbeat = (struct heartbeat){
		.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE),
		.since_ns = clock__boot_ns()
	};
	if (heartbeat->fd < 0)
		return -errno;
	err = prepare(heartbeat);
	if (err)
		heartbeat__close(heartbeat);
	return err;
}

void heartbeat__close(struct heartbeat *heartbeat)
{
	if (heartbeat->fd >= 0)
		close(heartbeat->fd);
	heartbeat->fd = -1;
}

/* ---- the gap ---- */

static uint64_t seen_by(const struct heartbeat_file *file, uint64_t id)
{
	if (!id)
		return file->seen_ns;
	for (unsigned int i = 0; i < file->count; i++)
		if (file->sinks[i].id == id)
			return file->sinks[i].seen_ns;
	return 0;
}

bool heartbeat__gap(const struct heartbeat *heartbeat, uint64_t id, uint64_t now_ns, struct gap *gap)
{
	const struct heartbeat_file *found = &heartbeat->found;
	uint64_t seen_ns = seen_by(found, id);

	if (heartbeat->fd < 0 || !seen_ns || seen_ns >= now_ns)
		return false;
	*gap = (struct gap){ .from_ns = seen_ns, .to_ns = now_ns, .stopped = found->stopped == 1 };
	return true;
}

/* ---- the beat ---- */

/* That of this sink, or a fresh one in its place: sinks come and go. Until its first
 * lines are written (the gap that is told is among them) it stands where the last
 * agent left it, and one that is new where it came. */
static struct heartbeat_mark *mark_of(struct heartbeat *heartbeat, unsigned int i,
				      const struct heartbeat_sink *sink)
{
	struct heartbeat_mark *mark = &heartbeat->marks[i];
	uint64_t seen_ns = seen_by(&heartbeat->found, sink->id);

	if (mark->id != sink->id || sink->offered < mark->offered)
		*mark = (struct heartbeat_mark){ .id = sink->id,
						 .seen_ns = seen_ns ? seen_ns : heartbeat->since_ns };
	return mark;
}

/* A new mark as soon as the last one is reached. */
static void advance(struct heartbeat_mark *mark, const struct heartbeat_sink *sink, uint64_t drained_ns)
{
	if (mark->at_ns && sink->delivered + sink->dropped >= mark->offered) {
		mark->seen_ns = mark->at_ns;
		mark->at_ns = 0;
	}
	if (mark->at_ns || !drained_ns)
		return;
	mark->offered = sink->offered;
	mark->dropped = sink->dropped;
	mark->at_ns = drained_ns - ON_ITS_WAY_MS * NS_PER_MS;
}

/* In one piece within one page: no kill leaves half of it. A full disk leaves the
 * file as it was, and the gap would be told too long. */
static void write_file(struct heartbeat *heartbeat, unsigned int count)
{
	struct heartbeat_file *file = &heartbeat->file;

	for (unsigned int i = 0; i < count; i++) {
		file->sinks[i].id = heartbeat->marks[i].id;
		file->sinks[i].seen_ns = heartbeat->marks[i].seen_ns;
	}
	file->count = count;
	if (pwrite(heartbeat->fd, file, sizeof(*file), 0) != sizeof(*file))
		heartbeat->next_ns += NS_PER_S;
}

static unsigned int at_most(unsigned int count)
{
	return count < HEARTBEAT_SINKS_MAX ? count : HEARTBEAT_SINKS_MAX;
}

void heartbeat__beat(struct heartbeat *heartbeat, const struct heartbeat_sink *sinks, unsigned int count,
		     uint64_t drained_ns, uint64_t now_ns)
{
	if (heartbeat->fd < 0)
		return;
	count = at_most(count);
	for (unsigned int i = 0; i < count; i++)
		advance(mark_of(heartbeat, i, &sinks[i]), &sinks[i], drained_ns);
	heartbeat->since_ns = now_ns;
	if (drained_ns)
		heartbeat->file.seen_ns = drained_ns;
	if (now_ns < heartbeat->next_ns)
		return;
	heartbeat->next_ns = now_ns + WRITE_MS * NS_PER_MS;
	write_file(heartbeat, count);
}

void heartbeat__stop(struct heartbeat *heartbeat, const struct heartbeat_sink *sinks, unsigned int count,
		     uint64_t now_ns)
{
	if (heartbeat->fd < 0)
		return;
	count = at_most(count);
	for (unsigned int i = 0; i < count; i++) {
		struct heartbeat_mark *mark = mark_of(heartbeat, i, &sinks[i]);

		/* What was dropped since then is in no line of this sink. */
		if (sinks[i].dropped == mark->dropped)
			mark->seen_ns = now_ns;
	}
	heartbeat->file.seen_ns = now_ns;
	heartbeat->file.stopped = 1;
	write_file(heartbeat, count);
}
