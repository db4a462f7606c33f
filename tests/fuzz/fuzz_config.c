/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzzes the configuration of the agent: a file's bytes, read as INI, and what its
 * sections [sink NAME] then ask for. Beyond the sanitizers it checks what must hold of
 * any file: it is taken, or refused with one message that names the file and a line that
 * is in it; what is taken is within its bounds, and no two sinks write to one place.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.c"
#include "agent/sink_config.c"
#include "base/decimal.c"
#include "base/spelling.c"
#include "base/strbuf.c"
#include "event/connection.c"
#include "event/filter.c"
#include "event/filter_text.c"
#include "event/filter_parse.c"
#include "event/filter_token.c"
#include "event/filter_hint.c"
#include "event/filter_place.c"
#include "event/filter_trait.c"
#define parse_number sinks_parse_number /* the filter has one, too */
#include "verbs/agent_sinks.c"

static char said[8192];
static unsigned int messages;

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- in place of what would print ---- */

int fail(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	messages++;
	return status;
}

int options__filter(const char *verb, const char *const *words, size_t count, struct filter **filter)
{
	struct filter_error error;

	*filter = filter__parse(words, count, &error);
	return *filter ? 0 : fail(EXIT_USAGE, "%s: filter: %s", verb, error.message);
}

const char *options__nearest(const char *text, const char *const *candidates)
{
	(void)text;
	return candidates[0];
}

/* ---- the file ---- */

static int take(void *context, const char *section, const char *key, const char *value, const char *where)
{
	struct sinks_wanted *wanted = context;

	require(strlen(section) <= CONFIG_NAME_MAX && strlen(key) <= CONFIG_NAME_MAX);
	require(!strncmp(where, "fuzzed:", 7));
	if (!strncmp(section, "sink ", 5))
		return sinks_wanted__take(wanted, section + 5, key, value, where);
	if (!strcmp(key, "json"))
		return sinks_wanted__add(wanted, value, where);
	return sinks_wanted__preset(wanted, key, value, where);
}

static void check_outlets(const struct agent_config *config)
{
	size_t bytes = 0;

	require(config->outlet_count <= OUTLETS_MAX);
	for (unsigned int i = 0; i < config->outlet_count; i++) {
		const struct outlet_config *outlet = &config->outlets[i];

		require(outlet->filter && outlet->filter_text);
		require(outlet->sink.level < LEVEL_COUNT && outlet->sink.keep <= KEEP_MAX);
		require(outlet->sink.queue_bytes >= SINK_QUEUE_MIN);
		require(strnlen(outlet->sink.path, SINK_PATH_MAX) < SINK_PATH_MAX);
		require((outlet->sink.kind == SINK_STDOUT) == !outlet->sink.path[0]);
		bytes += 2 * outlet->sink.queue_bytes;
		for (unsigned int j = 0; j < i; j++)
			require(!sink_config__same_place(&outlet->sink, &config->outlets[j].sink));
	}
	require(bytes <= OUTLETS_QUEUES_BYTES);
}

/* "fuzzed:LINE: ...", of a line that is there; or of the filter, "fuzzed:LINE: filter: ". */
static void check_refusal(const uint8_t *data, size_t size)
{
	unsigned long line, lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	require(messages == 1 && !strncmp(said, "fuzzed:", 7));
	line = strtoul(said + 7, NULL, 10);
	require(line >= 1 && line <= lines);
}

/* libFuzzer's own name; it has no header in C. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct agent_config config;
	struct config_files files = {0};
	struct sinks_wanted wanted;
	struct reading reading = {.files = &files, .take = take, .context = &wanted, .path = "fuzzed"};
	int status;

	if (!size)
		return 0;
	memset(&config, 0, sizeof(config));
	messages = 0;
	sinks_wanted__init(&wanted);
	reading.file = fmemopen((void *)data, size, "r");
	require(reading.file);
	status = read_lines(&reading);
	if (!status)
		status = sinks_wanted__settle(&wanted, NULL, 0, &config);
	if (status)
		check_refusal(data, size);
	else
		require(!messages);
	check_outlets(&config);
	fclose(reading.file);
	sinks_wanted__fini(&wanted);
	config_files__fini(&files);
	return 0;
}
