// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/events.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "trace",
	.operands = "[FILTER]",
	.doc = "Show TCP state transitions, and SYNs at listeners, as they happen. A terminal "
	       "of less than 110 columns has no room for the process; -w and -o json show it.",
	.examples = "Examples:\n"
		    "  tcpsaga trace                         everything, live\n"
		    "  tcpsaga trace port 443 and role client\n"
		    "  tcpsaga trace -o json remote net 10.0.0.0/8 | jq .\n"
		    "  tcpsaga trace -r night.saga state time-wait\n",
	.takes_events = true,
};

static uint32_t events_hooks(const struct options *options)
{
	uint32_t wanted = 0;

	if (options->events & (EVENTS_SYN | EVENTS_HANDSHAKE))
		wanted |= 1U << HOOK_SYN;
	if (options->events & EVENTS_HANDSHAKE)
		wanted |= 1U << HOOK_HANDSHAKE | 1U << HOOK_SYNACK;
	if (options->events & EVENTS_ACCEPT)
		wanted |= 1U << HOOK_ACCEPT;
	if (options->events & EVENTS_TIMEWAIT)
		wanted |= 1U << HOOK_TIMEWAIT;
	if (options->events & EVENTS_BIND)
		wanted |= 1U << HOOK_BIND;
	return wanted;
}

static uint32_t events_changes(const struct options *options)
{
	return options->events;
}

const struct view events_view = {
	.of = OF_EVENTS,
	.heals = HEALS | HEALS_REGULARLY,
	.hooks = events_hooks,
	.changes = events_changes,
};

int verb_trace(int argc, char **argv)
{
	return session__verb(&syntax, &events_view, argc, argv);
}
