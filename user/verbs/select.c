// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/select.h"

int select__init(struct select *select, const struct filter *filter, const struct model *model)
{
	*select = (struct select){ .filter = filter, .model = model, .all = filter__accepts_all(filter) };
	return idmap__init(&select->withheld, 0);
}

void select__fini(struct select *select)
{
	idmap__fini(&select->withheld);
}

struct filter_subject select__subject(const struct life *life, const struct owner *owner, uint32_t states)
{
	bool known = life->flags & LIFE_PLACE_KNOWN;

	return (struct filter_subject){
		.local_addr = known ? life->local.addr : NULL,
		.remote_addr = known ? life->remote.addr : NULL,
		.local_port = life->local.port,
		.remote_port = life->remote.port,
		.netns = known ? life->netns : 0,
		.states = states,
		.pid = owner ? owner->pid : 0,
		.comm = owner ? owner->comm : NULL,
		.role = (enum role)life->role,
	};
}

static uint32_t states_of_life(const struct life *life)
{
	uint32_t states = 0;

	for (unsigned int i = 0; i < life->history_count; i++)
		states |= 1U << history_state(life->history[i]);
	return states;
}

/* A step at a listener, by its own words: there may be no life. */
static enum filter_verdict judge_step(const struct select *select, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;
	const struct ev_accept *accept = change->accept;
	uint16_t remote_port = step ? step->remote_port : accept->remote_port;
	const uint8_t *remote = step ? step->remote : accept->remote;
	struct filter_subject subject = {
		.local_addr = step ? step->local : accept->local,
		.remote_addr = remote_port ? remote : NULL,
		.local_port = step ? step->local_port : accept->local_port,
		.remote_port = remote_port,
		.netns = step ? step->netns : accept->netns,
		.states = step ? 1U << EV_LISTEN | 1U << EV_SYN_RECV : 1U << EV_ESTABLISHED,
		.pid = change->owner ? change->owner->pid : 0,
		.comm = change->owner ? change->owner->comm : NULL,
		.role = ROLE_SERVER,
	};

	return filter__match(select->filter, &subject);
}

static enum filter_verdict judge_wait(const struct select *select, const struct change *change)
{
	const struct ev_timewait *wait = change->timewait;
	struct filter_subject subject = {
		.local_addr = wait->local,
		.remote_addr = wait->remote,
		.local_port = wait->local_port,
		.remote_port = wait->remote_port,
		.netns = wait->netns,
		.states = 1U << wait->substate,
		.pid = change->owner ? change->owner->pid : 0,
		.comm = change->owner ? change->owner->comm : NULL,
		.role = change->life ? (enum role)change->life->role : ROLE_UNKNOWN,
	};

	return filter__match(select->filter, &subject);
}

/* It has no other end, and never will. */
static enum filter_verdict judge_bind(const struct select *select, const struct change *change)
{
	const struct ev_bind *bind = change->bind;
	struct filter_subject subject = {
		.local_addr = bind->local,
		.local_port = bind->port,
		.netns = bind->netns,
		.states = 1U << EV_STATE_CLOSE,
		.pid = change->owner ? change->owner->pid : 0,
		.comm = change->owner ? change->owner->comm : NULL,
		.role = ROLE_LISTENER,
	};

	return filter__match(select->filter, &subject);
}

static enum filter_verdict judge_life(const struct select *select, const struct change *change)
{
	uint32_t states = change->kind == CHANGE_LIFE ? states_of_life(change->life) :
							1U << change->old_state | 1U << change->new_state;
	const struct filter_subject subject = select__subject(change->life, change->owner, states);

	return filter__match(select->filter, &subject);
}

static enum filter_verdict judge(const struct select *select, const struct change *change)
{
	if (select->all)
		return FILTER_YES;
	if (change->timewait)
		return judge_wait(select, change);
	if (change->bind)
		return judge_bind(select, change);
	if (change->handshake || change->accept)
		return judge_step(select, change);
	return judge_life(select, change);
}

/*
 * What is withheld of a life, in one word: for each of its first transitions
 * four bits, the state it came from, 0 when it is not withheld. The history
 * has the rest; the old state need not be the one before in it, when a record
 * between was lost.
 */
enum { OLD_STATE_BITS = 4, WITHHELD_TRANSITIONS = 32 / OLD_STATE_BITS };

_Static_assert(EV_STATE_END <= 1 << OLD_STATE_BITS, "an old state would not fit");

