// SPDX-License-Identifier: BSD-2-Clause
/* A finding as JSON: the same sentences as in the table, and their numbers. */
#include <string.h>

#include "output/json_parts.h"
#include "base/text.h"

static void put_evidence(struct strbuf *out, const struct finding *finding)
{
	LITERAL(out, ",\"evidence\":{");
	for (unsigned int i = 0; i < finding->evidence_count; i++) {
		const struct evidence *evidence = &finding->evidence[i];

		strbuf__printf(out, "%s\"%s\":", i ? "," : "", evidence->key);
		if (evidence->is_text)
			text__json(out, evidence->text, strlen(evidence->text));
		else
			evidence__number(evidence, out);
	}
	strbuf__char(out, '}');
}

static void put_sentence(struct strbuf *out, const struct finding *finding, const char *sentence)
{
	struct strbuf text;

	strbuf__init(&text);
	finding__fill(finding, sentence, &text);
	text__json(out, text.data ? text.data : "", text.len);
	strbuf__fini(&text);
}

static void put_sentences(struct strbuf *out, const struct finding *finding, const char *key,
			  const char *const *sentences, unsigned int count)
{
	strbuf__str(out, key);
	for (unsigned int i = 0; i < count; i++) {
		if (i)
			strbuf__char(out, ',');
		put_sentence(out, finding, sentences[i]);
	}
	strbuf__char(out, ']');
}

void json__finding(struct printer *printer, const struct finding *finding)
{
	struct strbuf *out = &printer->out;

	json__open(printer, "finding", finding->time_ns);
	json__count(out, ",\"netns\":", finding->netns);
	json__word(out, ",\"id\":\"", finding->rule->id);
	json__word(out, ",\"severity\":\"", severity__name(finding->severity));
	json__word(out, ",\"phase\":\"", phase__name(finding->phase));
	LITERAL(out, ",\"since\":");
	json__time(printer, finding->start_ns);
	if (finding->local_known) {
		LITERAL(out, ",\"local\":");
		json__end(out, &finding->local);
	}
	if (finding->remote_known) {
		LITERAL(out, ",\"remote\":");
		json__end(out, &finding->remote);
	}
	json__word(out, ",\"role\":\"", role__name(finding->role));
	if (finding->owner_known)
		json__owner(printer, &finding->owner);
	LITERAL(out, ",\"verdict\":");
	put_sentence(out, finding, finding->verdict);
	put_evidence(out, finding);
	put_sentences(out, finding, ",\"advice\":[", finding->advice, finding->advice_count);
	put_sentences(out, finding, ",\"will_not_help\":[", finding->wont, finding->wont_count);
	json__close(printer);
}
