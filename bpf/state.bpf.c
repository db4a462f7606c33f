// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Story: the states of every TCP socket.
 *
 * Hook                            Job
 *   tp_btf/inet_sock_set_state    one record for each transition: a full one at
 *                                 birth and at CLOSE, the owner with close() and
 *                                 shutdown(), a compact one otherwise
 *   the same, three times more    stand in where those before were not run
 *
 * The kernel does not run a program inside itself: when a softirq, or on newer
 * kernels another task, makes a transition on a CPU where on_state is just at
 * work, on_state is skipped and the kernel only counts it. on_state_stand_in
 * runs behind it for every event, sees that on_state has not been there, and
 * calls on_state_again, as a tail call, which the kernel never skips. A softirq
 * makes one of them needed. From 7.0 on a task may be preempted in the middle of a
 * program and others run meanwhile, so there are three, and three tasks have to be
 * caught in three programs before an event is lost; then it is counted.
 *
 * Maps
 *   told     the last event that was told: by CPU, one for sockets locked by a task
 *            and one for the rest, which is what a softirq has; from 7.0 on, where
 *            a task may go to another CPU meanwhile, by the socket's address.
 *            Another one in its place, and the event is told twice; the second time
 *            has a flag.
 *   scratch  per CPU: where an address becomes a number, for the same two.
 *   calls    on_state_again, for the stand-ins.
 *
 * It fires before sk_state is written, so the states are its arguments. MPTCP's
 * own sockets (protocol 262) and SCTP pass the same tracepoint and are skipped;
 * MPTCP's subflows are TCP and are told by a flag.
 *
 * Everything is read by direct BTF loads: cheaper than probe reads, and
 * allowed under lockdown=confidentiality. The maps are described in
 * tcpsaga.bpf.h.
 */
#define MAY_CALL_KERNEL /* accept.h tells why this object alone */
#include "tcpsaga.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct kernel_filter filter = {};
const volatile bool filter_on = false;
const volatile bool filter_addresses = false;
const volatile bool have_socket_cookie = false;
const volatile bool preempts = false;
const volatile bool may_probe_read = false;
const volatile __u32 syn_recv_sock_args = 0;
const volatile __u32 accept_args = 0;
const volatile __u32 timewait_args = 0;
const volatile __u32 task_struct_id = 0;
const volatile __u64 id_key = 0;
const volatile __u64 wakeup_bytes = 0;
const volatile __u32 simulate_loss = 0;
volatile __u32 consumer_waits = 0;

struct ring_map ring SEC(".maps");
struct ledger_map ledger SEC(".maps");
struct asked_map asked SEC(".maps");

/*
 * Where tasks are preempted in the middle of a program (tracepoints from 7.0 on),
 * the kernel skips the program for whoever runs meanwhile. It is held off for the
 * whole of a program: to end this, preemption is allowed while interrupts are not,
 * lest a task that is to go goes right then, still in the program.
 */
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;
extern void bpf_local_irq_save(unsigned long *flags) __weak __ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __weak __ksym;

static __always_inline void hold_cpu(void)
{
	if (preempts)
		bpf_preempt_disable();
}

static __always_inline void let_cpu_go(void)
{
	unsigned long flags;

	if (!preempts)
		return;
	bpf_local_irq_save(&flags);
	bpf_preempt_enable();
	bpf_local_irq_restore(&flags);
}

/* For programs in other objects: see accept.h for why they have no names of the
 * kernel's own. */
__hidden __noinline void cpu__hold(void)
{
	hold_cpu();
}

__hidden __noinline void cpu__let_go(void)
{
	let_cpu_go();
}

/* Values of file_ref_t from here on mean that the last reference is gone
 * (FILE_REF_RELEASED, include/linux/file_ref.h). */
#define FILE_REF_RELEASED 0xC000000000000000ULL

/* True when the socket's last descriptor has been closed: then the call that
 * moves the state is close() or exit, and not shutdown(). Sockets of the
 * kernel itself have no file and know only close. */
