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
 *   cpu_rings  where records go first; and the last event that was told on this CPU,
 *              one for sockets locked by a task and one for the rest, which is what a
 *              softirq has.
 *   told       the same from 7.0 on, where a task may go to another CPU meanwhile: by
 *              the socket's address. Another one in its place, and the event is told
 *              twice; the second time has a flag.
 *   scratch    per CPU: where an address becomes a number, for the same two.
 *   calls      on_state_again, for the stand-ins.
 *
 * It fires before sk_state is written, so the states are its arguments. MPTCP's
 * own sockets (protocol 262) and SCTP pass the same tracepoint and are skipped;
 * MPTCP's subflows are TCP and are told by a flag.
 *
 * Everything is read by direct BTF loads: cheaper than probe reads, and
 * allowed under lockdown=confidentiality. The maps are described in
 * tcpsaga.bpf.h.
 */
#define MAY_CALL_KERNEL
#include "cpu_ring.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct kernel_filter filter = {};

struct ring_map ring SEC(".maps");
struct ledger_map ledger SEC(".maps");
struct cpu_rings_map cpu_rings SEC(".maps");
struct asked_map asked SEC(".maps");

/* To end this, preemption is allowed while interrupts are not, lest a task that is to go
 * goes right then, still in the program. */
static void (*const preempt_disable)(void) = KERNEL_CALL(PREEMPT_DISABLE);
static void (*const preempt_enable)(void) = KERNEL_CALL(PREEMPT_ENABLE);
static void (*const local_irq_save)(unsigned long *flags) = KERNEL_CALL(LOCAL_IRQ_SAVE);
static void (*const local_irq_restore)(unsigned long *flags) = KERNEL_CALL(LOCAL_IRQ_RESTORE);

/* Programs in other objects call these. */
__hidden __noinline void cpu__hold(void)
{
	preempt_disable();
}

