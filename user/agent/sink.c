// SPDX-License-Identifier: BSD-2-Clause
#include "agent/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	RETRY_MS = 500,
	LOSS_LINE_MAX = 256,
	FILE_MODE = 0640, /* who talks to whom is nobody else's business */
	PATHS_MAX = SINK_PATH_MAX + 16,
};

/* Whole lines. */
struct block {
	char *data; /* owned */
	size_t len;
	uint64_t lines;
};

struct sink {
	struct sink_config config;
	char name[SINK_PATH_MAX + 16];
	pthread_t thread;

	pthread_mutex_t lock; /* of everything up to the next comment */
	pthread_cond_t changed;
	struct block pending;
	uint64_t offered;
	uint64_t delivered;
	uint64_t dropped;
	uint64_t gap; /* dropped since the last line that had room */
	char gap_since[UTC_TEXT_LEN];
	bool idle; /* the thread waits for lines */
	bool reopen;
	bool finish;
	int error;
	uint64_t finish_ns;

	/* The thread's own. */
	struct block writing;
	size_t done; /* bytes of it that are written */
	int fd;	     /* -1: not open */
	uint64_t file_bytes;
	uint64_t opened_ns;
};

/* ---- what the user writes ---- */

static const char *const level_names[LEVEL_COUNT] = {
	[LEVEL_FINDINGS] = "findings",
	[LEVEL_CONNECTIONS] = "connections",
	[LEVEL_TRANSITIONS] = "transitions",
};

/*
 * Takes ":LEVEL" off the end of text, whose length this gives; -EINVAL for a
 * word that is no level: nobody means a file "saga.json:transitons".
 */
static int parse_level(struct sink_config *config, const char *text)
{
	const char *colon = strrchr(text, ':');

	if (!colon || strchr(colon, '/'))
		return (int)strlen(text);
	for (int level = 0; level < LEVEL_COUNT; level++) {
		if (strcmp(colon + 1, level_names[level]))
			continue;
		config->level = (enum sink_level)level;
		return (int)(colon - text);
	}
	return -EINVAL;
}

static const struct {
	const char *prefix;
	enum sink_kind kind;
} kinds[] = {
	{ "unix:", SINK_STREAM },
	{ "unixgram:", SINK_DATAGRAM },
	{ "file:", SINK_FILE },
};

/* Text behind "unix:" and its like; whole when it has none. */
static const char *parse_kind(struct sink_config *config, const char *text)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, len))
			continue;
		config->kind = kinds[i].kind;
		return text + len;
	}
	return text;
}

int sink_config__parse(struct sink_config *config, const char *text, char *message, size_t size)
{
	const char *path;
	size_t limit = sizeof(config->path);
	int len;

	*config = (struct sink_config){ .kind = SINK_FILE, .level = LEVEL_CONNECTIONS };
	path = parse_kind(config, text);
	len = parse_level(config, path);
	if (len < 0) {
		snprintf(message, size, "no level \"%s\": findings, connections or transitions",
			 strrchr(path, ':') + 1);
		return -EINVAL;
	}
	if (len == 1 && path == text && *path == '-') {
		config->kind = SINK_STDOUT;
		return 0;
	}
	if (config->kind != SINK_FILE)
		limit = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	if (!len || (size_t)len >= limit) {
		snprintf(message, size,
			 len ? "the path is too long (%zu bytes at most)" : "no path is given", limit - 1);
		return -EINVAL;
	}
	memcpy(config->path, path, (size_t)len);
	return 0;
}

/* ---- the loop's side ---- */

/* Lines of the block's first bytes. */
static uint64_t count_lines(const char *data, size_t len)
{
	uint64_t lines = 0;

	for (const char *end; (end = memchr(data, '\n', len)); lines++) {
		len -= (size_t)(end - data) + 1;
		data = end + 1;
	}
	return lines;
}

static size_t room_of(const struct sink *sink)
{
	return sink->config.queue_bytes - sink->pending.len;
}

static void put_block(struct block *block, const char *data, size_t len, uint64_t lines)
{
	memcpy(block->data + block->len, data, len);
	block->len += len;
	block->lines += lines;
}

/* It is a line of its own: neither offered nor delivered in the books. */
static void put_gap(struct sink *sink, const char now[UTC_TEXT_LEN])
{
	char line[LOSS_LINE_MAX];
	int len = snprintf(line, sizeof(line),
			   "{\"v\":1,\"type\":\"loss\",\"ts\":\"%.*s\",\"count\":%llu,\"reason\":\"sink_full\","
			   "\"from\":\"%.*s\",\"to\":\"%.*s\"}\n",
			   UTC_TEXT_LEN, now, (unsigned long long)sink->gap, UTC_TEXT_LEN,
			   sink->gap_since, UTC_TEXT_LEN, now);

	put_block(&sink->pending, line, (size_t)len, 0);
	sink->gap = 0;
}

