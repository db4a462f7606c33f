// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "queues",
	.operands = "[FILTER]",
	.doc = "Show each listener with both its queues: depth, limit and high-water mark of the "
	       "SYN queue (half-open requests) and of the accept queue (complete, waiting for "
	       "accept()), what came, what was dropped and why.",
	.examples = "Examples:\n"
		    "  tcpsaga queues                        refreshed each second\n"
		    "  tcpsaga queues --once\n"
		    "  tcpsaga queues -o json port 443 | jq 'select(.type == \"queue\") | .dropped'\n"
		    "  tcpsaga queues --duration 60 netns /run/netns/blue\n",
	.takes_once = true,
	.takes_sockops = true,
};

int verb_queues(int argc, char **argv)
{
	struct options options;
	struct session_config config = {
		.options = &options, .verb = "queues", .of = OF_LISTENERS, .prints = true
	};
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status && options.once && options.replay)
		status = fail(EXIT_USAGE,
			      "queues: --once looks at the kernel's tables, which a recording has not");
	if (!status && options.sockops && (options.once || options.replay))
		status = fail(EXIT_USAGE, "queues: --sockops counts what comes from now on: not with %s",
			      options.once ? "--once" : "-r");
	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
