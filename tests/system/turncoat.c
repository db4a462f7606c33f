// SPDX-License-Identifier: BSD-2-Clause
/*
 * Makes connections on loopback, one right after the other and all on one CPU, and is
 * somebody else for each: another user, by another name, and as asked for in the next
 * cgroup and in the next network namespace. Prints a line for each: the client's port, the
 * user, the name, and the numbers of the cgroup and of the namespace, from 0.
 *
 * Usage: turncoat CONNECTIONS [cgroup:DIRECTORY...] [netns:FILE...]
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLACES_MAX = 8, USERS = 5, NAME_BYTES = 16 };

struct place {
	int fd;
	int listener;
	struct sockaddr_in address;
};

static struct place cgroups[PLACES_MAX], namespaces[PLACES_MAX];
static unsigned int cgroup_count, namespace_count;

static int opened(const char *directory, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s%s", directory, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void stay_on_one_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "sched_setaffinity");
}

static void enter(const struct place *namespace)
{
	if (namespace->fd >= 0 && setns(namespace->fd, CLONE_NEWNET))
		err(1, "setns");
}

static void listen_in(struct place *namespace)
{
	socklen_t len = sizeof(namespace->address);

	enter(namespace);
	namespace->address = (struct sockaddr_in){ .sin_family = AF_INET,
						   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	namespace->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (namespace->listener < 0 ||
	    bind(namespace->listener, (struct sockaddr *)&namespace->address, len) ||
	    listen(namespace->listener, 8) ||
	    getsockname(namespace->listener, (struct sockaddr *)&namespace->address, &len))
		err(1, "listen");
}

/* The effective user stays, lest there be no way back. */
static void become(unsigned int user, const char name[NAME_BYTES])
{
	if (setresuid(user, (uid_t)-1, (uid_t)-1) || prctl(PR_SET_NAME, name))
		err(1, "become user %u", user);
	if (cgroup_count && write(cgroups[user % cgroup_count].fd, "0", 1) != 1)
		err(1, "cgroup %u", user % cgroup_count);
}

static unsigned int port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &len))
		err(1, "getsockname");
	return ntohs(address.sin_port);
}

/* From the first transition to the last: the server's FIN comes after the client's. */
static unsigned int connect_and_close(const struct place *namespace)
{
	const struct sockaddr *to = (const struct sockaddr *)&namespace->address;
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	unsigned int port;

	if (client < 0 || connect(client, to, sizeof(namespace->address)))
		err(1, "connect");
	port = port_of(client);
	server = accept4(namespace->listener, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		err(1, "accept");
	close(client);
	close(server);
	return port;
}

static void read_places(char **words)
{
	for (; *words; words++) {
		bool is_cgroup = !strncmp(*words, "cgroup:", 7);

		if ((is_cgroup ? cgroup_count : namespace_count) == PLACES_MAX)
			errx(2, "at most %d of each", PLACES_MAX);
		if (is_cgroup)
			cgroups[cgroup_count++].fd = opened(*words + 7, "/cgroup.procs", O_WRONLY);
		else if (!strncmp(*words, "netns:", 6))
			namespaces[namespace_count++].fd = opened(*words + 6, "", O_RDONLY);
		else
			errx(2, "%s: neither cgroup:DIRECTORY nor netns:FILE", *words);
	}
	if (!namespace_count)
		namespaces[namespace_count++].fd = -1; /* where it is */
}

int main(int argc, char **argv)
{
	unsigned int connections = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0;

	if (!connections)
		errx(2, "usage: turncoat CONNECTIONS [cgroup:DIRECTORY...] [netns:FILE...]");
	read_places(argv + 2);
	stay_on_one_cpu();
	for (unsigned int i = 0; i < namespace_count; i++)
		listen_in(&namespaces[i]);
	for (unsigned int i = 0; i < connections; i++) {
		const struct place *namespace = &namespaces[i % namespace_count];
		unsigned int user = i % USERS;
		char name[NAME_BYTES];

		/* A long one, then a short one. */
		snprintf(name, sizeof(name), i % 2 ? "%u" : "the-long-one-%u", i % 10);
		enter(namespace);
		become(user, name);
		printf("%u %u %s %u %u\n", connect_and_close(namespace), user, name,
		       cgroup_count ? user % cgroup_count : 0, i % namespace_count);
	}
	return 0;
}