static void drop(struct sink *sink, uint64_t count, const char now[UTC_TEXT_LEN])
{
	if (!count)
		return;
	if (!sink->gap)
		memcpy(sink->gap_since, now, UTC_TEXT_LEN);
	sink->gap += count;
	sink->dropped += count;
}

/* As many whole lines as there is room for. Behind a gap some room is asked
 * for, lest a full queue is told line by line. */
static void put_lines(struct sink *sink, const char *lines, size_t len, uint64_t count,
		      const char now[UTC_TEXT_LEN])
{
	uint64_t kept = count;

	sink->offered += count;
	if (sink->gap && room_of(sink) < sink->config.queue_bytes / 2) {
		drop(sink, count, now);
		return;
	}
	if (sink->gap)
		put_gap(sink, now);
	if (len > room_of(sink)) {
		const char *end = memrchr(lines, '\n', room_of(sink));

		len = end ? (size_t)(end - lines) + 1 : 0;
		kept = count_lines(lines, len);
	}
	put_block(&sink->pending, lines, len, kept);
	drop(sink, count - kept, now);
}

void sink__offer(struct sink *sink, const char *lines, size_t len, uint64_t count,
		 const char now[UTC_TEXT_LEN])
{
	pthread_mutex_lock(&sink->lock);
	put_lines(sink, lines, len, count, now);
	if (sink->idle && sink->pending.len)
		pthread_cond_signal(&sink->changed);
	pthread_mutex_unlock(&sink->lock);
}

void sink__reopen(struct sink *sink)
{
	pthread_mutex_lock(&sink->lock);
	sink->reopen = true;
	pthread_cond_signal(&sink->changed);
	pthread_mutex_unlock(&sink->lock);
}

void sink__state(struct sink *sink, struct sink_state *state)
{
	pthread_mutex_lock(&sink->lock);
	*state = (struct sink_state){
		.offered = sink->offered,
		.delivered = sink->delivered,
		.dropped = sink->dropped,
		.queued_bytes = sink->pending.len,
		.error = sink->error,
	};
	pthread_mutex_unlock(&sink->lock);
}

enum sink_level sink__level(const struct sink *sink)
{
	return sink->config.level;
}

const char *sink__name(const struct sink *sink)
{
	return sink->name;
}

/* ---- the thread's side ---- */

/* Killed in the middle of a line, a writer leaves it torn: the next line must
 * not be torn with it. */
