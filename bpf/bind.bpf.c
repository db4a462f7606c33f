// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: bind() and listen() that were refused because of the address.
 *
 * Hook                              Job
 *   tp/syscalls/sys_enter_bind      which socket and address the thread asks for
 *   tp/syscalls/sys_enter_listen    which socket
 *   tp/syscalls/sys_exit_bind       the answer: a refusal is told
 *   tp/syscalls/sys_exit_listen     the same
 *
 * io_uring's bind and listen pass none of these.
 *
 * Map
 *   asking  by thread: what it asks for, on its way from enter to exit. When it
 *           is full the oldest goes, and that refusal is not told.
 */
#define PROBE_READS
#include "tcpsaga.bpf.h"

enum { NO_PERMISSION = 13, IN_USE = 98, NOT_AVAILABLE = 99 }; /* asm-generic/errno.h */
enum { UDP = 17 };

struct question {
	__u64 address; /* the task's pointer; 0: listen() */
	__u32 fd;
	__u32 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* bpf_get_current_pid_tgid() */
	__type(value, struct question);
} asking SEC(".maps");

struct bind_enter {
	__u64 common;
	__u64 number;
	__u64 args[6];
};

struct bind_exit {
	__u64 common;
	__u64 number;
	__s64 result;
};

/* struct sockaddr_in or sockaddr_in6, as far as it is read. */
union asked_address {
	__u8 bytes[24];
	struct {
		__u16 family;
		__be16 port;
		__be32 v4;
		__u8 v6[16];
	};
};

static __always_inline int asks(const struct bind_enter *ctx, __u64 address, __u32 length)
{
	struct question question = { .address = address, .fd = ctx->args[0], .length = length };
	__u64 thread = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&asking, &thread, &question, 0);
	return 0;
}

SEC("tp/syscalls/sys_enter_bind")
int on_bind_call(struct bind_enter *ctx)
{
	return asks(ctx, ctx->args[1], ctx->args[2]);
}

SEC("tp/syscalls/sys_enter_listen")
int on_listen_asked(struct bind_enter *ctx)
{
	return asks(ctx, 0, 0);
}

/* The kernel has just looked this descriptor up, and found a socket. Another
 * thread may have closed it since: then the reads fail and give zeroes. */
static __always_inline struct sock *asking_sock(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file **table = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file = NULL;
	struct socket *socket;

	bpf_probe_read_kernel(&file, sizeof(file), &table[fd]);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline void put_asked(struct ev_bind *r, const union asked_address *asked)
{
	r->port = bpf_ntohs(asked->port);
	if (r->family == AF_INET)
		put_v4(r->local, asked->v4);
	else
		__builtin_memcpy(r->local, asked->v6, sizeof(r->local));
}

/* listen() is about what the socket is bound to. */
static __always_inline void put_bound(struct ev_bind *r, const struct sock_common *c)
{
	r->port = COMMON(c, skc_num);
	if (r->family == AF_INET)
		put_v4(r->local, COMMON(c, skc_rcv_saddr));
	else
		put_v6(r->local, c, skc_v6_rcv_saddr);
}

static __always_inline __u8 options_of(const struct sock *sk)
{
	__u8 options = 0;

	if (BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuse))
		options |= EV_BIND_REUSEADDR;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport))
		options |= EV_BIND_REUSEPORT;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only))
		options |= EV_BIND_V6ONLY;
	return options;
}

static __always_inline void refused(const struct question *question, __u16 error)
{
	struct sock *sk = asking_sock(question->fd);
	union asked_address asked = {};
	__u16 family, protocol;
	struct ev_bind *r;
	__u32 netns;

	if (!sk)
		return;
	family = GET(sk, __sk_common.skc_family);
	protocol = GET(sk, sk_protocol);
	netns = netns_of(&sk->__sk_common);
	if ((family != AF_INET && family != AF_INET6) || (protocol != IPPROTO_TCP && protocol != UDP))
		return;
	if (!netns_passes(netns))
		return;
	/* The shortest that bind() takes is a sockaddr_in; more of it than there is
	 * may lie on the next page, which may not exist. */
	if (question->address &&
	    bpf_probe_read_user(&asked, question->length < sizeof(asked) ? 16 : sizeof(asked),
				(void *)question->address))
		return;
	r = reserve(EV_BIND, sizeof(*r));
	if (!r)
		return;
	r->netns = netns;
	r->error = error;
	r->family = family;
	r->call = question->address ? EV_CALL_BIND : EV_CALL_LISTEN;
	r->protocol = protocol;
	r->options = options_of(sk);
	r->pad = 0;
	if (question->address)
		put_asked(r, &asked);
	else
		put_bound(r, &sk->__sk_common);
	put_owner(&r->owner);
	submit(r);
}

static __always_inline int answered(const struct bind_exit *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct question *question = bpf_map_lookup_elem(&asking, &thread);
	__s64 error = -ctx->result;

	if (!question)
		return 0;
	if (error == IN_USE || error == NOT_AVAILABLE || error == NO_PERMISSION)
		refused(question, error);
	bpf_map_delete_elem(&asking, &thread);
	return 0;
}

SEC("tp/syscalls/sys_exit_bind")
int on_bind_done(struct bind_exit *ctx)
{
	return answered(ctx);
}

SEC("tp/syscalls/sys_exit_listen")
int on_listen_done(struct bind_exit *ctx)
{
	return answered(ctx);
}
