// SPDX-License-Identifier: BSD-2-Clause
#include "findings/engine.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/spelling.h"

enum {
	/* Records of several CPUs come a little out of order, and wait in the ring
	 * for a poll: a second is looked at when it has been over for so long. */
	SLACK_MS = 150,
	/* Of a gap in a recording the seconds at both ends are looked at: what holds
	 * in between does not change, and no rule remembers for longer. */
	GAP_SECONDS = 180,
	/* A finding is told again when it has doubled, and not more often than this. */
	TELL_AGAIN_S = 10,
};

struct engine {
	struct look look;
	bool misses_answers;
	struct services services;
	struct doors doors;
	struct refusals refusals;
	struct overflows overflows;
	double values[RULES_MAX][THRESHOLDS_MAX];
	uint64_t looked_second; /* 0: not yet */
	uint64_t not_kept;
	uint64_t raised[RULES_MAX];
	unsigned int count;
	struct active {
		struct finding finding;
		uint64_t held_ns; /* the last look at which it held */
		uint64_t told_ns;
		double told_weight;
		uint8_t told_severity;
		bool told;
	} * active[FINDINGS_MAX]; /* owned */
};

struct engine *engine__new(const struct engine_config *config)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	if (services__init(&engine->services) || doors__init(&engine->doors)) {
		engine__free(engine);
		errno = ENOMEM;
		return NULL;
	}
	engine->look = (struct look){
		.engine = engine,
		.model = config->model,
		.services = &engine->services,
		.doors = &engine->doors,
		.refusals = &engine->refusals,
		.overflows = &engine->overflows,
		.sees_syns = config->sees_syns,
		.sees_accepts = config->sees_accepts,
		.sees_waits = config->sees_waits,
	};
	engine->overflows.since_ns = config->since_ns;
	engine->misses_answers = config->misses_answers;
	engine__preset(engine);
	return engine;
}

void engine__free(struct engine *engine)
{
	if (!engine)
		return;
	for (unsigned int i = 0; i < engine->count; i++)
		free(engine->active[i]);
	doors__fini(&engine->doors);
	services__fini(&engine->services);
	free(engine);
}

/* ---- thresholds ---- */

void engine__preset(struct engine *engine)
{
	for (unsigned int r = 0; r < rules_count; r++)
		for (unsigned int t = 0; t < THRESHOLDS_MAX; t++)
			engine->values[r][t] = rules[r]->thresholds[t].preset;
}

unsigned int rule__thresholds(const struct rule *rule)
{
	unsigned int n = 0;

	while (n < THRESHOLDS_MAX && rule->thresholds[n].name)
		n++;
	return n;
}

double engine__value(const struct engine *engine, unsigned int rule, unsigned int threshold)
{
	return engine->values[rule][threshold];
}

void threshold__format(const struct threshold *threshold, double value, struct strbuf *out)
{
	static const char *const units[] = { "", " s", " /s", " %" };

	strbuf__printf(out, "%.10g%s", value, units[threshold->unit]);
}

static unsigned int distance(const char *text, size_t len, const char *name)
{
	return spelling__distance(text, len, name, strlen(name));
}

static int not_a_rule(const char *text, size_t len, struct strbuf *message)
{
	const char *nearest = rules[0]->id;

	for (unsigned int r = 1; r < rules_count; r++)
		if (distance(text, len, rules[r]->id) < distance(text, len, nearest))
			nearest = rules[r]->id;
	strbuf__printf(message, "no rule is called '%.*s': did you mean '%s'? --rules lists them",
		       (int)len, text, nearest);
	return -EINVAL;
}

static int not_a_threshold(const struct rule *rule, const char *text, size_t len, struct strbuf *message)
{
	const char *nearest = rule->thresholds[0].name;

	for (unsigned int t = 1; t < rule__thresholds(rule); t++)
		if (distance(text, len, rule->thresholds[t].name) < distance(text, len, nearest))
			nearest = rule->thresholds[t].name;
	if (nearest)
		strbuf__printf(message, "%s has no threshold '%.*s': did you mean '%s'?", rule->id,
			       (int)len, text, nearest);
	else
		strbuf__printf(message, "%s has no threshold '%.*s', nor any other", rule->id, (int)len,
			       text);
	return -EINVAL;
}

