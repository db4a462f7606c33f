/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which local ports this host's clients use up: a connection takes one port of
 * its source address per destination, and a TIME_WAIT keeps it. Pure.
 */
#ifndef TCPSAGA_MODEL_PORTS_H
#define TCPSAGA_MODEL_PORTS_H

#include "model/model.h"

struct port_use {
	uint32_t netns;
	uint8_t source[16];
	struct endpoint destination;
	uint32_t in_use;    /* connections and minisockets */
	uint32_t time_wait; /* minisockets among them */
	double rate;	    /* minisockets per second */
};

enum { PORT_USES_MAX = 1024 }; /* sources and destinations; those beyond are left out */

/* What was counted last. */
struct ports {
	struct port_use *uses; /* owned; most in use first */
	uint32_t used;
	uint64_t changes;   /* of connections and minisockets, when it was counted */
	uint64_t steady_ns; /* from then on no rate changes by itself */
};

/*
 * Counts all: a walk over every connection, but where nothing has changed and no rate
 * either what was counted last is right still. ports is all zeroes at first. 0 or
 * -ENOMEM.
 */
int ports__count(struct ports *ports, const struct model *model, uint64_t now_ns);
void ports__fini(struct ports *ports);

/* How many ports are left of the range, 0 also when more are in use. */
static inline uint32_t port_use__left(const struct port_use *use, uint32_t range)
{
	return range > use->in_use ? range - use->in_use : 0;
}

/* Seconds until none is left if the rate stays: a negative number when the
 * steady state (rate x 60 s and the connections) fits into the range. */
static inline double port_use__seconds_left(const struct port_use *use, uint32_t range)
{
	double open = use->in_use - use->time_wait;

	if (use->rate <= 0 || use->rate * TIMEWAIT_LEN_S + open <= range)
		return -1;
	return port_use__left(use, range) / use->rate;
}

#endif
