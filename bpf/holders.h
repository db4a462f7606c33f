/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What bpf/holders.bpf.c writes of each socket of a port: the options that
 * decide who may share it, which sock_diag does not tell.
 */
#ifndef TCPSAGA_HOLDERS_H
#define TCPSAGA_HOLDERS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct holder_options {
	__u64 cookie; /* 0: sock_diag has not shown this socket yet */
	__u8 reuseaddr;
	__u8 reuseport;
	__u8 v6only;
	__u8 pad[5];
};

_Static_assert(sizeof(struct holder_options) == 16, "userspace reads 16 bytes a socket");

#endif
