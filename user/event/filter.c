/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter: from the words on the command line to a tree, from the tree to a
 * verdict on a connection, and to the simple part that the kernel applies.
 *
 * The tree is one block: nodes in an array that name each other by index.
 * Groups ("and", "or") have any number of children in a list, so that the
 * depth of the tree, and with it every recursion here, is bounded by how deep
 * the parentheses go and not by how long the filter is.
 */
#include "event/filter.h"

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

enum node_kind {
	NODE_YES,
	NODE_AND,
	NODE_OR,
	NODE_NOT,
	NODE_PORT,
	NODE_NET,
	NODE_FAMILY,
	NODE_STATE,
	NODE_PID,
	NODE_COMM,
	NODE_NETNS,
	NODE_ROLE,
};

enum side {
	SIDE_EITHER,
	SIDE_LOCAL,
	SIDE_REMOTE,
};

struct node {
	uint8_t kind; /* enum node_kind */
	uint8_t side; /* enum side, of a port or a net */
	uint32_t child; /* the first, of a group; the only, of a NOT; 0 none */
	uint32_t next; /* the next child of the same parent; 0 none */
	union {
		struct {
			uint16_t low;
			uint16_t high;
		} port;
		struct {
			uint8_t address[16];
			uint8_t mask[16];
			uint8_t family; /* what the user wrote: 4 or 6 */
		} net;
		char comm[EV_COMM_BYTES];
		uint32_t number; /* all others */
	};
};

struct filter {
	uint32_t root;
	uint32_t count;
	uint32_t capacity;
	/* [0] says yes to everything; as an index, 0 means "none". */
	struct node nodes[];
};

/* ---- the tree ----------------------------------------------------------- */

static struct filter *resize(struct filter *filter, uint32_t capacity)
{
	filter = realloc(filter, sizeof(*filter) + capacity * sizeof(filter->nodes[0]));
	if (filter)
		filter->capacity = capacity;
	return filter;
}

static struct filter *new_filter(void)
{
	struct filter *filter = resize(NULL, 8);

	if (!filter)
		return NULL;
	filter->root = 0;
	filter->count = 1;
	memset(&filter->nodes[0], 0, sizeof(filter->nodes[0]));
	return filter;
}

static int add_node(struct filter **filter, enum node_kind kind, uint32_t *index)
{
	struct filter *f = *filter;

	if (f->count == f->capacity) {
		f = resize(f, f->capacity * 2);
		if (!f)
			return -ENOMEM;
		*filter = f;
	}
	*index = f->count++;
	memset(&f->nodes[*index], 0, sizeof(f->nodes[0]));
	f->nodes[*index].kind = (uint8_t)kind;
	return 0;
}

static int add_not(struct filter **filter, uint32_t child, uint32_t *index)
{
	int err = add_node(filter, NODE_NOT, index);

	if (!err)
		(*filter)->nodes[*index].child = child;
	return err;
}

/* Operands of one group while it is put together. A single operand needs no
 * group and stands for itself. */
struct chain {
	enum node_kind kind;
	uint32_t root; /* 0 while empty */
	uint32_t last;
};

static int add_operand(struct filter **filter, struct chain *chain, uint32_t operand)
{
	uint32_t group;
	int err;

	if (!chain->root) {
		chain->root = operand;
	} else {
		if (chain->root == chain->last) {
			err = add_node(filter, chain->kind, &group);
			if (err)
				return err;
			(*filter)->nodes[group].child = chain->last;
			chain->root = group;
		}
		(*filter)->nodes[chain->last].next = operand;
	}
	chain->last = operand;
	return 0;
}

void filter__free(struct filter *filter)
{
	free(filter);
}

/* Copies the nodes of other behind those of filter; the new index of a node is
 * the old one plus *shift. */
static struct filter *append(struct filter *filter, const struct filter *other, uint32_t *shift)
{
	struct filter *f = resize(filter, filter->count + other->count);

	if (!f)
		return NULL;
	*shift = f->count - 1;
	for (uint32_t i = 1; i < other->count; i++) {
		struct node *node = &f->nodes[f->count++];

		*node = other->nodes[i];
		node->child += node->child ? *shift : 0;
		node->next += node->next ? *shift : 0;
	}
	return f;
}

