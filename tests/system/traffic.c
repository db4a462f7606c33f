// SPDX-License-Identifier: BSD-2-Clause
/* traffic: plays both peers of one TCP scenario on loopback.
 *
 * The caller has entered a fresh network namespace and reads one JSON line per
 * endpoint on stdout; a test finds each endpoint again by its address and port
 * and knows how many bytes it sent and received. Every step waits for what the
 * kernel says (end of file, TCP_INFO, SO_ERROR), never for a time, so that the
 * order of transitions is the same on any machine.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define ENDPOINTS_MAX 64
#define CHUNK_BYTES 16384

/* Both filters know our own injected packets by this skb mark. */
#define REPLAY_MARK 0x5a6a

/* ---- what the caller asked for ------------------------------------------ */

struct options {
	const char *via, *by, *close, *name;
	long port, client_port, send, reply, count;
	long connections, rate, family, sources, bytes;
};

#define PROGRAM "traffic"
#include "play.h"

/* ---- routes ------------------------------------------------------------- */

/* Where the server listens and where the client connects to. */
struct route {
	const char *name, *listen_on, *connect_to;
};

static const struct route routes[] = {
	{ "ipv4", "127.0.0.1", "127.0.0.1" },
	{ "ipv6", "::1", "::1" },
	{ "v4-mapped", "::", "127.0.0.1" },
	{ "v6socket-to-v4", "127.0.0.1", "::ffff:127.0.0.1" },
	{ "v6socket-to-dual", "::", "::ffff:127.0.0.1" },
};

static const struct route *route;

static const struct route *find_route(const char *name)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (strcmp(routes[i].name, name) == 0)
			return &routes[i];
	return NULL;
}

/* The family on the wire: a v4-mapped address travels as IPv4. */
static int wire_family(const union address *a)
{
	return is_v6(a) && !is_mapped(a) ? 6 : 4;
}

/* ---- endpoints ---------------------------------------------------------- */

struct endpoint {
	const char *who;
	int fd;
	pid_t pid;
	union address local, remote; /* family 0: there is none */
	bool bound;                  /* by bind(), before connect() */
	size_t sent, received;
};

static struct endpoint made[ENDPOINTS_MAX];
static int made_count;

static struct endpoint *new_endpoint(const char *who, int fd)
{
	struct endpoint *e = &made[made_count];

	if (made_count == ENDPOINTS_MAX)
		give_up("more endpoints than its table holds");
	made_count++;
	e->who = who;
	e->fd = fd;
	e->pid = getpid();
	return e;
}

static void learn_local(struct endpoint *e)
{
	socklen_t size = sizeof(e->local);

	check(getsockname(e->fd, &e->local.any, &size), "getsockname");
}

static void learn_remote(struct endpoint *e)
{
	socklen_t size = sizeof(e->remote);

	check(getpeername(e->fd, &e->remote.any, &size), "getpeername");
}

static void print_endpoint(const struct endpoint *e)
{
	const union address *far =
		e->remote.any.sa_family ? &e->remote : &e->local;

	printf("{\"who\":\"%s\",\"pid\":%d,\"family\":%d", e->who, (int)e->pid,
	       wire_family(far));
	print_address("local", &e->local);
	print_address("remote", &e->remote);
	printf(",\"bound\":%s,\"sent\":%zu,\"received\":%zu}\n",
	       e->bound ? "true" : "false", e->sent, e->received);
}

static void report(void)
{
	for (int i = 0; i < made_count; i++)
		print_endpoint(&made[i]);
	fflush(stdout);
}

/* ---- single steps ------------------------------------------------------- */

static void nap(void)
{
	struct timespec brief = { .tv_nsec = 1000 * 1000 };

	nanosleep(&brief, NULL);
}

static struct tcp_info tcp_info_of(const struct endpoint *e)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	check(getsockopt(e->fd, IPPROTO_TCP, TCP_INFO, &info, &size),
	      "getsockopt TCP_INFO");
	return info;
}

static void wait_state(const struct endpoint *e, int state, const char *what)
{
	step = what;
	while (tcp_info_of(e).tcpi_state != state)
		nap();
}

/* What nobody accepts is read by nobody: that it has come is known by its ACK. */
static void wait_acknowledged(const struct endpoint *e)
{
	int unacknowledged;

	step = "wait for the peer's acknowledgement";
	while (check(ioctl(e->fd, SIOCOUTQ, &unacknowledged), "SIOCOUTQ"),
	       unacknowledged > 0)
		nap();
}

static int open_socket(const union address *a, int type, int protocol)
{
	return check(socket(a->any.sa_family, SOCK_STREAM | type, protocol),
		     "socket");
}

static void set_option(int fd, int level, int name, int value, const char *what)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)), what);
}

static struct endpoint *bind_socket(const char *who, const char *on, long port)
{
	union address a = address_of(on, port);
	struct endpoint *e = new_endpoint(who, open_socket(&a, 0, 0));