/* What a unit's value may be written with, and what that multiplies it by. */
static bool scale_of(enum unit unit, const char *suffix, double *scale)
{
	static const struct {
		enum unit unit;
		const char *suffix;
		double scale;
	} suffixes[] = {
		{ UNIT_COUNT, "", 1 },	       { UNIT_SECONDS, "", 1 },	     { UNIT_SECONDS, "s", 1 },
		{ UNIT_SECONDS, "ms", 0.001 }, { UNIT_SECONDS, "m", 60 },    { UNIT_SECONDS, "h", 3600 },
		{ UNIT_PER_SECOND, "", 1 },    { UNIT_PER_SECOND, "/s", 1 }, { UNIT_PERCENT, "", 1 },
		{ UNIT_PERCENT, "%", 1 },
	};

	while (*suffix == ' ')
		suffix++;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (suffixes[i].unit != unit || strcmp(suffixes[i].suffix, suffix) != 0)
			continue;
		*scale = suffixes[i].scale;
		return true;
	}
	return false;
}

static int not_a_value(const struct rule *rule, const struct threshold *threshold, const char *text,
		       struct strbuf *message)
{
	static const char *const wanted[] = { "a number", "a time, like 90s or 500ms",
					      "a rate, like 20/s", "a share, like 50%" };

	strbuf__printf(message, "%s.%s is %s, not '%s'", rule->id, threshold->name,
		       wanted[threshold->unit], text);
	return -EINVAL;
}

int engine__set(struct engine *engine, const char *text, struct strbuf *message)
{
	size_t id_len = strcspn(text, ".="), name_len;
	const char *name = text[id_len] == '.' ? text + id_len + 1 : "";
	const char *value;
	unsigned int r = 0, t = 0;
	double number, scale = 1;
	char *end;

	while (r < rules_count &&
	       (strlen(rules[r]->id) != id_len || memcmp(rules[r]->id, text, id_len) != 0))
		r++;
	if (r == rules_count)
		return not_a_rule(text, id_len, message);
	name_len = strcspn(name, "=");
	while (t < rule__thresholds(rules[r]) &&
	       (strlen(rules[r]->thresholds[t].name) != name_len ||
		memcmp(rules[r]->thresholds[t].name, name, name_len) != 0))
		t++;
	if (t == rule__thresholds(rules[r]))
		return not_a_threshold(rules[r], name, name_len, message);
	value = name[name_len] ? name + name_len + 1 : "";
	number = strtod(value, &end);
	if (end == value || !isfinite(number) || number < 0 ||
	    !scale_of(rules[r]->thresholds[t].unit, end, &scale))
		return not_a_value(rules[r], &rules[r]->thresholds[t], value, message);
	engine->values[r][t] = number * scale;
	return 0;
}

/* ---- what rules call ---- */

static struct active *find_active(const struct engine *engine, const struct rule *rule, uint64_t subject)
{
	for (unsigned int i = 0; i < engine->count; i++)
		if (engine->active[i]->finding.rule == rule &&
		    engine->active[i]->finding.subject == subject)
			return engine->active[i];
	return NULL;
}

static struct active *add_active(struct engine *engine, const struct rule *rule, uint64_t subject,
				 uint32_t netns)
{
	struct active *active = engine->count < FINDINGS_MAX ? calloc(1, sizeof(*active)) : NULL;

	if (!active) {
		engine->not_kept++;
		return NULL;
	}
	active->finding.rule = rule;
	active->finding.subject = subject;
	active->finding.netns = netns;
	active->finding.start_ns = engine->look.now_ns;
	engine->active[engine->count++] = active;
	return active;
}

struct finding *look__hold(struct look *look, uint64_t subject, uint32_t netns, bool raise)
{
	struct active *active = find_active(look->engine, look->rule, subject);

	if (!active && raise)
		active = add_active(look->engine, look->rule, subject, netns);
	if (!active)
		return NULL;
	active->held_ns = look->now_ns;
	active->finding.severity = SEVERITY_WARNING;
	active->finding.weight = 0;
	finding__clear(&active->finding);
	return &active->finding;
}

bool look__holds(const struct look *look, const char *rule_id, uint64_t subject)
{
	for (unsigned int i = 0; i < look->engine->count; i++) {
		const struct active *active = look->engine->active[i];

		if (active->finding.subject == subject && !strcmp(active->finding.rule->id, rule_id))
			return true;
	}
	return false;
}

/* ---- time ---- */

static unsigned int index_of(const struct rule *rule)
{
	unsigned int r = 0;

	while (rules[r] != rule)
		r++;
	return r;
}

