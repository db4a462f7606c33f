/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the words on the command line to the tree: tokens, then predicates and
 * their values, then the grammar, as filter.h tells it, by recursive descent.
 * Whatever does not parse is named, with its place in the text and, where one
 * is near, the word that was meant. The tree itself is filter.c's.
 */
#include "event/filter_tree.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Deeper than anybody writes; a level costs a few hundred bytes of stack. */
enum { NESTING_MAX = 64 };

/* Every event is held against every term: a list this long is a mistake. */
enum { TERMS_MAX = 1024 };

/* ---- tokens ------------------------------------------------------------- */

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

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool ends_word(char c)
{
	return !c || is_space(c) || strchr("()!=<>&|", c);
}

static bool is_text(const struct parser *p, struct span at, const char *text)
{
	size_t len = strlen(text);

	return at.end - at.begin == len && !memcmp(p->text + at.begin, text, len);
}

static const char *find_char(const struct parser *p, struct span at, char c)
{
	return memchr(p->text + at.begin, c, at.end - at.begin);
}

static size_t position(const struct parser *p, const char *in_text)
{
	return (size_t)(in_text - p->text);
}

static void scan_word(struct parser *p)
{
	struct token *token = &p->token;

	token->kind = TOKEN_WORD;
	while (!ends_word(p->text[token->at.end]))
		token->at.end++;
	for (size_t i = 0; i < COUNT_OF(operators); i++) {
		if (is_text(p, token->at, operators[i].text)) {
			token->kind = operators[i].kind;
			token->compare = operators[i].compare;
		}
	}
}

static void scan_from(struct parser *p, size_t at)
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

static void advance(struct parser *p)
{
	p->previous = p->token;
	scan_from(p, p->token.at.end);
}

/* ---- what is wrong ------------------------------------------------------ */

/* Enough of a word to know it again; the caret line shows where it is. */
enum { SHOWN_BYTES = 48 };

static int shown_bytes(const struct parser *p, struct span at)
{
	size_t len = at.end - at.begin;

	if (len > SHOWN_BYTES) {
		len = SHOWN_BYTES;
		while (len && (p->text[at.begin + len] & 0xc0) == 0x80)
			len--; /* not in the middle of a character */
	}
	return (int)len;
}

/* Two arguments for "%.*s". */
#define SHOWN(p, at) shown_bytes(p, at), (p)->text + (at).begin

static int reject(struct parser *p, struct span at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int reject(struct parser *p, struct span at, const char *format, ...)
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

/* The nearest of the names held against a word so far. */
struct guess {
	const char *name;
	unsigned int distance;
};

/* No name is longer. */
enum { NAME_MAX_BYTES = 16 };

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
}

/* Letters to insert, delete, replace or swap with their neighbour
 * (Damerau-Levenshtein, optimal string alignment). */
static unsigned int edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned int d[NAME_MAX_BYTES + 1][NAME_MAX_BYTES + 1], best;

	for (unsigned int i = 0; i <= a_len; i++) {
		for (unsigned int j = 0; j <= b_len; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			best = d[i - 1][j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]) && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[a_len][b_len];
}

/* One slip, two from five letters on: beyond that a guess is more often a
 * puzzle than a help. */
static void hold_against(struct guess *guess, const struct parser *p, struct span at, const char *name)
{
	size_t len = at.end - at.begin, name_len = strlen(name);
	unsigned int distance, limit = len >= 5 ? 2 : len >= 2;

	if (len > NAME_MAX_BYTES || name_len > NAME_MAX_BYTES)
		return;
	distance = edit_distance(p->text + at.begin, len, name, name_len);
	if (distance <= limit && (!guess->name || distance < guess->distance)) {
		guess->name = name;
		guess->distance = distance;
	}
}

/* ---- predicates --------------------------------------------------------- */

struct keyword;

/* A predicate while its value is read. */
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

