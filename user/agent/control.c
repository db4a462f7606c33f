// SPDX-License-Identifier: BSD-2-Clause
#include "agent/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/onlooker.h"
#include "base/clock.h"
#include "source/tables.h"

enum {
	BACKLOG = 64,
	ACCEPTS_PER_RUN = 16,
	GUEST_MS = 2000,
	/* To tell what is known takes time in which the ring fills: a tenth at most. */
	TELL_SHARE = 10,
	TELL_PAUSE_MS = 1000, /* at most: who waits has not for ever */
	/* A scan under way tells rows that a newcomer knows nothing of: it waits for its
	 * end, but not for ever. */
	SCAN_PATIENCE_MS = 3000,
	TELL_STALL_MS = 5000, /* who takes nothing of what it is told so long has gone */
	END_MS = 1000,
	GROUPS_MAX = 256,
	EVENTS_MAX = 64,
};

#define GROUP "tcpsaga"

/* Has come, and not said yet what it wants. */
struct guest {
	int fd; /* owned; -1: a free place */
	uint64_t since_ns;
	size_t got;
	uint8_t bytes[CONTROL_REQUEST_BYTES];
};

struct control {
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int listen_fd;
	int epoll_fd;
	gid_t gid;	   /* of the socket's directory */
	struct feed *feed; /* borrowed; NULL: not yet */
	bool narrowed;
	struct guest guests[CONTROL_GUESTS];
	struct onlooker clients[CONTROL_CLIENTS];
	struct control_state state;
	uint64_t dropped;      /* of those that have gone */
	uint64_t next_tell_ns; /* boot time */
};

/* ---- opening ---- */

static int explain(char *message, size_t size, const char *what, const char *path)
{
	int err = errno;

	snprintf(message, size, "%s %s: %s", what, path, strerror(err));
	return -err;
}

static void directory_of(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(dir, PATH_MAX, "%.*s", slash ? (int)(slash - path) + (slash == path) : 1,
		 slash ? path : ".");
}

/* One that is there already is somebody's who knows what it is for. */
static int make_directory(struct control *control, char *message, size_t size)
{
	const struct group *group = getgrnam(GROUP);
	char dir[PATH_MAX];
	struct stat st;

	directory_of(control->path, dir);
	if (!mkdir(dir, 0750)) {
		if ((group && chown(dir, (uid_t)-1, group->gr_gid)) || chmod(dir, 0750))
			return explain(message, size, "cannot set up", dir);
	} else if (errno != EEXIST) {
		return explain(message, size, "cannot make", dir);
	}
	if (stat(dir, &st))
		return explain(message, size, "cannot look at", dir);
	control->gid = st.st_gid;
	return 0;
}

/* 1: somebody listens there; 0: nobody, and what was there is removed. */
static int clear_path(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result = fd >= 0 && (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
				 errno == EAGAIN);
	struct stat st;

	if (!result && !lstat(address->sun_path, &st) && S_ISSOCK(st.st_mode))
		unlink(address->sun_path);
	if (fd >= 0)
		close(fd);
	return result;
}

static int listen_at(struct control *control, char *message, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	memcpy(address.sun_path, control->path, sizeof(control->path));
	if (clear_path(&address)) {
		snprintf(message, size, "%s is served by another agent", control->path);
		return -EADDRINUSE;
	}
	control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0117);
	err = control->listen_fd < 0 ||
	      bind(control->listen_fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	/* The group may; where it cannot be set the directory's mode decides alone. */
	if (!err && chown(control->path, (uid_t)-1, control->gid) && errno != EPERM)
		err = -1;
	if (err || listen(control->listen_fd, BACKLOG))
		return explain(message, size, "cannot listen at", control->path);
	return 0;
}

