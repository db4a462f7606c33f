/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who this process is to the kernel: its user, and the capabilities that it
 * gives up for good. Through libcap-ng. Everything here is of the calling
 * thread: to be called before there are others.
 */
#ifndef TCPSAGA_BASE_IDENTITY_H
#define TCPSAGA_BASE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct identity {
	bool wanted; /* else the process stays who it is */
	char name[64];
	uid_t uid;
	gid_t gid; /* its first group; the others are those of the name */
};

#define CAPABILITY(name) (UINT64_C(1) << (name))

/* Looks the name up, which may load libraries. 0, -ENOENT (no such user), or -errno. */
int identity__find(struct identity *identity, const char *name);

/*
 * Becomes that user and keeps of its capabilities only those in keep, a mask of
 * CAPABILITY(): permitted and effective; none is inheritable, ambient or (where
 * CAP_SETPCAP allows that) in the bounding set, and no program that is run can
 * bring one back (no_new_privs). 0 or -errno: -EPERM also when the kernel did
 * not do all of it.
 */
int identity__become(const struct identity *identity, uint64_t keep);

#endif
