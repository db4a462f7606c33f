/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The wire contract between bpf/ and user/, and of recordings.
 *
 * Produced by bpf/<story>.bpf.c into the ring; decoded by
 * user/event/decode.c, and by nobody else. Kinds are numbered and only ever
 * appended; a record's layout never changes under the same EV_VERSION, so an
 * old recording stays readable.
 *
 * A new flag, reason, outcome or state of an old kind is a new version, because
 * an older decoder refuses what it does not know; a new kind is not.
 *
 * Version 2: ev_owner.start_cs, which was zero before.
 * Version 3: EV_LOST_QUEUE_FULL.
 *
 * Layout rules: fixed-width types, 8-byte alignment, explicit padding that is
 * always written as zero, and an assertion on every size and offset below.
 * Times are CLOCK_BOOTTIME nanoseconds. Ports are in host order. Addresses are
 * 16 bytes in network order, IPv4 stored v4-mapped (RFC 4291, 2.5.5.2).
 */
#ifndef TCPSAGA_EVENT_H
#define TCPSAGA_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#include <stddef.h>
#endif

enum {
	EV_VERSION = 3,
	EV_COMM_BYTES = 16, /* TASK_COMM_LEN, with its NUL */
	EV_CGROUP_PATH_BYTES = 480,
	/* So many cgroups are remembered by the teller and by its reader, and the
	 * one that was told first is forgotten first, by both. */
	EV_CGROUPS_TOLD = 4096,
};

enum ev_kind {
	EV_TRANSITION = 1,   /* struct ev_transition: the compact record */
	EV_TRANSITION_OWNED, /* struct ev_transition_owned: close(), shutdown() */
	EV_BIRTH,	     /* struct ev_birth: CLOSE-SYN_SENT, SYN_RECV-any, any-LISTEN */
	EV_CLOSE,	     /* struct ev_close: any-CLOSE */
	EV_SYN,		     /* struct ev_handshake: a SYN came to a listener */
	EV_HANDSHAKE,	     /* struct ev_handshake: a step of a request's life */
	EV_ACCEPT,	     /* struct ev_accept */
	EV_TIMEWAIT,	     /* struct ev_timewait: a step of a minisocket's life */
	EV_ADMITTED,	     /* struct ev_handshake: a SYN was queued, and no more is seen of it */
	EV_BIND,	     /* struct ev_bind: a bind() or listen() that was refused */

	/* Made in userspace by a source, never seen in the ring. */
	EV_LOSS = 128, /* struct ev_loss: so many records were lost, and why */
	EV_STOP,       /* struct ev_stop: the source ended in good order */
	EV_LISTENER,   /* struct ev_listener: a listener as the kernel's tables show it */
	EV_SAMPLED,    /* struct ev_sampled: a sample of listeners is complete */
	EV_NETSTAT,    /* struct ev_netstat: what a network namespace has counted */
	EV_SOCKET,     /* struct ev_socket: any other socket there */
	EV_DUMP,       /* struct ev_dump: all sockets of a namespace have been told */
	EV_CGROUP,     /* struct ev_cgroup: before the first record that names it */
	EV_SETTINGS,   /* struct ev_settings: how a namespace is set */
	EV_HOLDER,     /* struct ev_holder: who was in the way of a refused bind() */
	EV_UNREAD,     /* struct ev_unread: what lies unread at a connection in CLOSE_WAIT */

	/* What a model knows, as an agent tells it to who comes late: rebuilds it in an
	 * empty one. They come before all others, EV_KNOWN behind them. */
	EV_LIFE,       /* struct ev_life: a connection with its history */
	EV_QUEUES,     /* struct ev_queues: a listener with what it has counted */
	EV_WAIT_GROUP, /* struct ev_wait_group: whose minisockets, and how many so far */
	EV_WAIT,       /* struct ev_wait: a minisocket that there is */
	EV_KNOWN,      /* struct ev_known: that was all */
};

/* The kernel's enum, by value: include/net/tcp_states.h. */
enum ev_state {
	EV_ESTABLISHED = 1,
	EV_SYN_SENT,
	EV_SYN_RECV,
	EV_FIN_WAIT1,
	EV_FIN_WAIT2,
	EV_TIME_WAIT,
	EV_STATE_CLOSE, /* the kernel's TCP_CLOSE */
	EV_CLOSE_WAIT,
	EV_LAST_ACK,
	EV_LISTEN,
	EV_CLOSING,
	EV_STATE_END
};

