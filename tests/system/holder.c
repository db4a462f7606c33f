// SPDX-License-Identifier: BSD-2-Clause
/*
 * Holds a port in every way there is, asks `tcpsaga port` what would become of a
 * bind(), and then does the real bind() and listen(). For port.bats; run it in a
 * network namespace of its own, as root.
 *
 *   holder TCPSAGA [STRIDE [FIRST]]   each STRIDEth way to hold the port, from
 *                                     number FIRST on; all of them by default
 *   holder hold STATE ADDRESS OPTIONS one way, by its names in the tables below
 *                                     (OPTIONS 0 to 3): prints the port and holds
 *                                     it until its standard input ends
 *
 * A holder is a state x an address x SO_REUSEADDR x SO_REUSEPORT; a question an
 * address x the same two options. Prints a line for each answer that is not the
 * kernel's, or that is none, and at the end "agreed N of N". Ends with 1 when one
 * was wrong.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { OPTIONS = 4, HOLD_PORT = 20001, REMOTE_PORT = 10001 };

/* An address, and how its socket is made. */
struct place {
	const char *name;
	int family;
	const char *addr;
	int v6only; /* -1: as it comes */
	const char *peer; /* from where a connection to it comes */
};

static const struct place old_places[] = {
	{"v4", AF_INET, "0.0.0.0", -1, "127.0.0.1"},
	{"v4-address", AF_INET, "127.0.0.1", -1, "127.0.0.1"},
	{"v4-other", AF_INET, "127.0.0.2", -1, "127.0.0.2"},
	{"v6", AF_INET6, "::", 1, "::1"},
	{"v6-address", AF_INET6, "::1", -1, "::1"},
	{"dual-from-v4", AF_INET6, "::", 0, "127.0.0.1"},
	{"dual-from-v6", AF_INET6, "::", 0, "::1"},
	{"mapped", AF_INET6, "::ffff:127.0.0.1", 0, "127.0.0.1"},
};

/* Those with the same v6only are asked about in one run. */
static const struct place new_places[] = {
	{"v4", AF_INET, "0.0.0.0", 0, NULL},
	{"v4-address", AF_INET, "127.0.0.1", 0, NULL},
	{"v4-other", AF_INET, "127.0.0.3", 0, NULL},
	{"dual", AF_INET6, "::", 0, NULL},
	{"v6-address", AF_INET6, "::1", 0, NULL},
	{"mapped", AF_INET6, "::ffff:127.0.0.1", 0, NULL},
	{"mapped-any", AF_INET6, "::ffff:0.0.0.0", 0, NULL},
	{"foreign", AF_INET, "192.0.2.1", 0, NULL},
	{"foreign-v6", AF_INET6, "2001:db8::1", 0, NULL},
	{"v6", AF_INET6, "::", 1, NULL},
	{"v6only-mapped", AF_INET6, "::ffff:127.0.0.1", 1, NULL},
};

enum { OLD_PLACES = sizeof(old_places) / sizeof(old_places[0]),
       NEW_PLACES = sizeof(new_places) / sizeof(new_places[0]) };

/* What holds the port when it is asked about: descriptors to close afterwards. */
struct held {
	int fd[4];
	unsigned int count;
};

static const char *tcpsaga;
static unsigned int port = HOLD_PORT;
static unsigned int asked, agreed;

