// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/heal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/snapshot.h"

enum {
	REGULAR_S = 60,
	/* Of a core, per cent: soon when something is to be set right, else at leisure. */
	SHARE_SOON = 50,
	SHARE_REGULAR = 5,
	/* While losses go on, the tables are read for a fifth of the time at most; but a
	 * look that took long, maybe because we were not let run, makes nobody wait. */
	PAUSE_TIMES = 4,
	PAUSE_MS_LEAST = 200,
	PAUSE_MS_MOST = 800,
	/* Minisockets: half a hundredth of a core for reading them, for what is read is
	 * taken in as well, and no more than that while most of them stay. */
	WAITS_SHARE = 20,
	WAITS_TIMES = 2 * WAITS_SHARE,
	WAITS_MS_LEAST = 1000,
	/* A FIN is acknowledged, or sent again; its record may be missing all the same: on
	 * one host's kernel programs are not run in some softirqs, and nobody counts that.
	 * Whoever waits for longer is looked at, and again each time that it has waited for
	 * twice as long, for a hundredth of the time. */
	OVERDUE_S = 2,
	SEARCH_MS = 100,
	SEARCH_PLACES = 1024,
	SEARCH_ROUND = 32, /* searches at most, for all places: some seconds */
	OVERDUE_PAUSE_S_LEAST = 2,
	OVERDUE_PAUSE_TIMES = SHARE_SOON,
	/* The last look takes milliseconds, and who has pressed Ctrl-C waits for it. */
	LAST_MS = 2000,
};

/* Who waits for the answer to a FIN, or for the other's: as sockets there are few of
 * these, whatever else there is. */
#define NARROW_STATES (HEAL_FIN_STATES | 1U << EV_FIN_WAIT2)

/* In which of them somebody is looked for. FIN_WAIT2 may last, and is worth no look at
 * all that there is. */
static uint32_t overdue_states(const struct model *model)
{
	return model__follows_minisockets(model) ? HEAL_FIN_STATES : NARROW_STATES;
}

/* The many TIME_WAITs only where one of them is in doubt. */
static uint32_t states_to_confirm(uint32_t missed)
{
	const uint32_t waits = 1U << EV_TIME_WAIT;

	return missed & waits ? SOCKET_STATES : SOCKET_STATES & ~waits;
}

static void start(struct heal *heal, struct source *source, struct scan_config *config)
{
	config->terms = heal->terms;
	config->tables = heal->tables;
	heal->began_ns = clock__boot_ns();
	heal->scan = scan__new(config);
	source->hurry = heal->scan != NULL;
	if (!heal->scan) {
		heal->off = true;
		log__line("the kernel's tables cannot be read: %s", strerror(errno));
	}
}

/* One that sees overdue ends. */
static void start_look(struct heal *heal, struct source *source, struct scan_config *config, bool narrow)
{
	heal->only_waits = false;
	heal->narrow = narrow;
	start(heal, source, config);
	heal->looked_ns = heal->began_ns;
}

static void start_whole(struct heal *heal, struct source *source, uint64_t losses, bool soon)
{
	struct scan_config config = { .share = soon ? SHARE_SOON : SHARE_REGULAR };

	if (!heal->begun)
		config.extras = SNAPSHOT_OWNERS;
	if (heal->narrow)
		heal->missed = 0; /* this one is whole, and has another behind it for whom it misses */
	if (heal->missed)
		config.states = states_to_confirm(heal->missed);
	heal->losses = losses;
	start_look(heal, source, &config, false);
}

static void start_narrow(struct heal *heal, struct source *source)
{
	struct scan_config config = { .states = NARROW_STATES, .share = SHARE_SOON };

	start_look(heal, source, &config, true);
}

static void start_waits(struct heal *heal, struct source *source)
{
	struct scan_config config = { .states = HEAL_WAIT_STATES, .share = WAITS_SHARE };

	heal->only_waits = true;
	start(heal, source, &config);
}

