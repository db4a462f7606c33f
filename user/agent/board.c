// SPDX-License-Identifier: BSD-2-Clause
#include "agent/board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "output/prometheus.h"
#include "source/tables.h"

enum {
	HTTP_OK = 200,
	HTTP_UNAVAILABLE = 503,
	/* What went wrong is told for so long: several scrapes. */
	TROUBLE_S = 60,
	TEXTFILE_MODE = 0644, /* the node exporter runs as a user of its own */
};

/* ---- what we cost ---- */

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count < 3 ? 0 : count - 3; /* ".", "..", and the directory itself */
}

static uint64_t us_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

static void add_reader(struct self_cost *cost, const struct tables *tables)
{
	struct tables_cost reader;

	if (!tables)
		return;
	tables__cost(tables, &reader);
	cost->user_us += reader.user_us;
	cost->system_us += reader.system_us;
	cost->resident_bytes += reader.resident_bytes;
}

/* Of all its processes. */
static struct self_cost cost_now(const struct feed *feed)
{
	struct self_cost cost = { .resident_bytes = resident_bytes(), .open_fds = open_fds() };
	struct rusage usage;

	if (!getrusage(RUSAGE_SELF, &usage)) {
		cost.user_us = us_of(&usage.ru_utime);
		cost.system_us = us_of(&usage.ru_stime);
	}
	add_reader(&cost, feed->looks);
	add_reader(&cost, feed->scans);
	return cost;
}

/* ---- metrics ---- */

static unsigned int count_sinks(const struct feed *feed, struct sink_count counts[OUTLETS_MAX])
{
	for (unsigned int i = 0; i < feed->outlets.count; i++) {
		const struct outlet *outlet = &feed->outlets.list[i];
		struct sink_state state;

		sink__state(outlet->sink, &state);
		counts[i] = (struct sink_count){
			.name = sink__name(outlet->sink),
			.healthy = !state.error,
			.offered = state.offered,
			.delivered = state.delivered,
			.dropped = state.dropped,
			.queued_bytes = state.queued_bytes,
		};
	}
	return feed->outlets.count;
}

void board__metrics(struct board *board, struct strbuf *out)
{
	struct feed *feed = board->feed;
	uint64_t now_ns = feed->source->ops->attempted ? clock__boot_ns() : feed->last_ns;
	struct sink_count sinks[OUTLETS_MAX];
	struct rule_count findings[RULES_MAX + 1];
	struct self_cost self = cost_now(feed);
	struct exposition exposition = {
		.model = feed->model,
		.tally = &feed->tally,
		.info = &feed->source->info,
		.self = &self,
		.findings = findings,
		.sinks = sinks,
		.gap = board->gap,
		.tables_gone = feed__readers_error(feed) != 0,
	};

	feed__look_at_listeners(feed, now_ns);
	feed__pass_time(feed, now_ns);
	model__measure(feed->model, now_ns);
	tally__settle(&feed->tally);
	engine__count(feed->engine, findings);
	exposition.ledger = feed__ledger(feed);
	exposition.sink_count = count_sinks(feed, sinks);
	prometheus__render(out, &exposition);
}

static unsigned int metrics_page(void *context, struct strbuf *out)
{
	board__metrics(context, out);
	return HTTP_OK;
}

/* ---- health ---- */

static void watch(struct watched *watched, uint64_t value, uint64_t now_ns)
{
	if (value > watched->value)
		watched->rose_ns = now_ns;
	watched->value = value;
}

static uint64_t lost_records(const struct feed *feed)
{
	uint64_t lost = 0;

	for (unsigned int reason = 0; reason < EV_LOSS_REASONS_MAX; reason++)
		lost += feed->tally.lost[reason];
	return lost;
}

static uint64_t not_kept(const struct feed *feed)
{
	uint64_t sum = feed->unapplied;

	for (int table = 0; table < TABLE_COUNT; table++)
		sum += model__not_kept(feed->model, (enum model_table)table);
	return sum;
}

