// SPDX-License-Identifier: BSD-2-Clause
#include "agent/privileges.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/log.h"
#include "base/syscalls.h"

enum {
	FILE_MODE = 0640,	     /* as the sinks make them */
	FILES_MAX = OUTLETS_MAX + 1, /* and the textfile */
	PLACES_MAX = 2 * FILES_MAX + 8,
};

static const char default_user[] = "tcpsaga";

/* ---- system calls ---- */

/* Files of sinks, the textfile, the configuration that is read again. */
static const struct syscall_rule file_calls[] = {
	CALL("access"),	      CALL("chmod"),	  CALL("chown"),      CALL("dup"),
	CALL("dup2"),	      CALL("dup3"),	  CALL("faccessat"),  CALL("faccessat2"),
	CALL("fadvise64"),    CALL("fallocate"),  CALL("fchmod"),     CALL("fchmodat"),
	CALL("fchown"),	      CALL("fchownat"),	  CALL("fdatasync"),  CALL("flock"),
	CALL("fstatfs"),      CALL("fsync"),	  CALL("ftruncate"),  CALL("getcwd"),
	CALL("getdents64"),   CALL("link"),	  CALL("linkat"),     CALL("lstat"),
	CALL("memfd_create"), /* a long entry for the journal */
	CALL("mkdir"),	      CALL("mkdirat"),	  CALL("newfstatat"), CALL("open"),
	CALL("openat"),	      CALL("pipe2"),	  CALL("pwrite64"),   CALL("pwritev"),
	CALL("readlink"),     CALL("readlinkat"), CALL("rename"),     CALL("renameat"),
	CALL("renameat2"),    CALL("stat"),	  CALL("statfs"),     CALL("statx"),
	CALL("umask"),	      CALL("unlink"),	  CALL("unlinkat"),   CALL("utimensat"),
	{ .name = NULL },
};

/* Metrics, control, sinks, systemd, the readers. */
static const struct syscall_rule socket_calls[] = {
	CALL_IF("socket", 0, UINT32_MAX, AF_UNIX),
	CALL_IF("socket", 0, UINT32_MAX, AF_INET),
	CALL_IF("socket", 0, UINT32_MAX, AF_INET6),
	{ .name = "socket", .mask = UINT32_MAX, .value = AF_NETLINK, .verdict = SYSCALL_REFUSED },
	CALL("accept"),
	CALL("accept4"),
	CALL("bind"),
	CALL("connect"),
	CALL("getpeername"),
	CALL("getsockname"),
	CALL("getsockopt"),
	CALL("listen"),
	CALL("recvfrom"),
	CALL("recvmmsg"),
	CALL("recvmsg"),
	CALL("sendfile"),
	CALL("sendmmsg"),
	CALL("sendmsg"),
	CALL("sendto"),
	CALL("setsockopt"),
	CALL("shutdown"),
	CALL("socketpair"),
	{ .name = NULL },
};

static const struct syscall_rule loop_calls[] = {
	CALL("epoll_create1"),
	CALL("epoll_ctl"),
	CALL("epoll_pwait"),
	CALL("epoll_pwait2"),
	CALL("epoll_wait"),
	CALL("eventfd2"),
	CALL("poll"),
	CALL("ppoll"),
	CALL("pselect6"),
	CALL("rt_sigtimedwait"),
	CALL("select"),
	CALL("signalfd4"),
	CALL("timerfd_create"),
	CALL("timerfd_gettime"),
	CALL("timerfd_settime"),
	/* what it costs; readers that have ended */
	CALL("getgroups"),
	CALL("getrlimit"),
	CALL("getrusage"),
	CALL("prctl"),
	CALL("prlimit64"),
	CALL("setrlimit"),
	CALL("times"),
	CALL("wait4"),
	CALL("waitid"),
	/* is it a terminal; how wide; the probes' end */
	CALL_IF("ioctl", 1, UINT32_MAX, FIONBIO),
	CALL_IF("ioctl", 1, UINT32_MAX, FIONREAD),
	CALL_IF("ioctl", 1, UINT32_MAX, PERF_EVENT_IOC_DISABLE),
	CALL_IF("ioctl", 1, UINT32_MAX, TCGETS),
#ifdef TCGETS2
	CALL_IF("ioctl", 1, UINT32_MAX, TCGETS2),
#endif
	CALL_IF("ioctl", 1, UINT32_MAX, TIOCGWINSZ),
	/* what libraries may want, and do without */
	{ .name = "inotify_init1", .verdict = SYSCALL_REFUSED },
	{ .name = "mlock", .verdict = SYSCALL_REFUSED },
	{ .name = "personality", .verdict = SYSCALL_REFUSED },
	{ .name = "sched_setaffinity", .verdict = SYSCALL_REFUSED },
	{ .name = "sched_setscheduler", .verdict = SYSCALL_REFUSED },
	{ .name = "setpriority", .verdict = SYSCALL_REFUSED },
	{ .name = NULL },
};

static void allow_calls(void)
{
	static const struct syscall_rule *const allowed[] = { syscalls_of_libc, file_calls, socket_calls,
							      loop_calls, NULL };
#ifdef __SANITIZE_ADDRESS__
	(void)allowed;
	log__line("agent: built with sanitizers: its system calls are not narrowed");
#else
	int err = syscalls__allow_only(allowed);

	if (err)
		log__line("agent: its system calls cannot be narrowed on this kernel (seccomp): %s",
			  strerror(-err));
#endif
}

