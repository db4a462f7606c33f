/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/rings.c: records of several rings in the order of their times,
 * none before an older one can no longer come. The rings lie in this program's memory, and
 * what the BPF programs do to them is done here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "source/rings.c"

enum { CPUS = 3, OWN_BYTES = 1024, COMMON_BYTES = 4096, MOST = 1000, NOW = 1000000000 };

/* A record as these tests send it: its time, and a number to know it by. */
struct note {
	struct ev_header header;
	uint64_t number;
};

struct world {
	struct rings rings;
	unsigned long consumed, produced;
	uint8_t common[2 * COMMON_BYTES];
	struct lane lanes[CPUS + 1];
	struct lane_head heads[CPUS + 1];
	uint64_t taken[64]; /* numbers, in the order in which they came */
	unsigned int count;
	uint64_t foreseen[64]; /* the same */
	unsigned int foreseen_count;
	int verdict; /* what the taker says to each */
	struct rings_round round;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct rings *rings = &world->rings;

	rings->cpu_ring_bytes = OWN_BYTES;
	rings->cpus = CPUS;
	rings->cpu_rings = calloc(CPUS, rings__cpu_value(OWN_BYTES));
	rings->bytes = world->common;
	rings->bytes_len = COMMON_BYTES;
	rings->consumed = &world->consumed;
	rings->produced = &world->produced;
	rings->lanes = world->lanes;
	rings->heads = world->heads;
	point_lanes(rings);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	free(world->rings.cpu_rings);
	free(world);
	return 0;
}

static struct note note_of(uint64_t time_ns, uint64_t number, uint16_t len)
{
	return (struct note){.header = {.len = len, .version = EV_VERSION, .time_ns = time_ns}, .number = number};
}

/* As state.bpf.c does it. */
static void put_at_cpu(struct world *world, unsigned int cpu, uint64_t time_ns, uint64_t number, uint16_t len)
{
	struct cpu_ring *ring = rings__cpu(&world->rings, cpu);
	struct note note = note_of(time_ns, number, len);

	memcpy((uint8_t *)ring + CPU_RING_BYTES + ring->produced % OWN_BYTES, &note, sizeof(note));
	ring->began_ns = time_ns;
	ring->produced += len;
}

static void at_cpu(struct world *world, unsigned int cpu, uint64_t time_ns, uint64_t number)
{
	put_at_cpu(world, cpu, time_ns, number, sizeof(struct note));
}

/* As bpf_ringbuf_output() does it; flags are the kernel's. */
static void in_common(struct world *world, uint64_t time_ns, uint64_t number, uint32_t flags)
{
	struct note note = note_of(time_ns, number, sizeof(note));
	uint32_t word = sizeof(note) | flags;

	for (size_t copy = 0; copy < 2; copy++) {
		uint8_t *at = world->common + copy * COMMON_BYTES + world->produced % COMMON_BYTES;

		if (at + BPF_RINGBUF_HDR_SZ + sizeof(note) > world->common + sizeof(world->common))
			continue;
		memcpy(at, &word, sizeof(word));
		memcpy(at + BPF_RINGBUF_HDR_SZ, &note, sizeof(note));
	}
	world->produced += BPF_RINGBUF_HDR_SZ + sizeof(note);
}

static void finish_in_common(struct world *world, unsigned long at)
{
	uint32_t word = sizeof(struct note);

	memcpy(world->common + at, &word, sizeof(word));
}

static int take(void *context, const void *record, size_t len)
{
	struct world *world = context;
	const struct note *note = record;

	assert_int_equal((uintptr_t)record % 8, 0);
	assert_int_equal(len, note->header.len);
	world->taken[world->count++] = note->number;
	return world->verdict;
}

/* It is not too late. */
static void foresee(void *context, const struct ev_header *record)
{
	struct world *world = context;
	const struct note *note = (const struct note *)record;

	for (unsigned int i = 0; i < world->count; i++)
		assert_int_not_equal(world->taken[i], note->number);
	world->foreseen[world->foreseen_count++] = note->number;
}

static int consume_until(struct world *world, uint64_t now_ns, unsigned int most)
{
	world->count = 0;
	return rings__consume(&world->rings, now_ns, most, take, world, &world->round);
}