struct filter *filter__and(struct filter *left, struct filter *right)
{
	struct chain chain = { .kind = NODE_AND };
	struct filter *both;
	uint32_t shift;

	if (!left || !right)
		return left ? left : right ? right : new_filter();
	both = append(left, right, &shift);
	if (!both)
		goto no_memory;
	left = both;
	if (left->root && right->root) {
		if (add_operand(&left, &chain, left->root) ||
		    add_operand(&left, &chain, right->root + shift))
			goto no_memory;
		left->root = chain.root;
	} else if (right->root) {
		left->root = right->root + shift;
	}
	filter__free(right);
	return left;
no_memory:
	filter__free(left);
	filter__free(right);
	errno = ENOMEM;
	return NULL;
}

/* ---- the verdict -------------------------------------------------------- */

static enum filter_verdict verdict_of(bool yes)
{
	return yes ? FILTER_YES : FILTER_NO;
}

static enum filter_verdict opposite(enum filter_verdict verdict)
{
	return verdict == FILTER_UNDECIDED ? verdict : verdict_of(verdict == FILTER_NO);
}

static enum filter_verdict either(enum filter_verdict a, enum filter_verdict b)
{
	if (a == FILTER_YES || b == FILTER_YES)
		return FILTER_YES;
	return a == FILTER_NO ? b : a;
}

static enum filter_verdict match_port(const struct node *node, uint16_t port)
{
	if (!port)
		return FILTER_UNDECIDED;
	return verdict_of(node->port.low <= port && port <= node->port.high);
}

static enum filter_verdict match_net(const struct node *node, const uint8_t *addr)
{
	uint64_t a[2], mask[2], net[2];

	if (!addr)
		return FILTER_UNDECIDED;
	/* ::/0 is every IPv6 address, but as bits it holds the v4-mapped too. */
	if (addr__family(addr) != node->net.family)
		return FILTER_NO;
	memcpy(a, addr, 16);
	memcpy(mask, node->net.mask, 16);
	memcpy(net, node->net.address, 16);
	return verdict_of((a[0] & mask[0]) == net[0] && (a[1] & mask[1]) == net[1]);
}

static enum filter_verdict match_family(uint32_t family, const struct filter_subject *subject)
{
	const uint8_t *addr = subject->remote_addr ? subject->remote_addr : subject->local_addr;

	return addr ? verdict_of(addr__family(addr) == family) : FILTER_UNDECIDED;
}

static enum filter_verdict match_role(uint32_t wanted, enum role role)
{
	if (role == ROLE_UNKNOWN)
		return FILTER_UNDECIDED;
	if (role == ROLE_BOTH && (wanted == ROLE_CLIENT || wanted == ROLE_SERVER))
		return FILTER_YES;
	return verdict_of((uint32_t)role == wanted);
}

static enum filter_verdict match_number(uint32_t wanted, uint32_t number)
{
	return number ? verdict_of(number == wanted) : FILTER_UNDECIDED;
}

static enum filter_verdict match_comm(const char *wanted, const char *comm)
{
	/* An owner that is not known is often zeros rather than NULL. */
	if (!comm || !comm[0])
		return FILTER_UNDECIDED;
	return verdict_of(!strncmp(wanted, comm, EV_COMM_BYTES));
}

static enum filter_verdict match_ports(const struct node *node,
				       const struct filter_subject *subject)
{
	if (node->side == SIDE_LOCAL)
		return match_port(node, subject->local_port);
	if (node->side == SIDE_REMOTE)
		return match_port(node, subject->remote_port);
	return either(match_port(node, subject->local_port),
		      match_port(node, subject->remote_port));
}

static enum filter_verdict match_nets(const struct node *node,
				      const struct filter_subject *subject)
{
	if (node->side == SIDE_LOCAL)
		return match_net(node, subject->local_addr);
	if (node->side == SIDE_REMOTE)
		return match_net(node, subject->remote_addr);
	return either(match_net(node, subject->local_addr),
		      match_net(node, subject->remote_addr));
}

