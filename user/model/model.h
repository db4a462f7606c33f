/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is true now, from records: applies each to the flow table and says what
 * changed. Pure: no I/O, no clock but the records' own, no globals; the same
 * records give the same changes.
 */
#ifndef TCPSAGA_MODEL_MODEL_H
#define TCPSAGA_MODEL_MODEL_H

#include "event/decode.h"
#include "model/cgroups.h"
#include "model/flow_table.h"
#include "model/listeners.h"
#include "model/namespaces.h"
#include "model/timewaits.h"

enum change_kind {
	CHANGE_TRANSITION, /* life moved from old_state to new_state */
	CHANGE_LIFE,	   /* the summary of life: it ended, or is open when the view ends */
	CHANGE_SYN,	   /* a SYN at a listener: handshake, listener, and life if one was queued */
	CHANGE_HANDSHAKE,  /* a step of a request: handshake, listener, life if it is known */
	CHANGE_ACCEPT,	   /* accept(): accept, listener and life if they are known */
	CHANGE_TIMEWAIT,   /* a step of a minisocket: timewait, life if it is known */
	CHANGE_BIND,	   /* a bind() or listen() was refused: bind */
	CHANGE_UNREAD,	   /* what lies unread at a connection in CLOSE_WAIT: unread */
	CHANGE_HOLDER,	   /* who was in the way of a refused bind() or listen(): holder */
	CHANGE_LOSS,	   /* records were lost: loss */
	CHANGE_STOP,	   /* the source has ended: stop */
};

enum { CHANGE_KINDS = CHANGE_STOP + 1 };

#define UNKNOWN_NS UINT64_MAX

/*
 * Borrowed: life, listener and owner are valid until the next model__apply(), what
 * points into the record as long as that.
 */
struct change {
	enum change_kind kind;
	uint8_t old_state;
	uint8_t new_state;
	uint64_t time_ns;   /* boot time of the event */
	uint64_t in_old_ns; /* time spent in old_state, UNKNOWN_NS */
	const struct life *life;
	const struct owner *owner; /* who acted, else the life's owner, else NULL */
	/* HANDSHAKE: since the SYN; ACCEPT: since the third ACK; TIMEWAIT: since
	 * it began; UNKNOWN_NS */
	uint64_t took_ns;
	const struct listener *listener;
	const struct ev_handshake *handshake;
	const struct ev_accept *accept;
	const struct ev_timewait *timewait;
	const struct ev_bind *bind;
	const struct ev_holder *holder;
	const struct ev_unread *unread;
	const struct ev_loss *loss;
	const struct ev_stop *stop;
};

/* One record gives at most: the end of a life whose close was lost, that of the
 * one which had the tuple before, the two first transitions of a child, and its end. */
enum { CHANGES_MAX = 5 };

struct changes {
	unsigned int count;
	struct change change[CHANGES_MAX];
};

struct model_config {
	uint64_t seed; /* of hashes; any value gives the same changes */
	uint32_t max_lives;
	uint32_t max_ended;
	bool estimate_waits;	/* no record tells of minisockets: infer them */
	bool ends_at_close;	/* a life is over when its socket is, minisocket or not */
	bool keeps_transitions; /* to itself: nobody wants CHANGE_TRANSITION */
	/* How what is found by a dump will end is told: by records, or because the
	 * dump is all that is looked at. Else no life is begun for it, but for
	 * requests if dumps come again and say which of them are over. */
	bool requests_told;
	bool requests_sampled;
	bool waits_told;
};

enum { MODEL_MAX_LIVES = 262144, MODEL_MAX_ENDED = 16384 };

struct model;

/* NULL with errno ENOMEM. */
struct model *model__new(const struct model_config *config);
void model__free(struct model *model);

/* Is told what changes, in its order, some of it at a time and none of it twice. Valid
 * during the call: it may look into the model, and not change it. */
typedef void (*model_tell_fn)(void *context, const struct changes *changes);

