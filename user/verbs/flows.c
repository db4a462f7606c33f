// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "verbs/samples.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "flows",
	.operands = "[FILTER]",
	.doc = "Show each connection as it ends, with the history of its states; "
	       "at the end also those that are still open.",
	.examples = "Examples:\n"
		    "  tcpsaga flows                         every connection, live\n"
		    "  tcpsaga flows --once                  those that there are now\n"
		    "  tcpsaga flows host 10.0.0.9 and port 5432\n"
		    "  tcpsaga flows -o json --duration 60 > minute.json\n"
		    "  tcpsaga flows -r night.saga comm php-fpm\n",
	.takes_at_close = true,
	.takes_once = true,
};

/* A life needs its SYN, its end as a request, its accept() and its minisocket. */
static uint32_t lives_hooks(const struct options *options)
{
	uint32_t wanted = 1U << HOOK_SYN | 1U << HOOK_HANDSHAKE | 1U << HOOK_ACCEPT;

	return options->at_close ? wanted : wanted | 1U << HOOK_TIMEWAIT;
}

static uint32_t lives_changes(const struct options *options)
{
	(void)options;
	return 1U << CHANGE_LIFE;
}

static void lives_tune(const struct session *session, struct model_config *config)
{
	config->ends_at_close = session->options->at_close;
	config->estimate_waits =
		!config->waits_told && !session->options->at_close && !session->options->replay;
}

/* What is still open is told as it stands. */
static void show_open_lives(struct session *session)
{
	const struct flow_table *flows = model__flows(session->model);

	for (uint32_t i = 0; i < flows->used && !session->enough; i++) {
		struct change change = { .kind = CHANGE_LIFE,
					 .life = flow_table__open_at(flows, i),
					 .time_ns = session->last_ns };

		if (!change.life)
			continue;
		change.owner = model__owner(session->model, change.life);
		session__tell(session, &change);
	}
}

/* Minisockets are counted from their ledger, which knows them also where no life
 * goes on as one. */
static void count_waits(struct session *session, struct census *census)
{
	const struct timewaits *waits = model__timewaits(session->model);
	/* Where no record tells that one is over its time has to. */
	const uint64_t len_ns = TIMEWAIT_LEN_S * NS_PER_S;
	bool told = session__has_hook(session, "timewait");

	for (uint32_t i = 0; i < waits->used; i++) {
		const struct wait_entry *entry = timewaits__at(waits, i);
		struct filter_subject subject;

		if (!entry || (!told && wait_entry__held_ns(entry, session->last_ns) >= len_ns))
			continue;
		subject = (struct filter_subject){
			.local_addr = entry->local,
			.remote_addr = entry->remote,
			.local_port = entry->local_port,
			.remote_port = entry->remote_port,
			.netns = entry->netns,
			.states = 1U << entry->substate,
		};
		if (session__wants(session, &subject))
			census__count(census, entry->netns, entry->substate);
	}
}

static void count_lives(struct session *session, struct census *census)
{
	const struct flow_table *flows = model__flows(session->model);

	for (uint32_t i = 0; i < flows->used; i++) {
		const struct life *life = flow_table__open_at(flows, i);
		struct filter_subject subject;

		if (!life || life->role == ROLE_LISTENER || life->flags & LIFE_SOCKET_GONE)
			continue;
		subject = select__subject(life, model__owner(session->model, life), 1U << life->state);
		if (session__wants(session, &subject))
			census__count(census, life->netns, life->state);
	}
}

static void count_listeners(struct session *session, struct census *census)
{
	const struct listeners *listeners = model__listeners(session->model);

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		struct filter_subject subject;

		if (!listener || listener->flags & LISTENER_CLOSED)
			continue;
		subject = (struct filter_subject){
			.local_addr = listener->local.addr,
			.local_port = listener->local.port,
			.netns = listener->netns,
			.states = 1U << EV_LISTEN,
			.role = ROLE_LISTENER,
		};
		if (session__wants(session, &subject))
			census__count(census, listener->netns, EV_LISTEN);
	}
}

static void show_census(struct session *session)
{
	const struct timewaits *waits = model__timewaits(session->model);
	struct census census;

	census__init(&census);
	count_lives(session, &census);
	if (!session->options->at_close) /* then nobody follows them */
		count_waits(session, &census);
	count_listeners(session, &census);
	for (uint32_t i = 0; i < census.used; i++)
		session->printer.ops->census(&session->printer, &census.rows[i],
					     session->heal.stale ||
						     model__not_kept(session->model, TABLE_CONNECTIONS) ||
						     !timewaits__are_exact(waits, census.rows[i].netns),
					     session->last_ns);
	census__fini(&census);
}

/* At first as soon as it is known what was there; and when a loss has been mended. */
static bool census_is_due(struct session *session)
{
	if (!session->sampled)
		return model__is_whole(session->model);
	return session->census_losses != session->losses &&
	       heal__is_right(&session->heal, session->losses);
}

/* For machines: what was there when tcpsaga began, and again after each loss. */
static void look(struct session *session, uint64_t now_ns, bool due)
{
	(void)now_ns;
	(void)due;
	if (session->options->once) {
		samples__once(session);
	} else if (session->options->json && census_is_due(session)) {
		session->sampled = true;
		session->census_losses = session->losses;
		show_census(session);
	}
}

static void tell_the_rest(struct session *session)
{
	show_open_lives(session);
	if (model__is_whole(session->model))
		show_census(session);
}

static const struct view lives_view = {
	.of = OF_LIVES,
	.heals = HEALS | HEALS_REGULARLY | HEALS_WAITS,
	.look = look,
	.hooks = lives_hooks,
	.changes = lives_changes,
	.tune = lives_tune,
	.finish = tell_the_rest,
};

int verb_flows(int argc, char **argv)
{
	struct options options;
	const struct session_config config = { .options = &options, .view = &lives_view };
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status && options.once && options.replay)
		status = fail(EXIT_USAGE,
			      "flows: --once looks at the kernel's tables, which a recording has not");
	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
