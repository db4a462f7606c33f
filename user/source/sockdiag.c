// SPDX-License-Identifier: BSD-2-Clause
#include "source/sockdiag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* netlink_dump() fills at most 32 KiB for a reader that offers as much, and a
 * page or two for one that offers less. A multiple of four: libmnl rounds the
 * length of a message up. */
enum { BUFFER_BYTES = 32 * 1024 };

struct sockdiag {
	struct mnl_socket *socket; /* owned */
	uint32_t sequence;	   /* of the last request */
	alignas(8) char buffer[BUFFER_BYTES];
};

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

_Static_assert(sizeof(struct request) == NLMSG_LENGTH(sizeof(struct inet_diag_req_v2)),
	       "a request has padding");

/* Where the answers to one request go, and what came of them so far. */
struct answer {
	sockdiag_take_fn take;
	void *context;
	int result;   /* the first reason not to take any more, else 0 */
	bool changed; /* NLM_F_DUMP_INTR was seen */
	bool single;  /* not a dump: the first entry is also the end */
};

/* ---- one message to one entry -------------------------------------------- */

static void set_v4(uint8_t addr[16], uint32_t v4)
{
	memset(addr, 0, 10);
	memset(addr + 10, 0xff, 2);
	memcpy(addr + 12, &v4, 4);
}

static void set_endpoint(struct endpoint *end, uint8_t family, const __be32 addr[4], __be16 port)
{
	if (family == AF_INET)
		set_v4(end->addr, addr[0]);
	else
		memcpy(end->addr, addr, 16);
	end->port = ntohs(port);
}

static void read_head(struct socket_entry *entry, const struct inet_diag_msg *msg)
{
	*entry = (struct socket_entry){
		.family = msg->idiag_family,
		.state = msg->idiag_state,
		.timer = msg->idiag_timer,
		.retrans = msg->idiag_retrans,
		.cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0],
		.ifindex = msg->id.idiag_if,
		.inode = msg->idiag_inode,
		.uid = msg->idiag_uid,
		.expires_ms = msg->idiag_expires,
		.rqueue = msg->idiag_rqueue,
		.wqueue = msg->idiag_wqueue,
	};
	set_endpoint(&entry->local, msg->idiag_family, msg->id.idiag_src, msg->id.idiag_sport);
	set_endpoint(&entry->remote, msg->idiag_family, msg->id.idiag_dst, msg->id.idiag_dport);
}

/* The end of an attribute that is as long as tcp_info was in an older kernel. */
#define REACHES(len, field) \
	((len) >= offsetof(struct tcp_info, field) + sizeof(((struct tcp_info *)0)->field))

/* The states that the peer's FIN leads to. TIME_WAIT is one too, as a mini. */
static bool fin_received(const struct socket_entry *entry)
{
	return entry->state == EV_CLOSE_WAIT || entry->state == EV_LAST_ACK || entry->state == EV_CLOSING;
}

static void read_info(struct socket_entry *entry, const void *payload, size_t len)
{
	struct tcp_info info;

	if (!REACHES(len, tcpi_bytes_retrans))
		return;
	/* Copied, because a 64-bit field may lie on four bytes here. */
	memcpy(&info, payload, len < sizeof(info) ? len : sizeof(info));
	/* As in struct ev_totals: without what was sent again, and without the
	 * peer's FIN, which tcp_rcv_nxt_update() counts as a byte. */
	entry->bytes_sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	entry->bytes_received = info.tcpi_bytes_received - fin_received(entry);
	entry->retransmits = info.tcpi_total_retrans;
	entry->has |= SOCKET_HAS_INFO;
}

