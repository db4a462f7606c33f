// SPDX-License-Identifier: BSD-2-Clause
#include "source/agent_source.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "bpf/event.h"
#include "event/control.h"

enum {
	RECORDS_PER_POLL = 4096,
	/* Behind a scan of the kernel's tables, and behind others: seconds. */
	ANSWER_MS = 10000,
	STOP_MS = 5000, /* without a record; then its books are not known */
};

struct agent_source {
	struct source source;
	struct recording_reader *reader; /* owned */
	const char *path;		 /* borrowed */
	int fd;				 /* the reader's */
	bool once;
	bool stopped; /* its books have come */
	bool gone;
};

/* ---- asking ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -errno;
}

static int ask(int fd, const struct control_request *request)
{
	uint8_t bytes[CONTROL_REQUEST_BYTES];

	control_request__encode(request, bytes);
	return send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) == (ssize_t)sizeof(bytes) ? 0 : -errno;
}

/* Exactly size bytes: what follows is the recording's. */
static int hear(int fd, uint8_t *bytes, size_t size)
{
	uint64_t until_ns = clock__boot_ns() + ANSWER_MS * NS_PER_MS;

	for (size_t got = 0; got < size;) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now_ns = clock__boot_ns();
		ssize_t n;

		if (now_ns >= until_ns)
			return -ETIMEDOUT;
		if (poll(&ready, 1, (int)((until_ns - now_ns) / NS_PER_MS + 1)) < 0)
			return -errno;
		n = recv(fd, bytes + got, size - got, MSG_DONTWAIT);
		if (!n)
			return -EBADMSG;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int hear_reply(int fd, struct control_reply *reply)
{
	static const int errors[CONTROL_STATUS_END] = {
		[CONTROL_BUSY] = -EBUSY,
		[CONTROL_FORBIDDEN] = -EACCES,
		[CONTROL_OTHER_VERSION] = -ENOTSUP,
	};
	uint8_t bytes[CONTROL_REPLY_BYTES];
	int err = hear(fd, bytes, sizeof(bytes));

	if (!err)
		err = control_reply__decode(reply, bytes);
	return err ? err : errors[reply->status];
}

static void explain_open(const char *path, int err, const char *why, char *message, size_t size)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		snprintf(message, size,
			 "no agent listens at %s: start one (tcpsaga agent), or name its "
			 "socket: --source agent:SOCKET",
			 path);
		break;
	case EACCES:
	case EPERM:
		snprintf(message, size,
			 "the agent at %s is not for this user: it is for root and the group of "
			 "the socket's directory",
			 path);
		break;
	case EBUSY:
	case ENOTSUP:
		snprintf(message, size, "the agent at %s cannot be asked: %s", path,
			 *why ? why : "it is of another version");
		break;
	case EBADMSG:
	case ENODATA:
		snprintf(message, size, "what listens at %s does not answer as an agent does", path);
		break;
	default:
		snprintf(message, size, "cannot ask the agent at %s: %s", path, strerror(err));
	}
}

/* A descriptor behind a reply that says yes, or -errno. */
static int open_stream(const char *path, const struct control_request *request, struct control_reply *reply)
{
	int fd = connect_to(path), err;

	if (fd < 0)
		return fd;
	err = ask(fd, request);
	if (!err || err == -EPIPE || err == -ECONNRESET)
		err = hear_reply(fd, reply);
	if (err)
		close(fd);
	return err ? err : fd;
}

/* ---- who holds a port ---- */

static int hear_rows(int fd, struct holders *holders, uint32_t count)
{
	uint8_t bytes[CONTROL_HOLDER_BYTES];
	int err = 0;

	holders->list = calloc((size_t)count + 1, sizeof(*holders->list));
	if (!holders->list)
		return -ENOMEM;
	holders->capacity = (size_t)count + 1;
	while (!err && holders->count < count) {
		err = hear(fd, bytes, sizeof(bytes));
		if (!err)
			err = control_holder__decode(&holders->list[holders->count], bytes);
		holders->count += !err;
	}
	return err;
}

/* *looked: the agent's own -errno, which is none of this conversation's. */
static int hear_holders(int fd, struct holders *holders, int *looked)
{
	uint8_t bytes[CONTROL_HEAD_BYTES];
	struct control_head head;
	int err = hear(fd, bytes, sizeof(bytes));

	if (!err)
		err = control_head__decode(&head, bytes);
	if (err)
		return err;
	*looked = head.error;
	holders->unseen = head.unseen;
	holders->options_error = head.options_error;
	holders->netns_visited = head.netns_visited;
	holders->taken_ns = head.taken_ns;
	return hear_rows(fd, holders, head.count);
}

static void explain_holders(const char *path, int err, int looked, char *message, size_t size)
{
	if (err)
		snprintf(message, size, "reading from the agent at %s failed: %s", path,
			 err == -EBADMSG ? "what it sent is damaged, or cut" : strerror(-err));
	else
		snprintf(message, size, "the agent at %s cannot tell who holds the port: %s", path,
			 looked == -ESRCH      ? "it finds no such network namespace" :
			 looked == -EOPNOTSUPP ? "it reads a recording" :
			 looked == -E2BIG      ? "more than 262144 sockets do" :
						 strerror(-looked));
}

