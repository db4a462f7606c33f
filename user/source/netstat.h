/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a network namespace counts (/proc/net/netstat, /proc/net/snmp) and how
 * it is set (/proc/sys/net). Everything is that of the calling thread's
 * namespace: call it from within netns__walk() for another one.
 */
#ifndef TCPSAGA_SOURCE_NETSTAT_H
#define TCPSAGA_SOURCE_NETSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

/* ---- counters ---- */

struct netstat_counter;

/* A snapshot. Which counters there are is the kernel's choice. */
struct netstat {
	struct strbuf text;		  /* as read; holds the names */
	struct netstat_counter *counters; /* owned */
	size_t count;
	size_t capacity;
};

void netstat__init(struct netstat *stat);
void netstat__fini(struct netstat *stat);

/* Replaces the snapshot by a new one of this namespace. 0 or -errno: then
 * there are none. Some 100 us for 300 counters. */
int netstat__load(struct netstat *stat);

/* Adds the counters of one file in the format of /proc/net/netstat: a line of
 * names and a line of values, both beginning with the group. A name without a
 * value, and a value that is no number, is absent. 0; -EFBIG above 1 MiB;
 * -errno. */
int netstat__add(struct netstat *stat, int fd);

/*
 * Looks up group "TcpExt" and name "ListenOverflows". False when this kernel
 * has no such counter: that is not zero. The few signed ones (Tcp MaxConn) are
 * two's complement. A handful of look-ups: it compares names one by one.
 */
bool netstat__get(const struct netstat *stat, const char *group, const char *name, uint64_t *value);

/* ---- settings ---- */

enum sysctl_id {
	SYSCTL_SOMAXCONN, /* upper bound of every listen() backlog */
	SYSCTL_MAX_SYN_BACKLOG,
	SYSCTL_SYNCOOKIES,
	SYSCTL_ABORT_ON_OVERFLOW,
	SYSCTL_MAX_TW_BUCKETS,
	SYSCTL_TW_REUSE,
	SYSCTL_FIN_TIMEOUT, /* seconds */
	SYSCTL_PORT_LOW,    /* ip_local_port_range, both ends are used */
	SYSCTL_PORT_HIGH,
	SYSCTL_SYN_RETRIES,	  /* a SYN is sent again so often */
	SYSCTL_SYNACK_RETRIES,	  /* a SYN-ACK */
	SYSCTL_RETRIES1,	  /* data, until the route is questioned */
	SYSCTL_RETRIES2,	  /* data, until the connection is given up */
	SYSCTL_ORPHAN_RETRIES,	  /* data and FINs of a closed socket; 0 stands for 8 */
	SYSCTL_MAX_ORPHANS,	  /* of the host; only the first namespace has it */
	SYSCTL_KEEPALIVE_TIME,	  /* seconds */
	SYSCTL_RFC1337,		  /* 1: an RST does not end a TIME_WAIT */
	SYSCTL_UNPRIVILEGED_PORT, /* the first port that anyone may bind */
	SYSCTL_NONLOCAL_BIND,
	SYSCTL_NONLOCAL_BIND6, /* without IPv6 there is none of these three */
	SYSCTL_BINDV6ONLY,     /* what IPV6_V6ONLY begins with */
	SYSCTL_DISABLE_IPV6,   /* of "all" */
	SYSCTL_COUNT
};

enum { PORTS = 65536 };

struct sysctls {
	uint32_t known; /* bit (1 << SYSCTL_*) */
	int64_t value[SYSCTL_COUNT];
	uint8_t reserved[PORTS / 8]; /* ip_local_reserved_ports, a bit a port */
};

/* "net.core.somaxconn"; both ends of the port range have the same name. */
const char *sysctl_id__name(enum sysctl_id id);

/* Reads them all. One that this kernel lacks, or does not let us read, is not
 * known. */
void sysctls__load(struct sysctls *sysctls);

/*
 * The same of the namespace with this inode, from anywhere; 0 is the caller's
 * own. 0, or with nothing known
 *   -ENOENT  no such namespace, or one that we may not enter
 *   -errno   as netns__walk()
 */
int sysctls__load_netns(struct sysctls *sysctls, uint32_t inode);

bool sysctls__get(const struct sysctls *sysctls, enum sysctl_id id, int64_t *value);

bool sysctls__is_reserved(const struct sysctls *sysctls, uint16_t port);

/* How many ports connect() has to choose from for one destination: the range
 * without those reserved. 0 when the range is not known. */
uint32_t sysctls__ephemeral_ports(const struct sysctls *sysctls);

#endif