/* ev_transition.flags */
enum {
	/* conn_id is the obscured address of the socket, not its cookie: it is
	 * unique among live sockets only and is used again after CLOSE. */
	EV_F_ID_IS_ADDRESS = 1 << 0,
	/* The current task held the socket's lock: it is in a system call on
	 * this very socket, and an owner in the record is true. */
	EV_F_IN_SYSCALL = 1 << 1,
	/* No struct socket is attached: not accepted yet, or orphaned by close(). */
	EV_F_NO_SOCKET = 1 << 2,
	/* The last descriptor is gone: the call is close() (or exit), not shutdown(). */
	EV_F_FILE_CLOSED = 1 << 3,
	/* A subflow of an MPTCP connection (tcp_sock.is_mptcp). */
	EV_F_MPTCP = 1 << 4,
	/* Told by the stand-in (state.bpf.c). In a rare race the same transition
	 * is told twice; the second one has this flag. */
	EV_F_STAND_IN = 1 << 5,
	EV_F_ALL = (1 << 6) - 1
};

/* What every record begins with. */
struct ev_header {
	__u16 len;    /* of the whole record, bytes, a multiple of 8 */
	__u8 version; /* EV_VERSION */
	__u8 kind;    /* enum ev_kind */
	__u32 cpu;
	__u64 time_ns;
};

/* The compact record: enough to advance a connection that is known by its
 * birth. Every kind of transition begins with it. */
struct ev_transition {
	struct ev_header header;
	__u64 conn_id;
	__u8 old_state; /* enum ev_state */
	__u8 new_state;
	__u16 local_port; /* 0 while unknown */
	__u16 remote_port;
	__u16 flags; /* EV_F_* */
};

/* Where a connection is. */
struct ev_place {
	__u64 socket_id; /* the obscured address: joins LISTEN-SYN_RECV to its child */
	__u32 netns;	 /* inode of the network namespace */
	__u8 family;	 /* the socket's own: AF_INET or AF_INET6 */
	__u8 pad[3];
	__u8 local[16];
	__u8 remote[16];
};

/* The task that made the system call; all zero when there was none. */
struct ev_owner {
	__u32 pid; /* the kernel's tgid */
	__u32 tid;
	__u32 uid;
	/* When the process began: hundredths of a second since boot, modulo 2^32,
	 * as in proc_pid_stat(5); 0 not known. With pid it names a process. */
	__u32 start_cs;
	__u64 cgroup;		  /* cgroup v2 id, 0 not known */
	char comm[EV_COMM_BYTES]; /* arbitrary bytes, NUL-padded */
};

/* What the socket had counted when it closed: struct tcp_sock. */
struct ev_totals {
	__u64 bytes_sent;     /* payload, without retransmissions */
	__u64 bytes_received; /* payload */
	__u32 retransmits;    /* segments: total_retrans */
	__u32 error;	      /* sk_err, an errno or 0 */
};

struct ev_transition_owned {
	struct ev_transition transition;
	struct ev_owner owner;
};

struct ev_birth {
	struct ev_transition transition;
	struct ev_place place;
	struct ev_owner owner;
	__u32 error;	 /* sk_err left over from an earlier life of the socket */
	__u32 backlog;	 /* LISTEN: sk_max_ack_backlog, the effective limit */
	__u32 asked;	 /* LISTEN: what listen() was called with; 0 not known */
	__u32 somaxconn; /* LISTEN: of its network namespace */
};

struct ev_close {
	struct ev_transition transition;
	struct ev_place place;
	struct ev_owner owner;
	struct ev_totals totals;
};

enum ev_outcome {
	/* EV_SYN: what became of a SYN */
	EV_SYN_UNKNOWN = 0, /* the hooks that tell are not attached */
	EV_SYN_QUEUED,	    /* a request in the SYN queue */
	EV_SYN_COOKIE,	    /* answered with a SYN cookie, nothing queued */
	EV_SYN_FASTOPEN,    /* a child at once: TCP Fast Open */
	EV_SYN_DROPPED,	    /* detail: enum ev_drop_cause */
	/* EV_HANDSHAKE: what happened to a request */
	EV_REQUEST_RETRANSMITTED, /* another SYN-ACK was sent */
	EV_REQUEST_COMPLETED,	  /* third ACK; detail: enum ev_via */
	EV_REQUEST_TIMED_OUT,
	EV_REQUEST_RESET,    /* detail: enum ev_reset_by */
	EV_REQUEST_OVERFLOW, /* third ACK dropped, accept queue full; not an end */
	EV_REQUEST_LISTENER_CLOSED,
	EV_OUTCOME_END
};

enum ev_drop_cause {
	EV_DROP_OTHER = 0, /* no memory, no route, a security module */
	EV_DROP_SYN_QUEUE_FULL,
	EV_DROP_ACCEPT_QUEUE_FULL,
	EV_DROP_LAST_QUARTER, /* of tcp_max_syn_backlog, without cookies */
	EV_DROP_END
};

enum ev_via { EV_VIA_SYN_QUEUE = 0, EV_VIA_COOKIE, EV_VIA_END };

enum ev_reset_by {
	EV_RESET_BY_PEER = 0, /* or by an ICMP error */
	EV_RESET_BY_US,	      /* at the third ACK: accept queue full and tcp_abort_on_overflow */
	EV_RESET_BY_END
};

