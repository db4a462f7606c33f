/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A printer turns changes into text in a buffer: as JSON (json.c) or as tables
 * for people (table.c). It does no I/O; the verb writes the buffer out.
 */
#ifndef TCPSAGA_OUTPUT_PRINTER_H
#define TCPSAGA_OUTPUT_PRINTER_H

#include "base/clock.h"
#include "base/decimal.h"
#include "base/strbuf.h"
#include "event/capture.h"
#include "findings/rules.h"
#include "model/census.h"
#include "model/model.h"
#include "model/ports.h"

/* What a table shows one line for. */
enum subject_matter {
	OF_EVENTS,    /* trace: transitions and SYNs */
	OF_LIVES,     /* flows: connections */
	OF_LISTENERS, /* queues */
	OF_WAITS,     /* timewait */
	OF_FINDINGS,  /* diagnose */
};

/* Which numbers of a listener are counted from events on this host; the others
 * are samples of the kernel's own tables, or absent. */
struct queue_quality {
	bool handshakes;
	bool synacks;
	bool accepts;
	bool admitted;	     /* by sockops: SYNs that were queued, of listeners in its cgroup */
	bool shared_accepts; /* accept() does not tell at which of those that share the place */
	bool incomplete;     /* records were lost: what is counted is at least so much */
};

/* What there was no room for. */
struct not_kept {
	uint64_t listeners;
	uint64_t clients;
	uint64_t namespaces;
};

/* The books at the end: attempted = delivered + lost (DESIGN, section 4). */
struct ledger {
	uint64_t attempted; /* the kernel's count; 0 and !attempted_known if cut */
	uint64_t delivered; /* the decoder's */
	uint64_t lost[EV_LOSS_REASONS_MAX];
	uint64_t malformed;  /* delivered, and refused by the decoder */
	uint64_t doubles;    /* delivered, and passed over: told a second time */
	uint64_t unrecorded; /* changes of state that the kernel's tables told, and no record */
	bool attempted_known;
	uint64_t not_kept[TABLE_COUNT]; /* what the model had no room for */
};

/* A time in which the agent did not run, as its next start knows it. */
struct gap {
	uint64_t from_ns; /* boot time */
	uint64_t to_ns;
	bool stopped; /* it had ended in good order */
};

/* "agent_stopped", "agent_down" */
const char *gap__reason(const struct gap *gap);

struct printer_config {
	enum subject_matter of;
	unsigned int columns; /* of the terminal; 0: not one */
	bool wide;	      /* room for IPv6 and netns in every line */
	bool full_time;	      /* RFC 3339 instead of the time of day */
	bool colour;
};

struct printer;

struct printer_ops {
	void (*begin)(struct printer *printer, const struct capture_info *info);
	/* By kind; NULL: it shows none of these, or stop() does. */
	void (*change[CHANGE_KINDS])(struct printer *printer, const struct change *change);
	/* A snapshot of one listener. */
	void (*listener)(struct printer *printer, const struct listener *listener,
			 const struct owner *owner, const struct queue_quality *quality, uint64_t time_ns);
	/* What a namespace has counted. */
	void (*netns)(struct printer *printer, const struct namespace *ns, uint64_t time_ns);
	/* Behind the listeners and namespaces of a snapshot. */
	void (*queues_end)(struct printer *printer, const struct queue_quality *quality,
			   const struct not_kept *not_kept, uint64_t time_ns);
	/* A snapshot of the TIME_WAIT ledger: its groups, most first, then ports. */
	void (*waits)(struct printer *printer, const struct wait_group *group, const struct owner *owner,
		      uint64_t time_ns);
	void (*ports)(struct printer *printer, const struct port_use *use,
		      const struct ev_dump *settings, uint64_t time_ns);
	void (*finding)(struct printer *printer, const struct finding *finding);
	/* How many sockets are in which state in one namespace. */
	void (*census)(struct printer *printer, const struct census_row *row, bool estimated,
		       uint64_t time_ns);
	void (*stop)(struct printer *printer, uint64_t time_ns, const struct ledger *ledger);
};

enum {
	ADDR_TEXTS = 256,   /* a power of two */
	PROCESS_TEXTS = 64, /* the processes that are busy at a time; a power of two */
	PROCESS_TEXT_BYTES = 448,
};

/* An address as it stands in a line: thousands of lines have the same few. */
struct addr_text {
	uint8_t addr[16];
	char text[ADDR_TEXT_MAX];
	uint32_t len; /* 0: none */
};

/* A namespace's number, in decimal. */
struct netns_text {
	uint32_t netns;
	uint32_t len; /* 0: none */
	char text[DECIMAL_ROOM];
};

/* A process as it stands in a line. It takes as long to write as the rest of
 * the line, and is the same in thousands of them. */
struct process_text {
	struct owner owner;
	uint64_t told; /* cgroups.told when it was made */
	uint32_t len;  /* 0: none */
	char text[PROCESS_TEXT_BYTES];
};

struct printer {
	const struct printer_ops *ops;
	struct printer_config config;
	struct strbuf out; /* owned: text not yet written */
	struct utc_formatter utc;
	struct utc_formatter starts;	/* of processes: another second than that of the line */
	const struct cgroups *cgroups;	/* borrowed, for owners; NULL none */
	const struct flow_table *flows; /* borrowed, for the other end of a life; NULL none */
	struct process_text processes[PROCESS_TEXTS];
	struct addr_text addrs[ADDR_TEXTS];
	struct netns_text netns; /* of the last line */
};

extern const struct printer_ops json_printer;
extern const struct printer_ops table_printer;

void printer__init(struct printer *printer, const struct printer_ops *ops,
		   const struct printer_config *config, uint64_t realtime_offset_ns);
void printer__fini(struct printer *printer);

static inline void printer__change(struct printer *printer, const struct change *change)
{
	if (printer->ops->change[change->kind])
		printer->ops->change[change->kind](printer, change);
}

/* The cgroup of an owner, NULL when it is not known. */
const struct cgroup *printer__cgroup(const struct printer *printer, const struct owner *owner);

/* "ring_full", "recursion", "simulated", "queue_full"; "?" for a number that is none. */
const char *loss_reason__name(unsigned int reason);

/* "queued", "completed", ...; NULL for what has no name. */
const char *outcome__name(unsigned int outcome);

/* "begin", "promoted", "end", "refused" */
const char *wait_phase__name(unsigned int phase);

/* "expired", "reused", ...; NULL for EV_WAIT_END_NONE. */
const char *wait_end__name(unsigned int end);

/* "syn_queue_full", ... */
const char *drop_cause__name(unsigned int cause);

/* A "loss" line of nobody knows how many records (json.c). */
void json__gap(struct printer *printer, const struct gap *gap);

/* A finding for people, wrapped to the terminal (finding.c). */
void finding__print(struct printer *printer, const struct finding *finding);

/* "connections", as JSON and metrics have it. */
const char *model_table__name(enum model_table table);

/* "EADDRINUSE": what a bind() is refused with. */
const char *bind_error__name(unsigned int error);

/* "transition", "syn", ...: the JSON type that records of this kind become. */
const char *event_kind__name(unsigned int kind);

#endif
