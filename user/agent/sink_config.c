// SPDX-License-Identifier: BSD-2-Clause
#include "agent/sink_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static const char *const level_names[LEVEL_COUNT] = {
	[LEVEL_FINDINGS] = "findings",
	[LEVEL_CONNECTIONS] = "connections",
	[LEVEL_TRANSITIONS] = "transitions",
};

static const struct {
	const char *prefix;
	enum sink_kind kind;
} kinds[] = {
	{ "unix:", SINK_STREAM },
	{ "unixgram:", SINK_DATAGRAM },
	{ "journald:", SINK_JOURNAL },
	{ "file:", SINK_FILE },
};

int sink_level__parse(const char *name, char *message, size_t size)
{
	for (int level = 0; level < LEVEL_COUNT; level++)
		if (!strcmp(name, level_names[level]))
			return level;
	snprintf(message, size, "no level \"%s\": findings, connections or transitions", name);
	return -EINVAL;
}

const char *sink_level__name(enum sink_level level)
{
	return level_names[level];
}

/*
 * Takes ":LEVEL" off the end of text, whose length this gives; -EINVAL for a
 * word that is no level: nobody means a file "saga.json:transitons".
 */
static int parse_level(struct sink_config *config, const char *text, char *message, size_t size)
{
	const char *colon = strrchr(text, ':');
	int level;

	if (!colon || strchr(colon, '/'))
		return (int)strlen(text);
	level = sink_level__parse(colon + 1, message, size);
	if (level < 0)
		return level;
	config->level = (enum sink_level)level;
	return (int)(colon - text);
}

/* Text behind "unix:" and its like; whole when it has none. */
static const char *parse_kind(struct sink_config *config, const char *text)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, len))
			continue;
		config->kind = kinds[i].kind;
		return text + len;
	}
	return text;
}

/* "-" and "journald", which are places without a path. */
static bool parse_place(struct sink_config *config, const char *text, size_t len)
{
	if (len == 1 && *text == '-') {
		config->kind = SINK_STDOUT;
		return true;
	}
	if (len != strlen("journald") || memcmp(text, "journald", len) != 0)
		return false;
	config->kind = SINK_JOURNAL;
	strcpy(config->path, JOURNAL_SOCKET);
	return true;
}

int sink_config__parse(struct sink_config *config, const char *text, char *message, size_t size)
{
	const char *path;
	size_t limit = sizeof(config->path);
	int len;

	*config = (struct sink_config){ .kind = SINK_FILE, .level = LEVEL_CONNECTIONS };
	len = parse_level(config, text, message, size);
	/* Of "journald:findings" nothing is left behind the colon. */
	if (len >= 0 && parse_place(config, text, (size_t)len))
		return 0;
	config->level = LEVEL_CONNECTIONS;
	path = parse_kind(config, text);
	len = parse_level(config, path, message, size);
	if (len < 0)
		return len;
	/* Nobody means a socket "findngs". */
	if (config->kind == SINK_JOURNAL && len && *path != '/')
		return sink_level__parse(path, message, size);
	if (config->kind != SINK_FILE)
		limit = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	if (!len || (size_t)len >= limit) {
		snprintf(message, size,
			 len ? "the path is too long (%zu bytes at most)" : "no path is given", limit - 1);
		return -EINVAL;
	}
	memcpy(config->path, path, (size_t)len);
	return 0;
}

void sink_config__name(const struct sink_config *config, char name[SINK_NAME_MAX])
{
	const char *prefix = "stdout";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == config->kind)
			prefix = kinds[i].prefix;
	snprintf(name, SINK_NAME_MAX, "%s%s", prefix, config->path);
}

bool sink_config__same_place(const struct sink_config *a, const struct sink_config *b)
{
	return a->kind == b->kind && !strcmp(a->path, b->path);
}