static __always_inline bool file_closed(const struct socket *socket)
{
	const struct file *file;

	if (!socket)
		return true;
	file = socket->file;
	if (!file)
		return true;
	if (bpf_core_field_exists(file->f_ref))
		return (__u64)file->f_ref.refcnt.counter >= FILE_REF_RELEASED;
	return bpf_core_field_exists(file->f_count) && file->f_count.counter == 0;
}

/* tcp_rcv_nxt_update() counts the peer's FIN as a byte; tcp_fin() leaves this
 * flag behind. */
static __always_inline bool fin_received(const struct sock *sk)
{
	return sk->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1;
}

/* The same socket, to follow pointers from (see walked()). */
static __always_inline const struct sock *sk_of(const struct tcp_sock *tp)
{
	return &tp->inet_conn.icsk_inet.sk;
}

/* A transition that is being reported: the arguments and what was found out. */
struct step {
	struct sock *sk;
	struct tcp_sock *tp;
	const struct net *net;
	__u8 old_state;
	__u8 new_state;
	__u16 local_port;
	__u16 remote_port;
	bool in_syscall;
	__u16 flags; /* EV_F_* */
	__u64 cookie;
};

/* What the transition tells of the socket's file. */
static __always_inline __u16 socket_flags(const struct step *step)
{
	const struct socket *socket = sk_of(step->tp)->sk_socket;
	bool may_close = step->new_state == EV_STATE_CLOSE || step->new_state == EV_FIN_WAIT1 ||
			 step->new_state == EV_LAST_ACK;
	__u16 flags = 0;

	if (!socket)
		flags |= EV_F_NO_SOCKET;
	if (step->in_syscall && may_close && file_closed(socket))
		flags |= EV_F_FILE_CLOSED;
	return flags;
}

/* A child becomes its listener's clone before it has a connection of its own
 * (up to 6.12): what it says of its place is the listener's. */
static __always_inline bool is_clone(const struct step *step)
{
	return step->old_state == EV_LISTEN && step->new_state == EV_SYN_RECV;
}

static __always_inline bool is_birth(const struct step *step)
{
	return step->new_state == EV_SYN_SENT || step->new_state == EV_LISTEN ||
	       step->old_state == EV_SYN_RECV;
}

/* A kernel worker moves MPTCP's subflows on behalf of nobody we can name. The
 * helper came with 5.11; 5.10 has no such worker (KERNEL.md, section 4). */
static __always_inline bool in_mptcp_worker(const struct step *step)
{
	if (!bpf_core_field_exists(step->tp->is_mptcp) || !step->tp->is_mptcp)
		return false;
	if (!have_socket_cookie)
		return false;
	return bpf_get_current_task_btf()->flags & PF_KTHREAD;
}

/* The close() or shutdown() that sends the FIN. */
static __always_inline bool is_owned(const struct step *step)
{
	return step->in_syscall && (step->new_state == EV_FIN_WAIT1 || step->new_state == EV_LAST_ACK);
}

static __always_inline bool may_own(const struct step *step)
{
	return step->in_syscall && !in_mptcp_worker(step);
}

/* inet_csk_clone_lock() gives the child its cookie after this event: one made
 * now would be overwritten. */
static __always_inline bool has_cookie(const struct step *step)
{
	return have_socket_cookie && !is_clone(step);
}

/* What all kinds of record need is found out once and before they part: the
 * verifier walks each of them to its end. */
static __always_inline void find_out(struct step *step)
{
	step->in_syscall = step->sk->sk_lock.owned;
	step->flags |= socket_flags(step);
	if (step->in_syscall)
		step->flags |= EV_F_IN_SYSCALL;
	if (bpf_core_field_exists(step->tp->is_mptcp) && step->tp->is_mptcp)
		step->flags |= EV_F_MPTCP;
	if (has_cookie(step))
		step->cookie = cookie_of(step->sk);
	else
		step->flags |= EV_F_ID_IS_ADDRESS;
}

static __always_inline void put_transition(struct ev_transition *t, const struct step *step)
{
	if (has_cookie(step))
		t->conn_id = step->cookie;
	else
		put_socket_id(&t->conn_id, step->sk);
	t->old_state = step->old_state;
	t->new_state = step->new_state;
	t->local_port = step->local_port;
	t->remote_port = step->remote_port;
	t->flags = step->flags;
}

