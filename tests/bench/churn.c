/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load of the benches: connections over loopback, made as fast as the
 * kernel makes them or so many a second, or made and held. Each worker is a
 * process that plays both peers in line on a listener of its own (--port plus
 * its number), so that no scheduling comes between the two.
 *
 * A connection that is closed in order makes 10 transitions, one that is reset
 * makes 6; a worker's listener makes 2.
 *
 * Sources are spread over 127.0.0.0/8, over IPv6 over SOURCES6, which wants
 *     ip -6 route add local fd74:6370:7361::/64 dev lo
 *
 * --seconds ends it after that time, however few there were by then.
 *
 * With --list PREFIX each worker writes PREFIX.NUMBER, a line per connection: the
 * client's address, its port, the server's, and when it was opened and closed, in
 * microseconds since the epoch: the truth that others are measured by.
 *
 * Prints one JSON line at the end; with --idle one when all are open, and then
 * holds them until standard input ends.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* linux/in6.h, since 4.15 */
#endif

#define SOURCES6 "fd74:6370:7361::"

enum {
	BACKLOG = 128,
	WORKERS_MAX = 64,
	CONNECTIONS_MAX = 100000000,
	SPARE_DESCRIPTORS = 64,
	SOURCES_PER_WORKER = 1 << 16,
};

enum closer { CLIENT, SERVER, RESET };

static struct {
	long connections, seconds, rate, workers, sources, port, family;
	enum closer closer;
	bool idle;
	const char *list;
} opt = { .connections = 1000, .workers = 2, .sources = 64, .port = 18080, .family = 4 };

static long *made; /* connections, by all workers */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t size_of(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

static union address listener_address(long worker)
{
	union address to = { 0 };
	uint16_t port = htons((uint16_t)(opt.port + worker));

	if (opt.family == 4)
		to.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port,
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	else
		to.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port,
					       .sin6_addr = in6addr_loopback };
	return to;
}

/* Each source brings a range of ports of its own. */
static union address source_address(long worker, long i)
{
	uint32_t number = (uint32_t)(worker * SOURCES_PER_WORKER + i % opt.sources);
	union address from = { 0 };

	if (opt.family == 4) {
		from.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
						.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number) };
		return from;
	}
	from.v6.sin6_family = AF_INET6;
	inet_pton(AF_INET6, SOURCES6, &from.v6.sin6_addr);
	number = htonl(number + 1);
	memcpy(&from.v6.sin6_addr.s6_addr[12], &number, sizeof(number));
	return from;
}

static void set(int fd, int level, int name, const char *what)
{
	const int on = 1;

	if (setsockopt(fd, level, name, &on, sizeof(on)))
		err(1, "%s", what);
}

