// SPDX-License-Identifier: BSD-2-Clause
#include "findings/services.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

/* ---- the table ---- */

int services__init(struct services *services)
{
	*services = (struct services){ 0 };
	return idmap__init(&services->by_key, 0);
}

void services__fini(struct services *services)
{
	idmap__fini(&services->by_key);
	free(services->all);
}

static uint64_t key_of(uint32_t netns, enum role role, const struct endpoint *end)
{
	struct {
		uint8_t addr[16];
		uint32_t netns;
		uint16_t port, role;
	} key = { .netns = netns, .port = end->port, .role = (uint16_t)role };

	memcpy(key.addr, end->addr, sizeof(key.addr));
	return XXH3_64bits(&key, sizeof(key));
}

uint64_t service__subject(const struct service *service)
{
	return key_of(service->netns, (enum role)service->role, &service->end);
}

/* The one silent for longest of a few: whoever scans the net must not make us
 * look at all of them each time. */
static struct service *oldest_of_some(struct services *services)
{
	enum { SOME = 32 };
	struct service *victim = NULL;

	for (unsigned int i = 0; i < SOME; i++) {
		struct service *service = &services->all[services->hand++ % services->used];

		if (!victim || service->heard_ns < victim->heard_ns)
			victim = service;
	}
	return victim;
}

static struct service *place_for_one(struct services *services)
{
	struct service *service;
	uint32_t room = services->room ? services->room * 2 : 16;

	if (services->used == SERVICES_MAX) {
		service = oldest_of_some(services);
		idmap__remove(&services->by_key, service__subject(service));
		services->evicted++;
		return service;
	}
	if (services->used == services->room) {
		struct service *all = realloc(services->all, room * sizeof(*all));

		if (!all)
			return NULL;
		services->all = all;
		services->room = room;
	}
	return &services->all[services->used++];
}

static struct service *service_of(struct services *services, uint32_t netns, enum role role,
				  const struct endpoint *end, uint64_t now_ns)
{
	uint64_t key = key_of(netns, role, end);
	uint32_t index = idmap__find(&services->by_key, key);
	struct service *service = index == IDMAP_NONE ? NULL : &services->all[index];

	if (!service) {
		service = place_for_one(services);
		if (!service)
			return NULL;
		*service = (struct service){ .netns = netns, .role = (uint8_t)role, .end = *end };
		if (idmap__put(&services->by_key, key, (uint32_t)(service - services->all)))
			return NULL;
	}
	service->heard_ns = now_ns;
	return service;
}

/* What we do not know the role of we take for a client: a server is known by
 * its listener. */
static struct service *service_of_life(struct services *services, const struct life *life, uint64_t now_ns)
{
	enum role role = life->role == ROLE_SERVER ? ROLE_SERVER : ROLE_CLIENT;
	const struct endpoint *end = role == ROLE_SERVER ? &life->local : &life->remote;

	if (!(life->flags & LIFE_PLACE_KNOWN) || !end->port || life->role == ROLE_LISTENER ||
	    life->role == ROLE_BOTH)
		return NULL;
	return service_of(services, life->netns, role, end, now_ns);
}

/* ---- crowds ---- */

static void join(struct crowd *crowd, const struct owner *owner)
{
	struct member *place = NULL;

	if (!owner)
		return;
	for (unsigned int i = 0; i < CROWD_MAX; i++) {
		struct member *member = &crowd->members[i];

		if (!member->weight) {
			place = member;
		} else if (!memcmp(member->owner.comm, owner->comm, sizeof(owner->comm))) {
			member->many |= member->owner.pid != owner->pid;
			member->owner = *owner;
			member->weight++;
			return;
		}
	}
	if (place)
		*place = (struct member){ .owner = *owner, .weight = 1 };
	for (unsigned int i = 0; i < CROWD_MAX && !place; i++)
		crowd->members[i].weight--;
}

const struct member *crowd__first(const struct crowd *crowd)
{
	const struct member *first = &crowd->members[0];

	for (unsigned int i = 1; i < CROWD_MAX; i++)
		if (crowd->members[i].weight > first->weight)
			first = &crowd->members[i];
	return first->weight ? first : NULL;
}

/* ---- counts by second ---- */

static struct tick_counts *tick_at(struct service *service, uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_S;
	struct tick_counts *tick = &service->ticks[second % WINDOW_SECONDS];

	if (tick->second != second)
		*tick = (struct tick_counts){ .second = second };
	return tick;
}