/* One step of a handshake at a listener, with both queues as they were when
 * it began. */
struct ev_handshake {
	struct ev_header header;
	__u64 conn_id;	       /* the request's and its child's; 0 where there is none */
	__u64 listener_id;     /* conn_id of the listener */
	__u64 listener_socket; /* its obscured address: ev_place.socket_id */
	__u32 netns;
	__u8 family;  /* of the listener */
	__u8 outcome; /* enum ev_outcome */
	__u8 detail;
	__u8 retransmits; /* SYN-ACKs sent again so far */
	__u16 local_port;
	__u16 remote_port;	/* 0: the peer is not known (no probe reads) */
	__u32 syn_queue_len;	/* icsk_accept_queue.qlen */
	__u32 accept_queue_len; /* sk_ack_backlog */
	__u32 limit;		/* sk_max_ack_backlog: bounds both queues */
	__u8 local[16];
	__u8 remote[16];
};

/* accept() has handed out a connection. */
struct ev_accept {
	struct ev_header header;
	__u64 conn_id;
	__u64 listener_id; /* 0 where the hook does not see the listener */
	__u64 listener_socket;
	__u32 netns;
	__u8 family;	 /* of the child */
	__u8 by_address; /* conn_id is the child's obscured address */
	__u8 pad[2];
	__u16 local_port;
	__u16 remote_port;
	__u32 accept_queue_len; /* after it was taken out */
	__u32 limit;
	__u32 pad2;
	__u8 local[16];
	__u8 remote[16];
	struct ev_owner owner; /* the accepting task */
};

enum ev_wait_phase {
	EV_WAIT_BEGIN = 1, /* the socket became a minisocket */
	EV_WAIT_PROMOTED,  /* from FIN_WAIT2 to TIME_WAIT: the peer's FIN came */
	EV_WAIT_END,	   /* it is gone: enum ev_wait_end */
	EV_WAIT_REFUSED,   /* none was made: tcp_max_tw_buckets, or no memory */
	EV_WAIT_PHASE_END
};

enum ev_wait_end {
	EV_WAIT_END_NONE = 0,
	EV_WAIT_EXPIRED, /* its time was over */
	EV_WAIT_REUSED,	 /* connect() took its tuple: tcp_twsk_unique() */
	EV_WAIT_NEW_SYN, /* the peer began a new connection on its tuple */
	EV_WAIT_RESET,	 /* the peer's RST */
	EV_WAIT_ABORTED, /* our RST: data came for a socket that was closed */
	EV_WAIT_KILLED,	 /* its namespace went away, or ss -K */
	EV_WAIT_END_END
};

/* A step of a minisocket (struct inet_timewait_sock): what is left of a
 * connection whose socket has gone to CLOSE. Known by its tuple: a namespace
 * has one of each. */
struct ev_timewait {
	struct ev_header header;
	__u64 conn_id; /* of the connection; 0 where the kernel gives no cookie, but at BEGIN */
	__u32 netns;
	__u8 family;   /* the socket's own */
	__u8 phase;    /* enum ev_wait_phase */
	__u8 substate; /* EV_FIN_WAIT2 or EV_TIME_WAIT: what it stands for now */
	__u8 end;      /* enum ev_wait_end */
	__u16 local_port;
	__u16 remote_port;
	__u8 by_address; /* conn_id is the socket's obscured address */
	__u8 pad[3];
	__u8 local[16];
	__u8 remote[16];
};

enum ev_bind_call { EV_CALL_BIND = 1, EV_CALL_LISTEN, EV_CALL_END };

enum {
	/* ev_bind.options: of the socket, when it was refused */
	EV_BIND_REUSEADDR = 1 << 0,
	EV_BIND_REUSEPORT = 1 << 1,
	EV_BIND_V6ONLY = 1 << 2,
	EV_BIND_OPTIONS = (1 << 3) - 1
};

/* bind() or listen() failed with an error that is about the address: EADDRINUSE,
 * EADDRNOTAVAIL or EACCES. */
struct ev_bind {
	struct ev_header header;
	__u32 netns;
	__u16 error;   /* an errno */
	__u8 family;   /* of the socket */
	__u8 call;     /* enum ev_bind_call */
	__u16 port;    /* 0: any, and there was none */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 options;  /* EV_BIND_* */
	__u32 pad;
	__u8 local[16]; /* what was asked for */
	struct ev_owner owner;
};

enum ev_loss_reason {
	EV_LOST_RING_FULL = 1, /* no room in the ring */
	EV_LOST_RECURSION,     /* the kernel refused to run the program inside itself */
	EV_LOST_SIMULATED,     /* --simulate-loss dropped it */
	EV_LOST_QUEUE_FULL,    /* the agent's queue for this reader was full */
	EV_LOSS_REASON_END,
	EV_LOSS_REASONS_MAX = 8 /* room in struct ev_stop */
};

