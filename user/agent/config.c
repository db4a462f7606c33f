// SPDX-License-Identifier: BSD-2-Clause
#include "agent/config.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { LINE_MAX_BYTES = 4096, WHERE_MAX = 512 };

/* Where the system's files are, in the order in which they are read. */
static const char *const system_files[] = {
	"/usr/lib/tcpsaga/agent.conf",
	"/etc/tcpsaga/agent.conf",
	"/etc/tcpsaga/agent.conf.d/*.conf",
};

struct reading {
	struct config_files *files;
	config_take_fn take;
	void *context;
	bool in_section;
	char where[WHERE_MAX];
};

/* Without the blanks at both ends. */
static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text;
}

static int take_pair(struct reading *reading, char *line)
{
	struct config_files *files = reading->files;
	char *equals = strchr(line, '=');

	if (!equals)
		return fail(EXIT_USAGE, "%snot \"key = value\": \"%s\"", reading->where, line);
	if (!reading->in_section)
		return fail(EXIT_USAGE, "%sa key before the section [agent]", reading->where);
	if (files->count == CONFIG_KEYS_MAX)
		return fail(EXIT_USAGE, "%smore than %d keys", reading->where, CONFIG_KEYS_MAX);
	*equals = '\0';
	files->values[files->count] = strdup(trim(equals + 1));
	if (!files->values[files->count])
		return fail(EXIT_FAILED, "out of memory");
	return reading->take(reading->context, trim(line), files->values[files->count++], reading->where);
}

static int take_line(struct reading *reading, char *line)
{
	line = trim(line);
	if (!*line || *line == '#' || *line == ';')
		return 0;
	if (*line != '[')
		return take_pair(reading, line);
	if (strcmp(line, "[agent]") != 0)
		return fail(EXIT_USAGE, "%sunknown section %s: there is only [agent]", reading->where,
			    line);
	reading->in_section = true;
	return 0;
}

static int read_lines(struct reading *reading, const char *path, FILE *file)
{
	char line[LINE_MAX_BYTES];
	unsigned int number = 0;
	int status = 0;

	while (!status && fgets(line, sizeof(line), file)) {
		snprintf(reading->where, sizeof(reading->where), "%s:%u: ", path, ++number);
		if (strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n')
			return fail(EXIT_USAGE, "%sa line is longer than %d bytes", reading->where,
				    LINE_MAX_BYTES - 2);
		status = take_line(reading, line);
	}
	if (!status && ferror(file))
		return fail(EXIT_FAILED, "cannot read %s: %m", path);
	return status;
}

static int read_file(struct reading *reading, const char *path, bool wanted)
{
	FILE *file = fopen(path, "re");
	int status;

	if (!file && errno == ENOENT && !wanted)
		return 0;
	if (!file)
		return fail(EXIT_USAGE, "cannot read %s: %m", path);
	reading->in_section = false;
	reading->files->files++;
	status = read_lines(reading, path, file);
	fclose(file);
	return status;
}

static int read_matches(struct reading *reading, const char *pattern)
{
	glob_t found;
	int status = 0;

	if (glob(pattern, 0, NULL, &found))
		return 0; /* nothing there */
	for (size_t i = 0; i < found.gl_pathc && !status; i++)
		status = read_file(reading, found.gl_pathv[i], false);
	globfree(&found);
	return status;
}

int config_files__read(struct config_files *files, const char *path, config_take_fn take, void *context)
{
	struct reading reading = { .files = files, .take = take, .context = context };
	int status = 0;

	if (path)
		return read_file(&reading, path, true);
	for (size_t i = 0; i < sizeof(system_files) / sizeof(system_files[0]) && !status; i++)
		status = read_matches(&reading, system_files[i]);
	return status;
}

void config_files__fini(struct config_files *files)
{
	while (files->count)
		free(files->values[--files->count]);
}
