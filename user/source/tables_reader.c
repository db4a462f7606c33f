// SPDX-License-Identifier: BSD-2-Clause
/*
 * The reader of the kernel's tables: a process of its own, single-minded. It
 * keeps what the tables take and nothing else, opens nothing for writing,
 * makes no connection and starts no program. Its life is that of its socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/syscalls.h"
#include "source/tables.h"
#include "source/tables_wire.h"

enum { SOCKET_FD = STDERR_FILENO + 1 };

/* To enter a namespace, to see other users' processes, to open a cgroup by its
 * id. sock_diag wants none. */
static const uint64_t kept_capabilities =
	CAPABILITY(CAP_SYS_ADMIN) | CAPABILITY(CAP_SYS_PTRACE) | CAPABILITY(CAP_DAC_READ_SEARCH);

/* What open() must not be asked for. */
#define WRITING ((uint64_t)(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY)))

static const struct syscall_rule reading_calls[] = {
	/* /proc, cgroups, names of namespaces */
	CALL("fstatfs"),
	CALL("getdents64"),
	CALL("getrusage"),
	CALL("newfstatat"),
	CALL_IF("open", 1, WRITING, O_RDONLY),
	CALL_IF("open_by_handle_at", 2, WRITING, O_RDONLY),
	CALL_IF("openat", 2, WRITING, O_RDONLY),
	CALL("readlink"),
	CALL("readlinkat"),
	CALL("stat"),
	CALL("statfs"),
	CALL("statx"),
	/* namespaces */
	CALL_IF("setns", 1, UINT32_MAX, CLONE_NEWNET),
	CALL_IF("ioctl", 1, UINT32_MAX, NS_GET_NSTYPE),
	/* sock_diag, and an iterator of a program that is loaded already */
	CALL_IF("socket", 0, UINT32_MAX, AF_NETLINK),
	CALL("bind"),
	CALL("getsockname"),
	CALL("setsockopt"),
	CALL("recvfrom"),
	CALL("recvmsg"),
	CALL("sendto"),
	CALL("sendmsg"),
	CALL_IF("bpf", 0, UINT32_MAX, BPF_ITER_CREATE),
	{ .name = NULL },
};

struct reader {
	struct holders_options *options; /* owned */
	struct cgroup_root cgroups;
	struct reply reply;
};

/* ---- words ---- */

