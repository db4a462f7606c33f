// SPDX-License-Identifier: BSD-2-Clause
#include "findings/finding.h"

#include <math.h>
#include <string.h>

const char *severity__name(enum severity severity)
{
	return severity == SEVERITY_CRITICAL ? "critical" : "warning";
}

const char *phase__name(enum phase phase)
{
	static const char *const names[] = { "raised", "updated", "cleared" };

	return names[phase];
}

void finding__clear(struct finding *finding)
{
	finding->evidence_count = 0;
	finding->advice_count = 0;
	finding->wont_count = 0;
	finding->verdict = "";
	finding->owner_known = false;
	finding->local_known = false;
	finding->remote_known = false;
}

const struct evidence *finding__evidence(const struct finding *finding, const char *key)
{
	for (unsigned int i = 0; i < finding->evidence_count; i++)
		if (!strcmp(finding->evidence[i].key, key))
			return &finding->evidence[i];
	return NULL;
}

static struct evidence *evidence_for(struct finding *finding, const char *key)
{
	struct evidence *evidence = (struct evidence *)finding__evidence(finding, key);

	if (!evidence && finding->evidence_count < EVIDENCE_MAX)
		evidence = &finding->evidence[finding->evidence_count++];
	if (evidence)
		*evidence = (struct evidence){ .key = key };
	return evidence;
}

void finding__count(struct finding *finding, const char *key, uint64_t value)
{
	struct evidence *evidence = evidence_for(finding, key);

	if (evidence)
		evidence->number = (double)value;
}

void finding__value(struct finding *finding, const char *key, double value)
{
	struct evidence *evidence = isfinite(value) ? evidence_for(finding, key) : NULL;
	double scale;

	if (!evidence)
		return;
	evidence->decimals = fabs(value) < 100;
	scale = evidence->decimals ? 10 : 1;
	evidence->number = round(value * scale) / scale;
	if (evidence->number == round(evidence->number))
		evidence->decimals = 0;
}

void finding__text(struct finding *finding, const char *key, const char *text, size_t len)
{
	struct evidence *evidence = evidence_for(finding, key);

	if (!evidence)
		return;
	evidence->is_text = true;
	if (len > sizeof(evidence->text) - 1)
		len = sizeof(evidence->text) - 1;
	memcpy(evidence->text, text, len);
}

void finding__endpoint(struct finding *finding, const char *key, const struct endpoint *endpoint)
{
	char text[ADDR_TEXT_MAX];
	unsigned int len = addr__format(endpoint->addr, text);
	bool bracket = memchr(text, ':', len);
	struct strbuf buf;

	strbuf__init(&buf);
	if (bracket)
		strbuf__char(&buf, '[');
	strbuf__append(&buf, text, len);
	if (bracket)
		strbuf__char(&buf, ']');
	strbuf__char(&buf, ':');
	strbuf__u64(&buf, endpoint->port);
	finding__text(finding, key, buf.data ? buf.data : "", buf.len);
	strbuf__fini(&buf);
}

void finding__advise(struct finding *finding, const char *advice)
{
	if (finding->advice_count < ADVICE_MAX)
		finding->advice[finding->advice_count++] = advice;
}

void finding__wont_help(struct finding *finding, const char *wont)
{
	if (finding->wont_count < ADVICE_MAX)
		finding->wont[finding->wont_count++] = wont;
}

struct filter_subject finding__subject(const struct finding *finding)
{
	return (struct filter_subject){
		.local_addr = finding->local_known ? finding->local.addr : NULL,
		.local_port = finding->local_known ? finding->local.port : 0,
		.remote_addr = finding->remote_known ? finding->remote.addr : NULL,
		.remote_port = finding->remote_known ? finding->remote.port : 0,
		.netns = finding->netns,
		.pid = finding->owner_known ? finding->owner.pid : 0,
		.comm = finding->owner_known ? finding->owner.comm : NULL,
		.role = (enum role)finding->role,
	};
}

void finding__owner(struct finding *finding, const struct owner *owner)
{
	static const char unknown[] = "an unknown process";

	finding->owner_known = owner;
	if (!owner) {
		finding__text(finding, "process", unknown, sizeof(unknown) - 1);
		return;
	}
	finding->owner = *owner;
	finding__text(finding, "process", owner->comm, strnlen(owner->comm, sizeof(owner->comm)));
}

void evidence__number(const struct evidence *evidence, struct strbuf *out)
{
	strbuf__printf(out, "%.*f", evidence->decimals, evidence->number);
}

static void fill_in(const struct finding *finding, const char *key, size_t len, struct strbuf *out)
{
	for (unsigned int i = 0; i < finding->evidence_count; i++) {
		const struct evidence *evidence = &finding->evidence[i];

		if (strlen(evidence->key) != len || memcmp(evidence->key, key, len) != 0)
			continue;
		if (evidence->is_text)
			strbuf__str(out, evidence->text);
		else
			evidence__number(evidence, out);
		return;
	}
	/* A rule that speaks of what it has not shown: a test finds the braces. */
	strbuf__append(out, key - 1, len + 2);
}

void finding__fill(const struct finding *finding, const char *sentence, struct strbuf *out)
{
	while (*sentence) {
		const char *open = strchr(sentence, '{');
		const char *close = open ? strchr(open, '}') : NULL;

		if (!close)
			break;
		strbuf__append(out, sentence, (size_t)(open - sentence));
		fill_in(finding, open + 1, (size_t)(close - open - 1), out);
		sentence = close + 1;
	}
	strbuf__str(out, sentence);
}
