// SPDX-License-Identifier: BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "event/control.h"
#include "verbs/samples.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "timewait",
	.operands = "[FILTER]",
	.doc = "Show who holds how many TIME_WAIT: by process, role and service, with the rate at "
	       "which they come, what they will be at this rate, how they ended; and the local "
	       "ports that are left per destination. A ~ marks a number that is estimated until "
	       "the kernel's tables have been read again.",
	.examples = "Examples:\n"
		    "  tcpsaga timewait                      refreshed each second\n"
		    "  tcpsaga timewait --once\n"
		    "  tcpsaga timewait -o json | jq 'select(.type == \"ports\" and .left < 5000)'\n"
		    "  tcpsaga timewait role client and port 5432\n",
	.takes_once = true,
};

enum { PORTS_SHOWN = 10 }; /* in a table */

/* The ledger needs who closed, and whose connection it was. */
static uint32_t waits_hooks(const struct options *options)
{
	(void)options;
	return 1U << HOOK_ACCEPT | 1U << HOOK_TIMEWAIT;
}

static void waits_tune(const struct session *session, struct model_config *config)
{
	config->estimate_waits = !session__has_hook(session, "timewait");
	config->ends_at_close = true;
}

static void look(struct session *session, uint64_t now_ns, bool due)
{
	(void)now_ns;
	(void)due;
	if (session->options->once)
		samples__once(session);
}

static bool group_wanted(const struct session *session, const struct wait_group *group,
			 const struct owner *owner)
{
	const struct filter_subject subject = {
		.local_addr = group->role == ROLE_SERVER ? group->service.addr : NULL,
		.local_port = group->role == ROLE_SERVER ? group->service.port : 0,
		.remote_addr = group->role == ROLE_SERVER ? NULL : group->service.addr,
		.remote_port = group->role == ROLE_SERVER ? 0 : group->service.port,
		.netns = group->netns,
		.states = 1U << EV_TIME_WAIT | 1U << EV_FIN_WAIT2,
		.pid = owner ? owner->pid : 0,
		.comm = owner ? owner->comm : NULL,
		.role = (enum role)group->role,
	};

	return session__wants(session, &subject);
}

static int most_first(const void *a, const void *b)
{
	const struct wait_group *x = *(const struct wait_group *const *)a;
	const struct wait_group *y = *(const struct wait_group *const *)b;
	uint32_t nx = x->time_wait + x->fin_wait2, ny = y->time_wait + y->fin_wait2;

	return (nx < ny) - (nx > ny);
}

static void show_groups(struct session *session, uint64_t now_ns)
{
	const struct timewaits *waits = model__timewaits(session->model);
	const struct wait_group *sorted[TIMEWAIT_GROUPS_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < waits->group_count; i++) {
		const struct wait_group *group = &waits->groups[i];

		if ((group->begun || group->refused) &&
		    group_wanted(session, group, model__owner_at(session->model, group->owner)))
			sorted[count++] = group;
	}
	/* cppcheck-suppress uninitvar ; the first count are set */
	qsort(sorted, count, sizeof(sorted[0]), most_first);
	for (size_t i = 0; i < count; i++)
		session->printer.ops->waits(&session->printer, sorted[i],
					    model__owner_at(session->model, sorted[i]->owner), now_ns);
}

static void show_ports(struct session *session, uint64_t now_ns)
{
	struct ports *ports = session->context;
	uint32_t count;

	if (ports__count(ports, session->model, now_ns))
		return;
	count = ports->used;
	if (!session->options->json && count > PORTS_SHOWN)
		count = PORTS_SHOWN;
	for (uint32_t i = 0; i < count; i++) {
		const struct port_use *use = &ports->uses[i];
		const struct filter_subject subject = {
			.local_addr = use->source,
			.remote_addr = use->destination.addr,
			.remote_port = use->destination.port,
			.netns = use->netns,
			.role = ROLE_CLIENT,
		};

		if (session__wants(session, &subject))
			session->printer.ops->ports(&session->printer, use,
						    model__dump_of(session->model, use->netns), now_ns);
	}
}

static void show_waits(struct session *session, uint64_t now_ns)
{
	model__measure(session->model, now_ns);
	show_groups(session, now_ns);
	show_ports(session, now_ns);
}

static const struct view waits_view = {
	.of = OF_WAITS,
	.samples = CONTROL_WAITS,
	.hooks = waits_hooks,
	.tune = waits_tune,
	.heals = HEALS | HEALS_WAITS,
	.look = look,
	.show = show_waits,
};

int verb_timewait(int argc, char **argv)
{
	struct options options;
	struct ports ports = { 0 };
	const struct session_config config = { .options = &options, .view = &waits_view, .context = &ports };
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status && options.once && options.replay)
		status = fail(EXIT_USAGE,
			      "timewait: --once looks at the kernel's tables, which a recording has not");
	if (!status)
		status = session__run(&config);
	ports__fini(&ports);
	options__fini(&options);
	return status;
}
