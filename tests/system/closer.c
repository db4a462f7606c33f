// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plays how a connection ends as a minisocket, and how that ends: one scenario
 * by name, on loopback, and prints {"local":PORT,"remote":PORT,"pid":PID} of the
 * side whose minisocket it is.
 *
 * Usage: closer [-6] SCENARIO
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int family = AF_INET;

union place {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t place_len(void)
{
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static union place loopback(unsigned int port)
{
	union place place = { 0 };

	place.any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		place.v4.sin_port = htons((uint16_t)port);
		place.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		place.v6.sin6_port = htons((uint16_t)port);
		place.v6.sin6_addr = in6addr_loopback;
	}
	return place;
}

static unsigned int port_of(int fd)
{
	union place place;
	socklen_t len = sizeof(place);

	if (getsockname(fd, &place.any, &len))
		err(1, "getsockname");
	return ntohs(family == AF_INET ? place.v4.sin_port : place.v6.sin6_port);
}

static int bound(unsigned int port)
{
	union place place = loopback(port);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, &place.any, place_len()))
		err(1, "bind port %u", port);
	return fd;
}

static int listener(void)
{
	int fd = bound(0);

	if (listen(fd, 16))
		err(1, "listen");
	return fd;
}

/* A connection: client from this port (0: any), and the server's end. */
struct pair {
	int listener;
	int client;
	int server;
	unsigned int client_port;
	unsigned int server_port;
};

static void connect_pair(struct pair *pair, unsigned int port)
{
	union place place = loopback(port_of(pair->listener));

	pair->client = bound(port);
	if (connect(pair->client, &place.any, place_len()))
		err(1, "connect");
	pair->server = accept(pair->listener, NULL, NULL);
	if (pair->server < 0)
		err(1, "accept");
	pair->client_port = port_of(pair->client);
	pair->server_port = port_of(pair->server);
}

static struct pair make_pair(void)
{
	struct pair pair = { .listener = listener() };

	connect_pair(&pair, 0);
	return pair;
}

/* The pid is that of whose connection it is. */
static void say(unsigned int local, unsigned int remote)
{
	printf("{\"local\":%u,\"remote\":%u,\"pid\":%d}\n", local, remote, (int)getpid());
}

static void say_client(const struct pair *pair)
{
	say(pair->client_port, pair->server_port);
}

static void say_server(const struct pair *pair)
{
	say(pair->server_port, pair->client_port);
}

/* Sends an ACK that is delayed: with it the peer's FIN_WAIT1 is over. */
static void ack_now(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)))
		err(1, "TCP_QUICKACK");
}

/* Waits until the peer's FIN is there. */
static void wait_for_end(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

/* The state of the client's end, closed or not, as TCP_* of <netinet/tcp.h>; 0: it is gone. */
static unsigned int state_of_client(const struct pair *pair)
{
	const char *path = family == AF_INET ? "/proc/self/net/tcp" : "/proc/self/net/tcp6";
	FILE *table = fopen(path, "r");
	unsigned int local, remote, state, found = 0;
	char line[512];

	if (!table)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), table))
		if (sscanf(line, "%*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %x", &local, &remote, &state) == 3 &&
		    local == pair->client_port && remote == pair->server_port)
			found = state;
	fclose(table);
	return found;
}

/* The ACK of the client's FIN may come over another CPU than what is sent behind it. */
static void wait_for_fin_wait2(const struct pair *pair)
{
	wait_for_end(pair->server);
	ack_now(pair->server);
	while (state_of_client(pair) != TCP_FIN_WAIT2)
		usleep(1000);
}

static void client_first(void)
{
	struct pair pair = make_pair();

	say_client(&pair);
	close(pair.client);
	wait_for_end(pair.server);
	close(pair.server);
}

static void server_first(void)
{
	struct pair pair = make_pair();

	say_server(&pair);
	close(pair.server);
	wait_for_end(pair.client);
	close(pair.client);
}

static void half_close(void)
{
	struct pair pair = make_pair();

	say_client(&pair);
	shutdown(pair.client, SHUT_WR);
	wait_for_end(pair.server);
	if (write(pair.server, "late", 4) != 4)
		err(1, "write");
	close(pair.server);
	wait_for_end(pair.client);
	close(pair.client);
}

/* The client's socket is an orphan in FIN_WAIT2 until the server closes, which
 * it does when its parent says so. */
static void orphan(void)
{
	struct pair pair = make_pair();
	char byte;

	say_client(&pair);
	fflush(stdout);
	close(pair.client);
	wait_for_end(pair.server);
	ack_now(pair.server);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		err(1, "read");
	close(pair.server);
}

/* The server's RST meets the client's FIN_WAIT2 minisocket. */
static void reset(void)
{
	struct linger abort = { .l_onoff = 1 };
	struct pair pair = make_pair();

	say_client(&pair);
	close(pair.client);
	wait_for_fin_wait2(&pair);
	if (setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)))
		err(1, "SO_LINGER");
	close(pair.server);
}

/* Data comes for a client that has closed. */
static void aborted(void)
{
	struct pair pair = make_pair();

	say_client(&pair);
	close(pair.client);
	wait_for_fin_wait2(&pair);
	if (write(pair.server, "late", 4) != 4)
		err(1, "write");
	close(pair.server);
}

/* connect() takes the tuple of a TIME_WAIT: allowed with tcp_tw_reuse=0, too,
 * when the client binds its port, once a second has passed. */