static void die(const char *what)
{
	fprintf(stderr, "holder: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- sockets ------------------------------------------------------------------------ */

static socklen_t fill(struct sockaddr_storage *at, int family, const char *addr, unsigned int to)
{
	struct sockaddr_in *in = (void *)at;
	struct sockaddr_in6 *in6 = (void *)at;

	memset(at, 0, sizeof(*at));
	at->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_port = htons((uint16_t)to);
		if (inet_pton(AF_INET, addr, &in->sin_addr) != 1)
			die(addr);
		return sizeof(*in);
	}
	in6->sin6_port = htons((uint16_t)to);
	if (inet_pton(AF_INET6, addr, &in6->sin6_addr) != 1)
		die(addr);
	return sizeof(*in6);
}

static int new_socket(const struct place *place, int type, unsigned int options)
{
	int fd = socket(place->family, type, 0), yes = 1;

	if (fd < 0)
		die("socket");
	if (options & 1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (options & 2)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
	if (place->family == AF_INET6 && place->v6only >= 0)
		setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &place->v6only, sizeof(place->v6only));
	return fd;
}

static int bound(const struct place *place, int type, unsigned int options)
{
	struct sockaddr_storage at;
	socklen_t len = fill(&at, place->family, place->addr, port);
	int fd = new_socket(place, type, options);

	if (bind(fd, (void *)&at, len))
		die("bind of the holder");
	return fd;
}

static int family_of(const char *addr)
{
	return strchr(addr, ':') ? AF_INET6 : AF_INET;
}

/* From an address that nobody else uses, so that no TIME_WAIT of an earlier
 * round has the same tuple. */
static int connected(const struct place *place)
{
	struct sockaddr_storage at;
	int family = family_of(place->peer);
	socklen_t len = fill(&at, family, place->peer, port);
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (void *)&at, len))
		die("connect");
	return fd;
}

static unsigned int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO");
	return info.tcpi_state;
}

/* Waits until the other end's FIN has come. */
static void await_end(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 0)
		die("no end of file");
}

static void await_state(int fd, unsigned int state)
{
	for (int i = 0; state_of(fd) != state; i++) {
		if (i == 10000)
			die("a state does not come");
		poll(NULL, 0, 1);
	}
}

/* ---- ways to hold a port ----------------------------------------------------------- */

static void keep(struct held *held, int fd)
{
	held->fd[held->count++] = fd;
}

static void hold_nothing(const struct place *place, unsigned int options, struct held *held)
{
	(void)place;
	(void)options;
	(void)held;
}

static int listening(const struct place *place, unsigned int options)
{
	int fd = bound(place, SOCK_STREAM, options);

	if (listen(fd, 8))
		die("listen of the holder");
	return fd;
}

static void hold_listening(const struct place *place, unsigned int options, struct held *held)
{
	keep(held, listening(place, options));
}

/* The listener is gone, what it accepted is not. */
static void make_pair(const struct place *place, unsigned int options, int *client, int *server)
{
	int listener = listening(place, options);

	*client = connected(place);
	*server = accept(listener, NULL, NULL);
	if (*server < 0)
		die("accept");
	close(listener);
}

static void hold_children(const struct place *place, unsigned int options, struct held *held)
{
	int client, server;

	make_pair(place, options, &client, &server);
	keep(held, client);
	keep(held, server);
}

/* Both ends close in turn; the last ACK of loopback has been processed when the
 * second close() returns. */
static void close_in_turn(int first, int second)
{
	if (shutdown(first, SHUT_WR))
		die("shutdown");
	await_end(second);
	await_state(first, TCP_FIN_WAIT2);
	close(second);
	await_end(first);
	close(first);
}

static void hold_server_wait(const struct place *place, unsigned int options, struct held *held)
{
	int client, server;

	(void)held;
	make_pair(place, options, &client, &server);
	close_in_turn(server, client);
}

static void hold_client_wait(const struct place *place, unsigned int options, struct held *held)
{
	int client, server;

	(void)held;
	make_pair(place, options, &client, &server);
	close_in_turn(client, server);
}

/* A client that holds the port: it bound it before connect(). */
static void hold_outgoing(const struct place *place, unsigned int options, struct held *held)
{
	static const struct place anywhere = {"", AF_INET6, "::", 0, ""};
	struct sockaddr_storage at;
	int listener = socket(AF_INET6, SOCK_STREAM, 0), yes = 1, fd, family = place->family;
	const char *to = place->peer;
	char mapped[64];
	socklen_t len;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	len = fill(&at, anywhere.family, anywhere.addr, REMOTE_PORT);
	if (bind(listener, (void *)&at, len) || listen(listener, 8))
		die("a service");
	if (family == AF_INET6 && family_of(to) == AF_INET) {
		snprintf(mapped, sizeof(mapped), "::ffff:%s", to);
		to = mapped;
	}
	fd = bound(place, SOCK_STREAM, options);
	len = fill(&at, family, to, REMOTE_PORT);
	if (connect(fd, (void *)&at, len))
		die("connect of the holder");
	keep(held, fd);
	keep(held, accept(listener, NULL, NULL));
	close(listener);
}

