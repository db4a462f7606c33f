// SPDX-License-Identifier: BSD-2-Clause
#include "model/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/import.h"

struct model *model__new(const struct model_config *config)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	namespaces__init(&model->namespaces);
	if (flow_table__init(&model->flows, config->seed, config->max_lives, config->max_ended) ||
	    departed__init(&model->departed, config->seed) ||
	    listeners__init(&model->listeners, &model->flows.owners, config->seed) ||
	    timewaits__init(&model->waits, &model->flows.owners, config->seed, TIMEWAITS_MAX) ||
	    cgroups__init(&model->cgroups, config->seed)) {
		model__free(model);
		errno = ENOMEM;
		return NULL;
	}
	model->estimate_waits = config->estimate_waits;
	model->ends_at_close = config->ends_at_close;
	model->keeps_transitions = config->keeps_transitions;
	model->requests_told = config->requests_told;
	model->requests_sampled = config->requests_sampled;
	model->waits_told = config->waits_told;
	return model;
}

void model__free(struct model *model)
{
	if (!model)
		return;
	namespaces__fini(&model->namespaces);
	departed__fini(&model->departed);
	listeners__fini(&model->listeners);
	timewaits__fini(&model->waits);
	cgroups__fini(&model->cgroups);
	flow_table__fini(&model->flows);
	free(model);
}

const struct flow_table *model__flows(const struct model *model)
{
	return &model->flows;
}

const struct listeners *model__listeners(const struct model *model)
{
	return &model->listeners;
}

const struct namespaces *model__namespaces(const struct model *model)
{
	return &model->namespaces;
}

bool model__has_lost(const struct model *model, unsigned int kind)
{
	return model->lost & (1U << kind | 1U);
}

uint64_t model__doubles(const struct model *model)
{
	return model->doubles;
}

uint64_t model__unrecorded(const struct model *model)
{
	return model->unrecorded;
}

bool model__is_whole(const struct model *model)
{
	return model->whole;
}

uint32_t model__missed(struct model *model)
{
	uint32_t missed = model->missed;

	model->missed = 0;
	return missed;
}

const struct timewaits *model__timewaits(const struct model *model)
{
	return &model->waits;
}

const struct cgroups *model__cgroups(const struct model *model)
{
	return &model->cgroups;
}

const struct ev_dump *model__dump_of(const struct model *model, uint32_t netns)
{
	for (uint32_t i = 0; i < model->dump_count; i++)
		if (model->dumps[i].netns == netns)
			return &model->dumps[i];
	return NULL;
}

const struct ev_settings *model__settings(const struct model *model, uint32_t netns)
{
	for (uint32_t i = 0; i < model->settings_count; i++)
		if (model->settings[i].netns == netns)
			return &model->settings[i];
	return NULL;
}

void model__measure(struct model *model, uint64_t now_ns)
{
	timewaits__measure(&model->waits, now_ns);
}

const struct owner *model__owner_at(const struct model *model, uint32_t index)
{
	return owners__get(&model->flows.owners, index);
}

const struct owner *model__owner(const struct model *model, const struct life *life)
{
	return owners__get(&model->flows.owners, life->owner);
}

/* Namespaces come and go: the settings that were told longest ago give way. */
static void apply_settings(struct model *model, const struct ev_settings *settings)
{
	struct ev_settings *place = (struct ev_settings *)model__settings(model, settings->netns);

	if (!place && model->settings_count < SETTINGS_MAX) {
		place = &model->settings[model->settings_count++];
	} else if (!place) {
		place = &model->settings[0];
		for (uint32_t i = 1; i < SETTINGS_MAX; i++)
			if (model->settings[i].header.time_ns < place->header.time_ns)
				place = &model->settings[i];
	}
	*place = *settings;
}

static void apply_sampled(struct model *model, const struct ev_sampled *sampled)
{
	listeners__sampled(&model->listeners, sampled->netns, sampled->header.time_ns);
	if (!sampled->netns)
		namespaces__sampled(&model->namespaces, sampled->header.time_ns);
}

