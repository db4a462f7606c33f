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

int verb_flows(int argc, char **argv)
{
	struct options options;
	struct session_config config = {
		.options = &options, .verb = "flows", .of = OF_LIVES, .prints = true
	};
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
