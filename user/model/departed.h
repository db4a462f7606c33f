/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has gone while dumps are under way. A row of a dump may be older than
 * the record that ended its socket: it must not bring that back, nor count what
 * has been counted. Pure.
 *
 * Bounded: DEPARTED_MAX keys; beyond it no row is believed that names an unknown
 * socket, and the next dump has to tell it.
 */
#ifndef TCPSAGA_MODEL_DEPARTED_H
#define TCPSAGA_MODEL_DEPARTED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idmap.h"

enum { DEPARTED_MAX = 1 << 18 };

struct departed {
	struct idmap keys;
	bool watching; /* a dump is under way */
	bool full;
};

int departed__init(struct departed *departed, uint64_t seed);
void departed__fini(struct departed *departed);

/* A dump begins: what goes from here on is kept in mind. */
void departed__watch(struct departed *departed);
/* It is over: all is forgotten. */
void departed__rest(struct departed *departed);

void departed__add(struct departed *departed, uint64_t key);

/* True also when it might have gone: there was no room to remember it. */
bool departed__has(const struct departed *departed, uint64_t key);

#endif