static enum filter_verdict match_node(const struct filter *filter, uint32_t index,
				      const struct filter_subject *subject);

/* One child can decide: NO decides an "and", YES an "or". */
static enum filter_verdict match_group(const struct filter *filter, const struct node *group,
				       const struct filter_subject *subject)
{
	enum filter_verdict decisive = verdict_of(group->kind == NODE_OR);
	enum filter_verdict result = opposite(decisive);

	for (uint32_t i = group->child; i; i = filter->nodes[i].next) {
		enum filter_verdict verdict = match_node(filter, i, subject);

		if (verdict == decisive)
			return decisive;
		if (verdict == FILTER_UNDECIDED)
			result = FILTER_UNDECIDED;
	}
	return result;
}

static enum filter_verdict match_node(const struct filter *filter, uint32_t index,
				      const struct filter_subject *subject)
{
	const struct node *node = &filter->nodes[index];

	switch ((enum node_kind)node->kind) {
	case NODE_YES:
		return FILTER_YES;
	case NODE_AND:
	case NODE_OR:
		return match_group(filter, node, subject);
	case NODE_NOT:
		return opposite(match_node(filter, node->child, subject));
	case NODE_PORT:
		return match_ports(node, subject);
	case NODE_NET:
		return match_nets(node, subject);
	case NODE_FAMILY:
		return match_family(node->number, subject);
	case NODE_STATE:
		return subject->states ? verdict_of(subject->states & node->number)
				       : FILTER_UNDECIDED;
	case NODE_PID:
		return match_number(node->number, subject->pid);
	case NODE_NETNS:
		return match_number(node->number, subject->netns);
	case NODE_COMM:
		return match_comm(node->comm, subject->comm);
	case NODE_ROLE:
		return match_role(node->number, subject->role);
	}
	return FILTER_UNDECIDED;
}

enum filter_verdict filter__match(const struct filter *filter, const struct filter_subject *subject)
{
	return match_node(filter, filter->root, subject);
}

/* ---- what the kernel is told -------------------------------------------- */

/*
 * Terms are computed bottom up: each node's terms hold for every connection
 * that the node accepts. Of an "and" both sides hold, and the narrower of two
 * for the same slot is kept; of an "or" only what both sides have in common,
 * made as wide as the two together. Wider is always right, only slower.
 */

static void use_narrower_ports(struct kernel_filter_ports *into,
			       const struct kernel_filter_ports *other)
{
	if (other->count && (!into->count || other->count < into->count))
		*into = *other;
}

/* False when the list is full. */
static bool add_port(struct kernel_filter_ports *ports, uint16_t port)
{
	for (uint32_t i = 0; i < ports->count; i++)
		if (ports->port[i] == port)
			return true;
	if (ports->count == KERNEL_FILTER_PORTS)
		return false;
	ports->port[ports->count++] = port;
	return true;
}

/* Count 0 is the widest: it lets every port pass. */
static void widen_ports(struct kernel_filter_ports *into, const struct kernel_filter_ports *other)
{
	bool fits = into->count && other->count;

	for (uint32_t i = 0; fits && i < other->count; i++)
		fits = add_port(into, other->port[i]);
	if (!fits)
		memset(into, 0, sizeof(*into));
}

static void set_mask(uint8_t mask[16], unsigned int bits)
{
	memset(mask, 0, 16);
	memset(mask, 0xff, bits / 8);
	if (bits % 8)
		mask[bits / 8] = (uint8_t)(0xff00 >> bits % 8);
}

static unsigned int mask_bits(const uint8_t mask[16])
{
	unsigned int bits = 0;

	for (int i = 0; i < 16; i++)
		bits += (unsigned int)__builtin_popcount(mask[i]);
	return bits;
}

static void use_narrower_net(struct kernel_filter_net *into, const struct kernel_filter_net *other)
{
	if (mask_bits(other->mask) > mask_bits(into->mask))
		*into = *other;
}

