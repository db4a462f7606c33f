// SPDX-License-Identifier: BSD-2-Clause
#include "model/listeners.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static const uint8_t any6[16];
static const uint8_t any4[16] = { [10] = 0xff, [11] = 0xff };

int listeners__init(struct listeners *listeners, struct owners *owners, uint64_t seed)
{
	*listeners = (struct listeners){ .owners = owners };
	listeners->all = calloc(LISTENERS_MAX, sizeof(struct listener *));
	if (!listeners->all || idmap__init(&listeners->by_key, seed) ||
	    idmap__init(&listeners->not_kept, seed) || clients__init(&listeners->clients, seed))
		return -ENOMEM;
	return 0;
}

void listeners__fini(struct listeners *listeners)
{
	for (uint32_t i = 0; i < listeners->used; i++)
		free(listeners->all[i]);
	free(listeners->all);
	listeners->all = NULL;
	if (listeners->by_key.slots)
		idmap__fini(&listeners->by_key);
	if (listeners->not_kept.slots)
		idmap__fini(&listeners->not_kept);
	clients__fini(&listeners->clients);
}

struct listener *listeners__find(const struct listeners *listeners, uint64_t key)
{
	uint32_t index = idmap__find(&listeners->by_key, key);

	return index == IDMAP_NONE ? NULL : listeners->all[index];
}

/* How well a listener fits a local end, 0: not at all. An address goes before a
 * wildcard and, for IPv4, an AF_INET socket before a dual-stack one: as in
 * compute_score() of net/ipv4/inet_hashtables.c. */
static int fit_of(const struct listener *l, uint32_t netns, const uint8_t addr[16], uint16_t port)
{
	if (l->flags & LISTENER_CLOSED || l->netns != netns || l->local.port != port)
		return 0;
	if (!memcmp(l->local.addr, addr, 16))
		return 3;
	if (!memcmp(l->local.addr, any4, 16))
		return memcmp(addr, any4, 12) ? 0 : 2;
	return !memcmp(l->local.addr, any6, 16);
}

struct listener *listeners__serving(const struct listeners *listeners, uint32_t netns,
				    const uint8_t addr[16], uint16_t port)
{
	struct listener *found = NULL;
	int best = 0;

	for (uint32_t i = 0; i < listeners->used; i++) {
		struct listener *l = listeners->all[i];
		int fit = l ? fit_of(l, netns, addr, port) : 0;

		if (fit > best) {
			best = fit;
			found = l;
		}
	}
	return found;
}

bool listeners__share_place(const struct listeners *listeners, const struct listener *listener)
{
	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *l = listeners->all[i];

		if (l && l != listener &&
		    fit_of(l, listener->netns, listener->local.addr, listener->local.port) == 3)
			return true;
	}
	return false;
}

static void forget(struct listeners *listeners, uint32_t index)
{
	struct listener *listener = listeners->all[index];

	idmap__remove(&listeners->by_key, listener->key);
	owners__release(listeners->owners, listener->owner);
	free(listener);
	listeners->all[index] = NULL;
}

/* A place for one more: never used, or that of a listener that has closed. */
static uint32_t find_place(struct listeners *listeners)
{
	if (listeners->used < LISTENERS_MAX)
		return listeners->used++;
	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		if (listeners->all[i] && !(listeners->all[i]->flags & LISTENER_CLOSED))
			continue;
		if (listeners->all[i])
			forget(listeners, i);
		return i;
	}
	return IDMAP_NONE;
}

/* Once for each, however often it comes. */
static void not_kept(struct listeners *listeners, uint64_t key)
{
	if (idmap__find(&listeners->not_kept, key) != IDMAP_NONE)
		return;
	if (listeners->not_kept.used >= NOT_KEPT_MAX || idmap__put(&listeners->not_kept, key, 0))
		listeners->not_kept_more++;
}

