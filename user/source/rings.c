// SPDX-License-Identifier: BSD-2-Clause
#include "source/rings.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/prefetch.h"

enum {
	/* A store is seen by others within a fraction of a microsecond. What is so much older
	 * than the look at the clock is there, or its program is known to be at work. */
	SLACK_NS = 5000,
	/* So often in a ring's length the programs are told what is free again. */
	PUBLISHED_TIMES = 4,
	/* Bytes before they are read they are sent for: another CPU has just written them. */
	AHEAD = 512,
};

/* ---- the memory ---- */

size_t rings__cpu_value(size_t cpu_ring_bytes)
{
	return CPU_RING_BYTES + cpu_ring_bytes + CPU_RING_RECORD;
}

size_t rings__cpu_bytes(size_t ring_bytes, unsigned int cpus)
{
#ifdef __x86_64__
	size_t bytes = RINGS_CPU_LEAST;

	while (bytes < RINGS_CPU_MOST && bytes * 2 * cpus <= ring_bytes)
		bytes *= 2;
	return bytes;
#else
	(void)ring_bytes;
	(void)cpus;
	return 0;
#endif
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t cpu_rings_len(const struct rings *rings)
{
	size_t len = rings->cpus * rings__cpu_value(rings->cpu_ring_bytes), page = page_bytes();

	return (len + page - 1) / page * page;
}

static void *map(size_t len, int protection, int fd, size_t offset)
{
	void *mapped = mmap(NULL, len, protection, MAP_SHARED, fd, (off_t)offset);

	return mapped == MAP_FAILED ? NULL : mapped;
}

/* The first page of the map holds the reader's position, the second one the programs';
 * behind them are the bytes, twice (ringbuf_map_mmap_kern() and its _user() twin). */
static int map_common(struct rings *rings, int fd, size_t bytes)
{
	size_t page = page_bytes();
	uint8_t *rest;

	rings->bytes_len = bytes;
	rings->consumed = map(page, PROT_READ | PROT_WRITE, fd, 0);
	if (!rings->consumed)
		return -errno;
	rest = map(page + 2 * bytes, PROT_READ, fd, page);
	if (!rest)
		return -errno;
	rings->produced = (const unsigned long *)rest;
	rings->bytes = rest + page;
	return 0;
}

static int map_cpus(struct rings *rings, int fd, size_t bytes, unsigned int cpus)
{
	rings->cpu_ring_bytes = bytes;
	rings->cpus = cpus;
	rings->cpu_rings = map(cpu_rings_len(rings), PROT_READ | PROT_WRITE, fd, 0);
	return rings->cpu_rings ? 0 : -errno;
}

static void point_lanes(const struct rings *rings)
{
	for (unsigned int cpu = 0; cpu < rings->cpus; cpu++) {
		rings->lanes[cpu].ring = (const uint8_t *)rings__cpu(rings, cpu) + CPU_RING_BYTES;
		rings->lanes[cpu].mask = rings->cpu_ring_bytes - 1;
	}
	rings->lanes[rings->cpus].ring = rings->bytes;
	rings->lanes[rings->cpus].mask = rings->bytes_len - 1;
}

static int make_lanes(struct rings *rings)
{
	rings->lanes = calloc(rings->cpus + 1, sizeof(*rings->lanes));
	rings->heads = calloc(rings->cpus + 1, sizeof(*rings->heads));
	if (!rings->lanes || !rings->heads)
		return -ENOMEM;
	point_lanes(rings);
	return 0;
}

int rings__open(struct rings *rings, int ring_fd, size_t ring_bytes, int cpu_rings_fd,
		size_t cpu_ring_bytes, unsigned int cpus)
{
	int err = map_common(rings, ring_fd, ring_bytes);

	if (!err)
		err = map_cpus(rings, cpu_rings_fd, cpu_ring_bytes, cpus);
	return err ? err : make_lanes(rings);
}

void rings__close(struct rings *rings)
{
	size_t page = page_bytes();

	if (rings->consumed)
		munmap(rings->consumed, page);
	if (rings->produced)
		munmap((void *)rings->produced, page + 2 * rings->bytes_len);
	if (rings->cpu_rings)
		munmap(rings->cpu_rings, cpu_rings_len(rings));
	free(rings->lanes);
	free(rings->heads);
}

/* ---- lanes ---- */

struct cpu_ring *rings__cpu(const struct rings *rings, unsigned int cpu)
{
	return (struct cpu_ring *)(rings->cpu_rings + cpu * rings__cpu_value(rings->cpu_ring_bytes));
}

static bool is_common(const struct rings *rings, unsigned int lane)
{
	return lane == rings->cpus;
}

enum found { FOUND_NONE, FOUND_RECORD, FOUND_UNFINISHED, FOUND_NONSENSE };

/* What the kernel puts before each record: its length and two flags in 32 bits, and 32 bits
 * of its own (struct bpf_ringbuf_hdr). */
static enum found find_in_common(struct lane *lane)
{
	while (lane->at != lane->end) {
		const uint8_t *head = lane->ring + (lane->at & lane->mask);
		uint32_t word = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);

		if (word & BPF_RINGBUF_BUSY_BIT)
			return FOUND_UNFINISHED;
		lane->len = word & ~BPF_RINGBUF_DISCARD_BIT;
		lane->bytes = (lane->len + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
		lane->record = (const struct ev_header *)(head + BPF_RINGBUF_HDR_SZ);
		if (!(word & BPF_RINGBUF_DISCARD_BIT))
			return FOUND_RECORD;
		lane->at += lane->bytes;
	}
	return FOUND_NONE;
}

static enum found find_at_cpu(struct lane *lane)
{
	if (lane->at == lane->end)
		return FOUND_NONE;
	prefetch(lane->ring + ((lane->at + AHEAD) & lane->mask));
	lane->record = (const struct ev_header *)(lane->ring + (lane->at & lane->mask));
	lane->len = lane->bytes = lane->record->len;
	if (lane->len < sizeof(*lane->record) || lane->len % 8 || lane->len > lane->end - lane->at)
		return FOUND_NONSENSE;
	return FOUND_RECORD;
}

static enum found find(struct rings *rings, unsigned int number)
{
	struct lane *lane = &rings->lanes[number];

	enum found found = is_common(rings, number) ? find_in_common(lane) : find_at_cpu(lane);

	if (found == FOUND_RECORD && !is_common(rings, number) && rings->foresee)
		rings->foresee(rings->foresee_context, lane->record);
	return found;
}

/* Tells the programs what is free again. */
static void publish(const struct rings *rings, unsigned int number)
{
	struct lane *lane = &rings->lanes[number];

	if (lane->published == lane->at)
		return;
	lane->published = lane->at;
	if (is_common(rings, number))
		__atomic_store_n(rings->consumed, (unsigned long)lane->at, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&rings__cpu(rings, number)->consumed, lane->at, __ATOMIC_RELEASE);
}

static void publish_in_time(const struct rings *rings, unsigned int number)
{
	const struct lane *lane = &rings->lanes[number];

	if (lane->at - lane->published > lane->mask / PUBLISHED_TIMES)
		publish(rings, number);
}

/* ---- the heap of their heads ---- */

/* The place has become free for this one, or for one below it. */
static void sift_down(struct rings *rings, unsigned int place, struct lane_head head)
{
	struct lane_head *heads = rings->heads;

	for (;;) {
		unsigned int child = 2 * place + 1;

		if (child + 1 < rings->head_count && heads[child + 1].time_ns < heads[child].time_ns)
			child++;
		if (child >= rings->head_count || head.time_ns <= heads[child].time_ns)
			break;
		heads[place] = heads[child];
		place = child;
	}
	heads[place] = head;
}

static void push(struct rings *rings, struct lane_head head)
{
	struct lane_head *heads = rings->heads;
	unsigned int place = rings->head_count++;

	while (place && head.time_ns < heads[(place - 1) / 2].time_ns) {
		heads[place] = heads[(place - 1) / 2];
		place = (place - 1) / 2;
	}
	heads[place] = head;
}

static void pop(struct rings *rings)
{
	struct lane_head last = rings->heads[--rings->head_count];

	if (rings->head_count)
		sift_down(rings, 0, last);
}

/* ---- a round ---- */

/* In this order: what was at work before is known to be, or has left its record. */
static uint64_t look_at_cpu(const struct rings *rings, unsigned int cpu)
{
	const struct cpu_ring *ring = rings__cpu(rings, cpu);
	uint32_t writing = __atomic_load_n(&ring->writing, __ATOMIC_ACQUIRE);
	uint64_t began_ns = __atomic_load_n(&ring->began_ns, __ATOMIC_ACQUIRE);

	rings->lanes[cpu].end = __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE);
	return writing ? began_ns : UINT64_MAX;
}

