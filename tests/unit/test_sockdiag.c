/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/source/sockdiag.c: messages as every kernel writes them and
 * as none does, and dumps over a netlink socket that is played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <libmnl/libmnl.h>

/* ---- the netlink socket that is played ---- */

struct reply {
	int error; /* errno of the read; 0: bytes */
	size_t len;
	uint32_t other_request; /* not an answer to the last one */
	_Alignas(8) char bytes[4096];
};

static struct reply replies[16];
static unsigned int reply_count, next_reply;
static struct nlmsghdr *requests[16];
static unsigned int request_count;
static int open_error, send_error;
static unsigned int open_sockets;

static struct mnl_socket *play_open(int bus, int flags)
{
	(void)bus;
	(void)flags;
	if (open_error) {
		errno = open_error;
		return NULL;
	}
	open_sockets++;
	return (struct mnl_socket *)&open_sockets;
}

static int play_close(struct mnl_socket *socket)
{
	(void)socket;
	open_sockets--;
	return 0;
}

static ssize_t play_send(const struct mnl_socket *socket, const void *bytes, size_t len)
{
	(void)socket;
	if (send_error) {
		errno = send_error;
		return -1;
	}
	assert_true(request_count < 16);
	requests[request_count] = malloc(len);
	assert_non_null(requests[request_count]);
	memcpy(requests[request_count++], bytes, len);
	return (ssize_t)len;
}

static void set_sequences(struct reply *reply)
{
	struct nlmsghdr *message = (struct nlmsghdr *)reply->bytes;
	uint32_t sequence = requests[request_count - 1]->nlmsg_seq - reply->other_request;
	int left = (int)reply->len;

	while (mnl_nlmsg_ok(message, left)) {
		message->nlmsg_seq = sequence;
		message = mnl_nlmsg_next(message, &left);
	}
}

static ssize_t play_receive(const struct mnl_socket *socket, void *buffer, size_t size)
{
	struct reply *reply = &replies[next_reply];

	(void)socket;
	assert_true(next_reply++ < reply_count);
	if (reply->error) {
		errno = reply->error;
		return -1;
	}
	assert_true(reply->len <= size);
	set_sequences(reply);
	memcpy(buffer, reply->bytes, reply->len);
	return (ssize_t)reply->len;
}

#define mnl_socket_open2(bus, flags) play_open(bus, flags)
#define mnl_socket_bind(socket, groups, pid) ((void)(socket), 0)
#define mnl_socket_close(socket) play_close(socket)
#define mnl_socket_sendto(socket, bytes, len) play_send(socket, bytes, len)
#define mnl_socket_recvfrom(socket, buffer, size) play_receive(socket, buffer, size)
#include "event/connection.c"
#include "source/sockdiag.c"
#undef mnl_socket_open2
#undef mnl_socket_bind
#undef mnl_socket_close
#undef mnl_socket_sendto
#undef mnl_socket_recvfrom

/* ---- writing messages ---- */

static struct reply *new_reply(void)
{
	assert_true(reply_count < 16);
	memset(&replies[reply_count], 0, sizeof(replies[0]));
	return &replies[reply_count++];
}

static struct nlmsghdr *put_message(struct reply *reply, uint16_t type, const void *payload, size_t len)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(reply->bytes + reply->len);

	message->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(message, len), payload, len);
	reply->len += MNL_ALIGN(message->nlmsg_len);
	return message;
}

static void put_done(struct reply *reply, int err)
{
	put_message(reply, NLMSG_DONE, &err, sizeof(err));
}

static void put_error(struct reply *reply, int err)
{
	const struct nlmsgerr error = {.error = err};

	put_message(reply, NLMSG_ERROR, &error, sizeof(error));
}

static struct inet_diag_msg socket_of(uint8_t family, uint8_t state, uint16_t port)
{
	return (struct inet_diag_msg){
		.idiag_family = family,
		.idiag_state = state,
		.id = {.idiag_sport = htons(port),
		       .idiag_src = {family == AF_INET ? htonl(INADDR_LOOPBACK) : 0}},
	};
}

