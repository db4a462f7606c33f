/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/model/life.c: who closed first and how, as a table of
 * whole lives after KERNEL.md, section 4, and RFC 9293, section 3.6; and the
 * history of states.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/connection.c"
#include "model/life.c"

/* ---- how lives end ---- */

#define CALL EV_F_IN_SYSCALL
#define ORPHAN EV_F_NO_SOCKET
#define CLOSED EV_F_FILE_CLOSED

struct step {
	uint8_t new_state; /* 0: the end */
	uint16_t flags;
};

enum { STEPS_MAX = 8 };

/* One life: from old through steps. The rest is what the close record has, and
 * what must come out. */
struct story {
	const char *name;
	uint8_t from; /* the state before the first step */
	struct step steps[STEPS_MAX];
	uint32_t error;
	uint8_t birth_error;
	bool no_port;
	enum closed_first closed_first;
	enum how how;
	uint8_t told_error;
};

#define CONNECTING .from = EV_STATE_CLOSE
#define ACCEPTED .from = EV_LISTEN
#define BORN {EV_SYN_RECV, ORPHAN}, {EV_ESTABLISHED, ORPHAN}
#define CONNECTED {EV_SYN_SENT, CALL}, {EV_ESTABLISHED, 0}
#define ENDS(who, why) .closed_first = CLOSED_##who, .how = HOW_##why

