// SPDX-License-Identifier: BSD-2-Clause
#include "output/journal.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/text.h"

enum {
	NAME_BYTES = 65, /* journald refuses a longer name of a field than 64 bytes */
	/* syslog(3) */
	PRIORITY_CRITICAL = 2,
	PRIORITY_WARNING = 4,
	PRIORITY_INFO = 6,
	PRIORITY_DEBUG = 7,
};

#define PREFIX "TCPSAGA"

/* ---- fields ---- */

/* A value with a line end in it is told with its length. */
static void put_field(struct strbuf *out, const char *name, const char *value, size_t len)
{
	strbuf__str(out, name);
	if (!memchr(value, '\n', len)) {
		strbuf__char(out, '=');
	} else {
		strbuf__char(out, '\n');
		for (unsigned int i = 0; i < 8; i++) /* 64 bits, little-endian */
			strbuf__char(out, (char)((uint64_t)len >> 8 * i & 0xff));
	}
	strbuf__append(out, value, len);
	strbuf__char(out, '\n');
}

static void put_number(struct strbuf *out, const char *name, long long value)
{
	strbuf__printf(out, "%s=%lld\n", name, value);
}

/* PARENT_KEY. What journald refuses in a name, which no key of ours has, becomes '_'. */
static void join_name(const char *parent, const char *key, char name[NAME_BYTES])
{
	size_t at = 0;

	while (*parent && at + 2 < NAME_BYTES)
		name[at++] = *parent++;
	name[at++] = '_';
	for (; *key && at + 1 < NAME_BYTES; key++)
		name[at++] = isalnum((unsigned char)*key) ? (char)toupper((unsigned char)*key) : '_';
	name[at] = '\0';
}

static int put_text(struct strbuf *out, const char *name, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	if (!text)
		return -ENOMEM;
	put_field(out, name, text, strlen(text));
	free(text);
	return 0;
}

static int put_object(struct strbuf *out, const char *parent, json_t *object)
{
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach(object, key, value)
	{
		char name[NAME_BYTES];

		join_name(parent, key, name);
		if (json_is_object(value) && strlen(name) + 1 < NAME_BYTES)
			err = put_object(out, name, value); /* jansson bounds the depth */
		else if (json_is_string(value))
			put_field(out, name, json_string_value(value), json_string_length(value));
		else
			err = put_text(out, name, value);
		if (err)
			return err;
	}
	return 0;
}

/* ---- the sentence ---- */

static const char *word(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void say_place(struct strbuf *out, const json_t *line, const char *side)
{
	const json_t *place = json_object_get(line, side), *port = json_object_get(place, "port");
	const char *addr = word(place, "addr");

	if (!place)
		return;
	strbuf__printf(out, strchr(addr, ':') ? " [%s]" : " %s", addr);
	if (port)
		strbuf__printf(out, ":%lld", json_integer_value(port));
}

static void say_process(struct strbuf *out, const json_t *line)
{
	const json_t *process = json_object_get(line, "process");

	if (process)
		strbuf__printf(out, " %s/%lld", word(process, "comm"), number(process, "pid"));
}

/* "client 10.0.0.5:43210 10.0.0.9:443 curl/811", or what of it there is. */
static void say_connection(struct strbuf *out, const json_t *line)
{
	strbuf__str(out, *word(line, "role") ? word(line, "role") : word(line, "type"));
	say_place(out, line, "local");
	say_place(out, line, "remote");
	say_process(out, line);
}

static void say_life(struct strbuf *out, const json_t *line)
{
	say_connection(out, line);
	strbuf__printf(out, ": %s, closed first: %s, %.3f s, sent %lld, received %lld bytes",
		       word(line, "how"), word(line, "closed_first"),
		       (double)number(line, "duration_us") / 1e6, number(line, "bytes_sent"),
		       number(line, "bytes_received"));
}

static void say_event(struct strbuf *out, const json_t *line)
{
	say_connection(out, line);
	strbuf__printf(out, ": %s", word(line, "type"));
	if (*word(line, "new"))
		strbuf__printf(out, " %s>%s", word(line, "old"), word(line, "new"));
	if (*word(line, "phase"))
		strbuf__printf(out, " %s", word(line, "phase"));
	if (*word(line, "outcome"))
		strbuf__printf(out, " %s", word(line, "outcome"));
}

static void say_finding(struct strbuf *out, const json_t *line)
{
	strbuf__printf(out, "%s %s: %s", word(line, "id"), word(line, "phase"), word(line, "verdict"));
}

static void say_loss(struct strbuf *out, const json_t *line)
{
	strbuf__printf(out, "lost %lld (%s)", number(line, "count"), word(line, "reason"));
}

static void say_start(struct strbuf *out, const json_t *line)
{
	strbuf__printf(out, "watching TCP, source %s, kernel %s", word(line, "source"),
		       word(line, "kernel"));
}

static void say_stop(struct strbuf *out, const json_t *line)
{
	const json_t *ledger = json_object_get(line, "ledger");

	strbuf__printf(out, "stopped: %lld records attempted, %lld delivered",
		       number(ledger, "attempted"), number(ledger, "delivered"));
}

static const struct sentence {
	const char *type;
	void (*say)(struct strbuf *out, const json_t *line);
	int priority;
} sentences[] = {
	{ "connection", say_life, PRIORITY_INFO }, { "finding", say_finding, PRIORITY_WARNING },
	{ "loss", say_loss, PRIORITY_WARNING },	   { "start", say_start, PRIORITY_INFO },
	{ "stop", say_stop, PRIORITY_INFO },	   { NULL, say_event, PRIORITY_DEBUG },
};

static const struct sentence *sentence_of(const json_t *line)
{
	const struct sentence *sentence = sentences;

	while (sentence->type && strcmp(sentence->type, word(line, "type")) != 0)
		sentence++;
	return sentence;
}

static int priority_of(const struct sentence *sentence, const json_t *line)
{
	if (!strcmp(word(line, "phase"), "cleared"))
		return PRIORITY_INFO;
	return strcmp(word(line, "severity"), "critical") ? sentence->priority : PRIORITY_CRITICAL;
}

/* journalctl shows no message that has a control byte in it. */
static void put_message(struct strbuf *out, const struct sentence *sentence, const json_t *line)
{
	struct strbuf said;

	strbuf__init(&said);
	sentence->say(&said, line);
	strbuf__str(out, "MESSAGE=");
	text__plain(out, said.data, said.len);
	strbuf__char(out, '\n');
	out->failed |= said.failed;
	strbuf__fini(&said);
}

int journal__encode(struct strbuf *out, const char *line, size_t len)
{
	json_t *object = json_loadb(line, len, 0, NULL);
	const struct sentence *sentence;
	int err;

	if (!json_is_object(object)) {
		json_decref(object);
		return -EINVAL;
	}
	sentence = sentence_of(object);
	put_message(out, sentence, object);
	put_number(out, "PRIORITY", priority_of(sentence, object));
	strbuf__str(out, "SYSLOG_IDENTIFIER=tcpsaga\n");
	err = put_object(out, PREFIX, object);
	put_field(out, PREFIX "_JSON", line, len);
	json_decref(object);
	return out->failed ? -ENOMEM : err;
}
