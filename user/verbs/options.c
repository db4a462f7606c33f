// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/spelling.h"
#include "event/control.h"

enum {
	KEY_DURATION = 256,
	KEY_COUNT,
	KEY_ONCE,
	KEY_AT_CLOSE,
	KEY_HOOKS,
	KEY_SOURCE,
	KEY_PRINT,
	KEY_SOCKOPS,
	KEY_RULES,
	KEY_SET,
	KEY_SIMULATE_LOSS,
	KEY_MAX_FLOWS,
	KEY_RING,
	WORDS_MAX = 256,
	MAX_FLOWS_LEAST = 16,
	MAX_FLOWS_MOST = 1 << 24,
	RING_LEAST = 64 << 10,
	RING_MOST = 1 << 30,
	PREDICATE_WORDS_MAX = 4,
};

/* While parsing. */
struct parse {
	struct options *options;
	const struct verb_syntax *syntax;
	const char *words[WORDS_MAX]; /* the filter's */
	size_t word_count;
	bool source_given;
	int status; /* not 0: what was wrong has been said */
};

static const struct argp_option option_table[] = {
	{ "output", 'o', "table|json", 0, "Output format; table is the default", 1 },
	{ "read", 'r', "FILE", 0, "Read a recording instead of the live kernel; - is standard input", 1 },
	{ "source", KEY_SOURCE, "auto|live|agent[:SOCKET]", 0,
	  "Where events come from: a running agent, the live kernel, or (auto, the default) the "
	  "agent when it answers at " CONTROL_PATH ", else the live kernel",
	  1 },
	{ "duration", KEY_DURATION, "SECONDS", 0, "Stop after this time", 1 },
	{ "count", KEY_COUNT, "N", 0, "Stop after N events are shown", 1 },
	{ "hooks", KEY_HOOKS, HOOK_CHOICE_WORDS, 0,
	  "Kind of kernel hook; auto takes for each event the best that attaches", 1 },
	{ "max-flows", KEY_MAX_FLOWS, "N", 0,
	  "Keep at most N connections, open and ended (262144); what gives way is counted", 1 },
	{ "ring-size", KEY_RING, "SIZE", 0,
	  "Room for records on their way from the kernel: 64K to 1G, a power of two (8M)", 1 },
	{ "simulate-loss", KEY_SIMULATE_LOSS, "RATE", 0,
	  "Drop this share of the records in the kernel (0.01 or 1%), to see what a loss does", 1 },
	{ "pid", 'p', "PID", 0, "Only connections of this process", 2 },
	{ "localport", 'L', "PORTS", 0, "Only these local ports, separated by commas", 2 },
	{ "remoteport", 'D', "PORTS", 0, "Only these remote ports, separated by commas", 2 },
	{ "ipv4", '4', NULL, 0, "Only IPv4 on the wire", 2 },
	{ "ipv6", '6', NULL, 0, "Only IPv6 on the wire", 2 },
	{ "timestamp", 'T', NULL, 0, "Full UTC time in tables", 3 },
	{ "wide", 'w', NULL, 0, "Wide tables: room for IPv6, network namespace", 3 },
	HELP_OPTION,
	{ 0 },
};

static const struct argp_option events_option[] = {
	{ "events", 'e', "KIND,...", 0,
	  "Kinds of event: transition, syn, handshake, accept, timewait, bind; all is the default", 1 },
};

static const struct argp_option print_option[] = {
	{ "print", KEY_PRINT, NULL, 0, "Also print the events, as trace does", 1 },
};

static const struct argp_option once_option[] = {
	{ "once", KEY_ONCE, NULL, 0, "One look at the kernel's own tables, and exit", 1 },
};

static const struct argp_option at_close_option[] = {
	{ "at-close", KEY_AT_CLOSE, NULL, 0,
	  "Tell a connection when its socket closes, not when its TIME_WAIT is over", 1 },
};

static const struct argp_option sockops_option[] = {
	{ "sockops", KEY_SOCKOPS, "CGROUP", 0,
	  "Where functions cannot be hooked: count the SYNs that are queued at listeners of this "
	  "cgroup (a directory of cgroup2), by a sockops program that is attached to it meanwhile",
	  1 },
};