static const struct story stories[] = {
	{"client closes first", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL | CLOSED}, {EV_FIN_WAIT2, ORPHAN}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(LOCAL, CLOSE)},
	{"its server", ACCEPTED,
	 {BORN, {EV_CLOSE_WAIT, 0}, {EV_LAST_ACK, CALL | CLOSED}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(REMOTE, CLOSE)},
	{"server closes first", ACCEPTED,
	 {BORN, {EV_FIN_WAIT1, CALL | CLOSED}, {EV_FIN_WAIT2, ORPHAN}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(LOCAL, CLOSE)},
	{"its client", CONNECTING,
	 {CONNECTED, {EV_CLOSE_WAIT, 0}, {EV_LAST_ACK, CALL | CLOSED}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(REMOTE, CLOSE)},
	{"shutdown first", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL}, {EV_FIN_WAIT2, 0}, {EV_STATE_CLOSE, 0}},
	 ENDS(LOCAL, SHUTDOWN)},
	{"shutdown after the peer's FIN", ACCEPTED,
	 {BORN, {EV_CLOSE_WAIT, 0}, {EV_LAST_ACK, CALL}, {EV_STATE_CLOSE, 0}},
	 ENDS(REMOTE, SHUTDOWN)},
	/* exit() of the process, or a FIN that had to wait for the lock. */
	{"close from nowhere", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, ORPHAN}, {EV_FIN_WAIT2, ORPHAN}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(LOCAL, CLOSE)},
	{"simultaneous close", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL | CLOSED}, {EV_CLOSING, ORPHAN}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(BOTH, CLOSE)},
	{"simultaneous close by shutdown", ACCEPTED,
	 {BORN, {EV_FIN_WAIT1, CALL}, {EV_CLOSING, 0}, {EV_STATE_CLOSE, 0}},
	 ENDS(BOTH, SHUTDOWN)},
	{"simultaneous open", CONNECTING,
	 {{EV_SYN_SENT, CALL}, {EV_SYN_RECV, 0}, {EV_ESTABLISHED, 0}, {EV_FIN_WAIT1, CALL | CLOSED},
	  {EV_FIN_WAIT2, ORPHAN}, {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(LOCAL, CLOSE)},
	/* tcp_time_wait() may be told as a state of its own by later kernels. */
	{"closed out of TIME_WAIT", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL | CLOSED}, {EV_FIN_WAIT2, ORPHAN}, {EV_TIME_WAIT, ORPHAN},
	  {EV_STATE_CLOSE, ORPHAN}},
	 ENDS(LOCAL, CLOSE)},

	{"refused", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, 0}}, .error = ECONNREFUSED,
	 ENDS(NONE, REFUSED), .told_error = ECONNREFUSED},
	/* On loopback the RST waits in the backlog until connect() lets go. */
	{"refused within connect()", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL}},
	 .error = ECONNREFUSED, ENDS(NONE, REFUSED), .told_error = ECONNREFUSED},
	{"connect timed out", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, 0}}, .error = ETIMEDOUT,
	 ENDS(NONE, TIMEOUT), .told_error = ETIMEDOUT},
	{"host unreachable", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, 0}}, .error = EHOSTUNREACH,
	 ENDS(NONE, UNREACHABLE), .told_error = EHOSTUNREACH},
	{"net unreachable", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, 0}}, .error = ENETUNREACH,
	 ENDS(NONE, UNREACHABLE), .told_error = ENETUNREACH},
	{"pending connect cancelled", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL | CLOSED}},
	 ENDS(NONE, CANCELLED)},
	{"no local port left", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL}}, .no_port = true,
	 ENDS(NONE, NO_PORT)},
	{"pending connect killed", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL}},
	 .error = ECONNABORTED, ENDS(NONE, KILLED), .told_error = ECONNABORTED},
	{"reset during a simultaneous open", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, 0}},
	 .error = ECONNRESET, ENDS(NONE, RESET_RECEIVED), .told_error = ECONNRESET},

	{"reset received", CONNECTING, {CONNECTED, {EV_STATE_CLOSE, 0}}, .error = ECONNRESET,
	 ENDS(REMOTE, RESET_RECEIVED), .told_error = ECONNRESET},
	/* tcp_reset() says EPIPE in CLOSE_WAIT, where the peer closed first. */
	{"reset received in CLOSE_WAIT", ACCEPTED, {BORN, {EV_CLOSE_WAIT, 0}, {EV_STATE_CLOSE, 0}},
	 .error = EPIPE, ENDS(REMOTE, RESET_RECEIVED), .told_error = EPIPE},
	{"reset received after our FIN", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL | CLOSED}, {EV_STATE_CLOSE, ORPHAN}}, .error = ECONNRESET,
	 ENDS(LOCAL, RESET_RECEIVED), .told_error = ECONNRESET},
	{"reset received in LAST_ACK", ACCEPTED,
	 {BORN, {EV_CLOSE_WAIT, 0}, {EV_LAST_ACK, CALL | CLOSED}, {EV_STATE_CLOSE, ORPHAN}},
	 .error = ECONNRESET, ENDS(REMOTE, RESET_RECEIVED), .told_error = ECONNRESET},
	{"reset received before accept()", ACCEPTED, {BORN, {EV_STATE_CLOSE, ORPHAN}}, .error = ECONNRESET,
	 ENDS(REMOTE, RESET_RECEIVED), .told_error = ECONNRESET},

	{"abort: SO_LINGER 0 or unread data", CONNECTING, {CONNECTED, {EV_STATE_CLOSE, CALL | CLOSED}},
	 ENDS(LOCAL, ABORT)},
	{"abort in CLOSE_WAIT", ACCEPTED, {BORN, {EV_CLOSE_WAIT, 0}, {EV_STATE_CLOSE, CALL | CLOSED}},
	 ENDS(REMOTE, ABORT)},
	{"abort after shutdown", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL}, {EV_STATE_CLOSE, CALL | CLOSED}}, ENDS(LOCAL, ABORT)},
	{"connect(AF_UNSPEC)", CONNECTING, {CONNECTED, {EV_STATE_CLOSE, CALL}}, ENDS(LOCAL, ABORT)},
	{"killed by ss -K", ACCEPTED, {BORN, {EV_STATE_CLOSE, CALL}}, .error = ECONNABORTED,
	 ENDS(LOCAL, KILLED), .told_error = ECONNABORTED},
	{"killed in CLOSE_WAIT", ACCEPTED, {BORN, {EV_CLOSE_WAIT, 0}, {EV_STATE_CLOSE, CALL}},
	 .error = ECONNABORTED, ENDS(REMOTE, KILLED), .told_error = ECONNABORTED},
	{"retransmitted in vain", CONNECTING, {CONNECTED, {EV_STATE_CLOSE, 0}}, .error = ETIMEDOUT,
	 ENDS(NONE, TIMEOUT), .told_error = ETIMEDOUT},
	/* tcp_write_err() prefers an ICMP's error to ETIMEDOUT. */
	{"retransmitted in vain, with an ICMP", ACCEPTED, {BORN, {EV_STATE_CLOSE, 0}}, .error = EHOSTUNREACH,
	 ENDS(NONE, TIMEOUT), .told_error = EHOSTUNREACH},
	{"FIN retransmitted in vain", CONNECTING,
	 {CONNECTED, {EV_FIN_WAIT1, CALL | CLOSED}, {EV_STATE_CLOSE, ORPHAN}}, .error = ETIMEDOUT,
	 ENDS(LOCAL, TIMEOUT), .told_error = ETIMEDOUT},

	{"listener closed over a waiting child", ACCEPTED, {BORN, {EV_STATE_CLOSE, CALL | ORPHAN}},
	 ENDS(LOCAL, LISTENER_CLOSED)},
	{"listener closed over a child that its peer left", ACCEPTED,
	 {BORN, {EV_CLOSE_WAIT, ORPHAN}, {EV_STATE_CLOSE, CALL | ORPHAN}}, ENDS(REMOTE, LISTENER_CLOSED)},

	/* connect(AF_UNSPEC) left ECONNRESET in the socket; its next life closes
	 * in good order, and what is left over has not ended it. */
	{"stale error, then aborted by its user", CONNECTING, {CONNECTED, {EV_STATE_CLOSE, CALL | CLOSED}},
	 .error = ECONNRESET, .birth_error = ECONNRESET, ENDS(LOCAL, ABORT)},
	{"stale error, then cancelled", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL}},
	 .error = ECONNRESET, .birth_error = ECONNRESET, ENDS(NONE, CANCELLED)},
	{"stale error, then no port", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL}},
	 .error = ECONNRESET, .birth_error = ECONNRESET, .no_port = true, ENDS(NONE, NO_PORT)},
	{"stale error, then reset in truth", CONNECTING, {CONNECTED, {EV_STATE_CLOSE, 0}},
	 .error = ECONNRESET, .birth_error = ECONNRESET, ENDS(REMOTE, RESET_RECEIVED),
	 .told_error = ECONNRESET},
	{"stale error, then another", CONNECTING, {{EV_SYN_SENT, CALL}, {EV_STATE_CLOSE, CALL}},
	 .error = ECONNREFUSED, .birth_error = ECONNRESET, ENDS(NONE, REFUSED),
	 .told_error = ECONNREFUSED},
};