/* header.time_ns is the end of the span in which the records were lost. */
struct ev_loss {
	struct ev_header header;
	__u64 since_ns;
	__u64 count;
	__u32 reason;  /* enum ev_loss_reason */
	__u32 of_kind; /* enum ev_kind, 0 when not known */
};

/* The books at the end: attempted = delivered + lost. */
struct ev_stop {
	struct ev_header header;
	__u64 attempted;
	__u64 lost[EV_LOSS_REASONS_MAX]; /* by reason; [0] unused */
};

/* A sample of a listening socket, from sock_diag. */
struct ev_listener {
	struct ev_header header;
	__u64 conn_id; /* its cookie */
	__u32 netns;
	__u8 family;
	__u8 pad[3];
	__u16 local_port;
	__u16 pad2;
	__u32 syn_queue_len; /* requests counted; they name a port, not a socket */
	__u32 accept_queue_len;
	__u32 limit;
	__u32 drops;	 /* sk_drops: all causes, modulo 2^32 */
	__u32 somaxconn; /* of its namespace */
	__u8 local[16];
	struct ev_owner owner;
};

/* Behind the EV_LISTENER records of a namespace, at the same time: there are no
 * more. Not told of a dump during which the kernel's tables changed. */
struct ev_sampled {
	struct ev_header header;
	__u32 netns; /* 0: nor are there other namespaces than those sampled at this time */
	__u32 pad;
};

/* The kernel's own counters (/proc/net/netstat, /proc/net/snmp): of a whole
 * namespace, since it was made. user/event/counter.c knows their names. */
enum ev_counter {
	EV_COUNT_LISTEN_OVERFLOWS = 0,
	EV_COUNT_LISTEN_DROPS,
	EV_COUNT_SYN_QUEUE_FULL_DROPS,
	EV_COUNT_SYN_QUEUE_FULL_COOKIES,
	EV_COUNT_COOKIES_SENT,
	EV_COUNT_COOKIES_RECEIVED,
	EV_COUNT_COOKIES_FAILED,
	EV_COUNT_EMBRYONIC_RESETS,
	EV_COUNT_PASSIVE_OPENS,
	EV_COUNT_FASTOPEN_PASSIVE,
	EV_COUNT_FASTOPEN_OVERFLOWS,
	EV_COUNT_TIMEOUTS,
	EV_COUNT_TIMEWAIT_OVERFLOWS, /* the table of minisockets was full */
	EV_COUNTER_END,
	EV_COUNTERS_MAX = 16 /* room in struct ev_netstat */
};

struct ev_netstat {
	struct ev_header header;
	__u32 netns;
	__u32 known; /* bit (1 << EV_COUNT_*): this kernel has it; else its value is 0 */
	__u64 counters[EV_COUNTERS_MAX];
};

enum ev_socket_kind {
	EV_SOCKET_FULL = 0, /* struct sock */
	EV_SOCKET_MINI,	    /* struct inet_timewait_sock */
	EV_SOCKET_REQUEST,  /* struct request_sock: SYN_RECV */
};

/* A sample of a socket that is no listener, from sock_diag. It was so at some
 * time between the beginning of its dump and header.time_ns. */
struct ev_socket {
	struct ev_header header;
	__u64 conn_id; /* its cookie */
	__u32 netns;
	__u8 family;
	__u8 state; /* enum ev_state; a mini's is FIN_WAIT2 or TIME_WAIT */
	__u8 kind;  /* enum ev_socket_kind */
	__u8 pad;
	__u16 local_port;
	__u16 remote_port;
	__u32 expires_ms; /* MINI: until it does */
	__u8 local[16];
	__u8 remote[16];
	struct ev_owner owner;
};

/*
 * A dump of one namespace: begins (states 0), or is over; one that is over for
 * netns 0 says that there are no further namespaces. What was told of a
 * socket between the two is newer than its row, or was known before it began;
 * all that came before its end was told before its end, too. What it did not show
 * was gone when it began, but for a few: a row may be skipped where sockets
 * leave a chain of the kernel's hash meanwhile.
 */
struct ev_dump {
	struct ev_header header;
	__u64 began_ns;
	__u32 netns;
	__u32 ephemeral_ports; /* ip_local_port_range without those reserved, 0 not known */
	__u16 port_low;
	__u16 port_high;
	__u32 max_tw_buckets; /* tcp_max_tw_buckets, 0 not known */
	__u32 states;	      /* which were asked for: bits (1 << EV_*) */
	__u32 pad;
};

/* The cgroup with this id, as the process that looks sees the hierarchy. */
struct ev_cgroup {
	struct ev_header header;
	__u64 id;
	__u32 cut; /* 1: it is longer, and this is its end */
	__u32 pad;
	char path[EV_CGROUP_PATH_BYTES]; /* arbitrary bytes, NUL-padded; begins with '/', if not cut */
};