static void end_torn_line(struct sink *sink)
{
	char last = '\n';
	int fd = open(sink->config.path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (pread(fd, &last, 1, (off_t)sink->file_bytes - 1) == 1 && last != '\n' &&
	    write(sink->fd, "\n", 1) == 1)
		sink->file_bytes++;
	close(fd);
}

static int open_file(struct sink *sink)
{
	struct stat st;

	sink->fd = open(sink->config.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, FILE_MODE);
	if (sink->fd < 0)
		return -errno;
	sink->opened_ns = clock__boot_ns();
	sink->file_bytes = fstat(sink->fd, &st) ? 0 : (uint64_t)st.st_size;
	if (sink->file_bytes && S_ISREG(st.st_mode))
		end_torn_line(sink);
	return 0;
}

static int open_socket(struct sink *sink)
{
	int type = sink->config.kind == SINK_STREAM ? SOCK_STREAM : SOCK_DGRAM;
	struct sockaddr_un peer = { .sun_family = AF_UNIX };

	strcpy(peer.sun_path, sink->config.path); /* its length was checked */
	sink->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (sink->fd < 0)
		return -errno;
	return connect(sink->fd, (struct sockaddr *)&peer, sizeof(peer)) ? -errno : 0;
}

static bool is_socket(const struct sink *sink)
{
	return sink->config.kind == SINK_STREAM || sink->config.kind == SINK_DATAGRAM;
}

static void close_sink(struct sink *sink)
{
	if (sink->fd > STDOUT_FILENO)
		close(sink->fd);
	sink->fd = -1;
}

static int open_sink(struct sink *sink)
{
	int err = 0;

	if (sink->config.kind == SINK_STDOUT)
		sink->fd = STDOUT_FILENO;
	else
		err = sink->config.kind == SINK_FILE ? open_file(sink) : open_socket(sink);
	if (err)
		close_sink(sink);
	return err;
}

static void numbered(const struct sink *sink, unsigned int number, char path[PATHS_MAX])
{
	snprintf(path, PATHS_MAX, number ? "%s.%u" : "%s", sink->config.path, number);
}

/* PATH.1 becomes PATH.2 and so on, the last one goes, PATH becomes PATH.1. */
static void rotate(struct sink *sink)
{
	char from[PATHS_MAX], to[PATHS_MAX];

	close_sink(sink);
	for (unsigned int i = sink->config.keep; i > 0; i--) {
		numbered(sink, i - 1, from);
		numbered(sink, i, to);
		rename(from, to);
	}
	if (!sink->config.keep)
		unlink(sink->config.path);
}

static bool is_due(const struct sink *sink)
{
	const struct sink_config *config = &sink->config;

	if (config->kind != SINK_FILE || sink->fd < 0 || !sink->file_bytes)
		return false;
	return (config->rotate_bytes && sink->file_bytes >= config->rotate_bytes) ||
	       (config->rotate_ns && clock__boot_ns() - sink->opened_ns >= config->rotate_ns);
}

/* The end of the line that the next write begins with. */
static size_t line_end(const struct sink *sink)
{
	const char *at = sink->writing.data + sink->done;
	const char *end = memchr(at, '\n', sink->writing.len - sink->done);

	return end ? (size_t)(end - sink->writing.data) + 1 : sink->writing.len;
}

/* As much as belongs together: a datagram is a line; a file ends with a line
 * when it is full; else all there is. */
static size_t write_until(const struct sink *sink)
{
	size_t until = sink->writing.len;
	uint64_t room;

	if (sink->config.kind == SINK_DATAGRAM)
		return line_end(sink);
	if (sink->config.kind != SINK_FILE || !sink->config.rotate_bytes)
		return until;
	room = sink->file_bytes < sink->config.rotate_bytes ?
		       sink->config.rotate_bytes - sink->file_bytes :
		       0;
	if (room < until - sink->done) {
		const char *end = room ? memrchr(sink->writing.data + sink->done, '\n', room) : NULL;

		until = end ? (size_t)(end - sink->writing.data) + 1 : line_end(sink);
	}
	return until;
}

/* The peer got half a line and went: the next one gets it whole. */
static void back_to_line(struct sink *sink)
{
	const char *end = sink->done ? memrchr(sink->writing.data, '\n', sink->done) : NULL;

	sink->done = end ? (size_t)(end - sink->writing.data) + 1 : 0;
}

static bool at_line(const struct sink *sink)
{
	return !sink->done || sink->writing.data[sink->done - 1] == '\n';
}

/* One write. 0 or -errno. */
static int write_some(struct sink *sink)
{
	size_t len;
	ssize_t n;
	int err = 0;

	if (at_line(sink) && is_due(sink))
		rotate(sink);
	if (sink->fd < 0)
		err = open_sink(sink);
	if (err)
		return err;
	len = write_until(sink) - sink->done;
	if (sink->config.kind == SINK_DATAGRAM) /* without its line end */
		n = send(sink->fd, sink->writing.data + sink->done, len - 1, MSG_NOSIGNAL) < 0 ?
			    -1 :
			    (ssize_t)len;
	else
		n = write(sink->fd, sink->writing.data + sink->done, len);
	if (n >= 0) {
		sink->done += (size_t)n;
		sink->file_bytes += (size_t)n;
		return 0;
	}
	err = -errno;
	if (err == -EINTR)
		return 0;
	if (sink->config.kind == SINK_DATAGRAM && err == -EMSGSIZE) {
		/* It will never fit: told as not delivered. */
		sink->done += len;
		return -EMSGSIZE;
	}
	if (is_socket(sink)) {
		back_to_line(sink);
		close_sink(sink);
	}
	return err;
}

static struct timespec in_ms(long ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += ms % 1000 * 1000000;
	at.tv_sec += ms / 1000 + at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

/* What came of a write; waits a while after a failure. False: it is time to
 * give up. */
static bool note_result(struct sink *sink, int err)
{
	bool reopen, go_on;

	pthread_mutex_lock(&sink->lock);
	sink->error = -err;
	if (err == -EMSGSIZE) {
		sink->dropped++;
		sink->writing.lines--;
	} else if (err) {
		struct timespec until = in_ms(RETRY_MS);

		while (!sink->reopen && !sink->finish &&
		       pthread_cond_timedwait(&sink->changed, &sink->lock, &until) != ETIMEDOUT)
			;
	}
	reopen = sink->reopen && at_line(sink);
	if (reopen)
		sink->reopen = false;
	go_on = !sink->finish || !err || err == -EMSGSIZE;
	pthread_mutex_unlock(&sink->lock);
	if (reopen && sink->config.kind != SINK_STDOUT)
		close_sink(sink);
	return go_on;
}

static bool write_block(struct sink *sink)
{
	bool go_on = true;
	uint64_t written;

	sink->done = 0;
	while (sink->done < sink->writing.len && go_on)
		go_on = note_result(sink, write_some(sink));
	written = sink->writing.lines;
	if (sink->done < sink->writing.len) {
		uint64_t whole = count_lines(sink->writing.data, sink->done);

		/* Lines that tell of a loss are in no book. */
		written = whole < written ? whole : written;
	}
	pthread_mutex_lock(&sink->lock);
	sink->delivered += written;
	pthread_mutex_unlock(&sink->lock);
	return go_on;
}

/* The next lines. False when there are none and none will come. */
static bool fetch_block(struct sink *sink)
{
	struct block empty = { .data = sink->writing.data };

	pthread_mutex_lock(&sink->lock);
	while (!sink->pending.len && !sink->finish && !sink->reopen) {
		sink->idle = true;
		pthread_cond_wait(&sink->changed, &sink->lock);
		sink->idle = false;
	}
	sink->writing = sink->pending;
	sink->pending = empty;
	if (sink->reopen && sink->config.kind != SINK_STDOUT)
		close_sink(sink);
	sink->reopen = false;
	pthread_mutex_unlock(&sink->lock);
	return sink->writing.len || !sink->finish;
}

static void *run(void *context)
{
	struct sink *sink = context;

	/* A file is there from the start, and what is wrong with it is known. */
	note_result(sink, open_sink(sink));
	while (fetch_block(sink) && write_block(sink))
		;
	return NULL;
}

/* ---- life cycle ---- */

static const char *const kind_names[] = {
	[SINK_FILE] = "file:",
	[SINK_STDOUT] = "stdout",
	[SINK_STREAM] = "unix:",
	[SINK_DATAGRAM] = "unixgram:",
};

static void free_sink(struct sink *sink)
{
	close_sink(sink);
	free(sink->pending.data);
	free(sink->writing.data);
	pthread_cond_destroy(&sink->changed);
	pthread_mutex_destroy(&sink->lock);
	free(sink);
}

/* Signals are the event loop's. */
static int start_thread(struct sink *sink)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&sink->thread, NULL, run, sink);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

struct sink *sink__new(const struct sink_config *config)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	pthread_condattr_t attr;
	int err;

	if (!sink)
		return NULL;
	sink->config = *config;
	if (!config->queue_bytes)
		sink->config.queue_bytes = SINK_QUEUE_BYTES;
	sink->fd = -1;
	snprintf(sink->name, sizeof(sink->name), "%s%s", kind_names[config->kind], config->path);
	pthread_mutex_init(&sink->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sink->changed, &attr);
	pthread_condattr_destroy(&attr);
	/* A loss line has room in any case. */
	sink->pending.data = malloc(sink->config.queue_bytes + LOSS_LINE_MAX);
	sink->writing.data = malloc(sink->config.queue_bytes + LOSS_LINE_MAX);
	err = sink->pending.data && sink->writing.data ? start_thread(sink) : ENOMEM;
	if (err) {
		free_sink(sink);
		errno = err;
		return NULL;
	}
	return sink;
}