static const struct tick_counts *past_tick(const struct service *service, uint64_t second)
{
	const struct tick_counts *tick = &service->ticks[second % WINDOW_SECONDS];

	return tick->second == second ? tick : NULL;
}

uint32_t service__sum(const struct service *service, enum service_count what, uint64_t now_ns,
		      unsigned int seconds)
{
	uint64_t second = now_ns / NS_PER_S;
	uint32_t sum = 0;

	for (unsigned int i = 1; i <= seconds && i <= second; i++) {
		const struct tick_counts *tick = past_tick(service, second - i);

		sum += tick ? tick->n[what] : 0;
	}
	return sum;
}

uint32_t service__least(const struct service *service, enum service_count what, uint64_t now_ns,
			unsigned int seconds)
{
	uint64_t second = now_ns / NS_PER_S;
	uint32_t least = UINT32_MAX;

	for (unsigned int i = 1; i <= seconds && i <= second; i++) {
		const struct tick_counts *tick = past_tick(service, second - i);
		uint32_t n = tick ? tick->n[what] : 0;

		if (n < least)
			least = n;
	}
	return least == UINT32_MAX ? 0 : least;
}

uint32_t service__most(const struct service *service, enum service_count what, uint64_t now_ns,
		       unsigned int seconds)
{
	uint64_t second = now_ns / NS_PER_S;
	uint32_t most = 0;

	for (unsigned int i = 1; i <= seconds && i <= second; i++) {
		const struct tick_counts *tick = past_tick(service, second - i);

		if (tick && tick->n[what] > most)
			most = tick->n[what];
	}
	return most;
}

static double mean_ms(const struct service *service, enum service_count of, bool opening,
		      uint64_t now_ns, unsigned int seconds)
{
	uint64_t second = now_ns / NS_PER_S, sum = 0, n = 0;

	for (unsigned int i = 1; i <= seconds && i <= second; i++) {
		const struct tick_counts *tick = past_tick(service, second - i);

		if (!tick)
			continue;
		sum += opening ? tick->opening_us : tick->lasted_us;
		n += tick->n[of];
	}
	return n ? (double)sum / (double)n / 1000 : NAN;
}

double service__lasted_ms(const struct service *service, uint64_t now_ns, unsigned int seconds)
{
	return mean_ms(service, S_LASTED, false, now_ns, seconds);
}

double service__opening_ms(const struct service *service, uint64_t now_ns, unsigned int seconds)
{
	return mean_ms(service, S_SLOW_OPEN, true, now_ns, seconds);
}

/* ---- changes ---- */

static void count_close(struct tick_counts *tick, const struct life *life)
{
	uint64_t lasted_ns = life__lasted_ns(life);

	tick->n[S_CLOSED_FIRST]++;
	if (lasted_ns != UNKNOWN_NS) {
		tick->n[S_LASTED]++;
		tick->n[S_SHORT] += lasted_ns < TIMEWAIT_SHORT_MS * NS_PER_MS;
		tick->lasted_us += lasted_ns / NS_PER_US;
	}
	if (life->flags & LIFE_TOTALS_KNOWN) {
		tick->n[S_TOTALS]++;
		tick->n[S_EMPTY] += !life->bytes_received;
	}
}

/* A pending connect() that ended by itself within a moment was not given up for
 * want of an answer. */
static bool was_patient(const struct life *life)
{
	uint64_t lasted_ns = life__lasted_ns(life);

	return lasted_ns != UNKNOWN_NS && lasted_ns >= NS_PER_S;
}

static bool was_established(const struct life *life)
{
	for (unsigned int i = 0; i < life->history_count; i++)
		if (history_state(life->history[i]) == EV_ESTABLISHED)
			return true;
	return life->flags & LIFE_INCOMPLETE;
}

