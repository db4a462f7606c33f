// SPDX-License-Identifier: BSD-2-Clause
#include "model/life.h"

#include <errno.h>
#include <stddef.h>

const char *closed_first__name(enum closed_first who)
{
	static const char *const names[CLOSED_FIRST_END] = { "none", "local", "remote", "both" };

	return who < CLOSED_FIRST_END ? names[who] : "none";
}

const char *how__name(enum how how)
{
	static const char *const names[HOW_END] = {
		[HOW_CLOSE] = "close",	   [HOW_SHUTDOWN] = "shutdown",
		[HOW_ABORT] = "abort",	   [HOW_RESET_RECEIVED] = "reset_received",
		[HOW_REFUSED] = "refused", [HOW_UNREACHABLE] = "unreachable",
		[HOW_TIMEOUT] = "timeout", [HOW_CANCELLED] = "cancelled",
		[HOW_NO_PORT] = "no_port", [HOW_LISTENER_CLOSED] = "listener_closed",
		[HOW_KILLED] = "killed",   [HOW_DROPPED] = "dropped",
	};

	return how < HOW_END ? names[how] : NULL;
}

static uint64_t span(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

void life__enter(struct life *life, unsigned int state, uint64_t now_ns)
{
	/* Records of two CPUs may reach us a little out of order. */
	uint64_t since = span(life->start_ns, now_ns);
	unsigned int at = life->history_count;

	if (at == LIFE_HISTORY_MAX) {
		life->flags |= LIFE_HISTORY_CUT;
		at--;
	} else {
		life->history_count++;
	}
	life->history[at] = (uint64_t)state << 56 | (since & HISTORY_NS_MASK);
	life->state = (uint8_t)state;
	life->entered_ns = now_ns;
	life->flags |= LIFE_ENTERED_KNOWN;
}

void life__wait(struct life *life, uint64_t now_ns)
{
	if (life->state != life->wait_state)
		life__enter(life, life->wait_state, now_ns);
}

void life__wait_on(struct life *life)
{
	unsigned int last = life->history_count - 1U;

	life->wait_state = EV_FIN_WAIT2;
	if (!last || life->state != EV_TIME_WAIT || history_state(life->history[last - 1]) != EV_FIN_WAIT2)
		return;
	life->history_count--;
	life->state = EV_FIN_WAIT2;
	life->entered_ns = life->start_ns + history_ns(life->history[last - 1]);
}

/* In whole microseconds since the start, as both times are shown. */
void life__promote(struct life *life, uint64_t now_ns)
{
	uint64_t close_us = span(life->start_ns, life->entered_ns) / 1000;
	uint64_t us = span(life->start_ns, now_ns) / 1000;

	us = us > close_us ? us - close_us : 1;
	life->promoted_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void life__resume(struct life *life)
{
	const uint64_t close_ns = life->entered_ns, us = span(life->start_ns, close_ns) / 1000;
	const uint32_t promoted_us = life->promoted_us;

	life->flags &= (uint16_t)~LIFE_ENDED;
	life->listener = 0;
	life->history_count--;
	life->state = life->history_count ?
			      (uint8_t)history_state(life->history[life->history_count - 1]) :
			      life->first_old;
	if (life->history_count && life->state == life->wait_state)
		life->entered_ns = life->start_ns + history_ns(life->history[life->history_count - 1]);
	life__wait(life, close_ns);
	if (promoted_us)
		life__enter(life, EV_TIME_WAIT, life->start_ns + (us + promoted_us) * 1000);
}

uint64_t life__lasted_ns(const struct life *life)
{
	if (!life__closed(life) || !(life->flags & LIFE_START_KNOWN))
		return UINT64_MAX;
	return span(life->start_ns, life->entered_ns);
}

uint64_t life__step_ns(const struct life *life, unsigned int i)
{
	return span(history_ns(life->history[i]), history_ns(life->history[i + 1]));
}

uint64_t life__handshake_ns(const struct life *life)
{
	bool sent = false;
	uint64_t sent_ns = 0;

	for (unsigned int i = life__first_known(life); i < life->history_count; i++) {
		unsigned int state = history_state(life->history[i]);

		if (state == EV_SYN_SENT || (state == EV_SYN_RECV && !i && life->flags & LIFE_SYN_SEEN)) {
			sent = true;
			sent_ns = history_ns(life->history[i]);
		} else if (state == EV_ESTABLISHED && sent) {
			return span(sent_ns, history_ns(life->history[i]));
		}
	}
	return UINT64_MAX;
}

unsigned int life__family(const struct life *life)
{
	return addr__family(life->remote.port ? life->remote.addr : life->local.addr);
}

static enum how own_fin(const struct ev_transition *t)
{
	/* Only a system call carries the flag; a FIN sent from elsewhere is
	 * that of a close whose socket was locked then. */
	if (t->flags & EV_F_IN_SYSCALL && !(t->flags & EV_F_FILE_CLOSED))
		return HOW_SHUTDOWN;
	return HOW_CLOSE;
}

static void first_is(struct life *life, enum closed_first who)
{
	if (life->closed_first == CLOSED_NONE)
		life->closed_first = who;
}

/* connect(AF_UNSPEC) leaves a socket with its old sk_err, and the next life
 * starts with it. One that the user ends in a system call is not ended by it. */
static unsigned int fresh_error(const struct life *life, const struct ev_transition *t, unsigned int error)
{
	bool stale = error == life->birth_error && t->flags & EV_F_IN_SYSCALL;

	return stale ? 0 : error;
}

static enum how connect_failed(const struct ev_transition *t, unsigned int error)
{
	switch (error) {
	case 0:
		return t->local_port ? HOW_CANCELLED : HOW_NO_PORT;
	case ECONNREFUSED:
		return HOW_REFUSED;
	case ETIMEDOUT:
		return HOW_TIMEOUT;
	case ECONNABORTED:
		return HOW_KILLED;
	case ECONNRESET:
		return HOW_RESET_RECEIVED;
	default:
		return HOW_UNREACHABLE;
	}
}

/* CLOSE without an error. Only a child that was never accepted has no struct
 * socket in these states: close() orphans a socket on its way to FIN_WAIT1 or
 * LAST_ACK (inet_csk_listen_stop(), inet_child_forget()). */
static void ended_quietly(struct life *life, const struct ev_transition *t)
{
	switch (t->old_state) {
	case EV_FIN_WAIT2:
	case EV_CLOSING:
	case EV_LAST_ACK:
	case EV_TIME_WAIT:
		return;
	case EV_FIN_WAIT1:
		life->how = HOW_ABORT;
		return;
	default:
		first_is(life, CLOSED_LOCAL);
		life->how = t->flags & EV_F_NO_SOCKET ? HOW_LISTENER_CLOSED : HOW_ABORT;
	}
}

static void ended(struct life *life, const struct ev_transition *t, unsigned int error)
{
	if (t->old_state == EV_SYN_SENT) {
		life->how = connect_failed(t, error);
		return;
	}
	switch (error) {
	case 0:
		ended_quietly(life, t);
		return;
	case ECONNRESET:
	case EPIPE: /* tcp_reset() in CLOSE_WAIT */
		first_is(life, CLOSED_REMOTE);
		life->how = HOW_RESET_RECEIVED;
		return;
	case ECONNABORTED:
		first_is(life, CLOSED_LOCAL);
		life->how = HOW_KILLED;
		return;
	default:
		/* tcp_write_err() reports a soft error (an ICMP message) in
		 * place of ETIMEDOUT when it has one. */
		life->how = HOW_TIMEOUT;
	}
}

/* The states behind a FIN tell whose came first, also when the FIN itself was
 * not seen. */
static void infer_first(struct life *life, unsigned int state)
{
	switch (state) {
	case EV_FIN_WAIT1:
	case EV_FIN_WAIT2:
		first_is(life, CLOSED_LOCAL);
		break;
	case EV_CLOSE_WAIT:
	case EV_LAST_ACK:
		first_is(life, CLOSED_REMOTE);
		break;
	case EV_CLOSING:
		first_is(life, CLOSED_BOTH);
		break;
	default:
		break;
	}
}

void life__judge(struct life *life, const struct ev_transition *t, const struct ev_totals *totals)
{
	unsigned int error;

	infer_first(life, t->old_state);
	switch (t->new_state) {
	case EV_FIN_WAIT1:
		first_is(life, CLOSED_LOCAL);
		life->how = (uint8_t)own_fin(t);
		break;
	case EV_CLOSE_WAIT:
		first_is(life, CLOSED_REMOTE);
		break;
	case EV_CLOSING:
		life->closed_first = CLOSED_BOTH;
		break;
	case EV_LAST_ACK:
		life->how = (uint8_t)own_fin(t);
		break;
	case EV_STATE_CLOSE:
		error = totals ? fresh_error(life, t, totals->error) : 0;
		life->error = error <= UINT8_MAX ? (uint8_t)error : 0; /* beyond: no errno */
		ended(life, t, error);
		break;
	default:
		break;
	}
}