uint64_t listeners__not_kept(const struct listeners *listeners)
{
	return listeners->not_kept.used + listeners->not_kept_more;
}

void listeners__close(struct listeners *listeners, uint64_t key)
{
	struct listener *listener = listeners__find(listeners, key);

	if (!listener) {
		idmap__remove(&listeners->not_kept, key);
		return;
	}
	listener->flags |= LISTENER_CLOSED;
	listener->accept_queue.len = 0; /* its children were closed; requests go by their timers */
}

struct listener *listeners__get(struct listeners *listeners, uint64_t key)
{
	struct listener *listener = listeners__find(listeners, key);
	uint32_t place;

	if (listener)
		return listener;
	place = find_place(listeners);
	listener = place == IDMAP_NONE ? NULL : calloc(1, sizeof(*listener));
	if (!listener || idmap__put(&listeners->by_key, key, place)) {
		not_kept(listeners, key);
		free(listener);
		return NULL;
	}
	idmap__remove(&listeners->not_kept, key);
	listener->key = key;
	listener->id = key;
	listener->owner = OWNER_NONE;
	listeners->all[place] = listener;
	return listener;
}

static bool is_adoptable(const struct listener *l)
{
	return (l->flags & (LISTENER_PREEXISTING | LISTENER_DROPS_KNOWN | LISTENER_ADOPTED)) ==
	       (LISTENER_PREEXISTING | LISTENER_DROPS_KNOWN);
}

/* The one sample among those that fit best, NULL when there is none, or more
 * than one: then it is not known which of the group this is. */
static struct listener *sample_of(const struct listeners *listeners, uint32_t netns,
				  const uint8_t addr[16], uint16_t port, uint64_t since_ns)
{
	struct listener *found = NULL;
	int best = 1, count = 0;

	for (uint32_t i = 0; i < listeners->used; i++) {
		struct listener *l = listeners->all[i];
		int fit = l ? fit_of(l, netns, addr, port) : 0;

		if (fit > best) {
			best = fit;
			count = 0;
		}
		if (fit == best && is_adoptable(l) && l->found_ns >= since_ns) {
			found = l;
			count++;
		}
	}
	return count == 1 ? found : NULL;
}

static struct listener *adopt_since(struct listeners *listeners, uint64_t key, uint32_t netns,
				    const uint8_t addr[16], uint16_t port, uint64_t since_ns)
{
	struct listener *listener = sample_of(listeners, netns, addr, port, since_ns);

	if (!listener) {
		listener = listeners__get(listeners, key);
	} else if (!idmap__put(&listeners->by_key, key, idmap__find(&listeners->by_key, listener->key))) {
		idmap__remove(&listeners->by_key, listener->key);
		listener->key = key;
	} else {
		return listener; /* no memory: it stays as it is */
	}
	if (listener)
		listener->flags |= LISTENER_ADOPTED;
	return listener;
}

struct listener *listeners__adopt(struct listeners *listeners, uint64_t key, uint32_t netns,
				  const uint8_t addr[16], uint16_t port)
{
	struct listener *listener = listeners__find(listeners, key);

	return listener ? listener : adopt_since(listeners, key, netns, addr, port, 0);
}

/* Its address is another one's now: what it has counted stays, under a key that no
 * event names. */
static void retire(struct listeners *listeners, struct listener *listener, uint64_t time_ns)
{
	const uint64_t from[] = { listener->key, time_ns };
	uint64_t key = XXH3_64bits_withSeed(from, sizeof(from), listeners->by_key.seed);
	uint32_t place = idmap__find(&listeners->by_key, listener->key);

	listeners__close(listeners, listener->key); /* its CLOSE may have been lost */
	if (idmap__find(&listeners->by_key, key) != IDMAP_NONE ||
	    idmap__put(&listeners->by_key, key, place)) {
		forget(listeners, place);
		return;
	}
	idmap__remove(&listeners->by_key, listener->key);
	listener->key = key;
}

