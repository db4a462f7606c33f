// SPDX-License-Identifier: BSD-2-Clause
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/config.h"
#include "findings/engine.h"
#include "base/identity.h"
#include "base/log.h"
#include "event/control.h"
#include "verbs/agent_sinks.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

enum {
	KEY_METRICS = 256,
	KEY_CONTROL,
	KEY_JSON,
	KEY_TEXTFILE,
	KEY_STATE,
	KEY_HOOKS,
	KEY_SET,
	KEY_CONFIG,
	KEY_CHECK_CONFIG,
	KEY_ROTATE_SIZE,
	KEY_ROTATE_AGE,
	KEY_ROTATE_KEEP,
	KEY_COMPRESS,
	KEY_USER,
	WORDS_MAX = 256,
	CONFIG_GROUPS = 3, /* options of these groups can stand in a file, but for -r */
};

#define METRICS_DEFAULT "127.0.0.1:9788"

static const struct argp_option option_table[] = {
	{ "metrics", KEY_METRICS, "ADDR:PORT|systemd|off", 0,
	  "Where /metrics and /healthz are served; " METRICS_DEFAULT " is the default. systemd: "
	  "the socket that systemd has opened",
	  1 },
	{ "control", KEY_CONTROL, "PATH|off", 0,
	  "The socket at which looking verbs are served (--source agent); " CONTROL_PATH " is the default",
	  1 },
	{ "textfile", KEY_TEXTFILE, "FILE", 0,
	  "Write the metrics to FILE every 15 s, for the node exporter's textfile collector", 1 },
	{ "state", KEY_STATE, "FILE|off", 0,
	  "Where it is kept up to when each sink had everything, that the next start can tell what "
	  "nobody saw; /run/tcpsaga/state is the default where that directory is",
	  1 },
	{ "json", KEY_JSON, "SINK[:LEVEL]", 0,
	  "Write JSON to SINK: a file, - (standard output), unix:PATH, unixgram:PATH or journald. "
	  "LEVEL is connections (the default), transitions or findings. May be given several "
	  "times; sections [sink NAME] of the configuration have a filter of their own each",
	  2 },
	{ "rotate-size", KEY_ROTATE_SIZE, "BYTES[K|M|G]", 0, "Begin a new JSON file at this size", 2 },
	{ "rotate-age", KEY_ROTATE_AGE, "SECONDS", 0, "Begin a new JSON file at this age", 2 },
	{ "rotate-keep", KEY_ROTATE_KEEP, "N", 0,
	  "Keep N old JSON files: FILE.1 is the newest; default 5", 2 },
	{ "compress", KEY_COMPRESS, "zstd|off", 0, "Compress old JSON files: FILE.1.zst", 2 },
	{ "set", KEY_SET, "RULE.THRESHOLD=VALUE", 0,
	  "Change a threshold of the findings; diagnose --rules lists them", 3 },
	{ "read", 'r', "FILE", 0, "Feed from a recording, and end with it: to try things out", 3 },
	{ "hooks", KEY_HOOKS, HOOK_CHOICE_WORDS, 0,
	  "Kind of kernel hook; auto takes for each event the best that attaches", 3 },
	{ "user", KEY_USER, "NAME", 0,
	  "Become this user once all is open; tcpsaga is the default, where there is such a user", 3 },
	{ "config", KEY_CONFIG, "FILE", 0,
	  "Read FILE in place of the system's (/etc/tcpsaga/agent.conf and its .conf.d)", 4 },
	{ "check-config", KEY_CHECK_CONFIG, NULL, 0,
	  "Say whether the configuration is in order, and end", 4 },
	HELP_OPTION,
	{ 0 },
};

struct parse {
	struct agent_config config;
	struct sinks_wanted sinks;
	const char *words[WORDS_MAX]; /* of the filter */
	size_t word_count;
	struct filter *filter; /* owned */
	struct config_files files;
	const char *config_path; /* NULL: the system's */
	const char *where;	 /* "FILE:LINE: " of what is parsed; "agent: ": the command line */
	struct engine *trial;	 /* owned: to try thresholds on */
	bool check;
	bool again; /* the agent runs */
	int status; /* not 0: what was wrong has been said */
};