	step = "bind";
	set_option(e->fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	check(bind(e->fd, &a.any, size_of(&a)), "bind");
	e->bound = true;
	learn_local(e);
	return e;
}

static struct endpoint *start_listener(void)
{
	struct endpoint *e = bind_socket("listener", route->listen_on,
					 opt.port);

	step = "listen";
	check(listen(e->fd, ENDPOINTS_MAX), "listen");
	return e;
}

static void bind_client(struct endpoint *e, const union address *to)
{
	union address from = *to;

	if (opt.client_port == 0)
		return;
	if (from.any.sa_family == AF_INET6)
		from.v6.sin6_port = htons((uint16_t)opt.client_port);
	else
		from.v4.sin_port = htons((uint16_t)opt.client_port);
	check(bind(e->fd, &from.any, size_of(&from)), "bind the client");
	e->bound = true;
}

/* Connects to the route's server, to `port`. */
static struct endpoint *connect_client(const char *who, long port)
{
	union address to = address_of(route->connect_to, port);
	struct endpoint *e = new_endpoint(who, open_socket(&to, 0, 0));

	bind_client(e, &to);
	step = "connect";
	check(connect(e->fd, &to.any, size_of(&to)), "connect");
	learn_local(e);
	learn_remote(e);
	return e;
}

/* Returns at once, with the SYN sent and its answer, if any, taken in. */
static struct endpoint *begin_connect(const char *who, long port)
{
	union address to = address_of(route->connect_to, port);
	int fd = open_socket(&to, SOCK_NONBLOCK, 0);
	struct endpoint *e = new_endpoint(who, fd);

	bind_client(e, &to);
	step = "begin to connect";
	if (connect(fd, &to.any, size_of(&to)) == 0)
		give_up("a connect() that must not succeed did");
	if (errno != EINPROGRESS)
		die("connect without waiting");
	learn_local(e);
	e->remote = to;
	return e;
}

static void expect_error(const struct endpoint *e, int expected)
{
	struct pollfd ready = { .fd = e->fd, .events = POLLOUT };
	int error = 0;
	socklen_t size = sizeof(error);

	step = "wait for the end of connect";
	check(poll(&ready, 1, -1), "poll");
	check(getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &size),
	      "getsockopt SO_ERROR");
	errno = error;
	if (error != expected)
		die("connect ended otherwise than expected");
}

static struct endpoint *accept_server(const struct endpoint *listener,
				      const char *who)
{
	struct endpoint *e;

	step = "accept";
	e = new_endpoint(who, check(accept(listener->fd, NULL, NULL),
				    "accept"));
	learn_local(e);
	learn_remote(e);
	return e;
}

static void close_socket(struct endpoint *e)
{
	step = "close";
	check(close(e->fd), "close");
	e->fd = -1;
}

/* close() of a socket with SO_LINGER 0 sends RST instead of FIN. */
static void abort_socket(struct endpoint *e)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	check(setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)),
	      "SO_LINGER");
	close_socket(e);
}

static void push(struct endpoint *e, size_t bytes)
{
	static const char chunk[CHUNK_BYTES];

	step = "send";
	while (bytes > 0) {
		size_t part = bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
		int n = check((int)send(e->fd, chunk, part, MSG_NOSIGNAL),
			      "send");

		e->sent += (size_t)n;
		bytes -= (size_t)n;
	}
}

static void pull(struct endpoint *e, size_t bytes)
{
	static char chunk[CHUNK_BYTES];

	step = "receive";
	while (bytes > 0) {
		size_t part = bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
		int n = check((int)recv(e->fd, chunk, part, 0), "receive");

		if (n == 0)
			give_up("end of file before the last byte");
		e->received += (size_t)n;
		bytes -= (size_t)n;
	}
}

/* In turns, so that no amount of bytes fills a buffer and blocks. */
static void move(struct endpoint *from, struct endpoint *to, size_t bytes)
{
	while (bytes > 0) {
		size_t part = bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;

		push(from, part);
		pull(to, part);
		bytes -= part;
	}
}

static void expect_end(const struct endpoint *e)
{
	char byte;

	step = "wait for end of file";
	if (check((int)recv(e->fd, &byte, 1, 0), "wait for end of file") != 0)
		give_up("a byte came instead of end of file");
}

static void expect_reset(struct endpoint *e)
{
	wait_state(e, TCP_CLOSE, "wait for the reset");
	close_socket(e);
}

/* ---- two peers ---------------------------------------------------------- */

struct pair {
	struct endpoint *listener, *client, *server;
};

static struct pair make_pair(void)
{
	struct pair p;

	p.listener = start_listener();
	p.client = connect_client("client", opt.port);
	p.server = accept_server(p.listener, "server");
	return p;
}

static struct pair make_talking_pair(void)
{
	struct pair p = make_pair();

	move(p.client, p.server, (size_t)opt.send);
	move(p.server, p.client, (size_t)opt.reply);
	return p;
}

