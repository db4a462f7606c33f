// SPDX-License-Identifier: BSD-2-Clause
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

int verb_trace(int argc, char **argv)
{
	struct options options;
	struct session_config config = {
		.options = &options, .verb = "trace", .of = OF_EVENTS, .prints = true
	};
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
