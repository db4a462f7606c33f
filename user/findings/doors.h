/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the rules count at listeners, in seconds: who knocked, who was let in,
 * how long that took. Fed with the model's changes and, once a second, with
 * what the model's listeners and namespaces have been sampled at. Pure.
 *
 * Bounded as the model's listeners are.
 */
#ifndef TCPSAGA_FINDINGS_DOORS_H
#define TCPSAGA_FINDINGS_DOORS_H

#include "findings/services.h"

enum door_count {
	D_SYNS = 0,
	D_QUEUED,	/* SYNs into the SYN queue */
	D_COOKIES,	/* SYNs answered with a cookie because the SYN queue was full */
	D_DROPPED_SYN,	/* SYN queue full, or its last quarter */
	D_DROPPED_FULL, /* accept queue full: SYNs and third ACKs */
	D_COMPLETED,
	D_SLOW,	     /* of D_COMPLETED: a SYN-ACK had to be sent again */
	D_TIMED_OUT, /* requests */
	D_RETRANSMITS,
	D_ACCEPTED,
	D_WAITED,     /* of D_ACCEPTED: how long it waited is known */
	D_TARDY,      /* of D_WAITED: longer than the wait asked for */
	D_DROPS,      /* sampled: the socket's own counter */
	D_DROPS_FULL, /* of those, as many as its namespace counted as overflows meanwhile */
	D_COUNT
};

/* How many different sources sent SYNs: a bit for each hash (linear counting). */
enum { SKETCH_BITS = 4096, SKETCH_SECONDS = 10 };

struct sketch {
	uint64_t bits[SKETCH_BITS / 64];
	uint64_t since_ns;
};

struct door_tick {
	uint64_t second;
	uint32_t n[D_COUNT];
	uint64_t waited_us; /* sum over D_WAITED */
	uint64_t took_us;   /* sum over D_SLOW */
};

struct door {
	uint64_t key; /* the listener's; 0: a free place */
	uint64_t sk_drops;
	bool sk_drops_known;
	uint64_t overflows;	 /* of its namespace */
	uint64_t stuck_since_ns; /* nobody has called accept() though there was somebody to; 0: no */
	uint64_t accepted;	 /* at that time */
	struct door_tick ticks[WINDOW_SECONDS];
	struct sketch sketches[2]; /* the last whole SKETCH_SECONDS, and the present ones */
	unsigned int young;
};

struct doors {
	struct door *all; /* owned; grows */
	uint32_t used;
	uint32_t room;
	struct idmap by_key;
};

int doors__init(struct doors *doors);
void doors__fini(struct doors *doors);

/* tardy_us: an accept() after such a wait is a tardy one. */
void doors__see(struct doors *doors, const struct change *change, uint64_t tardy_us);

/* What samples tell; forgets those the model has not any more. */
void doors__measure(struct doors *doors, const struct model *model, uint64_t now_ns);

/* NULL when nothing was counted there. */
const struct door *doors__find(const struct doors *doors, uint64_t key);

uint32_t door__sum(const struct door *door, enum door_count what, uint64_t now_ns, unsigned int seconds);

/* Mean milliseconds; NAN when there was none. */
double door__waited_ms(const struct door *door, uint64_t now_ns, unsigned int seconds);
double door__took_ms(const struct door *door, uint64_t now_ns, unsigned int seconds);

/* About how many different sources sent SYNs in the last 10 to 20 seconds. */
uint32_t door__sources(const struct door *door);

#endif