static int add_leaf(struct parser *p, struct span at, enum node_kind kind, uint32_t *node)
{
	if (p->terms == TERMS_MAX)
		return reject(p, at, "a filter has at most %d terms: make it shorter", TERMS_MAX);
	p->terms++;
	return filter__add_node(&p->filter, kind, node);
}

static int add_number(struct parser *p, struct span at, enum node_kind kind, uint32_t number,
		      uint32_t *node)
{
	int err = add_leaf(p, at, kind, node);

	if (!err)
		p->filter->nodes[*node].number = number;
	return err;
}

static int reject_value(struct parser *p, const struct keyword *keyword, struct span at)
{
	return reject(p, at, "%s wants %s, not \"%.*s\"", keyword->name, keyword->wants, SHOWN(p, at));
}

/* The token where a value is wanted is none. */
static int reject_missing(struct parser *p, const struct predicate *predicate)
{
	const struct keyword *keyword = predicate->keyword;

	if (p->token.kind == TOKEN_END || p->token.kind == TOKEN_CLOSE)
		return reject(p, predicate->at, "%s wants %s after it", keyword->name, keyword->wants);
	return reject_value(p, keyword, p->token.at);
}

static int take_value(struct parser *p, const struct predicate *predicate, struct span *value)
{
	*value = p->token.at;
	if (p->token.kind != TOKEN_WORD)
		return reject_missing(p, predicate);
	advance(p);
	return 0;
}

/* The next of a list joined by commas; false at its end. */
static bool next_element(const struct parser *p, struct span *rest, struct span *element)
{
	const char *comma;

	if (rest->begin > rest->end)
		return false;
	comma = find_char(p, *rest, ',');
	element->begin = rest->begin;
	element->end = comma ? position(p, comma) : rest->end;
	rest->begin = element->end + 1;
	return true;
}

static int reject_empty_element(struct parser *p, struct span list)
{
	return reject(p, list,
		      "\"%.*s\" has an empty place: write a list with one comma between two and no spaces",
		      SHOWN(p, list));
}

/* Decimal digits and nothing else. */
static bool read_number(const struct parser *p, struct span at, uint32_t min, uint32_t max,
			uint32_t *number)
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

static int add_ports(struct parser *p, const struct predicate *predicate, struct span at, uint32_t low,
		     uint32_t high, uint32_t *node)
{
	int err = add_leaf(p, at, NODE_PORT, node);

	if (err)
		return err;
	p->filter->nodes[*node].side = (uint8_t)predicate->side;
	p->filter->nodes[*node].port.low = (uint16_t)low;
	p->filter->nodes[*node].port.high = (uint16_t)high;
	return 0;
}

/* "443", ":443" as ss writes it, or "8000-8010". */
static int parse_port_range(struct parser *p, const struct predicate *predicate, struct span at,
			    uint32_t *node)
{
	const char *dash = find_char(p, at, '-');
	struct span first = at, last;
	uint32_t low, high;

	if (dash)
		first.end = position(p, dash);
	if (first.begin < first.end && p->text[first.begin] == ':')
		first.begin++;
	last = dash ? (struct span){ first.end + 1, at.end } : first;
	if (first.begin == first.end || last.begin == last.end)
		return reject_value(p, predicate->keyword, at);
	if (!read_number(p, first, 1, UINT16_MAX, &low))
		return reject_value(p, predicate->keyword, first);
	if (!read_number(p, last, 1, UINT16_MAX, &high))
		return reject_value(p, predicate->keyword, last);
	if (low > high)
		return reject(p, at, "\"%.*s\" runs backwards: did you mean \"%u-%u\"?", SHOWN(p, at),
			      high, low);
	return add_ports(p, predicate, at, low, high, node);
}

static int parse_port_list(struct parser *p, const struct predicate *predicate, struct span list,
			   uint32_t *node)
{
	struct chain chain = { .kind = NODE_OR };
	struct span rest = list, at;
	uint32_t operand = 0;
	int err = 0;

	while (!err && next_element(p, &rest, &at)) {
		if (at.begin == at.end)
			return reject_empty_element(p, list);
		err = parse_port_range(p, predicate, at, &operand);
		if (!err)
			err = chain__add(&chain, &p->filter, operand);
	}
	*node = chain.root;
	return err;
}