int agent_source__holders(struct holders *holders, const char *path, uint16_t port, uint32_t netns,
			  char *message, size_t size)
{
	const struct control_request request = { .wants = CONTROL_HOLDERS, .port = port, .netns = netns };
	struct control_reply reply = { .text = "" };
	int fd = open_stream(path, &request, &reply), err, looked = 0;

	*holders = (struct holders){ 0 };
	if (fd < 0) {
		explain_open(path, -fd, reply.text, message, size);
		return fd;
	}
	err = hear_holders(fd, holders, &looked);
	close(fd);
	if (!err && !looked)
		return 0;
	explain_holders(path, err, looked, message, size);
	holders__fini(holders);
	return err ? err : looked;
}

/* ---- reading ---- */

static void note(struct agent_source *agent, const void *record)
{
	const struct ev_header *header = record;

	agent->stopped |= header->kind == EV_STOP;
}

static int at_end(struct agent_source *agent)
{
	agent->gone = true;
	if (!agent->stopped)
		return -ECONNRESET;
	return agent->once ? SOURCE_END : -ESHUTDOWN;
}

/* What has come; waits a tenth of a second for the first record, for none behind it. */
static int agent_poll(struct source *source, source_take_fn take, void *context)
{
	struct agent_source *agent = (struct agent_source *)source;

	for (int i = 0; i < RECORDS_PER_POLL; i++) {
		const void *record;
		size_t len;
		int err;

		if (i && !recording_reader__has_next(agent->reader))
			return SOURCE_MORE;
		err = recording_reader__next(agent->reader, &record, &len);
		if (err == -EAGAIN || err == -EINTR)
			return SOURCE_MORE;
		if (!err || err == -ENODATA || err == -ECONNRESET)
			return at_end(agent);
		if (err < 0)
			return err;
		note(agent, record);
		err = take(context, record, len);
		if (err)
			return err;
	}
	return SOURCE_MORE;
}

/* Says that it is enough, and takes what is under way, up to the books. */
static int agent_stop(struct source *source, source_take_fn take, void *context)
{
	struct agent_source *agent = (struct agent_source *)source;
	uint64_t until_ns = clock__boot_ns() + STOP_MS * NS_PER_MS;

	if (agent->gone || agent->stopped)
		return 0;
	shutdown(agent->fd, SHUT_WR);
	while (!agent->stopped) {
		const void *record;
		size_t len;
		int err = recording_reader__next(agent->reader, &record, &len);

		if (err == -EINTR || (err == -EAGAIN && clock__boot_ns() < until_ns))
			continue;
		if (err <= 0)
			return err == -EAGAIN ? -ETIMEDOUT : err ? err : -ECONNRESET;
		note(agent, record);
		err = take(context, record, len);
		if (err)
			return err;
		until_ns = clock__boot_ns() + STOP_MS * NS_PER_MS;
	}
	return 0;
}

static void agent_free(struct source *source)
{
	struct agent_source *agent = (struct agent_source *)source;

	recording_reader__free(agent->reader);
	free(agent);
}

static const struct source_ops agent_ops = {
	.poll = agent_poll,
	.stop = agent_stop,
	.free = agent_free,
};

/* The reader takes the descriptor over. */
static int open_reader(struct agent_source *agent)
{
	agent->reader = recording_reader__of(agent->fd, &agent->source.info);
	return agent->reader ? 0 : -errno;
}

struct source *agent_source__new(const char *path, uint32_t wants, char *message, size_t size)
{
	struct agent_source *agent = calloc(1, sizeof(*agent));
	struct control_reply reply = { .text = "" };
	const struct control_request request = { .wants = wants };
	int fd = agent ? open_stream(path, &request, &reply) : -ENOMEM;
	int err = fd < 0 ? fd : 0;

	if (!err) {
		agent->source.ops = &agent_ops;
		agent->source.fd = agent->fd = fd;
		agent->path = path;
		agent->once = wants & CONTROL_ONCE;
		err = open_reader(agent);
	}
	if (!err)
		return &agent->source;
	explain_open(path, -err, reply.text, message, size);
	free(agent);
	errno = -err;
	return NULL;
}

void agent_source__explain(const struct source *source, int err, char *message, size_t size)
{
	const struct agent_source *agent = (const struct agent_source *)source;

	if (err == -ESHUTDOWN)
		snprintf(message, size, "the agent at %s has ended", agent->path);
	else if (err == -ECONNRESET)
		snprintf(message, size, "the agent at %s went away: what it had not sent is not known",
			 agent->path);
	else if (err == -ETIMEDOUT)
		snprintf(message, size, "the agent at %s does not tell its books", agent->path);
	else
		snprintf(message, size, "reading from the agent at %s failed: %s", agent->path,
			 err == -EBADMSG ? "what it sent is damaged" : strerror(-err));
}
