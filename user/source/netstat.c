// SPDX-License-Identifier: BSD-2-Clause
#include "source/netstat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/netns.h"

enum {
	/* Two files of 2 to 5 KiB today. */
	READ_BYTES = 16 * 1024,
	TEXT_MAX_BYTES = 1024 * 1024,
	/* Every second port reserved: 32,768 numbers of five digits and a comma. */
	RESERVED_TEXT_BYTES = 256 * 1024,
};

/* ---- counters ---------------------------------------------------------------- */

/* Offsets, because the text moves when the second file is read. */
struct netstat_counter {
	uint32_t group;
	uint32_t name;
	uint16_t group_len;
	uint16_t name_len;
	uint64_t value;
};

/* A word or a line within the text. */
struct span {
	const char *at;
	size_t len;
};

void netstat__init(struct netstat *stat)
{
	*stat = (struct netstat){ 0 };
	strbuf__init(&stat->text);
}

void netstat__fini(struct netstat *stat)
{
	free(stat->counters);
	strbuf__fini(&stat->text);
	netstat__init(stat);
}

/* Takes what stands before the separator off rest; all of it if there is none. */
static struct span split(struct span *rest, char separator)
{
	const char *end = memchr(rest->at, separator, rest->len);
	struct span first = { rest->at, end ? (size_t)(end - rest->at) : rest->len };
	size_t taken = first.len + (end != NULL);

	rest->at += taken;
	rest->len -= taken;
	return first;
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static bool parse_number(struct span word, uint64_t *value)
{
	bool negative = word.len && *word.at == '-';
	uint64_t sum = 0;

	if (word.len == negative)
		return false;
	for (size_t i = negative; i < word.len; i++) {
		unsigned int digit = (unsigned int)(word.at[i] - '0');

		if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, digit, &sum))
			return false;
	}
	*value = negative ? -sum : sum;
	return true;
}

static int append_counter(struct netstat *stat, struct netstat_counter counter)
{
	if (stat->count == stat->capacity) {
		size_t capacity = stat->capacity ? stat->capacity * 2 : 256;
		void *counters = reallocarray(stat->counters, capacity, sizeof(counter));

		if (!counters)
			return -ENOMEM;
		stat->counters = counters;
		stat->capacity = capacity;
	}
	stat->counters[stat->count++] = counter;
	return 0;
}

static int add_counter(struct netstat *stat, struct span group, struct span name, uint64_t value)
{
	const char *text = stat->text.data;

	/* No kernel writes such a name; a longer one would not fit the record. */
	if (group.len > UINT16_MAX || name.len > UINT16_MAX)
		return 0;
	return append_counter(stat, (struct netstat_counter){
					    .group = (uint32_t)(group.at - text),
					    .group_len = (uint16_t)group.len,
					    .name = (uint32_t)(name.at - text),
					    .name_len = (uint16_t)name.len,
					    .value = value,
				    });
}

static int add_pair(struct netstat *stat, struct span group, struct span names, struct span values)
{
	uint64_t value;
	int err = 0;

	while (!err && names.len) {
		struct span name = split(&names, ' ');
		struct span word = split(&values, ' ');

		if (name.len && parse_number(word, &value))
			err = add_counter(stat, group, name, value);
	}
	return err;
}

/* Two lines of the same group are names and values; a line that does not go
 * with the next one is passed over. */
static int parse_text(struct netstat *stat, struct span text)
{
	struct span names = { 0 }, names_group = { 0 };
	int err = 0;

	while (!err && text.len) {
		struct span values = split(&text, '\n');
		struct span group = split(&values, ':');

		if (names.at && same(group, names_group)) {
			/* Both still have the blank that follows the colon. */
			split(&names, ' ');
			split(&values, ' ');
			err = add_pair(stat, group, names, values);
			names = (struct span){ 0 };
		} else {
			names = values;
			names_group = group;
		}
	}
	return err;
}

static int read_all(struct strbuf *text, int fd)
{
	for (;;) {
		char *room = strbuf__grow(text, READ_BYTES);
		ssize_t len;

		if (!room)
			return -ENOMEM;
		len = read(fd, room, READ_BYTES);
		if (len < 0 && errno != EINTR)
			return -errno;
		if (len == 0)
			return 0;
		if (len > 0)
			text->len += (size_t)len;
		if (text->len > TEXT_MAX_BYTES)
			return -EFBIG;
	}
}