/* One end of a range: "sport >= :1024". */
static int parse_port_bound(struct parser *p, const struct predicate *predicate, struct span at,
			    uint32_t *node)
{
	uint32_t number, low = 1, high = UINT16_MAX;
	struct span digits = at;

	digits.begin += p->text[at.begin] == ':';
	if (!read_number(p, digits, 1, UINT16_MAX, &number))
		return reject_value(p, predicate->keyword, at);
	if (predicate->compare == COMPARE_LESS || predicate->compare == COMPARE_LESS_EQUAL)
		high = number - (predicate->compare == COMPARE_LESS);
	else
		low = number + (predicate->compare == COMPARE_GREATER);
	if (low > high)
		return reject(p, at, "no port is %s %u", number == 1 ? "below" : "above", number);
	return add_ports(p, predicate, at, low, high, node);
}

static int parse_port(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = take_value(p, predicate, &at);

	if (err)
		return err;
	if (predicate->compare > COMPARE_NOT_EQUAL)
		return parse_port_bound(p, predicate, at, node);
	return parse_port_list(p, predicate, at, node);
}

static bool read_address(const struct parser *p, struct span at, uint8_t addr[16])
{
	char text[INET6_ADDRSTRLEN + 2] = "";
	bool v6 = find_char(p, at, ':');

	if (v6 && p->text[at.begin] == '[' && p->text[at.end - 1] == ']') {
		at.begin++;
		at.end--;
	}
	if (at.end - at.begin >= sizeof(text))
		return false;
	memcpy(text, p->text + at.begin, at.end - at.begin);
	if (v6)
		return inet_pton(AF_INET6, text, addr) == 1;
	memset(addr, 0, 10);
	memset(addr + 10, 0xff, 2);
	return inet_pton(AF_INET, text, addr + 12) == 1;
}

static int reject_host_bits(struct parser *p, struct span at, const struct node *net,
			    const uint8_t addr[16])
{
	char network[ADDR_TEXT_MAX], host[ADDR_TEXT_MAX];
	unsigned int bits = mask__bits(net->net.mask) - (addr__is_v4(net->net.address) ? 96 : 0);
	int network_len = (int)addr__format(net->net.address, network);
	int host_len = (int)addr__format(addr, host);

	return reject(p, at,
		      "an address bit is set beyond the length: did you mean \"%.*s/%u\" or \"%.*s\"?",
		      network_len, network, bits, host_len, host);
}

/* ADDR or ADDR/LEN. */
static int parse_network(struct parser *p, const struct predicate *predicate, struct span at,
			 uint32_t *index)
{
	const char *slash = find_char(p, at, '/');
	struct span address = at, length = at;
	struct node *node;
	uint8_t addr[16];
	uint32_t bits = 128, most;
	int err;

	if (slash)
		address.end = position(p, slash);
	if (!read_address(p, address, addr))
		return reject_value(p, predicate->keyword, at);
	most = find_char(p, address, ':') ? 128 : 32;
	length.begin = address.end + 1;
	if (slash && !read_number(p, length, 0, most, &bits))
		return reject(p, at, "the length after the \"/\" is a number from 0 to %u, not \"%.*s\"",
			      most, SHOWN(p, length));
	err = add_leaf(p, at, NODE_NET, index);
	if (err)
		return err;
	node = &p->filter->nodes[*index];
	node->side = (uint8_t)predicate->side;
	node->net.family = (uint8_t)addr__family(addr);
	mask__set(node->net.mask, slash && most == 32 ? 96 + bits : bits);
	for (int i = 0; i < 16; i++)
		node->net.address[i] = addr[i] & node->net.mask[i];
	if (memcmp(node->net.address, addr, 16))
		return reject_host_bits(p, at, node, addr);
	return 0;
}

