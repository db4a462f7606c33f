/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words on the command line as tokens: where one ends, which are signs and
 * operators, and the small readers that every predicate takes its value with.
 * The grammar (filter_parse.c) pulls; nothing is kept but the next token.
 */
#include "event/filter_parser.h"

#include <string.h>

/* A longer sign stands before its own beginning. */
static const struct {
	const char *text;
	enum token_kind kind;
	enum compare compare;
} signs[] = {
	{ "(", TOKEN_OPEN, 0 },
	{ ")", TOKEN_CLOSE, 0 },
	{ "&&", TOKEN_AND, 0 },
	{ "&", TOKEN_AND, 0 },
	{ "||", TOKEN_OR, 0 },
	{ "|", TOKEN_OR, 0 },
	{ "!=", TOKEN_COMPARE, COMPARE_NOT_EQUAL },
	{ "!", TOKEN_NOT, 0 },
	{ "==", TOKEN_COMPARE, COMPARE_EQUAL },
	{ "=", TOKEN_COMPARE, COMPARE_EQUAL },
	{ "<=", TOKEN_COMPARE, COMPARE_LESS_EQUAL },
	{ "<", TOKEN_COMPARE, COMPARE_LESS },
	{ ">=", TOKEN_COMPARE, COMPARE_GREATER_EQUAL },
	{ ">", TOKEN_COMPARE, COMPARE_GREATER },
}, operators[] = {
	{ "and", TOKEN_AND, 0 },
	{ "or", TOKEN_OR, 0 },
	{ "not", TOKEN_NOT, 0 },
	/* ss's words for the signs above. */
	{ "eq", TOKEN_COMPARE, COMPARE_EQUAL },
	{ "ne", TOKEN_COMPARE, COMPARE_NOT_EQUAL },
	{ "neq", TOKEN_COMPARE, COMPARE_NOT_EQUAL },
	{ "lt", TOKEN_COMPARE, COMPARE_LESS },
	{ "le", TOKEN_COMPARE, COMPARE_LESS_EQUAL },
	{ "leq", TOKEN_COMPARE, COMPARE_LESS_EQUAL },
	{ "gt", TOKEN_COMPARE, COMPARE_GREATER },
	{ "ge", TOKEN_COMPARE, COMPARE_GREATER_EQUAL },
	{ "geq", TOKEN_COMPARE, COMPARE_GREATER_EQUAL },
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool char__ends_word(char c)
{
	return !c || is_space(c) || strchr("()!=<>&|", c);
}

bool span__is(const struct parser *p, struct span at, const char *text)
{
	size_t len = strlen(text);

	return at.end - at.begin == len && !memcmp(p->text + at.begin, text, len);
}

const char *span__find(const struct parser *p, struct span at, char c)
{
	return memchr(p->text + at.begin, c, at.end - at.begin);
}

size_t parser__offset(const struct parser *p, const char *in_text)
{
	return (size_t)(in_text - p->text);
}

static void scan_word(struct parser *p)
{
	struct token *token = &p->token;

	token->kind = TOKEN_WORD;
	while (!char__ends_word(p->text[token->at.end]))
		token->at.end++;
	for (size_t i = 0; i < COUNT_OF(operators); i++) {
		if (span__is(p, token->at, operators[i].text)) {
			token->kind = operators[i].kind;
			token->compare = operators[i].compare;
		}
	}
}

void parser__scan(struct parser *p, size_t at)
{
	while (is_space(p->text[at]))
		at++;
	p->token = (struct token){ .kind = TOKEN_END, .at = { at, at } };
	if (at == p->len)
		return;
	for (size_t i = 0; i < COUNT_OF(signs); i++) {
		size_t len = strlen(signs[i].text);

		if (!strncmp(p->text + at, signs[i].text, len)) {
			p->token.kind = signs[i].kind;
			p->token.compare = signs[i].compare;
			p->token.at.end = at + len;
			return;
		}
	}
	scan_word(p);
}

void parser__advance(struct parser *p)
{
	p->previous = p->token;
	parser__scan(p, p->token.at.end);
}

const char *operator__name(size_t i)
{
	for (size_t at = 0; at < COUNT_OF(operators); at++)
		if (operators[at].kind != TOKEN_COMPARE && !i--)
			return operators[at].text;
	return NULL;
}

int parser__take_value(struct parser *p, const struct predicate *predicate, struct span *value)
{
	*value = p->token.at;
	if (p->token.kind != TOKEN_WORD)
		return parser__reject_missing(p, predicate);
	parser__advance(p);
	return 0;
}

bool span__next_element(const struct parser *p, struct span *rest, struct span *element)
{
	const char *comma;

	if (rest->begin > rest->end)
		return false;
	comma = span__find(p, *rest, ',');
	element->begin = rest->begin;
	element->end = comma ? parser__offset(p, comma) : rest->end;
	rest->begin = element->end + 1;
	return true;
}

bool span__number(const struct parser *p, struct span at, uint32_t min, uint32_t max, uint32_t *number)
{
	uint64_t value = 0;

	for (size_t i = at.begin; i < at.end; i++) {
		if (p->text[i] < '0' || p->text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(p->text[i] - '0');
		if (value > max)
			return false;
	}
	*number = (uint32_t)value;
	return at.begin < at.end && value >= min;
}
