/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What userspace tells the BPF programs before they are loaded. It lies in
 * read-only data, so the verifier removes every branch that is not wanted and
 * an unused feature costs nothing per event.
 */
#ifndef TCPSAGA_SETTINGS_H
#define TCPSAGA_SETTINGS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum { KERNEL_FILTER_PORTS = 8 };

/* A list of ports, host order; count 0 lets every port pass. */
struct kernel_filter_ports {
	__u32 count;
	__u16 port[KERNEL_FILTER_PORTS];
};

/* A network: an address passes when (address & mask) == address here. IPv4 is
 * v4-mapped, so its /8 is a mask of 104 bits. An all-zero mask lets all pass. */
struct kernel_filter_net {
	__u8 address[16];
	__u8 mask[16];
};

/*
 * The part of a filter that the kernel applies: a conjunction of terms, each
 * of which passes when it is not set. It may let pass more than the user's
 * filter wants (userspace applies that again) and never less.
 */
struct kernel_filter {
	__u32 family; /* AF_INET or AF_INET6 as on the wire; 0 any */
	__u32 netns;  /* inode; 0 any */
	struct kernel_filter_ports local_ports;
	struct kernel_filter_ports remote_ports;
	struct kernel_filter_ports either_ports; /* local or remote */
	struct kernel_filter_net local_net;
	struct kernel_filter_net remote_net;
	struct kernel_filter_net either_net; /* local or remote */
};

#endif