struct listener *listeners__born(struct listeners *listeners, const struct listener_birth *birth)
{
	struct listener *listener = listeners__find(listeners, birth->key);

	if (listener && !birth->by_address) {
		listener->flags &= (uint8_t)~LISTENER_CLOSED;
		listener->born_ns = birth->time_ns;
		return listener;
	}
	if (listener)
		retire(listeners, listener, birth->time_ns);
	listener = adopt_since(listeners, birth->key, birth->netns, birth->addr, birth->port,
			       birth->time_ns);
	/* A sample's has been shown under its cookie. */
	if (listener && !(listener->flags & LISTENER_DROPS_KNOWN))
		listener->id = birth->id;
	if (listener) {
		listener->born_ns = birth->time_ns;
		listener->by_address = birth->by_address;
	}
	return listener;
}

static void deepen(struct queue_depth *depth, uint32_t len)
{
	depth->len = len;
	if (len > depth->max)
		depth->max = len;
}

static uint64_t client_hash(const struct listeners *listeners, const struct listener *listener,
			    const struct ev_handshake *step)
{
	struct {
		uint8_t remote[16];
		uint64_t listener;
		uint64_t port;
	} client = { .listener = listener->key, .port = step->remote_port };

	memcpy(client.remote, step->remote, sizeof(client.remote));
	return XXH3_64bits_withSeed(&client, sizeof(client), listeners->by_key.seed);
}

static void client_blocked(struct listeners *listeners, struct listener *listener,
			   const struct ev_handshake *step)
{
	uint64_t hash = client_hash(listeners, listener, step);
	bool full = step->detail == EV_DROP_SYN_QUEUE_FULL || step->detail == EV_DROP_ACCEPT_QUEUE_FULL;
	enum client was;
	bool old;

	if (!step->remote_port)
		return;
	was = clients__find(&listeners->clients, hash, &old);
	if (was != CLIENT_NONE && !old)
		return;
	/* Heard of again: it moves to the young ones. */
	if (was != CLIENT_NONE)
		clients__take(&listeners->clients, hash, &old);
	if (was == CLIENT_BLOCKED && listener->silent)
		listener->silent--;
	if (!clients__put(&listeners->clients, hash, was == CLIENT_NONE ? CLIENT_BLOCKED : was)) {
		listener->blocked -= was == CLIENT_BLOCKED && listener->blocked;
		return;
	}
	if (was != CLIENT_NONE)
		return;
	listener->blocked++;
	/* No backlog helps against the other causes. */
	if (full && listener->limit + listener->blocked > listener->needed)
		listener->needed = listener->limit + listener->blocked;
}

/* It waits no more. Returns how far it was. */
static enum client take_client(struct listeners *listeners, struct listener *listener,
			       const struct ev_handshake *step)
{
	bool old;
	enum client was = clients__take(&listeners->clients, client_hash(listeners, listener, step), &old);

	if (was == CLIENT_BLOCKED && listener->blocked)
		listener->blocked--;
	if (was == CLIENT_BLOCKED && old && listener->silent)
		listener->silent--;
	return was;
}

static void client_queued(struct listeners *listeners, struct listener *listener,
			  const struct ev_handshake *step)
{
	enum client was = take_client(listeners, listener, step);

	if (was == CLIENT_NONE)
		return;
	listener->delayed += was == CLIENT_BLOCKED;
	clients__put(&listeners->clients, client_hash(listeners, listener, step), CLIENT_QUEUED);
}

void listeners__age(struct listeners *listeners, uint64_t now_ns)
{
	while (clients__age(&listeners->clients, now_ns)) {
		for (uint32_t i = 0; i < listeners->used; i++) {
			struct listener *l = listeners->all[i];

			if (!l)
				continue;
			l->gave_up += l->silent;
			l->blocked -= l->silent;
			l->silent = l->blocked;
		}
	}
}

