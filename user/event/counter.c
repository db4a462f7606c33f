// SPDX-License-Identifier: BSD-2-Clause
#include "event/counter.h"

/* net/ipv4/proc.c: snmp4_net_list[], snmp4_tcp_list[]. */
static const struct {
	const char *group;
	const char *name;
} counters[EV_COUNTER_END] = {
	[EV_COUNT_LISTEN_OVERFLOWS] = { "TcpExt", "ListenOverflows" },
	[EV_COUNT_LISTEN_DROPS] = { "TcpExt", "ListenDrops" },
	[EV_COUNT_SYN_QUEUE_FULL_DROPS] = { "TcpExt", "TCPReqQFullDrop" },
	[EV_COUNT_SYN_QUEUE_FULL_COOKIES] = { "TcpExt", "TCPReqQFullDoCookies" },
	[EV_COUNT_COOKIES_SENT] = { "TcpExt", "SyncookiesSent" },
	[EV_COUNT_COOKIES_RECEIVED] = { "TcpExt", "SyncookiesRecv" },
	[EV_COUNT_COOKIES_FAILED] = { "TcpExt", "SyncookiesFailed" },
	[EV_COUNT_EMBRYONIC_RESETS] = { "TcpExt", "EmbryonicRsts" },
	[EV_COUNT_PASSIVE_OPENS] = { "Tcp", "PassiveOpens" },
	[EV_COUNT_FASTOPEN_PASSIVE] = { "TcpExt", "TCPFastOpenPassive" },
	[EV_COUNT_FASTOPEN_OVERFLOWS] = { "TcpExt", "TCPFastOpenListenOverflow" },
	[EV_COUNT_TIMEOUTS] = { "TcpExt", "TCPTimeouts" },
	[EV_COUNT_TIMEWAIT_OVERFLOWS] = { "TcpExt", "TCPTimeWaitOverflow" },
};

const char *counter__name(unsigned int counter)
{
	return counter < EV_COUNTER_END ? counters[counter].name : 0;
}

const char *counter__group(unsigned int counter)
{
	return counter < EV_COUNTER_END ? counters[counter].group : 0;
}
