/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the rules count about connections: by service, in seconds. A service is
 * the remote end that this host's clients connect to, or the local end that
 * its servers serve. Fed with the model's changes and, once a second, with a
 * walk over what is open. Pure.
 *
 * Bounded: at most SERVICES_MAX; then one not heard of for long goes.
 */
#ifndef TCPSAGA_FINDINGS_SERVICES_H
#define TCPSAGA_FINDINGS_SERVICES_H

#include "model/model.h"

enum {
	SERVICES_MAX = 4096,
	WINDOW_SECONDS = 16, /* kept; a rule looks at 10 at most */
	CROWD_MAX = 4,
	AGES_COUNT = 4, /* younger than 10 s, than a minute, than ten, and older */
};

/* What is counted in each second. */
enum service_count {
	S_OPENED = 0,	 /* handshakes completed */
	S_CLOSED_FIRST,	 /* closed in order, our FIN first: a TIME_WAIT of ours */
	S_CLOSED_SECOND, /* the peer's first */
	S_SHORT,	 /* of S_CLOSED_FIRST: lasted less than TIMEWAIT_SHORT_MS */
	S_EMPTY,	 /* of S_CLOSED_FIRST: nothing was received */
	S_TOTALS,	 /* of S_CLOSED_FIRST: what was received is known */
	S_LASTED,	 /* of S_CLOSED_FIRST: how long it lasted is known */
	S_ABORTED,	 /* by our RST */
	S_RESET,	 /* by the peer's */
	S_REFUSED,	 /* connect(): RST */
	S_UNREACHABLE,	 /* connect(): ICMP */
	S_TIMED_OUT,	 /* connect(): no answer */
	S_GAVE_UP,	 /* connect(): the program lost patience */
	S_NO_PORT,	 /* connect(): no local port left */
	S_SLOW_OPEN,	 /* of S_OPENED as client: the SYN had to be sent again */
	S_NOT_ACCEPTED,	 /* its listener closed first */
	S_WAIT_REFUSED,	 /* the kernel's table of TIME_WAITs was full */
	S_COUNT
};

/* What a look has found unread at connections in CLOSE_WAIT. */
struct unread_sum {
	uint64_t look_ns; /* 0: nobody has looked */
	uint32_t looked;
	uint32_t data; /* of those: data is unread */
	uint32_t end;  /* only the end of file is */
	uint32_t most; /* bytes */
};

struct tick_counts {
	uint64_t second; /* boot time */
	uint32_t n[S_COUNT];
	uint64_t lasted_us;  /* sum over S_LASTED */
	uint64_t opening_us; /* sum over S_SLOW_OPEN */
};

/* Who had a hand in it: processes by name, the most frequent ones survive
 * (Misra and Gries). */
struct crowd {
	struct member {
		struct owner owner; /* the last one seen of this name */
		uint32_t weight;
		bool many; /* more than one pid */
	} members[CROWD_MAX];
};

struct service {
	uint32_t netns;
	uint8_t role; /* ROLE_CLIENT: end is remote; ROLE_SERVER: end is local */
	struct endpoint end;
	uint64_t heard_ns;
	struct tick_counts ticks[WINDOW_SECONDS];
	struct crowd crowd; /* of those whose connections were counted */

	/* What is open now: gauges, by services__measure(). */
	uint32_t open;
	uint32_t time_wait;
	uint32_t close_wait;
	uint32_t close_wait_old; /* for longer than the age asked for */
	uint64_t close_wait_longest_ns;
	uint64_t close_wait_shortest_ns;
	uint32_t fin_wait2; /* sockets and minisockets */
	uint32_t fin_wait2_old;
	uint64_t fin_wait2_longest_ns;
	uint32_t unanswered; /* in SYN_SENT for longer than the patience asked for */
	uint64_t unanswered_longest_ns;
	uint32_t close_wait_ages[AGES_COUNT];
	struct crowd waiters;	     /* of unanswered */
	struct crowd leakers;	     /* of close_wait */
	uint32_t close_wait_past[8]; /* close_wait_old, every TREND_SECONDS */
	uint32_t fin_wait2_past[8];
	uint64_t past_second;
	struct unread_sum unread;
	uint32_t next; /* same hash */
};

enum { TREND_SECONDS = 8 }; /* past values reach back a minute */

struct services {
	struct service *all; /* owned; grows */
	uint32_t used;
	uint32_t room;
	struct idmap by_key;
	uint32_t hand; /* where the search for a victim goes on */
	uint64_t evicted;
};

/* From when on something counts as old, in ns. */
struct ages {
	uint64_t close_wait_ns;
	uint64_t fin_wait2_ns;
	uint64_t unanswered_ns;
};

int services__init(struct services *services);
void services__fini(struct services *services);

void services__see(struct services *services, const struct model *model, const struct change *change);

/* The gauges, from all that is open. */
void services__measure(struct services *services, const struct model *model, const struct ages *ages,
		       uint64_t now_ns);

/* The sum over the whole seconds [now - seconds, now), seconds at most
 * WINDOW_SECONDS - 1. */
uint32_t service__sum(const struct service *service, enum service_count what, uint64_t now_ns,
		      unsigned int seconds);

/* The least, or the most, of any of these seconds. */
uint32_t service__least(const struct service *service, enum service_count what, uint64_t now_ns,
			unsigned int seconds);
uint32_t service__most(const struct service *service, enum service_count what, uint64_t now_ns,
		       unsigned int seconds);

/* Mean milliseconds that those of S_CLOSED_FIRST lasted, NAN when not known. */
double service__lasted_ms(const struct service *service, uint64_t now_ns, unsigned int seconds);
double service__opening_ms(const struct service *service, uint64_t now_ns, unsigned int seconds);

/* Which one is told apart from others in findings. */
uint64_t service__subject(const struct service *service);

/* The most frequent one, NULL when none is known. */
const struct member *crowd__first(const struct crowd *crowd);

#endif
