/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the filter: the tree that filter_parse.c builds and filter.c asks, and
 * the few functions that the files of the filter share. Private to them.
 *
 * The tree is one block: nodes in an array that name each other by index.
 * Groups ("and", "or") have any number of children in a list, so that the
 * depth of the tree, and with it every recursion, is bounded by how deep the
 * parentheses go and not by how long the filter is.
 */
#ifndef TCPSAGA_EVENT_FILTER_TREE_H
#define TCPSAGA_EVENT_FILTER_TREE_H

#include "event/filter.h"

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
	uint8_t kind;	/* enum node_kind */
	uint8_t side;	/* enum side, of a port or a net */
	uint32_t child; /* the first, of a group; the only, of a NOT; 0 none */
	uint32_t next;	/* the next child of the same parent; 0 none */
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

/* A filter that says yes to everything, owned; NULL with errno ENOMEM. */
struct filter *filter__new(void);

/*
 * Adds a node, all zero but for its kind, and tells its index; filter__add_not()
 * puts it above child, which has no parent yet. 0 or -ENOMEM, which leaves the
 * filter as it was. *filter moves as it grows: a pointer to a node does not
 * outlive the call.
 */
int filter__add_node(struct filter **filter, enum node_kind kind, uint32_t *index);
int filter__add_not(struct filter **filter, uint32_t child, uint32_t *index);

/* Operands of one group while it is put together. A single operand needs no
 * group and stands for itself. */
struct chain {
	enum node_kind kind;
	uint32_t root; /* 0 while empty */
	uint32_t last;
};

/* Puts an operand, which has no parent yet, last. 0 or -ENOMEM; *filter moves
 * as above. */
int chain__add(struct chain *chain, struct filter **filter, uint32_t operand);

/* The leading bits of a network's mask, 0 to 128: v4-mapped for IPv4, so that
 * 10.0.0.0/8 has 104. */
void mask__set(uint8_t mask[16], unsigned int bits);
unsigned int mask__bits(const uint8_t mask[16]);

/* A message quotes what a stranger may have written: '?' for each byte of it
 * that must not reach a terminal. */
void filter_error__hide_controls(struct filter_error *error);

#endif
