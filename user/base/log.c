// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void say(const char *format, va_list args)
{
	char line[1024];
	int len = vsnprintf(line, sizeof(line), format, args);

	for (int i = 0; i < len && i < (int)sizeof(line) - 1; i++)
		if ((unsigned char)line[i] < ' ' && line[i] != '\n')
			line[i] = '?';
	/* stdout first, so that the two keep their order on a terminal. */
	fflush(stdout);
	fprintf(stderr, "tcpsaga: %s\n", line);
}

void log__line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

int fail(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return status;
}