/* The smallest network that holds both: their common leading bits. */
static void widen_net(struct kernel_filter_net *into, const struct kernel_filter_net *other)
{
	unsigned int bits = mask_bits(into->mask), limit = mask_bits(other->mask), same = 0;

	if (limit < bits)
		bits = limit;
	while (same < bits &&
	       !((into->address[same / 8] ^ other->address[same / 8]) & 0x80 >> same % 8))
		same++;
	set_mask(into->mask, same);
	for (int i = 0; i < 16; i++)
		into->address[i] &= into->mask[i];
}

static void use_narrower(struct kernel_filter *into, const struct kernel_filter *other)
{
	if (!into->family)
		into->family = other->family;
	if (!into->netns)
		into->netns = other->netns;
	use_narrower_ports(&into->local_ports, &other->local_ports);
	use_narrower_ports(&into->remote_ports, &other->remote_ports);
	use_narrower_ports(&into->either_ports, &other->either_ports);
	use_narrower_net(&into->local_net, &other->local_net);
	use_narrower_net(&into->remote_net, &other->remote_net);
	use_narrower_net(&into->either_net, &other->either_net);
}

static bool is_net_set(const struct kernel_filter_net *net)
{
	return mask_bits(net->mask) != 0;
}

/* What holds for one side holds for "either", so that "sport 80 or dport 80"
 * has something in common. */
static void imply_either(struct kernel_filter *terms)
{
	if (!terms->either_ports.count)
		terms->either_ports = terms->local_ports.count ? terms->local_ports
							       : terms->remote_ports;
	if (!is_net_set(&terms->either_net))
		terms->either_net = is_net_set(&terms->local_net) ? terms->local_net
								  : terms->remote_net;
}

static void widen(struct kernel_filter *into, const struct kernel_filter *other)
{
	struct kernel_filter mine = *into, its = *other;

	imply_either(&mine);
	imply_either(&its);
	if (mine.family != its.family)
		mine.family = 0;
	if (mine.netns != its.netns)
		mine.netns = 0;
	widen_ports(&mine.local_ports, &its.local_ports);
	widen_ports(&mine.remote_ports, &its.remote_ports);
	widen_ports(&mine.either_ports, &its.either_ports);
	widen_net(&mine.local_net, &its.local_net);
	widen_net(&mine.remote_net, &its.remote_net);
	widen_net(&mine.either_net, &its.either_net);
	*into = mine;
}

static void port_terms(const struct node *node, struct kernel_filter *terms)
{
	struct kernel_filter_ports *ports = node->side == SIDE_LOCAL ? &terms->local_ports
					  : node->side == SIDE_REMOTE ? &terms->remote_ports
								      : &terms->either_ports;

	if (node->port.high - node->port.low >= KERNEL_FILTER_PORTS)
		return;
	for (uint32_t port = node->port.low; port <= node->port.high; port++)
		add_port(ports, (uint16_t)port);
}

static void net_terms(const struct node *node, struct kernel_filter *terms)
{
	struct kernel_filter_net *net = node->side == SIDE_LOCAL ? &terms->local_net
				      : node->side == SIDE_REMOTE ? &terms->remote_net
								  : &terms->either_net;

	memcpy(net->address, node->net.address, 16);
	memcpy(net->mask, node->net.mask, 16);
}

/* Of a negated predicate only the family leaves something simple to say. */
static void leaf_terms(const struct node *node, bool negated, struct kernel_filter *terms)
{
	if (node->kind == NODE_FAMILY)
		terms->family = (node->number == 4) != negated ? AF_INET : AF_INET6;
	else if (node->kind == NODE_PORT && !negated)
		port_terms(node, terms);
	else if (node->kind == NODE_NET && !negated)
		net_terms(node, terms);
	else if (node->kind == NODE_NETNS && !negated)
		terms->netns = node->number;
}

/* *terms is all zero on entry. De Morgan: "not (a or b)" is "not a and not b". */
static void node_terms(const struct filter *filter, uint32_t index, bool negated,
		       struct kernel_filter *terms)
{
	const struct node *node = &filter->nodes[index];
	struct kernel_filter child;

