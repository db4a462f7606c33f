// SPDX-License-Identifier: BSD-2-Clause
#include "source/tracefs.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * The events of tracefs: where it is mounted for us, else for the host's first
 * process. Last a mount of our own that nobody sees, as it is in no namespace;
 * not first, since on older kernels a new mount sets the permissions of the
 * one that there is back (tracefs_remount()).
 */
static int open_events(void)
{
	static const char *const roots[] = {
		"/sys/kernel/tracing/events",
		"/sys/kernel/debug/tracing/events",
		"/proc/1/root/sys/kernel/tracing/events",
		"/proc/1/root/sys/kernel/debug/tracing/events",
	};
	int context, mount, fd = -1;

	for (size_t i = 0; i < COUNT(roots) && fd < 0; i++)
		fd = open(roots[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	context = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	if (context < 0)
		return -ENODEV;
	if (!syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
				     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		if (mount >= 0) {
			fd = openat(mount, "events", O_PATH | O_DIRECTORY | O_CLOEXEC);
			close(mount);
		}
	}
	close(context);
	return fd < 0 ? -ENODEV : fd;
}

static int read_number(int fd)
{
	char text[16];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	int number = 0;

	if (n <= 0)
		return n ? -errno : -EIO;
	text[n] = 0;
	return sscanf(text, "%d", &number) == 1 && number > 0 ? number : -EIO;
}

int tracefs__id(const char *event)
{
	int fd, id, events = open_events();
	char path[128];

	if (events < 0)
		return events;
	snprintf(path, sizeof(path), "%s/id", event);
	fd = openat(events, path, O_RDONLY | O_CLOEXEC);
	id = fd < 0 ? -errno : read_number(fd);
	if (fd >= 0)
		close(fd);
	close(events);
	return id;
}

struct bpf_link *tracefs__attach(struct bpf_program *program)
{
	const char *section = bpf_program__section_name(program);
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	struct bpf_link *link;
	int id, fd, err;

	id = tracefs__id(section + strlen("tp/"));
	if (id < 0) {
		errno = -id;
		return NULL;
	}
	attr.config = (unsigned int)id;
	/* The program runs on every CPU, whatever CPU the event is of. */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return NULL;
	link = bpf_program__attach_perf_event(program, fd); /* takes the descriptor */
	if (!link) {
		err = errno;
		close(fd);
		errno = err;
	}
	return link;
}
