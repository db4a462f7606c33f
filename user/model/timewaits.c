// SPDX-License-Identifier: BSD-2-Clause
#include "model/timewaits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

enum {
	WAIT_CHUNK_SHIFT = 12,
	WAIT_CHUNK_ENTRIES = 1 << WAIT_CHUNK_SHIFT,
	NO_PLACE = POSINDEX_NONE,
	OTHER = 0,
	RATE_SLOTS = TIMEWAIT_RATE_SECONDS + 1,
};

/* By how much ticks may lag behind the clock: 24 ms were seen at CONFIG_HZ=250,
 * on a virtual machine. connect() lets a tuple rest for much longer. */
#define TICKS_NS (100 * NS_PER_MS)

static struct wait_entry *wait_at(const struct timewaits *waits, uint32_t index)
{
	return &waits->chunks[index >> WAIT_CHUNK_SHIFT][index & (WAIT_CHUNK_ENTRIES - 1)];
}

/* Ids are hashes, or cookies that count upwards. The multiplier is 2^64 by the golden
 * ratio. */
static uint32_t hash_id(const struct timewaits *waits, uint64_t id)
{
	uint64_t product = (id ^ waits->seed) * 0x9e3779b97f4a7c15ULL;

	return (uint32_t)(product ^ product >> 32);
}

static uint32_t index_by_id(const struct timewaits *waits, uint64_t id)
{
	uint32_t hash = hash_id(waits, id), index;
	size_t slot = posindex__start(&waits->by_id, hash);

	do {
		index = posindex__next(&waits->by_id, hash, &slot);
	} while (index != POSINDEX_NONE && wait_at(waits, index)->id != id);
	return index;
}

int timewaits__init(struct timewaits *waits, struct owners *owners, uint64_t seed, uint32_t max_entries)
{
	*waits = (struct timewaits){ .free = NO_PLACE,
				     .oldest = NO_PLACE,
				     .newest = NO_PLACE,
				     .due_ns = UINT64_MAX,
				     .max_entries = max_entries,
				     .owners = owners,
				     .seed = seed };
	waits->groups = calloc(TIMEWAIT_GROUPS_MAX, sizeof(*waits->groups));
	if (!waits->groups || posindex__init(&waits->by_id) || idmap__init(&waits->by_key, seed)) {
		timewaits__fini(waits);
		return -ENOMEM;
	}
	waits->groups[OTHER] = (struct wait_group){ .owner = OWNER_NONE, .next = NO_PLACE };
	waits->group_count = 1;
	return 0;
}

void timewaits__fini(struct timewaits *waits)
{
	for (uint32_t i = 0; i < waits->chunk_count; i++)
		free(waits->chunks[i]);
	free(waits->chunks);
	free(waits->groups);
	waits->chunks = NULL;
	waits->groups = NULL;
	waits->chunk_count = 0;
	posindex__fini(&waits->by_id);
	idmap__fini(&waits->by_key);
}

/* ---- groups ---- */

static const struct endpoint *wait_service(const struct tuple *tuple, enum role role)
{
	return role == ROLE_SERVER ? &tuple->local : &tuple->remote;
}

/* Pid and start: a process, whatever its threads call themselves. */
static struct owner process_of(const struct timewaits *waits, const struct wait_group *group)
{
	const struct owner *owner = owners__get(waits->owners, group->owner);

	return owner ? *owner : (struct owner){ 0 };
}

static uint64_t group_hash(const struct timewaits *waits, const struct wait_group *group)
{
	struct owner process = process_of(waits, group);
	struct {
		uint8_t addr[16];
		uint32_t netns, pid, role, port;
		uint64_t start_cs;
	} key = { .netns = group->netns,
		  .pid = process.pid,
		  .start_cs = process.start_cs,
		  .role = group->role,
		  .port = group->service.port };

	memcpy(key.addr, group->service.addr, sizeof(key.addr));
	return XXH3_64bits_withSeed(&key, sizeof(key), waits->seed);
}

static bool same_group(const struct timewaits *waits, const struct wait_group *a,
		       const struct wait_group *b)
{
	struct owner x = process_of(waits, a), y = process_of(waits, b);

	return a->netns == b->netns && x.pid == y.pid && x.start_cs == y.start_cs &&
	       a->role == b->role && a->service.port == b->service.port &&
	       !memcmp(a->service.addr, b->service.addr, sizeof(a->service.addr));
}