static const struct argp_option rules_options[] = {
	{ "once", KEY_ONCE, NULL, 0, "Look for ten seconds (--duration: others), tell what is found", 1 },
	{ "rules", KEY_RULES, NULL, 0, "List the rules and their thresholds", 1 },
	{ "set", KEY_SET, "RULE.NAME=VALUE", 0,
	  "Another threshold, like close-wait-leak.age=120s; may be given several times", 1 },
};

static int say(struct parse *parse, const char *what, const char *arg, const char *wants)
{
	parse->status =
		fail(EXIT_USAGE, "%s: %s wants %s, not \"%s\"", parse->syntax->name, what, wants, arg);
	return EINVAL;
}

static int parse_output(struct parse *parse, const char *arg)
{
	if (strcmp(arg, "table") && strcmp(arg, "json"))
		return say(parse, "-o", arg, "table or json");
	parse->options->json = !strcmp(arg, "json");
	return 0;
}

static int parse_duration(struct parse *parse, const char *arg)
{
	char *end;
	double seconds = strtod(arg, &end);

	if (end == arg || *end || !(seconds > 0 && seconds < 1e9))
		return say(parse, "--duration", arg, "seconds above 0");
	parse->options->duration_ns = (uint64_t)(seconds * (double)NS_PER_S);
	if (!parse->options->duration_ns)
		parse->options->duration_ns = 1; /* 0 is "none" */
	return 0;
}

static int parse_count(struct parse *parse, const char *arg)
{
	char *end;

	errno = 0;
	parse->options->count = strtoull(arg, &end, 10);
	if (end == arg || *end || errno || strchr(arg, '-') || !parse->options->count)
		return say(parse, "--count", arg, "a number above 0");
	return 0;
}

static int add_set(struct parse *parse, const char *arg)
{
	if (parse->options->set_count == SETS_MAX)
		return say(parse, "--set", arg, "to be given less often");
	parse->options->sets[parse->options->set_count++] = arg;
	return 0;
}

static int parse_max_flows(struct parse *parse, const char *arg)
{
	char *end;
	unsigned long long number = strtoull(arg, &end, 10);

	if (end == arg || *end || strchr(arg, '-') || number < MAX_FLOWS_LEAST || number > MAX_FLOWS_MOST)
		return say(parse, "--max-flows", arg, "a number from 16 to 16777216");
	parse->options->max_flows = (uint32_t)number;
	return 0;
}

static int parse_ring(struct parse *parse, const char *arg)
{
	char *end;
	unsigned long long bytes = strtoull(arg, &end, 10);
	unsigned int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

	end += shift != 0;
	if (end == arg || *end || strchr(arg, '-') || bytes > (unsigned long long)RING_MOST >> shift ||
	    bytes << shift < RING_LEAST || bytes & (bytes - 1))
		return say(parse, "--ring-size", arg, "a power of two from 64K to 1G");
	parse->options->ring_bytes = (uint32_t)(bytes << shift);
	return 0;
}

/* Of a whole that is 2^32: what a random number of the kernel is compared with. */
static int parse_simulate_loss(struct parse *parse, const char *arg)
{
	char *end;
	double share = strtod(arg, &end);

	if (*end == '%') {
		share /= 100;
		end++;
	}
	if (end == arg || *end || !(share > 0 && share <= 1))
		return say(parse, "--simulate-loss", arg, "a share above 0 and up to 1, or 100%");
	share *= 0x1p32;
	parse->options->simulate_loss = share < 1	   ? 1 :
					share > UINT32_MAX ? UINT32_MAX :
							     (uint32_t)share;
	return 0;
}

static int parse_hooks(struct parse *parse, const char *arg)
{
	int choice = hook_choice__parse(arg);

	if (choice < 0)
		return say(parse, "--hooks", arg, "one of " HOOK_CHOICE_WORDS);
	parse->options->hooks = (enum hook_choice)choice;
	return 0;
}