/* Takes what there is; it must be these numbers. */
static void comes(struct world *world, unsigned int count, const uint64_t *numbers)
{
	assert_int_equal(consume_until(world, NOW, MOST), 0);
	assert_int_equal(world->count, count);
	assert_int_equal(world->round.taken, count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(world->taken[i], numbers[i]);
}

#define COMES(world, ...)                                                                               \
	comes(world, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (const uint64_t[]){__VA_ARGS__})
#define NOTHING_COMES(world) comes(world, 0, NULL)

static void all_rings_are_merged_by_time(void **state)
{
	struct world *world = *state;

	at_cpu(world, 0, 100, 1);
	at_cpu(world, 0, 400, 4);
	at_cpu(world, 2, 200, 2);
	at_cpu(world, 2, 600, 6);
	at_cpu(world, 1, 500, 5);
	in_common(world, 300, 3, 0);
	in_common(world, 700, 7, 0);
	COMES(world, 1, 2, 3, 4, 5, 6, 7);
	assert_int_equal(world->round.until_ns, NOW - SLACK_NS);
	NOTHING_COMES(world);
}

/* One that is told late, as a nested one may be, is told at once. */
static void a_ring_keeps_its_order(void **state)
{
	struct world *world = *state;

	in_common(world, 300, 1, 0);
	in_common(world, 100, 2, 0);
	at_cpu(world, 0, 200, 3);
	COMES(world, 3, 1, 2);
}

static void what_is_younger_than_the_look_waits(void **state)
{
	struct world *world = *state;

	at_cpu(world, 0, NOW - SLACK_NS - 1, 1);
	at_cpu(world, 1, NOW - SLACK_NS, 2);
	COMES(world, 1);
	assert_false(rings__are_empty(&world->rings));
	assert_int_equal(consume_until(world, NOW + 1, MOST), 0);
	assert_int_equal(world->count, 1);
	assert_true(rings__are_empty(&world->rings));
}

/* It will be older than those that are there already. */
static void one_that_is_being_written_is_waited_for(void **state)
{
	struct world *world = *state;
	struct cpu_ring *ring = rings__cpu(&world->rings, 1);

	at_cpu(world, 0, 100, 1);
	at_cpu(world, 0, 300, 3);
	in_common(world, 400, 4, 0);
	ring->writing = 1;
	ring->began_ns = 200;
	COMES(world, 1);
	assert_int_equal(world->round.until_ns, 200);
	at_cpu(world, 1, 200, 2);
	ring->writing = 0;
	COMES(world, 2, 3, 4);
}

/* Its program has not come to its time yet: the one before it says how old it may be. */
static void one_that_has_just_begun_is_waited_for(void **state)
{
	struct world *world = *state;

	at_cpu(world, 1, 200, 1);
	at_cpu(world, 0, 300, 2);
	rings__cpu(&world->rings, 1)->writing = 1;
	NOTHING_COMES(world);
	at_cpu(world, 1, 250, 3);
	rings__cpu(&world->rings, 1)->writing = 0;
	COMES(world, 1, 3, 2);
}

static void an_unfinished_one_in_the_common_ring_is_waited_for(void **state)
{
	struct world *world = *state;
	unsigned long at;

	in_common(world, 100, 1, 0);
	at = world->produced;
	in_common(world, 300, 3, BPF_RINGBUF_BUSY_BIT);
	at_cpu(world, 0, 200, 2);
	COMES(world, 1);
	assert_int_equal(world->round.until_ns, 0);
	NOTHING_COMES(world);
	assert_int_equal(world->round.until_ns, 0);
	finish_in_common(world, at);
	COMES(world, 2, 3);
	assert_int_not_equal(world->round.until_ns, 0);
}

static void what_was_taken_back_is_passed_over(void **state)
{
	struct world *world = *state;

	in_common(world, 100, 1, BPF_RINGBUF_DISCARD_BIT);
	in_common(world, 200, 2, 0);
	in_common(world, 300, 3, BPF_RINGBUF_DISCARD_BIT);
	COMES(world, 2);
	NOTHING_COMES(world);
	assert_int_equal(world->consumed, world->produced);
}

/* Many times around both; the last record of a ring ends behind its end. */
static void rings_go_round(void **state)
{
	struct world *world = *state;
	uint64_t time_ns = 0, number = 0;

	for (int round = 0; round < 1000; round++) {
		at_cpu(world, 0, ++time_ns, ++number);
		put_at_cpu(world, 0, ++time_ns, ++number, sizeof(struct note) + 8U * (unsigned int)(round % 5));
		in_common(world, ++time_ns, ++number, 0);
		COMES(world, number - 2, number - 1, number);
	}
	assert_int_equal(rings__cpu(&world->rings, 0)->consumed, rings__cpu(&world->rings, 0)->produced);
	assert_int_equal(world->consumed, world->produced);
}

/* Programs may write again where records have been handed out, before the round ends. */
static int take_and_compare(void *context, const void *record, size_t len)
{
	struct world *world = context;
	const struct cpu_ring *ring = rings__cpu(&world->rings, 0);

	if (world->count >= OWN_BYTES / 2 / sizeof(struct note))
		assert_true(ring->consumed > 0);
	return take(context, record, len);
}

static void room_is_given_back_in_time(void **state)
{
	struct world *world = *state;

	for (unsigned int i = 0; i < OWN_BYTES / sizeof(struct note); i++)
		at_cpu(world, 0, i, i);
	assert_int_equal(rings__consume(&world->rings, NOW, MOST, take_and_compare, world, &world->round), 0);
	assert_int_equal(world->count, OWN_BYTES / sizeof(struct note));
}

static void it_ends_when_there_were_enough(void **state)
{
	struct world *world = *state;

	at_cpu(world, 0, 100, 1);
	at_cpu(world, 1, 200, 2);
	at_cpu(world, 0, 300, 3);
	assert_int_equal(consume_until(world, NOW, 2), 0);
	assert_int_equal(world->count, 2);
	assert_int_equal(world->round.until_ns, 0);
	COMES(world, 3);
}

static void who_takes_may_end_it(void **state)
{
	struct world *world = *state;

	at_cpu(world, 0, 100, 1);
	at_cpu(world, 0, 200, 2);
	world->verdict = -EAGAIN; /* which means nothing here */
	assert_int_equal(consume_until(world, NOW, MOST), -EAGAIN);
	assert_int_equal(world->round.taken, 1);
	assert_int_equal(world->round.until_ns, 0);
	world->verdict = 0;
	COMES(world, 2);
}

static void what_is_no_record_is_an_error(void **state)
{
	static const uint16_t lens[] = {0, 8, sizeof(struct note) + 1, 2 * sizeof(struct note) + 8};

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct world *world;
		struct cpu_ring *ring;

		tear_down(state);
		set_up(state);
		world = *state;
		ring = rings__cpu(&world->rings, 2);
		at_cpu(world, 0, 100, 1);
		at_cpu(world, 2, 200, 2);
		at_cpu(world, 2, 300, 3);
		((struct note *)((uint8_t *)ring + CPU_RING_BYTES))->header.len = lens[i];
		assert_int_equal(consume_until(world, NOW, MOST), -EBADMSG);
		assert_int_equal(world->count, 0);
	}
}