static unsigned int old_state_of(uint32_t withheld, unsigned int i)
{
	return withheld >> i * OLD_STATE_BITS & ((1U << OLD_STATE_BITS) - 1);
}

/* The i-th transition of a life, from its history. */
static struct change past_transition(const struct select *select, const struct life *life,
				     unsigned int i, unsigned int old_state)
{
	struct change past = {
		.kind = CHANGE_TRANSITION,
		.life = life,
		.owner = model__owner(select->model, life),
		.old_state = (uint8_t)old_state,
		.new_state = (uint8_t)history_state(life->history[i]),
		.time_ns = life->start_ns + history_ns(life->history[i]),
		.in_old_ns = UNKNOWN_NS,
		.took_ns = UNKNOWN_NS,
	};

	if (i && history_state(life->history[i - 1]) == old_state)
		past.in_old_ns = life__step_ns(life, i - 1);
	return past;
}

/* Which of its life's transitions this is; LIFE_HISTORY_MAX when the history
 * does not hold it any more. */
static unsigned int index_of(const struct change *change)
{
	const struct life *life = change->life;
	unsigned int i;

	/* Where the SYN was seen the history begins with it, and not with the
	 * child's first transition. */
	if (change->old_state == EV_LISTEN && life->flags & LIFE_SYN_SEEN)
		return 0;
	for (i = 0; i < life->history_count; i++)
		if (history_state(life->history[i]) == change->new_state &&
		    life->start_ns + history_ns(life->history[i]) == change->time_ns)
			return i;
	return LIFE_HISTORY_MAX;
}

static void show_withheld(struct select *select, const struct life *life, select_show_fn show,
			  void *context)
{
	uint32_t withheld =
		select->withheld.used ? idmap__remove(&select->withheld, life->key) : IDMAP_NONE;

	if (withheld == IDMAP_NONE)
		return;
	for (unsigned int i = 0; i < life->history_count && i < WITHHELD_TRANSITIONS; i++) {
		unsigned int old_state = old_state_of(withheld, i);
		struct change past = past_transition(select, life, i, old_state);

		/* The filter may be about the states of one transition. */
		if (old_state && judge(select, &past) != FILTER_NO)
			show(context, &past);
	}
}

/* True when the transition now waits for the filter to be decided. */
static bool withhold(struct select *select, const struct change *change)
{
	uint64_t key = change->life->key;
	uint32_t withheld = idmap__find(&select->withheld, key);
	unsigned int index = index_of(change);

	if (withheld == IDMAP_NONE && select->withheld.used >= SELECT_WITHHELD_MAX)
		return false;
	if (index >= WITHHELD_TRANSITIONS)
		return false;
	withheld = withheld == IDMAP_NONE ? 0 : withheld;
	withheld |= (uint32_t)change->old_state << index * OLD_STATE_BITS;
	return idmap__put(&select->withheld, key, withheld) == 0;
}

static void select_transition(struct select *select, const struct change *change, select_show_fn show,
			      void *context)
{
	const struct life *life = change->life;

	switch (judge(select, change)) {
	case FILTER_NO:
		break;
	case FILTER_UNDECIDED:
		if (withhold(select, change))
			break;
		/* fall through */
	case FILTER_YES:
		show_withheld(select, life, show, context);
		show(context, change);
	}
}

/* A listener is not a connection. */
static bool is_connection(const struct change *change)
{
	return change->kind != CHANGE_LIFE || change->life->role != ROLE_LISTENER;
}

void select__change(struct select *select, const struct change *change, select_show_fn show, void *context)
{
	bool wanted = select->kinds & 1U << change->kind;

	switch (change->kind) {
	case CHANGE_TRANSITION:
		if (wanted)
			select_transition(select, change, show, context);
		break;
	case CHANGE_LIFE:
		/* Its id may be used again. */
		if (change->life->flags & LIFE_ENDED && select->withheld.used)
			idmap__remove(&select->withheld, change->life->key);
		/* fall through */
	case CHANGE_SYN:
	case CHANGE_HANDSHAKE:
	case CHANGE_ACCEPT:
	case CHANGE_TIMEWAIT:
	case CHANGE_BIND:
		if (wanted && is_connection(change) && judge(select, change) == FILTER_YES)
			show(context, change);
		break;
	case CHANGE_HOLDER: /* for a diagnosis */
	case CHANGE_UNREAD:
		break;
	case CHANGE_LOSS:
	case CHANGE_STOP:
		show(context, change);
		break;
	}
}