/* Its beginning was not seen; the state that it comes from still tells whose
 * FIN was first. */
static const struct story middles[] = {
	{"from FIN_WAIT1", .from = EV_FIN_WAIT1, {{EV_FIN_WAIT2, ORPHAN}}, .closed_first = CLOSED_LOCAL},
	{"from FIN_WAIT2", .from = EV_FIN_WAIT2, {{EV_STATE_CLOSE, ORPHAN}}, .closed_first = CLOSED_LOCAL},
	{"from CLOSING", .from = EV_CLOSING, {{EV_STATE_CLOSE, ORPHAN}}, .closed_first = CLOSED_BOTH},
	{"from LAST_ACK", .from = EV_LAST_ACK, {{EV_STATE_CLOSE, ORPHAN}}, .closed_first = CLOSED_REMOTE},
	{"from CLOSE_WAIT, closed", .from = EV_CLOSE_WAIT,
	 {{EV_LAST_ACK, CALL | CLOSED}, {EV_STATE_CLOSE, ORPHAN}}, ENDS(REMOTE, CLOSE)},
	{"from CLOSE_WAIT, aborted", .from = EV_CLOSE_WAIT, {{EV_STATE_CLOSE, CALL | CLOSED}},
	 ENDS(REMOTE, ABORT)},
	{"from FIN_WAIT1, reset", .from = EV_FIN_WAIT1, {{EV_STATE_CLOSE, ORPHAN}}, .error = ECONNRESET,
	 ENDS(LOCAL, RESET_RECEIVED), .told_error = ECONNRESET},
	{"from ESTABLISHED, reset", .from = EV_ESTABLISHED, {{EV_STATE_CLOSE, 0}}, .error = ECONNRESET,
	 ENDS(REMOTE, RESET_RECEIVED), .told_error = ECONNRESET},
};

static struct life tell(const struct story *story)
{
	struct life life = {.birth_error = story->birth_error};
	uint8_t state = story->from;

	for (const struct step *step = story->steps; step->new_state; step++) {
		struct ev_transition t = {
			.old_state = state,
			.new_state = step->new_state,
			.local_port = story->no_port ? 0 : 40000,
			.remote_port = 80,
			.flags = step->flags,
		};
		struct ev_totals totals = {.error = story->error};

		life__judge(&life, &t, step->new_state == EV_STATE_CLOSE ? &totals : NULL);
		state = step->new_state;
	}
	return life;
}

