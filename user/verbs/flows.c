// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/session.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "flows",
	.operands = "[FILTER]",
	.doc = "Show each connection as it ends, with the history of its states; "
	       "at the end also those that are still open.",
	.examples = "Examples:\n"
		    "  tcpsaga flows                         every connection, live\n"
		    "  tcpsaga flows host 10.0.0.9 and port 5432\n"
		    "  tcpsaga flows -o json --duration 60 > minute.json\n"
		    "  tcpsaga flows -r night.saga comm php-fpm\n",
	.takes_at_close = true,
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
		change.peer = flow_table__peer(flows, change.life);
		change.owner = model__owner(session->model, change.life);
		session__tell(session, &change);
	}
}

static const struct view lives_view = {
	.of = OF_LIVES,
	.hooks = lives_hooks,
	.changes = lives_changes,
	.tune = lives_tune,
	.finish = show_open_lives,
};

int verb_flows(int argc, char **argv)
{
	return session__verb(&syntax, &lives_view, argc, argv);
}
