// SPDX-License-Identifier: BSD-2-Clause
#include "source/tables.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event/decode.h"
#include "source/tables_wire.h"

/* A reader that is stopped, or hangs, must not hold the caller for ever; one on
 * a slow machine reads its tables for seconds before it has a row to tell. */
enum { PATIENCE_S = 30 };

struct tables {
	int socket;
	pid_t pid;	  /* 0: it has ended, and that was noticed */
	atomic_int error; /* -errno, for good */
	struct tables_cost cost;
	struct reply reply;
};

/* ---- life cycle ---- */

static struct tables *tables_new(int socket, pid_t pid)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct tables *tables = malloc(sizeof(*tables));

	if (!tables)
		return NULL;
	tables->socket = socket;
	tables->pid = pid;
	atomic_init(&tables->error, 0);
	tables->cost = (struct tables_cost){ 0 };
	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return tables;
}

struct tables *tables__fork(const struct tables_config *config)
{
	pid_t parent = getpid(), pid;
	struct tables *tables;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return NULL;
	pid = fork();
	if (!pid)
		_exit(tables_reader__run(pair[1], config, parent));
	err = errno;
	close(pair[1]);
	tables = pid < 0 ? NULL : tables_new(pair[0], pid);
	if (!tables) { /* a child then sees the end of its socket */
		close(pair[0]);
		errno = pid < 0 ? err : ENOMEM;
	}
	return tables;
}

void tables__free(struct tables *tables)
{
	if (!tables)
		return;
	close(tables->socket);
	/* One that is stopped does not see that, and ends with this process. */
	if (tables->pid && tables->error != -ETIMEDOUT)
		waitpid(tables->pid, NULL, 0);
	free(tables);
}

/* ---- words ---- */

/* From here on nobody asks it any more, and its socket tells it so. */
static int give_up(struct tables *tables, int err)
{
	int none = 0;

	if (err == -EAGAIN)
		err = -ETIMEDOUT;
	else if (err != -EBADMSG)
		err = -EPIPE;
	if (atomic_compare_exchange_strong(&tables->error, &none, err))
		shutdown(tables->socket, SHUT_RDWR);
	return tables->error;
}