static int parse_host(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = take_value(p, predicate, &at);

	if (err)
		return err;
	if (find_char(p, at, '/'))
		return reject(p, at, "host wants one address: write \"net %.*s\"", SHOWN(p, at));
	return parse_network(p, predicate, at, node);
}

static int parse_net(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	uint8_t addr[16];
	struct span at;
	int err = take_value(p, predicate, &at);

	if (err)
		return err;
	if (read_address(p, at, addr))
		return reject(p, at,
			      "net wants a length after the address: add it, or write \"host %.*s\"",
			      SHOWN(p, at));
	return parse_network(p, predicate, at, node);
}

/* Where the port begins in ADDR:PORT, [ADDR]:PORT or :PORT; at.end if there is
 * none. A bare IPv6 address has more than one ':'. */
static size_t find_port(const struct parser *p, struct span at)
{
	const char *bracket = p->text[at.begin] == '[' ? find_char(p, at, ']') : NULL;
	struct span rest = at;
	const char *colon;

	if (bracket)
		rest.begin = position(p, bracket) + 1;
	colon = find_char(p, rest, ':');
	if (!colon)
		return at.end;
	rest.begin = position(p, colon) + 1;
	return find_char(p, rest, ':') ? at.end : position(p, colon);
}

static const struct keyword *find_keyword(const struct parser *p, struct span at);
static const struct keyword *port_keyword(void);

/* "src" and its like without "port", "host" or "net", as ss has them: an
 * address, a network, and a port with or without them ("*:443"). */
static int parse_place(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct predicate with_port = *predicate;
	struct chain chain = { .kind = NODE_AND };
	struct span at, address, port;
	uint32_t operand = 0;
	int err = take_value(p, predicate, &at);

	if (err)
		return err;
	address = port = at;
	address.end = find_port(p, at);
	port.begin = address.end + 1;
	if (address.end == at.end || (address.begin < address.end && !is_text(p, address, "*"))) {
		err = parse_network(p, predicate, address, &operand);
		if (!err)
			err = chain__add(&chain, &p->filter, operand);
	}
	if (!err && address.end < at.end) {
		with_port.keyword = port_keyword();
		if (port.begin == port.end)
			return reject_value(p, predicate->keyword, at);
		err = parse_port_list(p, &with_port, port, &operand);
		if (!err)
			err = chain__add(&chain, &p->filter, operand);
	}
	*node = chain.root;
	return err;
}

static uint32_t state_bits(const struct parser *p, struct span at)
{
	/* ss's own words for several states. */
	enum {
		ALL = (1 << EV_STATE_END) - 2,
		CONNECTED = ALL & ~(1 << EV_STATE_CLOSE | 1 << EV_LISTEN),
		BUCKET = 1 << EV_SYN_RECV | 1 << EV_TIME_WAIT,
	};
	unsigned int state = state__parse(p->text + at.begin, (unsigned int)(at.end - at.begin));

	if (state)
		return 1U << state;
	if (is_text(p, at, "all"))
		return ALL;
	if (is_text(p, at, "connected"))
		return CONNECTED;
	if (is_text(p, at, "synchronized"))
		return CONNECTED & ~(1 << EV_SYN_SENT);
	if (is_text(p, at, "bucket"))
		return BUCKET;
	if (is_text(p, at, "big"))
		return ALL & ~BUCKET;
	return 0;
}

static int reject_state(struct parser *p, const struct predicate *predicate, struct span at)
{
	struct guess guess = { 0 };

	for (unsigned int state = 1; state < EV_STATE_END; state++)
		hold_against(&guess, p, at, state__name(state));
	if (guess.name)
		return reject(p, at, "unknown state \"%.*s\": did you mean \"%s\"?", SHOWN(p, at),
			      guess.name);
	return reject_value(p, predicate->keyword, at);
}

static int parse_state(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span list, rest, at;
	uint32_t states = 0, bits;
	int err = take_value(p, predicate, &list);

	if (err)
		return err;
	rest = list;
	while (next_element(p, &rest, &at)) {
		if (at.begin == at.end)
			return reject_empty_element(p, list);
		bits = state_bits(p, at);
		if (!bits)
			return reject_state(p, predicate, at);
		states |= bits;
	}
	return add_number(p, list, NODE_STATE, states, node);
}