static const struct {
	const char *word;
	uint32_t bit;
} event_words[] = {
	{ "transition", EVENTS_TRANSITION }, { "syn", EVENTS_SYN },
	{ "handshake", EVENTS_HANDSHAKE },   { "accept", EVENTS_ACCEPT },
	{ "timewait", EVENTS_TIMEWAIT },     { "bind", EVENTS_BIND },
};

/* The bit of a kind of event, 0 for a word that is none. */
static uint32_t event_bit(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(event_words) / sizeof(event_words[0]); i++)
		if (strlen(event_words[i].word) == len && !memcmp(word, event_words[i].word, len))
			return event_words[i].bit;
	return 0;
}

static int parse_events(struct parse *parse, const char *arg)
{
	uint32_t events = 0;

	for (const char *word = arg; word;) {
		size_t len = strcspn(word, ",");
		uint32_t bit = event_bit(word, len);

		if (!bit)
			return say(parse, "-e", arg,
				   "kinds of: transition, syn, handshake, accept, timewait, bind");
		events |= bit;
		word = word[len] ? word + len + 1 : NULL;
	}
	parse->options->events = events;
	return 0;
}

int options__filter(const char *verb, const char *const *words, size_t count, struct filter **filter)
{
	struct filter_error error;
	char text[1024];

	*filter = filter__parse(words, count, &error);
	if (*filter)
		return EXIT_DONE;
	if (errno != EINVAL)
		return fail(EXIT_FAILED, "out of memory");
	filter__explain(&error, words, count, text, sizeof(text));
	fflush(stdout);
	fprintf(stderr, "tcpsaga: %s: filter: %s", verb, text);
	return EXIT_USAGE;
}

static int add_filter(struct parse *parse, const char *const *words, size_t count)
{
	struct filter *filter, *both;

	parse->status = options__filter(parse->syntax->name, words, count, &filter);
	if (parse->status)
		return EINVAL;
	both = filter__and(parse->options->filter, filter);
	if (!both) {
		parse->status = fail(EXIT_FAILED, "out of memory");
		return ENOMEM;
	}
	parse->options->filter = both;
	return 0;
}

bool options__source(const char *arg, enum source_choice *source, const char **socket)
{
	if (!strcmp(arg, "auto") || !strcmp(arg, "live")) {
		*source = *arg == 'a' ? SOURCE_AUTO : SOURCE_LIVE;
		return true;
	}
	if (strncmp(arg, "agent", 5) || (arg[5] && (arg[5] != ':' || !arg[6])))
		return false;
	*source = SOURCE_AGENT;
	if (arg[5])
		*socket = arg + 6;
	return true;
}

static int parse_source(struct parse *parse, const char *arg)
{
	parse->source_given = true;
	return options__source(arg, &parse->options->source, &parse->options->socket) ?
		       0 :
		       say(parse, "--source", arg, "auto, live, agent or agent:SOCKET");
}

/* Where else records come from, what makes or unmakes them has been decided there. */
static int check_source(struct parse *parse)
{
	const struct options *options = parse->options;

	if (options->replay && parse->source_given)
		parse->status = fail(EXIT_USAGE,
				     "%s: -r and --source exclude each other: a recording is a source",
				     parse->syntax->name);
	else if (options->source == SOURCE_AGENT && options->own_capture)
		parse->status =
			fail(EXIT_USAGE, "%s: %s is for a capture of its own: not with --source agent",
			     parse->syntax->name, options->own_capture);
	return parse->status ? EINVAL : 0;
}

/* The short options of bcc's tools are filters by another name. */
static int add_short_filter(struct parse *parse, int key, const char *arg)
{
	const char *words[PREDICATE_WORDS_MAX];
	size_t count = 0;

	switch (key) {
	case 'p':
		words[count++] = "pid";
		break;
	case 'L':
		words[count++] = "local";
		words[count++] = "port";
		break;
	case 'D':
		words[count++] = "remote";
		words[count++] = "port";
		break;
	default:
		words[count++] = key == '4' ? "ipv4" : "ipv6";
	}
	if (arg)
		words[count++] = arg;
	return add_filter(parse, words, count);
}

