// SPDX-License-Identifier: BSD-2-Clause
#include "model/bind_rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* What an AF_INET6 socket with an address of its own shows as an IPv4 one: no
 * address, but one that nobody else has (LOOPBACK4_IPV6, net/ipv6.h). */
static const uint8_t no_v4[4] = { 127, 0, 0, 6 };

static bool is_any6(const uint8_t addr[16])
{
	static const uint8_t any[16];

	return !memcmp(addr, any, sizeof(any));
}

/* sk_rcv_saddr, which every socket has besides its IPv6 address. */
static uint32_t v4_side(const uint8_t addr[16])
{
	uint32_t v4 = 0;

	if (addr__is_v4(addr))
		memcpy(&v4, addr + 12, sizeof(v4));
	else if (!is_any6(addr))
		memcpy(&v4, no_v4, sizeof(v4));
	return v4;
}

/* ipv4_rcv_saddr_equal() with wildcards on both sides. */
static bool overlap_v4(uint32_t mine, uint32_t its, bool its_v6only)
{
	return !its_v6only && (mine == its || !mine || !its);
}

/* inet6_bind() sets it for an address of IPv6's own: nothing of IPv4 goes there. */
static bool own_v6only(const struct bind_request *request)
{
	return request->v6only || (!is_any6(request->addr) && !addr__is_v4(request->addr));
}

/* ipv6_rcv_saddr_equal(); to it a holder of AF_INET is v4-mapped. */
static bool overlap_v6(const struct bind_request *request, const uint8_t its[16], bool its_v6only)
{
	const uint8_t *mine = request->addr;
	bool mine_mapped = addr__is_v4(mine), its_mapped = addr__is_v4(its);

	if (mine_mapped && its_mapped)
		return overlap_v4(v4_side(mine), v4_side(its), its_v6only);
	if (is_any6(mine) && is_any6(its))
		return true;
	if (is_any6(its) && !(its_v6only && mine_mapped))
		return true;
	if (is_any6(mine) && !(own_v6only(request) && its_mapped))
		return true;
	return !memcmp(mine, its, 16);
}

/* inet_rcv_saddr_equal() */
static bool overlap(const struct bind_request *request, const struct holder *holder, bool its_v6only)
{
	if (request->family == AF_INET6)
		return overlap_v6(request, holder->local.addr, its_v6only);
	return overlap_v4(v4_side(request->addr), v4_side(holder->local.addr), its_v6only);
}

/* inet_csk_bind_conflict(): a minisocket shares a port with everybody's. */
static bool may_share_tcp(const struct bind_request *request, const struct holder *holder,
			  bool reuseaddr, bool reuseport)
{
	if (request->reuseaddr && reuseaddr && holder->state != EV_LISTEN)
		return true;
	return request->reuseport && reuseport && (holder->mini || holder->uid == request->uid);
}

/* udp_lib_lport_inuse() */
static bool may_share_udp(const struct bind_request *request, const struct holder *holder,
			  bool reuseaddr, bool reuseport)
{
	return (request->reuseaddr && reuseaddr) ||
	       (request->reuseport && reuseport && holder->uid == request->uid);
}

/* One reading of what is not known: each option of the holder can only help,
 * so that "all of it no" and "all of it yes" are the two ends. */
static bool conflicts_if(const struct bind_request *request, const struct holder *holder,
			 enum answer unknown)
{
	bool reuseaddr = (holder->reuseaddr ? holder->reuseaddr : unknown) == ANSWER_YES;
	bool reuseport = (holder->reuseport ? holder->reuseport : unknown) == ANSWER_YES;
	bool v6only = (holder->v6only ? holder->v6only : unknown) == ANSWER_YES;

	if (!overlap(request, holder, v6only))
		return false;
	if (request->protocol == IPPROTO_UDP)
		return !may_share_udp(request, holder, reuseaddr, reuseport);
	return !may_share_tcp(request, holder, reuseaddr, reuseport);
}

static enum answer answer_of(bool at_most, bool at_least)
{
	if (!at_most)
		return ANSWER_NO;
	return at_least ? ANSWER_YES : ANSWER_UNKNOWN;
}

enum answer bind_rules__conflict(const struct bind_request *request, const struct holder *holder)
{
	return answer_of(conflicts_if(request, holder, ANSWER_NO),
			 conflicts_if(request, holder, ANSWER_YES));
}

enum answer bind_rules__overlap(const struct bind_request *request, const struct holder *holder)
{
	bool known = holder->v6only != ANSWER_UNKNOWN;
	bool v6only = holder->v6only == ANSWER_YES;

	return answer_of(overlap(request, holder, known && v6only),
			 overlap(request, holder, !known || v6only));
}

