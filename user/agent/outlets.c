// SPDX-License-Identifier: BSD-2-Clause
#include "agent/outlets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { BATCH_BYTES = 128 * 1024 };

/* ---- parcels ---- */

static bool is_read(const struct audience *audience, enum sink_level level)
{
	for (; level < LEVEL_COUNT; level++)
		if (audience->parcels[level].readers)
			return true;
	return false;
}

static void offer(struct outlets *outlets, const struct audience *audience, enum sink_level level,
		  struct parcel *parcel)
{
	const char *now;

	if (!parcel->lines)
		return;
	now = utc_formatter__format(&outlets->printer.utc, clock__boot_ns());
	for (unsigned int i = 0; i < outlets->count; i++) {
		const struct outlet *outlet = &outlets->list[i];

		if (outlet->audience == audience && sink__config(outlet->sink)->level == level)
			sink__offer(outlet->sink, parcel->text.data, parcel->text.len, parcel->lines, now);
	}
	strbuf__clear(&parcel->text);
	parcel->lines = 0;
}

void outlets__offer(struct outlets *outlets)
{
	for (unsigned int i = 0; i < outlets->audience_count; i++)
		for (int level = 0; level < LEVEL_COUNT; level++)
			offer(outlets, outlets->audiences[i], (enum sink_level)level,
			      &outlets->audiences[i]->parcels[level]);
}

/* The line that the printer holds, to all of the audience that want this level or more. */
static void spread(struct outlets *outlets, struct audience *audience, enum sink_level level)
{
	const struct strbuf *line = &outlets->printer.out;

	for (; level < LEVEL_COUNT; level++) {
		struct parcel *parcel = &audience->parcels[level];

		if (!parcel->readers || line->failed)
			continue;
		strbuf__append(&parcel->text, line->data, line->len);
		parcel->lines++;
		if (parcel->text.failed) { /* no memory: what was gathered is complete without it */
			parcel->text.failed = false;
			parcel->lines--;
		}
		if (parcel->text.len >= BATCH_BYTES)
			offer(outlets, audience, level, parcel);
	}
}

static void spread_to_all(struct outlets *outlets)
{
	for (unsigned int i = 0; i < outlets->audience_count; i++)
		spread(outlets, outlets->audiences[i], LEVEL_FINDINGS);
	strbuf__clear(&outlets->printer.out);
}

/* ---- lines ---- */

/* The least level that shows a change. A listener is no connection. */
static enum sink_level level_of(const struct change *change)
{
	if (change->kind == CHANGE_LOSS)
		return LEVEL_FINDINGS;
	return change->kind == CHANGE_LIFE ? LEVEL_CONNECTIONS : LEVEL_TRANSITIONS;
}

struct telling {
	struct outlets *outlets;
	struct audience *audience;
	const struct change *change; /* that all audiences are asked about */
};

/* What was withheld until now comes before the change itself, and is another line. */
static void tell(void *context, const struct change *change)
{
	const struct telling *telling = context;
	struct outlets *outlets = telling->outlets;

	if (change->kind == CHANGE_STOP)
		return;
	if (change != telling->change || outlets->printed != change) {
		strbuf__clear(&outlets->printer.out);
		printer__change(&outlets->printer, change);
		outlets->printed = change;
	}
	spread(outlets, telling->audience, level_of(change));
}

void outlets__change(struct outlets *outlets, const struct change *change)
{
	outlets->printed = NULL;
	for (unsigned int i = 0; i < outlets->audience_count; i++) {
		struct telling telling = { outlets, outlets->audiences[i], change };

		if (is_read(telling.audience, level_of(change)))
			select__change(&telling.audience->select, change, tell, &telling);
	}
	strbuf__clear(&outlets->printer.out);
}

void outlets__finding(struct outlets *outlets, const struct finding *finding)
{
	const struct filter_subject subject = finding__subject(finding);
	bool printed = false;

	for (unsigned int i = 0; i < outlets->audience_count; i++) {
		struct audience *audience = outlets->audiences[i];

		if (filter__match(audience->select.filter, &subject) == FILTER_NO)
			continue;
		if (!printed)
			outlets->printer.ops->finding(&outlets->printer, finding);
		printed = true;
		spread(outlets, audience, LEVEL_FINDINGS);
	}
	strbuf__clear(&outlets->printer.out);
}

void outlets__begin(struct outlets *outlets, const struct capture_info *info)
{
	outlets->printer.ops->begin(&outlets->printer, info);
	spread_to_all(outlets);
}