static bool is_idle(const struct wait_group *group, uint64_t second)
{
	return !group->time_wait && !group->fin_wait2 && group->rate_second + 2 * TIMEWAIT_LEN_S < second;
}

static void unlink_group(struct timewaits *waits, uint32_t index)
{
	struct wait_group *group = &waits->groups[index];
	uint64_t hash = group_hash(waits, group);
	uint32_t i = idmap__find(&waits->by_key, hash);

	if (i == index) {
		if (group->next == NO_PLACE)
			idmap__remove(&waits->by_key, hash);
		else
			idmap__put(&waits->by_key, hash, group->next); /* in place: cannot fail */
	} else {
		while (i != NO_PLACE && waits->groups[i].next != index)
			i = waits->groups[i].next;
		if (i != NO_PLACE)
			waits->groups[i].next = group->next;
	}
	owners__release(waits->owners, group->owner);
}

/* A place for a new group: an unused one, else one that has been empty for
 * long, else none. */
static uint32_t place_for_group(struct timewaits *waits, uint64_t second)
{
	if (waits->group_count < TIMEWAIT_GROUPS_MAX)
		return waits->group_count++;
	for (uint32_t i = OTHER + 1; i < waits->group_count; i++) {
		if (!is_idle(&waits->groups[i], second))
			continue;
		unlink_group(waits, i);
		return i;
	}
	return NO_PLACE;
}

static bool is_confirmed(const struct timewaits *waits, uint32_t netns)
{
	for (uint32_t i = 0; i < waits->confirmed_count; i++)
		if (waits->confirmed[i] == netns)
			return true;
	return false;
}

static uint32_t group_of(struct timewaits *waits, const struct tuple *tuple,
			 const struct wait_charge *charge, uint64_t now_ns)
{
	struct wait_group wanted = { .netns = tuple->netns,
				     .owner = charge->owner,
				     .role = (uint8_t)charge->role,
				     .service = *wait_service(tuple, charge->role),
				     .rate_second = now_ns / NS_PER_S,
				     .first_second = now_ns / NS_PER_S };
	uint64_t hash = group_hash(waits, &wanted);
	uint32_t first = idmap__find(&waits->by_key, hash), index;

	for (index = first; index != NO_PLACE; index = waits->groups[index].next)
		if (same_group(waits, &waits->groups[index], &wanted))
			return index;
	index = place_for_group(waits, wanted.rate_second);
	if (index == NO_PLACE) {
		waits->not_grouped++;
		return OTHER;
	}
	wanted.in_doubt = waits->loss_ns && !is_confirmed(waits, tuple->netns);
	first = idmap__find(&waits->by_key, hash); /* the place may have come from its chain */
	wanted.next = first;
	waits->groups[index] = wanted;
	if (idmap__put(&waits->by_key, hash, index)) {
		/* No memory: an empty group that nobody finds. */
		waits->groups[index].owner = OWNER_NONE;
		waits->not_grouped++;
		return OTHER;
	}
	owners__hold(waits->owners, wanted.owner);
	return index;
}

static void roll(struct wait_group *group, uint64_t second)
{
	if (second > group->rate_second + RATE_SLOTS)
		memset(group->per_second, 0, sizeof(group->per_second));
	while (group->rate_second < second && second - group->rate_second <= RATE_SLOTS)
		group->per_second[++group->rate_second % RATE_SLOTS] = 0;
	if (group->rate_second < second)
		group->rate_second = second;
}

static void count_begin(struct wait_group *group, const struct wait_charge *charge, uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_S;

	roll(group, second);
	/* Records of two CPUs may be a little out of order. */
	if (second + RATE_SLOTS > group->rate_second)
		group->per_second[second % RATE_SLOTS]++;
	group->begun++;
	if (charge->lasted_ns == UINT64_MAX)
		return;
	group->measured++;
	if (charge->lasted_ns < TIMEWAIT_SHORT_MS * NS_PER_MS)
		group->short_lived++;
}