/* Notes what there is, and returns up to when it is all that there is. */
static uint64_t look(struct rings *rings, uint64_t now_ns)
{
	uint64_t until_ns = now_ns - SLACK_NS;

	for (unsigned int cpu = 0; cpu < rings->cpus; cpu++) {
		uint64_t at_work_ns = look_at_cpu(rings, cpu);

		if (at_work_ns < until_ns)
			until_ns = at_work_ns;
	}
	rings->lanes[rings->cpus].end = __atomic_load_n(rings->produced, __ATOMIC_ACQUIRE);
	return until_ns;
}

static struct lane_head head_of(const struct rings *rings, unsigned int lane)
{
	return (struct lane_head){ .time_ns = rings->lanes[lane].record->time_ns, .lane = lane };
}

/* Whether it can be told what comes next. */
static bool is_clear(enum found found)
{
	return found == FOUND_NONE || found == FOUND_RECORD;
}

static enum found gather_heads(struct rings *rings)
{
	enum found found = FOUND_NONE;

	rings->head_count = 0;
	for (unsigned int lane = 0; lane <= rings->cpus && is_clear(found); lane++) {
		found = find(rings, lane);
		if (found == FOUND_RECORD)
			push(rings, head_of(rings, lane));
	}
	return found;
}

/* What lies behind the oldest takes its place. */
static enum found replace_first(struct rings *rings, unsigned int lane)
{
	enum found found = find(rings, lane);