static void count_syn(struct listeners *listeners, struct listener *listener,
		      const struct ev_handshake *step)
{
	listener->syns++;
	switch (step->outcome) {
	case EV_SYN_QUEUED:
		listener->queued++;
		deepen(&listener->syn_queue, step->syn_queue_len + 1);
		client_queued(listeners, listener, step);
		break;
	case EV_SYN_COOKIE:
		listener->cookies++;
		break;
	case EV_SYN_FASTOPEN:
		listener->fastopen++;
		deepen(&listener->accept_queue, step->accept_queue_len + 1);
		listener->delayed += take_client(listeners, listener, step) == CLIENT_BLOCKED;
		break;
	case EV_SYN_DROPPED:
		listener->dropped[step->detail]++;
		client_blocked(listeners, listener, step);
		break;
	default:
		break;
	}
}

static void count_completed(struct listeners *listeners, struct listener *listener,
			    const struct ev_handshake *step, uint64_t took_us, bool was_blocked)
{
	enum client was = take_client(listeners, listener, step);

	if (step->detail == EV_VIA_COOKIE) {
		listener->completed_by_cookie++;
	} else {
		listener->completed++;
		listener->syn_queue.len = step->syn_queue_len ? step->syn_queue_len - 1 : 0;
	}
	deepen(&listener->accept_queue, step->accept_queue_len + 1);
	if (took_us != UINT64_MAX)
		histogram__add(&listener->handshake_us, took_us);
	if (was == CLIENT_BLOCKED || (was == CLIENT_NONE && was_blocked))
		listener->delayed++;
}

static void count_request(struct listeners *listeners, struct listener *listener,
			  const struct ev_handshake *step, uint64_t took_us, bool was_blocked)
{
	switch (step->outcome) {
	case EV_REQUEST_RETRANSMITTED:
		listener->retransmits++;
		return;
	case EV_REQUEST_COMPLETED:
		count_completed(listeners, listener, step, took_us, was_blocked);
		return;
	case EV_REQUEST_OVERFLOW:
		listener->overflows++;
		return;
	case EV_REQUEST_TIMED_OUT:
		listener->timed_out++;
		break;
	case EV_REQUEST_RESET:
		listener->reset++;
		listener->aborted += step->detail == EV_RESET_BY_US;
		break;
	case EV_REQUEST_LISTENER_CLOSED:
		listener->abandoned++;
		break;
	default:
		return;
	}
	listener->syn_queue.len = step->syn_queue_len ? step->syn_queue_len - 1 : 0;
	take_client(listeners, listener, step);
}

/* A limit changes by another listen(), whose argument nobody has told: it makes
 * no transition. */
static void learn_limit(struct listener *listener, uint32_t limit)
{
	if (listener->limit != limit)
		listener->asked = 0;
	listener->limit = limit;
}

static void learn_queues(struct listener *listener, const struct ev_handshake *step)
{
	learn_limit(listener, step->limit);
	deepen(&listener->syn_queue, step->syn_queue_len);
	deepen(&listener->accept_queue, step->accept_queue_len);
	if (listener->flags & LISTENER_CLOSED) /* a step read while its children were being closed */
		listener->accept_queue.len = 0;
	if (listener->flags & LISTENER_PLACE_KNOWN)
		return;
	/* Seen only now: it may listen on a wildcard address; what we know is
	 * where this SYN went. */
	listener->netns = step->netns;
	listener->family = step->family;
	listener->local.port = step->local_port;
	memcpy(listener->local.addr, step->local, sizeof(listener->local.addr));
	listener->flags |= LISTENER_PLACE_KNOWN | LISTENER_PREEXISTING;
}

/* Known by its address only, at the sample's place, and not sampled so far. Who
 * is known by a cookie is found by that, or is another socket. */