/* Settings of a network namespace that findings and their advice are about.
 * user/event/setting.c knows their names. */
enum ev_setting {
	EV_SET_SOMAXCONN = 0,
	EV_SET_MAX_SYN_BACKLOG,
	EV_SET_SYNCOOKIES,
	EV_SET_SYNACK_RETRIES,
	EV_SET_SYN_RETRIES,
	EV_SET_ABORT_ON_OVERFLOW,
	EV_SET_TW_REUSE,
	EV_SET_FIN_TIMEOUT, /* seconds */
	EV_SET_MAX_TW_BUCKETS,
	EV_SET_PORT_LOW, /* ip_local_port_range, both ends are used */
	EV_SET_PORT_HIGH,
	EV_SET_EPHEMERAL_PORTS, /* of that range, without those reserved */
	EV_SETTING_END,
	EV_SETTINGS_MAX = 24 /* room in struct ev_settings */
};

struct ev_settings {
	struct ev_header header;
	__u32 netns;
	__u32 known; /* bit (1 << EV_SET_*); else its value is 0 */
	__s64 values[EV_SETTINGS_MAX];
};

/* What may not be known: not every kernel and not everybody is told. */
enum ev_answer { EV_ANSWER_UNKNOWN = 0, EV_ANSWER_NO, EV_ANSWER_YES, EV_ANSWER_END };

/* Sockets that hold the port of an EV_BIND and are in its way, as a look at the
 * kernel's tables found them soon after; those alike in one record. */
struct ev_holder {
	struct ev_header header;
	__u64 refused_ns; /* header.time_ns of that EV_BIND */
	__u32 netns;
	__u32 count;	  /* 0: the look found nobody in the way (any more), and tells of nobody */
	__u32 uid;	  /* who made the socket; 0 for one without a descriptor */
	__u32 expires_ms; /* of a minisocket, the longest: until its timer fires */
	__u16 local_port;
	__u16 remote_port; /* of the first of them; 0 none */
	__u8 protocol;	   /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 family;	   /* of local and remote */
	__u8 state;	   /* enum ev_state; CLOSE: bound, and no more */
	__u8 mini;	   /* 1: TIME_WAIT, or an orphan's FIN_WAIT2: ends by itself */
	__u8 reuseaddr;	   /* enum ev_answer */
	__u8 reuseport;	   /* enum ev_answer */
	__u8 pad[6];
	__u8 asked[16]; /* the address of that EV_BIND; its port is local_port */
	__u8 local[16];
	__u8 remote[16];
	struct ev_owner owner;
};

/* A connection in CLOSE_WAIT, from sock_diag: those of one look have one time. */
struct ev_unread {
	struct ev_header header;
	__u32 netns;
	__u8 family;
	__u8 pad[3];
	__u16 local_port;
	__u16 remote_port;
	/* Bytes that its process has not read; the end of file counts as one. So 0:
	 * it has read that, too; 1: only that is left. */
	__u32 unread;
	__u8 local[16];
	__u8 remote[16];
};

enum {
	EV_HISTORY_MAX = 10, /* states of a connection */
	EV_HISTORY_TIME_BITS = 56,
	EV_HISTOGRAM_BUCKETS = 272,
	EV_WAIT_ENDS_MAX = 8,	  /* room for enum ev_wait_end */
	EV_WAIT_SECONDS_MAX = 12, /* room for the last seconds */
	EV_TABLES_MAX = 16,	  /* room in struct ev_known */
	/* The numbers of user/model/life.h: they are appended to, never changed. */
	EV_CLOSED_FIRST_END = 4,
	EV_HOW_END = 13,
};

/* How records name a connection from now on. */
enum ev_named_by {
	EV_NAMED_BY_ID = 0,
	EV_NAMED_AS_REQUEST, /* by its tuple: a request that the kernel gives no id */
	EV_NAMED_AS_WAIT,    /* by its tuple: what is left of it is a minisocket */
	EV_NAMED_BY_END
};

struct ev_life {
	struct ev_header header;
	__u64 conn_id;	/* EV_NAMED_BY_ID: the id */
	__u64 shown_id; /* as people are told it */
	__u64 start_ns;
	__u64 entered_ns;  /* when it entered its state */
	__u64 listener_id; /* as in struct ev_queues; 0 not known */
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 netns;
	__u32 retransmits;
	__u32 accept_wait_us;
	__u16 flags;   /* LIFE_* of user/model/life.h */
	__u16 ordinal; /* which life of its tuple; 0 the tuple is not complete */
	__u16 local_port;
	__u16 remote_port;
	__u8 family;
	__u8 state;	   /* enum ev_state */
	__u8 role;	   /* enum role of user/event/connection.h */
	__u8 closed_first; /* enum closed_first of user/model/life.h */
	__u8 how;	   /* enum how, likewise */
	__u8 named_by;	   /* enum ev_named_by */
	__u8 history_count;
	__u8 seen; /* as in struct life */
	__u8 wait_state;
	__u8 wait_end; /* enum ev_wait_end */
	__u8 error;
	__u8 birth_error;
	__u8 first_old;	     /* 0 not known */
	__u8 wait_estimated; /* 1: no record told of its minisocket */
	__u8 pad[2];
	__u32 promoted_us; /* of an ended one: from CLOSE to its minisocket's TIME_WAIT */
	__u8 local[16];
	__u8 remote[16];
	struct ev_owner owner;
	__u64 history[EV_HISTORY_MAX]; /* state << EV_HISTORY_TIME_BITS | ns since start_ns */
};

