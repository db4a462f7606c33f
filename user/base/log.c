// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "base/wrap.h"

static void say(const char *format, va_list args)
{
	struct wrap wrap = { .indent = 1 };
	char line[1024];
	struct strbuf safe, text;
	int len = vsnprintf(line, sizeof(line), format, args);

	if (len < 0)
		return;
	wrap.columns = terminal__columns(STDERR_FILENO); /* after "%m": it sets errno */
	strbuf__init(&safe);
	strbuf__init(&text);
	strbuf__str(&safe, "tcpsaga: ");
	text__plain(&safe, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
	wrap__words(&wrap, &text, safe.data, safe.len);
	/* stdout first, so that the two keep their order on a terminal. */
	fflush(stdout);
	fprintf(stderr, "%s\n", strbuf__text(&text));
	strbuf__fini(&text);
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
