// SPDX-License-Identifier: BSD-2-Clause
#include "agent/feed.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "bpf/ledger.h"
#include "event/control.h"
#include "source/tables.h"

enum {
	/* Scrapes from several places show the same sample. */
	LOOK_MS = 1000,
	/* A hundredth of a core at most for the samples that rules want. */
	LOOK_SHARE = 100,
};

static bool is_live(const struct feed *feed)
{
	return feed->source->ops->attempted != NULL;
}

static void tell_finding(void *context, const struct finding *finding)
{
	struct feed *feed = context;

	outlets__finding(&feed->outlets, finding);
}

/* ---- records ---- */

static void close_books(struct feed *feed, const struct ev_stop *stop)
{
	feed->ledger.attempted = stop->attempted;
	feed->ledger.attempted_known = true;
	memcpy(feed->ledger.lost, stop->lost, sizeof(feed->ledger.lost));
	feed->stopped = true;
}

static void tell_changes(void *context, const struct changes *changes)
{
	struct feed *feed = context;

	for (unsigned int i = 0; i < changes->count; i++) {
		tally__count(&feed->tally, &changes->change[i]);
		engine__see(feed->engine, &changes->change[i]);
		holdups__see(&feed->holdups, &changes->change[i]);
		outlets__change(&feed->outlets, &changes->change[i]);
	}
}

void feed__pass_time(struct feed *feed, uint64_t now_ns)
{
	engine__advance(feed->engine, now_ns, tell_finding, feed);
	model__pass_time(feed->model, now_ns, tell_changes, feed);
}

static void apply(struct feed *feed, const struct record *record)
{
	if (record->header->kind < LEDGER_KINDS)
		feed->ledger.delivered++;
	feed->last_ns = record->header->time_ns;
	feed->losses += record->loss != NULL;
	engine__advance(feed->engine, record->header->time_ns, tell_finding, feed);
	if (model__apply(feed->model, record, tell_changes, feed))
		feed->unapplied++;
	if (record->stop)
		close_books(feed, record->stop);
	if (feed->witness)
		feed->witness(feed->witness_context, record->header);
}

/* Of the cgroup that a record names, before the record. */
static void apply_cgroup(struct feed *feed, const struct record *record)
{
	struct ev_cgroup told;
	struct record decoded;

	if (cgroup_teller__tell(&feed->cgroups, record->owner, record->header->time_ns, &told) &&
	    !record__decode(&decoded, &told, sizeof(told)))
		apply(feed, &decoded);
}

static int take(void *context, const void *data, size_t len)
{
	struct feed *feed = context;
	struct record record;

	if (record__decode(&record, data, len)) {
		feed->ledger.delivered++;
		feed->ledger.malformed++;
		return 0;
	}
	if (is_live(feed))
		apply_cgroup(feed, &record);
	apply(feed, &record);
	return 0;
}

int feed__poll(struct feed *feed)
{
	int verdict = source__poll(feed->source, take, feed);

	if (verdict == SOURCE_MORE && is_live(feed))
		verdict = heal__step(&feed->heal, feed->source, feed->model, feed->losses, take, feed);
	/* Before the rules speak of a refusal. */
	if (verdict == SOURCE_MORE && is_live(feed))
		holdups__look(&feed->holdups, take, feed, clock__boot_ns());
	outlets__offer(&feed->outlets);
	return verdict;
}

void feed__settle(struct feed *feed)
{
	source__settle(feed->source, take, feed);
	outlets__offer(&feed->outlets);
}

/* ---- samples ---- */

void feed__look_at_listeners(struct feed *feed, uint64_t now_ns)
{
	unsigned int extras = 0;
	int err;

	if (!is_live(feed) || now_ns - feed->looked_ns < LOOK_MS * NS_PER_MS)
		return;
	if (feed->wants & CONTROL_QUEUES && !capture_info__has_hook(&feed->source->info, "syn"))
		extras = SNAPSHOT_REQUESTS;
	err = tables__take(feed->looks, feed->heal.terms->netns, extras, take, feed);
	if (err && !feed->looked_ns)
		log__line("the queues of listeners cannot be read: %s", strerror(-err));
	feed->looked_ns = now_ns;
}

/* For who wants to see them where no record tells of them. Not into a scan under way:
 * that has a beginning and an end of its own. */
static void look_at_waits(struct feed *feed, uint64_t now_ns)
{
	const uint32_t states = 1U << EV_FIN_WAIT2 | 1U << EV_TIME_WAIT;

	if (!(feed->wants & CONTROL_WAITS) || now_ns < feed->waits_ns || feed->heal.scan ||
	    capture_info__has_hook(&feed->source->info, "timewait"))
		return;
	tables__sockets(feed->looks, feed->heal.terms, states, 0, take, feed);
	feed->waits_ns = now_ns + (clock__boot_ns() - now_ns) * LOOK_SHARE;
}