void sink__finish(struct sink *sink)
{
	pthread_mutex_lock(&sink->lock);
	sink->finish = true;
	sink->finish_ns = clock__boot_ns();
	pthread_cond_signal(&sink->changed);
	pthread_mutex_unlock(&sink->lock);
}

void sink__end(struct sink *sink, struct sink_state *state)
{
	uint64_t waited_ms = (clock__boot_ns() - sink->finish_ns) / NS_PER_MS;
	struct timespec until = in_ms(waited_ms < SINK_DRAIN_MS ? SINK_DRAIN_MS - (long)waited_ms : 0);
	bool hangs = pthread_clockjoin_np(sink->thread, NULL, CLOCK_MONOTONIC, &until) != 0;

	if (hangs && is_socket(sink)) {
		/* The write that it hangs in fails, and with it the thread ends. */
		shutdown(sink->fd, SHUT_RDWR);
		until = in_ms(RETRY_MS);
		hangs = pthread_clockjoin_np(sink->thread, NULL, CLOCK_MONOTONIC, &until) != 0;
	}

	pthread_mutex_lock(&sink->lock);
	sink->dropped = sink->offered - sink->delivered;
	pthread_mutex_unlock(&sink->lock);
	sink__state(sink, state);
	state->queued_bytes = 0;
	/* A thread that hangs in a write holds its buffer until the process ends. */
	if (!hangs)
		free_sink(sink);
}
