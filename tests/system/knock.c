// SPDX-License-Identifier: BSD-2-Clause
/* knock: makes handshakes, and fills the queues they wait in.
 *
 * Everything happens in a network namespace of its own. Most peers are made here,
 * segment by segment: behind a tun device live as many hosts as wanted, and such
 * a raw caller sends its SYN and its ACK when a scenario says so; no stack of
 * its own retransmits, resets or completes anything. Every step waits for what
 * the kernel says (a SYN-ACK on the wire, the listener's drop count and depth,
 * /proc/net), never for a time. JSON lines on stdout tell what was done:
 * the listeners, each caller's fate (not for floods), the sums, and what the
 * namespace's counters say.
 *
 * With --tell FD a test leads it by the hand: at each stage it writes a line
 * "STAGE PID NETNS" there and waits for SIGUSR1. Stages are "house" before
 * anything happens, with --hold 1 also "held" at the scenario's height and
 * "closing", and "done". All of its namespace is there until it has been told to
 * end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sched.h>
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef TCPI_OPT_SYN_DATA
#define TCPI_OPT_SYN_DATA 32
#endif

#define LISTENERS_MAX 16
#define CALLERS_MAX (1 << 18)

/* More callers than this are a crowd: counted, not listed. */
#define LISTED_MAX 64

/* A test looks around as long as it likes while a scenario holds still. */
#define HOLD_LIMIT_S 900

/* A flood stops for its answers after so many SYNs: well below what the tun
 * device's queue holds. What the timers of its requests repeat all at once may be
 * more: --rate spreads them. */
#define BURST 128
#define TUN_QUEUE 10000

/* A connection has to wait this long for its number to mean something. */
#define WAIT_US 50000

/* ---- what the caller asked for ------------------------------------------ */

struct options {
	const char *via, *peers, *call, *after;
	long port, backlog, callers, blocked, tries, late, stay, serve, hold, tell;
	long syns, rate, requests, children, sockets;
};

#define PROGRAM "knock"
#include "play.h"

/* ---- the end, and time -------------------------------------------------- */

/* What --tell's descriptor gets from who dies early, lest a test waits for it. */
static char last_words[32];

static void tell_end(void)
{
	ssize_t ignored = write((int)opt.tell, last_words, strlen(last_words));

	(void)ignored;
}

/* Short at first. Who waits for a timer of the kernel's leaves the CPU to the
 * other scenarios that run at the same time. */
static void nap(void)
{
	static const char *last;
	static long count;
	struct timespec brief = {.tv_nsec = 1000 * 1000};

	count = step == last ? count + 1 : 0;
	last = step;
	if (count > 50)
		brief.tv_nsec *= 10;
	nanosleep(&brief, NULL);
}

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void wait_until_us(long long at)
{
	while (now_us() < at)
		nap();
}

/* ---- addresses ---------------------------------------------------------- */

/* Where the server listens, where its callers knock, and where the raw ones
 * come from: `first` and the addresses that follow it. All are addresses set
 * aside for benchmarks and documentation. Not 127.0.0.1 and ::1, to which the
 * kernel lets nobody talk from outside. */
struct route {
	const char *name, *listen_on, *connect_to, *first, *unrouted;
};

static const struct route routes[] = {
	{"ipv4", "192.0.2.1", "192.0.2.1", "198.18.0.1", "203.0.113.1"},
	{"ipv6", "2001:db8:2::1", "2001:db8:2::1", "2001:db8:18::1", "2001:db8:113::1"},
	{"v4-mapped", "::", "192.0.2.1", "198.18.0.1", "203.0.113.1"},
};

static const struct route *route;

static const struct route *find_route(const char *name)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (strcmp(routes[i].name, name) == 0)
			return &routes[i];
	return NULL;
}

static uint8_t *bytes_of(union address *a)
{
	return is_v6(a) ? a->v6.sin6_addr.s6_addr : (uint8_t *)&a->v4.sin_addr;
}

/* Its last 32 bits, in host order: all in which two callers' addresses of one
 * family, or of IPv4 and its v4-mapped twin, may differ here. */
static uint32_t tail_of(const union address *a)
{
	uint32_t tail = a->v4.sin_addr.s_addr;

	if (is_v6(a))
		memcpy(&tail, &a->v6.sin6_addr.s6_addr[12], sizeof(tail));
	return ntohl(tail);
}

static void set_tail(union address *a, uint32_t tail)
{
	tail = htonl(tail);
	memcpy(is_v6(a) ? &a->v6.sin6_addr.s6_addr[12] : bytes_of(a), &tail, sizeof(tail));
}

/* ---- what the kernel says ----------------------------------------------- */

/* Of the line of values under the line of names that starts with `prefix`. */
static long value_below(FILE *file, const char *prefix, const char *name)
{
	static char names[16384], values[16384];
	char *name_at, *value_at, *n, *v;

	while (fgets(names, sizeof(names), file) && fgets(values, sizeof(values), file)) {
		if (strncmp(names, prefix, strlen(prefix)) != 0)
			continue;
		n = strtok_r(names, " \n", &name_at);
		v = strtok_r(values, " \n", &value_at);
		for (; n && v; n = strtok_r(NULL, " \n", &name_at), v = strtok_r(NULL, " \n", &value_at))
			if (strcmp(n, name) == 0)
				return strtol(v, NULL, 10);
	}
	return -1;
}

/* A counter of this namespace's TcpExt. */
static long counter(const char *name)
{
	FILE *file = fopen("/proc/self/net/netstat", "r");
	long value;

	if (!file)
		die("/proc/self/net/netstat");
	value = value_below(file, "TcpExt:", name);
	fclose(file);
	if (value < 0)
		give_up(name);
	return value;
}

static void wait_counter(const char *name, long at_least)
{
	step = name;
	while (counter(name) < at_least)
		nap();
}

static long setting(const char *name)
{
	char path[128];
	long value;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%ld", &value) != 1)
		die(path);
	fclose(file);
	return value;
}

enum {
	IN_SYN_RECV = 3,
	IN_TIME_WAIT = 6
}; /* as /proc/net/tcp counts */

/* Sockets in this state on our port; `remote`, when given, is their peer. */
static long sockets_in(const char *path, unsigned int state, const union address *remote)
{
	char line[512], from[64];
	unsigned int port, peer_port, tail, old;
	FILE *file = fopen(path, "r");
	long count = 0;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*[^:]: %*[^:]:%x %[^:]:%x %x", &port, from, &peer_port, &old) != 4 ||
		    port != (unsigned int)opt.port || old != state)
			continue;
		/* The last 32 bits of the address, as they lie in memory. */
		tail = ntohl((uint32_t)strtoul(from + strlen(from) - 8, NULL, 16));
		count += !remote || (tail == tail_of(remote) && peer_port == port_of(remote));
	}
	fclose(file);
	return count;
}

static long count_sockets(unsigned int state, const union address *remote)
{
	return sockets_in("/proc/self/net/tcp", state, remote) +
	       sockets_in("/proc/self/net/tcp6", state, remote);
}