double wait_group__rate(const struct wait_group *group, uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_S, whole, sum = 0;

	whole = second - group->first_second;
	if (!whole) /* its first second is not over */
		return group->per_second[second % RATE_SLOTS];
	if (whole > TIMEWAIT_RATE_SECONDS)
		whole = TIMEWAIT_RATE_SECONDS;
	for (uint64_t s = second - whole; s < second; s++)
		if (s <= group->rate_second && s + RATE_SLOTS > group->rate_second)
			sum += group->per_second[s % RATE_SLOTS];
	return (double)sum / (double)whole;
}

/* ---- entries ---- */

static int add_wait_chunk(struct timewaits *waits)
{
	struct wait_entry **chunks = realloc(waits->chunks, (waits->chunk_count + 1) * sizeof(*chunks));

	if (!chunks)
		return -ENOMEM;
	waits->chunks = chunks;
	chunks[waits->chunk_count] = malloc(WAIT_CHUNK_ENTRIES * sizeof(struct wait_entry));
	if (!chunks[waits->chunk_count])
		return -ENOMEM;
	waits->chunk_count++;
	return 0;
}

static uint32_t take_wait(struct timewaits *waits)
{
	uint32_t index = waits->free;

	if (index != NO_PLACE) {
		waits->free = wait_at(waits, index)->next;
		return index;
	}
	if (waits->count >= waits->max_entries)
		return NO_PLACE;
	if (waits->used == waits->chunk_count << WAIT_CHUNK_SHIFT && add_wait_chunk(waits))
		return NO_PLACE;
	return waits->used++;
}

static void free_wait(struct timewaits *waits, uint32_t index)
{
	wait_at(waits, index)->id = 0;
	wait_at(waits, index)->next = waits->free;
	waits->free = index;
}

static uint32_t *counter_of(struct timewaits *waits, const struct wait_entry *entry)
{
	struct wait_group *group = &waits->groups[entry->group];

	return entry->substate == EV_TIME_WAIT ? &group->time_wait : &group->fin_wait2;
}

/* A place that is found by this id from now on, or NO_PLACE, which is counted. */
static uint32_t take_known(struct timewaits *waits, uint64_t id)
{
	uint32_t index = take_wait(waits);

	waits->changes++;
	if (index != NO_PLACE && !posindex__add(&waits->by_id, hash_id(waits, id), index))
		return index;
	waits->not_kept++;
	if (index != NO_PLACE)
		free_wait(waits, index);
	return NO_PLACE;
}

/* An entry in the queue keeps its place until it comes to its head. */
static void forget_wait(struct timewaits *waits, struct wait_entry *entry)
{
	uint32_t index = index_by_id(waits, entry->id);

	posindex__remove(&waits->by_id, hash_id(waits, entry->id), index);
	waits->changes++;
	--*counter_of(waits, entry);
	if (entry->flags & WAIT_ESTIMATED)
		waits->groups[entry->group].estimated--;
	waits->count--;
	if (entry->flags & WAIT_QUEUED)
		entry->id = 0;
	else
		free_wait(waits, index);
}

struct wait_entry *timewaits__begin(struct timewaits *waits, uint64_t id, const struct tuple *tuple,
				    unsigned int substate, const struct wait_charge *charge,
				    uint64_t now_ns)
{
	struct wait_entry *entry = timewaits__find(waits, id);
	uint32_t group, index;

	/* A dump was faster than its record, which knows whose it is. */
	if (entry) {
		waits->groups[entry->group].begun--;
		forget_wait(waits, entry);
	}
	group = group_of(waits, tuple, charge, now_ns);
	count_begin(&waits->groups[group], charge, now_ns);
	index = take_known(waits, id);
	if (index == NO_PLACE)
		return NULL;
	entry = wait_at(waits, index);
	*entry = (struct wait_entry){
		.id = id,
		.local_port = tuple->local.port,
		.remote_port = tuple->remote.port,
		.netns = tuple->netns,
		.began = (uint32_t)(now_ns >> WAIT_TIME_SHIFT),
		.group = group,
		.substate = (uint8_t)substate,
	};
	memcpy(entry->local, tuple->local.addr, sizeof(entry->local));
	memcpy(entry->remote, tuple->remote.addr, sizeof(entry->remote));
	waits->count++;
	++*counter_of(waits, entry);
	return entry;
}

