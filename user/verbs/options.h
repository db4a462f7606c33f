/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options that all looking verbs share (DESIGN, section 1): one table
 * drives parsing and help.
 */
#ifndef TCPSAGA_VERBS_OPTIONS_H
#define TCPSAGA_VERBS_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/filter.h"
#include "model/model.h"
#include "source/hooks.h"

/* What -e names: kinds of change. */
enum {
	EVENTS_TRANSITION = 1 << CHANGE_TRANSITION,
	EVENTS_SYN = 1 << CHANGE_SYN,
	EVENTS_HANDSHAKE = 1 << CHANGE_HANDSHAKE,
	EVENTS_ACCEPT = 1 << CHANGE_ACCEPT,
	EVENTS_TIMEWAIT = 1 << CHANGE_TIMEWAIT,
	EVENTS_BIND = 1 << CHANGE_BIND,
	EVENTS_ALL = EVENTS_TRANSITION | EVENTS_SYN | EVENTS_HANDSHAKE | EVENTS_ACCEPT |
		     EVENTS_TIMEWAIT | EVENTS_BIND
};

enum { SETS_MAX = 64 };

/* The option that every table of options__argp() has to hold. */
enum { KEY_HELP = 'h' };
#define HELP_OPTION                                        \
	{                                                  \
		"help", KEY_HELP, NULL, 0, "This help", -1 \
	}

/* What a verb takes of the shared options, and what it is. */
struct verb_syntax {
	const char *name;
	const char *operands; /* "[FILTER]" */
	const char *doc;      /* above the options in --help */
	const char *examples; /* below them */
	bool takes_events;    /* -e */
	bool takes_file;      /* the first operand is a file, not part of the filter */
	bool takes_print;     /* --print */
	bool takes_once;      /* --once */
	bool takes_at_close;  /* --at-close */
	bool takes_sockops;   /* --sockops */
	bool takes_rules;     /* --rules, --set; its --once is a look of some seconds */
};

enum source_choice {
	SOURCE_AUTO, /* the agent when its socket answers, else the live kernel */
	SOURCE_LIVE,
	SOURCE_AGENT,
};

struct options {
	bool json;
	bool once;
	bool at_close; /* a life is told when its socket closes */
	bool wide;
	bool full_time;
	bool print;
	const char *replay; /* -r FILE, borrowed from argv; NULL: live */
	enum source_choice source;
	const char *socket;	 /* of the agent, borrowed */
	const char *own_capture; /* an option that only an own capture can do; NULL: none */
	const char *file;	 /* operand, borrowed */
	const char *sockops;	 /* path of a cgroup, borrowed; NULL: none */
	bool rules;
	const char *sets[SETS_MAX]; /* --set, borrowed from argv */
	unsigned int set_count;
	uint64_t duration_ns;	/* 0: until stopped */
	uint64_t count;		/* 0: no limit */
	uint32_t events;	/* EVENTS_* */
	uint32_t max_flows;	/* 0: the default */
	uint32_t ring_bytes;	/* 0: the default */
	uint32_t simulate_loss; /* share of 2^32 */
	enum hook_choice hooks;
	struct filter *filter; /* owned, never NULL after parsing */
};

/*
 * Parses the command line of a verb; argv[0] is the verb. Returns 0, or the
 * exit status after one line on stderr. --help prints and exits 0.
 */
int options__parse(struct options *options, const struct verb_syntax *syntax, int argc, char **argv);
void options__fini(struct options *options);

/* For verbs with other options: parses with argp, one line for what is wrong.
 * *said is the exit status of an error that the parser has already told.
 * Returns 0 or that or EXIT_USAGE; --help prints and ends the program. */
int options__argp(const struct argp *argp, const char *verb, int argc, char **argv, void *input,
		  const int *said);

/* "auto", "live", "agent" or "agent:SOCKET" (borrowed). False: none of them. */
bool options__source(const char *arg, enum source_choice *source, const char **socket);

/* How a filter is written, for --help. */
extern const char options__filter_help[];

/* Parses the words of a filter. 0 with *filter owned by the caller, or the exit
 * status after what is wrong has been said. */
int options__filter(const char *verb, const char *const *words, size_t count, struct filter **filter);

/* The word of candidates (NULL-terminated) that is nearest to text, NULL when
 * none is near. For "did you mean". */
const char *options__nearest(const char *text, const char *const *candidates);

#endif
