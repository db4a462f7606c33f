/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the words on the command line to the tree, by recursive descent as
 * filter.h tells the grammar. Tokens come from filter_token.c, the predicates'
 * values are read in filter_place.c and filter_trait.c, what is said about
 * mistakes is filter_hint.c's. The tree itself is filter.c's.
 */
#include "event/filter_parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Deeper than anybody writes; a level costs a few hundred bytes of stack. */
enum { NESTING_MAX = 64 };

/* Every event is held against every term: a list this long is a mistake. */
enum { TERMS_MAX = 1024 };

int parser__add_leaf(struct parser *p, struct span at, enum node_kind kind, uint32_t *node)
{
	if (p->terms == TERMS_MAX)
		return parser__reject(p, at, "a filter has at most %d terms: make it shorter", TERMS_MAX);
	p->terms++;
	return filter__add_node(&p->filter, kind, node);
}

#define WANTS_PORT "a number from 1 to 65535"
#define WANTS_NETNS "an inode, a path, a name under /run/netns or \"self\""
#define WANTS_PLACE "\"port\", \"host\", \"net\" or an address"

static const struct keyword keywords[] = {
	{ "port", predicate__port, WANTS_PORT, SIDE_EITHER, 0 },
	{ "portrange", predicate__port, WANTS_PORT, SIDE_EITHER, 0 },
	{ "sport", predicate__port, WANTS_PORT, SIDE_LOCAL, 0 },
	{ "dport", predicate__port, WANTS_PORT, SIDE_REMOTE, 0 },
	{ "host", predicate__host, "an address such as 10.0.0.1 or fd00::1", SIDE_EITHER, 0 },
	{ "net", predicate__net, "a network such as 10.0.0.0/8 or fd00::/8", SIDE_EITHER, 0 },
	{ "local", predicate__place, WANTS_PLACE, SIDE_LOCAL, 0 },
	{ "remote", predicate__place, WANTS_PLACE, SIDE_REMOTE, 0 },
	{ "src", predicate__place, WANTS_PLACE, SIDE_LOCAL, 0 },
	{ "dst", predicate__place, WANTS_PLACE, SIDE_REMOTE, 0 },
	{ "state", predicate__state, "a TCP state such as established or time-wait", SIDE_EITHER, 0 },
	{ "pid", predicate__pid, "the number of a process", SIDE_EITHER, 0 },
	{ "comm", predicate__comm, "the name of a process", SIDE_EITHER, 0 },
	{ "netns", predicate__netns, WANTS_NETNS, SIDE_EITHER, 0 },
	{ "role", predicate__role, "\"client\" or \"server\"", SIDE_EITHER, 0 },
	{ "ipv4", predicate__family, NULL, SIDE_EITHER, 4 },
	{ "ip", predicate__family, NULL, SIDE_EITHER, 4 },
	{ "ipv6", predicate__family, NULL, SIDE_EITHER, 6 },
	{ "ip6", predicate__family, NULL, SIDE_EITHER, 6 },
	{ "tcp", predicate__tcp, NULL, SIDE_EITHER, 0 },
};

const struct keyword *keyword__port(void)
{
	return &keywords[0];
}

static const struct keyword *find_keyword(const struct parser *p, struct span at)
{
	for (size_t i = 0; i < COUNT_OF(keywords); i++)
		if (span__is(p, at, keywords[i].name))
			return &keywords[i];
	return NULL;
}

/* The keyword that a value without one most likely belongs to. */
static const char *missing_keyword(const struct parser *p, struct span at)
{
	const char *slash = span__find(p, at, '/');
	struct span address = at;
	uint8_t addr[16];

	if (slash)
		address.end = parser__offset(p, slash);
	if (address.begin < address.end && span__address(p, address, addr))
		return slash ? "net" : "host";
	if (strspn(p->text + at.begin, ":,-0123456789") >= at.end - at.begin)
		return "port";
	return span__states(p, at) ? "state" : NULL;
}

