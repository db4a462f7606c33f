// SPDX-License-Identifier: BSD-2-Clause
/*
 * tcpsaga explain: a topic in words, with the numbers of the network namespace
 * it is called in. Reads settings and sock_diag, and needs no privilege.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "base/wrap.h"
#include "event/connection.h"
#include "source/netstat.h"
#include "source/sockdiag.h"
#include "verbs/explain_texts.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

enum {
	LINE_COLUMNS = 80, /* longer ones are hard to read, on any terminal */
	NAME_COLUMNS = 16,
	NAME_BYTES = 64,
	NAMES_MAX = 256,
	/* TCP_TIMEWAIT_LEN, include/net/tcp.h */
	TIMEWAIT_S = 60,
};

struct explain {
	const char *word; /* borrowed from argv; NULL: list the topics */
	int status;	  /* not 0: what was wrong has been said */
	bool json;
	struct strbuf numbers; /* what was filled in, as members of a JSON object */

	struct sysctls *sysctls; /* owned */
	uint32_t sockets[EV_STATE_END];
	bool counted;
};

static const struct argp_option option_table[] = {
	{ "output", 'o', "table|json", 0, "Output format; table is the default", 1 },
	HELP_OPTION,
	{ 0 },
};

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct explain *explain = state->input;

	switch (key) {
	case 'o':
		explain->json = !strcmp(arg, "json");
		if (explain->json || !strcmp(arg, "table"))
			return 0;
		explain->status = fail(EXIT_USAGE, "explain: -o is table or json, not \"%s\"", arg);
		return EINVAL;
	case ARGP_KEY_ARG:
		if (!explain->word) {
			explain->word = arg;
			return 0;
		}
		explain->status = fail(EXIT_USAGE, "explain: one topic at a time, not also \"%s\"", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- topics --------------------------------------------------------------------- */

/* Lower case, and '-' for '_' and blanks: "Time Wait" is TIME_WAIT. */
static void fold(const char *word, char *out)
{
	size_t len = 0;

	for (; len < NAME_BYTES - 1 && word[len]; len++) {
		char c = word[len];

		out[len] = (char)(c == '_' || c == ' ' ? '-' : c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	out[len] = '\0';
}

/* All names of all topics, folded. */
struct names {
	char name[NAMES_MAX][NAME_BYTES];
	const struct explain_topic *topic[NAMES_MAX];
	unsigned int count;
};

static void add_name(struct names *names, const char *word, size_t len, const struct explain_topic *topic)
{
	char copy[NAME_BYTES];

	if (names->count == NAMES_MAX || len >= sizeof(copy))
		return;
	memcpy(copy, word, len);
	copy[len] = '\0';
	names->topic[names->count] = topic;
	fold(copy, names->name[names->count++]);
}

static void collect_names(struct names *names)
{
	names->count = 0;
	for (size_t i = 0; i < explain_topic_count; i++) {
		const struct explain_topic *topic = &explain_topics[i];
		const char *also = topic->also ? topic->also : "";

		add_name(names, topic->name, strlen(topic->name), topic);
		while (*also) {
			size_t len = strcspn(also, " ");

			add_name(names, also, len, topic);
			also += len + (also[len] == ' ');
		}
	}
}

static const struct explain_topic *find_topic(const struct names *names, const char *word)
{
	for (unsigned int i = 0; i < names->count; i++)
		if (!strcmp(names->name[i], word))
			return names->topic[i];
	return NULL;
}

static int unknown_topic(const struct names *names, const char *word, const char *folded)
{
	const char *candidates[NAMES_MAX + 1] = { 0 };
	const struct explain_topic *topic = NULL;
	const char *nearest;

	for (unsigned int i = 0; i < names->count; i++)
		candidates[i] = names->name[i];
	nearest = options__nearest(folded, candidates);
	if (nearest)
		topic = find_topic(names, nearest);
	if (topic)
		return fail(EXIT_USAGE, "explain: unknown topic \"%s\": did you mean %s?", word,
			    topic->name);
	return fail(EXIT_USAGE, "explain: unknown topic \"%s\": tcpsaga explain lists them", word);
}

/* ---- this host's numbers --------------------------------------------------------- */

static int count_socket(void *context, const struct socket_entry *entry)
{
	struct explain *explain = context;

	if (entry->state < EV_STATE_END)
		explain->sockets[entry->state]++;
	return 0;
}

/* Numbers for a text: one look suffices, also when the tables changed meanwhile. */
static void count_sockets(struct explain *explain)
{
	struct sockdiag *diag = sockdiag__new();
	int err;

	if (!diag)
		return;
	err = sockdiag__dump(diag, SOCKDIAG_ALL_STATES, 0, count_socket, explain);
	explain->counted = !err || err == -EAGAIN;
	sockdiag__free(diag);
}

static bool count_in(const struct explain *explain, const char *name, uint64_t *value)
{
	for (unsigned int state = 1; state < EV_STATE_END; state++) {
		if (strcmp(state__name(state), name))
			continue;
		*value = explain->sockets[state];
		return explain->counted;
	}
	return false;
}

static bool setting(const struct explain *explain, const char *name, uint64_t *value)
{
	for (unsigned int id = 0; id < SYSCTL_COUNT; id++) {
		const char *last = strrchr(sysctl_id__name((enum sysctl_id)id), '.');
		int64_t found;

		if (!last || strcmp(last + 1, name))
			continue;
		if (!sysctls__get(explain->sysctls, (enum sysctl_id)id, &found) || found < 0)
			return false;
		*value = (uint64_t)found;
		return true;
	}
	return false;
}

static bool number(const struct explain *explain, const char *name, uint64_t *value)
{
	uint64_t ports = sysctls__ephemeral_ports(explain->sysctls);

	if (*name == '#')
		return count_in(explain, name + 1, value);
	if (!strcmp(name, "ports") || !strcmp(name, "rate60")) {
		*value = strcmp(name, "ports") ? ports / TIMEWAIT_S : ports;
		return ports > 0;
	}
	return setting(explain, name, value);
}

/* ---- telling ----------------------------------------------------------------------- */

/* A state's name, or a setting's. Each once. */
static void note_number(struct explain *explain, const char *name, uint64_t value)
{
	char member[NAME_BYTES + 4];

	snprintf(member, sizeof(member), "\"%s\":", *name == '#' ? name + 1 : name);
	if (explain->numbers.len && strstr(strbuf__text(&explain->numbers), member))
		return;
	strbuf__printf(&explain->numbers, "%s%s", explain->numbers.len ? "," : "", member);
	strbuf__u64(&explain->numbers, value);
}

/* Copies the text and fills in its braces. */
static void fill(struct explain *explain, const char *text, struct strbuf *out)
{
	while (*text) {
		size_t len = strcspn(text, "{");
		char name[NAME_BYTES] = { 0 };
		uint64_t value;

		strbuf__append(out, text, len);
		text += len;
		if (!*text)
			return;
		len = strcspn(text, "}");
		if (len - 1 < sizeof(name))
			memcpy(name, text + 1, len - 1);
		if (number(explain, name, &value)) {
			strbuf__u64(out, value);
			note_number(explain, name, value);
		} else {
			strbuf__str(out, "(not known)");
		}
		text += len + (text[len] == '}');
	}
}

static unsigned int line_columns(void)
{
	unsigned int columns = terminal__columns(STDOUT_FILENO);

	return columns && columns < LINE_COLUMNS ? columns : LINE_COLUMNS;
}

/* Broken between words; an item's further lines stand under its first word. */
static void put_paragraph(struct strbuf *out, const char *text, size_t len)
{
	unsigned int columns = line_columns(), used = 0, indent = *text == '-' ? 2 : 0;

	for (size_t start = 0, end; start < len; start = end + 1) {
		end = start;
		while (end < len && text[end] != ' ')
			end++;
		if (used > indent && used + 1 + (end - start) > columns) {
			strbuf__printf(out, "\n%*s", (int)indent, "");
			used = indent;
		} else if (used) {
			strbuf__char(out, ' ');
			used++;
		}
		strbuf__append(out, text + start, end - start);
		used += (unsigned int)(end - start);
	}
	strbuf__char(out, '\n');
}

static void put_text(struct strbuf *out, const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t len = end ? (size_t)(end - text) : strlen(text);

		strbuf__char(out, '\n');
		put_paragraph(out, text, len);
		text += len + (end ? 2 : 0);
	}
}

static int write_out(struct strbuf *out)
{
	if (out->failed)
		return fail(EXIT_FAILED, "out of memory");
	if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout))
		return errno == EPIPE ? EXIT_DONE : fail(EXIT_FAILED, "cannot write standard output: %m");
	return EXIT_DONE;
}

/* The names and summaries are ours: no byte in them needs an escape, but quotes. */
static void put_head_json(struct strbuf *out, const char *type, const struct explain_topic *topic)
{
	const char *also = topic->also ? topic->also : "";

	strbuf__printf(out, "{\"v\":1,\"type\":\"%s\",\"topic\":\"%s\",\"summary\":", type, topic->name);
	text__json(out, topic->summary, strlen(topic->summary));
	strbuf__str(out, ",\"also\":[");
	for (const char *word = also; *word; word += strspn(word, " ")) {
		size_t len = strcspn(word, " ");

		strbuf__printf(out, "%s\"%.*s\"", word == also ? "" : ",", (int)len, word);
		word += len;
	}
	strbuf__char(out, ']');
}

static int list_topics(bool json)
{
	struct strbuf out;
	int status;

	strbuf__init(&out);
	for (size_t i = 0; i < explain_topic_count; i++) {
		if (json) {
			put_head_json(&out, "topic", &explain_topics[i]);
			strbuf__str(&out, "}\n");
		} else {
			strbuf__printf(&out, "%-*s %s\n", NAME_COLUMNS, explain_topics[i].name,
				       explain_topics[i].summary);
		}
	}
	status = write_out(&out);
	strbuf__fini(&out);
	return status;
}

static int tell(struct explain *explain, const struct explain_topic *topic)
{
	struct strbuf filled, out;
	int status;

	explain->sysctls = calloc(1, sizeof(*explain->sysctls));
	if (!explain->sysctls)
		return fail(EXIT_FAILED, "out of memory");
	sysctls__load(explain->sysctls);
	count_sockets(explain);
	strbuf__init(&filled);
	strbuf__init(&out);
	strbuf__init(&explain->numbers);
	fill(explain, topic->text, &filled);
	if (explain->json) {
		put_head_json(&out, "explanation", topic);
		strbuf__str(&out, ",\"text\":");
		text__json(&out, strbuf__text(&filled), filled.len);
		strbuf__printf(&out, ",\"numbers\":{%s}}\n", strbuf__text(&explain->numbers));
	} else {
		strbuf__printf(&out, "%s: %s\n", topic->name, topic->summary);
		put_text(&out, strbuf__text(&filled));
	}
	out.failed |= filled.failed || explain->numbers.failed;
	strbuf__fini(&explain->numbers);
	status = write_out(&out);
	strbuf__fini(&filled);
	strbuf__fini(&out);
	free(explain->sysctls);
	return status;
}

static int explain_word(struct explain *explain)
{
	static struct names names; /* 18 KiB, once a program */
	const struct explain_topic *topic;
	char folded[NAME_BYTES];

	collect_names(&names);
	fold(explain->word, folded);
	topic = find_topic(&names, folded);
	return topic ? tell(explain, topic) : unknown_topic(&names, explain->word, folded);
}

int verb_explain(int argc, char **argv)
{
	const struct argp argp = {
		.options = option_table,
		.parser = on_option,
		.args_doc = "[TOPIC]",
		.doc = "Explain a state, a queue or a rule of TCP as this kernel keeps it, with the numbers of "
		       "this host filled in: those of the network namespace it is called in. Without a topic, "
		       "list the topics."
		       "\v"
		       "Examples:\n"
		       "  tcpsaga explain\n"
		       "  tcpsaga explain TIME_WAIT\n"
		       "  tcpsaga explain somaxconn\n"
		       "  tcpsaga explain -o json CLOSE_WAIT | jq .numbers\n"
		       "  ip netns exec blue tcpsaga explain queues\n",
	};
	struct explain explain = { 0 };
	int status = options__argp(&argp, "explain", argc, argv, &explain, &explain.status);

	if (status)
		return status;
	return explain.word ? explain_word(&explain) : list_topics(explain.json);
}
