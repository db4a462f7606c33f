/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What every story in bpf/ needs: settings, the ring, the ledger, and where a
 * socket is. The definitions of the maps and of the filter stand in state.bpf.c.
 *
 * Maps
 *   ring       records to userspace. When it is full a record is counted as lost
 *              and dropped; the TCP path never waits.
 *   cpu_rings  per CPU: the same for transitions, without a lock (cpu_ring.h).
 *   ledger     per CPU: records attempted and lost, per kind.
 */
#ifndef TCPSAGA_BPF_H
#define TCPSAGA_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "cpu_ring.h"
#include "event.h"
#include "ledger.h"
#include "kernel_calls.h"
#include "settings.h"

/*
 * How a field of the kernel is read. A traced function's arguments are typed
 * in fentry, fexit and tp_btf programs and are loaded directly: cheaper, and
 * allowed under lockdown=confidentiality. In a kprobe they are bare numbers,
 * so a file of kprobes defines PROBE_READS before it includes this one.
 */
#ifdef PROBE_READS
#define GET(pointer, field) BPF_CORE_READ(pointer, field)
#define AS_TCP_SOCK(sk) ((struct tcp_sock *)(sk))
#else
#define GET(pointer, field) ((pointer)->field)
#define AS_TCP_SOCK(sk) bpf_skc_to_tcp_sock(sk)
#endif

/* What is rare is laid out apart, so that the rest fits into fewer lines of the caches. */
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* Constant when the program is loaded: settings.h. */
#define setting(name)                                                                               \
	({                                                                                          \
		__u64 value_;                                                                       \
		asm("%0 = %1 ll" : "=r"(value_) : "i"((__u64)SETTING_MARK << 32 | SETTING_##name)); \
		value_;                                                                             \
	})

/* Of a function of the kernel; to be reached only where it has it: kernel_calls.h. */
#define KERNEL_CALL(name) ((void *)(long)KERNEL_CALL_##name)

extern const volatile struct kernel_filter filter;

/*
 * The return value in a fexit program, which stands behind the function's
 * arguments: how many there are differs per kernel, and bpf_get_func_ret() is
 * not in 5.10. Written as one load with a fixed offset, since the verifier
 * takes no other and the compiler would compute one from the two.
 */
#define return_behind(ctx, args)                                                                 \
	({                                                                                       \
		__u64 value_;                                                                    \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value_) : "r"(ctx), "i"((args)*8)); \
		value_;                                                                          \
	})

struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* programs.c sets the size */
};

struct ledger_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* programs.c sets the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct ledger_cpu);
};

struct cpu_rings_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* programs.c sets the number of possible CPUs, */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct cpu_ring)); /* and the room for records behind it */
};

struct asked_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* bpf_get_current_pid_tgid() */
	__type(value, __u32);
};

__hidden void cpu__hold(void);
__hidden void cpu__let_go(void);

/*
 * Where tasks are preempted in the middle of a program (tracepoints from 7.0 on), the
 * kernel skips the program for whoever runs meanwhile: there preemption is held off for
 * the whole of a program.
 */
static __always_inline void hold_cpu(void)
{
	if (setting(PREEMPTS))
		cpu__hold();
}

static __always_inline void let_cpu_go(void)
{
	if (setting(PREEMPTS))
		cpu__let_go();
}

extern struct asked_map asked SEC(".maps");
extern struct ring_map ring SEC(".maps");
extern struct ledger_map ledger SEC(".maps");
extern struct cpu_rings_map cpu_rings SEC(".maps");

enum { WAKEUP_ASKED = 7 << 10 }; /* bits of the time in ns */

static __always_inline struct cpu_ring *ring_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&cpu_rings, &cpu);
}

static __always_inline struct ledger_cpu *book_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&ledger, &cpu);
}

static __always_inline bool is_to_be_lost(void)
{
	return setting(SIMULATE_LOSS) && bpf_get_prandom_u32() < setting(SIMULATE_LOSS);
}

/* What is counted here is atomic, because a softirq may run a program of ours in the middle
 * of another one on the same CPU; the result is unused, which arm64's 5.10 needs. */

/* True when there is to be a record of this kind. Counts the attempt, and the loss that was
 * asked for. */
