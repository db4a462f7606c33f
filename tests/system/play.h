/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs share that play scenarios of TCP (traffic, knock): how they fail,
 * addresses, and a command line of a scenario and its options. Included once, by a
 * program that has defined PROGRAM, its name, and struct options, what it is asked for.
 *
 * Exit status: 0 done, 1 failed, 2 wrong usage, 77 not possible here.
 */
#ifndef TCPSAGA_TESTS_PLAY_H
#define TCPSAGA_TESTS_PLAY_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOT_POSSIBLE_HERE 77

/* The longest step is a timer of the kernel's, of 3 s; the rest is for emulated
 * machines. */
#define STEP_LIMIT_S 90

static struct options opt;

/* ---- failing ------------------------------------------------------------ */

static const char *scenario_name = "";

/* The step in progress, for the message of die() and of the alarm. */
static const char *volatile step = "start";

/* What is still to be done by who dies of the alarm; async-signal-safe. */
static void (*last_act)(void);

static inline _Noreturn void die(const char *what)
{
	fprintf(stderr, PROGRAM " %s: %s: %s (errno %d)\n", scenario_name, what, strerror(errno), errno);
	exit(1);
}

static inline _Noreturn void give_up(const char *what)
{
	fprintf(stderr, PROGRAM " %s: %s\n", scenario_name, what);
	exit(1);
}

static inline _Noreturn void skip(const char *why)
{
	fprintf(stderr, PROGRAM " %s: not possible here: %s: %s\n", scenario_name, why, strerror(errno));
	exit(NOT_POSSIBLE_HERE);
}

/* Only async-signal-safe calls in here. */
static void on_alarm(int signal_number)
{
	const char *const words[] = { PROGRAM ": no progress in step: ", step, "\n" };
	ssize_t ignored;

	(void)signal_number;
	for (size_t i = 0; i < 3; i++)
		ignored = write(STDERR_FILENO, words[i], strlen(words[i]));
	(void)ignored;
	if (last_act)
		last_act();
	_exit(1);
}

static inline int check(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

/* ---- addresses ---------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline union address address_of(const char *text, long port)
{
	union address a = { 0 };

	if (strchr(text, ':')) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, text, &a.v6.sin6_addr);
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, text, &a.v4.sin_addr);
	}
	return a;
}

static inline bool is_v6(const union address *a)
{
	return a->any.sa_family == AF_INET6;
}

static inline bool is_mapped(const union address *a)
{
	return is_v6(a) && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

static inline socklen_t size_of(const union address *a)
{
	return is_v6(a) ? sizeof(a->v6) : sizeof(a->v4);
}

static inline uint16_t port_of(const union address *a)
{
	return ntohs(is_v6(a) ? a->v6.sin6_port : a->v4.sin_port);
}

/* As another key of a JSON object: a v4-mapped one as a dotted quad, and one of no
 * family not at all. */
static inline void print_address(const char *key, const union address *a)
{
	char text[INET6_ADDRSTRLEN];

	if (a->any.sa_family == 0)
		return;
	if (is_mapped(a))
		inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], text, sizeof(text));
	else
		inet_ntop(a->any.sa_family, is_v6(a) ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr,
			  text, sizeof(text));
	printf(",\"%s\":{\"addr\":\"%s\",\"port\":%u}", key, text, port_of(a));
}

/* ---- the command line --------------------------------------------------- */

struct scenario {
	const char *name;
	void (*play)(void);
	const char *via;    /* what --via is unless it is given; NULL: what its row says */
	unsigned int reads; /* of the readers of options, a bit each */
	const char *help;
};

/* An option is a number, or a text: one of `words`, if there are any. */
struct option_row {
	const char *name;
	unsigned int readers; /* 0: every scenario reads it */
	size_t offset;
	bool is_text;
	const char *initial, *words, *help;
};

#define NUMBER(member) offsetof(struct options, member), false
#define TEXT(member) offsetof(struct options, member), true

/* The program's own, set by its main(); each ends with one that has no name. */
static const struct scenario *all_scenarios;
static const struct option_row *all_options;

static void help(FILE *to, const char *usage)
{
	fprintf(to, "usage: " PROGRAM " %sSCENARIO [--OPTION VALUE]...\n\n", usage);
	for (const struct scenario *s = all_scenarios; s->name; s++)
		fprintf(to, "  %-20s %s\n", s->name, s->help);
	fprintf(to, "\noptions:\n");
	for (const struct option_row *row = all_options; row->name; row++) {
		fprintf(to, "  %-15s %s", row->name, row->help);
		if (row->words)
			fprintf(to, " (%s)", row->words);
		fprintf(to, row->initial[0] ? " [%s]\n" : "\n", row->initial);
	}
}

static _Noreturn void wrong_usage(const char *what, const char *word)
{
	fprintf(stderr, PROGRAM ": %s: %s (try " PROGRAM " --help)\n", what, word);
	exit(2);
}

/* Is `word` one of the space-separated `words`? */
static bool is_one_of(const char *word, const char *words)
{
	size_t length = strlen(word);

	for (const char *at = words; at; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (strncmp(at, word, length) == 0 && (at[length] == ' ' || at[length] == '\0'))
			return true;
	}
	return false;
}

static void set_value(const struct option_row *row, const char *value)
{
	void *at = (char *)&opt + row->offset;
	char *end;

	if (row->words && value != row->initial && !is_one_of(value, row->words))
		wrong_usage(row->name, value);
	if (row->is_text) {
		*(const char **)at = value;
		return;
	}
	*(long *)at = strtol(value, &end, 10);
	if (end == value || *end || *(long *)at < 0)
		wrong_usage(row->name, value);
}

static const struct scenario *find_scenario(const char *name)
{
	for (const struct scenario *s = all_scenarios; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	wrong_usage("no such scenario", name);
}

static const struct option_row *find_option(const struct scenario *s, const char *name)
{
	for (const struct option_row *row = all_options; row->name; row++)
		if (strcmp(row->name, name) == 0 && (!row->readers || row->readers & s->reads))
			return row;
	wrong_usage("no option of this scenario", name);
}

/* Sets opt; words are NULL-terminated pairs of an option and its value. */
static void parse_options(const struct scenario *s, char **words)
{
	for (const struct option_row *row = all_options; row->name; row++)
		set_value(row, row->initial);
	scenario_name = s->name;
	if (s->via)
		opt.via = s->via;
	for (; words[0]; words += 2) {
		const struct option_row *row = find_option(s, words[0]);

		if (!words[1])
			wrong_usage("wants a value", words[0]);
		set_value(row, words[1]);
	}
}

/* From here on a step that takes too long ends the program. */
static void mind_the_time(void)
{
	signal(SIGALRM, on_alarm);
	alarm(STEP_LIMIT_S);
}

#endif
