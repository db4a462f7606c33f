// SPDX-License-Identifier: BSD-2-Clause
#include "findings/doors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

int doors__init(struct doors *doors)
{
	*doors = (struct doors){ 0 };
	return idmap__init(&doors->by_key, 0);
}

void doors__fini(struct doors *doors)
{
	idmap__fini(&doors->by_key);
	free(doors->all);
}

static struct door *free_place(struct doors *doors)
{
	uint32_t room = doors->room ? doors->room * 2 : 8;
	struct door *all;

	for (uint32_t i = 0; i < doors->used; i++)
		if (!doors->all[i].key)
			return &doors->all[i];
	if (doors->used == doors->room) {
		all = realloc(doors->all, room * sizeof(*all));
		if (!all)
			return NULL;
		doors->all = all;
		doors->room = room;
	}
	return &doors->all[doors->used++];
}

static struct door *door_of(struct doors *doors, uint64_t key)
{
	uint32_t index = idmap__find(&doors->by_key, key);
	struct door *door;

	if (index != IDMAP_NONE)
		return &doors->all[index];
	door = free_place(doors);
	if (!door)
		return NULL;
	*door = (struct door){ 0 };
	if (idmap__put(&doors->by_key, key, (uint32_t)(door - doors->all)))
		return NULL;
	door->key = key;
	return door;
}

const struct door *doors__find(const struct doors *doors, uint64_t key)
{
	uint32_t index = idmap__find(&doors->by_key, key);

	return index == IDMAP_NONE ? NULL : &doors->all[index];
}

static struct door_tick *tick_at(struct door *door, uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_S;
	struct door_tick *tick = &door->ticks[second % WINDOW_SECONDS];

	if (tick->second != second)
		*tick = (struct door_tick){ .second = second };
	return tick;
}

/* ---- sources ---- */

static void note_source(struct door *door, const struct ev_handshake *step)
{
	struct sketch *sketch = &door->sketches[door->young];
	uint64_t hash = XXH3_64bits(step->remote, sizeof(step->remote)) % SKETCH_BITS;

	if (!step->remote_port)
		return;
	if (step->header.time_ns >= sketch->since_ns + SKETCH_SECONDS * NS_PER_S) {
		door->young ^= 1;
		sketch = &door->sketches[door->young];
		*sketch = (struct sketch){ .since_ns = step->header.time_ns };
	}
	sketch->bits[hash / 64] |= 1ULL << hash % 64;
}

uint32_t door__sources(const struct door *door)
{
	uint32_t set = 0;

	for (unsigned int i = 0; i < SKETCH_BITS / 64; i++)
		set += (uint32_t)__builtin_popcountll(door->sketches[0].bits[i] |
						      door->sketches[1].bits[i]);
	if (set == SKETCH_BITS)
		set--;
	return (uint32_t)round(-SKETCH_BITS * log(1 - (double)set / SKETCH_BITS));
}

/* ---- changes ---- */

/* Cookies that every SYN gets (tcp_syncookies=2) are no sign of a full queue. */
static bool queue_was_full(const struct ev_handshake *step)
{
	return step->syn_queue_len >= step->limit;
}

static void see_syn(struct door *door, const struct ev_handshake *step)
{
	struct door_tick *tick = tick_at(door, step->header.time_ns);

	tick->n[D_SYNS]++;
	note_source(door, step);
	if (step->outcome == EV_SYN_QUEUED)
		tick->n[D_QUEUED]++;
	else if (step->outcome == EV_SYN_COOKIE)
		tick->n[D_COOKIES] += queue_was_full(step);
	else if (step->outcome != EV_SYN_DROPPED)
		return;
	else if (step->detail == EV_DROP_ACCEPT_QUEUE_FULL)
		tick->n[D_DROPPED_FULL]++;
	else if (step->detail != EV_DROP_OTHER)
		tick->n[D_DROPPED_SYN]++;
}

static void see_step(struct door *door, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;
	struct door_tick *tick = tick_at(door, step->header.time_ns);

	switch (step->outcome) {
	case EV_REQUEST_COMPLETED:
		tick->n[D_COMPLETED]++;
		if (!step->retransmits)
			break;
		tick->n[D_SLOW]++;
		if (change->took_ns != UNKNOWN_NS)
			tick->took_us += change->took_ns / NS_PER_US;
		break;
	case EV_REQUEST_OVERFLOW:
		tick->n[D_DROPPED_FULL]++;
		break;
	case EV_REQUEST_TIMED_OUT:
		tick->n[D_TIMED_OUT]++;
		break;
	case EV_REQUEST_RETRANSMITTED:
		tick->n[D_RETRANSMITS]++;
		break;
	default:
		break;
	}
}