static int say(const struct reader *reader)
{
	ssize_t n;

	do
		n = send(SOCKET_FD, &reader->reply, reply__bytes(&reader->reply), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static uint64_t us_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

static int say_result(struct reader *reader, int result, size_t len)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	reader->reply.user_us = us_of(&usage.ru_utime);
	reader->reply.system_us = us_of(&usage.ru_stime);
	reader->reply.resident_bytes = (uint64_t)usage.ru_maxrss * 1024;
	reader->reply.kind = REPLY_RESULT;
	reader->reply.result = result;
	reader->reply.len = (uint32_t)len;
	return say(reader);
}

/* One word of exactly this size; -EPIPE: there will be none. */
static int hear(void *word, size_t len)
{
	ssize_t n;

	do
		n = recv(SOCKET_FD, word, len, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : -EPIPE;
}

/* Sends what has gathered, and waits until it has been taken. */
static int hand_over(struct reader *reader)
{
	struct go_on word;
	int err;

	reader->reply.kind = REPLY_ROWS;
	err = say(reader);
	if (!err)
		err = hear(&word, sizeof(word));
	reader->reply.len = 0;
	return err ? err : word.more ? 0 : -ECANCELED;
}

static int add_row(struct reader *reader, const void *row, size_t len)
{
	struct reply *reply = &reader->reply;
	int err = reply->len + len > sizeof(reply->data) ? hand_over(reader) : 0;

	if (err)
		return err;
	memcpy(reply->data + reply->len, row, len);
	reply->len += (uint32_t)len;
	return 0;
}

/* ---- questions ---- */

static int add_record(void *context, const void *record, size_t len)
{
	const struct ev_header *header = record;
	int err = add_row(context, record, len);

	/* Whoever asked must know of a dump before its first row is read. */
	if (!err && header->kind == EV_DUMP)
		err = hand_over(context);
	return err;
}

static int tell_records(struct reader *reader, const struct question *question)
{
	const struct kernel_filter *terms = &question->terms;

	switch (question->kind) {
	case ASK_LISTENERS:
		return snapshot__take(question->netns, question->extras, add_record, reader);
	case ASK_SOCKETS:
		return snapshot__sockets(terms, question->states, question->extras, add_record, reader);
	case ASK_UNREAD:
		return snapshot__unread(terms, question->max, add_record, reader);
	default:
		return snapshot__all(terms, question->extras, add_record, reader);
	}
}

static int serve_records(struct reader *reader, const struct question *question)
{
	int result = tell_records(reader, question);

	if (reader->reply.len && !result)
		result = hand_over(reader);
	return say_result(reader, result, 0);
}

static int serve_holders(struct reader *reader, const struct question *question)
{
	struct holders_told told = { 0 };
	struct holders holders;
	int result = -EOPNOTSUPP;

	if (reader->options)
		result = holders__load(&holders, reader->options, (uint16_t)question->port,
				       question->netns);
	if (result)
		return say_result(reader, result, 0);
	for (size_t i = 0; i < holders.count && !result; i++)
		result = add_row(reader, &holders.list[i], sizeof(holders.list[i]));
	if (reader->reply.len && !result)
		result = hand_over(reader);
	told.unseen = holders.unseen;
	told.options_error = holders.options_error;
	told.netns_visited = holders.netns_visited;
	told.taken_ns = holders.taken_ns;
	holders__fini(&holders);
	memcpy(reader->reply.data, &told, sizeof(told));
	return say_result(reader, result, sizeof(told));
}

static int serve_cgroup(struct reader *reader, const struct question *question)
{
	ssize_t len = cgroup_root__path_of(&reader->cgroups, question->cgroup, reader->reply.data,
					   sizeof(reader->reply.data));

	return say_result(reader, (int)len, len > 0 ? (size_t)len : 0);
}

static bool is_list(const struct kernel_filter_ports *ports)
{
	return ports->count <= KERNEL_FILTER_PORTS;
}

static bool is_sound(const struct question *question)
{
	const struct kernel_filter *terms = &question->terms;

	return question->kind && question->kind < ASK_END && question->port <= UINT16_MAX &&
	       (question->kind != ASK_UNREAD || question->max) &&
	       !(question->extras & ~(uint32_t)(SNAPSHOT_OWNERS | SNAPSHOT_REQUESTS)) &&
	       !(question->states & ~SOCKET_STATES) && is_list(&terms->local_ports) &&
	       is_list(&terms->remote_ports) && is_list(&terms->either_ports);
}

/* Until nobody asks any more, or asks what is no question. */
static void serve(struct reader *reader)
{
	struct question question;
	int err = 0;

	while (!err && !hear(&question, sizeof(question)) && is_sound(&question)) {
		reader->reply.len = 0;
		err = question.kind == ASK_HOLDERS ? serve_holders(reader, &question) :
		      question.kind == ASK_CGROUP  ? serve_cgroup(reader, &question) :
						     serve_records(reader, &question);
	}
}

/* ---- life cycle ---- */

/* Nothing of the parent's is left but stderr: its standard output would not end
 * with it. What ends it is its socket: a Ctrl-C is for the parent. */
static int leave_home(int socket, const char *title)
{
	sigset_t all;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, title, 0, 0, 0);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (socket != SOCKET_FD && dup2(socket, SOCKET_FD) < 0))
		return -errno;
	fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
	return close_range(SOCKET_FD + 1, UINT32_MAX, 0) ? -errno : 0;
}

/* The order matters: a change of user forgets the parent's death. */
static int confine(const struct identity *user, int parent)
{
	static const struct syscall_rule *const allowed[] = { syscalls_of_libc, reading_calls, NULL };
	int err = identity__become(user, kept_capabilities);

	if (!err && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		err = -errno;
	if (!err && getppid() != parent)
		err = -ESRCH;
	if (err)
		return err;
	err = syscalls__allow_only(allowed);
	return err == -EINVAL || err == -ENOSYS ? 0 : err; /* a kernel without: the parent says so */
}

int tables_reader__run(int socket, const struct tables_config *config, int parent)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int err = leave_home(socket, config->title);

	if (!reader || err)
		return EXIT_FAILED;
	if (config->holders)
		reader->options = holders_options__new();
	reader->cgroups.fd = cgroup_root__open();
	err = confine(config->user, parent);
	if (err)
		log__line("agent: what reads the kernel's tables cannot give up its privileges: %s",
			  strerror(-err));
	if (!say_result(reader, err, 0) && !err)
		serve(reader);
	return err ? EXIT_FAILED : EXIT_DONE;
}