/* In which column an end is counted; S_COUNT: in none. */
static enum service_count end_of(const struct life *life)
{
	switch (life->how) {
	case HOW_REFUSED:
		return S_REFUSED;
	case HOW_UNREACHABLE:
		return S_UNREACHABLE;
	case HOW_NO_PORT:
		return S_NO_PORT;
	case HOW_CANCELLED:
		return was_patient(life) ? S_GAVE_UP : S_COUNT;
	case HOW_TIMEOUT:
		return life->role == ROLE_CLIENT && !was_established(life) ? S_TIMED_OUT : S_COUNT;
	case HOW_ABORT:
		return S_ABORTED;
	case HOW_RESET_RECEIVED:
		return was_established(life) ? S_RESET : S_COUNT;
	case HOW_LISTENER_CLOSED:
		return S_NOT_ACCEPTED;
	case HOW_CLOSE:
	case HOW_SHUTDOWN:
		return life->closed_first == CLOSED_REMOTE ? S_CLOSED_SECOND : S_CLOSED_FIRST;
	default:
		return S_COUNT;
	}
}

static void see_end(struct services *services, const struct model *model, const struct change *change)
{
	const struct life *life = change->life;
	struct service *service = service_of_life(services, life, change->time_ns);
	enum service_count what = end_of(life);
	struct tick_counts *tick;

	if (!service || !life__closed(life) || what == S_COUNT)
		return;
	tick = tick_at(service, change->time_ns);
	if (what == S_CLOSED_FIRST)
		count_close(tick, life);
	else
		tick->n[what]++;
	join(&service->crowd, change->owner ? change->owner : model__owner(model, life));
}

/* A client's handshake that took longer than the first retransmission timeout
 * (TCP_TIMEOUT_INIT, 1 s) had its SYN sent again. */
static void see_open(struct services *services, const struct change *change)
{
	struct service *service = service_of_life(services, change->life, change->time_ns);
	struct tick_counts *tick;

	if (!service)
		return;
	tick = tick_at(service, change->time_ns);
	tick->n[S_OPENED]++;
	if (change->old_state != EV_SYN_SENT || change->in_old_ns == UNKNOWN_NS ||
	    change->in_old_ns < NS_PER_S)
		return;
	tick->n[S_SLOW_OPEN]++;
	tick->opening_us += change->in_old_ns / NS_PER_US;
}

static void see_refused_wait(struct services *services, const struct change *change)
{
	struct service *service =
		change->life ? service_of_life(services, change->life, change->time_ns) : NULL;

	if (service)
		tick_at(service, change->time_ns)->n[S_WAIT_REFUSED]++;
}

static struct service *known_service(struct services *services, uint32_t netns, enum role role,
				     const uint8_t addr[16], uint16_t port)
{
	struct endpoint end = { .port = port };
	uint32_t index;

	memcpy(end.addr, addr, sizeof(end.addr));
	index = idmap__find(&services->by_key, key_of(netns, role, &end));
	return index == IDMAP_NONE ? NULL : &services->all[index];
}

/* Whose it is: that of its local end if clients are served there, else that of
 * its remote one. */
static void see_unread(struct services *services, const struct ev_unread *unread)
{
	struct service *service =
		known_service(services, unread->netns, ROLE_SERVER, unread->local, unread->local_port);
	struct unread_sum *sum;

	if (!service || !service->close_wait)
		service = known_service(services, unread->netns, ROLE_CLIENT, unread->remote,
					unread->remote_port);
	if (!service)
		return;
	sum = &service->unread;
	if (sum->look_ns != unread->header.time_ns)
		*sum = (struct unread_sum){ .look_ns = unread->header.time_ns };
	sum->looked++;
	sum->data += unread->unread > 1;
	sum->end += unread->unread == 1;
	/* The end of file is no byte that anybody misses. */
	if (unread->unread > 1 && unread->unread - 1 > sum->most)
		sum->most = unread->unread - 1;
}

void services__see(struct services *services, const struct model *model, const struct change *change)
{
	if (change->kind == CHANGE_UNREAD)
		see_unread(services, change->unread);
	else if (change->kind == CHANGE_LIFE)
		see_end(services, model, change);
	else if (change->kind == CHANGE_TRANSITION && change->new_state == EV_ESTABLISHED)
		see_open(services, change);
	else if (change->kind == CHANGE_TIMEWAIT && change->timewait->phase == EV_WAIT_REFUSED)
		see_refused_wait(services, change);
}

/* ---- gauges ---- */

static void longest(uint64_t *longest_ns, uint64_t ns)
{
	if (ns > *longest_ns)
		*longest_ns = ns;
}

static unsigned int age_class(uint64_t age_ns)
{
	static const uint64_t below_s[AGES_COUNT - 1] = { 10, 60, 600 };
	unsigned int i = 0;

	while (i < AGES_COUNT - 1 && age_ns >= below_s[i] * NS_PER_S)
		i++;
	return i;
}

