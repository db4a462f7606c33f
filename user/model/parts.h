/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a model is made of: for those who apply records to it, and who tell it as
 * records. Each kind of record has its story: transitions.c, requests.c, minisockets.c
 * and rows.c; model.c hands it to the right one.
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
	bool keeps_transitions;
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
	uint64_t unrecorded;
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

/* ---- what the stories share ---- */

/* One more, of this kind; its times unknown. Never more than CHANGES_MAX in a record. */
static inline struct change *changes__add(struct changes *changes, enum change_kind kind, uint64_t time_ns)
{
	struct change *change = &changes->change[changes->count++];

	*change = (struct change){
		.kind = kind, .time_ns = time_ns, .in_old_ns = UNKNOWN_NS, .took_ns = UNKNOWN_NS
	};
	return change;
}

/* A reference to the owner that the record tells, OWNER_NONE when it tells none. */
uint32_t model__intern(struct model *model, const struct record *record);

/* Who acted in this record, else whose connection it is; NULL: not known. Valid until the
 * next record. */
const struct owner *model__actor(struct model *model, const struct record *record,
				 const struct life *life);

/* As life__enter() and life__wait(), and counts histories that lose their middle. */
void model__enter(struct model *model, struct life *life, unsigned int state, uint64_t now_ns);
void model__wait_on(struct model *model, struct life *life, uint64_t now_ns);

/* No row of the dump under way brings back what this life is found by, gone at that time, or
 * what has this key. */
void model__depart(struct model *model, const struct life *life, uint64_t time_ns);
void model__note_departed(struct model *model, uint64_t key, uint64_t time_ns);

/* The life is over, and told. */
void model__end_life(struct model *model, struct life *life, uint64_t now_ns, struct changes *changes);

/* The same when its id begins anew: its CLOSE was lost. */
void model__end_unseen(struct model *model, struct life *life, struct changes *changes);

/* A life that a dump has begun, under a cookie, and that records name by the address of
 * its socket: found by its place, and by that address from now on. NULL: none. */
struct life *model__join_by_place(struct model *model, uint64_t address, const struct tuple *tuple);

/* Only a row has shown the one, and it came after the birth of the other. */
bool model__is_row_of(const struct life *shown, const struct life *life);

/* Joins its tuple once that is complete, which for a client is after its first record. */
void model__settle_tuple(struct model *model, struct life *life);

/* ---- the stories ---- */

/* 0 or -ENOMEM. */
int transitions__apply(struct model *model, const struct record *record, struct changes *changes);

void requests__step(struct model *model, const struct ev_handshake *step, struct changes *changes);
void requests__admitted(struct model *model, const struct ev_handshake *step);
void requests__accepted(struct model *model, const struct record *record, struct changes *changes);

void minisockets__apply(struct model *model, const struct ev_timewait *wait, struct changes *changes);

/* The role of what was there before the start: a listener on its port tells, or that only
 * one of its ports is one that connect() chooses. */
enum role minisockets__role_by_ports(struct model *model, const struct tuple *tuple);

/* To whom a minisocket is charged; life: whose it is, NULL: not known. */
struct wait_charge minisockets__charge(struct model *model, const struct tuple *tuple,
				       const struct life *life, uint64_t now_ns);

/* The socket of a life goes to CLOSE and leaves a minisocket behind: from now on the life
 * is found by its tuple. 0 or -ENOMEM. */
int minisockets__become(struct model *model, struct life *life, uint64_t now_ns, struct changes *changes);

/* The life is a minisocket, and that ends. end: enum ev_wait_end. */
void minisockets__end(struct model *model, struct life *life, unsigned int end, uint64_t time_ns,
		      struct changes *changes);

/* Where no record tells of minisockets: whether this transition to CLOSE leaves one; what
 * the tuple of a new connection ends; whose time must be over. */
void minisockets__estimate(struct model *model, struct life *life, const struct ev_transition *transition);
void minisockets__end_before(struct model *model, const struct life *life, struct changes *changes);
void minisockets__end_overdue(struct model *model, struct changes *changes);

void rows__apply(struct model *model, const struct record *record);
void rows__dump(struct model *model, const struct ev_dump *dump);

/* Behind a dump: ends some of the lives that it did not show, until the sweep is over. */
void rows__sweep(struct model *model, struct changes *changes);

/* A minisocket, and the life that is one, are known by their tuple. */
uint64_t model__wait_key(const struct model *model, const struct tuple *tuple);

#endif