struct ev_histogram {
	__u64 count;
	__u64 max;
	__u32 buckets[EV_HISTOGRAM_BUCKETS];
};

/* struct listener of user/model/listeners.h, in its order. */
enum ev_queues_count {
	EV_Q_SYNS = 0,
	EV_Q_QUEUED,
	EV_Q_ADMITTED,
	EV_Q_COOKIES,
	EV_Q_FASTOPEN,
	EV_Q_DROPPED, /* by enum ev_drop_cause */
	EV_Q_COMPLETED = EV_Q_DROPPED + EV_DROP_END,
	EV_Q_TIMED_OUT,
	EV_Q_RESET,
	EV_Q_ABORTED,
	EV_Q_ABANDONED,
	EV_Q_COMPLETED_BY_COOKIE,
	EV_Q_OVERFLOWS,
	EV_Q_RETRANSMITS,
	EV_Q_ACCEPTED,
	EV_Q_SK_DROPS,
	EV_Q_DELAYED,
	EV_Q_GAVE_UP,
	EV_Q_END,
	EV_Q_MAX = 24 /* room in struct ev_queues */
};

struct ev_queues {
	struct ev_header header;
	__u64 key;
	__u64 shown_id;
	__u64 cookie;
	__u64 found_ns;
	__u64 sampled_ns;
	__u64 born_ns;
	__u32 netns;
	__u32 limit;
	__u32 asked;
	__u32 somaxconn;
	__u32 needed;
	__u32 syn_queue_len;
	__u32 syn_queue_max;
	__u32 accept_queue_len;
	__u32 accept_queue_max;
	__u8 family; /* 0 while its place is not known */
	__u8 flags;  /* LISTENER_* of user/model/listeners.h */
	__u16 local_port;
	__u8 local[16];
	struct ev_owner owner;
	__u64 counts[EV_Q_MAX]; /* by enum ev_queues_count */
	struct ev_histogram handshake_us;
	struct ev_histogram accept_wait_us;
};

/* How many of them there are now is told by their EV_WAIT records. */
struct ev_wait_group {
	struct ev_header header;
	__u64 begun;
	__u64 short_lived;
	__u64 measured;
	__u64 refused;
	__u64 ended[EV_WAIT_ENDS_MAX]; /* by enum ev_wait_end */
	__u64 rate_second;
	__u64 first_second;
	__u32 netns;
	__u32 index; /* 0: all for which there was no group; then by one upwards */
	__u32 per_second[EV_WAIT_SECONDS_MAX];
	__u8 role; /* enum role */
	__u8 pad;
	__u16 service_port;
	__u32 pad2;
	__u8 service[16];
	struct ev_owner owner;
};

struct ev_wait {
	struct ev_header header;
	__u32 netns;
	__u32 group; /* ev_wait_group.index */
	__u32 began; /* boot time in units of 2^20 ns */
	__u16 local_port;
	__u16 remote_port;
	__u8 substate; /* EV_FIN_WAIT2 or EV_TIME_WAIT */
	__u8 flags;    /* WAIT_* of user/model/timewaits.h */
	__u8 pad[6];
	__u8 local[16];
	__u8 remote[16];
};

enum {
	/* ev_known.flags */
	EV_KNOWN_WHOLE = 1 << 0,      /* with all that existed before the agent began */
	EV_KNOWN_BY_ADDRESS = 1 << 1, /* conn_ids are addresses, not cookies */
	EV_KNOWN_NARROWED = 1 << 2,   /* the agent watches only what its filter lets pass */
	EV_KNOWN_FLAGS = (1 << 3) - 1
};

struct ev_known {
	struct ev_header header;
	__u64 not_kept[EV_TABLES_MAX]; /* by enum model_table of user/model/model.h */
	__u64 doubles;
	__u32 lost; /* bit (1 << EV_*): some of this kind were; bit 0: of which is not known */
	__u32 flags;
};