static bool awaits_sample(const struct listener *l, const struct ev_listener *sample)
{
	return (l->flags & (LISTENER_CLOSED | LISTENER_DROPS_KNOWN | LISTENER_ADOPTED)) ==
		       LISTENER_ADOPTED &&
	       fit_of(l, sample->netns, sample->local, sample->local_port) == 3;
}

/* Seen to close. When its socket listens again, that is another entry's (5.10). */
static bool is_over(const struct listener *l)
{
	return (l->flags & (LISTENER_CLOSED | LISTENER_LACKING)) == LISTENER_CLOSED;
}

static struct listener *sampled_before(const struct listeners *listeners, uint64_t cookie)
{
	struct listener *found = listeners__find(listeners, cookie);

	for (uint32_t i = 0; !found && i < listeners->used; i++) {
		struct listener *l = listeners->all[i];

		if (l && l->flags & LISTENER_DROPS_KNOWN && l->cookie == cookie)
			found = l;
	}
	return found;
}

/* By the cookie of an earlier sample, else by place, NULL when several may be
 * meant: a group of SO_REUSEPORT cannot be told apart by place. */
static struct listener *sampled(const struct listeners *listeners, const struct ev_listener *sample)
{
	struct listener *before = sampled_before(listeners, sample->conn_id), *found = NULL;
	int count = 0;

	if (before && !is_over(before))
		return before;
	for (uint32_t i = 0; i < listeners->used; i++) {
		if (!listeners->all[i] || !awaits_sample(listeners->all[i], sample))
			continue;
		found = listeners->all[i];
		count++;
	}
	return count == 1 ? found : before;
}

/* Also of one that a SYN made known: where that went and who listens are two
 * things that only the sample tells. */
static void learn_sample(struct listeners *listeners, struct listener *listener,
			 const struct ev_listener *sample)
{
	listener->netns = sample->netns;
	listener->family = sample->family;
	listener->local.port = sample->local_port;
	memcpy(listener->local.addr, sample->local, sizeof(listener->local.addr));
	listener->cookie = sample->conn_id;
	listener->sampled_ns = sample->header.time_ns;
	/* The sample that lacked it was wrong: a dump is no photograph. */
	if (listener->flags & LISTENER_LACKING)
		listener->flags &= (uint8_t) ~(LISTENER_LACKING | LISTENER_CLOSED);
	listener->flags |= LISTENER_PLACE_KNOWN | LISTENER_DROPS_KNOWN;
	if (sample->owner.pid && listener->owner == OWNER_NONE)
		listener->owner =
			owners__intern(listeners->owners, &sample->owner, sample->header.time_ns);
}

void listeners__sample(struct listeners *listeners, const struct ev_listener *sample)
{
	struct listener *listener = sampled(listeners, sample);

	listeners__age(listeners, sample->header.time_ns);
	if (!listener) {
		listener = listeners__get(listeners, sample->conn_id);
		if (!listener)
			return;
		listener->flags = LISTENER_PREEXISTING;
		listener->found_ns = sample->header.time_ns;
	}
	learn_sample(listeners, listener, sample);
	learn_limit(listener, sample->limit);
	listener->somaxconn = sample->somaxconn;
	listener->sk_drops = sample->drops;
	/* Where SYNs are seen they tell the depth, and the sample has counted none. */
	if (sample->syn_queue_len || !listener->syns)
		deepen(&listener->syn_queue, sample->syn_queue_len);
	deepen(&listener->accept_queue, sample->accept_queue_len);
}

static bool is_shown_at(const struct listeners *listeners, const struct listener *place, uint64_t time_ns)
{
	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *l = listeners->all[i];

		if (l && l->sampled_ns >= time_ns && l->netns == place->netns &&
		    !memcmp(&l->local, &place->local, sizeof(l->local)))
			return true;
	}
	return false;
}

/* By a sample of this time, if it still listens. Of a group that is known by addresses
 * nobody is told from the others: one of them may be meant as long as one is shown. */
