// SPDX-License-Identifier: BSD-2-Clause
#include "base/wrap.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned int terminal__columns(int fd)
{
	struct winsize window;

	return isatty(fd) && !ioctl(fd, TIOCGWINSZ, &window) ? window.ws_col : 0;
}

void wrap__piece(struct wrap *wrap, struct strbuf *out, const char *text, size_t len)
{
	if (wrap->columns && wrap->used > wrap->indent && wrap->used + len > wrap->columns) {
		strbuf__char(out, '\n');
		for (wrap->used = 0; wrap->used < wrap->indent; wrap->used++)
			strbuf__char(out, ' ');
	}
	strbuf__append(out, text, len);
	wrap->used += (unsigned int)len;
}

void wrap__words(struct wrap *wrap, struct strbuf *out, const char *text, size_t len)
{
	for (size_t done = 0, end; done < len; done = end) {
		for (end = done + 1; end < len && text[end] != ' ';)
			end++;
		wrap__piece(wrap, out, text + done, end - done);
	}
}