/*
 * Applies one decoded record. Told are: what has ended by itself until its time (see
 * below); what the record changes; and where it ends a dump the lives that the dump did
 * not show, which are over, unseen. 0 or -ENOMEM (the record had no effect).
 */
int model__apply(struct model *model, const struct record *record, model_tell_fn tell, void *context);

/* For who knows that this record comes soon: what it will need from the memory is sent for.
 * The record is not decoded yet; its length is that of what is there. */
void model__foresee(const struct model *model, const struct ev_header *record);

/* The same where many are alive and flow_table__fetch() has sent for the life. What stands in
 * the index is sent for by flow_table__fetch_tuple() and what is returned; 0: nothing. */
uint32_t model__foresee_far(const struct model *model, const struct ev_header *record);

/* It is now_ns, though no record says so: where none tells their end minisockets end by
 * the clock. A time before that of the last record changes nothing. */
void model__pass_time(struct model *model, uint64_t now_ns, model_tell_fn tell, void *context);

/* True once dumps of all namespaces have shown what existed before: until then
 * some of the open lives are only known if they have begun since. */
bool model__is_whole(const struct model *model);

/* A life goes on as its minisocket: rows of these are wanted. */
bool model__follows_minisockets(const struct model *model);

/* The states, 1 << EV_*, of the lives that the dumps since the last call have
 * missed, once so far: the next dump decides whether they are over. */
uint32_t model__missed(struct model *model);

/* Changes of state that dumps have shown, and that a record should have told: because that
 * was lost, or because the kernel ran no program there, which it counts nowhere. */
uint64_t model__unrecorded(const struct model *model);

/* For views that walk all open lives. Borrowed. */
const struct flow_table *model__flows(const struct model *model);

/* True once records of this kind were lost, or of a kind that is not known. */
bool model__has_lost(const struct model *model, unsigned int kind);

/* For views of listeners. Borrowed. */
const struct listeners *model__listeners(const struct model *model);

const struct namespaces *model__namespaces(const struct model *model);

/* Transitions that the stand-in told a second time (EV_F_STAND_IN): delivered,
 * and passed over. */
uint64_t model__doubles(const struct model *model);

/* For views of the TIME_WAIT ledger. Borrowed. */
const struct timewaits *model__timewaits(const struct model *model);

/* For views of owners. Borrowed. */
const struct cgroups *model__cgroups(const struct model *model);

/* What is bounded. */
enum model_table {
	TABLE_CONNECTIONS, /* lives, open and ended; only open ones that gave way count */
	TABLE_MINISOCKETS,
	TABLE_LISTENERS,
	TABLE_CLIENTS,	  /* of dropped SYNs */
	TABLE_NAMESPACES, /* samples of them */
	TABLE_OWNERS,	  /* processes, for want of memory */
	TABLE_CGROUPS,	  /* names of them */
	TABLE_GROUPS,	  /* minisockets charged to the group without a name */
	TABLE_HISTORIES,  /* of lives: those that have lost their middle */
	TABLE_COUNT
};

/* What it had no room for, or gave up for something newer, so far. */
uint64_t model__not_kept(const struct model *model, enum model_table table);

/* What a dump told of a namespace; NULL for one that none was made of.
 * Borrowed. */
const struct ev_dump *model__dump_of(const struct model *model, uint32_t netns);

/* How a namespace is set; NULL when that was not told. Borrowed. */
const struct ev_settings *model__settings(const struct model *model, uint32_t netns);

/* Brings what views read of the ledger up to date, behind model__pass_time(). */
void model__measure(struct model *model, uint64_t now_ns);

/* The owner with this index, NULL for OWNER_NONE. Borrowed. */
const struct owner *model__owner_at(const struct model *model, uint32_t index);

/* The owner of a life, NULL when it is not known. Borrowed. */
const struct owner *model__owner(const struct model *model, const struct life *life);

#endif
