/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What userspace tells the BPF programs before they are loaded, so that the verifier
 * removes every branch that is not wanted and an unused feature costs nothing per event.
 *
 * A number is written into the instructions that load it (constants.c). In read-only
 * data it would be a constant to the verifier, too, and still be loaded for each event,
 * from a page that nobody else has brought into the caches. The filter's ports and
 * addresses lie there: they are long, and read only where there are some.
 */
#ifndef TCPSAGA_SETTINGS_H
#define TCPSAGA_SETTINGS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum setting {
	SETTING_FILTER_ON,	    /* it lets less pass than all */
	SETTING_FILTER_NETNS,	    /* inode; 0: any */
	SETTING_FILTER_PORTS,	    /* it has terms on them */
	SETTING_FILTER_ADDRESSES,   /* the same */
	SETTING_HAVE_SOCKET_COOKIE, /* not in tp_btf on 5.10; nor the current task */
	SETTING_PREEMPTS,	    /* tasks in the middle of a program; 7.0 on */
	SETTING_COMM_HAS_ZEROES,    /* behind its end; before 5.17 the rest of a longer one */
	SETTING_MAY_PROBE_READ,	    /* not under lockdown=confidentiality */
	SETTING_SYN_RECV_SOCK_ARGS, /* of tcp_v4_syn_recv_sock() */
	SETTING_ACCEPT_ARGS,	    /* of inet_csk_accept() */
	SETTING_TIMEWAIT_ARGS,	    /* of tcp_timewait_state_process() */
	SETTING_TASK_STRUCT_ID,	    /* in its BTF; 0: not known, or no bpf_rdonly_cast() */
	SETTING_TCP_SOCK_ID,	    /* the same */
	SETTING_ID_KEY,		    /* hides kernel addresses in ids */
	SETTING_WAKEUP_BYTES,	    /* pending bytes that wake the consumer */
	SETTING_CPU_RING_BYTES,	    /* a power of two; 0: nothing goes there */
	SETTING_SIMULATE_LOSS,	    /* share of records to drop, of 2^32; 0: none */
	SETTING_COUNT
};

/* The upper half of a constant that stands for a setting; the lower one says which. */
enum { SETTING_MARK = 0x5a6a7c01 };

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
	__u32 netns;  /* inode; 0 any; for programs it is SETTING_FILTER_NETNS */
	struct kernel_filter_ports local_ports;
	struct kernel_filter_ports remote_ports;
	struct kernel_filter_ports either_ports; /* local or remote */
	struct kernel_filter_net local_net;
	struct kernel_filter_net remote_net;
	struct kernel_filter_net either_net; /* local or remote */
};

#endif
