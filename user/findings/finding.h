/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A finding: what is wrong, in one sentence, with its evidence and advice.
 * Made by a rule, shown by output/. Pure.
 *
 * The sentences are templates in which {key} stands for a piece of evidence,
 * and a template holds no number of its own: so what is said to a person is
 * always in the evidence, too.
 */
#ifndef TCPSAGA_FINDINGS_FINDING_H
#define TCPSAGA_FINDINGS_FINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "event/connection.h"
#include "event/filter.h"
#include "model/owners.h"

enum severity { SEVERITY_WARNING = 1, SEVERITY_CRITICAL };

enum phase { PHASE_RAISED = 0, PHASE_UPDATED, PHASE_CLEARED };

enum {
	EVIDENCE_MAX = 32,
	EVIDENCE_TEXT_MAX = 96,
	ADVICE_MAX = 8,
};

/* A number or a text; keys are literals, values are copied. */
struct evidence {
	const char *key;
	bool is_text;
	uint8_t decimals;
	double number; /* rounded to its decimals */
	char text[EVIDENCE_TEXT_MAX];
};

struct rule;

struct finding {
	const struct rule *rule;
	uint64_t subject; /* with the rule, what it is known by */
	uint8_t severity; /* enum severity */
	uint8_t phase;	  /* enum phase */
	uint8_t role;	  /* enum role */
	bool owner_known;
	bool local_known;
	bool remote_known;
	uint32_t netns;
	uint64_t start_ns; /* raised */
	uint64_t time_ns;  /* of this phase */
	struct owner owner;
	struct endpoint local;
	struct endpoint remote;
	double weight; /* how much there is of it: told again when it has doubled */

	unsigned int evidence_count;
	unsigned int advice_count;
	unsigned int wont_count;
	struct evidence evidence[EVIDENCE_MAX];
	const char *verdict; /* templates: literals */
	const char *advice[ADVICE_MAX];
	const char *wont[ADVICE_MAX];
};

/* Forgets evidence and sentences, before they are put in anew. */
void finding__clear(struct finding *finding);

/* Evidence. A key that is there already takes the new value. A value that is
 * not finite, and one beyond EVIDENCE_MAX, is left out. */
void finding__count(struct finding *finding, const char *key, uint64_t value);
/* Rounded: below 100 to one decimal, else to none. */
void finding__value(struct finding *finding, const char *key, double value);
void finding__text(struct finding *finding, const char *key, const char *text, size_t len);
void finding__endpoint(struct finding *finding, const char *key, const struct endpoint *endpoint);

const struct evidence *finding__evidence(const struct finding *finding, const char *key);

/* Sentences; those beyond ADVICE_MAX are left out. */
void finding__advise(struct finding *finding, const char *advice);
void finding__wont_help(struct finding *finding, const char *wont);

/* What a filter is asked about it. Borrowed. */
struct filter_subject finding__subject(const struct finding *finding);

/* Whose it is: also as evidence "process". NULL: not known. */
void finding__owner(struct finding *finding, const struct owner *owner);

/* The number as it is written in text and JSON alike. */
void evidence__number(const struct evidence *evidence, struct strbuf *out);

/* The sentence with its evidence. Names in it are arbitrary bytes. */
void finding__fill(const struct finding *finding, const char *sentence, struct strbuf *out);

const char *severity__name(enum severity severity);
const char *phase__name(enum phase phase);

#endif