static int new_socket(void)
{
	int fd = socket(opt.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	return fd;
}

static int listen_at(const union address *at)
{
	int fd = new_socket();

	set(fd, SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
	if (bind(fd, &at->any, size_of(at)) || listen(fd, BACKLOG))
		err(1, "listen on port %u", ntohs(at->v4.sin_port));
	return fd;
}

static void connect_pair(int listener, const union address *to, long worker, long i, int pair[2])
{
	const union address from = source_address(worker, i);

	pair[0] = new_socket();
	if (opt.sources > 1) {
		set(pair[0], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT");
		if (opt.family == 6)
			set(pair[0], IPPROTO_IPV6, IPV6_FREEBIND, "IPV6_FREEBIND");
		if (bind(pair[0], &from.any, size_of(&from)))
			err(1, "bind a source");
	}
	if (connect(pair[0], &to->any, size_of(to)))
		err(1, "connect number %ld of worker %ld", i, worker);
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (pair[1] < 0)
		err(1, "accept");
}

/* The second one closes when it has seen the first one's FIN: never both at
 * once. A reset needs no such care. */
static void close_pair(const int pair[2])
{
	const struct linger at_once = { .l_onoff = 1 };
	int first = pair[opt.closer == SERVER], second = pair[opt.closer != SERVER];
	char byte;

	if (opt.closer == RESET)
		setsockopt(first, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(first);
	if (opt.closer != RESET && recv(second, &byte, 1, 0) != 0)
		errx(1, "no end of the stream");
	close(second);
}

static struct timespec now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

static unsigned long long realtime_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000;
}

static FILE *open_list(long worker)
{
	char name[4096];
	FILE *list;

	if (!opt.list)
		return NULL;
	snprintf(name, sizeof(name), "%s.%ld", opt.list, worker);
	list = fopen(name, "we");
	if (!list)
		err(1, "%s", name);
	return list;
}

static void write_list(FILE *list, const union address *from, const union address *to,
		       unsigned long long opened_us, unsigned long long closed_us)
{
	char text[INET6_ADDRSTRLEN];

	if (opt.family == 4)
		inet_ntop(AF_INET, &from->v4.sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &from->v6.sin6_addr, text, sizeof(text));
	fprintf(list, "%s %u %u %llu %llu\n", text, ntohs(from->v4.sin_port), ntohs(to->v4.sin_port), opened_us,
		closed_us);
}

/* Sleeps until the i-th deadline, counted from the start: a late connection is
 * made good by the next one. */
static void keep_rate(const struct timespec *start, long i)
{
	long long at_ns = start->tv_nsec + (long long)((double)i * opt.workers * 1e9 / (double)opt.rate);
	const struct timespec at = { .tv_sec = start->tv_sec + (time_t)(at_ns / 1000000000LL),
				     .tv_nsec = (long)(at_ns % 1000000000LL) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void churn(int listener, const union address *to, long worker, long count)
{
	const struct timespec start = now();
	FILE *list = open_list(worker);
	long i;

	for (i = 0; i < count; i++) {
		unsigned long long opened_us = 0;
		union address from;
		socklen_t size = sizeof(from);
		int pair[2];

		if (opt.rate)
			keep_rate(&start, i);
		if (opt.seconds && now().tv_sec - start.tv_sec >= opt.seconds)
			break;
		if (list)
			opened_us = realtime_us();
		connect_pair(listener, to, worker, i, pair);
		if (list && getsockname(pair[0], &from.any, &size))
			err(1, "getsockname");
		close_pair(pair);
		if (list)
			write_list(list, &from, to, opened_us, realtime_us());
	}
	__atomic_add_fetch(made, i, __ATOMIC_RELAXED);
	if (list && fclose(list))
		err(1, "%s", opt.list);
}

static void wait_for_end(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

/* Says so on ready when all are open, and lets go when hold ends. */
static void keep_open(int listener, const union address *to, long worker, long count, int ready, int hold)
{
	int (*pairs)[2] = calloc((size_t)count + 1, sizeof(*pairs));

	if (!pairs)
		err(1, "pairs");
	for (long i = 0; i < count; i++)
		connect_pair(listener, to, worker, i, pairs[i]);
	__atomic_add_fetch(made, count, __ATOMIC_RELAXED);
	if (write(ready, "", 1) != 1)
		err(1, "pipe");
	wait_for_end(hold);
	for (long i = 0; i < count; i++)
		close_pair(pairs[i]);
	free(pairs);
}

static void raise_limit(long connections)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)connections * 2 + SPARE_DESCRIPTORS;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want;
	if (limit.rlim_max < want)
		limit.rlim_max = want;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "%llu descriptors: use more --workers", (unsigned long long)want);
}

static void work(long worker, int ready, int hold)
{
	long count = opt.connections / opt.workers + (worker < opt.connections % opt.workers);
	const union address to = listener_address(worker);
	int listener = listen_at(&to);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (opt.idle) {
		raise_limit(count);
		keep_open(listener, &to, worker, count, ready, hold);
	} else {
		churn(listener, &to, worker, count);
	}
	exit(0);
}

static bool all_ready(int ready)
{
	char bytes[WORKERS_MAX];
	long got = 0;

	while (got < opt.workers) {
		ssize_t n = read(ready, bytes, sizeof(bytes));

		if (n <= 0)
			return false;
		got += n;
	}
	return true;
}

static int reap(void)
{
	int status, worst = 0;

	while (wait(&status) > 0)
		if (status)
			worst = 1;
	return worst;
}

static void report(const struct timespec *start)
{
	static const char *const closers[] = { "client", "server", "reset" };
	struct timespec end = now();
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	printf("{\"connections\":%ld,\"elapsed_s\":%.6f,\"cpu_s\":%.6f,\"transitions\":%ld,\"family\":%ld,"
	       "\"close\":\"%s\",\"workers\":%ld,\"port\":%ld}\n",
	       *made,
	       (double)(end.tv_sec - start->tv_sec) + (double)(end.tv_nsec - start->tv_nsec) / 1e9,
	       (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
	       *made * (opt.closer == RESET ? 6 : 10), opt.family, closers[opt.closer],
	       opt.workers, opt.port);
	fflush(stdout);
}

static int run(void)
{
	const struct timespec start = now();
	int ready[2], hold[2];

	made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		err(1, "mmap");
	if (pipe(ready) || pipe(hold))
		err(1, "pipe");
	for (long worker = 0; worker < opt.workers; worker++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			/* Whoever kills the one that was started means all of them. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(ready[0]);
			close(hold[1]);
			work(worker, ready[1], hold[0]);
		}
	}
	close(ready[1]);
	close(hold[0]);
	if (opt.idle) {
		if (!all_ready(ready[0]))
			return reap() | 1;
		report(&start);
		wait_for_end(STDIN_FILENO);
	}
	close(hold[1]);
	if (reap())
		return 1;
	if (!opt.idle)
		report(&start);
	return 0;
}

/* ---- the command line --------------------------------------------------- */

static long number(const char *name, const char *text, long least, long most)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || !*text || *end || value < least || value > most)
		errx(2, "--%s wants a number from %ld to %ld, not %s", name, least, most, text);
	return value;
}

static enum closer closer_of(const char *text)
{
	if (!strcmp(text, "client"))
		return CLIENT;
	if (!strcmp(text, "server"))
		return SERVER;
	if (!strcmp(text, "reset"))
		return RESET;
	errx(2, "--close wants client, server or reset, not %s", text);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "connections", required_argument, NULL, 'n' }, { "rate", required_argument, NULL, 'r' },
		{ "workers", required_argument, NULL, 'w' },     { "sources", required_argument, NULL, 's' },
		{ "port", required_argument, NULL, 'p' },        { "family", required_argument, NULL, 'f' },
		{ "close", required_argument, NULL, 'c' },       { "idle", no_argument, NULL, 'i' },
		{ "list", required_argument, NULL, 'l' }, { "seconds", required_argument, NULL, 't' },
		{ 0 },
	};
	int which, at;

	while ((which = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (which == 'n')
			opt.connections = number("connections", optarg, 1, CONNECTIONS_MAX);
		else if (which == 't')
			opt.seconds = number("seconds", optarg, 1, CONNECTIONS_MAX);
		else if (which == 'r')
			opt.rate = number("rate", optarg, 0, CONNECTIONS_MAX);
		else if (which == 'w')
			opt.workers = number("workers", optarg, 1, WORKERS_MAX);
		else if (which == 's')
			opt.sources = number("sources", optarg, 1, SOURCES_PER_WORKER - 2);
		else if (which == 'p')
			opt.port = number("port", optarg, 1, 65535 - WORKERS_MAX);
		else if (which == 'f')
			opt.family = number("family", optarg, 4, 6);
		else if (which == 'c')
			opt.closer = closer_of(optarg);
		else if (which == 'l')
			opt.list = optarg;
		else if (which == 'i')
			opt.idle = true;
		else
			errx(2, "usage: churn [--connections N] [--seconds N] [--rate PER_S] [--workers N] [--sources N] [--port N] "
				"[--family 4|6] [--close client|server|reset] [--idle] [--list PREFIX]");
	}
	return run();
}