static long requests_now(void)
{
	return count_sockets(IN_SYN_RECV, NULL);
}

static struct tcp_info tcp_info_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt TCP_INFO");
	return info;
}

static void wait_state(int fd, int state, const char *what)
{
	step = what;
	while (tcp_info_of(fd).tcpi_state != state)
		nap();
}

static long drops_of(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(memory);

	check(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size), "getsockopt SO_MEMINFO");
	return memory[SK_MEMINFO_DROPS];
}

static void set_option(int fd, int level, int name, int value, const char *what)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)), what);
}

/* ---- listeners ---------------------------------------------------------- */

static struct listener {
	int fd;
	union address local;
	long backlog, accepted;
} listeners[LISTENERS_MAX];

static int listener_count;

static void add_listener(int option, int value, bool group)
{
	struct listener *l = &listeners[listener_count];
	union address a = address_of(route->listen_on, opt.port);

	step = "listen";
	if (listener_count == LISTENERS_MAX)
		give_up("more listeners than its table holds");
	l->fd = check(socket(a.any.sa_family, SOCK_STREAM, 0), "socket");
	set_option(l->fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	if (group)
		set_option(l->fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
	if (option)
		set_option(l->fd, IPPROTO_TCP, option, value, "an option of the listener");
	/* For an instant a new IPv6 address is tentative. */
	while (bind(l->fd, &a.any, size_of(&a)) < 0)
		if (errno == EADDRNOTAVAIL)
			nap();
		else
			die("bind");
	check(listen(l->fd, (int)opt.backlog), "listen");
	l->local = a;
	l->backlog = opt.backlog;
	listener_count++;
}

/* The accept queue's length and limit: a listener's TCP_INFO has them in the
 * fields for unacknowledged and selectively acknowledged segments. */
static long depth(void)
{
	long sum = 0;

	for (int i = 0; i < listener_count; i++)
		if (listeners[i].fd >= 0)
			sum += tcp_info_of(listeners[i].fd).tcpi_unacked;
	return sum;
}

static long limit_of(const struct listener *l)
{
	return tcp_info_of(l->fd).tcpi_sacked;
}

static long drops(void)
{
	long sum = 0;

	for (int i = 0; i < listener_count; i++)
		sum += drops_of(listeners[i].fd);
	return sum;
}

static void wait_depth(long at_least, const char *what)
{
	step = what;
	while (depth() < at_least)
		nap();
}

/* ---- callers ------------------------------------------------------------ */

/* Who knocks: raw (fd -1), or a socket like anybody's. */
struct caller {
	union address from;
	uint32_t isn, peer_isn;
	int fd, child; /* child: the accepted end, or -1 */
	unsigned int syns, synacks;
	const char *fate;
};

/* They never move: a scenario keeps pointers to them. */
static struct caller *callers;
static long caller_count;

/* TCPTimeouts at the start. */
static long timeouts_before;

/* Sums that callers do not tell. */
static struct {
	long answered; /* SYNs */
	long completed; /* handshakes */
	long duplicates; /* SYNs of a request that was queued already */
	long acks_dropped; /* third ACKs */
	long cookie_acks_dropped; /* those of them that answered a cookie */
	long accepted, fastopen; /* connections */
	long synack_retransmits; /* seen on the wire, raw callers' only */
	long reset, unreachable, refused, listener_closed; /* requests */
	long blocked; /* callers not answered at their first SYN */
} did;

#define FIRST_PORT 20000u
#define PORT_SHIFT 16

/* Their SYNs come from route->first on, or from where no route leads back. */
static const char *first_caller;

static union address first_address(void)
{
	return address_of(first_caller, 0);
}

static struct caller *new_caller(int fd)
{
	struct caller *c;

	if (!callers)
		callers = calloc(CALLERS_MAX, sizeof(*callers));
	if (!callers)
		die("room for callers");
	if (caller_count == CALLERS_MAX)
		give_up("more callers than there is room for");
	c = &callers[caller_count];
	*c = (struct caller){.fd = fd, .child = -1, .fate = "silent"};
	c->isn = 0x10000000u + (uint32_t)caller_count;
	caller_count++;
	return c;
}

/* The raw caller's number is in its address and port. */
static struct caller *new_raw_caller(void)
{
	struct caller *c = new_caller(-1);
	uint32_t number = (uint32_t)(caller_count - 1);
	uint16_t port = htons((uint16_t)(FIRST_PORT + (number >> PORT_SHIFT)));

	c->from = first_address();
	set_tail(&c->from, tail_of(&c->from) + (number & 0xffff));
	if (is_v6(&c->from))
		c->from.v6.sin6_port = port;
	else
		c->from.v4.sin_port = port;
	return c;
}

static struct caller *caller_numbered(uint32_t tail, uint16_t port)
{
	union address first = first_address();
	uint32_t number = (tail - tail_of(&first)) & 0xffff;
	struct caller *c;

	number |= (uint32_t)(port - FIRST_PORT) << PORT_SHIFT;
	if (number >= caller_count)
		return NULL;
	c = &callers[number];
	return c->fd < 0 ? c : NULL;
}

static struct caller *caller_at(const union address *peer)
{
	for (long i = 0; i < caller_count; i++)
		if (port_of(&callers[i].from) == port_of(peer) &&
		    tail_of(&callers[i].from) == tail_of(peer))
			return &callers[i];
	give_up("accepted somebody who never knocked");
}

/* ---- raw segments ------------------------------------------------------- */

#define SYN_OPTIONS 4 /* one: MSS 1460, which every cookie can remember */

/* What is written here comes in from outside; what goes out is read here. */
static int tun_fd = -1;

static uint32_t add_up(uint32_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The pseudo header's part of the checksum. */
static uint32_t add_addresses(union address *from, union address *to, size_t size)
{
	size_t each = is_v6(to) ? 16 : 4;
	uint32_t sum = add_up(0, bytes_of(from), each);

	return add_up(sum, bytes_of(to), each) + IPPROTO_TCP + (uint32_t)size;
}

static void fill_v4(uint8_t *packet, uint8_t protocol, union address *from, union address *to,
		    size_t payload)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = protocol};

	ip.tot_len = htons((uint16_t)(sizeof(ip) + payload));
	ip.saddr = from->v4.sin_addr.s_addr;
	ip.daddr = to->v4.sin_addr.s_addr;
	ip.check = fold(add_up(0, (uint8_t *)&ip, sizeof(ip)));
	memcpy(packet, &ip, sizeof(ip));
}

static void fill_v6(uint8_t *packet, union address *from, union address *to, size_t payload)
{
	struct ip6_hdr ip = {0};

	ip.ip6_vfc = 6 << 4;
	ip.ip6_plen = htons((uint16_t)payload);
	ip.ip6_nxt = IPPROTO_TCP;
	ip.ip6_hlim = 64;
	ip.ip6_src = from->v6.sin6_addr;
	ip.ip6_dst = to->v6.sin6_addr;
	memcpy(packet, &ip, sizeof(ip));
}

/* Returns the size of the TCP header. */
static size_t fill_tcp(uint8_t *at, struct caller *c, uint8_t flags, uint32_t seq, uint32_t ack)
{
	static const uint8_t mss[SYN_OPTIONS] = {2, 4, 1460 >> 8, 1460 & 0xff};
	size_t size = sizeof(struct tcphdr) + (flags == TH_SYN ? SYN_OPTIONS : 0);
	struct tcphdr tcp = {.th_flags = flags};

	tcp.th_sport = htons(port_of(&c->from));
	tcp.th_dport = htons((uint16_t)opt.port);
	tcp.th_seq = htonl(seq);
	tcp.th_ack = htonl(ack);
	tcp.th_off = (uint8_t)(size / 4);
	tcp.th_win = htons(65535);
	memcpy(at, &tcp, sizeof(tcp));
	if (flags == TH_SYN)
		memcpy(at + sizeof(tcp), mss, sizeof(mss));
	return size;
}

static void send_segment(struct caller *c, uint8_t flags, uint32_t seq, uint32_t ack)
{
	union address to = address_of(route->connect_to, 0);
	uint8_t packet[sizeof(struct ip6_hdr) + sizeof(struct tcphdr) + SYN_OPTIONS] = {0};
	size_t ip = is_v6(&to) ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
	size_t size = fill_tcp(packet + ip, c, flags, seq, ack);
	uint16_t sum = fold(add_up(add_addresses(&c->from, &to, size), packet + ip, size));

	memcpy(packet + ip + offsetof(struct tcphdr, th_sum), &sum, sizeof(sum));
	if (is_v6(&to))
		fill_v6(packet, &c->from, &to, size);
	else
		fill_v4(packet, IPPROTO_TCP, &c->from, &to, size);
	check((int)write(tun_fd, packet, ip + size), "send a segment");
}

static void send_syn(struct caller *c)
{
	send_segment(c, TH_SYN, c->isn, 0);
	c->syns++;
}

static void send_ack(struct caller *c)
{
	send_segment(c, TH_ACK, c->isn + 1, c->peer_isn + 1);
}

static void send_reset(struct caller *c)
{
	send_segment(c, TH_RST, c->isn + 1, 0);
}

/* ICMP type 3, code 1, from the caller's router: the header of the SYN-ACK that
 * failed and its first eight bytes, by which the kernel finds the request. */
static void send_host_unreachable(struct caller *c)
{
	enum {
		IP = sizeof(struct iphdr),
		MESSAGE = 8 + IP + 8
	};
	union address own = address_of(route->connect_to, 0);
	uint8_t packet[IP + MESSAGE] = {0}, *message = packet + IP, *quoted = message + 8 + IP;
	uint16_t ports[2] = {htons((uint16_t)opt.port), htons(port_of(&c->from))};
	uint32_t seq = htonl(c->peer_isn);
	uint16_t sum;

	message[0] = 3;
	message[1] = 1;
	fill_v4(message + 8, IPPROTO_TCP, &own, &c->from, sizeof(struct tcphdr));
	memcpy(quoted, ports, sizeof(ports));
	memcpy(quoted + sizeof(ports), &seq, sizeof(seq));
	sum = fold(add_up(0, message, MESSAGE));
	memcpy(message + 2, &sum, sizeof(sum));
	fill_v4(packet, IPPROTO_ICMP, &c->from, &own, MESSAGE);
	check((int)write(tun_fd, packet, sizeof(packet)), "send an ICMP message");
}

/* ---- SYN-ACKs ----------------------------------------------------------- */

static bool is_synack(const uint8_t *packet, size_t tcp)
{
	uint16_t port;

	memcpy(&port, &packet[tcp], sizeof(port));
	return packet[packet[0] >> 4 == 6 ? 6 : 9] == IPPROTO_TCP && ntohs(port) == opt.port &&
	       (packet[tcp + 13] & (TH_SYN | TH_ACK)) == (TH_SYN | TH_ACK);
}

static void take_synack(const uint8_t *packet)
{
	bool v6 = packet[0] >> 4 == 6;
	size_t tcp = v6 ? sizeof(struct ip6_hdr) : (packet[0] & 15u) * 4u;
	uint32_t tail, seq;
	uint16_t port;
	struct caller *c;

	if (!is_synack(packet, tcp))
		return;
	memcpy(&tail, &packet[v6 ? 36 : 16], sizeof(tail));
	memcpy(&port, &packet[tcp + 2], sizeof(port));
	memcpy(&seq, &packet[tcp + 4], sizeof(seq));
	c = caller_numbered(ntohl(tail), ntohs(port));
	if (!c)
		return;
	if (c->synacks++ > 0) {
		did.synack_retransmits++;
		return;
	}
	c->peer_isn = ntohl(seq);
	did.answered++;
}

/* Takes what is there; returns how many. */
static long read_wire(void)
{
	uint8_t packet[2048];
	long count = 0;

	while (read(tun_fd, packet, sizeof(packet)) > 0) {
		take_synack(packet);
		count++;
	}
	if (errno != EAGAIN)
		die("read the tun device");
	return count;
}

/* ---- the house ---------------------------------------------------------- */

#define DEVICE "knock0"

static void configure(int fd, unsigned long request, void *argument, const char *what)
{
	if (ioctl(fd, request, argument) < 0 && errno != EEXIST)
		die(what);
}

static void write_setting(const char *path, const char *text)
{
	int fd = check(open(path, O_WRONLY), path);

	check((int)write(fd, text, strlen(text)), path);
	close(fd);
}

static void open_tun(void)
{
	struct ifreq device = {.ifr_name = DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (tun_fd < 0 || ioctl(tun_fd, TUNSETIFF, &device) < 0)
		skip("tun device");
	device.ifr_qlen = TUN_QUEUE;
	configure(fd, SIOCSIFTXQLEN, &device, "the device's queue");
	configure(fd, SIOCGIFFLAGS, &device, "the device's flags");
	device.ifr_flags |= IFF_UP;
	configure(fd, SIOCSIFFLAGS, &device, "the device's flags");
	close(fd);
}

/* The server's address, and the way back to callers. Callers without one are
 * let in all the same: rp_filter. */
static void route_v4(void)
{
	union address own = address_of(route->connect_to, 0), mask = address_of("255.254.0.0", 0);
	struct ifreq device = {.ifr_name = DEVICE};
	struct rtentry entry = {.rt_flags = RTF_UP, .rt_dev = device.ifr_name};
	int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	write_setting("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	write_setting("/proc/sys/net/ipv4/conf/" DEVICE "/rp_filter", "0");
	device.ifr_addr = own.any;
	configure(fd, SIOCSIFADDR, &device, "the server's address");
	own = address_of("255.255.255.255", 0);
	device.ifr_netmask = own.any;
	configure(fd, SIOCSIFNETMASK, &device, "the server's netmask");
	own = address_of("198.18.0.0", 0);
	entry.rt_dst = own.any;
	entry.rt_genmask = mask.any;
	configure(fd, SIOCADDRT, &entry, "the way back to callers");
	close(fd);
}

static void route_v6(void)
{
	struct {
		struct in6_addr address;
		uint32_t prefix;
		int device;
	} own = {address_of(route->connect_to, 0).v6.sin6_addr, 128, (int)if_nametoindex(DEVICE)};
	struct in6_rtmsg entry = {.rtmsg_dst_len = 48, .rtmsg_metric = 1, .rtmsg_flags = RTF_UP};
	int fd = check(socket(AF_INET6, SOCK_DGRAM, 0), "socket");

	configure(fd, SIOCSIFADDR, &own, "the server's address");
	entry.rtmsg_dst = address_of("2001:db8:18::", 0).v6.sin6_addr;
	entry.rtmsg_ifindex = own.device;
	configure(fd, SIOCADDRT, &entry, "the way back to callers");
	close(fd);
}

static void raise_loopback(void)
{
	struct ifreq device = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	configure(fd, SIOCSIFFLAGS, &device, "lo up");
	close(fd);
}

static void open_house(void)
{
	step = "open the house";
	raise_loopback();
	open_tun();
	if (strchr(route->connect_to, ':'))
		route_v6();
	else
		route_v4();
}

/* ---- knocking ----------------------------------------------------------- */

/* One SYN; returns when the kernel has answered or dropped it. */
static bool knock(struct caller *c)
{
	long before = drops();

	step = "wait for the SYN's fate";
	send_syn(c);
	for (; read_wire(), c->synacks == 0; nap())
		if (drops() > before) {
			did.blocked += c->syns == 1;
			c->fate = "dropped";
			return false;
		}
	c->fate = "answered";
	return true;
}

static struct caller *knock_anew(void)
{
	struct caller *c = new_raw_caller();

	if (!knock(c))
		give_up("a SYN was dropped that should not be");
	return c;
}

static void knock_in_vain(struct caller *c)
{
	if (knock(c))
		give_up("a SYN was answered that should be dropped");
}

static void note_completed(struct caller *c)
{
	c->fate = "completed";
	did.completed++;
}

/* The third ACK; returns when it has made a child or has been dropped. */
static bool answer(struct caller *c)
{
	long drops_before = drops(), depth_before = depth();

	step = "wait for the third ACK's fate";
	send_ack(c);
	for (; depth() == depth_before; nap())
		if (drops() > drops_before) {
			did.acks_dropped++;
			c->fate = "ack_dropped";
			return false;
		}
	note_completed(c);
	return true;
}

static void answer_well(struct caller *c)
{
	if (!answer(c))
		give_up("a third ACK was dropped that should not be");
}

/* With tcp_abort_on_overflow the request is gone as well. */
static void answer_in_vain(struct caller *c)
{
	bool queued = count_sockets(IN_SYN_RECV, &c->from) > 0;
	long resets = counter("EmbryonicRsts");

	if (answer(c))
		give_up("a third ACK made a child that should be dropped");
	if (!queued) {
		did.cookie_acks_dropped++;
		c->fate = "cookie";
	} else if (setting("tcp_abort_on_overflow")) {
		wait_counter("EmbryonicRsts", resets + 1);
		did.refused++;
		c->fate = "refused";
	}
}

/* A real client that begins to connect. */
static struct caller *dial(void)
{
	union address to = address_of(route->connect_to, opt.port);
	int fd = check(socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	struct caller *c = new_caller(fd);
	socklen_t size = sizeof(c->from);

	step = "connect";
	if (connect(fd, &to.any, size_of(&to)) < 0 && errno != EINPROGRESS)
		die("connect");
	check(getsockname(fd, &c->from.any, &size), "getsockname");
	return c;
}

/* A real client's kernel retransmits for it, and forgets how often when it hangs
 * up. */
static void count_own_syns(struct caller *c)
{
	unsigned int syns = 1 + tcp_info_of(c->fd).tcpi_total_retrans;

	if (syns > c->syns)
		c->syns = syns;
}

/* A real client is not on the tun device's wire. */
static void wait_answered(struct caller *c)
{
	wait_state(c->fd, TCP_ESTABLISHED, "wait for ESTABLISHED");
	count_own_syns(c);
	c->synacks = 1;
	c->fate = "deferred"; /* or more, in a moment */
	did.answered++;
}

/* One whole handshake, by a raw or a real peer: a child more in the queue. */
static struct caller *come_in(void)
{
	long before = depth();
	struct caller *c;

	if (strcmp(opt.peers, "real") == 0) {
		c = dial();
		wait_answered(c);
		wait_depth(before + 1, "wait for the child");
		note_completed(c);
	} else {
		c = knock_anew();
		answer_well(c);
	}
	return c;
}

/* ---- accepting ---------------------------------------------------------- */

static int call_accept(int fd, union address *peer)
{
	socklen_t size = sizeof(*peer);

	if (strcmp(opt.call, "accept4") == 0)
		return accept4(fd, &peer->any, &size, SOCK_CLOEXEC);
	return accept(fd, &peer->any, &size);
}

static struct caller *accept_one(struct listener *l)
{
	union address peer = {0};
	struct caller *c;
	int fd;

	step = "accept";
	fd = check(call_accept(l->fd, &peer), "accept");
	c = caller_at(&peer);
	c->child = fd;
	c->fate = "accepted";
	l->accepted++;
	did.accepted++;
	return c;
}

/* Every child that waits now; returns how many. */
static long accept_all(void)
{
	long count = 0;

	for (int i = 0; i < listener_count; i++)
		for (; tcp_info_of(listeners[i].fd).tcpi_unacked > 0; count++)
			accept_one(&listeners[i]);
	return count;
}

/* Callers come in until the accept queue is `room` children short of full. */
static void fill_accept_queue(long room)
{
	while (depth() < limit_of(&listeners[0]) + 1 - room)
		come_in();
}

/* ---- telling ------------------------------------------------------------ */

/* What is sent again behind the handshake is no SYN. */
static void count_syns(void)
{
	for (long i = 0; i < caller_count; i++)
		if (callers[i].fd >= 0 && callers[i].synacks == 0)
			count_own_syns(&callers[i]);
}

static long real_callers(void)
{
	long count = 0;

	for (long i = 0; i < caller_count; i++)
		count += callers[i].fd >= 0;
	return count;
}

static long sum_syns(void)
{
	long sum = 0;

	for (long i = 0; i < caller_count; i++)
		sum += callers[i].syns;
	return sum;
}

static void print_listener(const struct listener *l)
{
	printf("{\"who\":\"listener\",\"pid\":%d", (int)getpid());
	print_address("local", &l->local);
	printf(",\"backlog\":%ld,\"accepted\":%ld", l->backlog, l->accepted);
	if (l->fd >= 0)
		printf(",\"accept_queue\":%u,\"limit\":%ld,\"drops\":%ld",
		       tcp_info_of(l->fd).tcpi_unacked, limit_of(l), drops_of(l->fd));
	printf("}\n");
}

static void print_caller(const struct caller *c)
{
	union address to = address_of(route->connect_to, opt.port);

	printf("{\"who\":\"caller\",\"kind\":\"%s\"", c->fd < 0 ? "raw" : "real");
	print_address("local", &c->from);
	print_address("remote", &to);
	printf(",\"syns\":%u,\"fate\":\"%s\"}\n", c->syns, c->fate);
}

/* The request timer fires once for each SYN-ACK that it repeats, and once more
 * when it gives up. The timers of real clients' SYNs count there too. */
static long count_timed_out(void)
{
	long timeouts;

	if (real_callers() > 0)
		return 0;
	/* Lest one fires between the counter and the wire. */
	do {
		timeouts = counter("TCPTimeouts");
		read_wire();
	} while (counter("TCPTimeouts") != timeouts);
	return timeouts - timeouts_before - (did.synack_retransmits - did.duplicates);
}

static long netns_inode(void)
{
	struct stat netns;

	check(stat("/proc/self/ns/net", &netns), "stat of the namespace");
	return (long)netns.st_ino;
}

static void print_time(void)
{
	struct timespec now;
	struct tm utc;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
	printf(",\"at\":\"%s.%06ldZ\"", text, now.tv_nsec / 1000);
}

static void print_counters(void)
{
	static const char *const names[] = {
		"ListenOverflows", "ListenDrops",    "TCPReqQFullDrop", "TCPReqQFullDoCookies",
		"SyncookiesSent",  "SyncookiesRecv", "EmbryonicRsts",   "TCPTimeouts",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		printf("%s\"%s\":%ld", i ? "," : ",\"counters\":{", names[i], counter(names[i]));
	printf("}");
}

static void print_sums(const char *stage)
{
	long timed_out = count_timed_out();
	const struct {
		const char *name;
		long value;
	} sums[] = {
		{"syns", sum_syns()},
		{"duplicates", did.duplicates},
		{"answered", did.answered},
		{"dropped", sum_syns() - did.answered},
		{"blocked", did.blocked},
		{"fastopen", did.fastopen},
		{"completed", did.completed},
		{"acks_dropped", did.acks_dropped},
		{"cookie_acks_dropped", did.cookie_acks_dropped},
		{"accepted", did.accepted},
		{"reset", did.reset},
		{"unreachable", did.unreachable},
		{"timed_out", timed_out},
		{"refused", did.refused},
		{"listener_closed", did.listener_closed},
		{"synack_retransmits", did.synack_retransmits},
		{"requests", requests_now()},
		{"accept_queue", depth()},
	};

	printf("{\"who\":\"knock\",\"pid\":%d,\"netns\":%ld,\"scenario\":\"%s\",\"stage\":\"%s\"",
	       (int)getpid(), netns_inode(), scenario_name, stage);
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		printf(",\"%s\":%ld", sums[i].name, sums[i].value);
	print_time();
	print_counters();
	printf("}\n");
}

static bool is_one_of_fates(const char *fate, const char *a, const char *b)
{
	return strcmp(fate, a) == 0 || strcmp(fate, b) == 0;
}

/* What is no longer in the SYN queue has expired; what never was got a cookie. */
static void update_fates(void)
{
	for (long i = 0; i < caller_count && caller_count <= LISTED_MAX; i++) {
		struct caller *c = &callers[i];
		bool queued = count_sockets(IN_SYN_RECV, &c->from) > 0;

		if (strcmp(c->fate, "answered") == 0)
			c->fate = queued ? "queued" : "cookie";
		else if (!queued && is_one_of_fates(c->fate, "queued", "ack_dropped"))
			c->fate = "timed_out";
	}
}

/* stage: "house", "held", "closing" or "done". */
static void report(const char *stage)
{
	read_wire();
	count_syns();
	for (int i = 0; i < listener_count; i++)
		print_listener(&listeners[i]);
	for (long i = 0; i < caller_count && caller_count <= LISTED_MAX; i++)
		print_caller(&callers[i]);
	print_sums(stage);
	fflush(stdout);
}

/* Nothing moves, except timers, until the test has looked. */
static void wait_for_test(const char *stage)
{
	sigset_t go;
	int number;

	if (!opt.tell)
		return;
	dprintf((int)opt.tell, "%s %d %ld\n", stage, (int)getpid(), netns_inode());
	alarm(HOLD_LIMIT_S);
	step = "wait for the test";
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigwait(&go, &number);
	alarm(STEP_LIMIT_S);
}

/* For a caller without --tell. */
static void wait_for_stdin(void)
{
	char byte;

	alarm(HOLD_LIMIT_S);
	step = "wait for standard input";
	while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
		;
	alarm(STEP_LIMIT_S);
}

/* One report before the test has looked and one behind: what they agree on was
 * so all the time. Requests in a queue more than half full expire early
 * (reqsk_timer_handler()): then the test has to look once more. */
static void hold_still(const char *stage)
{
	long requests;

	do {
		update_fates();
		requests = requests_now();
		report(stage);
		if (opt.tell)
			wait_for_test(stage);
		else
			wait_for_stdin();
		update_fates();
		report(stage);
	} while (requests_now() != requests);
}

/* At the scenario's height; requests that are to expire do not keep still. */
static void hold(void)
{
	if (opt.hold && strcmp(opt.after, "expiry") != 0)
		hold_still("held");
}

/* ---- closing the house -------------------------------------------------- */

/* The peer of an accepted child resets it, so that nothing of it stays. Not by
 * close(): after a fork() there would be another descriptor. */
static void hang_up(struct caller *c)
{
	union address none = {.any.sa_family = AF_UNSPEC};

	if (c->fd < 0)
		send_reset(c);
	else
		check(connect(c->fd, &none.any, sizeof(none)), "connect to AF_UNSPEC");
	wait_state(c->child, TCP_CLOSE, "wait for the reset");
	close(c->child);
	c->child = -1;
}

static void hang_up_all(void)
{
	for (long i = 0; i < caller_count; i++)
		if (callers[i].child >= 0)
			hang_up(&callers[i]);
}

/* The wire is read all the time: what its queue has no room for is lost. To count
 * a crowd's requests takes so long that it is done only when the wire is quiet for
 * longer than the 2 s between a request's first timer and its second. */
static void wait_no_requests(void)
{
	int enough = caller_count > LISTED_MAX ? 300 : 1;

	step = "wait for the last request";
	do
		for (int quiet = 0; quiet < enough; quiet++, nap())
			if (read_wire() > 0)
				quiet = 0;
	while (requests_now() > 0);
}

/* A request outlives its listener until its timer fires, or until a packet
 * comes for it. */
static void close_listeners(void)
{
	did.listener_closed = requests_now();
	for (int i = 0; i < listener_count; i++) {
		close(listeners[i].fd);
		listeners[i].fd = -1;
	}
	for (long i = 0; i < caller_count; i++) {
		struct caller *c = &callers[i];

		if (strcmp(c->fate, "completed") == 0)
			c->fate = "child_closed";
		if (!is_one_of_fates(c->fate, "queued", "ack_dropped"))
			continue;
		if (strcmp(opt.after, "packet") == 0)
			send_reset(c);
		c->fate = "listener_closed";
	}
	wait_no_requests();
}

static void close_house(void)
{
	count_syns();
	update_fates();
	hang_up_all();
	if (strcmp(opt.after, "expiry") == 0)
		wait_no_requests();
	update_fates();
	if (opt.hold)
		hold_still("closing");
	close_listeners();
}

/* ---- scenarios: full queues --------------------------------------------- */

static void block_real(void)
{
	did.blocked = opt.blocked;
	for (long i = 0; i < opt.blocked; i++)
		dial();
	step = "wait for SYNs to be dropped";
	while (drops() < opt.blocked * opt.tries)
		nap();
}

static void block_raw(void)
{
	for (long i = 0; i < opt.blocked; i++) {
		struct caller *c = new_raw_caller();

		for (long t = 0; t < opt.tries; t++)
			knock_in_vain(c);
	}
}

/* Their own kernel sends the SYN that gets in. */
static void serve_real(long first)
{
	accept_all();
	for (long i = first; i < caller_count; i++) {
		wait_answered(&callers[i]);
		note_completed(&callers[i]);
	}
	step = "accept the blocked clients";
	while (did.accepted < caller_count)
		if (!accept_all())
			nap();
}

static void serve_raw(long first)
{
	accept_all();
	for (long i = first; i < caller_count; i++) {
		if (!knock(&callers[i]))
			give_up("a blocked caller was dropped again");
		answer_well(&callers[i]);
	}
	accept_all();
}

static void play_accept_overflow_syn(void)
{
	bool real = strcmp(opt.peers, "real") == 0;
	long first;

	add_listener(0, 0, false);
	fill_accept_queue(0);
	first = caller_count;
	if (real)
		block_real();
	else
		block_raw();
	hold();
	if (opt.serve && real)
		serve_real(first);
	else if (opt.serve)
		serve_raw(first);
	close_house();
}

/* Two more requests than the accept queue has room for wait for their third
 * ACKs; the last ones come in vain. */
static void play_accept_overflow_ack(void)
{
	long first;

	add_listener(0, 0, false);
	fill_accept_queue(2);
	first = caller_count;
	for (long i = 0; i < 2 + opt.blocked; i++)
		knock_anew();
	answer_well(&callers[first]);
	answer_well(&callers[first + 1]);
	first += 2;
	for (long i = first; i < caller_count; i++)
		for (long t = 0; t < opt.tries && strcmp(callers[i].fate, "refused") != 0; t++)
			answer_in_vain(&callers[i]);
	hold();
	if (opt.serve) {
		accept_all();
		for (long i = first; i < caller_count; i++)
			if (strcmp(callers[i].fate, "refused") != 0)
				answer_well(&callers[i]);
		accept_all();
	}
	close_house();
}

/* A second listen() lowers both limits below what is queued already. */
static void play_both_full(void)
{
	struct listener *l = &listeners[0];

	add_listener(0, 0, false);
	for (long i = 0; i < opt.backlog - 1; i++)
		come_in();
	for (long i = 0; i < opt.backlog - 1; i++)
		knock_anew();
	l->backlog = opt.backlog - 3;
	check(listen(l->fd, (int)l->backlog), "listen with a smaller backlog");
	block_raw();
	hold();
	close_house();
}

static void await_flood(long sent)
{
	step = "wait for a flood's answers and drops";
	while (did.answered + drops() < sent)
		if (!read_wire())
			nap();
	alarm(STEP_LIMIT_S);
}

static void play_syn_flood(void)
{
	long long start = now_us();

	add_listener(0, 0, false);
	for (long i = 1; i <= opt.syns; i++) {
		struct caller *c = new_raw_caller();

		send_syn(c);
		c->fate = "answered";
		if (i % BURST != 0 && i != opt.syns)
			continue;
		await_flood(i);
		if (opt.rate)
			wait_until_us(start + i * 1000000LL / opt.rate);
	}
	for (long i = 0; i < caller_count; i++)
		if (callers[i].synacks == 0)
			callers[i].fate = "dropped";
	did.blocked = opt.syns - did.answered;
	hold();
	close_house();
}

/* No route leads back to the callers: no SYN-ACK can be sent. */
static void play_no_route(void)
{
	first_caller = route->unrouted;
	add_listener(0, 0, false);
	block_raw();
	hold();
	close_house();
}

/* ---- scenarios: requests ------------------------------------------------ */

static void play_requests(void)
{
	add_listener(0, 0, false);
	for (long i = 0; i < opt.requests; i++)
		knock_anew();
	hold();
	close_house();
}

static void play_request_reset(void)
{
	add_listener(0, 0, false);
	for (long i = 0; i < opt.requests; i++)
		knock_anew();
	hold();
	for (long i = 0; i < opt.requests; i++) {
		send_reset(&callers[i]);
		wait_counter("EmbryonicRsts", ++did.reset);
		callers[i].fate = "reset";
	}
	close_house();
}

/* The usual end of a request from a spoofed address: its network answers that
 * there is no such host (tcp_req_err()). */
static void play_request_unreachable(void)
{
	if (strchr(route->connect_to, ':'))
		give_up("speaks ICMP for IPv4 only");
	add_listener(0, 0, false);
	for (long i = 0; i < opt.requests; i++)
		knock_anew();
	hold();
	step = "wait for requests to go";
	for (long i = 0; i < opt.requests; i++) {
		send_host_unreachable(&callers[i]);
		while (count_sockets(IN_SYN_RECV, &callers[i].from) > 0)
			nap();
		did.unreachable++;
		callers[i].fate = "unreachable";
	}
	close_house();
}

static void play_listener_closed(void)
{
	add_listener(0, 0, false);
	for (long i = 0; i < opt.children; i++)
		come_in();
	for (long i = 0; i < opt.requests; i++)
		knock_anew();
	hold();
	close_house();
}

/* A SYN that finds its request queued is answered like a lost SYN-ACK. */
static void play_duplicate_syn(void)
{
	struct caller *c;

	add_listener(0, 0, false);
	c = knock_anew();
	send_segment(c, TH_SYN, c->isn, 0);
	did.duplicates++;
	step = "wait for the SYN-ACK again";
	for (; c->synacks < 2; nap())
		read_wire();
	answer_well(c);
	hold();
	accept_all();
	close_house();
}

static void print_took(const struct caller *c, long long least_us, long long most_us)
{
	printf("{\"who\":\"handshake\"");
	print_address("remote", &c->from);
	printf(",\"took_min_us\":%lld,\"took_max_us\":%lld,\"synack_retransmits\":%u}\n", least_us,
	       most_us, c->synacks - 1);
}

/* The third ACK comes after the SYN-ACK had to be sent again. */
static void play_slow_handshake(void)
{
	long long before_syn, after_syn, before_ack;
	struct caller *c;

	add_listener(0, 0, false);
	before_syn = now_us();
	c = knock_anew();
	after_syn = now_us();
	step = "wait for a second SYN-ACK";
	for (; c->synacks < 2; nap())
		read_wire();
	before_ack = now_us();
	answer_well(c);
	read_wire();
	print_took(c, before_ack - after_syn, now_us() - before_syn);
	accept_all();
	hold();
	close_house();
}

/* ---- scenarios: whole handshakes ---------------------------------------- */

static void play_complete(void)
{
	add_listener(0, 0, false);
	for (long i = 0; i < opt.callers; i++)
		come_in();
	hold();
	accept_all();
	close_house();
}

/* All of them knock before the first one goes on: a burst of clients that are far
 * away, or, with --late, whose answers come after a second SYN-ACK. */
static void play_crowd(void)
{
	add_listener(0, 0, false);
	for (long i = 0; i < opt.callers; i++)
		knock_anew();
	step = "wait for second SYN-ACKs";
	for (long i = 0; opt.late && i < opt.callers; i++)
		for (; callers[i].synacks < 2; nap())
			read_wire();
	hold();
	for (long i = 0; i < opt.callers; i++) {
		answer_well(&callers[i]);
		accept_all();
	}
	wait_until_us(now_us() + opt.stay * 1000LL);
	close_house();
}

static void play_reuseport(void)
{
	for (long i = 0; i < opt.sockets; i++)
		add_listener(0, 0, true);
	for (long i = 0; i < opt.callers; i++)
		come_in();
	hold();
	accept_all();
	close_house();
}

/* The clients believe that they are connected; the server waits for data. */
static void play_defer_accept(void)
{
	long before = counter("TCPDeferAcceptDrop");

	add_listener(TCP_DEFER_ACCEPT, 60, false);
	for (long i = 0; i < opt.callers; i++) {
		struct caller *c = dial();

		wait_answered(c);
		wait_counter("TCPDeferAcceptDrop", before + i + 1);
	}
	hold();
	for (long i = 0; i < opt.callers; i++) {
		check((int)send(callers[i].fd, "x", 1, MSG_NOSIGNAL), "send");
		wait_depth(i + 1, "wait for the child");
		note_completed(&callers[i]);
	}
	accept_all();
	close_house();
}

/* Needs the client's and the server's bit in tcp_fastopen. The first client
 * has no cookie yet, unless the bits that do without one are set too. */
static void play_fastopen(void)
{
	union address to = address_of(route->connect_to, opt.port);

	add_listener(TCP_FASTOPEN, 16, false);
	for (long i = 0; i < opt.callers; i++) {
		int fd = check(socket(to.any.sa_family, SOCK_STREAM, 0), "socket");
		struct caller *c = new_caller(fd);
		socklen_t size = sizeof(c->from);

		step = "open fast";
		check((int)sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &to.any, size_of(&to)),
		      "sendto MSG_FASTOPEN");
		check(getsockname(fd, &c->from.any, &size), "getsockname");
		wait_answered(c);
		wait_depth(i + 1, "wait for the child");
		note_completed(c);
		did.fastopen += (tcp_info_of(fd).tcpi_options & TCPI_OPT_SYN_DATA) != 0;
	}
	hold();
	accept_all();
	close_house();
}

/* The server closes first and is left with a TIME_WAIT, which the same caller's
 * next SYN ends. Where tcp_conn_request() hears of it (5.10 and 6.1 do not: the
 * note is wiped out on its way), that SYN is queued even with tcp_syncookies=2. */
static void play_timewait_syn(void)
{
	struct caller *c;

	add_listener(0, 0, false);
	c = come_in();
	accept_all();
	close(c->child);
	c->child = -1;
	send_segment(c, TH_FIN | TH_ACK, c->isn + 1, c->peer_isn + 2);
	step = "wait for TIME_WAIT";
	while (count_sockets(IN_TIME_WAIT, &c->from) == 0)
		nap();
	c->isn += 1000000;
	c->synacks = 0;
	if (!knock(c))
		give_up("the SYN at a TIME_WAIT was dropped");
	hold();
	answer_well(c);
	accept_all();
	close_house();
}

/* ---- scenarios: who accepts, and when ----------------------------------- */

static void reap(pid_t child)
{
	int status;

	step = "wait for an acceptor";
	check((int)waitpid(child, &status, 0), "waitpid");
	if (status != 0)
		give_up("an acceptor failed");
}

static void print_accept(const struct caller *c, long long least_us, long long most_us)
{
	printf("{\"who\":\"accept\",\"pid\":%d,\"comm\":\"acceptor\"", (int)getpid());
	print_address("remote", &c->from);
	if (most_us > 0)
		printf(",\"waited_min_us\":%lld,\"waited_max_us\":%lld", least_us, most_us);
	printf("}\n");
	fflush(stdout);
}

/* knocked[i], queued[i]: when the i-th caller began, and when it was seen to be
 * in the queue. */
static _Noreturn void accept_late(const long long *knocked, const long long *queued)
{
	prctl(PR_SET_NAME, "acceptor");
	alarm(STEP_LIMIT_S);
	wait_until_us(queued[opt.callers - 1] + WAIT_US);
	for (long i = 0; i < opt.callers; i++) {
		long long before = now_us();
		struct caller *c = accept_one(&listeners[0]);
		long number = c - callers;

		print_accept(c, before - queued[number], now_us() - knocked[number]);
	}
	hang_up_all();
	_exit(0);
}

static void note_accepted(long count, const char *fate)
{
	did.accepted += count;
	listeners[0].accepted += count;
	for (long i = 0; i < caller_count; i++)
		callers[i].fate = fate;
}

static void play_accept_wait(void)
{
	long long knocked[LISTED_MAX], queued[LISTED_MAX];
	pid_t acceptor;

	if (opt.callers > LISTED_MAX)
		give_up("too many callers to wait for");
	add_listener(0, 0, false);
	for (long i = 0; i < opt.callers; i++) {
		knocked[i] = now_us();
		come_in();
		queued[i] = now_us();
	}
	hold();
	count_syns();
	acceptor = check(fork(), "fork");
	if (acceptor == 0)
		accept_late(knocked, queued);
	reap(acceptor);
	note_accepted(opt.callers, "accepted");
	close_house();
}

/* Its close resets the connection: SO_LINGER 0. */
static _Noreturn void accept_asleep(int ready)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	union address peer = {0};
	struct caller c = {0};
	int fd;

	prctl(PR_SET_NAME, "acceptor");
	alarm(STEP_LIMIT_S);
	check((int)write(ready, "", 1), "write to the parent");
	fd = check(call_accept(listeners[0].fd, &peer), "accept");
	c.from = peer;
	print_accept(&c, 0, 0);
	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), "SO_LINGER");
	_exit(0);
}

/* Sleeps: after its last write it can only do so in accept(). */
static void wait_asleep(pid_t pid)
{
	char path[64], state = 0;

	step = "wait for an acceptor to sleep";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (; state != 'S'; nap()) {
		FILE *file = fopen(path, "r");

		if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			die(path);
		fclose(file);
	}
}

/* As many processes sleep in accept() as callers come. */
static void play_sleepers(void)
{
	int ready[2];
	char byte;

	add_listener(0, 0, false);
	check(pipe(ready), "pipe");
	for (long i = 0; i < opt.callers; i++) {
		pid_t pid = check(fork(), "fork");

		if (pid == 0)
			accept_asleep(ready[1]);
		check((int)read(ready[0], &byte, 1), "read from an acceptor");
		wait_asleep(pid);
	}
	hold();
	for (long i = 0; i < opt.callers; i++) {
		struct caller *c = dial();

		reap(-1);
		count_own_syns(c);
		c->synacks = 1;
		did.answered++;
		note_completed(c);
		wait_state(c->fd, TCP_CLOSE, "wait for the reset");
	}
	note_accepted(opt.callers, "aborted"); /* by the acceptor */
	close_house();
}

/* ---- the command line --------------------------------------------------- */

enum {
	PEERS = 1,
	BLOCK = 2,
	SERVE = 4,
	ACCEPT = 8,
	FLOOD = 16,
	REQUESTS = 32,
	CHILDREN = 64,
	CALLERS = 128,
	GROUP = 256,
	LATE = 512,
};

static const struct scenario scenarios[] = {
	{"accept-overflow-syn", play_accept_overflow_syn, NULL, PEERS | BLOCK | SERVE | ACCEPT,
	 "the accept queue is full, SYNs are dropped"},
	{"accept-overflow-ack", play_accept_overflow_ack, NULL, PEERS | BLOCK | SERVE | ACCEPT,
	 "the accept queue gets full, third ACKs are dropped"},
	{"both-full", play_both_full, NULL, PEERS | BLOCK,
	 "both queues are over their limits (backlog 8 or so)"},
	{"syn-flood", play_syn_flood, NULL, FLOOD, "many SYNs, no third ACK"},
	{"no-route", play_no_route, NULL, BLOCK, "SYNs from where no route leads back"},
	{"requests", play_requests, NULL, REQUESTS, "a few SYNs, no third ACK"},
	{"request-reset", play_request_reset, NULL, REQUESTS, "SYN, then RST"},
	{"request-unreachable", play_request_unreachable, NULL, REQUESTS, "SYN, then ICMP host unreachable"},
	{"listener-closed", play_listener_closed, NULL, PEERS | REQUESTS | CHILDREN,
	 "the listener closes over requests and children"},
	{"duplicate-syn", play_duplicate_syn, NULL, ACCEPT, "the SYN comes twice"},
	{"slow-handshake", play_slow_handshake, NULL, ACCEPT, "the third ACK comes after a repeated SYN-ACK"},
	{"complete", play_complete, NULL, PEERS | CALLERS | ACCEPT,
	 "handshakes that are completed and accepted"},
	{"crowd", play_crowd, NULL, CALLERS | ACCEPT | LATE, "all knock, then all go on"},
	{"reuseport", play_reuseport, NULL, PEERS | CALLERS | ACCEPT | GROUP,
	 "the same at a group of listeners on one port"},
	{"defer-accept", play_defer_accept, NULL, CALLERS | ACCEPT, "TCP_DEFER_ACCEPT: no child before data"},
	{"fastopen", play_fastopen, NULL, CALLERS | ACCEPT,
	 "data in the SYN, except the first (set tcp_fastopen=3)"},
	{"timewait-syn", play_timewait_syn, NULL, ACCEPT,
	 "the second SYN of a caller ends the first one's TIME_WAIT"},
	{"accept-wait", play_accept_wait, NULL, PEERS | CALLERS | ACCEPT,
	 "children wait for a process named acceptor"},
	{"sleepers", play_sleepers, NULL, CALLERS | ACCEPT,
	 "one process named acceptor sleeps in accept() for each caller"},
	{0},
};

static const struct option_row option_rows[] = {
	{"--port", 0, NUMBER(port), "8080", NULL, "port of the listener"},
	{"--backlog", 0, NUMBER(backlog), "4", NULL, "listen()'s"},
	{"--via", 0, TEXT(via), "ipv4", "ipv4 ipv6 v4-mapped", "addresses"},
	{"--tell", 0, NUMBER(tell), "0", NULL, "descriptor to tell stages, and wait for SIGUSR1"},
	{"--hold", 0, NUMBER(hold), "0", NULL, "1: stop at the height and before the end"},
	{"--after", 0, TEXT(after), "timer", "timer packet expiry",
	 "requests left go by: their timer, or an RST, after the listener; or expire before"},
	{"--peers", PEERS, TEXT(peers), "raw", "raw real", "who completes handshakes"},
	{"--callers", CALLERS, NUMBER(callers), "3", NULL, "how many"},
	{"--late", LATE, NUMBER(late), "0", NULL, "1: they go on after a second SYN-ACK"},
	{"--stay", LATE, NUMBER(stay), "0", NULL, "ms that the listener stays when all have come"},
	{"--call", ACCEPT, TEXT(call), "accept", "accept accept4", "how children are taken"},
	{"--blocked", BLOCK, NUMBER(blocked), "2", NULL, "callers that are dropped"},
	{"--tries", BLOCK, NUMBER(tries), "2", NULL, "times each of them is dropped"},
	{"--serve", SERVE, NUMBER(serve), "0", NULL, "1: then let them in and accept all"},
	{"--syns", FLOOD, NUMBER(syns), "20", NULL, "how many"},
	{"--rate", FLOOD, NUMBER(rate), "0", NULL, "SYNs per second, 0: flat out"},
	{"--requests", REQUESTS, NUMBER(requests), "3", NULL, "left in the SYN queue"},
	{"--children", CHILDREN, NUMBER(children), "2", NULL, "left in the accept queue"},
	{"--sockets", GROUP, NUMBER(sockets), "4", NULL, "listeners of the group"},
	{0},
};

/* NAME=VALUE: a setting of net.ipv4, of the new namespace. */
static bool apply_setting(char *word)
{
	char *value = strchr(word, '=');
	char path[128];

	if (!value)
		return false;
	*value++ = '\0';
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", word);
	write_setting(path, value);
	return true;
}

static void play(const struct scenario *s)
{
	open_house();
	timeouts_before = counter("TCPTimeouts");
	report("house");
	wait_for_test("house");
	s->play();
	report("done");
	wait_for_test("done");
}

int main(int argc, char **argv)
{
	const struct scenario *s;
	sigset_t go;

	all_scenarios = scenarios;
	all_options = option_rows;
	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		help(argc < 2 ? stderr : stdout, "[--here] [SETTING=VALUE]... ");
		return argc < 2 ? 2 : 0;
	}
	scenario_name = argv[1];
	if (strcmp(argv[1], "--here") == 0)
		argv++;
	else
		check(unshare(CLONE_NEWNET), "a new network namespace");
	for (argv++; *argv && apply_setting(*argv);)
		argv++;
	if (!*argv)
		wrong_usage("wants", "a scenario");
	s = find_scenario(*argv);
	parse_options(s, argv + 1);
	route = find_route(opt.via);
	first_caller = route->first;
	if (opt.tell)
		snprintf(last_words, sizeof(last_words), "gone %d 0\n", (int)getpid());
	atexit(tell_end);
	last_act = tell_end;
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, NULL);
	mind_the_time();
	play(s);
	return 0;
}