	if (node->kind == NODE_NOT) {
		node_terms(filter, node->child, !negated, terms);
		return;
	}
	if (node->kind != NODE_AND && node->kind != NODE_OR) {
		leaf_terms(node, negated, terms);
		return;
	}
	for (uint32_t i = node->child; i; i = filter->nodes[i].next) {
		memset(&child, 0, sizeof(child));
		node_terms(filter, i, negated, &child);
		if (i == node->child)
			*terms = child;
		else if ((node->kind == NODE_AND) != negated)
			use_narrower(terms, &child);
		else
			widen(terms, &child);
	}
}

static bool ports_imply(const struct kernel_filter_ports *narrow,
			const struct kernel_filter_ports *wide)
{
	struct kernel_filter_ports both = *wide;

	for (uint32_t i = 0; i < narrow->count; i++)
		if (!add_port(&both, narrow->port[i]) || both.count != wide->count)
			return false;
	return narrow->count;
}

static bool net_implies(const struct kernel_filter_net *narrow,
			const struct kernel_filter_net *wide)
{
	struct kernel_filter_net both = *narrow;

	widen_net(&both, wide);
	return !memcmp(&both, wide, sizeof(both));
}

void filter__kernel_terms(const struct filter *filter, struct kernel_filter *terms)
{
	memset(terms, 0, sizeof(*terms));
	node_terms(filter, filter->root, false, terms);

	/* What imply_either() left over costs time and keeps nothing out. */
	if (ports_imply(&terms->local_ports, &terms->either_ports) ||
	    ports_imply(&terms->remote_ports, &terms->either_ports))
		memset(&terms->either_ports, 0, sizeof(terms->either_ports));
	if (net_implies(&terms->local_net, &terms->either_net) ||
	    net_implies(&terms->remote_net, &terms->either_net))
		memset(&terms->either_net, 0, sizeof(terms->either_net));
}

/* ---- text that came from outside ---------------------------------------- */

/*
 * The bytes of the character at text that may go to a terminal, 0 if it may
 * not: control characters (C0, DEL, C1) and whatever is not UTF-8, since a
 * terminal may take a stray byte for a C1 control.
 */
static size_t printable_bytes(const char *text, size_t len)
{
	/* By length: the lowest code point that needs it, above the controls. */
	static const uint32_t lowest[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	unsigned char first = (unsigned char)text[0];
	size_t bytes = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3
		     : first >> 3 == 30 ? 4 : 0;
	uint32_t code = bytes < 2 ? first : first & 0x7fU >> bytes;

	if (!bytes || bytes > len)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < lowest[bytes] || code == 0x7f || code > 0x10ffff || code >> 11 == 0x1b)
		return 0;
	return bytes;
}

static void hide_controls(char *text)
{
	size_t len = strlen(text), bytes;

	for (size_t at = 0; at < len; at += bytes ? bytes : 1) {
		bytes = printable_bytes(text + at, len - at);
		if (!bytes)
			text[at] = '?';
	}
}

/* Where filter__explain() writes: counts on when the room is used up. */
struct output {
	char *text;
	size_t size;
	size_t len;
};

static void put(struct output *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++, out->len++)
		if (out->len < out->size)
			out->text[out->len] = text[i];
}

/* One character of the joined text, which is at byte `at`, in either line. */
static size_t put_character(struct output *out, const char *text, size_t len, size_t at,
			    const struct filter_error *carets)
{
	size_t bytes = printable_bytes(text, len);

	if (!carets)
		put(out, bytes ? text : "?", bytes ? bytes : 1);
	else if (at == carets->begin)
		put(out, "^", 1);
	else if (at < carets->end)
		put(out, at > carets->begin ? "~" : " ", 1);
	return bytes ? bytes : 1;
}

/* The joined text, or with carets the line under it. */
static void put_line(struct output *out, const char *const *words, size_t count,
		     const struct filter_error *carets)
{
	size_t at = 0; /* in the joined text */

	put(out, "  ", 2);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(words[i]), done = 0;

		if (i)
			at += put_character(out, " ", 1, at, carets);
		while (done < len)
			done += put_character(out, words[i] + done, len - done, at + done, carets);
		at += len;
	}
	put(out, "\n", 1);
}