static bool is_asked_about(const struct bind_request *request, const struct holder *holder)
{
	return holder->protocol == request->protocol && holder->netns == request->netns &&
	       holder->local.port == request->port;
}

/* Two UDP sockets with SO_REUSEPORT of one user meet: the kernel looks no further
 * once it has met such a holder. Unless SO_REUSEADDR has it passed over before. */
static bool ends_the_search(const struct bind_request *request, const struct holder *holder)
{
	return request->protocol == IPPROTO_UDP && request->reuseport && holder->reuseport != ANSWER_NO &&
	       holder->uid == request->uid && !(request->reuseaddr && holder->reuseaddr == ANSWER_YES) &&
	       bind_rules__overlap(request, holder) != ANSWER_NO;
}

static void count_conflict(struct bind_outcome *outcome, const struct holder *holder)
{
	outcome->conflicts++;
	if (!holder->mini)
		outcome->ends_by_itself = false;
	else if (holder->expires_ms > outcome->wait_ms)
		outcome->wait_ms = holder->expires_ms;
}

static void conclude(struct bind_outcome *outcome, bool shared)
{
	outcome->order_decides = outcome->conflicts && shared;
	if (outcome->order_decides || (outcome->doubtful && !outcome->conflicts))
		outcome->succeeds = ANSWER_UNKNOWN;
	else
		outcome->succeeds = outcome->conflicts ? ANSWER_NO : ANSWER_YES;
	outcome->error = outcome->succeeds == ANSWER_NO ? EADDRINUSE : 0;
	/* When a doubtful one may outlive the others nothing is promised. */
	if (outcome->succeeds != ANSWER_NO || outcome->doubtful)
		outcome->ends_by_itself = false;
	if (!outcome->ends_by_itself)
		outcome->wait_ms = 0;
}

void bind_rules__judge(const struct bind_request *request, const struct holder *holders, size_t count,
		       struct bind_outcome *outcome)
{
	bool shared = false;

	*outcome = (struct bind_outcome){ .ends_by_itself = true };
	for (size_t i = 0; i < count; i++) {
		enum answer conflict;

		if (!is_asked_about(request, &holders[i]))
			continue;
		conflict = bind_rules__conflict(request, &holders[i]);
		shared |= conflict != ANSWER_YES && ends_the_search(request, &holders[i]);
		if (conflict == ANSWER_YES)
			count_conflict(outcome, &holders[i]);
		outcome->doubtful += conflict == ANSWER_UNKNOWN;
	}
	conclude(outcome, shared);
}

static bool is_link_local(const uint8_t addr[16])
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

static enum bind_obstacle obstacle_v4(const struct bind_request *request, const struct bind_place *place)
{
	if (place->local == ANSWER_NO)
		return BIND_ADDRESS_FOREIGN;
	return request->port < place->first_unprivileged && !place->capable ? BIND_PRIVILEGED : BIND_CLEAR;
}

static enum bind_obstacle obstacle_v6(const struct bind_request *request, const struct bind_place *place)
{
	if (place->ipv6 == ANSWER_NO)
		return BIND_NO_IPV6;
	if (request->protocol == IPPROTO_TCP && request->addr[0] == 0xff)
		return BIND_MULTICAST;
	if (request->port < place->first_unprivileged && !place->capable)
		return BIND_PRIVILEGED;
	if (request->v6only && addr__is_v4(request->addr))
		return BIND_MAPPED_V6ONLY;
	if (is_link_local(request->addr))
		return BIND_LINK_LOCAL;
	return place->local == ANSWER_NO ? BIND_ADDRESS_FOREIGN : BIND_CLEAR;
}

enum bind_obstacle bind_rules__obstacle(const struct bind_request *request, const struct bind_place *place)
{
	return request->family == AF_INET6 ? obstacle_v6(request, place) : obstacle_v4(request, place);
}

void bind_rules__refuse(enum bind_obstacle obstacle, struct bind_outcome *outcome)
{
	static const int errors[BIND_OBSTACLES] = {
		[BIND_NO_IPV6] = EAFNOSUPPORT, [BIND_MAPPED_V6ONLY] = EINVAL,
		[BIND_LINK_LOCAL] = EINVAL,    [BIND_MULTICAST] = EINVAL,
		[BIND_PRIVILEGED] = EACCES,    [BIND_ADDRESS_FOREIGN] = EADDRNOTAVAIL,
	};

	*outcome = (struct bind_outcome){ .succeeds = ANSWER_NO,
					  .error = errors[obstacle],
					  .obstacle = obstacle };
}

bool bind_request__is_wildcard(const struct bind_request *request)
{
	if (request->family == AF_INET)
		return !v4_side(request->addr);
	return is_any6(request->addr);
}
