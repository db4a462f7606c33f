/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine of the findings: feeds what the rules count, lets them look once a
 * second, and turns what they hold into findings that are raised, updated and
 * cleared. Pure: no I/O, no clock of its own; a recording gives the same
 * findings each time.
 */
#ifndef TCPSAGA_FINDINGS_ENGINE_H
#define TCPSAGA_FINDINGS_ENGINE_H

#include "findings/finding.h"
#include "findings/rules.h"
#include "model/model.h"

enum { FINDINGS_MAX = 512 }; /* at a time; those beyond are counted as not kept */

struct engine;

struct engine_config {
	const struct model *model; /* borrowed */
	bool sees_syns;		   /* as in struct look */
	bool sees_accepts;
	bool sees_waits;
	bool misses_answers; /* a connection in SYN_SENT may have been answered unseen */
	uint64_t since_ns;   /* what the kernel had counted before is no news */
};

/* NULL with errno ENOMEM. */
struct engine *engine__new(const struct engine_config *config);
void engine__free(struct engine *engine);

/* "close-wait-leak.age=120s". 0, or -EINVAL with one sentence in message. */
int engine__set(struct engine *engine, const char *text, struct strbuf *message);

/* All thresholds as they are without engine__set(). */
void engine__preset(struct engine *engine);

/* The present value of a threshold of rules[rule]. */
double engine__value(const struct engine *engine, unsigned int rule, unsigned int threshold);

unsigned int rule__thresholds(const struct rule *rule);

/* "60 s", "50 %", "20 /s", "10" */
void threshold__format(const struct threshold *threshold, double value, struct strbuf *out);

typedef void (*tell_finding_fn)(void *context, const struct finding *finding);

/* Time goes on to now_ns, before a record of that time is applied. Findings that
 * change are told, borrowed for the call. */
void engine__advance(struct engine *engine, uint64_t now_ns, tell_finding_fn tell, void *context);

/* A change that the record has made. */
void engine__see(struct engine *engine, const struct change *change);

/* Those that hold, by position from 0; NULL ends. Borrowed. */
const struct finding *engine__at(const struct engine *engine, unsigned int position);

/* Of each rule: how many findings hold, and how many were raised since the start. */
struct rule_count {
	const char *id; /* of the rule; NULL behind the last */
	uint64_t active;
	uint64_t raised;
};
void engine__count(const struct engine *engine, struct rule_count counts[RULES_MAX + 1]);

/* Findings that there was no room for. */
uint64_t engine__not_kept(const struct engine *engine);

#endif