static void read_drops(struct socket_entry *entry, const void *payload, size_t len)
{
	if (len < (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
		return;
	memcpy(&entry->drops, (const uint32_t *)payload + SK_MEMINFO_DROPS, sizeof(entry->drops));
	entry->has |= SOCKET_HAS_DROPS;
}

static void read_v6only(struct socket_entry *entry, const void *payload, size_t len)
{
	if (len < 1)
		return;
	entry->v6only = !!*(const uint8_t *)payload;
	entry->has |= SOCKET_HAS_V6ONLY;
}

static void read_cgroup(struct socket_entry *entry, const void *payload, size_t len)
{
	if (len < sizeof(entry->cgroup))
		return;
	memcpy(&entry->cgroup, payload, sizeof(entry->cgroup));
	entry->has |= SOCKET_HAS_CGROUP;
}

/* Returns whether it is an attribute that only a full socket has. */
static bool read_attribute(struct socket_entry *entry, const struct nlattr *attr)
{
	const void *payload = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	switch (mnl_attr_get_type(attr)) {
	case INET_DIAG_INFO:
		read_info(entry, payload, len);
		return true;
	case INET_DIAG_SKMEMINFO:
		read_drops(entry, payload, len);
		return true;
	case INET_DIAG_CGROUP_ID:
		read_cgroup(entry, payload, len);
		return true;
	case INET_DIAG_SKV6ONLY:
		read_v6only(entry, payload, len);
		return true;
	/* Not asked for and always there: inet_diag_msg_attrs_fill(). */
	case INET_DIAG_SHUTDOWN:
		return true;
	default:
		return false;
	}
}

/* inet_twsk_diag_fill() alone uses that timer. A request and the SYN_RECV of a
 * simultaneous open or of TCP Fast Open look alike but for the attributes. */
static enum socket_kind kind_of(const struct socket_entry *entry, bool full)
{
	if (entry->timer == TIMER_TIMEWAIT)
		return SOCKET_MINI;
	if (entry->state == EV_SYN_RECV && !full)
		return SOCKET_REQUEST;
	return SOCKET_FULL;
}

/* The message's length was checked by mnl_nlmsg_ok(). 0 or -EBADMSG. */
static int read_entry(struct socket_entry *entry, const struct nlmsghdr *message)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	bool full = false;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*msg))
		return -EBADMSG;
	if (msg->idiag_family != AF_INET && msg->idiag_family != AF_INET6)
		return -EBADMSG;
	read_head(entry, msg);
	mnl_attr_for_each(attr, message, sizeof(*msg)) full |= read_attribute(entry, attr);
	entry->kind = (uint8_t)kind_of(entry, full);
	return 0;
}

/* ---- the answers to one request ------------------------------------------ */

enum { MORE = 1 };

/* The error within NLMSG_ERROR or NLMSG_DONE, both of which begin with it. A
 * dump that failed says so in NLMSG_DONE (netlink_dump_done()). */
static int error_in(const struct nlmsghdr *message)
{
	int err;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(err))
		return message->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&err, mnl_nlmsg_get_payload(message), sizeof(err));
	return err > 0 ? -EBADMSG : err;
}

/* The rest of a dump is read also when it is not wanted: the kernel refuses a
 * new one on this socket before (-EBUSY). */
static void take_entry(struct answer *answer, const struct nlmsghdr *message)
{
	struct socket_entry entry;

	if (answer->result)
		return;
	answer->result = read_entry(&entry, message);
	if (!answer->result)
		answer->result = answer->take(answer->context, &entry);
}

/* MORE, or the end: 0 or -errno. */
static int take_message(struct answer *answer, const struct nlmsghdr *message)
{
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->changed = true;
	switch (message->nlmsg_type) {
	case NLMSG_DONE:
	case NLMSG_ERROR:
		return error_in(message);
	case SOCK_DIAG_BY_FAMILY:
		take_entry(answer, message);
		return answer->single ? 0 : MORE;
	default:
		return MORE;
	}
}

/* All messages of one read. Those of an earlier request are passed over. */
static int take_messages(struct answer *answer, const void *buffer, size_t size, uint32_t sequence)
{
	const struct nlmsghdr *message = buffer;
	int left = (int)size;
	int err = MORE;

	while (err == MORE && mnl_nlmsg_ok(message, left)) {
		if (message->nlmsg_seq == sequence)
			err = take_message(answer, message);
		message = mnl_nlmsg_next(message, &left);
	}
	return err;
}