void feed__tick(struct feed *feed, uint64_t now_ns)
{
	if (!is_live(feed))
		return;
	unread__look(&feed->unread, feed->model, feed->heal.terms, take, feed, now_ns);
	look_at_waits(feed, now_ns);
	if (now_ns >= feed->look_ns) {
		feed__look_at_listeners(feed, now_ns);
		feed->look_ns = now_ns + (clock__boot_ns() - now_ns) * LOOK_SHARE;
	}
	feed__pass_time(feed, clock__boot_ns());
	outlets__offer(&feed->outlets);
}

const struct ledger *feed__ledger(struct feed *feed)
{
	struct ledger *ledger = &feed->ledger;

	ledger->doubles = model__doubles(feed->model);
	ledger->unrecorded = model__unrecorded(feed->model);
	for (int table = 0; table < TABLE_COUNT; table++)
		ledger->not_kept[table] = model__not_kept(feed->model, (enum model_table)table);
	if (feed->stopped)
		return ledger;
	memcpy(ledger->lost, feed->tally.lost, sizeof(ledger->lost));
	if (is_live(feed)) {
		ledger->attempted = feed->source->ops->attempted(feed->source);
		ledger->attempted_known = true;
	}
	return ledger;
}

/* ---- life cycle ---- */

int feed__init(struct feed *feed, struct source *source, const struct kernel_filter *terms)
{
	struct model_config config = { .max_lives = MODEL_MAX_LIVES,
				       .max_ended = MODEL_MAX_ENDED,
				       /* 5,000 short connections a second leave 300,000 minisockets:
					* more than there is room for lives. */
				       .ends_at_close = true };

	*feed = (struct feed){ .source = source, .cgroups.root.fd = -1 };
	if (is_live(feed) && cgroup_teller__init(&feed->cgroups))
		return -ENOMEM;
	config.estimate_waits = !capture_info__has_hook(&source->info, "timewait");
	if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
		return -errno;
	feed->model = model__new(&config);
	if (!feed->model)
		return -ENOMEM;
	outlets__init(&feed->outlets, feed->model, source->info.realtime_offset_ns);
	feed->engine = engine__new(&(struct engine_config){
		.model = feed->model,
		.sees_syns = capture_info__has_hook(&source->info, "syn"),
		.sees_accepts = capture_info__has_hook(&source->info, "accept"),
		.sees_waits = capture_info__has_hook(&source->info, "timewait"),
		.since_ns = source->info.start_ns,
	});
	if (!feed->engine)
		return -ENOMEM;
	tally__init(&feed->tally, feed->model);
	feed->heal = (struct heal){ .terms = terms, .regular = true };
	feed->last_ns = source->info.start_ns;
	source->no_wait = true;
	return 0;
}

void feed__fini(struct feed *feed)
{
	heal__stop(&feed->heal);
	outlets__fini(&feed->outlets);
	engine__free(feed->engine);
	model__free(feed->model);
	source__free(feed->source);
	cgroup_teller__fini(&feed->cgroups);
}

void feed__use_readers(struct feed *feed, struct tables *looks, struct tables *scans)
{
	feed->looks = feed->holdups.tables = feed->unread.tables = feed->cgroups.tables = looks;
	feed->scans = feed->heal.tables = scans;
}

int feed__readers_error(const struct feed *feed)
{
	int err = feed->looks ? tables__error(feed->looks) : 0;

	return err || !feed->scans ? err : tables__error(feed->scans);
}

void feed__begin(struct feed *feed)
{
	outlets__begin(&feed->outlets, &feed->source->info);
	feed__look_at_listeners(feed, clock__boot_ns());
	outlets__offer(&feed->outlets);
}

void feed__tell_gap(struct feed *feed, struct sink *sink, const struct gap *gap)
{
	struct strbuf *line = &feed->outlets.printer.out;

	json__gap(&feed->outlets.printer, gap);
	if (!line->failed)
		sink__offer(sink, line->data, line->len, 1,
			    utc_formatter__format(&feed->outlets.printer.utc, clock__boot_ns()));
	strbuf__clear(line);
}

/* Of what waits for the answer to its FIN: it may have come, and its record not. */
static void look_last(struct feed *feed)
{
	uint32_t states = is_live(feed) ? heal__unended(feed->model) : 0;

	if (states)
		heal__last(&feed->heal, states, feed->source, feed->model, take, feed);
}

int feed__end(struct feed *feed)
{
	int err;

	heal__stop(&feed->heal);
	look_last(feed);
	err = source__stop(feed->source, take, feed);
	/* The last second of a recording counts, too. */
	engine__advance(feed->engine, feed->last_ns + NS_PER_S, tell_finding, feed);
	outlets__stop(&feed->outlets, feed->last_ns, feed__ledger(feed));
	outlets__offer(&feed->outlets);
	return err;
}
