// SPDX-License-Identifier: BSD-2-Clause
#include "agent/reload.h"

#include <string.h>

#include "base/log.h"

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static const char *shown(const char *text)
{
	return text && *text ? text : "off";
}

/* It was opened at the start, with privileges that are gone. */
static void name_fixed(const char *key, const char *first, const char *fresh)
{
	if (!same(first, fresh))
		log__line("agent: %s: stays %s; %s needs a restart", key, shown(first), shown(fresh));
}

static void name_textfile(const char *before, const char *fresh)
{
	if (!same(before, fresh))
		log__line("agent: textfile: %s now, was %s", shown(fresh), shown(before));
}

/* ---- thresholds ---- */

struct values {
	double of[RULES_MAX][THRESHOLDS_MAX];
};

static struct values values_of(const struct engine *engine)
{
	struct values values = { 0 };

	for (unsigned int r = 0; r < rules_count; r++)
		for (unsigned int t = 0; t < rule__thresholds(rules[r]); t++)
			values.of[r][t] = engine__value(engine, r, t);
	return values;
}

static void name_threshold(const struct rule *rule, unsigned int t, double value, double before)
{
	const struct threshold *threshold = &rule->thresholds[t];
	struct strbuf text;

	if (value == before)
		return;
	strbuf__init(&text);
	strbuf__printf(&text, "agent: %s.%s: ", rule->id, threshold->name);
	threshold__format(threshold, value, &text);
	strbuf__str(&text, " now, was ");
	threshold__format(threshold, before, &text);
	log__line("%s", strbuf__text(&text));
	strbuf__fini(&text);
}

static void apply_thresholds(struct engine *engine, const struct agent_config *fresh)
{
	const struct values before = values_of(engine);
	struct strbuf message;

	strbuf__init(&message);
	engine__preset(engine);
	for (unsigned int i = 0; i < fresh->set_count; i++)
		engine__set(engine, fresh->sets[i], &message); /* tried when it was read */
	strbuf__fini(&message);
	for (unsigned int r = 0; r < rules_count; r++)
		for (unsigned int t = 0; t < rule__thresholds(rules[r]); t++)
			name_threshold(rules[r], t, engine__value(engine, r, t), before.of[r][t]);
}

void reload__apply(struct feed *feed, const struct agent_config *first,
		   const struct agent_config *before, const struct agent_config *fresh)
{
	name_fixed("metrics", first->metrics, fresh->metrics);
	name_fixed("control", first->control, fresh->control);
	name_fixed("state", first->state, fresh->state);
	name_fixed("user", first->user, fresh->user);
	if (first->hooks != fresh->hooks)
		log__line("agent: hooks: stay as they are; other ones need a restart");
	name_textfile(before->textfile, fresh->textfile);
	apply_thresholds(feed->engine, fresh);
	outlets__set(&feed->outlets, fresh->outlets, fresh->outlet_count, &feed->source->info);
}