static ssize_t receive(struct sockdiag *diag)
{
	ssize_t len;

	/* A signal does not end a dump: the kernel has the rest ready. */
	do
		len = mnl_socket_recvfrom(diag->socket, diag->buffer, sizeof(diag->buffer));
	while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

static int receive_answer(struct sockdiag *diag, struct answer *answer)
{
	int err = MORE;

	while (err == MORE) {
		ssize_t len = receive(diag);

		err = len < 0 ? (int)len :
				take_messages(answer, diag->buffer, (size_t)len, diag->sequence);
	}
	return err ? err : answer->result;
}

/* ---- requests ------------------------------------------------------------- */

/* Extensions are numbered from 1, their request bits from 0. */
static uint8_t extension_bits(unsigned int extras)
{
	uint8_t bits = 0;

	if (extras & SOCKDIAG_DROPS)
		bits |= 1 << (INET_DIAG_SKMEMINFO - 1);
	if (extras & SOCKDIAG_INFO)
		bits |= 1 << (INET_DIAG_INFO - 1);
	return bits;
}

static struct request new_request(uint8_t family, unsigned int extras)
{
	return (struct request){
		.head = { .nlmsg_len = sizeof(struct request),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = family,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_ext = extension_bits(extras) },
	};
}

static int ask(struct sockdiag *diag, struct request *request, struct answer *answer)
{
	request->head.nlmsg_seq = ++diag->sequence;
	if (mnl_socket_sendto(diag->socket, request, sizeof(*request)) < 0)
		return -errno;
	return receive_answer(diag, answer);
}

static int dump_family(struct sockdiag *diag, struct request request, uint8_t family, struct answer *answer)
{
	request.head.nlmsg_flags |= NLM_F_DUMP;
	request.body.sdiag_family = family;
	return ask(diag, &request, answer);
}

static int dump_both(struct sockdiag *diag, const struct request *request, struct answer *answer)
{
	int err = dump_family(diag, *request, AF_INET, answer);

	if (!err)
		err = dump_family(diag, *request, AF_INET6, answer);
	if (!err && answer->changed)
		err = -EAGAIN;
	return err;
}

int sockdiag__dump(struct sockdiag *diag, uint32_t states, unsigned int extras, sockdiag_take_fn take,
		   void *context)
{
	struct answer answer = { .take = take, .context = context };
	struct request request = new_request(AF_UNSPEC, extras);

	request.body.idiag_states = states;
	return dump_both(diag, &request, &answer);
}

int sockdiag__dump_port(struct sockdiag *diag, uint8_t protocol, uint16_t port, uint32_t states,
			sockdiag_take_fn take, void *context)
{
	struct answer answer = { .take = take, .context = context };
	struct request request = new_request(AF_UNSPEC, 0);

	request.body.sdiag_protocol = protocol;
	request.body.idiag_states = states;
	request.body.id.idiag_sport = htons(port);
	return dump_both(diag, &request, &answer);
}

/* ---- one socket ------------------------------------------------------------ */

/* Two v4-mapped addresses are asked for as AF_INET: the kernel then finds an
 * AF_INET6 socket too (inet_lookup()), and it works where IPv6 is not built. */
static void set_address(__be32 out[4], const uint8_t addr[16], uint8_t family)
{
	memcpy(out, family == AF_INET ? addr + 12 : addr, family == AF_INET ? 4 : 16);
}

static void set_key(struct inet_diag_req_v2 *body, const struct sockdiag_key *key)
{
	struct inet_diag_sockid *id = &body->id;
	bool v4 = addr__is_v4(key->local.addr) && addr__is_v4(key->remote.addr);

	body->sdiag_family = v4 ? AF_INET : AF_INET6;
	set_address(id->idiag_src, key->local.addr, body->sdiag_family);
	set_address(id->idiag_dst, key->remote.addr, body->sdiag_family);
	id->idiag_sport = htons(key->local.port);
	id->idiag_dport = htons(key->remote.port);
	id->idiag_if = key->ifindex;
	id->idiag_cookie[0] = key->cookie ? (uint32_t)key->cookie : INET_DIAG_NOCOOKIE;
	id->idiag_cookie[1] = key->cookie ? (uint32_t)(key->cookie >> 32) : INET_DIAG_NOCOOKIE;
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static int keep_entry(void *context, const struct socket_entry *entry)
{
	memcpy(context, entry, sizeof(*entry));
	return 0;
}

int sockdiag__find(struct sockdiag *diag, const struct sockdiag_key *key, unsigned int extras,
		   struct socket_entry *entry)
{
	struct request request = new_request(AF_UNSPEC, extras);
	struct socket_entry found;
	struct answer answer = { .take = keep_entry, .context = &found, .single = true };
	int err;

	set_key(&request.body, key);
	err = ask(diag, &request, &answer);
	/* The module was there when we began, so -ENOENT is about the socket;
	 * -ESTALE is another cookie. */
	if (err == -ENOENT || err == -ESTALE)
		return -ESRCH;
	if (err)
		return err;
	/* Where there is no such connection the lookup finds the listener. */
	if (!same_endpoint(&found.local, &key->local) || !same_endpoint(&found.remote, &key->remote))
		return -ESRCH;
	*entry = found;
	return 0;
}

/* ---- life ------------------------------------------------------------------ */

static int open_socket(struct sockdiag *diag)
{
	diag->socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	/* A kernel without sock_diag at all has no such netlink protocol. */
	if (!diag->socket)
		return errno == EPROTONOSUPPORT ? -ENOENT : -errno;
	if (mnl_socket_bind(diag->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return 0;
}

static int take_nothing(void *context, const struct socket_entry *entry)
{
	(void)context;
	(void)entry;
	return 0;
}

struct sockdiag *sockdiag__new(void)
{
	struct sockdiag *diag = malloc(sizeof(*diag));
	struct answer answer = { .take = take_nothing };
	int err;

	if (!diag)
		return NULL;
	diag->sequence = 0;
	err = open_socket(diag);
	/* A dump of no state at all costs nothing and finds tcp_diag missing. */
	if (!err)
		err = dump_family(diag, new_request(AF_INET, 0), AF_INET, &answer);
	if (err) {
		sockdiag__free(diag);
		errno = -err;
		return NULL;
	}
	return diag;
}

void sockdiag__free(struct sockdiag *diag)
{
	if (!diag)
		return;
	if (diag->socket)
		mnl_socket_close(diag->socket);
	free(diag);
}
