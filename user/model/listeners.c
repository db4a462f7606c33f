// SPDX-License-Identifier: BSD-2-Clause
#include "model/listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int listeners__init(struct listeners *listeners, struct owners *owners, uint64_t seed)
{
	*listeners = (struct listeners){.owners = owners};
	listeners->all = calloc(LISTENERS_MAX, sizeof(struct listener *));
	if (!listeners->all || idmap__init(&listeners->by_key, seed) || idmap__init(&listeners->blocked, seed))
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
	if (listeners->blocked.slots)
		idmap__fini(&listeners->blocked);
}

struct listener *listeners__find(const struct listeners *listeners, uint64_t key)
{
	uint32_t index = idmap__find(&listeners->by_key, key);

	return index == IDMAP_NONE ? NULL : listeners->all[index];
}

static bool is_wildcard(const uint8_t addr[16])
{
	static const uint8_t any6[16], any4[16] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr, any6, 16) || !memcmp(addr, any4, 16);
}

struct listener *listeners__serving(const struct listeners *listeners, uint32_t netns, const uint8_t addr[16],
				    uint16_t port)
{
	struct listener *wildcard = NULL;

	for (uint32_t i = 0; i < listeners->used; i++) {
		struct listener *l = listeners->all[i];

		if (!l || l->flags & LISTENER_CLOSED || l->netns != netns || l->local.port != port)
			continue;
		if (!memcmp(l->local.addr, addr, 16))
			return l;
		if (is_wildcard(l->local.addr))
			wildcard = l;
	}
	return wildcard;
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

struct listener *listeners__adopt(struct listeners *listeners, uint64_t key, uint32_t netns,
				  const uint8_t addr[16], uint16_t port)
{
	struct listener *listener = listeners__find(listeners, key);
	struct listener *sample = listener ? NULL : listeners__serving(listeners, netns, addr, port);
	uint32_t place;

	/* Bound to another socket already: this one is of the same group. */
	if (!sample || !(sample->flags & LISTENER_PREEXISTING) || sample->flags & LISTENER_ADOPTED)
		return listener ? listener : listeners__get(listeners, key);
	place = idmap__find(&listeners->by_key, sample->key);
	if (idmap__put(&listeners->by_key, key, place))
		return sample;
	idmap__remove(&listeners->by_key, sample->key);
	sample->key = key;
	sample->flags |= LISTENER_ADOPTED;
	return sample;
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
		listeners->not_kept++;
		free(listener);
		return NULL;
	}
	listener->key = key;
	listener->owner = OWNER_NONE;
	listeners->all[place] = listener;
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
	} client = {.listener = listener->key, .port = step->remote_port};

	memcpy(client.remote, step->remote, sizeof(client.remote));
	return XXH3_64bits_withSeed(&client, sizeof(client), listeners->by_key.seed);
}

/* One blocked client sends its SYN again and again: it is one delayed
 * connection, however many SYNs are dropped. */
static void client_blocked(struct listeners *listeners, struct listener *listener,
			   const struct ev_handshake *step)
{
	uint64_t client = client_hash(listeners, listener, step);

	if (!step->remote_port || idmap__find(&listeners->blocked, client) != IDMAP_NONE ||
	    listeners->blocked.used >= BLOCKED_MAX)
		return;
	if (idmap__put(&listeners->blocked, client, 1))
		return;
	listener->blocked++;
	if (listener->limit + listener->blocked > listener->needed)
		listener->needed = listener->limit + listener->blocked;
}

static void client_served(struct listeners *listeners, struct listener *listener,
			  const struct ev_handshake *step)
{
	if (!listeners->blocked.used ||
	    idmap__remove(&listeners->blocked, client_hash(listeners, listener, step)) == IDMAP_NONE)
		return;
	listener->delayed++;
	if (listener->blocked)
		listener->blocked--;
}

