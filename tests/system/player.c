// SPDX-License-Identifier: BSD-2-Clause
/* player: one peer of many connections, well or badly behaved: a server or a
 * crowd of clients. For the captured cases of the findings (capture), which play
 * several of them in one network namespace.
 *
 *   player serve ADDRESS PORT [WORD=VALUE]...
 *   player call ADDRESS PORT [WORD=VALUE]...
 *
 * A server runs until it is killed. A client ends when its last connection has
 * ended, or after hold= more; it prints how its connections came about.
 *
 * How a connection is left (end=):
 *   first     closes
 *   second    waits for the peer's FIN, then closes
 *   shutdown  shuts its side down, waits for the peer's FIN, then closes
 *   abort     closes with a reset
 *   never     does nothing more, whatever comes
 *
 * Exit status: 0 done, 1 failed, 2 wrong usage.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNS_MAX = 2048, MESSAGE_MAX = 65536, NS_PER_MS = 1000000 };

enum ending { END_FIRST, END_SECOND, END_SHUTDOWN, END_ABORT, END_NEVER };
static const char *const endings[] = { "first", "second", "shutdown", "abort", "never", NULL };

/* ---- what was asked for ---------------------------------------------------- */

static struct {
	long backlog, pause, accepts, read, reply, idle, lasts, count, rate, burst, requests, gap, send,
		patience, hold, after, late, reuse, tries, reserved, retires, mute;
	enum ending end;
	const char *name;
} opt = {
	.backlog = 128, .accepts = -1, .read = 1, .reply = 100, .count = 1, .rate = 10, .burst = 1,
	.requests = 1, .send = 100, .reuse = 1, .tries = 1,
};

static const struct word {
	const char *name;
	long *value;
	const char *help;
} words[] = {
	{ "backlog", &opt.backlog, "serve: listen()'s" },
	{ "pause", &opt.pause, "serve: ms between two accept()s" },
	{ "accepts", &opt.accepts, "serve: so many, then none; -1: all" },
	{ "retires", &opt.retires, "serve: 1: closes its listener then" },
	{ "after", &opt.after, "serve: ms before the first accept()" },
	{ "read", &opt.read, "serve: 0: never reads" },
	{ "reply", &opt.reply, "serve: bytes for each request" },
	{ "reuse", &opt.reuse, "serve: SO_REUSEADDR" },
	{ "tries", &opt.tries, "serve: so many ports, from the one named on, until one is free" },
	{ "late", &opt.late, "ms from the peer's FIN until it closes" },
	{ "idle", &opt.idle, "serve: ms without a request after which it leaves; 0: never" },
	{ "lasts", &opt.lasts, "ms from the last answer until it leaves" },
	{ "count", &opt.count, "call: connections in all" },
	{ "rate", &opt.rate, "call: bursts a second" },
	{ "burst", &opt.burst, "call: connections at a time" },
	{ "requests", &opt.requests, "call: on each connection" },
	{ "mute", &opt.mute, "call: 1: sends one request, and leaves without the answer" },
	{ "gap", &opt.gap, "call: ms between two requests" },
	{ "send", &opt.send, "call: bytes of a request" },
	{ "patience", &opt.patience, "call: ms until a connect() is given up; 0: never" },
	{ "hold", &opt.hold, "call: ms at the end, with what is still open" },
	{ "reserved", &opt.reserved, "call: 1: from the highest port below 1024 that is free" },
};

static struct sockaddr_storage place;
static socklen_t place_len;
static bool serves;

/* ---- the connections ------------------------------------------------------- */

enum state { FREE, CONNECTING, OPEN, LEFT, LATE, DEAF };

struct conn {
	enum state state;
	int fd;
	long todo;	 /* requests */
	uint64_t due_ns; /* 0: nothing is */
};

static struct conn conns[CONNS_MAX];
static unsigned int used; /* those from here on are free */
static long started, opened, failed;
static char message[MESSAGE_MAX];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t in_ms(long ms)
{
	return now_ns() + (uint64_t)ms * NS_PER_MS;
}

static struct conn *new_conn(int fd, enum state state)
{
	unsigned int i = 0;

	while (i < used && conns[i].state != FREE)
		i++;
	if (i == CONNS_MAX)
		errx(1, "more than %d connections", CONNS_MAX);
	if (i == used)
		used++;
	conns[i] = (struct conn){ .state = state, .fd = fd };
	return &conns[i];
}

static void drop(struct conn *conn)
{
	close(conn->fd);
	conn->state = FREE;
}