	if (found == FOUND_RECORD)
		sift_down(rings, 0, head_of(rings, lane));
	else
		pop(rings);
	return found;
}

/* Hands out the oldest. */
static int hand_out(struct rings *rings, source_take_fn take, void *context, enum found *found)
{
	unsigned int number = rings->heads[0].lane;
	struct lane *lane = &rings->lanes[number];
	int verdict = take(context, lane->record, lane->len);

	lane->at += lane->bytes;
	publish_in_time(rings, number);
	*found = replace_first(rings, number);
	return verdict;
}

int rings__consume(struct rings *rings, uint64_t now_ns, unsigned int most, source_take_fn take,
		   void *context, struct rings_round *round)
{
	uint64_t until_ns = look(rings, now_ns);
	enum found found = gather_heads(rings);
	int verdict = 0;

	*round = (struct rings_round){ 0 };
	while (is_clear(found) && !verdict && rings->head_count && rings->heads[0].time_ns < until_ns &&
	       round->taken < most) {
		verdict = hand_out(rings, take, context, &found);
		round->taken++;
	}
	if (is_clear(found) && !verdict && round->taken < most)
		round->until_ns = until_ns;
	for (unsigned int lane = 0; lane <= rings->cpus; lane++)
		publish(rings, lane);
	return verdict ? verdict : found == FOUND_NONSENSE ? -EBADMSG : 0;
}

bool rings__are_empty(const struct rings *rings)
{
	for (unsigned int cpu = 0; cpu < rings->cpus; cpu++)
		if (__atomic_load_n(&rings__cpu(rings, cpu)->produced, __ATOMIC_SEQ_CST) !=
		    rings->lanes[cpu].at)
			return false;
	return __atomic_load_n(rings->produced, __ATOMIC_SEQ_CST) == rings->lanes[rings->cpus].at;
}

void rings__want_wakeup(const struct rings *rings, bool wanted)
{
	for (unsigned int cpu = 0; cpu < rings->cpus; cpu++)
		__atomic_store_n(&rings__cpu(rings, cpu)->waits, wanted, __ATOMIC_SEQ_CST);
}
