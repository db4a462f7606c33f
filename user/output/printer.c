// SPDX-License-Identifier: BSD-2-Clause
#include "output/printer.h"

#include <errno.h>

void printer__init(struct printer *printer, const struct printer_ops *ops,
		   const struct printer_config *config, uint64_t realtime_offset_ns)
{
	*printer = (struct printer){ .ops = ops, .config = *config };
	strbuf__init(&printer->out);
	utc_formatter__init(&printer->utc, realtime_offset_ns);
	utc_formatter__init(&printer->starts, realtime_offset_ns);
}

void printer__fini(struct printer *printer)
{
	strbuf__fini(&printer->out);
}

const struct cgroup *printer__cgroup(const struct printer *printer, const struct owner *owner)
{
	return printer->cgroups && owner ? cgroups__find(printer->cgroups, owner->cgroup) : NULL;
}

const char *gap__reason(const struct gap *gap)
{
	return gap->stopped ? "agent_stopped" : "agent_down";
}

const char *loss_reason__name(unsigned int reason)
{
	static const char *const names[EV_LOSS_REASON_END] = {
		[EV_LOST_RING_FULL] = "ring_full",
		[EV_LOST_RECURSION] = "recursion",
		[EV_LOST_SIMULATED] = "simulated",
		[EV_LOST_QUEUE_FULL] = "queue_full",
	};

	return reason < EV_LOSS_REASON_END && names[reason] ? names[reason] : "?";
}

const char *outcome__name(unsigned int outcome)
{
	static const char *const names[EV_OUTCOME_END] = {
		[EV_SYN_QUEUED] = "queued",
		[EV_SYN_COOKIE] = "cookie",
		[EV_SYN_FASTOPEN] = "fastopen",
		[EV_SYN_DROPPED] = "dropped",
		[EV_REQUEST_RETRANSMITTED] = "synack_retransmitted",
		[EV_REQUEST_COMPLETED] = "completed",
		[EV_REQUEST_TIMED_OUT] = "timed_out",
		[EV_REQUEST_RESET] = "reset",
		[EV_REQUEST_OVERFLOW] = "accept_queue_full",
		[EV_REQUEST_LISTENER_CLOSED] = "listener_closed",
	};

	return outcome < EV_OUTCOME_END ? names[outcome] : NULL;
}

const char *drop_cause__name(unsigned int cause)
{
	static const char *const names[EV_DROP_END] = {
		[EV_DROP_OTHER] = "other",
		[EV_DROP_SYN_QUEUE_FULL] = "syn_queue_full",
		[EV_DROP_ACCEPT_QUEUE_FULL] = "accept_queue_full",
		[EV_DROP_LAST_QUARTER] = "last_quarter",
	};

	return cause < EV_DROP_END ? names[cause] : NULL;
}

const char *wait_phase__name(unsigned int phase)
{
	static const char *const names[EV_WAIT_PHASE_END] = {
		[EV_WAIT_BEGIN] = "begin",
		[EV_WAIT_PROMOTED] = "promoted",
		[EV_WAIT_END] = "end",
		[EV_WAIT_REFUSED] = "refused",
	};

	return phase < EV_WAIT_PHASE_END ? names[phase] : NULL;
}

const char *wait_end__name(unsigned int end)
{
	static const char *const names[EV_WAIT_END_END] = {
		[EV_WAIT_EXPIRED] = "expired", [EV_WAIT_REUSED] = "reused",
		[EV_WAIT_NEW_SYN] = "new_syn", [EV_WAIT_RESET] = "reset",
		[EV_WAIT_ABORTED] = "aborted", [EV_WAIT_KILLED] = "killed",
	};

	return end < EV_WAIT_END_END ? names[end] : NULL;
}

const char *bind_error__name(unsigned int error)
{
	return error == EADDRINUSE    ? "EADDRINUSE" :
	       error == EADDRNOTAVAIL ? "EADDRNOTAVAIL" :
	       error == EACCES	      ? "EACCES" :
					"?";
}

const char *model_table__name(enum model_table table)
{
	static const char *const names[TABLE_COUNT] = {
		"connections", "minisockets", "listeners", "clients",	"namespaces",
		"owners",      "cgroups",     "groups",	   "histories",
	};

	return names[table];
}

const char *event_kind__name(unsigned int kind)
{
	switch (kind) {
	case EV_TRANSITION:
	case EV_TRANSITION_OWNED:
	case EV_BIRTH:
	case EV_CLOSE:
		return "transition";
	case EV_SYN:
	case EV_ADMITTED:
		return "syn";
	case EV_HANDSHAKE:
		return "handshake";
	case EV_ACCEPT:
		return "accept";
	case EV_TIMEWAIT:
		return "timewait";
	case EV_BIND:
		return "bind";
	default:
		return "?";
	}
}