static void check_stories(const struct story *story, size_t count)
{
	for (; count-- > 0; story++) {
		struct life life = tell(story);
		const char *how = how__name(life.how);

		if (life.closed_first != story->closed_first || life.how != story->how ||
		    life.error != story->told_error)
			fail_msg("%s: closed first %s, how %s, error %d", story->name,
				 closed_first__name(life.closed_first), how ? how : "unknown", life.error);
	}
}

static void every_story_ends_as_told(void **state)
{
	(void)state;
	check_stories(stories, sizeof(stories) / sizeof(stories[0]));
}

static void a_story_from_its_middle_is_not_told_wrong(void **state)
{
	(void)state;
	check_stories(middles, sizeof(middles) / sizeof(middles[0]));
}

/* Kernel-internal errors do not fit errno's names, or a byte. */
static void an_error_is_not_told_as_another(void **state)
{
	struct ev_transition t = {.old_state = EV_ESTABLISHED, .new_state = EV_STATE_CLOSE, .local_port = 1};
	struct ev_totals totals = {.error = 256 + ECONNRESET};
	struct life life = {0};

	(void)state;
	life__judge(&life, &t, &totals);
	assert_int_not_equal(life.how, HOW_RESET_RECEIVED);
	assert_int_not_equal(life.error, ECONNRESET);
}

/* An open life has not ended in any way: how is provisional. */
static void a_fin_tells_who_and_how_at_once(void **state)
{
	struct ev_transition fin = {.old_state = EV_ESTABLISHED,
				    .new_state = EV_FIN_WAIT1,
				    .flags = EV_F_IN_SYSCALL | EV_F_FILE_CLOSED};
	struct life life = {0};

	(void)state;
	life__judge(&life, &fin, NULL);
	assert_int_equal(life.closed_first, CLOSED_LOCAL);
	assert_int_equal(life.how, HOW_CLOSE);
}

/* The record of the close was lost but for its transition. */
static void a_close_without_totals_has_no_error(void **state)
{
	struct ev_transition t = {.old_state = EV_ESTABLISHED, .new_state = EV_STATE_CLOSE, .local_port = 1};
	struct life life = {.error = EPIPE};

	(void)state;
	life__judge(&life, &t, NULL);
	assert_int_equal(life.error, 0);
	assert_int_equal(life.how, HOW_ABORT);
}

/* ---- history ---- */

static void history_holds_states_and_times(void **state)
{
	struct life life = {.start_ns = 1000};

	(void)state;
	life__enter(&life, EV_SYN_SENT, 1000);
	life__enter(&life, EV_ESTABLISHED, 413000);
	assert_int_equal(life.history_count, 2);
	assert_int_equal(history_state(life.history[0]), EV_SYN_SENT);
	assert_int_equal(history_ns(life.history[0]), 0);
	assert_int_equal(history_state(life.history[1]), EV_ESTABLISHED);
	assert_int_equal(history_ns(life.history[1]), 412000);
	assert_int_equal(life.state, EV_ESTABLISHED);
	assert_int_equal(life.entered_ns, 413000);
	assert_int_equal(life.flags, LIFE_ENTERED_KNOWN);
}

/* Records of two CPUs may come a little out of order. */
static void time_before_the_start_is_the_start(void **state)
{
	struct life life = {.start_ns = 1000};

	(void)state;
	life__enter(&life, EV_SYN_SENT, 1000);
	life__enter(&life, EV_ESTABLISHED, 900);
	assert_int_equal(history_state(life.history[1]), EV_ESTABLISHED);
	assert_int_equal(history_ns(life.history[1]), 0);
}

static void a_long_time_does_not_reach_the_state(void **state)
{
	struct life life = {0};

	(void)state;
	life__enter(&life, EV_LISTEN, UINT64_MAX);
	assert_int_equal(history_state(life.history[0]), EV_LISTEN);
	assert_int_equal(history_ns(life.history[0]), HISTORY_NS_MASK);
}