void board__watch(struct board *board, uint64_t now_ns)
{
	struct feed *feed = board->feed;

	watch(&board->ring, lost_records(feed), now_ns);
	watch(&board->tables, not_kept(feed), now_ns);
	for (unsigned int i = 0; i < feed->outlets.count; i++) {
		struct outlet *outlet = &feed->outlets.list[i];
		struct sink_state state;

		sink__state(outlet->sink, &state);
		watch(&outlet->dropped, state.dropped, now_ns);
	}
}

void board__init(struct board *board, struct feed *feed)
{
	*board = (struct board){ .feed = feed };
}

static bool in_trouble(const struct watched *watched)
{
	return watched->rose_ns && clock__boot_ns() - watched->rose_ns < TROUBLE_S * NS_PER_S;
}

static const char *word(bool good)
{
	return good ? "ok" : "degraded";
}

/* {"status":"ok","lost":0}. True when it is well. */
static bool put_watched(struct strbuf *out, const char *key, const char *count,
			const struct watched *watched)
{
	bool good = !in_trouble(watched);

	strbuf__printf(out, "\"%s\":{\"status\":\"%s\",\"%s\":%llu}", key, word(good), count,
		       (unsigned long long)watched->value);
	return good;
}

static bool put_sink(struct strbuf *out, const struct outlet *outlet)
{
	struct sink *sink = outlet->sink;
	struct sink_state state;
	bool good;

	sink__state(sink, &state);
	good = !state.error && !in_trouble(&outlet->dropped);
	strbuf__str(out, "{\"name\":");
	text__json(out, sink__name(sink), strlen(sink__name(sink)));
	strbuf__printf(out, ",\"status\":\"%s\",\"dropped\":%llu,\"queued_bytes\":%llu", word(good),
		       (unsigned long long)state.dropped, (unsigned long long)state.queued_bytes);
	if (state.error) {
		strbuf__str(out, ",\"error\":");
		text__json(out, strerror(state.error), strlen(strerror(state.error)));
	}
	strbuf__char(out, '}');
	return good;
}

static bool put_readers(struct strbuf *out, int err)
{
	strbuf__printf(out, ",\"readers\":{\"status\":\"%s\"", word(!err));
	if (err)
		strbuf__printf(out, ",\"error\":\"%s\"",
			       err == -EPIPE ? "what reads the kernel's tables has ended" :
					       "what reads the kernel's tables does not answer");
	strbuf__char(out, '}');
	return !err;
}

static unsigned int health_page(void *context, struct strbuf *out)
{
	struct board *board = context;
	const struct feed *feed = board->feed;
	struct strbuf parts;
	bool good;

	board__watch(board, clock__boot_ns());
	strbuf__init(&parts);
	good = put_watched(&parts, "ring", "lost", &board->ring);
	strbuf__char(&parts, ',');
	good &= put_watched(&parts, "tables", "not_kept", &board->tables);
	good &= put_readers(&parts, feed__readers_error(feed));
	strbuf__str(&parts, ",\"sinks\":[");
	for (unsigned int i = 0; i < feed->outlets.count; i++) {
		if (i)
			strbuf__char(&parts, ',');
		good &= put_sink(&parts, &feed->outlets.list[i]);
	}
	strbuf__printf(out, "{\"status\":\"%s\",%s]}\n", word(good), strbuf__text(&parts));
	strbuf__fini(&parts);
	return good ? HTTP_OK : HTTP_UNAVAILABLE;
}

const struct http_page agent_pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics_page },
	{ "/healthz", "application/json", health_page },
	{ 0 },
};

/* ---- the textfile collector ---- */

static int write_whole(int fd, const struct strbuf *text)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int board__write_textfile(struct board *board, const char *path)
{
	char name[4096];
	struct strbuf text;
	int err, fd;

	/* The collector reads *.prom only: under this name nobody looks at it. */
	if ((size_t)snprintf(name, sizeof(name), "%s.new", path) >= sizeof(name))
		return -ENAMETOOLONG;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, TEXTFILE_MODE);
	if (fd < 0)
		return -errno;
	strbuf__init(&text);
	board__metrics(board, &text);
	err = text.failed ? -ENOMEM : write_whole(fd, &text);
	strbuf__fini(&text);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(name, path))
		err = -errno;
	if (err)
		unlink(name);
	return err;
}
