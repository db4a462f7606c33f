/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/model/ports.c: what is counted, and that it is not counted again
 * where nothing has changed. */
#include "saga.h"

#include "model/ports.c"

static void opens(struct saga *saga, struct peer *peer, uint16_t port)
{
	peer->id = port;
	peer->local_port = port;
	birth(saga, peer, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
}

static void a_port_is_in_use_as_long_as_its_connection(void **state)
{
	struct peer peer = client;
	struct ports ports = { 0 };
	struct saga saga;

	(void)state;
	begin_saga(&saga, 16, 16, 1);
	opens(&saga, &peer, 1000);
	opens(&saga, &peer, 1001);
	assert_int_equal(ports__count(&ports, saga.model, NS_PER_S), 0);
	assert_int_equal(ports.used, 1);
	assert_int_equal(ports.uses[0].in_use, 2);
	assert_int_equal(ports.uses[0].time_wait, 0);
	peer.remote_port++;
	opens(&saga, &peer, 1002);
	assert_int_equal(ports__count(&ports, saga.model, NS_PER_S), 0);
	assert_int_equal(ports.used, 2);
	assert_int_equal(ports.uses[0].in_use, 2);
	assert_int_equal(ports.uses[1].in_use, 1);
	ports__fini(&ports);
	end_saga(&saga);
}

/* A rate still falls when nothing happens, for as long as it is taken over. */
static void what_has_not_changed_is_not_counted_again(void **state)
{
	const uint64_t later_ns = NS_PER_S + (TIMEWAIT_RATE_SECONDS + 1) * NS_PER_S;
	struct peer peer = client;
	struct ports ports = { 0 };
	struct saga saga;

	(void)state;
	begin_saga(&saga, 16, 16, 1);
	opens(&saga, &peer, 1000);
	assert_int_equal(ports__count(&ports, saga.model, NS_PER_S), 0);
	ports.uses[0].in_use = 77;
	assert_int_equal(ports__count(&ports, saga.model, later_ns - 1), 0);
	assert_int_equal(ports.uses[0].in_use, 1);
	ports.uses[0].in_use = 77;
	assert_int_equal(ports__count(&ports, saga.model, later_ns), 0);
	assert_int_equal(ports.uses[0].in_use, 77);
	opens(&saga, &peer, 1001);
	assert_int_equal(ports__count(&ports, saga.model, later_ns), 0);
	assert_int_equal(ports.uses[0].in_use, 2);
	ports__fini(&ports);
	end_saga(&saga);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_is_in_use_as_long_as_its_connection),
		cmocka_unit_test(what_has_not_changed_is_not_counted_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
