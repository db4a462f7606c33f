/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel's types as far as bpf/ reads them: one file for every
 * architecture and every kernel from 5.10 on. README.md beside this file says
 * how it is kept.
 *
 * Only names and nesting matter here; the loader puts in the running kernel's
 * offsets and sizes (CO-RE). A type whose name ends in ___<word> is a flavour:
 * the same kernel type as another kernel lays it out.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };

/* uapi/linux/bpf.h: values that never change. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_F_MMAPABLE = 1 << 10,
	BPF_RB_NO_WAKEUP = 1 << 0,
	BPF_RB_FORCE_WAKEUP = 1 << 1,
	BPF_RB_AVAIL_DATA = 0,
};

enum {
	PF_KTHREAD = 0x00200000, /* task_struct.flags, linux/sched.h */
};

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_TCP = 6,
	ETH_P_IP = 0x0800,
};

/* uapi/linux/bpf.h: what a sockops program is told, and what it means in the
 * kernel (struct bpf_sock_ops_kern, below). */
enum {
	BPF_SOCK_OPS_TIMEOUT_INIT = 1,
};

struct bpf_sock_ops {
	__u32 op;
	__u32 before[17];
	__u32 is_fullsock;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

/* Read to tell why a SYN was dropped, and who reset a request. What are bytes
 * here were ints up to 5.12; bpf_core_field_size() tells which. */
struct netns_ipv4 {
	int sysctl_max_syn_backlog;
};

struct netns_ipv4___byte {
	__u8 sysctl_tcp_syncookies;
	__u8 sysctl_tcp_abort_on_overflow;
};

struct netns_ipv4___int {
	int sysctl_tcp_syncookies;
	int sysctl_tcp_abort_on_overflow;
};

struct netns_core {
	int sysctl_somaxconn;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie; /* up to 5.11 another type, and made when somebody asks */
	struct netns_core core;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned char skc_reuse : 4; /* SO_REUSEADDR */
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags; /* of a full socket: enum sock_flags, as bits */
	struct sock *skc_listener; /* of a request: who it knocks at */
};


/* The number of references to an open file: f_count up to 6.12 (atomic_long_t
 * is atomic64_t on every 64-bit architecture, the only ones tcpsaga serves),
 * file_ref_t since 6.13 (include/linux/file_ref.h). */
typedef struct {
	atomic64_t refcnt;
} file_ref_t;

struct file {
	void *private_data; /* of a socket's file: struct socket */
	atomic64_t f_count; /* up to 6.12 */
	file_ref_t f_ref;   /* from 6.13 on, in its place */
};

struct fdtable {
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	unsigned int flags;
	int pid;  /* of the thread */
	int tgid; /* of the process */
	char comm[16];
	struct files_struct *files;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *cred;
	struct css_set *cgroups;
};

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct kernfs_node {
	__u64 id;
};

struct sock;

struct socket {
	struct file *file;
	struct sock *sk;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	int sk_err;
	struct socket *sk_socket;
	__u16 sk_protocol;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
};

enum sock_flags {
	SOCK_DONE = 1,
};

struct request_sock_queue {
	atomic_t qlen;
};

/* What is left of a connection in FIN_WAIT2 or TIME_WAIT. */
struct inet_timewait_sock {
	struct sock_common __tw_common;
	volatile unsigned char tw_substate;
};

struct request_sock {
	struct sock_common __req_common;
	__u8 num_retrans;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u32 total_retrans;
	bool is_mptcp; /* CONFIG_MPTCP only */
};

struct udp_sock {
	struct inet_sock inet;
};

/* What an iterator is given for each of its items, and once more at the end,
 * without one. */
struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

struct sk_buff {
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
};

struct bpf_sock_ops_kern {
	struct sock *sk;
};

#pragma clang attribute pop

/* What a kprobe gets: the registers at the function's entry or exit. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

/* Packet headers: fixed by RFC 791, 8200 and 9293, read from packets as they
 * lie, so not relocated. */
struct iphdr {
	__u8 before[12];
	__be32 saddr;
	__be32 daddr;
};

struct ipv6hdr {
	__u8 before[8];
	struct in6_addr saddr;
	struct in6_addr daddr;
};

struct tcphdr {
	__be16 source;
	__be16 dest;
};

#endif