static int watch(struct control *control, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(control->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_control(struct control *control, const char *path, char *message, size_t size)
{
	int err;

	if (strlen(path) >= sizeof(control->path)) {
		snprintf(message, size, "the path is too long (%zu bytes at most)",
			 sizeof(control->path) - 1);
		return -EINVAL;
	}
	strcpy(control->path, path);
	err = make_directory(control, message, size);
	if (!err)
		err = listen_at(control, message, size);
	if (err)
		return err;
	control->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll_fd < 0 || watch(control, control->listen_fd, EPOLLIN))
		return explain(message, size, "cannot wait for", control->path);
	return 0;
}

struct control *control__new(const char *path, char *message, size_t size)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	if (!control) {
		snprintf(message, size, "out of memory");
		return NULL;
	}
	control->listen_fd = control->epoll_fd = -1;
	for (int i = 0; i < CONTROL_GUESTS; i++)
		control->guests[i].fd = -1;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	err = open_control(control, path, message, size);
	if (!err)
		return control;
	/* Not its socket, if it has none. */
	if (control->epoll_fd < 0)
		control->path[0] = '\0';
	control__free(control);
	errno = -err;
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void control__free(struct control *control)
{
	if (!control)
		return;
	for (int i = 0; i < CONTROL_GUESTS; i++)
		close_fd(&control->guests[i].fd);
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		onlooker__fini(&control->clients[i]);
	/* Where we may no more (Landlock), who comes next clears it. */
	if (control->path[0])
		unlink(control->path);
	close_fd(&control->listen_fd);
	close_fd(&control->epoll_fd);
	free(control);
}

int control__fd(const struct control *control)
{
	return control->epoll_fd;
}

/* ---- who may ---- */

static bool is_in_group(int fd, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static bool may_look(const struct control *control, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return !peer.uid || peer.uid == geteuid() || peer.gid == control->gid ||
	       is_in_group(fd, control->gid);
}

/* ---- guests ---- */

/* What it can take at once: nobody waits for somebody who is sent away. */
static void refuse(struct control *control, int fd, enum control_status status, const char *why)
{
	struct control_reply reply = { .status = status };
	uint8_t bytes[CONTROL_REPLY_BYTES];

	snprintf(reply.text, sizeof(reply.text), "%s", why);
	control_reply__encode(&reply, bytes);
	if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(bytes))
		control->state.refused++;
}

static void dismiss(struct control *control, struct guest *guest)
{
	control->state.ignored++;
	close_fd(&guest->fd);
}

static struct guest *place_for_guest(struct control *control)
{
	struct guest *oldest = &control->guests[0];

	for (int i = 0; i < CONTROL_GUESTS; i++) {
		struct guest *guest = &control->guests[i];

		if (guest->fd < 0)
			return guest;
		if (guest->since_ns < oldest->since_ns)
			oldest = guest;
	}
	dismiss(control, oldest);
	return oldest;
}

static void welcome(struct control *control, uint64_t now_ns)
{
	for (int i = 0; i < ACCEPTS_PER_RUN; i++) {
		int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct guest *guest;

		if (fd < 0)
			return;
		if (!may_look(control, fd)) {
			refuse(control, fd, CONTROL_FORBIDDEN,
			       "it is for root and the group of the socket's directory");
			close(fd);
			continue;
		}
		guest = place_for_guest(control);
		*guest = (struct guest){ .fd = fd, .since_ns = now_ns };
		/* By edges: a client's place of waiting for room is here, too. */
		if (watch(control, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
			dismiss(control, guest);
	}
}

static void become_client(struct control *control, struct guest *guest,
			  const struct control_request *request, uint64_t now_ns)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		if (control->clients[i].fd >= 0)
			continue;
		onlooker__init(&control->clients[i], guest->fd, request, now_ns);
		guest->fd = -1;
		return;
	}
	refuse(control, guest->fd, CONTROL_BUSY, "it serves as many as it can (16) already");
	close_fd(&guest->fd);
}

static void hear_guest(struct control *control, struct guest *guest, uint64_t now_ns)
{
	struct control_request request;
	ssize_t n = recv(guest->fd, guest->bytes + guest->got, sizeof(guest->bytes) - guest->got,
			 MSG_DONTWAIT);
	int err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (now_ns - guest->since_ns >= GUEST_MS * NS_PER_MS)
			dismiss(control, guest);
		return;
	}
	if (n > 0)
		guest->got += (size_t)n;
	err = n > 0 ? control_request__decode(&request, guest->bytes, guest->got) : -EBADMSG;
	if (!err) {
		become_client(control, guest, &request, now_ns);
	} else if (err == -ENOTSUP) {
		refuse(control, guest->fd, CONTROL_OTHER_VERSION, "it is an older tcpsaga");
		close_fd(&guest->fd);
	} else if (err < 0) {
		dismiss(control, guest);
	}
}