/* It may be a minisocket by now: these are read where one goes on as a life. */
static void start_overdue(struct heal *heal, struct source *source, const struct model *model)
{
	if (model__follows_minisockets(model) || heal->unsure & ~NARROW_STATES)
		start_whole(heal, source, heal->losses, true);
	else
		start_narrow(heal, source);
}

/* The next one, which decides about those that this one missed, is soon. */
static void finish_waits(struct heal *heal, struct model *model, uint64_t now_ns)
{
	bool missed = model__missed(model) != 0, soon = missed && !heal->wait_missed;
	uint64_t pause_ns = (now_ns - heal->began_ns) * WAITS_TIMES;

	if (soon || pause_ns < WAITS_MS_LEAST * NS_PER_MS)
		pause_ns = WAITS_MS_LEAST * NS_PER_MS;
	heal->next_waits_ns = now_ns + pause_ns;
	heal->wait_missed = missed;
}

static void finish(struct heal *heal, struct source *source, struct model *model, int result)
{
	uint64_t now_ns = clock__boot_ns(), pause_ns = (now_ns - heal->began_ns) * PAUSE_TIMES;
	uint32_t missed;

	heal__stop(heal);
	source->hurry = false;
	heal->off = result == -ENOENT || (heal->tables && tables__error(heal->tables));
	if (heal->only_waits) {
		finish_waits(heal, model, now_ns);
		return;
	}
	if (result < 0 && !heal->begun)
		log__line("connections that existed before are not known: %s",
			  result == -ENOENT ? "this kernel has no tcp_diag (modprobe tcp_diag)" :
					      strerror(-result));
	heal->begun = true;
	if (pause_ns < PAUSE_MS_LEAST * NS_PER_MS)
		pause_ns = PAUSE_MS_LEAST * NS_PER_MS;
	if (pause_ns > PAUSE_MS_MOST * NS_PER_MS)
		pause_ns = PAUSE_MS_MOST * NS_PER_MS;
	heal->earliest_ns = now_ns + pause_ns;
	pause_ns = (now_ns - heal->began_ns) * OVERDUE_PAUSE_TIMES;
	if (pause_ns < OVERDUE_PAUSE_S_LEAST * NS_PER_S)
		pause_ns = OVERDUE_PAUSE_S_LEAST * NS_PER_S;
	heal->overdue_ns = now_ns + pause_ns;
	if (!heal->narrow)
		heal->next_ns = heal->regular ? now_ns + REGULAR_S * NS_PER_S : UINT64_MAX;
	/* Who was not shown is looked for once more before it is given up. */
	missed = model__missed(model);
	if (heal->waits) {
		heal->wait_missed |= missed & 1U << EV_TIME_WAIT;
		missed &= ~(1U << EV_TIME_WAIT);
	}
	heal->unsure = heal->missed ? missed : 0; /* for the next one, when it may begin */
	heal->missed = heal->missed ? 0 : missed;
}

static int step_scan(struct heal *heal, struct source *source, struct model *model, source_take_fn take,
		     void *context)
{
	int result = scan__poll(heal->scan, source, take, context);

	if (result == SCAN_MORE)
		return 0;
	if (result > 0 && result != SCAN_END)
		return result;
	finish(heal, source, model, result);
	return 0;
}

/* No look has seen it so since it came there, or the last one when it had been there for
 * half as long: it may have gone right behind that one. */
static bool is_overdue(const struct heal *heal, const struct life *life, uint32_t states, uint64_t now_ns)
{
	uint64_t half_ns;

	if (!life || !(states & 1U << life->state) || life->entered_ns + OVERDUE_S * NS_PER_S >= now_ns)
		return false;
	half_ns = (now_ns - life->entered_ns) / 2;
	return heal->looked_ns <= life->entered_ns + half_ns;
}