void timewaits__refuse(struct timewaits *waits, const struct tuple *tuple,
		       const struct wait_charge *charge, uint64_t now_ns)
{
	waits->groups[group_of(waits, tuple, charge, now_ns)].refused++;
}

struct wait_entry *timewaits__find(const struct timewaits *waits, uint64_t id)
{
	uint32_t index = id ? index_by_id(waits, id) : NO_PLACE;

	return index == NO_PLACE ? NULL : wait_at(waits, index);
}

void timewaits__promote(struct timewaits *waits, struct wait_entry *entry)
{
	if (entry->substate == EV_TIME_WAIT)
		return;
	--*counter_of(waits, entry);
	entry->substate = EV_TIME_WAIT;
	++*counter_of(waits, entry);
}

void timewaits__end(struct timewaits *waits, struct wait_entry *entry, enum ev_wait_end end)
{
	waits->groups[entry->group].ended[end]++;
	forget_wait(waits, entry);
}

/* ---- without function hooks ---- */

static void enqueue(struct timewaits *waits, uint32_t index)
{
	wait_at(waits, index)->next = NO_PLACE;
	if (waits->newest == NO_PLACE) {
		waits->oldest = index;
		waits->due_ns = 0; /* its own, once it is asked for */
	} else {
		wait_at(waits, waits->newest)->next = index;
	}
	waits->newest = index;
}

struct wait_entry *timewaits__estimate(struct timewaits *waits, uint64_t id, const struct tuple *tuple,
				       const struct wait_charge *charge, uint64_t now_ns)
{
	struct wait_entry *entry = timewaits__begin(waits, id, tuple, EV_TIME_WAIT, charge, now_ns);
	uint32_t index;

	if (!entry)
		return NULL;
	index = index_by_id(waits, id);
	entry->flags |= WAIT_ESTIMATED | WAIT_QUEUED;
	waits->groups[entry->group].estimated++;
	enqueue(waits, index);
	return entry;
}

struct wait_entry *timewaits__overdue(struct timewaits *waits, uint64_t now_ns)
{
	while (waits->oldest != NO_PLACE) {
		uint32_t index = waits->oldest;
		struct wait_entry *entry = wait_at(waits, index);
		bool by_clock = entry->id && !(entry->flags & WAIT_RESTARTED);
		/* Its age wraps after 52 days; nothing stays here so long. */
		uint64_t held_ns = wait_entry__held_ns(entry, now_ns);

		if (by_clock && held_ns < TIMEWAIT_LASTS_NS) {
			waits->due_ns = now_ns + TIMEWAIT_LASTS_NS - held_ns;
			return NULL;
		}
		waits->oldest = entry->next;
		if (waits->oldest == NO_PLACE)
			waits->newest = NO_PLACE;
		entry->flags &= (uint8_t)~WAIT_QUEUED;
		if (by_clock)
			return entry;
		if (!entry->id)
			free_wait(waits, index);
	}
	waits->due_ns = UINT64_MAX;
	return NULL;
}

/* Whether a row contradicts the clock. An ACK beyond the window starts the timer
 * anew (tcp_timewait_state_process()), and so does the FIN that FIN_WAIT2 waits for. */
static bool is_restarted(const struct wait_entry *entry, unsigned int substate, uint64_t left_ns,
			 uint64_t now_ns)
{
	const uint64_t len_ns = TIMEWAIT_LEN_S * NS_PER_S;
	uint64_t held_ns = wait_entry__held_ns(entry, now_ns);
	uint64_t expected_ns = held_ns < len_ns ? len_ns - held_ns : 0;

	return substate == EV_FIN_WAIT2 || left_ns > expected_ns + NS_PER_S;
}