static void each_cpu_is_asked_to_wake_the_reader(void **state)
{
	struct world *world = *state;

	for (int wanted = 1; wanted >= 0; wanted--) {
		rings__want_wakeup(&world->rings, wanted);
		for (unsigned int cpu = 0; cpu < CPUS; cpu++)
			assert_int_equal(rings__cpu(&world->rings, cpu)->waits, wanted);
	}
}

static void cpus_share_as_much_as_the_common_ring_has(void **state)
{
	(void)state;
#ifdef __x86_64__
	assert_int_equal(rings__cpu_bytes(8 << 20, 1), 512 << 10);
	assert_int_equal(rings__cpu_bytes(8 << 20, 16), 512 << 10);
	assert_int_equal(rings__cpu_bytes(8 << 20, 17), 256 << 10);
	assert_int_equal(rings__cpu_bytes(64 << 10, 2), 32 << 10);
	assert_int_equal(rings__cpu_bytes(64 << 10, 1000), RINGS_CPU_LEAST);
#else
	assert_int_equal(rings__cpu_bytes(8 << 20, 1), 0);
#endif
}

#ifdef __x86_64__
/* ---- with programs that run meanwhile ---- */

enum { RECORDS_EACH = 200000 };

struct producer {
	struct world *world;
	unsigned int cpu;
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_BOOTTIME, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

#define STORE(place, value) __atomic_store_n(&(place), value, __ATOMIC_RELEASE)

static void *produce(void *context)
{
	const struct producer *me = context;
	struct cpu_ring *ring = rings__cpu(&me->world->rings, me->cpu);

	for (uint64_t number = 0; number < RECORDS_EACH; number++) {
		struct note note;

		while (ring->produced + sizeof(note) - __atomic_load_n(&ring->consumed, __ATOMIC_ACQUIRE) >
		       OWN_BYTES)
			sched_yield();
		STORE(ring->writing, 1);
		note = note_of(now(), (uint64_t)me->cpu << 32 | number, sizeof(note));
		STORE(ring->began_ns, note.header.time_ns);
		memcpy((uint8_t *)ring + CPU_RING_BYTES + ring->produced % OWN_BYTES, &note, sizeof(note));
		STORE(ring->produced, ring->produced + sizeof(note));
		STORE(ring->writing, 0);
	}
	return NULL;
}

struct order {
	uint64_t last_ns;
	uint64_t next[CPUS];
	unsigned int back; /* records that are older than the one before */
	unsigned int count;
};

static int check_order(void *context, const void *record, size_t len)
{
	struct order *order = context;
	const struct note *note = record;

	(void)len;
	order->back += note->header.time_ns < order->last_ns;
	order->last_ns = note->header.time_ns;
	order->count += note->number == ((note->number >> 32) << 32 | order->next[note->number >> 32]++);
	return 0;
}

static void records_that_come_meanwhile_are_in_order_and_all_there(void **state)
{
	struct world *world = *state;
	struct producer producers[CPUS];
	pthread_t threads[CPUS];
	struct order order = {0};

	for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
		producers[cpu] = (struct producer){world, cpu};
		assert_int_equal(pthread_create(&threads[cpu], NULL, produce, &producers[cpu]), 0);
	}
	while (order.count < CPUS * RECORDS_EACH) {
		assert_int_equal(rings__consume(&world->rings, now(), MOST, check_order, &order, &world->round), 0);
		if (!world->round.taken)
			sched_yield();
	}
	for (unsigned int cpu = 0; cpu < CPUS; cpu++)
		pthread_join(threads[cpu], NULL);
	assert_int_equal(order.back, 0);
	assert_int_equal(order.count, CPUS * RECORDS_EACH);
	assert_true(rings__are_empty(&world->rings));
}
#endif

