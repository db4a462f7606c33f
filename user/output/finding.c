// SPDX-License-Identifier: BSD-2-Clause
/* Findings for people: the verdict, then evidence, advice and what will not
 * help, each paragraph wrapped to the terminal. */
#include "output/printer.h"

#include "base/text.h"
#include "base/wrap.h"

enum {
	INDENT = 2,
	LABEL = 16,    /* columns in front of a paragraph's text, with the indent */
	COLUMNS = 100, /* where there is no terminal */
	LEAST = 60,
};

static void put_text(struct printer *printer, const char *label, const char *text, size_t len)
{
	struct strbuf *out = &printer->out;
	struct wrap wrap = { .columns = printer->config.columns, .indent = LABEL - 1, .used = LABEL };
	struct strbuf plain;

	if (wrap.columns < LEAST)
		wrap.columns = wrap.columns ? LEAST : COLUMNS;
	strbuf__init(&plain);
	text__plain(&plain, text, len);
	strbuf__printf(out, "%*s%-*s", INDENT, "", LABEL - INDENT, label);
	wrap__words(&wrap, out, plain.data ? plain.data : "", plain.len);
	strbuf__char(out, '\n');
	strbuf__fini(&plain);
}

static void put_sentence(struct printer *printer, const struct finding *finding, const char *label,
			 const char *sentence)
{
	struct strbuf text;

	strbuf__init(&text);
	finding__fill(finding, sentence, &text);
	put_text(printer, label, text.data ? text.data : "", text.len);
	strbuf__fini(&text);
}

static void put_evidence(struct printer *printer, const struct finding *finding)
{
	struct strbuf text;

	strbuf__init(&text);
	for (unsigned int i = 0; i < finding->evidence_count; i++) {
		const struct evidence *evidence = &finding->evidence[i];

		if (evidence->is_text) /* the verdict and the heading have it */
			continue;
		strbuf__printf(&text, "%s%s=", text.len ? " " : "", evidence->key);
		evidence__number(evidence, &text);
	}
	put_text(printer, "evidence", text.data ? text.data : "", text.len);
	strbuf__fini(&text);
}

static void put_heading(struct printer *printer, const struct finding *finding)
{
	static const char *const colours[] = {
		[SEVERITY_WARNING] = "\033[33m",
		[SEVERITY_CRITICAL] = "\033[31m",
	};
	struct strbuf *out = &printer->out;
	const char *time = utc_formatter__format(&printer->utc, finding->time_ns);

	if (printer->config.full_time)
		strbuf__append(out, time, UTC_TEXT_LEN);
	else
		strbuf__append(out, time + 11, 8); /* the time of day */
	strbuf__char(out, ' ');
	if (printer->config.colour)
		strbuf__str(out,
			    finding->phase == PHASE_CLEARED ? "\033[32m" : colours[finding->severity]);
	strbuf__str(out, finding->phase == PHASE_CLEARED ? "cleared" : severity__name(finding->severity));
	if (printer->config.colour)
		strbuf__str(out, "\033[0m");
	strbuf__printf(out, " %s", finding->rule->id);
	if (finding->phase == PHASE_UPDATED)
		strbuf__str(out, " (still)");
	if (finding->phase == PHASE_CLEARED)
		strbuf__printf(out, " after %.0f s",
			       (double)(finding->time_ns - finding->start_ns) / NS_PER_S);
	strbuf__printf(out, "  netns %u\n", finding->netns);
}

void finding__print(struct printer *printer, const struct finding *finding)
{
	put_heading(printer, finding);
	put_sentence(printer, finding, finding->phase == PHASE_CLEARED ? "was" : "verdict",
		     finding->verdict);
	if (finding->phase == PHASE_CLEARED)
		return;
	put_evidence(printer, finding);
	for (unsigned int i = 0; i < finding->advice_count && finding->phase == PHASE_RAISED; i++)
		put_sentence(printer, finding, i ? "" : "do", finding->advice[i]);
	for (unsigned int i = 0; i < finding->wont_count && finding->phase == PHASE_RAISED; i++)
		put_sentence(printer, finding, i ? "" : "will not help", finding->wont[i]);
}