static void close_in_order(struct endpoint *first, struct endpoint *second)
{
	close_socket(first);
	expect_end(second);
	close_socket(second);
}

/* ---- filters: the wire in our hand -------------------------------------- */

static void filter(const struct endpoint *e, struct sock_filter *code,
		   unsigned short length)
{
	struct sock_fprog program = { .len = length, .filter = code };

	check(setsockopt(e->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			 sizeof(program)), "SO_ATTACH_FILTER");
}

static void hear_nothing(const struct endpoint *e)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };

	filter(e, code, 1);
}

/* The socket's own peer becomes mute; only what replay() sends gets in. */
static void hear_replays_only(const struct endpoint *e)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REPLAY_MARK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	filter(e, code, sizeof(code) / sizeof(code[0]));
}

static void hear_all(const struct endpoint *e)
{
	set_option(e->fd, SOL_SOCKET, SO_DETACH_FILTER, 0, "SO_DETACH_FILTER");
}

/* A packet as it crossed lo. The virtio header in front says that its TCP
 * checksum is still to be filled in, so a verbatim copy is a valid packet. */
struct packet {
	uint8_t bytes[2048];
	size_t size;
};

#define IP_OFFSET (sizeof(struct virtio_net_hdr) + 14)

static size_t tcp_offset(const struct packet *p)
{
	uint8_t first = p->bytes[IP_OFFSET];

	return IP_OFFSET + (first >> 4 == 6 ? 40u : (first & 15u) * 4u);
}

static void write_setting(const char *path, const char *text)
{
	int fd = check(open(path, O_WRONLY), path);

	check((int)write(fd, text, strlen(text)), path);
	close(fd);
}

/* A replayed packet carries no route and is looked up as if it came from
 * outside, where the kernel takes 127/8 and own addresses for forged. The
 * namespace is ours, so these two settings do no harm. */
static void let_replays_in(void)
{
	write_setting("/proc/sys/net/ipv4/conf/lo/route_localnet", "1");
	write_setting("/proc/sys/net/ipv4/conf/lo/accept_local", "1");
}

/* Hears each packet on lo once, on its way in. */
static int open_tap(void)
{
	struct sockaddr_ll lo = { .sll_family = AF_PACKET };
	int protocol = strchr(route->connect_to, ':') ? 0x86dd : 0x0800;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0)
		skip("packet socket");
	let_replays_in();
	lo.sll_protocol = htons((uint16_t)protocol);
	lo.sll_ifindex = (int)if_nametoindex("lo");
	set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
	set_option(fd, SOL_SOCKET, SO_MARK, REPLAY_MARK, "SO_MARK");
	check(bind(fd, (struct sockaddr *)&lo, sizeof(lo)), "bind the tap");
	return fd;
}

static bool is_sent_by(const struct packet *p, const struct endpoint *e,
		       uint8_t mask, uint8_t flags)
{
	size_t tcp = tcp_offset(p);
	uint16_t port;

	if (p->size < tcp + 20)
		return false;
	memcpy(&port, &p->bytes[tcp], sizeof(port));
	return ntohs(port) == port_of(&e->local) &&
	       (p->bytes[tcp + 13] & mask) == flags;
}

/* The first packet that `e` sent with these flags since the tap was opened. */
static struct packet catch(int tap, const struct endpoint *e, uint8_t mask,
			   uint8_t flags)
{
	struct packet p;

	step = "catch a packet";
	do {
		p.size = (size_t)check((int)recv(tap, p.bytes, sizeof(p.bytes),
						 0), "read the tap");
	} while (!is_sent_by(&p, e, mask, flags));
	return p;
}

static void replay(int tap, const struct packet *p)
{
	step = "replay a packet";
	check((int)send(tap, p->bytes, p->size, 0), "replay a packet");
}

/* ---- scenarios: orderly ends -------------------------------------------- */

static void play_client_first(void)
{
	struct pair p = make_talking_pair();

	close_in_order(p.client, p.server);
	close_socket(p.listener);
}

static void play_server_first(void)
{
	struct pair p = make_talking_pair();

	close_in_order(p.server, p.client);
	close_socket(p.listener);
}

/* The client says it is done, the server goes on and closes later. */
static void play_half_close(void)
{
	struct pair p = make_pair();

	move(p.client, p.server, (size_t)opt.send);
	check(shutdown(p.client->fd, SHUT_WR), "shutdown");
	expect_end(p.server);
	wait_state(p.client, TCP_FIN_WAIT2, "wait for FIN_WAIT2");
	move(p.server, p.client, (size_t)opt.reply);
	close_in_order(p.server, p.client);
	close_socket(p.listener);
}

static void play_shutdown_both(void)
{
	struct pair p = make_talking_pair();

	check(shutdown(p.client->fd, SHUT_RDWR), "shutdown");
	expect_end(p.server);
	wait_state(p.client, TCP_FIN_WAIT2, "wait for FIN_WAIT2");
	close_in_order(p.client, p.server);
	close_socket(p.listener);
}