static bool should_be_shown(const struct listeners *listeners, const struct listener *listener,
			    uint64_t time_ns)
{
	if (listener->flags & LISTENER_DROPS_KNOWN)
		return true;
	return listener->born_ns && listener->born_ns < time_ns &&
	       !(listener->by_address && is_shown_at(listeners, listener, time_ns));
}

void listeners__sampled(struct listeners *listeners, uint32_t netns, uint64_t time_ns)
{
	for (uint32_t i = 0; i < listeners->used; i++) {
		struct listener *l = listeners->all[i];

		if (!l || (netns && l->netns != netns) || l->sampled_ns >= time_ns ||
		    l->flags & LISTENER_CLOSED || !should_be_shown(listeners, l, time_ns))
			continue;
		l->flags |= LISTENER_CLOSED | LISTENER_LACKING;
		l->syn_queue.len = l->accept_queue.len = 0;
	}
}

void listeners__step(struct listeners *listeners, struct listener *listener,
		     const struct ev_handshake *step, uint64_t took_us, bool was_blocked)
{
	listeners__age(listeners, step->header.time_ns);
	learn_queues(listener, step);
	if (step->header.kind == EV_SYN)
		count_syn(listeners, listener, step);
	else
		count_request(listeners, listener, step, took_us, was_blocked);
}

void listeners__admitted(struct listeners *listeners, struct listener *listener,
			 const struct ev_handshake *step)
{
	listeners__age(listeners, step->header.time_ns);
	learn_queues(listener, step);
	listener->admitted++;
	deepen(&listener->syn_queue, step->syn_queue_len + 1);
}

void listener__accepted(struct listener *listener, const struct ev_accept *accept, uint64_t waited_us)
{
	listener->accepted++;
	if (accept->listener_socket) {
		learn_limit(listener, accept->limit);
		listener->accept_queue.len = accept->accept_queue_len;
	}
	if (waited_us != UINT64_MAX)
		histogram__add(&listener->accept_wait_us, waited_us);
}

uint64_t listener__pending(const struct listener *listener)
{
	uint64_t gone = listener->completed + listener->timed_out + listener->reset + listener->abandoned;

	return listener->queued > gone ? listener->queued - gone : 0;
}

uint64_t listener__drops(const struct listener *listener)
{
	uint64_t sum = 0;

	for (int cause = 0; cause < EV_DROP_END; cause++)
		sum += listener->dropped[cause];
	return sum;
}

/* ---- as records ---- */

_Static_assert((int)EV_HISTOGRAM_BUCKETS == (int)HISTOGRAM_BUCKETS, "histograms have changed");

/* Where each count of a listener stands, in the order of enum ev_queues_count. */
static const size_t count_places[EV_Q_END] = {
	[EV_Q_SYNS] = offsetof(struct listener, syns),
	[EV_Q_QUEUED] = offsetof(struct listener, queued),
	[EV_Q_ADMITTED] = offsetof(struct listener, admitted),
	[EV_Q_COOKIES] = offsetof(struct listener, cookies),
	[EV_Q_FASTOPEN] = offsetof(struct listener, fastopen),
	[EV_Q_DROPPED + EV_DROP_OTHER] = offsetof(struct listener, dropped[EV_DROP_OTHER]),
	[EV_Q_DROPPED + EV_DROP_SYN_QUEUE_FULL] =
		offsetof(struct listener, dropped[EV_DROP_SYN_QUEUE_FULL]),
	[EV_Q_DROPPED + EV_DROP_ACCEPT_QUEUE_FULL] =
		offsetof(struct listener, dropped[EV_DROP_ACCEPT_QUEUE_FULL]),
	[EV_Q_DROPPED + EV_DROP_LAST_QUARTER] = offsetof(struct listener, dropped[EV_DROP_LAST_QUARTER]),
	[EV_Q_COMPLETED] = offsetof(struct listener, completed),
	[EV_Q_TIMED_OUT] = offsetof(struct listener, timed_out),
	[EV_Q_RESET] = offsetof(struct listener, reset),
	[EV_Q_ABORTED] = offsetof(struct listener, aborted),
	[EV_Q_ABANDONED] = offsetof(struct listener, abandoned),
	[EV_Q_COMPLETED_BY_COOKIE] = offsetof(struct listener, completed_by_cookie),
	[EV_Q_OVERFLOWS] = offsetof(struct listener, overflows),
	[EV_Q_RETRANSMITS] = offsetof(struct listener, retransmits),
	[EV_Q_ACCEPTED] = offsetof(struct listener, accepted),
	[EV_Q_SK_DROPS] = offsetof(struct listener, sk_drops),
	[EV_Q_DELAYED] = offsetof(struct listener, delayed),
	[EV_Q_GAVE_UP] = offsetof(struct listener, gave_up),
};

