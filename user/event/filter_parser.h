/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the filter's parser: the tokens, a predicate while its value is read,
 * and what the files that read them share. Private to filter_*.c; the tree that
 * comes out is told in filter_tree.h.
 */
#ifndef TCPSAGA_EVENT_FILTER_PARSER_H
#define TCPSAGA_EVENT_FILTER_PARSER_H

#include "event/filter_tree.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Bytes of the joined text. */
struct span {
	size_t begin;
	size_t end;
};

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,
	TOKEN_COMPARE,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_OPEN,
	TOKEN_CLOSE,
};

enum compare {
	COMPARE_EQUAL,
	COMPARE_NOT_EQUAL,
	COMPARE_LESS, /* from here on of ports only */
	COMPARE_LESS_EQUAL,
	COMPARE_GREATER,
	COMPARE_GREATER_EQUAL,
};

struct token {
	enum token_kind kind;
	enum compare compare; /* of a TOKEN_COMPARE */
	struct span at;
};

struct parser {
	struct filter *filter; /* grows while parsing */
	struct filter_error *error;
	const char *const *words;
	size_t count;
	char *text; /* the words, joined */
	size_t len;
	struct token token;    /* the next one to look at */
	struct token previous; /* the one before it */
	unsigned int depth;
	unsigned int terms;
};

/* ---- filter_token.c: words, signs, and values of one token ---- */

bool char__ends_word(char c);

bool span__is(const struct parser *p, struct span at, const char *text);
/* The first such byte in the text, NULL if there is none. */
const char *span__find(const struct parser *p, struct span at, char c);
/* Decimal digits and nothing else. */
bool span__number(const struct parser *p, struct span at, uint32_t min, uint32_t max, uint32_t *number);
/* The next of a list joined by commas; false at its end. */
bool span__next_element(const struct parser *p, struct span *rest, struct span *element);

size_t parser__offset(const struct parser *p, const char *in_text);
/* The token at this byte, or behind the spaces there, is the next one. */
void parser__scan(struct parser *p, size_t at);
void parser__advance(struct parser *p);

/* "and", "or", "not", then NULL. */
const char *operator__name(size_t i);

/* ---- a predicate while its value is read ---- */

struct keyword;

struct predicate {
	const struct keyword *keyword;
	struct span at; /* of the keyword */
	enum side side;
	enum compare compare;
};

struct keyword {
	const char *name;
	int (*parse)(struct parser *p, const struct predicate *predicate, uint32_t *node);
	const char *wants; /* the value, for messages; NULL: takes none */
	enum side side;
	uint32_t number;
};

/* The next token as the predicate's value, which it must be. */
int parser__take_value(struct parser *p, const struct predicate *predicate, struct span *value);
/* Counts the terms, too: -EINVAL when there are too many. */
int parser__add_leaf(struct parser *p, struct span at, enum node_kind kind, uint32_t *node);

const struct keyword *keyword__port(void);

/* ---- filter_place.c ---- */

int predicate__port(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__host(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__net(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__place(struct parser *p, const struct predicate *predicate, uint32_t *node);
/* IPv4 as v4-mapped, IPv6 with or without brackets. */
bool span__address(const struct parser *p, struct span at, uint8_t addr[16]);

/* ---- filter_trait.c ---- */

int predicate__state(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__role(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__family(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__tcp(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__pid(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__comm(struct parser *p, const struct predicate *predicate, uint32_t *node);
int predicate__netns(struct parser *p, const struct predicate *predicate, uint32_t *node);
/* A bit (1 << EV_<state>) for each state that the word names; 0 if none. */
uint32_t span__states(const struct parser *p, struct span at);

/* ---- filter_hint.c: what is wrong; all return -EINVAL ---- */

int parser__reject(struct parser *p, struct span at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int parser__reject_value(struct parser *p, const struct keyword *keyword, struct span at);
/* The token where a value is wanted is none. */
int parser__reject_missing(struct parser *p, const struct predicate *predicate);
int parser__reject_empty_element(struct parser *p, struct span list);

/* Two arguments for "%.*s": as much of a word as it takes to know it again. */
#define SHOWN(p, at) span__shown_bytes(p, at), (p)->text + (at).begin
int span__shown_bytes(const struct parser *p, struct span at);

/* The nearest of the names held against a word so far. */
struct guess {
	const char *name;
	unsigned int distance;
};

void guess__hold_against(struct guess *guess, const struct parser *p, struct span at, const char *name);

#endif