static __always_inline bool attempt(struct ledger_cpu *book, enum ev_kind kind)
{
	__sync_fetch_and_add(&book->attempted[kind], 1);
	if (!is_to_be_lost())
		return true;
	__sync_fetch_and_add(&book->lost_simulated[kind], 1);
	return false;
}

static __always_inline void begin_record(struct ev_header *header, enum ev_kind kind, __u32 size)
{
	const __u32 first = size | EV_VERSION << 16 | kind << 24;

	__builtin_memcpy(header, &first, sizeof(first)); /* len, version and kind in one store */
	header->cpu = bpf_get_smp_processor_id();
	header->time_ns = bpf_ktime_get_boot_ns();
}

/*
 * A wakeup costs ten times the record (KERNEL.md, section 7): only a ring that
 * fills faster than the consumer's timer empties it is worth one, and the first
 * record after a silence, for which no timer runs. To ask the ring costs as well,
 * so it is done in one microsecond of eight: where many records come there is one
 * soon.
 */
static __always_inline __u64 wakeup(struct cpu_ring *here, __u64 time_ns)
{
	if (unlikely(here->waits)) {
		here->waits = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (!(time_ns & WAKEUP_ASKED) &&
	    bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= setting(WAKEUP_BYTES))
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* Room for a record of this kind, or NULL. */
static __always_inline void *reserve(enum ev_kind kind, __u64 size)
{
	struct ledger_cpu *book = book_here();
	struct ev_header *header;

	if (!book || !attempt(book, kind))
		return NULL;
	header = bpf_ringbuf_reserve(&ring, size, 0);
	if (!header) {
		__sync_fetch_and_add(&book->lost_ring_full[kind], 1);
		return NULL;
	}
	begin_record(header, kind, size);
	return header;
}

static __always_inline void submit(void *record)
{
	const struct ev_header *header = record;
	struct cpu_ring *here = ring_here();

	bpf_ringbuf_submit(record, here ? wakeup(here, header->time_ns) : 0);
}

/*
 * The socket's address, obscured. The verifier forbids arithmetic on pointers
 * but forgets that a value was one when it is read back from ring memory, so
 * the caller gives a place in its record.
 */
static __always_inline void put_pointer(__u64 *where, const void *sk)
{
	*(volatile __u64 *)where = (__u64)sk;
}

static __always_inline void obscure(__u64 *where)
{
	*where = *(volatile __u64 *)where ^ setting(ID_KEY);
}

static __always_inline void put_socket_id(__u64 *where, const void *sk)
{
	put_pointer(where, sk);
	obscure(where);
}

/* A socket has its cookie once somebody (this function, ss) has asked for it.
 * Only kprobes may not ask. */
static __always_inline __u64 cookie_of(const void *sk)
{
	__u64 cookie = GET((const struct sock *)sk, __sk_common.skc_cookie.counter);

#ifndef PROBE_READS
	if (!cookie)
		cookie = bpf_get_socket_cookie((void *)sk);
#endif
	return cookie;
}

static __always_inline void put_conn_id(__u64 *where, __u16 *flags, struct sock *sk, bool by_address)
{
	if (setting(HAVE_SOCKET_COOKIE) && !by_address) {
		*where = cookie_of(sk);
	} else {
		put_socket_id(where, sk);
		*flags |= EV_F_ID_IS_ADDRESS;
	}
}

#define NS_PER_CS 10000000ULL

union address {
	__u8 bytes[16];
	__u32 words[4];
	__u64 halves[2];
};

static __always_inline void put_v4(void *where, __be32 address)
{
	union address *out = where;

	out->halves[0] = 0;
	out->words[2] = bpf_htonl(0xffff);
	out->words[3] = address;
}

/* A field of what begins with a struct sock_common: a socket, a request, a minisocket. By
 * the one type that is needed anyway: libbpf's search for each other takes as long as all
 * the rest of a program's relocation. */
#define COMMON(c, field) GET((const struct sock *)(c), __sk_common.field)

#define put_v6(where, c, field)                                       \
	do {                                                          \
		union address *out_ = (void *)(where);                \
		out_->words[0] = COMMON(c, field.in6_u.u6_addr32[0]); \
		out_->words[1] = COMMON(c, field.in6_u.u6_addr32[1]); \
		out_->words[2] = COMMON(c, field.in6_u.u6_addr32[2]); \
		out_->words[3] = COMMON(c, field.in6_u.u6_addr32[3]); \
	} while (0)

static __always_inline bool is_to_v4_mapped(const struct sock_common *c)
{
	return !COMMON(c, skc_v6_daddr.in6_u.u6_addr32[0]) &&
	       !COMMON(c, skc_v6_daddr.in6_u.u6_addr32[1]) &&
	       COMMON(c, skc_v6_daddr.in6_u.u6_addr32[2]) == bpf_htonl(0xffff);
}

/*
 * Both addresses, of a socket or of a request. An AF_INET6 socket on its way
 * to a v4-mapped peer has its local address only in the IPv4 field until
 * tcp_v6_connect() returns, so that one is taken whenever the peer is
 * v4-mapped.
 */
static __always_inline void put_addresses(void *local, void *remote, const struct sock_common *c)
{
	if (COMMON(c, skc_family) == AF_INET) {
		put_v4(local, COMMON(c, skc_rcv_saddr));
		put_v4(remote, COMMON(c, skc_daddr));
		return;
	}
	put_v6(remote, c, skc_v6_daddr);
	if (is_to_v4_mapped(c))
		put_v4(local, COMMON(c, skc_rcv_saddr));
	else
		put_v6(local, c, skc_v6_rcv_saddr);
}

/* Of a full socket of TCP. Not from the socket itself: see walked(). */
static __always_inline const struct net *net_of(struct sock *sk)
{
	struct tcp_sock *tp = AS_TCP_SOCK(sk);

	return tp ? GET(tp, inet_conn.icsk_inet.sk.__sk_common.skc_net.net) : NULL;
}

static __always_inline __u32 netns_of(const struct sock_common *c)
{
	const struct net *net = COMMON(c, skc_net.net);

	return GET(net, ns.inum);
}

static __always_inline void put_place(struct ev_place *place, const struct sock *sk, __u32 netns)
{
	put_pointer(&place->socket_id, sk);
	place->netns = netns;
	place->family = GET(sk, __sk_common.skc_family);
	place->pad[0] = place->pad[1] = place->pad[2] = 0;
	put_addresses(place->local, place->remote, &sk->__sk_common);
	obscure(&place->socket_id); /* last: what was just written is not there to be read yet */
}

/* The highest bit of the first byte that is zero, and maybe of some behind it. */
static __always_inline __u64 name_ends(__u64 word)
{
	return (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
}

/* All bytes before the first that is marked, all 8 if none is. */
static __always_inline __u64 before(__u64 marks)
{
	return ((marks & -marks) >> 7) - 1;
}

/*
 * A task's name, with zeroes behind its end, which not all kernels have there. Lowest byte
 * first, as on all architectures that are served.
 */
static __always_inline void put_comm(struct ev_owner *owner, const struct task_struct *task)
{
	const __u64 *from = (const __u64 *)task->comm;
	__u64 *to = (__u64 *)owner->comm, low = from[0], high = from[1], ends;

	if (setting(COMM_HAS_ZEROES)) {
		to[0] = low;
		to[1] = high;
		return;
	}
	ends = name_ends(low);
	to[0] = low & before(ends);
	to[1] = ends ? 0 : high & before(name_ends(high));
}

/*
 * The same task, to follow pointers from. What a helper or the context gives is
 * trusted by newer verifiers, and at each pointer that is followed from there they
 * search all of the kernel's type names up to four times, a millisecond each
 * (btf_nested_type_is_trusted()). They do not where they trust nothing; its own
 * fields are read from the trusted one, without a check for each. Tracing programs
 * may cast on every kernel that can.
 */
#ifdef MAY_CALL_KERNEL
static void *(*const rdonly_cast)(const void *object, __u32 type) = KERNEL_CALL(RDONLY_CAST);

static __always_inline const struct task_struct *walked(const struct task_struct *task)
{
	return setting(TASK_STRUCT_ID) ? rdonly_cast(task, setting(TASK_STRUCT_ID)) : task;
}
#else
static __always_inline const struct task_struct *walked(const struct task_struct *task)
{
	return task;
}
#endif

/*
 * The current task by its own fields: helpers that say the same cost their calls, those
 * of uid and cgroup 20 ns each.
 */
static __always_inline void put_task_itself(struct ev_owner *owner, const struct task_struct *task)
{
	owner->pid = task->tgid;
	owner->tid = task->pid;
	put_comm(owner, task);
}

/* A process begins with its first thread, whose place another takes over at execve() with
 * its time (de_thread()). */
static __always_inline void put_behind_task(struct ev_owner *owner, const struct task_struct *from)
{
	owner->uid = from->cred->uid.val;
	owner->start_cs = from->group_leader->start_boottime / NS_PER_CS;
	owner->cgroup = bpf_core_field_exists(from->cgroups) ? from->cgroups->dfl_cgrp->kn->id : 0;
}

static __always_inline void put_task(struct ev_owner *owner, const struct task_struct *task)
{
	put_task_itself(owner, task);
	put_behind_task(owner, walked(task));
}

/* The same in kprobes and on 5.10, where a task is reached by probe reads only. */
static __always_inline void put_task_by_helpers(struct ev_owner *owner, bool probe_read)
{
	__u64 id = bpf_get_current_pid_tgid();

	owner->pid = id >> 32;
	owner->tid = id;
	owner->uid = bpf_get_current_uid_gid();
	owner->cgroup = bpf_get_current_cgroup_id();
	owner->start_cs = 0;
	if (probe_read)
		owner->start_cs = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(),
						group_leader, start_boottime) /
				  NS_PER_CS;
	bpf_get_current_comm(owner->comm, sizeof(owner->comm));
}

/* The current task. */
static __always_inline void put_owner(struct ev_owner *owner)
{
#ifdef PROBE_READS
	put_task_by_helpers(owner, true);
#else
	if (setting(HAVE_SOCKET_COOKIE))
		put_task(owner, bpf_get_current_task_btf());
	else
		put_task_by_helpers(owner, setting(MAY_PROBE_READ));
#endif
}

static __always_inline bool port_listed(const volatile struct kernel_filter_ports *ports, __u16 port)
{
	bool found = false;

#pragma unroll
	for (__u32 i = 0; i < KERNEL_FILTER_PORTS; i++)
		found |= i < ports->count && ports->port[i] == port;
	return found;
}

static __always_inline bool in_net(const volatile struct kernel_filter_net *net,
				   const union address *address)
{
	const volatile union address *want = (const volatile union address *)net->address;
	const volatile union address *mask = (const volatile union address *)net->mask;

	return (address->halves[0] & mask->halves[0]) == want->halves[0] &&
	       (address->halves[1] & mask->halves[1]) == want->halves[1];
}

static __always_inline bool netns_passes(__u32 netns)
{
	return !setting(FILTER_NETNS) || netns == (__u32)setting(FILTER_NETNS);
}

/* A port of 0 is not known yet and passes: userspace decides later. */
static __always_inline bool ports_pass(__u16 local, __u16 remote)
{
	if (!setting(FILTER_PORTS))
		return true;
	if (filter.local_ports.count && local && !port_listed(&filter.local_ports, local))
		return false;
	if (filter.remote_ports.count && remote && !port_listed(&filter.remote_ports, remote))
		return false;
	return !filter.either_ports.count || !local || !remote ||
	       port_listed(&filter.either_ports, local) || port_listed(&filter.either_ports, remote);
}

static __always_inline bool addresses_pass(const union address *local, const union address *remote)
{
	bool v4 = !remote->halves[0] && remote->words[2] == bpf_htonl(0xffff);

	if (filter.family && v4 != (filter.family == AF_INET))
		return false;
	return in_net(&filter.local_net, local) && in_net(&filter.remote_net, remote) &&
	       (in_net(&filter.either_net, local) || in_net(&filter.either_net, remote));
}

static __always_inline bool filter_passes(const struct sock_common *c, __u32 netns, __u16 local_port,
					  __u16 remote_port, bool addresses_known)
{
	union address local, remote;

	if (!setting(FILTER_ON))
		return true;
	if (!netns_passes(netns) || !ports_pass(local_port, remote_port))
		return false;
	if (!setting(FILTER_ADDRESSES) || !addresses_known)
		return true;
	put_addresses(&local, &remote, c);
	return addresses_pass(&local, &remote);
}

#endif
