/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter at work: how its tree is put together, what it says about a
 * connection, and the simple part of it that the kernel applies first.
 * filter_parse.c builds the tree from words; the verbs ask for the verdict on
 * each event and hand the terms to whatever loads the kernel's side.
 */
#include "event/filter_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the tree ----------------------------------------------------------- */

static struct filter *resize(struct filter *filter, uint32_t capacity)
{
	filter = realloc(filter, sizeof(*filter) + capacity * sizeof(filter->nodes[0]));
	if (filter)
		filter->capacity = capacity;
	return filter;
}

struct filter *filter__new(void)
{
	struct filter *filter = resize(NULL, 8);

	if (!filter)
		return NULL;
	filter->root = 0;
	filter->count = 1;
	memset(&filter->nodes[0], 0, sizeof(filter->nodes[0]));
	return filter;
}

int filter__add_node(struct filter **filter, enum node_kind kind, uint32_t *index)
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

int filter__add_not(struct filter **filter, uint32_t child, uint32_t *index)
{
	int err = filter__add_node(filter, NODE_NOT, index);

	if (!err)
		(*filter)->nodes[*index].child = child;
	return err;
}

int chain__add(struct chain *chain, struct filter **filter, uint32_t operand)
{
	uint32_t group;
	int err;

	if (!chain->root) {
		chain->root = operand;
	} else {
		if (chain->root == chain->last) {
			err = filter__add_node(filter, chain->kind, &group);
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
		return left ? left : right ? right : filter__new();
	both = append(left, right, &shift);
	if (!both)
		goto no_memory;
	left = both;
	if (left->root && right->root) {
		if (chain__add(&chain, &left, left->root) ||
		    chain__add(&chain, &left, right->root + shift))
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

static enum filter_verdict match_ports(const struct node *node, const struct filter_subject *subject)
{
	if (node->side == SIDE_LOCAL)
		return match_port(node, subject->local_port);
	if (node->side == SIDE_REMOTE)
		return match_port(node, subject->remote_port);
	return either(match_port(node, subject->local_port), match_port(node, subject->remote_port));
}

static enum filter_verdict match_nets(const struct node *node, const struct filter_subject *subject)
{
	if (node->side == SIDE_LOCAL)
		return match_net(node, subject->local_addr);
	if (node->side == SIDE_REMOTE)
		return match_net(node, subject->remote_addr);
	return either(match_net(node, subject->local_addr), match_net(node, subject->remote_addr));
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
		return subject->states ? verdict_of(subject->states & node->number) : FILTER_UNDECIDED;
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

bool filter__accepts_all(const struct filter *filter)
{
	return !filter->root;
}

/* ---- what the kernel is told -------------------------------------------- */

/*
 * Terms are computed bottom up: each node's terms hold for every connection
 * that the node accepts. Of an "and" both sides hold, and the narrower of two
 * for the same slot is kept; of an "or" only what both sides have in common,
 * made as wide as the two together. Wider is always right, only slower.
 */

static void use_narrower_ports(struct kernel_filter_ports *into, const struct kernel_filter_ports *other)
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

void mask__set(uint8_t mask[16], unsigned int bits)
{
	memset(mask, 0, 16);
	memset(mask, 0xff, bits / 8);
	if (bits % 8)
		mask[bits / 8] = (uint8_t)(0xff00 >> bits % 8);
}

unsigned int mask__bits(const uint8_t mask[16])
{
	unsigned int bits = 0;

	for (int i = 0; i < 16; i++)
		bits += (unsigned int)__builtin_popcount(mask[i]);
	return bits;
}

static void use_narrower_net(struct kernel_filter_net *into, const struct kernel_filter_net *other)
{
	if (mask__bits(other->mask) > mask__bits(into->mask))
		*into = *other;
}

/* The smallest network that holds both: their common leading bits. */
static void widen_net(struct kernel_filter_net *into, const struct kernel_filter_net *other)
{
	unsigned int bits = mask__bits(into->mask), limit = mask__bits(other->mask), same = 0;

	if (limit < bits)
		bits = limit;
	while (same < bits && !((into->address[same / 8] ^ other->address[same / 8]) & 0x80 >> same % 8))
		same++;
	mask__set(into->mask, same);
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
	return mask__bits(net->mask) != 0;
}

/* What holds for one side holds for "either", so that "sport 80 or dport 80"
 * has something in common. */
static void imply_either(struct kernel_filter *terms)
{
	if (!terms->either_ports.count)
		terms->either_ports = terms->local_ports.count ? terms->local_ports : terms->remote_ports;
	if (!is_net_set(&terms->either_net))
		terms->either_net = is_net_set(&terms->local_net) ? terms->local_net : terms->remote_net;
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
	struct kernel_filter_ports *ports = node->side == SIDE_LOCAL  ? &terms->local_ports :
					    node->side == SIDE_REMOTE ? &terms->remote_ports :
									&terms->either_ports;

	if (node->port.high - node->port.low >= KERNEL_FILTER_PORTS)
		return;
	for (uint32_t port = node->port.low; port <= node->port.high; port++)
		add_port(ports, (uint16_t)port);
}

static void net_terms(const struct node *node, struct kernel_filter *terms)
{
	struct kernel_filter_net *net = node->side == SIDE_LOCAL  ? &terms->local_net :
					node->side == SIDE_REMOTE ? &terms->remote_net :
								    &terms->either_net;

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

static bool ports_imply(const struct kernel_filter_ports *narrow, const struct kernel_filter_ports *wide)
{
	struct kernel_filter_ports both = *wide;

	for (uint32_t i = 0; i < narrow->count; i++)
		if (!add_port(&both, narrow->port[i]) || both.count != wide->count)
			return false;
	return narrow->count;
}

static bool net_implies(const struct kernel_filter_net *narrow, const struct kernel_filter_net *wide)
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