void outlets__stop(struct outlets *outlets, uint64_t time_ns, const struct ledger *ledger)
{
	outlets->printer.ops->stop(&outlets->printer, time_ns, ledger);
	spread_to_all(outlets);
}

/* ---- audiences ---- */

static void free_audience(struct audience *audience)
{
	if (!audience)
		return;
	select__fini(&audience->select);
	for (int level = 0; level < LEVEL_COUNT; level++)
		strbuf__fini(&audience->parcels[level].text);
	free(audience->filter_text);
	free(audience);
}

static struct audience *new_audience(const struct outlets *outlets, const struct outlet_config *config)
{
	struct audience *audience = calloc(1, sizeof(*audience));

	if (!audience)
		return NULL;
	for (int level = 0; level < LEVEL_COUNT; level++)
		strbuf__init(&audience->parcels[level].text);
	audience->filter_text = strdup(config->filter_text);
	if (select__init(&audience->select, config->filter, outlets->model) || !audience->filter_text) {
		free_audience(audience);
		return NULL;
	}
	audience->select.kinds = UINT32_MAX; /* what nobody reads is not even asked about */
	return audience;
}

/* One that is there keeps what it has withheld, and takes the filter as it was read last:
 * a network namespace's name may mean another one now. */
static struct audience *audience_of(struct outlets *outlets, const struct outlet_config *config)
{
	struct audience *audience;

	for (unsigned int i = 0; i < outlets->audience_count; i++) {
		audience = outlets->audiences[i];
		if (strcmp(audience->filter_text, config->filter_text) != 0)
			continue;
		audience->select.filter = config->filter;
		return audience;
	}
	audience = outlets->audience_count < 2 * OUTLETS_MAX ? new_audience(outlets, config) : NULL;
	if (audience)
		outlets->audiences[outlets->audience_count++] = audience;
	return audience;
}

/* Who is read at which level, and away with those whom nobody is of. */
static void settle_audiences(struct outlets *outlets)
{
	unsigned int kept = 0;

	for (unsigned int a = 0; a < outlets->audience_count; a++) {
		struct audience *audience = outlets->audiences[a];
		unsigned int readers = 0;

		for (int level = 0; level < LEVEL_COUNT; level++)
			audience->parcels[level].readers = 0;
		for (unsigned int i = 0; i < outlets->count; i++) {
			if (outlets->list[i].audience != audience)
				continue;
			audience->parcels[sink__config(outlets->list[i].sink)->level].readers++;
			readers++;
		}
		if (readers)
			outlets->audiences[kept++] = audience;
		else
			free_audience(audience);
	}
	outlets->audience_count = kept;
}

/* ---- which sinks there are ---- */

static void say_end(const char *name, const struct sink_state *state)
{
	log__line("agent: %s: %" PRIu64 " lines offered, %" PRIu64 " written, %" PRIu64 " dropped%s%s",
		  name, state->offered, state->delivered, state->dropped, state->error ? ": " : "",
		  state->error ? strerror(state->error) : "");
}

static struct sink_state end_sink(struct sink *sink)
{
	struct sink_state state;
	char name[SINK_NAME_MAX];

	strcpy(name, sink__name(sink));
	sink__end(sink, &state);
	say_end(name, &state);
	return state;
}

/* Of a full list the oldest is waited for. */
static void let_go(struct outlets *outlets, struct sink *sink)
{
	log__line("agent: %s: is no more in the configuration", sink__name(sink));
	sink__finish(sink);
	if (outlets->leaving_count == OUTLETS_MAX) {
		end_sink(outlets->leaving[0]);
		outlets->leaving[0] = outlets->leaving[--outlets->leaving_count];
	}
	outlets->leaving[outlets->leaving_count++] = sink;
}

static void say_outlet(const struct outlet *outlet, const char *what, const struct outlet_config *config)
{
	const char *own = strchr(config->filter_text, '\n'); /* behind the agent's own filter */

	log__line("agent: %s: %s: %s%s%s", sink__name(outlet->sink), what,
		  sink_level__name(config->sink.level), own && own[1] ? ", filter " : "",
		  own ? own + 1 : "");
}

static bool same_settings(const struct sink_config *a, const struct sink_config *b)
{
	return a->level == b->level && a->rotate_bytes == b->rotate_bytes &&
	       a->rotate_ns == b->rotate_ns && a->keep == b->keep && a->compress == b->compress &&
	       a->queue_bytes == b->queue_bytes;
}

