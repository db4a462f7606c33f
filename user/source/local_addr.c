// SPDX-License-Identifier: BSD-2-Clause
#include "source/local_addr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "event/connection.h"

enum { BUFFER_BYTES = 32 * 1024 };

struct query {
	const uint8_t *addr;
	bool local;
};

/* ---- what comes back ---- */

/* A route to it: is it one of ours? */
static int take_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct query *query = context;

	if (message->nlmsg_type == RTM_NEWROUTE)
		query->local = route->rtm_type == RTN_LOCAL || route->rtm_type == RTN_BROADCAST ||
			       route->rtm_type == RTN_MULTICAST;
	return MNL_CB_STOP; /* one answer, no end behind it */
}

/* The local address stands in IFA_LOCAL where there is a peer, else in
 * IFA_ADDRESS; IPv6 knows both. IFA_FLAGS is wider than the byte in the head,
 * which holds all that matters here. */
static int take_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr, *address = NULL;
	struct query *query = context;

	if (message->nlmsg_type != RTM_NEWADDR || head->ifa_family != AF_INET6)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		unsigned int type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !address))
			address = attr;
	}
	if (address && mnl_attr_get_payload_len(address) == 16 &&
	    !memcmp(mnl_attr_get_payload(address), query->addr, 16))
		query->local |= !(head->ifa_flags & IFA_F_TENTATIVE) || head->ifa_flags & IFA_F_OPTIMISTIC;
	return MNL_CB_OK;
}

/* ---- asking ---- */

static int run_query(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t take,
		     struct query *query)
{
	static const unsigned int sequence = 1;
	char buffer[BUFFER_BYTES];
	int verdict = MNL_CB_OK;

	message->nlmsg_seq = sequence;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (verdict > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		verdict = mnl_cb_run(buffer, (size_t)len, sequence, mnl_socket_get_portid(socket), take,
				     query);
	}
	return verdict < 0 ? -errno : 0;
}

static int ask_route(struct mnl_socket *socket, struct query *query)
{
	char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route;
	int err;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	route->rtm_family = AF_INET;
	route->rtm_dst_len = 32;
	mnl_attr_put(message, RTA_DST, 4, query->addr + 12);
	err = run_query(socket, message, take_route, query);
	/* No way there: not one of ours. */
	return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EINVAL || err == -EACCES ? 0 : err;
}

static int take_any_route(const struct nlmsghdr *message, void *context)
{
	struct query *query = context;

	query->local |= message->nlmsg_type == RTM_NEWROUTE;
	return MNL_CB_OK;
}

/* Is there anything in the table of local routes? Of another socket: what it
 * takes to ask for one table alone (since 4.20) would change other questions. */
static int ask_local_table(bool *any)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct query query = { 0 };
	struct rtmsg *route;
	int strict = 1, err = socket ? 0 : -errno;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	route->rtm_family = AF_INET;
	route->rtm_table = RT_TABLE_LOCAL;
	if (!err && (mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict)) ||
		     mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID)))
		err = -errno;
	if (!err)
		err = run_query(socket, message, take_any_route, &query);
	if (socket)
		mnl_socket_close(socket);
	*any = query.local;
	return err == -ENOENT ? 0 : err; /* no such table */
}

/*
 * Before a namespace gets its first address it has no table of local routes, and
 * then every address may be bound (__inet_dev_addr_type()); when the last one is
 * gone the table is empty, and none may. The two look alike.
 */
static int check_empty_table(void)
{
	bool any = false;
	int err = ask_local_table(&any);

	if (err)
		return err;
	return any ? 0 : -ENODATA;
}

static int ask_addresses(struct mnl_socket *socket, struct query *query)
{
	char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *head;

	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->ifa_family = AF_INET6;
	return run_query(socket, message, take_address, query);
}

int local_addr__check(const uint8_t addr[16], bool *local)
{
	static const uint8_t any[16];
	bool v4 = addr__is_v4(addr);
	struct query query = { .addr = addr };
	struct mnl_socket *socket;
	int err;

	query.local = !memcmp(addr + (v4 ? 12 : 0), any, v4 ? 4 : 16) || (!v4 && addr[0] == 0xff);
	if (query.local) {
		*local = true;
		return 0;
	}
	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	err = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (!err)
		err = v4 ? ask_route(socket, &query) : ask_addresses(socket, &query);
	mnl_socket_close(socket);
	if (!err && v4 && !query.local)
		err = check_empty_table();
	*local = query.local;
	return err;
}

bool local_addr__has_ipv6(void)
{
	return !access("/proc/thread-self/net/if_inet6", F_OK);
}