#define EV_ASSERT_SIZE(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type " changed its size")
#define EV_ASSERT_OFFSET(type, field, bytes) \
	_Static_assert(__builtin_offsetof(struct type, field) == (bytes), #type "." #field " moved")

EV_ASSERT_SIZE(ev_header, 16);
EV_ASSERT_OFFSET(ev_header, version, 2);
EV_ASSERT_OFFSET(ev_header, kind, 3);
EV_ASSERT_OFFSET(ev_header, cpu, 4);
EV_ASSERT_OFFSET(ev_header, time_ns, 8);
EV_ASSERT_SIZE(ev_transition, 32);
EV_ASSERT_OFFSET(ev_transition, conn_id, 16);
EV_ASSERT_OFFSET(ev_transition, old_state, 24);
EV_ASSERT_OFFSET(ev_transition, new_state, 25);
EV_ASSERT_OFFSET(ev_transition, local_port, 26);
EV_ASSERT_OFFSET(ev_transition, remote_port, 28);
EV_ASSERT_OFFSET(ev_transition, flags, 30);
EV_ASSERT_SIZE(ev_place, 48);
EV_ASSERT_OFFSET(ev_place, netns, 8);
EV_ASSERT_OFFSET(ev_place, family, 12);
EV_ASSERT_OFFSET(ev_place, local, 16);
EV_ASSERT_OFFSET(ev_place, remote, 32);
EV_ASSERT_SIZE(ev_owner, 40);
EV_ASSERT_OFFSET(ev_owner, tid, 4);
EV_ASSERT_OFFSET(ev_owner, uid, 8);
EV_ASSERT_OFFSET(ev_owner, start_cs, 12);
EV_ASSERT_OFFSET(ev_owner, cgroup, 16);
EV_ASSERT_OFFSET(ev_owner, comm, 24);
EV_ASSERT_SIZE(ev_totals, 24);
EV_ASSERT_OFFSET(ev_totals, bytes_received, 8);
EV_ASSERT_OFFSET(ev_totals, retransmits, 16);
EV_ASSERT_OFFSET(ev_totals, error, 20);
EV_ASSERT_SIZE(ev_transition_owned, 72);
EV_ASSERT_OFFSET(ev_transition_owned, owner, 32);
EV_ASSERT_SIZE(ev_birth, 136);
EV_ASSERT_OFFSET(ev_birth, place, 32);
EV_ASSERT_OFFSET(ev_birth, owner, 80);
EV_ASSERT_OFFSET(ev_birth, error, 120);
EV_ASSERT_OFFSET(ev_birth, backlog, 124);
EV_ASSERT_OFFSET(ev_birth, asked, 128);
EV_ASSERT_OFFSET(ev_birth, somaxconn, 132);
EV_ASSERT_SIZE(ev_close, 144);
EV_ASSERT_OFFSET(ev_close, place, 32);
EV_ASSERT_OFFSET(ev_close, owner, 80);
EV_ASSERT_OFFSET(ev_close, totals, 120);
EV_ASSERT_SIZE(ev_handshake, 96);
EV_ASSERT_OFFSET(ev_handshake, conn_id, 16);
EV_ASSERT_OFFSET(ev_handshake, listener_id, 24);
EV_ASSERT_OFFSET(ev_handshake, listener_socket, 32);
EV_ASSERT_OFFSET(ev_handshake, netns, 40);
EV_ASSERT_OFFSET(ev_handshake, outcome, 45);
EV_ASSERT_OFFSET(ev_handshake, local_port, 48);
EV_ASSERT_OFFSET(ev_handshake, syn_queue_len, 52);
EV_ASSERT_OFFSET(ev_handshake, limit, 60);
EV_ASSERT_OFFSET(ev_handshake, local, 64);
EV_ASSERT_OFFSET(ev_handshake, remote, 80);
EV_ASSERT_SIZE(ev_accept, 136);
EV_ASSERT_OFFSET(ev_accept, netns, 40);
EV_ASSERT_OFFSET(ev_accept, local_port, 48);
EV_ASSERT_OFFSET(ev_accept, accept_queue_len, 52);
EV_ASSERT_OFFSET(ev_accept, local, 64);
EV_ASSERT_OFFSET(ev_accept, owner, 96);
EV_ASSERT_SIZE(ev_timewait, 72);
EV_ASSERT_OFFSET(ev_timewait, netns, 24);
EV_ASSERT_OFFSET(ev_timewait, phase, 29);
EV_ASSERT_OFFSET(ev_timewait, local_port, 32);
EV_ASSERT_OFFSET(ev_timewait, by_address, 36);
EV_ASSERT_OFFSET(ev_timewait, local, 40);
EV_ASSERT_SIZE(ev_bind, 88);
EV_ASSERT_OFFSET(ev_bind, netns, 16);
EV_ASSERT_OFFSET(ev_bind, error, 20);
EV_ASSERT_OFFSET(ev_bind, call, 23);
EV_ASSERT_OFFSET(ev_bind, port, 24);
EV_ASSERT_OFFSET(ev_bind, options, 27);
EV_ASSERT_OFFSET(ev_bind, local, 32);
EV_ASSERT_OFFSET(ev_bind, owner, 48);
EV_ASSERT_SIZE(ev_holder, 144);
EV_ASSERT_OFFSET(ev_holder, refused_ns, 16);
EV_ASSERT_OFFSET(ev_holder, netns, 24);
EV_ASSERT_OFFSET(ev_holder, local_port, 40);
EV_ASSERT_OFFSET(ev_holder, protocol, 44);
EV_ASSERT_OFFSET(ev_holder, asked, 56);
EV_ASSERT_OFFSET(ev_holder, local, 72);
EV_ASSERT_OFFSET(ev_holder, owner, 104);
EV_ASSERT_SIZE(ev_unread, 64);
EV_ASSERT_OFFSET(ev_unread, local_port, 24);
EV_ASSERT_OFFSET(ev_unread, local, 32);
EV_ASSERT_SIZE(ev_loss, 40);
EV_ASSERT_OFFSET(ev_loss, since_ns, 16);
EV_ASSERT_OFFSET(ev_loss, reason, 32);
EV_ASSERT_SIZE(ev_listener, 112);
EV_ASSERT_OFFSET(ev_listener, netns, 24);
EV_ASSERT_OFFSET(ev_listener, local_port, 32);
EV_ASSERT_OFFSET(ev_listener, syn_queue_len, 36);
EV_ASSERT_OFFSET(ev_listener, drops, 48);
EV_ASSERT_OFFSET(ev_listener, local, 56);
EV_ASSERT_OFFSET(ev_listener, owner, 72);
EV_ASSERT_SIZE(ev_sampled, 24);
EV_ASSERT_OFFSET(ev_sampled, netns, 16);
EV_ASSERT_SIZE(ev_netstat, 152);
EV_ASSERT_OFFSET(ev_netstat, netns, 16);
EV_ASSERT_OFFSET(ev_netstat, known, 20);
EV_ASSERT_OFFSET(ev_netstat, counters, 24);
EV_ASSERT_SIZE(ev_socket, 112);
EV_ASSERT_OFFSET(ev_socket, netns, 24);
EV_ASSERT_OFFSET(ev_socket, local_port, 32);
EV_ASSERT_OFFSET(ev_socket, expires_ms, 36);
EV_ASSERT_OFFSET(ev_socket, local, 40);
EV_ASSERT_OFFSET(ev_socket, owner, 72);
EV_ASSERT_SIZE(ev_dump, 48);
EV_ASSERT_OFFSET(ev_dump, netns, 24);
EV_ASSERT_OFFSET(ev_dump, port_low, 32);
EV_ASSERT_SIZE(ev_cgroup, 512);
EV_ASSERT_OFFSET(ev_cgroup, path, 32);
EV_ASSERT_SIZE(ev_settings, 216);
EV_ASSERT_OFFSET(ev_settings, netns, 16);
EV_ASSERT_OFFSET(ev_settings, values, 24);
EV_ASSERT_SIZE(ev_stop, 88);
EV_ASSERT_OFFSET(ev_stop, attempted, 16);
EV_ASSERT_OFFSET(ev_stop, lost, 24);
EV_ASSERT_SIZE(ev_life, 264);
EV_ASSERT_OFFSET(ev_life, conn_id, 16);
EV_ASSERT_OFFSET(ev_life, netns, 72);
EV_ASSERT_OFFSET(ev_life, family, 92);
EV_ASSERT_OFFSET(ev_life, promoted_us, 108);
EV_ASSERT_OFFSET(ev_life, local, 112);
EV_ASSERT_OFFSET(ev_life, owner, 144);
EV_ASSERT_OFFSET(ev_life, history, 184);
EV_ASSERT_SIZE(ev_histogram, 1104);
EV_ASSERT_SIZE(ev_queues, 2560);
EV_ASSERT_OFFSET(ev_queues, netns, 64);
EV_ASSERT_OFFSET(ev_queues, family, 100);
EV_ASSERT_OFFSET(ev_queues, local, 104);
EV_ASSERT_OFFSET(ev_queues, owner, 120);
EV_ASSERT_OFFSET(ev_queues, counts, 160);
EV_ASSERT_OFFSET(ev_queues, handshake_us, 352);
EV_ASSERT_SIZE(ev_wait_group, 248);
EV_ASSERT_OFFSET(ev_wait_group, ended, 48);
EV_ASSERT_OFFSET(ev_wait_group, netns, 128);
EV_ASSERT_OFFSET(ev_wait_group, role, 184);
EV_ASSERT_OFFSET(ev_wait_group, service, 192);
EV_ASSERT_OFFSET(ev_wait_group, owner, 208);
EV_ASSERT_SIZE(ev_wait, 72);
EV_ASSERT_OFFSET(ev_wait, local_port, 28);
EV_ASSERT_OFFSET(ev_wait, local, 40);
EV_ASSERT_SIZE(ev_known, 160);
EV_ASSERT_OFFSET(ev_known, lost, 152);

#endif
