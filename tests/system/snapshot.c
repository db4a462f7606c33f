/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot: shows what user/source reads from the kernel's own tables, for the
 * tests to compare with ss, /proc and sysctl. JSON lines on stdout.
 *
 *   snapshot sockets [drops] [info] [state N]  of this network namespace
 *   snapshot walk            namespaces, with their sockets
 *   snapshot visit PATH      one namespace, likewise
 *   snapshot refind          every socket again, by its tuple; prints misses
 *   snapshot owners          who holds the sockets of this namespace
 *   snapshot counters, snapshot settings
 *   snapshot time REPEATS [drops] [info]  the cost of each dump
 *   snapshot hold COUNT      makes sockets in every state and COUNT pairs more,
 *                            prints "ready", keeps them until stdin ends
 *   snapshot unanswered COUNT PORT  likewise, clients whose SYN is dropped
 *
 * Exit status: 0 done, 1 failed, 2 wrong usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "source/netns.h"
#include "source/netstat.h"
#include "source/procs.h"
#include "source/sockdiag.h"

static _Noreturn void die(int err, const char *what)
{
	fprintf(stderr, "snapshot: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static int check(int result, const char *what)
{
	if (result < 0)
		die(errno, what);
	return result;
}

/* ---- what to ask for ------------------------------------------------------- */

static unsigned int extras;
static uint32_t states = SOCKDIAG_ALL_STATES;

static void read_words(char **word)
{
	for (; *word; word++) {
		if (strcmp(*word, "drops") == 0)
			extras |= SOCKDIAG_DROPS;
		else if (strcmp(*word, "info") == 0)
			extras |= SOCKDIAG_INFO;
		else if (strcmp(*word, "state") == 0 && word[1])
			states = 1U << atoi(*++word);
		else
			exit(2);
	}
}

static struct sockdiag *new_diag(void)
{
	struct sockdiag *diag = sockdiag__new();

	if (!diag)
		die(errno, "sock_diag");
	return diag;
}

static void dump(struct sockdiag *diag, sockdiag_take_fn take, void *context)
{
	int err = sockdiag__dump(diag, states, extras, take, context);

	if (err)
		die(err, "dump");
}

/* ---- sockets ---------------------------------------------------------------- */

static void print_end(const char *name, const struct endpoint *end)
{
	char text[ADDR_TEXT_MAX];

	printf("\"%s\":\"%.*s\",\"%s_port\":%u,", name, (int)addr__format(end->addr, text), text, name,
	       end->port);
}

static void print_extras(const struct socket_entry *e)
{
	if (e->has & SOCKET_HAS_DROPS)
		printf(",\"drops\":%u", e->drops);
	if (e->has & SOCKET_HAS_CGROUP)
		printf(",\"cgroup\":%" PRIu64, e->cgroup);
	if (e->has & SOCKET_HAS_INFO)
		printf(",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"retransmits\":%u",
		       e->bytes_sent, e->bytes_received, e->retransmits);
}

static int print_socket(void *context, const struct socket_entry *e)
{
	static const char *const kinds[] = {"full", "request", "mini"};

	(void)context;
	printf("{\"kind\":\"%s\",\"family\":%u,\"state\":\"%s\",", kinds[e->kind], e->family,
	       state__name(e->state));
	print_end("local", &e->local);
	print_end("remote", &e->remote);
	printf("\"cookie\":\"%" PRIx64 "\",\"ifindex\":%u,\"inode\":%u,\"uid\":%u,\"rqueue\":%u,"
	       "\"wqueue\":%u,\"timer\":%u,\"retrans\":%u,\"expires_ms\":%u",
	       e->cookie, e->ifindex, e->inode, e->uid, e->rqueue, e->wqueue, e->timer, e->retrans,
	       e->expires_ms);
	print_extras(e);
	puts("}");
	return 0;
}

static void show_sockets(char **word)
{
	struct sockdiag *diag = new_diag();

	read_words(word);
	dump(diag, print_socket, NULL);
	sockdiag__free(diag);
}

/* ---- one socket again --------------------------------------------------------- */

static void must_miss(struct sockdiag *diag, const struct sockdiag_key *key, const char *what)
{
	struct socket_entry entry;
	int err = sockdiag__find(diag, key, 0, &entry);

	if (err != -ESRCH)
		die(err, what);
}

/* Found by its tuple, and nothing in its place: not under another cookie, and
 * not its listener where there is no such connection. */
static int find_again(void *context, const struct socket_entry *e)
{
	struct sockdiag_key key = {e->local, e->remote, e->ifindex, e->cookie};
	struct socket_entry again;
	int err = sockdiag__find(context, &key, 0, &again);

	if (err || again.cookie != e->cookie || again.state != e->state || again.kind != e->kind)
		print_socket(NULL, e);
	key.cookie++;
	must_miss(context, &key, "another cookie");
	key.cookie = 0;
	key.remote.port = 1;
	must_miss(context, &key, "another port");
	return 0;
}

static void refind(char **word)
{
	struct sockdiag *diag = new_diag();
	struct sockdiag *finder = new_diag();

	read_words(word);
	dump(diag, find_again, finder);
	sockdiag__free(finder);
	sockdiag__free(diag);
}

/* ---- namespaces ---------------------------------------------------------------- */

static int count_socket(void *context, const struct socket_entry *e)
{
	unsigned int *count = context;

	(void)e;
	++*count;
	return 0;
}

/* What the reader's own namespace is must be that of this thread. */
static void print_readings(void)
{
	struct sysctls sysctls;
	struct netstat stat;
	int64_t somaxconn = -1;
	uint64_t opens = 0;
	int err;

	sysctls__load(&sysctls);
	sysctls__get(&sysctls, SYSCTL_SOMAXCONN, &somaxconn);
	netstat__init(&stat);
	err = netstat__load(&stat);
	if (err)
		die(err, "netstat");
	netstat__get(&stat, "Tcp", "ActiveOpens", &opens);
	netstat__fini(&stat);
	printf(",\"somaxconn\":%" PRId64 ",\"active_opens\":%" PRIu64, somaxconn, opens);
}

static int print_namespace(void *context, const struct netns *netns)
{
	struct sockdiag *diag = new_diag();
	unsigned int count = 0;
	uint32_t inode = 0;

	(void)context;
	netns__own(&inode);
	dump(diag, count_socket, &count);
	printf("{\"netns\":%u,\"inside\":%u,\"path\":\"%s\",\"sockets\":%u", netns->inode, inode,
	       netns->path, count);
	print_readings();
	puts("}");
	sockdiag__free(diag);
	return 0;
}

static void print_refused(void *context, const struct netns *netns, int err)
{
	(void)context;
	printf("{\"refused\":%u,\"path\":\"%s\",\"errno\":%d}\n", netns->inode, netns->path, -err);
}

static const struct netns_visitor printing = {print_namespace, print_refused, NULL};

static void walk(char **word)
{
	struct netns_counts counts;
	uint32_t before, after;
	int err;

	(void)word;
	netns__own(&before);
	err = netns__walk(&printing, &counts);
	if (err)
		die(err, "walk");
	netns__own(&after);
	printf("{\"visited\":%u,\"refused\":%u,\"stayed\":%s}\n", counts.visited, counts.refused,
	       before == after ? "true" : "false");
}

static void visit(char **word)
{
	int err = netns__visit(*word ? *word : "", &printing);

	if (err)
		die(err, *word);
}

/* ---- owners --------------------------------------------------------------------- */

static int print_owner(void *context, const struct socket_entry *e)
{
	const struct process *process;
	uint32_t others = 0;

	if (!e->inode)
		return 0;
	process = procs__find(context, e->inode, &others);
	if (!process) {
		printf("{\"inode\":%u,\"pid\":null}\n", e->inode);
		return 0;
	}
	printf("{\"inode\":%u,\"pid\":%u,\"uid\":%u,\"start_ns\":%" PRIu64 ",\"others\":%u,\"comm\":\"",
	       e->inode, process->pid, process->uid, process->start_ns, others);
	for (unsigned int i = 0; i < sizeof(process->comm) && process->comm[i]; i++)
		printf("%02x", (unsigned char)process->comm[i]);
	puts("\"}");
	return 0;
}

static void show_owners(char **word)
{
	struct sockdiag *diag = new_diag();
	struct procs procs;
	uint64_t begin = clock__boot_ns();
	int err = procs__init(&procs);

	(void)word;
	if (err)
		die(err, "procs");
	fprintf(stderr, "scan: %" PRIu64 " us, %u processes, %u sockets, %u refused\n",
		(clock__boot_ns() - begin) / 1000, procs.process_count, procs.socket_count,
		procs.refused);
	dump(diag, print_owner, &procs);
	procs__fini(&procs);
	sockdiag__free(diag);
}

/* ---- counters and settings -------------------------------------------------------- */

static void show_counters(char **word)
{
	static const char *const names[][2] = {
		{"TcpExt", "ListenOverflows"},
		{"TcpExt", "ListenDrops"},
		{"TcpExt", "TW"},
		{"TcpExt", "TCPReqQFullDrop"},
		{"TcpExt", "TCPSynRetrans"},
		{"IpExt", "InOctets"},
		{"Tcp", "ActiveOpens"},
		{"Tcp", "PassiveOpens"},
		{"Tcp", "CurrEstab"},
		{"Tcp", "MaxConn"},
		{"TcpExt", "NoSuchCounter"},
		{"Udp", "InDatagrams"},
		{"TcpExt", "TCPTimeouts"},
		{"TcpExt", "TCPTimeWaitOverflow"},
	};
	struct netstat stat;
	uint64_t value;
	int err;

	(void)word;
	netstat__init(&stat);
	err = netstat__load(&stat);
	if (err)
		die(err, "netstat");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (netstat__get(&stat, names[i][0], names[i][1], &value))
			printf("%s%s %" PRId64 "\n", names[i][0], names[i][1], (int64_t)value);
	netstat__fini(&stat);
}

static void show_settings(char **word)
{
	struct sysctls sysctls;
	int64_t value;

	/* Of the namespace we are in, or of one named by its inode. */
	uint32_t inode = *word ? (uint32_t)strtoul(*word, NULL, 10) : 0;
	int err = sysctls__load_netns(&sysctls, inode);

	if (err)
		die(err, "settings");
	for (int id = 0; id < SYSCTL_COUNT; id++)
		if (sysctls__get(&sysctls, id, &value))
			printf("%s = %" PRId64 "\n", sysctl_id__name(id), value);
	printf("ports = %u\n", sysctls__ephemeral_ports(&sysctls));
}

/* ---- costs ------------------------------------------------------------------------- */

static void time_dumps(char **word)
{
	struct sockdiag *diag = new_diag();
	long repeats = *word ? atol(*word++) : 1;

	read_words(word);
	while (repeats-- > 0) {
		unsigned int count = 0;
		uint64_t begin = clock__boot_ns();

		dump(diag, count_socket, &count);
		begin = clock__boot_ns() - begin;
		printf("{\"sockets\":%u,\"us\":%" PRIu64 ",\"ns_per_socket\":%" PRIu64 "}\n", count,
		       begin / 1000, count ? begin / count : 0);
	}
	sockdiag__free(diag);
}

/* ---- sockets to look at --------------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address address_of(const char *text, uint16_t port)
{
	union address a = {0};

	a.any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (a.any.sa_family == AF_INET6) {
		a.v6.sin6_port = htons(port);
		inet_pton(AF_INET6, text, &a.v6.sin6_addr);
	} else {
		a.v4.sin_port = htons(port);
		inet_pton(AF_INET, text, &a.v4.sin_addr);
	}
	return a;
}

static int set(int fd, int level, int option, int value)
{
	return check(setsockopt(fd, level, option, &value, sizeof(value)), "setsockopt");
}

static int listen_at(const char *text, uint16_t port, int backlog)
{
	union address a = address_of(text, port);
	int fd = check(socket(a.any.sa_family, SOCK_STREAM, 0), "socket");

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	check(bind(fd, &a.any, sizeof(a)), "bind");
	check(listen(fd, backlog), "listen");
	return fd;
}

static int connect_to(const char *text, uint16_t port)
{
	union address a = address_of(text, port);
	int fd = check(socket(a.any.sa_family, SOCK_STREAM, 0), "socket");

	check(connect(fd, &a.any, sizeof(a)), "connect");
	return fd;
}

/* Until the peer's FIN is there. */
static void wait_for_end(int fd)
{
	char byte;

	check((int)recv(fd, &byte, 1, 0), "recv");
}

/* CLOSE_WAIT here, and an orphan's FIN_WAIT2 there, which is a minisocket. */
static void make_close_wait(int listener, uint16_t port)
{
	int client = connect_to("127.0.0.1", port);
	int server = check(accept(listener, NULL, NULL), "accept");

	close(server);
	wait_for_end(client);
}

/* FIN_WAIT2 with a descriptor, which is a full socket. */
static void make_fin_wait2(int listener, uint16_t port)
{
	int client = connect_to("127.0.0.1", port);
	int server = check(accept(listener, NULL, NULL), "accept");

	check(shutdown(client, SHUT_WR), "shutdown");
	wait_for_end(server);
}

static void make_time_wait(int listener, const char *text, uint16_t port)
{
	int client = connect_to(text, port);
	int server = check(accept(listener, NULL, NULL), "accept");

	close(server);
	wait_for_end(client);
	close(client);
}

static void make_unread(int listener, uint16_t port)
{
	int client = connect_to("127.0.0.1", port);

	check((int)send(client, "hello", 5, 0), "send");
	check(accept(listener, NULL, NULL), "accept");
}

static void make_pairs(int listener, const char *text, uint16_t port, long count)
{
	while (count-- > 0) {
		connect_to(text, port);
		check(accept(listener, NULL, NULL), "accept");
	}
}

/* The client believes to be connected; the request stays queued. */
static void make_half_open(const char *text, uint16_t port)
{
	int listener = listen_at("::", port, 16);

	set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60);
	connect_to(text, port);
}

/* listen(3) lets four wait (sk_acceptq_is_full()). */
static void fill_accept_queue(uint16_t port)
{
	listen_at("127.0.0.1", port, 3);
	for (int i = 0; i < 4; i++)
		connect_to("127.0.0.1", port);
}

enum { PAIRS_PER_PROCESS = 2000 };

/* As many as we may have, and enough for a process with its pairs. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static void wait_for_stdin(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
}

/* In a process of their own, because descriptors are few in some places, and
 * to an address of their own, because ports are few. */
static void fork_pairs(int listener, uint16_t port, long count, int which)
{
	char text[16], byte = 1;
	int done[2];

	check(pipe(done), "pipe");
	if (check(fork(), "fork") == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(text, sizeof(text), "127.0.0.%d", which % 200 + 2);
		make_pairs(listener, text, port, count);
		check((int)write(done[1], &byte, 1), "write");
		close(done[1]);
		wait_for_stdin();
		_exit(0);
	}
	close(done[1]);
	if (read(done[0], &byte, 1) != 1)
		die(ECHILD, "pairs");
	close(done[0]);
}

static void hold(char **word)
{
	int v4 = listen_at("127.0.0.1", 8001, 128);
	int v6 = listen_at("::1", 8002, 64);
	int dual = listen_at("::", 8003, 32);
	int many = listen_at("0.0.0.0", 8007, 128);
	long count = *word ? atol(*word) : 0;

	allow_descriptors();
	fill_accept_queue(8004);
	make_half_open("127.0.0.1", 8005);
	make_half_open("::1", 8006);
	make_unread(v4, 8001);
	make_close_wait(v4, 8001);
	make_fin_wait2(v4, 8001);
	make_time_wait(v4, "127.0.0.1", 8001);
	make_time_wait(v6, "::1", 8002);
	make_time_wait(dual, "::ffff:127.0.0.1", 8003);
	make_pairs(v6, "::1", 8002, 1);
	make_pairs(dual, "127.0.0.1", 8003, 1);
	make_pairs(dual, "::ffff:127.0.0.1", 8003, 1);
	for (int i = 0; count > 0; count -= PAIRS_PER_PROCESS, i++)
		fork_pairs(many, 8007, count < PAIRS_PER_PROCESS ? count : PAIRS_PER_PROCESS, i);
	puts("ready");
	fflush(stdout);
	wait_for_stdin();
}

static void say_and_wait(const char *word)
{
	char byte;

	puts(word);
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		exit(0);
}

/* A full accept queue answers none of them. */
static void unanswered(char **word)
{
	long count = *word ? atol(*word++) : 2;
	uint16_t port = *word ? (uint16_t)atol(*word) : 8009;
	union address a = address_of("127.0.0.1", port);

	listen_at("127.0.0.1", port, 0);
	connect_to("127.0.0.1", port);
	while (count-- > 0) {
		int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");

		if (connect(fd, &a.any, sizeof(a)) == 0 || errno != EINPROGRESS)
			die(EISCONN, "a full queue answers");
	}
	puts("ready");
	fflush(stdout);
	wait_for_stdin();
}

/* Half-open requests, step by step as stdin says: half of them become connections,
 * then the listener closes over the others. Without SYN cookies each has its
 * place in the queue. */
static void pending(char **word)
{
	long count = *word ? atol(*word) : 2;
	int listener = listen_at("127.0.0.1", 8008, (int)count);
	int *clients = calloc((size_t)count, sizeof(*clients));

	set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60);
	for (long i = 0; clients && i < count; i++)
		clients[i] = connect_to("127.0.0.1", 8008);
	say_and_wait("half-open");
	for (long i = 0; clients && i < count / 2; i++) {
		check((int)send(clients[i], "hello", 5, 0), "send");
		check(accept(listener, NULL, NULL), "accept");
	}
	say_and_wait("half of them");
	close(listener);
	say_and_wait("closed");
	free(clients);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(char **word);
	} commands[] = {
		{"sockets", show_sockets},
		{"refind", refind},
		{"walk", walk},
		{"visit", visit},
		{"owners", show_owners},
		{"counters", show_counters},
		{"settings", show_settings},
		{"time", time_dumps},
		{"hold", hold},
		{"pending", pending},
		{"unanswered", unanswered},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			commands[i].run(argv + 2);
			return fflush(stdout) ? 1 : 0;
		}
	}
	fprintf(stderr,
		"usage: snapshot sockets|walk|visit|refind|owners|counters|settings|time|hold|pending|unanswered\n");
	return 2;
}
