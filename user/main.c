// SPDX-License-Identifier: BSD-2-Clause
/*
 * tcpsaga: a table of verbs.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct verb verbs[] = {
	{ "trace", verb_trace, "state transitions and SYNs, one line each, as they happen" },
	{ "flows", verb_flows, "one entry per connection, with the history of its states" },
	{ "queues", verb_queues, "each listener: SYN queue, accept queue, drops by cause, waiting time" },
	{ "timewait", verb_timewait, "who holds how many TIME_WAIT, and which ports are left" },
	{ "diagnose", verb_diagnose, "what is wrong, why, what to change, and what will not help" },
	{ "port", verb_port, "who holds a port, and whether a bind() to it would succeed" },
	{ "explain", verb_explain, "a state, a queue, port reuse in words, with this host's numbers" },
	{ "agent", verb_agent, "always on: metrics for Prometheus, JSON for a pipeline" },
	{ "record", verb_record, "keep the events in a file; any verb reads it with -r FILE" },
	{ "probe", verb_probe, "what this kernel can show, and what is lost" },
	{ "schema", verb_schema, "the JSON Schema of everything -o json prints" },
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static int written(FILE *out)
{
	if (!fflush(out) && !ferror(out))
		return EXIT_DONE;
	return errno == EPIPE ? EXIT_DONE : fail(EXIT_FAILED, "cannot write standard output: %m");
}

static int help(FILE *out)
{
	fprintf(out, "Usage: tcpsaga VERB [OPTION...] [FILTER]\n"
		     "The whole saga of every TCP connection on this host.\n\n");
	for (int i = 0; i < VERBS; i++)
		fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(out, "\nExamples:\n"
		     "  tcpsaga trace\n"
		     "  tcpsaga trace port 443 and role client\n"
		     "  tcpsaga flows -o json --duration 10 | jq .history\n"
		     "  tcpsaga probe\n\n"
		     "tcpsaga VERB --help tells a verb's options.\n");
	return written(out);
}

static const struct verb *find_verb(const char *name)
{
	for (int i = 0; i < VERBS; i++)
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static int unknown_verb(const char *word)
{
	const char *names[VERBS + 1] = { 0 };
	const char *nearest;

	for (int i = 0; i < VERBS; i++)
		names[i] = verbs[i].name;
	nearest = options__nearest(word, names);
	if (word[0] == '-')
		return fail(EXIT_USAGE, "unknown option %s: a verb comes first, see tcpsaga --help", word);
	if (nearest)
		return fail(EXIT_USAGE, "unknown verb \"%s\": did you mean %s?", word, nearest);
	return fail(EXIT_USAGE, "unknown verb \"%s\": see tcpsaga --help", word);
}

int main(int argc, char **argv)
{
	static char help_option[] = "--help";
	const struct verb *verb;

	/* A reader that goes away is told by write(), and is no failure. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (argc == 3 && !strcmp(argv[1], "help")) { /* "help trace" is "trace --help" */
		argv[1] = argv[2];
		argv[2] = help_option;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(stdout);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("tcpsaga " TCPSAGA_VERSION "\n");
		return written(stdout);
	}
	verb = find_verb(argv[1]);
	return verb ? verb->run(argc - 1, argv + 1) : unknown_verb(argv[1]);
}
