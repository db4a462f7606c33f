/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a rule is. Each looks once a second at what has been counted and says
 * which findings hold; the engine makes them raised, updated and cleared.
 */
#ifndef TCPSAGA_FINDINGS_RULES_H
#define TCPSAGA_FINDINGS_RULES_H

#include "findings/doors.h"
#include "findings/finding.h"
#include "findings/overflows.h"
#include "findings/refusals.h"
#include "findings/services.h"

enum unit { UNIT_COUNT = 0, UNIT_SECONDS, UNIT_PER_SECOND, UNIT_PERCENT };

struct threshold {
	const char *name;
	enum unit unit;
	double preset;
	const char *reason; /* why this number */
};

enum { THRESHOLDS_MAX = 6, RULES_MAX = 20 };

struct look;

struct rule {
	const char *id;
	const char *raised_when;
	struct threshold thresholds[THRESHOLDS_MAX]; /* the first without a name ends them */
	const char *hook;     /* without it the rule sees less, or nothing; NULL: with each */
	const char *without;  /* what it does then */
	unsigned int quiet_s; /* cleared when it has not held for so long */
	void (*look)(struct look *look);
};

extern const struct rule timewait_storm_client, timewait_storm_server, close_wait_leak,
	accept_queue_overflow, slow_acceptor, fin_wait2_pileup, ephemeral_ports_exhausted,
	ephemeral_ports_low, timewait_table_full, syn_flood, syn_queue_overflow, connect_refused,
	connect_timeout, handshake_slow, reset_storm, bind_conflict;

/* Those before another one in this list look first: look__holds(). */
extern const struct rule *const rules[];
extern const unsigned int rules_count;

/* What a rule may look at. */
struct look {
	struct engine *engine;
	const struct model *model;
	const struct services *services;
	const struct doors *doors;
	const struct refusals *refusals;
	const struct overflows *overflows;
	uint64_t now_ns; /* a whole second, boot time: counted is what was before */
	bool sees_syns;	 /* every SYN and third ACK has a record */
	bool sees_accepts;
	bool sees_waits; /* a minisocket that the full table refused has a record */

	const struct rule *rule; /* the present one */
	const double *values;	 /* of its thresholds */
};

/*
 * It holds: returns the finding of this subject, its evidence cleared, to be
 * filled in. If it was not raised before, it is raised only when raise is true;
 * else NULL. That is the hysteresis: a rule passes raise for the higher
 * threshold and calls this for the lower one.
 */
struct finding *look__hold(struct look *look, uint64_t subject, uint32_t netns, bool raise);

/* True when that rule holds for this subject in the present look. */
bool look__holds(const struct look *look, const char *rule_id, uint64_t subject);

/* For evidence that several rules show. */
void finding__of_service(struct finding *finding, const struct service *service);
void finding__of_listener(struct finding *finding, const struct look *look,
			  const struct listener *listener);
void finding__crowd(struct finding *finding, const struct crowd *crowd);

/* A setting of the finding's namespace, also as evidence under its last name
 * (tcp_tw_reuse). False: it is not known. */
bool look__setting(const struct look *look, struct finding *finding, enum ev_setting which,
		   int64_t *value);

/* Which ports connect() may choose from there, 0: not known. */
uint32_t look__ports(const struct look *look, uint32_t netns);

#endif