static int reject_unknown(struct parser *p)
{
	struct span at = p->token.at;
	const char *keyword = missing_keyword(p, at);
	struct guess guess = { 0 };

	if (p->token.kind == TOKEN_COMPARE)
		return parser__reject(p, at, "\"%.*s\" has nothing to compare on its left", SHOWN(p, at));
	if (keyword)
		return parser__reject(p, at, "\"%.*s\" stands alone: did you mean \"%s %.*s\"?",
				      SHOWN(p, at), keyword, SHOWN(p, at));
	for (size_t i = 0; i < COUNT_OF(keywords); i++)
		guess__hold_against(&guess, p, at, keywords[i].name);
	for (size_t i = 0; operator__name(i); i++)
		guess__hold_against(&guess, p, at, operator__name(i));
	if (guess.name)
		return parser__reject(p, at, "unknown word \"%.*s\": did you mean \"%s\"?", SHOWN(p, at),
				      guess.name);
	return parser__reject(
		p, at,
		"unknown word \"%.*s\": a filter is made of words such as \"port 443\" or \"state time-wait\"",
		SHOWN(p, at));
}

/* "src port 80" is the keyword "port" with a side. */
static void take_side(struct parser *p, struct predicate *predicate)
{
	const struct keyword *keyword;

	if (predicate->keyword->parse != predicate__place || p->token.kind != TOKEN_WORD)
		return;
	keyword = find_keyword(p, p->token.at);
	if (!keyword || keyword->side != SIDE_EITHER ||
	    (keyword->parse != predicate__port && keyword->parse != predicate__host &&
	     keyword->parse != predicate__net))
		return;
	predicate->keyword = keyword;
	predicate->at = p->token.at;
	parser__advance(p);
}

static int take_comparison(struct parser *p, struct predicate *predicate)
{
	if (p->token.kind != TOKEN_COMPARE)
		return 0;
	if (p->token.compare > COMPARE_NOT_EQUAL && predicate->keyword->parse != predicate__port)
		return parser__reject(p, p->token.at, "\"%.*s\" compares ports only",
				      SHOWN(p, p->token.at));
	predicate->compare = p->token.compare;
	parser__advance(p);
	return 0;
}

static int parse_predicate(struct parser *p, uint32_t *node)
{
	struct predicate predicate = {
		.keyword = p->token.kind == TOKEN_WORD ? find_keyword(p, p->token.at) : NULL,
		.at = p->token.at,
	};
	int err = 0;

	if (!predicate.keyword)
		return reject_unknown(p);
	predicate.side = predicate.keyword->side;
	parser__advance(p);
	take_side(p, &predicate);
	if (predicate.keyword->wants)
		err = take_comparison(p, &predicate);
	if (!err)
		err = predicate.keyword->parse(p, &predicate, node);
	if (!err && predicate.compare == COMPARE_NOT_EQUAL)
		err = filter__add_not(&p->filter, *node, node);
	return err;
}

/* An operand is wanted where the token can begin none. */
static int reject_operand(struct parser *p)
{
	struct span at = p->token.at, before = p->previous.at;

	switch (p->previous.kind) {
	case TOKEN_AND:
	case TOKEN_OR:
	case TOKEN_NOT:
		return parser__reject(p, before, "\"%.*s\" has nothing on its right", SHOWN(p, before));
	case TOKEN_OPEN:
		if (p->token.kind == TOKEN_END)
			return parser__reject(p, before, "\"(\" is never closed");
		if (p->token.kind == TOKEN_CLOSE)
			return parser__reject(p, (struct span){ before.begin, at.end },
					      "\"(\" and \")\" have nothing between them");
		break;
	default:
		if (p->token.kind == TOKEN_CLOSE)
			return parser__reject(
				p, at, "\")\" closes nothing: remove it, or open a \"(\" before it");
	}
	return parser__reject(p, at, "\"%.*s\" has nothing on its left", SHOWN(p, at));
}