static __always_inline void send_compact(const struct step *step)
{
	struct ev_transition *r = reserve(EV_TRANSITION, sizeof(*r));

	if (!r)
		return;
	put_transition(r, step);
	submit(r);
}

static __always_inline void send_owned(const struct step *step, const struct ev_owner *owner)
{
	struct ev_transition_owned *r = reserve(EV_TRANSITION_OWNED, sizeof(*r));

	if (!r)
		return;
	put_transition(&r->transition, step);
	r->owner = *owner;
	submit(r);
}

/* The argument of the listen() that this thread is in: syscall.bpf.c put it
 * there. 0 when it did not. */
static __always_inline __u32 asked_for(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 *backlog = bpf_map_lookup_elem(&asked, &thread);
	__u32 value = backlog ? *backlog : 0;

	if (backlog)
		bpf_map_delete_elem(&asked, &thread);
	return value;
}

static __always_inline void put_backlog(struct ev_birth *r, const struct step *step)
{
	bool listens = step->new_state == EV_LISTEN;

	r->backlog = listens ? step->sk->sk_max_ack_backlog : 0;
	r->somaxconn = listens ? step->net->core.sysctl_somaxconn : 0;
	r->asked = listens ? asked_for() : 0;
}

static __always_inline void send_birth(const struct step *step, const struct ev_owner *owner)
{
	struct ev_birth *r = reserve(EV_BIRTH, sizeof(*r));

	if (!r)
		return;
	put_transition(&r->transition, step);
	put_place(&r->place, step->sk, step->net->ns.inum);
	r->owner = *owner;
	r->error = step->sk->sk_err;
	put_backlog(r, step);
	submit(r);
}

static __always_inline void send_close(const struct step *step, const struct ev_owner *owner)
{
	struct ev_close *r = reserve(EV_CLOSE, sizeof(*r));

	if (!r)
		return;
	put_transition(&r->transition, step);
	put_place(&r->place, step->sk, step->net->ns.inum);
	r->owner = *owner;
	r->totals.bytes_sent = step->tp->bytes_sent - step->tp->bytes_retrans;
	r->totals.bytes_received = step->tp->bytes_received - fin_received(step->sk);
	r->totals.retransmits = step->tp->total_retrans;
	r->totals.error = step->sk->sk_err;
	submit(r);
}

enum { TOLD_SLOTS_BITS = 12, TOLD_SLOTS = 1 << TOLD_SLOTS_BITS, TOLD_PER_CPU = 8 };

struct told {
	__u64 sk;
	__u32 states;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TOLD_SLOTS);
	__type(key, __u32);
	__type(value, struct told);
} told SEC(".maps");

