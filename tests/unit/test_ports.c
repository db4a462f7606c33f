/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/model/ports.c: what is counted, and that it is not counted again
 * where nothing has changed. */
#include "saga.h"

#include "model/ports.c"

static struct saga saga;
static struct ports ports;
static struct peer peer;

static int setup(void **state)
{
	(void)state;
	begin_saga(&saga, 16, 16, 1);
	peer = client;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ports__fini(&ports);
	end_saga(&saga);
	return 0;
}

static void opens(uint16_t port)
{
	peer.id = port;
	peer.local_port = port;
	birth(&saga, &peer, EV_STATE_CLOSE, EV_SYN_SENT, CALL);
}

static void counts(uint64_t now_ns, uint32_t destinations, uint32_t most)
{
	assert_int_equal(ports__count(&ports, saga.model, now_ns), 0);
	assert_int_equal(ports.used, destinations);
	assert_int_equal(ports.uses[0].in_use, most);
}

static void a_port_is_in_use_by_its_destination(void **state)
{
	(void)state;
	opens(1000);
	opens(1001);
	counts(NS_PER_S, 1, 2);
	assert_int_equal(ports.uses[0].time_wait, 0);
	peer.remote_port++;
	opens(1002);
	counts(NS_PER_S, 2, 2);
	assert_int_equal(ports.uses[1].in_use, 1);
}

/* A rate still falls when nothing happens, for as long as it is taken over. */
static void what_has_not_changed_is_not_counted_again(void **state)
{
	const uint64_t later_ns = NS_PER_S + (TIMEWAIT_RATE_SECONDS + 1) * NS_PER_S;

	(void)state;
	opens(1000);
	counts(NS_PER_S, 1, 1);
	ports.uses[0].in_use = 77;
	counts(later_ns - 1, 1, 1);
	ports.uses[0].in_use = 77;
	counts(later_ns, 1, 77);
	opens(1001);
	counts(later_ns, 1, 2);
}

static void without_memory_nothing_is_left_that_could_be_taken_for_a_count(void **state)
{
	(void)state;
	opens(1000);
	counts(NS_PER_S, 1, 1);
	opens(1001);
	out_of_memory = true;
	assert_int_equal(ports__count(&ports, saga.model, NS_PER_S), -ENOMEM);
	out_of_memory = false;
	assert_int_equal(ports.used, 0);
	assert_null(ports.uses);
	counts(NS_PER_S, 1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_port_is_in_use_by_its_destination, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_not_changed_is_not_counted_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_memory_nothing_is_left_that_could_be_taken_for_a_count, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
