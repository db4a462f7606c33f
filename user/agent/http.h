/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A few pages over HTTP, within the caller's event loop: libmicrohttpd parses,
 * no thread of its own. A page is rendered once a second at most, however many
 * ask. Connections are bounded in number, memory and time, so that a thousand
 * which are idle or send garbage cost a few MiB.
 */
#ifndef TCPSAGA_AGENT_HTTP_H
#define TCPSAGA_AGENT_HTTP_H

#include <stddef.h>

#include "base/strbuf.h"

struct http;

struct http_page {
	const char *path; /* NULL ends a list of pages */
	const char *type; /* Content-Type */
	/* Appends the body, returns the status (200). */
	unsigned int (*render)(void *context, struct strbuf *out);
};

/*
 * Listens on "ADDR:PORT", "[ADDR]:PORT" or ":PORT" (of 127.0.0.1), or takes over the
 * listening socket that systemd has passed ("systemd"). pages and context are borrowed. NULL
 * with errno and one sentence in message; EINVAL: not an address.
 */
struct http *http__new(const char *address, const struct http_page *pages, void *context, char *message,
		       size_t size);
void http__free(struct http *http);

/* For the caller's poll: run when it is readable, or after patience_ms (-1: no
 * need). */
int http__fd(const struct http *http);
int http__patience_ms(const struct http *http);
void http__run(struct http *http);

/* What getsockname() says: the port also when 0 was asked for. */
unsigned int http__port(const struct http *http);

#endif