static void a_full_history_ends_with_the_present(void **state)
{
	struct life life = {0};

	(void)state;
	for (unsigned int i = 0; i < LIFE_HISTORY_MAX; i++) {
		life__enter(&life, i % 2 ? EV_ESTABLISHED : EV_SYN_SENT, i);
		assert_int_equal(life.history_count, i + 1);
	}
	assert_false(life.flags & LIFE_HISTORY_CUT);
	life__enter(&life, EV_FIN_WAIT1, 100);
	life__enter(&life, EV_STATE_CLOSE, 200);
	assert_true(life.flags & LIFE_HISTORY_CUT);
	assert_int_equal(life.history_count, LIFE_HISTORY_MAX);
	assert_int_equal(history_state(life.history[LIFE_HISTORY_MAX - 1]), EV_STATE_CLOSE);
	assert_int_equal(history_ns(life.history[LIFE_HISTORY_MAX - 1]), 200);
	assert_int_equal(history_state(life.history[LIFE_HISTORY_MAX - 2]), EV_SYN_SENT);
	assert_int_equal(history_ns(life.history[LIFE_HISTORY_MAX - 2]), LIFE_HISTORY_MAX - 2);
	assert_int_equal(life.state, EV_STATE_CLOSE);
	assert_int_equal(life.entered_ns, 200);
}

/* ---- what is asked of a life ---- */

static void handshake_is_from_syn_sent_to_established(void **state)
{
	struct life client = {.start_ns = 50}, crossed = {0}, server = {0}, pending = {0};

	(void)state;
	life__enter(&client, EV_SYN_SENT, 50);
	assert_true(life__handshake_ns(&client) == UINT64_MAX);
	life__enter(&client, EV_ESTABLISHED, 462);
	life__enter(&client, EV_FIN_WAIT1, 999);
	assert_int_equal(life__handshake_ns(&client), 412);

	life__enter(&crossed, EV_SYN_SENT, 0);
	life__enter(&crossed, EV_SYN_RECV, 10);
	life__enter(&crossed, EV_ESTABLISHED, 30);
	assert_int_equal(life__handshake_ns(&crossed), 30);

	/* A passive handshake begins with a SYN that is not in the history. */
	life__enter(&server, EV_SYN_RECV, 0);
	life__enter(&server, EV_ESTABLISHED, 3);
	assert_true(life__handshake_ns(&server) == UINT64_MAX);
	assert_true(life__handshake_ns(&pending) == UINT64_MAX);
}

static void family_is_the_one_on_the_wire(void **state)
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};
	struct life life = {0};

	(void)state;
	/* A dual-stack listener has no peer: its own address decides. */
	assert_int_equal(life__family(&life), 6);
	memcpy(life.local.addr, mapped, 16);
	assert_int_equal(life__family(&life), 4);
	/* With a peer, the peer's. */
	life.remote.port = 80;
	assert_int_equal(life__family(&life), 6);
	memcpy(life.remote.addr, mapped, 16);
	assert_int_equal(life__family(&life), 4);
}

static void names_are_those_of_the_schema(void **state)
{
	static const char *const whos[] = {"none", "local", "remote", "both"};
	static const char *const hows[] = {
		"close",     "shutdown",  "abort",   "reset_received",	"refused", "unreachable",
		"timeout",   "cancelled", "no_port", "listener_closed", "killed",
		"dropped",
	};

	(void)state;
	for (unsigned int i = 0; i < CLOSED_FIRST_END; i++)
		assert_string_equal(closed_first__name(i), whos[i]);
	assert_null(how__name(HOW_UNKNOWN));
	for (unsigned int i = 1; i < HOW_END; i++)
		assert_string_equal(how__name(i), hows[i - 1]);
	assert_null(how__name(HOW_END));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_story_ends_as_told),
		cmocka_unit_test(a_story_from_its_middle_is_not_told_wrong),
		cmocka_unit_test(an_error_is_not_told_as_another),
		cmocka_unit_test(a_fin_tells_who_and_how_at_once),
		cmocka_unit_test(a_close_without_totals_has_no_error),
		cmocka_unit_test(history_holds_states_and_times),
		cmocka_unit_test(time_before_the_start_is_the_start),
		cmocka_unit_test(a_long_time_does_not_reach_the_state),
		cmocka_unit_test(a_full_history_ends_with_the_present),
		cmocka_unit_test(handshake_is_from_syn_sent_to_established),
		cmocka_unit_test(family_is_the_one_on_the_wire),
		cmocka_unit_test(names_are_those_of_the_schema),
	};

	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
