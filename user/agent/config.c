// SPDX-License-Identifier: BSD-2-Clause
#include "agent/config.h"

#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* libinih cuts the names of sections and keys at 50 bytes, without a word. */
enum { CONFIG_NAME_MAX = 48 };

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
	const char *path;
	FILE *file;
	unsigned int line; /* that libinih has now, from 1 */
	int status;	   /* not 0: what was wrong has been said */
};

static void format_where(const struct reading *reading, unsigned int line, char where[CONFIG_WHERE_MAX])
{
	snprintf(where, CONFIG_WHERE_MAX, "%s:%u: ", reading->path, line);
}

/*
 * For libinih, which does not tell its handler the number of a line: so they are
 * counted here. What is longer than its buffer it would take for two lines. An
 * indented line would continue the one above it: here it is a line as any other.
 */
static char *next_line(char *line, int size, void *context)
{
	struct reading *reading = context;
	char where[CONFIG_WHERE_MAX];
	size_t blanks, len;

	if (reading->status || !fgets(line, size, reading->file))
		return NULL;
	reading->line++;
	len = strlen(line);
	if ((!len || line[len - 1] != '\n') && !feof(reading->file)) {
		format_where(reading, reading->line, where);
		reading->status =
			fail(EXIT_USAGE, "%sa line is longer than %d bytes, or has a NUL byte in it",
			     where, size - 2);
		return NULL;
	}
	blanks = strspn(line, " \t");
	memmove(line, line + blanks, len - blanks + 1);
	return line;
}

static int take_pair(struct reading *reading, const char *section, const char *key, const char *value)
{
	struct config_files *files = reading->files;
	char where[CONFIG_WHERE_MAX];

	format_where(reading, reading->line, where);
	if (!*section)
		return fail(EXIT_USAGE, "%sa key before the section [agent]", where);
	if (strlen(section) > CONFIG_NAME_MAX || strlen(key) > CONFIG_NAME_MAX)
		return fail(EXIT_USAGE, "%sa name is longer than %d bytes", where, CONFIG_NAME_MAX);
	if (files->count == CONFIG_KEYS_MAX)
		return fail(EXIT_USAGE, "%smore than %d keys", where, CONFIG_KEYS_MAX);
	files->values[files->count] = strdup(value);
	if (!files->values[files->count])
		return fail(EXIT_FAILED, "out of memory");
	return reading->take(reading->context, section, key, files->values[files->count++], where);
}

/* As libinih wants it: 1, or 0 for an error. */
static int on_pair(void *context, const char *section, const char *key, const char *value)
{
	struct reading *reading = context;

	if (!reading->status)
		reading->status = take_pair(reading, section, key, value);
	return !reading->status;
}

static int read_lines(struct reading *reading)
{
	char where[CONFIG_WHERE_MAX];
	int wrong = ini_parse_stream(next_line, reading, on_pair, reading);

	if (reading->status)
		return reading->status;
	if (ferror(reading->file))
		return fail(EXIT_FAILED, "cannot read %s: %m", reading->path);
	if (wrong < 0)
		return fail(EXIT_FAILED, "out of memory");
	if (!wrong)
		return 0;
	format_where(reading, (unsigned int)wrong, where);
	return fail(EXIT_USAGE, "%sneither \"key = value\" nor \"[section]\"", where);
}

static int read_file(struct reading *reading, const char *path, bool wanted)
{
	int status;

	reading->file = fopen(path, "re");
	if (!reading->file && errno == ENOENT && !wanted)
		return 0;
	if (!reading->file)
		return fail(EXIT_USAGE, "cannot read %s: %m", path);
	reading->path = path;
	reading->line = 0;
	reading->files->files++;
	status = read_lines(reading);
	fclose(reading->file);
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