/* Both FINs must be on the wire before either arrives. Each side hears nothing
 * but replays while both shut down; then the two FINs that were lost, which
 * acknowledge no FIN yet, are played back, as if they had crossed. Dropping
 * alone is not enough: a retransmitted FIN acknowledges the other side's FIN
 * and leads through FIN_WAIT2 instead of CLOSING. */
static void play_simultaneous_close(void)
{
	struct pair p = make_talking_pair();
	int tap = open_tap();
	struct packet fin;

	hear_replays_only(p.client);
	hear_replays_only(p.server);
	check(shutdown(p.client->fd, SHUT_WR), "shutdown");
	check(shutdown(p.server->fd, SHUT_WR), "shutdown");
	fin = catch(tap, p.client, TH_FIN, TH_FIN);
	replay(tap, &fin);
	fin = catch(tap, p.server, TH_FIN, TH_FIN);
	replay(tap, &fin);
	wait_state(p.client, TCP_CLOSING, "wait for CLOSING");
	wait_state(p.server, TCP_CLOSING, "wait for CLOSING");
	hear_all(p.client);
	hear_all(p.server);
	wait_state(p.client, TCP_CLOSE, "wait for CLOSE");
	wait_state(p.server, TCP_CLOSE, "wait for CLOSE");
	close_socket(p.client);
	close_socket(p.server);
	close_socket(p.listener);
}

/* ---- scenarios: unusual beginnings -------------------------------------- */

static void play_self_connect(void)
{
	union address self = address_of(route->connect_to, opt.port);
	struct endpoint *e = bind_socket("self", route->connect_to, opt.port);

	step = "connect to itself";
	check(connect(e->fd, &self.any, size_of(&self)), "connect to itself");
	learn_remote(e);
	move(e, e, (size_t)opt.send);
	close_socket(e);
}

static struct endpoint *begin_crossing(const char *who, long from, long to)
{
	union address peer = address_of(route->connect_to, to);
	struct endpoint *e = bind_socket(who, route->connect_to, from);

