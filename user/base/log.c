// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

static void say(const char *format, va_list args)
{
	char line[1024];
	struct strbuf safe;
	int len = vsnprintf(line, sizeof(line), format, args);

	if (len < 0)
		return;
	strbuf__init(&safe);
	text__plain(&safe, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
	/* stdout first, so that the two keep their order on a terminal. */
	fflush(stdout);
	fprintf(stderr, "tcpsaga: %s\n", strbuf__text(&safe));
	strbuf__fini(&safe);
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