struct scratch {
	__u64 sk[2]; /* by in_syscall */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/* live.c puts on_state_again into it. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} calls SEC(".maps");

/* As in put_socket_id(): read back from a map, a pointer is a number. */
static __always_inline struct told *told_by_address(struct sock *sk)
{
	__u32 key = 0;
	struct scratch *mine = bpf_map_lookup_elem(&scratch, &key);
	bool locked = sk->sk_lock.owned;
	__u64 address;

	if (!mine)
		return NULL;
	*(volatile __u64 *)&mine->sk[locked] = (__u64)sk;
	address = *(volatile __u64 *)&mine->sk[locked];
	key = address * 0x9e3779b97f4a7c15ULL >> (64 - TOLD_SLOTS_BITS);
	return bpf_map_lookup_elem(&told, &key);
}

/* No two CPUs share a cache line, wherever in one the map begins. */
static __always_inline struct told *told_here(struct sock *sk)
{
	bool locked = sk->sk_lock.owned;
	__u32 key = (bpf_get_smp_processor_id() * TOLD_PER_CPU + locked) % TOLD_SLOTS;

	return bpf_map_lookup_elem(&told, &key);
}

static __always_inline struct told *told_of(struct sock *sk)
{
	return preempts ? told_by_address(sk) : told_here(sk);
}

static __always_inline __u32 states_of(int from, int to)
{
	return (__u8)from << 8 | (__u8)to;
}

/* The step has passed the filter. */
static __always_inline void send(struct step *step)
{
	struct ev_owner owner;
	bool closes = step->new_state == EV_STATE_CLOSE;

	find_out(step);
	if (!closes && !is_birth(step) && !is_owned(step)) {
		send_compact(step);
		return;
	}
	put_owner(&owner, may_own(step));
	if (closes)
		send_close(step, &owner);
	else if (is_birth(step))
		send_birth(step, &owner);
	else
		send_owned(step, &owner);
}

/* A namespace's number stands beside its count of sockets, which other CPUs write all the
 * time: it is read where it is told or asked for, and only there. */
static __always_inline bool passes(const struct step *step)
{
	if (!filter_on)
		return true;
	return filter_passes(&step->sk->__sk_common, filter.netns ? step->net->ns.inum : 0,
			     step->local_port, step->remote_port, !is_clone(step));
}

static __always_inline void tell(struct sock *sk, int old, int new, __u16 flags)
{
	struct step step = { .sk = sk, .old_state = old, .new_state = new, .flags = flags };

	/* tcp_close_state() sets the state again that it is in already when
	 * close() comes after shutdown(): no transition. */
	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return;
	step.tp = bpf_skc_to_tcp_sock(sk);
	if (!step.tp)
		return;
	/* Not inet_num: it is 0 already at any-CLOSE of an ephemeral port. */
	step.local_port = bpf_ntohs(step.tp->inet_conn.icsk_inet.inet_sport);
	/* After connect(AF_UNSPEC) inet_sport still has the port of the earlier
	 * life; inet_num is only set here when the socket is bound. */
	if (step.new_state == EV_SYN_SENT)
		step.local_port = sk->__sk_common.skc_num;
	step.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	step.net = sk_of(step.tp)->__sk_common.skc_net.net;
	if (passes(&step))
		send(&step);
}

static __always_inline void note_told(struct told *last, struct sock *sk, __u32 states)
{
	last->sk = (__u64)sk;
	last->states = states;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int old, int new)
{
	struct told *last;

	hold_cpu();
	last = told_of(sk);
	if (last)
		note_told(last, sk, states_of(old, new));
	tell(sk, old, new, 0);
	let_cpu_go();
	return 0;
}

static __always_inline void count_nested(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct ledger_cpu *book = bpf_map_lookup_elem(&ledger, &cpu);

	if (book)
		__sync_fetch_and_add(&book->nested, 1);
}

/* Not attached. Counted here: a call that came to nothing would be a loss. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_again, struct sock *sk, int old, int new)
{
	hold_cpu();
	count_nested();
	tell(sk, old, new, EV_F_STAND_IN);
	let_cpu_go();
	return 0;
}

/* The last to run leaves nothing behind: the socket may do the same again. */
static __always_inline bool is_untold(struct sock *sk, int old, int new, bool is_last)
{
	struct told *last = told_of(sk);
	__u32 states = states_of(old, new);

	if (!last)
		return false;
	if (last->sk == (__u64)sk && last->states == states) {
		if (is_last)
			last->sk = 0;
		return false;
	}
	if (!is_last)
		note_told(last, sk, states);
	return true;
}

static __always_inline int stand_in(void *ctx, struct sock *sk, int old, int new, bool is_last)
{
	bool untold;

	hold_cpu();
	untold = is_untold(sk, old, new, is_last);
	let_cpu_go();
	if (untold)
		bpf_tail_call(ctx, &calls, 0);
	return 0;
}

/* Where tasks are not preempted it is alone. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_stand_in, struct sock *sk, int old, int new)
{
	return stand_in(ctx, sk, old, new, !preempts);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_stand_in2, struct sock *sk, int old, int new)
{
	return stand_in(ctx, sk, old, new, false);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_stand_in3, struct sock *sk, int old, int new)
{
	return stand_in(ctx, sk, old, new, true);
}

#include "accept.h"