/* Bound, and no more. */
static void hold_bound(const struct place *place, unsigned int options, struct held *held)
{
	keep(held, bound(place, SOCK_STREAM, options));
}

static void hold_udp(const struct place *place, unsigned int options, struct held *held)
{
	keep(held, bound(place, SOCK_DGRAM, options));
}

static void hold_udp_connected(const struct place *place, unsigned int options, struct held *held)
{
	struct sockaddr_storage at;
	const char *to = place->peer;
	char mapped[64];
	socklen_t len;
	int fd = bound(place, SOCK_DGRAM, options);

	if (place->family == AF_INET6 && family_of(to) == AF_INET) {
		snprintf(mapped, sizeof(mapped), "::ffff:%s", to);
		to = mapped;
	}
	len = fill(&at, place->family, to, REMOTE_PORT);
	if (connect(fd, (void *)&at, len))
		die("connect of UDP");
	keep(held, fd);
}

static const struct way {
	const char *name;
	int type;
	void (*hold)(const struct place *, unsigned int, struct held *);
} ways[] = {
	{"free", SOCK_STREAM, hold_nothing},
	{"listening", SOCK_STREAM, hold_listening},
	{"children", SOCK_STREAM, hold_children},
	{"server-closed-first", SOCK_STREAM, hold_server_wait},
	{"client-closed-first", SOCK_STREAM, hold_client_wait},
	{"outgoing", SOCK_STREAM, hold_outgoing},
	{"udp-free", SOCK_DGRAM, hold_nothing},
	{"udp", SOCK_DGRAM, hold_udp},
	{"udp-connected", SOCK_DGRAM, hold_udp_connected},
	/* The other protocol is never in the way. */
	{"tcp-beside-udp", SOCK_STREAM, hold_udp},
	{"udp-beside-tcp", SOCK_DGRAM, hold_listening},
	/* Not asked about by all kernels: see bound_is_told in port.bats. */
	{"bound", SOCK_STREAM, hold_bound},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]), ASKED_WAYS = WAYS - 1 };

/* ---- the two answers -------------------------------------------------------------------- */

/* What tcpsaga says of each new place, in each way to set the options. */
struct said {
	char words[NEW_PLACES][OPTIONS][16];
};

static void read_word(const char *line, const char *key, char word[16])
{
	char quoted[32];
	const char *at;
	int len = snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);

	at = strstr(line, quoted);
	snprintf(word, 16, "%.*s", at ? (int)strcspn(at + len, "\"") : 1, at ? at + len : "?");
}

/* Nothing stands behind an obstacle: all four are what the first one is. */
static void read_check(const char *line, char words[OPTIONS][16])
{
	static const char *const keys[OPTIONS] = {"neither", "reuseaddr", "reuseport", "both"};
	const char *with = strstr(line, "\"with\":{");

	for (int i = 0; i < OPTIONS; i++)
		read_word(with ? with : line, with ? keys[i] : "would", words[i]);
}

static FILE *start(int type, int v6only, pid_t *pid)
{
	char number[8], flag[2] = {(char)('0' + v6only), 0};
	const char *args[64] = {tcpsaga, "port", number, "-o", "json", "--v6only", flag, "netns", "self"};
	int pipes[2], count = 9;

	snprintf(number, sizeof(number), "%u", port);
	if (type == SOCK_DGRAM)
		args[count++] = "--udp";
	for (int i = 0; i < NEW_PLACES; i++) {
		if (new_places[i].v6only != v6only)
			continue;
		args[count++] = "--bind";
		args[count++] = new_places[i].addr;
	}
	if (pipe(pipes))
		die("pipe");
	*pid = fork();
	if (*pid == 0) {
		dup2(pipes[1], 1);
		close(pipes[0]);
		close(pipes[1]);
		execv(tcpsaga, (char *const *)args);
		die(tcpsaga);
	}
	close(pipes[1]);
	return fdopen(pipes[0], "r");
}