static int say(struct tables *tables, const void *word, size_t len)
{
	ssize_t n;

	if (tables->error)
		return tables->error;
	do
		n = send(tables->socket, word, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : give_up(tables, n < 0 ? -errno : -EPIPE);
}

static int hear(struct tables *tables)
{
	struct reply *reply = &tables->reply;
	ssize_t n;

	do
		n = recv(tables->socket, reply, sizeof(*reply), 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return give_up(tables, n ? -errno : -EPIPE);
	if ((size_t)n < offsetof(struct reply, data) || reply->len > sizeof(reply->data) ||
	    (size_t)n != reply__bytes(reply) || (reply->kind != REPLY_ROWS && reply->kind != REPLY_RESULT))
		return give_up(tables, -EBADMSG);
	return 0;
}

/* Read by another thread, too: a number that is half old does no harm. */
static void note_cost(struct tables *tables)
{
	tables->cost.user_us = tables->reply.user_us;
	tables->cost.system_us = tables->reply.system_us;
	tables->cost.resident_bytes = tables->reply.resident_bytes;
}

int tables__await(struct tables *tables)
{
	int err = hear(tables);

	if (!err)
		note_cost(tables);
	return err ? err : tables->reply.result;
}

int tables__error(struct tables *tables)
{
	struct pollfd peer = { .fd = tables->socket };

	if (!tables->error && poll(&peer, 1, 0) == 1 && peer.revents & (POLLHUP | POLLERR))
		give_up(tables, -EPIPE);
	if (tables->error && tables->pid && waitpid(tables->pid, NULL, WNOHANG) == tables->pid)
		tables->pid = 0;
	return tables->error;
}

void tables__cost(const struct tables *tables, struct tables_cost *cost)
{
	*cost = tables->cost;
}

/* ---- questions ---- */

/* Rows to whoever asked. What it returns other than 0 ends the rows, and is the
 * answer; -EBADMSG: they are none. */
typedef int (*take_rows_fn)(void *taker, const struct reply *rows);

static int ask(struct tables *tables, const struct question *question, take_rows_fn take_rows, void *taker)
{
	int verdict = 0, err = say(tables, question, sizeof(*question));

	while (!err) {
		struct go_on word;

		err = hear(tables);
		if (err || tables->reply.kind == REPLY_RESULT)
			break;
		if (!verdict)
			verdict = take_rows ? take_rows(taker, &tables->reply) : -EBADMSG;
		if (verdict == -EBADMSG)
			return give_up(tables, verdict);
		word.more = !verdict;
		err = say(tables, &word, sizeof(word));
	}
	if (!err)
		note_cost(tables);
	if (!err && tables->reply.result > 0 && question->kind != ASK_CGROUP)
		err = give_up(tables, -EBADMSG);
	return err ? err : verdict ? verdict : tables->reply.result;
}

struct record_taker {
	source_take_fn take;
	void *context;
};

static bool is_of_tables(const struct record *record)
{
	return record->listener || record->sampled || record->netstat || record->settings ||
	       record->socket || record->dump || record->unread;
}

static int take_records(void *taker, const struct reply *rows)
{
	const struct record_taker *to = taker;
	struct record record;
	int err = 0;

	for (size_t at = 0, len; at < rows->len && !err; at += len) {
		const struct ev_header *header = (const void *)(rows->data + at);

		if (rows->len - at < sizeof(*header))
			return -EBADMSG;
		len = header->len;
		if (len > rows->len - at || len % 8 || record__decode(&record, header, len) ||
		    !is_of_tables(&record))
			return -EBADMSG;
		err = to->take(to->context, header, len);
	}
	return err;
}

static int ask_records(struct tables *tables, const struct question *question, source_take_fn take,
		       void *context)
{
	struct record_taker taker = { .take = take, .context = context };

	return ask(tables, question, take_records, &taker);
}

int tables__take(struct tables *tables, uint32_t netns, unsigned int extras, source_take_fn take,
		 void *context)
{
	const struct question question = { .kind = ASK_LISTENERS, .netns = netns, .extras = extras };

	return tables ? ask_records(tables, &question, take, context) :
			snapshot__take(netns, extras, take, context);
}

int tables__sockets(struct tables *tables, const struct kernel_filter *terms, uint32_t states,
		    unsigned int extras, source_take_fn take, void *context)
{
	const struct question question = {
		.kind = ASK_SOCKETS, .states = states, .extras = extras, .terms = *terms
	};

	return tables ? ask_records(tables, &question, take, context) :
			snapshot__sockets(terms, states, extras, take, context);
}

int tables__unread(struct tables *tables, const struct kernel_filter *terms, unsigned int max,
		   source_take_fn take, void *context)
{
	const struct question question = { .kind = ASK_UNREAD, .max = max, .terms = *terms };

	return tables ? ask_records(tables, &question, take, context) :
			snapshot__unread(terms, max, take, context);
}

int tables__all(struct tables *tables, const struct kernel_filter *terms, unsigned int extras,
		source_take_fn take, void *context)
{
	const struct question question = { .kind = ASK_ALL, .extras = extras, .terms = *terms };

	return tables ? ask_records(tables, &question, take, context) :
			snapshot__all(terms, extras, take, context);
}

/* ---- who holds a port ---- */

static bool is_holder(const struct holder *holder)
{
	uint8_t mini;

	memcpy(&mini, &holder->mini, sizeof(mini)); /* a bool that holds neither is no bool */
	return mini <= 1 && (holder->protocol == IPPROTO_TCP || holder->protocol == IPPROTO_UDP) &&
	       (holder->family == AF_INET || holder->family == AF_INET6) &&
	       holder->state < EV_STATE_END && holder->reuseaddr <= ANSWER_YES &&
	       holder->reuseport <= ANSWER_YES && holder->v6only <= ANSWER_YES &&
	       memchr(holder->owner.comm, '\0', sizeof(holder->owner.comm));
}

static int take_holders(void *taker, const struct reply *rows)
{
	struct holders *holders = taker;
	size_t count = rows->len / sizeof(struct holder);
	const struct holder *list = (const void *)rows->data;
	struct holder *longer;

	if (rows->len % sizeof(struct holder))
		return -EBADMSG;
	for (size_t i = 0; i < count; i++)
		if (!is_holder(&list[i]))
			return -EBADMSG;
	longer = reallocarray(holders->list, holders->count + count + 1, sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	memcpy(longer + holders->count, list, rows->len);
	holders->list = longer;
	holders->count += count;
	return 0;
}

static int ask_holders(struct tables *tables, struct holders *holders, const struct question *question)
{
	struct holders_told told;
	int err;

	*holders = (struct holders){ 0 };
	err = ask(tables, question, take_holders, holders);
	if (!err && tables->reply.len != sizeof(told))
		err = give_up(tables, -EBADMSG);
	if (err) {
		holders__fini(holders);
		return err;
	}
	memcpy(&told, tables->reply.data, sizeof(told));
	holders->unseen = told.unseen;
	holders->options_error = told.options_error;
	holders->netns_visited = told.netns_visited;
	holders->taken_ns = told.taken_ns;
	return 0;
}

int tables__holders(struct tables *tables, struct holders *holders, uint16_t port, uint32_t netns)
{
	const struct question question = { .kind = ASK_HOLDERS, .netns = netns, .port = port };

	return tables ? ask_holders(tables, holders, &question) :
			holders__load(holders, NULL, port, netns);
}

/* ---- what a cgroup is called ---- */

static ssize_t ask_cgroup(struct tables *tables, uint64_t id, char *out, size_t size)
{
	const struct question question = { .kind = ASK_CGROUP, .cgroup = id };
	int len = ask(tables, &question, NULL, NULL);

	if (len <= 0)
		return len;
	if ((size_t)len > size)
		return -ENAMETOOLONG;
	if ((uint32_t)len != tables->reply.len)
		return give_up(tables, -EBADMSG);
	memcpy(out, tables->reply.data, (size_t)len);
	return len;
}

ssize_t tables__cgroup_path(struct tables *tables, struct cgroup_root *root, uint64_t id, char *out,
			    size_t size)
{
	return tables ? ask_cgroup(tables, id, out, size) : cgroup_root__path_of(root, id, out, size);
}