	hear_replays_only(e);
	check(fcntl(e->fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	if (connect(e->fd, &peer.any, size_of(&peer)) == 0)
		give_up("a connect() that must wait did not");
	if (errno != EINPROGRESS)
		die("connect without waiting");
	check(fcntl(e->fd, F_SETFL, 0), "F_SETFL");
	e->remote = peer;
	return e;
}

/* As in the simultaneous close: both SYNs are lost, and so is the RST that the
 * first earns; then they are played back as if they had crossed. The SYN-ACKs
 * are lost too and retransmitted once both sides hear again. */
static void play_simultaneous_open(void)
{
	int tap = open_tap();
	struct endpoint *a = begin_crossing("left", opt.port, opt.port + 1);
	struct endpoint *b = begin_crossing("right", opt.port + 1, opt.port);
	struct packet syn;

	syn = catch(tap, a, TH_SYN | TH_ACK, TH_SYN);
	replay(tap, &syn);
	syn = catch(tap, b, TH_SYN | TH_ACK, TH_SYN);
	replay(tap, &syn);
	wait_state(a, TCP_SYN_RECV, "wait for SYN_RECV");
	wait_state(b, TCP_SYN_RECV, "wait for SYN_RECV");
	hear_all(a);
	hear_all(b);
	wait_state(a, TCP_ESTABLISHED, "wait for ESTABLISHED");
	wait_state(b, TCP_ESTABLISHED, "wait for ESTABLISHED");
	move(a, b, (size_t)opt.send);
	move(b, a, (size_t)opt.reply);
	close_in_order(a, b);
}

/* ---- scenarios: connections that never were ----------------------------- */

static void play_refused(void)
{
	struct endpoint *client = begin_connect("client", opt.port);

	expect_error(client, ECONNREFUSED);
	close_socket(client);
}

static void play_timeout(void)
{
	struct endpoint *listener = start_listener();
	struct endpoint *client;

	hear_nothing(listener);
	client = begin_connect("client", opt.port);
	expect_error(client, ETIMEDOUT);
	close_socket(client);
	close_socket(listener);
}

static void play_cancelled(void)
{
	struct endpoint *listener = start_listener();
	struct endpoint *client;

	hear_nothing(listener);
	client = begin_connect("client", opt.port);
	wait_state(client, TCP_SYN_SENT, "wait for SYN_SENT");
	close_socket(client);
	close_socket(listener);
}

static uint16_t internet_checksum(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* ICMP type 3, code 1: the header of the packet that failed and its first
 * eight bytes, by which the kernel finds the socket (tcp_v4_err()). */
static void send_host_unreachable(const struct packet *failed)
{
	union address to = address_of("127.0.0.1", 0);
	uint8_t message[8 + 60 + 8] = { 3, 1 };
	size_t quoted = tcp_offset(failed) - IP_OFFSET + 8;
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	uint16_t sum;

	if (fd < 0)
		skip("raw socket");
	memcpy(&message[8], &failed->bytes[IP_OFFSET], quoted);
	sum = internet_checksum(message, 8 + quoted);
	message[2] = (uint8_t)(sum >> 8);
	message[3] = (uint8_t)sum;
	check((int)sendto(fd, message, 8 + quoted, 0, &to.any, sizeof(to.v4)),
	      "send an ICMP message");
	close(fd);
}

static void play_unreachable(void)
{
	struct endpoint *listener = start_listener();
	int tap = open_tap();
	struct endpoint *client;
	struct packet syn;

	hear_nothing(listener);
	client = begin_connect("client", opt.port);
	syn = catch(tap, client, TH_SYN | TH_ACK, TH_SYN);
	send_host_unreachable(&syn);
	expect_error(client, EHOSTUNREACH);
	close_socket(client);
	close_socket(listener);
}

/* Connects until no port is left: the caller has narrowed the range. */
static void play_no_port(void)
{
	union address to = address_of(route->connect_to, opt.port);
	struct endpoint *listener = start_listener();
	int first = made_count;
	int fd;

	for (;;) {
		fd = open_socket(&to, 0, 0);
		step = "connect until no port is left";
		if (connect(fd, &to.any, size_of(&to)) < 0)
			break;
		learn_local(new_endpoint("client", fd));
		learn_remote(&made[made_count - 1]);
		accept_server(listener, "server");
	}
	if (errno != EADDRNOTAVAIL)
		die("connect until no port is left");
	new_endpoint("no-port", fd)->remote = to;
	for (int i = first; i + 1 < made_count; i += 2)
		close_in_order(&made[i], &made[i + 1]);
	close_socket(&made[made_count - 1]);
	close_socket(listener);
}

/* ---- scenarios: violent ends -------------------------------------------- */

static void play_reset(void)
{
	struct pair p = make_talking_pair();

	if (strcmp(opt.by, "client") == 0) {
		abort_socket(p.client);
		expect_reset(p.server);
	} else if (strcmp(opt.by, "server") == 0) {
		abort_socket(p.server);
		expect_reset(p.client);
	} else { /* unread: close() with data never read sends RST too */
		push(p.client, 1);
		wait_state(p.server, TCP_ESTABLISHED, "wait for data");
		step = "wait for data";
		while (recv(p.server->fd, &(char){ 0 }, 1, MSG_PEEK) < 1)
			nap();
		p.server->received++;
		close_socket(p.server);
		expect_reset(p.client);
	}
	close_socket(p.listener);
}

/* The RST finds its receiver in CLOSE_WAIT: its errno is EPIPE. */
static void play_fin_then_reset(void)
{
	struct pair p = make_talking_pair();

	check(shutdown(p.client->fd, SHUT_WR), "shutdown");
	expect_end(p.server);
	wait_state(p.client, TCP_FIN_WAIT2, "wait for FIN_WAIT2");
	abort_socket(p.client);
	expect_reset(p.server);
	close_socket(p.listener);
}

/* The server writes to a client that is gone for good. */
static void play_broken_pipe(void)
{
	struct pair p = make_talking_pair();

	close_socket(p.client);
	expect_end(p.server);
	push(p.server, 1);
	expect_reset(p.server);
	close_socket(p.listener);
}

/* The child that nobody accepts is known only from its client. */
static void note_child(const struct endpoint *client)
{
	struct endpoint *e = new_endpoint("child", -1);

	e->local = client->remote;
	e->remote = client->local;
	e->received = client->sent;
}

static void play_listener_closed(void)
{
	struct endpoint *listener = start_listener();
	int first = made_count;

	for (long i = 0; i < opt.count; i++) {
		struct endpoint *client = connect_client("client", opt.port);

		push(client, (size_t)opt.send);
		wait_acknowledged(client);
	}
	close_socket(listener);
	for (long i = 0; i < opt.count; i++)
		expect_reset(&made[first + i]);
	for (long i = 0; i < opt.count; i++)
		note_child(&made[first + i]);
}

/* connect(AF_UNSPEC) resets, and the same socket connects again. SO_ERROR is
 * left unread, so that the second life carries the first one's errno. */
static void play_unspec(void)
{
	union address none = { .any.sa_family = AF_UNSPEC };
	struct pair p = make_talking_pair();
	union address to = p.client->remote;
	struct endpoint *client, *server;

	step = "connect to AF_UNSPEC";
	check(connect(p.client->fd, &none.any, sizeof(none)), step);
	expect_reset(p.server);
	client = new_endpoint("client2", p.client->fd);
	client->bound = p.client->bound;
	step = "connect again";
	check(connect(client->fd, &to.any, size_of(&to)), step);
	learn_local(client);
	learn_remote(client);
	server = accept_server(p.listener, "server2");
	move(server, client, (size_t)opt.reply);
	close_in_order(client, server);
	close_socket(p.listener);
}

/* `ss -K` by the caller, who first reads the lines printed here. */
static void play_killed(void)
{
	struct pair p = make_talking_pair();

	report();
	made_count = 0;
	expect_reset(p.client);
	expect_reset(p.server);
	close_socket(p.listener);
}

/* ---- scenarios: listeners ----------------------------------------------- */

static void play_failed_listen(void)
{
	struct endpoint *a = bind_socket("listener", route->listen_on,
					 opt.port);
	struct endpoint *b = bind_socket("loser", route->listen_on, opt.port);

	check(listen(a->fd, 1), "listen");
	if (listen(b->fd, 1) == 0)
		give_up("the second listen() succeeded");
	if (errno != EADDRINUSE)
		die("the second listen()");
	close_socket(b);
	close_socket(a);
}

/* ---- scenarios: who owns it --------------------------------------------- */

static void reap(pid_t child)
{
	int status;

	step = "wait for the child";
	check((int)waitpid(child, &status, 0), "waitpid");
	if (status != 0)
		give_up("its child failed");
}

/* The child's server closes first, so that its close() sends a FIN. */
static _Noreturn void serve_one(const struct endpoint *listener)
{
	struct endpoint *server;

	prctl(PR_SET_NAME, "acceptor");
	alarm(STEP_LIMIT_S); /* fork() does not inherit it */
	server = accept_server(listener, "server");
	pull(server, (size_t)opt.send);
	push(server, (size_t)opt.reply);
	close_socket(server);
	print_endpoint(server);
	fflush(stdout);
	_exit(0);
}

static _Noreturn void call_one(void)
{
	struct endpoint *client;

	prctl(PR_SET_NAME, "caller");
	alarm(STEP_LIMIT_S);
	client = connect_client("client", opt.port);
	push(client, (size_t)opt.send);
	pull(client, (size_t)opt.reply);
	expect_end(client);
	close_socket(client);
	print_endpoint(client);
	fflush(stdout);
	_exit(0);
}

/* Three processes: much of what happens to one end runs in the context of the
 * other end's process, which must not be taken for its owner. */
static void play_accept_in_child(void)
{
	struct endpoint *listener = start_listener();
	pid_t acceptor, caller;

	acceptor = check(fork(), "fork");
	if (acceptor == 0)
		serve_one(listener);
	caller = check(fork(), "fork");
	if (caller == 0)
		call_one();
	reap(acceptor);
	reap(caller);
	close_socket(listener);
}

/* Closes the last descriptor of the server once its parent has closed its. */
static _Noreturn void inherit(struct endpoint *server, int go)
{
	char byte;

	prctl(PR_SET_NAME, "heir");
	alarm(STEP_LIMIT_S);
	step = "wait for the parent";
	check((int)read(go, &byte, 1), "wait for the parent");
	close_socket(server);
	server->pid = getpid();
	print_endpoint(server);
	fflush(stdout);
	_exit(0);
}

static void play_handover(void)
{
	struct pair p = make_talking_pair();
	int go[2];
	pid_t child;

	check(pipe(go), "pipe");
	child = check(fork(), "fork");
	if (child == 0)
		inherit(p.server, go[0]);
	close_socket(p.server);
	check((int)write(go[1], "", 1), "write to the child");
	reap(child);
	expect_end(p.client);
	close_socket(p.client);
	close_socket(p.listener);
	made_count--; /* the heir has printed the server, made last */
}

static void play_named(void)
{
	check(prctl(PR_SET_NAME, opt.name), "PR_SET_NAME");
	play_client_first();
}

/* ---- scenarios: losses and other protocols ------------------------------ */

static void play_retransmit(void)
{
	struct pair p = make_pair();

	hear_nothing(p.server);
	push(p.client, (size_t)opt.send);
	step = "wait for a retransmission";
	while (tcp_info_of(p.client).tcpi_total_retrans == 0)
		nap();
	hear_all(p.server);
	pull(p.server, (size_t)opt.send);
	move(p.server, p.client, (size_t)opt.reply);
	close_in_order(p.client, p.server);
	close_socket(p.listener);
}

/* Both ends of a protocol that shares the state tracepoint with TCP. */
static void play_protocol(int protocol, const char *name)
{
	union address a = address_of(route->connect_to, opt.port);
	struct pair p;

	step = name;
	p.listener = new_endpoint("listener",
				  socket(a.any.sa_family, SOCK_STREAM,
					 protocol));
	if (p.listener->fd < 0)
		skip(name);
	set_option(p.listener->fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	check(bind(p.listener->fd, &a.any, size_of(&a)), "bind");
	check(listen(p.listener->fd, 1), "listen");
	learn_local(p.listener);
	p.client = new_endpoint("client", open_socket(&a, 0, protocol));
	check(connect(p.client->fd, &a.any, size_of(&a)), "connect");
	learn_local(p.client);
	learn_remote(p.client);
	p.server = accept_server(p.listener, "server");
	move(p.client, p.server, (size_t)opt.send);
	move(p.server, p.client, (size_t)opt.reply);
	close_in_order(p.client, p.server);
	close_socket(p.listener);
}

static void play_mptcp(void)
{
	play_protocol(IPPROTO_MPTCP, "MPTCP socket");
}

static void play_sctp(void)
{
	play_protocol(IPPROTO_SCTP, "SCTP socket");
}

/* ---- load --------------------------------------------------------------- */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	       (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Sleeps until the i-th deadline, counted from the start, not from the last
 * connection: a late one is made good by the next. */
static void keep_rate(const struct timespec *start, long i)
{
	long long at_ns;
	struct timespec at;

	if (opt.rate == 0)
		return;
	at_ns = start->tv_nsec + (long long)i * 1000000000LL / opt.rate;
	at.tv_sec = start->tv_sec + (time_t)(at_ns / 1000000000LL);
	at.tv_nsec = (long)(at_ns % 1000000000LL);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* Source i is 127.0.0.1 + i: each brings its own range of ports. */
static void bind_source(int fd, long i)
{
	union address from = address_of("127.0.0.1", 0);
	uint32_t host = INADDR_LOOPBACK + (uint32_t)(i % opt.sources);

	if (opt.sources <= 1)
		return;
	from.v4.sin_addr.s_addr = htonl(host);
	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1,
		   "IP_BIND_ADDRESS_NO_PORT");
	check(bind(fd, &from.any, sizeof(from.v4)), "bind a source");
}

static void finish_one(struct endpoint *client, struct endpoint *server)
{
	if (strcmp(opt.close, "server") == 0) {
		close_in_order(server, client);
	} else if (strcmp(opt.close, "reset") == 0) {
		abort_socket(client);
		expect_reset(server);
	} else {
		close_in_order(client, server);
	}
}

static void load_one(const struct endpoint *listener, long i)
{
	struct endpoint client = { .who = "client" };
	struct endpoint server = { .who = "server" };
	union address to = listener->local;

	client.fd = open_socket(&to, 0, 0);
	bind_source(client.fd, i);
	step = "connect under load";
	check(connect(client.fd, &to.any, size_of(&to)), step);
	step = "accept under load";
	server.fd = check(accept(listener->fd, NULL, NULL), step);
	move(&client, &server, (size_t)opt.bytes);
	finish_one(&client, &server);
}

static void play_load(void)
{
	struct endpoint *listener;
	struct timespec start, began;

	if (opt.family == 6 && opt.sources > 1)
		give_up("--sources wants --family 4: ::1 is alone");
	route = find_route(opt.family == 6 ? "ipv6" : "ipv4");
	listener = start_listener();
	clock_gettime(CLOCK_MONOTONIC, &start);
	clock_gettime(CLOCK_REALTIME, &began);
	for (long i = 0; i < opt.connections; i++) {
		if (i % 256 == 0)
			alarm(STEP_LIMIT_S);
		keep_rate(&start, i);
		load_one(listener, i);
	}
	printf("{\"who\":\"load\",\"pid\":%d,\"family\":%ld,"
	       "\"connections\":%ld,\"close\":\"%s\",\"bytes\":%ld,"
	       "\"sources\":%ld,\"began\":%lld.%03ld,\"elapsed_s\":%.6f,\"port\":%ld}\n",
	       (int)getpid(), opt.family, opt.connections, opt.close, opt.bytes,
	       opt.sources, (long long)began.tv_sec, began.tv_nsec / 1000000, seconds_since(&start), opt.port);
	close_socket(listener);
	made_count = 0;
}

/* ---- the command line --------------------------------------------------- */

enum { TALK = 1, BIND = 2, BY = 4, COUNT = 8, NAME = 16, LOAD = 32, VIA = 64 };

static const struct scenario scenarios[] = {
	{ "client-first", play_client_first, "ipv4", TALK | BIND | VIA,
	  "both talk, the client closes first" },
	{ "server-first", play_server_first, "ipv4", TALK | BIND | VIA,
	  "both talk, the server closes first" },
	{ "simultaneous-close", play_simultaneous_close, "ipv4",
	  TALK | BIND | VIA,
	  "both FINs cross: FIN_WAIT1, CLOSING, CLOSE on both sides" },
	{ "half-close", play_half_close, "ipv4", TALK | BIND | VIA,
	  "client shutdown(SHUT_WR), server talks on and closes" },
	{ "shutdown-both", play_shutdown_both, "ipv4", TALK | BIND | VIA,
	  "client shutdown(SHUT_RDWR), then close()" },
	{ "ipv6", play_client_first, "ipv6", TALK | BIND,
	  "client-first over ::1" },
	{ "v4-mapped", play_client_first, "v4-mapped", TALK | BIND,
	  "client-first, AF_INET client, dual-stack listener" },
	{ "v6socket-to-v4", play_client_first, "v6socket-to-v4", TALK,
	  "client-first, AF_INET6 client to ::ffff:127.0.0.1" },
	{ "self-connect", play_self_connect, "ipv4", TALK | VIA,
	  "a socket bound and connected to itself" },
	{ "simultaneous-open", play_simultaneous_open, "ipv4", TALK | VIA,
	  "two bound sockets connect to each other, SYNs cross" },
	{ "refused", play_refused, "ipv4", BIND | VIA,
	  "connect to a closed port" },
	{ "timeout", play_timeout, "ipv4", BIND | VIA,
	  "connect, no SYN is answered (set tcp_syn_retries=1)" },
	{ "unreachable", play_unreachable, "ipv4", BIND,
	  "connect, the SYN is answered with ICMP host unreachable" },
	{ "cancelled", play_cancelled, "ipv4", BIND | VIA,
	  "close() while the connect is pending" },
	{ "no-port", play_no_port, "ipv4", VIA,
	  "connect until EADDRNOTAVAIL (narrow ip_local_port_range)" },
	{ "reset", play_reset, "ipv4", TALK | BIND | BY | VIA,
	  "RST by SO_LINGER 0 or by unread data" },
	{ "fin-then-reset", play_fin_then_reset, "ipv4", TALK | BIND | VIA,
	  "the client half-closes, then resets: EPIPE at the server" },
	{ "broken-pipe", play_broken_pipe, "ipv4", TALK | BIND | VIA,
	  "the server writes to a client that has closed: EPIPE" },
	{ "listener-closed", play_listener_closed, "ipv4", TALK | COUNT | VIA,
	  "the listener closes with children nobody accepted" },
	{ "unspec", play_unspec, "ipv4", TALK | BIND | VIA,
	  "connect(AF_UNSPEC), then the same socket connects again" },
	{ "killed", play_killed, "ipv4", TALK | BIND | VIA,
	  "prints its lines and waits for ss -K" },
	{ "failed-listen", play_failed_listen, "ipv4", VIA,
	  "two binds with SO_REUSEADDR, the second listen() fails" },
	{ "accept-in-child", play_accept_in_child, "ipv4", TALK | BIND | VIA,
	  "one child connects (caller), one accepts and closes (acceptor)" },
	{ "handover", play_handover, "ipv4", TALK | BIND | VIA,
	  "the server's last close() is a child's (heir)" },
	{ "named", play_named, "ipv4", TALK | BIND | NAME | VIA,
	  "client-first by a process that calls itself --name" },
	{ "retransmit", play_retransmit, "ipv4", TALK | BIND | VIA,
	  "client-first, the client's data is lost at first" },
	{ "mptcp", play_mptcp, "ipv4", TALK | VIA,
	  "client-first with IPPROTO_MPTCP" },
	{ "sctp", play_sctp, "ipv4", TALK | VIA,
	  "client-first with IPPROTO_SCTP" },
	{ "load", play_load, "ipv4", LOAD,
	  "many connections, one after the other" },
	{ 0 },
};

static const struct option_row option_rows[] = {
	{ "--port", 0, NUMBER(port), "8080", NULL,
	  "port of the listener" },
	{ "--client-port", BIND, NUMBER(client_port), "0", NULL,
	  "bind the client to this port first" },
	{ "--send", TALK, NUMBER(send), "120", NULL,
	  "bytes from client to server" },
	{ "--reply", TALK, NUMBER(reply), "4096", NULL,
	  "bytes from server to client" },
	{ "--via", VIA, TEXT(via), "",
	  "ipv4 ipv6 v4-mapped v6socket-to-v4 v6socket-to-dual",
	  "kind of sockets" },
	{ "--by", BY, TEXT(by), "client", "client server unread",
	  "who resets" },
	{ "--count", COUNT, NUMBER(count), "3", NULL,
	  "children left unaccepted" },
	{ "--name", NAME, TEXT(name), "named", NULL,
	  "the process's name" },
	{ "--connections", LOAD, NUMBER(connections), "1000", NULL,
	  "how many connections" },
	{ "--rate", LOAD, NUMBER(rate), "0", NULL,
	  "connections per second, 0: flat out" },
	{ "--close", LOAD, TEXT(close), "client", "client server reset",
	  "who ends a connection, and how" },
	{ "--family", LOAD, NUMBER(family), "4", "4 6",
	  "address family" },
	{ "--sources", LOAD, NUMBER(sources), "1", NULL,
	  "source addresses, from 127.0.0.1 on" },
	{ "--bytes", LOAD, NUMBER(bytes), "0", NULL,
	  "bytes from client to server per connection" },
	{ 0 },
};

int main(int argc, char **argv)
{
	const struct scenario *s;

	all_scenarios = scenarios;
	all_options = option_rows;
	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		help(argc < 2 ? stderr : stdout, "");
		return argc < 2 ? 2 : 0;
	}
	s = find_scenario(argv[1]);
	parse_options(s, argv + 2);
	route = find_route(opt.via);
	mind_the_time();
	s->play();
	report();
	return 0;
}