__hidden __noinline void cpu__let_go(void)
{
	unsigned long flags;

	local_irq_save(&flags);
	preempt_enable();
	local_irq_restore(&flags);
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

/* A transition that is being reported. */
struct step {
	struct cpu_ring *here;
	struct sock *sk;
	struct tcp_sock *tp;
	int old_state;
	int new_state;
	bool in_syscall;
	__u16 flags; /* EV_F_* that are known from the start */
};

static __always_inline const struct net *net_of_step(const struct step *step)
{
	return sk_of(step->tp)->__sk_common.skc_net.net;
}

/* Not inet_num: it is 0 already at any-CLOSE of an ephemeral port. But after
 * connect(AF_UNSPEC) inet_sport still has the port of the earlier life; inet_num is only
 * set there when the socket is bound. */
static __always_inline __u16 local_port(const struct step *step)
{
	return step->new_state == EV_SYN_SENT ? step->sk->__sk_common.skc_num :
						bpf_ntohs(step->tp->inet_conn.icsk_inet.inet_sport);
}

static __always_inline __u16 remote_port(const struct step *step)
{
	return bpf_ntohs(step->sk->__sk_common.skc_dport);
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
	if (!setting(HAVE_SOCKET_COOKIE))
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
	return setting(HAVE_SOCKET_COOKIE) && !is_clone(step);
}

/* It may have been the last descriptor that is closed here. */
static __always_inline bool may_close(const struct step *step)
{
	return step->new_state == EV_STATE_CLOSE || step->new_state == EV_FIN_WAIT1 ||
	       step->new_state == EV_LAST_ACK;
}

static __always_inline __u16 flags_of(const struct step *step)
{
	const struct socket *socket = sk_of(step->tp)->sk_socket;
	__u16 flags = step->flags;

	if (!socket)
		flags |= EV_F_NO_SOCKET;
	if (step->in_syscall) {
		flags |= EV_F_IN_SYSCALL;
		if (may_close(step) && file_closed(socket))
			flags |= EV_F_FILE_CLOSED;
	}
	if (bpf_core_field_exists(step->tp->is_mptcp) && step->tp->is_mptcp)
		flags |= EV_F_MPTCP;
	return flags;
}

static __always_inline void put_transition(struct ev_transition *t, const struct step *step)
{
	__u16 flags = flags_of(step);

	t->old_state = step->old_state;
	t->new_state = step->new_state;
	t->local_port = local_port(step);
	t->remote_port = remote_port(step);
	if (has_cookie(step)) {
		t->conn_id = cookie_of(step->sk);
	} else {
		put_socket_id(&t->conn_id, step->sk);
		flags |= EV_F_ID_IS_ADDRESS;
	}
	t->flags = flags;
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
	r->somaxconn = listens ? net_of_step(step)->core.sysctl_somaxconn : 0;
	r->asked = listens ? asked_for() : 0;
}

static __always_inline void put_totals(struct ev_totals *totals, const struct step *step)
{
	totals->bytes_sent = step->tp->bytes_sent - step->tp->bytes_retrans;
	totals->bytes_received = step->tp->bytes_received - fin_received(step->sk);
	totals->retransmits = step->tp->total_retrans;
	totals->error = step->sk->sk_err;
}

enum { TOLD_SLOTS_BITS = 12, TOLD_SLOTS = 1 << TOLD_SLOTS_BITS };

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

/* programs.c puts on_state_again into it. */
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

static __always_inline struct told *told_of(struct cpu_ring *here, struct sock *sk)
{
	return setting(PREEMPTS) ? told_by_address(sk) : &here->told[sk->sk_lock.owned != 0];
}

static __always_inline __u32 states_of(int from, int to)
{
	return (__u8)from << 8 | (__u8)to;
}

/* A record of any kind. All have the transition first; place and owner lie at the same
 * place in a birth and in a close. */
union record {
	struct ev_transition transition;
	struct ev_transition_owned owned;
	struct ev_birth birth;
	struct ev_close close;
};

_Static_assert(sizeof(union record) <= CPU_RING_RECORD, "a record would not fit");
_Static_assert(__builtin_offsetof(struct ev_birth, place) == __builtin_offsetof(struct ev_close, place),
	       "see put_all()");
_Static_assert(__builtin_offsetof(struct ev_birth, owner) == __builtin_offsetof(struct ev_close, owner),
	       "see put_all()");

static __always_inline enum ev_kind kind_of(const struct step *step)
{
	return step->new_state == EV_STATE_CLOSE ? EV_CLOSE :
	       is_birth(step)			 ? EV_BIRTH :
	       is_owned(step)			 ? EV_TRANSITION_OWNED :
						   EV_TRANSITION;
}

#define SIZE(kind, type) ((__u64)sizeof(struct type) << (kind)*8)

/* Without a branch: there would be as many as kinds, and the same ones again. */
static __always_inline __u32 size_of(enum ev_kind kind)
{
	const __u64 sizes = SIZE(EV_TRANSITION, ev_transition) |
			    SIZE(EV_TRANSITION_OWNED, ev_transition_owned) | SIZE(EV_BIRTH, ev_birth) |
			    SIZE(EV_CLOSE, ev_close);

	return sizes >> kind * 8 & 0xff;
}

/* What there is beside the transition. */
static __always_inline void put_all(union record *r, const struct step *step, enum ev_kind kind)
{
	struct known *known = known_here(step->here);
	struct ev_owner *owner = &r->owned.owner;

	if (kind != EV_TRANSITION_OWNED) {
		put_place(&r->close.place, step->sk, netns_known(known, net_of_step(step)));
		owner = &r->close.owner;
	}
	put_owner_known(owner, may_own(step), known);
	if (kind == EV_CLOSE)
		put_totals(&r->close.totals, step);
	if (kind == EV_BIRTH) {
		r->birth.error = step->sk->sk_err;
		put_backlog(&r->birth, step);
	}
}

/* The step has passed the filter. One way for all kinds: the less code there is, the more
 * of it is in the caches when the next one comes. To ask for the time is to wait for all
 * that was read before, so that what is far away is read behind it, and at once. */
static __always_inline void send(const struct step *step)
{
	enum ev_kind kind = kind_of(step);
	__u32 size = size_of(kind);
	union record *r = reserve_here(step->here, kind, size);

	if (!r)
		return;
	put_transition(&r->transition, step);
	if (kind != EV_TRANSITION)
		put_all(r, step, kind);
	send_here(step->here, r, kind, size);
}

/* A namespace's number stands beside its count of sockets, which other CPUs write all the
 * time: it is read where it is told or asked for, and only there. */
static __always_inline bool passes(const struct step *step)
{
	if (!setting(FILTER_ON))
		return true;
	return filter_passes(&step->sk->__sk_common,
			     setting(FILTER_NETNS) ? net_of_step(step)->ns.inum : 0, local_port(step),
			     remote_port(step), !is_clone(step));
}

/* For a socket whose protocol is TCP: the cast alone, where there is one. */
static __always_inline struct tcp_sock *tcp_sock_of(struct sock *sk)
{
	return setting(TCP_SOCK_ID) ? rdonly_cast(sk, setting(TCP_SOCK_ID)) : bpf_skc_to_tcp_sock(sk);
}

static __always_inline void tell(struct cpu_ring *here, struct sock *sk, int old, int new, __u16 flags)
{
	struct step step = { .here = here, .sk = sk, .old_state = old, .new_state = new, .flags = flags };

	/* tcp_close_state() sets the state again that it is in already when
	 * close() comes after shutdown(): no transition. */
	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return;
	step.tp = tcp_sock_of(sk);
	if (!step.tp)
		return;
	step.in_syscall = sk->sk_lock.owned;
	if (passes(&step))
		send(&step);
}

static __always_inline void note_told(struct told *last, struct sock *sk, __u32 states)
{
	if (!last)
		return;
	last->sk = (__u64)sk;
	last->states = states;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int old, int new)
{
	struct cpu_ring *here;

	hold_cpu();
	here = ring_here();
	if (here) {
		note_told(told_of(here, sk), sk, states_of(old, new));
		tell(here, sk, old, new, 0);
	}
	let_cpu_go();
	return 0;
}

static __always_inline void count_nested(void)
{
	struct ledger_cpu *book = book_here();

	if (book)
		__sync_fetch_and_add(&book->nested, 1);
}

/* Not attached. Counted here: a call that came to nothing would be a loss. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_again, struct sock *sk, int old, int new)
{
	struct cpu_ring *here;

	hold_cpu();
	count_nested();
	here = ring_here();
	if (here)
		tell(here, sk, old, new, EV_F_STAND_IN);
	let_cpu_go();
	return 0;
}

/* The last to run leaves nothing behind: the socket may do the same again. */
static __always_inline bool is_untold(struct sock *sk, int old, int new, bool is_last)
{
	struct cpu_ring *here = ring_here();
	struct told *last = here ? told_of(here, sk) : NULL;
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
	return stand_in(ctx, sk, old, new, !setting(PREEMPTS));
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
