/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which process holds a socket, for sockets that existed before we looked: one
 * scan of /proc. What happens while we look says its owner itself (EV_BIRTH).
 */
#ifndef TCPSAGA_SOURCE_PROCS_H
#define TCPSAGA_SOURCE_PROCS_H

#include <stdint.h>

#include "base/idmap.h"
#include "bpf/event.h"

struct process {
	uint32_t pid;		  /* the kernel's tgid, in the pid namespace of our /proc */
	uint32_t uid;		  /* real, as in struct ev_owner */
	uint64_t start_ns;	  /* boot time; known to 10 ms. With pid it is unique */
	uint64_t cgroup;	  /* version 2 id, 0 not known */
	char comm[EV_COMM_BYTES]; /* arbitrary bytes, NUL-padded */
};

struct held_socket;

/* At most PROCS_SOCKETS_MAX sockets are kept; those above are counted. */
struct procs {
	struct process *processes; /* owned; only those that hold a socket */
	uint32_t process_count;
	uint32_t process_capacity;
	struct held_socket *sockets; /* owned */
	uint32_t socket_count;
	uint32_t socket_capacity;
	uint32_t socket_limit; /* PROCS_SOCKETS_MAX, less in tests */
	struct idmap by_inode; /* to an index of sockets */
	int cgroup_root_fd;    /* during the scan; -1 none */

	uint32_t refused; /* processes whose descriptors we may not see */
	uint64_t dropped; /* descriptors of sockets above the limit */
};

enum { PROCS_SOCKETS_MAX = 1 << 20 };

/*
 * Reads the descriptors of every process once. Takes CAP_SYS_PTRACE to see
 * those of other users. Costs 20 us per process and 4 us per descriptor (6.18):
 * a tenth of a second for 25,000 sockets.
 *
 * Processes, threads and descriptors come and go meanwhile: what vanished is
 * passed over, what is new may be missed. A pid that is used again meanwhile
 * does not lend its name to another's sockets. Not seen: sockets of a thread
 * with descriptors of its own (no CLONE_FILES), and sockets that only io_uring
 * or a message under way holds.
 *
 * 0 or -errno (no /proc, no memory); then nothing is found.
 */
int procs__init(struct procs *procs);
void procs__fini(struct procs *procs);

/*
 * Who holds the socket with this inode (socket_entry.inode). When several do,
 * as after fork(), it is the lowest pid, and *others counts the rest; others may
 * be NULL. Borrowed. NULL when nobody was found.
 */
const struct process *procs__find(const struct procs *procs, uint32_t inode, uint32_t *others);

#endif
