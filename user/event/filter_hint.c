/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said about a filter that does not parse: the message with its place,
 * and the word that was most likely meant. filter_text.c shows it.
 */
#include "event/filter_parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/spelling.h"

/* Enough of a word to know it again; the caret line shows where it is. */
enum { SHOWN_BYTES = 48 };

int span__shown_bytes(const struct parser *p, struct span at)
{
	size_t len = at.end - at.begin;

	if (len > SHOWN_BYTES) {
		len = SHOWN_BYTES;
		while (len && (p->text[at.begin + len] & 0xc0) == 0x80)
			len--; /* not in the middle of a character */
	}
	return (int)len;
}

int parser__reject(struct parser *p, struct span at, const char *format, ...)
{
	struct filter_error *error = p->error;
	va_list args;

	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	filter_error__hide_controls(error);
	error->begin = at.begin;
	error->end = at.end;
	return -EINVAL;
}

/* No name is longer. */
enum { NAME_MAX_BYTES = 16 };

/* One slip, two from five letters on: beyond that a guess is more often a
 * puzzle than a help. */
void guess__hold_against(struct guess *guess, const struct parser *p, struct span at, const char *name)
{
	size_t len = at.end - at.begin, name_len = strlen(name);
	unsigned int distance, limit = len >= 5 ? 2 : len >= 2;

	if (len > NAME_MAX_BYTES || name_len > NAME_MAX_BYTES)
		return;
	distance = spelling__distance(p->text + at.begin, len, name, name_len);
	if (distance <= limit && (!guess->name || distance < guess->distance)) {
		guess->name = name;
		guess->distance = distance;
	}
}

int parser__reject_value(struct parser *p, const struct keyword *keyword, struct span at)
{
	return parser__reject(p, at, "%s wants %s, not \"%.*s\"", keyword->name, keyword->wants,
			      SHOWN(p, at));
}

int parser__reject_missing(struct parser *p, const struct predicate *predicate)
{
	const struct keyword *keyword = predicate->keyword;

	if (p->token.kind == TOKEN_END || p->token.kind == TOKEN_CLOSE)
		return parser__reject(p, predicate->at, "%s wants %s after it", keyword->name,
				      keyword->wants);
	return parser__reject_value(p, keyword, p->token.at);
}

int parser__reject_empty_element(struct parser *p, struct span list)
{
	return parser__reject(
		p, list,
		"\"%.*s\" has an empty place: write a list with one comma between two and no spaces",
		SHOWN(p, list));
}