/* Attributes may follow with mnl_attr_put(), to the last message of a reply. */
static struct nlmsghdr *put_socket(struct reply *reply, const struct inet_diag_msg *socket)
{
	return put_message(reply, SOCK_DIAG_BY_FAMILY, socket, sizeof(*socket));
}

static void put_port(struct reply *reply, uint16_t port)
{
	const struct inet_diag_msg socket = socket_of(AF_INET, EV_LISTEN, port);

	put_socket(reply, &socket);
}

static void put_end(int err)
{
	put_done(new_reply(), err);
}

static int forget(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < request_count; i++)
		free(requests[i]);
	reply_count = next_reply = request_count = 0;
	open_error = send_error = 0;
	return open_sockets == 0 ? 0 : -1;
}

/* ---- one message ---- */

/* Reads the first message of the first reply. */
static struct socket_entry read_first(void)
{
	struct socket_entry entry;

	assert_int_equal(read_entry(&entry, (struct nlmsghdr *)replies[0].bytes), 0);
	return entry;
}

static void the_plain_entry(void **state)
{
	const struct inet_diag_msg socket = {
		.idiag_family = AF_INET,
		.idiag_state = EV_LISTEN,
		.idiag_timer = 2,
		.idiag_retrans = 3,
		.id = {.idiag_sport = htons(80),
		       .idiag_dport = htons(40000),
		       .idiag_src = {htonl(0x0a000001)},
		       .idiag_dst = {htonl(0x0a000002)},
		       .idiag_if = 4,
		       .idiag_cookie = {0x89abcdef, 0x01234567}},
		.idiag_expires = 5,
		.idiag_rqueue = 6,
		.idiag_wqueue = 7,
		.idiag_uid = 8,
		.idiag_inode = 9,
	};
	static const uint8_t local[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
	static const uint8_t remote[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
	struct socket_entry entry;

	(void)state;
	put_socket(new_reply(), &socket);
	entry = read_first();
	assert_memory_equal(entry.local.addr, local, 16);
	assert_memory_equal(entry.remote.addr, remote, 16);
	assert_int_equal(entry.local.port, 80);
	assert_int_equal(entry.remote.port, 40000);
	assert_int_equal(entry.family, AF_INET);
	assert_int_equal(entry.state, EV_LISTEN);
	assert_int_equal(entry.timer, 2);
	assert_int_equal(entry.retrans, 3);
	assert_int_equal(entry.ifindex, 4);
	assert_true(entry.cookie == 0x0123456789abcdef);
	assert_int_equal(entry.expires_ms, 5);
	assert_int_equal(entry.rqueue, 6);
	assert_int_equal(entry.wqueue, 7);
	assert_int_equal(entry.uid, 8);
	assert_int_equal(entry.inode, 9);
	assert_int_equal(entry.has, 0);
	assert_int_equal(entry.netns, 0);
}

static void addresses_of_ipv6(void **state)
{
	struct inet_diag_msg socket = socket_of(AF_INET6, EV_ESTABLISHED, 80);
	uint8_t local[16], remote[16];
	struct socket_entry entry;

	(void)state;
	for (uint8_t i = 0; i < 16; i++) {
		local[i] = (uint8_t)(i + 1);
		remote[i] = (uint8_t)(0xf0 + i);
	}
	memcpy(socket.id.idiag_src, local, 16);
	memcpy(socket.id.idiag_dst, remote, 16);
	put_socket(new_reply(), &socket);
	entry = read_first();
	assert_memory_equal(entry.local.addr, local, 16);
	assert_memory_equal(entry.remote.addr, remote, 16);
	assert_int_equal(entry.family, AF_INET6);
}

static void a_family_that_is_none(void **state)
{
	const struct inet_diag_msg socket = socket_of(AF_UNIX, EV_ESTABLISHED, 80);
	struct socket_entry entry;

	(void)state;
	put_socket(new_reply(), &socket);
	assert_int_equal(read_entry(&entry, (struct nlmsghdr *)replies[0].bytes), -EBADMSG);
}

static void kinds(void **state)
{
	static const struct {
		uint8_t state, timer;
		int shutdown; /* its attribute is there */
		enum socket_kind kind;
	} cases[] = {
		{EV_SYN_RECV, TIMER_RETRANSMIT, 0, SOCKET_REQUEST},
		{EV_SYN_RECV, TIMER_RETRANSMIT, 1, SOCKET_FULL},
		{EV_TIME_WAIT, TIMER_TIMEWAIT, 0, SOCKET_MINI},
		{EV_FIN_WAIT2, TIMER_TIMEWAIT, 0, SOCKET_MINI},
		{EV_FIN_WAIT2, TIMER_KEEPALIVE, 1, SOCKET_FULL},
		{EV_FIN_WAIT2, TIMER_NONE, 1, SOCKET_FULL},
		{EV_ESTABLISHED, TIMER_RETRANSMIT, 1, SOCKET_FULL},
		{EV_LISTEN, TIMER_NONE, 1, SOCKET_FULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct inet_diag_msg socket = socket_of(AF_INET, cases[i].state, 80);
		struct nlmsghdr *message;

		reply_count = 0;
		socket.idiag_timer = cases[i].timer;
		message = put_socket(new_reply(), &socket);
		if (cases[i].shutdown)
			mnl_attr_put_u8(message, INET_DIAG_SHUTDOWN, 0);
		assert_int_equal(read_first().kind, cases[i].kind);
	}
}

static struct socket_entry with_attribute(uint8_t socket_state, uint16_t type, const void *bytes,
					  size_t len)
{
	const struct inet_diag_msg socket = socket_of(AF_INET, socket_state, 80);

	reply_count = 0;
	mnl_attr_put(put_socket(new_reply(), &socket), type, len, bytes);
	return read_first();
}

static void drops(void **state)
{
	uint32_t memory[12] = {0};
	struct socket_entry entry;

	(void)state;
	memory[SK_MEMINFO_DROPS] = 4711;
	for (size_t len = 0; len <= sizeof(memory); len++) {
		entry = with_attribute(EV_LISTEN, INET_DIAG_SKMEMINFO, memory, len);
		if (len < (SK_MEMINFO_DROPS + 1) * 4) {
			assert_int_equal(entry.has, 0);
			assert_int_equal(entry.drops, 0);
		} else {
			assert_int_equal(entry.has, SOCKET_HAS_DROPS);
			assert_int_equal(entry.drops, 4711);
		}
	}
}

static void cgroups(void **state)
{
	const uint64_t id = 0x1122334455667788;
	struct socket_entry entry;

	(void)state;
	entry = with_attribute(EV_LISTEN, INET_DIAG_CGROUP_ID, &id, sizeof(id));
	assert_int_equal(entry.has, SOCKET_HAS_CGROUP);
	assert_true(entry.cgroup == id);
	entry = with_attribute(EV_LISTEN, INET_DIAG_CGROUP_ID, &id, sizeof(id) - 1);
	assert_int_equal(entry.has, 0);
}

static void v6only(void **state)
{
	const uint8_t yes = 1, no = 0;
	struct socket_entry entry;

	(void)state;
	entry = with_attribute(EV_LISTEN, INET_DIAG_SKV6ONLY, &yes, 1);
	assert_int_equal(entry.has, SOCKET_HAS_V6ONLY);
	assert_int_equal(entry.v6only, 1);
	entry = with_attribute(EV_CLOSE, INET_DIAG_SKV6ONLY, &no, 1);
	assert_int_equal(entry.has, SOCKET_HAS_V6ONLY);
	assert_int_equal(entry.v6only, 0);
	assert_int_equal(with_attribute(EV_LISTEN, INET_DIAG_SKV6ONLY, &yes, 0).has, 0);
}

/* The attribute is as long as the kernel's struct tcp_info: shorter in an old
 * kernel, longer in a new one. */
static void infos_of_all_lengths(void **state)
{
	struct {
		struct tcp_info info;
		char later[64];
	} long_info = {.info = {.tcpi_bytes_sent = 1000,
				.tcpi_bytes_retrans = 300,
				.tcpi_bytes_received = 51,
				.tcpi_total_retrans = 2}};

	(void)state;
	for (size_t len = 0; len <= sizeof(long_info); len++) {
		struct socket_entry entry =
			with_attribute(EV_ESTABLISHED, INET_DIAG_INFO, &long_info, len);

		if (!REACHES(len, tcpi_bytes_retrans)) {
			assert_int_equal(entry.has, 0);
			continue;
		}
		assert_int_equal(entry.has, SOCKET_HAS_INFO);
		assert_int_equal(entry.bytes_sent, 700);
		assert_int_equal(entry.bytes_received, 51);
		assert_int_equal(entry.retransmits, 2);
	}
}

static void a_fin_is_no_byte(void **state)
{
	const struct tcp_info info = {.tcpi_bytes_received = 51};

	(void)state;
	for (uint8_t s = EV_ESTABLISHED; s < EV_STATE_END; s++) {
		unsigned int wanted =
			s == EV_CLOSE_WAIT || s == EV_LAST_ACK || s == EV_CLOSING ? 50 : 51;

		assert_int_equal(with_attribute(s, INET_DIAG_INFO, &info, sizeof(info)).bytes_received,
				 wanted);
	}
}

static void unknown_attributes(void **state)
{
	const char bytes[100] = "whatever";

	(void)state;
	for (uint16_t type = 0; type < 100; type++) {
		struct socket_entry entry;

		if (type == INET_DIAG_INFO || type == INET_DIAG_SKMEMINFO ||
		    type == INET_DIAG_CGROUP_ID || type == INET_DIAG_SKV6ONLY)
			continue;
		entry = with_attribute(EV_LISTEN, type, bytes, sizeof(bytes));
		assert_int_equal(entry.has, 0);
		assert_int_equal(entry.local.port, 80);
	}
}

/* A message that ends anywhere, in a block of its length, so that the sanitizer
 * sees a read beyond; libmnl takes the padding to four bytes for a part of it. */
static void messages_cut_anywhere(void **state)
{
	const struct inet_diag_msg socket = socket_of(AF_INET, EV_ESTABLISHED, 80);
	const struct tcp_info info = {.tcpi_bytes_sent = 5};
	const uint32_t memory[SK_MEMINFO_DROPS + 1] = {0};
	struct nlmsghdr *message = put_socket(new_reply(), &socket);
	struct socket_entry entry = {0};

	(void)state;
	mnl_attr_put_u8(message, INET_DIAG_SHUTDOWN, 0);
	mnl_attr_put(message, INET_DIAG_SKMEMINFO, sizeof(memory), memory);
	mnl_attr_put_u64(message, INET_DIAG_CGROUP_ID, 1);
	mnl_attr_put(message, INET_DIAG_INFO, sizeof(info), &info);
	for (uint32_t len = sizeof(*message); len <= message->nlmsg_len; len++) {
		struct nlmsghdr *cut = calloc(1, MNL_ALIGN(len));
		int wanted = len < NLMSG_LENGTH(sizeof(socket)) ? -EBADMSG : 0;

		assert_non_null(cut);
		memcpy(cut, message, len);
		cut->nlmsg_len = len;
		assert_int_equal(read_entry(&entry, cut), wanted);
		if (MNL_ALIGN(len) < message->nlmsg_len)
			assert_int_equal(entry.has & SOCKET_HAS_INFO, 0);
		free(cut);
	}
	assert_int_equal(entry.has, SOCKET_HAS_INFO | SOCKET_HAS_DROPS | SOCKET_HAS_CGROUP);
}

static void attributes_that_lie_about_their_length(void **state)
{
	static const uint16_t lengths[] = {0, 1, 3, 5, 0xfff, 0xffff};
	const struct inet_diag_msg socket = socket_of(AF_INET, EV_ESTABLISHED, 80);

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct nlmsghdr *message;
		struct nlattr *attr;

		reply_count = 0;
		message = put_socket(new_reply(), &socket);
		attr = mnl_nlmsg_get_payload_tail(message);
		mnl_attr_put_u64(message, INET_DIAG_CGROUP_ID, 1);
		attr->nla_len = lengths[i];
		assert_int_equal(read_first().has, 0);
	}
}

/* ---- dumps ---- */

struct ports {
	unsigned int count;
	uint16_t seen[32];
	uint16_t stop_at;
};

static int note_port(void *context, const struct socket_entry *entry)
{
	struct ports *ports = context;

	ports->seen[ports->count++] = entry->local.port;
	return entry->local.port == ports->stop_at ? -ECANCELED : 0;
}

static struct sockdiag *played_diag(void)
{
	struct sockdiag *diag = malloc(sizeof(*diag));

	assert_non_null(diag);
	diag->sequence = 0;
	diag->socket = play_open(0, 0);
	return diag;
}

/* Dumps what the replies say, all of which must be read. */
static int dump(struct ports *ports)
{
	struct sockdiag *diag = played_diag();
	int err = sockdiag__dump(diag, SOCKDIAG_ALL_STATES, 0, note_port, ports);

	sockdiag__free(diag);
	assert_int_equal(next_reply, reply_count);
	return err;
}

static void expect_ports(const struct ports *ports, unsigned int count)
{
	assert_int_equal(ports->count, count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(ports->seen[i], i + 1);
}

static const struct inet_diag_req_v2 *request_body(unsigned int i)
{
	return mnl_nlmsg_get_payload(requests[i]);
}

static void both_families_in_many_reads(void **state)
{
	struct ports ports = {0};
	struct reply *reply = new_reply();

	(void)state;
	put_port(reply, 1);
	put_port(reply, 2);
	put_port(new_reply(), 3);
	put_end(0);
	reply = new_reply();
	put_port(reply, 4);
	put_done(reply, 0);
	assert_int_equal(dump(&ports), 0);
	expect_ports(&ports, 4);
	assert_int_equal(request_count, 2);
	assert_int_equal(request_body(0)->sdiag_family, AF_INET);
	assert_int_equal(request_body(1)->sdiag_family, AF_INET6);
	assert_int_equal(request_body(1)->sdiag_protocol, IPPROTO_TCP);
	assert_int_equal(requests[1]->nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
	assert_int_equal(requests[1]->nlmsg_type, SOCK_DIAG_BY_FAMILY);
	assert_int_not_equal(requests[0]->nlmsg_seq, requests[1]->nlmsg_seq);
}

static void what_is_asked_for(void **state)
{
	struct sockdiag *diag = played_diag();
	struct ports ports = {0};

	(void)state;
	for (unsigned int extras = 0; extras < 4; extras++) {
		put_end(0);
		put_end(0);
		assert_int_equal(sockdiag__dump(diag, SOCKDIAG_LISTENERS, extras, note_port, &ports), 0);
	}
	sockdiag__free(diag);
	assert_int_equal(request_body(0)->idiag_ext, 0);
	assert_int_equal(request_body(0)->idiag_states, 1 << EV_LISTEN);
	assert_int_equal(request_body(2)->idiag_ext, 1 << (INET_DIAG_SKMEMINFO - 1));
	assert_int_equal(request_body(4)->idiag_ext, 1 << (INET_DIAG_INFO - 1));
	assert_int_equal(request_body(7)->idiag_ext,
			 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1));
	assert_int_equal(SOCKDIAG_ALL_STATES, 0xffe);
}

static void the_sockets_of_a_port(void **state)
{
	struct sockdiag *diag = played_diag();
	struct ports ports = {0};

	(void)state;
	put_end(0);
	put_end(0);
	assert_int_equal(sockdiag__dump_port(diag, IPPROTO_UDP, 53, SOCKDIAG_BOUND, note_port, &ports), 0);
	put_end(-ENOENT);
	assert_int_equal(sockdiag__dump_port(diag, IPPROTO_UDP, 53, 1, note_port, &ports), -ENOENT);
	sockdiag__free(diag);
	assert_int_equal(request_count, 3);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(request_body(i)->sdiag_protocol, IPPROTO_UDP);
		assert_int_equal(request_body(i)->sdiag_family, i ? AF_INET6 : AF_INET);
		assert_int_equal(request_body(i)->id.idiag_sport, htons(53));
		assert_int_equal(request_body(i)->idiag_states, 1 << 13);
		assert_int_equal(request_body(i)->idiag_ext, 0);
	}
}

static void signals_do_not_end_it(void **state)
{
	struct ports ports = {0};

	(void)state;
	new_reply()->error = EINTR;
	put_port(new_reply(), 1);
	new_reply()->error = EINTR;
	new_reply()->error = EINTR;
	put_end(0);
	put_port(new_reply(), 2);
	put_end(0);
	assert_int_equal(dump(&ports), 0);
	expect_ports(&ports, 2);
}

/* The kernel refuses a new dump while an old one is not read to its end. */
static void the_rest_is_read_when_the_taker_has_enough(void **state)
{
	struct ports ports = {.stop_at = 2};
	struct reply *reply = new_reply();

	(void)state;
	put_port(reply, 1);
	put_port(reply, 2);
	put_port(reply, 3);
	put_port(new_reply(), 4);
	put_end(0);
	assert_int_equal(dump(&ports), -ECANCELED);
	expect_ports(&ports, 2);
	assert_int_equal(request_count, 1);
}

static void a_dump_that_changed_meanwhile(void **state)
{
	struct ports ports = {0};
	struct reply *reply = new_reply();

	(void)state;
	put_port(reply, 1);
	((struct nlmsghdr *)reply->bytes)->nlmsg_flags |= NLM_F_DUMP_INTR;
	put_port(new_reply(), 2);
	put_end(0);
	put_port(new_reply(), 3);
	put_end(0);
	assert_int_equal(dump(&ports), -EAGAIN);
	expect_ports(&ports, 3);
}

static void also_when_only_the_end_says_so(void **state)
{
	struct ports ports = {0};
	struct reply *reply;

	(void)state;
	put_port(new_reply(), 1);
	put_end(0);
	reply = new_reply();
	put_done(reply, 0);
	((struct nlmsghdr *)reply->bytes)->nlmsg_flags |= NLM_F_DUMP_INTR;
	assert_int_equal(dump(&ports), -EAGAIN);
}

static void answers_to_an_earlier_request(void **state)
{
	struct ports ports = {0};
	struct reply *reply = new_reply();

	(void)state;
	reply->other_request = 1;
	put_port(reply, 99);
	put_done(reply, -EIO);
	put_port(new_reply(), 1);
	put_end(0);
	put_end(0);
	assert_int_equal(dump(&ports), 0);
	expect_ports(&ports, 1);
}

static void errors_of_the_kernel(void **state)
{
	struct ports ports = {0};

	(void)state;
	put_error(new_reply(), -ENOENT);
	assert_int_equal(dump(&ports), -ENOENT);
	/* How a dump says it, once it has begun. */
	put_end(-ENOENT);
	assert_int_equal(dump(&ports), -ENOENT);
	put_port(new_reply(), 1);
	put_end(-ENOMEM);
	assert_int_equal(dump(&ports), -ENOMEM);
	put_error(new_reply(), 5);
	assert_int_equal(dump(&ports), -EBADMSG);
	put_message(new_reply(), NLMSG_ERROR, "", 0);
	assert_int_equal(dump(&ports), -EBADMSG);
	/* An old kernel's end has no error in it. */
	put_message(new_reply(), NLMSG_DONE, "", 0);
	put_message(new_reply(), NLMSG_DONE, "", 0);
	assert_int_equal(dump(&ports), 0);
}

static void errors_of_the_socket(void **state)
{
	struct ports ports = {0};

	(void)state;
	new_reply()->error = ENOBUFS;
	assert_int_equal(dump(&ports), -ENOBUFS);
	send_error = EPERM;
	assert_int_equal(dump(&ports), -EPERM);
}

static void a_message_that_does_not_parse(void **state)
{
	struct ports ports = {0};
	const struct inet_diag_msg socket = socket_of(AF_INET, EV_LISTEN, 2);

	(void)state;
	put_port(new_reply(), 1);
	put_message(new_reply(), SOCK_DIAG_BY_FAMILY, &socket, sizeof(socket) - 4);
	put_port(new_reply(), 3);
	put_end(0);
	assert_int_equal(dump(&ports), -EBADMSG);
	expect_ports(&ports, 1);
}

static void messages_of_another_kind(void **state)
{
	struct ports ports = {0};
	struct reply *reply = new_reply();

	(void)state;
	put_message(reply, NLMSG_NOOP, "", 0);
	put_message(reply, 99, "whatever", 8);
	put_port(reply, 1);
	put_done(reply, 0);
	put_end(0);
	assert_int_equal(dump(&ports), 0);
	expect_ports(&ports, 1);
}

/* ---- one socket ---- */

static int find(const struct sockdiag_key *key, struct socket_entry *entry)
{
	struct sockdiag *diag = played_diag();
	int err = sockdiag__find(diag, key, 0, entry);

	sockdiag__free(diag);
	assert_int_equal(next_reply, reply_count);
	return err;
}

static struct sockdiag_key key_of(uint16_t port)
{
	struct sockdiag_key key = {.local.port = port};

	set_v4(key.local.addr, htonl(INADDR_LOOPBACK));
	set_v4(key.remote.addr, 0);
	return key;
}

static void the_one_asked_for(void **state)
{
	struct sockdiag_key key = key_of(80);
	struct socket_entry entry = {0};
	const struct inet_diag_req_v2 *body;

	(void)state;
	key.cookie = 0x0123456789abcdef;
	key.ifindex = 3;
	key.remote.port = 0;
	put_port(new_reply(), 80);
	assert_int_equal(find(&key, &entry), 0);
	assert_int_equal(entry.local.port, 80);
	body = request_body(0);
	assert_int_equal(requests[0]->nlmsg_flags, NLM_F_REQUEST);
	assert_int_equal(body->sdiag_family, AF_INET);
	assert_int_equal(body->id.idiag_src[0], htonl(INADDR_LOOPBACK));
	assert_int_equal(body->id.idiag_sport, htons(80));
	assert_int_equal(body->id.idiag_if, 3);
	assert_int_equal(body->id.idiag_cookie[0], 0x89abcdef);
	assert_int_equal(body->id.idiag_cookie[1], 0x01234567);
}

static void any_cookie(void **state)
{
	struct sockdiag_key key = key_of(80);
	struct socket_entry entry;

	(void)state;
	put_port(new_reply(), 80);
	assert_int_equal(find(&key, &entry), 0);
	assert_int_equal(request_body(0)->id.idiag_cookie[0], INET_DIAG_NOCOOKIE);
	assert_int_equal(request_body(0)->id.idiag_cookie[1], INET_DIAG_NOCOOKIE);
}

static void ipv6_is_asked_as_ipv6(void **state)
{
	struct sockdiag_key key = key_of(80);
	struct socket_entry entry;

	(void)state;
	memset(key.remote.addr, 0x20, 16);
	put_error(new_reply(), -ENOENT);
	assert_int_equal(find(&key, &entry), -ESRCH);
	assert_int_equal(request_body(0)->sdiag_family, AF_INET6);
	assert_memory_equal(request_body(0)->id.idiag_src, key.local.addr, 16);
	assert_memory_equal(request_body(0)->id.idiag_dst, key.remote.addr, 16);
}

static void one_that_is_not_there(void **state)
{
	struct sockdiag_key key = key_of(80);
	struct socket_entry entry = {.cookie = 4711};

	(void)state;
	put_error(new_reply(), -ENOENT);
	assert_int_equal(find(&key, &entry), -ESRCH);
	put_error(new_reply(), -ESTALE);
	assert_int_equal(find(&key, &entry), -ESRCH);
	put_error(new_reply(), -EINVAL);
	assert_int_equal(find(&key, &entry), -EINVAL);
	/* The listener, in place of a connection that is gone. */
	key.remote.port = 5555;
	put_port(new_reply(), 80);
	assert_int_equal(find(&key, &entry), -ESRCH);
	assert_int_equal(entry.cookie, 4711);
}

/* ---- life ---- */

static void a_kernel_without_tcp_diag(void **state)
{
	(void)state;
	put_error(new_reply(), -ENOENT);
	assert_null(sockdiag__new());
	assert_int_equal(errno, ENOENT);
	put_end(-ENOENT);
	assert_null(sockdiag__new());
	assert_int_equal(errno, ENOENT);
}

static void a_kernel_without_sock_diag(void **state)
{
	(void)state;
	open_error = EPROTONOSUPPORT;
	assert_null(sockdiag__new());
	assert_int_equal(errno, ENOENT);
	open_error = EMFILE;
	assert_null(sockdiag__new());
	assert_int_equal(errno, EMFILE);
}

static void a_new_one(void **state)
{
	struct sockdiag *diag;

	(void)state;
	put_end(0);
	diag = sockdiag__new();
	assert_non_null(diag);
	assert_int_equal(request_body(0)->idiag_states, 0);
	assert_int_equal(open_sockets, 1);
	sockdiag__free(diag);
	sockdiag__free(NULL);
}

#define CLEAN(test) cmocka_unit_test_teardown(test, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN(the_plain_entry),
		CLEAN(addresses_of_ipv6),
		CLEAN(a_family_that_is_none),
		CLEAN(kinds),
		CLEAN(drops),
		CLEAN(cgroups),
		CLEAN(v6only),
		CLEAN(infos_of_all_lengths),
		CLEAN(a_fin_is_no_byte),
		CLEAN(unknown_attributes),
		CLEAN(messages_cut_anywhere),
		CLEAN(attributes_that_lie_about_their_length),
		CLEAN(both_families_in_many_reads),
		CLEAN(what_is_asked_for),
		CLEAN(the_sockets_of_a_port),
		CLEAN(signals_do_not_end_it),
		CLEAN(the_rest_is_read_when_the_taker_has_enough),
		CLEAN(a_dump_that_changed_meanwhile),
		CLEAN(also_when_only_the_end_says_so),
		CLEAN(answers_to_an_earlier_request),
		CLEAN(errors_of_the_kernel),
		CLEAN(errors_of_the_socket),
		CLEAN(a_message_that_does_not_parse),
		CLEAN(messages_of_another_kind),
		CLEAN(the_one_asked_for),
		CLEAN(any_cookie),
		CLEAN(ipv6_is_asked_as_ipv6),
		CLEAN(one_that_is_not_there),
		CLEAN(a_kernel_without_tcp_diag),
		CLEAN(a_kernel_without_sock_diag),
		CLEAN(a_new_one),
	};

	return cmocka_run_group_tests_name("sockdiag", tests, NULL, NULL);
}