int netstat__add(struct netstat *stat, int fd)
{
	size_t before = stat->text.len;
	int err = read_all(&stat->text, fd);

	if (err) {
		stat->text.len = before;
		return err;
	}
	return parse_text(stat, (struct span){ stat->text.data + before, stat->text.len - before });
}

static int add_path(struct netstat *stat, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = netstat__add(stat, fd);
	close(fd);
	return err;
}

static void clear(struct netstat *stat)
{
	strbuf__clear(&stat->text);
	stat->count = 0;
}

int netstat__load(struct netstat *stat)
{
	int err;

	clear(stat);
	/* /proc/net would be that of the process's first thread. */
	err = add_path(stat, "/proc/thread-self/net/netstat");
	if (!err)
		err = add_path(stat, "/proc/thread-self/net/snmp");
	if (err)
		clear(stat);
	return err;
}

bool netstat__get(const struct netstat *stat, const char *group, const char *name, uint64_t *value)
{
	const char *text = stat->text.data;
	struct span wanted_group = { group, strlen(group) };
	struct span wanted_name = { name, strlen(name) };

	for (size_t i = 0; i < stat->count; i++) {
		const struct netstat_counter *c = &stat->counters[i];

		if (same(wanted_name, (struct span){ text + c->name, c->name_len }) &&
		    same(wanted_group, (struct span){ text + c->group, c->group_len })) {
			*value = c->value;
			return true;
		}
	}
	return false;
}

/* ---- settings ---------------------------------------------------------------- */

static const struct {
	const char *name;
	enum sysctl_id first;
	unsigned int count; /* numbers in the file */
} files[] = {
	{ "net.core.somaxconn", SYSCTL_SOMAXCONN, 1 },
	{ "net.ipv4.tcp_max_syn_backlog", SYSCTL_MAX_SYN_BACKLOG, 1 },
	{ "net.ipv4.tcp_syncookies", SYSCTL_SYNCOOKIES, 1 },
	{ "net.ipv4.tcp_abort_on_overflow", SYSCTL_ABORT_ON_OVERFLOW, 1 },
	{ "net.ipv4.tcp_max_tw_buckets", SYSCTL_MAX_TW_BUCKETS, 1 },
	{ "net.ipv4.tcp_tw_reuse", SYSCTL_TW_REUSE, 1 },
	{ "net.ipv4.tcp_fin_timeout", SYSCTL_FIN_TIMEOUT, 1 },
	{ "net.ipv4.ip_local_port_range", SYSCTL_PORT_LOW, 2 },
	{ "net.ipv4.tcp_syn_retries", SYSCTL_SYN_RETRIES, 1 },
	{ "net.ipv4.tcp_synack_retries", SYSCTL_SYNACK_RETRIES, 1 },
	{ "net.ipv4.tcp_retries1", SYSCTL_RETRIES1, 1 },
	{ "net.ipv4.tcp_retries2", SYSCTL_RETRIES2, 1 },
	{ "net.ipv4.tcp_orphan_retries", SYSCTL_ORPHAN_RETRIES, 1 },
	{ "net.ipv4.tcp_max_orphans", SYSCTL_MAX_ORPHANS, 1 },
	{ "net.ipv4.tcp_keepalive_time", SYSCTL_KEEPALIVE_TIME, 1 },
	{ "net.ipv4.tcp_rfc1337", SYSCTL_RFC1337, 1 },
	{ "net.ipv4.ip_unprivileged_port_start", SYSCTL_UNPRIVILEGED_PORT, 1 },
	{ "net.ipv4.ip_nonlocal_bind", SYSCTL_NONLOCAL_BIND, 1 },
	{ "net.ipv6.ip_nonlocal_bind", SYSCTL_NONLOCAL_BIND6, 1 },
	{ "net.ipv6.bindv6only", SYSCTL_BINDV6ONLY, 1 },
	{ "net.ipv6.conf.all.disable_ipv6", SYSCTL_DISABLE_IPV6, 1 },
};

static const char reserved_name[] = "net.ipv4.ip_local_reserved_ports";

enum { FILES = sizeof(files) / sizeof(files[0]) };

const char *sysctl_id__name(enum sysctl_id id)
{
	for (unsigned int i = 0; i < FILES; i++)
		if (id >= files[i].first && id < files[i].first + files[i].count)
			return files[i].name;
	return NULL;
}