static int parse_pid(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	uint32_t pid;
	struct span at;
	int err = take_value(p, predicate, &at);

	if (err)
		return err;
	if (!read_number(p, at, 1, INT32_MAX, &pid))
		return reject_value(p, predicate->keyword, at);
	return add_number(p, at, NODE_PID, pid, node);
}

static int parse_role(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = take_value(p, predicate, &at);

	if (err)
		return err;
	for (uint32_t role = ROLE_UNKNOWN + 1; role < ROLE_END; role++)
		if (is_text(p, at, role__name((enum role)role)))
			return add_number(p, at, NODE_ROLE, role, node);
	return reject_value(p, predicate->keyword, at);
}

static int parse_family(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	return add_number(p, predicate->at, NODE_FAMILY, predicate->keyword->number, node);
}

/* tcpdump's "tcp port 80": here everything is. */
static int parse_tcp(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	return add_leaf(p, predicate->at, NODE_YES, node);
}

/* ---- names and paths ---------------------------------------------------- */

/* The end of the argument that begins at this byte, 0 if none does. */
static size_t argument_end(const struct parser *p, size_t begin)
{
	size_t at = 0;

	for (size_t i = 0; i < p->count && at <= begin; i++) {
		size_t len = strlen(p->words[i]);

		if (at == begin)
			return at + len;
		at += len + 1;
	}
	return 0;
}

/*
 * A name may have spaces and parentheses in it ("(sd-pam)"). When it is an
 * argument of its own the shell has taken its quotes, and the spaces belong to
 * it. An unmatched ')' closes what an earlier '(' opened.
 */
static size_t text_end(const struct parser *p, size_t begin)
{
	size_t argument = argument_end(p, begin), end = begin;
	size_t limit = argument ? argument : p->len;
	unsigned int open = 0;

	for (; end < limit; end++) {
		if (p->text[end] == '(')
			open++;
		else if (p->text[end] == ')' && open)
			open--;
		else if (p->text[end] == ')' || (!argument && ends_word(p->text[end])))
			break;
	}
	return end;
}

/* A name or a path: 'quoted', "quoted", or as text_end() says. */
static int take_text(struct parser *p, const struct predicate *predicate, struct span *text)
{
	struct span at = p->token.at;
	size_t after;

	if (p->token.kind != TOKEN_WORD && p->token.kind != TOKEN_OPEN)
		return reject_missing(p, predicate);
	if (p->text[at.begin] == '\'' || p->text[at.begin] == '"') {
		const char *close = strchr(p->text + at.begin + 1, p->text[at.begin]);

		if (!close)
			return reject(p, (struct span){ at.begin, p->len },
				      "the quote %c is never closed", p->text[at.begin]);
		*text = (struct span){ at.begin + 1, position(p, close) };
		after = text->end + 1;
	} else {
		*text = (struct span){ at.begin, text_end(p, at.begin) };
		after = text->end;
	}
	p->previous = (struct token){ .kind = TOKEN_WORD, .at = { at.begin, after } };
	if (text->begin == text->end)
		return reject_value(p, predicate->keyword, p->previous.at);
	scan_from(p, after);
	return 0;
}

static int parse_comm(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = take_text(p, predicate, &at);

	if (err)
		return err;
	if (at.end - at.begin >= EV_COMM_BYTES)
		return reject(p, at, "the kernel keeps %d bytes of a process name: did you mean \"%.*s\"?",
			      EV_COMM_BYTES - 1, EV_COMM_BYTES - 1, p->text + at.begin);
	err = add_leaf(p, at, NODE_COMM, node);
	if (!err)
		memcpy(p->filter->nodes[*node].comm, p->text + at.begin, at.end - at.begin);
	return err;
}