/* ---- files ---- */

/* The directory of a path. Appends nothing, may be ".". */
static void directory_of(const char *path, char directory[SINK_PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int len = slash ? (int)(slash - path) : 0;

	if (!slash)
		snprintf(directory, SINK_PATH_MAX, ".");
	else
		snprintf(directory, SINK_PATH_MAX, "%.*s", len ? len : 1, path);
}

static bool is_special(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* A device or a pipe is written itself; a file is begun anew and renamed. */
static void place_of(const char *path, char place[SINK_PATH_MAX])
{
	if (is_special(path))
		snprintf(place, SINK_PATH_MAX, "%s", path);
	else
		directory_of(path, place);
}

static const char *file_of(const struct agent_config *config, unsigned int i)
{
	if (i < config->outlet_count)
		return config->outlets[i].sink.kind == SINK_FILE ? config->outlets[i].sink.path : NULL;
	return config->textfile;
}

/* Where the file is, and where the one is that a symbolic link leads to. */
static size_t add_places(const char *path, char own[2][SINK_PATH_MAX], struct landlock_place *places)
{
	char *target = realpath(path, NULL);

	place_of(path, own[0]);
	places[0] = (struct landlock_place){ .path = own[0], .writable = true };
	if (!target)
		return 1;
	place_of(target, own[1]);
	free(target);
	places[1] = (struct landlock_place){ .path = own[1], .writable = true };
	return 2;
}

static void allow_files(const struct agent_config *config)
{
	struct landlock_place places[PLACES_MAX] = {
		{ .path = "/proc" },
		{ .path = "/etc/tcpsaga" },
		{ .path = "/usr/lib/tcpsaga" },
		{ .path = "/etc/localtime" },
		{ .path = "/usr/share/zoneinfo" },
	};
	char own[FILES_MAX][2][SINK_PATH_MAX], configuration[SINK_PATH_MAX];
	char control[SINK_PATH_MAX];
	size_t count = 5;
	int err;

	for (unsigned int i = 0; i <= config->outlet_count; i++)
		if (file_of(config, i))
			count += add_places(file_of(config, i), own[i], &places[count]);
	if (config->config_path) {
		directory_of(config->config_path, configuration);
		places[count++] = (struct landlock_place){ .path = configuration };
	}
	if (config->control) { /* its socket is taken away at the end */
		directory_of(config->control, control);
		places[count++] = (struct landlock_place){ .path = control, .writable = true };
	}
	err = landlock__allow_only(places, count);
	if (err)
		log__line("agent: its files are not narrowed to its own directories: %s",
			  err == -ENOSYS || err == -EOPNOTSUPP ? "this kernel has no Landlock" :
								 strerror(-err));
}

void privileges__make_files(const struct agent_config *config, const struct identity *user)
{
	for (unsigned int i = 0; i < config->outlet_count; i++) {
		const char *path = file_of(config, i);
		int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				     FILE_MODE) :
				-1;

		/* What is wrong with it is told as the sink's failure. */
		if (fd >= 0 && user->wanted && fchown(fd, user->uid, user->gid))
			log__line("agent: %s cannot be given to user %s: %m", path, user->name);
		if (fd >= 0)
			close(fd);
	}
}

/* replaced: it is never written, only another one put in its place. */
static void check_file(const char *path, bool replaced, const char *who)
{
	char place[SINK_PATH_MAX];

	directory_of(path, place);
	if (!replaced && access(path, W_OK) && errno != ENOENT)
		log__line("agent: %s may not write %s: %m", who, path);
	else if (!is_special(path) && access(place, W_OK | X_OK))
		log__line("agent: %s may not write in %s: %s cannot be %s", who, place, path,
			  replaced ? "written" : "rotated or opened anew");
}

/* ---- who ---- */

int privileges__choose(struct identity *user, const char *name)
{
	const char *wanted = name ? name : default_user;
	int err;

	*user = (struct identity){ .wanted = false };
	if (!name && geteuid())
		return 0;
	err = identity__find(user, wanted);
	if (err)
		*user = (struct identity){ .wanted = false };
	if (!name)
		return 0;
	if (err)
		return fail(EXIT_USAGE, "agent: --user %s: %s", name,
			    err == -ENOENT ? "there is no such user" : strerror(-err));
	if (geteuid() && geteuid() != user->uid)
		return fail(EXIT_USAGE, "agent: --user %s: only root can become another user", name);
	return 0;
}

void privileges__describe(const struct identity *user, char *text, size_t size)
{
	if (user->wanted)
		snprintf(text, size, "user %s", user->name);
	else
		snprintf(text, size, "uid %u without capabilities", (unsigned int)geteuid());
}

int privileges__give_up(const struct agent_config *config, const struct identity *user)
{
	char who[128];
	int err = identity__become(user, 0);

	privileges__describe(user, who, sizeof(who));
	if (err)
		return fail(EXIT_CANNOT, "agent: cannot become %s: %s", who, strerror(-err));
	for (unsigned int i = 0; i <= config->outlet_count; i++)
		if (file_of(config, i))
			check_file(file_of(config, i), i == config->outlet_count, who);
	allow_files(config);
	allow_calls();
	return 0;
}