/* "net.core.somaxconn" is /proc/sys/net/core/somaxconn. */
static int open_setting(const char *name)
{
	char path[96];
	int len = snprintf(path, sizeof(path), "/proc/sys/%s", name);

	for (int i = 0; i < len; i++)
		if (path[i] == '.')
			path[i] = '/';
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* One read: the kernel gives a second one nothing (proc_do_large_bitmap()). The
 * text without its newline, or -errno. */
static ssize_t read_once(const char *name, char *text, size_t size)
{
	int fd = open_setting(name);
	ssize_t len;

	if (fd < 0)
		return -errno;
	do
		len = read(fd, text, size);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len > 0 && text[len - 1] == '\n')
		len--;
	return len;
}

/* "32768	60999": numbers with tabs between. */
static void parse_numbers(struct sysctls *sysctls, unsigned int file, struct span text)
{
	for (unsigned int i = 0; i < files[file].count; i++) {
		enum sysctl_id id = files[file].first + i;
		uint64_t value;

		if (!parse_number(split(&text, '\t'), &value))
			continue;
		sysctls->value[id] = (int64_t)value;
		sysctls->known |= 1U << id;
	}
}

/* "8080,9000-9100" to bits. What is no range of ports is passed over. */
static void parse_reserved(struct sysctls *sysctls, struct span text)
{
	while (text.len) {
		struct span last_word = split(&text, ',');
		struct span first_word = split(&last_word, '-');
		uint64_t first, last;

		if (!parse_number(first_word, &first))
			continue;
		if (!parse_number(last_word, &last))
			last = first;
		for (; first <= last && first < PORTS; first++)
			sysctls->reserved[first / 8] |= (uint8_t)(1U << first % 8);
	}
}

static void load_reserved(struct sysctls *sysctls)
{
	char *text = malloc(RESERVED_TEXT_BYTES);
	ssize_t len;

	if (!text)
		return;
	len = read_once(reserved_name, text, RESERVED_TEXT_BYTES);
	if (len > 0)
		parse_reserved(sysctls, (struct span){ text, (size_t)len });
	free(text);
}

void sysctls__load(struct sysctls *sysctls)
{
	char text[64];
	ssize_t len;

	*sysctls = (struct sysctls){ 0 };
	for (unsigned int i = 0; i < FILES; i++) {
		len = read_once(files[i].name, text, sizeof(text));
		if (len > 0)
			parse_numbers(sysctls, i, (struct span){ text, (size_t)len });
	}
	load_reserved(sysctls);
}

struct wanted_netns {
	struct sysctls *sysctls;
	uint32_t inode; /* 0: the first one visited, which is the caller's own */
};

enum { FOUND = 1 };

static int load_if_wanted(void *context, const struct netns *netns)
{
	const struct wanted_netns *wanted = context;

	if (wanted->inode && netns->inode != wanted->inode)
		return 0;
	sysctls__load(wanted->sysctls);
	return FOUND;
}

int sysctls__load_netns(struct sysctls *sysctls, uint32_t inode)
{
	struct wanted_netns wanted = { .sysctls = sysctls, .inode = inode };
	const struct netns_visitor visitor = { .inside = load_if_wanted, .context = &wanted };
	int err;

	*sysctls = (struct sysctls){ 0 };
	err = netns__walk(&visitor, NULL);
	if (err == FOUND)
		return 0;
	return err ? err : -ENOENT;
}

bool sysctls__get(const struct sysctls *sysctls, enum sysctl_id id, int64_t *value)
{
	if (!(sysctls->known & 1U << id))
		return false;
	*value = sysctls->value[id];
	return true;
}

bool sysctls__is_reserved(const struct sysctls *sysctls, uint16_t port)
{
	return sysctls->reserved[port / 8] >> port % 8 & 1;
}

uint32_t sysctls__ephemeral_ports(const struct sysctls *sysctls)
{
	int64_t low, high;
	uint32_t ports = 0;

	if (!sysctls__get(sysctls, SYSCTL_PORT_LOW, &low) ||
	    !sysctls__get(sysctls, SYSCTL_PORT_HIGH, &high) || low < 0)
		return 0;
	for (int64_t port = low; port <= high && port < PORTS; port++)
		ports += !sysctls__is_reserved(sysctls, (uint16_t)port);
	return ports;
}