void timewaits__sample(struct timewaits *waits, uint64_t id, const struct tuple *tuple,
		       unsigned int substate, uint32_t expires_ms, const struct wait_charge *charge,
		       uint64_t now_ns)
{
	const uint64_t len_ns = TIMEWAIT_LEN_S * NS_PER_S, left_ns = expires_ms * NS_PER_MS;
	uint64_t age_ns = left_ns < len_ns ? len_ns - left_ns : 0;
	struct wait_entry *entry = timewaits__find(waits, id);

	if (!entry) {
		entry = timewaits__begin(waits, id, tuple, substate, charge,
					 now_ns > age_ns ? now_ns - age_ns : 0);
		if (!entry)
			return;
		entry->flags |= WAIT_PREEXISTING;
	}
	if (entry->flags & WAIT_ESTIMATED) {
		waits->groups[entry->group].estimated--;
		entry->flags &= (uint8_t)~WAIT_ESTIMATED;
	}
	if (substate != entry->substate) {
		--*counter_of(waits, entry);
		entry->substate = (uint8_t)substate;
		++*counter_of(waits, entry);
	}
	if (entry->flags & WAIT_QUEUED && is_restarted(entry, substate, left_ns, now_ns))
		entry->flags |= WAIT_RESTARTED;
	entry->flags |= WAIT_SEEN;
}

/* Whoever is gone before its time was reused, reset or killed: a dump does not
 * say which. */
static enum ev_wait_end why_gone(const struct wait_entry *entry, uint64_t now_ns)
{
	return wait_entry__held_ns(entry, now_ns) < TIMEWAIT_LEN_S * NS_PER_S ? EV_WAIT_END_NONE :
										EV_WAIT_EXPIRED;
}

void timewaits__doubt(struct timewaits *waits, uint64_t now_ns)
{
	waits->loss_ns = now_ns;
	waits->confirmed_count = 0;
	for (uint32_t i = 0; i < waits->group_count; i++)
		waits->groups[i].in_doubt = true;
}

bool timewaits__have_fin_wait2(const struct timewaits *waits)
{
	for (uint32_t i = 0; i < waits->group_count; i++)
		if (waits->groups[i].fin_wait2)
			return true;
	return false;
}

bool wait_group__is_exact(const struct wait_group *group)
{
	return !group->estimated && !group->in_doubt;
}

bool timewaits__are_exact(const struct timewaits *waits, uint32_t netns)
{
	if (waits->loss_ns && !is_confirmed(waits, netns))
		return false;
	for (uint32_t i = 0; i < waits->group_count; i++)
		if (waits->groups[i].netns == netns && waits->groups[i].estimated)
			return false;
	return true;
}

/* With more namespaces than are remembered, the new groups of the others stay in
 * doubt until their next dump. */
static void confirm(struct timewaits *waits, uint32_t netns, uint64_t began_ns)
{
	if (!waits->loss_ns || began_ns < waits->loss_ns)
		return;
	for (uint32_t i = 0; i < waits->group_count; i++)
		if (waits->groups[i].netns == netns)
			waits->groups[i].in_doubt = false;
	if (!is_confirmed(waits, netns) && waits->confirmed_count < TIMEWAIT_NETNS_MAX)
		waits->confirmed[waits->confirmed_count++] = netns;
}

void timewaits__sampled(struct timewaits *waits, uint32_t netns, uint64_t began_ns)
{
	uint32_t began = (uint32_t)(began_ns >> WAIT_TIME_SHIFT);

	confirm(waits, netns, began_ns);
	for (uint32_t i = 0; i < waits->used; i++) {
		struct wait_entry *entry = wait_at(waits, i);

		if (!entry->id || entry->netns != netns)
			continue;
		if (!(entry->flags & WAIT_SEEN) && (int32_t)(began - entry->began) > 0)
			timewaits__end(waits, entry, why_gone(entry, began_ns));
		else
			entry->flags &= (uint8_t)~WAIT_SEEN;
	}
}

/* ---- told by another ledger ---- */

/* All but who and where it is, and what there is of it now. */
static void put_counts(struct wait_group *group, const struct ev_wait_group *from)
{
	group->begun = from->begun;
	group->short_lived = from->short_lived;
	group->measured = from->measured;
	group->refused = from->refused;
	group->rate_second = from->rate_second;
	group->first_second = from->first_second;
	memcpy(group->ended, from->ended, sizeof(group->ended));
	memcpy(group->per_second, from->per_second, sizeof(group->per_second));
}