static void see_accept(struct door *door, const struct change *change, uint64_t tardy_us)
{
	struct door_tick *tick = tick_at(door, change->time_ns);

	tick->n[D_ACCEPTED]++;
	if (change->took_ns == UNKNOWN_NS)
		return;
	tick->n[D_WAITED]++;
	tick->n[D_TARDY] += change->took_ns / NS_PER_US >= tardy_us;
	tick->waited_us += change->took_ns / NS_PER_US;
}

void doors__see(struct doors *doors, const struct change *change, uint64_t tardy_us)
{
	struct door *door = change->listener ? door_of(doors, change->listener->key) : NULL;

	if (!door)
		return;
	if (change->kind == CHANGE_SYN)
		see_syn(door, change->handshake);
	else if (change->kind == CHANGE_HANDSHAKE)
		see_step(door, change);
	else if (change->kind == CHANGE_ACCEPT)
		see_accept(door, change, tardy_us);
}

/* ---- samples ---- */

static uint64_t overflows_of(const struct model *model, uint32_t netns)
{
	const struct namespaces *namespaces = model__namespaces(model);

	for (uint32_t i = 0; i < namespaces->used; i++)
		if (namespaces->all[i].netns == netns)
			return namespaces->all[i].last[EV_COUNT_LISTEN_OVERFLOWS];
	return 0;
}

static void sample_drops(struct door *door, const struct listener *listener, const struct model *model,
			 uint64_t now_ns)
{
	uint64_t drops = listener->sk_drops, overflows, full;
	struct door_tick *tick;

	if (!(listener->flags & LISTENER_DROPS_KNOWN))
		return;
	overflows = overflows_of(model, listener->netns);
	/* What it had dropped before we looked is not of these seconds. */
	if (door->sk_drops_known && drops > door->sk_drops) {
		tick = tick_at(door, now_ns - NS_PER_S);
		tick->n[D_DROPS] += (uint32_t)(drops - door->sk_drops);
		full = overflows - door->overflows;
		if (full > drops - door->sk_drops)
			full = drops - door->sk_drops;
		tick->n[D_DROPS_FULL] += (uint32_t)full;
	}
	door->overflows = overflows;
	door->sk_drops = drops;
	door->sk_drops_known = true;
}

static void sample_stuck(struct door *door, const struct listener *listener, uint64_t now_ns)
{
	if (!listener->accept_queue.len || listener->accepted != door->accepted) {
		door->stuck_since_ns = 0;
		door->accepted = listener->accepted;
	} else if (!door->stuck_since_ns) {
		door->stuck_since_ns = now_ns;
	}
}

void doors__measure(struct doors *doors, const struct model *model, uint64_t now_ns)
{
	const struct listeners *listeners = model__listeners(model);

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		struct door *door = listener ? door_of(doors, listener->key) : NULL;

		if (!door)
			continue;
		sample_drops(door, listener, model, now_ns);
		sample_stuck(door, listener, now_ns);
	}
	for (uint32_t i = 0; i < doors->used; i++) {
		struct door *door = &doors->all[i];

		if (!door->key || listeners__find(listeners, door->key))
			continue;
		idmap__remove(&doors->by_key, door->key);
		door->key = 0;
	}
}

/* ---- sums ---- */

static const struct door_tick *past_tick(const struct door *door, uint64_t second)
{
	const struct door_tick *tick = &door->ticks[second % WINDOW_SECONDS];

	return tick->second == second ? tick : NULL;
}

uint32_t door__sum(const struct door *door, enum door_count what, uint64_t now_ns, unsigned int seconds)
{
	uint64_t second = now_ns / NS_PER_S;
	uint32_t sum = 0;

	for (unsigned int i = 1; i <= seconds && i <= second; i++) {
		const struct door_tick *tick = past_tick(door, second - i);

		sum += tick ? tick->n[what] : 0;
	}
	return sum;
}

static double mean_ms(const struct door *door, enum door_count of, bool wait, uint64_t now_ns,
		      unsigned int seconds)
{
	uint64_t second = now_ns / NS_PER_S, sum = 0;
	uint32_t n = door__sum(door, of, now_ns, seconds);

	for (unsigned int i = 1; i <= seconds && i <= second; i++) {
		const struct door_tick *tick = past_tick(door, second - i);

		if (tick)
			sum += wait ? tick->waited_us : tick->took_us;
	}
	return n ? (double)sum / n / 1000 : NAN;
}

double door__waited_ms(const struct door *door, uint64_t now_ns, unsigned int seconds)
{
	return mean_ms(door, D_WAITED, true, now_ns, seconds);
}

double door__took_ms(const struct door *door, uint64_t now_ns, unsigned int seconds)
{
	return mean_ms(door, D_SLOW, false, now_ns, seconds);
}