static int say(struct parse *parse, const char *option, const char *arg, const char *wants)
{
	parse->status = fail(EXIT_USAGE, "%s%s wants %s, not \"%s\"", parse->where, option, wants, arg);
	return EINVAL;
}

/* What stands behind an option or a key of that name, for the sinks. */
static int take_preset(struct parse *parse, const char *key, const char *arg)
{
	parse->status = sinks_wanted__preset(&parse->sinks, key, arg, parse->where);
	return parse->status ? EINVAL : 0;
}

static int parse_json(struct parse *parse, const char *arg)
{
	parse->status = sinks_wanted__add(&parse->sinks, arg, parse->where);
	return parse->status ? EINVAL : 0;
}

static int parse_hooks(struct parse *parse, const char *arg)
{
	int choice = hook_choice__parse(arg);

	if (choice < 0)
		return say(parse, "--hooks", arg, "one of " HOOK_CHOICE_WORDS);
	parse->config.hooks = (enum hook_choice)choice;
	return 0;
}

/* Looked up once: an agent that runs is who it is, and may not load what knows users. */
static int parse_user(struct parse *parse, const char *arg)
{
	struct identity user;
	int err = parse->again ? 0 : identity__find(&user, arg);

	if (err == -ENOENT)
		return say(parse, "--user", arg, "the name of a user");
	if (err) {
		parse->status = fail(EXIT_FAILED, "%s--user %s: %s", parse->where, arg, strerror(-err));
		return EINVAL;
	}
	parse->config.user = arg;
	return 0;
}

/* A threshold that is wrong is told before any probe is loaded. */
static int try_set(struct parse *parse, const char *arg)
{
	static const struct engine_config no_model;
	struct strbuf message;

	if (!parse->trial)
		parse->trial = engine__new(&no_model);
	if (!parse->trial) {
		parse->status = fail(EXIT_FAILED, "out of memory");
		return ENOMEM;
	}
	strbuf__init(&message);
	if (engine__set(parse->trial, arg, &message))
		parse->status = fail(EXIT_USAGE, "%s--set: %s", parse->where, strbuf__text(&message));
	strbuf__fini(&message);
	return parse->status ? EINVAL : 0;
}

static int add_set(struct parse *parse, const char *arg)
{
	struct agent_config *config = &parse->config;

	if (config->set_count == AGENT_SETS_MAX) {
		parse->status =
			fail(EXIT_USAGE, "%s--set can be given %d times", parse->where, AGENT_SETS_MAX);
		return EINVAL;
	}
	config->sets[config->set_count++] = arg;
	return try_set(parse, arg);
}

static int add_word(struct parse *parse, const char *word)
{
	if (parse->word_count == WORDS_MAX) {
		parse->status = fail(EXIT_USAGE, "%sthe filter has too many words", parse->where);
		return EINVAL;
	}
	parse->words[parse->word_count++] = word;
	return 0;
}