static void measure_life(struct services *services, const struct model *model, const struct life *life,
			 const struct ages *ages, uint64_t now_ns)
{
	struct service *service;
	uint64_t age_ns = now_ns > life->entered_ns ? now_ns - life->entered_ns : 0;

	if (life->flags & LIFE_SOCKET_GONE)
		return;
	service = service_of_life(services, life, now_ns);
	if (!service)
		return;
	service->open++;
	if (life->state == EV_CLOSE_WAIT) {
		service->close_wait++;
		service->close_wait_old += age_ns >= ages->close_wait_ns;
		service->close_wait_ages[age_class(age_ns)]++;
		longest(&service->close_wait_longest_ns, age_ns);
		if (age_ns < service->close_wait_shortest_ns)
			service->close_wait_shortest_ns = age_ns;
		join(&service->leakers, model__owner(model, life));
	} else if (life->state == EV_FIN_WAIT2) {
		service->fin_wait2++;
		service->fin_wait2_old += age_ns >= ages->fin_wait2_ns;
		longest(&service->fin_wait2_longest_ns, age_ns);
	} else if (life->state == EV_SYN_SENT && age_ns >= ages->unanswered_ns) {
		service->unanswered++;
		longest(&service->unanswered_longest_ns, age_ns);
		join(&service->waiters, model__owner(model, life));
	}
}

static void measure_wait(struct services *services, const struct wait_group *group,
			 const struct wait_entry *entry, const struct ages *ages, uint64_t now_ns)
{
	enum role role = group->role == ROLE_SERVER ? ROLE_SERVER : ROLE_CLIENT;
	struct service *service;
	uint64_t held_ns = wait_entry__held_ns(entry, now_ns);
	struct endpoint end = { .port = role == ROLE_SERVER ? entry->local_port : entry->remote_port };

	memcpy(end.addr, role == ROLE_SERVER ? entry->local : entry->remote, sizeof(end.addr));
	service = service_of(services, entry->netns, role, &end, now_ns);
	if (!service)
		return;
	if (entry->substate == EV_TIME_WAIT) {
		service->time_wait++;
		return;
	}
	service->fin_wait2++;
	service->fin_wait2_old += held_ns >= ages->fin_wait2_ns;
	longest(&service->fin_wait2_longest_ns, held_ns);
}

static void clear_gauges(struct service *service)
{
	service->open = service->time_wait = 0;
	service->close_wait = service->close_wait_old = 0;
	service->fin_wait2 = service->fin_wait2_old = service->unanswered = 0;
	service->close_wait_longest_ns = service->fin_wait2_longest_ns = 0;
	service->unanswered_longest_ns = 0;
	service->close_wait_shortest_ns = UINT64_MAX;
	memset(service->close_wait_ages, 0, sizeof(service->close_wait_ages));
	service->leakers = service->waiters = (struct crowd){ 0 };
}

static void remember(struct service *service, uint64_t second)
{
	unsigned int last = sizeof(service->close_wait_past) / sizeof(service->close_wait_past[0]) - 1;

	if (second < service->past_second + TREND_SECONDS)
		return;
	memmove(service->close_wait_past + 1, service->close_wait_past, last * sizeof(uint32_t));
	memmove(service->fin_wait2_past + 1, service->fin_wait2_past, last * sizeof(uint32_t));
	service->close_wait_past[0] = service->close_wait;
	service->fin_wait2_past[0] = service->fin_wait2;
	service->past_second = second;
}

void services__measure(struct services *services, const struct model *model, const struct ages *ages,
		       uint64_t now_ns)
{
	const struct flow_table *flows = model__flows(model);
	const struct timewaits *waits = model__timewaits(model);

	for (uint32_t i = 0; i < services->used; i++)
		clear_gauges(&services->all[i]);
	for (uint32_t i = 0; i < flows->used; i++) {
		const struct life *life = flow_table__open_at(flows, i);

		if (life)
			measure_life(services, model, life, ages, now_ns);
	}
	for (uint32_t i = 0; i < waits->used; i++) {
		const struct wait_entry *entry = timewaits__at(waits, i);

		if (entry)
			measure_wait(services, &waits->groups[entry->group], entry, ages, now_ns);
	}
	for (uint32_t i = 0; i < services->used; i++)
		remember(&services->all[i], now_ns / NS_PER_S);
}