/* The inode of a namespace by its file. Anything else than a namespace is
 * refused: a name that `ip netns` left behind without its mount is a plain file
 * whose inode would match nothing, or, worse, something. */
static int look_up_netns(struct parser *p, struct span at, const char *path, uint32_t *inode)
{
	enum { PATH_SHOWN = 100 };
	struct statfs fs;
	struct stat file;

	if (stat(path, &file) || statfs(path, &fs))
		return reject(p, at, "netns \"%.*s\": %s", PATH_SHOWN, path, strerror(errno));
	if (fs.f_type != NSFS_MAGIC)
		return reject(p, at, "netns \"%.*s\" is not a network namespace", PATH_SHOWN, path);
	*inode = (uint32_t)file.st_ino;
	return 0;
}

static int parse_netns(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	char path[512];
	uint32_t inode = 0;
	struct span at;
	int len, err = take_text(p, predicate, &at);

	if (err)
		return err;
	len = (int)(at.end - at.begin);
	if (is_text(p, at, "self"))
		len = snprintf(path, sizeof(path), "/proc/self/ns/net");
	else if (find_char(p, at, '/'))
		len = snprintf(path, sizeof(path), "%.*s", len, p->text + at.begin);
	else if (!read_number(p, at, 1, UINT32_MAX, &inode))
		len = snprintf(path, sizeof(path), "/run/netns/%.*s", len, p->text + at.begin);
	if (!inode && (size_t)len >= sizeof(path))
		return reject(p, at, "the netns path is longer than %zu bytes", sizeof(path) - 1);
	if (!inode)
		err = look_up_netns(p, at, path, &inode);
	return err ? err : add_number(p, at, NODE_NETNS, inode, node);
}

/* ---- the grammar -------------------------------------------------------- */

#define WANTS_PORT "a number from 1 to 65535"
#define WANTS_NETNS "an inode, a path, a name under /run/netns or \"self\""
#define WANTS_PLACE "\"port\", \"host\", \"net\" or an address"

static const struct keyword keywords[] = {
	{ "port", parse_port, WANTS_PORT, SIDE_EITHER, 0 },
	{ "portrange", parse_port, WANTS_PORT, SIDE_EITHER, 0 },
	{ "sport", parse_port, WANTS_PORT, SIDE_LOCAL, 0 },
	{ "dport", parse_port, WANTS_PORT, SIDE_REMOTE, 0 },
	{ "host", parse_host, "an address such as 10.0.0.1 or fd00::1", SIDE_EITHER, 0 },
	{ "net", parse_net, "a network such as 10.0.0.0/8 or fd00::/8", SIDE_EITHER, 0 },
	{ "local", parse_place, WANTS_PLACE, SIDE_LOCAL, 0 },
	{ "remote", parse_place, WANTS_PLACE, SIDE_REMOTE, 0 },
	{ "src", parse_place, WANTS_PLACE, SIDE_LOCAL, 0 },
	{ "dst", parse_place, WANTS_PLACE, SIDE_REMOTE, 0 },
	{ "state", parse_state, "a TCP state such as established or time-wait", SIDE_EITHER, 0 },
	{ "pid", parse_pid, "the number of a process", SIDE_EITHER, 0 },
	{ "comm", parse_comm, "the name of a process", SIDE_EITHER, 0 },
	{ "netns", parse_netns, WANTS_NETNS, SIDE_EITHER, 0 },
	{ "role", parse_role, "\"client\" or \"server\"", SIDE_EITHER, 0 },
	{ "ipv4", parse_family, NULL, SIDE_EITHER, 4 },
	{ "ip", parse_family, NULL, SIDE_EITHER, 4 },
	{ "ipv6", parse_family, NULL, SIDE_EITHER, 6 },
	{ "ip6", parse_family, NULL, SIDE_EITHER, 6 },
	{ "tcp", parse_tcp, NULL, SIDE_EITHER, 0 },
};

static const struct keyword *port_keyword(void)
{
	return &keywords[0];
}