/* The sink of that place, taken out of the old list. */
static struct outlet take_outlet(struct outlet *old, unsigned int count, const struct outlet_config *config)
{
	for (unsigned int i = 0; i < count; i++) {
		struct outlet found = old[i];

		if (!found.sink || !sink_config__same_place(sink__config(found.sink), &config->sink))
			continue;
		old[i].sink = NULL;
		return found;
	}
	return (struct outlet){ 0 };
}

/* Its first line, which only it is sent. */
static void greet(struct outlets *outlets, struct sink *sink, const struct capture_info *info)
{
	struct printer *printer = &outlets->printer;
	struct capture_info here = *info;
	uint64_t now_ns = clock__boot_ns();

	here.start_ns = now_ns;
	printer->ops->begin(printer, &here);
	if (!printer->out.failed)
		sink__offer(sink, printer->out.data, printer->out.len, 1,
			    utc_formatter__format(&printer->utc, now_ns));
	strbuf__clear(&printer->out);
}

/* Into the list, new or as it was. 0 or -errno. */
static int place(struct outlets *outlets, struct outlet *old, unsigned int old_count,
		 const struct outlet_config *config, const struct capture_info *info)
{
	struct outlet outlet = take_outlet(old, old_count, config);
	const struct audience *before = outlet.audience;
	bool is_new = !outlet.sink;

	outlet.audience = audience_of(outlets, config);
	if (is_new && outlet.audience)
		outlet.sink = sink__new(&config->sink);
	if (!outlet.sink || !outlet.audience) {
		if (outlet.sink)
			let_go(outlets, outlet.sink);
		return -ENOMEM;
	}
	if (info && is_new) {
		greet(outlets, outlet.sink, info);
		say_outlet(&outlet, "is new", config);
	}
	if (!is_new &&
	    (outlet.audience != before || !same_settings(sink__config(outlet.sink), &config->sink)))
		say_outlet(&outlet, "is changed", config);
	if (!is_new)
		sink__configure(outlet.sink, &config->sink);
	outlets->list[outlets->count++] = outlet;
	return 0;
}

int outlets__set(struct outlets *outlets, const struct outlet_config *configs, unsigned int count,
		 const struct capture_info *info)
{
	struct outlet old[OUTLETS_MAX];
	unsigned int old_count = outlets->count;
	int err = 0;

	outlets__offer(outlets); /* what was printed for those of before */
	memcpy(old, outlets->list, sizeof(old));
	outlets->count = 0;
	for (unsigned int i = 0; i < count && i < OUTLETS_MAX; i++) {
		int failed = place(outlets, old, old_count, &configs[i], info);

		if (failed && !err)
			err = failed;
	}
	for (unsigned int i = 0; i < old_count; i++)
		if (old[i].sink)
			let_go(outlets, old[i].sink);
	settle_audiences(outlets);
	if (err)
		log__line("agent: a sink cannot be had: %s", strerror(-err));
	return err;
}

/* ---- life cycle ---- */

/* All are told to finish first: they share the time they are given. */
void outlets__end(struct outlets *outlets, struct sink_state states[OUTLETS_MAX])
{
	for (unsigned int i = 0; i < outlets->count; i++)
		sink__finish(outlets->list[i].sink);
	for (unsigned int i = 0; i < outlets->leaving_count; i++)
		end_sink(outlets->leaving[i]);
	for (unsigned int i = 0; i < outlets->count; i++)
		states[i] = end_sink(outlets->list[i].sink);
	outlets->leaving_count = outlets->count = 0;
}

void outlets__init(struct outlets *outlets, const struct model *model, uint64_t realtime_offset_ns)
{
	static const struct printer_config printing = { .of = OF_EVENTS };

	*outlets = (struct outlets){ .model = model };
	printer__init(&outlets->printer, &json_printer, &printing, realtime_offset_ns);
	outlets->printer.cgroups = model__cgroups(model);
	outlets->printer.flows = model__flows(model);
}

void outlets__fini(struct outlets *outlets)
{
	struct sink_state states[OUTLETS_MAX];

	outlets__end(outlets, states); /* there are some only when the start has failed */
	for (unsigned int i = 0; i < outlets->audience_count; i++)
		free_audience(outlets->audiences[i]);
	printer__fini(&outlets->printer);
}

void outlets__reap(struct outlets *outlets)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < outlets->leaving_count; i++)
		if (sink__is_over(outlets->leaving[i]))
			end_sink(outlets->leaving[i]);
		else
			outlets->leaving[kept++] = outlets->leaving[i];
	outlets->leaving_count = kept;
}

void outlets__reopen(struct outlets *outlets)
{
	for (unsigned int i = 0; i < outlets->count; i++)
		sink__reopen(outlets->list[i].sink);
}
