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

#include "agent/press.h"
#include "base/clock.h"
#include "base/log.h"
#include "output/journal.h"

enum {
	RETRY_MS = 500,
	LOSS_LINE_MAX = 256,
	FILE_MODE = 0640, /* who talks to whom is nobody else's business */
	PATHS_MAX = SINK_PATH_MAX + 32,
};

/* Whole lines. */
struct block {
	char *data; /* owned */
	size_t capacity;
	size_t len;
	uint64_t lines;
};

struct sink {
	char name[SINK_NAME_MAX];
	pthread_t thread;

	pthread_mutex_t lock; /* of everything up to the next comment */
	pthread_cond_t changed;
	struct sink_config wanted;
	struct block pending;
	uint64_t offered;
	uint64_t delivered;
	uint64_t dropped;
	uint64_t gap; /* dropped since the last line that had room */
	char gap_since[UTC_TEXT_LEN];
	bool idle; /* the thread waits for lines */
	bool reopen;
	bool finish;
	bool over; /* the thread has ended */
	int error;
	uint64_t finish_ns;

	/* The thread's own. */
	struct sink_config config; /* as was wanted when it last fetched lines */
	struct block writing;
	size_t done; /* bytes of it that are written */
	int fd;	     /* -1: not open */
	uint64_t file_bytes;
	uint64_t opened_ns;
	struct press *press;  /* of PATH.1; NULL: nothing to compress */
	struct strbuf packet; /* what the journal is sent */
};

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
	return sink->pending.capacity - sink->pending.len;
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
	if (sink->gap && room_of(sink) < sink->pending.capacity / 2) {
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

static struct sink_config complete(const struct sink_config *config)
{
	struct sink_config whole = *config;

	if (!whole.queue_bytes)
		whole.queue_bytes = SINK_QUEUE_BYTES;
	return whole;
}

void sink__configure(struct sink *sink, const struct sink_config *config)
{
	pthread_mutex_lock(&sink->lock);
	sink->wanted = complete(config);
	pthread_mutex_unlock(&sink->lock);
}

const struct sink_config *sink__config(const struct sink *sink)
{
	return &sink->wanted;
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

static bool is_datagram(const struct sink_config *config)
{
	return config->kind == SINK_DATAGRAM || config->kind == SINK_JOURNAL;
}

static bool is_socket(const struct sink_config *config)
{
	return config->kind == SINK_STREAM || is_datagram(config);
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

static void numbered(const struct sink *sink, unsigned int number, const char *suffix,
		     char path[PATHS_MAX])
{
	if (number)
		snprintf(path, PATHS_MAX, "%s.%u%s", sink->config.path, number, suffix);
	else
		snprintf(path, PATHS_MAX, "%s", sink->config.path);
}

/* PATH.1, when it is there as it was written: after a rotation, and also when the last
 * agent was ended in the middle of it. */
static void begin_press(struct sink *sink)
{
	char path[PATHS_MAX];

	if (!sink->config.compress || !sink->config.keep || sink->config.kind != SINK_FILE)
		return;
	numbered(sink, 1, "", path);
	sink->press = press__new(path);
	if (!sink->press && errno != ENOENT)
		log__line("agent: %s: cannot compress %s: %m", sink->name, path);
}

/* One piece of it. */
static void press_some(struct sink *sink)
{
	int more = sink->press ? press__step(sink->press) : 0;

	if (more > 0)
		return;
	if (more < 0)
		log__line("agent: %s: cannot compress %s.1: %s", sink->name, sink->config.path,
			  strerror(-more));
	press__free(sink->press);
	sink->press = NULL;
}

static void renumber(const struct sink *sink, unsigned int number, const char *suffix)
{
	char from[PATHS_MAX], to[PATHS_MAX];

	numbered(sink, number - 1, suffix, from);
	numbered(sink, number, number > 1 ? suffix : "", to);
	rename(from, to);
}

/* PATH.1 becomes PATH.2 and so on, the last one goes, PATH becomes PATH.1; compressed
 * and other ones alike, since the user may have changed his mind. */
static void rotate(struct sink *sink)
{
	unsigned int keep = sink->config.keep;
	char last[PATHS_MAX];

	close_sink(sink);
	while (sink->press)
		press_some(sink);
	numbered(sink, keep, "", last);
	unlink(last);
	numbered(sink, keep, ".zst", last);
	if (keep)
		unlink(last);
	for (unsigned int i = keep; i > 1; i--) {
		renumber(sink, i, "");
		renumber(sink, i, ".zst");
	}
	if (keep)
		renumber(sink, 1, "");
	begin_press(sink);
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

	if (is_datagram(&sink->config))
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

/* As the receiver wants it. */
static int send_line(struct sink *sink, const char *line, size_t len)
{
	ssize_t n;

	if (sink->config.kind == SINK_JOURNAL) {
		strbuf__clear(&sink->packet);
		if (journal__encode(&sink->packet, line, len))
			return -EBADMSG;
		line = sink->packet.data;
		len = sink->packet.len;
	}
	n = send(sink->fd, line, len, MSG_NOSIGNAL);
	return n < 0 ? -errno : 0;
}

/* The bytes that are written of the next len, or -errno. */
static ssize_t write_bytes(struct sink *sink, size_t len)
{
	const char *at = sink->writing.data + sink->done;
	ssize_t n;
	int err;

	if (is_datagram(&sink->config)) { /* without its line end */
		err = send_line(sink, at, len - 1);
		return err ? err : (ssize_t)len;
	}
	n = write(sink->fd, at, len);
	return n < 0 ? -errno : n;
}

/* Of a line that this receiver will never take: told as not delivered. */
static bool is_hopeless(int err)
{
	return err == -EMSGSIZE || err == -EBADMSG;
}

/* One write. 0 or -errno. */
static int write_some(struct sink *sink)
{
	ssize_t n;
	size_t len;
	int err = 0;

	if (at_line(sink) && is_due(sink))
		rotate(sink);
	if (sink->fd < 0)
		err = open_sink(sink);
	if (err)
		return err;
	len = write_until(sink) - sink->done;
	n = write_bytes(sink, len);
	if (n >= 0) {
		sink->done += (size_t)n;
		sink->file_bytes += (size_t)n;
		return 0;
	}
	err = (int)n;
	if (err == -EINTR)
		return 0;
	if (is_datagram(&sink->config) && is_hopeless(err)) {
		sink->done += len;
		return err;
	}
	if (is_socket(&sink->config)) {
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
	if (is_hopeless(err)) {
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
	go_on = !sink->finish || !err || is_hopeless(err);
	pthread_mutex_unlock(&sink->lock);
	if (reopen && sink->config.kind != SINK_STDOUT)
		close_sink(sink);
	return go_on;
}

static bool write_block(struct sink *sink)
{
	bool go_on = true;
	uint64_t written;

	if (!sink->writing.len) {
		/* Who has moved a file away finds a new one at once. */
		if (sink->fd < 0 && sink->config.kind == SINK_FILE)
			note_result(sink, open_sink(sink));
		return true;
	}

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

/* The buffer that was written, empty, and of the size that is wanted now; where there is
 * no memory for it, of the size it has. */
static struct block emptied(struct sink *sink)
{
	struct block block = { .data = sink->writing.data, .capacity = sink->writing.capacity };
	char *data;

	if (block.capacity == sink->wanted.queue_bytes)
		return block;
	data = realloc(block.data, sink->wanted.queue_bytes + LOSS_LINE_MAX);
	if (data) {
		block.data = data;
		block.capacity = sink->wanted.queue_bytes;
	}
	return block;
}

/* The next lines, or none when there is a piece to compress meanwhile. False when there
 * are none and none will come. */
static bool fetch_block(struct sink *sink)
{
	struct block empty;

	pthread_mutex_lock(&sink->lock);
	while (!sink->pending.len && !sink->finish && !sink->reopen && !sink->press) {
		sink->idle = true;
		pthread_cond_wait(&sink->changed, &sink->lock);
		sink->idle = false;
	}
	sink->config = sink->wanted;
	empty = emptied(sink);
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
	begin_press(sink);
	while (fetch_block(sink) && write_block(sink))
		press_some(sink);
	press__free(sink->press);
	pthread_mutex_lock(&sink->lock);
	sink->over = true;
	pthread_mutex_unlock(&sink->lock);
	return NULL;
}

/* ---- life cycle ---- */

static void free_sink(struct sink *sink)
{
	close_sink(sink);
	free(sink->pending.data);
	free(sink->writing.data);
	strbuf__fini(&sink->packet);
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

static int init_block(struct block *block, size_t capacity)
{
	block->data = malloc(capacity + LOSS_LINE_MAX); /* a loss line has room in any case */
	block->capacity = capacity;
	return block->data ? 0 : ENOMEM;
}

static void init_lock(struct sink *sink)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&sink->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sink->changed, &attr);
	pthread_condattr_destroy(&attr);
}

struct sink *sink__new(const struct sink_config *config)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	int err;

	if (!sink)
		return NULL;
	sink->wanted = complete(config);
	sink->config = sink->wanted;
	sink->fd = -1;
	sink_config__name(config, sink->name);
	strbuf__init(&sink->packet);
	init_lock(sink);
	err = init_block(&sink->pending, sink->wanted.queue_bytes);
	if (!err)
		err = init_block(&sink->writing, sink->wanted.queue_bytes);
	if (!err)
		err = start_thread(sink);
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

static long ms_since_finish(const struct sink *sink)
{
	return (long)((clock__boot_ns() - sink->finish_ns) / NS_PER_MS);
}

/* False when the thread still runs that long after the finish. */
static bool join_until(struct sink *sink, long ms)
{
	long waited_ms = ms_since_finish(sink);
	struct timespec until = in_ms(waited_ms < ms ? ms - waited_ms : 0);

	return !pthread_clockjoin_np(sink->thread, NULL, CLOCK_MONOTONIC, &until);
}

/* The write that the thread hangs in fails, and with it the thread ends. */
static void cut(struct sink *sink)
{
	if (is_socket(&sink->wanted))
		shutdown(sink->fd, SHUT_RDWR);
}

bool sink__is_over(struct sink *sink)
{
	bool over;

	pthread_mutex_lock(&sink->lock);
	over = sink->over;
	pthread_mutex_unlock(&sink->lock);
	if (!over && ms_since_finish(sink) >= SINK_DRAIN_MS)
		cut(sink);
	return over || ms_since_finish(sink) >= SINK_DRAIN_MS + RETRY_MS;
}

void sink__end(struct sink *sink, struct sink_state *state)
{
	bool hangs = !join_until(sink, SINK_DRAIN_MS);

	if (hangs && is_socket(&sink->wanted)) {
		cut(sink);
		hangs = !join_until(sink, SINK_DRAIN_MS + RETRY_MS);
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
