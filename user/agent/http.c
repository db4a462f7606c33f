// SPDX-License-Identifier: BSD-2-Clause
#include "agent/http.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mhd.h"
#include "base/clock.h"

enum {
	CONNECTIONS_MAX = 1024,
	CONNECTION_BYTES = 4096, /* of request and head of response: Prometheus sends 500 */
	IDLE_S = 10,		 /* a connection on which nothing moves so long is closed */
	BACKLOG = 128,
	PAGES_MAX = 8,
	ADDRESS_MAX = 128,
	PASSED_FD = 3, /* SD_LISTEN_FDS_START */
};

#define FRESH_NS NS_PER_S

/* A rendered page: shared by all that ask for it while it is fresh, and kept by
 * those that are slow to read it. */
struct rendered {
	struct MHD_Response *response;
	unsigned int status;
	uint64_t made_ns;
};

struct http {
	struct MHD_Daemon *daemon;     /* owned */
	const struct http_page *pages; /* borrowed */
	void *context;		       /* borrowed */
	struct rendered rendered[PAGES_MAX];
	int epoll_fd;  /* borrowed from daemon */
	int listen_fd; /* owned by daemon once that runs */
};

static const struct mhd *mhd; /* from the first http__new() on */

/* ---- answers ---- */

static struct MHD_Response *response_of(const char *type, const char *body, size_t len)
{
	struct MHD_Response *response =
		mhd->create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY);

	if (response)
		mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	return response;
}

static struct rendered *render(struct http *http, unsigned int i)
{
	struct rendered *rendered = &http->rendered[i];
	uint64_t now_ns = clock__boot_ns();
	struct strbuf body;

	if (rendered->response && now_ns - rendered->made_ns < FRESH_NS)
		return rendered;
	if (rendered->response)
		mhd->destroy_response(rendered->response);
	strbuf__init(&body);
	rendered->status = http->pages[i].render(http->context, &body);
	rendered->made_ns = now_ns;
	rendered->response =
		body.failed ? NULL : response_of(http->pages[i].type, strbuf__text(&body), body.len);
	strbuf__fini(&body);
	return rendered->response ? rendered : NULL;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned int status, const char *text)
{
	struct MHD_Response *response = response_of("text/plain; charset=utf-8", text, strlen(text));
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		mhd->add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = mhd->queue_response(connection, status, response);
	mhd->destroy_response(response);
	return result;
}

static enum MHD_Result answer(struct http *http, struct MHD_Connection *connection, const char *url)
{
	for (unsigned int i = 0; i < PAGES_MAX && http->pages[i].path; i++) {
		struct rendered *rendered;

		if (strcmp(url, http->pages[i].path))
			continue;
		rendered = render(http, i);
		return rendered ? mhd->queue_response(connection, rendered->status, rendered->response) :
				  MHD_NO;
	}
	return say(connection, MHD_HTTP_NOT_FOUND, "there is /metrics and /healthz\n");
}

/* Called once when the head has been read, and again when the body is over. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *data_size, void **seen)
{
	static char head_seen;

	(void)version;
	(void)data;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (!*seen) {
		*seen = &head_seen;
		return MHD_YES;
	}
	if (*data_size) { /* a body, which nobody asked for */
		*data_size = 0;
		return MHD_YES;
	}
	return answer(context, connection, url);
}

/* ---- life cycle ---- */

/* "ADDR:PORT" in two. False when it is not of that form. */
static bool split(const char *address, char host[ADDRESS_MAX], const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strlen(colon + 1) > 5 || atoi(colon + 1) > 65535 || len >= ADDRESS_MAX)
		return false;
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	} else if (memchr(address, ':', len)) {
		return false; /* an IPv6 address without brackets: which colon is the port's? */
	}
	snprintf(host, ADDRESS_MAX, "%.*s", len ? (int)len : ADDRESS_MAX, len ? address : "127.0.0.1");
	*port = colon + 1;
	return true;
}

static int listen_at(const struct addrinfo *where)
{
	int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	int err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(fd, where->ai_addr, where->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int open_listener(const char *address, char *message, size_t size)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
					.ai_socktype = SOCK_STREAM };
	struct addrinfo *where;
	char host[ADDRESS_MAX];
	const char *port;
	int fd;

	if (!split(address, host, &port) || getaddrinfo(host, port, &hints, &where)) {
		snprintf(message, size, "wants ADDR:PORT or off, not \"%s\"", address);
		return -EINVAL;
	}
	fd = listen_at(where);
	freeaddrinfo(where);
	if (fd < 0)
		snprintf(message, size, "cannot listen on %s: %s", address, strerror(-fd));
	return fd;
}

/* The rest of the program must not run out of descriptors for it. */
static unsigned int connections_max(void)
{
	struct rlimit limit = { .rlim_cur = CONNECTIONS_MAX };
	rlim_t wanted = 2 * CONNECTIONS_MAX;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur / 2 < CONNECTIONS_MAX ? (unsigned int)limit.rlim_cur / 2 : CONNECTIONS_MAX;
}

static struct MHD_Daemon *start(struct http *http)
{
	return mhd->start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
				 http->listen_fd, MHD_OPTION_CONNECTION_LIMIT, connections_max(),
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
				 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S, MHD_OPTION_END);
}

/* sd_listen_fds(3): the first descriptor behind the standard ones. */
static int passed_listener(char *message, size_t size)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid() || strtol(count, NULL, 10) < 1) {
		snprintf(message, size, "systemd: no socket was passed (LISTEN_FDS)");
		return -EINVAL;
	}
	if (getsockopt(PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens) {
		snprintf(message, size, "systemd: what was passed is no listening socket");
		return -EINVAL;
	}
	fcntl(PASSED_FD, F_SETFD, FD_CLOEXEC);
	fcntl(PASSED_FD, F_SETFL, O_NONBLOCK);
	return PASSED_FD;
}

static int open_http(struct http *http, const char *address, char *message, size_t size)
{
	mhd = mhd__load(message, size);
	if (!mhd)
		return -ENOENT;
	http->listen_fd = strcmp(address, "systemd") ? open_listener(address, message, size) :
						       passed_listener(message, size);
	if (http->listen_fd < 0)
		return http->listen_fd;
	http->daemon = start(http);
	if (!http->daemon) {
		snprintf(message, size, "cannot serve %s", address);
		close(http->listen_fd);
		return -EIO;
	}
	http->epoll_fd = mhd->get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return 0;
}

struct http *http__new(const char *address, const struct http_page *pages, void *context, char *message,
		       size_t size)
{
	struct http *http = calloc(1, sizeof(*http));
	int err;

	snprintf(message, size, "out of memory");
	if (!http)
		return NULL;
	http->pages = pages;
	http->context = context;
	err = open_http(http, address, message, size);
	if (!err)
		return http;
	free(http);
	errno = -err;
	return NULL;
}

void http__free(struct http *http)
{
	if (!http)
		return;
	mhd->stop_daemon(http->daemon);
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		if (http->rendered[i].response)
			mhd->destroy_response(http->rendered[i].response);
	free(http);
}

int http__fd(const struct http *http)
{
	return http->epoll_fd;
}

int http__patience_ms(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (mhd->get_timeout(http->daemon, &ms) != MHD_YES)
		return -1;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

void http__run(struct http *http)
{
	mhd->run(http->daemon);
}

unsigned int http__port(const struct http *http)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	if (getsockname(http->listen_fd, (struct sockaddr *)&at, &len))
		return 0;
	if (at.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&at)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&at)->sin_port);
}