int filter__explain(const struct filter_error *error, const char *const *words, size_t count,
		    char *out, size_t size)
{
	struct output output = { .text = out, .size = size };

	put(&output, error->message, strlen(error->message));
	put(&output, "\n", 1);
	put_line(&output, words, count, NULL);
	put_line(&output, words, count, error);
	if (size)
		out[output.len < size ? output.len : size - 1] = '\0';
	return (int)output.len;
}

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
	struct token token; /* the next one to look at */
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

__attribute__((format(printf, 3, 4)))
static int reject(struct parser *p, struct span at, const char *format, ...)
		  {
	struct filter_error *error = p->error;
	va_list args;

	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	hide_controls(error->message);
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
static void hold_against(struct guess *guess, const struct parser *p, struct span at,
			 const char *name)
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
	return add_node(&p->filter, kind, node);
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
	return reject(p, at, "%s wants %s, not \"%.*s\"", keyword->name, keyword->wants,
		      SHOWN(p, at));
}

/* The token where a value is wanted is none. */
static int reject_missing(struct parser *p, const struct predicate *predicate)
{
	const struct keyword *keyword = predicate->keyword;

	if (p->token.kind == TOKEN_END || p->token.kind == TOKEN_CLOSE)
		return reject(p, predicate->at, "%s wants %s after it", keyword->name,
			      keyword->wants);
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
	return reject(p, list, "\"%.*s\" has an empty place: write a list with one comma between two and no spaces",
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

static int add_ports(struct parser *p, const struct predicate *predicate, struct span at,
		     uint32_t low, uint32_t high, uint32_t *node)
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
		return reject(p, at, "\"%.*s\" runs backwards: did you mean \"%u-%u\"?",
			      SHOWN(p, at), high, low);
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
			err = add_operand(&p->filter, &chain, operand);
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
	unsigned int bits = mask_bits(net->net.mask) - (addr__is_v4(net->net.address) ? 96 : 0);
	int network_len = (int)addr__format(net->net.address, network);
	int host_len = (int)addr__format(addr, host);

	return reject(p, at, "an address bit is set beyond the length: did you mean \"%.*s/%u\" or \"%.*s\"?",
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
	set_mask(node->net.mask, slash && most == 32 ? 96 + bits : bits);
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
		return reject(p, at, "net wants a length after the address: add it, or write \"host %.*s\"",
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
			err = add_operand(&p->filter, &chain, operand);
	}
	if (!err && address.end < at.end) {
		with_port.keyword = port_keyword();
		if (port.begin == port.end)
			return reject_value(p, predicate->keyword, at);
		err = parse_port_list(p, &with_port, port, &operand);
		if (!err)
			err = add_operand(&p->filter, &chain, operand);
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
		return reject(p, at, "\"%.*s\" stands alone: did you mean \"%s %.*s\"?",
			      SHOWN(p, at), keyword, SHOWN(p, at));
	for (size_t i = 0; i < COUNT_OF(keywords); i++)
		hold_against(&guess, p, at, keywords[i].name);
	for (size_t i = 0; i < COUNT_OF(operators); i++)
		if (operators[i].kind != TOKEN_COMPARE)
			hold_against(&guess, p, at, operators[i].text);
	if (guess.name)
		return reject(p, at, "unknown word \"%.*s\": did you mean \"%s\"?", SHOWN(p, at),
			      guess.name);
	return reject(p, at, "unknown word \"%.*s\": a filter is made of words such as \"port 443\" or \"state time-wait\"",
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
	    (keyword->parse != parse_port && keyword->parse != parse_host &&
	     keyword->parse != parse_net))
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
		return reject(p, p->token.at, "\"%.*s\" compares ports only",
			      SHOWN(p, p->token.at));
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
		err = add_not(&p->filter, *node, node);
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
		return reject(p, p->token.at, "\"(\" and \"not\" go at most %d deep: write the filter flatter",
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
		return err ? err : add_not(&p->filter, *node, node);
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
		err = kind == NODE_OR ? parse_chain(p, NODE_AND, &operand)
				      : parse_factor(p, &operand);
		if (!err)
			err = add_operand(&p->filter, &chain, operand);
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
	p.filter = new_filter();
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