/* Among the next places of the table. */
static bool finds_overdue(struct heal *heal, const struct model *model, uint64_t now_ns)
{
	const struct flow_table *flows = model__flows(model);
	uint32_t places = flows->used / SEARCH_ROUND, states = overdue_states(model);

	if (places < SEARCH_PLACES)
		places = SEARCH_PLACES;
	for (uint32_t i = 0; i < places && i < flows->used; i++) {
		heal->hand = heal->hand + 1 < flows->used ? heal->hand + 1 : 0;
		if (is_overdue(heal, flow_table__open_at(flows, heal->hand), states, now_ns))
			return true;
	}
	return false;
}

/* Whether an end is overdue that is worth a look; asked in vain where it is too early. */
static bool search(struct heal *heal, const struct model *model, uint64_t now_ns)
{
	if (!heal->regular || now_ns < heal->next_search_ns || now_ns < heal->overdue_ns)
		return false;
	heal->next_search_ns = now_ns + SEARCH_MS * NS_PER_MS;
	return heal->unsure || finds_overdue(heal, model, now_ns);
}

int heal__step(struct heal *heal, struct source *source, struct model *model, uint64_t losses,
	       source_take_fn take, void *context)
{
	uint64_t now_ns;
	bool soon;

	if (heal->scan)
		return step_scan(heal, source, model, take, context);
	if (heal->off)
		return 0;
	now_ns = clock__boot_ns();
	soon = !heal->begun || (heal->missed && !heal->narrow) ||
	       (losses != heal->losses && now_ns >= heal->earliest_ns);
	if (soon || now_ns >= heal->next_ns)
		start_whole(heal, source, losses, soon);
	else if (heal->missed)
		start_narrow(heal, source);
	else if (search(heal, model, now_ns))
		start_overdue(heal, source, model);
	else if (heal->waits && now_ns >= heal->next_waits_ns &&
		 (heal->wait_missed || model__timewaits(model)->count))
		start_waits(heal, source);
	return 0;
}

/* One scan of these states, to its end. 0, -ETIME, or what went wrong. */
static int look_through(struct heal *heal, uint32_t states, uint64_t until_ns, struct source *source,
			source_take_fn take, void *context)
{
	struct scan_config config = { .share = 100, .states = states };
	int result;

	start(heal, source, &config);
	if (!heal->scan)
		return -ENOMEM;
	while ((result = scan__poll(heal->scan, source, take, context)) == SCAN_MORE &&
	       clock__boot_ns() < until_ns)
		poll(NULL, 0, 1);
	source->hurry = false;
	heal__stop(heal);
	return result == SCAN_END ? 0 : result == SCAN_MORE ? -ETIME : result;
}

uint32_t heal__unended(const struct model *model)
{
	const struct flow_table *flows = model__flows(model);
	uint32_t states = overdue_states(model);

	for (uint32_t i = 0; i < flows->used; i++) {
		const struct life *life = flow_table__open_at(flows, i);

		if (life && states & 1U << life->state)
			return model__follows_minisockets(model) ? states | HEAL_WAIT_STATES : states;
	}
	return 0;
}

int heal__last(struct heal *heal, uint32_t states, struct source *source, struct model *model,
	       source_take_fn take, void *context)
{
	uint64_t until_ns = clock__boot_ns() + LAST_MS * NS_PER_MS;
	int err;

	heal__stop(heal);
	if (heal->off || !heal->begun)
		return 0;
	model__missed(model);
	err = look_through(heal, states, until_ns, source, take, context);
	if (!err && model__missed(model)) /* once more, before they are given up */
		err = look_through(heal, states, until_ns, source, take, context);
	heal->stale = err != 0;
	return err > 0 ? err : 0;
}

bool heal__is_right(const struct heal *heal, uint64_t losses)
{
	bool looking = heal->scan && !heal->only_waits;

	return heal->begun && !looking && !heal->missed && heal->losses == losses;
}

void heal__stop(struct heal *heal)
{
	scan__free(heal->scan);
	heal->scan = NULL;
}