static void leave(struct conn *conn, enum ending end)
{
	static const struct linger reset = { .l_onoff = 1 };

	conn->due_ns = 0;
	conn->state = LEFT;
	if (end == END_SHUTDOWN)
		shutdown(conn->fd, SHUT_WR);
	if (end == END_NEVER)
		conn->state = DEAF;
	if (end == END_ABORT)
		setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (end == END_ABORT || end == END_FIRST)
		drop(conn);
}

static void say(struct conn *conn, long bytes)
{
	/* What the peer thinks of it is read, not written. */
	if (bytes > 0 && send(conn->fd, message, (size_t)bytes, MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
	    errno != EPIPE && errno != ECONNRESET)
		err(1, "send");
}

/* ---- a client's ------------------------------------------------------------- */

static void ask(struct conn *conn)
{
	conn->due_ns = 0;
	say(conn, opt.send);
}

static void begin(struct conn *conn)
{
	opened++;
	conn->state = OPEN;
	conn->todo = opt.requests;
	if (conn->todo)
		ask(conn);
	if (opt.mute)
		conn->todo = 0;
	if (!conn->todo)
		conn->due_ns = in_ms(opt.lasts) + 1;
}

/* As the programs do whose peers trust privileged ports. */
static void bind_reserved(int fd)
{
	struct sockaddr_in from = { .sin_family = AF_INET };

	for (int port = 1023; port >= 512; port--) {
		from.sin_port = htons((uint16_t)port);
		if (!bind(fd, (struct sockaddr *)&from, sizeof(from)))
			return;
		if (errno != EADDRINUSE)
			err(1, "bind");
	}
	errx(1, "no reserved port is free");
}

static void call(void)
{
	int fd = socket(place.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct conn *conn;

	if (fd < 0)
		err(1, "socket");
	if (opt.reserved)
		bind_reserved(fd);
	started++;
	if (connect(fd, (struct sockaddr *)&place, place_len) && errno != EINPROGRESS) {
		failed++;
		close(fd);
		return;
	}
	conn = new_conn(fd, CONNECTING);
	conn->due_ns = opt.patience ? in_ms(opt.patience) : 0;
}

static void settle_connect(struct conn *conn)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (!error) {
		begin(conn);
		return;
	}
	failed++;
	drop(conn);
}

/* ---- what comes, and what is due ---------------------------------------------- */

static void hear_answer(struct conn *conn)
{
	if (--conn->todo > 0)
		conn->due_ns = in_ms(opt.gap) + 1;
	else if (!conn->todo)
		conn->due_ns = in_ms(opt.lasts) + 1;
}

static void hear_request(struct conn *conn)
{
	say(conn, opt.reply);
	if (opt.end != END_SECOND && opt.end != END_NEVER && !opt.idle)
		conn->due_ns = in_ms(opt.lasts) + 1;
	else if (opt.idle)
		conn->due_ns = in_ms(opt.idle);
}

static void hear(struct conn *conn)
{
	ssize_t got = recv(conn->fd, message, sizeof(message), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0 && opt.end == END_NEVER)
		conn->state = DEAF;
	else if (!got && opt.late)
		*conn = (struct conn){ .state = LATE, .fd = conn->fd, .due_ns = in_ms(opt.late) };
	else if (got <= 0)
		drop(conn);
	else if (conn->state == OPEN)
		(serves ? hear_request : hear_answer)(conn);
}

static void do_due(struct conn *conn)
{
	if (conn->state == LATE) {
		drop(conn);
	} else if (conn->state == CONNECTING) {
		failed++;
		drop(conn);
	} else if (!serves && conn->todo > 0) {
		ask(conn);
	} else {
		leave(conn, opt.idle && serves ? END_FIRST : opt.end);
	}
}

/* ---- the loop ------------------------------------------------------------------- */

static int listener = -1;
static uint64_t next_ns; /* the next accept(), or connect() */

static short wanted(const struct conn *conn)
{
	if (conn->state == CONNECTING)
		return POLLOUT;
	return conn->state == DEAF || conn->state == LATE || (serves && !opt.read) ? 0 : POLLIN;
}

static void accept_one(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *conn;

	if (fd < 0)
		return;
	opened++;
	next_ns = in_ms(opt.pause);
	conn = new_conn(fd, opt.read ? OPEN : DEAF);
	if (opt.idle)
		conn->due_ns = in_ms(opt.idle);
}

static void wait_and_hear(bool accepts)
{
	static struct pollfd fds[CONNS_MAX + 1];
	static struct conn *of[CONNS_MAX];
	nfds_t count = 0;

	for (unsigned int i = 0; i < used; i++) {
		if (conns[i].state == FREE || !wanted(&conns[i]))
			continue;
		of[count] = &conns[i];
		fds[count++] = (struct pollfd){ .fd = conns[i].fd, .events = wanted(&conns[i]) };
	}
	fds[count] = (struct pollfd){ .fd = listener, .events = POLLIN };
	/* A millisecond is as exact as anything here has to be. */
	poll(fds, count + accepts, 1);
	for (nfds_t i = 0; i < count; i++) {
		if (!fds[i].revents)
			continue;
		if (of[i]->state == CONNECTING)
			settle_connect(of[i]);
		else
			hear(of[i]);
	}
	if (accepts && fds[count].revents)
		accept_one();
}

static void do_all_due(void)
{
	uint64_t now = now_ns();

	for (unsigned int i = 0; i < used; i++)
		if (conns[i].state != FREE && conns[i].due_ns && conns[i].due_ns <= now)
			do_due(&conns[i]);
}

static void take_next_port(void)
{
	in_port_t *port = place.ss_family == AF_INET ? &((struct sockaddr_in *)&place)->sin_port :
						       &((struct sockaddr_in6 *)&place)->sin6_port;

	*port = htons((uint16_t)(ntohs(*port) + 1));
}

static bool can_listen(void)
{
	int reuse = (int)opt.reuse;

	listener = socket(place.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	return listener >= 0 && !bind(listener, (struct sockaddr *)&place, place_len) &&
	       !listen(listener, (int)opt.backlog);
}

static void serve(void)
{
	while (!can_listen()) {
		if (--opt.tries <= 0)
			err(1, "cannot listen");
		close(listener);
		take_next_port();
	}
	next_ns = in_ms(opt.after);
	for (;;) {
		bool all = opt.accepts >= 0 && opened >= opt.accepts;

		if (all && opt.retires && listener >= 0) {
			close(listener);
			listener = -1;
		}
		wait_and_hear(!all && now_ns() >= next_ns);
		do_all_due();
	}
}

/* Those that nobody will do anything about any more do not count. */
static bool all_done(void)
{
	for (unsigned int i = 0; i < used; i++)
		if (conns[i].state != FREE && conns[i].state != DEAF)
			return false;
	return started >= opt.count;
}

static void call_all(void)
{
	uint64_t end_ns;

	next_ns = now_ns();
	while (!all_done()) {
		for (long i = 0; started < opt.count && now_ns() >= next_ns && i < opt.burst; i++)
			call();
		if (now_ns() >= next_ns)
			next_ns += 1000000000 / (uint64_t)opt.rate;
		wait_and_hear(false);
		do_all_due();
	}
	end_ns = in_ms(opt.hold);
	while (now_ns() < end_ns)
		wait_and_hear(false);
	printf("{\"started\":%ld,\"opened\":%ld,\"failed\":%ld}\n", started, opened, failed);
}

/* ---- words -------------------------------------------------------------------------- */

static _Noreturn void wrong_usage(const char *word)
{
	fprintf(stderr, "player: what is %s? serve|call ADDRESS PORT, then\n", word);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		fprintf(stderr, "  %-9s %s [%ld]\n", words[i].name, words[i].help, *words[i].value);
	fprintf(stderr, "  end       first second shutdown abort never [first]\n"
			"  name      of the process [player]\n");
	exit(2);
}

static void take_place(const char *address, const char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&place;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&place;
	in_port_t number = htons((uint16_t)atoi(port));

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		*v4 = (struct sockaddr_in){ AF_INET, number, v4->sin_addr, { 0 } };
		place_len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = number;
		place_len = sizeof(*v6);
	} else {
		wrong_usage(address);
	}
}

static bool take_end(const char *value)
{
	for (int i = 0; endings[i]; i++) {
		if (strcmp(endings[i], value) != 0)
			continue;
		opt.end = (enum ending)i;
		return true;
	}
	return false;
}

static void take_word(char *text)
{
	char *value = strchr(text, '='), *end;

	if (!value)
		wrong_usage(text);
	*value++ = '\0';
	if (!strcmp(text, "name")) {
		prctl(PR_SET_NAME, value);
		return;
	}
	if (!strcmp(text, "end") && take_end(value))
		return;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].name, text) != 0)
			continue;
		*words[i].value = strtol(value, &end, 10);
		if (end != value && !*end)
			return;
	}
	wrong_usage(text);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		wrong_usage("missing");
	serves = !strcmp(argv[1], "serve");
	if (!serves && strcmp(argv[1], "call") != 0)
		wrong_usage(argv[1]);
	take_place(argv[2], argv[3]);
	for (int i = 4; i < argc; i++)
		take_word(argv[i]);
	(serves ? serve : call_all)();
	return 0;
}