void model__pass_time(struct model *model, uint64_t now_ns, model_tell_fn tell, void *context)
{
	struct changes changes;

	if (now_ns > model->now_ns)
		model->now_ns = now_ns;
	while (timewaits__may_be_overdue(&model->waits, model->now_ns)) {
		changes.count = 0;
		minisockets__end_overdue(model, &changes);
		if (changes.count)
			tell(context, &changes);
	}
}

/* The lives that a dump did not show: there may be many. */
static void tell_swept(struct model *model, model_tell_fn tell, void *context)
{
	struct changes changes;

	while (model->sweep.active) {
		changes.count = 0;
		rows__sweep(model, &changes);
		if (changes.count)
			tell(context, &changes);
	}
}

static int take_in(struct model *model, const struct record *record, struct changes *changes)
{
	uint64_t now_ns = record->header->time_ns;
	struct change *change;

	if (record->transition)
		return transitions__apply(model, record, changes);
	if (record->header->kind == EV_ADMITTED) {
		requests__admitted(model, record->handshake);
	} else if (record->handshake) {
		requests__step(model, record->handshake, changes);
	} else if (record->accept) {
		requests__accepted(model, record, changes);
	} else if (record->timewait) {
		minisockets__apply(model, record->timewait, changes);
	} else if (record->bind) {
		change = changes__add(changes, CHANGE_BIND, now_ns);
		change->bind = record->bind;
		change->owner = model__actor(model, record, NULL);
	} else if (record->unread) {
		changes__add(changes, CHANGE_UNREAD, now_ns)->unread = record->unread;
	} else if (record->holder) {
		changes__add(changes, CHANGE_HOLDER, now_ns)->holder = record->holder;
	} else if (record->socket) {
		rows__apply(model, record);
	} else if (record->dump) {
		rows__dump(model, record->dump);
	} else if (record->cgroup) {
		return cgroups__put(&model->cgroups, record->cgroup);
	} else if (record->settings) {
		apply_settings(model, record->settings);
	} else if (record->listener) {
		listeners__sample(&model->listeners, record->listener);
	} else if (record->sampled) {
		apply_sampled(model, record->sampled);
	} else if (record->netstat) {
		namespaces__sample(&model->namespaces, record->netstat);
	} else if (record->loss) {
		change = changes__add(changes, CHANGE_LOSS, now_ns);
		change->loss = record->loss;
		timewaits__doubt(&model->waits, now_ns);
		model->lost |= 1U << (record->loss->of_kind < 32 ? record->loss->of_kind : 0);
	} else if (record->stop) {
		change = changes__add(changes, CHANGE_STOP, now_ns);
		change->stop = record->stop;
	} else {
		return model__import(model, record);
	}
	return 0;
}

int model__apply(struct model *model, const struct record *record, model_tell_fn tell, void *context)
{
	struct changes changes; /* not cleared: that takes as long as most records */
	int err;

	changes.count = 0;
	model__pass_time(model, record->header->time_ns, tell, context);
	err = take_in(model, record, &changes);
	if (changes.count)
		tell(context, &changes);
	tell_swept(model, tell, context);
	return err;
}

uint64_t model__not_kept(const struct model *model, enum model_table table)
{
	switch (table) {
	case TABLE_CONNECTIONS:
		return model->flows.evicted_open + model->flows.not_kept;
	case TABLE_MINISOCKETS:
		return model->waits.not_kept;
	case TABLE_LISTENERS:
		return listeners__not_kept(&model->listeners);
	case TABLE_CLIENTS:
		return model->listeners.clients.not_kept;
	case TABLE_NAMESPACES:
		return model->namespaces.not_kept;
	case TABLE_OWNERS:
		return model->flows.owners.not_kept;
	case TABLE_CGROUPS:
		return model->cgroups.evicted;
	case TABLE_GROUPS:
		return model->waits.not_grouped;
	case TABLE_HISTORIES:
		return model->histories_cut;
	default:
		return 0;
	}
}
