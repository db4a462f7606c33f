/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a model is made of: for those who apply records to it, and who tell it as
 * records.
 */
#ifndef TCPSAGA_MODEL_PARTS_H
#define TCPSAGA_MODEL_PARTS_H

#include "model/children.h"
#include "model/departed.h"
#include "model/model.h"

enum { SETTINGS_MAX = 256 }; /* namespaces whose settings are kept */
enum { DUMPS_MAX = 256 };    /* whose settings are kept; of the rest they are not known */

/* The lives that a dump is compared with, when it is over: a few at a time. */
struct sweep {
	bool active;
	uint32_t at; /* position in the flow table */
	struct ev_dump dump;
};

struct model {
	struct flow_table flows;
	struct listeners listeners;
	struct namespaces namespaces;
	struct children children;
	uint32_t lost; /* bit (1 << EV_*): some of this kind were; bit 0: of which is not known */
	struct timewaits waits;
	bool ends_at_close;
	bool estimate_waits;
	bool requests_told;
	bool requests_sampled;
	bool waits_told;
	bool ids_are_addresses; /* conn_id of records is no cookie: 5.10 */
	struct departed departed;
	bool whole;
	uint64_t now_ns;
	uint64_t dump_began_ns; /* of the dump under way */
	struct sweep sweep;
	struct healed healed;
	uint32_t missed;
	struct ev_dump dumps[DUMPS_MAX]; /* the last dump of each */
	uint32_t dump_count;
	struct cgroups cgroups;
	struct ev_settings settings[SETTINGS_MAX]; /* the last of each */
	uint32_t settings_count;
	uint64_t doubles; /* transitions told twice, and passed over */
	uint64_t histories_cut;
	uint64_t rows_not_kept; /* of this tour of dumps */
	struct owner actor;	/* owner of the record in hand, for changes */
};

/* A minisocket, and the life that is one, are known by their tuple. */
uint64_t model__wait_key(const struct model *model, const struct wait_tuple *tuple);

#endif