/* What a configuration file can say, too. ARGP_ERR_UNKNOWN: not that. */
static error_t take_setting(struct parse *parse, int key, const char *arg)
{
	switch (key) {
	case KEY_METRICS:
		parse->config.metrics = strcmp(arg, "off") ? arg : NULL;
		return 0;
	case KEY_CONTROL:
		parse->config.control = strcmp(arg, "off") ? arg : NULL;
		parse->config.control_asked = parse->config.control != NULL;
		return 0;
	case KEY_TEXTFILE:
		parse->config.textfile = arg;
		return 0;
	case KEY_STATE:
		parse->config.state = strcmp(arg, "off") ? arg : "";
		return 0;
	case KEY_JSON:
		return parse_json(parse, arg);
	case KEY_USER:
		return parse_user(parse, arg);
	case KEY_ROTATE_SIZE:
		return take_preset(parse, "rotate-size", arg);
	case KEY_ROTATE_AGE:
		return take_preset(parse, "rotate-age", arg);
	case KEY_ROTATE_KEEP:
		return take_preset(parse, "rotate-keep", arg);
	case KEY_COMPRESS:
		return take_preset(parse, "compress", arg);
	case KEY_SET:
		return add_set(parse, arg);
	case KEY_HOOKS:
		return parse_hooks(parse, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;

	switch (key) {
	case KEY_CONFIG: /* read already */
	case KEY_CHECK_CONFIG:
		return 0;
	case 'r':
		parse->config.replay = arg;
		return 0;
	case ARGP_KEY_ARG:
		return add_word(parse, arg);
	case ARGP_KEY_END:
		parse->status = options__filter("agent", parse->words, parse->word_count, &parse->filter);
		return parse->status ? EINVAL : 0;
	default:
		return take_setting(parse, key, arg);
	}
}

/* Before all else it must be known which files are to be read. */
static error_t on_config_option(int key, char *arg, struct argp_state *state)
{
	struct parse *parse = state->input;

	if (key == KEY_CONFIG)
		parse->config_path = arg;
	parse->check |= key == KEY_CHECK_CONFIG;
	return 0;
}

/* The options that a file can say, by their long names. */
static int config_key(const char *name)
{
	for (const struct argp_option *o = option_table; o->name; o++)
		if (!strcmp(o->name, name) && o->group && o->group <= CONFIG_GROUPS && o->key != 'r')
			return o->key;
	return 0;
}

static int unknown_key(const char *key, const char *where)
{
	const char *names[32], *nearest;
	size_t count = 0;

	for (const struct argp_option *o = option_table; o->name; o++)
		if (config_key(o->name))
			names[count++] = o->name;
	names[count++] = "filter";
	names[count] = NULL;
	nearest = options__nearest(key, names);
	if (nearest)
		return fail(EXIT_USAGE, "%sunknown key \"%s\": did you mean %s?", where, key, nearest);
	return fail(EXIT_USAGE, "%sunknown key \"%s\"; see tcpsaga agent --help", where, key);
}

/* "sink NAME" */
static const char *sink_name(const char *section)
{
	return strncmp(section, "sink ", 5) ? NULL : section + 5 + strspn(section + 5, " ");
}

static int take_key(void *context, const char *section, const char *key, const char *value,
		    const char *where)
{
	struct parse *parse = context;
	int option = config_key(key);

	if (sink_name(section))
		return sinks_wanted__take(&parse->sinks, sink_name(section), key, value, where);
	if (strcmp(section, "agent") != 0)
		return fail(EXIT_USAGE, "%sunknown section [%s]: there are [agent] and [sink NAME]",
			    where, section);
	parse->where = where;
	if (!strcmp(key, "filter"))
		add_word(parse, value);
	else if (!option)
		parse->status = unknown_key(key, where);
	else
		take_setting(parse, option, value);
	parse->where = "agent: ";
	return parse->status;
}

static const char about[] =
	"Watch always: metrics for Prometheus, JSON for a pipeline. FILTER narrows the JSON, and the "
	"metrics as far as the kernel can apply it (ports, addresses, family, network namespace).";

static const char examples[] =
	"SIGTERM ends it: what is under way is written, then the summary. SIGHUP reads the "
	"configuration again and opens the JSON files anew (logrotate), SIGUSR1 logs the counters. A connection is told when its socket closes.\n\n"
	"Examples:\n"
	"  tcpsaga agent                             /metrics on " METRICS_DEFAULT "\n"
	"  tcpsaga agent --json /var/log/tcpsaga.json --rotate-size 100M\n"
	"  tcpsaga agent --metrics off --json -:transitions | vector\n"
	"  tcpsaga agent --textfile /var/lib/prometheus/node-exporter/tcpsaga.prom\n";

/* ---- reading it all ---- */

struct command {
	int argc;
	char **argv;
	struct parse *first;  /* owned: what the agent was started with */
	struct parse *older;  /* owned, unless it is the first: in force until the latest is */
	struct parse *latest; /* owned, unless it is the first */
};

static void free_parse(struct parse *parse)
{
	if (!parse)
		return;
	sinks_wanted__fini(&parse->sinks);
	filter__free(parse->filter);
	engine__free(parse->trial);
	config_files__fini(&parse->files);
	free(parse);
}

/* The words of the filter that is in force, where the new one would have the kernel tell
 * of others: what it filters by is part of the programs. */
static void keep_filter(struct parse *parse, const struct parse *first)
{
	struct kernel_filter wanted, in_force;

	filter__kernel_terms(parse->filter, &wanted);
	filter__kernel_terms(first->filter, &in_force);
	if (!memcmp(&wanted, &in_force, sizeof(wanted)))
		return;
	log__line("agent: filter: stays as it was; one about other connections needs a restart");
	memcpy(parse->words, first->words, sizeof(parse->words));
	parse->word_count = first->word_count;
}

static int parse_all(struct parse *parse, int argc, char **argv, const struct parse *first)
{
	const struct argp looking = { .options = option_table, .parser = on_config_option };
	struct argp argp = { .options = option_table, .parser = on_option, .args_doc = "[FILTER]" };
	char doc[4096];
	int status = 0;

	snprintf(doc, sizeof(doc), "%s\v%s\n%s", about, options__filter_help, examples);
	argp.doc = doc;
	/* The usage is told by the second pass. */
	if (!argp_parse(&looking, argc, argv, ARGP_NO_HELP | ARGP_NO_ERRS | ARGP_NO_EXIT, NULL, parse))
		status = config_files__read(&parse->files, parse->config_path, take_key, parse);
	if (!status)
		status = options__argp(&argp, "agent", argc, argv, parse, &parse->status);
	if (!status && first)
		keep_filter(parse, first);
	parse->config.filter = parse->filter;
	parse->config.config_path = parse->config_path;
	return status ? status :
			sinks_wanted__settle(&parse->sinks, parse->words, parse->word_count,
					     &parse->config);
}

/* NULL after a line, with *status. */
static struct parse *new_parse(int argc, char **argv, const struct parse *first, int *status)
{
	struct parse *parse = calloc(1, sizeof(*parse));

	if (!parse) {
		*status = fail(EXIT_FAILED, "out of memory");
		return NULL;
	}
	parse->config.metrics = METRICS_DEFAULT;
	parse->config.control = CONTROL_PATH;
	parse->where = "agent: ";
	parse->again = first != NULL;
	sinks_wanted__init(&parse->sinks);
	*status = parse_all(parse, argc, argv, first);
	if (!*status)
		return parse;
	free_parse(parse);
	return NULL;
}

/* The agent has what it borrows from the latest one until this returns another, and from
 * the first for as long as it runs. */
static const struct agent_config *reread(void *context)
{
	struct command *command = context;
	int status;
	struct parse *fresh = new_parse(command->argc, command->argv, command->first, &status);

	if (!fresh)
		return NULL;
	if (command->older != command->first)
		free_parse(command->older);
	command->older = command->latest;
	command->latest = fresh;
	return &fresh->config;
}

int verb_agent(int argc, char **argv)
{
	struct command command = { .argc = argc, .argv = argv };
	int status;

	command.first = command.older = command.latest = new_parse(argc, argv, NULL, &status);
	if (!command.first)
		return status;
	if (command.first->check)
		log__line("agent: the configuration is in order (%u files)", command.first->files.files);
	else
		status = agent__run(&command.first->config, reread, &command);
	if (command.older != command.first)
		free_parse(command.older);
	if (command.latest != command.first)
		free_parse(command.latest);
	free_parse(command.first);
	return status;
}