/* ---- clients ---- */

static void dismiss_client(struct control *control, struct onlooker *onlooker)
{
	control->dropped += onlooker__dropped(onlooker);
	onlooker__fini(onlooker);
}

static void offer(void *context, const struct ev_header *record)
{
	struct control *control = context;

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			onlooker__offer(&control->clients[i], record);
}

void control__serve(struct control *control, struct feed *feed)
{
	static const struct kernel_filter all;

	control->feed = feed;
	control->narrowed = memcmp(feed->heal.terms, &all, sizeof(all)) != 0;
	feed->witness = offer;
	feed->witness_context = control;
}

static bool is_being_told(const struct control *control)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0 && control->clients[i].known.len)
			return true;
	return false;
}

static struct onlooker *first_in_line(struct control *control)
{
	struct onlooker *first = NULL;

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct onlooker *onlooker = &control->clients[i];

		if (onlooker->fd >= 0 && !onlooker->told &&
		    (!first || onlooker->since_ns < first->since_ns))
			first = onlooker;
	}
	return first;
}

/* The reader of tables looks, as it does for a bind() that is refused. */
static int tell_holders(struct feed *feed, struct onlooker *onlooker)
{
	struct holders holders = { 0 };
	const struct control_request *request = &onlooker->request;
	int told, err = -EOPNOTSUPP;

	if (feed->looks)
		err = tables__holders(feed->looks, &holders, request->port, request->netns);
	told = onlooker__tell_holders(onlooker, &holders, err, clock__boot_ns());
	if (!err)
		holders__fini(&holders);
	return told;
}

static int tell_known(struct control *control, struct onlooker *onlooker, uint64_t now_ns)
{
	struct feed *feed = control->feed;

	if (onlooker->request.wants & CONTROL_HOLDERS)
		return tell_holders(feed, onlooker);
	return onlooker__tell(onlooker, &feed->source->info, feed->model, control->narrowed, now_ns);
}

/* One at a time: what there is to tell may be many megabytes. */
static void tell_next(struct control *control, uint64_t now_ns)
{
	struct onlooker *onlooker = first_in_line(control);
	struct feed *feed = control->feed;
	uint64_t began_ns, pause_ns;

	if (!onlooker || now_ns < control->next_tell_ns || is_being_told(control) ||
	    (feed->heal.scan && now_ns - onlooker->since_ns < SCAN_PATIENCE_MS * NS_PER_MS))
		return;
	feed__look_at_listeners(feed, now_ns);
	began_ns = clock__boot_ns();
	if (tell_known(control, onlooker, began_ns)) {
		dismiss_client(control, onlooker);
		return;
	}
	/* Of the scan under way it gets the rest only, whose end would mislead it. */
	onlooker->torn_dump = feed->heal.scan != NULL;
	control->state.served++;
	if (onlooker->request.wants & CONTROL_ONCE)
		onlooker__end(onlooker, clock__boot_ns());
	pause_ns = (clock__boot_ns() - began_ns) * TELL_SHARE;
	if (pause_ns > TELL_PAUSE_MS * NS_PER_MS)
		pause_ns = TELL_PAUSE_MS * NS_PER_MS;
	control->next_tell_ns = clock__boot_ns() + pause_ns;
}

