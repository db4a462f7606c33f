/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Predicates on where a connection goes: ports with their lists, ranges and
 * bounds, addresses, networks, and ss's ADDR:PORT.
 */
#include "event/filter_parser.h"

#include <arpa/inet.h>
#include <string.h>

static int add_ports(struct parser *p, const struct predicate *predicate, struct span at, uint32_t low,
		     uint32_t high, uint32_t *node)
{
	int err = parser__add_leaf(p, at, NODE_PORT, node);

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
	const char *dash = span__find(p, at, '-');
	struct span first = at, last;
	uint32_t low, high;

	if (dash)
		first.end = parser__offset(p, dash);
	if (first.begin < first.end && p->text[first.begin] == ':')
		first.begin++;
	last = dash ? (struct span){ first.end + 1, at.end } : first;
	if (first.begin == first.end || last.begin == last.end)
		return parser__reject_value(p, predicate->keyword, at);
	if (!span__number(p, first, 1, UINT16_MAX, &low))
		return parser__reject_value(p, predicate->keyword, first);
	if (!span__number(p, last, 1, UINT16_MAX, &high))
		return parser__reject_value(p, predicate->keyword, last);
	if (low > high)
		return parser__reject(p, at, "\"%.*s\" runs backwards: did you mean \"%u-%u\"?",
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

	while (!err && span__next_element(p, &rest, &at)) {
		if (at.begin == at.end)
			return parser__reject_empty_element(p, list);
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
	if (!span__number(p, digits, 1, UINT16_MAX, &number))
		return parser__reject_value(p, predicate->keyword, at);
	if (predicate->compare == COMPARE_LESS || predicate->compare == COMPARE_LESS_EQUAL)
		high = number - (predicate->compare == COMPARE_LESS);
	else
		low = number + (predicate->compare == COMPARE_GREATER);
	if (low > high)
		return parser__reject(p, at, "no port is %s %u", number == 1 ? "below" : "above", number);
	return add_ports(p, predicate, at, low, high, node);
}

int predicate__port(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = parser__take_value(p, predicate, &at);

	if (err)
		return err;
	if (predicate->compare > COMPARE_NOT_EQUAL)
		return parse_port_bound(p, predicate, at, node);
	return parse_port_list(p, predicate, at, node);
}

bool span__address(const struct parser *p, struct span at, uint8_t addr[16])
{
	char text[INET6_ADDRSTRLEN + 2] = "";
	bool v6 = span__find(p, at, ':');

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

	return parser__reject(
		p, at, "an address bit is set beyond the length: did you mean \"%.*s/%u\" or \"%.*s\"?",
		network_len, network, bits, host_len, host);
}

/* ADDR or ADDR/LEN. */
static int parse_network(struct parser *p, const struct predicate *predicate, struct span at,
			 uint32_t *index)
{
	const char *slash = span__find(p, at, '/');
	struct span address = at, length = at;
	struct node *node;
	uint8_t addr[16];
	uint32_t bits = 128, most;
	int err;

	if (slash)
		address.end = parser__offset(p, slash);
	if (!span__address(p, address, addr))
		return parser__reject_value(p, predicate->keyword, at);
	most = span__find(p, address, ':') ? 128 : 32;
	length.begin = address.end + 1;
	if (slash && !span__number(p, length, 0, most, &bits))
		return parser__reject(p, at,
				      "the length after the \"/\" is a number from 0 to %u, not \"%.*s\"",
				      most, SHOWN(p, length));
	err = parser__add_leaf(p, at, NODE_NET, index);
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

int predicate__host(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = parser__take_value(p, predicate, &at);

	if (err)
		return err;
	if (span__find(p, at, '/'))
		return parser__reject(p, at, "host wants one address: write \"net %.*s\"", SHOWN(p, at));
	return parse_network(p, predicate, at, node);
}

int predicate__net(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	uint8_t addr[16];
	struct span at;
	int err = parser__take_value(p, predicate, &at);

	if (err)
		return err;
	if (span__address(p, at, addr))
		return parser__reject(
			p, at, "net wants a length after the address: add it, or write \"host %.*s\"",
			SHOWN(p, at));
	return parse_network(p, predicate, at, node);
}

/* Where the port begins in ADDR:PORT, [ADDR]:PORT or :PORT; at.end if there is
 * none. A bare IPv6 address has more than one ':'. */
static size_t find_port(const struct parser *p, struct span at)
{
	const char *bracket = p->text[at.begin] == '[' ? span__find(p, at, ']') : NULL;
	struct span rest = at;
	const char *colon;

	if (bracket)
		rest.begin = parser__offset(p, bracket) + 1;
	colon = span__find(p, rest, ':');
	if (!colon)
		return at.end;
	rest.begin = parser__offset(p, colon) + 1;
	return span__find(p, rest, ':') ? at.end : parser__offset(p, colon);
}

/* "src" and its like without "port", "host" or "net", as ss has them: an
 * address, a network, and a port with or without them ("*:443"). */
int predicate__place(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct predicate with_port = *predicate;
	struct chain chain = { .kind = NODE_AND };
	struct span at, address, port;
	uint32_t operand = 0;
	int err = parser__take_value(p, predicate, &at);

	if (err)
		return err;
	address = port = at;
	address.end = find_port(p, at);
	port.begin = address.end + 1;
	if (address.end == at.end || (address.begin < address.end && !span__is(p, address, "*"))) {
		err = parse_network(p, predicate, address, &operand);
		if (!err)
			err = chain__add(&chain, &p->filter, operand);
	}
	if (!err && address.end < at.end) {
		with_port.keyword = keyword__port();
		if (port.begin == port.end)
			return parser__reject_value(p, predicate->keyword, at);
		err = parse_port_list(p, &with_port, port, &operand);
		if (!err)
			err = chain__add(&chain, &p->filter, operand);
	}
	*node = chain.root;
	return err;
}
