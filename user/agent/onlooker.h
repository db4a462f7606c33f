/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Somebody who looks through the agent: first what is known, then each record as it
 * comes. What waits to be sent is bounded; when that is full the newest records are
 * dropped, counted and told as EV_LOSS, so that the books of this stream are exact:
 *
 *   attempted (what the agent had for it) = delivered + lost{reason}
 *
 * The event loop writes as much as the socket takes, and never waits for it: who
 * stalls costs nobody else anything.
 */
#ifndef TCPSAGA_AGENT_ONLOOKER_H
#define TCPSAGA_AGENT_ONLOOKER_H

#include "base/strbuf.h"
#include "bpf/event.h"
#include "bpf/ledger.h"
#include "event/control.h"
#include "model/model.h"
#include "source/holders.h"
#include "source/recording.h"

enum {
	/* Together 4 MiB. The reserve is for what must not be dropped. */
	ONLOOKER_RESERVE_BYTES = 256 << 10,
	ONLOOKER_QUEUE_BYTES = (4 << 20) - ONLOOKER_RESERVE_BYTES,
};

/* Lost and not told yet. */
struct onlooker_gap {
	uint64_t count;
	uint64_t since_ns;
};

struct onlooker {
	int fd;	      /* owned; -1: a free place */
	bool told;    /* what is known is in its queue: records follow it */
	bool ending;  /* no more comes: what is queued is its last */
	bool blocked; /* its socket takes no more now */
	struct control_request request;
	uint64_t since_ns; /* boot time: of its request, then of the last byte it took */

	struct strbuf known; /* sent before the queue: as much as there is to tell, once */
	size_t known_done;
	struct strbuf queue;
	size_t queue_done;
	struct recording_seal seal;

	uint64_t attempted;
	uint64_t lost[EV_LOSS_REASONS_MAX];
	struct onlooker_gap gaps[EV_LOSS_REASON_END][LEDGER_KINDS];
	bool has_gaps;
	bool dropped; /* since the last gap that was told */
	/* A sample of which a part was dropped: its end is not told, lest what was
	 * dropped is taken for gone. */
	bool torn_dump;
	uint64_t torn_sample_ns; /* its time; 0: none */
};

/* Takes fd over. */
void onlooker__init(struct onlooker *onlooker, int fd, const struct control_request *request,
		    uint64_t now_ns);

/* Closes it; the place is free. */
void onlooker__fini(struct onlooker *onlooker);

/* Queues the answer, the head and all that the model knows: from here on it is to be
 * offered each record. 0 or -ENOMEM. */
int onlooker__tell(struct onlooker *onlooker, const struct capture_info *info, const struct model *model,
		   bool narrowed, uint64_t now_ns);

/* Queues the answer to CONTROL_HOLDERS, and nothing follows it. error: 0, or the look's
 * -errno, which is told instead. 0 or -ENOMEM. */
int onlooker__tell_holders(struct onlooker *onlooker, const struct holders *holders, int error,
			   uint64_t now_ns);

/* A record, behind the model. */
void onlooker__offer(struct onlooker *onlooker, const struct ev_header *record);

/* Queues the books: its last record. */
void onlooker__end(struct onlooker *onlooker, uint64_t now_ns);

/* Writes what the socket takes. 1: all is written; 0: not yet; -errno: it is gone. */
int onlooker__write(struct onlooker *onlooker, uint64_t now_ns);

/* Bytes that wait to be written. */
size_t onlooker__queued(const struct onlooker *onlooker);

uint64_t onlooker__dropped(const struct onlooker *onlooker);

#endif