void timewaits__put_group(struct timewaits *waits, const struct ev_wait_group *from, uint32_t owner)
{
	struct wait_group *group = &waits->groups[from->index < TIMEWAIT_GROUPS_MAX ? from->index : OTHER];
	uint64_t hash;

	if (from->index == OTHER)
		put_counts(group, from);
	if (from->index != waits->group_count || from->index >= TIMEWAIT_GROUPS_MAX)
		return;
	*group = (struct wait_group){ .netns = from->netns,
				      .owner = owner,
				      .role = from->role,
				      .service.port = from->service_port };
	memcpy(group->service.addr, from->service, sizeof(group->service.addr));
	put_counts(group, from);
	hash = group_hash(waits, group);
	group->next = idmap__find(&waits->by_key, hash);
	waits->group_count++;
	if (idmap__put(&waits->by_key, hash, from->index))
		group->owner = OWNER_NONE; /* as in group_of() */
	else
		owners__hold(waits->owners, owner);
}

void timewaits__put(struct timewaits *waits, uint64_t id, const struct ev_wait *from)
{
	struct wait_entry *entry;
	uint32_t index;

	if (timewaits__find(waits, id)) {
		waits->not_kept++;
		return;
	}
	index = take_known(waits, id);
	if (index == NO_PLACE)
		return;
	entry = wait_at(waits, index);
	*entry = (struct wait_entry){
		.id = id,
		.local_port = from->local_port,
		.remote_port = from->remote_port,
		.netns = from->netns,
		.began = from->began,
		.group = from->group < waits->group_count ? from->group : OTHER,
		.substate = from->substate,
		.flags = from->flags & (WAIT_ESTIMATED | WAIT_PREEXISTING | WAIT_QUEUED),
	};
	memcpy(entry->local, from->local, sizeof(entry->local));
	memcpy(entry->remote, from->remote, sizeof(entry->remote));
	waits->count++;
	++*counter_of(waits, entry);
	if (entry->flags & WAIT_ESTIMATED)
		waits->groups[entry->group].estimated++;
	if (entry->flags & WAIT_QUEUED)
		enqueue(waits, index);
}

uint32_t timewaits__first_queued(const struct timewaits *waits)
{
	return waits->oldest;
}

uint32_t timewaits__next_queued(const struct timewaits *waits, uint32_t position)
{
	return wait_at(waits, position)->next;
}

/* ---- for views ---- */

void timewaits__measure(struct timewaits *waits, uint64_t now_ns)
{
	uint32_t now = (uint32_t)(now_ns >> WAIT_TIME_SHIFT);

	if (waits->measured == waits->changes)
		return;
	waits->measured = waits->changes;
	for (uint32_t i = 0; i < waits->group_count; i++)
		waits->groups[i].oldest_began = now;
	for (uint32_t i = 0; i < waits->used; i++) {
		const struct wait_entry *entry = wait_at(waits, i);
		struct wait_group *group = &waits->groups[entry->group];

		if (entry->id && (int32_t)(group->oldest_began - entry->began) > 0)
			group->oldest_began = entry->began;
	}
}

uint64_t wait_group__oldest_ns(const struct wait_group *group, uint64_t now_ns)
{
	if (!group->time_wait && !group->fin_wait2)
		return 0;
	return (uint64_t)((uint32_t)(now_ns >> WAIT_TIME_SHIFT) - group->oldest_began) << WAIT_TIME_SHIFT;
}

bool wait_entry__began_before(const struct wait_entry *entry, uint64_t time_ns)
{
	/* A dump tells of the time left in timer ticks: its entry may have begun
	 * later than it seems, and be what becomes of this very connection. */
	if (entry->flags & WAIT_PREEXISTING)
		time_ns = time_ns > TICKS_NS ? time_ns - TICKS_NS : 0;
	return (int32_t)(entry->began - (uint32_t)(time_ns >> WAIT_TIME_SHIFT)) < 0;
}

uint64_t wait_entry__held_ns(const struct wait_entry *entry, uint64_t now_ns)
{
	return (uint64_t)((uint32_t)(now_ns >> WAIT_TIME_SHIFT) - entry->began) << WAIT_TIME_SHIFT;
}

const struct wait_entry *timewaits__at(const struct timewaits *waits, uint32_t position)
{
	const struct wait_entry *entry = wait_at(waits, position);

	return entry->id ? entry : NULL;
}