static void put_histogram(struct histogram *histogram, const struct ev_histogram *from)
{
	histogram->count = from->count;
	histogram->max = from->max;
	memcpy(histogram->buckets, from->buckets, sizeof(histogram->buckets));
}

static void tell_histogram(const struct histogram *histogram, struct ev_histogram *out)
{
	out->count = histogram->count;
	out->max = histogram->max;
	memcpy(out->buckets, histogram->buckets, sizeof(out->buckets));
}

void listeners__put(struct listeners *listeners, const struct ev_queues *from, uint32_t owner)
{
	struct listener *l = listeners__get(listeners, from->key);

	owners__release(listeners->owners, l ? l->owner : owner);
	if (!l)
		return;
	l->owner = owner;
	l->id = from->shown_id;
	l->cookie = from->cookie;
	l->found_ns = from->found_ns;
	l->sampled_ns = from->sampled_ns;
	l->born_ns = from->born_ns;
	l->netns = from->netns;
	l->family = from->family;
	l->flags = from->flags;
	l->local.port = from->local_port;
	memcpy(l->local.addr, from->local, sizeof(l->local.addr));
	l->limit = from->limit;
	l->asked = from->asked;
	l->somaxconn = from->somaxconn;
	l->needed = from->needed;
	l->syn_queue = (struct queue_depth){ from->syn_queue_len, from->syn_queue_max };
	l->accept_queue = (struct queue_depth){ from->accept_queue_len, from->accept_queue_max };
	for (int i = 0; i < EV_Q_END; i++)
		memcpy((char *)l + count_places[i], &from->counts[i], sizeof(from->counts[i]));
	put_histogram(&l->handshake_us, &from->handshake_us);
	put_histogram(&l->accept_wait_us, &from->accept_wait_us);
}

void listener__tell(const struct listener *l, struct ev_queues *out)
{
	out->key = l->key;
	out->shown_id = l->id;
	out->cookie = l->cookie;
	out->found_ns = l->found_ns;
	out->sampled_ns = l->sampled_ns;
	out->born_ns = l->born_ns;
	out->netns = l->netns;
	out->family = l->family;
	out->flags = l->flags;
	out->local_port = l->local.port;
	memcpy(out->local, l->local.addr, sizeof(out->local));
	out->limit = l->limit;
	out->asked = l->asked;
	out->somaxconn = l->somaxconn;
	out->needed = l->needed;
	out->syn_queue_len = l->syn_queue.len;
	out->syn_queue_max = l->syn_queue.max;
	out->accept_queue_len = l->accept_queue.len;
	out->accept_queue_max = l->accept_queue.max;
	for (int i = 0; i < EV_Q_END; i++)
		memcpy(&out->counts[i], (const char *)l + count_places[i], sizeof(out->counts[i]));
	tell_histogram(&l->handshake_us, &out->handshake_us);
	tell_histogram(&l->accept_wait_us, &out->accept_wait_us);
}