static void count_syn(struct listeners *listeners, struct listener *listener, const struct ev_handshake *step)
{
	listener->syns++;
	switch (step->outcome) {
	case EV_SYN_QUEUED:
		listener->queued++;
		deepen(&listener->syn_queue, step->syn_queue_len + 1);
		client_served(listeners, listener, step);
		break;
	case EV_SYN_COOKIE:
		listener->cookies++;
		break;
	case EV_SYN_FASTOPEN:
		listener->fastopen++;
		deepen(&listener->accept_queue, step->accept_queue_len + 1);
		client_served(listeners, listener, step);
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
	if (step->detail == EV_VIA_COOKIE) {
		listener->completed_by_cookie++;
		client_served(listeners, listener, step);
	} else {
		listener->completed++;
		listener->syn_queue.len = step->syn_queue_len ? step->syn_queue_len - 1 : 0;
	}
	deepen(&listener->accept_queue, step->accept_queue_len + 1);
	if (took_us != UINT64_MAX)
		histogram__add(&listener->handshake_us, took_us);
	if (was_blocked)
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
		break;
	case EV_REQUEST_LISTENER_CLOSED:
		listener->abandoned++;
		break;
	default:
		return;
	}
	listener->syn_queue.len = step->syn_queue_len ? step->syn_queue_len - 1 : 0;
}

static void learn_place(struct listener *listener, const struct ev_handshake *step)
{
	listener->limit = step->limit;
	listener->syn_queue.len = step->syn_queue_len;
	deepen(&listener->accept_queue, step->accept_queue_len);
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

static bool same_place(const struct listener *l, const struct ev_listener *sample)
{
	return !(l->flags & LISTENER_CLOSED) && l->netns == sample->netns &&
	       l->local.port == sample->local_port && !memcmp(l->local.addr, sample->local, 16);
}

/* The one open listener at the sample's place, NULL when there are several: a
 * group of SO_REUSEPORT cannot be told apart by place. */
static struct listener *only_one_at(const struct listeners *listeners, const struct ev_listener *sample)
{
	struct listener *found = NULL;

	for (uint32_t i = 0; i < listeners->used; i++) {
		if (!listeners->all[i] || !same_place(listeners->all[i], sample))
			continue;
		if (found)
			return NULL;
		found = listeners->all[i];
	}
	return found;
}

static struct listener *sampled(struct listeners *listeners, const struct ev_listener *sample)
{
	struct listener *listener = listeners__find(listeners, sample->conn_id);

	return listener ? listener : only_one_at(listeners, sample);
}

static void begin_sampled(struct listeners *listeners, struct listener *listener,
			  const struct ev_listener *sample)
{
	listener->netns = sample->netns;
	listener->family = sample->family;
	listener->local.port = sample->local_port;
	memcpy(listener->local.addr, sample->local, sizeof(listener->local.addr));
	listener->flags = LISTENER_PLACE_KNOWN | LISTENER_PREEXISTING;
	if (sample->owner.pid)
		listener->owner = owners__intern(listeners->owners, &sample->owner);
}

void listeners__sample(struct listeners *listeners, const struct ev_listener *sample)
{
	struct listener *listener = sampled(listeners, sample);

	if (!listener) {
		listener = listeners__get(listeners, sample->conn_id);
		if (!listener)
			return;
		begin_sampled(listeners, listener, sample);
	}
	listener->limit = sample->limit;
	listener->somaxconn = sample->somaxconn;
	listener->sk_drops = sample->drops;
	listener->flags |= LISTENER_DROPS_KNOWN;
	deepen(&listener->syn_queue, sample->syn_queue_len);
	deepen(&listener->accept_queue, sample->accept_queue_len);
}

void listeners__step(struct listeners *listeners, struct listener *listener, const struct ev_handshake *step,
		     uint64_t took_us, bool was_blocked)
{
	learn_place(listener, step);
	if (step->header.kind == EV_SYN)
		count_syn(listeners, listener, step);
	else
		count_request(listeners, listener, step, took_us, was_blocked);
}

void listener__accepted(struct listener *listener, const struct ev_accept *accept, uint64_t waited_us)
{
	listener->accepted++;
	if (accept->listener_socket) {
		listener->limit = accept->limit;
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