/* When it becomes the next one of its CPU, once; of the common ring none is. */
static void records_of_the_cpus_are_foreseen(void **state)
{
	static const uint64_t numbers[] = {1, 4, 2, 5};
	struct world *world = *state;

	world->rings.foresee = foresee;
	world->rings.foresee_context = world;
	at_cpu(world, 0, 100, 1);
	at_cpu(world, 0, 200, 2);
	in_common(world, 300, 3, 0);
	at_cpu(world, 1, 400, 4);
	at_cpu(world, 1, 500, 5);
	COMES(world, 1, 2, 3, 4, 5);
	assert_int_equal(world->foreseen_count, 4);
	assert_memory_equal(world->foreseen, numbers, sizeof(numbers));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_rings_are_merged_by_time),
		TEST(records_of_the_cpus_are_foreseen),
		TEST(a_ring_keeps_its_order),
		TEST(what_is_younger_than_the_look_waits),
		TEST(one_that_is_being_written_is_waited_for),
		TEST(one_that_has_just_begun_is_waited_for),
		TEST(an_unfinished_one_in_the_common_ring_is_waited_for),
		TEST(what_was_taken_back_is_passed_over),
		TEST(rings_go_round),
		TEST(room_is_given_back_in_time),
		TEST(it_ends_when_there_were_enough),
		TEST(who_takes_may_end_it),
		TEST(what_is_no_record_is_an_error),
		TEST(each_cpu_is_asked_to_wake_the_reader),
		TEST(cpus_share_as_much_as_the_common_ring_has),
#ifdef __x86_64__
		TEST(records_that_come_meanwhile_are_in_order_and_all_there),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
