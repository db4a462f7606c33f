// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: what only the system call itself tells.
 *
 * Hook                              Job
 *   tp/syscalls/sys_enter_listen    what listen() was asked for, before the
 *                                   kernel cuts it down to somaxconn
 *   fentry/__sys_listen             stands in for it from 7.0 on: a task that is
 *                                   preempted in a tracepoint's program keeps all
 *                                   others on that CPU from theirs
 *   tp/syscalls/sys_exit_accept     accept() where inet_csk_accept() cannot be
 *   tp/syscalls/sys_exit_accept4    hooked: the connection behind the descriptor
 *
 * A kretprobe would be no twin of the latter: threads asleep in accept() hold
 * its slots (KERNEL.md, section 2). io_uring's accept passes neither.
 *
 * Map
 *   asked  by thread: the backlog on its way from the system call to the
 *          LISTEN transition (state.bpf.c). When it is full the oldest goes,
 *          and that listener's argument stays unknown.
 */
#define PROBE_READS
#include "tcpsaga.bpf.h"

struct syscall_enter {
	__u64 common;
	__u64 number;
	__u64 args[6];
};

struct syscall_exit {
	__u64 common;
	__u64 number;
	__s64 result;
};

static __always_inline int listens(__u32 backlog)
{
	__u64 thread = bpf_get_current_pid_tgid();

	hold_cpu();
	bpf_map_update_elem(&asked, &thread, &backlog, 0);
	let_cpu_go();
	return 0;
}

SEC("tp/syscalls/sys_enter_listen")
int on_listen_call(struct syscall_enter *ctx)
{
	return listens(ctx->args[1]);
}

SEC("fentry/__sys_listen")
int BPF_PROG(on_listen_stand_in, int fd, int backlog)
{
	return listens(backlog);
}

/* The socket behind a descriptor that this very task has just been given. */
static __always_inline struct sock *sock_of(__s64 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file **table = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file = NULL;
	struct socket *socket;

	bpf_probe_read_kernel(&file, sizeof(file), &table[fd]);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline bool is_tcp(struct sock *sk)
{
	__u16 family = GET(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) && GET(sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline void accepted(struct sock *sk)
{
	__u16 local_port = GET(sk, __sk_common.skc_num);
	__u16 remote_port = bpf_ntohs(GET(sk, __sk_common.skc_dport));
	__u32 netns = netns_of(&sk->__sk_common);
	struct ev_accept *r;
	__u16 flags = 0;

	if (!is_tcp(sk) || !filter_passes(&sk->__sk_common, netns, local_port, remote_port, true))
		return;
	r = reserve(EV_ACCEPT, sizeof(*r));
	if (!r)
		return;
	put_conn_id(&r->conn_id, &flags, sk, false);
	r->by_address = !!(flags & EV_F_ID_IS_ADDRESS);
	r->listener_id = 0;
	r->listener_socket = 0;
	r->netns = netns;
	r->family = GET(sk, __sk_common.skc_family);
	r->pad[0] = r->pad[1] = 0;
	r->local_port = local_port;
	r->remote_port = remote_port;
	r->accept_queue_len = 0;
	r->limit = 0;
	r->pad2 = 0;
	put_addresses(r->local, r->remote, &sk->__sk_common);
	put_owner(&r->owner);
	submit(r);
}

static __always_inline int accept_returns(const struct syscall_exit *ctx)
{
	struct sock *sk;

	if (ctx->result < 0)
		return 0;
	hold_cpu();
	sk = sock_of(ctx->result);
	if (sk)
		accepted(sk);
	let_cpu_go();
	return 0;
}

SEC("tp/syscalls/sys_exit_accept")
int on_accept_call(struct syscall_exit *ctx)
{
	return accept_returns(ctx);
}

SEC("tp/syscalls/sys_exit_accept4")
int on_accept4_call(struct syscall_exit *ctx)
{
	return accept_returns(ctx);
}
