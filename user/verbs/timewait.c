// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"
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

int verb_timewait(int argc, char **argv)
{
	struct options options;
	struct session_config config = {
		.options = &options, .verb = "timewait", .of = OF_WAITS, .prints = true
	};
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status && options.once && options.replay)
		status = fail(EXIT_USAGE,
			      "timewait: --once looks at the kernel's tables, which a recording has not");
	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