/* It says nothing more, until it has enough. */
static void hear_client(struct control *control, struct onlooker *onlooker)
{
	char byte;
	ssize_t n = recv(onlooker->fd, &byte, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n || !onlooker->told) {
		dismiss_client(control, onlooker);
	} else if (!onlooker->ending) {
		/* What has happened until now is its, too. */
		feed__settle(control->feed);
		onlooker__end(onlooker, clock__boot_ns());
	}
}

static void write_client(struct control *control, struct onlooker *onlooker, uint64_t now_ns)
{
	int written;

	if (!onlooker->told || onlooker->blocked) {
		if (onlooker->known.len && now_ns - onlooker->since_ns >= TELL_STALL_MS * NS_PER_MS)
			dismiss_client(control, onlooker);
		return;
	}
	written = onlooker__write(onlooker, now_ns);
	if (written < 0 || (written && onlooker->ending))
		dismiss_client(control, onlooker);
}

/* ---- the loop ---- */

static void hear(struct control *control, int fd, uint32_t events, uint64_t now_ns)
{
	for (int i = 0; i < CONTROL_GUESTS; i++)
		if (control->guests[i].fd == fd) {
			hear_guest(control, &control->guests[i], now_ns);
			break;
		}
	/* Who has become a client just now may have said more. */
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct onlooker *onlooker = &control->clients[i];

		if (onlooker->fd != fd)
			continue;
		if (events & EPOLLOUT)
			onlooker->blocked = false;
		if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			hear_client(control, onlooker);
		return;
	}
}

static void send_guests_home(struct control *control, uint64_t now_ns)
{
	for (int i = 0; i < CONTROL_GUESTS; i++)
		if (control->guests[i].fd >= 0 &&
		    now_ns - control->guests[i].since_ns >= GUEST_MS * NS_PER_MS)
			dismiss(control, &control->guests[i]);
}

static uint32_t what_is_wanted(const struct control *control)
{
	uint32_t wants = 0;

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			wants |= control->clients[i].request.wants;
	return wants;
}

void control__run(struct control *control, uint64_t now_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(control->epoll_fd, events, EVENTS_MAX, 0);

	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == control->listen_fd)
			welcome(control, now_ns);
		else
			hear(control, events[i].data.fd, events[i].events, now_ns);
	}
	send_guests_home(control, now_ns);
	control->feed->wants = what_is_wanted(control);
	tell_next(control, now_ns);
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			write_client(control, &control->clients[i], now_ns);
}

void control__state(const struct control *control, struct control_state *state)
{
	*state = control->state;
	state->dropped = control->dropped;
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		const struct onlooker *onlooker = &control->clients[i];

		if (onlooker->fd < 0)
			continue;
		state->clients++;
		state->dropped += onlooker__dropped(onlooker);
		state->queued_bytes += onlooker__queued(onlooker);
	}
}

static bool writes_on(struct control *control)
{
	bool more = false;

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct onlooker *onlooker = &control->clients[i];

		onlooker->blocked = false;
		if (onlooker->fd >= 0)
			write_client(control, onlooker, clock__boot_ns());
		more |= onlooker->fd >= 0;
	}
	return more;
}

void control__end(struct control *control)
{
	uint64_t until_ns = clock__boot_ns() + END_MS * NS_PER_MS;

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct onlooker *onlooker = &control->clients[i];

		if (onlooker->fd >= 0 && onlooker->told)
			onlooker__end(onlooker, clock__boot_ns());
		else if (onlooker->fd >= 0)
			dismiss_client(control, onlooker);
	}
	while (writes_on(control) && clock__boot_ns() < until_ns)
		poll(NULL, 0, 1);
}