static void ask(int type, int v6only, struct said *said)
{
	char *line = NULL;
	size_t capacity = 0;
	int i = 0, status;
	pid_t pid;
	FILE *answers = start(type, v6only, &pid);

	while (getline(&line, &capacity, answers) > 0) {
		if (!strstr(line, "\"type\":\"bind_check\""))
			continue;
		while (i < NEW_PLACES && new_places[i].v6only != v6only)
			i++;
		if (i < NEW_PLACES)
			read_check(line, said->words[i++]);
	}
	free(line);
	fclose(answers);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("tcpsaga did not end with 0");
}

static bool really(const struct place *place, int type, unsigned int options)
{
	struct sockaddr_storage at;
	socklen_t len = fill(&at, place->family, place->addr, port);
	int fd = new_socket(place, type, options);
	bool works = !bind(fd, (void *)&at, len) && (type == SOCK_DGRAM || !listen(fd, 8));

	close(fd);
	return works;
}

static void compare(const struct way *way, const struct place *old, unsigned int old_options)
{
	static const char *const words[OPTIONS] = {"-", "addr", "port", "both"};
	struct said said = {0};

	ask(way->type, 0, &said);
	ask(way->type, 1, &said);
	for (int i = 0; i < NEW_PLACES; i++)
		for (unsigned int options = 0; options < OPTIONS; options++) {
			bool works = really(&new_places[i], way->type, options);

			asked++;
			if (!strcmp(said.words[i][options], works ? "succeed" : "fail")) {
				agreed++;
				continue;
			}
			printf("%s %s reuse %s, asked %s reuse %s: said \"%s\", the kernel: %s\n", way->name,
			       old->name, words[old_options], new_places[i].name, words[options],
			       said.words[i][options], works ? "succeed" : "fail");
			fflush(stdout);
		}
}

/* A port of its own for each: a TIME_WAIT of the one before would be there still. */
static void run(const struct way *way, const struct place *old, unsigned int old_options)
{
	struct held held = {.count = 0};

	port++;
	way->hold(old, old_options, &held);
	compare(way, old, old_options);
	for (unsigned int i = 0; i < held.count; i++)
		close(held.fd[i]);
}

static const struct way *find_way(const char *name)
{
	for (int i = 0; i < WAYS; i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	return NULL;
}

static const struct place *find_place(const char *name)
{
	for (int i = 0; i < OLD_PLACES; i++)
		if (!strcmp(old_places[i].name, name))
			return &old_places[i];
	return NULL;
}

static int hold_one(char **word)
{
	const struct way *way = find_way(word[0]);
	const struct place *place = find_place(word[1]);
	struct held held = {.count = 0};
	char byte;

	if (!way || !place)
		return 2;
	way->hold(place, (unsigned int)atoi(word[2]), &held);
	printf("%u\n", port);
	fflush(stdout);
	return read(0, &byte, 1) != 0;
}

int main(int argc, char **argv)
{
	unsigned int stride, number = 0;

	if (argc == 5 && !strcmp(argv[1], "hold"))
		return hold_one(argv + 2);
	if (argc < 2)
		return 2;
	tcpsaga = argv[1];
	stride = argc > 2 ? (unsigned int)atoi(argv[2]) : 1;
	number = argc > 3 ? (unsigned int)atoi(argv[3]) : 0;
	for (; number < ASKED_WAYS * OLD_PLACES * OPTIONS; number += stride)
		run(&ways[number % ASKED_WAYS], &old_places[number / ASKED_WAYS % OLD_PLACES],
		    number / ASKED_WAYS / OLD_PLACES);
	printf("agreed %u of %u\n", agreed, asked);
	return agreed != asked;
}