static const struct keyword *find_keyword(const struct parser *p, struct span at)
{
	for (size_t i = 0; i < COUNT_OF(keywords); i++)
		if (is_text(p, at, keywords[i].name))
			return &keywords[i];
	return NULL;
}

/* The keyword that a value without one most likely belongs to. */
static const char *missing_keyword(const struct parser *p, struct span at)
{
	const char *slash = find_char(p, at, '/');
	struct span address = at;
	uint8_t addr[16];

	if (slash)
		address.end = position(p, slash);
	if (address.begin < address.end && read_address(p, address, addr))
		return slash ? "net" : "host";
	if (strspn(p->text + at.begin, ":,-0123456789") >= at.end - at.begin)
		return "port";
	return state_bits(p, at) ? "state" : NULL;
}

static int reject_unknown(struct parser *p)
{
	struct span at = p->token.at;
	const char *keyword = missing_keyword(p, at);
	struct guess guess = { 0 };

	if (p->token.kind == TOKEN_COMPARE)
		return reject(p, at, "\"%.*s\" has nothing to compare on its left", SHOWN(p, at));
	if (keyword)
		return reject(p, at, "\"%.*s\" stands alone: did you mean \"%s %.*s\"?", SHOWN(p, at),
			      keyword, SHOWN(p, at));
	for (size_t i = 0; i < COUNT_OF(keywords); i++)
		hold_against(&guess, p, at, keywords[i].name);
	for (size_t i = 0; i < COUNT_OF(operators); i++)
		if (operators[i].kind != TOKEN_COMPARE)
			hold_against(&guess, p, at, operators[i].text);
	if (guess.name)
		return reject(p, at, "unknown word \"%.*s\": did you mean \"%s\"?", SHOWN(p, at),
			      guess.name);
	return reject(
		p, at,
		"unknown word \"%.*s\": a filter is made of words such as \"port 443\" or \"state time-wait\"",
		SHOWN(p, at));
}

/* "src port 80" is the keyword "port" with a side. */
static void take_side(struct parser *p, struct predicate *predicate)
{
	const struct keyword *keyword;

	if (predicate->keyword->parse != parse_place || p->token.kind != TOKEN_WORD)
		return;
	keyword = find_keyword(p, p->token.at);
	if (!keyword || keyword->side != SIDE_EITHER ||
	    (keyword->parse != parse_port && keyword->parse != parse_host && keyword->parse != parse_net))
		return;
	predicate->keyword = keyword;
	predicate->at = p->token.at;
	advance(p);
}

static int take_comparison(struct parser *p, struct predicate *predicate)
{
	if (p->token.kind != TOKEN_COMPARE)
		return 0;
	if (p->token.compare > COMPARE_NOT_EQUAL && predicate->keyword->parse != parse_port)
		return reject(p, p->token.at, "\"%.*s\" compares ports only", SHOWN(p, p->token.at));
	predicate->compare = p->token.compare;
	advance(p);
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
	advance(p);
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
		return reject(p, before, "\"%.*s\" has nothing on its right", SHOWN(p, before));
	case TOKEN_OPEN:
		if (p->token.kind == TOKEN_END)
			return reject(p, before, "\"(\" is never closed");
		if (p->token.kind == TOKEN_CLOSE)
			return reject(p, (struct span){ before.begin, at.end },
				      "\"(\" and \")\" have nothing between them");
		break;
	default:
		if (p->token.kind == TOKEN_CLOSE)
			return reject(p, at, "\")\" closes nothing: remove it, or open a \"(\" before it");
	}
	return reject(p, at, "\"%.*s\" has nothing on its left", SHOWN(p, at));
}

static int enter(struct parser *p)
{
	if (p->depth == NESTING_MAX)
		return reject(p, p->token.at,
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
	advance(p);
	err = parse_chain(p, NODE_OR, node);
	if (err)
		return err;
	if (p->token.kind != TOKEN_CLOSE)
		return reject(p, open, "\"(\" is never closed");
	advance(p);
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
		advance(p);
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
		advance(p);
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

	scan_from(p, 0);
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