static void reused(void)
{
	struct pair pair = make_pair();
	union place place;
	int fd;

	say_client(&pair);
	close(pair.client);
	wait_for_end(pair.server);
	close(pair.server);
	place = loopback(pair.server_port);
	for (;;) {
		fd = bound(pair.client_port);
		if (!connect(fd, &place.any, place_len()))
			break;
		if (errno != EADDRNOTAVAIL)
			err(1, "connect");
		close(fd);
		usleep(50000);
	}
	pair.server = accept(pair.listener, NULL, NULL);
	close(pair.server);
	wait_for_end(fd);
	close(fd);
}

static void wait_until_closed(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	while (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state != TCP_CLOSE)
		usleep(1000);
}

/* The peer begins again on the tuple of the server's TIME_WAIT, once its own end of
 * that is gone: the last ACK may come late. */
static void new_syn(void)
{
	struct pair pair = make_pair();

	say_server(&pair);
	close(pair.server);
	wait_for_end(pair.client);
	shutdown(pair.client, SHUT_WR);
	wait_until_closed(pair.client);
	close(pair.client);
	connect_pair(&pair, pair.client_port);
	close(pair.client);
	wait_for_end(pair.server);
	close(pair.server);
}

/* Sends the connection over a socket pair, and keeps nothing of it. */
static void send_descriptor(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 }, byte = 'x';
	struct iovec text = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &text,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	if (sendmsg(to, &message, 0) != 1)
		err(1, "sendmsg");
	close(fd);
}

static int receive_descriptor(int from)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec text = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &text,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(from, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		err(1, "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* The client's end is given to a process that never had it open, and closes it
 * when nobody else has it any more. */
static void passed(void)
{
	struct pair pair = { .client = -1 };
	int channel[2];
	char byte = 'x';

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel))
		err(1, "socketpair");
	if (!fork()) {
		prctl(PR_SET_NAME, "heir");
		pair.client = receive_descriptor(channel[0]);
		if (read(channel[0], &byte, 1) != 1)
			err(1, "read");
		close(pair.client);
		_exit(0);
	}
	pair = make_pair();
	say_client(&pair);
	send_descriptor(channel[1], pair.client);
	if (write(channel[1], &byte, 1) != 1)
		err(1, "write");
	wait_for_end(pair.server);
	close(pair.server);
}

/* A connection in TIME_WAIT gets an RST with the sequence number that it waits
 * for, which kills it (RFC 1337 is not heeded: tcp_rfc1337 is 0). */
static uint32_t next_sequence(int fd)
{
	int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP, queue = TCP_SEND_QUEUE;
	uint32_t sequence;
	socklen_t len = sizeof(sequence);

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ||
	    getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, &len) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		err(1, "TCP_REPAIR");
	return sequence;
}

static uint16_t checksum(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void send_reset(unsigned int from, unsigned int to, uint32_t sequence)
{
	struct tcphdr reset = { .source = htons((uint16_t)from),
				.dest = htons((uint16_t)to),
				.seq = htonl(sequence),
				.doff = 5,
				.rst = 1 };
	union place place = loopback(0);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	/* The pseudo header: both addresses are 127.0.0.1. */
	uint32_t sum = 2 * (0x7f00 + 0x0001) + IPPROTO_TCP + sizeof(reset);

	reset.check = htons(checksum(&reset, sizeof(reset), sum));
	if (fd < 0 || sendto(fd, &reset, sizeof(reset), 0, &place.any, place_len()) != sizeof(reset))
		err(1, "a raw RST");
	close(fd);
}

static void wait_reset(void)
{
	struct pair pair = make_pair();
	uint32_t sequence = next_sequence(pair.server);

	say_client(&pair);
	close(pair.client);
	wait_for_end(pair.server);
	shutdown(pair.server, SHUT_WR);
	/* The last ACK has come from the TIME_WAIT. */
	wait_until_closed(pair.server);
	send_reset(pair.server_port, pair.client_port, sequence + 1);
}

/* Closes with the connection's descriptor open in a child as well, and the
 * child is the last one. */
static void forked(void)
{
	struct pair pair = make_pair();
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready))
		err(1, "pipe");
	say_client(&pair);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, "heir");
		close(ready[1]);
		if (read(ready[0], &byte, 1) < 0)
			err(1, "read");
		_exit(0);
	}
	close(pair.client);
	close(ready[1]);
	wait_for_end(pair.server);
	close(pair.server);
}

/* The client ends without a close(). */
static void exits(void)
{
	struct pair pair = { .listener = listener() };
	union place place = loopback(port_of(pair.listener));

	if (!fork()) {
		pair.client = bound(0);
		if (connect(pair.client, &place.any, place_len()))
			err(1, "connect");
		pair.client_port = port_of(pair.client);
		pair.server_port = port_of(pair.listener);
		say_client(&pair);
		fflush(stdout);
		_exit(0);
	}
	pair.server = accept(pair.listener, NULL, NULL);
	if (pair.server < 0)
		err(1, "accept");
	wait_for_end(pair.server);
	close(pair.server);
}

static const struct {
	const char *name;
	void (*play)(void);
} scenarios[] = {
	{ "client_first", client_first }, { "server_first", server_first },
	{ "half_close", half_close },	  { "orphan", orphan },
	{ "reset", reset },		  { "aborted", aborted },
	{ "reused", reused },		  { "new_syn", new_syn },
	{ "forked", forked },		  { "exits", exits },
	{ "passed", passed },		  { "wait_reset", wait_reset },
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-6")) {
		family = AF_INET6;
		argv++;
		argc--;
	}
	for (size_t i = 0; argc == 2 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(argv[1], scenarios[i].name))
			continue;
		scenarios[i].play();
		return 0;
	}
	errx(2, "usage: closer [-6] SCENARIO");
}