static void tell_phase(struct engine *engine, struct active *active, enum phase phase,
		       tell_finding_fn tell, void *context)
{
	engine->raised[index_of(active->finding.rule)] += phase == PHASE_RAISED;
	active->finding.phase = (uint8_t)phase;
	active->finding.time_ns = engine->look.now_ns;
	active->told = true;
	active->told_ns = engine->look.now_ns;
	active->told_weight = active->finding.weight;
	active->told_severity = active->finding.severity;
	tell(context, &active->finding);
}

static bool has_changed(const struct engine *engine, const struct active *active)
{
	double now = active->finding.weight, told = active->told_weight;

	if (active->finding.severity > active->told_severity)
		return true;
	return engine->look.now_ns >= active->told_ns + TELL_AGAIN_S * NS_PER_S && now >= told * 2 &&
	       now > told;
}

static void settle(struct engine *engine, tell_finding_fn tell, void *context)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < engine->count; i++) {
		struct active *active = engine->active[i];

		if (active->held_ns + active->finding.rule->quiet_s * NS_PER_S <= engine->look.now_ns) {
			tell_phase(engine, active, PHASE_CLEARED, tell, context);
			free(active);
			continue;
		}
		if (!active->told)
			tell_phase(engine, active, PHASE_RAISED, tell, context);
		else if (active->held_ns == engine->look.now_ns && has_changed(engine, active))
			tell_phase(engine, active, PHASE_UPDATED, tell, context);
		engine->active[left++] = active;
	}
	engine->count = left;
}

static const double *values_of(const struct engine *engine, const char *id)
{
	for (unsigned int r = 0; r < rules_count; r++)
		if (!strcmp(rules[r]->id, id))
			return engine->values[r];
	return NULL;
}

/* The first threshold of these rules is the age that the gauges need. */
static uint64_t age_of(const struct engine *engine, const char *id)
{
	const double *values = values_of(engine, id);

	return values ? (uint64_t)(values[0] * NS_PER_S) : UINT64_MAX;
}

static void look_at(struct engine *engine, uint64_t second, tell_finding_fn tell, void *context)
{
	const struct ages ages = {
		.close_wait_ns = age_of(engine, "close-wait-leak"),
		.fin_wait2_ns = age_of(engine, "fin-wait2-pileup"),
		.unanswered_ns = engine->misses_answers ? UINT64_MAX : age_of(engine, "connect-timeout"),
	};

	engine->look.now_ns = second * NS_PER_S;
	services__measure(&engine->services, engine->look.model, &ages, engine->look.now_ns);
	doors__measure(&engine->doors, engine->look.model, engine->look.now_ns);
	overflows__measure(&engine->overflows, engine->look.model, engine->look.now_ns);
	for (unsigned int r = 0; r < rules_count; r++) {
		engine->look.rule = rules[r];
		engine->look.values = engine->values[r];
		rules[r]->look(&engine->look);
	}
	settle(engine, tell, context);
}

void engine__advance(struct engine *engine, uint64_t now_ns, tell_finding_fn tell, void *context)
{
	uint64_t second = now_ns > SLACK_MS * NS_PER_MS ? (now_ns - SLACK_MS * NS_PER_MS) / NS_PER_S : 0;

	if (!engine->looked_second)
		engine->looked_second = second;
	while (engine->looked_second < second) {
		uint64_t gap = second - engine->looked_second;

		engine->looked_second += gap > 2 * GAP_SECONDS ? gap - GAP_SECONDS : 1;
		look_at(engine, engine->looked_second, tell, context);
	}
}

void engine__see(struct engine *engine, const struct change *change)
{
	const double *tardy = values_of(engine, "slow-acceptor");

	services__see(&engine->services, engine->look.model, change);
	refusals__see(&engine->refusals, change);
	doors__see(&engine->doors, change, tardy ? (uint64_t)(tardy[0] * 1e6) : UINT64_MAX);
}

const struct finding *engine__at(const struct engine *engine, unsigned int position)
{
	return position < engine->count ? &engine->active[position]->finding : NULL;
}

void engine__count(const struct engine *engine, struct rule_count counts[RULES_MAX + 1])
{
	memset(counts, 0, (RULES_MAX + 1) * sizeof(counts[0]));
	for (unsigned int r = 0; r < rules_count; r++)
		counts[r] = (struct rule_count){ .id = rules[r]->id, .raised = engine->raised[r] };
	for (unsigned int i = 0; i < engine->count; i++)
		counts[index_of(engine->active[i]->finding.rule)].active++;
}

uint64_t engine__not_kept(const struct engine *engine)
{
	return engine->not_kept;
}