static int add_operand(struct parse *parse, const char *arg)
{
	if (parse->syntax->takes_file && !parse->options->file) {
		parse->options->file = arg;
		return 0;
	}
	if (parse->word_count == WORDS_MAX) {
		parse->status = fail(EXIT_USAGE, "%s: the filter has more than %d words",
				     parse->syntax->name, WORDS_MAX);
		return EINVAL;
	}
	parse->words[parse->word_count++] = arg;
	return 0;
}

static int finish(struct parse *parse)
{
	if (parse->syntax->takes_file && !parse->options->file) {
		parse->status = fail(EXIT_USAGE, "%s: which file? try: tcpsaga %s FILE",
				     parse->syntax->name, parse->syntax->name);
		return EINVAL;
	}
	if (check_source(parse))
		return EINVAL;
	return add_filter(parse, parse->words, parse->word_count);
}

/* Options that only a capture of its own can do. */
static void note_own_capture(struct parse *parse, int key)
{
	static const struct {
		int key;
		const char *name;
	} own[] = { { KEY_HOOKS, "--hooks" },
		    { KEY_RING, "--ring-size" },
		    { KEY_SIMULATE_LOSS, "--simulate-loss" },
		    { KEY_SOCKOPS, "--sockops" } };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i].key == key)
			parse->options->own_capture = own[i].name;
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;
	struct options *options = parse->options;

	note_own_capture(parse, key);
	switch (key) {
	case 'o':
		return parse_output(parse, arg);
	case 'r':
		options->replay = arg;
		return 0;
	case 'e':
		return parse_events(parse, arg);
	case 'T':
		options->full_time = true;
		return 0;
	case 'w':
		options->wide = true;
		return 0;
	case KEY_DURATION:
		return parse_duration(parse, arg);
	case KEY_COUNT:
		return parse_count(parse, arg);
	case KEY_HOOKS:
		return parse_hooks(parse, arg);
	case KEY_MAX_FLOWS:
		return parse_max_flows(parse, arg);
	case KEY_RING:
		return parse_ring(parse, arg);
	case KEY_SIMULATE_LOSS:
		return parse_simulate_loss(parse, arg);
	case KEY_ONCE:
		options->once = true;
		return 0;
	case KEY_RULES:
		options->rules = true;
		return 0;
	case KEY_SET:
		return add_set(parse, arg);
	case KEY_AT_CLOSE:
		options->at_close = true;
		return 0;
	case KEY_SOCKOPS:
		options->sockops = arg;
		return 0;
	case KEY_PRINT:
		options->print = true;
		return 0;
	case KEY_SOURCE:
		return parse_source(parse, arg);
	case 'p':
	case 'L':
	case 'D':
	case '4':
	case '6':
		return add_short_filter(parse, key, arg);
	case ARGP_KEY_ARG:
		return add_operand(parse, arg);
	case ARGP_KEY_END:
		return finish(parse);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *options__nearest(const char *text, const char *const *candidates)
{
	const char *nearest = NULL;
	unsigned int best = 3; /* two slips, not more */

	for (; *candidates; candidates++) {
		unsigned int d = spelling__distance(text, strlen(text), *candidates, strlen(*candidates));

		if (d < best && d < strlen(*candidates)) {
			best = d;
			nearest = *candidates;
		}
	}
	return nearest;
}

/* All long options of a parser, for "did you mean". */
static void long_names(const struct argp *argp, const char **names, size_t max)
{
	size_t count = 0;

	for (const struct argp_option *o = argp->options; o->name || o->key || o->doc; o++)
		if (o->name && count + 1 < max)
			names[count++] = o->name;
	names[count] = NULL;
}

static int bad_option(const struct argp *argp, const char *verb, const char *word)
{
	const char *names[64], *nearest;
	char name[64];

	long_names(argp, names, sizeof(names) / sizeof(names[0]));
	if (word[0] != '-' || word[1] != '-')
		return fail(
			EXIT_USAGE,
			"%s: unknown option, or one without its argument, in \"%s\"; see tcpsaga %s --help",
			verb, word, verb);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	for (size_t i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return fail(EXIT_USAGE, "%s: option --%s: %s; see tcpsaga %s --help", verb, name,
				    strchr(word, '=') ? "takes no argument" : "wants an argument", verb);
	nearest = options__nearest(name, names);
	if (nearest)
		return fail(EXIT_USAGE, "%s: unknown option --%s: did you mean --%s?", verb, name,
			    nearest);
	return fail(EXIT_USAGE, "%s: unknown option --%s; see tcpsaga %s --help", verb, name, verb);
}

/* argp tells its parser, not its caller, where it stood when it failed. */
struct argp_watch {
	const struct argp *argp;
	void *input;
	int next; /* index behind the word that failed; 0 none */
};

/* "Mandatory or optional arguments to long options are also ...": who knows
 * options knows that, and to others it says nothing. */
static char *drop_boilerplate(int key, const char *text, void *input)
{
	(void)input;
	return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

/* argp's own --help is silenced together with its error messages. */
static void print_help(struct argp_state *state)
{
	state->flags &= ~(unsigned int)ARGP_NO_ERRS;
	argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
	if ((fflush(stdout) || ferror(stdout)) && errno != EPIPE)
		exit(fail(EXIT_FAILED, "cannot write standard output: %m"));
	exit(EXIT_DONE);
}

static error_t watch(int key, char *arg, struct argp_state *state)
{
	struct argp_watch *watched = state->input;
	error_t err;

	if (key == KEY_HELP)
		print_help(state);
	if (key == ARGP_KEY_ERROR)
		watched->next = state->next;
	state->input = watched->input;
	err = watched->argp->parser(key, arg, state);
	state->input = watched;
	return err;
}

int options__argp(const struct argp *argp, const char *verb, int argc, char **argv, void *input,
		  const int *said)
{
	struct argp_watch watched = { .argp = argp, .input = input };
	struct argp watching = *argp;
	char name[64];
	error_t err;

	snprintf(name, sizeof(name), "tcpsaga %s", verb);
	argv[0] = name;
	watching.parser = watch;
	watching.help_filter = drop_boilerplate;
	/* argp would add a second line about --help to every error. */
	err = argp_parse(&watching, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &watched);
	argv[0] = (char *)verb;
	if (*said)
		return *said;
	if (!err)
		return 0;
	return bad_option(argp, verb,
			  watched.next > 0 && watched.next <= argc ? argv[watched.next - 1] : "");
}

/* The shared table and what this verb adds, in one. */
static void assemble(struct argp_option *out, const struct verb_syntax *syntax)
{
	if (syntax->takes_events)
		*out++ = events_option[0];
	if (syntax->takes_once)
		*out++ = once_option[0];
	if (syntax->takes_at_close)
		*out++ = at_close_option[0];
	if (syntax->takes_sockops)
		*out++ = sockops_option[0];
	if (syntax->takes_print)
		*out++ = print_option[0];
	for (size_t i = 0; syntax->takes_rules && i < sizeof(rules_options) / sizeof(rules_options[0]); i++)
		*out++ = rules_options[i];
	memcpy(out, option_table, sizeof(option_table));
}

const char options__filter_help[] =
	"FILTER is made of\n"
	"  port 443,8000-8010   host ADDR   net ADDR/LEN   (also behind local, remote)\n"
	"  state NAME,...   role client|server   ipv4   ipv6   pid N   comm NAME\n"
	"  netns INODE|PATH|NAME|self\n"
	"joined by and, or, not and quoted parentheses.\n";

int options__parse(struct options *options, const struct verb_syntax *syntax, int argc, char **argv)
{
	struct argp_option table[sizeof(option_table) / sizeof(option_table[0]) + 8];
	struct argp argp = { .options = table, .parser = on_option, .args_doc = syntax->operands };
	struct parse parse = { .options = options, .syntax = syntax };
	char doc[2048];

	*options = (struct options){ .events = EVENTS_ALL, .socket = CONTROL_PATH };
	assemble(table, syntax);
	snprintf(doc, sizeof(doc), "%s\v%s\n%s", syntax->doc, options__filter_help, syntax->examples);
	argp.doc = doc;
	return options__argp(&argp, syntax->name, argc, argv, &parse, &parse.status);
}

void options__fini(struct options *options)
{
	filter__free(options->filter);
	options->filter = NULL;
}