static int enter(struct parser *p)
{
	if (p->depth == NESTING_MAX)
		return parser__reject(p, p->token.at,
				      "\"(\" and \"not\" go at most %d deep: write the filter flatter",
				      NESTING_MAX);
	p->depth++;
	return 0;
}

static int parse_chain(struct parser *p, enum node_kind kind, uint32_t *node);

static int parse_group(struct parser *p, uint32_t *node)
{
	struct span open = p->token.at;
	int err = enter(p);

	if (err)
		return err;
	parser__advance(p);
	err = parse_chain(p, NODE_OR, node);
	if (err)
		return err;
	if (p->token.kind != TOKEN_CLOSE)
		return parser__reject(p, open, "\"(\" is never closed");
	parser__advance(p);
	p->depth--;
	return 0;
}

static int parse_factor(struct parser *p, uint32_t *node)
{
	int err;

	switch (p->token.kind) {
	case TOKEN_WORD:
	case TOKEN_COMPARE:
		return parse_predicate(p, node);
	case TOKEN_OPEN:
		return parse_group(p, node);
	case TOKEN_NOT:
		err = enter(p);
		if (err)
			return err;
		parser__advance(p);
		err = parse_factor(p, node);
		p->depth--;
		return err ? err : filter__add_not(&p->filter, *node, node);
	default:
		return reject_operand(p);
	}
}

/* True when another operand follows: two that stand side by side are an "and"
 * without the word. */
static bool take_operator(struct parser *p, enum node_kind kind)
{
	enum token_kind token = p->token.kind;

	if (token == (kind == NODE_OR ? TOKEN_OR : TOKEN_AND)) {
		parser__advance(p);
		return true;
	}
	return kind == NODE_AND && token != TOKEN_END && token != TOKEN_CLOSE && token != TOKEN_OR;
}

/* Operands of "or", each of which is operands of "and", each a factor. */
static int parse_chain(struct parser *p, enum node_kind kind, uint32_t *node)
{
	struct chain chain = { .kind = kind };
	uint32_t operand = 0;
	int err;

	do {
		err = kind == NODE_OR ? parse_chain(p, NODE_AND, &operand) : parse_factor(p, &operand);
		if (!err)
			err = chain__add(&chain, &p->filter, operand);
	} while (!err && take_operator(p, kind));
	*node = chain.root;
	return err;
}

static int parse_all(struct parser *p)
{
	uint32_t root = 0;
	int err = 0;

	parser__scan(p, 0);
	if (p->token.kind != TOKEN_END)
		err = parse_chain(p, NODE_OR, &root);
	if (!err && p->token.kind != TOKEN_END)
		err = reject_operand(p); /* all that ends a chain is a ')' */
	if (!err)
		p->filter->root = root;
	return err;
}

/* The words with single spaces between them, owned; NULL without memory. */
static char *join(const char *const *words, size_t count, size_t *len)
{
	size_t size = 1;
	char *text, *at;

	for (size_t i = 0; i < count; i++)
		size += strlen(words[i]) + 1;
	text = at = malloc(size);
	if (!text)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (i)
			*at++ = ' ';
		at = stpcpy(at, words[i]);
	}
	*at = '\0';
	*len = (size_t)(at - text);
	return text;
}

struct filter *filter__parse(const char *const *words, size_t count, struct filter_error *error)
{
	struct parser p = { .error = error, .words = words, .count = count };
	int err = -ENOMEM;

	memset(error, 0, sizeof(*error));
	p.filter = filter__new();
	p.text = join(words, count, &p.len);
	if (p.filter && p.text)
		err = parse_all(&p);
	free(p.text);
	if (err) {
		filter__free(p.filter);
		errno = -err;
		return NULL;
	}
	return p.filter;
}
